//! The plug is pulled at every sync of a whole print: from the spool and the first report over the download and what is read
//! out of the file to the booking of its filament.
//!
//! The print is a list of the very transactions that the service makes, each with what it has to have told and left behind.
//! The disk remembers every operation. Two passes: one that records, and one that crashes at each sync in three ways, opens
//! what is left, compares it with the plain list, and then goes on with the print to its end: nothing lost, nothing twice.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::record;
use super::worker::Arrived;
use crate::base::clock::{Clock, RELEASE_FLOOR};
use crate::events::{
    Envelope, Event, FileMetadataExtracted, FileThumbnailsProcessed, PrinterRef, ThumbnailSet,
    ThumbnailSource,
};
use crate::jobs::record::{Transition, apply, flow_of};
use crate::materials::booking::{self, Take};
use crate::materials::{Because, MaterialError, shelf};
use crate::model::file::{Outcome, Picture, Pictures, Work};
use crate::model::status::{Observation, Print, PrinterState, PrinterStatus};
use crate::model::{
    Checksum, ConnectionConfig, Consumption, Content, Fetch, FetchKind, FetchState, Figures, FileRecord, Job,
    JobId, JobStatus, Mass, Material, MaterialId, Printer, PrinterId, PrinterType, Share, Start,
};
use crate::store::tests::disk::{Disk, Fate, Operation, each_crash};
use crate::store::tests::scratch;
use crate::store::{OpenedStore, Read as _, ReadFiles as _, Store, StoreOptions, Txn};

const PRINTER: PrinterId = PrinterId(1);
const JOB: JobId = JobId(1);
/// Where the store keeps its lowest numbers.
const RUN_STATE: &str = "run-state";

/// What there is after a step, written down by hand.
#[derive(Clone, Debug, Default, PartialEq)]
struct Plain {
    /// The names of all events so far, status updates aside.
    events: Vec<String>,
    job: Option<JobStatus>,
    /// Whether the job names its file.
    job_has_file: bool,
    fetch: Option<FetchState>,
    attempts: u32,
    contents: usize,
    verified: Option<bool>,
    /// Whether thumbnails and metadata are stored and nothing is pending.
    figures: bool,
    spool_g: Option<u64>,
    bookings: usize,
}

