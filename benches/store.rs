//! What the store costs: bytes written a commit, latency, memory, time to open and to check. The figures of
//! `docs/storage.md` come from here: `cargo bench --bench store -- DIRECTORY [CACHE_KIB]`, with a directory on the
//! disk to measure.
#![expect(clippy::disallowed_methods, reason = "a measurement needs a finer clock than the product")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that fails may end")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use printernizer::base::clock::{Clock, Timestamp};
use printernizer::events::{Event, Flow, JobCreated, JobRef, JobStatusChanged, StatusUpdate};
use printernizer::model::status::{Filament, Nozzle, Observation, Print, PrinterState};
use printernizer::model::{ConnectionConfig, Job, JobId, JobStatus, Printer, PrinterId, PrinterType, Track};
use printernizer::store::{OpenedStore, Read as _, Store, StoreError, StoreOptions};

const ROUNDS: usize = 200;

fn options(dir: &Path) -> StoreOptions {
    let mut options = StoreOptions::new(dir, Clock::system(), Arc::new(drop));
    if let Some(cache_kib) = arguments().nth(1) {
        options.cache_bytes = cache_kib.parse::<usize>().unwrap() * 1024;
    }
    options
}

/// The arguments without those that cargo adds.
fn arguments() -> impl Iterator<Item = String> {
    env::args().skip(1).filter(|argument| !argument.starts_with("--"))
}

fn close(opened: OpenedStore) {
    smol::block_on(opened.thread.close(Duration::from_secs(60))).unwrap();
}

