//! The blocking part: pictures out of a file, PNGs onto the card.

use std::fs::File;
use std::path::Path;

use crate::formats::{Failure, Inspection, Kind, Rendition, Renditions, Size, renditions};
use crate::model::Checksum;
use crate::model::file::{Picture, Pictures};
use crate::store::{Blobs, ThumbSize};

/// Makes the pictures of the file at `path` and writes them beside its content.
pub(super) fn pictures(
    blobs: &Blobs,
    content: Checksum,
    plate: Option<u32>,
    path: &Path,
    inspection: &Inspection,
) -> Result<Pictures, Failure> {
    let mut file = File::open(path)
        .map_err(|error| Failure::new(Kind::Io, format!("the file cannot be opened: {error}")))?;
    let (_, made) = renditions(&mut file, inspection)?;
    store(blobs, content, plate, &made)
}

/// Makes them of the picture that a printer shows, and writes them.
pub(super) fn printed(
    blobs: &Blobs,
    content: Checksum,
    plate: Option<u32>,
    picture: &[u8],
) -> Result<Pictures, Failure> {
    let made = Renditions::of(picture)?;
    if made.blank {
        return Err(Failure::new(Kind::NoneEmbedded, "there is nothing to be seen in it"));
    }
    Ok(Pictures { from_printer: true, ..store(blobs, content, plate, &made)? })
}

/// Writes what a viewer could tell apart: a size that is no larger than the next smaller one is left out.
pub(super) fn store(
    blobs: &Blobs,
    content: Checksum,
    plate: Option<u32>,
    made: &Renditions,
) -> Result<Pictures, Failure> {
    let mut pictures = Pictures::default();
    let mut last = None;
    for rendition in &made.sizes {
        if last == Some((rendition.width, rendition.height)) {
            continue;
        }
        last = Some((rendition.width, rendition.height));
        let (place, size) = match rendition.size {
            Size::Small => (&mut pictures.small, ThumbSize::Small),
            Size::Medium => (&mut pictures.medium, ThumbSize::Medium),
            Size::Large => (&mut pictures.large, ThumbSize::Large),
        };
        blobs
            .put_thumbnail(content, plate, size, &rendition.png)
            .map_err(|error| Failure::new(Kind::Io, format!("a thumbnail cannot be written: {error}")))?;
        *place = Some(picture(rendition));
    }
    Ok(pictures)
}

fn picture(rendition: &Rendition) -> Picture {
    let bytes = u32::try_from(rendition.png.len()).unwrap_or(u32::MAX);
    Picture { width: rendition.width, height: rendition.height, bytes }
}

/// Whether every recorded picture is still on the card.
pub(super) fn are_there(blobs: &Blobs, content: Checksum, plate: Option<u32>, pictures: &Pictures) -> bool {
    let recorded = [
        (ThumbSize::Small, pictures.small),
        (ThumbSize::Medium, pictures.medium),
        (ThumbSize::Large, pictures.large),
    ];
    let mut there = recorded.into_iter().filter_map(|(size, picture)| Some((size, picture?)));
    there.all(|(size, picture)| {
        let found = std::fs::metadata(blobs.thumbnail(content, plate, size));
        found.is_ok_and(|found| found.len() == u64::from(picture.bytes))
    })
}
