//! What can be read: the same questions of a transaction ([`super::Txn`]) and of a view ([`super::View`]).

use std::ops::{Bound, ControlFlow, RangeBounds as _};

use super::env::Env;
use super::error::StoreError;
use super::record::{Record, from_row};
use super::tables::{Key as _, KeyBytes, Table, behind, key, meta};
use crate::model::{Job, JobId, Material, MaterialId, Printer, PrinterId, Track};

/// Printers of the list that are read at most; the API takes fewer.
const PRINTERS_READ_MAX: usize = 256;

/// Jobs that are not over and are read at most at a time: pending ones may be many, active ones are one per printer.
pub const OPEN_JOBS_READ_MAX: usize = 1_000;

/// Slots of one printer that are read at most: four units of four, eight single ones, two outside, and some.
pub const SLOTS_READ_MAX: usize = 64;

/// Jobs to be booked that are read at most; the room of materials lets fewer wait.
pub const UNBOOKED_READ_MAX: usize = 1_000;

/// A stretch of keys.
#[derive(Clone, Debug)]
pub struct Span {
    pub(super) from: Bound<KeyBytes>,
    pub(super) to: Bound<KeyBytes>,
}

impl Span {
    /// Every key.
    #[must_use]
    pub fn all() -> Span {
        Span { from: Bound::Unbounded, to: Bound::Unbounded }
    }

    /// The keys that begin with `prefix`, which does not end in 0xff.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Span {
        Span { from: Bound::Included(key(prefix)), to: Bound::Excluded(behind(prefix)) }
    }

    /// `key` and the keys greater than it.
    #[must_use]
    pub fn from(key: KeyBytes) -> Span {
        Span { from: Bound::Included(key), to: Bound::Unbounded }
    }

    /// The keys greater than `key`.
    #[must_use]
    pub fn after(key: KeyBytes) -> Span {
        Span { from: Bound::Excluded(key), to: Bound::Unbounded }
    }

    /// The keys from `first` to `last`, both included.
    #[must_use]
    pub fn between(first: KeyBytes, last: KeyBytes) -> Span {
        Span { from: Bound::Included(first), to: Bound::Included(last) }
    }

    pub(super) fn contains(&self, key: &KeyBytes) -> bool {
        (self.from.as_ref(), self.to.as_ref()).contains(key)
    }

    /// The bounds as redb takes them.
    pub(super) fn slices(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        fn slice(bound: &Bound<KeyBytes>) -> Bound<&[u8]> {
            match bound {
                Bound::Included(key) => Bound::Included(key.as_slice()),
                Bound::Excluded(key) => Bound::Excluded(key.as_slice()),
                Bound::Unbounded => Bound::Unbounded,
            }
        }
        (slice(&self.from), slice(&self.to))
    }
}

/// What is done with a row of a scan; `Break` ends it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Rows as bytes. Implemented by the store's own two types; everybody else uses [`Read`].
pub trait RawRead {
    /// One row.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn raw_get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The rows of `span` in the order of their keys, or against it, until `visit` breaks.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn raw_scan(
        &self,
        table: Table,
        span: Span,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>;

    /// The number of rows.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn raw_len(&self, table: Table) -> Result<u64, StoreError>;

    #[doc(hidden)]
    fn env(&self) -> &Env;
}

