//! What is done with bytes off the network before a handler sees them.

pub mod front;
#[path = "../../../src/library/multipart.rs"]
pub mod multipart;
#[path = "../../../src/web/respond.rs"]
pub mod respond;
pub mod server;
