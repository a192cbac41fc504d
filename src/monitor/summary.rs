//! The periodic loops: all printers every 30 s, active jobs every 10 s, and the last states into the store every minute.

use std::collections::BTreeMap;
use std::time::Duration;

use super::watch::Deps;
use crate::base::clock::{Mono, Timestamp};
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::events::{Event, JobChange, JobLine, JobUpdate, StatusChange, StatusLine, StatusSummary};
use crate::jobs::record::{Progressed, flush};
use crate::model::{Job, JobId, JobStatus, PrinterId, PrinterStatus};
use crate::printers::registry::{Entry, Registry};
use crate::store::{Read as _, StoreError};

/// Period of `printer_status` (workflow 5 of the contract).
pub const STATUS_EVERY: Duration = Duration::from_secs(30);
/// Period of `job_update` while a job is active (workflow 3).
pub const JOBS_EVERY: Duration = Duration::from_secs(10);
/// Period of writing the last states: what a power cut may cost. Each write is one commit of about 25 KB.
pub const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// Period of writing how often state events were announced: a power cut may cost an hour of these figures, and the card sees
/// 24 small commits a day.
pub const COUNTS_EVERY: Duration = Duration::from_secs(3600);
/// Points of progress that make a job worth listing as changed.
const PROGRESS_STEP: u8 = 10;

/// Runs the loops until stop.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    let mut status = StatusLoop::default();
    let mut jobs = JobLoop::default();
    let mut flushed: BTreeMap<PrinterId, Progressed> = BTreeMap::new();
    let start = context.clock.now().mono;
    let mut due = (start.after(STATUS_EVERY), start.after(JOBS_EVERY), start.after(FLUSH_EVERY));
    let mut counts_due = start.after(COUNTS_EVERY);
    loop {
        let next = due.0.min(due.1).min(due.2).min(counts_due);
        let stopping = context.wait_until(next, std::future::pending::<()>()).await == Wake::Stop;
        let now = context.clock.now();
        if now.mono >= due.0 {
            due.0 = following(due.0, STATUS_EVERY, now.mono);
            let summary = status.step(&deps.registry.all(), now.wall);
            deps.announcer.state(Event::PrinterStatus(summary), None);
        }
        if now.mono >= due.1 {
            due.1 = following(due.1, JOBS_EVERY, now.mono);
            let listed: Vec<JobId> = jobs.listed.keys().copied().collect();
            let (active, ended) = deps
                .store
                .read(move |view| {
                    let mut active = view.active_or_pending_jobs(None)?;
                    active.retain(|job| job.status.is_active());
                    let gone = listed.into_iter().filter(|id| active.iter().all(|job| job.id != *id));
                    let ended = gone.map(|id| view.job(id)).collect::<Result<Vec<_>, _>>()?;
                    Ok::<_, StoreError>((active, ended.into_iter().flatten().collect::<Vec<Job>>()))
                })
                .await?;
            if let Some(update) = jobs.step(&with_progress(active, &deps.registry), &ended, now.wall) {
                deps.announcer.state(Event::JobUpdate(update), None);
            }
        }
        if now.mono >= due.2 || stopping {
            due.2 = following(due.2, FLUSH_EVERY, now.mono);
            let changed = progressed(&deps.registry, &flushed);
            if !changed.is_empty() {
                flush(&deps.store, changed.clone()).await?;
                flushed.extend(changed.into_iter().map(|item| (item.printer_id, item)));
            }
        }
        if now.mono >= counts_due || stopping {
            counts_due = following(counts_due, COUNTS_EVERY, now.mono);
            save_counts(&deps).await?;
        }
        if stopping {
            return Ok(());
        }
    }
}

/// Adds what was announced since the last time to the counts of the records.
async fn save_counts(deps: &Deps) -> Result<(), StoreError> {
    let mut counts = deps.announcer.counts().all();
    counts.retain(|_, count| count.unsaved > 0);
    if counts.is_empty() {
        return Ok(());
    }
    let saved = counts.clone();
    deps.store
        .write(move |txn| {
            counts.iter().try_for_each(|(name, count)| txn.count_state_events(name, count.unsaved))
        })
        .await?;
    deps.announcer.counts().saved(&saved);
    Ok(())
}

/// The next beat of a period; beats that were slept through are left out.
fn following(due: Mono, period: Duration, now: Mono) -> Mono {
    let next = due.after(period);
    if next <= now { now.after(period) } else { next }
}

fn progressed(registry: &Registry, flushed: &BTreeMap<PrinterId, Progressed>) -> Vec<Progressed> {
    let now = registry.all().into_iter().filter_map(|entry| {
        let state = entry.state.get();
        state.fresh.then(|| Progressed {
            printer_id: entry.printer.id,
            progress: state.seen.progress,
            mark: state.seen.print.mark.clone(),
            last_seen: state.last_seen,
        })
    });
    now.filter(|item| flushed.get(&item.printer_id) != Some(item)).collect()
}

fn with_progress(jobs: Vec<Job>, registry: &Registry) -> Vec<JobLine> {
    jobs.into_iter()
        .map(|job| {
            let state = registry.get(job.printer_id).map(|entry| entry.state.get());
            let live =
                state.filter(|state| state.job_id == Some(job.id)).and_then(|state| state.seen.progress);
            JobLine {
                job_id: job.id,
                printer_id: job.printer_id,
                job_name: job.name,
                status: job.status,
                progress: live.or(job.progress),
            }
        })
        .collect()
}

