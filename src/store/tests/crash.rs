//! The plug is pulled at every sync of a whole workload; the file fails at every operation.

use std::fs;

use super::disk::{Disk, Fate, each_crash};
use super::model::{Model, Step};
use super::*;
use crate::bus::Bus;

/// So few that the workload prunes.
const KEPT: u64 = 40;

fn options_on(dir: &Path, disk: &Disk, announced: &Announced) -> StoreOptions {
    StoreOptions { backend: Some(Box::new(disk.clone())), journal_max: KEPT, ..options(dir, announced) }
}

fn floor(dir: &Path) -> Vec<u8> {
    fs::read(dir.join(run_state::FILE)).unwrap()
}

/// Opens what a crash has left, in a directory whose `run-state` is that of the moment.
fn reopen(
    image: Vec<u8>,
    floor: Option<&[u8]>,
) -> Result<(OpenedStore, tempfile::TempDir, Announced), StoreError> {
    let dir = scratch();
    if let Some(floor) = floor {
        crate::base::file::write_atomic(&dir.path().join(run_state::FILE), floor).unwrap();
    }
    let announced = Announced::default();
    let opened = Store::open(options_on(dir.path(), &Disk::new(image), &announced))?;
    Ok((opened, dir, announced))
}

/// Runs `steps` as one group.
fn run_group(store: &Store, steps: Vec<Step>) {
    let held = basics::hold(store);
    let mut queued = Vec::new();
    for step in steps {
        let keep = step.keep;
        let mut write = Box::pin(store.write(move |txn| step.run(txn)));
        assert!(smol::block_on(smol::future::poll_once(&mut write)).is_none());
        queued.push((write, keep));
    }
    drop(held);
    for (write, keep) in queued {
        assert_eq!(smol::block_on(write).is_ok(), keep);
    }
}

/// The workload: what the disk saw, the model after each acknowledged group, and `run-state` at that time. Mark `n` in the
/// log means: `models[n]` is acknowledged.
struct Recorded {
    log: Vec<disk::Operation>,
    models: Vec<Model>,
    floors: Vec<Vec<u8>>,
}

fn record(groups: usize, seed: u64) -> Recorded {
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = scratch();
    let disk = Disk::new(Vec::new());
    let announced = Announced::default();
    let opened = Store::open(options_on(dir.path(), &disk, &announced)).unwrap();
    let store = &opened.store;
    let now = Clock::manual(RELEASE_FLOOR).now();
    let (mut models, mut floors) = (vec![Model::default()], vec![floor(dir.path())]);
    disk.mark(0);
    for group in 1..=groups {
        let mut model = models[group - 1].clone();
        let mut steps = Vec::new();
        for _ in 0..if random.u8(0..5) == 0 { random.usize(2..6) } else { 1 } {
            let step = model.next_step(&mut random);
            model.apply(&step, now);
            steps.push(step);
        }
        run_group(store, steps);
        if group % 40 == 0 {
            assert!(smol::block_on(store.backup()).unwrap().written);
        }
        assert_eq!(announced.jsons(), model.events);
        models.push(model);
        floors.push(floor(dir.path()));
        disk.mark(group);
    }
    models[groups].compare(store, KEPT).unwrap();
    assert!(models[groups].events.len() as u64 > KEPT + JOURNAL_SLACK, "the workload must prune");
    close(opened).unwrap();
    Recorded { log: disk.log(), models, floors }
}

#[test]
fn a_crash_at_any_sync_leaves_every_acknowledged_fact_whole() {
    let recorded = record(300, 1);
    let mut random = fastrand::Rng::with_seed(2);
    let (mut crashes, mut ahead) = (0, 0);
    each_crash(&recorded.log, |crash| {
        for fate in [Fate::Lost, Fate::Written, Fate::Mixed] {
            let at = || format!("crash at sync {} after group {:?}, {fate:?}", crash.number, crash.mark);
            let image = crash.image(fate, &mut random);
            let Some(acknowledged) = crash.mark else {
                // The file is being made: it is either usable and empty or found to be damaged.
                if let Ok((opened, ..)) = reopen(image, None) {
                    Model::default()
                        .compare(&opened.store, KEPT)
                        .unwrap_or_else(|error| panic!("{}: {error}", at()));
                }
                continue;
            };
            crashes += 1;
            let (opened, _dir, announced) = reopen(image, Some(&recorded.floors[acknowledged]))
                .unwrap_or_else(|error| panic!("{}: {error}", at()));
            assert!(!opened.report.numbers_jumped && !opened.report.previous_shutdown_clean, "{}", at());
            let store = &opened.store;
            // The group in flight is there as a whole or not at all.
            if let Err(without) = recorded.models[acknowledged].compare(store, KEPT) {
                let next = recorded.models.get(acknowledged + 1);
                let with = next.map(|next| next.compare(store, KEPT));
                assert_eq!(with, Some(Ok(())), "{}: {without}", at());
                ahead += 1;
            }
            // Nothing is announced again, and the numbers go on.
            assert!(announced.seqs().is_empty(), "{}", at());
            let seq = store.newest_seq();
            assert_eq!(add_job(store, PrinterId(1), JobStatus::Running).unwrap().1, seq + 1, "{}", at());
        }
    });
    assert!(crashes > 800 && ahead > 200, "{crashes} crashes, {ahead} with the group in flight");
}

