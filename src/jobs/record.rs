//! From what a printer shows to records and events, in one transaction.
//!
//! Called for every *transition*: a change of status, print or errors. The decision is `state::decide`; this file reads
//! what it needs, applies the decision, and emits events in the contract's order. The record of the printer, the jobs
//! and the events are committed together, so that a restart finds exactly what was announced.

use super::state::{Decision, decide, stem};
use super::{JOBS_MAX, TRIMMED_AT_ONCE};
use crate::base::clock::{Now, Timestamp};
use crate::events::{Event, Flow, JobCompleted, JobCreated, JobOnly, JobRef, JobStatusChanged, StatusUpdate};
use crate::model::status::{Observation, Plate, Print, PrinterState};
use crate::model::text::{self, NAME_BYTES_MAX};
use crate::model::{
    FileId, FileRecord, Job, JobEnd, JobId, JobMaterial, JobStatus, Mass, PrinterId, PrinterStatus, Track,
};
use crate::store::{Read as _, Store, StoreError, Txn};

/// The name of a print that the printer does not name.
pub const UNNAMED: &str = "unnamed print";

/// A change of what a printer shows.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The printer.
    pub printer_id: PrinterId,
    /// Its name, for the job's record.
    pub printer_name: String,
    /// Its newest state. `job_id`, `started_at` and `plate` are answered, not read.
    pub state: PrinterState,
    /// Whether this is the first report with a known status since the connection was made.
    pub first: bool,
    /// The flow to file the status under when no print is on: the connection's.
    pub flow: Option<Flow>,
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The job of the shown print.
    pub job_id: Option<JobId>,
    /// When that print started.
    pub started_at: Option<Timestamp>,
    /// Whether something lies on the plate.
    pub plate: Plate,
    /// Whether the job is still active.
    pub active: bool,
    /// The version of the file that is printed, once it is known.
    pub file_id: Option<FileId>,
    /// Where a browser finds its thumbnail.
    pub thumbnail_url: Option<String>,
    /// The durable status update, if there was one.
    pub seq: Option<u64>,
}

/// Records `transition` and announces what follows from it.
///
/// # Errors
/// When the store cannot commit; nothing was announced then.
pub async fn record(store: &Store, transition: Transition) -> Result<Recorded, StoreError> {
    store.write(move |txn| apply(txn, &transition)).await
}

