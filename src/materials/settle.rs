//! From a job that is over to bookings: each job once, with its figures whenever they come.
//!
//! `Booking::Pending` is a field of the job's record, set in the transaction of its end; what is done here ends it in the
//! transaction that books. So a job is booked once whoever asks how often, and a restart finds what is still to be done.

use std::ops::ControlFlow;

use super::booking::{Take, take};
use super::shelf::{Because, MaterialError};
use super::usage::{self, Loaded};
use crate::events::{Event, Flow, JobOnly};
use crate::model::file::Outcome;
use crate::model::{
    Booking, Consumption, Figures, FilamentUse, FileId, FileRecord, Job, JobId, Mass, Material, PrinterType,
};
use crate::store::{Read as _, StoreError, Txn};

/// Jobs that may wait for their files' figures; beyond that the oldest are offered to the user instead. A file that has
/// not come after that many prints does not come by itself.
pub const WAITING_MAX: usize = 200;

/// What came of looking at a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// There is nothing to book, or it was booked before.
    Nothing,
    /// Its file's figures have not come.
    Waits,
    /// It was booked.
    Booked,
    /// It is offered to the user.
    Offered,
}

/// The flow of a print.
fn flow_of(job: JobId) -> Flow {
    Flow::new(&format!("print-{job}"))
}

/// Books the filament of a job that is over, if that is still to be done and its figures are known. `cause` is the event
/// that brought the news; without one the job's end is.
///
/// # Errors
/// What the store meets.
pub fn settle(txn: &mut Txn<'_>, id: JobId, cause: Option<u64>) -> Result<Settled, MaterialError> {
    let Some(mut job) = txn.job(id)?.filter(|job| job.material.booking == Booking::Pending) else {
        return Ok(Settled::Nothing);
    };
    if job.material.uses.is_none() {
        job.material.uses = known_uses(txn, &job)?;
    }
    let Some(uses) = job.used() else {
        make_room(txn)?;
        return Ok(Settled::Waits);
    };
    let cause = cause.or(job.material.ended_seq);
    let because = Because { flow: Some(flow_of(id)), cause };
    let came_late = job.material.used.is_none();
    job.material.used = Some(uses.iter().map(|one| one.used).sum());
    let kind = txn.printer(job.printer_id)?.map_or(PrinterType::BambuLab, |printer| printer.kind);
    let slots = usage::slots_of(&uses, &job, kind, &loaded(txn, &job)?);
    let mut booked = false;
    for (one, slot) in uses.iter().zip(slots).filter(|(one, _)| one.used > Mass::ZERO) {
        let Some(slot) = slot else { continue };
        let Some(material_id) = txn.material_in(job.printer_id, slot)? else { continue };
        let booking = Take {
            material_id,
            used: one.used,
            job_id: Some(id),
            printer_id: Some(job.printer_id),
            slot: Some(slot),
            file_name: job.file.clone(),
            print_time_s: job.duration_s(),
            auto: true,
        };
        match take(txn, booking, &because) {
            Ok(_) => booked = true,
            // The slot's spool cannot be read: the others are booked all the same.
            Err(MaterialError::NoMaterial(_) | MaterialError::Store(StoreError::Record(_))) => {}
            Err(error) => return Err(error),
        }
    }
    job.material.booking = if booked { Booking::Booked } else { Booking::Offered };
    txn.put_job(&job)?;
    if came_late || !booked {
        // What the job used, or that a person is asked, was not part of its end.
        txn.emit(Event::JobUpdated(JobOnly { job_id: id }), because.flow.as_ref(), because.cause);
    }
    Ok(if booked { Settled::Booked } else { Settled::Offered })
}

/// Figures of a file have come: notes them with its jobs that are on or still to be booked, and books what is due. Answers
/// how many jobs they are of.
///
/// # Errors
/// What the store meets.
pub fn learn(
    txn: &mut Txn<'_>,
    file: FileId,
    plate: Option<u32>,
    metadata: &str,
    cause: Option<u64>,
) -> Result<usize, MaterialError> {
    let Some(uses) = usage::uses_of(metadata) else { return give_up(txn, file, plate, cause) };
    let jobs = concerned(txn, file, plate)?;
    let count = jobs.len();
    for mut job in jobs {
        if job.material.uses.as_ref() != Some(&uses) {
            job.material.uses = Some(uses.clone());
            txn.put_job(&job)?;
        }
        settle(txn, job.id, cause)?;
    }
    Ok(count)
}

