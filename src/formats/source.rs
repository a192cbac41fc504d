//! A bounded view of a seekable file: 64-bit offsets, positioned reads, counters.
//!
//! Readers never seek on their own: they ask for bytes at an offset. The counters let tests and benchmarks show that the
//! cost does not grow with the size of the moves.

use std::io::{self, Read, Seek, SeekFrom};

use super::limits;

/// Anything that can be read at any place.
pub trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// A seekable file, or a window of one.
pub struct Source<'a> {
    inner: &'a mut dyn ReadSeek,
    base: u64,
    length: u64,
    position: Option<u64>,
    bytes_read: u64,
    reads: u64,
}

impl<'a> Source<'a> {
    /// The whole of `inner`; its length is asked for once.
    pub fn new(inner: &'a mut dyn ReadSeek) -> io::Result<Self> {
        let length = inner.seek(SeekFrom::End(0))?;
        Ok(Self { inner, base: 0, length, position: None, bytes_read: 0, reads: 0 })
    }

    /// A window of this source; offsets count from its start. Reads through it do not show in the counters of `self`.
    pub fn window(&mut self, offset: u64, length: u64) -> Source<'_> {
        let offset = offset.min(self.length);
        let length = length.min(self.length - offset);
        self.position = None;
        Source {
            inner: &mut *self.inner,
            base: self.base.saturating_add(offset),
            length,
            position: None,
            bytes_read: 0,
            reads: 0,
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads as much of `buffer` as there is at `offset`; less only at the end.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.length.saturating_sub(offset);
        let wanted = usize::try_from(available).unwrap_or(usize::MAX).min(buffer.len());
        let Some(target) = buffer.get_mut(..wanted) else { return Ok(0) };
        if target.is_empty() {
            return Ok(0);
        }
        if self.position != Some(offset) {
            let absolute = self.base.checked_add(offset).ok_or(io::ErrorKind::InvalidInput)?;
            self.inner.seek(SeekFrom::Start(absolute))?;
        }
        self.position = None;
        let mut filled = 0;
        while let Some(rest) = target.get_mut(filled..)
            && !rest.is_empty()
        {
            self.reads += 1;
            match self.inner.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes_read += filled as u64;
        self.position = offset.checked_add(filled as u64);
        Ok(filled)
    }

    /// Fills `buffer` from `offset` or fails with `UnexpectedEof`.
    pub fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let wanted = buffer.len();
        if self.read_at(offset, buffer)? == wanted {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// The bytes at `offset`, at most `length` of them and never more than the file has. The caller has checked
    /// `length` against a limit.
    pub fn bytes_at(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = length.min(self.length.saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?];
        let filled = self.read_at(offset, &mut bytes)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Feeds the bytes from `offset` to `offset + length` in chunks to `sink`, until it answers `false`.
    pub fn stream(
        &mut self,
        offset: u64,
        length: u64,
        mut sink: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<()> {
        let mut buffer = vec![0; limits::READ_CHUNK];
        let mut at = offset;
        let end = offset.saturating_add(length).min(self.length);
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let Some(target) = buffer.get_mut(..wanted) else { break };
            let count = self.read_at(at, target)?;
            if count == 0 || !sink(target.get(..count).unwrap_or_default()) {
                break;
            }
            at += count as u64;
        }
        Ok(())
    }
}

/// Little-endian numbers out of a byte slice; `None` past its end.
pub(crate) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// See [`le16`].
pub(crate) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// See [`le16`].
pub(crate) fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Big-endian, see [`le16`].
pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Big-endian, see [`le16`].
pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
