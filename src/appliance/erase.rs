//! Secrets on the boot partition: overwritten where they stand, byte for byte.
//!
//! Deleting or truncating a file leaves its bytes on the card. So the length of the file never changes: each secret becomes
//! stars and blanks of the same length, in place, synced and read back from the card. What an editor left in other places
//! is overwritten by filling the free room once. What the card itself keeps in blocks that it has put aside cannot be reached.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

/// What stands for a secret that was taken over.
const STARS: &[u8] = b"\"***\"";
/// The file that fills the free room.
const FILLING: &str = "FILLING.TMP";
/// Bytes of the free room that are filled at most: twice the boot partition.
const FILL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes that are written at once.
const PIECE: usize = 64 * 1024;

/// What replaces a value of `length` bytes: stars in quotes, then blanks. A value that is shorter becomes stars alone.
#[must_use]
pub fn blank(length: usize) -> Vec<u8> {
    if length < STARS.len() {
        return vec![b'*'; length];
    }
    let mut blank = STARS.to_vec();
    blank.resize(length, b' ');
    blank
}

/// Overwrites `spans` of `file`, which holds `text`, and looks whether that is what the card says now. Answers the file as it is then.
///
/// # Errors
/// Where the file could not be written, or other bytes came back.
pub fn overwrite(file: &Path, text: &[u8], spans: &[Range<usize>]) -> io::Result<Vec<u8>> {
    let mut wanted = text.to_vec();
    let mut open = OpenOptions::new().read(true).write(true).open(file)?;
    for span in spans {
        let blank = blank(span.len());
        let Some(place) = wanted.get_mut(span.clone()) else { continue };
        place.copy_from_slice(&blank);
        open.seek(SeekFrom::Start(u64::try_from(span.start).unwrap_or(u64::MAX)))?;
        open.write_all(&blank)?;
    }
    open.sync_all()?;
    // What the kernel remembers of the file proves nothing.
    let _ = rustix::fs::fadvise(&open, 0, None, rustix::fs::Advice::DontNeed);
    let mut found = Vec::new();
    open.seek(SeekFrom::Start(0))?;
    open.take(u64::try_from(wanted.len()).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut found)?;
    if found == wanted {
        Ok(wanted)
    } else {
        Err(io::Error::other("the file was not read back as it was written"))
    }
}

/// Says on the card that erasing has begun: the file that will fill the free room is there before the first secret goes, so the start
/// after a cut knows that it is not done. What a cut has left of it goes.
///
/// # Errors
/// What the file system says.
pub fn begin(directory: &Path) -> io::Result<()> {
    remove_filling(directory)?;
    let path = directory.join(FILLING);
    File::create(&path)?.sync_all()?;
    crate::base::file::sync_parent(&path)
}

/// Whether a cut came into [`begin`] and [`fill_free_room`].
#[must_use]
pub fn is_unfinished(directory: &Path) -> bool {
    directory.join(FILLING).exists()
}

/// Overwrites the free room of `directory`'s file system once; `free_bytes` of it are free.
///
/// # Errors
/// What the file system says, other than that it is full.
pub fn fill_free_room(directory: &Path, free_bytes: u64) -> io::Result<()> {
    let path = directory.join(FILLING);
    let filled = fill(&path, free_bytes.min(FILL_BYTES_MAX));
    remove_filling(directory)?;
    filled
}

fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        match file.write_all(zeros.get(..now).unwrap_or_default()) {
            Ok(()) => left = left.saturating_sub(u64::try_from(now).unwrap_or(u64::MAX)),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
            Err(error) => return Err(error),
        }
    }
    file.sync_all()
}

/// Removes the filling, durably: one that came back would leave no room on the partition.
fn remove_filling(directory: &Path) -> io::Result<()> {
    crate::base::file::remove(&directory.join(FILLING))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn secrets_are_overwritten_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let text = b"a = \"secret\" # x\nb = abc\n";
        crate::base::file::write_atomic(&path, text).unwrap();
        let left = overwrite(&path, text, &[4..12, 21..24]).unwrap();
        assert_eq!(String::from_utf8(left).unwrap(), "a = \"***\"    # x\nb = ***\n");
        assert_eq!(fs::read(&path).unwrap(), b"a = \"***\"    # x\nb = ***\n");
        // Somebody changed the file meanwhile: told, not hidden.
        assert!(overwrite(&path, b"something else of other length", &[]).is_err());
    }

    #[test]
    fn the_free_room_is_free_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        begin(dir.path()).unwrap();
        assert!(is_unfinished(dir.path()));
        fill_free_room(dir.path(), 100_000).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(!is_unfinished(dir.path()));
    }

    #[test]
    fn lengths_never_change() {
        for length in 0..20 {
            assert_eq!(blank(length).len(), length);
        }
    }
}
