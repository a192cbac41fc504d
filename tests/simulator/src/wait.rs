//! Time and waiting for the simulator: the one place that reads the clocks, and a stop signal that every
//! waiting thread can be woken by. Nothing here sleeps blindly.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the simulator shares no code with the product's clock")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, as the printers put them into `gcode_start_time` and `timestamp`.
#[expect(clippy::disallowed_methods, reason = "the simulator shares no code with the product's clock")]
#[must_use]
pub fn epoch_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Locks and forgives poisoning: a test that panics while it holds a guard must not hide its own message
/// behind a second panic in another thread.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on a condition variable until notified or until `deadline`; the caller checks its condition again.
pub fn wait_until<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Instant>,
) -> MutexGuard<'a, T> {
    match deadline {
        None => condition.wait(guard).unwrap_or_else(PoisonError::into_inner),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(now());
            condition.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

/// A stop signal: set once, never cleared.
#[derive(Debug, Default)]
pub struct Stop {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Sets the signal and wakes everyone who waits in [`Stop::wait_for`].
    pub fn set(&self) {
        *lock(&self.set) = true;
        self.changed.notify_all();
    }

    /// Whether the signal is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *lock(&self.set)
    }

    /// Waits for `duration` or for the signal, whichever comes first; tells whether the signal is set.
    pub fn wait_for(&self, duration: Duration) -> bool {
        let deadline = now() + duration;
        let mut set = lock(&self.set);
        while !*set && now() < deadline {
            set = wait_until(&self.changed, set, Some(deadline));
        }
        *set
    }
}
