//! Materials: spools, what is taken from them, and when to say that one runs low.
//!
//! - [`stock`] decides about low stock, [`usage`] what a print takes out of which slot: pure, no input or output.
//! - [`shelf`], [`booking`] and [`settle`] are the transactions: a spool, a booking or a job's bookings and their events in
//!   one commit, whoever asks for it. Low stock is judged in one place, so that no path can lower a spool without it.
//!
//! - [`task`] hears of jobs' ends and files' figures, and books.
//!
//! Bounds: [`MATERIALS_MAX`] spools, [`CONSUMPTIONS_MAX`] bookings, [`settle::WAITING_MAX`] jobs that wait for figures. Masses are whole micrograms and compared as such.
//!
//! Not here: when a print has ended (`jobs`), what its file says (`formats`), HTTP (`web`).

pub mod booking;
#[cfg(test)]
mod booking_tests;
pub mod settle;
pub mod shelf;
pub mod stock;
pub mod task;
#[cfg(test)]
mod tests;
pub mod usage;

pub use shelf::{Because, MaterialError};

/// Spools at most: several times what the largest workshop owns; all of them are about 1 MB on the card.
pub const MATERIALS_MAX: u64 = 2_000;

/// Bookings that are kept; beyond that the oldest go. As many as there are jobs, and about 1 MB.
pub const CONSUMPTIONS_MAX: u64 = 10_000;

/// Bookings that one transaction removes at most: each adds one, so two keep up and also shrink a longer history.
const CONSUMPTIONS_TRIMMED_AT_ONCE: usize = 2;
