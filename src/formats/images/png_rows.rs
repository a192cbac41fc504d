//! PNG by rows, and a copy of a PNG that keeps what a picture needs and nothing else.

use std::io::Cursor;

use png::{ColorType, DecodeOptions, Decoder, DecodingError, Limits, Transformations};

use super::PNG_SIGNATURE;
use crate::formats::limits;
use crate::formats::result::Failure;
use crate::formats::source::be32;

/// What the header of a PNG says beyond its size.
pub(crate) struct Layout {
    pub has_alpha: bool,
}

fn failure(error: DecodingError) -> Failure {
    match error {
        DecodingError::LimitsExceeded => Failure::too_large("the PNG picture wants too much memory"),
        _ => Failure::corrupt(format!("the PNG picture is damaged: {error}")),
    }
}

/// Decodes `bytes` and hands on row by row as RGBA.
pub(crate) fn rows(bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<Layout, Failure> {
    let mut options = DecodeOptions::default();
    // Profiles and texts are not needed, and both can be compressed bombs.
    options.set_ignore_iccp_chunk(true);
    options.set_ignore_text_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_limits(Limits { bytes: limits::PNG_DECODER_MEMORY_MAX });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(failure)?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height);
    let interlaced = info.interlaced;
    let has_alpha =
        info.trns.is_some() || matches!(info.color_type, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let layout = Layout { has_alpha };
    let color = reader.output_color_type().0;
    let mut rgba = vec![0; width * 4];
    if interlaced {
        // Only small ones get here: the rows come in seven passes, so the picture is put together first.
        let mut whole = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
        reader.next_frame(&mut whole).map_err(failure)?;
        let line = reader.output_line_size(info_width(width)).ok_or_else(too_large)?;
        for row in whole.chunks_exact(line.max(1)) {
            to_rgba(row, color, &mut rgba);
            sink(&rgba);
        }
        return Ok(layout);
    }
    let mut seen = 0;
    while let Some(row) = reader.next_row().map_err(failure)? {
        to_rgba(row.data(), color, &mut rgba);
        sink(&rgba);
        seen += 1;
    }
    if seen < height {
        return Err(Failure::corrupt("the PNG picture ends too early"));
    }
    Ok(layout)
}

fn too_large() -> Failure {
    Failure::too_large("the PNG picture is too large")
}

fn info_width(width: usize) -> u32 {
    u32::try_from(width).unwrap_or(u32::MAX)
}

fn to_rgba(row: &[u8], color: ColorType, rgba: &mut [u8]) {
    match color {
        ColorType::Rgba => {
            let length = row.len().min(rgba.len());
            if let (Some(target), Some(row)) = (rgba.get_mut(..length), row.get(..length)) {
                target.copy_from_slice(row);
            }
        }
        ColorType::Rgb => {
            for (target, pixel) in rgba.chunks_exact_mut(4).zip(row.chunks_exact(3)) {
                if let &[red, green, blue] = pixel {
                    target.copy_from_slice(&[red, green, blue, 255]);
                }
            }
        }
        ColorType::GrayscaleAlpha => {
            for (target, pixel) in rgba.chunks_exact_mut(4).zip(row.chunks_exact(2)) {
                if let &[gray, alpha] = pixel {
                    target.copy_from_slice(&[gray, gray, gray, alpha]);
                }
            }
        }
        ColorType::Grayscale | ColorType::Indexed => {
            for (target, &gray) in rgba.chunks_exact_mut(4).zip(row) {
                target.copy_from_slice(&[gray, gray, gray, 255]);
            }
        }
    }
}

/// The picture without its texts, profiles, dates and animation. `None` when its chunks do not
/// reach to an end, or are more than [`limits::PNG_COPY_MAX`].
pub(crate) fn bare_copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len().min(limits::PNG_COPY_MAX));
    out.extend_from_slice(PNG_SIGNATURE);
    let mut at = PNG_SIGNATURE.len();
    loop {
        let length = usize::try_from(be32(bytes, at)?).ok()?;
        let chunk = bytes.get(at..at.checked_add(length)?.checked_add(12)?)?;
        let name = chunk.get(4..8)?;
        if matches!(name, b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT" | b"IEND" | b"sRGB" | b"gAMA") {
            if out.len() + chunk.len() > limits::PNG_COPY_MAX {
                return None;
            }
            out.extend_from_slice(chunk);
        }
        if name == b"IEND" {
            return Some(out);
        }
        at = at.checked_add(chunk.len())?;
    }
}

/// Most pixels of a picture that is packed with care: the medium size.
const BALANCED_PIXELS_MAX: u64 = 256 * 256;

/// Writes RGBA pixels as PNG, without the alpha channel when there is none.
pub(crate) fn write(size: (u32, u32), rgba: &[u8], has_alpha: bool) -> Result<Vec<u8>, Failure> {
    let cannot = |error: png::EncodingError| {
        Failure::corrupt(format!("the scaled picture cannot be written: {error}"))
    };
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, size.0, size.1);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(if has_alpha { ColorType::Rgba } else { ColorType::Rgb });
    // Small and medium ones are kept for years and sent by the dozen: a third less for three times the work. A large one
    // is written only for sources above 512 pixels, and there the work would be felt.
    let balanced = u64::from(size.0) * u64::from(size.1) <= BALANCED_PIXELS_MAX;
    encoder.set_compression(if balanced { png::Compression::Balanced } else { png::Compression::Fast });
    let mut writer = encoder.write_header().map_err(cannot)?;
    if has_alpha {
        writer.write_image_data(rgba).map_err(cannot)?;
    } else {
        let rgb: Vec<u8> = rgba.chunks_exact(4).flat_map(|pixel| pixel.iter().take(3).copied()).collect();
        writer.write_image_data(&rgb).map_err(cannot)?;
    }
    writer.finish().map_err(cannot)?;
    Ok(out)
}
