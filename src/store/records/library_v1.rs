//! Version 1 of the records of the library.

use serde::{Deserialize, Serialize};

use super::files_v1::Source;
use crate::base::clock::Timestamp;
use crate::model::library::{LibraryEntry, LibrarySource};
use crate::model::{Checksum, FileId};

/// Where it came from: source, the source's name, the file's name, the file, when.
type StoredSource = (Source, String, String, u64, i64);

/// An entry. The first three fields are what lists filter by, in every version.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Entry {
    filename: String,
    size: u64,
    added_at: i64,
    number: u64,
    source_count: u64,
    sources: Vec<StoredSource>,
}

impl From<&LibraryEntry> for Entry {
    fn from(entry: &LibraryEntry) -> Entry {
        let stored = |source: &LibrarySource| {
            let (from, added_at) = (source.source.into(), source.added_at.0);
            (from, source.source_name.clone(), source.filename.clone(), source.file_id.0, added_at)
        };
        Entry {
            filename: entry.filename.clone(),
            size: entry.size,
            added_at: entry.added_at.0,
            number: entry.number,
            source_count: entry.source_count,
            sources: entry.sources.iter().map(stored).collect(),
        }
    }
}

impl Entry {
    pub(in crate::store) fn into_model(self, checksum: Checksum) -> LibraryEntry {
        let sources = self.sources.into_iter().map(|(source, source_name, filename, file_id, added_at)| {
            let (file_id, added_at) = (FileId(file_id), Timestamp(added_at));
            LibrarySource { source: source.into(), source_name, filename, file_id, added_at }
        });
        LibraryEntry {
            checksum,
            number: self.number,
            filename: self.filename,
            size: self.size,
            sources: sources.collect(),
            source_count: self.source_count,
            added_at: Timestamp(self.added_at),
        }
    }
}
