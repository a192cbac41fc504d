//! Readers of print files: text G-code, binary G-code and 3MF, whoever wrote them.
//!
//! What it does: gets every thumbnail and figure out of a file, from its ends and directories only, so that the cost
//! does not grow with the moves; scales pictures; looks into running downloads; verifies whole archives in steps.
//!
//! What it deliberately does not do: interpret moves, decode G-code blocks, render models, trust a name. The content
//! decides what a file is; file names, hashes and versions of slicers are never consulted.
//!
//! Bounds: all in [`limits`]. One inspection holds less than 8 MB at any time. No input may panic; what is damaged is a
//! [`Failure`] with a stable [`Kind`], and what could be read beside it is still given.
//!
//! The four ways in:
//! - [`inspect`] / [`inspect_reader`]: everything about a seekable file, for a plate if need be;
//! - [`picture`] and [`renditions`]: the bytes of an embedded picture, and small, medium and large PNGs of the best one;
//! - [`forward::Tap`]: covers and header values out of a stream that is still running;
//! - [`verify::Verifier`]: all checksums of an archive, a few hundred kilobytes at a time.

mod bgcode;
pub(crate) mod figures;
pub mod forward;
mod gcode;
mod images;
pub mod inspect;
pub(crate) mod json;
pub mod limits;
mod lines;
mod result;
mod source;
mod threemf;
pub mod verify;
mod zip;

use std::fs::File;
use std::path::Path;

pub use images::{Rendition, Renditions, Size};
pub use result::{Failure, FilamentUse, Format, Inspection, Kind, Metadata, PictureFormat, Role, Thumbnail};
pub use source::{ReadSeek, Source};
pub use threemf::held::HeldPlate;
pub(crate) use threemf::held::bytes_of as md5_bytes;

use result::Location;

/// Which plate of an archive is meant. Empty: the one that the archive itself points at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlateHint {
    /// Number of the plate, from 1, as the printer's job tells.
    pub index: Option<u32>,
    /// Name of the G-code part, with or without its folder, as the printer's job tells.
    pub gcode_file: Option<String>,
}

/// How thorough an inspection is.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The plate in question.
    pub plate: PlateHint,
    /// Whether to compute the SHA-256 of every picture, which means reading all of them.
    pub hashes: bool,
    /// Whether to unpack the plate's G-code of an archive to its end: for its MD5, and for the figures that some
    /// slicers write behind the moves. Costs as much as the moves are long.
    pub whole_gcode: bool,
    /// What the file claims to be, only to name the format of something that turns out to be none.
    pub claimed: Option<Format>,
}

/// Inspects the file at `path`. Never fails as such: what went wrong is in the answer.
pub fn inspect(path: &Path, options: &Options) -> Inspection {
    let mut options = options.clone();
    options.claimed = options.claimed.or_else(|| claimed(path));
    match File::open(path) {
        Ok(mut file) => inspect_reader(&mut file, &options),
        Err(error) => failed(Failure::new(Kind::Io, format!("the file cannot be opened: {error}")), &options),
    }
}

/// Inspects a seekable file.
pub fn inspect_reader(reader: &mut dyn ReadSeek, options: &Options) -> Inspection {
    let result = Source::new(reader)
        .map_err(Failure::from)
        .and_then(|mut source| inspect_source(&mut source, options));
    result.unwrap_or_else(|failure| failed(failure, options))
}

fn inspect_source(source: &mut Source<'_>, options: &Options) -> Result<Inspection, Failure> {
    match detect(&source.bytes_at(0, 4)?) {
        Some(Format::Bgcode) => bgcode::inspect(source, options),
        Some(Format::ThreeMf) => threemf::inspect(source, options),
        _ => gcode::inspect(source, options),
    }
}

/// The plates with G-code that an archive holds; `None` for what is no archive. Costs a look at its directory.
pub fn plates(reader: &mut dyn ReadSeek) -> Result<Option<Vec<HeldPlate>>, Failure> {
    let mut source = Source::new(reader)?;
    match detect(&source.bytes_at(0, 4)?) {
        Some(Format::ThreeMf) => threemf::held::plates(&mut source).map(Some),
        Some(Format::Bgcode | Format::Gcode) | None => Ok(None),
    }
}

/// The format by the first four bytes; `None` for what may be text G-code.
pub(crate) fn detect(start: &[u8]) -> Option<Format> {
    if start.starts_with(b"GCDE") {
        Some(Format::Bgcode)
    } else if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        Some(Format::ThreeMf)
    } else {
        None
    }
}

