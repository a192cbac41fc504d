//! Binary G-code: metadata and thumbnails of all blocks before the first G-code block, where reading stops.
//!
//! Blocks are taken in any order. A damaged block costs only itself as long as its length can be believed; a file that
//! ends early gives what came before. The checksums of G-code blocks are looked at by the verification only.

pub(crate) mod block;
pub(crate) mod heatshrink;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use block::{Block, BlockKind, FILE_HEADER_LENGTH, FileHeader, Packing};
use heatshrink::Heatshrink;

use super::figures::{self, keys, keys::Key, keys::Origin, keys::Store};
use super::gcode::text::put_producer;
use super::lines::LineSplitter;
use super::result::{Failure, Format, Inspection, Location, Role, Thumbnail, no_metadata};
use super::source::Source;
use super::{Options, images, json, limits, sha256_hex};

/// Reads a binary G-code file.
pub(crate) fn inspect(source: &mut Source<'_>, options: &Options) -> Result<Inspection, Failure> {
    let header = FileHeader::parse(&source.bytes_at(0, FILE_HEADER_LENGTH)?)?;
    // The form exists for tool paths only, even when a damaged file does not reach to them.
    let mut out =
        Inspection { format: Some(Format::Bgcode), sliced: true, plate_count: 1, ..Inspection::default() };
    if header.version > 1 {
        out.warn(Failure::unsupported(format!(
            "binary G-code of version {} may hold more than is read",
            header.version
        )));
    }
    let mut store = Store::default();
    if let Err(failure) = walk(source, header, options, &mut store, &mut out) {
        out.warn(failure);
    }
    let resolved = figures::resolve(&store, None, &[], true);
    out.metadata = resolved.metadata;
    out.sources = resolved.sources;
    if out.metadata.is_empty() && out.thumbnails.is_empty() {
        out.error = Some(out.warnings.first().cloned().unwrap_or_else(no_metadata));
    }
    Ok(out)
}

fn walk(
    source: &mut Source<'_>,
    header: FileHeader,
    options: &Options,
    store: &mut Store,
    out: &mut Inspection,
) -> Result<(), Failure> {
    let mut offset = FILE_HEADER_LENGTH;
    let mut plain_left = limits::BGCODE_METADATA_TOTAL_MAX;
    for number in 0..limits::BGCODE_BLOCKS_MAX {
        let Some(block) = Block::read(source, offset, header.has_crc)? else {
            return Err(Failure::corrupt("the file ends before its G-code"));
        };
        if block.kind == BlockKind::Gcode {
            return Ok(());
        }
        let left = source.len() - offset;
        if block.length() > left {
            // A last block that is cut still says something if its beginning does.
            if let Some(stored) = left.checked_sub(block.header_length) {
                let cut = Block { stored_length: stored.min(block.stored_length), has_crc: false, ..block };
                if block.kind != BlockKind::Thumbnail {
                    let _ = metadata(source, offset, &cut, store);
                }
            }
            return Err(Failure::corrupt(format!(
                "the file ends within its {} (block {number})",
                block.kind.name()
            )));
        }
        let plain = if block.kind.is_metadata() { block.plain_length } else { 0 };
        let result = match plain_left.checked_sub(plain) {
            Some(left) => {
                plain_left = left;
                take(source, offset, &block, options, store, out)
            }
            None => Err(Failure::too_large("there is more metadata than is read")),
        };
        if let Err(failure) = result {
            out.warn(failure);
        }
        offset += block.length();
    }
    Err(Failure::too_large("there are too many blocks before the G-code"))
}

