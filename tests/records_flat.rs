//! With 10 000 jobs, 10 000 bookings and 500 spools a list takes the memory of one page, whichever page it is.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that is surprised fails where it stands"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use printernizer::base::clock::{Clock, RELEASE_FLOOR, Timestamp};
use printernizer::model::{
    Consumption, ConsumptionId, Job, JobId, JobMaterial, JobStatus, Mass, Material, MaterialId, PrinterId,
    Share,
};
use printernizer::store::{
    JobFilter, OpenedStore, Read as _, ReadJobTotals as _, Store, StoreError, StoreOptions,
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One page of 50 and what reading it takes; the store's own cache is full by then.
const PAGE_BYTES_MAX: usize = 192 * 1024;

fn open(dir: &Path) -> OpenedStore {
    Store::open(StoreOptions::new(dir, Clock::manual(RELEASE_FLOOR), Arc::new(|_| {}))).unwrap()
}

fn job(number: u64) -> Job {
    let at = Timestamp(RELEASE_FLOOR.0 + i64::try_from(number).unwrap() * 3_600_000);
    Job {
        id: JobId(number),
        printer_id: PrinterId(number % 8 + 1),
        printer_name: "the printer in the cellar".into(),
        name: format!("a name as people give them, number {number}"),
        file: Some(format!("a_name_as_people_give_them_{number}.gcode.3mf")),
        plate: Some(1),
        file_id: None,
        status: if number.is_multiple_of(9) { JobStatus::Failed } else { JobStatus::Completed },
        auto: true,
        progress: Some(100),
        error: None,
        notes: None,
        material: JobMaterial { used: Some(Mass::from_grams(20)), ..JobMaterial::default() },
        created_at: at,
        started_at: Some(at),
        printing_at: Some(at),
        ended_at: Some(Timestamp(at.0 + 3_000_000)),
        clock_synced: true,
        created_seq: number,
    }
}

fn material(number: u64) -> Material {
    Material {
        id: MaterialId(number),
        material_type: "PLA".into(),
        brand: Some(format!("maker {}", number % 20)),
        color: Some("black".into()),
        color_hex: None,
        diameter_um: Some(1750),
        weight: Mass::from_grams(1000),
        remaining: Mass::from_grams(number),
        cost_per_kg: None,
        purchase_date: None,
        vendor: None,
        batch_number: None,
        notes: Some("x".repeat(300)),
        location: None,
        place: None,
        active: true,
        threshold: Share::LOW_STOCK,
        armed: true,
        created_at: RELEASE_FLOOR,
        updated_at: RELEASE_FLOOR,
    }
}

fn booking(number: u64) -> Consumption {
    Consumption {
        id: ConsumptionId(number),
        material_id: MaterialId(number % 500 + 1),
        material_name: "maker PLA black".into(),
        job_id: Some(JobId(number)),
        printer_id: Some(PrinterId(1)),
        slot: Some(0),
        used: Mass::from_grams(20),
        deducted: Mass::from_grams(20),
        cost: None,
        at: RELEASE_FLOOR,
        file_name: Some("a.3mf".into()),
        print_time_s: Some(3000),
        auto: true,
        undone_at: None,
    }
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
    for first in (1..=10_000_u64).step_by(500) {
        store
            .write_blocking(move |txn| {
                for number in first..first + 500 {
                    txn.put_job(&job(number))?;
                    txn.put(&booking(number))?;
                }
                if first == 1 {
                    (1..=500).try_for_each(|number| txn.put(&material(number)))?;
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }
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
