//! Taking a backup: everything is checked and laid down beside what is in use, and nothing else is touched.
//!
//! ```text
//! restore/lock            held by whoever takes a backup
//! restore/state           what came so far: where it goes on, and whether it is whole; replaced as a whole
//! restore/records.redb    the records
//! restore/part            a file that is coming
//! restore/files, thumbs   files that came
//! ```
//! A transfer that breaks off leaves what came up to the last *checkpoint*: behind the records, and then behind every file
//! that makes [`CHECKPOINT_BYTES`] full. What turns out to be no good backup leaves nothing.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::frame::{Chain, Found, Reader, Section};
use super::make::Blob;
use super::manifest::Manifest;
use super::seal::{Passphrase, hex, unhex};
use super::{BackupError, RESTORE_DIR, SECRETS_BYTES_MAX};
use crate::base::file::{sync_parent, write_atomic};
use crate::store::{Import, Row, Table};

/// Bytes of files between two checkpoints: what a transfer that broke off sends again at most, besides the file it was at.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes between two looks at the room on the card.
const ROOM_BYTES: u64 = 1024 * 1024;
/// Bytes of the state's file.
const STATE_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of encrypted secrets: the secrets, a nonce and a tag.
const SEALED_BYTES_MAX: usize = SECRETS_BYTES_MAX + 64;

/// What whoever sends a backup wants.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Opens the secrets.
    pub passphrase: Option<Passphrase>,
    /// Take it without its secrets where there is no passphrase.
    pub without_secrets: bool,
    /// The first byte that is sent; not 0 only where an earlier transfer goes on.
    pub offset: u64,
    /// Bytes of the card to leave free.
    pub reserve_bytes: u64,
    /// Rows with secrets of this device that stay where the backup's own are not restored: the password at its door.
    pub keep: Vec<Row>,
}

/// What was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The backup's description.
    pub manifest: Manifest,
    /// Whether the secrets are restored.
    pub secrets: bool,
}

/// How far a restore is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The backup's description.
    pub manifest: Manifest,
    /// Where it goes on.
    pub offset: u64,
    /// Whether it is whole, and takes effect at the next start.
    pub ready: bool,
}

/// The file `state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub manifest: Manifest,
    offset: u64,
    count: u64,
    chain: String,
    secrets: bool,
    pub ready: bool,
}

impl State {
    fn chain(&self) -> Option<Chain> {
        let hash = unhex(&self.chain)?.try_into().ok()?;
        Some(Chain { count: self.count, hash })
    }

