//! The fault matrix: every fault of both families' simulated printers, in every phase of a connection, a print and a
//! transfer. For each: the right event with the right kind, everything goes on by itself when the fault ends, two healthy
//! printers notice nothing, no task panics or is started again, and what the process holds is what it held before.
//!
//! The table is printed at the end and written to `target/tmp/matrix.md`. `PRINTERNIZER_MATRIX` runs only the rows whose
//! name contains its text; `PRINTERNIZER_MATRIX_THREADS` sets how many run side by side.

#![allow(dead_code, missing_docs, reason = "helpers are shared with other programs")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

#[path = "../support/client.rs"]
mod client;
#[path = "../service/contract.rs"]
mod contract;
#[path = "../support/service.rs"]
mod service;

mod bambu;
mod bench;
mod files;
mod machine;
mod prusa;
mod resources;
mod row;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use printernizer::base::clock::Clock;
use resources::Held;
use row::{Phase, Row};

/// Rows side by side: they wait most of the time.
const THREADS: usize = 5;
/// What the heap may hold more after all rows than after the first: caches of the test's own (keys, covers).
const HEAP_MARGIN: usize = 4 * 1024 * 1024;
/// The same of threads: those of the executor's own pool rest for a while before they leave.
const THREAD_MARGIN: usize = 4;

/// Drops everything: what is logged is no part of this test, and is not to fill its memory.
struct Nowhere;

impl log::Log for Nowhere {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        false
    }

    fn log(&self, _: &log::Record<'_>) {}

    fn flush(&self) {}
}

enum Work {
    Row(Row),
    Step(files::Step),
}

impl Work {
    fn name(&self) -> String {
        match self {
            Work::Row(row) => format!("{:?}: {}", row.family, row.name),
            Work::Step(step) => format!("files: {}", step.name),
        }
    }

    fn run(&self) -> Vec<String> {
        let run = AssertUnwindSafe(|| match self {
            Work::Row(row) => row.run(),
            Work::Step(step) => step.run(),
        });
        catch_unwind(run).unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            vec![format!("the row broke off: {}", words.unwrap_or_default())]
        })
    }
}

fn all() -> Vec<Work> {
    let rows = bambu::rows().into_iter().chain(prusa::rows()).map(Work::Row);
    let work = rows.chain(files::steps().into_iter().map(Work::Step));
    match std::env::var("PRINTERNIZER_MATRIX") {
        Ok(part) => work.filter(|work| work.name().contains(&part)).collect(),
        Err(_) => work.collect(),
    }
}

fn table(work: &[Work]) -> String {
    let phases: Vec<String> = Phase::ALL.iter().map(|phase| format!("{phase:?}").to_lowercase()).collect();
    let mut text = format!("| fault | {} |\n|---{}|\n", phases.join(" | "), "|---".repeat(phases.len()));
    for work in work {
        if let Work::Row(row) = work {
            writeln!(text, "| {:?}: {} | {} |", row.family, row.name, row.cells().join(" | ")).unwrap();
        }
    }
    text.push_str(
        "\n| step of a transfer | what goes wrong: the kind, and the file is here in the end |\n|---|---|\n",
    );
    for work in work {
        if let Work::Step(step) = work {
            let cells: Vec<String> = step.cells.iter().map(files::Cell::words).collect();
            writeln!(text, "| {} | {} |", step.name, cells.join("; ")).unwrap();
        }
    }
    text
}

#[test]
fn every_fault_in_every_phase_is_told_and_passes() {
    if log::set_logger(&Nowhere).is_ok() {
        log::set_max_level(log::LevelFilter::Off);
    }
    let work = all();
    let threads = std::env::var("PRINTERNIZER_MATRIX_THREADS").ok().and_then(|text| text.parse().ok());
    let problems: Mutex<Vec<(String, Vec<String>)>> = Mutex::default();
    let (next, cells) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let run = || {
        while let Some(work) = work.get(next.fetch_add(1, Ordering::SeqCst)) {
            let began = Clock::system().now().mono;
            let found = work.run();
            println!("{} took {:?}", work.name(), Clock::system().now().mono.since(began));
            let count = match work {
                Work::Row(_) => Phase::ALL.len(),
                Work::Step(step) => step.cells.len(),
            };
            cells.fetch_add(count, Ordering::SeqCst);
            for words in &found {
                println!("{}: {words}", work.name());
            }
            if !found.is_empty() {
                problems.lock().unwrap().push((work.name(), found));
            }
        }
    };
    // The first of each kind alone: what it leaves are caches, and what all others leave beyond that is a leak.
    for first in [bambu::rows().remove(0), prusa::rows().remove(0)] {
        assert_eq!(Work::Row(first).run(), Vec::<String>::new());
    }
    let before = Held::now();
    std::thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(THREADS) {
            scope.spawn(run);
        }
    });
    // Threads that rest leave after seconds without work.
    let deadline = client::Deadline::new();
    let mut after = Held::now();
    while after.threads > before.threads + THREAD_MARGIN && !deadline.left().is_zero() {
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        after = Held::now();
    }
    let text = format!(
        "{}\n{} cells in {} rows. Held before and after: {before:?}, {after:?}\n",
        table(&work),
        cells.into_inner(),
        work.len()
    );
    println!("{text}");
    printernizer::base::file::write_atomic(
        &Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix.md"),
        text.as_bytes(),
    )
    .unwrap();
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{} rows are not as they have to be: {problems:#?}", problems.len());
    assert!(after.heap_bytes <= before.heap_bytes + HEAP_MARGIN, "{before:?}, {after:?}");
    assert!(after.descriptors <= before.descriptors, "{before:?}, {after:?}");
    assert!(after.threads <= before.threads + THREAD_MARGIN, "{before:?}, {after:?}");
}
