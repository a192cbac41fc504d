//! The library: contents that somebody wants to keep, each once, whatever became of where they came from.

use super::{Checksum, FileId, FileSource};
use crate::base::clock::Timestamp;

/// Sources of one entry that are remembered: the same file on every printer of a school, under some names.
pub const SOURCES_MAX: usize = 32;

/// Where a content of the library came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibrarySource {
    /// Printer, watch folder or upload.
    pub source: FileSource,
    /// The printer's name when it came: entries outlive printers.
    pub source_name: String,
    /// The name it had there.
    pub filename: String,
    /// The version of the file that carried it.
    pub file_id: FileId,
    /// When it came.
    pub added_at: Timestamp,
}

impl LibrarySource {
    /// Whether `other` is the same file at the same place.
    #[must_use]
    pub fn is_same(&self, other: &LibrarySource) -> bool {
        self.source == other.source && self.filename == other.filename
    }
}

/// An entry of the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryEntry {
    /// The content, which is also the entry's id.
    pub checksum: Checksum,
    /// Entries are counted as they come: what lists sort by.
    pub number: u64,
    /// The name people know it by: the one it first came with.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// Where it came from, oldest first; at most [`SOURCES_MAX`], the first one stays.
    pub sources: Vec<LibrarySource>,
    /// How many sources there were in all.
    pub source_count: u64,
    /// When it first came.
    pub added_at: Timestamp,
}

impl LibraryEntry {
    /// Notes another source; answers whether it was not known.
    pub fn add_source(&mut self, source: LibrarySource) -> bool {
        if let Some(known) = self.sources.iter_mut().find(|known| known.is_same(&source)) {
            known.file_id = source.file_id;
            return false;
        }
        if self.sources.len() >= SOURCES_MAX {
            // The first one tells what the entry is; of the others the oldest says least.
            self.sources.remove(1);
        }
        self.sources.push(source);
        self.source_count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::RELEASE_FLOOR;

    #[test]
    fn sources_are_bounded_and_told_once() {
        let source = |number: usize| LibrarySource {
            source: FileSource::Upload,
            source_name: String::new(),
            filename: format!("{number}.gcode"),
            file_id: FileId(1),
            added_at: RELEASE_FLOOR,
        };
        let mut entry = LibraryEntry {
            checksum: Checksum([1; 32]),
            number: 1,
            filename: "0.gcode".into(),
            size: 1,
            sources: Vec::new(),
            source_count: 0,
            added_at: RELEASE_FLOOR,
        };
        for number in 0..SOURCES_MAX + 5 {
            assert!(entry.add_source(source(number)));
            assert!(!entry.add_source(source(number)));
        }
        assert_eq!((entry.sources.len(), entry.source_count), (SOURCES_MAX, SOURCES_MAX as u64 + 5));
        assert_eq!(entry.sources[0].filename, "0.gcode");
        assert_eq!(entry.sources[1].filename, "6.gcode");
    }
}