/// The transaction itself, for tests and for callers that have more to write in the same one.
///
/// # Errors
/// When the store cannot be read.
pub fn apply(txn: &mut Txn<'_>, transition: &Transition) -> Result<Recorded, StoreError> {
    let now = txn.now();
    let printer_id = transition.printer_id;
    let state = &transition.state;
    let seen = &state.seen;
    let before = txn.track(printer_id)?.unwrap_or_else(|| Track::new(printer_id));
    let mut job = match before.job_id {
        Some(id) => txn.job(id)?,
        None => None,
    };
    // Reports in parts may come before the first that names a status; they say nothing about a print.
    let heard = state.fresh && !is_silent(state.status) && seen.status != PrinterStatus::Unknown;
    let decision = if heard {
        decide(&before, job.as_ref().map(|job| job.status), seen, transition.first)
    } else {
        Decision::default()
    };

    let mut track = before.clone();
    track.shown = state.status;
    track.errors = seen.errors.iter().map(|error| error.code.clone()).collect();
    track.last_seen = state.last_seen.or(track.last_seen);
    if heard {
        track.seen = seen.status;
        track.print = remember(&before, seen, decision.start);
        track.progress = seen.progress;
    } else if state.fresh && seen.status == before.seen {
        // The connection is over: how far the print was is what tells it from another run of the same file later.
        track.progress = seen.progress;
        track.print.mark = seen.print.mark.clone().or(track.print.mark);
    }

    // What is announced about jobs, in order; the status update comes first because it is their cause.
    let mut news: Vec<(JobNews, Job)> = Vec::new();
    if let (Some(end), Some(over)) = (decision.end, job.as_mut()) {
        let old = over.status;
        over.material.note_slots(&seen.mapping, &state.slots);
        finish(over, end, transition, now);
        track.plate = Plate::Occupied;
        news.push((JobNews::Status(old), over.clone()));
        news.push((JobNews::Completed, over.clone()));
    }
    if decision.start {
        let (started, adopted) = start(txn, transition, &track, now)?;
        track.plate = Plate::Unknown;
        track.started_at = started.started_at;
        if !adopted {
            news.push((JobNews::Created, started.clone()));
        }
        job = Some(started);
    }
    if let Some(job) = job.as_mut() {
        if heard && seen.status.is_active() {
            job.material.note_slots(&seen.mapping, &state.slots);
        }
        if decision.relabel {
            relabel(job, &track);
            news.push((JobNews::Updated, job.clone()));
        }
        if let Some(status) = decision.status.filter(|status| *status != job.status) {
            let old = job.status;
            job.status = status;
            job.progress = seen.progress.or(job.progress);
            job.clock_synced &= now.synced;
            let begins = status == JobStatus::Running && job.printing_at.is_none();
            if begins {
                job.printing_at = Some(now.wall);
            }
            news.push((JobNews::Status(old), job.clone()));
            if begins {
                news.push((JobNews::Started, job.clone()));
            }
        }
    }
    track.job_id = job.as_ref().map(|job| job.id);
    if heard && seen.status == PrinterStatus::Idle {
        // The printer has left the print behind.
        track.job_id = None;
        track.started_at = None;
    }

    let file =
        job.as_ref().filter(|_| track.job_id.is_some()).and_then(|job| Some((job.file_id?, job.plate)));
    let recorded = Recorded {
        file_id: file.map(|(id, _)| id),
        thumbnail_url: file.map_or(Ok(None), |(id, plate)| thumbnail_url(txn, id, plate))?,
        job_id: track.job_id,
        started_at: track.started_at,
        plate: track.plate,
        active: job.as_ref().is_some_and(|job| job.status.is_active()),
        seq: None,
    };
    let root =
        news.first().map(|(_, job)| job).or(job.as_ref()).map(|job| job.created_seq).filter(|seq| *seq > 0);
    let status = status_event(txn, transition, &before, &recorded, &track, !news.is_empty());
    let cause = status.map(|update| {
        // The job that is affected: the one that ends here rather than the one that is gone afterwards.
        let flow = track.job_id.or(before.job_id).map(flow_of).or_else(|| transition.flow.clone());
        txn.emit(update, flow.as_ref(), root)
    });
    announce(txn, cause, &mut news);
    for (_, job) in &news {
        txn.put_job(job)?;
    }
    if track != before {
        txn.put_track(&track)?;
    }
    Ok(Recorded { seq: cause, ..recorded })
}

/// Ends the active job of a printer that is being removed: nobody will see its end. Returns its id.
///
/// # Errors
/// When the store cannot be read.
pub fn abandon(txn: &mut Txn<'_>, printer_id: PrinterId) -> Result<Option<JobId>, StoreError> {
    let now = txn.now();
    let Some(track) = txn.track(printer_id)? else { return Ok(None) };
    let Some(id) = track.job_id else { return Ok(None) };
    let Some(mut job) = txn.job(id)?.filter(|job| job.status.is_active()) else { return Ok(None) };
    let old = job.status;
    job.status = JobStatus::Unknown;
    job.ended_at = Some(now.wall);
    job.judge_material();
    let (flow, cause) = (flow_of(id), Some(job.created_seq));
    let seq = emit_status(txn, &job, old, &flow, cause);
    job.material.ended_seq = Some(txn.emit(Event::JobCompleted(completed(&job)), Some(&flow), Some(seq)));
    txn.put_job(&job)?;
    Ok(Some(id))
}

/// What a printer's reports have said since the last flush, transitions aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progressed {
    /// The printer.
    pub printer_id: PrinterId,
    /// Progress of its print in percent.
    pub progress: Option<u8>,
    /// The mark of its print.
    pub mark: Option<String>,
    /// Wall time of the last report.
    pub last_seen: Option<Timestamp>,
}

/// Brings the records of several printers up to date in one transaction without events, so that a restart compares with
/// a state that is at most a minute old. Printers whose record would not change are not written.
///
/// # Errors
/// When the store cannot commit.
pub async fn flush(store: &Store, list: Vec<Progressed>) -> Result<(), StoreError> {
    store
        .write(move |txn| {
            for item in &list {
                let Some(before) = txn.track(item.printer_id)? else { continue };
                let mut track = before.clone();
                track.progress = item.progress;
                track.last_seen = item.last_seen.or(track.last_seen);
                track.print.mark = item.mark.clone().or(track.print.mark);
                if track != before {
                    txn.put_track(&track)?;
                }
            }
            Ok(())
        })
        .await
}

