//! A package as a stream: local headers in their order, without the directory.
//!
//! The slicers leave the sizes in the local headers at zero and write a data descriptor behind the data. The end of
//! packed data shows itself; the end of stored data is where a descriptor stands whose CRC and size fit what came.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::{Pictures, Preview, resolve};
use crate::formats::figures::PlateFacts;
use crate::formats::figures::keys::{Origin, Store};
use crate::formats::gcode::text::TextReader;
use crate::formats::json;
use crate::formats::lines::LineSplitter;
use crate::formats::result::{Format, Role};
use crate::formats::source::{le16, le32, le64};
use crate::formats::threemf::pictures::{by_name, looks_like_picture};
use crate::formats::threemf::plates::{self, SlicedPlate};
use crate::formats::threemf::{plate_number, xml::Xml};
use crate::formats::zip::Method;
use crate::formats::{PlateHint, limits};

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
/// Bytes that are looked at together.
const PIECE: usize = 4096;
/// Longest data descriptor: signature, CRC and two 64-bit sizes.
const DESCRIPTOR_MAX: usize = 24;

#[derive(Default)]
pub(super) struct Archive {
    state: State,
    pictures: Pictures,
    settings: Store,
    sliced: Vec<SlicedPlate>,
    gcode: Option<(u32, TextReader)>,
    md5: Vec<(u32, String)>,
    plain: u64,
    changes: u32,
}

enum State {
    /// Bytes of a local header.
    Header(Vec<u8>),
    Data(Box<Open>),
    /// Bytes that should be a descriptor, after packed data: its CRC and sizes.
    Descriptor {
        pending: Vec<u8>,
        crc: u32,
        stored: u64,
        plain: u64,
    },
    Ended,
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Vec::new())
    }
}

/// The part whose data is coming.
struct Open {
    name: String,
    content: Content,
    body: Body,
    crc: crc32fast::Hasher,
    /// Told by the header; zero when only a descriptor tells.
    crc_wanted: u32,
    /// Whether a descriptor follows, be the sizes known or not.
    descriptor: bool,
    plain: u64,
}

enum Body {
    /// Stored, length known.
    Stored {
        left: u64,
    },
    /// Stored, a descriptor ends it. `window` holds what may be its beginning.
    Scanned {
        window: Vec<u8>,
    },
    Packed {
        state: Box<InflateState>,
        taken: u64,
        left: Option<u64>,
    },
}

enum Content {
    Picture {
        bytes: Vec<u8>,
        plate: Option<u32>,
        role: Role,
    },
    Gcode {
        plate: u32,
        reader: Box<TextReader>,
        splitter: LineSplitter,
    },
    /// Small parts, collected and parsed at their end.
    Whole(Vec<u8>),
    Skipped,
}

impl Archive {
    pub fn push(&mut self, chunk: &[u8]) -> bool {
        let before = (self.pictures.changes, self.changes, self.gcode_size());
        // Each part hands back a copy of what follows it; small pieces keep that from growing with many small parts.
        for piece in chunk.chunks(PIECE) {
            let mut rest = piece.to_vec();
            // Every round consumes the piece or hands back a shorter rest.
            while !rest.is_empty() && !self.finished() {
                rest = match std::mem::take(&mut self.state) {
                    State::Header(pending) => self.header(pending, &rest),
                    State::Data(open) => self.data(open, &rest),
                    State::Descriptor { pending, crc, stored, plain } => {
                        self.descriptor(pending, &rest, crc, stored, plain)
                    }
                    State::Ended => {
                        self.state = State::Ended;
                        Vec::new()
                    }
                };
            }
        }
        before != (self.pictures.changes, self.changes, self.gcode_size())
    }

    fn gcode_size(&self) -> usize {
        match &self.state {
            State::Data(open) => match &open.content {
                Content::Gcode { reader, .. } => reader.store.len(),
                _ => 0,
            },
            _ => self.gcode.as_ref().map_or(0, |(_, reader)| reader.store.len()),
        }
    }

    pub fn finished(&self) -> bool {
        let enough = self.gcode.as_ref().is_some_and(|(plate, _)| self.pictures.best(Some(*plate)).is_some());
        matches!(self.state, State::Ended) || enough || self.plain > limits::FORWARD_PLAIN_MAX
    }

