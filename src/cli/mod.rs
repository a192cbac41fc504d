//! The command line: words in, a [`Command`] out, and what each command does but `serve`.
//!
//! It prints to standard output what was asked for, to standard error what went wrong. Exit codes: 0 done, 1 failed,
//! 2 wrong usage or configuration. `events` and `trace` are clients of a running service and read no store.

use std::ffi::OsString;
use std::io::{self, Write};

mod args;
pub mod backup;
mod client;
mod events;
pub mod inspect;
mod outcome;
mod self_test;
mod sse;
mod trace;

pub use args::{Command, Helper, Options, USAGE, UsageError, parse};
pub use outcome::Outcome;

use crate::config::{self, Loaded, Mistakes};

/// Runs a command that is not `serve`.
#[must_use]
pub fn run(command: &Command, environment: Vec<(OsString, OsString)>) -> Outcome {
    let result = match command {
        // `main` takes these itself; answering them here keeps the match whole.
        Command::Serve(_) | Command::Inspect(_) | Command::Helper(_) | Command::Appliance(_) => {
            Err(Failure::Usage("this command is not run from here".to_owned()))
        }
        Command::CheckConfig(options) => load(options, environment).and_then(|loaded| check_config(&loaded)),
        Command::ConfigPrint(options) => {
            load(options, environment).and_then(|loaded| say(&config::print(&loaded)))
        }
        Command::Events(request) => events::run(request, environment),
        Command::Trace(request) => events::trace(request, environment),
        Command::Backup(request) => backup::backup(request, environment),
        Command::Restore(request) => backup::restore(request, environment),
        Command::SelfTest { data_dir } => self_test::run(data_dir.as_deref()),
        Command::Version => say(&format!("printernizer {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Help => say(USAGE),
    };
    match result {
        Ok(()) => Outcome::Done,
        Err(failure) => failure.tell(),
    }
}

/// Reads the configuration for a command.
///
/// # Errors
/// Every mistake.
pub fn load(options: &Options, environment: Vec<(OsString, OsString)>) -> Result<Loaded, Failure> {
    config::load(&options.sources(environment)).map_err(Failure::Config)
}

fn check_config(loaded: &Loaded) -> Result<(), Failure> {
    for warning in &loaded.warnings {
        complain(warning);
    }
    match &loaded.file {
        Some(file) => say(&format!("OK: {}\n", file.display())),
        None => say("OK: defaults, no file was read\n"),
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The words of the command line make no sense.
    Usage(String),
    /// The configuration has mistakes.
    Config(Mistakes),
    /// It was tried and did not work; the text says why and what to do.
    Failed(String),
    /// Nobody reads the output any more, as in `printernizer events | head`: no reason to complain.
    NobodyReads,
}

impl Failure {
    /// Tells the person at the prompt and answers how the process ends.
    #[must_use]
    pub fn tell(&self) -> Outcome {
        match self {
            Failure::Usage(text) => {
                complain(&format!("{text}\nTry: printernizer --help"));
                Outcome::Misused
            }
            Failure::Config(mistakes) => {
                complain(&mistakes.to_string());
                Outcome::Misused
            }
            Failure::Failed(text) => {
                complain(text);
                Outcome::Failed
            }
            Failure::NobodyReads => Outcome::Done,
        }
    }
}

/// Writes to standard output.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::Failed(format!("the output cannot be written: {error}")),
    })
}

/// Writes to standard error, as errors where that is the journal; that nobody reads it is no second error.
fn complain(text: &str) {
    let mark = if crate::base::logging::stderr_is_the_journal() { "<3>" } else { "" };
    let mut out = io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(out, "{mark}{line}");
    }
}
