//! The statistics of jobs: sums kept beside the records, in the transaction that changes a job.
//!
//! A row for all jobs, one for each printer, and the same for each local day on which a job ended. They are what a walk over
//! all jobs would give: every put and delete of a job takes out what its record counted before and adds what it counts
//! now, so nobody can forget it, and a deleted job no longer counts. A row that comes to nothing is removed; so there are
//! at most two for each job and day.
//!
//! The day depends on the time zone. Its name is kept with the sums; where it is another one than configured, or the sums are
//! missing (a file of an earlier version), they are made anew at the start, in one transaction.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use redb::{Database, ReadableTable as _};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::read::{RawRead, Read as _, Span};
use super::record::from_row;
use super::tables::{Key as _, KeyBytes, Table, key, meta};
use super::txn::Txn;
use crate::base::zone::Zone;
use crate::model::{Job, JobId, JobStatus, Mass, PrinterId};

/// The version of the rows, and of what is counted: another one makes them anew.
const VERSION: u8 = 1;

/// Stands for all printers; numbers of printers begin at 1.
const ALL: PrinterId = PrinterId(0);

/// Days that are read at most at a time: a year and some.
pub const DAYS_READ_MAX: usize = 400;

/// Printers whose sums are read at most: the list holds fewer, but jobs outlive printers.
pub const TOTALS_PRINTERS_MAX: usize = 256;

/// What the jobs of a printer, a day or all come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTotals {
    /// Jobs that ended well.
    pub completed: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that somebody cancelled.
    pub cancelled: u64,
    /// Jobs whose end nobody saw.
    pub unknown: u64,
    /// Their durations in seconds, as far as known.
    pub seconds: u64,
    /// Filament that they used in micrograms, as far as known.
    used_micrograms: u64,
}

impl JobTotals {
    /// What one job counts. Jobs that are not over count nothing.
    fn of(job: &Job) -> JobTotals {
        let mut totals = JobTotals::default();
        match job.status {
            JobStatus::Completed => totals.completed = 1,
            JobStatus::Failed => totals.failed = 1,
            JobStatus::Cancelled => totals.cancelled = 1,
            JobStatus::Unknown => totals.unknown = 1,
            JobStatus::Pending | JobStatus::Preparing | JobStatus::Running | JobStatus::Paused => {
                return totals;
            }
        }
        totals.seconds = job.duration_s().unwrap_or(0);
        totals.used_micrograms = job.material.used.map_or(0, Mass::micrograms);
        totals
    }

    /// Jobs in all.
    #[must_use]
    pub fn jobs(&self) -> u64 {
        self.completed + self.failed + self.cancelled + self.unknown
    }

    /// Filament that they used.
    #[must_use]
    pub fn used(&self) -> Mass {
        Mass::from_micrograms(self.used_micrograms)
    }

    fn each(self, other: JobTotals, with: fn(u64, u64) -> u64) -> JobTotals {
        JobTotals {
            completed: with(self.completed, other.completed),
            failed: with(self.failed, other.failed),
            cancelled: with(self.cancelled, other.cancelled),
            unknown: with(self.unknown, other.unknown),
            seconds: with(self.seconds, other.seconds),
            used_micrograms: with(self.used_micrograms, other.used_micrograms),
        }
    }

    fn plus(self, other: JobTotals) -> JobTotals {
        self.each(other, u64::saturating_add)
    }

    fn less(self, other: JobTotals) -> JobTotals {
        self.each(other, u64::saturating_sub)
    }

    fn to_bytes(self) -> Result<Vec<u8>, StoreError> {
        postcard::to_extend(&self, vec![VERSION]).map_err(|_| StoreError::Unwritable(Table::JobTotals.name()))
    }

    /// What cannot be read counts nothing; the next start of another version makes it anew.
    fn from_bytes(bytes: &[u8]) -> JobTotals {
        match bytes.split_first() {
            Some((&VERSION, body)) => postcard::from_bytes(body).unwrap_or_default(),
            Some(_) | None => JobTotals::default(),
        }
    }
}

/// The rows that a job counts in: all and its printer, for ever and for the day of its end, if that is known.
fn rows_of(job: &Job, zone: &Zone) -> Vec<KeyBytes> {
    // A device that did not know the time does not know the day.
    let day = job.ended_at.filter(|_| job.clock_synced).map(|at| zone.day(at));
    [ALL, job.printer_id]
        .into_iter()
        .flat_map(|printer| [Some(row(printer, None)), day.map(|day| row(printer, Some(day)))])
        .flatten()
        .collect()
}

/// Printer, then the day; for ever comes before every day.
fn row(printer: PrinterId, day: Option<i32>) -> KeyBytes {
    let mut bytes = printer.to_bytes().to_vec();
    if let Some(day) = day {
        // The sign bit turned, so that the order of the bytes is that of the days.
        bytes.extend_from_slice(&(day.cast_unsigned() ^ 0x8000_0000).to_be_bytes());
    }
    key(&bytes)
}

fn row_from(bytes: &[u8]) -> Option<(PrinterId, Option<i32>)> {
    let (printer, day) = bytes.split_at_checked(8)?;
    let day = match day {
        [] => None,
        day => Some((u32::from_be_bytes(day.try_into().ok()?) ^ 0x8000_0000).cast_signed()),
    };
    Some((PrinterId::from_bytes(printer)?, day))
}

