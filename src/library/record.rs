//! The transactions of the library: records and events as one fact.

use super::{ENTRIES_MAX, LibraryError};
use crate::events::{
    Event, FileDeleted, FileNeedsThumbnailProcessing, Flow, LibraryFileAdded, LibraryFileDeleted,
};
use crate::model::library::{LibraryEntry, LibrarySource};
use crate::model::{Checksum, Content, FileId, FileRecord, FileSource, FileStatus, Job, PrinterId};
use crate::store::{Blobs, Read as _, ReadFiles as _, StoreError, Txn};

pub use crate::events::KeptFor;

/// What an addition came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The entry as it is now.
    pub entry: LibraryEntry,
    /// Whether the library had this content already.
    pub duplicate: bool,
}

/// What a deletion came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The entry's name.
    pub filename: String,
    /// Whose the bytes still are; empty when they are gone, too.
    pub kept_for: Vec<KeptFor>,
    /// The ending under which the bytes were kept, where they are to be removed.
    pub gone: Option<String>,
}

/// An upload is whole and its bytes are in their place.
///
/// # Errors
/// [`LibraryError::Full`], [`LibraryError::Store`].
pub fn uploaded(txn: &mut Txn<'_>, content: Content, name: &str) -> Result<Added, LibraryError> {
    let checksum = content.checksum;
    put_content(txn, content)?;
    let flow = Flow::new(&format!("upload-{}", txn.newest_seq() + 1));
    // One record for the uploads of a content, whatever names they came under: a name more is a source more.
    let known = own_file(txn, checksum, FileSource::Upload)?;
    let file = match known {
        Some(file) => file,
        None => FileRecord {
            id: txn.next_file_id()?,
            source: FileSource::Upload,
            source_name: String::new(),
            path: name.as_bytes().to_vec(),
            name: name.to_owned(),
            size: None,
            mark: None,
            status: FileStatus::Local,
            content: None,
            work: Vec::new(),
            pinned: false,
            error: None,
            discovered_at: txn.now().wall,
            kept_at: None,
        },
    };
    arrived(txn, file, checksum, name, Some(&flow), None)
}

/// A file of the watch folder has been copied to its place. `cause` is the event of its discovery.
///
/// # Errors
/// [`LibraryError::Full`], [`LibraryError::Store`].
pub fn taken(
    txn: &mut Txn<'_>,
    file: FileRecord,
    content: Content,
    flow: Option<&Flow>,
    cause: Option<u64>,
) -> Result<Added, LibraryError> {
    let (checksum, name) = (content.checksum, file.name.clone());
    put_content(txn, content)?;
    arrived(txn, file, checksum, &name, flow, cause)
}

/// Adds a file whose bytes are here, because somebody asked for it. It has been read already, so its thumbnails and figures
/// are not asked for again.
///
/// # Errors
/// [`LibraryError::NoFile`], [`LibraryError::Full`], [`LibraryError::Store`].
pub fn add_file(txn: &mut Txn<'_>, id: FileId) -> Result<Added, LibraryError> {
    kept(txn, id, None, None)
}

/// Adds a finished download by itself, in the download's flow. The same event twice adds nothing.
///
/// # Errors
/// As [`add_file`].
pub fn add_downloaded(
    txn: &mut Txn<'_>,
    id: FileId,
    flow: Option<&Flow>,
    cause: u64,
) -> Result<Added, LibraryError> {
    kept(txn, id, flow, Some(cause))
}

fn kept(
    txn: &mut Txn<'_>,
    id: FileId,
    flow: Option<&Flow>,
    cause: Option<u64>,
) -> Result<Added, LibraryError> {
    let file = txn.get::<FileRecord>(id)?.filter(|file| file.status.is_kept()).ok_or(LibraryError::NoFile)?;
    let content = file.content.ok_or(LibraryError::NoFile)?;
    if txn.get::<Content>(content)?.is_none() {
        return Err(LibraryError::NoFile);
    }
    let name = file.name.clone();
    let (added, _) = enter(txn, &file, content, &name, flow, cause)?;
    Ok(added)
}

/// Removes an entry; its bytes, too, unless another record uses them. The caller removes them from the card.
///
/// # Errors
/// [`LibraryError::NotFound`], [`LibraryError::Store`].
pub fn delete(txn: &mut Txn<'_>, checksum: Checksum) -> Result<Deleted, LibraryError> {
    let entry = match txn.get::<LibraryEntry>(checksum) {
        Ok(entry) => entry.ok_or(LibraryError::NotFound)?,
        Err(error) => return Err(error.into()),
    };
    let files = files(txn, checksum)?;
    let in_use = in_open_jobs(txn, &files)?;
    let mut kept_for = Vec::new();
    if files.iter().any(|file| matches!(file.source, FileSource::Printer(_)) && file.status.is_kept()) {
        kept_for.push(KeptFor::File);
    }
    if !in_use.is_empty() {
        kept_for.push(KeptFor::Job);
    }
    txn.delete_library_entry(checksum)?;
    let event = LibraryFileDeleted { checksum, filename: entry.filename.clone(), kept_for: kept_for.clone() };
    let seq = txn.emit(Event::LibraryFileDeleted(event), None, None);
    for mut file in files.into_iter().filter(|file| !in_use.contains(&file.id)) {
        match file.source {
            FileSource::Printer(_) => continue,
            FileSource::Upload => {
                txn.delete_file(file.id)?;
            }
            // It is still in its folder: the record stays, so that the next look does not take it again.
            FileSource::Local => {
                file.status = FileStatus::Deleted;
                file.work.clear();
                txn.put(&file)?;
            }
        }
        deleted(txn, &file, Some(seq));
    }
    let gone = if kept_for.is_empty() { drop_content(txn, checksum)? } else { None };
    Ok(Deleted { filename: entry.filename, kept_for, gone })
}

