//! The subscriber that gets every durable item exactly once, in order: from the ring, or from the journal when lapped.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::ring::{Ring, Shared};
use super::{FETCH_MAX, Journal, JournalError, Sequenced};

/// Why a must subscriber was not given an item. It may ask again after each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MustError {
    /// The journal could not be read; asking again tries again.
    Journal(JournalError),
    /// Items after `after` are in neither ring nor journal any more: the subscriber was away for longer than the journal
    /// reaches back, or the records were restored from a backup. Asking again goes on at `resumes_at`.
    Gap {
        /// The last `seq` it was given.
        after: u64,
        /// The first `seq` that is still there.
        resumes_at: u64,
    },
}

impl fmt::Display for MustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MustError::Journal(error) => error.fmt(f),
            MustError::Gap { after, resumes_at } => {
                write!(f, "events after {after} are no longer kept; going on at {resumes_at}")
            }
        }
    }
}

impl std::error::Error for MustError {}

/// What a look at the ring found.
enum Look<T> {
    Item(Arc<T>),
    /// The next item is not in the ring.
    Behind,
    Nothing,
}

/// A subscriber that gets every durable item after its cursor. Its place is freed when it is dropped.
#[derive(Debug)]
pub struct Must<T, const N: usize, J> {
    bus: Arc<Shared<T, N>>,
    index: usize,
    journal: J,
    /// Read from the journal, not given out yet; at most [`FETCH_MAX`].
    fetched: VecDeque<Arc<T>>,
    /// Whether the journal has once been read to its end: what came later was or will be announced. Until then it may
    /// hold items that were committed before this bus was made.
    caught_up: bool,
}

impl<T: Sequenced, const N: usize, J: Journal<T>> Must<T, N, J> {
    pub(super) fn new(bus: Arc<Shared<T, N>>, index: usize, journal: J) -> Must<T, N, J> {
        Must { bus, index, journal, fetched: VecDeque::new(), caught_up: false }
    }

    /// The last `seq` that was given out: where a successor would begin.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.bus.lock().slot(self.index).cursor
    }

    /// The next durable item; waits while there is none. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`MustError`]; the subscriber may ask again after each of them.
    pub async fn recv(&mut self) -> Result<Arc<T>, MustError> {
        loop {
            // Listening begins before the look, so that an item published in between is not slept over. It costs a lock,
            // and is worth it only when there was nothing at the first look.
            match self.look() {
                Look::Item(item) => return Ok(item),
                Look::Behind => {
                    self.fetch().await?;
                    continue;
                }
                Look::Nothing => {}
            }
            let published = self.bus.listen();
            match self.look() {
                Look::Item(item) => return Ok(item),
                Look::Behind => self.fetch().await?,
                Look::Nothing => published.await,
            }
        }
    }

    /// The next item out of the fetched ones or the ring.
    fn look(&mut self) -> Look<T> {
        let mut guard = self.bus.lock();
        guard.note_lag(self.index);
        let ring: &mut Ring<T, N> = &mut guard;
        if let Some(item) = self.fetched.pop_front() {
            let slot = ring.slot(self.index);
            slot.cursor = item.seq().unwrap_or(slot.cursor);
            slot.delivered += 1;
            slot.from_journal += 1;
            return Look::Item(item);
        }
        if !self.caught_up {
            return Look::Behind;
        }
        let (head, newest) = (ring.head, ring.newest_durable);
        let slot = ring.slot(self.index);
        let cursor = slot.cursor;
        let mut position = slot.position.max(head);
        let mut next = None;
        while let Some(item) = ring.item(position) {
            match item.seq() {
                Some(seq) if seq == cursor + 1 => {
                    next = Some(Arc::clone(item));
                    position += 1;
                    break;
                }
                // The one between is overwritten.
                Some(seq) if seq > cursor => break,
                // A state item, or one that came from the journal already.
                _ => position += 1,
            }
        }
        let slot = ring.slot(self.index);
        slot.position = position;
        match next {
            Some(item) => {
                slot.cursor = cursor + 1;
                slot.delivered += 1;
                Look::Item(item)
            }
            None if newest > cursor => Look::Behind,
            None => Look::Nothing,
        }
    }

    /// Reads on from the journal.
    async fn fetch(&mut self) -> Result<(), MustError> {
        let cursor = self.cursor();
        let batch = self.journal.after(cursor, FETCH_MAX).await.map_err(MustError::Journal)?;
        if batch.through <= cursor {
            return self.nothing_follows(cursor, batch.oldest);
        }
        self.caught_up |= batch.end;
        self.fetched
            .extend(batch.items.into_iter().filter(|item| item.seq().is_some_and(|seq| seq > cursor)));
        if batch.oldest > cursor + 1 {
            let mut ring = self.bus.lock();
            let slot = ring.slot(self.index);
            slot.missed += batch.oldest - cursor - 1;
            slot.cursor = batch.oldest - 1;
            return Err(MustError::Gap { after: cursor, resumes_at: batch.oldest });
        }
        if self.fetched.is_empty() {
            // All of them are of a version that cannot be read: the reader has counted and named them.
            self.bus.lock().slot(self.index).cursor = batch.through;
        }
        Ok(())
    }

    /// The journal holds nothing after the cursor: from here on the ring is enough, unless it shows that something
    /// between cursor and ring is lost for good.
    fn nothing_follows(&mut self, cursor: u64, oldest: u64) -> Result<(), MustError> {
        let was_caught_up = std::mem::replace(&mut self.caught_up, true);
        let mut ring = self.bus.lock();
        let newest = ring.newest_durable;
        let lost_up_to = if oldest > cursor + 1 {
            // An empty journal whose numbers begin later.
            oldest - 1
        } else if was_caught_up && newest > cursor {
            // The ring has announced what the journal does not know. The store never does that.
            let mut position = ring.head;
            while ring.item(position).is_some_and(|item| item.seq().is_none_or(|seq| seq <= cursor)) {
                position += 1;
            }
            ring.item(position).and_then(|item| item.seq()).map_or(newest, |seq| seq - 1)
        } else {
            return Ok(());
        };
        let slot = ring.slot(self.index);
        slot.missed += lost_up_to - cursor;
        slot.cursor = lost_up_to;
        Err(MustError::Gap { after: cursor, resumes_at: lost_up_to + 1 })
    }
}

impl<T, const N: usize, J> Drop for Must<T, N, J> {
    fn drop(&mut self) {
        self.bus.free(self.index);
    }
}