#[test]
fn a_file_that_fails_at_any_operation_loses_nothing_acknowledged() {
    let mut random = fastrand::Rng::with_seed(3);
    let now = Clock::manual(RELEASE_FLOOR).now();
    let mut steps = Vec::new();
    let mut models = vec![Model::default()];
    for number in 0..25 {
        let mut model = models[number].clone();
        let step = model.next_step(&mut random);
        model.apply(&step, now);
        steps.push(step);
        models.push(model);
    }
    let (mut good, mut finished) = (0, false);
    while !finished {
        // Once the card is gone for good, once it comes back after the first error: neither may be trusted again.
        for bad in [1, u64::MAX] {
            let dir = scratch();
            let disk = Disk::failing(good, bad);
            let announced = Announced::default();
            let Ok(opened) = Store::open(options_on(dir.path(), &disk, &announced)) else {
                assert!(disk.changing() > good);
                continue;
            };
            let before = floor(dir.path());
            let store = &opened.store;
            let mut acknowledged = 0;
            let mut failed = false;
            for step in steps.clone() {
                let keep = step.keep;
                match store.write_blocking(move |txn| step.run(txn)) {
                    Err(StoreError::Failed(_)) => {
                        failed = true;
                        break;
                    }
                    answer => assert_eq!(answer.is_ok(), keep),
                }
                acknowledged += 1;
            }
            // Nothing was announced that was not committed.
            assert_eq!(announced.jsons(), models[acknowledged].events, "{good}");
            let closed;
            if failed {
                assert!(store.failure().get().is_some());
                let later =
                    store.write_blocking(|txn| Ok::<_, StoreError>(txn.emit(updated(JobId(1)), None, None)));
                assert!(matches!(later, Err(StoreError::Failed(_))), "{good}");
                assert!(matches!(store.read_blocking(|view| view.printers()), Err(StoreError::Failed(_))));
                assert_eq!(announced.jsons(), models[acknowledged].events, "{good}");
                let error = close(opened).unwrap_err();
                assert!(matches!(error, StoreError::Failed(_)), "{good}");
                closed = false;
            } else {
                closed = close(opened).is_ok();
                finished = closed && disk.changing() <= good;
            }
            let floor = if closed { floor(dir.path()) } else { before };
            let (opened, _dir, _) = reopen(disk.bytes(), Some(&floor)).unwrap();
            if let Err(without) = models[acknowledged].compare(&opened.store, KEPT) {
                let with = models.get(acknowledged + 1).map(|next| next.compare(&opened.store, KEPT));
                assert_eq!(with, Some(Ok(())), "{good}: {without}");
            }
        }
        good += 1;
    }
    assert!(good > 200, "{good} operations");
}

#[test]
fn an_event_committed_but_not_announced_comes_once_after_the_restart() {
    let dir = scratch();
    let disk = Disk::new(Vec::new());
    let announced = Announced::default();
    let images = Arc::new(Mutex::new(Vec::new()));
    let mut options = options_on(dir.path(), &disk, &announced);
    let (seen, told) = (Arc::clone(&images), announced.clone());
    options.hooks.on_committed = Some(Arc::new(move |seq| {
        seen.lock().unwrap().push((seq, told.seqs().len(), disk.bytes()));
    }));
    let opened = Store::open(options).unwrap();
    for _ in 0..5 {
        add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
    }
    close(opened).unwrap();
    for (seq, told, image) in images.lock().unwrap().iter() {
        assert_eq!(*told as u64, seq - 1, "the hook runs before the announcement");
        let dir = scratch();
        crate::base::file::write_atomic(
            &dir.path().join(run_state::FILE),
            b"running seq=0 job=0 printer=0\n",
        )
        .unwrap();
        let bus = Bus::<Envelope, 2>::new();
        let publisher = bus.clone();
        let mut options = options_on(dir.path(), &Disk::new(image.clone()), &Announced::default());
        options.publish = Arc::new(move |event| publisher.publish(event));
        let opened = Store::open(options).unwrap();
        // The subscriber had handled what was announced to it, and goes on from there.
        let mut must = bus.subscribe_must("jobs", seq - 1, opened.store.clone()).unwrap();
        smol::block_on(async {
            assert_eq!(must.recv().await.unwrap().seq, Some(*seq));
            assert!(smol::future::poll_once(must.recv()).await.is_none() || must.cursor() == *seq);
        });
        let (_, next) = add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
        assert_eq!(next, seq + 1);
        assert_eq!(smol::block_on(must.recv()).unwrap().seq, Some(next));
        close(opened).unwrap();
    }
}
