//! The task that books at the ends of jobs: a subscriber that misses nothing.
//!
//! It begins where the announcements stand and then looks for what the records say is still to be booked, so that what
//! happened while it was away, or was lost between journal and ring, is found. Everything it does is idempotent. A restart
//! loses nothing.

use super::MaterialError;
use super::settle::{self, Settled};
use crate::base::handling::Handling;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::bus::MustError;
use crate::events::{Announcer, Envelope, Event};
use crate::model::{Booking, JobId, JobStatus};
use crate::store::{Read as _, Store};

/// Its name among the subscribers.
const NAME: &str = "materials";

/// What the task needs.
#[derive(Clone)]
pub struct Deps {
    /// The records.
    pub store: Store,
    /// The events.
    pub announcer: Announcer,
}

/// Books until it is stopped.
///
/// # Errors
/// When the store cannot commit, or there is no place for a subscriber; the supervisor starts it again.
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    let begin = deps.announcer.newest();
    let mut events = deps.announcer.bus().subscribe_must(NAME, begin, deps.store.clone())?;
    settle_all(&context, &deps).await?;
    loop {
        match context.wait(events.recv()).await {
            Wake::Stop => return Ok(()),
            Wake::Timer => {}
            Wake::Ready(Ok(event)) => handle(&deps, &event).await?,
            Wake::Ready(Err(MustError::Gap { .. })) => settle_all(&context, &deps).await?,
            Wake::Ready(Err(error @ MustError::Journal(_))) => return Err(error.into()),
        }
    }
}

/// Books what the records say is still to be booked.
async fn settle_all(context: &TaskContext, deps: &Deps) -> Result<(), MaterialError> {
    for id in deps.store.read(|view| view.unbooked_jobs()).await? {
        context.beat().await;
        deps.store.write(move |txn| settle::settle(txn, id, None)).await?;
    }
    Ok(())
}

async fn handle(deps: &Deps, envelope: &Envelope) -> Result<(), MaterialError> {
    let Some(seq) = envelope.seq else { return Ok(()) };
    let cause = Some(seq);
    match &envelope.event {
        Event::JobCompleted(over) => {
            let (id, handling) = (over.job_id, deps.announcer.handle(NAME, seq));
            let settled = deps.store.write(move |txn| settle::settle(txn, id, cause)).await;
            end(handling, settled, |settled| words(*settled))
        }
        // A job may be linked to a file whose figures are known already, and a person may have told how it ended.
        Event::JobUpdated(changed) => settle_pending(deps, changed.job_id, seq).await,
        Event::JobStatusChanged(changed) if changed.old_status == JobStatus::Unknown => {
            settle_pending(deps, changed.job_id, seq).await
        }
        Event::FileMetadataExtracted(figures) => {
            let (file, plate) = (figures.file_id, figures.plate);
            let (metadata, handling) = (figures.metadata.to_string(), deps.announcer.handle(NAME, seq));
            let jobs = deps.store.write(move |txn| settle::learn(txn, file, plate, &metadata, cause)).await;
            end(handling, jobs, |jobs| (*jobs > 0).then_some("noted with its job"))
        }
        Event::MetadataExtractionFailed(failed) => {
            let (file, handling) = (failed.file_id, deps.announcer.handle(NAME, seq));
            let jobs = deps.store.write(move |txn| settle::give_up(txn, file, None, cause)).await;
            end(handling, jobs, |jobs| (*jobs > 0).then_some("its job is offered to the user"))
        }
        _ => Ok(()),
    }
}

/// Books a job of which an event spoke, where it still is to be booked.
async fn settle_pending(deps: &Deps, id: JobId, seq: u64) -> Result<(), MaterialError> {
    let job = deps.store.read(move |view| view.job(id)).await;
    if job.is_ok_and(|job| job.is_some_and(|job| job.material.booking == Booking::Pending)) {
        let handling = deps.announcer.handle(NAME, seq);
        let settled = deps.store.write(move |txn| settle::settle(txn, id, Some(seq))).await;
        return end(handling, settled, |settled| words(*settled));
    }
    Ok(())
}

/// What came of a job, in words for the trace; `None` where there was nothing to do.
fn words(settled: Settled) -> Option<&'static str> {
    match settled {
        Settled::Nothing => None,
        Settled::Waits => Some("waits for the file's figures"),
        Settled::Booked => Some("booked"),
        Settled::Offered => Some("offered to the user"),
    }
}

/// Ends the handling with what came of it.
fn end<T>(
    handling: Handling,
    result: Result<T, MaterialError>,
    words: impl FnOnce(&T) -> Option<&'static str>,
) -> Result<(), MaterialError> {
    match result {
        Ok(done) => {
            match words(&done) {
                Some(words) => handling.done_with(words),
                None => handling.skipped("nothing to book"),
            }
            Ok(())
        }
        Err(error) => {
            handling.failed("the records cannot be written");
            Err(error)
        }
    }
}
