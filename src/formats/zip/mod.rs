//! The directory of a ZIP archive: end record (zip64 too), central directory, local headers, overlap check.
//!
//! Sizes come from the central directory alone, because the slicers write local headers with zeros and data descriptors
//! behind. Deliberately absent: encryption, methods other than stored and deflate, multiple disks, writing.

pub(crate) mod part;

use super::limits;
use super::result::Failure;
use super::source::{Source, le16, le32, le64};

/// How a part is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Stored,
    Deflate,
    Other(u16),
}

impl Method {
    pub fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Stored,
            8 => Self::Deflate,
            other => Self::Other(other),
        }
    }
}

/// One entry of the central directory.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// As in the directory, without a leading slash.
    pub name: String,
    /// Length of the name as stored, for the comparison with the local header.
    name_length: u16,
    pub method: Method,
    pub encrypted: bool,
    pub crc: u32,
    pub stored_length: u64,
    pub plain_length: u64,
    pub header_offset: u64,
    /// Whether its data overlaps that of another entry: such an entry is never read.
    pub overlaps: bool,
}

/// The directory of an archive.
#[derive(Debug)]
pub(crate) struct Directory {
    pub entries: Vec<Entry>,
    /// Where the data of entries must end.
    pub data_end: u64,
    /// What was wrong without stopping us.
    pub warnings: Vec<Failure>,
}

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END_RECORD: u32 = 0x0605_4b50;
const END_LOCATOR_64: u32 = 0x0706_4b50;
const END_RECORD_64: u32 = 0x0606_4b50;
const LOCAL_HEADER_LENGTH: u64 = 30;
const CENTRAL_HEADER_LENGTH: u64 = 46;

/// Where the directory is.
struct End {
    entries: u64,
    directory_length: u64,
    directory_offset: u64,
    /// Bytes in front of the archive that its offsets do not count.
    shift: u64,
}

impl Directory {
    /// Reads the directory of the archive in `source`.
    pub fn read(source: &mut Source<'_>) -> Result<Self, Failure> {
        let end = find_end(source)?;
        if end.entries > limits::ZIP_ENTRIES_MAX {
            return Err(Failure::too_large(format!("the archive has {} entries", end.entries)));
        }
        if end.directory_length > limits::ZIP_DIRECTORY_MAX {
            return Err(Failure::too_large(format!(
                "the archive's directory has {} bytes",
                end.directory_length
            )));
        }
        let start = end
            .directory_offset
            .checked_add(end.shift)
            .ok_or_else(|| Failure::corrupt("archive offsets overflow"))?;
        let mut directory = Self { entries: Vec::new(), data_end: start, warnings: Vec::new() };
        let mut cursor =
            Cursor { at: start, end: start.saturating_add(end.directory_length).min(source.len()) };
        for _ in 0..end.entries {
            match cursor.entry(source, end.shift)? {
                Some(entry) => directory.entries.push(entry),
                None => {
                    directory.warnings.push(Failure::corrupt("the archive's directory ends too early"));
                    break;
                }
            }
        }
        directory.mark_overlaps();
        Ok(directory)
    }

    /// The first entry called `name`, which is how writers and other readers of packages resolve doubles.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let name = name.trim_start_matches('/');
        self.entries.iter().find(|entry| entry.name == name).or_else(|| {
            // Package part names are compared without regard to case.
            self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
        })
    }

    /// Marks entries whose data ranges touch each other or the directory. That is how small archives pretend to hold
    /// terabytes; no slicer does it.
    fn mark_overlaps(&mut self) {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        let offset = |entries: &[Entry], at: usize| entries.get(at).map_or(0, |entry| entry.header_offset);
        order.sort_unstable_by_key(|&at| offset(&self.entries, at));
        let mut reached = 0u64;
        let mut last: Option<usize> = None;
        let mut any = false;
        for at in order {
            let Some(entry) = self.entries.get_mut(at) else { continue };
            let end = entry
                .header_offset
                .saturating_add(LOCAL_HEADER_LENGTH + u64::from(entry.name_length))
                .saturating_add(entry.stored_length);
            let overlaps = entry.header_offset < reached && last.is_some();
            if overlaps || end > self.data_end {
                entry.overlaps = true;
                any = true;
            }
            if overlaps && let Some(other) = last.and_then(|last| self.entries.get_mut(last)) {
                other.overlaps = true;
            }
            if end > reached {
                reached = end;
                last = Some(at);
            }
        }
        if any {
            self.warnings
                .push(Failure::corrupt("entries of the archive overlap or leave it; they are not read"));
        }
    }
}

