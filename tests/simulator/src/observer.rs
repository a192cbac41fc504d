//! The place where a printer's threads write what they see, for tests to look at and to wait for.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::wait::{lock, now, wait_until};

/// What was seen so far, and who waits for it.
#[derive(Debug, Default)]
pub struct Observer<Observations> {
    seen: Mutex<Observations>,
    changed: Condvar,
}

impl<Observations: Clone> Observer<Observations> {
    /// Notes something.
    pub fn note(&self, change: impl FnOnce(&mut Observations)) {
        change(&mut lock(&self.seen));
        self.changed.notify_all();
    }

    /// What was seen so far.
    #[must_use]
    pub fn get(&self) -> Observations {
        lock(&self.seen).clone()
    }

    /// Waits until `condition` holds.
    ///
    /// # Errors
    /// What was seen by then, when `timeout` passes first.
    pub fn wait_for(
        &self,
        timeout: Duration,
        condition: impl Fn(&Observations) -> bool,
    ) -> Result<Observations, Box<Observations>> {
        let deadline = now() + timeout;
        let mut seen = lock(&self.seen);
        loop {
            if condition(&seen) {
                return Ok(seen.clone());
            }
            if now() >= deadline {
                return Err(Box::new(seen.clone()));
            }
            seen = wait_until(&self.changed, seen, Some(deadline));
        }
    }
}
