//! The shape of a download in answers, snapshots and lists.

use serde::Serialize;

use super::file_views::{Reason, reason};
use crate::downloads::{Desk, Progress};
use crate::model::{Fetch, FetchId, FetchKind, FetchState, FileId, JobId, PrinterId};

/// A request for a file, and how far it is.
#[derive(Debug, Serialize)]
pub struct DownloadView {
    download_id: FetchId,
    printer_id: PrinterId,
    /// The name as asked for.
    filename: String,
    job_id: Option<JobId>,
    file_id: Option<FileId>,
    /// `queued`, `downloading`, `waiting` (another round follows), `after_print`, `completed`, `failed`, `cancelled`.
    status: &'static str,
    /// Percent, where the size is known.
    progress: Option<u8>,
    bytes_downloaded: Option<u64>,
    total_bytes: Option<u64>,
    rate_bytes_s: Option<u64>,
    /// Whether the service asked by itself.
    auto: bool,
    attempts: u32,
    /// Names that were asked for.
    tried: Vec<String>,
    error: Option<Reason>,
    thumbnail_url: Option<String>,
    created_at: String,
}

impl DownloadView {
    /// `fetch` as it is now. `kept` is the file's size once it is here.
    #[must_use]
    pub fn of(fetch: &Fetch, desk: &Desk, kept: Option<u64>) -> DownloadView {
        let live: Option<Progress> = desk.progress(fetch.id);
        let done = match &fetch.state {
            FetchState::Done(file) => Some(*file),
            _ => None,
        };
        let total = live.and_then(|live| live.file_size).or(kept);
        let bytes = live.map(|live| live.bytes).or(kept.filter(|_| done.is_some()));
        let cancelled = matches!(&fetch.error, Some((FetchKind::Cancelled, _)));
        DownloadView {
            download_id: fetch.id,
            printer_id: fetch.printer_id,
            filename: fetch.filename.clone(),
            job_id: fetch.job_id(),
            file_id: done.or_else(|| live.and_then(|live| live.file_id)),
            status: match &fetch.state {
                FetchState::Queued => "queued",
                FetchState::Running => "downloading",
                FetchState::Waiting => "waiting",
                FetchState::AfterPrint => "after_print",
                FetchState::Done(_) => "completed",
                FetchState::Failed if cancelled => "cancelled",
                FetchState::Failed => "failed",
            },
            progress: if done.is_some() { Some(100) } else { percent(bytes, total) },
            bytes_downloaded: bytes,
            total_bytes: total,
            rate_bytes_s: live.and_then(|live| live.rate_bytes_s),
            auto: fetch.auto,
            attempts: fetch.attempts,
            tried: fetch.tried.clone(),
            error: fetch.error.as_ref().map(|(kind, message)| reason(kind.name(), message)),
            thumbnail_url: desk.preview(fetch.id).map(|_| Desk::preview_url(fetch.id)),
            created_at: fetch.created_at.to_string(),
        }
    }
}

/// Whole percent of a size; 100 only at the end.
fn percent(bytes: Option<u64>, total: Option<u64>) -> Option<u8> {
    let (bytes, total) = (u128::from(bytes?), u128::from(total?));
    let percent = (bytes * 100).checked_div(total)?;
    u8::try_from(percent.min(99)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_of_a_transfer() {
        for (bytes, total, expected) in [
            (Some(0), Some(10), Some(0)),
            (Some(5), Some(10), Some(50)),
            (Some(10), Some(10), Some(99)),
            (Some(u64::MAX), Some(1), Some(99)),
            (Some(1), Some(0), None),
            (None, Some(10), None),
            (Some(1), None, None),
        ] {
            assert_eq!(percent(bytes, total), expected, "{bytes:?} of {total:?}");
        }
    }
}