    pub fn preview(&self, hint: &PlateHint) -> Preview {
        let open = match &self.state {
            State::Data(open) => match &open.content {
                Content::Gcode { plate, reader, .. } => Some((*plate, reader.as_ref())),
                _ => None,
            },
            _ => None,
        };
        let gcode = self.gcode.as_ref().map(|(plate, reader)| (*plate, reader)).or(open);
        let hinted = hint.index.or_else(|| hint.gcode_file.as_deref().and_then(plate_number));
        let sure = hinted.or(gcode.map(|(plate, _)| plate)).or(self.sliced.first().map(|plate| plate.index));
        let plate = sure.or(self.pictures.first_plate());
        let mut store = Store::default();
        let mut facts = PlateFacts::default();
        let mut tools_seen: &[u32] = &[];
        if let Some(sliced) = self.sliced.iter().find(|sliced| Some(sliced.index) == plate) {
            store.merge(sliced.store.clone());
            facts = sliced.facts.clone();
        }
        if let Some((_, reader)) = gcode.filter(|(own, _)| Some(*own) == plate) {
            store.merge(reader.store.clone());
            tools_seen = &reader.tools_seen;
        }
        store.merge(self.settings.clone());
        let gcode_md5 = self.md5.iter().find(|(own, _)| Some(*own) == plate).map(|(_, sum)| sum.clone());
        Preview {
            format: Some(Format::ThreeMf),
            plate,
            metadata: resolve(&store, Some(&facts), tools_seen),
            cover: self.pictures.best(plate),
            gcode_md5,
        }
    }

    fn header(&mut self, mut pending: Vec<u8>, chunk: &[u8]) -> Vec<u8> {
        pending.extend_from_slice(chunk);
        let known = pending.len().min(4);
        if pending.get(..known) != LOCAL_HEADER.get(..known) {
            // The directory, or something that we do not follow.
            self.state = State::Ended;
            return Vec::new();
        }
        let lengths = le16(&pending, 26).zip(le16(&pending, 28));
        let Some(total) = lengths.map(|(name, extra)| 30 + usize::from(name) + usize::from(extra)) else {
            self.state = State::Header(pending);
            return Vec::new();
        };
        if pending.len() < total {
            self.state = State::Header(pending);
            return Vec::new();
        }
        let rest = pending.split_off(total);
        match Open::new(&pending) {
            Some(open) => {
                self.state = State::Data(Box::new(open));
                if matches!(&self.state, State::Data(open) if matches!(open.body, Body::Stored { left: 0 })
                    && !open.descriptor)
                {
                    self.state = State::default();
                }
            }
            None => self.state = State::Ended,
        }
        rest
    }

    fn data(&mut self, mut open: Box<Open>, chunk: &[u8]) -> Vec<u8> {
        let produced = open.plain;
        let step = open.push(chunk);
        self.plain = self.plain.saturating_add(open.plain - produced);
        match step {
            Step::More => self.state = State::Data(open),
            Step::Broken => self.state = State::Ended,
            Step::End { rest, descriptor } => {
                let crc = open.crc.clone().finalize();
                if let Some(stored) = descriptor {
                    self.state = State::Descriptor { pending: Vec::new(), crc, stored, plain: open.plain };
                } else {
                    self.state = State::default();
                }
                // Where the header gives a checksum it must be right; a descriptor's has been or will be compared.
                if open.crc_wanted == 0 || open.crc_wanted == crc {
                    self.end(*open);
                }
                return rest;
            }
        }
        // The head of the plate's G-code is all that is wanted of it.
        if let State::Data(open) = &mut self.state
            && let Content::Gcode { reader, .. } = &open.content
            && open.plain > limits::GCODE_PREFIX_MAX
            && !reader.in_config
            && let Content::Gcode { plate, reader, .. } =
                std::mem::replace(&mut open.content, Content::Skipped)
        {
            self.gcode.get_or_insert((plate, *reader));
        }
        Vec::new()
    }

    /// Finds out which of its forms the descriptor has, and hands back what follows it.
    fn descriptor(
        &mut self,
        mut pending: Vec<u8>,
        chunk: &[u8],
        crc: u32,
        stored: u64,
        plain: u64,
    ) -> Vec<u8> {
        pending.extend_from_slice(chunk);
        if pending.len() < DESCRIPTOR_MAX {
            self.state = State::Descriptor { pending, crc, stored, plain };
            return Vec::new();
        }
        let offset = if pending.starts_with(DESCRIPTOR) { 4 } else { 0 };
        let short = [stored, plain].map(|length| u32::try_from(length & 0xFFFF_FFFF).ok());
        let fits_short = [le32(&pending, offset + 4), le32(&pending, offset + 8)] == short;
        let fits_long =
            le64(&pending, offset + 4) == Some(stored) && le64(&pending, offset + 12) == Some(plain);
        let length = match (le32(&pending, offset) == Some(crc), fits_long, fits_short) {
            (true, true, _) => offset + 20,
            (true, false, true) => offset + 12,
            _ => {
                self.state = State::Ended;
                return Vec::new();
            }
        };
        self.state = State::default();
        pending.split_off(length.min(pending.len()))
    }

