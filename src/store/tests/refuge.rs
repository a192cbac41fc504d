//! What the card refuses is kept, read back, and brought onto it later.

use std::io;
use std::sync::Mutex;

use redb::StorageBackend;

use super::disk::Disk;
use super::*;
use crate::store::refuge::{self, Refuge, RefusalCell, Renew};

/// Longer than the time between two attempts.
const LATER: Duration = Duration::from_secs(61);

/// Where the newest file is, and how often writing it anew still fails.
type Newest = Arc<Mutex<(Disk, u32)>>;

/// Writes the content onto a new disk.
fn renew(newest: &Newest) -> Renew {
    let newest = Arc::clone(newest);
    Box::new(move |len, read| {
        let mut newest = newest.lock().unwrap();
        if newest.1 > 0 {
            newest.1 -= 1;
            return Err(io::Error::other("still no room"));
        }
        let mut bytes = Vec::new();
        refuge::copy(len, read, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        newest.0 = Disk::new(bytes);
        Ok(Box::new(newest.0.clone()))
    })
}

fn before(disk: Disk, still_full: u32, clock: &Clock) -> (Refuge, Newest, RefusalCell) {
    let newest = Arc::new(Mutex::new((disk.clone(), still_full)));
    let cell = RefusalCell::new(None);
    (Refuge::new(Box::new(disk), renew(&newest), clock.clone(), cell.clone()), newest, cell)
}

/// Does random work on a card that fails somewhere; every byte is the model's at every moment.
fn work(seed: u64) {
    let random = &mut fastrand::Rng::with_seed(seed);
    let clock = Clock::manual(RELEASE_FLOOR);
    let (good, bad) = (random.u64(..40), random.u64(1..6));
    let (refuge, newest, cell) = before(Disk::failing(good, bad), random.u32(..3), &clock);
    let mut model: Vec<u8> = Vec::new();
    for _ in 0..120 {
        match random.u8(..10) {
            0 => {
                let len = random.usize(..40_000);
                refuge.set_len(len as u64).unwrap();
                model.resize(len, 0);
            }
            1 | 2 => refuge.sync_data().unwrap(),
            3 => clock.advance(Duration::from_secs(random.u64(..40))),
            _ if !model.is_empty() => {
                let from = random.usize(..model.len());
                let count = random.usize(..=(model.len() - from).min(9_000));
                let bytes: Vec<u8> = (0..count).map(|_| random.u8(..)).collect();
                refuge.write(from as u64, &bytes).unwrap();
                model[from..from + count].copy_from_slice(&bytes);
            }
            _ => {}
        }
        assert_eq!(refuge.len().unwrap(), model.len() as u64);
        let from = random.usize(..=model.len());
        let mut read = vec![0; random.usize(..=model.len() - from)];
        refuge.read(from as u64, &mut read).unwrap();
        assert!(read == model[from..from + read.len()], "seed {seed}");
    }
    // The card is well again: by the fourth attempt everything is on it.
    for _ in 0..4 {
        clock.advance(LATER);
        refuge.sync_data().unwrap();
    }
    assert_eq!(*cell.get(), None, "seed {seed}");
    assert!(newest.lock().unwrap().0.bytes() == model, "seed {seed}");
}

#[test]
fn what_is_read_is_what_was_written_whatever_the_card_refuses() {
    for seed in 0..300 {
        work(seed);
    }
}

#[test]
fn too_much_is_refused_and_what_was_held_stays() {
    let clock = Clock::manual(RELEASE_FLOOR);
    let (refuge, _, cell) = before(Disk::failing(0, u64::MAX), u32::MAX, &clock);
    let piece = vec![7; 1024 * 1024];
    for at in 0..16 {
        refuge.write(at * piece.len() as u64, &piece).unwrap();
    }
    assert!(refuge.write(16 * piece.len() as u64, &piece).is_err());
    let mut read = vec![0; piece.len()];
    refuge.read(15 * piece.len() as u64, &mut read).unwrap();
    assert!(read == piece && cell.get().is_some());
    assert!(refuge.close().is_err(), "what is lost at the end is told");
}

#[test]
fn a_refused_sync_after_more_than_is_remembered_goes_through() {
    let clock = Clock::manual(RELEASE_FLOOR);
    let (refuge, _, cell) = before(Disk::failing(1, u64::MAX), 0, &clock);
    refuge.write(0, &vec![7; 1024 * 1024]).unwrap();
    assert!(refuge.sync_data().is_err() && cell.get().is_none());
}

/// Records and announces on a card that takes nothing after a while, and a power cut then.
#[test]
fn the_store_goes_on_and_nothing_is_lost_when_the_card_is_well_again() {
    // Enough to open it; then one operation after another is the first that fails.
    for good in 60..100 {
        let dir = scratch();
        let announced = Announced::default();
        let clock = Clock::manual(RELEASE_FLOOR);
        let disk = Disk::failing(good, u64::MAX);
        let (refuge, newest, cell) = before(disk.clone(), 1, &clock);
        let options = StoreOptions {
            backend: Some(Box::new(refuge)),
            ..StoreOptions::new(dir.path(), clock.clone(), announced.publish())
        };
        let opened = Store::open(options).unwrap();
        let add = |number: u32| {
            let job = job(JobId(number.into()), PrinterId(1), JobStatus::Running);
            opened.store.write_blocking(move |txn| {
                txn.put_job(&job)?;
                txn.emit(Event::JobUpdated(JobOnly { job_id: job.id }), None, None);
                Ok::<(), StoreError>(())
            })
        };
        for number in 1..=30 {
            add(number).unwrap();
        }
        assert!(cell.get().is_some(), "{good}: the card has refused something");
        assert_eq!(announced.seqs(), (1..=30).collect::<Vec<_>>());
        let there = |store: &Store| store.read_blocking(|view| view.job(JobId(30))).unwrap().is_some();
        assert!(there(&opened.store));

        // A power cut now: the card has an older state, and it is whole.
        let left = StoreOptions {
            backend: Some(Box::new(Disk::new(disk.bytes()))),
            ..options_of(dir.path(), &clock)
        };
        let after_cut = Store::open(left).unwrap();
        assert!(!there(&after_cut.store));
        close(after_cut).unwrap();

        for number in 31..=34 {
            clock.advance(LATER);
            add(number).unwrap();
        }
        assert_eq!(*cell.get(), None);
        close(opened).unwrap();
        let bytes = newest.lock().unwrap().0.bytes();
        let again =
            StoreOptions { backend: Some(Box::new(Disk::new(bytes))), ..options_of(dir.path(), &clock) };
        let again = Store::open(again).unwrap();
        let seq = again.store.newest_seq();
        assert!(there(&again.store) && seq == 34, "{good}: {seq}");
        close(again).unwrap();
    }
}

fn options_of(dir: &Path, clock: &Clock) -> StoreOptions {
    StoreOptions::new(dir, clock.clone(), Announced::default().publish())
}
