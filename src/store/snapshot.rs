//! One consistent view of all records to be carried away: row by row, secrets apart from the rest.
//!
//! What is left out: the journal, whose numbers go on somewhere else, and rows that cannot be read, because nobody can tell
//! whether they hold a secret. A row with secrets comes twice: without them among the rows, and whole among the secrets.
//!
//! Bounds: the secrets are held in memory, at most [`SECRETS_MAX`] rows of them (printers and a few settings).

use std::path::Path;
use std::sync::Arc;

use redb::{Builder, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableError};

use super::env::guarded;
use super::error::{DecodeError, StoreError};
use super::files::Paths;
use super::handle::Store;
use super::record::{Record, from_row};
use super::tables::{Key as _, Table, meta};
use crate::model::library::LibraryEntry;
use crate::model::{Consumption, Content, Fetch, Figures, FileRecord, Job, Material, Printer, Track};

/// The names of settings that are secrets begin with this: the guard's hashes.
pub const SECRET_SETTINGS: &str = "guard.";
/// Rows with secrets: the longest list of printers and a few settings.
const SECRETS_MAX: usize = 256;
/// redb's page cache for a file that is read front to back.
const CACHE_BYTES: usize = 256 * 1024;

/// A row.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its table.
    pub table: Table,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Its value may hold secrets.
impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row({}, {} bytes)", self.table.name(), self.value.len())
    }
}

/// How a visit of rows ended early.
#[derive(Debug)]
pub enum VisitError<E> {
    /// The records cannot be read.
    Store(StoreError),
    /// The visitor wanted no more.
    Visitor(E),
}

/// The view. Nothing that is written after its beginning is seen.
pub struct Snapshot {
    file: ReadTransaction,
    /// The newest `seq` in it.
    seq: u64,
    left_out: u64,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot(seq {})", self.seq)
    }
}

/// How a row is carried.
enum Carried {
    /// As it is.
    Plain,
    /// This without its secrets; the whole apart.
    Split(Vec<u8>),
    /// Apart.
    Secret,
    /// Not at all: it cannot be read.
    Left,
}

impl Store {
    /// A view of everything that is committed now. For threads that may block.
    ///
    /// # Errors
    /// `Closed`, `Failed`, [`StoreError::Backup`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let file = self.env.with_database(|database| database.begin_read().map_err(unreadable))?;
        Snapshot::of(file)
    }
}

impl Snapshot {
    /// A view of the records in a data directory that no service uses.
    ///
    /// # Errors
    /// [`StoreError::AlreadyOpen`] where one does; [`StoreError::Backup`] where they cannot be read, as after a power cut
    /// that no start has mended yet.
    pub fn of_directory(dir: &Path) -> Result<Snapshot, StoreError> {
        let path = Paths { dir: dir.to_owned() }.main();
        let opened = guarded(|| Builder::new().set_cache_size(CACHE_BYTES).open_read_only(&path));
        let database = match opened {
            Some(Ok(database)) => database,
            Some(Err(redb::DatabaseError::DatabaseAlreadyOpen)) => {
                return Err(StoreError::AlreadyOpen(dir.to_owned()));
            }
            Some(Err(error)) => return Err(unreadable(error)),
            None => return Err(unreadable("reading them ended in a panic")),
        };
        Snapshot::of(database.begin_read().map_err(unreadable)?)
    }

    fn of(file: ReadTransaction) -> Result<Snapshot, StoreError> {
        let seq = {
            let rows = file.open_table(Table::Meta.definition()).map_err(unreadable)?;
            let seq = rows.get(meta::SEQ).map_err(unreadable)?;
            seq.and_then(|value| u64::from_bytes(value.value())).unwrap_or(0)
        };
        Ok(Snapshot { file, seq, left_out: 0 })
    }