/// Gives up the local copies of a content that nobody needs: every file that has it is only a copy of what a printer had.
/// `None` when somebody needs it after all.
///
/// # Errors
/// [`StoreError`].
pub fn retire(txn: &mut Txn<'_>, checksum: Checksum) -> Result<Option<String>, StoreError> {
    let files = files(txn, checksum)?;
    let needed = |file: &FileRecord| {
        file.pinned
            || !matches!(file.source, FileSource::Printer(_))
            || file.status == FileStatus::Downloading
    };
    if txn.get::<LibraryEntry>(checksum)?.is_some() || files.iter().any(needed) {
        return Ok(None);
    }
    if !in_open_jobs(txn, &files)?.is_empty() {
        return Ok(None);
    }
    for mut file in files.into_iter().filter(|file| file.status.is_kept()) {
        file.status = FileStatus::Deleted;
        file.work.clear();
        txn.put(&file)?;
        deleted(txn, &file, None);
    }
    drop_content(txn, checksum)
}

fn put_content(txn: &mut Txn<'_>, content: Content) -> Result<(), StoreError> {
    match txn.get::<Content>(content.checksum) {
        Ok(Some(_)) => Ok(()),
        // New, or a record that cannot be read: these are the bytes it spoke of.
        Ok(None) | Err(StoreError::Record(_)) => txn.put(&content),
        Err(error) => Err(error),
    }
}

/// Removes a content and what was found in it; answers the ending under which its bytes lie.
fn drop_content(txn: &mut Txn<'_>, checksum: Checksum) -> Result<Option<String>, StoreError> {
    let content = txn.get::<Content>(checksum)?;
    txn.delete_content(checksum)?;
    Ok(content.map(|content| content.extension))
}

/// The bytes of `file` are here: its record, the entry, and the command to read it.
fn arrived(
    txn: &mut Txn<'_>,
    mut file: FileRecord,
    checksum: Checksum,
    name: &str,
    flow: Option<&Flow>,
    cause: Option<u64>,
) -> Result<Added, LibraryError> {
    let content = txn.get::<Content>(checksum)?.ok_or(LibraryError::NoFile)?;
    file.status = FileStatus::Local;
    file.content = Some(checksum);
    file.size = Some(content.size);
    file.kept_at = Some(txn.now().wall);
    let (added, seq) = enter(txn, &file, checksum, name, flow, cause)?;
    let path = Blobs::name(checksum, &content.extension);
    let needs = FileNeedsThumbnailProcessing { file_id: file.id, file_path: path };
    let needs = txn.emit(Event::FileNeedsThumbnailProcessing(needs), flow, Some(seq));
    file.ask(None, Some(needs));
    txn.put(&file)?;
    Ok(added)
}

/// Writes the entry with its new source, and announces it.
fn enter(
    txn: &mut Txn<'_>,
    file: &FileRecord,
    checksum: Checksum,
    name: &str,
    flow: Option<&Flow>,
    cause: Option<u64>,
) -> Result<(Added, u64), LibraryError> {
    let now = txn.now().wall;
    let known = match txn.get::<LibraryEntry>(checksum) {
        Ok(known) => known,
        // It cannot be read: what is known now replaces it.
        Err(StoreError::Record(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let duplicate = known.is_some();
    let size = file.size.unwrap_or(0);
    let mut entry = match known {
        Some(entry) => entry,
        None => {
            if txn.count::<LibraryEntry>()? >= ENTRIES_MAX {
                return Err(LibraryError::Full);
            }
            LibraryEntry {
                checksum,
                number: txn.next_library_number()?,
                filename: name.to_owned(),
                size,
                sources: Vec::new(),
                source_count: 0,
                added_at: now,
            }
        }
    };
    entry.add_source(LibrarySource {
        source: file.source,
        source_name: file.source_name.clone(),
        filename: name.to_owned(),
        file_id: file.id,
        added_at: now,
    });
    txn.put(&entry)?;
    let event = LibraryFileAdded {
        checksum,
        filename: name.to_owned(),
        file_size: size,
        source: file.source.into(),
        duplicate,
    };
    let seq = txn.emit(Event::LibraryFileAdded(event), flow, cause);
    Ok((Added { entry, duplicate }, seq))
}

fn deleted(txn: &mut Txn<'_>, file: &FileRecord, cause: Option<u64>) {
    let printer_id: Option<PrinterId> = file.source.printer_id();
    let event = FileDeleted { file_id: file.id, filename: file.name.clone(), printer_id };
    txn.emit(Event::FileDeleted(event), None, cause);
}

/// The records of the files that have this content.
fn files(txn: &Txn<'_>, checksum: Checksum) -> Result<Vec<FileRecord>, StoreError> {
    let mut files = Vec::new();
    for id in txn.files_of(checksum)? {
        match txn.get::<FileRecord>(id) {
            Ok(file) => files.extend(file.filter(|file| file.content == Some(checksum))),
            Err(StoreError::Record(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// The record of this content's file of `source`.
fn own_file(txn: &Txn<'_>, checksum: Checksum, source: FileSource) -> Result<Option<FileRecord>, StoreError> {
    Ok(files(txn, checksum)?.into_iter().find(|file| file.source == source))
}

/// Which of the files a job that is not over prints. A job that is over keeps its file's record, not its bytes.
fn in_open_jobs(txn: &Txn<'_>, files: &[FileRecord]) -> Result<Vec<FileId>, StoreError> {
    let jobs: Vec<Job> = txn.active_or_pending_jobs(None)?;
    Ok(files
        .iter()
        .map(|file| file.id)
        .filter(|id| jobs.iter().any(|job| job.file_id == Some(*id)))
        .collect())
}
