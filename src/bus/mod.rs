//! Fixed-capacity fan-out: a ring with a cursor per subscriber. Knows nothing of printers.
//!
//! [`Bus::publish`] never waits: the ring overwrites its oldest item, and what a subscriber then sees is its own choice:
//!
//! - a *lossy* subscriber ([`Bus::subscribe_lossy`]) learns how many items it missed and goes on with the oldest kept;
//! - a *must* subscriber ([`Bus::subscribe_must`]) gets every durable item after its cursor exactly once and in order: from
//!   the ring while the item is there, otherwise from the journal, also when it is lapped in the middle. Items without a
//!   `seq` are not for it.
//!
//! Bounds: the ring holds `N` items, there are at most [`SUBSCRIBERS_MAX`] subscribers, and a must subscriber holds at
//! most [`FETCH_MAX`] items that it has read from the journal. Nothing here writes to disk; the journal is the store's.

mod lossy;
mod must;
mod ring;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use lossy::{Lossy, Received};
pub use must::{Must, MustError};
pub use ring::{Bus, BusStats, SubscriberKind, SubscriberStats};

/// What the ring carries.
pub trait Sequenced {
    /// The gap-free number of a durable item; `None` for a state item.
    fn seq(&self) -> Option<u64>;
}

/// Subscribers at once: 24 event streams, a dozen workflows, the rest for tests and the page's own handlers.
pub const SUBSCRIBERS_MAX: usize = 48;

/// Items that a must subscriber asks of the journal at a time: about 64 KiB of events, one short read.
pub const FETCH_MAX: usize = 64;

/// Every place for a subscriber is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusFull;

impl fmt::Display for BusFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {SUBSCRIBERS_MAX} places for listeners are taken; try again when another one has left")
    }
}

impl std::error::Error for BusFull {}

/// A piece of the journal: what [`Journal::after`] found.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// Durable items in order, each with a `seq`. Items that this version cannot read are left out.
    pub items: Vec<Arc<T>>,
    /// The last `seq` that was looked at; equal to the asked one when there is nothing after it.
    pub through: u64,
    /// The oldest `seq` that the journal still holds (the next one to be given out when it holds nothing).
    pub oldest: u64,
    /// Whether nothing followed `through` when it was read.
    pub end: bool,
}

/// The journal could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalError(pub String);

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reading the journal: {}", self.0)
    }
}

impl std::error::Error for JournalError {}

/// Where durable items can be read again.
pub trait Journal<T> {
    /// The durable items with a number greater than `seq`, at most `limit` of them, oldest first.
    fn after(&self, seq: u64, limit: usize) -> impl Future<Output = Result<Batch<T>, JournalError>> + Send;
}
