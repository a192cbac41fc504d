//! What the service is built on, tried on the device at hand: in seconds, without a network, without a printer.
//!
//! It answers whether this processor, kernel and C library do what the packages expect; it is run under an emulated ARM1176
//! whenever the service is built, and by a person who doubts a board. It proves nothing about the service's own logic:
//! that is what the tests are for.
//!
//! Bounds: every step waits at most [`STEP_WITHIN`] for anything and writes less than 1 MiB below the given directory.
//! A step that panics has failed. New steps go into `STEPS`.

mod compute;
mod http;
mod identity;
mod runtime;
mod storage;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use crate::base::clock::Clock;

/// The longest wait inside a step. An emulated ARM1176 on a busy machine needs about 3 s for the slowest.
pub const STEP_WITHIN: Duration = Duration::from_secs(30);

/// One step: does something below the directory, or needs none.
type Step = fn(&Path) -> Result<(), Trouble>;

/// The steps in their order: each needs what stands before it.
const STEPS: &[(&str, Step)] = &[
    ("clock: 64-bit time, past 2038, moving", runtime::clock),
    ("64-bit atomics across threads", runtime::atomics),
    ("panics are caught in tasks and threads", runtime::panics),
    ("executor: tasks, timers, a TCP pair", runtime::executor),
    ("bus: a lapped listener learns what it missed", runtime::bus),
    ("records: postcard, heapless", compute::records),
    ("sha2: known answer", compute::digest),
    ("miniz_oxide: round trip", compute::inflate),
    ("png: round trip", compute::picture),
    ("store: commit, close, reopen", storage::store),
    ("TLS 1.2, AES-256-GCM", tls::version_1_2),
    ("TLS 1.3, ChaCha20-Poly1305", tls::version_1_3),
    ("TLS: a changed key is refused", tls::changed_key),
    ("HTTP: ureq through the front to tiny_http", http::round_trip),
];

/// Why a step failed, in words.
#[derive(Debug)]
struct Trouble(String);

impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble(crate::base::error::chain(&error))
    }
}

/// `Ok` if `holds`.
fn demand(holds: bool, what: impl fmt::Display) -> Result<(), Trouble> {
    if holds { Ok(()) } else { Err(Trouble(what.to_string())) }
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepResult {
    /// What was tried.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// Why it failed.
    pub trouble: Option<String>,
}

/// Runs every step, also after one has failed; `told` hears of each as it ends. `dir` must exist and be writable. Blocks.
pub fn run(dir: &Path, mut told: impl FnMut(&StepResult)) -> Vec<StepResult> {
    let step = |(name, step): &(&'static str, Step)| {
        let result = run_step(name, *step, dir);
        told(&result);
        result
    };
    STEPS.iter().map(step).collect()
}

fn run_step(name: &'static str, step: Step, dir: &Path) -> StepResult {
    let clock = Clock::system();
    let begin = clock.now().mono;
    let trouble = match catch_unwind(AssertUnwindSafe(|| step(dir))) {
        Ok(Ok(())) => None,
        Ok(Err(Trouble(text))) => Some(text),
        Err(_) => Some("it panicked".to_owned()),
    };
    StepResult { name, took: clock.now().mono.since(begin), trouble }
}
