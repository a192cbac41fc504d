//! The promises of reading and writing, one by one.

use std::sync::atomic::{AtomicU64, Ordering};

use embedded_svc::storage::{RawStorage as _, StorageBase as _};

use super::*;
use crate::bus::{Bus, Journal as _, Received};
use crate::events::{Flow, ServiceStopping};
use crate::model::PrinterStatus;
use crate::model::status::{Plate, Print, PrintKind};

#[test]
fn a_fact_is_there_after_a_restart() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    assert!(opened.report.first_start && opened.report.previous_shutdown_clean);
    let store = opened.store.clone();
    let id = store
        .write_blocking(|txn| {
            let id = txn.next_printer_id();
            txn.put_printer(&printer(id))?;
            let cause = txn.emit(updated(JobId(1)), None, None);
            txn.emit(updated(JobId(2)), Some(&Flow::new("print-j2")), Some(cause));
            Ok::<_, StoreError>(id)
        })
        .unwrap();
    assert_eq!(id, PrinterId(1));
    assert_eq!((announced.seqs(), store.newest_seq()), (vec![1, 2], 2));
    close(opened).unwrap();
    assert_eq!(store.write_blocking(|_| Ok::<_, StoreError>(())), Err(StoreError::Closed));
    assert_eq!(store.read_blocking(|view| view.printers()), Err(StoreError::Closed));

    let (opened, again) = open(dir.path());
    assert!(opened.report.previous_shutdown_clean && !opened.report.integrity_checked);
    assert!(!opened.report.first_start && !opened.report.numbers_jumped);
    let store = &opened.store;
    assert_eq!(store.newest_seq(), 2);
    assert_eq!(store.read_blocking(|view| view.printers()), Ok(vec![printer(id)]));
    let page = store.read_blocking(|view| view.journal_after(0, 10)).unwrap();
    assert_eq!((page.oldest, page.newest, page.through), (1, 2, 2));
    assert_eq!(
        page.events.iter().map(|event| Arc::clone(&event.json)).collect::<Vec<_>>(),
        announced.jsons()
    );
    assert_eq!(store.read_blocking(|view| view.event_counts()), Ok(vec![("job_updated".into(), 2)]));
    assert_eq!(add_job(store, id, JobStatus::Pending).unwrap().1, 3);
    assert_eq!(again.seqs(), [3]);
    close(opened).unwrap();
}

#[test]
fn a_discarded_closure_leaves_nothing_not_even_a_number() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    let store = &opened.store;
    add_job(store, PrinterId(1), JobStatus::Running).unwrap();
    let error = store.write_blocking(|txn| {
        let id = txn.next_job_id();
        txn.put_job(&job(id, PrinterId(1), JobStatus::Running))?;
        txn.delete_job(JobId(1))?;
        txn.emit(updated(id), None, None);
        assert_eq!(txn.job(JobId(1))?, None);
        assert_eq!(txn.active_or_pending_jobs(None)?.len(), 1);
        Err::<(), _>(StoreError::Busy)
    });
    assert_eq!(error, Err(StoreError::Busy));
    let panicked = store.write_blocking(|txn| {
        txn.emit(updated(JobId(9)), None, None);
        txn.delete_job(JobId(1))?;
        assert!(txn.newest_seq() == 0, "this closure fails on purpose");
        Ok::<_, StoreError>(())
    });
    assert_eq!(panicked, Err(StoreError::Panicked));
    let (second, seq) = add_job(store, PrinterId(1), JobStatus::Running).unwrap();
    assert_eq!((second.id, seq, announced.seqs()), (JobId(2), 2, vec![1, 2]));
    let stats = store.stats();
    assert_eq!((stats.kept, stats.discarded, stats.panicked, stats.commits, stats.events), (2, 1, 1, 2, 2));
    close(opened).unwrap();
}

