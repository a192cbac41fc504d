//! Orders to a simulated printer, as values for tests and as JSON for other processes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::NewFile;
use super::faults::Faults;

/// A print that somebody starts at the printer itself; a client starts one with POST.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The file on the stick, by its long or short names: `Parts/Cube.gcode`.
    pub path: String,
    /// Simulated seconds of printing; without it what the file was sliced for.
    #[serde(default)]
    pub print_seconds: Option<f64>,
    /// The printer stops with a question (wrong filament) before it prints.
    #[serde(default)]
    pub asks_first: bool,
}

/// An order of this printer, and what it waits for.
pub type Scene = crate::scenario::Scene<Command>;

/// What a reboot leaves of a running print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterReboot {
    /// Nothing: IDLE.
    #[default]
    Lost,
    /// It goes on where it was, with the same job.
    Resumed,
}

/// An order. In JSON: `{"command": "start_print", "path": "Cube.gcode"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Starts a print from the stick.
    StartPrint(Start),
    /// Pauses the running print.
    Pause,
    /// Goes on with the paused print.
    Resume,
    /// Stops the print: STOPPED after the last moves.
    Stop,
    /// Somebody leaves the last print's screen: FINISHED or STOPPED becomes IDLE.
    Leave,
    /// Somebody says that the bed is clear: READY.
    SetReady,
    /// Homing, loading, a menu: BUSY until [`Command::Idle`].
    Busy,
    /// The end of BUSY, READY and ERROR.
    Idle,
    /// A dialog waits on the screen: ATTENTION, in a print or without one.
    Ask,
    /// Somebody has answered the dialog; what was before goes on.
    Answer,
    /// ERROR; a running print is gone.
    Fail,
    /// Lets simulated time pass at once.
    Advance {
        /// Simulated seconds.
        seconds: f64,
    },
    /// Sets how many simulated seconds pass in a real one; 0 stops the clock.
    SetFactor {
        /// The factor.
        factor: f64,
    },
    /// Puts a file onto the stick; one of the same name is replaced.
    AddFile {
        /// The file.
        file: NewFile,
    },
    /// Deletes a file or folder at the printer's screen, which the folders' ETags do not notice.
    RemoveFile {
        /// By its long or short names.
        path: String,
    },
    /// A file begins to arrive through Connect. Until it is there (and until the end of a print of it) it is read-only
    /// and cannot be downloaded.
    Receive {
        /// The file.
        file: NewFile,
        /// Bytes in a simulated second.
        bytes_per_s: u64,
    },
    /// Changes the password.
    SetPassword {
        /// The new one.
        password: String,
    },
    /// Restarts the printer: connections are cut, uptime and nonces begin anew.
    Reboot {
        /// What becomes of a running print.
        #[serde(default)]
        job: AfterReboot,
    },
    /// Cuts every connection without a farewell.
    Drop,
    /// Merges into every `/api/v1/status` from now on (RFC 7396: null removes); null ends it.
    PatchStatus {
        /// What to merge.
        patch: Value,
    },
    /// Merges into every `/api/v1/job` with a job from now on; null ends it.
    PatchJob {
        /// What to merge.
        patch: Value,
    },
    /// Replaces the faults in force.
    SetFaults {
        /// All of them; what is left out is off.
        #[serde(default)]
        faults: Faults,
    },
    /// Ends all faults.
    ClearFaults,
}

impl Command {
    /// Starts a print of this file.
    #[must_use]
    pub fn start(path: &str) -> Self {
        Self::StartPrint(Start { path: path.to_owned(), print_seconds: None, asks_first: false })
    }
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// The printer is not in the state that the order needs.
    WrongState(&'static str),
    /// There is no such file on the stick.
    NoSuchFile(String),
    /// The name cannot be one of a file.
    BadName(String),
    /// Another file is arriving.
    AlreadyReceiving,
    /// The simulator itself could not do it.
    Failed(String),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongState(state) => write!(f, "the printer is {state}; this order needs another state"),
            Self::NoSuchFile(path) => write!(f, "there is no {path:?} on the stick"),
            Self::BadName(path) => write!(f, "{path:?} cannot be the name of a file"),
            Self::AlreadyReceiving => f.write_str("another file is arriving already"),
            Self::Failed(reason) => write!(f, "the simulator failed: {reason}"),
        }
    }
}

impl std::error::Error for CommandError {}
