//! `self-test`: runs the steps in a directory of its own and prints how each went.

use std::path::{Path, PathBuf};

use super::{Failure, complain, say};
use crate::selftest::{self, StepResult};

/// Runs every step and prints how it went. `dir` is where the scratch directory is made; without one the system's place for
/// temporary files.
///
/// # Errors
/// When a step failed.
pub fn run(dir: Option<&Path>) -> Result<(), Failure> {
    let scratch = Scratch::new(dir.map_or_else(std::env::temp_dir, Path::to_owned))?;
    // A reader that has left does not end the test: its exit code still counts.
    let results = selftest::run(&scratch.0, |result| {
        let _ = say(&line(result));
    });
    let failed = results.iter().filter(|result| result.trouble.is_some()).count();
    drop(scratch);
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} of {} steps FAILED", results.len())));
    }
    say(&format!("all {} steps ok on {}\n", results.len(), std::env::consts::ARCH))
}

fn line(result: &StepResult) -> String {
    let took = result.took.as_millis();
    match &result.trouble {
        None => format!("ok     {took:>6} ms  {}\n", result.name),
        Some(trouble) => format!("FAILED {took:>6} ms  {}: {trouble}\n", result.name),
    }
}

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(below: PathBuf) -> Result<Scratch, Failure> {
        let name = format!("printernizer-self-test-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let dir = below.join(name);
        // Must not exist: a directory that somebody else has put there is not written into.
        std::fs::create_dir(&dir)
            .map_err(|error| Failure::Failed(format!("{} cannot be made: {error}", dir.display())))?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            complain(&format!("{} could not be removed: {error}", self.0.display()));
        }
    }
}