/// Holds the store's thread until the guard is dropped, so that what is queued meanwhile becomes one group.
pub(super) fn hold(store: &Store) -> impl Drop {
    struct Held(Option<smol::channel::Sender<()>>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.take();
        }
    }
    let (release, wait) = smol::channel::bounded::<()>(1);
    let (entered, ready) = smol::channel::bounded::<()>(1);
    let holder = store.clone();
    std::thread::spawn(move || {
        smol::block_on(holder.read(move |_| {
            entered.send_blocking(()).unwrap();
            let _ = wait.recv_blocking();
            Ok::<_, StoreError>(())
        }))
    });
    ready.recv_blocking().unwrap();
    Held(Some(release))
}

#[test]
fn a_group_shares_a_commit_and_its_bad_members_cost_the_others_nothing() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    let store = &opened.store;
    let held = hold(store);
    let mut answers = Vec::new();
    for number in 0..30_u64 {
        let mut answer = Box::pin(store.write(move |txn| {
            let id = txn.next_job_id();
            // What the closures before it left is seen, what the bad ones among them did is not.
            assert_eq!(id.0, number.div_ceil(3) + 1);
            txn.put_job(&job(id, PrinterId(number), JobStatus::Pending))?;
            let seq = txn.emit(updated(id), None, None);
            match number % 3 {
                0 => Ok((id, seq)),
                1 => Err(StoreError::Busy),
                _ => panic!("this closure fails on purpose"),
            }
        }));
        // Queued by its first poll.
        assert!(smol::block_on(smol::future::poll_once(&mut answer)).is_none());
        answers.push(answer);
    }
    drop(held);
    for (number, answer) in (0..).zip(answers) {
        let expected = match number % 3 {
            0 => Ok((JobId(number / 3 + 1), number / 3 + 1)),
            1 => Err(StoreError::Busy),
            _ => Err(StoreError::Panicked),
        };
        assert_eq!(smol::block_on(answer), expected, "{number}");
    }
    let stats = store.stats();
    assert_eq!((stats.commits, stats.group_max, stats.kept), (1, 30, 10));
    assert_eq!((stats.discarded, stats.panicked), (10, 10));
    assert_eq!(announced.seqs(), (1..=10).collect::<Vec<_>>());
    assert_eq!(store.read_blocking(|view| view.active_or_pending_jobs(None)).unwrap().len(), 10);
    close(opened).unwrap();
}

#[test]
fn nothing_changed_is_not_written() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    for _ in 0..3 {
        store.write_blocking(|txn| txn.put_printer(&printer(PrinterId(1)))).unwrap();
        store.write_blocking(|txn| txn.delete_job(JobId(4)).map(|there| assert!(!there))).unwrap();
        store.write_blocking(|_| Ok::<_, StoreError>(())).unwrap();
    }
    assert_eq!(store.stats().commits, 1);
    close(opened).unwrap();
}

#[test]
fn a_number_once_given_is_never_given_again() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    // Kept although nothing else was written with it.
    let id = opened.store.write_blocking(|txn| Ok::<_, StoreError>(txn.next_job_id())).unwrap();
    assert_eq!(id, JobId(1));
    let (job, _) = add_job(&opened.store, PrinterId(1), JobStatus::Completed).unwrap();
    opened.store.write_blocking(move |txn| txn.delete_job(job.id)).unwrap();
    close(opened).unwrap();
    let (opened, _) = open(dir.path());
    assert_eq!(add_job(&opened.store, PrinterId(1), JobStatus::Completed).unwrap().0.id, JobId(3));
    close(opened).unwrap();
}