/// The answer about something that could not be read at all.
fn failed(mut failure: Failure, options: &Options) -> Inspection {
    if failure.kind == Kind::Unsupported
        && let Some(claimed @ (Format::ThreeMf | Format::Bgcode)) = options.claimed
    {
        let what = if claimed == Format::ThreeMf { "3MF package (no ZIP archive)" } else { "binary G-code" };
        failure = Failure::corrupt(format!("this is no {what}, whatever its name says"));
    }
    Inspection { format: options.claimed, error: Some(failure), ..Inspection::default() }
}

/// What the name of a file claims that it is.
fn claimed(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "3mf" => Some(Format::ThreeMf),
        "bgcode" | "bgc" => Some(Format::Bgcode),
        "gcode" | "gco" | "g" | "gc" => Some(Format::Gcode),
        _ => None,
    }
}

/// The bytes of an embedded picture, as stored; at most [`limits::PICTURE_STORED_MAX`].
pub fn picture(reader: &mut dyn ReadSeek, thumbnail: &Thumbnail) -> Result<Vec<u8>, Failure> {
    let mut source = Source::new(reader)?;
    match &thumbnail.location {
        Location::GcodeBlock { offset, length } => gcode::picture(&mut source, *offset, *length),
        Location::Range { offset, length } => {
            if *length > limits::PICTURE_STORED_MAX {
                return Err(Failure::too_large("the picture is too large"));
            }
            let bytes = source.bytes_at(*offset, *length)?;
            if bytes.len() as u64 == *length {
                Ok(bytes)
            } else {
                Err(Failure::corrupt("the file ends too early"))
            }
        }
        Location::Part { name } => {
            let directory = zip::Directory::read(&mut source)?;
            let entry =
                directory.find(name).ok_or_else(|| Failure::corrupt("the picture is no longer there"))?;
            zip::part::bytes(&mut source, &directory, entry, limits::PICTURE_STORED_MAX)
        }
    }
}

/// Small, medium and large PNGs of the best picture of the file, and which of `inspection.thumbnails` that is.
///
/// When the best one turns out to be damaged or blank the next best is taken, within limits: a file may hold dozens of
/// pictures that take long to decode and show nothing.
pub fn renditions(
    reader: &mut dyn ReadSeek,
    inspection: &Inspection,
) -> Result<(usize, Renditions), Failure> {
    let mut first_failure = None;
    let mut blank = None;
    let (mut tries, mut pixels_left) = (0, limits::RENDITION_PIXELS_MAX);
    for at in preference(&inspection.thumbnails, inspection.plate) {
        let Some(thumbnail) = inspection.thumbnails.get(at) else { continue };
        if let Err(failure) = images::render::check_size(thumbnail.width, thumbnail.height) {
            first_failure = first_failure.or(Some(failure));
            continue;
        }
        let pixels = u64::from(thumbnail.width) * u64::from(thumbnail.height);
        if tries >= limits::RENDITION_TRIES_MAX || (tries > 0 && pixels > pixels_left) {
            continue;
        }
        if tries > 0 {
            pixels_left -= pixels;
        }
        tries += 1;
        match picture(reader, thumbnail).and_then(|bytes| Renditions::of(&bytes)) {
            Ok(made) if made.blank => blank = blank.or(Some((at, made))),
            Ok(made) => return Ok((at, made)),
            Err(failure) => first_failure = first_failure.or(Some(failure)),
        }
    }
    if let Some(made) = blank {
        return Ok(made);
    }
    Err(first_failure
        .or_else(|| inspection.thumbnail_failure())
        .unwrap_or_else(|| Failure::new(Kind::NoneEmbedded, "the file has no embedded picture")))
}

/// The places of `thumbnails` in the order in which a viewer wants them.
///
/// The plate's own before the package's before those of other plates; covers before other views; the larger before the
/// smaller up to the size that is shown; at equal size the format that is cheapest to keep.
pub fn preference(thumbnails: &[Thumbnail], plate: Option<u32>) -> Vec<usize> {
    /// Beyond this the shorter side adds cost and no detail to the largest rendition.
    const ENOUGH: u32 = 512;
    let mut order: Vec<usize> = (0..thumbnails.len()).collect();
    order.sort_by_key(|&at| {
        let Some(thumbnail) = thumbnails.get(at) else { return (9, 9, 0, 9, 0) };
        let distance = match thumbnail.plate {
            Some(own) if Some(own) == plate => 0,
            None => 1,
            Some(_) => 2,
        };
        // A render is drawn to fit the shorter side.
        let side = thumbnail.width.min(thumbnail.height);
        let lack = ENOUGH.saturating_sub(side);
        let format = match thumbnail.format {
            PictureFormat::Png => 0,
            PictureFormat::Jpeg => 1,
            PictureFormat::Qoi => 2,
        };
        let role = if thumbnail.role == Role::Package { Role::Cover } else { thumbnail.role };
        (distance, role as u32, lack, format, u64::from(thumbnail.width) * u64::from(thumbnail.height))
    });
    order
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}