/// Takes out what `before` counted and adds what `after` counts.
pub(super) fn replace(
    txn: &mut Txn<'_>,
    before: Option<&Job>,
    after: Option<&Job>,
) -> Result<(), StoreError> {
    let zone = txn.env().zone.clone();
    let counted = |job: Option<&Job>| {
        job.map(|job| (JobTotals::of(job), rows_of(job, &zone))).filter(|(totals, _)| totals.jobs() > 0)
    };
    let (before, after) = (counted(before), counted(after));
    if before == after {
        return Ok(());
    }
    let mut changes: BTreeMap<KeyBytes, JobTotals> = BTreeMap::new();
    for row in before.iter().chain(&after).flat_map(|(_, rows)| rows) {
        if !changes.contains_key(row) {
            let sums = txn.raw_get(Table::JobTotals, row)?;
            changes.insert(
                row.clone(),
                sums.map_or_else(JobTotals::default, |sums| JobTotals::from_bytes(&sums)),
            );
        }
    }
    for (job, with) in
        [(before, JobTotals::less as fn(JobTotals, JobTotals) -> JobTotals), (after, JobTotals::plus)]
    {
        for (totals, row) in job.iter().flat_map(|(totals, rows)| rows.iter().map(|row| (*totals, row))) {
            if let Some(sums) = changes.get_mut(row) {
                *sums = with(*sums, totals);
            }
        }
    }
    for (row, sums) in changes {
        if sums.jobs() == 0 {
            txn.raw_delete(Table::JobTotals, row);
        } else {
            txn.raw_put(Table::JobTotals, row, sums.to_bytes()?);
        }
    }
    Ok(())
}

/// The name under which the sums are true.
fn stamp(zone: &Zone) -> Vec<u8> {
    [&[VERSION], zone.to_string().as_bytes()].concat()
}

/// Makes the sums anew if they are missing or of another zone; answers whether it did.
pub(super) fn prepare(database: &Database, zone: &Zone) -> Result<bool, redb::Error> {
    let file = database.begin_write()?;
    {
        let mut rows = file.open_table(Table::Meta.definition())?;
        let stamp = stamp(zone);
        if rows.get(meta::JOB_TOTALS)?.is_some_and(|found| found.value() == stamp) {
            drop(rows);
            file.abort()?;
            return Ok(false);
        }
        let mut sums: BTreeMap<KeyBytes, JobTotals> = BTreeMap::new();
        for entry in file.open_table(Table::Jobs.definition())?.iter()? {
            let (key, value) = entry?;
            // A job that cannot be read is named when somebody reads it.
            let Ok(job) = from_row::<Job>(key.value(), value.value()) else { continue };
            let totals = JobTotals::of(&job);
            for row in rows_of(&job, zone).into_iter().filter(|_| totals.jobs() > 0) {
                let sum = sums.entry(row).or_default();
                *sum = sum.plus(totals);
            }
        }
        file.delete_table(Table::JobTotals.definition())?;
        let mut table = file.open_table(Table::JobTotals.definition())?;
        for (row, sum) in sums {
            let bytes = sum.to_bytes().map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            table.insert(row.as_slice(), bytes.as_slice())?;
        }
        rows.insert(meta::JOB_TOTALS, stamp.as_slice())?;
    }
    file.commit()?;
    Ok(true)
}

/// Questions about the statistics of jobs.
pub trait ReadJobTotals: RawRead {
    /// The sums of one printer or of all, for ever.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn job_totals(&self, printer: Option<PrinterId>) -> Result<JobTotals, StoreError> {
        let sums = self.raw_get(Table::JobTotals, &row(printer.unwrap_or(ALL), None))?;
        Ok(sums.map_or_else(JobTotals::default, |sums| JobTotals::from_bytes(&sums)))
    }

    /// The days on which jobs of one printer or of any ended, newest first, from `from` on (days since 1970-01-01); at most
    /// [`DAYS_READ_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn job_days(&self, printer: Option<PrinterId>, from: i32) -> Result<Vec<(i32, JobTotals)>, StoreError> {
        let printer = printer.unwrap_or(ALL);
        let span = Span::between(row(printer, Some(from)), row(printer, Some(i32::MAX)));
        let mut days = Vec::new();
        self.raw_scan(Table::JobTotals, span, true, &mut |row, sums| {
            let day = row_from(row).and_then(|(_, day)| day);
            days.extend(day.map(|day| (day, JobTotals::from_bytes(sums))));
            if days.len() < DAYS_READ_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(days)
    }

    /// The printers that ever ended a job of the records, in the order of their numbers; at most [`TOTALS_PRINTERS_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn job_printers(&self) -> Result<Vec<(PrinterId, JobTotals)>, StoreError> {
        let mut printers: Vec<(PrinterId, JobTotals)> = Vec::new();
        // From printer to printer: the days between are not read.
        let mut after = row(ALL, Some(i32::MAX));
        while printers.len() < TOTALS_PRINTERS_MAX {
            let mut next = None;
            self.raw_scan(Table::JobTotals, Span::after(after.clone()), false, &mut |row, sums| {
                next = row_from(row).map(|(printer, _)| (printer, JobTotals::from_bytes(sums)));
                ControlFlow::Break(())
            })?;
            let Some((printer, sums)) = next else { break };
            printers.push((printer, sums));
            after = row(printer, Some(i32::MAX));
        }
        Ok(printers)
    }
}

impl<T: RawRead> ReadJobTotals for T {}

impl Txn<'_> {
    /// Lets the sums know of a job that is about to be put.
    pub(super) fn count_put(&mut self, after: &Job) -> Result<(), StoreError> {
        let before = self.counted_before(after.id)?;
        replace(self, before.as_ref(), Some(after))
    }

    /// Lets the sums know of a job that is about to be deleted.
    pub(super) fn count_delete(&mut self, id: JobId) -> Result<(), StoreError> {
        let before = self.counted_before(id)?;
        replace(self, before.as_ref(), None)
    }

    fn counted_before(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        match self.job(id) {
            // It cannot be read; what it counted stays counted until the sums are made anew.
            Err(StoreError::Record(_)) => Ok(None),
            other => other,
        }
    }
}
