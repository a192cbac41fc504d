//! A job: one print, recorded with its true start and end.

use serde::{Deserialize, Serialize};

use super::{FilamentUse, FileId, JobId, Mass, PrinterId};
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

/// Filaments of a job that are remembered: more than any slicer's project or any printer's slots.
pub const FILAMENTS_MAX: usize = 32;

/// Whether a job's filament was taken off the spools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Booking {
    /// There is nothing to book: the job is not over, or used nothing.
    #[default]
    None,
    /// The job is over, and its file's figures have not come yet.
    Pending,
    /// It is booked.
    Booked,
    /// Nothing is booked without a person: nobody saw the end, or no spool is in the slots it used.
    Offered,
    /// It was booked, and every booking was undone.
    Undone,
}

/// What is known of a job's filament.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobMaterial {
    /// What the whole print needs, as its file says; at most [`FILAMENTS_MAX`]. `None` until the file has been read.
    pub uses: Option<Vec<FilamentUse>>,
    /// The slot of each of the file's filaments, in their order, as the printer was told; empty where it does not say. At
    /// most [`FILAMENTS_MAX`].
    pub mapping: Vec<Option<u16>>,
    /// The slots that were seen in use during the print; at most [`FILAMENTS_MAX`].
    pub slots: Vec<u16>,
    /// Whether it was booked.
    pub booking: Booking,
    /// What the job has used, once it is over and its file's figures are known.
    pub used: Option<Mass>,
    /// `seq` of its `job_completed`: the cause of what is booked.
    pub ended_seq: Option<u64>,
}

impl JobMaterial {
    /// Adds what is now known of the slots.
    pub fn note_slots(&mut self, mapping: &[Option<u16>], seen: &[u16]) {
        if !mapping.is_empty() {
            self.mapping = mapping.iter().take(FILAMENTS_MAX).copied().collect();
        }
        for slot in seen {
            if !self.slots.contains(slot) && self.slots.len() < FILAMENTS_MAX {
                self.slots.push(*slot);
            }
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
    /// A person's notes.
    pub notes: Option<String>,
    /// What is known of its filament.
    pub material: JobMaterial,
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

    /// How much of its file's filament it has used, in percent: all when it completed, as far as it came when it was cancelled
    /// or failed, nothing when it never printed. `None` where that is not known.
    #[must_use]
    pub fn used_percent(&self) -> Option<u8> {
        match self.status {
            JobStatus::Completed => Some(100),
            JobStatus::Failed | JobStatus::Cancelled if self.printing_at.is_none() => Some(0),
            JobStatus::Failed | JobStatus::Cancelled => self.progress,
            JobStatus::Pending
            | JobStatus::Preparing
            | JobStatus::Running
            | JobStatus::Paused
            | JobStatus::Unknown => None,
        }
    }

    /// What it has used of each of its file's filaments. `None` where figures or end are not known.
    #[must_use]
    pub fn used(&self) -> Option<Vec<FilamentUse>> {
        let (uses, percent) = (self.material.uses.as_ref()?, self.used_percent()?);
        Some(uses.iter().map(|one| FilamentUse { used: one.used.percent(percent), ..one.clone() }).collect())
    }

    /// Notes what its end means for its filament: how much it has used, and whether that is to be booked.
    pub fn judge_material(&mut self) {
        self.material.used = self.used().map(|uses| uses.iter().map(|one| one.used).sum());
        self.material.booking = match self.used_percent() {
            Some(0) => Booking::None,
            Some(_) => Booking::Pending,
            None => Booking::Offered,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: JobStatus, progress: Option<u8>, printed: bool) -> Job {
        let uses = [(0, 10_000), (3, 5_000)].map(|(tool, milligrams)| FilamentUse {
            tool,
            used: Mass::from_micrograms(milligrams * 1000),
            kind: None,
            color: None,
        });
        Job {
            id: JobId(1),
            printer_id: PrinterId(1),
            printer_name: "X1".into(),
            name: "Cube".into(),
            file: None,
            plate: None,
            file_id: None,
            status,
            auto: true,
            progress,
            error: None,
            notes: None,
            material: JobMaterial { uses: Some(uses.into()), ..JobMaterial::default() },
            created_at: Timestamp(0),
            started_at: None,
            printing_at: printed.then_some(Timestamp(0)),
            ended_at: None,
            clock_synced: true,
            created_seq: 1,
        }
    }

    #[test]
    fn what_a_job_has_used_depends_on_its_end() {
        use JobStatus as S;
        for (status, progress, printed, used_mg, booking) in [
            (S::Completed, Some(100), true, Some(15_000), Booking::Pending),
            (S::Completed, None, true, Some(15_000), Booking::Pending),
            (S::Cancelled, Some(33), true, Some(4_950), Booking::Pending),
            (S::Failed, Some(50), true, Some(7_500), Booking::Pending),
            (S::Failed, Some(0), true, Some(0), Booking::None),
            (S::Failed, None, true, None, Booking::Offered),
            // What the printer still shows of the print before is not this one's progress.
            (S::Cancelled, Some(100), false, Some(0), Booking::None),
            (S::Unknown, Some(80), true, None, Booking::Offered),
        ] {
            let mut job = job(status, progress, printed);
            job.judge_material();
            let used = job.material.used.map(|mass| mass.micrograms() / 1000);
            assert_eq!((used, job.material.booking), (used_mg, booking), "{status:?} {progress:?} {printed}");
        }
        let mut unread = job(S::Completed, None, true);
        unread.material.uses = None;
        unread.judge_material();
        assert_eq!((unread.material.used, unread.material.booking), (None, Booking::Pending));
    }

    #[test]
    fn slots_are_remembered_once_and_within_bounds() {
        let mut material = JobMaterial::default();
        material.note_slots(&[], &[3, 1]);
        material.note_slots(&[Some(1), None], &[1, 254]);
        material.note_slots(&[], &(0..100).collect::<Vec<u16>>());
        assert_eq!((material.slots.len(), &material.slots[..3]), (FILAMENTS_MAX, &[3, 1, 254][..]));
        assert_eq!(material.mapping, [Some(1), None]);
    }
}