/// A field of a file below /proc/self, in its own unit.
fn own(file: &str, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn job(id: JobId, printer: u64, status: JobStatus) -> Job {
    Job {
        id,
        printer_id: PrinterId(printer),
        printer_name: format!("Printer number {printer}"),
        name: format!("Housing for the sensor, version {id}"),
        file: Some(format!("housing_sensor_{id}_PLA_0.4n_0.2mm_X1C_2h31m.gcode.3mf")),
        plate: Some(1),
        file_id: None,
        notes: None,
        material: Default::default(),
        status,
        auto: true,
        progress: Some(100),
        error: None,
        created_at: Timestamp(1_793_491_200_000),
        started_at: Some(Timestamp(1_793_491_200_000)),
        printing_at: Some(Timestamp(1_793_491_300_000)),
        ended_at: Some(Timestamp(1_793_499_300_000)),
        clock_synced: true,
        created_seq: 1,
    }
}

fn observation() -> Observation {
    Observation {
        print: Print {
            name: Some("housing_sensor_PLA_0.4n".into()),
            file: Some("x.3mf".into()),
            ..Print::default()
        },
        nozzles: vec![Nozzle { id: 0, current: Some(220.0), target: Some(220.0), active: true }],
        filaments: (0..4)
            .map(|slot| Filament {
                slot,
                material: Some("PLA".into()),
                color: Some("#FF8800".into()),
                remaining_percentage: Some(80),
                active: slot == 0,
                material_id: None,
            })
            .collect(),
        progress: Some(50),
        ..Observation::default()
    }
}

fn status_update(printer: u64) -> Event {
    let state = PrinterState { seen: observation(), ..PrinterState::default() };
    Event::PrinterStatusUpdate(Box::new(StatusUpdate::of(PrinterId(printer), &state, Some(0))))
}

/// Runs `work` and prints bytes and latency of each round.
fn measure(name: &str, rounds: usize, mut work: impl FnMut(usize)) {
    let mut times = Vec::with_capacity(rounds);
    let before = own("io", "write_bytes");
    for round in 0..rounds {
        let begin = Instant::now();
        work(round);
        times.push(begin.elapsed());
    }
    let bytes = (own("io", "write_bytes") - before) / rounds as u64;
    times.sort();
    let at = |share: usize| times[(rounds - 1) * share / 100];
    println!("{name:<58} {bytes:>9} B   median {:>9.2?}  p99 {:>9.2?}", at(50), at(99));
}

fn fill(store: &Store, jobs: u64, events: u64) {
    let mut written = 0;
    for round in 0..jobs.div_ceil(20) {
        let share = events * (round + 1) / jobs.div_ceil(20) - written;
        written += share;
        store
            .write_blocking(move |txn| {
                for number in 0..20 {
                    let id = txn.next_job_id();
                    txn.put_job(&job(id, number % 8, JobStatus::Completed))?;
                }
                for number in 0..share {
                    txn.emit(status_update(number % 8), None, None);
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }
    for number in 0..8 {
        let printer = Printer {
            id: PrinterId(number),
            name: format!("Printer number {number}"),
            kind: PrinterType::BambuLab,
            connection: ConnectionConfig { host: "192.0.2.7".into(), ..ConnectionConfig::default() },
            pin: Some([7; 32]),
            location: None,
            description: None,
            enabled: true,
            created_at: Timestamp(0),
        };
        store.write_blocking(move |txn| txn.put_printer(&printer)).unwrap();
    }
}

fn commits(store: &Store, state: &str) {
    measure(&format!("{state}: one event (0.2 KB)"), ROUNDS, |round| {
        let event = Event::JobStarted(JobRef::of(&job(JobId(round as u64), 1, JobStatus::Running)));
        store.write_blocking(move |txn| Ok::<_, StoreError>(txn.emit(event, None, None))).unwrap();
    });
    measure(&format!("{state}: one durable status update (1.3 KB)"), ROUNDS, |_| {
        store.write_blocking(|txn| Ok::<_, StoreError>(txn.emit(status_update(1), None, None))).unwrap();
    });
    measure(&format!("{state}: a job and its event"), ROUNDS, |_| {
        store
            .write_blocking(|txn| {
                let job = job(txn.next_job_id(), 1, JobStatus::Completed);
                txn.put_job(&job)?;
                Ok::<_, StoreError>(txn.emit(Event::JobStarted(JobRef::of(&job)), None, None))
            })
            .unwrap();
    });
    measure(&format!("{state}: a print starts (job, 4 events, index)"), ROUNDS, |_| {
        store
            .write_blocking(|txn| {
                let flow = Flow::new("print-j1");
                let job = job(txn.next_job_id(), 1, JobStatus::Running);
                let created = JobCreated {
                    job_id: job.id,
                    printer_id: job.printer_id,
                    job_name: job.name.clone(),
                    filename: job.file.clone(),
                    plate: job.plate,
                    auto: true,
                };
                let cause = txn.emit(Event::JobCreated(created), Some(&flow), None);
                let changed = JobStatusChanged {
                    job_id: job.id,
                    printer_id: job.printer_id,
                    old_status: JobStatus::Pending,
                    status: JobStatus::Running,
                };
                txn.emit(Event::JobStatusChanged(changed), Some(&flow), Some(cause));
                txn.emit(Event::JobStarted(JobRef::of(&job)), Some(&flow), Some(cause));
                txn.emit(status_update(1), Some(&flow), Some(cause));
                txn.put_job(&job)?;
                txn.put_job(&Job { status: JobStatus::Completed, ..job })
            })
            .unwrap();
    });
    measure(&format!("{state}: records of 8 printers, as every minute"), ROUNDS, |round| {
        store
            .write_blocking(move |txn| {
                (0..8).try_for_each(|number| {
                    txn.put_track(&Track {
                        progress: u8::try_from(round % 100).ok(),
                        job_id: Some(JobId(1)),
                        last_seen: Some(Timestamp(1_793_491_200_000)),
                        ..Track::new(PrinterId(number))
                    })
                })
            })
            .unwrap();
    });
    measure(&format!("{state}: 16 status updates queued at once"), ROUNDS / 4, |_| {
        smol::block_on(async {
            let mut queued = Vec::new();
            for number in 0..16 {
                let mut write = Box::pin(
                    store.write(move |txn| Ok::<_, StoreError>(txn.emit(status_update(number), None, None))),
                );
                assert!(smol::future::poll_once(&mut write).await.is_none());
                queued.push(write);
            }
            for write in queued {
                write.await.unwrap();
            }
        });
    });
}

/// Eight tasks that react to one another's commits: does keeping a group open for a moment pay?
fn windows(dir: &Path) {
    for window_ms in [0, 2, 5] {
        let dir = dir.join(format!("window-{window_ms}"));
        let mut options = options(&dir);
        options.group_window = Duration::from_millis(window_ms);
        let opened = Store::open(options).unwrap();
        fill(&opened.store, 200, 2_000);
        let before = (own("io", "write_bytes"), opened.store.stats());
        let writers: Vec<_> = (0..8)
            .map(|number| {
                let store = opened.store.clone();
                thread::spawn(move || {
                    let mut times = Vec::new();
                    for _ in 0..50 {
                        let begin = Instant::now();
                        let event = status_update(number);
                        store
                            .write_blocking(move |txn| Ok::<_, StoreError>(txn.emit(event, None, None)))
                            .unwrap();
                        times.push(begin.elapsed());
                        thread::sleep(Duration::from_millis(fastrand::u64(0..60)));
                    }
                    times
                })
            })
            .collect();
        let mut times: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        times.sort();
        let stats = opened.store.stats();
        let written = stats.commits - before.1.commits;
        let bytes = (own("io", "write_bytes") - before.0) / 400;
        println!(
            "window {window_ms} ms: 400 events in {written} commits, {bytes} B an event, median {:.2?}, p99 {:.2?}",
            times[times.len() / 2],
            times[times.len() * 99 / 100]
        );
        close(opened);
    }
}

fn main() {
    let dir = PathBuf::from(arguments().next().unwrap_or_else(|| "target/bench-store".to_owned()));
    let _ = fs::remove_dir_all(&dir);

    let small = dir.join("small");
    let opened = Store::open(options(&small)).unwrap();
    println!("RSS with an empty store: {} KB", own("status", "VmRSS"));
    commits(&opened.store, "empty");
    close(opened);

    let full = dir.join("full");
    let opened = Store::open(options(&full)).unwrap();
    fill(&opened.store, 1_000, 10_000);
    println!("RSS after writing 10 000 events and 1 000 jobs: {} KB", own("status", "VmRSS"));
    commits(&opened.store, "full");
    println!("file: {} KB", fs::metadata(full.join("printernizer.redb")).unwrap().len() / 1024);
    close(opened);

    // Opening, once after an orderly end and once after none.
    let many = dir.join("many");
    let opened = Store::open(options(&many)).unwrap();
    fill(&opened.store, 10_000, 10_000);
    let begin = Instant::now();
    let before = own("io", "write_bytes");
    let report = smol::block_on(opened.store.backup()).unwrap();
    println!(
        "backup of {} rows: {} KB, {} KB written, {:.2?}",
        report.rows,
        report.bytes / 1024,
        (own("io", "write_bytes") - before) / 1024,
        begin.elapsed()
    );
    for (name, offset) in [("first page", 0), ("last page", 9_950)] {
        let store = &opened.store;
        let begin = Instant::now();
        let page = store.read_blocking(|view| view.jobs_page(&Default::default(), offset, 50)).unwrap();
        println!("{name} of {} jobs: {:.2?}", page.1, begin.elapsed());
    }
    let filter = printernizer::store::JobFilter { printer_id: Some(PrinterId(3)), ..Default::default() };
    let begin = Instant::now();
    let page = opened.store.read_blocking(|view| view.jobs_page(&filter, 0, 50)).unwrap();
    println!("first page of {} jobs of one printer: {:.2?}", page.1, begin.elapsed());
    let begin = Instant::now();
    let count = opened.store.read_blocking(|view| view.active_or_pending_jobs(None)).unwrap().len();
    println!("{count} open jobs of 10 000: {:.2?}", begin.elapsed());
    close(opened);
    println!(
        "file with 10 000 jobs: {} KB",
        fs::metadata(many.join("printernizer.redb")).unwrap().len() / 1024
    );
    for clean in [true, false] {
        if !clean {
            fs::remove_file(many.join("run-state")).unwrap();
            fs::File::create(many.join("run-state")).unwrap();
        }
        let begin = Instant::now();
        let opened = Store::open(options(&many)).unwrap();
        println!("open, clean {clean}: {:.2?}, checked {}", begin.elapsed(), opened.report.integrity_checked);
        close(opened);
    }
    windows(&dir);
    let _ = fs::remove_dir_all(&dir);
}