/// One transaction of a print.
struct Step {
    run: fn(&mut Txn<'_>) -> Result<(), MaterialError>,
    /// What it adds to the plain list.
    adds: fn(&mut Plain),
    /// Whether it may be done once more after a restart: a printer's first report is what its last one was.
    again: bool,
}

fn told(plain: &mut Plain, names: &[&str]) {
    plain.events.extend(names.iter().map(|name| (*name).to_owned()));
}

fn shows(txn: &mut Txn<'_>, status: PrinterStatus, progress: Option<u8>) -> Result<(), MaterialError> {
    let print = if status == PrinterStatus::Idle {
        Print::default()
    } else {
        let name = Some("Würfel".to_owned());
        Print {
            key: Some("task-77".into()), name, file: Some("Würfel.gcode.3mf".into()), ..Print::default()
        }
    };
    let running = matches!(status, PrinterStatus::Printing | PrinterStatus::Paused);
    let seen = Observation { status, running, print, progress, ..Observation::default() };
    let state = PrinterState { status, seen, fresh: true, ..PrinterState::default() };
    // What comes after a restart is a first report; to be one more of the same is harmless.
    let transition =
        Transition { printer_id: PRINTER, printer_name: "P1S".into(), state, first: true, flow: None };
    apply(txn, &transition)?;
    Ok(())
}

fn fetch(txn: &Txn<'_>) -> Result<Fetch, MaterialError> {
    Ok(txn.fetch_of(JOB)?.expect("the fetch of the print was asked for in an earlier step"))
}

fn arrived() -> Arrived {
    let checksum = Checksum([7; 32]);
    let content = Content {
        checksum,
        size: 60_000,
        head: Checksum([8; 32]),
        plate_md5: vec![(1, [9; 16])],
        extension: "gcode.3mf".into(),
        verified: None,
        damage: None,
        kept_at: RELEASE_FLOOR,
    };
    Arrived {
        path: "/Würfel.gcode.3mf".as_bytes().to_vec(),
        name: "Würfel.gcode.3mf".into(),
        content,
        plate: Some(1),
        seconds: 1.5,
        deduplicated: false,
    }
}

fn enter(txn: &mut Txn<'_>) -> Result<(), MaterialError> {
    let printer = Printer {
        id: txn.next_printer_id(),
        name: "P1S".into(),
        kind: PrinterType::BambuLab,
        connection: ConnectionConfig { host: "192.0.2.7".into(), mqtt_port: 8883, ..Default::default() },
        pin: None,
        location: None,
        description: None,
        enabled: true,
        created_at: RELEASE_FLOOR,
    };
    txn.put_printer(&printer)?;
    txn.emit(Event::PrinterAdded(PrinterRef::of(&printer)), None, None);
    let spool = Material {
        id: MaterialId(0),
        material_type: "PLA".into(),
        brand: None,
        color: None,
        color_hex: None,
        diameter_um: Some(1750),
        weight: Mass::from_grams(1000),
        remaining: Mass::from_grams(220),
        cost_per_kg: None,
        purchase_date: None,
        vendor: None,
        batch_number: None,
        notes: None,
        location: None,
        place: None,
        active: true,
        threshold: Share::LOW_STOCK,
        armed: true,
        created_at: RELEASE_FLOOR,
        updated_at: RELEASE_FLOOR,
    };
    shelf::add(txn, spool, &Because::default())?;
    Ok(())
}

fn read_out(txn: &mut Txn<'_>) -> Result<(), MaterialError> {
    let Some(FetchState::Done(id)) = Some(fetch(txn)?.state) else { panic!("the file is here by now") };
    let mut file = txn.get::<FileRecord>(id)?.expect("a fetch that is done has its file");
    let content = file.content.expect("a fetched file has its content");
    let picture = Picture { width: 256, height: 256, bytes: 9_000 };
    let thumbnails = Pictures { medium: Some(picture), ..Pictures::default() };
    let metadata = r#"{"print_time_s":3600}"#.to_owned();
    let figures = Figures {
        content,
        plate: Some(1),
        found_plate: Some(1),
        thumbnails: Outcome::Done(thumbnails),
        metadata: Outcome::Done(metadata.clone()),
    };
    txn.put(&figures)?;
    let mut cause = None;
    for work in &mut file.work {
        (work.thumbnails, work.metadata) = (Work::Done, Work::Done);
        cause = work.cause;
    }
    txn.put(&file)?;
    let (flow, path) = (flow_of(JOB), "files/07".to_owned());
    let metadata = serde_json::from_str(&metadata).expect("it is written above");
    let read = FileMetadataExtracted { file_id: id, file_path: path.clone(), plate: Some(1), metadata };
    txn.emit(Event::FileMetadataExtracted(read), Some(&flow), cause);
    let thumbnails = ThumbnailSet { small: None, medium: None, large: None };
    let made = FileThumbnailsProcessed {
        file_id: id,
        file_path: path,
        plate: Some(1),
        thumbnails,
        source: ThumbnailSource::Embedded,
    };
    txn.emit(Event::FileThumbnailsProcessed(made), Some(&flow), cause);
    Ok(())
}

fn book(txn: &mut Txn<'_>) -> Result<(), MaterialError> {
    let take = Take {
        material_id: MaterialId(1),
        used: Mass::from_grams(30),
        job_id: Some(JOB),
        printer_id: Some(PRINTER),
        slot: Some(0),
        file_name: Some("Würfel.gcode.3mf".into()),
        print_time_s: Some(3600),
        auto: true,
    };
    booking::take(txn, take, &Because { flow: Some(flow_of(JOB)), cause: None })?;
    Ok(())
}

fn steps() -> Vec<Step> {
    use PrinterStatus as S;
    let step = |run, adds| Step { run, adds, again: false };
    let report = |run, adds| Step { run, adds, again: true };
    vec![
        step(enter, |plain| {
            told(plain, &["printer_added", "material_created"]);
            plain.spool_g = Some(220);
        }),
        report(|txn| shows(txn, S::Idle, None), |_| {}),
        report(
            |txn| shows(txn, S::Preparing, Some(0)),
            |plain| {
                told(plain, &["job_created", "job_status_changed"]);
                plain.job = Some(JobStatus::Preparing);
            },
        ),
        step(
            |txn| {
                let job = txn.job(JOB)?.expect("the job was made in an earlier step");
                let start = Start { title: Some("Würfel".into()), ..Start::default() };
                record::trigger(txn, &job, start, "Würfel.gcode.3mf".into(), None)?;
                Ok(())
            },
            |plain| {
                told(plain, &["auto_download_triggered"]);
                plain.fetch = Some(FetchState::Queued);
            },
        ),
        step(begin_round, |plain| round_began(plain, 1)),
        step(
            |txn| {
                let metadata = serde_json::json!({"print_time_s": 3600});
                record::previewed(txn, &fetch(txn)?, 1, Some(1), true, metadata)?;
                Ok(())
            },
            |plain| told(plain, &["file_preview_ready"]),
        ),
        step(
            |txn| {
                let mut fetch = fetch(txn)?;
                fetch.state = FetchState::Waiting;
                record::failed(txn, &mut fetch, FetchKind::Interrupted, "the connection broke", None)?;
                Ok(())
            },
            |plain| {
                told(plain, &["file_download_failed"]);
                plain.fetch = Some(FetchState::Waiting);
            },
        ),
        report(
            |txn| shows(txn, S::Printing, Some(1)),
            |plain| {
                told(plain, &["job_status_changed", "job_started"]);
                plain.job = Some(JobStatus::Running);
            },
        ),
        step(begin_round, |plain| round_began(plain, 2)),
        step(
            |txn| {
                record::completed(txn, &fetch(txn)?, &arrived(), 1)?;
                Ok(())
            },
            |plain| {
                told(plain, &["file_needs_thumbnail_processing", "file_download_complete"]);
                plain.fetch = Some(FetchState::Done(crate::model::FileId(1)));
                (plain.job_has_file, plain.contents) = (true, 1);
            },
        ),
        report(
            |txn| shows(txn, S::Paused, Some(40)),
            |plain| {
                told(plain, &["job_status_changed"]);
                plain.job = Some(JobStatus::Paused);
            },
        ),
        step(read_out, |plain| {
            told(plain, &["file_metadata_extracted", "file_thumbnails_processed"]);
            plain.figures = true;
        }),
        step(
            |txn| {
                let mut content = txn.get::<Content>(arrived().content.checksum)?.expect("it has come");
                content.verified = Some(true);
                Ok(txn.put(&content)?)
            },
            |plain| plain.verified = Some(true),
        ),
        report(
            |txn| shows(txn, S::Printing, Some(41)),
            |plain| {
                told(plain, &["job_status_changed"]);
                plain.job = Some(JobStatus::Running);
            },
        ),
        report(
            |txn| shows(txn, S::Finished, Some(100)),
            |plain| {
                told(plain, &["job_status_changed", "job_completed"]);
                plain.job = Some(JobStatus::Completed);
            },
        ),
        step(book, |plain| {
            told(plain, &["material_updated", "material_low_stock"]);
            (plain.spool_g, plain.bookings) = (Some(190), 1);
        }),
        report(|txn| shows(txn, S::Idle, None), |_| {}),
    ]
}

fn begin_round(txn: &mut Txn<'_>) -> Result<(), MaterialError> {
    record::started(txn, &fetch(txn)?, 0)?;
    Ok(())
}

fn round_began(plain: &mut Plain, attempts: u32) {
    told(plain, &["file_download_started"]);
    (plain.fetch, plain.attempts) = (Some(FetchState::Running), attempts);
}

/// What the store holds, in the same words.
fn held(store: &Store) -> Plain {
    let read = store.read_blocking(|view| {
        let page = view.journal_after(0, crate::store::JOURNAL_PAGE_MAX)?;
        let names = page.events.iter().map(|event| {
            let value: serde_json::Value = serde_json::from_str(&event.json).expect("events are JSON");
            value["event"].as_str().expect("events have names").to_owned()
        });
        let jobs = view.list::<Job>(10)?;
        let fetches = view.list::<Fetch>(10)?;
        assert!(jobs.len() <= 1 && fetches.len() <= 1, "one print: {jobs:?} {fetches:?}");
        let content = view.list::<Content>(10)?;
        let figures = view.list::<Figures>(10)?;
        let spools = view.list::<Material>(10)?;
        Ok::<_, crate::store::StoreError>(Plain {
            events: names.filter(|name| name != "printer_status_update").collect(),
            job: jobs.first().map(|job| job.status),
            job_has_file: jobs.first().is_some_and(|job| job.file_id.is_some()),
            fetch: fetches.first().map(|fetch| fetch.state.clone()),
            attempts: fetches.first().map_or(0, |fetch| fetch.attempts),
            contents: content.len(),
            verified: content.first().and_then(|content| content.verified),
            figures: !figures.is_empty() && view.files_with_work()?.is_empty(),
            spool_g: spools.first().map(|spool| spool.remaining.micrograms() / 1_000_000),
            bookings: view.list::<Consumption>(10)?.len(),
        })
    });
    read.expect("what was opened can be read")
}

type Told = Arc<Mutex<Vec<u64>>>;

/// Opens a disk; answers the seqs that are announced from then on, too.
fn open(dir: &tempfile::TempDir, disk: &Disk) -> Result<(OpenedStore, Told), crate::store::StoreError> {
    let told = Told::default();
    let telling = Arc::clone(&told);
    let publish = Arc::new(move |event: Arc<Envelope>| telling.lock().unwrap().extend(event.seq));
    let options = StoreOptions {
        backend: Some(Box::new(disk.clone())),
        ..StoreOptions::new(dir.path(), Clock::manual(RELEASE_FLOOR), publish)
    };
    Ok((Store::open(options)?, told))
}

fn do_step(store: &Store, step: &Step) {
    let run = step.run;
    store.write_blocking(run).expect("a good disk takes every step");
}

/// The states of the plain list: before the first step, and after each.
fn expected(steps: &[Step]) -> Vec<Plain> {
    let mut list = vec![Plain::default()];
    for step in steps {
        let mut plain = list[list.len() - 1].clone();
        (step.adds)(&mut plain);
        list.push(plain);
    }
    list
}

/// Does the whole print on a good disk. Mark `n` in the log means that `n` steps were acknowledged; beside it is what the
/// store had put aside outside of its file by then.
fn record(steps: &[Step], plain: &[Plain]) -> (Vec<Operation>, Vec<Vec<u8>>) {
    let (dir, disk) = (scratch(), Disk::new(Vec::new()));
    let (opened, _) = open(&dir, &disk).unwrap();
    let floor = || std::fs::read(dir.path().join(RUN_STATE)).unwrap();
    let mut floors = vec![floor()];
    disk.mark(0);
    for (number, step) in steps.iter().enumerate() {
        do_step(&opened.store, step);
        assert_eq!(held(&opened.store), plain[number + 1], "after step {number}");
        floors.push(floor());
        disk.mark(number + 1);
    }
    smol::block_on(opened.thread.close(Duration::from_secs(5))).unwrap();
    (disk.log(), floors)
}

#[test]
fn a_crash_at_any_sync_of_a_whole_print_loses_nothing_and_repeats_nothing() {
    let steps = steps();
    let plain = expected(&steps);
    let (log, floors) = record(&steps, &plain);
    let mut random = fastrand::Rng::with_seed(11);
    let (mut crashes, mut ahead) = (0, 0);
    each_crash(&log, |crash| {
        // Before the first mark the file is being made; `store::tests` sees to that.
        let Some(acknowledged) = crash.mark else { return };
        for fate in [Fate::Lost, Fate::Written, Fate::Mixed, Fate::Mixed] {
            let at = format!("sync {}, {acknowledged} steps acknowledged, {fate:?}", crash.number);
            let dir = scratch();
            crate::base::file::write_atomic(&dir.path().join(RUN_STATE), &floors[acknowledged]).unwrap();
            let disk = Disk::new(crash.image(fate, &mut random));
            let (opened, announced) = open(&dir, &disk).unwrap_or_else(|error| panic!("{at}: {error}"));
            crashes += 1;
            // The step in flight is there as a whole or not at all, and nothing is announced again.
            let found = held(&opened.store);
            let mut done = acknowledged;
            if found != plain[done] {
                done += 1;
                assert_eq!(Some(&found), plain.get(done), "{at}");
                ahead += 1;
            }
            assert!(announced.lock().unwrap().is_empty(), "{at}");
            // The printer's first report repeats its last one; then the print goes on to its end.
            if let Some(report) = steps[..done].iter().rfind(|step| step.again) {
                do_step(&opened.store, report);
                assert_eq!(held(&opened.store), plain[done], "{at}: after the first report");
            }
            for (number, step) in steps.iter().enumerate().skip(done) {
                do_step(&opened.store, step);
                assert_eq!(held(&opened.store), plain[number + 1], "{at}: then step {number}");
            }
            let seqs = announced.lock().unwrap().clone();
            assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{at}: {seqs:?}");
            smol::block_on(opened.thread.close(Duration::from_secs(5))).unwrap();
        }
    });
    println!("{crashes} crashes, {ahead} with the step in flight");
    assert!(crashes >= 3 * steps.len() && ahead > steps.len() / 2, "{crashes} crashes, {ahead} ahead");
}
