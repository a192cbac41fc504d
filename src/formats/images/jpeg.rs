//! JPEG by way of `zune-jpeg`, which holds the whole picture; hence the tighter limits.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg_frame;
use crate::formats::limits;
use crate::formats::result::Failure;

/// Decodes `bytes` and hands on row by row as RGBA.
pub(crate) fn rows(bytes: &[u8], size: (u32, u32), mut sink: impl FnMut(&[u8])) -> Result<(), Failure> {
    let pixels = u64::from(size.0) * u64::from(size.1);
    let progressive = jpeg_frame(bytes).is_some_and(|frame| frame.progressive);
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
    let rgb = decoder
        .decode()
        .map_err(|error| Failure::corrupt(format!("the JPEG picture is damaged: {error:?}")))?;
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
