//! The read side: one consistent state of the committed records.

use std::ops::ControlFlow;

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase as _, ReadableTableMetadata as _, TableError};

use super::env::Env;
use super::error::{RecordError, StoreError};
use super::read::{RawRead, Read as _, Span, Visit};
use super::record::hex;
use super::records::JobHead;
use super::tables::{Key as _, Table, meta};
use crate::base::clock::Timestamp;
use crate::model::{Job, JobId, JobStatus, PrinterId};

/// Jobs of one page; the API's own limit.
pub const JOBS_PAGE_MAX: usize = 200;

/// Names in the event counts that are read at most: several times the catalogue.
const EVENT_NAMES_MAX: usize = 512;

/// Which jobs a list shows; `None` lets everything through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only this printer's.
    pub printer_id: Option<PrinterId>,
    /// Only with this status.
    pub status: Option<JobStatus>,
    /// Only those recorded at this moment or later.
    pub from: Option<Timestamp>,
    /// Only those recorded before this moment.
    pub to: Option<Timestamp>,
}

impl JobFilter {
    /// Whether it lets this job through.
    #[must_use]
    pub fn takes(&self, job: &Job) -> bool {
        let (printer_id, status, created_at) = (job.printer_id, job.status, job.created_at);
        self.lets_through(JobHead { printer_id, status, created_at })
    }

    fn lets_through(&self, head: JobHead) -> bool {
        self.printer_id.is_none_or(|id| id == head.printer_id)
            && self.status.is_none_or(|status| status == head.status)
            && self.from.is_none_or(|from| head.created_at >= from)
            && self.to.is_none_or(|to| head.created_at < to)
    }
}

/// One consistent state of the committed records; what is committed later is not seen.
///
/// Reading is done by the methods of [`super::Read`] and those below. While a view lives, the pages that it sees are not
/// reused: keep it short.
pub struct View<'a> {
    file: ReadTransaction,
    env: &'a Env,
}

/// A table of the view.
type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl<'a> View<'a> {
    pub(super) fn new(env: &'a Env) -> Result<View<'a>, StoreError> {
        env.check()?;
        let file = env.with_database(|database| env.redb(|| database.begin_read()))?;
        Ok(View { file, env })
    }

    /// A table; `None` when the file does not have it yet.
    fn open(&self, table: Table) -> Result<Option<Rows>, StoreError> {
        self.env.redb(|| match self.file.open_table(table.definition()) {
            Ok(opened) => Ok(Some(opened)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// The jobs that `filter` lets through, newest first: `limit` of them (at most [`JOBS_PAGE_MAX`]) after the first
    /// `offset`, and how many there are in all. Reads the first fields of the jobs it skips and nothing else of them.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn jobs_page(
        &self,
        filter: &JobFilter,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<Job>, u64), StoreError> {
        let limit = limit.min(JOBS_PAGE_MAX);
        let unfiltered = *filter == JobFilter::default();
        let (mut jobs, mut matching) = (Vec::new(), 0_u64);
        self.raw_scan(Table::Jobs, Span::all(), true, &mut |key, row| {
            if !unfiltered {
                match JobHead::decode(row) {
                    Ok(head) if filter.lets_through(head) => {}
                    Ok(_) => return ControlFlow::Continue(()),
                    Err(error) => {
                        let error = RecordError { table: Table::Jobs.name(), key: hex(key), error };
                        self.env.damage.note(Table::Jobs, key, &error);
                        return ControlFlow::Continue(());
                    }
                }
            }
            matching += 1;
            if matching > offset && jobs.len() < limit {
                match super::record::from_row::<Job>(key, row) {
                    Ok(job) => jobs.push(job),
                    Err(error) => self.env.damage.note(Table::Jobs, key, &error),
                }
            }
            // Without a filter the table knows its length.
            let enough = unfiltered && (jobs.len() >= limit || limit == 0);
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let total = if unfiltered { self.count::<Job>()? } else { matching };
        Ok((jobs, total))
    }

    /// The oldest job with a number greater than `after`, and so on: for exports that walk all jobs in pieces of `limit`.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn jobs_after(&self, after: JobId, limit: usize) -> Result<Vec<Job>, StoreError> {
        let limit = limit.clamp(1, JOBS_PAGE_MAX);
        let mut jobs = Vec::new();
        self.raw_scan(Table::Jobs, Span::after(after.to_bytes()), false, &mut |key, row| {
            match super::record::from_row::<Job>(key, row) {
                Ok(job) => jobs.push(job),
                Err(error) => self.env.damage.note(Table::Jobs, key, &error),
            }
            if jobs.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(jobs)
    }

    /// How often each event was announced ever, by name.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn event_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut counts = Vec::new();
        self.raw_scan(Table::Meta, Span::prefix(meta::COUNT), false, &mut |key, value| {
            let name = key.strip_prefix(meta::COUNT).and_then(|name| std::str::from_utf8(name).ok());
            counts.extend(name.zip(u64::from_bytes(value)).map(|(name, count)| (name.to_owned(), count)));
            if counts.len() < EVENT_NAMES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(counts)
    }
}

impl RawRead for View<'_> {
    fn raw_get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(opened) = self.open(table)? else { return Ok(None) };
        self.env.redb(|| Ok::<_, redb::StorageError>(opened.get(key)?.map(|value| value.value().to_vec())))
    }

    fn raw_scan(
        &self,
        table: Table,
        span: Span,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let Some(opened) = self.open(table)? else { return Ok(()) };
        let mut rows = self.env.redb(|| opened.range::<&[u8]>(span.slices()))?;
        while let Some((key, value)) =
            self.env.redb(|| if reverse { rows.next_back() } else { rows.next() }.transpose())?
        {
            if visit(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn raw_len(&self, table: Table) -> Result<u64, StoreError> {
        match self.open(table)? {
            Some(opened) => self.env.redb(|| opened.len()),
            None => Ok(0),
        }
    }

    fn env(&self) -> &Env {
        self.env
    }
}
