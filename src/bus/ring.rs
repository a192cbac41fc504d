//! The ring itself, and the register of its subscribers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};
use heapless::Deque;

use super::{BusFull, Journal, Lossy, Must, SUBSCRIBERS_MAX, Sequenced};

/// How a subscriber takes being lapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriberKind {
    /// Learns how many it missed.
    Lossy,
    /// Reads on from the journal.
    Must,
}

/// The figures of one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberStats {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: SubscriberKind,
    /// Items it has not taken yet: of the ring for a lossy one, durable ones for a must one.
    pub lag: u64,
    /// The greatest lag seen.
    pub high_water: u64,
    /// Lossy: items it missed. Must: durable items that neither the ring nor the journal had any more.
    pub missed: u64,
    /// Items it was given.
    pub delivered: u64,
    /// Items of these that came from the journal.
    pub from_journal: u64,
}

/// The figures of a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusStats {
    /// Items published since the start.
    pub published: u64,
    /// The newest durable `seq` published since the start; 0 before the first.
    pub newest_durable: u64,
    /// Every subscriber.
    pub subscribers: Vec<SubscriberStats>,
}

/// What the register knows of a subscriber.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) kind: SubscriberKind,
    /// Absolute position of the next item of the ring to look at.
    pub(super) position: u64,
    /// Must: the last durable `seq` it was given.
    pub(super) cursor: u64,
    pub(super) high_water: u64,
    pub(super) missed: u64,
    pub(super) delivered: u64,
    pub(super) from_journal: u64,
}

impl Slot {
    fn lag(&self, tail: u64, newest_durable: u64) -> u64 {
        match self.kind {
            SubscriberKind::Lossy => tail.saturating_sub(self.position),
            SubscriberKind::Must => newest_durable.saturating_sub(self.cursor),
        }
    }
}

#[derive(Debug)]
pub(super) struct Ring<T, const N: usize> {
    items: Deque<Arc<T>, N>,
    /// Absolute position of the front item: how many have been overwritten.
    pub(super) head: u64,
    pub(super) newest_durable: u64,
    slots: heapless::Vec<Option<Slot>, SUBSCRIBERS_MAX>,
}

impl<T: Sequenced, const N: usize> Ring<T, N> {
    /// The absolute position behind the newest item.
    pub(super) fn tail(&self) -> u64 {
        self.head + self.items.len() as u64
    }

    /// The item at an absolute position; `None` when it is overwritten or not there yet.
    pub(super) fn item(&self, position: u64) -> Option<&Arc<T>> {
        self.items.get(usize::try_from(position.checked_sub(self.head)?).ok()?)
    }

    /// The slot of a live subscriber.
    pub(super) fn slot(&mut self, index: usize) -> &mut Slot {
        self.slots
            .get_mut(index)
            .and_then(Option::as_mut)
            .expect("a subscriber's slot is freed only when the subscriber is dropped")
    }

    /// Notes the present lag of a subscriber in its high-water mark.
    pub(super) fn note_lag(&mut self, index: usize) {
        let (tail, newest) = (self.tail(), self.newest_durable);
        let slot = self.slot(index);
        slot.high_water = slot.high_water.max(slot.lag(tail, newest));
    }
}

#[derive(Debug)]
pub(super) struct Shared<T, const N: usize> {
    ring: Mutex<Ring<T, N>>,
    published: Event,
}

impl<T, const N: usize> Shared<T, N> {
    /// The lock. A panic while it was held is recovered from: every change under it is a few assignments that leave the
    /// ring whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, Ring<T, N>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listen(&self) -> EventListener {
        self.published.listen()
    }

    pub(super) fn free(&self, index: usize) {
        if let Some(slot) = self.lock().slots.get_mut(index) {
            *slot = None;
        }
    }
}

/// A handle to a ring of `N` items. Cloning gives another handle to the same ring.
#[derive(Debug)]
pub struct Bus<T, const N: usize>(Arc<Shared<T, N>>);