    /// The newest `seq` in the view.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Rows that the last visit left out because they cannot be read.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The rows with secrets, whole.
    ///
    /// # Errors
    /// [`StoreError::Backup`].
    pub fn secrets(&mut self) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for table in [Table::Printers, Table::Settings] {
            let visited = self.each(table, &mut |row: Row| {
                let is_secret = matches!(carried(&row), Carried::Split(_) | Carried::Secret);
                if is_secret && found.len() < SECRETS_MAX {
                    found.push(row);
                }
                Ok::<(), std::convert::Infallible>(())
            });
            match visited {
                Ok(()) => {}
                Err(VisitError::Store(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Visits every row without its secrets, table by table.
    ///
    /// # Errors
    /// [`VisitError`].
    pub fn rows<E>(&mut self, visit: &mut impl FnMut(Row) -> Result<(), E>) -> Result<(), VisitError<E>> {
        let mut left_out = 0;
        for table in Table::ALL.iter().copied().filter(|table| *table != Table::Journal) {
            self.each(table, &mut |row: Row| match carried(&row) {
                Carried::Plain => visit(row),
                Carried::Split(value) => visit(Row { value, ..row }),
                Carried::Secret => Ok(()),
                Carried::Left => {
                    left_out += 1;
                    Ok(())
                }
            })?;
        }
        self.left_out = left_out;
        Ok(())
    }

    fn each<E>(
        &self,
        table: Table,
        visit: &mut impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), VisitError<E>> {
        let rows = match guarded(|| self.file.open_table(table.definition())) {
            Some(Ok(rows)) => rows,
            Some(Err(TableError::TableDoesNotExist(_))) => return Ok(()),
            Some(Err(error)) => return Err(VisitError::Store(unreadable(error))),
            None => return Err(VisitError::Store(unreadable("a panic while they were read"))),
        };
        let mut rows = rows.iter().map_err(|error| VisitError::Store(unreadable(error)))?;
        loop {
            let next = guarded(|| {
                rows.next().map(|row| {
                    row.map(|(key, value)| Row {
                        table,
                        key: key.value().to_vec(),
                        value: value.value().to_vec(),
                    })
                })
            });
            match next {
                None => return Err(VisitError::Store(unreadable("a panic while they were read"))),
                Some(None) => return Ok(()),
                Some(Some(Err(error))) => return Err(VisitError::Store(unreadable(error))),
                Some(Some(Ok(row))) => visit(row).map_err(VisitError::Visitor)?,
            }
        }
    }
}

fn unreadable(cause: impl ToString) -> StoreError {
    StoreError::Backup(Arc::from(cause.to_string()))
}

fn carried(row: &Row) -> Carried {
    match row.table {
        Table::Settings => {
            let is_secret = row.key.starts_with(SECRET_SETTINGS.as_bytes());
            if is_secret { Carried::Secret } else { Carried::Plain }
        }
        Table::Printers => match from_row::<Printer>(&row.key, &row.value) {
            Err(_) => Carried::Left,
            Ok(printer) => without_secrets(printer),
        },
        _ if judge(row).is_err() => Carried::Left,
        _ => Carried::Plain,
    }
}

fn without_secrets(mut printer: Printer) -> Carried {
    let way = &mut printer.connection;
    let secrets = [way.access_code.take(), way.api_key.take(), way.password.take()];
    if secrets.iter().all(Option::is_none) {
        return Carried::Plain;
    }
    printer.encode().map_or(Carried::Left, Carried::Split)
}

/// Whether this program can read a row.
///
/// # Errors
/// What is wrong with it; [`DecodeError::Version`] where a newer program wrote it.
pub(super) fn judge(row: &Row) -> Result<(), DecodeError> {
    fn record<R: Record>(row: &Row) -> Result<(), DecodeError> {
        from_row::<R>(&row.key, &row.value).map(drop).map_err(|error| error.error)
    }
    match row.table {
        Table::Printers => record::<Printer>(row),
        Table::Jobs => record::<Job>(row),
        Table::Tracks => record::<Track>(row),
        Table::Files => record::<FileRecord>(row),
        Table::Contents => record::<Content>(row),
        Table::Figures => record::<Figures>(row),
        Table::Fetches => record::<Fetch>(row),
        Table::Materials => record::<Material>(row),
        Table::Consumptions => record::<Consumption>(row),
        Table::Library => record::<LibraryEntry>(row),
        Table::Meta | Table::Journal | Table::Settings | Table::FileIndex | Table::JobTotals => Ok(()),
    }
}