/// The figures of a file will not come: its jobs that wait for them are offered to the user. Answers how many.
///
/// # Errors
/// What the store meets.
pub fn give_up(
    txn: &mut Txn<'_>,
    file: FileId,
    plate: Option<u32>,
    cause: Option<u64>,
) -> Result<usize, MaterialError> {
    let mut count = 0;
    for job in concerned(txn, file, plate)? {
        if job.material.booking == Booking::Pending && job.material.uses.is_none() {
            offer(txn, job, cause)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Notes that a person has booked something for a job, or undone it. A job that is over and waited for a person does so no
/// longer; one whose every booking is undone is not booked again by itself.
///
/// # Errors
/// What the store meets.
pub fn note_by_hand(txn: &mut Txn<'_>, id: JobId) -> Result<(), MaterialError> {
    let Some(mut job) = txn.job(id)?.filter(|job| job.status.is_over()) else { return Ok(()) };
    let mut standing = false;
    txn.each::<Consumption>(true, &mut |booking| {
        standing |= booking.job_id == Some(id) && booking.undone_at.is_none();
        if standing { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let booking = if standing { Booking::Booked } else { Booking::Undone };
    if job.material.booking != booking {
        job.material.booking = booking;
        txn.put_job(&job)?;
        let cause = job.material.ended_seq;
        txn.emit(Event::JobUpdated(JobOnly { job_id: id }), Some(&flow_of(id)), cause);
    }
    Ok(())
}

/// What the file of a job says, if it was read.
fn known_uses(txn: &Txn<'_>, job: &Job) -> Result<Option<Vec<FilamentUse>>, StoreError> {
    let Some(file) = job.file_id else { return Ok(None) };
    let Some(content) = readable(txn.get::<FileRecord>(file))?.and_then(|file| file.content) else {
        return Ok(None);
    };
    for plate in [job.plate, None] {
        if let Some(figures) = readable(txn.get::<Figures>((content, plate)))?
            && agree(job.plate, figures.plate, figures.found_plate)
            && let Outcome::Done(metadata) = &figures.metadata
        {
            return Ok(usage::uses_of(metadata));
        }
    }
    Ok(None)
}

/// A record that cannot be read is one that is not there: it was noted, and costs only itself.
fn readable<T>(record: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match record {
        Err(StoreError::Record(_)) => Ok(None),
        other => other,
    }
}

/// Whether figures that were asked for `asked` and are of `found` are those of the job's plate.
fn agree(job: Option<u32>, asked: Option<u32>, found: Option<u32>) -> bool {
    match (job, asked.or(found)) {
        (Some(job), Some(of)) => job == of,
        (None, _) | (_, None) => true,
    }
}

/// The jobs of a file that are on or still to be booked.
fn concerned(txn: &Txn<'_>, file: FileId, plate: Option<u32>) -> Result<Vec<Job>, StoreError> {
    let mut jobs = txn.active_or_pending_jobs(None)?;
    for id in txn.unbooked_jobs()? {
        jobs.extend(readable(txn.job(id))?);
    }
    jobs.retain(|job| job.file_id == Some(file) && agree(job.plate, plate, None));
    Ok(jobs)
}

/// The spools in the slots of a job's printer.
fn loaded(txn: &Txn<'_>, job: &Job) -> Result<Vec<Loaded>, StoreError> {
    let mut spools = Vec::new();
    for (slot, id) in txn.slots(job.printer_id)? {
        let spool = readable(txn.get::<Material>(id))?;
        spools.extend(spool.map(|spool| Loaded { slot, kind: spool.material_type, color: spool.color_hex }));
    }
    Ok(spools)
}

/// Offers the oldest waiting jobs to the user where too many wait.
fn make_room(txn: &mut Txn<'_>) -> Result<(), MaterialError> {
    let waiting = txn.unbooked_jobs()?;
    let surplus = waiting.len().saturating_sub(WAITING_MAX);
    for id in waiting.into_iter().take(surplus) {
        if let Some(job) = readable(txn.job(id))? {
            offer(txn, job, None)?;
        }
    }
    Ok(())
}

fn offer(txn: &mut Txn<'_>, mut job: Job, cause: Option<u64>) -> Result<(), MaterialError> {
    job.material.booking = Booking::Offered;
    txn.put_job(&job)?;
    let cause = cause.or(job.material.ended_seq);
    txn.emit(Event::JobUpdated(JobOnly { job_id: job.id }), Some(&flow_of(job.id)), cause);
    Ok(())
}
