//! Small, medium and large PNGs out of an embedded picture.

use std::sync::Arc;

use super::scale::Scaler;
use super::{jpeg, png_rows, qoi, sniff};
use crate::formats::limits;
use crate::formats::result::{Failure, PictureFormat};

/// The sizes in which pictures are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// At most 128 pixels a side: lists.
    Small,
    /// At most 256 pixels a side: cards.
    Medium,
    /// At most 512 pixels a side: the page of one print.
    Large,
}

impl Size {
    /// All sizes, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The longest side in pixels.
    pub fn side(self) -> u32 {
        match self {
            Self::Small => 128,
            Self::Medium => 256,
            Self::Large => 512,
        }
    }

    /// The stable name, as in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// One picture, ready to be served.
#[derive(Clone, Debug)]
pub struct Rendition {
    /// Which of the sizes it is for.
    pub size: Size,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The PNG. Sizes that come out equal share it.
    pub png: Arc<[u8]>,
}

/// The picture in all sizes.
#[derive(Clone, Debug)]
pub struct Renditions {
    /// Small, medium and large, in this order. A source smaller than a size is given as it is: never enlarged.
    pub sizes: Vec<Rendition>,
    /// Whether the picture is wholly transparent.
    pub blank: bool,
}

/// A finished PNG and its size.
type Made = ((u32, u32), Arc<[u8]>);

/// The largest size with the same shape that fits into `side`; never larger than the source.
fn fit(source: (u32, u32), side: u32) -> (u32, u32) {
    let longest = source.0.max(source.1);
    if longest <= side {
        return source;
    }
    let scaled = |length: u32| {
        let value = (u64::from(length) * u64::from(side) * 2 + u64::from(longest)) / (u64::from(longest) * 2);
        u32::try_from(value).unwrap_or(side).clamp(1, side)
    };
    (scaled(source.0), scaled(source.1))
}

impl Renditions {
    /// Makes all sizes of the picture `bytes` (PNG, JPEG or QOI, at most [`limits::PICTURE_STORED_MAX`]).
    pub fn of(bytes: &[u8]) -> Result<Self, Failure> {
        let picture =
            sniff(bytes).ok_or_else(|| Failure::corrupt("the picture is neither PNG, JPEG nor QOI"))?;
        let source = (picture.width, picture.height);
        check(bytes, source, picture.format)?;

        let mut sizes: Vec<(u32, u32)> = Size::ALL.iter().map(|size| fit(source, size.side())).collect();
        sizes.dedup();
        // A PNG that fits and has its end is copied; one whose end is missing is written anew from what it shows.
        let fits = picture.format == PictureFormat::Png && sizes.contains(&source) && png_is_plain(bytes);
        let copy = if fits { png_rows::bare_copy(bytes) } else { None };
        if copy.is_some() {
            sizes.retain(|&size| size != source);
        }
        // Exactly half of the next larger one is scaled from that: the same averages at a quarter of the work.
        let halves = |at: usize| {
            let (own, next) = (sizes.get(at), sizes.get(at + 1));
            own.zip(next).is_some_and(|(own, next)| (own.0 * 2, own.1 * 2) == *next)
        };
        let mut scalers: Vec<((u32, u32), Scaler)> = sizes
            .iter()
            .enumerate()
            .filter(|&(at, _)| !halves(at))
            .map(|(_, &size)| (size, Scaler::new(source, size)))
            .collect();

        let mut opaque = false;
        let sink = |row: &[u8]| {
            opaque = opaque || row.chunks_exact(4).any(|pixel| pixel.last().is_some_and(|&alpha| alpha > 0));
            scalers.iter_mut().for_each(|(_, scaler)| scaler.row(row));
        };
        let has_alpha = match picture.format {
            PictureFormat::Png => png_rows::rows(bytes, sink)?.has_alpha,
            PictureFormat::Qoi => {
                qoi::rows(bytes, source, sink)?;
                true
            }
            PictureFormat::Jpeg => {
                jpeg::rows(bytes, source, sink)?;
                false
            }
        };

        let mut made: Vec<Made> = Vec::new();
        if let Some(copy) = copy {
            made.push((source, copy.into()));
        }
        let mut larger: ((u32, u32), Vec<u8>) = ((0, 0), Vec::new());
        for &size in sizes.iter().rev() {
            let rgba = match scalers.pop_if(|(own, _)| *own == size) {
                Some((_, scaler)) => scaler.finish(),
                None => {
                    let mut scaler = Scaler::new(larger.0, size);
                    larger.1.chunks_exact(larger.0.0 as usize * 4).for_each(|row| scaler.row(row));
                    scaler.finish()
                }
            };
            if rgba.len() != size.0 as usize * size.1 as usize * 4 {
                return Err(Failure::corrupt("the picture ends too early"));
            }
            made.push((size, png_rows::write(size, &rgba, has_alpha)?.into()));
            larger = (size, rgba);
        }
        let sizes = Size::ALL.into_iter().filter_map(|size| {
            let (width, height) = fit(source, size.side());
            let (_, png) = made.iter().find(|(own, _)| *own == (width, height))?;
            Some(Rendition { size, width, height, png: Arc::clone(png) })
        });
        Ok(Self { sizes: sizes.collect(), blank: !opaque })
    }
}

/// Whether a PNG can be served as it stands: eight bits or fewer, not interlaced.
fn png_is_plain(bytes: &[u8]) -> bool {
    bytes.get(24).is_some_and(|&depth| depth <= 8) && bytes.get(28) == Some(&0)
}

/// Whether pictures of this size are decoded at all.
pub(crate) fn check_size(width: u32, height: u32) -> Result<(), Failure> {
    let pixels = u64::from(width) * u64::from(height);
    if width.max(height) > limits::PICTURE_SIDE_MAX || pixels > limits::PICTURE_PIXELS_MAX {
        return Err(Failure::too_large(format!("a picture of {width} by {height} is not decoded")));
    }
    Ok(())
}

fn check(bytes: &[u8], size: (u32, u32), format: PictureFormat) -> Result<(), Failure> {
    check_size(size.0, size.1)?;
    let interlaced = format == PictureFormat::Png && bytes.get(28) == Some(&1);
    if interlaced && u64::from(size.0) * u64::from(size.1) > limits::PICTURE_WHOLE_PIXELS_MAX {
        return Err(Failure::too_large(format!(
            "an interlaced picture of {} by {} is not decoded",
            size.0, size.1
        )));
    }
    if bytes.len() as u64 > limits::PICTURE_STORED_MAX {
        return Err(Failure::too_large(format!("a picture of {} bytes is not decoded", bytes.len())));
    }
    Ok(())
}
