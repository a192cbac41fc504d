//! The daily compact copy: every record but no journal, in a file of its own beside the main one.
//!
//! The copy is made on the store's thread from one consistent view, a few rows at each turn, so that writes do not wait for
//! it. It is written under another name, synced, and renamed; the copy before it is kept as well. A restart in between leaves
//! a half file that the next copy overwrites.

use std::fs::{self, File};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase as _, TableError, WriteTransaction};
use smol::channel::Sender;

use super::env::{Env, guarded};
use super::error::StoreError;
use super::files::{self, OpenFailure, Paths};
use super::group::Position;
use super::tables::{Key as _, KeyBytes, Table, key, meta};
use crate::base::file::sync_parent;

/// Rows copied between two commits: a few milliseconds of work on the board.
const ROWS_PER_STEP: usize = 128;

/// redb's page cache for the copy: it is written front to back once.
const CACHE_BYTES: usize = 256 * 1024;

/// Callers who may wait for one copy; there is one timer and one button.
const WAITING_MAX: usize = 8;

type Reply = Sender<Result<BackupReport, StoreError>>;

/// What a backup has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Whether a copy was written; false when the last one is still true.
    pub written: bool,
    /// Records in the copy.
    pub rows: u64,
    /// Size of the copy.
    pub bytes: u64,
}

/// The copy in progress, and what is known of the last one.
#[derive(Debug)]
pub(super) struct Backups {
    paths: Paths,
    running: Option<Running>,
    waiting: Vec<Reply>,
    /// `seq` of the newest copy, once it was looked up.
    copied_seq: Option<Option<u64>>,
}

struct Running {
    source: ReadTransaction,
    // Before `target`: a database closes when its transactions have ended.
    copy: WriteTransaction,
    target: Database,
    /// Index into [`Table::ALL`].
    table: usize,
    /// The last key copied of that table.
    last: Option<KeyBytes>,
    rows: u64,
    seq: u64,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({} rows)", self.rows)
    }
}

impl Backups {
    pub(super) fn new(paths: Paths) -> Backups {
        Backups { paths, running: None, waiting: Vec::new(), copied_seq: None }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins a copy, or joins the one that is being made, or answers at once that there is nothing new.
    pub(super) fn start(&mut self, env: &Env, position: &mut Position, reply: Reply) {
        if let Err(error) = env.check() {
            let _ = reply.try_send(Err(error));
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            let _ = reply.try_send(Err(StoreError::Busy));
            return;
        }
        if self.running.is_some() {
            self.waiting.push(reply);
            return;
        }
        let copied = *self.copied_seq.get_or_insert_with(|| newest_seq(&self.paths.backup()));
        if !position.changed && copied == Some(position.counters.seq) {
            let _ = reply.try_send(Ok(BackupReport::default()));
            return;
        }
        match guarded(|| Running::begin(env, &self.paths, position.counters.seq)) {
            Some(Ok(running)) => {
                self.running = Some(running);
                self.waiting.push(reply);
                position.changed = false;
            }
            Some(Err(error)) => {
                let _ = reply.try_send(Err(error));
            }
            None => {
                let _ = reply.try_send(Err(failed("a panic at its beginning")));
            }
        }
    }

    /// Copies some rows if a copy is being made; answers whether it has just been finished well.
    pub(super) fn step(&mut self, env: &Env, position: &mut Position) -> bool {
        let Some(mut running) = self.running.take() else { return false };
        let outcome = match guarded(|| running.copy_some(env)) {
            Some(Ok(false)) => {
                self.running = Some(running);
                return false;
            }
            Some(Ok(true)) => {
                let seq = running.seq;
                let finished = guarded(|| running.finish(&self.paths));
                finished.unwrap_or_else(|| Err(failed("a panic at its end"))).inspect(|_| {
                    self.copied_seq = Some(Some(seq));
                    env.stats().backups += 1;
                })
            }
            Some(Err(error)) => Err(error),
            None => Err(failed("a panic while copying")),
        };
        if let Err(error) = &outcome {
            log::warn!("{error}");
            position.changed = true;
            let _ = fs::remove_file(self.paths.backup_new());
        }
        for reply in self.waiting.drain(..) {
            let _ = reply.try_send(outcome.clone());
        }
        outcome.is_ok()
    }

    /// Gives a copy up: the store closes.
    pub(super) fn abandon(&mut self) {
        if self.running.take().is_some() {
            let _ = fs::remove_file(self.paths.backup_new());
        }
        for reply in self.waiting.drain(..) {
            let _ = reply.try_send(Err(StoreError::Closed));
        }
    }
}

fn failed(cause: impl ToString) -> StoreError {
    StoreError::Backup(Arc::from(cause.to_string()))
}

impl Running {
    fn begin(env: &Env, paths: &Paths, seq: u64) -> Result<Running, StoreError> {
        let path = paths.backup_new();
        crate::base::file::remove(&path).map_err(failed)?;
        let target = files::open_file(&path, CACHE_BYTES, false).map_err(|failure| match failure {
            OpenFailure::Damaged(cause) => StoreError::Backup(cause),
            OpenFailure::Refused(error) => failed(error),
        })?;
        let copy = target.begin_write().map_err(failed)?;
        let source = env.with_database(|database| database.begin_read().map_err(|error| env.fail(error)))?;
        Ok(Running { source, target, copy, table: 0, last: None, rows: 0, seq })
    }

