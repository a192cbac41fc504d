//! Materials: spools, what is taken from them, and when to say that one runs low.
//!
//! - [`stock`] decides about low stock, [`usage`] what a print takes out of which slot: pure, no input or output.
//! - [`shelf`] and [`booking`] are the transactions: a spool or a booking and its events in one commit, whoever asks
//!   for it. Low stock is judged in one place, so that no path can lower a spool without it.
//!
//! Bounds: [`MATERIALS_MAX`] spools, [`CONSUMPTIONS_MAX`] bookings. Masses are whole micrograms and compared as such.
//!
//! Not here: when a print has ended (`jobs`), what its file says (`formats`), HTTP (`web`).

pub mod booking;
pub mod shelf;
pub mod stock;
#[cfg(test)]
mod tests;

pub use shelf::{Because, MaterialError};

/// Spools at most: several times what the largest workshop owns; all of them are about 1 MB on the card.
pub const MATERIALS_MAX: u64 = 2_000;

/// Bookings that are kept; beyond that the oldest go. As many as there are jobs, and about 1 MB.
pub const CONSUMPTIONS_MAX: u64 = 10_000;

/// Bookings that one transaction removes at most: each adds one, so two keep up and also shrink a longer history.
const CONSUMPTIONS_TRIMMED_AT_ONCE: usize = 2;