/// Remembers what the last summary said, to tell what has changed since.
#[derive(Debug, Default)]
struct StatusLoop(BTreeMap<PrinterId, PrinterStatus>);

impl StatusLoop {
    fn step(&mut self, printers: &[Entry], now: Timestamp) -> StatusSummary {
        let mut summary = StatusSummary { printers: Vec::new(), status_changes: Vec::new() };
        let mut statuses = BTreeMap::new();
        for entry in printers {
            let line = StatusLine::of(&entry.printer, &entry.state.get());
            let old = self.0.get(&line.printer_id).copied();
            if let Some(old_status) = old.filter(|old| *old != line.status) {
                summary.status_changes.push(StatusChange {
                    printer_id: line.printer_id,
                    old_status,
                    new_status: line.status,
                    timestamp: now.to_string(),
                });
            }
            statuses.insert(line.printer_id, line.status);
            summary.printers.push(line);
        }
        self.0 = statuses;
        summary
    }
}

/// Remembers how each active job was listed last.
#[derive(Debug, Default)]
struct JobLoop {
    listed: BTreeMap<JobId, (JobStatus, Option<u8>)>,
}

impl JobLoop {
    /// The list to announce, or nothing while no job is active. `ended` are the jobs that were listed and are over.
    fn step(&mut self, active: &[JobLine], ended: &[Job], now: Timestamp) -> Option<JobUpdate> {
        if active.is_empty() && self.listed.is_empty() {
            return None;
        }
        let over = ended.iter().map(|job| JobLine {
            job_id: job.id,
            printer_id: job.printer_id,
            job_name: job.name.clone(),
            status: job.status,
            progress: job.progress,
        });
        let mut job_updates = Vec::new();
        for line in active.iter().cloned().chain(over) {
            let old = self.listed.get(&line.job_id).copied();
            if !is_change(old, &line) {
                continue;
            }
            self.listed.insert(line.job_id, (line.status, line.progress));
            let status_changed = old.is_none_or(|(status, _)| status != line.status);
            let old_progress = old.and_then(|(_, progress)| progress);
            job_updates.push(JobChange {
                job_id: line.job_id,
                printer_id: line.printer_id,
                job_name: line.job_name,
                old_status: old.map(|(status, _)| status).filter(|_| status_changed),
                new_status: status_changed.then_some(line.status),
                status: line.status,
                old_progress: old_progress.filter(|_| old_progress != line.progress),
                new_progress: line.progress.filter(|_| old_progress != line.progress),
                progress: line.progress,
                timestamp: now.to_string(),
            });
        }
        self.listed.retain(|id, _| active.iter().any(|line| line.job_id == *id));
        Some(JobUpdate {
            active_jobs: u32::try_from(active.len()).unwrap_or(u32::MAX),
            jobs: active.to_vec(),
            job_updates,
        })
    }
}

fn is_change(old: Option<(JobStatus, Option<u8>)>, line: &JobLine) -> bool {
    let Some((status, progress)) = old else { return true };
    let moved = match (progress, line.progress) {
        (Some(old), Some(new)) => old.abs_diff(new) >= PROGRESS_STEP,
        (old, new) => old != new,
    };
    status != line.status || moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::RELEASE_FLOOR;

    fn line(id: u64, status: JobStatus, progress: u8) -> JobLine {
        JobLine {
            job_id: JobId(id),
            printer_id: PrinterId(1),
            job_name: "a".into(),
            status,
            progress: Some(progress),
        }
    }

    #[test]
    fn a_job_is_listed_as_changed_at_ten_points_or_another_status() {
        let mut jobs = JobLoop::default();
        let mut changed = Vec::new();
        for progress in 0..=30 {
            let update = jobs.step(&[line(1, JobStatus::Running, progress)], &[], RELEASE_FLOOR).unwrap();
            assert_eq!((update.active_jobs, update.jobs.len()), (1, 1));
            if !update.job_updates.is_empty() {
                changed.push(progress);
            }
        }
        assert_eq!(changed, [0, 10, 20, 30]);
        let update = jobs.step(&[line(1, JobStatus::Paused, 31)], &[], RELEASE_FLOOR).unwrap();
        assert_eq!(update.job_updates[0].new_status, Some(JobStatus::Paused));
        assert_eq!(update.job_updates[0].old_status, Some(JobStatus::Running));
    }

    #[test]
    fn the_list_is_told_once_more_after_the_last_job() {
        let mut jobs = JobLoop::default();
        assert_eq!(jobs.step(&[], &[], RELEASE_FLOOR), None);
        jobs.step(&[line(1, JobStatus::Running, 99)], &[], RELEASE_FLOOR);
        let update = jobs.step(&[], &[], RELEASE_FLOOR).unwrap();
        assert_eq!((update.active_jobs, update.jobs.len()), (0, 0));
        assert_eq!(jobs.step(&[], &[], RELEASE_FLOOR), None);
    }

    #[test]
    fn beats_that_were_slept_through_are_left_out() {
        let period = Duration::from_secs(10);
        assert_eq!(following(Mono(10_000), period, Mono(10_005)), Mono(20_000));
        assert_eq!(following(Mono(10_000), period, Mono(95_000)), Mono(105_000));
    }
}