/// Typed questions. A record that cannot be read is an error where it is asked for by its key, and is left out (counted,
/// and named in the log once) in a list.
pub trait Read: RawRead {
    /// One record by its key.
    ///
    /// # Errors
    /// [`StoreError::Record`] when it cannot be read, [`StoreError::Failed`].
    fn get<R: Record>(&self, key: R::Key) -> Result<Option<R>, StoreError> {
        let row = key.to_bytes();
        let Some(value) = self.raw_get(R::TABLE, &row)? else { return Ok(None) };
        match from_row(&row, &value) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                self.env().damage.note(R::TABLE, &row, &error);
                Err(StoreError::Record(error))
            }
        }
    }

    /// The first `limit` records in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn list<R: Record>(&self, limit: usize) -> Result<Vec<R>, StoreError> {
        let mut records = Vec::new();
        if limit == 0 {
            return Ok(records);
        }
        self.raw_scan(R::TABLE, Span::all(), false, &mut |key, value| {
            match from_row(key, value) {
                Ok(record) => records.push(record),
                Err(error) => self.env().damage.note(R::TABLE, key, &error),
            }
            if records.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(records)
    }

    /// How many records there are, unreadable ones included.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn count<R: Record>(&self) -> Result<u64, StoreError> {
        self.raw_len(R::TABLE)
    }

    /// A printer of the list.
    ///
    /// # Errors
    /// As [`Read::get`].
    fn printer(&self, id: PrinterId) -> Result<Option<Printer>, StoreError> {
        self.get(id)
    }

    /// The list of printers, oldest first.
    ///
    /// # Errors
    /// As [`Read::list`].
    fn printers(&self) -> Result<Vec<Printer>, StoreError> {
        self.list(PRINTERS_READ_MAX)
    }

    /// A job.
    ///
    /// # Errors
    /// As [`Read::get`].
    fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.get(id)
    }

    /// The jobs that are not over, of one printer or of all, oldest first; at most [`OPEN_JOBS_READ_MAX`]. Reads an index
    /// and these jobs only, however long the history is.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn active_or_pending_jobs(&self, printer: Option<PrinterId>) -> Result<Vec<Job>, StoreError> {
        let mut ids = Vec::new();
        self.raw_scan(Table::Meta, Span::prefix(meta::OPEN_JOB), false, &mut |row, value| {
            let job = row.strip_prefix(meta::OPEN_JOB).and_then(JobId::from_bytes);
            if printer.is_none_or(|wanted| PrinterId::from_bytes(value) == Some(wanted)) {
                ids.extend(job);
            }
            if ids.len() < OPEN_JOBS_READ_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids {
            match self.job(id) {
                Ok(job) => jobs.extend(job),
                // Noted already; it costs only itself.
                Err(StoreError::Record(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(jobs)
    }

    /// The jobs whose filament is still to be booked, oldest first; at most [`UNBOOKED_READ_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn unbooked_jobs(&self) -> Result<Vec<JobId>, StoreError> {
        let mut ids = Vec::new();
        self.raw_scan(Table::Meta, Span::prefix(meta::UNBOOKED_JOB), false, &mut |row, _| {
            ids.extend(row.strip_prefix(meta::UNBOOKED_JOB).and_then(JobId::from_bytes));
            if ids.len() < UNBOOKED_READ_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(ids)
    }

    /// A spool.
    ///
    /// # Errors
    /// As [`Read::get`].
    fn material(&self, id: MaterialId) -> Result<Option<Material>, StoreError> {
        self.get(id)
    }

    /// The spool in a printer's slot.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn material_in(&self, printer: PrinterId, slot: u16) -> Result<Option<MaterialId>, StoreError> {
        let value = self.raw_get(Table::Meta, &meta::slot(printer, slot))?;
        Ok(value.and_then(|value| MaterialId::from_bytes(&value)))
    }

    /// The slots of a printer that hold a spool, in the order of their numbers; at most [`SLOTS_READ_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn slots(&self, printer: PrinterId) -> Result<Vec<(u16, MaterialId)>, StoreError> {
        super::records::slots_of(self, printer, SLOTS_READ_MAX)
    }

    /// Every record in the order of the keys, or against it, one at a time, until `visit` breaks. Unreadable ones are
    /// left out.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn each<R: Record>(
        &self,
        newest_first: bool,
        visit: &mut dyn FnMut(R) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.raw_scan(R::TABLE, Span::all(), newest_first, &mut |key, value| match from_row(key, value) {
            Ok(record) => visit(record),
            Err(error) => {
                self.env().damage.note(R::TABLE, key, &error);
                ControlFlow::Continue(())
            }
        })
    }

    /// A page of the records that `lets_through` takes: `limit` of them after the first `offset`, and how many there are
    /// in all. Holds one page, however many there are.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn page<R: Record>(
        &self,
        newest_first: bool,
        offset: u64,
        limit: usize,
        lets_through: &dyn Fn(&R) -> bool,
    ) -> Result<(Vec<R>, u64), StoreError> {
        let (mut records, mut total) = (Vec::new(), 0_u64);
        self.each::<R>(newest_first, &mut |record| {
            if lets_through(&record) {
                total += 1;
                if total > offset && records.len() < limit {
                    records.push(record);
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok((records, total))
    }

    /// What is remembered of a printer.
    ///
    /// # Errors
    /// As [`Read::get`].
    fn track(&self, id: PrinterId) -> Result<Option<Track>, StoreError> {
        self.get(id)
    }

    /// A setting as bytes; see [`super::SettingsStorage`] for writing.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.raw_get(Table::Settings, name.as_bytes())
    }
}

impl<T: RawRead + ?Sized> Read for T {}
