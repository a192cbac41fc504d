//! Files: versions of a file at its source, their contents, and what was read out of them.
//!
//! A [`FileRecord`] is one version of a file: source, path and content. A printer that replaces a file gives a new record;
//! old jobs keep the old one. A [`Content`] is bytes on the card, kept once however many records name them. [`Figures`]
//! are what the readers found in a content for one plate.

use serde::{Deserialize, Serialize};

use super::{Checksum, FileId, PrinterId};
use crate::base::clock::Timestamp;

/// Plates of one file whose work is remembered: slicers stop at 36.
pub const PLATES_MAX: usize = 64;

/// Where a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileSource {
    /// The storage of a printer.
    Printer(PrinterId),
    /// The watch folder of the appliance.
    Local,
    /// Somebody sent it to the library.
    Upload,
}

impl FileSource {
    /// The printer, where it is one.
    #[must_use]
    pub fn printer_id(self) -> Option<PrinterId> {
        match self {
            FileSource::Printer(id) => Some(id),
            FileSource::Local | FileSource::Upload => None,
        }
    }

    /// The stable name in lists: `printer`, `local`, `upload`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FileSource::Printer(_) => "printer",
            FileSource::Local => "local",
            FileSource::Upload => "upload",
        }
    }
}

/// Where a version of a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// Listed at its source, not fetched.
    Available,
    /// Being fetched.
    Downloading,
    /// Fetched: its bytes are on the card.
    Downloaded,
    /// Local from the start: watch folder or upload.
    Local,
    /// The last attempt to fetch it failed.
    Error,
    /// Gone from its source and never fetched.
    Unavailable,
    /// Its copy was deleted here.
    Deleted,
}

impl FileStatus {
    /// Whether its bytes are on the card.
    #[must_use]
    pub fn is_kept(self) -> bool {
        matches!(self, FileStatus::Downloaded | FileStatus::Local)
    }

    /// The stable name, as in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        use FileStatus as S;
        match self {
            S::Available => "available",
            S::Downloading => "downloading",
            S::Downloaded => "downloaded",
            S::Local => "local",
            S::Error => "error",
            S::Unavailable => "unavailable",
            S::Deleted => "deleted",
        }
    }
}

/// Why a fetch failed: the kinds of `file_download_failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchKind {
    /// No such file on the printer.
    NotFound,
    /// The printer refuses the code or password.
    Auth,
    /// The printer refuses the file right now.
    Refused,
    /// The connection broke.
    Interrupted,
    /// No byte for too long.
    Stalled,
    /// Other bytes than the printer's own size says, before or after.
    SizeMismatch,
    /// The bytes contradict themselves.
    Corrupt,
    /// More than a file may have.
    TooLarge,
    /// No room on the card.
    NoSpace,
    /// A name that cannot be one.
    BadName,
    /// The printer cannot be reached.
    PrinterOffline,
    /// Somebody cancelled it.
    Cancelled,
    /// The printer does not show its files.
    NotOnStorage,
}

impl FetchKind {
    /// The stable name, as in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        use FetchKind as K;
        match self {
            K::NotFound => "not_found",
            K::Auth => "auth",
            K::Refused => "refused",
            K::Interrupted => "interrupted",
            K::Stalled => "stalled",
            K::SizeMismatch => "size_mismatch",
            K::Corrupt => "corrupt",
            K::TooLarge => "too_large",
            K::NoSpace => "no_space",
            K::BadName => "bad_name",
            K::PrinterOffline => "printer_offline",
            K::Cancelled => "cancelled",
            K::NotOnStorage => "not_on_storage",
        }
    }
}

/// Work that follows an arrival of bytes. It is a field of the record, so that a restart finds what is pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// Nothing is asked for.
    #[default]
    None,
    /// To be done.
    Pending,
    /// Done and stored.
    Done,
    /// It cannot be done; the reason is in the [`Figures`].
    Failed,
}

/// The work for one plate of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlateWork {
    /// The plate, from 1; `None`: the one that the file itself points at.
    pub plate: Option<u32>,
    /// Thumbnails.
    pub thumbnails: Work,
    /// Metadata.
    pub metadata: Work,
    /// `seq` of the event that asked for it: the cause of the results' events.
    pub cause: Option<u64>,
}

