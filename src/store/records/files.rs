//! Records of files and the rows that find them again: by content, by path at the source, by pending work, by open fetch.
//!
//! The index rows of [`Table::FileIndex`] begin with a letter: `c` content and file, `p` source and path to the newest
//! version, `w` a file with pending work, `f` a fetch that is not over, `j` a job's fetch, `g` a file that is gone from its
//! source although its bytes are here, `o` the entries of the library in their order.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sha2::{Digest as _, Sha256};

use super::files_v1;
use crate::model::file::{PLATES_MAX, Work};
use crate::model::library::LibraryEntry;
use crate::model::{Checksum, Content, Fetch, FetchId, Figures, FileId, FileRecord, FileSource, JobId};
use crate::store::error::{DecodeError, StoreError};
use crate::store::read::{RawRead, Read as _, Span};
use crate::store::record::{Record, body, versioned};
use crate::store::tables::{Key, KeyBytes, Table, key, meta};
use crate::store::txn::Txn;
use crate::store::view::View;

/// Records of one content, files with pending work, or open fetches that are read at most at a time.
pub const INDEXED_READ_MAX: usize = 1_000;

impl Key for Checksum {
    fn to_bytes(self) -> KeyBytes {
        key(&self.0)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Checksum> {
        Some(Checksum(bytes.try_into().ok()?))
    }
}

/// A content and a plate; plate 0 stands for the one that the file itself points at.
impl Key for (Checksum, Option<u32>) {
    fn to_bytes(self) -> KeyBytes {
        let mut bytes = key(&self.0.0);
        let fits = bytes.extend_from_slice(&self.1.unwrap_or(0).to_be_bytes());
        debug_assert!(fits.is_ok(), "36 bytes fit a key");
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, plate) = bytes.split_at_checked(32)?;
        let plate = u32::from_be_bytes(plate.try_into().ok()?);
        Some((Checksum::from_bytes(content)?, Some(plate).filter(|plate| *plate > 0)))
    }
}

/// A row of the index: a letter, then parts of fixed width.
pub(super) fn index(letter: u8, parts: &[&[u8]]) -> KeyBytes {
    let mut row = key(&[letter]);
    for part in parts {
        let fits = row.extend_from_slice(part);
        debug_assert!(fits.is_ok(), "the parts of an index row fit a key");
    }
    row
}

fn by_content(content: Checksum, id: FileId) -> KeyBytes {
    index(b'c', &[&content.0, &id.to_bytes()])
}

/// Source and path as a row of fixed width: the path may be longer than a key.
fn by_path(source: FileSource, path: &[u8]) -> KeyBytes {
    let (kind, number) = match source {
        FileSource::Printer(id) => (b'p', id.0),
        FileSource::Local => (b'l', 0),
        FileSource::Upload => (b'u', 0),
    };
    let digest = Sha256::digest(path);
    index(b'p', &[&[kind], &number.to_be_bytes(), digest.as_slice()])
}

fn gone(id: FileId) -> KeyBytes {
    index(b'g', &[&id.to_bytes()])
}

impl Record for FileRecord {
    const TABLE: Table = Table::Files;
    type Key = FileId;

    fn key(&self) -> FileId {
        self.id
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &files_v1::File::from(self))
    }

    fn decode(key: FileId, version: u8, bytes: &[u8]) -> Result<FileRecord, DecodeError> {
        match version {
            1 => body::<files_v1::File>(bytes)?.into_model(key),
            other => Err(DecodeError::Version(other)),
        }
    }

    /// The newest version of a path is the one that was written last.
    fn put_links(&self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        let id = self.id.to_bytes().to_vec();
        if let Some(content) = self.content {
            txn.raw_put(Table::FileIndex, by_content(content, self.id), Vec::new());
        }
        let newest = by_path(self.source, &self.path);
        let standing = txn.raw_get(Table::FileIndex, &newest)?.and_then(|id| FileId::from_bytes(&id));
        if standing.is_none_or(|standing| standing <= self.id) {
            txn.raw_put(Table::FileIndex, newest, id);
        }
        let pending = self.work.iter().any(|work| [work.thumbnails, work.metadata].contains(&Work::Pending));
        let row = index(b'w', &[&self.id.to_bytes()]);
        if pending {
            txn.raw_put(Table::FileIndex, row, Vec::new());
        } else {
            txn.raw_delete(Table::FileIndex, row);
        }
        Ok(())
    }

    fn delete_links(_key: FileId, _txn: &mut Txn<'_>) -> Result<(), StoreError> {
        // The links need the record's fields: use `Txn::delete_file`.
        Ok(())
    }
}

