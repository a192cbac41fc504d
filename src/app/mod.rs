//! The only place that knows everybody: wiring in reading order, supervisor, shutdown, health.

pub mod supervisor;
