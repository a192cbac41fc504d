//! A closure's view of the records and its changes, which count only if it succeeds.
//!
//! Changes are held beside the file's transaction (the overlay) until the closure has answered: a discarded closure leaves
//! no trace, also no number, while the other closures of the same commit stay.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use redb::{ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};

use super::env::Env;
use super::error::StoreError;
use super::journal::EVENT_BYTES_MAX;
use super::read::{RawRead, Span, Visit};
use super::record::{RECORD_BYTES_MAX, Record};
use super::settings::SettingsStorage;
use super::tables::{Key as _, KeyBytes, Table};
use crate::base::clock::Now;
use crate::events::{Envelope, Event, Flow};
use crate::model::{Job, JobId, Printer, PrinterId, Track};

/// Events of one closure: the largest set that belongs together, the end of a print, is a dozen.
pub const EVENTS_PER_CLOSURE_MAX: usize = 256;

/// Rows that one closure may change: a listing of 10 000 files is written in several.
pub const CHANGES_PER_CLOSURE_MAX: usize = 4_096;

/// The numbers that are given out one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) seq: u64,
    pub(super) job: u64,
    pub(super) printer: u64,
}

pub(super) type Overlay = BTreeMap<(Table, KeyBytes), Option<Vec<u8>>>;

/// What a closure leaves behind.
pub(super) struct Changes {
    pub(super) overlay: Overlay,
    pub(super) counters: Counters,
    pub(super) events: Vec<Arc<Envelope>>,
}

/// The records as a writing closure sees them: its own changes, those of the closures before it, the file.
///
/// Reading is done by the methods of [`super::Read`].
pub struct Txn<'a> {
    file: &'a WriteTransaction,
    env: &'a Env,
    now: Now,
    changes: Changes,
    /// Set by what cannot answer an error itself; discards the closure.
    problem: Option<StoreError>,
}

impl<'a> Txn<'a> {
    pub(super) fn new(file: &'a WriteTransaction, env: &'a Env, counters: Counters) -> Txn<'a> {
        let changes = Changes { overlay: Overlay::new(), counters, events: Vec::new() };
        Txn { file, env, now: env.clock.now(), changes, problem: None }
    }

    /// The changes, unless something in between cannot be kept.
    pub(super) fn finish(self) -> Result<Changes, StoreError> {
        match self.problem {
            Some(problem) => Err(problem),
            None => Ok(self.changes),
        }
    }

    /// The moment at which this closure began.
    #[must_use]
    pub fn now(&self) -> Now {
        self.now
    }

    /// Adds a durable event to this commit and answers its `seq`. It is announced after the commit; if the closure answers an
    /// error it is not, and its `seq` goes to the next event.
    ///
    /// An event beyond [`EVENT_BYTES_MAX`], or more than [`EVENTS_PER_CLOSURE_MAX`] of them, discard the whole closure.
    pub fn emit(&mut self, event: Event, flow: Option<&Flow>, cause: Option<u64>) -> u64 {
        let seq = self.changes.counters.seq + 1;
        self.changes.counters.seq = seq;
        let envelope = Envelope::durable(seq, self.now, flow.cloned(), cause, event);
        let size = envelope.json().len();
        if size > EVENT_BYTES_MAX {
            self.reject(StoreError::TooLarge { what: "an event", size, max: EVENT_BYTES_MAX });
        } else if self.changes.events.len() >= EVENTS_PER_CLOSURE_MAX {
            let size = self.changes.events.len() + 1;
            self.reject(StoreError::TooLarge { what: "a set of events", size, max: EVENTS_PER_CLOSURE_MAX });
        } else {
            self.changes.events.push(Arc::new(envelope));
        }
        seq
    }

    /// The newest `seq`, those of this closure included.
    #[must_use]
    pub fn newest_seq(&self) -> u64 {
        self.changes.counters.seq
    }

    /// A printer number that was never used.
    pub fn next_printer_id(&mut self) -> PrinterId {
        self.changes.counters.printer += 1;
        PrinterId(self.changes.counters.printer)
    }

    /// A job number that was never used.
    pub fn next_job_id(&mut self) -> JobId {
        self.changes.counters.job += 1;
        JobId(self.changes.counters.job)
    }

    /// The next of the numbers that are counted in the row `row` of the table `meta`. Given back if the closure is discarded.
    pub(super) fn next_number(&mut self, row: &[u8]) -> Result<u64, StoreError> {
        let last = self.raw_get(Table::Meta, row)?.and_then(|last| u64::from_bytes(&last));
        let next = last.unwrap_or(0) + 1;
        self.raw_put(Table::Meta, super::tables::key(row), next.to_bytes().to_vec());
        Ok(next)
    }

    /// Adds `announced` to the count of how often the state event `name` was announced ever. Durable ones are counted by
    /// their own commit.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn count_state_events(&mut self, name: &'static str, announced: u64) -> Result<(), StoreError> {
        let row = super::tables::meta::count(name);
        let old = self.raw_get(Table::Meta, &row)?.and_then(|old| u64::from_bytes(&old)).unwrap_or(0);
        self.raw_put(Table::Meta, row, old.saturating_add(announced).to_bytes().to_vec());
        Ok(())
    }

    /// Writes a record, new or changed.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Unwritable`], [`StoreError::Failed`].
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        let bytes = record.encode()?;
        if bytes.len() > RECORD_BYTES_MAX {
            let (what, size) = (R::TABLE.name(), bytes.len());
            return Err(StoreError::TooLarge { what, size, max: RECORD_BYTES_MAX });
        }
        record.before_put(self)?;
        self.raw_put(R::TABLE, record.key().to_bytes(), bytes);
        record.put_links(self)
    }

    /// Removes a record; answers whether it was there.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn delete<R: Record>(&mut self, key: R::Key) -> Result<bool, StoreError> {
        let row = key.to_bytes();
        if self.raw_get(R::TABLE, &row)?.is_none() {
            return Ok(false);
        }
        R::before_delete(key, self)?;
        self.raw_delete(R::TABLE, row);
        R::delete_links(key, self)?;
        Ok(true)
    }

    /// Writes a printer of the list.
    ///
    /// # Errors
    /// As [`Txn::put`].
    pub fn put_printer(&mut self, printer: &Printer) -> Result<(), StoreError> {
        self.put(printer)
    }

    /// Removes a printer and what is remembered of it; answers whether it was there. Its jobs stay.
    ///
    /// # Errors
    /// As [`Txn::delete`].
    pub fn delete_printer(&mut self, id: PrinterId) -> Result<bool, StoreError> {
        self.delete::<Track>(id)?;
        self.delete::<Printer>(id)
    }

    /// Writes a job.
    ///
    /// # Errors
    /// As [`Txn::put`].
    pub fn put_job(&mut self, job: &Job) -> Result<(), StoreError> {
        self.put(job)
    }

    /// Removes a job; answers whether it was there.
    ///
    /// # Errors
    /// As [`Txn::delete`].
    pub fn delete_job(&mut self, id: JobId) -> Result<bool, StoreError> {
        self.delete::<Job>(id)
    }

    /// Writes what is remembered of a printer: with its transitions, and every minute without events.
    ///
    /// # Errors
    /// As [`Txn::put`].
    pub fn put_track(&mut self, track: &Track) -> Result<(), StoreError> {
        self.put(track)
    }

    /// The settings, for reading and writing through embedded-svc's `RawStorage`.
    pub fn settings(&mut self) -> SettingsStorage<'_, 'a> {
        SettingsStorage::new(self)
    }

    /// Changes a row. For [`Record`] implementations that keep an index; everybody else uses the typed methods.
    pub fn raw_put(&mut self, table: Table, key: KeyBytes, value: Vec<u8>) {
        self.change(table, key, Some(value));
    }

    /// Removes a row. For [`Record`] implementations that keep an index; everybody else uses the typed methods.
    pub fn raw_delete(&mut self, table: Table, key: KeyBytes) {
        self.change(table, key, None);
    }

    fn change(&mut self, table: Table, key: KeyBytes, value: Option<Vec<u8>>) {
        self.changes.overlay.insert((table, key), value);
        let size = self.changes.overlay.len();
        if size > CHANGES_PER_CLOSURE_MAX {
            self.reject(StoreError::TooLarge {
                what: "a set of changes",
                size,
                max: CHANGES_PER_CLOSURE_MAX,
            });
        }
    }

    fn reject(&mut self, problem: StoreError) {
        self.problem.get_or_insert(problem);
    }
}