#[test]
fn open_jobs_come_from_their_index() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    let statuses = [JobStatus::Pending, JobStatus::Running, JobStatus::Completed, JobStatus::Paused];
    for (number, status) in (0..40).zip(statuses.iter().cycle()) {
        add_job(store, PrinterId(number % 3), *status).unwrap();
    }
    let open = store.read_blocking(|view| view.active_or_pending_jobs(None)).unwrap();
    assert_eq!(open.len(), 30);
    assert!(open.iter().all(|job| !job.status.is_over()) && open.is_sorted_by_key(|job| job.id));
    let one = store.read_blocking(|view| view.active_or_pending_jobs(Some(PrinterId(1)))).unwrap();
    assert_eq!(one, open.iter().filter(|job| job.printer_id == PrinterId(1)).cloned().collect::<Vec<_>>());
    // An end takes a job out, a deletion as well, also within the same transaction.
    let (ended, deleted) = (open[0].id, open[1].id);
    let within = store
        .write_blocking(move |txn| {
            let mut job = txn.job(ended)?.unwrap();
            job.status = JobStatus::Unknown;
            txn.put_job(&job)?;
            txn.delete_job(deleted)?;
            txn.active_or_pending_jobs(None)
        })
        .unwrap();
    let after = store.read_blocking(|view| view.active_or_pending_jobs(None)).unwrap();
    assert_eq!(within, after);
    assert_eq!(after, open[2..]);
    close(opened).unwrap();
}

#[test]
fn pages_of_jobs_are_newest_first() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    let mut all = Vec::new();
    for number in 0..25 {
        let status = if number % 5 == 0 { JobStatus::Failed } else { JobStatus::Completed };
        all.push(add_job(store, PrinterId(number % 2), status).unwrap().0);
    }
    all.reverse();
    let page = |filter: JobFilter, offset, limit| {
        store.read_blocking(move |view| view.jobs_page(&filter, offset, limit)).unwrap()
    };
    let anything = JobFilter::default();
    assert_eq!(page(anything, 0, 10), (all[..10].to_vec(), 25));
    assert_eq!(page(anything, 20, 10), (all[20..].to_vec(), 25));
    assert_eq!(page(anything, 30, 10), (vec![], 25));
    assert_eq!(page(anything, 0, 0), (vec![], 25));
    let filter = JobFilter {
        printer_id: Some(PrinterId(1)),
        status: Some(JobStatus::Completed),
        from: Some(all[20].created_at),
        to: Some(all[3].created_at),
    };
    let expected: Vec<Job> = all[4..=20]
        .iter()
        .filter(|job| job.printer_id == PrinterId(1) && job.status == JobStatus::Completed)
        .cloned()
        .collect();
    assert_eq!(page(filter, 2, 3), (expected[2..5].to_vec(), expected.len() as u64));
    let oldest_first = store.read_blocking(|view| view.jobs_after(JobId(3), 4)).unwrap();
    assert_eq!(oldest_first.iter().map(|job| job.id.0).collect::<Vec<_>>(), [4, 5, 6, 7]);
    close(opened).unwrap();
}

#[test]
fn the_oldest_jobs_that_are_over_make_room() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    for number in 0..10 {
        let status = if number == 1 { JobStatus::Running } else { JobStatus::Completed };
        add_job(store, PrinterId(1), status).unwrap();
    }
    let trim = |keep, at_most| store.write_blocking(move |txn| txn.trim_jobs(keep, at_most)).unwrap();
    assert_eq!(trim(10, 5), []);
    assert_eq!(trim(7, 2), [JobId(1), JobId(3)]);
    assert_eq!(trim(7, 2), [JobId(4)]);
    assert_eq!(trim(0, 100).len(), 6);
    assert_eq!(store.read_blocking(|view| view.count::<Job>()), Ok(1));
    close(opened).unwrap();
}

