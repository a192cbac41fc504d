//! The library's records beside a plain map, and what a pulled plug leaves of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::clock::{Clock, RELEASE_FLOOR, Timestamp};
use crate::model::library::SOURCES_MAX;
use crate::model::{FileRecord, FileSource, FileStatus, Job, JobId, JobStatus, PrinterId};
use crate::store::tests::disk::{Disk, Fate, each_crash};
use crate::store::tests::scratch;
use crate::store::{OpenedStore, ReadFiles as _, StoreOptions, Txn};

pub(crate) fn options(dir: &Path) -> StoreOptions {
    StoreOptions::new(dir, Clock::manual(RELEASE_FLOOR), Arc::new(|_| {}))
}

pub(crate) fn close(opened: OpenedStore) {
    smol::block_on(opened.thread.close(Duration::from_secs(5))).unwrap();
}

fn checksum(number: u8) -> Checksum {
    Checksum([number; 32])
}

fn content(number: u8) -> Content {
    Content {
        checksum: checksum(number),
        size: u64::from(number) + 1,
        head: checksum(number),
        plate_md5: Vec::new(),
        extension: "gcode".into(),
        verified: None,
        damage: None,
        kept_at: RELEASE_FLOOR,
    }
}

/// A file of a printer whose bytes are here.
pub(crate) fn downloaded(txn: &mut Txn<'_>, number: u8, kept_at: i64) -> Result<FileId, StoreError> {
    txn.put(&content(number))?;
    let id = txn.next_file_id()?;
    txn.put(&FileRecord {
        id,
        source: FileSource::Printer(PrinterId(1)),
        source_name: "P1S".into(),
        path: format!("/{number}.gcode").into_bytes(),
        name: format!("{number}.gcode"),
        size: Some(u64::from(number) + 1),
        mark: None,
        status: FileStatus::Downloaded,
        content: Some(checksum(number)),
        work: Vec::new(),
        pinned: false,
        error: None,
        discovered_at: RELEASE_FLOOR,
        kept_at: Some(Timestamp(kept_at)),
    })?;
    Ok(id)
}

/// A job that prints `file`, or did.
fn job(txn: &mut Txn<'_>, file: FileId, status: JobStatus) -> Result<JobId, StoreError> {
    let id = txn.next_job_id();
    txn.put_job(&Job {
        id,
        printer_id: PrinterId(1),
        printer_name: "P1S".into(),
        name: "Job".into(),
        file: None,
        plate: None,
        file_id: Some(file),
        status,
        auto: true,
        progress: None,
        error: None,
        notes: None,
        material: Default::default(),
        created_at: RELEASE_FLOOR,
        started_at: None,
        printing_at: None,
        ended_at: None,
        clock_synced: true,
        created_seq: 0,
    })?;
    Ok(id)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Upload(u8, u8),
    Download(u8),
    Add(u8),
    Delete(u8),
    Retire(u8),
}

/// What a plain map makes of the same steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    /// Sources of each entry.
    entries: BTreeMap<u8, BTreeSet<(bool, String)>>,
    /// Contents that a printer's file keeps.
    of_printer: BTreeSet<u8>,
    contents: BTreeSet<u8>,
}

const CONTENTS: u8 = 6;

impl Model {
    fn step(random: &mut fastrand::Rng) -> Step {
        let number = random.u8(0..CONTENTS);
        match random.u8(0..10) {
            0..4 => Step::Upload(number, random.u8(0..3)),
            4 | 5 => Step::Download(number),
            6 => Step::Add(number),
            7 | 8 => Step::Delete(number),
            _ => Step::Retire(number),
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Upload(number, name) => {
                self.contents.insert(number);
                self.entries.entry(number).or_default().insert((false, format!("u{name}.gcode")));
            }
            Step::Download(number) => {
                self.contents.insert(number);
                self.of_printer.insert(number);
            }
            Step::Add(number) if self.of_printer.contains(&number) => {
                self.entries.entry(number).or_default().insert((true, format!("{number}.gcode")));
            }
            Step::Delete(number) => {
                if self.entries.remove(&number).is_some() && !self.of_printer.contains(&number) {
                    self.contents.remove(&number);
                }
            }
            Step::Retire(number) if !self.entries.contains_key(&number) => {
                self.of_printer.remove(&number);
                self.contents.remove(&number);
            }
            Step::Add(_) | Step::Retire(_) => {}
        }
    }