impl RawRead for Txn<'_> {
    fn raw_get(&self, table: Table, row: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let changed = KeyBytes::from_slice(row).ok().and_then(|key| self.changes.overlay.get(&(table, key)));
        if let Some(value) = changed {
            return Ok(value.clone());
        }
        let opened = self.env.redb(|| self.file.open_table(table.definition()))?;
        self.env.redb(|| Ok::<_, redb::StorageError>(opened.get(row)?.map(|value| value.value().to_vec())))
    }

    /// Merges the file's rows with the overlay's: both come in the same order, and at equal keys the overlay counts.
    fn raw_scan(
        &self,
        table: Table,
        span: Span,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut changed: Vec<(&KeyBytes, Option<&Vec<u8>>)> = self
            .changes
            .overlay
            .iter()
            .filter(|((changed, key), _)| *changed == table && span.contains(key))
            .map(|((_, key), value)| (key, value.as_ref()))
            .collect();
        if reverse {
            changed.reverse();
        }
        let mut changed = changed.into_iter().peekable();
        let comes_first = |one: &[u8], other: &[u8]| if reverse { one > other } else { one < other };

        let opened = self.env.redb(|| self.file.open_table(table.definition()))?;
        let mut rows = self.env.redb(|| opened.range::<&[u8]>(span.slices()))?;
        while let Some((key, value)) =
            self.env.redb(|| if reverse { rows.next_back() } else { rows.next() }.transpose())?
        {
            while let Some((own, value)) = changed.next_if(|(own, _)| comes_first(own, key.value())) {
                if value.is_some_and(|value| visit(own, value).is_break()) {
                    return Ok(());
                }
            }
            let flow = match changed.next_if(|(own, _)| own.as_slice() == key.value()) {
                Some((own, Some(value))) => visit(own, value),
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key.value(), value.value()),
            };
            if flow.is_break() {
                return Ok(());
            }
        }
        for (own, value) in changed {
            if value.is_some_and(|value| visit(own, value).is_break()) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn raw_len(&self, table: Table) -> Result<u64, StoreError> {
        let opened = self.env.redb(|| self.file.open_table(table.definition()))?;
        let mut len = self.env.redb(|| opened.len())?;
        for ((changed, key), value) in &self.changes.overlay {
            if *changed != table {
                continue;
            }
            let there =
                self.env.redb(|| Ok::<_, redb::StorageError>(opened.get(key.as_slice())?.is_some()))?;
            match (there, value.is_some()) {
                (false, true) => len += 1,
                (true, false) => len = len.saturating_sub(1),
                (true, true) | (false, false) => {}
            }
        }
        Ok(len)
    }

    fn env(&self) -> &Env {
        self.env
    }
}
