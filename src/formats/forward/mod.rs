//! Looks into a transfer that is still running: covers and header values out of the first bytes of the stream.
//!
//! Constant memory (see the `FORWARD_` limits), no seeking, never an error: what cannot be read is not shown. What it
//! finds is provisional until the whole file is there and has been inspected.

mod archive;
mod blocks;

use super::figures::{self, PlateFacts, keys::Store};
use super::gcode::pictures::Found;
use super::gcode::text::TextReader;
use super::lines::LineSplitter;
use super::result::{Format, Location, Metadata, Role, Thumbnail, short_text};
use super::{PlateHint, detect, images, limits, preference};

/// What a running transfer has shown so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// What the file is, told by its first bytes.
    pub format: Option<Format>,
    /// The plate that cover and figures are about, as far as that can be told.
    pub plate: Option<u32>,
    /// The figures so far.
    pub metadata: Metadata,
    /// The best picture so far: what it is, and its bytes as stored.
    pub cover: Option<(Thumbnail, Vec<u8>)>,
    /// The MD5 that an archive gives for the plate's G-code, lower-case hex: it tells versions of a file apart early.
    pub gcode_md5: Option<String>,
}

/// Takes the bytes of a transfer as they come.
///
/// It owns all that it needs and may move between threads. `push` never waits and costs at most a few milliseconds for
/// 16 KB on the board; it holds at most two megabytes, and once [`Tap::is_finished`] is true it costs nothing. So one call
/// per received chunk is right, and [`Tap::preview`], which copies the cover, whenever `push` said that there is news.
pub struct Tap {
    hint: PlateHint,
    machine: Machine,
    taken: u64,
}

enum Machine {
    /// The first bytes, until four are there.
    Start(Vec<u8>),
    Text(Box<Text>),
    Blocks(Box<blocks::Blocks>),
    Archive(Box<archive::Archive>),
}

impl Tap {
    /// A tap for the plate that the job names.
    pub fn new(hint: PlateHint) -> Self {
        Self { hint, machine: Machine::Start(Vec::new()), taken: 0 }
    }

    /// Takes the next bytes. True when [`Tap::preview`] has something new to show.
    pub fn push(&mut self, chunk: &[u8]) -> bool {
        if self.is_finished() {
            return false;
        }
        let room = usize::try_from(limits::FORWARD_MAX.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        let chunk = chunk.get(..chunk.len().min(room)).unwrap_or_default();
        self.taken += chunk.len() as u64;
        if let Machine::Start(start) = &mut self.machine {
            start.extend_from_slice(chunk);
            if start.len() < 4 {
                return false;
            }
            let start = std::mem::take(start);
            self.machine = match detect(&start) {
                Some(Format::Bgcode) => Machine::Blocks(Box::default()),
                Some(Format::ThreeMf) => Machine::Archive(Box::default()),
                _ => Machine::Text(Box::default()),
            };
            return self.machine.push(&start);
        }
        self.machine.push(chunk)
    }

    /// Whether nothing more is to be expected: further bytes are ignored.
    pub fn is_finished(&self) -> bool {
        self.taken >= limits::FORWARD_MAX
            || match &self.machine {
                Machine::Start(_) => false,
                Machine::Text(text) => text.finished(),
                Machine::Blocks(blocks) => blocks.finished,
                Machine::Archive(archive) => archive.finished(),
            }
    }

    /// What has been found so far.
    pub fn preview(&self) -> Preview {
        match &self.machine {
            Machine::Start(_) => Preview::default(),
            Machine::Text(text) => {
                let metadata = resolve(&text.reader.store, None, &text.reader.tools_seen);
                let format = (text.reader.commands + text.reader.comments > text.reader.strange)
                    .then_some(Format::Gcode);
                Preview { format, metadata, cover: text.pictures.best(None), ..Preview::default() }
            }
            Machine::Blocks(blocks) => Preview {
                format: Some(Format::Bgcode),
                metadata: resolve(&blocks.store, None, &[]),
                cover: blocks.pictures.best(None),
                ..Preview::default()
            },
            Machine::Archive(archive) => archive.preview(&self.hint),
        }
    }
}

impl Machine {
    fn push(&mut self, chunk: &[u8]) -> bool {
        match self {
            Self::Start(_) => false,
            Self::Text(text) => text.push(chunk),
            Self::Blocks(blocks) => blocks.push(chunk),
            Self::Archive(archive) => archive.push(chunk),
        }
    }
}

fn resolve(store: &Store, plate: Option<&PlateFacts>, tools_seen: &[u32]) -> Metadata {
    figures::resolve(store, plate, tools_seen, true).metadata
}

/// Text G-code.
#[derive(Default)]
struct Text {
    splitter: LineSplitter,
    reader: TextReader,
    pictures: Pictures,
}

impl Text {
    fn push(&mut self, chunk: &[u8]) -> bool {
        let Self { splitter, reader, pictures } = self;
        let before = (reader.store.len(), pictures.changes);
        splitter.push(chunk, |line| {
            reader.line(&line, &mut |found| {
                if let Found::Picture { tag, bytes, .. } = found {
                    pictures.add(&tag, None, Role::Cover, bytes);
                }
            });
        });
        before != (reader.store.len(), pictures.changes)
    }

    fn finished(&self) -> bool {
        self.reader.commands > limits::FORWARD_MOVES
            && !self.reader.in_config
            && !self.reader.blocks.is_open()
    }
}

/// The pictures worth keeping, one per plate, bounded in all.
#[derive(Default)]
struct Pictures {
    kept: Vec<(Thumbnail, Vec<u8>)>,
    /// Rises whenever something changed.
    changes: u32,
}

impl Pictures {
    /// Keeps `bytes` if they are a whole picture and the best of their plate so far.
    fn add(&mut self, source: &str, plate: Option<u32>, role: Role, bytes: Vec<u8>) {
        let Some(picture) = images::sniff(&bytes).filter(|_| images::is_complete(&bytes)) else { return };
        let thumbnail = Thumbnail {
            source: short_text(source),
            format: picture.format,
            width: picture.width,
            height: picture.height,
            bytes: bytes.len() as u64,
            sha256: None,
            plate,
            role,
            location: Location::Range { offset: 0, length: 0 },
        };
        if let Some(at) = self.kept.iter().position(|(other, _)| other.plate == plate) {
            let Some(old) = self.kept.get(at) else { return };
            if preference(&[old.0.clone(), thumbnail.clone()], plate).first() == Some(&0) {
                return;
            }
            self.kept.remove(at);
        }
        let held: usize = self.kept.iter().map(|(_, bytes)| bytes.len()).sum();
        if held + bytes.len() <= limits::FORWARD_PICTURES_MAX && self.kept.len() < limits::PLATES_MAX {
            self.kept.push((thumbnail, bytes));
            self.changes += 1;
        }
    }

    fn best(&self, plate: Option<u32>) -> Option<(Thumbnail, Vec<u8>)> {
        let thumbnails: Vec<Thumbnail> = self.kept.iter().map(|(thumbnail, _)| thumbnail.clone()).collect();
        // A picture of another plate would be a lie.
        let mut order = preference(&thumbnails, plate).into_iter().filter_map(|at| self.kept.get(at));
        order
            .find(|(thumbnail, _)| plate.is_none() || thumbnail.plate.is_none() || thumbnail.plate == plate)
            .cloned()
    }

    /// The lowest plate with a picture.
    fn first_plate(&self) -> Option<u32> {
        self.kept.iter().filter_map(|(thumbnail, _)| thumbnail.plate).min()
    }
}
