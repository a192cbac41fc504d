//! A plain-map model of the store, and a script of random changes that both follow.

use std::collections::BTreeMap;

use embedded_svc::storage::{RawStorage as _, StorageBase as _};

use super::*;
use crate::base::clock::Now;
use crate::events::{JobStatusChanged, PrinterRef};
use crate::model::status::Plate;

/// One change with everything decided, so that it does the same to the store and to the model.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A new job number is taken; this one is expected.
    TakeJobId(JobId),
    TakePrinterId(PrinterId),
    PutPrinter(Printer),
    DeletePrinter(PrinterId),
    PutJob(Job),
    DeleteJob(JobId),
    PutTrack(Box<Track>),
    Set(&'static str, Vec<u8>),
    Remove(&'static str),
    Emit(Event),
}

/// One closure.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) changes: Vec<Change>,
    /// Whether it answers `Ok`.
    pub(super) keep: bool,
}

impl Step {
    pub(super) fn run(self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        for change in self.changes {
            match change {
                Change::TakeJobId(id) => assert_eq!(txn.next_job_id(), id),
                Change::TakePrinterId(id) => assert_eq!(txn.next_printer_id(), id),
                Change::PutPrinter(printer) => txn.put_printer(&printer)?,
                Change::DeletePrinter(id) => assert!(txn.delete_printer(id)?),
                Change::PutJob(job) => txn.put_job(&job)?,
                Change::DeleteJob(id) => assert!(txn.delete_job(id)?),
                Change::PutTrack(track) => txn.put_track(&track)?,
                Change::Set(name, value) => drop(txn.settings().set_raw(name, &value)?),
                Change::Remove(name) => drop(txn.settings().remove(name)?),
                Change::Emit(event) => drop(txn.emit(event, None, None)),
            }
        }
        if self.keep { Ok(()) } else { Err(StoreError::Busy) }
    }
}

/// What the store must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) printers: BTreeMap<PrinterId, Printer>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    tracks: BTreeMap<PrinterId, Track>,
    settings: BTreeMap<&'static str, Vec<u8>>,
    counts: BTreeMap<String, u64>,
    /// Every event ever, as JSON; the first has `seq` 1.
    pub(super) events: Vec<Arc<str>>,
    last_job: u64,
    last_printer: u64,
}

const SETTINGS: [&str; 3] = ["time_zone", "pin", "quota"];

impl Model {
    pub(super) fn apply(&mut self, step: &Step, now: Now) {
        if !step.keep {
            return;
        }
        for change in step.changes.iter().cloned() {
            match change {
                Change::TakeJobId(id) => self.last_job = id.0,
                Change::TakePrinterId(id) => self.last_printer = id.0,
                Change::PutPrinter(printer) => drop(self.printers.insert(printer.id, printer)),
                Change::DeletePrinter(id) => {
                    self.printers.remove(&id);
                    self.tracks.remove(&id);
                }
                Change::PutJob(job) => drop(self.jobs.insert(job.id, job)),
                Change::DeleteJob(id) => drop(self.jobs.remove(&id)),
                Change::PutTrack(track) => drop(self.tracks.insert(track.printer_id, *track)),
                Change::Set(name, value) => drop(self.settings.insert(name, value)),
                Change::Remove(name) => drop(self.settings.remove(name)),
                Change::Emit(event) => {
                    *self.counts.entry(event.name().to_owned()).or_default() += 1;
                    let seq = self.events.len() as u64 + 1;
                    self.events.push(Envelope::durable(seq, now, None, None, event).json());
                }
            }
        }
    }

    /// A random closure that fits this state.
    pub(super) fn next_step(&self, random: &mut fastrand::Rng) -> Step {
        let mut next = self.clone();
        let now = Clock::manual(RELEASE_FLOOR).now();
        let mut changes = Vec::new();
        for _ in 0..random.usize(1..4) {
            let more = next.next_changes(random);
            next.apply(&Step { changes: more.clone(), keep: true }, now);
            changes.extend(more);
        }
        Step { changes, keep: random.u8(0..8) != 0 }
    }

