//! The names in the data directory, and opening redb on them without being killed by damaged bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, StorageBackend, StorageError};

use super::env::guarded;
use super::error::StoreError;
use super::refuge::{self, Refuge, RefusalCell, Renew};
use crate::base::clock::Clock;
use crate::base::file::sync_parent;

/// The records and the journal.
pub const MAIN: &str = "printernizer.redb";
/// Where the copies live.
pub(super) const BACKUP_DIR: &str = "backup";
/// The newest copy.
pub(super) const BACKUP: &str = "records.redb";
/// The one before it: a damaged record may be copied for a day before somebody notices.
pub(super) const BACKUP_OLD: &str = "records-old.redb";
/// A copy that is being written.
pub(super) const BACKUP_NEW: &str = "records.redb.new";

/// Damaged files that are kept for whoever wants to look into them.
const DAMAGED_KEPT: u32 = 2;

/// The paths of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) dir: PathBuf,
}

impl Paths {
    pub(super) fn main(&self) -> PathBuf {
        self.dir.join(MAIN)
    }

    pub(super) fn backup_dir(&self) -> PathBuf {
        self.dir.join(BACKUP_DIR)
    }

    pub(super) fn backup(&self) -> PathBuf {
        self.backup_dir().join(BACKUP)
    }

    pub(super) fn backup_old(&self) -> PathBuf {
        self.backup_dir().join(BACKUP_OLD)
    }

    pub(super) fn backup_new(&self) -> PathBuf {
        self.backup_dir().join(BACKUP_NEW)
    }

    fn damaged(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{MAIN}.damaged-{number}"))
    }

    /// Moves the main file aside as `...damaged-1`, the earlier ones one number up, the oldest away.
    pub(super) fn set_aside(&self) -> io::Result<PathBuf> {
        for number in (1..DAMAGED_KEPT).rev() {
            match fs::rename(self.damaged(number), self.damaged(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let aside = self.damaged(1);
        fs::rename(self.main(), &aside)?;
        sync_parent(&aside)?;
        Ok(aside)
    }

    /// Puts a copy of `backup` in the place of the main file.
    pub(super) fn put_back(&self, backup: &Path) -> io::Result<()> {
        let beside = beside(&self.main());
        let mut target = create_private(&beside)?;
        io::copy(&mut File::open(backup)?, &mut target)?;
        target.sync_all()?;
        drop(target);
        fs::rename(&beside, self.main())?;
        sync_parent(&beside)
    }
}

/// Creates an empty file that only this user can read: it will hold access codes.
fn create_private(path: &Path) -> io::Result<File> {
    private().create(true).truncate(true).open(path)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Why a file was not opened.
#[derive(Debug)]
pub(super) enum OpenFailure {
    /// Its bytes are damaged: another file has to take its place.
    Damaged(Arc<str>),
    /// Something that another file would not mend.
    Refused(StoreError),
}

/// Where the bytes of the main file live.
#[derive(Debug)]
pub(super) struct Boxed(pub(super) Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

/// Opens the database in the file at `path`, making it if need be.
pub(super) fn open_file(path: &Path, cache_bytes: usize, check: bool) -> Result<Database, OpenFailure> {
    open(path, file(path)?, cache_bytes, check)
}

/// The same for the main file: what the card refuses from then on is kept in memory, and `refusal` tells of it.
pub(super) fn open_main(
    path: &Path,
    cache_bytes: usize,
    check: bool,
    clock: &Clock,
    refusal: &RefusalCell,
) -> Result<Database, OpenFailure> {
    let renew = renew(path.to_owned());
    let refuge = Refuge::new(Box::new(file(path)?), renew, clock.clone(), refusal.clone());
    open(path, refuge, cache_bytes, check)
}

fn file(path: &Path) -> Result<FileBackend, OpenFailure> {
    let opened = match private().create(true).truncate(false).open(path) {
        // The kernel made a failing card read-only: what is there can be read.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(path),
        opened => opened,
    };
    let file = opened.map_err(|error| {
        OpenFailure::Refused(StoreError::Open(path.to_owned(), Arc::from(error.to_string())))
    })?;
    FileBackend::new(file).map_err(|error| judge(path, error))
}

/// Writes the whole file anew beside itself and puts it in its own place.
fn renew(path: PathBuf) -> Renew {
    Box::new(move |len, read| {
        let beside = beside(&path);
        let written = || -> io::Result<Box<dyn StorageBackend>> {
            let mut target = create_private(&beside)?;
            refuge::copy(len, read, |piece| target.write_all(piece))?;
            target.sync_all()?;
            // The lock is taken before the name, so that no other process gets between.
            let backend = FileBackend::new(target).map_err(io::Error::other)?;
            let locked = backend.try_lock_range(Bound::Unbounded, Bound::Unbounded);
            if !locked.map_err(io::Error::other)? {
                return Err(io::Error::other("another process works on the new file"));
            }
            fs::rename(&beside, &path)?;
            sync_parent(&path)?;
            Ok(Box::new(backend))
        };
        written().inspect_err(|_| {
            // What came of it takes the room that the card may be short of.
            let _ = fs::remove_file(&beside);
        })
    })
}

/// The name under which a new main file is written.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    PathBuf::from(beside)
}

/// Opens the database in `backend`, making it if it is empty. A panic on damaged bytes is damage.
pub(super) fn open(
    path: &Path,
    backend: impl StorageBackend,
    cache_bytes: usize,
    check: bool,
) -> Result<Database, OpenFailure> {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes).set_check_integrity_on_open(check);
    match guarded(move || builder.create_with_backend(backend)) {
        Some(Ok(database)) => Ok(database),
        Some(Err(error)) => Err(judge(path, error)),
        None => Err(OpenFailure::Damaged(Arc::from("reading it ended in a panic"))),
    }
}

/// Damage, or something that another file would not mend?
fn judge(path: &Path, error: DatabaseError) -> OpenFailure {
    let text: Arc<str> = Arc::from(error.to_string());
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            let dir = path.parent().unwrap_or(path);
            OpenFailure::Refused(StoreError::AlreadyOpen(dir.to_owned()))
        }
        // A file of redb 5 or later: not damaged, and not to be replaced by an old copy.
        DatabaseError::UpgradeRequired(version) => {
            OpenFailure::Refused(StoreError::NewerFormat(u64::from(version)))
        }
        DatabaseError::Storage(StorageError::Io(error)) if !is_damage(&error) => {
            OpenFailure::Refused(StoreError::Open(path.to_owned(), text))
        }
        _ => OpenFailure::Damaged(text),
    }
}

/// Whether an error of the file means that its bytes are gone: not ours, too short, or unreadable on the card (EIO, which
/// has no kind of its own).
fn is_damage(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        || error.raw_os_error() == Some(EIO)
}
