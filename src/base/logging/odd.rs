//! Odd input is counted and logged once: what printers and clients send wrongly costs one line and a number.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Kinds that are counted; kinds are words of our own code, so this many are never reached by input.
pub const KINDS_MAX: usize = 256;

/// Counts by kind.
#[derive(Debug, Default)]
pub struct OddCounts {
    counts: Vec<(&'static str, u64)>,
}

impl OddCounts {
    /// Nothing odd yet.
    #[must_use]
    pub const fn new() -> OddCounts {
        OddCounts { counts: Vec::new() }
    }

    /// Counts one; whether it is the first of its kind. Beyond [`KINDS_MAX`] kinds nothing is counted.
    pub fn count(&mut self, kind: &'static str) -> bool {
        if let Some((_, count)) = self.counts.iter_mut().find(|(known, _)| *known == kind) {
            *count = count.saturating_add(1);
            return false;
        }
        let room = self.counts.len() < KINDS_MAX;
        if room {
            self.counts.push((kind, 1));
        }
        room
    }

    /// The counts, in the order of their first appearance.
    #[must_use]
    pub fn counts(&self) -> &[(&'static str, u64)] {
        &self.counts
    }
}

static ODD: Mutex<OddCounts> = Mutex::new(OddCounts::new());

/// Counts something odd of `kind` (a stable name such as `bambu.temperature.type`); the first one since the start is
/// logged as a warning with `what`, the others only counted. `what` is formatted for the first one alone.
pub fn odd(kind: &'static str, what: fmt::Arguments<'_>) {
    let first = ODD.lock().unwrap_or_else(PoisonError::into_inner).count(kind);
    if first {
        log::warn!(kind = kind; "odd, from now on only counted: {what}");
    }
}

/// How often each kind was met since the start.
#[must_use]
pub fn odd_counts() -> Vec<(&'static str, u64)> {
    ODD.lock().unwrap_or_else(PoisonError::into_inner).counts().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_all_are_counted() {
        let mut counts = OddCounts::new();
        assert_eq!(
            [counts.count("a"), counts.count("b"), counts.count("a"), counts.count("a")],
            [true, true, false, false]
        );
        assert_eq!(counts.counts(), [("a", 3), ("b", 1)]);
    }

    #[test]
    fn the_global_counts_are_shared() {
        odd("test.odd", format_args!("x"));
        odd("test.odd", format_args!("x"));
        assert!(odd_counts().contains(&("test.odd", 2)));
    }
}
