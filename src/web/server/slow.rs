//! The slow lane: at most one handler may keep its client waiting for long.
//!
//! There are two handler threads. Most handlers answer from memory in a millisecond; a few wait for a printer (the staged
//! connection test, discovery). If two of those ran at once, nothing else would be answered. A handler that may wait for
//! more than about a second takes the pass first and answers [`SlowLane::busy`] where it is taken:
//! ```
//! # use printernizer::web::server::SlowLane;
//! # use printernizer::web::respond::ApiError;
//! # fn handler(lane: &SlowLane) -> Result<(), ApiError> {
//! let _pass = lane.try_enter().ok_or_else(SlowLane::busy)?;
//! // ... wait, with a deadline below the front's 30 s ...
//! # Ok(()) }
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::web::respond::ApiError;

/// The lane; clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct SlowLane(Arc<AtomicBool>);

/// The right to wait; given back when dropped, also by a panic.
#[derive(Debug)]
pub struct SlowPass(Arc<AtomicBool>);

impl SlowLane {
    /// A free lane.
    #[must_use]
    pub fn new() -> SlowLane {
        SlowLane::default()
    }

    /// The pass, or `None` while another handler has it. Never waits.
    #[must_use]
    pub fn try_enter(&self) -> Option<SlowPass> {
        (!self.0.swap(true, Ordering::AcqRel)).then(|| SlowPass(Arc::clone(&self.0)))
    }

    /// The answer for a client that came while the lane was taken: 503 with `Retry-After`.
    #[must_use]
    pub fn busy() -> ApiError {
        ApiError::busy("Another slow request is being answered. Try again in a few seconds.", 5)
    }
}

impl Drop for SlowPass {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_given_back_by_a_panic() {
        let lane = SlowLane::new();
        let pass = lane.try_enter();
        assert!(pass.is_some());
        assert!(lane.clone().try_enter().is_none());
        drop(pass);
        let inside = lane.clone();
        let _ = std::panic::catch_unwind(move || {
            let _pass = inside.try_enter();
            panic!("handler");
        });
        assert!(lane.try_enter().is_some());
    }
}
