//! How often each event was announced since the start, and how often lately.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Envelope;
use crate::base::clock::Mono;

/// The window of a rate.
const MINUTE_MS: u64 = 60_000;

/// The figures of one name since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Announced since the start.
    pub total: u64,
    /// Of these, state events that the records do not count yet.
    pub unsaved: u64,
    /// The minute of `this_minute`.
    minute: u64,
    this_minute: u64,
    last_minute: u64,
}

impl Count {
    fn turn(&mut self, minute: u64) {
        if minute != self.minute {
            self.last_minute = if minute == self.minute + 1 { self.this_minute } else { 0 };
            (self.minute, self.this_minute) = (minute, 0);
        }
    }

    /// Announced within the last whole minute.
    #[must_use]
    pub fn last_minute(mut self, now: Mono) -> u64 {
        self.turn(now.0 / MINUTE_MS);
        self.last_minute
    }
}

/// Counts by name; as many as the catalogue has.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<&'static str, Count>>);

impl Counts {
    /// Counts one event.
    pub fn note(&self, envelope: &Envelope, now: Mono) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(envelope.event.name()).or_default();
        count.turn(now.0 / MINUTE_MS);
        count.total += 1;
        count.this_minute += 1;
        // Durable ones are counted in the records by their own commit.
        count.unsaved += u64::from(envelope.seq.is_none());
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `saved` is counted in the records now.
    pub fn saved(&self, saved: &BTreeMap<&'static str, Count>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, saved) in saved {
            if let Some(count) = counts.get_mut(name) {
                count.unsaved = count.unsaved.saturating_sub(saved.unsaved);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Now, RELEASE_FLOOR};
    use crate::events::{Event, JobOnly};
    use crate::model::JobId;

    #[test]
    fn counts_and_rates() {
        let counts = Counts::default();
        let event = || Event::JobUpdated(JobOnly { job_id: JobId(1) });
        let at = |mono| Now { mono: Mono(mono), wall: RELEASE_FLOOR, synced: true };
        for mono in [1_000, 59_000, 61_000] {
            counts.note(&Envelope::durable(1, at(mono), None, None, event()), Mono(mono));
        }
        counts.note(&Envelope::state(1, at(62_000), None, event()), Mono(62_000));
        let count = counts.all()["job_updated"];
        assert_eq!((count.total, count.unsaved), (4, 1));
        let rates = [62_000, 119_999, 120_000, 180_000, 600_000].map(|now| count.last_minute(Mono(now)));
        assert_eq!(rates, [2, 2, 2, 0, 0]);
        counts.saved(&counts.all());
        assert_eq!(counts.all()["job_updated"].unsaved, 0);
    }
}
