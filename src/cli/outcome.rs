//! How the process ends.

use std::process::ExitCode;

/// What the exit code tells the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 0: done.
    Done,
    /// 1: tried, and it did not work.
    Failed,
    /// 2: wrong words or a wrong configuration; trying again changes nothing.
    Misused,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        match outcome {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::from(1),
            Outcome::Misused => ExitCode::from(2),
        }
    }
}