/// Walks the central directory.
struct Cursor {
    at: u64,
    end: u64,
}

impl Cursor {
    fn entry(&mut self, source: &mut Source<'_>, shift: u64) -> Result<Option<Entry>, Failure> {
        if self.end.saturating_sub(self.at) < CENTRAL_HEADER_LENGTH {
            return Ok(None);
        }
        let mut header = [0; 46];
        source.read_exact_at(self.at, &mut header)?;
        if le32(&header, 0) != Some(CENTRAL_HEADER) {
            return Ok(None);
        }
        Ok(self.fields(source, &header, shift)?)
    }

    fn fields(
        &mut self,
        source: &mut Source<'_>,
        header: &[u8],
        shift: u64,
    ) -> std::io::Result<Option<Entry>> {
        let short = |at| le16(header, at).unwrap_or_default();
        let long = |at| u64::from(le32(header, at).unwrap_or_default());
        let (name_length, extra_length, comment_length) = (short(28), short(30), short(32));
        let variable = u64::from(name_length) + u64::from(extra_length);
        let next = self.at + CENTRAL_HEADER_LENGTH + variable + u64::from(comment_length);
        if next > self.end {
            return Ok(None);
        }
        let names = source.bytes_at(self.at + CENTRAL_HEADER_LENGTH, variable)?;
        let (name, extra) = names.split_at(usize::from(name_length).min(names.len()));
        let mut entry = Entry {
            name: entry_name(name),
            name_length,
            method: Method::from_number(short(10)),
            encrypted: short(8) & 1 != 0,
            crc: le32(header, 16).unwrap_or_default(),
            stored_length: long(20),
            plain_length: long(24),
            header_offset: long(42),
            overlaps: false,
        };
        widen(&mut entry, extra);
        entry.header_offset = entry.header_offset.saturating_add(shift);
        self.at = next;
        Ok(Some(entry))
    }
}

/// Names that are too long or no UTF-8 are of no interest; they keep their place in the overlap check.
fn entry_name(bytes: &[u8]) -> String {
    if bytes.len() > limits::ZIP_NAME_MAX {
        return String::new();
    }
    // Some tools of Windows write its own separator.
    let name = std::str::from_utf8(bytes).unwrap_or_default().replace('\\', "/");
    name.strip_prefix('/').unwrap_or(&name).to_owned()
}

/// Takes the 64-bit sizes out of extra field 1, in the order in which the 32-bit ones are full.
fn widen(entry: &mut Entry, mut extra: &[u8]) {
    const FULL: u64 = 0xFFFF_FFFF;
    while let (Some(id), Some(length)) = (le16(extra, 0), le16(extra, 2)) {
        let body = extra.get(4..4 + usize::from(length)).unwrap_or_default();
        if id == 1 {
            let mut at = 0;
            for field in [&mut entry.plain_length, &mut entry.stored_length, &mut entry.header_offset] {
                if *field == FULL
                    && let Some(wide) = le64(body, at)
                {
                    *field = wide;
                    at += 8;
                }
            }
            return;
        }
        extra = extra.get(4 + usize::from(length)..).unwrap_or_default();
    }
}

fn find_end(source: &mut Source<'_>) -> Result<End, Failure> {
    let length = source.len();
    let search = length.min(limits::ZIP_END_SEARCH);
    let tail_start = length - search;
    let tail = source.bytes_at(tail_start, search)?;
    let signature = END_RECORD.to_le_bytes();
    // The last record whose comment fits wins: a comment may contain the signature.
    let mut at = tail.len().saturating_sub(22);
    loop {
        if tail.get(at..at + 4) == Some(&signature[..])
            && let Some(end) = end_at(source, &tail, at, tail_start)?
        {
            return Ok(end);
        }
        let Some(before) = at.checked_sub(1) else { break };
        at = before;
    }
    Err(Failure::corrupt("the archive has no directory: the file is cut short or no ZIP archive"))
}