#[test]
fn a_scan_sees_the_closures_own_changes_in_both_directions() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    for seed in 0..50 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut expected = store.read_blocking(|view| view.printers()).unwrap();
        let (keys, reversed, count) = store
            .write_blocking(move |txn| {
                for _ in 0..random.usize(0..12) {
                    let id = PrinterId(random.u64(1..20));
                    if random.bool() {
                        txn.put_printer(&printer(id))?;
                        if !expected.contains(&printer(id)) {
                            expected.push(printer(id));
                        }
                    } else {
                        txn.delete_printer(id)?;
                        expected.retain(|one| one.id != id);
                    }
                }
                expected.sort_by_key(|one| one.id);
                assert_eq!(txn.printers()?, expected);
                let mut keys = Vec::new();
                txn.raw_scan(Table::Printers, Span::all(), true, &mut |key, _| {
                    keys.push(PrinterId::from_bytes(key).unwrap());
                    std::ops::ControlFlow::Continue(())
                })?;
                let reversed = expected.iter().rev().map(|one| one.id).collect::<Vec<_>>();
                Ok::<_, StoreError>((keys, reversed, txn.count::<Printer>()? == expected.len() as u64))
            })
            .unwrap();
        assert_eq!(keys, reversed, "seed {seed}");
        assert!(count, "seed {seed}");
    }
    close(opened).unwrap();
}

#[test]
fn settings_fit_the_embedded_storage_trait() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    store
        .write_blocking(|txn| {
            let mut settings = txn.settings();
            assert!(!settings.set_raw("time_zone", b"Europe/Berlin")?);
            assert!(settings.set_raw("time_zone", b"UTC")?);
            assert!(!settings.set_raw("other", b"")?);
            assert!(settings.remove("other")? && !settings.remove("other")?);
            assert_eq!(settings.len("time_zone")?, Some(3));
            let mut buffer = [0; 8];
            assert_eq!(settings.get_raw("time_zone", &mut buffer)?, Some(&b"UTC"[..]));
            assert!(settings.get_raw("time_zone", &mut buffer[..2]).is_err());
            assert_eq!(settings.get_raw("other", &mut buffer)?, None);
            for bad in ["", "sixteen_letters_", "with blank", "ümlaut"] {
                assert!(settings.set_raw(bad, b"x").is_err(), "{bad}");
            }
            assert!(settings.set_raw("long", &[0; SETTING_BYTES_MAX + 1]).is_err());
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(store.read_blocking(|view| view.setting("time_zone")), Ok(Some(b"UTC".to_vec())));
    close(opened).unwrap();
}

#[test]
fn what_is_too_large_discards_its_closure() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    let store = &opened.store;
    let long = "x".repeat(EVENT_BYTES_MAX);
    let event = store.write_blocking(move |txn| {
        txn.put_printer(&printer(PrinterId(1)))?;
        txn.emit(Event::ServiceStopping(ServiceStopping { reason: long }), None, None);
        Ok::<_, StoreError>(())
    });
    assert!(matches!(event, Err(StoreError::TooLarge { .. })));
    let events = store.write_blocking(move |txn| {
        for _ in 0..=EVENTS_PER_CLOSURE_MAX {
            txn.emit(updated(JobId(1)), None, None);
        }
        Ok::<_, StoreError>(())
    });
    assert!(matches!(events, Err(StoreError::TooLarge { .. })));
    let record = store.write_blocking(move |txn| {
        txn.put_printer(&Printer { name: "x".repeat(RECORD_BYTES_MAX), ..printer(PrinterId(1)) })
    });
    assert!(matches!(record, Err(StoreError::TooLarge { .. })));
    let rows = store.write_blocking(|txn| {
        (0..=CHANGES_PER_CLOSURE_MAX as u64).try_for_each(|id| txn.put_printer(&printer(PrinterId(id))))
    });
    assert!(matches!(rows, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.read_blocking(|view| view.count::<Printer>()), Ok(0));
    assert!(announced.seqs().is_empty());
    close(opened).unwrap();
}

#[test]
fn what_is_remembered_of_a_printer_needs_no_event_and_goes_with_it() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    let track = Track {
        seen: PrinterStatus::Printing,
        print: Print { key: Some("task:7".into()), kind: Some(PrintKind::User), ..Print::default() },
        job_id: Some(JobId(2)),
        progress: Some(7),
        plate: Plate::Occupied,
        errors: vec!["0300-400C".into()],
        last_seen: Some(RELEASE_FLOOR),
        ..Track::new(PrinterId(4))
    };
    let written = track.clone();
    opened.store.write_blocking(move |txn| txn.put_track(&written)).unwrap();
    assert_eq!(opened.store.read_blocking(|view| view.track(PrinterId(4))), Ok(Some(track)));
    opened.store.write_blocking(|txn| txn.delete_printer(PrinterId(4))).unwrap();
    assert_eq!(opened.store.read_blocking(|view| view.track(PrinterId(4))), Ok(None));
    assert!(announced.seqs().is_empty());
    close(opened).unwrap();
}

