//! Where the bytes of a transfer go: into the part on the card, through the hash, past the tap.
//!
//! What is held is one buffer of [`BUFFER`] bytes and what the tap keeps of the first megabyte. The head's hash and the
//! tap also tell early that a file is one that is here already.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

use sha2::{Digest as _, Sha256};

use crate::formats::PlateHint;
use crate::formats::forward::{Preview, Tap};
use crate::model::{Checksum, Content};

/// Bytes that are gathered before they are written: fewer, larger writes are kinder to a card.
const BUFFER: usize = 64 * 1024;
/// Bytes at the start of a file whose hash tells an unchanged one.
pub(super) const HEAD: u64 = 64 * 1024;
/// Bytes at the end of a part that are asked for again before it is continued: they have to be the same.
pub(super) const OVERLAP: u64 = 64 * 1024;

/// The bytes so far.
pub(super) struct Intake {
    file: BufWriter<File>,
    hash: Sha256,
    head: Sha256,
    head_bytes: u64,
    bytes: u64,
    tap: Tap,
}

/// Whether a file that is coming is one that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sameness {
    /// More bytes will tell.
    Open,
    /// It is.
    Same,
    /// It is another one, or that cannot be told without all of it.
    Unknown,
}

impl Intake {
    /// An intake into an empty part.
    pub(super) fn new(file: File, hint: PlateHint) -> io::Result<Intake> {
        file.set_len(0)?;
        let mut intake = Intake {
            file: BufWriter::with_capacity(BUFFER, file),
            hash: Sha256::new(),
            head: Sha256::new(),
            head_bytes: 0,
            bytes: 0,
            tap: Tap::new(hint),
        };
        intake.file.seek(SeekFrom::Start(0))?;
        Ok(intake)
    }

    /// An intake behind the first `length` bytes of a part, which are read again; answers its last bytes, at most
    /// [`OVERLAP`], too.
    pub(super) fn resume(mut file: File, length: u64, hint: PlateHint) -> io::Result<(Intake, Vec<u8>)> {
        file.set_len(length)?;
        file.seek(SeekFrom::Start(0))?;
        let mut intake = Intake {
            file: BufWriter::with_capacity(BUFFER, file),
            hash: Sha256::new(),
            head: Sha256::new(),
            head_bytes: 0,
            bytes: 0,
            tap: Tap::new(hint),
        };
        let mut piece = vec![0; BUFFER];
        let mut tail = Vec::new();
        let keep_from = length.saturating_sub(OVERLAP);
        loop {
            let count = intake.file.get_mut().read(&mut piece)?;
            let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
            let skip = usize::try_from(keep_from.saturating_sub(intake.bytes)).unwrap_or(usize::MAX);
            tail.extend_from_slice(read.get(skip..).unwrap_or_default());
            intake.look_at(read);
        }
        if intake.bytes != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((intake, tail))
    }

    /// Takes the next bytes; answers whether the tap has something new to show.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.file.write_all(bytes)?;
        Ok(self.look_at(bytes))
    }

    fn look_at(&mut self, bytes: &[u8]) -> bool {
        self.hash.update(bytes);
        let room = usize::try_from(HEAD.saturating_sub(self.head_bytes)).unwrap_or(usize::MAX);
        let head = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.head.update(head);
        self.head_bytes += head.len() as u64;
        self.bytes += bytes.len() as u64;
        self.tap.push(bytes)
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the tap has found.
    pub(super) fn preview(&self) -> Preview {
        self.tap.preview()
    }

    /// Whether the tap looks for nothing more.
    pub(super) fn is_tapped(&self) -> bool {
        self.tap.is_finished()
    }

    /// Whether what comes is the kept `content`, of the same size: the first 64 KiB agree, and in an archive the MD5 that
    /// it gives for the plate.
    pub(super) fn sameness(&self, content: &Content, is_archive: bool, plate: Option<u32>) -> Sameness {
        let head_whole = self.head_bytes >= HEAD.min(content.size);
        if !head_whole {
            return Sameness::Open;
        }
        if self.head() != content.head {
            return Sameness::Unknown;
        }
        if !is_archive {
            return Sameness::Same;
        }
        let preview = self.tap.preview();
        let md5 = preview.gcode_md5.as_deref().and_then(crate::formats::md5_bytes);
        let plate = plate.or(preview.plate);
        match (md5, plate) {
            (Some(md5), Some(plate)) if content.plate_md5.contains(&(plate, md5)) => Sameness::Same,
            (Some(_), Some(_)) => Sameness::Unknown,
            _ if self.tap.is_finished() => Sameness::Unknown,
            _ => Sameness::Open,
        }
    }

    /// The hash of the first 64 KiB, or of all where there are fewer.
    pub(super) fn head(&self) -> Checksum {
        Checksum(self.head.clone().finalize().into())
    }

    /// Writes what is gathered; answers the part and the hash of all bytes.
    pub(super) fn finish(self) -> io::Result<(File, Checksum)> {
        let checksum = Checksum(self.hash.finalize().into());
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((file, checksum))
    }

    /// Writes what is gathered and leaves the part as it is.
    pub(super) fn leave(mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &[u8]) -> Content {
        let sum = |bytes: &[u8]| Checksum(Sha256::digest(bytes).into());
        Content {
            checksum: sum(bytes),
            size: bytes.len() as u64,
            head: sum(bytes.get(..65536).unwrap_or(bytes)),
            plate_md5: Vec::new(),
            extension: "gcode".into(),
            verified: None,
            damage: None,
            kept_at: crate::base::clock::Timestamp(0),
        }
    }

    fn noise(length: u64) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at.wrapping_mul(at + 7) >> 3 & 0xFF).unwrap()).collect()
    }

    #[test]
    fn a_part_that_is_continued_has_the_hash_of_the_whole() {
        let bytes = noise(300_000);
        for cut in [0, 1, 65_535, 65_536, 65_537, 200_000, 300_000] {
            let file = tempfile::tempfile().unwrap();
            let mut first = Intake::new(file.try_clone().unwrap(), PlateHint::default()).unwrap();
            first.push(&bytes[..cut]).unwrap();
            first.leave().unwrap();
            let length = cut as u64;
            let (mut second, tail) = Intake::resume(file, length, PlateHint::default()).unwrap();
            assert_eq!(tail, &bytes[cut.saturating_sub(65_536)..cut], "{cut}");
            second.push(&bytes[cut..]).unwrap();
            assert_eq!(second.head(), content(&bytes).head, "{cut}");
            let (mut file, checksum) = second.finish().unwrap();
            assert_eq!(checksum, content(&bytes).checksum, "{cut}");
            let mut written = Vec::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_end(&mut written).unwrap();
            assert_eq!(written, bytes, "{cut}");
        }
    }

    #[test]
    fn an_unchanged_file_shows_in_its_head() {
        let bytes = noise(200_000);
        let kept = content(&bytes);
        let mut intake = Intake::new(tempfile::tempfile().unwrap(), PlateHint::default()).unwrap();
        intake.push(&bytes[..65_535]).unwrap();
        assert_eq!(intake.sameness(&kept, false, None), Sameness::Open);
        intake.push(&bytes[65_535..65_536]).unwrap();
        assert_eq!(intake.sameness(&kept, false, None), Sameness::Same);
        let other = content(&noise(200_000)[1..]);
        assert_eq!(intake.sameness(&other, false, None), Sameness::Unknown);
    }
}
