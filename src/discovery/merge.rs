//! A listing into the records: the changes in pieces, each with its events in one transaction.

use std::ops::ControlFlow;

use super::diff::{Change, Diff, Known, KnownFiles};
use super::{FILES_MAX, PIECE, Seen, file_type, source_id};
use crate::base::clock::Timestamp;
use crate::events::{Event, FileSyncComplete, FilesDiscovered, Flow, NewFile, NewFilesFound};
use crate::model::text::{self, NAME_BYTES_MAX};
use crate::model::{FetchKind, FileRecord, FileSource, FileStatus};
use crate::store::{Read as _, ReadFiles as _, Store, StoreError, Txn, View};

/// Files that one event names.
pub const NAMED_MAX: usize = 100;

/// What is known of a source's files.
///
/// # Errors
/// [`StoreError::Failed`].
pub fn known(view: &View<'_>, source: FileSource) -> Result<KnownFiles, StoreError> {
    let mut known = KnownFiles::new();
    view.newest_files(source, &mut |digest, file, gone| {
        known.insert(digest, Known::of(&file, gone));
        ControlFlow::Continue(())
    })?;
    Ok(known)
}

/// What is merged, and about what.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The source.
    pub source: FileSource,
    /// Its name, for records that outlive it.
    pub source_name: String,
    /// What is to be done.
    pub diff: Diff,
    /// Whether the listing was whole.
    pub complete: bool,
    /// Why not.
    pub error: Option<(FetchKind, String)>,
    /// The workflow instance.
    pub flow: Flow,
}

impl Merge {
    /// What the listing showed.
    #[must_use]
    pub fn discovered(&self) -> FilesDiscovered {
        FilesDiscovered {
            printer_id: source_id(self.source),
            total_found: self.diff.new.saturating_add(self.diff.existing),
            new_files: self.diff.new,
            existing_files: self.diff.existing,
            removed_files: self.diff.removed,
            complete: self.complete,
            error: self.error.as_ref().map(|(_, words)| words.clone()),
            kind: self.error.as_ref().map(|(kind, _)| *kind),
        }
    }

    /// That it has been merged.
    #[must_use]
    pub fn complete(&self, duration_ms: u64) -> FileSyncComplete {
        FileSyncComplete {
            printer_id: source_id(self.source),
            files_added: self.diff.new,
            files_removed: self.diff.removed,
            total_files: self.diff.new.saturating_add(self.diff.existing),
            duration_ms,
        }
    }
}

/// Writes the changes. The first piece carries `files_discovered`, each piece the new files that it records, the last one
/// `file_sync_complete`; a listing that changes nothing is not written at all, and `false` is answered.
///
/// # Errors
/// [`StoreError`].
pub async fn apply(
    store: &Store,
    mut merge: Merge,
    duration_ms: impl Fn() -> u64,
) -> Result<bool, StoreError> {
    if merge.diff.is_quiet() {
        return Ok(false);
    }
    let changes = std::mem::take(&mut merge.diff.changes);
    let pieces = changes.chunks(PIECE).count().max(1);
    let mut cause = None;
    let mut rest = changes;
    for number in 0..pieces {
        let later = rest.split_off(rest.len().min(PIECE));
        let piece = std::mem::replace(&mut rest, later);
        let (merging, first, last) = (merge.clone(), number == 0, number + 1 == pieces);
        let (before, took) = (cause, duration_ms());
        cause = store
            .write(move |txn| {
                let mut cause = before;
                if first {
                    let event = Event::FilesDiscovered(merging.discovered());
                    cause = Some(txn.emit(event, Some(&merging.flow), None));
                }
                let new = write(txn, &merging, piece)?;
                if let Some(found) = found(&merging, &new, txn.now().wall) {
                    txn.emit(Event::NewFilesFound(found), Some(&merging.flow), cause);
                }
                if last {
                    let event = Event::FileSyncComplete(merging.complete(took));
                    txn.emit(event, Some(&merging.flow), cause);
                }
                Ok::<_, StoreError>(cause)
            })
            .await?;
    }
    Ok(true)
}