    fn read(store: &Store) -> Model {
        let mut model = Model::default();
        let page = store.read_blocking(|view| view.library_page(&|_| true, true, 0, 200)).unwrap();
        for entry in page.entries {
            assert_eq!(entry.source_count, entry.sources.len() as u64);
            let names = entry
                .sources
                .iter()
                .map(|source| (source.source.printer_id().is_some(), source.filename.clone()));
            model.entries.insert(entry.checksum.0[0], names.collect());
        }
        store
            .read_blocking(|view| {
                for content in view.list::<Content>(100)? {
                    model.contents.insert(content.checksum.0[0]);
                }
                for file in view.list::<FileRecord>(1000)? {
                    if file.status.is_kept() && file.source.printer_id().is_some() {
                        model.of_printer.insert(file.content.unwrap().0[0]);
                    }
                    // No file says that its bytes are here when they are not.
                    let content = file.content.filter(|_| file.status.is_kept());
                    if let Some(content) = content {
                        assert!(view.get::<Content>(content)?.is_some(), "{file:?}");
                    }
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
        model
    }
}

fn perform(store: &Store, step: Step) {
    match step {
        Step::Upload(number, name) => {
            let name = format!("u{name}.gcode");
            store.write_blocking(move |txn| record::uploaded(txn, content(number), &name)).unwrap();
        }
        Step::Download(number) => {
            store
                .write_blocking(move |txn| {
                    let path = format!("/{number}.gcode").into_bytes();
                    let known = txn.newest_file(FileSource::Printer(PrinterId(1)), &path)?;
                    if known.is_none_or(|file| !file.status.is_kept()) {
                        downloaded(txn, number, 0)?;
                    }
                    Ok::<_, StoreError>(())
                })
                .unwrap();
        }
        Step::Add(number) => {
            let _ = store.write_blocking(move |txn| {
                let path = format!("/{number}.gcode").into_bytes();
                let file = txn.newest_file(FileSource::Printer(PrinterId(1)), &path)?;
                record::add_file(txn, file.ok_or(LibraryError::NoFile)?.id)
            });
        }
        Step::Delete(number) => {
            let _ = store.write_blocking(move |txn| record::delete(txn, checksum(number)));
        }
        Step::Retire(number) => {
            store.write_blocking(move |txn| record::retire(txn, checksum(number))).unwrap();
        }
    }
}

#[test]
fn the_library_is_a_map_of_contents_and_a_pulled_plug_leaves_it_one() {
    let mut random = fastrand::Rng::with_seed(7);
    let dir = scratch();
    let disk = Disk::new(Vec::new());
    let opened =
        Store::open(StoreOptions { backend: Some(Box::new(disk.clone())), ..options(dir.path()) }).unwrap();
    let mut models = vec![Model::default()];
    disk.mark(0);
    for number in 1..=120 {
        let mut model = models[number - 1].clone();
        let step = Model::step(&mut random);
        model.apply(step);
        perform(&opened.store, step);
        assert_eq!(Model::read(&opened.store), model, "step {number}: {step:?}");
        models.push(model);
        disk.mark(number);
    }
    close(opened);
    let mut crashes = 0;
    each_crash(&disk.log(), |crash| {
        let Some(mark) = crash.mark else { return };
        for fate in [Fate::Lost, Fate::Written, Fate::Mixed] {
            let dir = scratch();
            let state = b"running seq=0 job=0 printer=0\n";
            crate::base::file::write_atomic(&dir.path().join("run-state"), state).unwrap();
            let image = Disk::new(crash.image(fate, &mut random));
            let opened =
                Store::open(StoreOptions { backend: Some(Box::new(image)), ..options(dir.path()) }).unwrap();
            let found = Model::read(&opened.store);
            let next = models.get(mark + 1).unwrap_or(&models[mark]);
            assert!(found == models[mark] || found == *next, "{} {fate:?} {mark}", crash.number);
            crashes += 1;
            close(opened);
        }
    });
    assert!(crashes > 200, "{crashes}");
}

#[test]
fn bytes_stay_while_somebody_needs_them() {
    let dir = scratch();
    let opened = Store::open(options(dir.path())).unwrap();
    let store = &opened.store;
    let deleted = |number: u8| store.write_blocking(move |txn| record::delete(txn, checksum(number)));
    let add = |number: u8| store.write_blocking(move |txn| record::uploaded(txn, content(number), "a.gcode"));
    // A printer's file has the same bytes.
    add(1).unwrap();
    store.write_blocking(|txn| downloaded(txn, 1, 0)).unwrap();
    let gone = deleted(1).unwrap();
    assert_eq!((gone.kept_for, gone.gone), (vec![KeptFor::File], None));
    assert!(matches!(deleted(1), Err(LibraryError::NotFound)));
    // A job that is not over prints the upload.
    let added = add(2).unwrap();
    let file = added.entry.sources[0].file_id;
    let running = store.write_blocking(move |txn| job(txn, file, JobStatus::Running)).unwrap();
    let gone = deleted(2).unwrap();
    assert_eq!((gone.kept_for, gone.gone), (vec![KeptFor::Job], None));
    // It is over: nobody needs them any more.
    store
        .write_blocking(move |txn| {
            let mut job = txn.job(running)?.unwrap();
            job.status = JobStatus::Completed;
            txn.put_job(&job)
        })
        .unwrap();
    let again = add(2).unwrap();
    assert!(!again.duplicate);
    let gone = deleted(2).unwrap();
    assert_eq!((gone.kept_for, gone.gone.as_deref()), (vec![], Some("gcode")));
    close(opened);
}

#[test]
fn what_may_go_goes_oldest_first() {
    let dir = scratch();
    let opened = Store::open(options(dir.path())).unwrap();
    let store = &opened.store;
    store
        .write_blocking(|txn| {
            for (number, kept_at) in [(1, 50), (2, 10), (3, 40), (4, 20), (5, 30), (6, 60)] {
                let id = downloaded(txn, number, kept_at)?;
                match number {
                    2 => drop(record::add_file(txn, id)),
                    3 => drop(job(txn, id, JobStatus::Paused)?),
                    4 => {
                        let mut file = txn.get::<FileRecord>(id)?.unwrap();
                        file.pinned = true;
                        txn.put(&file)?;
                    }
                    5 => drop(job(txn, id, JobStatus::Failed)?),
                    _ => {}
                }
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let order: Vec<u8> = store
        .read_blocking(|view| view.oldest_copies(10))
        .unwrap()
        .iter()
        .map(|(checksum, _)| checksum.0[0])
        .collect();
    assert_eq!(order, [2, 5, 3, 1, 6], "a pinned one is no candidate");
    assert_eq!(store.read_blocking(|view| view.oldest_copies(2)).unwrap().len(), 2);
    let went: Vec<u8> = order
        .into_iter()
        .filter(|number| {
            let number = *number;
            store.write_blocking(move |txn| record::retire(txn, checksum(number))).unwrap().is_some()
        })
        .collect();
    assert_eq!(went, [5, 1, 6], "not the library's, not that of a job that is not over");
    assert_eq!(store.read_blocking(|view| view.content_bytes()).unwrap(), 3 + 4 + 5);
    close(opened);
}

#[test]
fn five_thousand_entries_are_listed_a_page_at_a_time() {
    let dir = scratch();
    let opened = Store::open(options(dir.path())).unwrap();
    let store = &opened.store;
    for piece in 0..50_u64 {
        store
            .write_blocking(move |txn| {
                for number in piece * 100..piece * 100 + 100 {
                    let mut digest = [7; 32];
                    digest[..8].copy_from_slice(&number.to_be_bytes());
                    let content = Content { checksum: Checksum(digest), ..content(1) };
                    record::uploaded(txn, content, &format!("part {number}.gcode"))?;
                }
                Ok::<_, LibraryError>(())
            })
            .unwrap();
    }
    let filter = Filter { search: Some("part 49".into()), ..Filter::default() };
    let wanted = |entry: &LibraryEntry| filter.lets_through(entry);
    let page = store.read_blocking(|view| view.library_page(&wanted, false, 100, 50)).unwrap();
    assert_eq!((page.total, page.entries.len()), (111, 11));
    assert_eq!(page.entries[10].filename, "part 49.gcode");
    let page = store.read_blocking(|view| view.library_page(&|_| true, false, 10, 5_000)).unwrap();
    assert_eq!((page.total, page.entries.len()), (5_000, crate::store::LIBRARY_PAGE_MAX));
    assert_eq!(page.entries[0].filename, "part 4989.gcode");
    close(opened);
}

#[test]
fn a_file_with_many_names_stays_one_record() {
    let dir = scratch();
    let opened = Store::open(options(dir.path())).unwrap();
    let store = &opened.store;
    for number in 0..SOURCES_MAX + 3 {
        let name = format!("{number}.gcode");
        let added = store.write_blocking(move |txn| record::uploaded(txn, content(1), &name)).unwrap();
        assert_eq!(added.duplicate, number > 0);
    }
    let files = store.read_blocking(|view| view.count::<FileRecord>()).unwrap();
    assert_eq!(files, 1);
    close(opened);
}