impl Record for Content {
    const TABLE: Table = Table::Contents;
    type Key = Checksum;

    fn key(&self) -> Checksum {
        self.checksum
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &files_v1::Content::from(self))
    }

    fn decode(key: Checksum, version: u8, bytes: &[u8]) -> Result<Content, DecodeError> {
        match version {
            1 => Ok(body::<files_v1::Content>(bytes)?.into_model(key)),
            other => Err(DecodeError::Version(other)),
        }
    }
}

impl Record for Figures {
    const TABLE: Table = Table::Figures;
    type Key = (Checksum, Option<u32>);

    fn key(&self) -> (Checksum, Option<u32>) {
        (self.content, self.plate)
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &files_v1::Figures::from(self))
    }

    fn decode(key: (Checksum, Option<u32>), version: u8, bytes: &[u8]) -> Result<Figures, DecodeError> {
        match version {
            1 => Ok(body::<files_v1::Figures>(bytes)?.into_model(key.0, key.1)),
            other => Err(DecodeError::Version(other)),
        }
    }
}

impl Record for Fetch {
    const TABLE: Table = Table::Fetches;
    type Key = FetchId;

    fn key(&self) -> FetchId {
        self.id
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &files_v1::Fetch::from(self))
    }

    fn decode(key: FetchId, version: u8, bytes: &[u8]) -> Result<Fetch, DecodeError> {
        match version {
            1 => body::<files_v1::Fetch>(bytes)?.into_model(key),
            other => Err(DecodeError::Version(other)),
        }
    }

    fn put_links(&self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        let row = index(b'f', &[&self.id.to_bytes()]);
        if self.state.is_over() {
            txn.raw_delete(Table::FileIndex, row);
        } else {
            txn.raw_put(Table::FileIndex, row, self.printer_id.to_bytes().to_vec());
        }
        if let Some(job) = self.job_id() {
            txn.raw_put(Table::FileIndex, index(b'j', &[&job.to_bytes()]), self.id.to_bytes().to_vec());
        }
        Ok(())
    }

    fn delete_links(key: FetchId, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        txn.raw_delete(Table::FileIndex, index(b'f', &[&key.to_bytes()]));
        Ok(())
    }
}

/// Questions about files.
pub trait ReadFiles: RawRead {
    /// The newest version of the file at `path` of `source`.
    ///
    /// # Errors
    /// As [`crate::store::Read::get`].
    fn newest_file(&self, source: FileSource, path: &[u8]) -> Result<Option<FileRecord>, StoreError> {
        match self.newest_file_id(source, path)? {
            Some(id) => self.get(id),
            None => Ok(None),
        }
    }

