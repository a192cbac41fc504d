//! The subscriber that may miss items: the live page, a light.

use std::sync::Arc;

use super::Sequenced;
use super::ring::Shared;

/// What a lossy subscriber is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// The next item.
    Item(Arc<T>),
    /// So many items were overwritten before they were taken; the oldest kept one comes next.
    Missed(u64),
}

/// A subscriber that may miss items and then learns how many. Its place is freed when it is dropped.
#[derive(Debug)]
pub struct Lossy<T, const N: usize> {
    bus: Arc<Shared<T, N>>,
    index: usize,
}

impl<T: Sequenced, const N: usize> Lossy<T, N> {
    pub(super) fn new(bus: Arc<Shared<T, N>>, index: usize) -> Lossy<T, N> {
        Lossy { bus, index }
    }

    /// The next item or the number of missed ones; waits while there is neither. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Received<T> {
        loop {
            if let Some(received) = self.try_recv() {
                return received;
            }
            // Listening begins before the second look, so that an item published in between is not slept over.
            let published = self.bus.listen();
            if let Some(received) = self.try_recv() {
                return received;
            }
            published.await;
        }
    }

    /// The same without waiting.
    pub fn try_recv(&mut self) -> Option<Received<T>> {
        let mut ring = self.bus.lock();
        ring.note_lag(self.index);
        let head = ring.head;
        let slot = ring.slot(self.index);
        if slot.position < head {
            let missed = head - slot.position;
            slot.position = head;
            slot.missed += missed;
            return Some(Received::Missed(missed));
        }
        let position = slot.position;
        let item = Arc::clone(ring.item(position)?);
        let slot = ring.slot(self.index);
        slot.position += 1;
        slot.delivered += 1;
        Some(Received::Item(item))
    }
}

impl<T, const N: usize> Drop for Lossy<T, N> {
    fn drop(&mut self) {
        self.bus.free(self.index);
    }
}
