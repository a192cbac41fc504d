//! Bytes put into a data directory as a finished download leaves them: content, record, request for pictures and figures.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use printernizer::base::clock::{Clock, RELEASE_FLOOR};
use printernizer::events::{Event, FileNeedsThumbnailProcessing, Flow};
use printernizer::model::{Checksum, Content, FileId, FileRecord, FileSource, FileStatus, JobId, PrinterId};
use printernizer::store::{Blobs, OpenedStore, Read as _, Store, StoreError, StoreOptions, blobs};
use sha2::Digest as _;

/// The records of a data directory, as long as no service runs on it.
pub struct Seeds {
    opened: OpenedStore,
    blobs: Blobs,
}

impl Seeds {
    pub fn open(directory: &Path) -> Seeds {
        let options = StoreOptions::new(directory, Clock::manual(RELEASE_FLOOR), Arc::new(|_| {}));
        Seeds { opened: Store::open(options).unwrap(), blobs: Blobs::open(directory).unwrap() }
    }

    /// Closes the records, so that a service can open them.
    pub fn close(self) {
        let OpenedStore { store, thread, .. } = self.opened;
        drop(store);
        smol::block_on(thread.close(Duration::from_secs(10))).unwrap();
    }

    /// A kept file whose `plates` are wanted.
    pub fn file(&self, name: &str, bytes: &[u8], plates: &[Option<u32>]) -> FileId {
        arrive(&self.opened.store, &self.blobs, name, bytes, plates, "print-j1").0
    }

    /// Changes a record.
    pub fn change(&self, id: FileId, change: impl FnOnce(&mut FileRecord) + Send + 'static) {
        let write = self.opened.store.write_blocking(move |txn| {
            let mut file = txn.get::<FileRecord>(id)?.unwrap();
            change(&mut file);
            txn.put(&file)
        });
        write.unwrap();
    }

    /// A file that is known from a listing only.
    pub fn listed(&self, printer: u64, name: &str, size: u64) -> FileId {
        let name = name.to_owned();
        let write = self.opened.store.write_blocking(move |txn| {
            let file = FileRecord {
                status: FileStatus::Available,
                content: None,
                kept_at: None,
                ..record(txn.next_file_id()?, PrinterId(printer), &name, size)
            };
            txn.put(&file)?;
            Ok::<_, StoreError>(file.id)
        });
        write.unwrap()
    }

    /// Links a job to a file.
    pub fn link(&self, job: JobId, file: FileId) {
        let write = self.opened.store.write_blocking(move |txn| {
            let mut job = txn.job(job)?.unwrap();
            job.file_id = Some(file);
            txn.put_job(&job)
        });
        write.unwrap();
    }
}

fn record(id: FileId, printer: PrinterId, name: &str, size: u64) -> FileRecord {
    FileRecord {
        id,
        source: FileSource::Printer(printer),
        source_name: "Printer".into(),
        path: format!("/cache/{name}").into_bytes(),
        name: name.into(),
        size: Some(size),
        mark: None,
        status: FileStatus::Downloaded,
        content: None,
        work: Vec::new(),
        pinned: false,
        error: None,
        discovered_at: RELEASE_FLOOR,
        kept_at: Some(RELEASE_FLOOR),
    }
}

/// Bytes arrive as a download brings them; the work of `plates` is wanted in `flow`. Answers the record's number and
/// the `seq` of the request.
pub fn arrive(
    store: &Store,
    kept: &Blobs,
    name: &str,
    bytes: &[u8],
    plates: &[Option<u32>],
    flow: &str,
) -> (FileId, u64) {
    let checksum = Checksum(sha2::Sha256::digest(bytes).into());
    let extension = blobs::extension(name);
    kept.open_part("d1").unwrap().write_all(bytes).unwrap();
    kept.keep("d1", checksum, &extension).unwrap();
    let (name, size, plates) = (name.to_owned(), bytes.len() as u64, plates.to_vec());
    let flow = Flow::new(flow);
    let write = store.write_blocking(move |txn| {
        let id = txn.next_file_id()?;
        let event =
            FileNeedsThumbnailProcessing { file_id: id, file_path: Blobs::name(checksum, &extension) };
        let seq = txn.emit(Event::FileNeedsThumbnailProcessing(event), Some(&flow), None);
        let mut file = FileRecord { content: Some(checksum), ..record(id, PrinterId(1), &name, size) };
        plates.iter().for_each(|plate| file.ask(*plate, Some(seq)));
        txn.put(&file)?;
        txn.put(&Content {
            checksum,
            size,
            head: checksum,
            plate_md5: Vec::new(),
            extension,
            verified: None,
            damage: None,
            kept_at: RELEASE_FLOOR,
        })?;
        Ok::<_, StoreError>((id, seq))
    });
    write.unwrap()
}