/// The event that names the new files of a piece.
fn found(merge: &Merge, new: &[Seen], now: Timestamp) -> Option<NewFilesFound> {
    if new.is_empty() {
        return None;
    }
    let name = |seen: &Seen| NewFile {
        printer_id: source_id(merge.source),
        filename: seen.name.clone(),
        file_size: seen.size,
        file_type: file_type(&seen.name),
        discovered_at: now.to_string(),
    };
    Some(NewFilesFound {
        files: new.iter().take(NAMED_MAX).map(name).collect(),
        truncated: new.len() > NAMED_MAX,
        count: u32::try_from(new.len()).unwrap_or(u32::MAX),
    })
}

/// Writes the records of a piece; answers the files that are new. Looks at each record again: a download may have begun or
/// ended since the comparison.
fn write(txn: &mut Txn<'_>, merge: &Merge, piece: Vec<Change>) -> Result<Vec<Seen>, StoreError> {
    let mut new = Vec::new();
    let mut room = FILES_MAX.saturating_sub(txn.count::<FileRecord>()?);
    for change in piece {
        match change {
            Change::New(seen) | Change::Replaced(seen) => {
                let standing = txn.newest_file(merge.source, &seen.path)?;
                let same = standing.filter(|file| file.size == seen.size && !is_stale(file, &seen));
                if let Some(mut file) = same {
                    // A download was quicker than the listing.
                    file.mark = seen.mark.or(file.mark);
                    txn.put(&file)?;
                } else if room > 0 {
                    room -= 1;
                    let record = record(txn, merge, &seen)?;
                    txn.put(&record)?;
                    new.push(seen);
                }
            }
            Change::Changed(id, seen) => {
                let Some(mut file) = txn.get::<FileRecord>(id)?.filter(|file| !file.status.is_kept()) else {
                    continue;
                };
                file.size = seen.size;
                file.mark.clone_from(&seen.mark);
                if file.status != FileStatus::Downloading {
                    file.status = FileStatus::Available;
                    file.error = None;
                }
                txn.put(&file)?;
                new.push(seen);
            }
            Change::Back(id, seen) => {
                let Some(mut file) = txn.get::<FileRecord>(id)? else { continue };
                file.size = file.size.or(seen.size);
                file.mark = seen.mark.or(file.mark);
                if file.status == FileStatus::Unavailable {
                    file.status = FileStatus::Available;
                }
                txn.set_gone(id, false);
                txn.put(&file)?;
            }
            Change::Gone(id) | Change::GoneButKept(id) => {
                let Some(mut file) = txn.get::<FileRecord>(id)? else { continue };
                match file.status {
                    FileStatus::Available | FileStatus::Error => {
                        file.status = FileStatus::Unavailable;
                        txn.put(&file)?;
                    }
                    FileStatus::Unavailable => {}
                    FileStatus::Downloaded
                    | FileStatus::Local
                    | FileStatus::Downloading
                    | FileStatus::Deleted => txn.set_gone(id, true),
                }
            }
        }
    }
    Ok(new)
}

/// Whether the record is of an older version than the one seen.
fn is_stale(file: &FileRecord, seen: &Seen) -> bool {
    matches!((&file.mark, &seen.mark), (Some(old), Some(new)) if old != new)
}

fn record(txn: &mut Txn<'_>, merge: &Merge, seen: &Seen) -> Result<FileRecord, StoreError> {
    Ok(FileRecord {
        id: txn.next_file_id()?,
        source: merge.source,
        source_name: merge.source_name.clone(),
        path: seen.path.clone(),
        name: text::clean(&seen.name, NAME_BYTES_MAX),
        size: seen.size,
        mark: seen.mark.clone(),
        status: FileStatus::Available,
        content: None,
        work: Vec::new(),
        pinned: false,
        error: None,
        discovered_at: txn.now().wall,
        kept_at: None,
    })
}
