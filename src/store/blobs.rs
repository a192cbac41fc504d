//! What is too large for a record: the bytes of print files and the PNGs of their thumbnails, kept by content.
//!
//! ```text
//! files/ab/abcd...ef.gcode.3mf     a content, in a folder by the first two digits of its SHA-256
//! files/part/d12                   bytes of fetch d12 that are still coming
//! thumbs/ab/abcd...ef-2-l.png      the large thumbnail of plate 2 (0: the file's own choice)
//! ```
//! A part becomes a content by sync, rename and a sync of its directory; only then is it recorded. So a start finds three
//! things to tidy up, and [`Blobs::sweep`] does: parts nobody waits for, contents nobody recorded, thumbnails without a
//! content. Everything here blocks: call it off the executor.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::base::file::{sync_parent, write_atomic};
use crate::model::Checksum;

/// Contents and thumbnails.
const FILES: &str = "files";
const THUMBS: &str = "thumbs";
const PART: &str = "part";

/// Bytes of an ending that is kept: `gcode.3mf` has nine.
const EXTENSION_BYTES_MAX: usize = 12;

/// Names in one directory that a sweep looks at: some 5 000 files in 256 folders, with a wide margin.
const SWEPT_PER_FOLDER_MAX: usize = 20_000;

/// The sizes of a thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThumbSize {
    /// At most 128 pixels.
    Small,
    /// At most 256 pixels.
    Medium,
    /// At most 512 pixels.
    Large,
}

impl ThumbSize {
    /// Every size.
    pub const ALL: [ThumbSize; 3] = [ThumbSize::Small, ThumbSize::Medium, ThumbSize::Large];

    /// The name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ThumbSize::Small => "small",
            ThumbSize::Medium => "medium",
            ThumbSize::Large => "large",
        }
    }

    fn letter(self) -> char {
        match self {
            ThumbSize::Small => 's',
            ThumbSize::Medium => 'm',
            ThumbSize::Large => 'l',
        }
    }
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Parts.
    pub parts: u64,
    /// Contents.
    pub contents: u64,
    /// Thumbnails.
    pub thumbnails: u64,
    /// What could not be removed or looked at.
    pub failures: u64,
}

/// The places of a data directory.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: PathBuf,
    claims: Arc<Claims>,
}

/// Contents that somebody is recording or removing right now; as many as threads do so.
#[derive(Debug, Default)]
struct Claims {
    taken: Mutex<BTreeSet<Checksum>>,
    freed: Condvar,
}

/// The right to keep, record or remove one content; given back when dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    checksum: Checksum,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.checksum);
        self.claims.freed.notify_all();
    }
}

