//! What every room may use: clocks, back-off, the latest-value cell, logging, secrets, durable file writes.
//!
//! Nothing here knows printers, events or the store.

pub mod backoff;
pub mod clock;
pub mod error;
pub mod file;
pub mod handling;
pub mod latest;
pub mod logging;
pub mod pool;
pub mod secret;
pub mod task;
