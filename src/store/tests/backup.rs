//! The daily copy, and what happens when the file is damaged, old or gone.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::bus::{Bus, MustError};

/// A directory with some records and a copy of them, then some more records.
struct Prepared {
    dir: tempfile::TempDir,
    /// Jobs at the time of the copy, and in the end.
    copied: Vec<Job>,
    all: Vec<Job>,
    seq: u64,
}

fn jobs(store: &Store) -> Vec<Job> {
    store.read_blocking(|view| view.list(10_000)).unwrap()
}

fn main_file(dir: &Path) -> PathBuf {
    dir.join("printernizer.redb")
}

fn prepare(with_backup: bool) -> Prepared {
    prepare_with(60, with_backup)
}

fn prepare_with(count: usize, with_backup: bool) -> Prepared {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    store.write_blocking(|txn| txn.put_printer(&printer(PrinterId(1)))).unwrap();
    let filled = store.write_blocking(move |txn| {
        (0..count).try_for_each(|_| {
            let new = job(txn.next_job_id(), PrinterId(1), JobStatus::Running);
            txn.emit(updated(new.id), None, None);
            txn.put_job(&new)
        })
    });
    filled.unwrap();
    let copied = jobs(store);
    if with_backup {
        let report = smol::block_on(store.backup()).unwrap();
        assert!(report.written && report.rows > 60 && report.bytes > 0);
    }
    for _ in 0..5 {
        add_job(store, PrinterId(1), JobStatus::Running).unwrap();
    }
    let (all, seq) = (jobs(store), store.newest_seq());
    close(opened).unwrap();
    Prepared { dir, copied, all, seq }
}

impl Prepared {
    fn damage(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(main_file(self.dir.path())).unwrap();
        change(&mut bytes);
        crate::base::file::write_atomic(&main_file(self.dir.path()), &bytes).unwrap();
    }

    fn unclean(&self) {
        fs::remove_file(self.dir.path().join(run_state::FILE)).unwrap();
        let text = format!("running seq={} job=0 printer=0\n", self.seq);
        crate::base::file::write_atomic(&self.dir.path().join(run_state::FILE), text.as_bytes()).unwrap();
    }

    /// Opens and expects the copy in the place of the damaged file.
    fn expect_restored(&self) {
        let (opened, _) = open(self.dir.path());
        let (store, report) = (&opened.store, &opened.report);
        assert!(report.restored_from_backup && report.numbers_jumped && !report.started_empty);
        assert!(report.damage.is_some());
        assert_eq!(jobs(store), self.copied);
        assert_eq!(store.read_blocking(|view| view.active_or_pending_jobs(None)).unwrap(), self.copied);
        assert_eq!(store.read_blocking(|view| view.printers()).unwrap().len(), 1);
        // Numbers that may have been announced are never given again, and nobody takes the hole for a whole.
        let seq = self.seq + SEQ_JUMP;
        assert_eq!(store.newest_seq(), seq);
        let page = store.read_blocking(|view| view.journal_after(self.seq, 10)).unwrap();
        assert_eq!((page.events.len(), page.oldest, page.newest), (0, seq + 1, seq));
        let (job, next) = add_job(store, PrinterId(1), JobStatus::Running).unwrap();
        assert_eq!(next, seq + 1);
        assert!(job.id.0 > self.all.last().unwrap().id.0 + JOB_JUMP / 2);
        let bus = Bus::<Envelope, 2>::new();
        let mut must = bus.subscribe_must("jobs", self.seq, store.clone()).unwrap();
        smol::block_on(async {
            let gap = MustError::Gap { after: self.seq, resumes_at: seq + 1 };
            assert_eq!(must.recv().await.unwrap_err(), gap);
            assert_eq!(must.recv().await.unwrap().seq, Some(seq + 1));
        });
        close(opened).unwrap();
        // From then on it is an ordinary file.
        let (opened, _) = open(self.dir.path());
        assert_eq!(opened.report, OpenReport { previous_shutdown_clean: true, ..OpenReport::default() });
        assert_eq!(opened.store.newest_seq(), seq + 1);
        close(opened).unwrap();
    }
}

#[test]
fn a_truncated_file_is_replaced_by_the_copy() {
    for part in [0, 1, 300, 4096, 20_000, 60_000] {
        let prepared = prepare(true);
        prepared.damage(|bytes| bytes.truncate(part));
        prepared.expect_restored();
        let kept = prepared.dir.path().join("printernizer.redb.damaged-1");
        assert_eq!(kept.exists(), part > 0, "{part}");
    }
}

