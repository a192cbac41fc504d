//! Records of the library, in the order in which they came.
//!
//! The index row `o` and the entry's number lead to its checksum, so that a page of the list reads the entries of that page
//! and, where it searches, the names of the others.

use std::ops::ControlFlow;

use super::files::index;
use super::library_v1;
use crate::model::Checksum;
use crate::model::library::LibraryEntry;
use crate::store::error::{DecodeError, StoreError};
use crate::store::read::{RawRead as _, Read as _, Span};
use crate::store::record::{Record, body, versioned};
use crate::store::tables::{Key as _, KeyBytes, Table, meta};
use crate::store::txn::Txn;
use crate::store::view::View;

/// Entries of one page; the API's own limit.
pub const LIBRARY_PAGE_MAX: usize = 200;

fn by_number(number: u64) -> KeyBytes {
    index(b'o', &[&number.to_be_bytes()])
}

impl Record for LibraryEntry {
    const TABLE: Table = Table::Library;
    type Key = Checksum;

    fn key(&self) -> Checksum {
        self.checksum
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &library_v1::Entry::from(self))
    }

    fn decode(key: Checksum, version: u8, bytes: &[u8]) -> Result<LibraryEntry, DecodeError> {
        match version {
            1 => Ok(body::<library_v1::Entry>(bytes)?.into_model(key)),
            other => Err(DecodeError::Version(other)),
        }
    }

    fn put_links(&self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        txn.raw_put(Table::FileIndex, by_number(self.number), self.checksum.to_bytes().to_vec());
        Ok(())
    }
}

impl Txn<'_> {
    /// The number of the next entry of the library.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn next_library_number(&mut self) -> Result<u64, StoreError> {
        self.next_number(meta::LAST_LIBRARY)
    }

    /// Removes an entry with its place in the order; answers whether it was there.
    ///
    /// # Errors
    /// As [`Txn::delete`].
    pub fn delete_library_entry(&mut self, checksum: Checksum) -> Result<bool, StoreError> {
        match self.get::<LibraryEntry>(checksum) {
            Ok(Some(entry)) => self.raw_delete(Table::FileIndex, by_number(entry.number)),
            Ok(None) => return Ok(false),
            // It cannot be read: its place in the order then leads nowhere, which every reader takes for absent.
            Err(StoreError::Record(_)) => {}
            Err(error) => return Err(error),
        }
        self.delete::<LibraryEntry>(checksum)
    }
}

/// A page of the library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LibraryPage {
    /// The entries of the page.
    pub entries: Vec<LibraryEntry>,
    /// How many there are in all.
    pub total: u64,
}

impl View<'_> {
    /// The entries that `wanted` lets through, newest first (`oldest_first`: the other way): `limit` of them (at most
    /// [`LIBRARY_PAGE_MAX`]) after the first `offset`. One entry is held at a time besides those of the page.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn library_page(
        &self,
        wanted: &dyn Fn(&LibraryEntry) -> bool,
        oldest_first: bool,
        offset: u64,
        limit: usize,
    ) -> Result<LibraryPage, StoreError> {
        let limit = limit.min(LIBRARY_PAGE_MAX);
        let mut page = LibraryPage::default();
        let mut failed = None;
        self.raw_scan(Table::FileIndex, Span::prefix(b"o"), !oldest_first, &mut |_, checksum| {
            let Some(checksum) = Checksum::from_bytes(checksum) else { return ControlFlow::Continue(()) };
            match self.get::<LibraryEntry>(checksum) {
                Ok(Some(entry)) if wanted(&entry) => {
                    page.total += 1;
                    if page.total > offset && page.entries.len() < limit {
                        page.entries.push(entry);
                    }
                }
                // Noted already where it cannot be read; it costs only itself.
                Ok(_) | Err(StoreError::Record(_)) => {}
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        failed.map_or(Ok(page), Err)
    }
}
