//! Records that come from elsewhere: rows into a file beside the one in use, and that file into its place.
//!
//! Nothing of the records in use is touched until [`put_in_place`], which is one rename; before it there are the old records,
//! after it the new ones. The numbers jump ahead as after every restore, so that nobody takes what comes for something that
//! was announced before.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, WriteTransaction};

use super::error::{DecodeError, StoreError};
use super::files::{self, OpenFailure, Paths};
use super::open::{FORMAT, prepare_after_jump};
use super::snapshot::{Row, judge};
use super::tables::{KEY_BYTES_MAX, Key as _, Table, meta};
use crate::base::file::{remove, sync_parent};

/// redb's page cache while rows come in.
const CACHE_BYTES: usize = 512 * 1024;
/// The records that were in use before the last restore, kept for whoever restored the wrong ones.
const REPLACED: &str = "printernizer.redb.replaced";

/// Why a row was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// A newer program wrote it.
    Newer,
    /// It is not what this program writes.
    Damaged,
    /// The file beside cannot be written.
    Store(StoreError),
}

/// A file of records that is being filled.
pub struct Import {
    // Before `file`: a database closes when its transactions have ended.
    rows: Option<WriteTransaction>,
    file: Database,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Import")
    }
}

fn failed(cause: impl ToString) -> ImportError {
    ImportError::Store(StoreError::Backup(Arc::from(cause.to_string())))
}

impl Import {
    /// Begins an empty file at `path`; what was there is replaced.
    ///
    /// # Errors
    /// [`ImportError::Store`].
    pub fn begin(path: &Path) -> Result<Import, ImportError> {
        remove(path).map_err(failed)?;
        let file = files::open_file(path, CACHE_BYTES, false).map_err(|failure| match failure {
            OpenFailure::Damaged(cause) => ImportError::Store(StoreError::Backup(cause)),
            OpenFailure::Refused(error) => ImportError::Store(error),
        })?;
        let rows = file.begin_write().map_err(failed)?;
        Ok(Import { rows: Some(rows), file })
    }

    /// Takes a row; a later one of the same key replaces it.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn put(&mut self, row: &Row) -> Result<(), ImportError> {
        if row.table == Table::Journal || row.key.is_empty() || row.key.len() > KEY_BYTES_MAX {
            return Err(ImportError::Damaged);
        }
        match judge(row) {
            Ok(()) => {}
            Err(DecodeError::Version(_)) => return Err(ImportError::Newer),
            Err(_) => return Err(ImportError::Damaged),
        }
        if row.table == Table::Meta && row.key == meta::FORMAT {
            match u64::from_bytes(&row.value) {
                Some(format) if format > FORMAT => return Err(ImportError::Newer),
                Some(_) => {}
                None => return Err(ImportError::Damaged),
            }
        }
        let Some(rows) = &self.rows else { return Err(failed("the file is finished")) };
        let mut table = rows.open_table(row.table.definition()).map_err(failed)?;
        table.insert(row.key.as_slice(), row.value.as_slice()).map_err(failed)?;
        Ok(())
    }

    /// Makes the file whole and durable, its numbers ahead of what was announced.
    ///
    /// # Errors
    /// [`ImportError::Store`].
    pub fn finish(mut self) -> Result<(), ImportError> {
        if let Some(rows) = self.rows.take() {
            rows.commit().map_err(failed)?;
        }
        prepare_after_jump(&self.file).map_err(failed)?;
        let Import { file, .. } = self;
        file.close().map_err(failed)
    }
}

/// Puts the records at `new` into the place of those of the data directory, in which no service runs. The old ones are kept
/// beside. Each step may be the last one before a power cut: called again it goes on, and where `new` is gone it was done.
/// `step` is told of each step before it is done, and may fail it: for tests.
///
/// # Errors
/// Whatever the file system answers.
pub fn put_in_place(
    dir: &Path,
    new: &Path,
    step: &mut dyn FnMut(&'static str) -> io::Result<()>,
) -> io::Result<()> {
    let paths = Paths { dir: dir.to_owned() };
    if new.exists() {
        let (main, replaced) = (paths.main(), dir.join(REPLACED));
        if main.exists() {
            step("forget older records")?;
            remove(&replaced)?;
            step("keep the old records")?;
            fs::hard_link(&main, &replaced)?;
        }
        step("replace the records")?;
        fs::rename(new, &main)?;
        step("sync the directory")?;
        sync_parent(&main)?;
        sync_parent(new)?;
    }
    // A copy of the old records must not come back in the place of the new ones.
    for copy in [paths.backup(), paths.backup_old(), paths.backup_new()] {
        step("remove an old copy")?;
        if copy.exists() {
            remove(&copy)?;
        }
    }
    Ok(())
}
