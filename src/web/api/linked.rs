//! What hangs on a file: its content, and the figures and pictures of a plate.

use crate::arrivals::thumbnail_url;
use crate::model::file::{Outcome, Picture, Pictures};
use crate::model::{Checksum, Figures, FileId, FileRecord, Job};
use crate::store::{RawRead, Read as _, Record, StoreError, ThumbSize};

/// A record that cannot be read is noted by the store; a list shows the rest.
pub fn readable<R: Record>(found: Result<Option<R>, StoreError>) -> Result<Option<R>, StoreError> {
    match found {
        Err(StoreError::Record(_)) => Ok(None),
        other => other,
    }
}

/// The figures of a file for `plate`; without one those of the plate that was asked for last. `None` where nobody asked.
pub fn figures(
    view: &impl RawRead,
    file: &FileRecord,
    plate: Option<u32>,
) -> Result<Option<Figures>, StoreError> {
    let Some(content) = file.content.filter(|_| file.status.is_kept()) else { return Ok(None) };
    let Some(wanted) = plate else { return readable(view.get((content, file.plate()))) };
    if let Some(figures) = readable::<Figures>(view.get((content, Some(wanted))))? {
        return Ok(Some(figures));
    }
    // Asked for without a number, and it turned out to be this one, or the file knows no plates.
    let found = readable::<Figures>(view.get((content, None)))?;
    Ok(found.filter(|figures| figures.found_plate.is_none_or(|found| found == wanted)))
}

/// The pictures of some figures.
pub fn pictures(figures: &Figures) -> Option<Pictures> {
    match &figures.thumbnails {
        Outcome::Done(pictures) => Some(*pictures),
        Outcome::Open | Outcome::Failed { .. } => None,
    }
}

/// The sizes that exist, the smallest first.
pub fn sizes(pictures: &Pictures) -> impl Iterator<Item = (ThumbSize, Picture)> {
    [
        (ThumbSize::Small, pictures.small),
        (ThumbSize::Medium, pictures.medium),
        (ThumbSize::Large, pictures.large),
    ]
    .into_iter()
    .filter_map(|(size, picture)| Some((size, picture?)))
}

/// The size that comes nearest to the wanted one and can be served: the same, else the next larger, else the next smaller.
pub fn nearest(pictures: &Pictures, wanted: ThumbSize, bytes_max: u32) -> Option<(ThumbSize, Picture)> {
    let rank = |size: ThumbSize| ThumbSize::ALL.iter().position(|other| *other == size);
    let fits: Vec<_> = sizes(pictures).filter(|(_, picture)| picture.bytes <= bytes_max).collect();
    fits.iter().find(|(size, _)| rank(*size) >= rank(wanted)).or_else(|| fits.last()).copied()
}

/// The address of a file's picture of about the size of a card.
pub fn picture_url(file: FileId, content: Checksum, figures: &Figures) -> Option<String> {
    let pictures = pictures(figures)?;
    let (size, _) = nearest(&pictures, ThumbSize::Medium, u32::MAX)?;
    Some(thumbnail_url(file, content, figures.found_plate.or(figures.plate), size, &pictures))
}

/// The file of a job and where its picture is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// The file.
    pub file_id: Option<FileId>,
    /// Its picture, as soon as there is one.
    pub thumbnail_url: Option<String>,
}

impl Linked {
    /// What hangs on `job`.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn of(view: &impl RawRead, job: &Job) -> Result<Linked, StoreError> {
        let Some(id) = job.file_id else { return Ok(Linked::default()) };
        let Some(file) = readable::<FileRecord>(view.get(id))? else { return Ok(Linked::default()) };
        let plate = job.plate.or_else(|| file.plate());
        let found = match figures(view, &file, plate)? {
            Some(found) => Some(found),
            None => figures(view, &file, None)?,
        };
        let url = file.content.zip(found).and_then(|(content, found)| picture_url(id, content, &found));
        Ok(Linked { file_id: Some(id), thumbnail_url: url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_size_that_can_be_served() {
        let picture = |bytes| Some(Picture { width: 1, height: 1, bytes });
        let all =
            Pictures { small: picture(1), medium: picture(10), large: picture(100), from_printer: false };
        for (pictures, wanted, bytes_max, expected) in [
            (all, ThumbSize::Small, 1000, Some(ThumbSize::Small)),
            (all, ThumbSize::Large, 1000, Some(ThumbSize::Large)),
            (all, ThumbSize::Large, 99, Some(ThumbSize::Medium)),
            (all, ThumbSize::Large, 0, None),
            (Pictures { medium: None, large: None, ..all }, ThumbSize::Large, 1000, Some(ThumbSize::Small)),
            (Pictures { medium: None, ..all }, ThumbSize::Medium, 1000, Some(ThumbSize::Large)),
            (Pictures::default(), ThumbSize::Small, 1000, None),
        ] {
            let found = nearest(&pictures, wanted, bytes_max).map(|(size, _)| size);
            assert_eq!(found, expected, "{pictures:?} {wanted:?} {bytes_max}");
        }
    }
}