impl Blobs {
    /// The blobs of `data_dir`; makes the directories that are missing.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn open(data_dir: &Path) -> io::Result<Blobs> {
        let blobs = Blobs { root: data_dir.to_owned(), claims: Arc::default() };
        for place in [blobs.root.join(FILES).join(PART), blobs.root.join(THUMBS)] {
            // Whoever reads this has to know whose rights are wrong.
            fs::create_dir_all(&place)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", place.display())))?;
        }
        Ok(blobs)
    }

    /// Waits until nobody else records or removes this content, and keeps others from it. Whoever keeps a content holds the
    /// claim until it is recorded, and whoever removes one takes it before looking whether somebody needs it: so bytes
    /// that have just been recorded are never removed. A claim is held for a commit, so the wait is short.
    #[must_use]
    pub fn claim(&self, checksum: Checksum) -> Claim {
        let mut taken = self.claims.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while !taken.insert(checksum) {
            taken = self.claims.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        Claim { claims: Arc::clone(&self.claims), checksum }
    }

    /// The data directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The place of a content below the data directory, as events and answers name it.
    #[must_use]
    pub fn name(checksum: Checksum, extension: &str) -> String {
        let digits = checksum.to_string();
        let folder = digits.get(..2).unwrap_or_default();
        let dot = if extension.is_empty() { "" } else { "." };
        format!("{FILES}/{folder}/{digits}{dot}{extension}")
    }

    /// The place of a content.
    #[must_use]
    pub fn content(&self, checksum: Checksum, extension: &str) -> PathBuf {
        self.root.join(Blobs::name(checksum, extension))
    }

    /// The place of a thumbnail.
    #[must_use]
    pub fn thumbnail(&self, checksum: Checksum, plate: Option<u32>, size: ThumbSize) -> PathBuf {
        let digits = checksum.to_string();
        let folder = digits.get(..2).unwrap_or_default();
        let name = format!("{digits}-{}-{}.png", plate.unwrap_or(0), size.letter());
        self.root.join(THUMBS).join(folder).join(name)
    }

    /// The place where the bytes of `name` (a fetch, an upload) are gathered.
    #[must_use]
    pub fn part(&self, name: &str) -> PathBuf {
        self.root.join(FILES).join(PART).join(name)
    }

    /// Opens a part for writing behind what is there.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn open_part(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(self.part(name))
    }

    /// Removes a part; an absent one is fine.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn drop_part(&self, name: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.part(name)))
    }

    /// Makes a whole part the content `checksum`: sync, rename, sync of the directory. Where the content is there already
    /// (same length) the part is removed. Answers the place.
    ///
    /// # Errors
    /// Whatever the file system answers; the part is still there then.
    pub fn keep(&self, name: &str, checksum: Checksum, extension: &str) -> io::Result<PathBuf> {
        let (part, target) = (self.part(name), self.content(checksum, extension));
        let file = File::open(&part)?;
        let length = file.metadata()?.len();
        if fs::metadata(&target).is_ok_and(|there| there.is_file() && there.len() == length) {
            self.drop_part(name)?;
            return Ok(target);
        }
        file.sync_all()?;
        drop(file);
        self.make_folder(&target)?;
        fs::rename(&part, &target)?;
        sync_parent(&target)?;
        sync_parent(&part)?;
        Ok(target)
    }

    /// Writes a thumbnail so that it is whole or not there.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn put_thumbnail(
        &self,
        checksum: Checksum,
        plate: Option<u32>,
        size: ThumbSize,
        png: &[u8],
    ) -> io::Result<()> {
        let target = self.thumbnail(checksum, plate, size);
        self.make_folder(&target)?;
        write_atomic(&target, png)
    }

    /// Removes a content and its thumbnails; what is absent is fine.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn remove(&self, checksum: Checksum, extension: &str) -> io::Result<()> {
        let target = self.content(checksum, extension);
        absent_is_fine(fs::remove_file(&target))?;
        let digits = checksum.to_string();
        let folder = self.root.join(THUMBS).join(digits.get(..2).unwrap_or_default());
        for name in names(&folder)?.into_iter().filter(|name| name.starts_with(&digits)) {
            absent_is_fine(fs::remove_file(folder.join(name)))?;
        }
        Ok(())
    }

    /// Removes what no record names. `is_kept` is asked for every content found, `is_awaited` for every part by its name.
    /// Goes on where something cannot be removed.
    pub fn sweep(
        &self,
        mut is_kept: impl FnMut(Checksum) -> bool,
        mut is_awaited: impl FnMut(&str) -> bool,
    ) -> Swept {
        let mut swept = Swept::default();
        let parts = self.root.join(FILES).join(PART);
        (swept.parts, swept.failures) = sweep_folder(&parts, &mut is_awaited);
        for top in [FILES, THUMBS] {
            let folders = names(&self.root.join(top)).unwrap_or_else(|error| {
                log::warn!("cannot look into {top}: {error}");
                swept.failures += 1;
                Vec::new()
            });
            for folder in folders.into_iter().filter(|name| name.len() == 2) {
                let (removed, failures) = sweep_folder(&self.root.join(top).join(folder), &mut |name| {
                    name.get(..64).and_then(|digits| digits.parse().ok()).is_some_and(&mut is_kept)
                });
                swept.failures += failures;
                *(if top == FILES { &mut swept.contents } else { &mut swept.thumbnails }) += removed;
            }
        }
        swept
    }

    /// Bytes that the service may still write to the card that holds the data directory.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn make_folder(&self, target: &Path) -> io::Result<()> {
        let Some(folder) = target.parent() else { return Ok(()) };
        match fs::create_dir(folder) {
            Ok(()) => sync_parent(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The ending under which a file of this name is kept: what follows the first known ending, in lower case; empty for a
/// name without one.
#[must_use]
pub fn extension(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    for known in [".gcode.3mf", ".3mf", ".bgcode", ".bgc", ".gcode", ".gco", ".gc", ".g"] {
        if lower.ends_with(known) {
            return known.trim_start_matches('.').chars().take(EXTENSION_BYTES_MAX).collect();
        }
    }
    String::new()
}

/// Removes the files of a folder for which `stays` says no; answers how many are gone, and how often that failed.
fn sweep_folder(folder: &Path, stays: &mut impl FnMut(&str) -> bool) -> (u64, u64) {
    let Ok(found) = names(folder) else { return (0, 1) };
    let (mut removed, mut failures) = (0, 0);
    for name in found {
        // A thumbnail that was being written has an ending of its own and is named by nobody.
        if !name.ends_with(".new") && stays(&name) {
            continue;
        }
        match fs::remove_file(folder.join(&name)) {
            Ok(()) => removed += 1,
            Err(error) => {
                log::warn!("cannot remove {name}: {error}");
                failures += 1;
            }
        }
    }
    (removed, failures)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The names of the files in a folder, at most [`SWEPT_PER_FOLDER_MAX`]; an absent folder has none. Names that are no
/// UTF-8 are not ours and are left alone.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries
        .take(SWEPT_PER_FOLDER_MAX)
        .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn checksum(byte: u8) -> Checksum {
        Checksum([byte; 32])
    }

    #[test]
    fn what_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join(THUMBS)).unwrap();
        let error = Blobs::open(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with(dir.path().join(THUMBS).to_str().unwrap()), "{error}");
    }

    #[test]
    fn a_part_becomes_a_content_once() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        for round in 0..2 {
            blobs.open_part("d1").unwrap().write_all(b"bytes").unwrap();
            let place = blobs.keep("d1", checksum(0xab), "gcode").unwrap();
            assert_eq!(fs::read(&place).unwrap(), b"bytes", "{round}");
            assert!(!blobs.part("d1").exists());
            assert_eq!(place, dir.path().join(Blobs::name(checksum(0xab), "gcode")));
        }
        blobs.put_thumbnail(checksum(0xab), Some(2), ThumbSize::Small, b"png").unwrap();
        blobs.remove(checksum(0xab), "gcode").unwrap();
        assert!(!blobs.content(checksum(0xab), "gcode").exists());
        assert!(!blobs.thumbnail(checksum(0xab), Some(2), ThumbSize::Small).exists());
        blobs.remove(checksum(0xab), "gcode").unwrap();
        assert!(blobs.keep("d9", checksum(1), "").is_err());
    }

    #[test]
    fn a_sweep_removes_what_nobody_names() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        for (part, byte) in [("d1", 1_u8), ("d2", 2)] {
            blobs.open_part(part).unwrap().write_all(&[byte]).unwrap();
            blobs.keep(part, checksum(byte), "3mf").unwrap();
            blobs.put_thumbnail(checksum(byte), None, ThumbSize::Large, b"png").unwrap();
            blobs.open_part(part).unwrap();
        }
        File::create(blobs.thumbnail(checksum(1), None, ThumbSize::Small).with_extension("png.new")).unwrap();
        let swept = blobs.sweep(|content| content == checksum(1), |part| part == "d2");
        assert_eq!(swept, Swept { parts: 1, contents: 1, thumbnails: 2, failures: 0 });
        assert!(blobs.content(checksum(1), "3mf").exists() && blobs.part("d2").exists());
        assert!(!blobs.content(checksum(2), "3mf").exists() && !blobs.part("d1").exists());
        assert_eq!(blobs.sweep(|_| true, |_| true), Swept::default());
        assert!(blobs.free_bytes().unwrap() > 0);
    }

    #[test]
    fn endings() {
        for (name, ending) in [
            ("Würfel.gcode.3mf", "gcode.3mf"),
            ("A.3MF", "3mf"),
            ("SPICE~1.BGC", "bgc"),
            ("x.gcode", "gcode"),
            ("no ending", ""),
            ("x.exe", ""),
        ] {
            assert_eq!(extension(name), ending, "{name}");
        }
    }
}
