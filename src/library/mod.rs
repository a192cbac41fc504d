//! The library: contents that somebody wants to keep (workflow 8 of the contract).
//!
//! An upload is streamed to the card as a part, hashed on the way, synced, and kept once per content in the folder of its
//! first two hex digits; only then it is recorded and announced. A content that is known gets a further source. Thumbnails
//! and metadata come from the same readers as everywhere: the entry's file asks for them in its record.
//!
//! The room also watches the card ([`keep`]): quota, free space, and which files may go.
//!
//! Everything here blocks unless it says otherwise: call it off the executor.
//!
//! Bounds: [`ENTRIES_MAX`] entries, [`UPLOADS_MAX`] uploads at a time, each with [`PIECES_MAX`] pieces of
//! [`PIECE_BYTES`] in memory.

pub mod follow;
pub mod keep;
pub mod multipart;
pub mod names;
pub mod record;
#[cfg(test)]
pub(crate) mod tests;
mod upload;

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::base::latest::Latest;
use crate::base::pool::{Limits, Pool};
use crate::model::library::LibraryEntry;
use crate::model::{Checksum, Content, FileId};
use crate::store::{Blobs, LibraryPage, Read as _, Store, StoreError, View};

pub use keep::{Card, CardState};
pub use record::{Added, Deleted, KeptFor};
pub use upload::{PIECE_BYTES, PIECES_MAX, Upload};

/// Entries of the library: some years of a workshop. A list walks over all of them where it searches.
pub const ENTRIES_MAX: u64 = 10_000;

/// Uploads at a time: as many as the front lets through.
pub const UPLOADS_MAX: usize = 4;

/// The settings of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryConfig {
    /// Bytes of one file at most.
    pub max_file_size: u64,
    /// Whether finished downloads enter by themselves.
    pub auto_add: bool,
    /// Bytes that all print files together may take; 0: whatever the card has.
    pub quota: u64,
    /// Bytes of the card that print files leave free, for the records.
    pub min_free: u64,
    /// A directory whose print files are taken, as if it were a printer.
    pub watch_folder: Option<std::path::PathBuf>,
}

impl Default for LibraryConfig {
    fn default() -> LibraryConfig {
        LibraryConfig {
            // The largest sliced file seen had 350 MB.
            max_file_size: 512 * 1024 * 1024,
            auto_add: false,
            quota: 0,
            // The records need some 20 MB and their daily copy as much again.
            min_free: 128 * 1024 * 1024,
            watch_folder: None,
        }
    }
}

/// Why something was not done.
#[derive(Debug)]
pub enum LibraryError {
    /// No such entry.
    NotFound,
    /// No such file, or its bytes are not here.
    NoFile,
    /// A name that cannot be one.
    BadName,
    /// No byte came.
    Empty,
    /// More bytes than a file may have.
    TooLarge,
    /// Fewer bytes than announced.
    Cut,
    /// The body is no multipart body with one file.
    Multipart,
    /// No room on the card, or in the quota.
    NoSpace,
    /// [`ENTRIES_MAX`] entries are there.
    Full,
    /// Too many uploads at a time.
    Busy,
    /// The card cannot be read or written.
    Io(io::Error),
    /// The records cannot be read or written.
    Store(StoreError),
    /// The work ended in a fault of the program.
    Lost,
}

impl fmt::Display for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LibraryError::NotFound => "there is no such entry in the library",
            LibraryError::NoFile => "there is no such file, or its bytes are not on the device",
            LibraryError::BadName => "this cannot be a file's name",
            LibraryError::Empty => "the file is empty",
            LibraryError::TooLarge => "the file is larger than allowed",
            LibraryError::Cut => "the file ended early",
            LibraryError::Multipart => "the body is not a form with one file",
            LibraryError::NoSpace => "there is no room for it",
            LibraryError::Full => "the library has as many entries as it can hold",
            LibraryError::Busy => "too many uploads are running",
            LibraryError::Io(_) => "the card cannot be read or written",
            LibraryError::Store(_) => "the records cannot be read or written",
            LibraryError::Lost => "the work ended in a fault of the program",
        })
    }
}

impl std::error::Error for LibraryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LibraryError::Io(source) => Some(source),
            LibraryError::Store(source) => Some(source),
            _ => None,
        }
    }
}

impl From<StoreError> for LibraryError {
    fn from(source: StoreError) -> LibraryError {
        LibraryError::Store(source)
    }
}

impl From<io::Error> for LibraryError {
    fn from(source: io::Error) -> LibraryError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                LibraryError::NoSpace
            }
            _ => LibraryError::Io(source),
        }
    }
}

/// Which entries a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Part of a name, in small letters.
    pub search: Option<String>,
    /// `upload`, `printer` or `local`.
    pub source: Option<String>,
    /// Only entries with more than one source.
    pub only_duplicates: bool,
}

