//! The Prusa printer against a client that knows HTTP and nothing else.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at once")]

mod client;
mod entrance;
mod faults;
mod files;
mod manners;
mod prints;
