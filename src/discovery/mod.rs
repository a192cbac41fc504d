//! Discovery: which files the sources have (workflow 5 of the contract).
//!
//! ```text
//! task     every 300 s and on request, one source after the other; a printing printer is left alone unless asked
//!   list   a printer's storage (on its slot), or the watch folder: names and sizes, bounded, whole or said to be partial
//!   diff   what is new, known, changed, gone: pure
//!   merge  records and their events, in pieces
//! ```
//! A listing never demotes a file: what was fetched stays fetched when it leaves its source, and what replaces it there is
//! another version with a record of its own. A partial listing takes nothing away.
//!
//! Bounds: [`LISTED_MAX`] names of a source, [`PIECE`] changes in one transaction, [`FILES_MAX`] records.

pub mod diff;
pub mod local;
pub mod merge;
pub mod requests;
pub mod task;
#[cfg(test)]
mod tests;

use crate::model::{FetchKind, FileSource};

pub use requests::Requests;
pub use task::{Deps, run};

/// Names of one source that are looked at; as many as a listing of the printer brings.
pub const LISTED_MAX: usize = 10_000;

/// Records of files in all: 32 printers with some hundred files each, with their former versions. Beyond that files are
/// counted and not recorded.
pub const FILES_MAX: u64 = 40_000;

/// Changes in one transaction: about a second of a slow card, and four rows each of what one may change.
pub const PIECE: usize = 250;

/// One file as its source shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its path, byte for byte.
    pub path: Vec<u8>,
    /// The name people know it by.
    pub name: String,
    /// Bytes.
    pub size: Option<u64>,
    /// What else tells versions apart, as the source writes it.
    pub mark: Option<String>,
}

/// What a look at a source brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files that could be printed.
    pub files: Vec<Seen>,
    /// Other files, which are only counted.
    pub others: u32,
    /// Whether this is all there is.
    pub complete: bool,
    /// Why it is not all, in the contract's kind and in words.
    pub error: Option<(FetchKind, String)>,
}

impl Listing {
    /// Nothing but the reason.
    #[must_use]
    pub fn failed(kind: FetchKind, words: impl Into<String>) -> Listing {
        Listing { error: Some((kind, words.into())), ..Listing::default() }
    }

    /// Adds a file, if it can be printed and there is room; `false` when the listing is full.
    pub fn push(&mut self, seen: Seen) -> bool {
        if !is_printable(&seen.name) {
            self.others = self.others.saturating_add(1);
            return true;
        }
        if self.files.len() >= LISTED_MAX {
            self.complete = false;
            return false;
        }
        self.files.push(seen);
        true
    }
}

/// Whether a file of this name is one that printers print.
#[must_use]
pub fn is_printable(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // macOS leaves a twin with this begin beside every file it copies.
    !lower.starts_with("._")
        && [".gcode", ".bgcode", ".3mf", ".gco", ".g", ".gc", ".bgc"]
            .iter()
            .any(|end| lower.len() > end.len() && lower.ends_with(end))
}

/// The ending of a name without its dot, for `file_type`.
#[must_use]
pub fn file_type(name: &str) -> String {
    crate::store::blobs::extension(name)
}

/// The id of a source in events.
#[must_use]
pub fn source_id(source: FileSource) -> crate::events::FileSourceId {
    match source.printer_id() {
        Some(id) => crate::events::FileSourceId::Printer(id),
        None => crate::events::FileSourceId::Local,
    }
}

#[cfg(test)]
mod names {
    use super::*;

    #[test]
    fn what_can_be_printed() {
        for name in ["a.gcode", "W\u{fc}rfel.3MF", "x.gcode.3mf", "SPICE~1.BGC", "a.g", "a.b.gco", "a.gc"] {
            assert!(is_printable(name), "{name}");
        }
        for name in ["", ".gcode", "a", "a.stl", "a.gcode.part", "._a.gcode", "video.mp4", "3mf"] {
            assert!(!is_printable(name), "{name}");
        }
    }

    #[test]
    fn a_full_listing_says_so() {
        let mut listing = Listing { complete: true, ..Listing::default() };
        let seen = |name: &str| Seen { path: name.into(), name: name.into(), size: None, mark: None };
        for number in 0..LISTED_MAX {
            assert!(listing.push(seen(&format!("{number}.gcode"))));
        }
        assert!(listing.push(seen("photo.jpg")) && listing.complete);
        assert!(!listing.push(seen("one more.gcode")) && !listing.complete);
        assert_eq!((listing.files.len(), listing.others), (LISTED_MAX, 1));
    }
}
