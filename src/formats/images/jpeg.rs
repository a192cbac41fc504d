//! JPEG by way of `zune-jpeg`, which holds the whole picture; hence the tighter limits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg_frame;
use crate::formats::limits;
use crate::formats::result::Failure;

/// The decoder is not ours, and fuzzing made it stumble once: a picture that makes it panic is a damaged picture, and no
/// reason to lose the rest of the file.
fn fenced<T, E: std::fmt::Debug>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => {
            result.map_err(|error| Failure::corrupt(format!("the JPEG picture is damaged: {error:?}")))
        }
        Err(_) => Err(Failure::corrupt("the JPEG picture is damaged in an unforeseen way")),
    }
}

/// Decodes `bytes` and hands on row by row as RGBA.
pub(crate) fn rows(bytes: &[u8], size: (u32, u32), mut sink: impl FnMut(&[u8])) -> Result<(), Failure> {
    let pixels = u64::from(size.0) * u64::from(size.1);
    let frame = jpeg_frame(bytes).ok_or_else(|| Failure::corrupt("the JPEG picture has no frame"))?;
    // The decoder stumbles over others, and nobody writes them.
    if !frame.usual {
        return Err(Failure::unsupported("a JPEG picture with unusual components is not decoded"));
    }
    let progressive = frame.progressive;
    let max = if progressive { limits::JPEG_PROGRESSIVE_PIXELS_MAX } else { limits::JPEG_PIXELS_MAX };
    if bytes.len() > limits::JPEG_STORED_MAX {
        return Err(Failure::too_large(format!("a JPEG picture of {} bytes is not decoded", bytes.len())));
    }
    if pixels > max {
        return Err(Failure::too_large(format!("a JPEG picture of {} by {} is not decoded", size.0, size.1)));
    }
    let options = DecoderOptions::default()
        .set_max_width(size.0 as usize)
        .set_max_height(size.1 as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let rgb = fenced(|| decoder.decode())?;
    let mut row = vec![255; size.0 as usize * 4];
    let line = size.0 as usize * 3;
    if rgb.len() != line * size.1 as usize {
        return Err(Failure::unsupported("the JPEG picture has an unusual colour space"));
    }
    for source in rgb.chunks_exact(line.max(1)) {
        for (target, pixel) in row.chunks_exact_mut(4).zip(source.chunks_exact(3)) {
            if let &[red, green, blue] = pixel {
                target.copy_from_slice(&[red, green, blue, 255]);
            }
        }
        sink(&row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Kind;

    #[test]
    fn a_decoder_that_panics_is_a_damaged_picture() {
        let kind = |result: Result<u8, Failure>| result.map_err(|failure| failure.kind);
        assert_eq!(kind(fenced(|| Ok::<u8, ()>(7))), Ok(7));
        assert_eq!(kind(fenced(|| Err::<u8, _>("bad"))), Err(Kind::Corrupt));
        let panicking = || -> Result<u8, ()> { panic!("a decoder's own") };
        assert_eq!(kind(fenced(panicking)), Err(Kind::Corrupt));
    }
}