impl<T, const N: usize> Clone for Bus<T, N> {
    fn clone(&self) -> Self {
        Bus(Arc::clone(&self.0))
    }
}

impl<T: Sequenced, const N: usize> Default for Bus<T, N> {
    fn default() -> Self {
        Bus::new()
    }
}

impl<T: Sequenced, const N: usize> Bus<T, N> {
    /// An empty ring.
    #[must_use]
    pub fn new() -> Bus<T, N> {
        const { assert!(N > 0, "a ring without places would lose everything") };
        let ring = Ring { items: Deque::new(), head: 0, newest_durable: 0, slots: heapless::Vec::new() };
        Bus(Arc::new(Shared { ring: Mutex::new(ring), published: Event::new() }))
    }

    /// Puts `item` into the ring, overwriting the oldest one when there is no place. Never waits for a subscriber. Durable
    /// items must be published in the order of their `seq`.
    pub fn publish(&self, item: Arc<T>) {
        let mut ring = self.0.lock();
        if let Some(seq) = item.seq() {
            ring.newest_durable = ring.newest_durable.max(seq);
        }
        let mut overwritten = None;
        if ring.items.is_full() {
            overwritten = ring.items.pop_front();
            ring.head += 1;
        }
        let refused = ring.items.push_back(item);
        drop(ring);
        debug_assert!(refused.is_ok(), "a place was made above");
        self.0.published.notify(usize::MAX);
        // Freed after the lock: the last owner of an event frees its whole payload.
        drop(overwritten);
    }

    /// A subscriber from the next published item on, which may miss items.
    ///
    /// # Errors
    /// [`BusFull`] when all places for subscribers are taken.
    pub fn subscribe_lossy(&self, name: &'static str) -> Result<Lossy<T, N>, BusFull> {
        let index = self.register(name, SubscriberKind::Lossy, 0)?;
        Ok(Lossy::new(Arc::clone(&self.0), index))
    }

    /// A subscriber that gets every durable item after `after_seq`, whether it is published later or stands in `journal`
    /// already.
    ///
    /// # Errors
    /// [`BusFull`] when all places for subscribers are taken.
    pub fn subscribe_must<J: Journal<T>>(
        &self,
        name: &'static str,
        after_seq: u64,
        journal: J,
    ) -> Result<Must<T, N, J>, BusFull> {
        let index = self.register(name, SubscriberKind::Must, after_seq)?;
        Ok(Must::new(Arc::clone(&self.0), index, journal))
    }

    fn register(&self, name: &'static str, kind: SubscriberKind, cursor: u64) -> Result<usize, BusFull> {
        let mut ring = self.0.lock();
        // A must subscriber also looks at what the ring holds already; a lossy one begins behind it.
        let position = match kind {
            SubscriberKind::Lossy => ring.tail(),
            SubscriberKind::Must => ring.head,
        };
        let slot =
            Slot { name, kind, position, cursor, high_water: 0, missed: 0, delivered: 0, from_journal: 0 };
        if let Some(index) = ring.slots.iter().position(Option::is_none) {
            if let Some(free) = ring.slots.get_mut(index) {
                *free = Some(slot);
            }
            return Ok(index);
        }
        ring.slots.push(Some(slot)).map_err(|_| BusFull)?;
        Ok(ring.slots.len() - 1)
    }

    /// The figures of the ring and of every subscriber.
    #[must_use]
    pub fn stats(&self) -> BusStats {
        let ring = self.0.lock();
        let (tail, newest_durable) = (ring.tail(), ring.newest_durable);
        let figures = |slot: &Slot| {
            let lag = slot.lag(tail, newest_durable);
            SubscriberStats {
                name: slot.name,
                kind: slot.kind,
                lag,
                high_water: slot.high_water.max(lag),
                missed: slot.missed,
                delivered: slot.delivered,
                from_journal: slot.from_journal,
            }
        };
        BusStats {
            published: tail,
            newest_durable,
            subscribers: ring.slots.iter().flatten().map(figures).collect(),
        }
    }
}
