//! Version 2 of the records that changed after version 1.

use serde::{Deserialize, Serialize};

use super::codes;
use crate::base::clock::Timestamp;
use crate::model::{self, FileId, JobId, PrinterId};
use crate::store::error::DecodeError;

/// A job, with the version of its file. The first three fields are `StoredJobHead`, in every version.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Job {
    printer_id: u64,
    status: u8,
    created_at: i64,
    printer_name: String,
    name: String,
    file: Option<String>,
    plate: Option<u32>,
    auto: bool,
    progress: Option<u8>,
    error: Option<String>,
    started_at: Option<i64>,
    printing_at: Option<i64>,
    ended_at: Option<i64>,
    clock_synced: bool,
    created_seq: u64,
    file_id: Option<u64>,
}

impl From<&model::Job> for Job {
    fn from(job: &model::Job) -> Job {
        Job {
            printer_id: job.printer_id.0,
            status: codes::job_status::encode(job.status),
            created_at: job.created_at.0,
            printer_name: job.printer_name.clone(),
            name: job.name.clone(),
            file: job.file.clone(),
            plate: job.plate,
            auto: job.auto,
            progress: job.progress,
            error: job.error.clone(),
            started_at: job.started_at.map(|time| time.0),
            printing_at: job.printing_at.map(|time| time.0),
            ended_at: job.ended_at.map(|time| time.0),
            clock_synced: job.clock_synced,
            created_seq: job.created_seq,
            file_id: job.file_id.map(|id| id.0),
        }
    }
}

impl Job {
    pub(in crate::store) fn into_model(self, id: JobId) -> Result<model::Job, DecodeError> {
        Ok(model::Job {
            id,
            printer_id: PrinterId(self.printer_id),
            printer_name: self.printer_name,
            name: self.name,
            file: self.file,
            plate: self.plate,
            file_id: self.file_id.map(FileId),
            status: codes::job_status::decode(self.status)?,
            auto: self.auto,
            progress: self.progress,
            error: self.error,
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            printing_at: self.printing_at.map(Timestamp),
            ended_at: self.ended_at.map(Timestamp),
            clock_synced: self.clock_synced,
            created_seq: self.created_seq,
        })
    }
}
