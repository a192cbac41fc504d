//! Pictures: told by their bytes, measured without decoding, decoded by rows, scaled, written as PNG.
//!
//! The input is never held as pixels as a whole (JPEG apart, whose size is limited for that), so a picture of 4K costs
//! hardly more memory than one of 16 pixels.

mod jpeg;
mod png_rows;
mod qoi;
pub(crate) mod render;
mod scale;

use super::result::PictureFormat;
use super::source::{be16, be32};

pub use render::{Rendition, Renditions, Size};

/// What the first bytes of a picture say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub format: PictureFormat,
    pub width: u32,
    pub height: u32,
}

const PNG_SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// Format and size of the picture that begins with `bytes`. For a JPEG the bytes must reach to its frame header.
pub(crate) fn sniff(bytes: &[u8]) -> Option<Picture> {
    let picture = if bytes.starts_with(PNG_SIGNATURE) {
        if bytes.get(12..16)? != b"IHDR" {
            return None;
        }
        Picture { format: PictureFormat::Png, width: be32(bytes, 16)?, height: be32(bytes, 20)? }
    } else if bytes.starts_with(b"qoif") {
        Picture { format: PictureFormat::Qoi, width: be32(bytes, 4)?, height: be32(bytes, 8)? }
    } else if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        let frame = jpeg_frame(bytes)?;
        Picture { format: PictureFormat::Jpeg, width: frame.width, height: frame.height }
    } else {
        return None;
    };
    (picture.width > 0 && picture.height > 0).then_some(picture)
}

/// The frame header of a JPEG.
pub(crate) struct JpegFrame {
    pub width: u32,
    pub height: u32,
    pub progressive: bool,
    /// Whether it is gray, or colours of which none is finer than the brightness: what every camera and slicer writes.
    pub usual: bool,
}

pub(crate) fn jpeg_frame(bytes: &[u8]) -> Option<JpegFrame> {
    let mut at = 2usize;
    loop {
        if *bytes.get(at)? != 0xFF {
            return None;
        }
        let marker = *bytes.get(at.checked_add(1)?)?;
        if marker == 0xFF {
            at = at.checked_add(1)?;
            continue;
        }
        // Markers without a body.
        if matches!(marker, 0x01 | 0xD0..=0xD7) {
            at = at.checked_add(2)?;
            continue;
        }
        if matches!(marker, 0xD9 | 0xDA) {
            return None;
        }
        let length = usize::from(be16(bytes, at.checked_add(2)?)?);
        if matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
            return Some(JpegFrame {
                height: u32::from(be16(bytes, at.checked_add(5)?)?),
                width: u32::from(be16(bytes, at.checked_add(7)?)?),
                progressive: marker != 0xC0 && marker != 0xC1,
                usual: usual_components(bytes, at.checked_add(9)?),
            });
        }
        if length < 2 {
            return None;
        }
        at = at.checked_add(2)?.checked_add(length)?;
    }
}

/// Looks at the components of a frame: one, or three of which the first has at most twice the resolution of the others
/// in each direction.
fn usual_components(bytes: &[u8], at: usize) -> bool {
    let sampling = |number: usize| {
        let place = at.checked_add(1 + 3 * number + 1)?;
        bytes.get(place).map(|byte| (byte >> 4, byte & 15))
    };
    let Some(first) = sampling(0) else { return false };
    let small = |factor: u8| matches!(factor, 1 | 2);
    match bytes.get(at) {
        Some(1) => small(first.0) && small(first.1),
        Some(3) => small(first.0) && small(first.1) && [sampling(1), sampling(2)] == [Some((1, 1)); 2],
        _ => false,
    }
}

/// Whether the picture has its end. Cheap: it looks at the structure, it does not decode.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    match sniff(bytes).map(|picture| picture.format) {
        Some(PictureFormat::Png) => png_end(bytes).is_some(),
        Some(PictureFormat::Jpeg) => {
            // Some writers pad the end.
            let tail = bytes.get(bytes.len().saturating_sub(64)..).unwrap_or_default();
            tail.windows(2).any(|pair| pair == [0xFF, 0xD9])
        }
        Some(PictureFormat::Qoi) => bytes.ends_with(&[0, 0, 0, 0, 0, 0, 0, 1]),
        None => false,
    }
}

/// Where the PNG that begins `bytes` ends, found by walking its chunks.
pub(crate) fn png_end(bytes: &[u8]) -> Option<usize> {
    let mut at = PNG_SIGNATURE.len();
    loop {
        let length = usize::try_from(be32(bytes, at)?).ok()?;
        let name = bytes.get(at.checked_add(4)?..at.checked_add(8)?)?;
        let next = at.checked_add(12)?.checked_add(length)?;
        if next > bytes.len() {
            return None;
        }
        if name == b"IEND" {
            return Some(next);
        }
        at = next;
    }
}
