//! Watching printers: connections that come back for ever, and the periodic summaries.
//!
//! This room stands above `jobs`: a watch hands every transition to `jobs::record` and waits for the commit before it
//! shows the next report, so that a printer's events are in the order of its reports.

pub mod control;
pub mod outage;
pub mod pace;
pub mod probe;
pub mod summary;
pub mod watch;