#[test]
fn an_overwritten_file_is_replaced_by_the_copy() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.fill(0),
        |bytes| bytes[..64].fill(0xff),
        |bytes| *bytes = b"this is no database at all".to_vec(),
        |bytes| bytes[4096..].fill(0x5a),
    ];
    for damage in damages {
        let prepared = prepare(true);
        prepared.damage(damage);
        prepared.expect_restored();
        let prepared = prepare(true);
        prepared.damage(damage);
        prepared.unclean();
        prepared.expect_restored();
    }
}

#[test]
fn a_missing_file_is_replaced_by_the_copy() {
    let prepared = prepare(true);
    fs::remove_file(main_file(prepared.dir.path())).unwrap();
    prepared.expect_restored();
}

#[test]
fn numbers_jump_with_a_copy_also_when_nothing_else_is_known() {
    let prepared = prepare(true);
    fs::remove_file(prepared.dir.path().join(run_state::FILE)).unwrap();
    prepared.damage(|bytes| bytes.truncate(5000));
    let (opened, _) = open(prepared.dir.path());
    assert!(opened.report.restored_from_backup && opened.report.numbers_jumped);
    assert_eq!(opened.store.newest_seq(), prepared.copied.len() as u64 + SEQ_JUMP);
    let (job, _) = add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
    assert_eq!(job.id.0, prepared.copied.len() as u64 + JOB_JUMP + 1);
    close(opened).unwrap();
}

/// After an unclean end every page is checked: a stray overwritten one is either free, and then nothing is lost, or found.
#[test]
fn a_stray_damaged_page_is_never_believed() {
    let prepared = prepare(true);
    let bytes = fs::read(main_file(prepared.dir.path())).unwrap();
    let backup = fs::read(prepared.dir.path().join("backup/records.redb")).unwrap();
    let mut restored = 0;
    let pages = bytes.len() / 4096;
    for page in 0..pages {
        let dir = scratch();
        fs::create_dir(dir.path().join("backup")).unwrap();
        let mut damaged = bytes.clone();
        damaged[page * 4096 + 8..page * 4096 + 700].iter_mut().for_each(|byte| *byte ^= 0x21);
        let floor = format!("running seq={} job=0 printer=0\n", prepared.seq);
        for (name, content) in [
            ("printernizer.redb", damaged.as_slice()),
            ("backup/records.redb", backup.as_slice()),
            (run_state::FILE, floor.as_bytes()),
        ] {
            crate::base::file::write_atomic(&dir.path().join(name), content).unwrap();
        }
        let (opened, _) = open(dir.path());
        let found = jobs(&opened.store);
        if opened.report.restored_from_backup {
            assert_eq!(found, prepared.copied, "page {page}");
            restored += 1;
        } else if opened.report.numbers_jumped {
            // redb went back to the commit before the newest one, and the store has noticed it.
            assert!(
                prepared.all.starts_with(&found) && opened.store.newest_seq() > prepared.seq,
                "page {page}"
            );
        } else {
            assert_eq!(
                (found, opened.store.newest_seq()),
                (prepared.all.clone(), prepared.seq),
                "page {page}"
            );
        }
        close(opened).unwrap();
    }
    assert!(restored >= 5, "{restored} of {pages}");
}

/// A file that was closed in order is not checked at the start. A page that redb stumbles over later fails the store, and
/// the start after that checks every page.
#[test]
fn a_page_damaged_behind_our_back_ends_in_a_restart_that_restores() {
    let prepared = prepare_with(250, true);
    let bytes = fs::read(main_file(prepared.dir.path())).unwrap();
    let (mut failed, mut restored) = (0, 0);
    for page in 1..bytes.len() / 4096 {
        prepared.damage(|damaged| {
            damaged.clone_from(&bytes);
            damaged[page * 4096..(page + 1) * 4096].fill(0xa5);
        });
        let floor = format!("clean seq={} job=255 printer=1\n", prepared.seq);
        crate::base::file::write_atomic(&prepared.dir.path().join(run_state::FILE), floor.as_bytes())
            .unwrap();
        let (opened, _) = open(prepared.dir.path());
        let restored_at_once = opened.report.restored_from_backup;
        restored += usize::from(restored_at_once);
        let store = &opened.store;
        let read = store.read_blocking(|view| {
            Ok::<_, StoreError>((view.list::<Job>(1000)?, view.journal_after(0, 1000)?))
        });
        let written = add_job(store, PrinterId(1), JobStatus::Running);
        let ended = close(opened);
        if matches!(read, Err(StoreError::Failed(_))) || matches!(written, Err(StoreError::Failed(_))) {
            assert!(matches!(ended, Err(StoreError::Failed(_))), "page {page}");
            failed += 1;
            let (opened, _) = open(prepared.dir.path());
            assert!(!opened.report.previous_shutdown_clean && opened.report.integrity_checked, "page {page}");
            assert!(opened.report.restored_from_backup || opened.report.numbers_jumped, "page {page}");
            assert!(prepared.all.starts_with(&jobs(&opened.store)), "page {page}");
            add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
            close(opened).unwrap();
        }
    }
    // With its own debug assertions redb walks all pages when it opens; without them most are met later.
    assert!(failed + restored >= 8, "{failed} failed, {restored} restored at once");
}