fn take(
    source: &mut Source<'_>,
    offset: u64,
    block: &Block,
    options: &Options,
    store: &mut Store,
    out: &mut Inspection,
) -> Result<(), Failure> {
    let wanted = match block.kind {
        BlockKind::Thumbnail => limits::PICTURE_STORED_MAX,
        BlockKind::Unknown(_) | BlockKind::Gcode => return Ok(()),
        _ => limits::BGCODE_METADATA_STORED_MAX,
    };
    if block.stored_length > wanted {
        let what = if block.kind == BlockKind::Thumbnail { "embedded picture" } else { "metadata block" };
        return Err(Failure::too_large(format!("an {what} of {} bytes is not read", block.stored_length)));
    }
    if !block.crc_matches(source, offset)? {
        // The damage may be anywhere in the block; what it still gives is kept.
        out.warn(Failure::corrupt(format!("the checksum of the {} is wrong", block.kind.name())));
    }
    if block.kind == BlockKind::Thumbnail {
        return thumbnail(source, offset, block, options, out);
    }
    metadata(source, offset, block, store)
}

fn thumbnail(
    source: &mut Source<'_>,
    offset: u64,
    block: &Block,
    options: &Options,
    out: &mut Inspection,
) -> Result<(), Failure> {
    if block.packing != Packing::None {
        return Err(Failure::unsupported("a compressed embedded picture is not read"));
    }
    let listed: u64 = out.thumbnails.iter().map(|thumbnail| thumbnail.bytes).sum();
    if out.thumbnails.len() >= limits::PICTURES_MAX
        || listed.saturating_add(block.stored_length) > limits::PICTURES_TOTAL_MAX
    {
        return Err(Failure::too_large("there are more pictures than are listed"));
    }
    let start = offset + block.header_length;
    let bytes = source.bytes_at(start, block.stored_length)?;
    let picture = images::sniff(&bytes)
        .ok_or_else(|| Failure::corrupt("an embedded picture is neither PNG, JPEG nor QOI"))?;
    out.thumbnails.push(Thumbnail {
        source: "thumbnail".to_owned(),
        format: picture.format,
        width: picture.width,
        height: picture.height,
        bytes: block.stored_length,
        sha256: options.hashes.then(|| sha256_hex(&bytes)),
        plate: None,
        role: Role::Cover,
        location: Location::Range { offset: start, length: block.stored_length },
    });
    Ok(())
}

fn metadata(source: &mut Source<'_>, offset: u64, block: &Block, store: &mut Store) -> Result<(), Failure> {
    let start = offset + block.header_length;
    let mut sink = MetadataSink::new(block.kind, block.encoding)?;
    let mut unpacker = Unpacker::new(block)?;
    let mut result = Ok(());
    source.stream(start, block.stored_length, |chunk| {
        result = unpacker.push(chunk, &mut |plain| sink.push(plain, store));
        result.is_ok()
    })?;
    let complete = result.and_then(|()| unpacker.finish());
    sink.finish(store)?;
    complete
}

/// Takes the plain bytes of a metadata block to the store.
pub(crate) struct MetadataSink {
    kind: BlockKind,
    lines: LineSplitter,
    /// JSON is collected, since its text cannot be split.
    text: Option<Vec<u8>>,
}

impl MetadataSink {
    pub fn new(kind: BlockKind, encoding: u16) -> Result<Self, Failure> {
        let text = match encoding {
            0 => None,
            1 => Some(Vec::new()),
            other => {
                return Err(Failure::unsupported(format!("unknown encoding {other} of the {}", kind.name())));
            }
        };
        Ok(Self { kind, lines: LineSplitter::default(), text })
    }

    pub fn push(&mut self, plain: &[u8], store: &mut Store) {
        let kind = self.kind;
        match &mut self.text {
            None => self.lines.push(plain, |line| ini_line(line.bytes, kind, store)),
            Some(text) => {
                let max = usize::try_from(limits::BGCODE_METADATA_PLAIN_MAX).unwrap_or(usize::MAX);
                if text.len() + plain.len() <= max {
                    text.extend_from_slice(plain);
                }
            }
        }
    }

    pub fn finish(&mut self, store: &mut Store) -> Result<(), Failure> {
        let kind = self.kind;
        match &self.text {
            None => {
                self.lines.finish(|line| ini_line(line.bytes, kind, store));
                Ok(())
            }
            Some(text) => json::harvest(text.as_slice(), store, origin(kind)),
        }
    }
}