    /// The state in a data directory, if there is one that can be read.
    pub fn read(data_dir: &Path) -> Option<State> {
        let mut text = Vec::new();
        File::open(state_path(data_dir)).ok()?.take(STATE_BYTES_MAX).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

pub(super) fn dir(data_dir: &Path) -> PathBuf {
    data_dir.join(RESTORE_DIR)
}

pub(super) fn state_path(data_dir: &Path) -> PathBuf {
    dir(data_dir).join("state")
}

pub(super) fn records_path(data_dir: &Path) -> PathBuf {
    dir(data_dir).join("records.redb")
}

/// How far a restore is, if one was begun.
#[must_use]
pub fn progress(data_dir: &Path) -> Option<Progress> {
    let State { manifest, offset, ready, .. } = State::read(data_dir)?;
    Some(Progress { manifest, offset, ready })
}

/// Takes the backup that `input` brings, from byte `wishes.offset` on. When this answers, the whole is checked and on the card,
/// and [`super::switch`] puts it into its place at the next start.
///
/// # Errors
/// [`BackupError`]. After [`BackupError::Cut`] and errors of the card the transfer can go on where [`progress`] says; after
/// every other nothing is left of it. What is in use is never touched.
pub fn receive(data_dir: &Path, input: &mut dyn Read, wishes: &Wishes) -> Result<Received, BackupError> {
    receive_with(data_dir, input, wishes, &mut |_| Ok(()))
}

/// [`receive`] with a look at each of its steps, which may fail it: for tests.
pub(super) fn receive_with(
    data_dir: &Path,
    input: &mut dyn Read,
    wishes: &Wishes,
    step: &mut dyn FnMut(&'static str) -> io::Result<()>,
) -> Result<Received, BackupError> {
    let _lock = lock(data_dir)?;
    // What is refused at its beginning leaves alone what was begun before.
    let (stage, reader) = Stage::begin(data_dir, input, wishes, step)?;
    let result = stage.run(reader);
    let leaves_nothing = |error: &BackupError| !matches!(error, BackupError::Cut | BackupError::Io(_));
    if result.as_ref().is_err_and(leaves_nothing) {
        clear(data_dir)?;
    }
    result
}

/// Keeps others from taking a backup at the same time; given back when dropped.
fn lock(data_dir: &Path) -> Result<File, BackupError> {
    match DirBuilder::new().mode(0o700).create(dir(data_dir)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(dir(data_dir).join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(BackupError::Busy),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Removes everything of a restore but the lock: first what says that there is something.
pub(super) fn clear(data_dir: &Path) -> Result<(), BackupError> {
    crate::base::file::remove(&state_path(data_dir))?;
    let entries = fs::read_dir(dir(data_dir))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == "lock" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

struct Stage<'a> {
    data_dir: &'a Path,
    wishes: &'a Wishes,
    step: &'a mut dyn FnMut(&'static str) -> io::Result<()>,
    manifest: Manifest,
    /// Secrets that wait for the records.
    secrets: Vec<Row>,
    has_records: bool,
    since_checkpoint: u64,
    since_look: u64,
    /// Folders with files that are not synced yet.
    folders: BTreeSet<PathBuf>,
}

impl<'a> Stage<'a> {
    fn begin<'r>(
        data_dir: &'a Path,
        input: &'r mut dyn Read,
        wishes: &'a Wishes,
        step: &'a mut dyn FnMut(&'static str) -> io::Result<()>,
    ) -> Result<(Stage<'a>, Reader<'r>), BackupError> {
        let (reader, manifest) = if wishes.offset == 0 {
            let (reader, manifest) = Reader::begin(input)?;
            let manifest = Manifest::from_bytes(&manifest)?;
            if manifest.has_secrets() && wishes.passphrase.is_none() && !wishes.without_secrets {
                return Err(BackupError::PassphraseNeeded);
            }
            clear(data_dir)?;
            (reader, manifest)
        } else {
            let state = State::read(data_dir).filter(|state| !state.ready);
            let here = state.as_ref().filter(|state| state.offset == wishes.offset);
            match here.and_then(|state| Some((state.manifest.clone(), state.chain()?))) {
                Some((manifest, chain)) => (Reader::resume(input, wishes.offset, chain), manifest),
                None => {
                    let offset = state.as_ref().map_or(0, |state| state.offset);
                    return Err(BackupError::ElsewhereNow {
                        id: state.map(|state| state.manifest.id),
                        offset,
                    });
                }
            }
        };
        let stage = Stage {
            data_dir,
            wishes,
            step,
            manifest,
            secrets: Vec::new(),
            has_records: wishes.offset > 0,
            since_checkpoint: 0,
            since_look: ROOM_BYTES,
            folders: BTreeSet::new(),
        };
        Ok((stage, reader))
    }

    fn run(mut self, mut reader: Reader<'_>) -> Result<Received, BackupError> {
        loop {
            match reader.next()? {
                Found::Begin(Section::Secrets, _) if !self.has_records && self.secrets.is_empty() => {
                    self.secrets(&mut reader)?;
                }
                Found::Begin(Section::Records, _) if !self.has_records => {
                    self.records(&mut reader)?;
                    self.has_records = true;
                    self.checkpoint(&reader, false)?;
                }
                Found::Begin(Section::Blob, name) if self.has_records => {
                    self.blob(&mut reader, &name)?;
                    if self.since_checkpoint >= CHECKPOINT_BYTES {
                        self.checkpoint(&reader, false)?;
                    }
                }
                Found::Whole if self.has_records => {
                    self.checkpoint(&reader, true)?;
                    let secrets = self.manifest.has_secrets() && self.wishes.passphrase.is_some();
                    return Ok(Received { manifest: self.manifest, secrets });
                }
                Found::Whole => return Err(BackupError::Damaged("it holds no records")),
                Found::Begin(..) | Found::Data(_) | Found::End(_) => {
                    return Err(BackupError::Damaged("its parts are in no order"));
                }
            }
        }
    }

    fn secrets(&mut self, reader: &mut Reader<'_>) -> Result<(), BackupError> {
        let mut sealed = Vec::new();
        loop {
            match reader.next()? {
                Found::Data(bytes) if sealed.len() + bytes.len() <= SEALED_BYTES_MAX => sealed.extend(bytes),
                Found::End(_) => break,
                _ => return Err(BackupError::Damaged("its secrets")),
            }
        }
        let derivation = self.manifest.secrets.as_ref().ok_or(BackupError::Damaged("its secrets"))?;
        if let Some(passphrase) = &self.wishes.passphrase {
            let plain = derivation.open(passphrase, self.manifest.id.as_bytes(), &sealed)?;
            rows(&plain, &mut |row| {
                self.secrets.push(row);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn records(&mut self, reader: &mut Reader<'_>) -> Result<(), BackupError> {
        (self.step)("begin the records")?;
        let mut import = Import::begin(&records_path(self.data_dir))?;
        loop {
            match reader.next()? {
                Found::Data(bytes) => {
                    self.room(bytes.len())?;
                    rows(&bytes, &mut |row| Ok(import.put(&row)?))?;
                }
                Found::End(_) => break,
                Found::Begin(..) | Found::Whole => {
                    return Err(BackupError::Damaged("its parts are in no order"));
                }
            }
        }
        let restores_secrets = self.manifest.has_secrets() && self.wishes.passphrase.is_some();
        let kept = self.wishes.keep.iter().filter(|_| !restores_secrets).cloned();
        for row in kept.chain(self.secrets.drain(..)) {
            import.put(&row)?;
        }
        (self.step)("finish the records")?;
        import.finish()?;
        self.folders.insert(dir(self.data_dir));
        Ok(())
    }

    fn blob(&mut self, reader: &mut Reader<'_>, name: &str) -> Result<(), BackupError> {
        let blob = Blob::of(name).ok_or(BackupError::Damaged("a file has a name that none has"))?;
        // A content is what its name says: where it is already, its bytes are only checked.
        let is_here = matches!(blob, Blob::Content(_)) && self.data_dir.join(name).exists();
        let part = dir(self.data_dir).join("part");
        let mut file = if is_here {
            None
        } else {
            (self.step)("begin a file")?;
            let mut options = OpenOptions::new();
            Some(options.create(true).write(true).truncate(true).mode(0o640).open(&part)?)
        };
        let hash = loop {
            match reader.next()? {
                Found::Data(bytes) => {
                    self.room(bytes.len())?;
                    self.since_checkpoint += u64::try_from(bytes.len()).unwrap_or(0);
                    if let Some(file) = &mut file {
                        file.write_all(&bytes)?;
                    }
                }
                Found::End(hash) => break hash,
                Found::Begin(..) | Found::Whole => {
                    return Err(BackupError::Damaged("its parts are in no order"));
                }
            }
        };
        if matches!(blob, Blob::Content(checksum) if checksum.0 != hash) {
            return Err(BackupError::Damaged("a file is not what its name says"));
        }
        if let Some(file) = file {
            (self.step)("sync a file")?;
            file.sync_all()?;
            let target = dir(self.data_dir).join(name);
            let folder = target.parent().unwrap_or(&target).to_owned();
            fs::create_dir_all(&folder)?;
            (self.step)("keep a file")?;
            fs::rename(&part, &target)?;
            self.folders.insert(folder);
        }
        Ok(())
    }

    /// Looks now and then whether there is room.
    fn room(&mut self, bytes: usize) -> Result<(), BackupError> {
        self.since_look += u64::try_from(bytes).unwrap_or(0);
        if self.since_look >= ROOM_BYTES {
            self.since_look = 0;
            let stat = rustix::fs::statvfs(self.data_dir).map_err(io::Error::from)?;
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            if free < self.wishes.reserve_bytes.saturating_add(2 * ROOM_BYTES) {
                return Err(BackupError::NoSpace);
            }
        }
        Ok(())
    }

    /// Makes everything so far durable, and says so.
    fn checkpoint(&mut self, reader: &Reader<'_>, ready: bool) -> Result<(), BackupError> {
        for folder in std::mem::take(&mut self.folders) {
            (self.step)("sync a folder")?;
            File::open(&folder)?.sync_all()?;
            sync_parent(&folder)?;
        }
        let Chain { count, hash } = reader.chain();
        let state = State {
            manifest: self.manifest.clone(),
            offset: reader.offset(),
            count,
            chain: hex(&hash),
            secrets: self.wishes.passphrase.is_some(),
            ready,
        };
        (self.step)(if ready { "say that it is whole" } else { "say how far it is" })?;
        let text = serde_json::to_vec(&state).unwrap_or_default();
        write_atomic(&state_path(self.data_dir), &text)?;
        sync_parent(&dir(self.data_dir))?;
        self.since_checkpoint = 0;
        Ok(())
    }
}

/// Reads a backup from front to back without keeping anything of it: whether it is whole, and opens with `passphrase`.
///
/// # Errors
/// [`BackupError`].
pub fn check(input: &mut dyn Read, passphrase: Option<&Passphrase>) -> Result<Manifest, BackupError> {
    let (mut reader, manifest) = Reader::begin(input)?;
    let manifest = Manifest::from_bytes(&manifest)?;
    let mut sealed = None;
    loop {
        match reader.next()? {
            Found::Begin(Section::Secrets, _) => sealed = Some(Vec::new()),
            Found::Begin(..) => sealed = None,
            Found::Data(bytes) => {
                if let Some(sealed) = sealed.as_mut().filter(|sealed| sealed.len() <= SEALED_BYTES_MAX) {
                    sealed.extend(bytes);
                }
            }
            Found::End(_) => {
                if let (Some(sealed), Some(derivation), Some(passphrase)) =
                    (sealed.take(), &manifest.secrets, passphrase)
                {
                    derivation.open(passphrase, manifest.id.as_bytes(), &sealed)?;
                }
            }
            Found::Whole => return Ok(manifest),
        }
    }
}

/// Reads rows as [`super::make::row_into`] wrote them; whole ones only.
fn rows(bytes: &[u8], take: &mut dyn FnMut(Row) -> Result<(), BackupError>) -> Result<(), BackupError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let row = row(&mut rest).ok_or(BackupError::Damaged("a record is cut"))?;
        match row {
            Ok(row) => take(row)?,
            // A table that is not known here.
            Err(()) => return Err(BackupError::Newer),
        }
    }
    Ok(())
}

fn row(rest: &mut &[u8]) -> Option<Result<Row, ()>> {
    let mut part = |length: usize| {
        let (part, after) = rest.split_at_checked(length)?;
        *rest = after;
        Some(part)
    };
    let length = usize::from(*part(1)?.first()?);
    let name = part(length)?;
    let length = usize::from(u16::from_be_bytes(part(2)?.try_into().ok()?));
    let key = part(length)?.to_vec();
    let length = usize::try_from(u32::from_be_bytes(part(4)?.try_into().ok()?)).ok()?;
    let value = part(length)?.to_vec();
    let table = Table::ALL.iter().copied().find(|table| table.name().as_bytes() == name);
    Some(table.map(|table| Row { table, key, value }).ok_or(()))
}