    fn end(&mut self, open: Open) {
        let Open { name, content, .. } = open;
        match content {
            Content::Picture { bytes, plate, role } => self.pictures.add(&name, plate, role, bytes),
            Content::Gcode { plate, mut reader, mut splitter } => {
                splitter.finish(|line| reader.line(&line, &mut |_| {}));
                self.gcode.get_or_insert((plate, *reader));
            }
            Content::Whole(bytes) => self.whole(&name, &bytes),
            Content::Skipped => {}
        }
    }

    fn whole(&mut self, name: &str, bytes: &[u8]) {
        self.changes += 1;
        match name {
            "Metadata/slice_info.config" => {
                let mut sliced = Vec::new();
                let _ = plates::slice_info(&mut Xml::new(bytes), &mut sliced);
                self.sliced = sliced;
            }
            "Metadata/project_settings.config" => {
                let _ = json::harvest(bytes, &mut self.settings, Origin::ProjectSettings);
            }
            _ => {
                let plate = name.strip_suffix(".md5").and_then(plate_number);
                let sum = String::from_utf8_lossy(bytes).trim().to_ascii_lowercase();
                let valid = sum.len() == 32 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
                if let Some(plate) = plate.filter(|_| valid && self.md5.len() < limits::PLATES_MAX) {
                    self.md5.push((plate, sum));
                }
            }
        }
    }
}

enum Step {
    /// All of the chunk was taken.
    More,
    /// The data ended; `descriptor` holds its stored length when a descriptor follows.
    End {
        rest: Vec<u8>,
        descriptor: Option<u64>,
    },
    Broken,
}

impl Open {
    /// Starts a part with its local header. `None` for what cannot be followed.
    fn new(header: &[u8]) -> Option<Self> {
        let flags = le16(header, 6)?;
        let method = Method::from_number(le16(header, 8)?);
        let name = header.get(30..30 + usize::from(le16(header, 26)?))?;
        let name = std::str::from_utf8(name).unwrap_or_default().trim_start_matches('/').to_owned();
        let stored = u64::from(le32(header, 18)?);
        // In zip64 form the sizes stand in an extra field; no slicer writes such parts first.
        let unknown = flags & 8 != 0 && stored == 0;
        if flags & 1 != 0 || stored == 0xFFFF_FFFF {
            return None;
        }
        let body = match method {
            Method::Stored if unknown => Body::Scanned { window: Vec::new() },
            Method::Stored => Body::Stored { left: stored },
            Method::Deflate => Body::Packed {
                state: InflateState::new_boxed(DataFormat::Raw),
                taken: 0,
                left: (!unknown).then_some(stored),
            },
            Method::Other(_) if unknown => return None,
            Method::Other(_) => Body::Stored { left: stored },
        };
        let content = if matches!(method, Method::Other(_)) { Content::Skipped } else { Content::of(&name) };
        Some(Self {
            content,
            body,
            crc: crc32fast::Hasher::new(),
            crc_wanted: if unknown { 0 } else { le32(header, 14)? },
            descriptor: flags & 8 != 0,
            plain: 0,
            name,
        })
    }

