//! Text G-code of all slicers: thumbnails and figures out of the head and the tail of the file.
//!
//! A file of 500 MB costs what a file of 2 MB costs: at most [`limits::GCODE_HEAD_MAX`] from its start (more only for a
//! picture that is open there) and [`limits::GCODE_TAIL_MAX`] from its end. Moves are never interpreted.

pub(crate) mod base64;
pub(crate) mod pictures;
pub(crate) mod text;

use pictures::Found;
use text::TextReader;

use super::figures;
use super::images;
use super::limits;
use super::lines::{Line, LineSplitter};
use super::result::{Failure, Format, Inspection, Kind, Location, Role, Thumbnail, no_metadata};
use super::source::Source;
use super::{Options, sha256_hex};

/// Reads a text G-code file. The error is only for what is no G-code at all or cannot be read.
pub(crate) fn inspect(source: &mut Source<'_>, options: &Options) -> Result<Inspection, Failure> {
    let mut out =
        Inspection { format: Some(Format::Gcode), sliced: true, plate_count: 1, ..Inspection::default() };
    let reader = read(source, options, &mut out)?;
    if source.is_empty() {
        return Err(Failure::corrupt("the file is empty"));
    }
    // A stray line of other text, or of bytes at random, may look like a command.
    let known = reader.commands + reader.comments;
    if reader.strange > known || (reader.commands == 0 && (reader.comments == 0 || reader.store.is_empty())) {
        return Err(Failure::unsupported("this is no print file: neither G-code, binary G-code nor 3MF"));
    }
    let resolved = figures::resolve(&reader.store, None, &reader.tools_seen, true);
    out.metadata = resolved.metadata;
    out.sources = resolved.sources;
    if out.metadata.is_empty() && out.thumbnails.is_empty() {
        out.error = Some(out.warnings.first().cloned().unwrap_or_else(no_metadata));
    }
    Ok(out)
}

/// Reads head and tail of `source`, adds its pictures and their troubles to `out`, and hands back what the lines said.
pub(crate) fn read(
    source: &mut Source<'_>,
    options: &Options,
    out: &mut Inspection,
) -> Result<TextReader, Failure> {
    let length = source.len();
    let whole = length <= limits::GCODE_HEAD_MAX + limits::GCODE_TAIL;
    let mut reader = TextReader::default();
    let mut splitter = LineSplitter::default();
    let first = if whole { length } else { limits::GCODE_HEAD_MAX };
    let mut found = |found: Found| keep(found, options, out);
    let mut at = feed(source, 0, first, &mut splitter, &mut reader, &mut found)?;
    while reader.blocks.is_open() && at < length.min(limits::GCODE_HEAD_OPEN_MAX) {
        at = feed(source, at, limits::GCODE_TAIL, &mut splitter, &mut reader, &mut found)?;
    }
    if at >= length {
        splitter.finish(|line| reader.line(&line, &mut found));
    }
    if at < length {
        read_tail(source, at, splitter, &mut reader, &mut found)?;
    } else {
        reader.blocks.finish(at, &mut found);
    }
    reader.finish();
    Ok(reader)
}

/// Reads the end of the file, from `from` on at the earliest, where `head` stopped.
fn read_tail(
    source: &mut Source<'_>,
    from: u64,
    head: LineSplitter,
    reader: &mut TextReader,
    found: &mut dyn FnMut(Found),
) -> Result<(), Failure> {
    let length = source.len();
    let mut start = length.saturating_sub(limits::GCODE_TAIL).max(from);
    if start > from && comments_at(source, start, b"")? {
        // The window begins among comments: what precedes the settings, the statistics, may be further ahead.
        start = length.saturating_sub(limits::GCODE_TAIL_MAX).max(from);
    }
    let mut splitter = head;
    let mut skip = false;
    if start > from {
        // What the head left open is not open here.
        reader.blocks.finish(from, found);
        reader.in_config = comments_at(source, start, b" = ")?;
        splitter = LineSplitter::starting_at(start);
        // The first line of a window is a part of one. It is only skipped when it does not begin a line.
        skip = source.bytes_at(start - 1, 1)?.first() != Some(&b'\n');
    }
    let mut at = start;
    while at < length {
        let chunk = source.bytes_at(at, limits::READ_CHUNK as u64)?;
        if chunk.is_empty() {
            break;
        }
        at += chunk.len() as u64;
        splitter.push(&chunk, |line| {
            if !std::mem::take(&mut skip) {
                reader.line(&line, found);
            }
        });
    }
    if !skip {
        splitter.finish(|line| reader.line(&line, found));
    }
    reader.blocks.finish(length, found);
    Ok(())
}