/// One version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord {
    /// Its identifier.
    pub id: FileId,
    /// Where it comes from.
    pub source: FileSource,
    /// The printer's name when it was seen: files outlive printers.
    pub source_name: String,
    /// Its path at the source, byte for byte (printers' names need not be UTF-8).
    pub path: Vec<u8>,
    /// The name people know it by.
    pub name: String,
    /// Its size in bytes as the source says, or as counted.
    pub size: Option<u64>,
    /// What else tells versions apart at the source: a time stamp as the source writes it, the long name of a short one.
    pub mark: Option<String>,
    /// Where it stands.
    pub status: FileStatus,
    /// Its bytes, once they are or were here.
    pub content: Option<Checksum>,
    /// Work for each plate that was asked for, newest last; at most [`PLATES_MAX`].
    pub work: Vec<PlateWork>,
    /// Whether retention leaves it alone.
    pub pinned: bool,
    /// Why the last fetch failed, and in words.
    pub error: Option<(FetchKind, String)>,
    /// When it was first seen.
    pub discovered_at: Timestamp,
    /// When its bytes came.
    pub kept_at: Option<Timestamp>,
}

impl FileRecord {
    /// The plate that was asked for last: what a list shows.
    #[must_use]
    pub fn plate(&self) -> Option<u32> {
        self.work.last().and_then(|work| work.plate)
    }

    /// Where a browser finds the thumbnail of `plate`, if there is one.
    #[must_use]
    pub fn thumbnail_url(&self, plate: Option<u32>) -> Option<String> {
        let done = |work: &&PlateWork| work.thumbnails == Work::Done;
        let work = self.work.iter().find(|work| work.plate == plate).filter(done)?;
        let plate = work.plate.map_or_else(String::new, |plate| format!("&plate={plate}"));
        Some(format!("/api/v1/files/{}/thumbnail?size=medium{plate}", self.id))
    }

    /// Asks for the work of `plate` (again), because of the event `cause`.
    pub fn ask(&mut self, plate: Option<u32>, cause: Option<u64>) {
        self.work.retain(|work| work.plate != plate);
        if self.work.len() >= PLATES_MAX {
            self.work.remove(0);
        }
        self.work.push(PlateWork { plate, thumbnails: Work::Pending, metadata: Work::Pending, cause });
    }
}

/// Bytes on the card, kept once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of all bytes: its name.
    pub checksum: Checksum,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the first 64 KiB (of all, where there are fewer): tells an unchanged file without fetching it whole.
    pub head: Checksum,
    /// MD5 of each plate's G-code as a 3MF states them: plate and digest; at most [`PLATES_MAX`].
    pub plate_md5: Vec<(u32, [u8; 16])>,
    /// The ending under which it is kept, without a dot: `gcode.3mf`, `bgcode`, ...
    pub extension: String,
    /// The low-priority check of the whole: `None` until it has ended.
    pub verified: Option<bool>,
    /// What that check found, in words.
    pub damage: Option<String>,
    /// When it came.
    pub kept_at: Timestamp,
}

/// A stored thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes of its PNG.
    pub bytes: u32,
}

/// The three sizes of a thumbnail; a size is missing where the source picture is no larger than the next smaller one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pictures {
    /// At most 128 pixels.
    pub small: Option<Picture>,
    /// At most 256 pixels.
    pub medium: Option<Picture>,
    /// At most 512 pixels.
    pub large: Option<Picture>,
    /// Whether the printer made it (false: embedded in the file).
    pub from_printer: bool,
}

/// The result of work: nothing yet, a value, or why not (stable kind and words).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome<T> {
    /// Not done yet.
    #[default]
    Open,
    /// Done.
    Done(T),
    /// It cannot be done.
    Failed {
        /// A kind of the contract, as `none_embedded`.
        kind: String,
        /// English words.
        message: String,
    },
}

/// What was found in a content for one plate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The content.
    pub content: Checksum,
    /// The plate that was asked for; `None`: the one that the file itself points at.
    pub plate: Option<u32>,
    /// The plate that was found.
    pub found_plate: Option<u32>,
    /// The thumbnails, whose PNGs lie beside the content.
    pub thumbnails: Outcome<Pictures>,
    /// The metadata as JSON, in the shape of the API (`inspect`'s answer without hashes).
    pub metadata: Outcome<String>,
}