    fn push(&mut self, chunk: &[u8]) -> Step {
        match &mut self.body {
            Body::Stored { left } => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(chunk.len());
                let (data, rest) = chunk.split_at(length);
                *left -= length as u64;
                let ended = *left == 0;
                self.take(data);
                if !ended {
                    return Step::More;
                }
                Step::End { rest: rest.to_vec(), descriptor: self.descriptor.then_some(self.plain) }
            }
            Body::Scanned { window } => {
                let mut window = std::mem::take(window);
                window.extend_from_slice(chunk);
                self.scan(window)
            }
            Body::Packed { .. } => self.unpack(chunk),
        }
    }

    /// Looks for the descriptor that ends stored data.
    fn scan(&mut self, mut window: Vec<u8>) -> Step {
        let mut from = 0;
        while let Some(found) =
            window.get(from..).and_then(|rest| rest.windows(4).position(|bytes| bytes == DESCRIPTOR))
        {
            let at = from + found;
            if window.len() < at + DESCRIPTOR_MAX {
                break;
            }
            let mut crc = self.crc.clone();
            crc.update(window.get(..at).unwrap_or_default());
            if le32(&window, at + 4) == Some(crc.finalize()) {
                let length = self.plain + at as u64;
                let short = u32::try_from(length & 0xFFFF_FFFF).ok();
                let size = if le64(&window, at + 8) == Some(length) && le64(&window, at + 16) == Some(length)
                {
                    Some(24)
                } else if le32(&window, at + 8) == short && le32(&window, at + 12) == short {
                    Some(16)
                } else {
                    None
                };
                if let Some(size) = size {
                    let rest = window.split_off(at + size);
                    window.truncate(at);
                    self.take(&window);
                    return Step::End { rest, descriptor: None };
                }
            }
            from = at + 4;
        }
        // What cannot be part of a descriptor any more is data.
        let keep = window.len().min(DESCRIPTOR_MAX + 3);
        let safe = if from > 0 { from.max(window.len() - keep) } else { window.len() - keep };
        let tail = window.split_off(safe.min(window.len()));
        self.take(&window);
        self.body = Body::Scanned { window: tail };
        Step::More
    }

    fn unpack(&mut self, chunk: &[u8]) -> Step {
        let mut buffer = vec![0; limits::READ_CHUNK];
        let mut input = chunk;
        loop {
            let Body::Packed { state, taken, left } = &mut self.body else { return Step::Broken };
            let allowed =
                left.map_or(input.len(), |left| usize::try_from(left).unwrap_or(usize::MAX).min(input.len()));
            let result = inflate(state, input.get(..allowed).unwrap_or_default(), &mut buffer, MZFlush::None);
            *taken += result.bytes_consumed as u64;
            if let Some(left) = left {
                *left -= result.bytes_consumed as u64;
            }
            let taken = *taken;
            input = input.get(result.bytes_consumed..).unwrap_or_default();
            self.take(buffer.get(..result.bytes_written).unwrap_or_default());
            match result.status {
                Ok(MZStatus::StreamEnd) => {
                    return Step::End { rest: input.to_vec(), descriptor: self.descriptor.then_some(taken) };
                }
                Ok(_) | Err(MZError::Buf) => {
                    if result.bytes_written == 0 && result.bytes_consumed == 0 {
                        return if input.is_empty() { Step::More } else { Step::Broken };
                    }
                    if self.plain > limits::FORWARD_PLAIN_MAX {
                        return Step::Broken;
                    }
                }
                Err(_) => return Step::Broken,
            }
        }
    }

    fn take(&mut self, plain: &[u8]) {
        self.plain = self.plain.saturating_add(plain.len() as u64);
        self.crc.update(plain);
        let too_much = match &mut self.content {
            Content::Picture { bytes, .. } => append(bytes, plain, limits::FORWARD_PICTURES_MAX),
            Content::Whole(bytes) => append(bytes, plain, limits::FORWARD_PART_MAX),
            Content::Gcode { reader, splitter, .. } => {
                splitter.push(plain, |line| reader.line(&line, &mut |_| {}));
                false
            }
            Content::Skipped => false,
        };
        if too_much {
            self.content = Content::Skipped;
        }
    }
}

/// Appends, or tells that it would be too much.
fn append(bytes: &mut Vec<u8>, more: &[u8], limit: usize) -> bool {
    let too_much = bytes.len() + more.len() > limit;
    if !too_much {
        bytes.extend_from_slice(more);
    }
    too_much
}

impl Content {
    fn of(name: &str) -> Self {
        if let Some(plate) = plate_number(name) {
            return Self::Gcode { plate, reader: Box::default(), splitter: LineSplitter::default() };
        }
        if matches!(name, "Metadata/slice_info.config" | "Metadata/project_settings.config")
            || name.ends_with(".gcode.md5")
        {
            return Self::Whole(Vec::new());
        }
        if !looks_like_picture(name) {
            return Self::Skipped;
        }
        match by_name(name) {
            Some((_, None)) => Self::Skipped,
            Some((plate, Some(role))) => Self::Picture { bytes: Vec::new(), plate: Some(plate), role },
            None => Self::Picture { bytes: Vec::new(), plate: None, role: Role::Package },
        }
    }
}
