//! Bambu Lab printers: MQTT 3.1.1 in TLS 1.2, with the reports, requests and quirks of the models.
//!
//! ```no_run
//! use simulator::bambu::{Command, Config, Model, PrintPlan, Printer};
//!
//! let printer = Printer::start(Config::manual(Model::P1s, "01P00A000000001", "12345678"))?;
//! println!("connect to {} as bblp", printer.addr());
//! printer.command(Command::StartPrint { plan: PrintPlan::default() })?;
//! printer.command(Command::Advance { seconds: 400.0 })?;
//! assert_eq!(printer.observations().open_sessions, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A printer has three threads of its own, `listener`, `files` and `engine`, and one per connection. Only the engine
//! publishes reports and answers, so everything leaves in one order.

pub mod answer;
pub mod certificate;
pub mod command;
pub mod config;
pub mod der;
mod engine;
pub mod faults;
pub mod ftps;
pub mod key;
pub mod machine;
pub mod model;
pub mod mqtt;
pub mod names;
pub mod observe;
pub mod plan;
mod port;
pub mod printer;
pub mod replay;
pub mod report;
pub mod scenario;
mod session;
mod shared;
mod tls;
pub mod tray;

pub use certificate::CertificateVersion;
pub use command::{Command, CommandError};
pub use config::Config;
pub use faults::{Faults, Garbage, Silence, Tcp};
pub use ftps::{
    Clash, Content, Ending, FilePlan, Files, FtpsFaults, FtpsObservations, Goodbye, Hiding, Mishap, Place,
    Protection, Retrieval, Reuse, TransferFault,
};
pub use machine::PauseReason;
pub use model::Model;
pub use observe::Observations;
pub use plan::{CancelEnd, Outcome, PrintPlan, Source};
pub use printer::{Description, Printer, StartError};
pub use replay::Recording;
pub use scenario::{Scenario, Scene};
pub use shared::Status;
pub use tray::Tray;
