//! What people may do to jobs: rename, annotate, cancel what waits, say how a print ended that nobody saw. Each is one fact
//! with its events. Nobody can say anything here about a print that is on: its state is the printer's word.

use std::fmt;

use super::record::{completed, emit_status, flow_of};
use crate::events::{Event, JobOnly};
use crate::model::{Booking, FileId, Job, JobId, JobStatus};
use crate::store::{Read as _, StoreError, Txn};

/// Why a job was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// There is no such job.
    NoJob(JobId),
    /// The printer is at work on it: only the printer says how it stands.
    Active(JobId),
    /// It is over and cannot be that any more.
    Over(JobId, JobStatus),
    /// No job becomes this by a person's word.
    NotByHand(JobStatus),
    /// What is printed is not changed by renaming it.
    FileIsFixed(JobId),
    /// The store could not be read or written.
    Store(StoreError),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditError::NoJob(id) => write!(f, "there is no job {id}"),
            EditError::Active(id) => {
                write!(f, "the printer is at work on {id}; it says itself how it stands")
            }
            EditError::Over(id, status) => write!(f, "{id} is over: {}", status.name()),
            EditError::NotByHand(status) => write!(f, "no job becomes {} by hand", status.name()),
            EditError::FileIsFixed(id) => {
                write!(f, "the file of {id} can be changed only before it is printed")
            }
            EditError::Store(_) => f.write_str("using the store"),
        }
    }
}

impl std::error::Error for EditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            EditError::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for EditError {
    fn from(error: StoreError) -> EditError {
        EditError::Store(error)
    }
}

/// What may be changed of a job; `None` leaves it, an inner `None` takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Its name.
    pub name: Option<String>,
    /// Notes.
    pub notes: Option<Option<String>>,
    /// The file that it waits for.
    pub file: Option<Option<String>>,
    /// The plate that it waits for.
    pub plate: Option<Option<u32>>,
    /// The version of the file that was printed.
    pub file_id: Option<Option<FileId>>,
}

/// Changes a job. Where that changes nothing, nothing is written or said.
///
/// # Errors
/// [`EditError::NoJob`], [`EditError::FileIsFixed`], what the store meets.
pub fn change(txn: &mut Txn<'_>, id: JobId, changes: Changes) -> Result<Job, EditError> {
    let before = find(txn, id)?;
    let mut job = before.clone();
    job.name = changes.name.unwrap_or(job.name);
    job.notes = changes.notes.unwrap_or(job.notes);
    job.file = changes.file.unwrap_or(job.file);
    job.plate = changes.plate.unwrap_or(job.plate);
    job.file_id = changes.file_id.unwrap_or(job.file_id);
    // File and plate are what a pending job is recognised by; afterwards they are what the printer printed.
    let recognised_by = (&before.file, before.plate) != (&job.file, job.plate);
    if recognised_by && before.status != JobStatus::Pending {
        return Err(EditError::FileIsFixed(id));
    }
    if job != before {
        txn.put_job(&job)?;
        txn.emit(Event::JobUpdated(JobOnly { job_id: id }), Some(&flow_of(id)), Some(job.created_seq));
    }
    Ok(job)
}

/// Gives a job a status by a person's word: a waiting one may be cancelled, and one whose end nobody saw may be given its
/// true end. Answers the job and what it was before.
///
/// # Errors
/// [`EditError::NoJob`], [`EditError::Active`], [`EditError::Over`], [`EditError::NotByHand`], what the store meets.
pub fn set_status(
    txn: &mut Txn<'_>,
    id: JobId,
    status: JobStatus,
    notes: Option<String>,
) -> Result<(Job, JobStatus), EditError> {
    use JobStatus as S;
    let mut job = find(txn, id)?;
    let before = job.status;
    if before == status {
        return Ok((job, before));
    }
    match (before, status) {
        (S::Preparing | S::Running | S::Paused, _) => return Err(EditError::Active(id)),
        (S::Pending, S::Cancelled) | (S::Unknown, S::Completed | S::Failed | S::Cancelled) => {}
        (S::Completed | S::Failed | S::Cancelled, _) | (S::Unknown, S::Pending) => {
            return Err(EditError::Over(id, before));
        }
        (S::Pending | S::Unknown, _) => return Err(EditError::NotByHand(status)),
    }
    let now = txn.now();
    job.status = status;
    job.notes = notes.or(job.notes);
    let ends = before == S::Pending;
    if ends {
        job.ended_at = Some(now.wall);
        job.clock_synced &= now.synced;
    }
    if job.material.booking == Booking::Offered && (job.material.uses.is_some() || job.file_id.is_some()) {
        // It was offered because nobody had seen the end: with a person's word it is booked as any other.
        job.judge_material();
    } else {
        job.material.used = job.used().map(|uses| uses.iter().map(|one| one.used).sum());
    }
    let flow = flow_of(id);
    let seq = emit_status(txn, &job, before, &flow, Some(job.created_seq));
    if ends {
        let seq = txn.emit(Event::JobCompleted(completed(&job)), Some(&flow), Some(seq));
        job.material.ended_seq = Some(seq);
    }
    txn.put_job(&job)?;
    Ok((job, before))
}

/// Deletes a job that no printer is at work on.
///
/// # Errors
/// [`EditError::NoJob`], [`EditError::Active`], what the store meets.
pub fn remove(txn: &mut Txn<'_>, id: JobId) -> Result<(), EditError> {
    let job = find(txn, id)?;
    if job.status.is_active() {
        return Err(EditError::Active(id));
    }
    txn.delete_job(id)?;
    txn.emit(Event::JobDeleted(JobOnly { job_id: id }), Some(&flow_of(id)), Some(job.created_seq));
    Ok(())
}

fn find(txn: &Txn<'_>, id: JobId) -> Result<Job, EditError> {
    txn.job(id)?.ok_or(EditError::NoJob(id))
}