impl Filter {
    fn lets_through(&self, entry: &LibraryEntry) -> bool {
        let named = |text: &String| {
            let is_in = |name: &str| name.to_lowercase().contains(text.as_str());
            is_in(&entry.filename) || entry.sources.iter().any(|source| is_in(&source.filename))
        };
        self.search.as_ref().is_none_or(named)
            && self
                .source
                .as_ref()
                .is_none_or(|wanted| entry.sources.iter().any(|source| source.source.name() == wanted))
            && (!self.only_duplicates || entry.source_count > 1)
    }
}

/// What there is in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sources of all entries.
    pub sources: u64,
    /// Bytes that were not kept twice.
    pub saved_bytes: u64,
}

/// A handle to the library. Cloning gives another one.
#[derive(Clone)]
pub struct Library {
    store: Store,
    blobs: Blobs,
    pool: Pool,
    card: Card,
    config: Latest<LibraryConfig>,
}

impl Library {
    /// The library of these records and files.
    #[must_use]
    pub fn new(store: Store, blobs: Blobs, config: LibraryConfig) -> Library {
        let limits = Limits { threads_max: UPLOADS_MAX, queue_max: 0, nice: 5 };
        let config = Latest::new(config);
        let card = Card::new(blobs.clone(), config.clone());
        Library { store, blobs, pool: Pool::new("upload", limits), card, config }
    }

    /// The settings as they are now.
    #[must_use]
    pub fn config(&self) -> Arc<LibraryConfig> {
        self.config.get()
    }

    /// Changes the settings: for whatever begins from now on.
    pub fn set_config(&self, config: LibraryConfig) {
        self.config.set(config);
    }

    /// How full the card is.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The places of the bytes.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Begins to take a file of `announced` bytes at most.
    ///
    /// # Errors
    /// [`LibraryError::Busy`], [`LibraryError::NoSpace`], [`LibraryError::TooLarge`].
    pub fn begin(&self, announced: u64) -> Result<Upload, LibraryError> {
        Upload::begin(self, announced)
    }

    /// Adds a file whose bytes are here: a finished download, on request. Does not block.
    ///
    /// # Errors
    /// [`LibraryError::NoFile`], [`LibraryError::Full`], [`LibraryError::Store`].
    pub async fn add(&self, id: FileId) -> Result<Added, LibraryError> {
        self.store.write(move |txn| record::add_file(txn, id)).await
    }

    /// One entry with its content. Does not block.
    ///
    /// # Errors
    /// As [`Library::entry`].
    pub async fn find(&self, checksum: Checksum) -> Result<(LibraryEntry, Content), LibraryError> {
        whole(self.store.read(move |view| entry(view, checksum)).await?)
    }

    /// One entry with its content.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`], [`LibraryError::Store`].
    pub fn entry(&self, checksum: Checksum) -> Result<(LibraryEntry, Content), LibraryError> {
        whole(self.store.read_blocking(|view| entry(view, checksum))?)
    }

    /// A page of entries, newest first.
    ///
    /// # Errors
    /// [`LibraryError::Store`].
    pub fn page(
        &self,
        filter: &Filter,
        oldest_first: bool,
        offset: u64,
        limit: usize,
    ) -> Result<LibraryPage, LibraryError> {
        let wanted = |entry: &LibraryEntry| filter.lets_through(entry);
        Ok(self.store.read_blocking(|view| view.library_page(&wanted, oldest_first, offset, limit))?)
    }

    /// The figures.
    ///
    /// # Errors
    /// [`LibraryError::Store`].
    pub fn statistics(&self) -> Result<Statistics, LibraryError> {
        let mut sum = Statistics::default();
        let add = std::cell::RefCell::new(&mut sum);
        let count = |entry: &LibraryEntry| {
            let mut sum = add.borrow_mut();
            sum.entries += 1;
            sum.bytes += entry.size;
            sum.sources += entry.source_count;
            sum.saved_bytes += entry.size.saturating_mul(entry.source_count.saturating_sub(1));
            false
        };
        self.store.read_blocking(|view| view.library_page(&count, false, 0, 0))?;
        Ok(sum)
    }

    /// Removes an entry, and its bytes unless another record uses them.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`], [`LibraryError::Store`]. Bytes that cannot be removed are not an error: the next start
    /// sweeps them.
    pub fn delete(&self, checksum: Checksum) -> Result<Deleted, LibraryError> {
        let _claim = self.blobs.claim(checksum);
        let deleted = self.store.write_blocking(move |txn| record::delete(txn, checksum))?;
        if let Some(extension) = &deleted.gone {
            keep::remove_bytes(&self.blobs, checksum, extension);
        }
        Ok(deleted)
    }
}

/// An entry and its content, as far as they are there.
type Found = (Option<LibraryEntry>, Option<Content>);

fn entry(view: &View<'_>, checksum: Checksum) -> Result<Found, StoreError> {
    Ok((view.get::<LibraryEntry>(checksum)?, view.get::<Content>(checksum)?))
}

fn whole(found: Found) -> Result<(LibraryEntry, Content), LibraryError> {
    match found {
        (Some(entry), Some(content)) => Ok((entry, content)),
        _ => Err(LibraryError::NotFound),
    }
}