#[test]
fn a_record_of_another_version_costs_only_itself() {
    let dir = scratch();
    let (opened, _) = open(dir.path());
    let store = &opened.store;
    for number in 1..=3 {
        store.write_blocking(move |txn| txn.put_printer(&printer(PrinterId(number)))).unwrap();
        add_job(store, PrinterId(number), JobStatus::Running).unwrap();
    }
    let foreign = [9, 1, 2, 3];
    store
        .write_blocking(move |txn| {
            txn.raw_put(Table::Printers, PrinterId(2).to_bytes(), foreign.to_vec());
            txn.raw_put(Table::Jobs, JobId(2).to_bytes(), foreign.to_vec());
            txn.raw_put(Table::Journal, 2_u64.to_bytes(), foreign.to_vec());
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let error =
        RecordError { table: "printers", key: "0000000000000002".into(), error: DecodeError::Version(9) };
    for _ in 0..3 {
        assert_eq!(
            store.read_blocking(|view| view.printer(PrinterId(2))),
            Err(StoreError::Record(error.clone()))
        );
        assert_eq!(store.read_blocking(|view| view.printers()).unwrap().len(), 2);
        assert_eq!(store.read_blocking(|view| view.active_or_pending_jobs(None)).unwrap().len(), 2);
        let filter = JobFilter { status: Some(JobStatus::Running), ..Default::default() };
        assert_eq!(store.read_blocking(|view| view.jobs_page(&filter, 0, 10)).unwrap().0.len(), 2);
        let page = store.read_blocking(|view| view.journal_after(0, 10)).unwrap();
        assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 3]);
    }
    assert_eq!(store.stats().damaged_records, 3);
    let kept = store.read_blocking(|view| view.raw_get(Table::Printers, &PrinterId(2).to_bytes())).unwrap();
    assert_eq!(kept, Some(foreign.to_vec()));
    close(opened).unwrap();
}

