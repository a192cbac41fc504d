//! The payloads of files: discovery, download, thumbnails, metadata, automatic download.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Checksum, FetchKind, FileId, FileSource, JobId, PrinterId};

payload! {
    /// One file of a listing that was not known before.
    NewFile {
        printer_id: FileSourceId, filename: String, file_size: Option<u64>, file_type: String, discovered_at: String,
    }
    /// What a listing showed.
    FilesDiscovered {
        printer_id: FileSourceId, total_found: u32, new_files: u32, existing_files: u32, removed_files: u32, complete: bool,
        error: Option<String>, kind: Option<FetchKind>,
    }
    /// Files that were not known before; at most 100 of them are named.
    NewFilesFound { files: Vec<NewFile>, truncated: bool, count: u32, }
    /// A listing has been merged.
    FileSyncComplete {
        printer_id: FileSourceId, files_added: u32, files_removed: u32, total_files: u32, duration_ms: u64,
    }
    /// A local copy or record is gone.
    FileDeleted { file_id: FileId, filename: String, printer_id: Option<PrinterId>, }
    /// A round of a fetch begins.
    FileDownloadStarted {
        printer_id: PrinterId, filename: String, file_id: Option<FileId>, job_id: Option<JobId>, file_size: Option<u64>,
        resumed_from: u64,
    }
    /// Bytes have come.
    FileDownloadProgress {
        file_id: Option<FileId>, printer_id: PrinterId, filename: String, bytes: u64, file_size: Option<u64>,
        rate_bytes_s: Option<u64>,
    }
    /// The first bytes of a running transfer held a cover or the header.
    FilePreviewReady {
        printer_id: PrinterId, filename: String, job_id: Option<JobId>, plate: Option<u32>, thumbnail_url: Option<String>,
        metadata: Value,
    }
    /// The command to make thumbnails and read metadata.
    FileNeedsThumbnailProcessing { file_id: FileId, file_path: String, }
    /// A file is whole, synced and recorded.
    FileDownloadComplete {
        printer_id: PrinterId, filename: String, requested_name: String, file_id: FileId, file_path: String, file_size: u64,
        sha256: Checksum, download_time_s: f64, deduplicated: bool,
    }
    /// The later check of the whole file found damage.
    FileVerificationFailed { file_id: FileId, filename: String, error: String, kind: FetchKind, }
    /// A round of a fetch failed.
    FileDownloadFailed {
        printer_id: PrinterId, filename: String, file_id: Option<FileId>, error: String, kind: FetchKind, attempts: u32,
        retry_in_s: Option<u64>,
    }
    /// A stored thumbnail.
    ThumbnailRef { url: String, width: u32, height: u32, }
    /// The sizes of a thumbnail.
    ThumbnailSet { small: Option<ThumbnailRef>, medium: Option<ThumbnailRef>, large: Option<ThumbnailRef>, }
    /// Thumbnails are made and stored.
    FileThumbnailsProcessed {
        file_id: FileId, file_path: String, plate: Option<u32>, thumbnails: ThumbnailSet, source: ThumbnailSource,
    }
    /// No thumbnails could be made.
    ThumbnailProcessingFailed { file_id: FileId, plate: Option<u32>, error: String, kind: String, }
    /// Metadata is read and stored.
    FileMetadataExtracted { file_id: FileId, file_path: String, plate: Option<u32>, metadata: Value, }
    /// No metadata could be read.
    MetadataExtractionFailed { file_id: FileId, error: String, kind: String, }
    /// A content has come into the library.
    LibraryFileAdded {
        checksum: Checksum, filename: String, file_size: u64, source: LibrarySourceKind, duplicate: bool,
    }
    /// A content has left the library.
    LibraryFileDeleted { checksum: Checksum, filename: String, kept_for: Vec<KeptFor>, }
    /// The card is nearly full.
    StorageLow { free_bytes: u64, quota_bytes: u64, }
    /// A print has started whose file is now fetched.
    AutoDownloadTriggered { printer_id: PrinterId, filename: String, job_id: Option<JobId>, }
    /// The print's file could not be fetched so far.
    AutoDownloadFailed {
        printer_id: PrinterId, filename: String, job_id: Option<JobId>, error: String, kind: FetchKind, attempts: u32,
        tried: Vec<String>, retry: AutoRetry,
    }
}

/// Where a content of the library came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LibrarySourceKind {
    /// Somebody sent it.
    Upload,
    /// It was on a printer.
    Printer,
    /// It was in the watch folder.
    Local,
}

impl From<FileSource> for LibrarySourceKind {
    fn from(source: FileSource) -> LibrarySourceKind {
        match source {
            FileSource::Upload => LibrarySourceKind::Upload,
            FileSource::Printer(_) => LibrarySourceKind::Printer,
            FileSource::Local => LibrarySourceKind::Local,
        }
    }
}

/// Who still needs the bytes of an entry that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptFor {
    /// A file of a printer.
    File,
    /// A job that is not over.
    Job,
}

/// Who made a thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThumbnailSource {
    /// It is embedded in the file.
    Embedded,
    /// The printer made it.
    Printer,
}

/// Whether a print's file is looked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoRetry {
    /// Once more when the print is over.
    AfterPrint,
    /// No more.
    None,
}

/// Whose files: a printer's, or `local`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSourceId {
    /// A printer.
    Printer(PrinterId),
    /// The watch folder.
    Local,
}

impl Serialize for FileSourceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FileSourceId::Printer(id) => id.serialize(serializer),
            FileSourceId::Local => serializer.serialize_str("local"),
        }
    }
}

impl<'de> Deserialize<'de> for FileSourceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text == "local" {
            return Ok(FileSourceId::Local);
        }
        text.parse().map(FileSourceId::Printer).map_err(serde::de::Error::custom)
    }
}
