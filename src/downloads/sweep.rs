//! Before anything is announced: records and bytes are made to agree again.
//!
//! A power cut leaves parts that nobody waits for, contents that were renamed and not recorded, and, after a card has lost
//! blocks or somebody has tidied up by hand, records without their bytes. The first two are removed; a record without its
//! bytes says so, and the file can be fetched again.

use std::collections::BTreeSet;

use crate::model::{Checksum, Content, FileRecord, FileStatus};
use crate::store::{Blobs, Read as _, ReadFiles as _, Store, StoreError};

/// Contents whose records are looked at; some thousand fill the largest card.
const CONTENTS_MAX: usize = 20_000;

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Parts, contents and thumbnails that were removed.
    pub files: u64,
    /// Records whose bytes were missing.
    pub records: u64,
    /// What could not be looked at or removed.
    pub failures: u64,
}

/// Sweeps. Blocks. `records_are_whole` is false where the records are older than the bytes (they come from a copy, or were
/// begun anew): then only parts go, because a content that nobody names may be one that was recorded and forgotten.
///
/// # Errors
/// When the store cannot be used.
pub fn sweep(store: &Store, blobs: &Blobs, records_are_whole: bool) -> Result<Swept, StoreError> {
    let (contents, open) = store.read_blocking(|view| {
        Ok::<_, StoreError>((view.list::<Content>(CONTENTS_MAX)?, view.open_fetches()?))
    })?;
    let missing: Vec<Checksum> = contents
        .iter()
        .filter(|content| {
            let there = std::fs::metadata(blobs.content(content.checksum, &content.extension));
            !there.is_ok_and(|there| there.is_file() && there.len() == content.size)
        })
        .map(|content| content.checksum)
        .collect();
    let records = missing.len() as u64;
    for checksum in missing {
        store.write_blocking(move |txn| {
            for id in txn.files_of(checksum)? {
                let file = txn.get::<FileRecord>(id)?.filter(|file| file.content == Some(checksum));
                let Some(mut file) = file else { continue };
                // Its old link to the content goes with it.
                txn.delete_file(id)?;
                file.status = if file.source.printer_id().is_some() {
                    FileStatus::Available
                } else {
                    FileStatus::Unavailable
                };
                file.content = None;
                file.kept_at = None;
                txn.put(&file)?;
            }
            txn.delete::<Content>(checksum)?;
            Ok::<_, StoreError>(())
        })?;
    }
    let awaited: BTreeSet<String> = open.iter().map(|fetch| fetch.id.to_string()).collect();
    let swept = store.read_blocking(|view| {
        // A record that cannot be read is one, too: its bytes are not taken from under it.
        let is_kept = |content| !records_are_whole || !matches!(view.get::<Content>(content), Ok(None));
        Ok::<_, StoreError>(blobs.sweep(is_kept, |part| awaited.contains(part)))
    })?;
    let swept =
        Swept { files: swept.parts + swept.contents + swept.thumbnails, records, failures: swept.failures };
    if swept != Swept::default() {
        log::info!(
            "tidied up: {} files that nobody names, {} records without their bytes, {} failures",
            swept.files,
            swept.records,
            swept.failures
        );
    }
    Ok(swept)
}
