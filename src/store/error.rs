//! What can go wrong in the store.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a stored record could not be read. Its bytes stay where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// There are no bytes, not even a version.
    Empty,
    /// A newer version of this program wrote it.
    Version(u8),
    /// The bytes do not fit their version.
    Body,
    /// A number that stands for nothing, with the name of its list.
    Code(&'static str, u8),
    /// The key is not one of this table.
    Key,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Empty => f.write_str("it is empty"),
            DecodeError::Version(version) => {
                write!(f, "it has version {version}, which this program is too old to read")
            }
            DecodeError::Body => f.write_str("its bytes are damaged"),
            DecodeError::Code(what, value) => write!(f, "{value} is not a known {what}"),
            DecodeError::Key => f.write_str("its key is damaged"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// A record that cannot be read: it costs only itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The table.
    pub table: &'static str,
    /// The key, in hexadecimal digits.
    pub key: String,
    /// What is wrong with it.
    pub error: DecodeError,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of table {} cannot be read: {}", self.key, self.table, self.error)
    }
}

impl std::error::Error for RecordError {}

/// What a caller of the store may meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Another process works in this directory.
    AlreadyOpen(PathBuf),
    /// The directory or a file in it cannot be used; the text says what was tried.
    Open(PathBuf, Arc<str>),
    /// A newer version of this program wrote the file, in a format that this one does not know.
    NewerFormat(u64),
    /// The queue stayed full until the deadline: the card is slow or stuck. Trying again later may help.
    Busy,
    /// The store was closed.
    Closed,
    /// Writing or reading the file failed. Nothing is written any more until the process has been started again.
    Failed(Arc<str>),
    /// The closure panicked. Nothing of it was kept.
    Panicked,
    /// One record cannot be read.
    Record(RecordError),
    /// A record, event, key or number of events is larger than the store takes; nothing of the closure was kept.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes, or the count.
        size: usize,
        /// The greatest that is taken.
        max: usize,
    },
    /// A record that cannot be written in the stored form: a defect of this program.
    Unwritable(&'static str),
    /// The backup failed; the store itself goes on.
    Backup(Arc<str>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::AlreadyOpen(dir) => write!(
                f,
                "the data directory {} is in use by another process; stop that one or choose another directory",
                dir.display()
            ),
            StoreError::Open(path, cause) => write!(f, "cannot use {}: {cause}", path.display()),
            StoreError::NewerFormat(format) => write!(
                f,
                "the records have format {format}, written by a newer version; install that version again"
            ),
            StoreError::Busy => f.write_str("the store is busy; try again"),
            StoreError::Closed => f.write_str("the store is closed"),
            StoreError::Failed(cause) => write!(f, "the store has failed and needs a restart: {cause}"),
            StoreError::Panicked => {
                f.write_str("a change of the records went wrong inside and was discarded")
            }
            StoreError::Record(error) => error.fmt(f),
            StoreError::TooLarge { what, size, max } => {
                write!(f, "{what} of {size} is above the limit of {max}")
            }
            StoreError::Unwritable(table) => write!(f, "a record of table {table} has no stored form"),
            StoreError::Backup(cause) => write!(f, "the backup failed: {cause}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<RecordError> for StoreError {
    fn from(error: RecordError) -> Self {
        StoreError::Record(error)
    }
}
