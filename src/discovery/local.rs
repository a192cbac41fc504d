//! The watch folder: a directory that is a source like a printer. Blocks.
//!
//! A file that is still being copied there is not taken: its size and time have to be the same at two looks, [`SETTLED_AFTER`]
//! apart, and still the same when all of it has been read. Links are not followed. A file is copied to its place among the
//! contents; the folder's own is left alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::diff::digest;
use super::{LISTED_MAX, Listing, Seen};
use crate::base::clock::Mono;
use crate::library::{Library, LibraryError, record};
use crate::model::{Checksum, Content, FetchKind, FileId, FileRecord, FileSource, FileStatus};
use crate::store::{Read as _, Store, StoreError, blobs};

/// A file that has not changed for this time is whole: whoever copies writes more often, and whoever does not is found out
/// when all of it has been read.
pub const SETTLED_AFTER: Duration = Duration::from_secs(4);

/// Folders below each other at most.
const DEPTH_MAX: usize = 8;

/// Folders at most: each is one read of a directory.
const FOLDERS_MAX: usize = 1_000;

/// Entries of all folders that are looked at, files that cannot be printed included.
const ENTRIES_MAX: usize = 4 * LISTED_MAX;

/// Bytes that are copied at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Bytes whose hash tells an unchanged file, see [`Content::head`].
const HEAD_BYTES: u64 = 64 * 1024;

/// `O_NOFOLLOW`: the same number on every Linux that this runs on (x86-64 and ARM differ).
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// How a file was at the last look.
type Look = (u64, i64, i64);

/// The folder between two looks.
#[derive(Debug, Default)]
pub struct Folder {
    /// How each file was at the last look and since when, by the SHA-256 of the path; at most [`LISTED_MAX`].
    last: BTreeMap<[u8; 32], (Look, Mono)>,
}

/// What a look brought.
#[derive(Debug, Default)]
pub struct Looked {
    /// The files that have settled.
    pub listing: Listing,
    /// Files that have not: another look soon is worth it.
    pub unsettled: usize,
}

impl Folder {
    /// Looks through the folder.
    pub fn look(&mut self, root: &Path, now: Mono) -> Looked {
        let mut looked = Looked::default();
        let mut seen_now = BTreeMap::new();
        let mut walk = Walk { folders: vec![(root.to_owned(), 0)], entries: 0, complete: true, visited: 0 };
        if let Err(error) = fs::read_dir(root) {
            looked.listing =
                Listing::failed(FetchKind::NotFound, format!("the folder cannot be read: {error}"));
            return looked;
        }
        looked.listing.complete = true;
        while let Some(path) = walk.next_file() {
            let Ok(relative) = path.strip_prefix(root) else { continue };
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            let bytes = relative.as_os_str().as_bytes().to_vec();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let look = (meta.size(), meta.mtime(), meta.mtime_nsec());
            let key = digest(&bytes);
            let before = self.last.get(&key).filter(|(before, _)| *before == look);
            let since = before.map_or(now, |(_, since)| *since);
            let settled = before.is_some() && now.since(since) >= SETTLED_AFTER && meta.size() > 0;
            if seen_now.len() < LISTED_MAX {
                seen_now.insert(key, (look, since));
            }
            if !settled {
                looked.unsettled += usize::from(super::is_printable(&name));
                continue;
            }
            let mark = Some(format!("{}.{:09}", look.1, look.2));
            if !looked.listing.push(Seen { path: bytes, name, size: Some(look.0), mark }) {
                break;
            }
        }
        // A file that is being written is there, although it is not listed.
        looked.listing.complete &= walk.complete && looked.unsettled == 0;
        self.last = seen_now;
        looked
    }
}

/// Walks folders without recursion.
struct Walk {
    folders: Vec<(PathBuf, usize)>,
    entries: usize,
    visited: usize,
    complete: bool,
}