/// The flow of a print.
#[must_use]
pub fn flow_of(job: JobId) -> Flow {
    Flow::new(&format!("print-{job}"))
}

enum JobNews {
    Created,
    Updated,
    Status(JobStatus),
    Started,
    Completed,
}

fn thumbnail_url(txn: &Txn<'_>, file: FileId, plate: Option<u32>) -> Result<Option<String>, StoreError> {
    match txn.get::<FileRecord>(file) {
        Ok(file) => Ok(file.and_then(|file| file.thumbnail_url(plate))),
        // Noted already; a picture is missing then.
        Err(StoreError::Record(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The status update, if there is anything to announce durably.
fn status_event(
    txn: &Txn<'_>,
    transition: &Transition,
    before: &Track,
    recorded: &Recorded,
    track: &Track,
    has_news: bool,
) -> Option<Event> {
    let job_changed = before.job_id != track.job_id || has_news;
    if before.shown == track.shown && before.errors == track.errors && !job_changed {
        return None;
    }
    let shown = PrinterState {
        job_id: track.job_id,
        started_at: track.started_at,
        plate: track.plate,
        file_id: recorded.file_id,
        thumbnail_url: recorded.thumbnail_url.clone().or_else(|| {
            // What is shown already, as a picture out of a running transfer, is about this print only.
            transition.state.thumbnail_url.clone().filter(|_| transition.state.job_id == track.job_id)
        }),
        ..transition.state.clone()
    };
    let update = StatusUpdate::of(transition.printer_id, &shown, silence(&shown, txn.now()));
    Some(Event::PrinterStatusUpdate(Box::new(update)))
}

fn announce(txn: &mut Txn<'_>, cause: Option<u64>, news: &mut [(JobNews, Job)]) {
    let mut created_seq = None;
    for (kind, job) in news {
        let flow = flow_of(job.id);
        if let (0, Some(seq)) = (job.created_seq, created_seq) {
            job.created_seq = seq;
        }
        let root =
            if created_seq == Some(job.created_seq) { created_seq } else { cause.or(Some(job.created_seq)) };
        match kind {
            JobNews::Created => {
                let event = Event::JobCreated(JobCreated {
                    job_id: job.id,
                    printer_id: job.printer_id,
                    job_name: job.name.clone(),
                    filename: job.file.clone(),
                    plate: job.plate,
                    auto: job.auto,
                });
                let seq = txn.emit(event, Some(&flow), cause);
                job.created_seq = seq;
                created_seq = Some(seq);
            }
            JobNews::Updated => {
                txn.emit(Event::JobUpdated(JobOnly { job_id: job.id }), Some(&flow), root);
            }
            JobNews::Status(old) => {
                emit_status(txn, job, *old, &flow, root);
            }
            JobNews::Started => {
                txn.emit(Event::JobStarted(JobRef::of(job)), Some(&flow), root);
            }
            JobNews::Completed => {
                let seq = txn.emit(Event::JobCompleted(completed(job)), Some(&flow), root);
                job.material.ended_seq = Some(seq);
            }
        }
    }
}

pub(super) fn emit_status(
    txn: &mut Txn<'_>,
    job: &Job,
    old: JobStatus,
    flow: &Flow,
    cause: Option<u64>,
) -> u64 {
    let changed =
        JobStatusChanged { job_id: job.id, printer_id: job.printer_id, old_status: old, status: job.status };
    txn.emit(Event::JobStatusChanged(changed), Some(flow), cause)
}

pub(super) fn completed(job: &Job) -> JobCompleted {
    JobCompleted {
        job_id: job.id,
        printer_id: job.printer_id,
        job_name: job.name.clone(),
        status: job.status,
        duration_s: job.duration_s(),
        material_used_g: job.material.used.map(Mass::grams),
        error: job.error.clone(),
    }
}

/// The print to remember: at a start only what is shown now; while it goes on, a field that falls silent (the file name
/// at the end of a print) keeps its value.
fn remember(before: &Track, seen: &Observation, start: bool) -> Print {
    let new = seen.print.clone();
    if start || !before.seen.is_active() {
        // Reports in parts may not have named the print yet: what was named while idle still holds.
        let old = &before.print;
        let fresh_label = new.name.is_some() || new.file.is_some();
        if fresh_label || !seen.status.is_active() {
            return new;
        }
        let kind = new.kind.or(old.kind);
        return Print { name: old.name.clone(), file: old.file.clone(), kind, ..new };
    }
    let old = before.print.clone();
    Print {
        key: new.key.or(old.key),
        mark: new.mark.or(old.mark),
        name: new.name.or(old.name),
        file: new.file.or(old.file),
        plate: new.plate.or(old.plate),
        kind: if seen.status.is_active() { new.kind.or(old.kind) } else { old.kind },
    }
}

/// The job of a print that starts: a pending one that fits, or a new one. Answers whether it was adopted.
fn start(
    txn: &mut Txn<'_>,
    transition: &Transition,
    track: &Track,
    now: Now,
) -> Result<(Job, bool), StoreError> {
    let print = &track.print;
    let pending = txn
        .active_or_pending_jobs(Some(transition.printer_id))?
        .into_iter()
        .filter(|job| job.status == JobStatus::Pending && fits(job, print))
        .min_by_key(|job| job.id);
    if let Some(mut job) = pending {
        job.started_at = Some(now.wall);
        job.clock_synced = now.synced;
        job.file = job.file.or_else(|| print.file.clone());
        job.plate = job.plate.or(print.plate);
        return Ok((job, true));
    }
    trim(txn)?;
    let name = print.name.as_deref().unwrap_or(UNNAMED);
    let job = Job {
        id: txn.next_job_id(),
        printer_id: transition.printer_id,
        printer_name: transition.printer_name.clone(),
        name: text::clean(name, NAME_BYTES_MAX),
        file: print.file.clone(),
        plate: print.plate,
        file_id: None,
        notes: None,
        material: JobMaterial::default(),
        status: JobStatus::Pending,
        auto: true,
        progress: None,
        error: None,
        created_at: now.wall,
        started_at: Some(now.wall),
        printing_at: None,
        ended_at: None,
        clock_synced: now.synced,
        created_seq: 0,
    };
    Ok((job, false))
}

/// Lets the oldest jobs make room for a new one.
///
/// # Errors
/// What the store meets.
pub fn trim(txn: &mut Txn<'_>) -> Result<(), StoreError> {
    let gone = txn.trim_jobs(JOBS_MAX - 1, TRIMMED_AT_ONCE)?;
    for id in gone {
        log::info!("{id}, the oldest job, made room for a new one: {JOBS_MAX} are kept");
        txn.emit(Event::JobDeleted(JobOnly { job_id: id }), Some(&flow_of(id)), None);
    }
    Ok(())
}

/// Whether a pending job means this print: its file or name equals the print's, whatever suffixes the printer adds.
fn fits(job: &Job, print: &Print) -> bool {
    let shown = [print.file.as_deref(), print.name.as_deref()];
    let wanted = [job.file.as_deref(), Some(job.name.as_str())];
    let plates_agree = job.plate.is_none() || print.plate.is_none() || job.plate == print.plate;
    plates_agree
        && shown
            .into_iter()
            .flatten()
            .any(|shown| wanted.into_iter().flatten().any(|wanted| stem(wanted) == stem(shown)))
}

fn relabel(job: &mut Job, track: &Track) {
    let print = &track.print;
    if let Some(name) = print.name.as_deref().filter(|_| job.auto) {
        job.name = text::clean(name, NAME_BYTES_MAX);
    }
    job.file = print.file.clone().or_else(|| job.file.take());
    job.plate = print.plate.or(job.plate);
}

fn finish(job: &mut Job, end: JobEnd, transition: &Transition, now: Now) {
    let seen = &transition.state.seen;
    job.status = end.status();
    job.ended_at = Some(now.wall);
    job.clock_synced &= now.synced;
    job.progress = match end {
        JobEnd::Completed => Some(100),
        JobEnd::Failed | JobEnd::Cancelled => seen.progress.or(job.progress),
        JobEnd::Unknown => job.progress,
    };
    job.judge_material();
    if end == JobEnd::Failed {
        let texts: Vec<String> =
            seen.errors.iter().map(|error| format!("{} ({})", error.message, error.code)).collect();
        job.error =
            Some(text::clean(&texts.join("; "), text::MESSAGE_BYTES_MAX)).filter(|text| !text.is_empty());
    }
}

fn is_silent(status: PrinterStatus) -> bool {
    matches!(status, PrinterStatus::Offline | PrinterStatus::Connecting)
}

fn silence(state: &PrinterState, now: Now) -> Option<u64> {
    state.last_seen_mono.map(|at| now.mono.since(at).as_secs())
}
