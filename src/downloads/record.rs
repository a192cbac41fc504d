//! The transactions: what is written with which events, in the contract's order.
//!
//! Every event of a print's automatic download belongs to the print's flow and follows from the `auto_download_triggered`
//! (the fetch's cause); every other download has a flow of its own. Within a round each event is the cause of the next.

use super::desk::Desk;
use super::worker::Arrived;
use crate::events::{
    AutoDownloadFailed, AutoDownloadTriggered, AutoRetry, Event, FileDownloadComplete, FileDownloadFailed,
    FileDownloadStarted, FileNeedsThumbnailProcessing, FilePreviewReady, Flow,
};
use crate::jobs::record::flow_of;
use crate::model::text::{self, MESSAGE_BYTES_MAX, NAME_BYTES_MAX};
use crate::model::{
    Content, Fetch, FetchKind, FetchState, FileId, FileRecord, FileSource, FileStatus, Job, PrinterId, Start,
    Wanted,
};
use crate::store::{Blobs, Read as _, ReadFiles as _, StoreError, Txn};

/// Requests that are kept, open and over together: the answer to "what became of it" for some weeks.
const FETCHES_KEPT: u64 = 1_000;
/// Requests that one transaction removes beyond that.
const TRIMMED_AT_A_TIME: usize = 8;

/// The flow that a fetch's events belong to.
pub(super) fn flow(fetch: &Fetch) -> Flow {
    match &fetch.wanted {
        Wanted::Print { job_id, .. } if fetch.auto => flow_of(*job_id),
        Wanted::Print { .. } | Wanted::Path(_) => Flow::new(&format!("download-{}", fetch.id)),
    }
}

/// A new request, not yet written.
pub(crate) fn new_fetch(
    txn: &mut Txn<'_>,
    printer_id: PrinterId,
    wanted: Wanted,
    filename: String,
) -> Result<Fetch, StoreError> {
    txn.trim_fetches(FETCHES_KEPT, TRIMMED_AT_A_TIME)?;
    Ok(Fetch {
        id: txn.next_fetch_id()?,
        printer_id,
        wanted,
        filename: text::clean(&filename, NAME_BYTES_MAX),
        auto: false,
        cause: None,
        state: FetchState::Queued,
        attempts: 0,
        tried: Vec::new(),
        error: None,
        refetch: false,
        created_at: txn.now().wall,
    })
}

/// A print has started whose file is fetched by itself: writes the request and announces it. `cause` is the event that told
/// of the print.
///
/// # Errors
/// What the store meets.
pub fn trigger(
    txn: &mut Txn<'_>,
    job: &Job,
    start: Start,
    filename: String,
    cause: Option<u64>,
) -> Result<Fetch, StoreError> {
    let wanted = Wanted::Print { job_id: job.id, start };
    let mut fetch = new_fetch(txn, job.printer_id, wanted, filename)?;
    fetch.auto = true;
    let event = AutoDownloadTriggered {
        printer_id: job.printer_id,
        filename: fetch.filename.clone(),
        job_id: Some(job.id),
    };
    let root = cause.or(Some(job.created_seq).filter(|seq| *seq > 0));
    fetch.cause = Some(txn.emit(Event::AutoDownloadTriggered(event), Some(&flow_of(job.id)), root));
    txn.put(&fetch)?;
    Ok(fetch)
}

/// The version of the wanted file that is known so far, where the path is.
pub(super) fn known_file(txn: &Txn<'_>, fetch: &Fetch) -> Result<Option<FileRecord>, StoreError> {
    match &fetch.wanted {
        Wanted::Path(path) if path.starts_with(b"/") => {
            txn.newest_file(FileSource::Printer(fetch.printer_id), path)
        }
        Wanted::Path(_) | Wanted::Print { .. } => Ok(None),
    }
}

