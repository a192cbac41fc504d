//! A backup: everything that the device knows, in one file that a person can keep, and the way back.
//!
//! - [`write`] makes one from a [`Snapshot`] of the records, piece by piece (`make`).
//! - [`receive`] takes one, checks everything and lays it beside what is in use (`stage`); a transfer that broke off goes on
//!   where it was.
//! - [`switch`] puts what was laid down into its place before the store is opened (`place`): until then the old state is
//!   whole, after it the new one, and a power cut in between is gone on from.
//!
//! The format is in `frame`: frames with hashes, nothing that needs the whole in memory, nothing trusted before its hash fits.
//! Secrets are in a part of their own, encrypted with a passphrase (`seal`); without one they are not in the file.
//!
//! Bounds: a frame of [`FRAME_BYTES_MAX`] bytes, secrets of [`SECRETS_BYTES_MAX`], one restore at a time. Everything here
//! blocks: it runs on a thread of its own.

mod frame;
mod make;
mod manifest;
mod place;
mod seal;
mod stage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;

pub use frame::FRAME_BYTES_MAX;
pub use make::{Made, write};
pub use manifest::{Choice, Manifest};
pub use place::switch;
pub use seal::{PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN, Passphrase};
pub use stage::{Progress, Received, Wishes, check, progress, receive};

use crate::store::{ImportError, StoreError};

/// Bytes of all secrets together: the longest list of printers with the longest codes, and the guard's settings.
pub const SECRETS_BYTES_MAX: usize = 256 * 1024;

/// The directory in the data directory in which a restore is gathered.
pub const RESTORE_DIR: &str = "restore";

/// Why a backup was not made, or not taken.
#[derive(Debug)]
pub enum BackupError {
    /// It is no backup of this program.
    Foreign,
    /// A newer version made it.
    Newer,
    /// Its bytes are not those that were written.
    Damaged(&'static str),
    /// It ends early. What came is kept; the rest may follow.
    Cut,
    /// Its secrets are encrypted, and no passphrase was given.
    PassphraseNeeded,
    /// The passphrase is not the one that it was made with.
    WrongPassphrase,
    /// No passphrase of a length that can be used.
    BadPassphrase,
    /// Another restore is under way.
    Busy,
    /// It does not go on here, but at this byte of that backup, if there is one.
    ElsewhereNow {
        /// The backup that was begun.
        id: Option<String>,
        /// Where it goes on.
        offset: u64,
    },
    /// There is no room for it.
    NoSpace,
    /// The records cannot be read or written.
    Store(StoreError),
    /// A file cannot be read or written.
    Io(io::Error),
    /// The system gives no random numbers.
    NoRandomness,
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupError::Foreign => f.write_str("this is not a backup of printernizer"),
            BackupError::Newer => {
                f.write_str("a newer version of printernizer made this backup; install that version first")
            }
            BackupError::Damaged(what) => write!(f, "the backup is damaged ({what}); nothing was changed"),
            BackupError::Cut => f.write_str("the backup ends early; send it again, or the rest of it"),
            BackupError::PassphraseNeeded => f.write_str(
                "the secrets in this backup are encrypted: give the passphrase, or leave them out",
            ),
            BackupError::WrongPassphrase => f.write_str("this is not the passphrase of the backup"),
            BackupError::BadPassphrase => {
                write!(f, "a passphrase has {PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX} bytes")
            }
            BackupError::Busy => f.write_str("another restore is under way"),
            BackupError::ElsewhereNow { offset, .. } => {
                write!(f, "the restore that was begun goes on at byte {offset}")
            }
            BackupError::NoSpace => f.write_str("there is no room for this backup on the card"),
            BackupError::Store(_) => f.write_str("the records cannot be read or written"),
            BackupError::Io(_) => f.write_str("a file cannot be read or written"),
            BackupError::NoRandomness => f.write_str("the system gives no random numbers"),
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BackupError::Store(source) => Some(source),
            BackupError::Io(source) => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for BackupError {
    fn from(source: io::Error) -> BackupError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::NoSpace,
            _ => BackupError::Io(source),
        }
    }
}

impl From<StoreError> for BackupError {
    fn from(source: StoreError) -> BackupError {
        BackupError::Store(source)
    }
}

impl From<ImportError> for BackupError {
    fn from(error: ImportError) -> BackupError {
        match error {
            ImportError::Newer => BackupError::Newer,
            ImportError::Damaged => BackupError::Damaged("a record is not one"),
            ImportError::Store(source) => BackupError::Store(source),
        }
    }
}
