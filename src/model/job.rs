//! A job: one print, recorded with its true start and end.

use serde::{Deserialize, Serialize};

use super::{FileId, JobId, PrinterId};
use crate::base::clock::Timestamp;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Recorded by the API, not started.
    Pending,
    /// The printer prepares it.
    Preparing,
    /// It prints.
    Running,
    /// It is paused, or the printer waits for a person.
    Paused,
    /// It ended well.
    Completed,
    /// It failed.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// It ended while nobody looked and the printer does not say how.
    Unknown,
}

impl JobStatus {
    /// Whether a printer is at work on it.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, JobStatus::Preparing | JobStatus::Running | JobStatus::Paused)
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        !self.is_active() && self != JobStatus::Pending
    }

    /// The stable name, as in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        use JobStatus as S;
        match self {
            S::Pending => "pending",
            S::Preparing => "preparing",
            S::Running => "running",
            S::Paused => "paused",
            S::Completed => "completed",
            S::Failed => "failed",
            S::Cancelled => "cancelled",
            S::Unknown => "unknown",
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// Well.
    Completed,
    /// The printer gave up.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// Nobody looked, and the printer does not say.
    Unknown,
}

impl JobEnd {
    /// The job status that stands for this end.
    #[must_use]
    pub fn status(self) -> JobStatus {
        match self {
            JobEnd::Completed => JobStatus::Completed,
            JobEnd::Failed => JobStatus::Failed,
            JobEnd::Cancelled => JobStatus::Cancelled,
            JobEnd::Unknown => JobStatus::Unknown,
        }
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its identifier.
    pub id: JobId,
    /// The printer it belongs to.
    pub printer_id: PrinterId,
    /// The printer's name when the job was recorded: jobs outlive printers.
    pub printer_name: String,
    /// The name people know it by.
    pub name: String,
    /// The file as the printer names it.
    pub file: Option<String>,
    /// Plate within the file, from 1.
    pub plate: Option<u32>,
    /// The version of the file that is printed, once it is known.
    pub file_id: Option<FileId>,
    /// Where it stands.
    pub status: JobStatus,
    /// Whether it was recorded because a print started (and not by the API).
    pub auto: bool,
    /// Progress in percent when it was last recorded: at changes of status.
    pub progress: Option<u8>,
    /// What went wrong, in the printer's words.
    pub error: Option<String>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When the print started (preparation included).
    pub started_at: Option<Timestamp>,
    /// When it first printed.
    pub printing_at: Option<Timestamp>,
    /// When it ended; for a job that ended unseen, when that was noticed.
    pub ended_at: Option<Timestamp>,
    /// Whether the wall clock could be believed at start and end; false makes the duration unknown.
    pub clock_synced: bool,
    /// `seq` of the `job_created` event: the root of the print's causal tree.
    pub created_seq: u64,
}

impl Job {
    /// Duration from start to end in seconds; `None` while it runs, when its end was not seen, or when the clock jumped.
    #[must_use]
    pub fn duration_s(&self) -> Option<u64> {
        let (start, end) = (self.started_at?, self.ended_at?);
        if !self.clock_synced || self.status == JobStatus::Unknown || end < start {
            return None;
        }
        Some(end.millis_since(start) / 1000)
    }
}
