//! The stored forms. Each file `vN.rs` holds the structs as version N wrote them, and is never changed once released: a
//! change of a record is a new struct, a new version number and an upgrade. `golden.rs` pins the bytes.

pub(super) mod codes;
mod files;
mod files_v1;
#[cfg(test)]
mod golden;
mod library;
mod library_v1;
mod materials;
mod materials_v1;
pub(super) mod v1;
pub(super) mod v2;

pub use files::{INDEXED_READ_MAX, ReadFiles};
pub(super) use files_v1::FileHead;
pub use library::{LIBRARY_PAGE_MAX, LibraryPage};
pub(super) use materials::slots_of;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::error::{DecodeError, StoreError};
use super::read::{RawRead as _, Read as _, Span};
use super::record::{Record, body, versioned};
use super::tables::{Key as _, Table, meta};
use super::txn::Txn;
use crate::base::clock::Timestamp;
use crate::model::{Job, JobId, JobStatus, Printer, PrinterId, Track};

impl Record for Printer {
    const TABLE: Table = Table::Printers;
    type Key = PrinterId;

    fn key(&self) -> PrinterId {
        self.id
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &v1::Printer::from(self))
    }

    fn decode(key: PrinterId, version: u8, bytes: &[u8]) -> Result<Printer, DecodeError> {
        match version {
            1 => body::<v1::Printer>(bytes)?.into_model(key),
            other => Err(DecodeError::Version(other)),
        }
    }
}

impl Record for Job {
    const TABLE: Table = Table::Jobs;
    type Key = JobId;

    fn key(&self) -> JobId {
        self.id
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 2, &v2::Job::from(self))
    }

    fn decode(key: JobId, version: u8, bytes: &[u8]) -> Result<Job, DecodeError> {
        match version {
            1 => body::<v1::Job>(bytes)?.into_model(key),
            2 => body::<v2::Job>(bytes)?.into_model(key),
            other => Err(DecodeError::Version(other)),
        }
    }

    fn put_links(&self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        let row = meta::open_job(self.id);
        if self.status.is_over() {
            txn.raw_delete(Table::Meta, row);
        } else {
            txn.raw_put(Table::Meta, row, self.printer_id.to_bytes().to_vec());
        }
        Ok(())
    }

    fn delete_links(key: JobId, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        txn.raw_delete(Table::Meta, meta::open_job(key));
        Ok(())
    }
}

impl Record for Track {
    const TABLE: Table = Table::Tracks;
    type Key = PrinterId;

    fn key(&self) -> PrinterId {
        self.printer_id
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &v1::Track::from(self))
    }

    fn decode(key: PrinterId, version: u8, bytes: &[u8]) -> Result<Track, DecodeError> {
        match version {
            1 => body::<v1::Track>(bytes)?.into_model(key),
            other => Err(DecodeError::Version(other)),
        }
    }
}

/// What a list of jobs filters by. These are the first fields of the stored job of every version, so that a page of a long
/// list is found without reading whole jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredJobHead {
    printer_id: u64,
    status: u8,
    created_at: i64,
}

/// The same in the words of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobHead {
    pub(super) printer_id: PrinterId,
    pub(super) status: JobStatus,
    pub(super) created_at: Timestamp,
}

impl JobHead {
    /// Reads the first fields of a stored job.
    pub(super) fn decode(row: &[u8]) -> Result<JobHead, DecodeError> {
        let (version, body) = row.split_first().ok_or(DecodeError::Empty)?;
        if !matches!(version, 1 | 2) {
            return Err(DecodeError::Version(*version));
        }
        let (head, _) = postcard::take_from_bytes::<StoredJobHead>(body).map_err(|_| DecodeError::Body)?;
        Ok(JobHead {
            printer_id: PrinterId(head.printer_id),
            status: codes::job_status::decode(head.status)?,
            created_at: Timestamp(head.created_at),
        })
    }
}

impl Txn<'_> {
    /// Removes the oldest jobs that are over until at most `keep` jobs are left or none that is over remains, at most
    /// `removed_max` of them; answers whose records are gone. The caller decides whether that is worth an event.
    ///
    /// # Errors
    /// What the store meets.
    pub fn trim_jobs(&mut self, keep: u64, removed_max: usize) -> Result<Vec<JobId>, StoreError> {
        let surplus = usize::try_from(self.count::<Job>()?.saturating_sub(keep)).unwrap_or(usize::MAX);
        let surplus = surplus.min(removed_max);
        let mut over = Vec::new();
        if surplus > 0 {
            self.raw_scan(Table::Jobs, Span::all(), false, &mut |key, row| {
                // A job that cannot be read may be one that is not over: it stays.
                let head = JobHead::decode(row).ok().filter(|head| head.status.is_over());
                over.extend(head.and_then(|_| JobId::from_bytes(key)));
                if over.len() < surplus { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        for id in &over {
            self.delete::<Job>(*id)?;
        }
        Ok(over)
    }
}
