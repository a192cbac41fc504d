//! Group commit: several closures, one transaction of the file, one sync of the card.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{ReadableTable as _, WriteTransaction};

use super::env::Env;
use super::error::StoreError;
use super::journal::{JOURNAL_SLACK, JOURNAL_VERSION};
use super::tables::{Definition, Key as _, KeyBytes, Table, key, meta};
use super::txn::{Counters, Overlay, Txn};
use crate::events::Envelope;

/// A queued closure with its way back to the caller.
pub(super) trait WriteWork: Send {
    /// Runs the closure; answers whether its changes are to be kept.
    fn run(&mut self, txn: &mut Txn<'_>) -> bool;
    /// Replaces its result: the changes cannot be kept.
    fn reject(&mut self, error: StoreError);
    /// Tells the caller.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// What is known of the file between two commits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// As committed.
    pub(super) counters: Counters,
    /// The oldest `seq` of the journal; the next one to be given out when it is empty.
    pub(super) oldest: u64,
    /// Whether something that belongs into a backup was changed since the last one.
    pub(super) changed: bool,
}

/// What a group has come to, before it counts.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) kept: u64,
    pub(super) discarded: u64,
    pub(super) panicked: u64,
}

/// A committed group.
pub(super) struct Committed {
    pub(super) position: Position,
    pub(super) events: Vec<Arc<Envelope>>,
    pub(super) tally: Tally,
    /// Whether anything was written at all.
    pub(super) written: bool,
}

/// Runs the closures of `works` one after the other and commits what they leave. Nothing is announced here.
///
/// # Errors
/// [`StoreError::Failed`]: nothing of the group may be announced. It may be on the card nevertheless.
pub(super) fn commit(
    env: &Env,
    before: Position,
    journal_max: u64,
    works: &mut [Box<dyn WriteWork>],
) -> Result<Committed, StoreError> {
    env.with_database(|database| {
        let file = database.begin_write().map_err(|error| env.fail(error))?;
        let mut after = before;
        let (mut events, mut tally, mut touched) = (Vec::new(), Tally::default(), false);
        for work in works {
            let mut txn = Txn::new(&file, env, after.counters);
            match catch_unwind(AssertUnwindSafe(|| work.run(&mut txn))) {
                Ok(true) => match txn.finish() {
                    Ok(changes) => {
                        let applied = apply(env, &file, changes.overlay)?;
                        touched |= applied.any;
                        after.changed |= applied.counts_for_backup;
                        after.counters = changes.counters;
                        events.extend(changes.events);
                        tally.kept += 1;
                    }
                    Err(problem) => {
                        work.reject(problem);
                        tally.discarded += 1;
                    }
                },
                Ok(false) => tally.discarded += 1,
                Err(_) => {
                    work.reject(StoreError::Panicked);
                    tally.panicked += 1;
                }
            }
        }
        // A closure may have met an error of the file and kept it to itself.
        env.check()?;
        let written = touched || after.counters != before.counters;
        if written {
            if after.counters != before.counters {
                append(env, &file, &mut after, journal_max, &events)?;
            }
            file.commit().map_err(|error| env.fail(error))?;
        } else {
            file.abort().map_err(|error| env.fail(error))?;
        }
        Ok(Committed { position: after, events, tally, written })
    })
}

/// A row with its new value.
type Change = ((Table, KeyBytes), Option<Vec<u8>>);

#[derive(Default)]
struct Applied {
    any: bool,
    counts_for_backup: bool,
}

/// Writes the changes of a closure into the transaction, leaving out those that change nothing.
fn apply(env: &Env, file: &WriteTransaction, overlay: Overlay) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    let changes: Vec<Change> = overlay.into_iter().collect();
    for changes in changes.chunk_by(|one, other| one.0.0 == other.0.0) {
        let Some(((table, _), _)) = changes.first() else { continue };
        let mut opened = file.open_table(table.definition()).map_err(|error| env.fail(error))?;
        for ((_, row), value) in changes {
            let old = opened.get(row.as_slice()).map_err(|error| env.fail(error))?;
            if old.as_ref().map(|old| old.value()) == value.as_deref() {
                continue;
            }
            drop(old);
            match value {
                Some(value) => opened.insert(row.as_slice(), value.as_slice()),
                None => opened.remove(row.as_slice()),
            }
            .map_err(|error| env.fail(error))?;
            applied.any = true;
            applied.counts_for_backup |= table.counts_for_backup();
        }
    }
    Ok(applied)
}

/// Appends the events to the journal (an event always moves a counter), counts them, writes the counters, and removes what the journal no longer keeps.
fn append(
    env: &Env,
    file: &WriteTransaction,
    position: &mut Position,
    journal_max: u64,
    events: &[Arc<Envelope>],
) -> Result<(), StoreError> {
    let failed = |error: redb::StorageError| env.fail(error);
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let newest = position.counters.seq;
    if !events.is_empty() {
        let mut journal = file.open_table(Table::Journal.definition()).map_err(|error| env.fail(error))?;
        let mut row = Vec::new();
        for event in events {
            row.clear();
            row.push(JOURNAL_VERSION);
            row.extend_from_slice(event.json().as_bytes());
            let seq = event.seq.unwrap_or_default().to_bytes();
            journal.insert(seq.as_slice(), row.as_slice()).map_err(failed)?;
            *counts.entry(event.event.name()).or_default() += 1;
        }
        if (newest + 1).saturating_sub(position.oldest) > journal_max + JOURNAL_SLACK {
            let kept_from = (newest + 1).saturating_sub(journal_max);
            let (from, to) = (position.oldest.to_bytes(), kept_from.to_bytes());
            journal.retain_in::<&[u8], _>(from.as_slice()..to.as_slice(), |_, _| false).map_err(failed)?;
            position.oldest = kept_from;
        }
        position.changed = true;
    }
    let mut rows = file.open_table(Table::Meta.definition()).map_err(|error| env.fail(error))?;
    for (name, count) in counts {
        let row = meta::count(name);
        let old = rows.get(row.as_slice()).map_err(failed)?.and_then(|old| u64::from_bytes(old.value()));
        set(&mut rows, &row, old.unwrap_or(0) + count).map_err(failed)?;
    }
    write_counters(&mut rows, position.counters).map_err(failed)
}

/// Writes the three counters; those that did not change cost nothing, their page is written anyway.
pub(super) fn write_counters(
    rows: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    counters: Counters,
) -> Result<(), redb::StorageError> {
    set(rows, &key(meta::SEQ), counters.seq)?;
    set(rows, &key(meta::LAST_JOB), counters.job)?;
    set(rows, &key(meta::LAST_PRINTER), counters.printer)
}

fn set(
    rows: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    row: &KeyBytes,
    value: u64,
) -> Result<(), redb::StorageError> {
    rows.insert(row.as_slice(), value.to_bytes().as_slice()).map(|_| ())
}

/// Makes every table, so that reading never meets a missing one.
pub(super) fn create_tables(file: &WriteTransaction) -> Result<(), redb::TableError> {
    for table in Table::ALL {
        let definition: Definition = table.definition();
        file.open_table(definition)?;
    }
    Ok(())
}
