//! With 10 000 jobs, 10 000 bookings, 5 000 files and 500 spools a list takes the memory of one page, whichever page it is.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that is surprised fails where it stands"
)]

#[path = "support/full.rs"]
mod full;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use printernizer::base::clock::{Clock, RELEASE_FLOOR};
use printernizer::model::{Consumption, JobStatus, Material};
use printernizer::store::{
    FileFilter, FileOrder, JobFilter, OpenedStore, Read as _, ReadJobTotals as _, Store, StoreError,
    StoreOptions,
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One page of 50 and what reading it takes; the store's own cache is full by then.
const PAGE_BYTES_MAX: usize = 192 * 1024;
/// The last page of all files by name: the names before it are held while it is looked for.
const SORTED_BYTES_MAX: usize = 1024 * 1024;

fn open(dir: &Path) -> OpenedStore {
    Store::open(StoreOptions::new(dir, Clock::manual(RELEASE_FLOOR), Arc::new(|_| {}))).unwrap()
}

/// What `work` needs at its worst beyond what was there before.
fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let answer = work();
    (MEMORY.peak_usage().saturating_sub(before), answer)
}

#[test]
fn a_list_takes_the_memory_of_its_page() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let store = &opened.store;
    full::fill(store);
    let failed = JobFilter { status: Some(JobStatus::Failed), ..JobFilter::default() };
    let all = JobFilter::default();
    for round in 0..2 {
        for (what, filter, offset, rows) in [
            ("first page", all, 0, 50),
            ("last page", all, 9_950, 50),
            ("failed ones", failed, 0, 50),
            ("last failed ones", failed, 1_100, 11),
        ] {
            let (bytes, (jobs, _)) =
                peak(|| store.read_blocking(|view| view.jobs_page(&filter, offset, 50)).unwrap());
            assert_eq!(jobs.len(), rows, "{what}");
            // The first round fills the store's cache.
            assert!(round == 0 || bytes < PAGE_BYTES_MAX, "{what}: {bytes} bytes");
        }
        let orders = [(FileOrder::Created, PAGE_BYTES_MAX), (FileOrder::Name, SORTED_BYTES_MAX)];
        for (order, most) in orders {
            let filter = FileFilter::default();
            let (bytes, (files, total)) = peak(|| {
                store.read_blocking(|view| view.files_page(&filter, order, true, 4_950, 50)).unwrap()
            });
            assert_eq!((files.len(), total), (50, full::FILES), "{order:?}");
            assert!(round == 0 || bytes < most, "{order:?}: {bytes} bytes");
        }
        for offset in [0, 450] {
            let (bytes, (materials, total)) = peak(|| {
                store.read_blocking(|view| view.page::<Material>(false, offset, 50, &|_| true)).unwrap()
            });
            assert_eq!((materials.len(), total), (50, 500));
            assert!(round == 0 || bytes < PAGE_BYTES_MAX, "spools from {offset}: {bytes} bytes");
        }
        for offset in [0, 9_950] {
            let (bytes, (bookings, total)) = peak(|| {
                store.read_blocking(|view| view.page::<Consumption>(true, offset, 50, &|_| true)).unwrap()
            });
            assert_eq!((bookings.len(), total), (50, 10_000));
            assert!(round == 0 || bytes < PAGE_BYTES_MAX, "bookings from {offset}: {bytes} bytes");
        }
        let (bytes, (totals, days)) = peak(|| {
            store
                .read_blocking(|view| {
                    Ok::<_, StoreError>((view.job_totals(None)?, view.job_days(None, i32::MIN)?))
                })
                .unwrap()
        });
        assert_eq!((totals.jobs(), days.len()), (10_000, 400), "more days are there than are read");
        assert!(round == 0 || bytes < PAGE_BYTES_MAX, "statistics: {bytes} bytes");
    }
    smol::block_on(opened.thread.close(Duration::from_secs(10))).unwrap();
}