/// A round begins. `None` when the request is over meanwhile; otherwise the request as it is now, and the event's `seq`.
pub(super) fn started(
    txn: &mut Txn<'_>,
    fetch: &Fetch,
    resumed_from: u64,
) -> Result<Option<(Fetch, u64)>, StoreError> {
    let Some(mut current) = txn.get::<Fetch>(fetch.id)?.filter(|current| !current.state.is_over()) else {
        return Ok(None);
    };
    current.wanted = fetch.wanted.clone();
    current.state = FetchState::Running;
    current.attempts = current.attempts.saturating_add(1);
    let known = known_file(txn, &current)?;
    if let Some(mut file) = known.clone().filter(|file| !file.status.is_kept()) {
        file.status = FileStatus::Downloading;
        txn.put(&file)?;
    }
    let event = FileDownloadStarted {
        printer_id: current.printer_id,
        filename: current.filename.clone(),
        file_id: known.as_ref().map(|file| file.id),
        job_id: current.job_id(),
        file_size: known.and_then(|file| file.size),
        resumed_from,
    };
    txn.put(&current)?;
    let seq = txn.emit(Event::FileDownloadStarted(event), Some(&flow(&current)), current.cause);
    Ok(Some((current, seq)))
}

/// The first bytes held something to show.
pub(super) fn previewed(
    txn: &mut Txn<'_>,
    fetch: &Fetch,
    cause: u64,
    plate: Option<u32>,
    has_picture: bool,
    metadata: serde_json::Value,
) -> Result<(), StoreError> {
    let event = FilePreviewReady {
        printer_id: fetch.printer_id,
        filename: fetch.filename.clone(),
        job_id: fetch.job_id(),
        plate,
        thumbnail_url: has_picture.then(|| Desk::preview_url(fetch.id)),
        metadata,
    };
    txn.emit(Event::FilePreviewReady(event), Some(&flow(fetch)), Some(cause));
    Ok(())
}

/// What follows a failed round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Follow {
    /// Seconds until the next round, where that is known.
    pub retry_in_s: Option<u64>,
    /// Whether the listeners of an automatic download are told that it is left for now, or for good.
    pub auto: Option<AutoRetry>,
    /// `seq` of the round's start.
    pub cause: Option<u64>,
}

/// A round has failed; `fetch.state` is what it is from now on. Writes the request, and the file's record where one is known.
pub(super) fn failed(
    txn: &mut Txn<'_>,
    fetch: &mut Fetch,
    kind: FetchKind,
    words: &str,
    follow: Option<Follow>,
) -> Result<(), StoreError> {
    let words = text::clean(words, MESSAGE_BYTES_MAX);
    fetch.error = Some((kind, words.clone()));
    let known = known_file(txn, fetch)?;
    if let Some(mut file) = known.clone().filter(|file| !file.status.is_kept()) {
        file.status = match (&fetch.state, kind) {
            (FetchState::Failed, FetchKind::Cancelled) => FileStatus::Available,
            (FetchState::Failed, FetchKind::NotFound) => FileStatus::Unavailable,
            (FetchState::Failed, _) => FileStatus::Error,
            _ => file.status,
        };
        file.error = fetch.error.clone().filter(|_| kind != FetchKind::Cancelled);
        txn.put(&file)?;
    }
    txn.put(fetch)?;
    let flow = flow(fetch);
    let event = FileDownloadFailed {
        printer_id: fetch.printer_id,
        filename: fetch.filename.clone(),
        file_id: known.map(|file| file.id),
        error: words.clone(),
        kind,
        attempts: fetch.attempts,
        retry_in_s: follow.and_then(|follow| follow.retry_in_s),
    };
    let cause = follow.and_then(|follow| follow.cause).or(fetch.cause);
    let seq = txn.emit(Event::FileDownloadFailed(event), Some(&flow), cause);
    if let Some(retry) = follow.and_then(|follow| follow.auto).filter(|_| fetch.auto) {
        let event = AutoDownloadFailed {
            printer_id: fetch.printer_id,
            filename: fetch.filename.clone(),
            job_id: fetch.job_id(),
            error: words,
            kind,
            attempts: u32::try_from(fetch.tried.len()).unwrap_or(u32::MAX),
            tried: fetch.tried.clone(),
            retry,
        };
        txn.emit(Event::AutoDownloadFailed(event), Some(&flow), Some(seq));
    }
    Ok(())
}