fn end_at(source: &mut Source<'_>, tail: &[u8], at: usize, tail_start: u64) -> Result<Option<End>, Failure> {
    let record = tail.get(at..).unwrap_or_default();
    let (Some(entries), Some(size), Some(offset), Some(comment)) =
        (le16(record, 10), le32(record, 12), le32(record, 16), le16(record, 20))
    else {
        return Ok(None);
    };
    if 22 + usize::from(comment) > record.len() {
        return Ok(None);
    }
    let mut end = End {
        entries: u64::from(entries),
        directory_length: u64::from(size),
        directory_offset: u64::from(offset),
        shift: 0,
    };
    let mut record_offset = tail_start + at as u64;
    let full = entries == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF;
    if let Some(locator) = at.checked_sub(20).and_then(|start| tail.get(start..at))
        && le32(locator, 0) == Some(END_LOCATOR_64)
        && full
    {
        let wide_offset = le64(locator, 8).unwrap_or_default();
        let wide = source.bytes_at(wide_offset, 56)?;
        if le32(&wide, 0) != Some(END_RECORD_64) || wide.len() < 56 {
            return Err(Failure::corrupt("the archive's zip64 record is not where it should be"));
        }
        end.entries = le64(&wide, 32).unwrap_or_default();
        end.directory_length = le64(&wide, 40).unwrap_or_default();
        end.directory_offset = le64(&wide, 48).unwrap_or_default();
        record_offset = wide_offset;
    }
    let directory_end = end.directory_offset.checked_add(end.directory_length);
    let Some(shift) = directory_end.and_then(|directory_end| record_offset.checked_sub(directory_end)) else {
        return Err(Failure::corrupt("the archive's directory lies outside of it"));
    };
    if end.entries > 0 && shift > 0 {
        // Usually an offset is right as it stands; otherwise something was put in front of the archive.
        let here = source.bytes_at(end.directory_offset, 4)?;
        if le32(&here, 0) != Some(CENTRAL_HEADER) {
            end.shift = shift;
        }
    }
    Ok(Some(end))
}

/// Where the data of `entry` begins, found through its local header, which must name the same part.
pub(crate) fn data_offset(
    source: &mut Source<'_>,
    directory: &Directory,
    entry: &Entry,
) -> Result<u64, Failure> {
    if entry.overlaps {
        return Err(Failure::corrupt(format!("the data of {} overlaps that of another part", entry.name)));
    }
    if entry.encrypted {
        return Err(Failure::unsupported(format!("{} is encrypted", entry.name)));
    }
    if let Method::Other(other) = entry.method {
        return Err(Failure::unsupported(format!("{} is packed with method {other}", entry.name)));
    }
    let mut header = [0; 30];
    source.read_exact_at(entry.header_offset, &mut header)?;
    let name_length = le16(&header, 26).unwrap_or_default();
    let extra_length = le16(&header, 28).unwrap_or_default();
    let name = source.bytes_at(entry.header_offset + LOCAL_HEADER_LENGTH, u64::from(name_length))?;
    if le32(&header, 0) != Some(LOCAL_HEADER) || entry_name(&name) != entry.name {
        return Err(Failure::corrupt(format!("{} is not where the archive's directory says", entry.name)));
    }
    let start = entry.header_offset + LOCAL_HEADER_LENGTH + u64::from(name_length) + u64::from(extra_length);
    let inside = start.checked_add(entry.stored_length).is_some_and(|end| end <= directory.data_end);
    if !inside {
        return Err(Failure::corrupt(format!("the data of {} leaves the archive", entry.name)));
    }
    if entry.method == Method::Stored && entry.stored_length != entry.plain_length {
        return Err(Failure::corrupt(format!("the sizes of {} contradict each other", entry.name)));
    }
    Ok(start)
}

/// Refuses entries that expand as no print file does. Only for those who read an entry to its end: readers of figures
/// have absolute limits.
pub(crate) fn check_ratio(entry: &Entry) -> Result<(), Failure> {
    if entry.method == Method::Deflate {
        let stored = entry.stored_length.max(1);
        let ratio = entry.plain_length / stored;
        if entry.plain_length > limits::READ_CHUNK as u64 && ratio > limits::DEFLATE_RATIO_MAX {
            return Err(Failure::corrupt(format!("{} cannot be as large as the archive says", entry.name)));
        }
        if entry.plain_length > limits::VERIFY_RATIO_FREE && ratio > limits::VERIFY_RATIO_MAX {
            return Err(Failure::too_large(format!("{} expands {ratio} times", entry.name)));
        }
    }
    Ok(())
}
