//! What every room may use: clocks, back-off, the latest-value cell, logging, secrets, durable file writes, MD5, threads
//! for work that blocks.
//!
//! Nothing here knows printers, events or the store.

pub mod backoff;
pub mod clock;
pub mod error;
pub mod file;
pub mod handling;
pub mod latest;
pub mod logging;
pub mod md5;
pub mod pool;
pub mod secret;
pub mod task;
pub mod zone;
