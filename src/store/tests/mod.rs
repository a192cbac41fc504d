//! Tests of the store as a whole.

mod backup;
mod basics;
mod crash;
pub(crate) mod disk;
mod job_totals;
mod model;
mod refuge;
mod specification;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::base::clock::{Clock, RELEASE_FLOOR, Timestamp};
use crate::events::{Envelope, Event, JobOnly, JobRef};
use crate::model::{
    ConnectionConfig, Job, JobId, JobMaterial, JobStatus, Printer, PrinterId, PrinterType, Track,
};

/// What was announced, in order.
#[derive(Clone, Default)]
pub(super) struct Announced(Arc<Mutex<Vec<Arc<Envelope>>>>);

impl Announced {
    pub(super) fn publish(&self) -> Publish {
        let list = Arc::clone(&self.0);
        Arc::new(move |event| list.lock().unwrap().push(event))
    }

    pub(super) fn seqs(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(|event| event.seq.unwrap()).collect()
    }

    pub(super) fn jsons(&self) -> Vec<Arc<str>> {
        self.0.lock().unwrap().iter().map(|event| event.json()).collect()
    }
}

/// A directory that goes away with the test; in memory where that is possible, since crash tests sync thousands of times.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Options with a clock that stands still.
pub(super) fn options(dir: &Path, announced: &Announced) -> StoreOptions {
    StoreOptions::new(dir, Clock::manual(RELEASE_FLOOR), announced.publish())
}

pub(super) fn open(dir: &Path) -> (OpenedStore, Announced) {
    let announced = Announced::default();
    let opened = Store::open(options(dir, &announced)).unwrap();
    (opened, announced)
}

pub(super) fn close(opened: OpenedStore) -> Result<(), StoreError> {
    smol::block_on(opened.thread.close(Duration::from_secs(5)))
}

pub(crate) fn printer(id: PrinterId) -> Printer {
    Printer {
        id,
        name: format!("Printer {id}"),
        kind: PrinterType::BambuLab,
        connection: ConnectionConfig { host: "192.0.2.7".into(), mqtt_port: 8883, ..Default::default() },
        pin: None,
        location: None,
        description: None,
        enabled: true,
        created_at: RELEASE_FLOOR,
    }
}

pub(super) fn job(id: JobId, printer_id: PrinterId, status: JobStatus) -> Job {
    Job {
        id,
        printer_id,
        printer_name: "X1".into(),
        name: format!("Job {id}"),
        file: Some("würfel.3mf".into()),
        plate: Some(1),
        file_id: None,
        notes: None,
        material: JobMaterial::default(),
        status,
        auto: true,
        progress: None,
        error: None,
        created_at: Timestamp(RELEASE_FLOOR.0 + i64::try_from(id.0).unwrap() * 1000),
        started_at: None,
        printing_at: None,
        ended_at: None,
        clock_synced: true,
        created_seq: 0,
    }
}

pub(super) fn updated(id: JobId) -> Event {
    Event::JobUpdated(JobOnly { job_id: id })
}

/// Records a new job with its event.
pub(super) fn add_job(
    store: &Store,
    printer_id: PrinterId,
    status: JobStatus,
) -> Result<(Job, u64), StoreError> {
    store.write_blocking(move |txn| {
        let job = job(txn.next_job_id(), printer_id, status);
        txn.put_job(&job)?;
        let seq = txn.emit(Event::JobStarted(JobRef::of(&job)), None, None);
        Ok((job, seq))
    })
}
