//! One part of an archive as a stream of plain bytes, checked against its announced size and checksum.

use std::io;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::{Directory, Entry, Method, data_offset};
use crate::formats::limits;
use crate::formats::result::Failure;
use crate::formats::source::Source;

/// The state of reading one part. It does not hold the source, so that a verification can pause between steps.
pub(crate) struct Part {
    name: String,
    at: u64,
    end: u64,
    plain_length: u64,
    crc_wanted: u32,
    crc: crc32fast::Hasher,
    produced: u64,
    input: Vec<u8>,
    input_at: usize,
    inflate: Option<Box<InflateState>>,
    done: bool,
}

impl Part {
    /// Opens `entry`.
    pub fn open(source: &mut Source<'_>, directory: &Directory, entry: &Entry) -> Result<Self, Failure> {
        let start = data_offset(source, directory, entry)?;
        Ok(Self {
            name: entry.name.clone(),
            at: start,
            end: start + entry.stored_length,
            plain_length: entry.plain_length,
            crc_wanted: entry.crc,
            crc: crc32fast::Hasher::new(),
            produced: 0,
            input: Vec::new(),
            input_at: 0,
            inflate: (entry.method == Method::Deflate).then(|| InflateState::new_boxed(DataFormat::Raw)),
            done: false,
        })
    }

    /// Plain bytes handed out so far.
    pub fn produced(&self) -> u64 {
        self.produced
    }

    /// Reads some plain bytes; 0 at the end. Size and checksum are checked when the end is reached.
    pub fn read(&mut self, source: &mut Source<'_>, buffer: &mut [u8]) -> Result<usize, Failure> {
        if self.done || buffer.is_empty() {
            return Ok(0);
        }
        let count =
            if self.inflate.is_some() { self.inflate(source, buffer)? } else { self.copy(source, buffer)? };
        if let Some(bytes) = buffer.get(..count) {
            self.crc.update(bytes);
        }
        self.produced += count as u64;
        if self.produced > self.plain_length {
            return Err(Failure::corrupt(format!("{} is larger than the archive says", self.name)));
        }
        if count == 0 {
            self.done = true;
            if self.produced != self.plain_length {
                return Err(Failure::corrupt(format!("{} is smaller than the archive says", self.name)));
            }
            if self.crc.clone().finalize() != self.crc_wanted {
                return Err(Failure::corrupt(format!("the checksum of {} is wrong", self.name)));
            }
        }
        Ok(count)
    }

    fn copy(&mut self, source: &mut Source<'_>, buffer: &mut [u8]) -> Result<usize, Failure> {
        let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = source.read_at(self.at, buffer.get_mut(..wanted).unwrap_or_default())?;
        if count < wanted {
            return Err(Failure::corrupt("the file ends too early"));
        }
        self.at += count as u64;
        Ok(count)
    }

    fn inflate(&mut self, source: &mut Source<'_>, buffer: &mut [u8]) -> Result<usize, Failure> {
        let Some(state) = self.inflate.as_mut() else { return Ok(0) };
        loop {
            if self.input_at >= self.input.len() && self.at < self.end {
                let wanted = (self.end - self.at).min(limits::READ_CHUNK as u64);
                self.input.resize(usize::try_from(wanted).unwrap_or(limits::READ_CHUNK), 0);
                source.read_exact_at(self.at, &mut self.input)?;
                self.at += wanted;
                self.input_at = 0;
            }
            let input = self.input.get(self.input_at..).unwrap_or_default();
            let result = inflate(state, input, buffer, MZFlush::None);
            self.input_at += result.bytes_consumed;
            match result.status {
                Ok(MZStatus::StreamEnd) => return Ok(result.bytes_written),
                Ok(_) | Err(MZError::Buf) if result.bytes_written > 0 => return Ok(result.bytes_written),
                Ok(_) | Err(MZError::Buf) => {
                    if self.at >= self.end && self.input_at >= self.input.len() {
                        return Err(Failure::corrupt(format!("the data of {} ends too early", self.name)));
                    }
                    if result.bytes_consumed == 0 {
                        return Err(Failure::corrupt(format!("the data of {} is damaged", self.name)));
                    }
                }
                Err(_) => return Err(Failure::corrupt(format!("the data of {} is damaged", self.name))),
            }
        }
    }
}

/// A part as a [`io::Read`], for parsers that want one. Gives an error of kind `FileTooLarge` past `limit`.
pub(crate) struct PartReader<'s, 'a> {
    source: &'s mut Source<'a>,
    part: Part,
    limit: u64,
    prefix: bool,
    failure: Option<Failure>,
}

impl<'s, 'a> PartReader<'s, 'a> {
    /// Opens `entry`, of which at most `limit` plain bytes may be read.
    pub fn open(
        source: &'s mut Source<'a>,
        directory: &Directory,
        entry: &Entry,
        limit: u64,
    ) -> Result<Self, Failure> {
        if entry.plain_length > limit {
            return Err(Failure::too_large(format!("{} has {} bytes", entry.name, entry.plain_length)));
        }
        let part = Part::open(source, directory, entry)?;
        Ok(Self { source, part, limit, prefix: false, failure: None })
    }

    /// Opens `entry` to read at most its first `limit` plain bytes, after which the stream ends.
    pub fn open_prefix(
        source: &'s mut Source<'a>,
        directory: &Directory,
        entry: &Entry,
        limit: u64,
    ) -> Result<Self, Failure> {
        let part = Part::open(source, directory, entry)?;
        Ok(Self { source, part, limit, prefix: true, failure: None })
    }

    /// What went wrong below a parser that only knows [`io::Error`].
    pub fn into_failure(self) -> Option<Failure> {
        self.failure
    }
}

impl io::Read for PartReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if self.prefix && self.part.produced() >= self.limit {
            return Ok(0);
        }
        if self.part.produced() > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.part.read(self.source, buffer).map_err(|failure| {
            self.failure = Some(failure);
            io::ErrorKind::InvalidData.into()
        })
    }
}

/// The whole of a small part. Fails above `limit`.
pub(crate) fn bytes(
    source: &mut Source<'_>,
    directory: &Directory,
    entry: &Entry,
    limit: u64,
) -> Result<Vec<u8>, Failure> {
    if entry.plain_length > limit {
        return Err(Failure::too_large(format!("{} has {} bytes", entry.name, entry.plain_length)));
    }
    let mut part = Part::open(source, directory, entry)?;
    // Grown as bytes really come: the announced size is a promise by a stranger.
    let mut out = Vec::new();
    let mut buffer = vec![0; limits::READ_CHUNK];
    loop {
        let count = part.read(source, &mut buffer)?;
        if count == 0 {
            return Ok(out);
        }
        out.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
}

/// Hands at most `limit` plain bytes of a part to `sink`, until it answers `false`.
pub(crate) fn prefix(
    source: &mut Source<'_>,
    directory: &Directory,
    entry: &Entry,
    limit: u64,
    mut sink: impl FnMut(&[u8]) -> bool,
) -> Result<(), Failure> {
    let mut part = Part::open(source, directory, entry)?;
    let mut buffer = vec![0; limits::READ_CHUNK];
    while part.produced() < limit {
        let count = part.read(source, &mut buffer)?;
        if count == 0 || !sink(buffer.get(..count).unwrap_or_default()) {
            break;
        }
    }
    Ok(())
}
