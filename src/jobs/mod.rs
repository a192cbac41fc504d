//! Jobs: every print becomes a record with its true start and end.
//!
//! Bounds: [`JOBS_MAX`] jobs are kept; the oldest that are over make room for new ones.

pub mod edit;
pub mod record;
pub mod state;

/// Jobs that are kept. At ten prints a day that is three years, and about 3 MB on the card.
pub const JOBS_MAX: u64 = 10_000;

/// Jobs that one new one pushes out at most: two, so that a longer history shrinks.
pub const TRIMMED_AT_ONCE: usize = 2;