fn origin(kind: BlockKind) -> Origin {
    match kind {
        BlockKind::PrintMetadata => Origin::PrintMetadata,
        BlockKind::PrinterMetadata => Origin::PrinterMetadata,
        BlockKind::SlicerMetadata => Origin::SlicerMetadata,
        _ => Origin::FileMetadata,
    }
}

/// `key=value`; a line without a sign says nothing.
fn ini_line(line: &[u8], kind: BlockKind, store: &mut Store) {
    let Some(at) = line.iter().position(|&byte| byte == b'=') else { return };
    let (name, value) = (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default());
    let Ok(name) = std::str::from_utf8(name.trim_ascii()) else { return };
    let value = String::from_utf8_lossy(value);
    let origin = origin(kind);
    match keys::key(name) {
        Some(Key::Slicer) => put_producer(store, &value, origin),
        Some(key) => store.put(key, &value, origin),
        None => {}
    }
}

/// Undoes the packing of a block in pieces, never giving more than was announced.
pub(crate) enum Unpacker {
    Plain { remaining: u64 },
    Deflate { state: Box<InflateState>, remaining: u64, done: bool },
    Heatshrink(Heatshrink),
}

impl Unpacker {
    pub fn new(block: &Block) -> Result<Self, Failure> {
        if block.plain_length > limits::BGCODE_METADATA_PLAIN_MAX {
            return Err(Failure::too_large(format!(
                "the {} unpacks to {} bytes",
                block.kind.name(),
                block.plain_length
            )));
        }
        Ok(match block.packing {
            Packing::None => Self::Plain { remaining: block.plain_length },
            Packing::Deflate => Self::Deflate {
                state: InflateState::new_boxed(DataFormat::Zlib),
                remaining: block.plain_length,
                done: false,
            },
            Packing::Heatshrink(window) => Self::Heatshrink(Heatshrink::new(window, 4, block.plain_length)),
            Packing::Unknown(other) => {
                return Err(Failure::unsupported(format!("unknown compression {other}")));
            }
        })
    }

    /// Unpacks `input` and hands the plain bytes on in pieces.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        match self {
            Self::Plain { remaining } => {
                *remaining = remaining.saturating_sub(input.len() as u64);
                sink(input);
                Ok(())
            }
            Self::Heatshrink(decoder) => {
                let mut plain = Vec::new();
                // Pieces this small expand to 64 KB at most: 13 or 17 bits give up to 16 bytes.
                for piece in input.chunks(4096) {
                    plain.clear();
                    decoder.push(piece, &mut plain);
                    sink(&plain);
                }
                Ok(())
            }
            Self::Deflate { state, remaining, done } => {
                let mut buffer = vec![0; limits::READ_CHUNK];
                let mut input = input;
                while !*done {
                    let result = inflate(state, input, &mut buffer, MZFlush::None);
                    input = input.get(result.bytes_consumed..).unwrap_or_default();
                    let produced = buffer.get(..result.bytes_written).unwrap_or_default();
                    if produced.len() as u64 > *remaining {
                        return Err(Failure::too_large("a metadata block unpacks to more than it announces"));
                    }
                    *remaining -= produced.len() as u64;
                    sink(produced);
                    match result.status {
                        Ok(MZStatus::StreamEnd) => *done = true,
                        Ok(_) | Err(MZError::Buf) => {
                            if result.bytes_consumed == 0 && result.bytes_written == 0 {
                                break;
                            }
                        }
                        Err(_) => return Err(Failure::corrupt("compressed metadata is damaged")),
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether everything that was announced has come out.
    pub fn finish(&self) -> Result<(), Failure> {
        match self {
            Self::Plain { remaining: 0 } => Ok(()),
            Self::Deflate { done: true, .. } => Ok(()),
            Self::Heatshrink(decoder) => decoder.finish(),
            _ => Err(Failure::corrupt("a metadata block ends too early")),
        }
    }
}
