//! Records of files and the rows that find them again: by content, by path at the source, by pending work, by open fetch.
//!
//! The index rows of [`Table::FileIndex`] begin with a letter: `c` content and file, `p` source and path to the newest
//! version, `w` a file with pending work, `f` a fetch that is not over, `j` a job's fetch.

use std::ops::ControlFlow;

use sha2::{Digest as _, Sha256};

use super::files_v1;
use crate::model::file::Work;
use crate::model::{Checksum, Content, Fetch, FetchId, Figures, FileId, FileRecord, FileSource, JobId};
use crate::store::error::{DecodeError, StoreError};
use crate::store::read::{RawRead, Read as _, Span};
use crate::store::record::{Record, body, versioned};
use crate::store::tables::{Key, KeyBytes, Table, key, meta};
use crate::store::txn::Txn;

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
fn index(letter: u8, parts: &[&[u8]]) -> KeyBytes {
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
        let id = self.raw_get(Table::FileIndex, &by_path(source, path))?;
        match id.and_then(|id| FileId::from_bytes(&id)) {
            Some(id) => self.get(id),
            None => Ok(None),
        }
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
        self.delete::<FileRecord>(id)
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
