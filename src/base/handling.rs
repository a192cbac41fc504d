//! Who handled which durable event: when, for how long, with what result. The newest of it, in memory.
//!
//! A subscriber that acts on an event begins a [`Handling`] and ends it with what came of it; one that only looks and goes
//! on leaves it alone. Writing never waits for anything, and nothing here is kept over a restart: the events are in the
//! journal, who handled them is for the eyes of those who look soon.
//!
//! Bounds: [`KEPT_MAX`] handlings, of each a note of [`NOTE_BYTES_MAX`] bytes; totals of [`SUBSCRIBERS_MAX`] subscribers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::clock::{Clock, Now, Timestamp};

/// Handlings that are kept: a print has about 30 of them, so the last 30 prints; about 150 KB when full.
pub const KEPT_MAX: usize = 1_024;

/// Bytes of a note: a short sentence.
pub const NOTE_BYTES_MAX: usize = 200;

/// Subscribers whose totals are kept; the names are constants of the program, and there are a dozen.
pub const SUBSCRIBERS_MAX: usize = 48;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlingResult {
    /// It was done.
    Done,
    /// There was nothing to do after all.
    Skipped,
    /// It failed; the note says why.
    Failed,
    /// It did not come to its end: a stop, a restart of the task, a panic.
    Interrupted,
}

/// One handling of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// The event.
    pub seq: u64,
    /// Who handled it.
    pub subscriber: &'static str,
    /// When that began.
    pub started_at: Timestamp,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What came of it.
    pub result: HandlingResult,
    /// A few words about it.
    pub note: Option<String>,
}

/// The totals of one subscriber since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlingTotals {
    /// Events that it acted on.
    pub handled: u64,
    /// Of these, those that failed or were interrupted.
    pub failed: u64,
    /// The longest of them in milliseconds.
    pub longest_ms: u64,
}

#[derive(Debug, Default)]
struct Kept {
    ring: VecDeque<Handled>,
    totals: BTreeMap<&'static str, HandlingTotals>,
}

/// The newest handlings. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub struct Handlings {
    clock: Clock,
    kept: Arc<Mutex<Kept>>,
}

impl Handlings {
    /// None so far.
    #[must_use]
    pub fn new(clock: Clock) -> Handlings {
        Handlings { clock, kept: Arc::default() }
    }

    /// `subscriber` begins to act on the event `seq`.
    pub fn begin(&self, subscriber: &'static str, seq: u64) -> Handling {
        Handling { to: self.clone(), seq, subscriber, started: self.clock.now(), over: false }
    }

    /// The handlings of the event `seq` that are still kept, oldest first.
    #[must_use]
    pub fn of(&self, seq: u64) -> Vec<Handled> {
        self.of_all(&[seq])
    }

    /// The handlings of these events, whose numbers are sorted.
    #[must_use]
    pub fn of_all(&self, seqs: &[u64]) -> Vec<Handled> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.ring.iter().filter(|handled| seqs.binary_search(&handled.seq).is_ok()).cloned().collect()
    }

    /// The totals of every subscriber.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<&'static str, HandlingTotals> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).totals.clone()
    }

    fn note(&self, handled: Handled) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.totals.len() < SUBSCRIBERS_MAX || kept.totals.contains_key(handled.subscriber) {
            let totals = kept.totals.entry(handled.subscriber).or_default();
            totals.handled += 1;
            totals.failed +=
                u64::from(matches!(handled.result, HandlingResult::Failed | HandlingResult::Interrupted));
            totals.longest_ms = totals.longest_ms.max(handled.took_ms);
        }
        if kept.ring.len() >= KEPT_MAX {
            kept.ring.pop_front();
        }
        kept.ring.push_back(handled);
    }
}

/// A handling that is going on. Dropping it without a word counts as interrupted.
#[derive(Debug)]
#[must_use = "say what came of it"]
pub struct Handling {
    to: Handlings,
    seq: u64,
    subscriber: &'static str,
    started: Now,
    over: bool,
}

impl Handling {
    /// It is done.
    pub fn done(self) {
        self.end(HandlingResult::Done, None);
    }

    /// It is done, and this came of it.
    pub fn done_with(self, note: &str) {
        self.end(HandlingResult::Done, Some(note));
    }

    /// There was nothing to do, because of this.
    pub fn skipped(self, note: &str) {
        self.end(HandlingResult::Skipped, Some(note));
    }

    /// It failed, because of this. No secrets: everybody on the network may read it.
    pub fn failed(self, note: &str) {
        self.end(HandlingResult::Failed, Some(note));
    }

    fn end(mut self, result: HandlingResult, note: Option<&str>) {
        self.tell(result, note);
    }

    fn tell(&mut self, result: HandlingResult, note: Option<&str>) {
        self.over = true;
        let took = self.to.clock.now().mono.since(self.started.mono);
        self.to.note(Handled {
            seq: self.seq,
            subscriber: self.subscriber,
            started_at: self.started.wall,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            result,
            note: note.map(cut),
        });
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        if !self.over {
            self.tell(HandlingResult::Interrupted, None);
        }
    }
}

/// As much of a note as fits.
fn cut(note: &str) -> String {
    let end = note.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= NOTE_BYTES_MAX);
    note.get(..end.last().unwrap_or(0)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::RELEASE_FLOOR;
    use std::time::Duration;

    #[test]
    fn a_handling_is_found_by_its_event_with_its_time_and_result() {
        let clock = Clock::manual(RELEASE_FLOOR);
        let handlings = Handlings::new(clock.clone());
        let slow = handlings.begin("thumbnails", 7);
        clock.advance(Duration::from_millis(40));
        handlings.begin("metadata", 7).failed("no figures");
        slow.done_with("three sizes");
        handlings.begin("metadata", 8).skipped("known already");
        drop(handlings.begin("materials", 8));
        let of_seven = handlings.of(7);
        assert_eq!(of_seven.len(), 2);
        assert_eq!((of_seven[0].subscriber, of_seven[0].result), ("metadata", HandlingResult::Failed));
        assert_eq!((of_seven[1].took_ms, of_seven[1].started_at), (40, RELEASE_FLOOR));
        assert_eq!(of_seven[1].note.as_deref(), Some("three sizes"));
        let results: Vec<_> = handlings.of(8).iter().map(|handled| handled.result).collect();
        assert_eq!(results, [HandlingResult::Skipped, HandlingResult::Interrupted]);
        let totals = handlings.totals();
        assert_eq!(totals["metadata"], HandlingTotals { handled: 2, failed: 1, longest_ms: 0 });
        assert_eq!((totals["thumbnails"].longest_ms, totals["materials"].failed), (40, 1));
        assert!(handlings.of(9).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let handlings = Handlings::new(Clock::manual(RELEASE_FLOOR));
        let long = "ü".repeat(NOTE_BYTES_MAX);
        for seq in 0..KEPT_MAX as u64 + 10 {
            handlings.begin("thumbnails", seq).failed(&long);
        }
        assert!(handlings.of(9).is_empty());
        assert_eq!(handlings.of(10)[0].note.as_deref().map(str::len), Some(NOTE_BYTES_MAX));
        assert_eq!(handlings.kept.lock().unwrap().ring.len(), KEPT_MAX);
    }
}