    /// Copies up to [`ROWS_PER_STEP`] rows; answers whether all are copied.
    fn copy_some(&mut self, env: &Env) -> Result<bool, StoreError> {
        let Some(table) = Table::ALL.get(self.table).copied() else { return Ok(true) };
        if table == Table::Journal {
            self.table += 1;
            return Ok(false);
        }
        let source = match self.source.open_table(table.definition()) {
            Ok(source) => source,
            Err(TableError::TableDoesNotExist(_)) => {
                self.table += 1;
                return Ok(false);
            }
            Err(error) => return Err(env.fail(error)),
        };
        let mut target = self.copy.open_table(table.definition()).map_err(failed)?;
        let from = self.last.as_ref().map_or(Bound::Unbounded, |last| Bound::Excluded(last.as_slice()));
        let rows = source.range::<&[u8]>((from, Bound::Unbounded)).map_err(|error| env.fail(error))?;
        let mut last = None;
        for row in rows.take(ROWS_PER_STEP) {
            let (row, value) = row.map_err(|error| env.fail(error))?;
            target.insert(row.value(), value.value()).map_err(failed)?;
            self.rows += 1;
            last = Some(key(row.value()));
        }
        if last.is_none() {
            self.table += 1;
        }
        self.last = last;
        Ok(false)
    }

    /// Makes the copy durable and puts it in the place of the newest one.
    fn finish(self, paths: &Paths) -> Result<BackupReport, StoreError> {
        let Running { copy, target, rows, source, .. } = self;
        drop(source);
        copy.commit().map_err(failed)?;
        target.close().map_err(failed)?;
        let file = File::open(paths.backup_new()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if paths.backup().exists() {
            fs::rename(paths.backup(), paths.backup_old()).map_err(failed)?;
        }
        fs::rename(paths.backup_new(), paths.backup()).map_err(failed)?;
        sync_parent(&paths.backup()).map_err(failed)?;
        Ok(BackupReport { written: true, rows, bytes })
    }
}

/// The newest `seq` at the time of a copy; `None` when there is none that can be read.
fn newest_seq(path: &Path) -> Option<u64> {
    if !path.exists() {
        return None;
    }
    let read = || -> Result<Option<u64>, redb::Error> {
        let mut builder = redb::Builder::new();
        let copy = builder.set_cache_size(CACHE_BYTES).open_read_only(path)?;
        let file = copy.begin_read()?;
        let rows = file.open_table(Table::Meta.definition())?;
        Ok(rows.get(meta::SEQ)?.and_then(|value| u64::from_bytes(value.value())))
    };
    guarded(read)?.ok()?
}
