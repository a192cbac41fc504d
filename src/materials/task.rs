//! The task that books at the ends of jobs: a subscriber that misses nothing.
//!
//! It begins where the announcements stand and then looks for what the records say is still to be booked, so that what
//! happened while it was away, or was lost between journal and ring, is found. Everything it does is idempotent. A restart
//! loses nothing.

use super::MaterialError;
use super::settle;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::bus::MustError;
use crate::events::{Announcer, Envelope, Event};
use crate::store::{Read as _, Store};

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
    let mut events = deps.announcer.bus().subscribe_must("materials", begin, deps.store.clone())?;
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
    let cause = envelope.seq;
    match &envelope.event {
        Event::JobCompleted(over) => {
            let id = over.job_id;
            deps.store.write(move |txn| settle::settle(txn, id, cause)).await
        }
        // A job may be linked to a file whose figures are known already.
        Event::JobUpdated(changed) => {
            let id = changed.job_id;
            let waits = deps.store.read(move |view| view.job(id)).await.is_ok_and(|job| {
                job.is_some_and(|job| job.material.booking == crate::model::Booking::Pending)
            });
            if waits {
                deps.store.write(move |txn| settle::settle(txn, id, cause)).await?;
            }
            Ok(())
        }
        Event::FileMetadataExtracted(figures) => {
            let (file, plate) = (figures.file_id, figures.plate);
            let metadata = figures.metadata.to_string();
            deps.store.write(move |txn| settle::learn(txn, file, plate, &metadata, cause)).await
        }
        Event::MetadataExtractionFailed(failed) => {
            let file = failed.file_id;
            deps.store.write(move |txn| settle::give_up(txn, file, None, cause)).await
        }
        _ => Ok(()),
    }
}