#[test]
fn without_a_copy_the_records_begin_anew_and_say_so() {
    let prepared = prepare(false);
    prepared.damage(|bytes| bytes.truncate(5000));
    let (opened, _) = open(prepared.dir.path());
    let report = &opened.report;
    assert!(report.started_empty && report.numbers_jumped && !report.restored_from_backup);
    assert!(!report.first_start && report.damaged_file.as_ref().is_some_and(|file| file.exists()));
    assert_eq!(jobs(&opened.store), []);
    assert_eq!(opened.store.newest_seq(), prepared.seq + SEQ_JUMP);
    close(opened).unwrap();
}

#[test]
fn the_copy_before_the_last_one_is_the_last_resort() {
    let prepared = prepare(true);
    let (opened, _) = open(prepared.dir.path());
    smol::block_on(opened.store.backup()).unwrap();
    close(opened).unwrap();
    crate::base::file::write_atomic(&prepared.dir.path().join("backup/records.redb"), &[7; 9000]).unwrap();
    prepared.damage(|bytes| bytes.fill(0));
    prepared.expect_restored();
}

#[test]
fn two_damaged_files_are_kept() {
    let prepared = prepare(true);
    for round in 1..=4_u8 {
        prepared.damage(|bytes| *bytes = vec![round; 5000]);
        close(open(prepared.dir.path()).0).unwrap();
    }
    let kept = |number| fs::read(prepared.dir.path().join(format!("printernizer.redb.damaged-{number}")));
    assert_eq!((kept(1).unwrap()[0], kept(2).unwrap()[0]), (4, 3));
    assert!(kept(3).is_err());
}

/// A card that forgot its newest writes without breaking anything: an older state of the same file.
#[test]
fn a_file_older_than_its_run_state_does_not_repeat_numbers() {
    let prepared = prepare(false);
    let older = fs::read(main_file(prepared.dir.path())).unwrap();
    let (opened, _) = open(prepared.dir.path());
    add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
    close(opened).unwrap();
    crate::base::file::write_atomic(&main_file(prepared.dir.path()), &older).unwrap();
    let (opened, _) = open(prepared.dir.path());
    assert!(opened.report.numbers_jumped && !opened.report.restored_from_backup);
    assert_eq!(jobs(&opened.store), prepared.all);
    assert_eq!(opened.store.newest_seq(), prepared.seq + 1 + SEQ_JUMP);
    let page = opened.store.read_blocking(|view| view.journal_after(0, 10)).unwrap();
    assert_eq!((page.events.len(), page.oldest), (0, page.newest + 1));
    close(opened).unwrap();
}

#[test]
fn a_copy_is_made_only_when_something_changed() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    let backup = |store: &Store| smol::block_on(store.backup()).unwrap().written;
    assert!(backup(store));
    assert!(!backup(store));
    add_job(store, PrinterId(1), JobStatus::Running).unwrap();
    assert!(backup(store) && !backup(store));
    // A record without an event counts, what is remembered of a printer does not.
    store.write_blocking(|txn| txn.put_printer(&printer(PrinterId(1)))).unwrap();
    assert!(backup(store));
    store.write_blocking(|txn| txn.put_track(&Track::new(PrinterId(1)))).unwrap();
    assert!(!backup(store));
    assert_eq!(store.stats().backups, 3);
    close(opened).unwrap();
    // Also after a restart.
    let (opened, _) = open(dir.path());
    assert!(!backup(&opened.store));
    add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
    assert!(backup(&opened.store));
    close(opened).unwrap();
}