#[test]
fn the_journal_keeps_the_last_events_and_gives_their_bytes() {
    let dir = scratch();
    let announced = Announced::default();
    let opened = Store::open(StoreOptions { journal_max: 100, ..options(dir.path(), &announced) }).unwrap();
    let store = &opened.store;
    for _ in 0..50 {
        store
            .write_blocking(|txn| {
                for _ in 0..10 {
                    txn.emit(updated(JobId(1)), None, None);
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }
    let page = store.read_blocking(|view| view.journal_after(0, JOURNAL_PAGE_MAX)).unwrap();
    assert_eq!((page.newest, page.through), (500, 500));
    assert!(500 + 1 - page.oldest >= 100 && 500 + 1 - page.oldest <= 100 + JOURNAL_SLACK);
    let jsons = announced.jsons();
    for event in &page.events {
        assert_eq!(event.json, jsons[usize::try_from(event.seq).unwrap() - 1]);
    }
    let batch = smol::block_on(store.after(page.oldest, 7)).unwrap();
    assert_eq!((batch.items.len(), batch.through, batch.end), (7, page.oldest + 7, false));
    for (item, event) in batch.items.iter().zip(&page.events[1..]) {
        assert_eq!((item.seq, item.json()), (Some(event.seq), Arc::clone(&event.json)));
    }
    assert!(smol::block_on(store.after(498, 7)).unwrap().end);
    assert_eq!(store.read_blocking(|view| view.event_counts()), Ok(vec![("job_updated".into(), 500)]));
    close(opened).unwrap();
}

/// The names and rows that are not records. They are never changed either.
#[test]
fn names_and_small_rows_are_pinned() {
    let names: Vec<&str> = Table::ALL.iter().map(|table| table.name()).collect();
    assert_eq!(
        names,
        [
            "meta",
            "journal",
            "printers",
            "jobs",
            "tracks",
            "settings",
            "files",
            "contents",
            "figures",
            "fetches",
            "file_index",
            "materials",
            "consumptions",
            "library",
            "job_totals"
        ]
    );
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    add_job(&opened.store, PrinterId(7), JobStatus::Running).unwrap();
    let rows = |table| {
        let mut rows = Vec::new();
        let scan = opened.store.read_blocking(|view| {
            view.raw_scan(table, Span::all(), false, &mut |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                std::ops::ControlFlow::Continue(())
            })
        });
        scan.map(|()| rows).unwrap()
    };
    let number = |number: u64| number.to_be_bytes().to_vec();
    let expected = [
        (b"count/job_started".to_vec(), number(1)),
        (b"format".to_vec(), number(1)),
        (b"job_totals".to_vec(), b"\x01UTC".to_vec()),
        (b"last_job".to_vec(), number(1)),
        (b"last_printer".to_vec(), number(0)),
        (b"open_job/\0\0\0\0\0\0\0\x01".to_vec(), number(7)),
        (b"seq".to_vec(), number(1)),
    ];
    assert_eq!(rows(Table::Meta), expected);
    let event = [&[1], announced.jsons()[0].as_bytes()].concat();
    assert_eq!(rows(Table::Journal), [(number(1), event)]);
    close(opened).unwrap();
}

#[test]
fn concurrent_writers_get_rising_numbers_without_a_gap() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let store = opened.store.clone();
            std::thread::spawn(move || {
                let mut last = 0;
                for round in 0..40 {
                    let result = store.write_blocking(move |txn| {
                        let id = txn.next_job_id();
                        txn.put_job(&job(id, PrinterId(number), JobStatus::Completed))?;
                        let seq = txn.emit(updated(id), None, None);
                        if round % 7 == 3 { Err(StoreError::Busy) } else { Ok((id, seq)) }
                    });
                    if let Ok((id, seq)) = result {
                        assert!(seq > last && store.newest_seq() >= seq);
                        last = seq;
                        let found = store.read_blocking(move |view| view.job(id)).unwrap();
                        assert_eq!(found.unwrap().printer_id, PrinterId(number));
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let kept = 8 * (40 - 6);
    assert_eq!(announced.seqs(), (1..=kept).collect::<Vec<_>>());
    assert_eq!(opened.store.read_blocking(|view| view.count::<Job>()), Ok(kept));
    close(opened).unwrap();
}

#[test]
fn a_second_process_is_refused() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    let second = Store::open(options(dir.path(), &announced)).unwrap_err();
    assert_eq!(second, StoreError::AlreadyOpen(dir.path().to_owned()));
    // It did no harm.
    add_job(&opened.store, PrinterId(1), JobStatus::Pending).unwrap();
    close(opened).unwrap();
    close(open(dir.path()).0).unwrap();
}

#[test]
fn the_store_never_waits_for_a_subscriber() {
    let dir = scratch();
    let bus = Bus::<Envelope, 2>::new();
    let publisher = bus.clone();
    let mut options = options(dir.path(), &Announced::default());
    options.publish = Arc::new(move |event| publisher.publish(event));
    let opened = Store::open(options).unwrap();
    let store = opened.store.clone();
    let mut page = bus.subscribe_lossy("page").unwrap();
    let mut jobs = bus.subscribe_must("jobs", 0, store.clone()).unwrap();
    let mut late = bus.subscribe_must("downloads", 0, store.clone()).unwrap();
    // Everybody is stalled; 200 writes go through all the same.
    for _ in 0..200 {
        add_job(&store, PrinterId(1), JobStatus::Completed).unwrap();
    }
    smol::block_on(async {
        for seq in 1..=200 {
            assert_eq!(jobs.recv().await.unwrap().seq, Some(seq));
        }
        assert!(matches!(page.recv().await, Received::Missed(198)));
        for seq in 1..=200 {
            assert_eq!(late.recv().await.unwrap().seq, Some(seq));
        }
    });
    close(opened).unwrap();
}

#[test]
fn a_stalled_thread_is_seen() {
    let dir = scratch();
    let (release, wait) = smol::channel::bounded::<()>(1);
    let (entered, stalled) = smol::channel::bounded::<()>(1);
    let turns = AtomicU64::new(0);
    let mut options = options(dir.path(), &Announced::default());
    options.hooks.on_turn = Some(Arc::new(move || {
        if turns.fetch_add(1, Ordering::SeqCst) == 2 {
            entered.send_blocking(()).unwrap();
            let _ = wait.recv_blocking();
        }
    }));
    let opened = Store::open(options).unwrap();
    let store = &opened.store;
    smol::block_on(async {
        store.ping().await.unwrap();
        store.ping().await.unwrap();
        stalled.recv().await.unwrap();
        assert_eq!(store.heartbeat(), 3);
        let mut stuck = Box::pin(store.ping());
        assert!(smol::future::poll_once(&mut stuck).await.is_none());
        assert_eq!(store.heartbeat(), 3);
        release.send(()).await.unwrap();
        stuck.await.unwrap();
    });
    close(opened).unwrap();
}

#[test]
fn a_full_queue_is_an_answer() {
    let dir = scratch();
    let announced = Announced::default();
    let options = options(dir.path(), &announced);
    let clock = options.clock.clone();
    let opened = Store::open(options).unwrap();
    let store = &opened.store;
    let held = hold(store);
    let mut queued = Vec::new();
    for _ in 0..QUEUE_MAX {
        let mut write =
            Box::pin(store.write(|txn| Ok::<_, StoreError>(txn.emit(updated(JobId(1)), None, None))));
        assert!(smol::block_on(smol::future::poll_once(&mut write)).is_none());
        queued.push(write);
    }
    let mut refused = Box::pin(store.ping());
    assert!(smol::block_on(smol::future::poll_once(&mut refused)).is_none());
    clock.advance(QUEUE_WAIT);
    assert_eq!(smol::block_on(refused), Err(StoreError::Busy));
    assert_eq!(store.stats().busy, 1);
    assert_eq!(store.stats().queued, QUEUE_MAX as u64);
    drop(held);
    for write in queued {
        smol::block_on(write).unwrap();
    }
    assert_eq!(announced.seqs(), (1..=QUEUE_MAX as u64).collect::<Vec<_>>());
    assert_eq!(store.stats().group_max, GROUP_MAX as u64);
    close(opened).unwrap();
}

#[test]
fn what_is_queued_before_the_close_is_kept() {
    let dir = scratch();
    let (opened, announced) = open(dir.path());
    let store = opened.store.clone();
    let held = hold(&store);
    let mut before =
        Box::pin(store.write(|txn| Ok::<_, StoreError>(txn.emit(updated(JobId(1)), None, None))));
    assert!(smol::block_on(smol::future::poll_once(&mut before)).is_none());
    let mut closing = Box::pin(opened.thread.close(Duration::from_secs(5)));
    assert!(smol::block_on(smol::future::poll_once(&mut closing)).is_none());
    let mut after = Box::pin(store.write(|txn| Ok::<_, StoreError>(txn.emit(updated(JobId(2)), None, None))));
    assert!(smol::block_on(smol::future::poll_once(&mut after)).is_none());
    drop(held);
    assert_eq!(smol::block_on(closing), Ok(()));
    assert_eq!(smol::block_on(before), Ok(1));
    assert_eq!(smol::block_on(after), Err(StoreError::Closed));
    assert_eq!(announced.seqs(), [1]);
    assert!(open(dir.path()).0.report.previous_shutdown_clean);
}