    fn next_changes(&self, random: &mut fastrand::Rng) -> Vec<Change> {
        let some_printer = random.choice(self.printers.values().cloned().collect::<Vec<_>>());
        let some_job = random.choice(self.jobs.values().cloned().collect::<Vec<_>>());
        match (random.u8(0..12), some_printer, some_job) {
            (0, _, _) | (1, None, _) => {
                let new = printer(PrinterId(self.last_printer + 1));
                let event = Event::PrinterAdded(PrinterRef::of(&new));
                vec![Change::TakePrinterId(new.id), Change::PutPrinter(new), Change::Emit(event)]
            }
            (1, Some(gone), _) if self.printers.len() > 4 => {
                let event = Event::PrinterRemoved(PrinterRef::of(&gone));
                vec![Change::DeletePrinter(gone.id), Change::Emit(event)]
            }
            (2 | 1, Some(mut changed), _) => {
                changed.description = Some("x".repeat(random.usize(0..2000)));
                vec![Change::PutPrinter(changed)]
            }
            (3, Some(seen), _) => {
                let (progress, plate) = (Some(random.u8(0..=100)), Plate::Clear);
                let last_seen = Some(RELEASE_FLOOR);
                vec![Change::PutTrack(Box::new(Track { progress, plate, last_seen, ..Track::new(seen.id) }))]
            }
            (4, _, _) => {
                vec![Change::Set(SETTINGS[random.usize(0..3)], vec![random.u8(..); random.usize(0..99)])]
            }
            (5, _, _) => vec![Change::Remove(SETTINGS[random.usize(0..3)])],
            (6, _, Some(gone)) if self.jobs.len() > 30 => {
                vec![Change::DeleteJob(gone.id), Change::Emit(Event::JobDeleted(JobOnly { job_id: gone.id }))]
            }
            (6..=9, _, Some(mut moved)) => {
                use JobStatus as S;
                let all = [S::Pending, S::Preparing, S::Running, S::Paused, S::Completed, S::Failed];
                let status = all[random.usize(0..all.len())];
                let event = Event::JobStatusChanged(JobStatusChanged {
                    job_id: moved.id,
                    printer_id: moved.printer_id,
                    old_status: moved.status,
                    status,
                });
                moved.status = status;
                moved.error = Some("y".repeat(random.usize(0..300)));
                vec![Change::PutJob(moved), Change::Emit(event)]
            }
            _ => {
                let new = job(JobId(self.last_job + 1), PrinterId(random.u64(1..9)), JobStatus::Pending);
                let event = Event::JobStarted(JobRef::of(&new));
                vec![Change::TakeJobId(new.id), Change::PutJob(new), Change::Emit(event)]
            }
        }
    }

    /// Whether the store holds exactly this; the first difference otherwise.
    pub(super) fn compare(&self, store: &Store, journal_max: u64) -> Result<(), String> {
        fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
            if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected:?}")) }
        }
        store
            .read_blocking(|view| {
                let found = (|| {
                    let newest = self.events.len() as u64;
                    same("newest seq", &view.newest_seq().unwrap(), &newest)?;
                    let page = view.journal_after(0, JOURNAL_PAGE_MAX).unwrap();
                    let kept = page.events.len() as u64;
                    same("oldest", &page.oldest, &(newest + 1 - kept))?;
                    if kept < newest.min(journal_max) || kept > journal_max + JOURNAL_SLACK {
                        return Err(format!("{kept} events are kept"));
                    }
                    for (event, seq) in page.events.iter().zip(page.oldest..) {
                        same("seq", &event.seq, &seq)?;
                        let expected = &self.events[usize::try_from(seq).unwrap() - 1];
                        same("event", &event.json, expected)?;
                    }
                    let counts: Vec<_> =
                        self.counts.iter().map(|(name, count)| (name.clone(), *count)).collect();
                    same("counts", &view.event_counts().unwrap(), &counts)?;
                    same("printers", &view.printers().unwrap(), &self.printers.values().cloned().collect())?;
                    same("jobs", &view.list::<Job>(1000).unwrap(), &self.jobs.values().cloned().collect())?;
                    let open: Vec<_> =
                        self.jobs.values().filter(|job| !job.status.is_over()).cloned().collect();
                    same("open jobs", &view.active_or_pending_jobs(None).unwrap(), &open)?;
                    let tracks: Vec<Track> = self.tracks.values().cloned().collect();
                    same("tracks", &view.list(tracks.len() + 1).unwrap(), &tracks)?;
                    for name in SETTINGS {
                        same(name, &view.setting(name).unwrap(), &self.settings.get(name).cloned())?;
                    }
                    Ok(())
                })();
                Ok::<_, StoreError>(found)
            })
            .unwrap_or_else(|error| Err(error.to_string()))?;
        let next = store.write_blocking(|txn| {
            Err::<(), _>(Numbers(txn.newest_seq(), txn.next_job_id().0, txn.next_printer_id().0))
        });
        let expected = Numbers(self.events.len() as u64, self.last_job + 1, self.last_printer + 1);
        same("next numbers", &next, &Err(expected))
    }
}

/// Lets a discarded closure answer what it would have been given.
#[derive(Debug, PartialEq)]
struct Numbers(u64, u64, u64);

impl From<StoreError> for Numbers {
    fn from(_: StoreError) -> Numbers {
        Numbers(0, 0, 0)
    }
}
