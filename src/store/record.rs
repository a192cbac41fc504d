//! How a record becomes bytes: a version byte, then postcard. Adding a kind of record is an implementation of [`Record`],
//! a stored struct in `records/`, and a line in the list of tables.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{DecodeError, RecordError, StoreError};
use super::tables::{Key, KeyBytes, Table, key};
use super::txn::Txn;

/// Bytes of one stored record. The largest of today's, what is remembered of a printer with eight errors and the longest
/// texts, needs about 15 KiB; beyond that a page of the file would be a bad place for it.
pub const RECORD_BYTES_MAX: usize = 32 * 1024;

/// Damaged records that are named in the log; more are only counted.
const DAMAGED_NAMED_MAX: usize = 64;

/// A kind of record: one table, one key, versions.
pub trait Record: Sized + Send + 'static {
    /// Its table.
    const TABLE: Table;
    /// What it is found by.
    type Key: Key;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// The stored form in the newest version; see [`versioned`].
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] when it has none.
    fn encode(&self) -> Result<Vec<u8>, StoreError>;

    /// Reads the body of any version that was ever released, upgraded to what is used now. Matches on `version`; an unknown
    /// one is [`DecodeError::Version`].
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn decode(key: Self::Key, version: u8, body: &[u8]) -> Result<Self, DecodeError>;

    /// Called before every put, in the same transaction, while the row can still be read as it was.
    ///
    /// # Errors
    /// What reading or writing the index met.
    fn before_put(&self, _txn: &mut Txn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Called before every delete of a row that is there, in the same transaction, while it can still be read.
    ///
    /// # Errors
    /// What reading or writing the index met.
    fn before_delete(_key: Self::Key, _txn: &mut Txn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Called with every put, in the same transaction: keeps indexes true.
    ///
    /// # Errors
    /// What reading or writing the index met.
    fn put_links(&self, _txn: &mut Txn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Called with every delete, in the same transaction: keeps indexes true.
    ///
    /// # Errors
    /// What reading or writing the index met.
    fn delete_links(_key: Self::Key, _txn: &mut Txn<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// `version`, then `stored` in postcard.
///
/// # Errors
/// [`StoreError::Unwritable`] when postcard cannot express it.
pub fn versioned<S: Serialize>(table: Table, version: u8, stored: &S) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(stored, vec![version]).map_err(|_| StoreError::Unwritable(table.name()))
}

/// The body of one version. Bytes behind it are an error: appended fields are a new version.
///
/// # Errors
/// [`DecodeError::Body`].
pub fn body<S: DeserializeOwned>(bytes: &[u8]) -> Result<S, DecodeError> {
    match postcard::take_from_bytes::<S>(bytes) {
        Ok((stored, [])) => Ok(stored),
        _ => Err(DecodeError::Body),
    }
}

/// A record from its row.
pub(super) fn from_row<R: Record>(key: &[u8], value: &[u8]) -> Result<R, RecordError> {
    let decode = || {
        let key = R::Key::from_bytes(key).ok_or(DecodeError::Key)?;
        let (version, body) = value.split_first().ok_or(DecodeError::Empty)?;
        R::decode(key, *version, body)
    };
    decode().map_err(|error| RecordError { table: R::TABLE.name(), key: hex(key), error })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Records that could not be read since the start: each is named in the log once and counted once.
#[derive(Debug, Default)]
pub(super) struct Damage(Mutex<(u64, BTreeSet<(Table, KeyBytes)>)>);

impl Damage {
    /// Notes a damaged record.
    pub(super) fn note(&self, table: Table, row: &[u8], error: &RecordError) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.1.len() < DAMAGED_NAMED_MAX && noted.1.insert((table, key(row))) {
            noted.0 += 1;
            log::error!("{error}");
        } else if !noted.1.contains(&(table, key(row))) {
            noted.0 += 1;
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}
