//! Prusa printers whose firmware ("Buddy") has the web server PrusaLink inside: MINI, MK3.5, MK4, XL, CORE One.
//!
//! ```no_run
//! use simulator::prusa::{Command, Config, Model, NewFile, Printer};
//!
//! let mut config = Config::manual(Model::Mk4, "maker-password");
//! config.files.push(NewFile::new("Würfel groß.gcode"));
//! let printer = Printer::start(config)?;
//! println!("GET http://{}/api/v1/status", printer.addr());
//! printer.command(Command::start("Würfel groß.gcode"))?;
//! printer.command(Command::Advance { seconds: 400.0 })?;
//! assert_eq!(printer.status().state, "PRINTING");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The server is written for its quirks: three requests at once, digest of RFC 2069, chunks with sizes of four digits,
//! targets of 168 bytes, short file names, no ranges. A printer has one thread that listens and one per connection; time
//! is not a thread but is let pass whenever somebody looks.

pub mod command;
pub mod config;
pub mod content;
mod digest;
pub mod faults;
pub mod fleet;
mod garbage;
mod listener;
pub mod machine;
pub mod md5;
pub mod model;
pub mod names;
pub mod observe;
mod pages;
mod preview;
pub mod printer;
mod reply;
mod request;
mod routes;
mod session;
mod shared;
pub mod stick;
mod world;

pub use command::{AfterReboot, Command, CommandError, Scene, Start};
pub use config::{Config, Pace};
pub use content::{NewFile, Preview, Recipe};
pub use faults::{Fault, Faults, Garbage, Rule, Silence, Target};
pub use machine::State;
pub use model::Model;
pub use observe::Observations;
pub use printer::{Description, Printer, StartError};
pub use world::Status;
