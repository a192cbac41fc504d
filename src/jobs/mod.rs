//! Jobs: every print becomes a record with its true start and end.

pub mod record;
pub mod state;