    /// The number of the newest version of the file at `path` of `source`.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn newest_file_id(&self, source: FileSource, path: &[u8]) -> Result<Option<FileId>, StoreError> {
        let id = self.raw_get(Table::FileIndex, &by_path(source, path))?;
        Ok(id.and_then(|id| FileId::from_bytes(&id)))
    }

    /// Whether some version of a file or the library still needs the bytes of `content`. A record that cannot be read may.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn content_is_used(&self, content: Checksum) -> Result<bool, StoreError> {
        if self.raw_get(LibraryEntry::TABLE, &content.to_bytes())?.is_some() {
            return Ok(true);
        }
        for id in self.files_of(content)? {
            match self.get::<FileRecord>(id) {
                Ok(file) if file.as_ref().is_none_or(|file| !file.status.is_kept()) => {}
                Ok(_) | Err(StoreError::Record(_)) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The versions that name this content, oldest first; at most [`INDEXED_READ_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn files_of(&self, content: Checksum) -> Result<Vec<FileId>, StoreError> {
        self.indexed(&index(b'c', &[&content.0]))
    }

    /// Files with pending work, oldest first; at most [`INDEXED_READ_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn files_with_work(&self) -> Result<Vec<FileId>, StoreError> {
        self.indexed(b"w")
    }

    /// Fetches that are not over, oldest first; at most [`INDEXED_READ_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn open_fetches(&self) -> Result<Vec<Fetch>, StoreError> {
        let mut fetches = Vec::new();
        for id in self.indexed::<FetchId>(b"f")? {
            match self.get::<Fetch>(id) {
                Ok(fetch) => fetches.extend(fetch),
                // Noted already; it costs only itself.
                Err(StoreError::Record(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(fetches)
    }

    /// The newest fetch of a job.
    ///
    /// # Errors
    /// As [`crate::store::Read::get`].
    fn fetch_of(&self, job: JobId) -> Result<Option<Fetch>, StoreError> {
        let id = self.raw_get(Table::FileIndex, &index(b'j', &[&job.to_bytes()]))?;
        match id.and_then(|id| FetchId::from_bytes(&id)) {
            Some(id) => self.get(id),
            None => Ok(None),
        }
    }

    /// Whether a file that is kept here is gone from its source.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn is_gone(&self, id: FileId) -> Result<bool, StoreError> {
        Ok(self.raw_get(Table::FileIndex, &gone(id))?.is_some())
    }

    /// The bytes of all contents together.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn content_bytes(&self) -> Result<u64, StoreError> {
        let mut sum = 0_u64;
        self.raw_scan(Table::Contents, Span::all(), false, &mut |row, value| {
            let content = crate::store::record::from_row::<Content>(row, value);
            sum = sum.saturating_add(content.map_or(0, |content| content.size));
            ControlFlow::Continue(())
        })?;
        Ok(sum)
    }

    /// The contents of printers' files that came first, at most `limit`, with their sizes: candidates for making room.
    /// Whoever lets one go asks about all of its files again.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn oldest_copies(&self, limit: usize) -> Result<Vec<(Checksum, u64)>, StoreError> {
        let mut oldest: BTreeSet<(i64, Checksum, u64)> = BTreeSet::new();
        self.raw_scan(Table::Files, Span::all(), false, &mut |row, value| {
            let Ok(file) = crate::store::record::from_row::<FileRecord>(row, value) else {
                return ControlFlow::Continue(());
            };
            let is_copy = file.status.is_kept() && file.source.printer_id().is_some() && !file.pinned;
            if let Some(content) = file.content.filter(|_| is_copy) {
                let since = file.kept_at.map_or(0, |time| time.0);
                oldest.insert((since, content, file.size.unwrap_or(0)));
                if oldest.len() > limit {
                    oldest.pop_last();
                }
            }
            ControlFlow::Continue(())
        })?;
        let mut seen = BTreeSet::new();
        let once = oldest.into_iter().filter(|(_, content, _)| seen.insert(*content));
        Ok(once.map(|(_, content, size)| (content, size)).collect())
    }

    /// The numbers behind `prefix`; at most [`INDEXED_READ_MAX`].
    #[doc(hidden)]
    fn indexed<K: Key>(&self, prefix: &[u8]) -> Result<Vec<K>, StoreError> {
        let mut ids = Vec::new();
        // A prefix may end in 0xff (a checksum does), so the scan ends by the rows themselves.
        let from = key(prefix);
        self.raw_scan(Table::FileIndex, Span::from(from), false, &mut |row, _| {
            let Some(rest) = row.strip_prefix(prefix) else { return ControlFlow::Break(()) };
            ids.extend(K::from_bytes(rest));
            if ids.len() < INDEXED_READ_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(ids)
    }
}

impl<T: RawRead> ReadFiles for T {}

impl View<'_> {
    /// The newest versions of all files of `source`, each with the SHA-256 of its path and whether it is kept here and gone
    /// there, one at a time until `visit` breaks.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn newest_files(
        &self,
        source: FileSource,
        visit: &mut dyn FnMut([u8; 32], FileRecord, bool) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let first = by_path(source, b"");
        let prefix: Vec<u8> = first.get(..first.len().saturating_sub(32)).unwrap_or_default().to_vec();
        let mut failed = None;
        self.raw_scan(Table::FileIndex, Span::from(key(&prefix)), false, &mut |row, id| {
            let Some(digest) = row.strip_prefix(prefix.as_slice()) else { return ControlFlow::Break(()) };
            let Some((digest, id)) = digest.try_into().ok().zip(FileId::from_bytes(id)) else {
                return ControlFlow::Continue(());
            };
            let found = self.get::<FileRecord>(id).and_then(|file| Ok((file, self.is_gone(id)?)));
            match found {
                Ok((Some(file), gone)) => visit(digest, file, gone),
                // Noted already where it cannot be read; it costs only itself.
                Ok((None, _)) | Err(StoreError::Record(_)) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }
}

impl Txn<'_> {
    /// A file number that was never used.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn next_file_id(&mut self) -> Result<FileId, StoreError> {
        self.next_number(meta::LAST_FILE).map(FileId)
    }

    /// A fetch number that was never used.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn next_fetch_id(&mut self) -> Result<FetchId, StoreError> {
        self.next_number(meta::LAST_FETCH).map(FetchId)
    }

    /// Removes a version of a file with its links; answers whether it was there. Its content stays.
    ///
    /// # Errors
    /// As [`Txn::delete`].
    pub fn delete_file(&mut self, id: FileId) -> Result<bool, StoreError> {
        let file = match self.get::<FileRecord>(id) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(false),
            // It cannot be read; its links point nowhere then, which every reader takes for absent.
            Err(StoreError::Record(_)) => return self.delete::<FileRecord>(id),
            Err(error) => return Err(error),
        };
        if let Some(content) = file.content {
            self.raw_delete(Table::FileIndex, by_content(content, id));
        }
        let newest = by_path(file.source, &file.path);
        if self.raw_get(Table::FileIndex, &newest)?.and_then(|id| FileId::from_bytes(&id)) == Some(id) {
            self.raw_delete(Table::FileIndex, newest);
        }
        self.raw_delete(Table::FileIndex, index(b'w', &[&id.to_bytes()]));
        self.raw_delete(Table::FileIndex, gone(id));
        self.delete::<FileRecord>(id)
    }

    /// Remembers whether a file that is kept here is gone from its source.
    pub fn set_gone(&mut self, id: FileId, is_gone: bool) {
        if is_gone {
            self.raw_put(Table::FileIndex, gone(id), Vec::new());
        } else {
            self.raw_delete(Table::FileIndex, gone(id));
        }
    }

    /// Removes a content and what was found in it; answers whether it was there. The versions that name it stay, and the
    /// caller removes the bytes.
    ///
    /// # Errors
    /// As [`Txn::delete`].
    pub fn delete_content(&mut self, checksum: Checksum) -> Result<bool, StoreError> {
        let mut found = Vec::new();
        self.raw_scan(Table::Figures, Span::from(checksum.to_bytes()), false, &mut |row, _| {
            if !row.starts_with(&checksum.0) || found.len() > PLATES_MAX {
                return ControlFlow::Break(());
            }
            found.extend(<(Checksum, Option<u32>)>::from_bytes(row));
            ControlFlow::Continue(())
        })?;
        for key in found {
            self.delete::<Figures>(key)?;
        }
        self.delete::<Content>(checksum)
    }

    /// Removes the oldest fetches that are over until at most `keep` fetches are left, at most `removed_max` of them.
    ///
    /// # Errors
    /// What the store meets.
    pub fn trim_fetches(&mut self, keep: u64, removed_max: usize) -> Result<usize, StoreError> {
        let surplus = usize::try_from(self.count::<Fetch>()?.saturating_sub(keep)).unwrap_or(usize::MAX);
        let surplus = surplus.min(removed_max);
        if surplus == 0 {
            return Ok(0);
        }
        let mut over: Vec<(FetchId, Option<JobId>)> = Vec::new();
        for fetch in self.list::<Fetch>(surplus.saturating_mul(2))? {
            if fetch.state.is_over() && over.len() < surplus {
                over.push((fetch.id, fetch.job_id()));
            }
        }
        for (id, job) in &over {
            self.delete::<Fetch>(*id)?;
            if let Some(job) = job {
                let row = index(b'j', &[&job.to_bytes()]);
                if self.raw_get(Table::FileIndex, &row)?.as_deref() == Some(id.to_bytes().as_slice()) {
                    self.raw_delete(Table::FileIndex, row);
                }
            }
        }
        Ok(over.len())
    }
}
