//! Version 2 of the records that changed after version 1.

use serde::{Deserialize, Serialize};

use super::codes;
use crate::base::clock::Timestamp;
use crate::model::{self, FileId, JobId, JobMaterial, Mass, PrinterId};
use crate::store::error::DecodeError;

/// A job, with the version of its file, notes and filament. The first three fields are `StoredJobHead`, in every version.
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
    notes: Option<String>,
    uses: Option<Vec<FilamentUse>>,
    mapping: Vec<Option<u16>>,
    slots: Vec<u16>,
    booking: u8,
    used: Option<u64>,
    ended_seq: Option<u64>,
}

/// What a file says about one of its filaments; the mass in micrograms.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct FilamentUse {
    tool: u16,
    used: u64,
    kind: Option<String>,
    color: Option<String>,
}

impl From<&model::FilamentUse> for FilamentUse {
    fn from(one: &model::FilamentUse) -> FilamentUse {
        let (kind, color) = (one.kind.clone(), one.color.clone());
        FilamentUse { tool: one.tool, used: one.used.micrograms(), kind, color }
    }
}

impl FilamentUse {
    fn into_model(self) -> model::FilamentUse {
        let FilamentUse { tool, used, kind, color } = self;
        model::FilamentUse { tool, used: Mass::from_micrograms(used), kind, color }
    }
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
            notes: job.notes.clone(),
            uses: job.material.uses.as_ref().map(|uses| uses.iter().map(FilamentUse::from).collect()),
            mapping: job.material.mapping.clone(),
            slots: job.material.slots.clone(),
            booking: codes::booking::encode(job.material.booking),
            used: job.material.used.map(Mass::micrograms),
            ended_seq: job.material.ended_seq,
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
            notes: self.notes,
            material: JobMaterial {
                uses: self.uses.map(|uses| uses.into_iter().map(FilamentUse::into_model).collect()),
                mapping: self.mapping,
                slots: self.slots,
                booking: codes::booking::decode(self.booking)?,
                used: self.used.map(Mass::from_micrograms),
                ended_seq: self.ended_seq,
            },
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            printing_at: self.printing_at.map(Timestamp),
            ended_at: self.ended_at.map(Timestamp),
            clock_synced: self.clock_synced,
            created_seq: self.created_seq,
        })
    }
}
