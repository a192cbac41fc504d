//! The shape of a file in answers.

use serde::Serialize;

use super::linked::{figures, picture_url, pictures, readable};
use crate::arrivals::thumbnail_set;
use crate::events::{ThumbnailSet, ThumbnailSource};
use crate::model::file::Outcome;
use crate::model::{Checksum, Content, FileId, FileRecord, FileStatus, PrinterId};
use crate::store::{Blobs, RawRead, Read as _, StoreError, blobs};

/// Why something is not there.
#[derive(Debug, Serialize)]
pub struct Reason {
    kind: String,
    message: String,
}

/// One version of a file.
#[derive(Debug, Serialize)]
pub struct FileView {
    id: FileId,
    printer_id: Option<PrinterId>,
    /// The printer's name when the file was seen.
    printer_name: Option<String>,
    filename: String,
    /// Where it is at its source, as people read it.
    path: String,
    /// Where it is below the data directory.
    file_path: Option<String>,
    file_size: Option<u64>,
    file_type: String,
    status: FileStatus,
    source: &'static str,
    /// SHA-256 of its bytes, as long as they are here.
    checksum: Option<Checksum>,
    /// Whether all its bytes were checked and found right.
    verified: Option<bool>,
    damage: Option<String>,
    is_pinned: bool,
    created_at: String,
    downloaded_at: Option<String>,
    /// Why the last fetch failed.
    error: Option<Reason>,
    /// The plate that the pictures and figures are of.
    plate: Option<u32>,
    has_thumbnail: bool,
    thumbnail_url: Option<String>,
    thumbnails: Option<ThumbnailSet>,
    thumbnail_source: Option<ThumbnailSource>,
    thumbnail_error: Option<Reason>,
    has_metadata: bool,
    metadata_error: Option<Reason>,
}

impl FileView {
    /// `file` with all that hangs on it.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn of(view: &impl RawRead, file: &FileRecord) -> Result<FileView, StoreError> {
        let checksum = file.content.filter(|_| file.status.is_kept());
        let content: Option<Content> = match checksum {
            Some(checksum) => readable(view.get(checksum))?,
            None => None,
        };
        let found = figures(view, file, None)?;
        let shown = found.as_ref().and_then(pictures);
        let plate =
            found.as_ref().and_then(|found| found.found_plate.or(found.plate)).or_else(|| file.plate());
        let extension = match &content {
            Some(content) => content.extension.clone(),
            None => blobs::extension(&file.name),
        };
        Ok(FileView {
            id: file.id,
            printer_id: file.source.printer_id(),
            printer_name: Some(file.source_name.clone()).filter(|name| !name.is_empty()),
            filename: file.name.clone(),
            path: String::from_utf8_lossy(&file.path).into_owned(),
            file_path: checksum.map(|checksum| Blobs::name(checksum, &extension)),
            file_size: file.size,
            file_type: extension,
            status: file.status,
            source: file.source.name(),
            checksum,
            verified: content.as_ref().and_then(|content| content.verified),
            damage: content.and_then(|content| content.damage),
            is_pinned: file.pinned,
            created_at: file.discovered_at.to_string(),
            downloaded_at: file.kept_at.map(|at| at.to_string()),
            error: file.error.as_ref().map(|(kind, message)| reason(kind.name(), message)),
            plate,
            has_thumbnail: shown.is_some(),
            thumbnail_url: checksum
                .zip(found.as_ref())
                .and_then(|(checksum, found)| picture_url(file.id, checksum, found)),
            thumbnails: checksum
                .zip(shown)
                .map(|(checksum, shown)| thumbnail_set(file.id, checksum, plate, &shown)),
            thumbnail_source: shown.map(|shown| {
                if shown.from_printer { ThumbnailSource::Printer } else { ThumbnailSource::Embedded }
            }),
            thumbnail_error: found.as_ref().and_then(|found| failure(&found.thumbnails)),
            has_metadata: found.as_ref().is_some_and(|found| matches!(found.metadata, Outcome::Done(_))),
            metadata_error: found.as_ref().and_then(|found| failure(&found.metadata)),
        })
    }
}

pub fn reason(kind: &str, message: &str) -> Reason {
    Reason { kind: kind.to_owned(), message: message.to_owned() }
}

fn failure<T>(outcome: &Outcome<T>) -> Option<Reason> {
    match outcome {
        Outcome::Failed { kind, message } => Some(reason(kind, message)),
        Outcome::Open | Outcome::Done(_) => None,
    }
}