/// The file is here: records the version, its content, the request's end and the job's file, and announces them. `None`
/// when the request was taken back meanwhile: nothing is recorded then, and the next sweep removes the bytes.
pub(super) fn completed(
    txn: &mut Txn<'_>,
    fetch: &Fetch,
    arrived: &Arrived,
    cause: u64,
) -> Result<Option<FileId>, StoreError> {
    let Some(mut current) = txn.get::<Fetch>(fetch.id)?.filter(|current| !current.state.is_over()) else {
        return Ok(None);
    };
    let now = txn.now().wall;
    let checksum = arrived.content.checksum;
    match txn.get::<Content>(checksum) {
        Ok(Some(kept)) if kept.verified != Some(false) => {}
        // New, or its bytes on the card were damaged and have been replaced.
        Ok(_) | Err(StoreError::Record(_)) => {
            txn.put(&Content { kept_at: now, ..arrived.content.clone() })?
        }
        Err(error) => return Err(error),
    }
    let extension = txn.get::<Content>(checksum)?.map_or_else(String::new, |content| content.extension);
    let mut file = version(txn, fetch, arrived)?;
    let plate = match &fetch.wanted {
        Wanted::Print { start, .. } => arrived.plate.or(start.plate),
        Wanted::Path(_) => None,
    };
    let path = Blobs::name(checksum, &extension);
    let flow = flow(fetch);
    let needs = FileNeedsThumbnailProcessing { file_id: file.id, file_path: path.clone() };
    let needs = txn.emit(Event::FileNeedsThumbnailProcessing(needs), Some(&flow), Some(cause));
    let complete = FileDownloadComplete {
        printer_id: fetch.printer_id,
        filename: file.name.clone(),
        requested_name: fetch.filename.clone(),
        file_id: file.id,
        file_path: path,
        file_size: arrived.content.size,
        sha256: checksum,
        download_time_s: arrived.seconds,
        deduplicated: arrived.deduplicated,
    };
    txn.emit(Event::FileDownloadComplete(complete), Some(&flow), Some(needs));
    file.status = FileStatus::Downloaded;
    file.content = Some(checksum);
    file.size = Some(arrived.content.size);
    file.error = None;
    file.kept_at = Some(now);
    file.ask(plate, Some(needs));
    txn.put(&file)?;
    if let Some(mut job) = match fetch.job_id() {
        Some(id) => txn.job(id)?,
        None => None,
    } {
        job.file_id = Some(file.id);
        txn.put_job(&job)?;
    }
    current.state = FetchState::Done(file.id);
    current.error = None;
    current.tried.clone_from(&fetch.tried);
    txn.put(&current)?;
    Ok(Some(file.id))
}

/// The record of the version that has arrived: the one that is known if it has these bytes or none yet, else a new one.
fn version(txn: &mut Txn<'_>, fetch: &Fetch, arrived: &Arrived) -> Result<FileRecord, StoreError> {
    let source = FileSource::Printer(fetch.printer_id);
    let known = txn.newest_file(source, &arrived.path)?;
    if let Some(damaged) = known.clone().filter(|_| fetch.refetch) {
        // What was damaged never was a version of its own: the record, and whoever names it, goes on with the right bytes.
        let old = damaged.content;
        txn.delete_file(damaged.id)?;
        if let Some(old) = old.filter(|old| *old != arrived.content.checksum)
            && txn.files_of(old)?.is_empty()
        {
            // Its bytes go with the next sweep.
            txn.delete::<Content>(old)?;
        }
        return Ok(damaged);
    }
    let fits = |file: &FileRecord| match file.content {
        Some(content) => content == arrived.content.checksum,
        None => file.size.is_none_or(|size| size == arrived.content.size),
    };
    if let Some(known) = known.filter(fits) {
        return Ok(known);
    }
    let source_name = txn.printer(fetch.printer_id)?.map_or_else(String::new, |printer| printer.name);
    Ok(FileRecord {
        id: txn.next_file_id()?,
        source,
        source_name,
        path: arrived.path.clone(),
        name: text::clean(&arrived.name, NAME_BYTES_MAX),
        size: Some(arrived.content.size),
        mark: None,
        status: FileStatus::Downloaded,
        content: None,
        work: Vec::new(),
        pinned: false,
        error: None,
        discovered_at: txn.now().wall,
        kept_at: None,
    })
}