/// Whether the first whole lines behind `start` are comments and nothing else, each with `mark` in it. Without a mark a
/// line without end counts too: no move is as long, lists of objects are.
fn comments_at(source: &mut Source<'_>, start: u64, mark: &[u8]) -> Result<bool, Failure> {
    let sample = source.bytes_at(start, limits::READ_CHUNK as u64)?;
    if mark.is_empty() && !sample.contains(&b'\n') {
        return Ok(true);
    }
    let mut lines = sample.split(|&byte| byte == b'\n').skip(1).take(4).peekable();
    let marked = |line: &[u8]| mark.is_empty() || line.windows(mark.len()).any(|window| window == mark);
    Ok(lines.peek().is_some() && lines.all(|line| line.starts_with(b";") && marked(line)))
}

/// Feeds up to `length` bytes from `at` and tells where it stopped.
fn feed(
    source: &mut Source<'_>,
    at: u64,
    length: u64,
    splitter: &mut LineSplitter,
    reader: &mut TextReader,
    found: &mut dyn FnMut(Found),
) -> Result<u64, Failure> {
    let mut done = at;
    source.stream(at, length, |chunk| {
        done += chunk.len() as u64;
        splitter.push(chunk, |line| reader.line(&line, found));
        true
    })?;
    Ok(done)
}

/// Adds what a block held to the answer.
pub(crate) fn keep(found: Found, options: &Options, out: &mut Inspection) {
    match found {
        Found::Picture { tag, bytes, offset, length } => {
            let Some(picture) = images::sniff(&bytes) else { return };
            if out.thumbnails.len() >= limits::PICTURES_MAX {
                out.warn(Failure::too_large("there are more pictures than are listed"));
                return;
            }
            out.thumbnails.push(Thumbnail {
                source: tag,
                format: picture.format,
                width: picture.width,
                height: picture.height,
                bytes: bytes.len() as u64,
                sha256: options.hashes.then(|| sha256_hex(&bytes)),
                plate: None,
                role: Role::Cover,
                location: Location::GcodeBlock { offset, length },
            });
        }
        Found::Damaged { tag, why } => {
            out.warn(Failure::corrupt(format!("an embedded picture ({tag}) cannot be read: {why}")));
        }
        Found::Unsupported { form } => {
            out.warn(Failure::new(Kind::Unsupported, format!("{form} is not decoded")));
        }
    }
}

/// Fetches the bytes of the picture whose block lies in the given range.
pub(crate) fn picture(source: &mut Source<'_>, offset: u64, length: u64) -> Result<Vec<u8>, Failure> {
    let mut blocks = pictures::Blocks::default();
    let mut splitter = LineSplitter::default();
    let mut taken = None;
    let mut take = |found: Found| {
        if let Found::Picture { bytes, .. } = found
            && taken.is_none()
        {
            taken = Some(bytes);
        }
    };
    source.stream(offset, length.min(limits::GCODE_HEAD_OPEN_MAX), |chunk| {
        splitter.push(chunk, |line| {
            blocks.line(&Line { bytes: text::without_mark(&line, offset), ..line }, &mut take);
        });
        true
    })?;
    splitter.finish(|line| {
        blocks.line(&Line { bytes: text::without_mark(&line, offset), ..line }, &mut take);
    });
    blocks.finish(0, &mut take);
    taken.ok_or_else(|| Failure::corrupt("the picture is no longer where it was"))
}
