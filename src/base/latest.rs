//! The latest-value cell: the wire for state. Overwriting is not loss, readers see the newest value, memory is constant.

use std::sync::{Arc, Mutex, PoisonError};

use event_listener::Event;

/// A value that one writer replaces and many readers look at. Cloning gives another handle to the same cell.
#[derive(Debug)]
pub struct Latest<T>(Arc<Cell<T>>);

#[derive(Debug)]
struct Cell<T> {
    slot: Mutex<(u64, Arc<T>)>,
    changed: Event,
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Latest(Arc::clone(&self.0))
    }
}

impl<T> Latest<T> {
    /// A cell that holds `value` as generation 0.
    pub fn new(value: T) -> Latest<T> {
        Latest(Arc::new(Cell { slot: Mutex::new((0, Arc::new(value))), changed: Event::new() }))
    }

    /// Replaces the value and wakes everybody who waits for a change.
    pub fn set(&self, value: T) {
        let value = Arc::new(value);
        let mut slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.0 = slot.0.wrapping_add(1);
        slot.1 = value;
        drop(slot);
        self.0.changed.notify(usize::MAX);
    }

    /// The newest value.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.read().1
    }

    /// The newest value with its generation, which grows by one at each write.
    #[must_use]
    pub fn read(&self) -> (u64, Arc<T>) {
        let slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
        (slot.0, Arc::clone(&slot.1))
    }

    /// Waits until the generation differs from `seen`; answers at once if it already does.
    pub async fn changed(&self, seen: u64) -> (u64, Arc<T>) {
        loop {
            let listener = self.0.changed.listen();
            let (generation, value) = self.read();
            if generation != seen {
                return (generation, value);
            }
            listener.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_sees_the_newest_value_only() {
        let cell = Latest::new(0);
        let (seen, _) = cell.read();
        for value in 1..=100 {
            cell.set(value);
        }
        let (generation, value) = smol::block_on(cell.changed(seen));
        assert_eq!((generation, *value), (100, 100));
    }

    #[test]
    fn a_waiting_reader_is_woken() {
        let cell = Latest::new("before");
        let writer = cell.clone();
        let (_, value) = smol::block_on(async {
            smol::future::zip(cell.changed(0), async move { writer.set("after") }).await.0
        });
        assert_eq!(*value, "after");
    }
}
