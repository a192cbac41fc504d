//! 3D printers over real sockets, for demonstrations and tests.
//!
//! The crate shares no code with the product and knows only what the network shows: it is the other side, written
//! a second time, so that a misunderstanding of the protocol is not made twice in the same place.
//!
//! - [`bambu`]: Bambu Lab printers (MQTT 3.1.1 in TLS 1.2). Start with [`bambu::Printer::start`].
//! - [`prusa`]: Prusa printers with their web server (HTTP/1.1). Start with [`prusa::Printer::start`].
//! - [`archive`]: the print files that they keep.
//! - [`fleet`]: printers with a life of their own, for demonstrations and load.
//! - [`any`]: both kinds behind one door.
//! - [`lan`]: how printers call out and announce themselves on the network.
//! - [`control`]: the HTTP interface by which other processes drive the printers.
//! - [`scenario`]: the orders that make such a life, and [`observer`]: where a printer notes what it sees.
//! - [`wait`]: clocks and the stop signal.
//!
//! What it deliberately does not do: encrypt anything worth hiding (keys come from public seeds), print, or be
//! small. Bounds are named where they are: sessions, queues, packets, observations.

pub mod any;
pub mod archive;
pub mod bambu;
pub mod control;
pub mod fleet;
pub mod lan;
pub mod observer;
pub mod prusa;
pub mod scenario;
pub mod wait;