#[test]
fn writes_go_on_while_a_copy_is_made_and_it_is_of_one_moment() {
    let dir = scratch();
    let turns = Arc::new(Mutex::new(None::<smol::channel::Receiver<()>>));
    let mut options = options(dir.path(), &Announced::default());
    let held = Arc::clone(&turns);
    options.hooks.on_turn = Some(Arc::new(move || {
        let gate = held.lock().unwrap().clone();
        if let Some(gate) = gate {
            let _ = gate.recv_blocking();
        }
    }));
    let opened = Store::open(options).unwrap();
    let store = opened.store.clone();
    for _ in 0..10 {
        store
            .write_blocking(|txn| {
                (0..100).try_for_each(|_| {
                    let id = txn.next_job_id();
                    txn.put_job(&job(id, PrinterId(1), JobStatus::Completed))
                })
            })
            .unwrap();
    }
    let before = jobs(&store);
    // Every turn of the thread needs a ticket from here on, so that the copy is known to be in the middle.
    let (ticket, gate) = smol::channel::bounded(1);
    *turns.lock().unwrap() = Some(gate);
    let mut copy = Box::pin(store.backup());
    assert!(smol::block_on(smol::future::poll_once(&mut copy)).is_none());
    for _ in 0..4 {
        ticket.send_blocking(()).unwrap();
    }
    let mut write = Box::pin(store.write(|txn| txn.delete_job(JobId(1000))));
    assert!(smol::block_on(smol::future::poll_once(&mut write)).is_none());
    assert!(smol::block_on(smol::future::poll_once(&mut copy)).is_none());
    ticket.send_blocking(()).unwrap();
    ticket.send_blocking(()).unwrap();
    assert_eq!(smol::block_on(write), Ok(true));
    assert!(
        smol::block_on(smol::future::poll_once(&mut copy)).is_none(),
        "the write did not wait for the copy"
    );
    drop(ticket);
    let report = smol::block_on(copy).unwrap();
    assert!(report.written && report.rows > 1000);
    assert_eq!(jobs(&store), before[..999]);
    close(opened).unwrap();
    // What the copy holds is the state at its beginning.
    fs::remove_file(main_file(dir.path())).unwrap();
    let (opened, _) = open(dir.path());
    assert_eq!(jobs(&opened.store), before);
    close(opened).unwrap();
}

#[test]
fn a_half_copy_is_no_copy() {
    let prepared = prepare(true);
    let leftover = prepared.dir.path().join("backup/records.redb.new");
    crate::base::file::write_atomic(&leftover, &[9; 10_000]).unwrap();
    let (opened, _) = open(prepared.dir.path());
    assert!(smol::block_on(opened.store.backup()).unwrap().written);
    assert!(!leftover.exists());
    // A copy that the shutdown interrupts leaves the last whole one.
    add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
    let held = basics::hold(&opened.store);
    let store = opened.store.clone();
    let mut copy = Box::pin(store.backup());
    assert!(smol::block_on(smol::future::poll_once(&mut copy)).is_none());
    let mut closing = Box::pin(opened.thread.close(Duration::from_secs(5)));
    assert!(smol::block_on(smol::future::poll_once(&mut closing)).is_none());
    drop(held);
    smol::block_on(closing).unwrap();
    assert_eq!(smol::block_on(copy), Err(StoreError::Closed));
    assert!(!leftover.exists() && prepared.dir.path().join("backup/records.redb").exists());
}

#[test]
fn a_copy_that_cannot_be_written_costs_only_itself() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    fs::remove_dir(dir.path().join("backup")).unwrap();
    add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
    assert!(matches!(smol::block_on(opened.store.backup()), Err(StoreError::Backup(_))));
    add_job(&opened.store, PrinterId(1), JobStatus::Running).unwrap();
    fs::create_dir(dir.path().join("backup")).unwrap();
    assert!(smol::block_on(opened.store.backup()).unwrap().written);
    close(opened).unwrap();
}

#[test]
fn a_newer_format_is_left_alone() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    opened
        .store
        .write_blocking(|txn| {
            txn.raw_put(Table::Meta, tables::key(b"format"), 2_u64.to_bytes().to_vec());
            Ok::<_, StoreError>(())
        })
        .unwrap();
    close(opened).unwrap();
    for _ in 0..2 {
        assert_eq!(Store::open(options(dir.path(), &announced)).unwrap_err(), StoreError::NewerFormat(2));
    }
    assert!(!dir.path().join("printernizer.redb.damaged-1").exists());
}

#[test]
fn codes_and_keys_are_for_the_service_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let prepared = prepare(true);
    for name in ["printernizer.redb", "backup/records.redb"] {
        let mode = fs::metadata(prepared.dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    prepared.damage(|bytes| bytes.fill(0));
    close(open(prepared.dir.path()).0).unwrap();
    let mode = fs::metadata(main_file(prepared.dir.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
