//! What the store's thread and all handles share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::Database;

use super::error::StoreError;
use super::record::Damage;
use super::refuge::RefusalCell;
use super::stats::StoreStats;
use crate::base::clock::Clock;
use crate::base::latest::Latest;
use crate::base::zone::Zone;

/// Shared between the thread and the handles.
#[derive(Debug)]
pub struct Env {
    pub(super) clock: Clock,
    /// Whose days the sums of jobs count by.
    pub(super) zone: Zone,
    /// Set once, by the first error of redb or of the file below it.
    pub(super) failed: Latest<Option<Arc<str>>>,
    /// Whether the card takes records.
    pub(super) refusal: RefusalCell,
    pub(super) damage: Damage,
    pub(super) stats: Mutex<StoreStats>,
    /// Grows by one at each turn of the thread's loop.
    pub(super) heartbeat: AtomicU64,
    /// The newest `seq` that was announced.
    pub(super) announced: AtomicU64,
    /// `None` once the store is closed.
    pub(super) database: RwLock<Option<Database>>,
}

impl Env {
    /// Turns an error of redb into the failed state: its handle is poisoned after any of them.
    pub(super) fn fail(&self, error: impl Into<redb::Error>) -> StoreError {
        self.fail_with(error.into().to_string())
    }

    /// Runs one operation of redb on the open file. Both its errors and its panics (damaged pages that a check would have
    /// found) are the failed state: the restart after it checks every page.
    pub(super) fn redb<T, X: Into<redb::Error>>(
        &self,
        operation: impl FnOnce() -> Result<T, X>,
    ) -> Result<T, StoreError> {
        match guarded(operation) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.fail(error)),
            None => {
                Err(self.fail_with("a panic while the file was read or written: it is damaged".to_owned()))
            }
        }
    }

    /// The failed state for another reason. The first reason stays.
    pub(super) fn fail_with(&self, cause: String) -> StoreError {
        if let Some(earlier) = &*self.failed.get() {
            return StoreError::Failed(Arc::clone(earlier));
        }
        log::error!("the store has failed, nothing is written any more: {cause}");
        let cause: Arc<str> = Arc::from(cause);
        self.failed.set(Some(Arc::clone(&cause)));
        StoreError::Failed(cause)
    }

    /// The failed state, if it has been reached.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*self.failed.get() {
            Some(cause) => Err(StoreError::Failed(Arc::clone(cause))),
            None => Ok(()),
        }
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, StoreStats> {
        // Figures only: a panic while they were changed leaves them good enough.
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn beat(&self) {
        self.heartbeat.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `work` on the open database.
    pub(super) fn with_database<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        work(guard.as_ref().ok_or(StoreError::Closed)?)
    }
}

/// Runs `work`, which may panic inside redb on damaged bytes; `None` when it did.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
