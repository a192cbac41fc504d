//! Fixed-capacity fan-out: a ring with a cursor per subscriber. Knows nothing of printers.

/// What the ring carries.
pub trait Sequenced {
    /// The gap-free number of a durable item; `None` for a state item.
    fn seq(&self) -> Option<u64>;
}