impl Walk {
    fn next_file(&mut self) -> Option<PathBuf> {
        loop {
            let (path, depth) = self.folders.pop()?;
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if meta.is_file() {
                return Some(path);
            }
            // The folder itself may be a link; what lies in it may not.
            let is_root = depth == 0 && path.is_dir();
            if !(meta.is_dir() || is_root) {
                continue;
            }
            self.visited += 1;
            if depth > DEPTH_MAX || self.visited > FOLDERS_MAX {
                self.complete = false;
                continue;
            }
            let Ok(entries) = fs::read_dir(&path) else {
                self.complete = false;
                continue;
            };
            for entry in entries {
                let Ok(entry) = entry else {
                    self.complete = false;
                    continue;
                };
                if self.entries >= ENTRIES_MAX {
                    self.complete = false;
                    break;
                }
                // What is hidden is not meant for us.
                if !entry.file_name().as_bytes().starts_with(b".") {
                    self.entries += 1;
                    self.folders.push((entry.path(), depth + 1));
                }
            }
        }
    }
}

/// Parts are told apart by a number of their own.
static PARTS: AtomicU64 = AtomicU64::new(1);

/// Copies what is recorded of the folder and not here yet; one file after the other until `go_on` says no. A file that
/// cannot be taken says why in its record and is tried again at the next look.
///
/// # Errors
/// [`StoreError`].
pub fn take_all(
    store: &Store,
    library: &Library,
    root: &Path,
    go_on: &dyn Fn() -> bool,
) -> Result<usize, StoreError> {
    let mut waiting: Vec<FileId> = Vec::new();
    store.read_blocking(|view| {
        view.newest_files(FileSource::Local, &mut |_, file, gone| {
            let wanted = matches!(file.status, FileStatus::Available | FileStatus::Error) && !gone;
            waiting.extend(wanted.then_some(file.id));
            std::ops::ControlFlow::Continue(())
        })
    })?;
    let mut taken = 0;
    for id in waiting {
        if !go_on() {
            break;
        }
        let Some(file) = store.read_blocking(|view| view.get::<FileRecord>(id))? else { continue };
        let error = match take(store, library, root, file) {
            Ok(()) => {
                taken += 1;
                continue;
            }
            Err(LibraryError::Store(error)) => return Err(error),
            Err(error) => error,
        };
        let kind = match &error {
            LibraryError::TooLarge => FetchKind::TooLarge,
            LibraryError::NoSpace | LibraryError::Full => FetchKind::NoSpace,
            LibraryError::NoFile => FetchKind::NotFound,
            LibraryError::Cut => FetchKind::SizeMismatch,
            _ => FetchKind::Interrupted,
        };
        let words = error.to_string();
        store.write_blocking(move |txn| {
            let file = txn.get::<FileRecord>(id)?.filter(|file| !file.status.is_kept());
            if let Some(mut file) =
                file.filter(|file| file.error.as_ref().map(|(kind, _)| *kind) != Some(kind))
            {
                file.status = FileStatus::Error;
                file.error = Some((kind, words));
                txn.put(&file)?;
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(taken)
}

fn take(store: &Store, library: &Library, root: &Path, file: FileRecord) -> Result<(), LibraryError> {
    let path = root.join(std::ffi::OsStr::from_bytes(&file.path));
    let size = file.size.unwrap_or(0);
    if size > library.config().max_file_size {
        return Err(LibraryError::TooLarge);
    }
    let _reserved = library.card().reserve(size)?;
    let part = format!("l{}", PARTS.fetch_add(1, Ordering::Relaxed));
    let result = copy(library, &path, &part, size).and_then(|(checksum, head)| {
        let _claim = library.blobs().claim(checksum);
        let known = store.read_blocking(|view| view.get::<Content>(checksum))?;
        let extension = known.map_or_else(|| blobs::extension(&file.name), |content| content.extension);
        library.blobs().keep(&part, checksum, &extension)?;
        store.write_blocking(move |txn| {
            let kept_at = txn.now().wall;
            let file = txn.get::<FileRecord>(file.id)?.ok_or(LibraryError::NoFile)?;
            let (plate_md5, verified, damage) = (Vec::new(), None, None);
            let content = Content { checksum, size, head, plate_md5, extension, verified, damage, kept_at };
            record::taken(txn, file, content, None, None).map(|_| ())
        })
    });
    if let Err(error) = library.blobs().drop_part(&part) {
        log::warn!("the rest of a copy stays until the next start: {error}");
    }
    result
}

/// Copies and hashes; the file has to be the same before and after.
fn copy(library: &Library, path: &Path, part: &str, size: u64) -> Result<(Checksum, Checksum), LibraryError> {
    let missing = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => LibraryError::NoFile,
        _ => error.into(),
    };
    let mut from = File::options().read(true).custom_flags(NO_FOLLOW).open(path).map_err(missing)?;
    let before = from.metadata()?;
    if !before.is_file() || before.len() != size {
        return Err(LibraryError::Cut);
    }
    library.blobs().drop_part(part)?;
    let mut to = library.blobs().open_part(part)?;
    let (mut whole, mut head, mut done) = (Sha256::new(), Sha256::new(), 0_u64);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        let in_head = usize::try_from(HEAD_BYTES.saturating_sub(done)).unwrap_or(0);
        head.update(bytes.get(..in_head.min(count)).unwrap_or_default());
        whole.update(bytes);
        std::io::Write::write_all(&mut to, bytes)?;
        done += u64::try_from(count).unwrap_or(u64::MAX);
        if done > size {
            return Err(LibraryError::Cut);
        }
    }
    let after = fs::symlink_metadata(path).map_err(missing)?;
    let same = after.mtime() == before.mtime() && after.mtime_nsec() == before.mtime_nsec();
    if done != size || after.len() != size || !same {
        return Err(LibraryError::Cut);
    }
    Ok((Checksum(whole.finalize().into()), Checksum(head.finalize().into())))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files that others have put there")]
mod tests {
    use super::*;

    fn names(looked: &Looked) -> Vec<String> {
        let mut names: Vec<String> = looked.listing.files.iter().map(|seen| seen.name.clone()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_listed_when_it_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::default();
        fs::create_dir(dir.path().join("Kiste \u{e4}")).unwrap();
        fs::write(dir.path().join("Kiste \u{e4}/W\u{fc}rfel.gcode"), b"G1").unwrap();
        fs::write(dir.path().join("notes.txt"), b"x").unwrap();
        fs::write(dir.path().join(".hidden.gcode"), b"x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link.gcode")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("up")).unwrap();
        let first = folder.look(dir.path(), Mono(0));
        assert!(names(&folder.look(dir.path(), Mono(3_999))).is_empty());
        assert_eq!((names(&first), first.unsettled, first.listing.complete), (vec![], 1, false));
        let second = folder.look(dir.path(), Mono(4_000));
        assert_eq!(names(&second), ["W\u{fc}rfel.gcode"]);
        assert_eq!(second.listing.files[0].path, "Kiste \u{e4}/W\u{fc}rfel.gcode".as_bytes());
        assert!(second.listing.complete && second.unsettled == 0);
        // It grows: it is being written again, and nothing is taken away meanwhile.
        fs::write(dir.path().join("Kiste \u{e4}/W\u{fc}rfel.gcode"), b"G1 X1").unwrap();
        let third = folder.look(dir.path(), Mono(9_000));
        assert_eq!((names(&third), third.listing.complete), (vec![], false));
        assert_eq!(folder.look(dir.path(), Mono(13_000)).listing.files[0].size, Some(5));
        fs::remove_dir_all(dir.path()).unwrap();
        let gone = folder.look(dir.path(), Mono(14_000)).listing;
        assert!(!gone.complete && gone.error.is_some());
    }
}
