//! The sums of jobs are always what a walk over all jobs would give.

use std::collections::BTreeMap;

use super::*;
use crate::base::zone::Zone;
use crate::model::{JobMaterial, Mass};

const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/Los_Angeles"];

fn open_in(dir: &Path, zone: &str) -> OpenedStore {
    let options = StoreOptions { zone: zone.parse().unwrap(), ..options(dir, &Announced::default()) };
    Store::open(options).unwrap()
}

/// Jobs, seconds and grams by printer (0: all) and day.
type Sums = BTreeMap<(u64, Option<i32>), [u64; 6]>;

fn walk(jobs: &BTreeMap<JobId, Job>, zone: &Zone) -> Sums {
    let mut sums = Sums::new();
    for job in jobs.values().filter(|job| job.status.is_over()) {
        let day = job.ended_at.filter(|_| job.clock_synced).map(|at| zone.day(at));
        for printer in [0, job.printer_id.0] {
            for day in [None].into_iter().chain(day.map(Some)) {
                let sum = sums.entry((printer, day)).or_default();
                let place = match job.status {
                    JobStatus::Completed => 0,
                    JobStatus::Failed => 1,
                    JobStatus::Cancelled => 2,
                    _ => 3,
                };
                sum[place] += 1;
                sum[4] += job.duration_s().unwrap_or(0);
                sum[5] += job.material.used.map_or(0, Mass::micrograms);
            }
        }
    }
    sums
}

fn plain(totals: JobTotals) -> [u64; 6] {
    let JobTotals { completed, failed, cancelled, unknown, seconds, .. } = totals;
    [completed, failed, cancelled, unknown, seconds, totals.used().micrograms()]
}

fn read(store: &Store) -> Sums {
    store
        .read_blocking(|view| {
            let mut sums = Sums::new();
            let mut take = |printer: Option<PrinterId>| {
                let number = printer.map_or(0, |id| id.0);
                let totals = plain(view.job_totals(printer)?);
                if totals != [0; 6] {
                    sums.insert((number, None), totals);
                }
                for (day, totals) in view.job_days(printer, i32::MIN)? {
                    sums.insert((number, Some(day)), plain(totals));
                }
                Ok::<_, StoreError>(())
            };
            take(None)?;
            for (printer, totals) in view.job_printers()? {
                take(Some(printer))?;
                assert_eq!(view.job_totals(Some(printer))?, totals);
            }
            Ok::<_, StoreError>(sums)
        })
        .unwrap()
}

fn random_job(id: JobId, random: &mut fastrand::Rng) -> Job {
    use JobStatus as S;
    let all = [S::Pending, S::Running, S::Completed, S::Completed, S::Failed, S::Cancelled, S::Unknown];
    let status = all[random.usize(0..all.len())];
    let start = RELEASE_FLOOR.0 + random.i64(0..20 * 86_400_000);
    let used = (random.u8(0..3) > 0).then(|| Mass::from_micrograms(random.u64(0..1_000_000_000)));
    Job {
        started_at: Some(Timestamp(start)),
        ended_at: status.is_over().then(|| Timestamp(start + random.i64(0..90_000_000))),
        clock_synced: random.u8(0..5) > 0,
        material: JobMaterial { used, ..JobMaterial::default() },
        ..job(id, PrinterId(random.u64(1..4)), status)
    }
}

#[test]
fn they_are_what_a_walk_over_all_jobs_gives() {
    let mut random = fastrand::Rng::with_seed(5);
    let dir = scratch();
    let mut jobs: BTreeMap<JobId, Job> = BTreeMap::new();
    let mut zone = ZONES[0];
    let mut opened = open_in(dir.path(), zone);
    for number in 1..=600_u64 {
        let known: Vec<JobId> = jobs.keys().copied().collect();
        match (random.u8(0..10), random.choice(known)) {
            (0 | 1, Some(gone)) => {
                jobs.remove(&gone);
                opened.store.write_blocking(move |txn| txn.delete_job(gone)).unwrap();
            }
            (2..=4, Some(changed)) => {
                let job = random_job(changed, &mut random);
                jobs.insert(changed, job.clone());
                opened.store.write_blocking(move |txn| txn.put_job(&job)).unwrap();
            }
            _ => {
                let job = random_job(JobId(number), &mut random);
                jobs.insert(job.id, job.clone());
                opened.store.write_blocking(move |txn| txn.put_job(&job)).unwrap();
            }
        }
        // A closure that is discarded counts nothing.
        let job = random_job(JobId(9_999), &mut random);
        let discarded = opened.store.write_blocking(move |txn| {
            txn.put_job(&job)?;
            Err::<(), _>(StoreError::Busy)
        });
        assert_eq!(discarded, Err(StoreError::Busy));
        if number % 60 == 0 {
            close(opened).unwrap();
            zone = ZONES[random.usize(0..3)];
            opened = open_in(dir.path(), zone);
        }
        if number % 20 == 0 {
            assert_eq!(read(&opened.store), walk(&jobs, &zone.parse().unwrap()), "{number} {zone}");
        }
    }
    // Nothing is left behind.
    for id in jobs.into_keys() {
        opened.store.write_blocking(move |txn| txn.delete_job(id)).unwrap();
    }
    let rows = opened.store.read_blocking(|view| view.raw_len(Table::JobTotals));
    assert_eq!(rows, Ok(0));
    close(opened).unwrap();
}

#[test]
fn they_are_made_anew_where_they_are_missing() {
    let dir = scratch();
    let opened = open_in(dir.path(), "UTC");
    let job = Job {
        status: JobStatus::Completed,
        ended_at: Some(RELEASE_FLOOR),
        ..random_job(JobId(1), &mut fastrand::Rng::with_seed(1))
    };
    let expected = walk(&BTreeMap::from([(job.id, job.clone())]), &Zone::default());
    opened.store.write_blocking(move |txn| txn.put_job(&job)).unwrap();
    // As a file of an earlier version has it.
    opened
        .store
        .write_blocking(|txn| {
            let mut rows = Vec::new();
            txn.raw_scan(Table::JobTotals, Span::all(), false, &mut |row, _| {
                rows.push(crate::store::tables::key(row));
                std::ops::ControlFlow::Continue(())
            })?;
            for row in rows {
                txn.raw_delete(Table::JobTotals, row);
            }
            txn.raw_delete(Table::Meta, crate::store::tables::key(b"job_totals"));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(read(&opened.store), Sums::new());
    close(opened).unwrap();
    let opened = open_in(dir.path(), "UTC");
    assert_eq!(read(&opened.store), expected);
    close(opened).unwrap();
}
