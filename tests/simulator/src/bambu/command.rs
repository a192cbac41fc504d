//! Orders to a simulated printer, as values for tests and as JSON for other processes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::faults::{Faults, Garbage};
use super::machine::PauseReason;
use super::plan::{CancelEnd, PrintPlan};
use super::tray::Tray;

/// An order. In JSON: `{"command": "start_print", "plan": {"name": "Cube"}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Starts a print; refused while there is one.
    StartPrint {
        /// The print.
        #[serde(default)]
        plan: PrintPlan,
    },
    /// Pauses the running print.
    Pause {
        /// Why.
        #[serde(default)]
        reason: PauseReason,
    },
    /// Goes on with the paused print.
    Resume,
    /// Cancels the print: the error code first, then the state.
    Cancel {
        /// The state afterwards; without it what the print's plan says.
        #[serde(default)]
        end: Option<CancelEnd>,
    },
    /// Breaks the print with an error code.
    Fail {
        /// `print_error`.
        error: u32,
    },
    /// Back to IDLE without names, as after a power cycle, but with the connections alive.
    Reset,
    /// [`Command::Reset`] and every connection cut.
    PowerCycle,
    /// Puts a spool into a tray or takes it out.
    SetTray {
        /// The tray, counted over all units from 0.
        index: usize,
        /// What is in it now.
        tray: Tray,
    },
    /// Sets the list of health messages: pairs of attribute and code.
    SetHealth {
        /// The whole list.
        items: Vec<(u32, u32)>,
    },
    /// Sets `print_error`.
    SetError {
        /// The code; 0 is none.
        code: u32,
    },
    /// Overrides fields of every report from now on with arbitrary values, until [`Command::ClearFields`].
    SetFields {
        /// Names and values directly below `print`.
        fields: Map<String, Value>,
    },
    /// Ends all overrides.
    ClearFields,
    /// Sends a report now, in the model's manner (a delta, or a full one on the X1C).
    Report,
    /// Sends a full report now, unasked.
    FullReport,
    /// Lets simulated time pass at once, taking every step of a print on the way, each with its report.
    Advance {
        /// Simulated seconds.
        seconds: f64,
    },
    /// Sets the time between reports; 0 stops them (steps of a print are still reported).
    SetInterval {
        /// Milliseconds of real time.
        milliseconds: u64,
    },
    /// Sets how many simulated seconds pass in a real one; 0 stops the clock.
    SetFactor {
        /// The factor.
        factor: f64,
    },
    /// Cuts every connection without a farewell.
    Drop,
    /// New connections see a certificate with another key and the same name.
    ChangeKey,
    /// Changes the access code; existing sessions live on.
    SetAccessCode {
        /// The new code.
        code: String,
    },
    /// Replaces the faults in force.
    SetFaults {
        /// All of them; what is left out is off.
        #[serde(default)]
        faults: Faults,
    },
    /// Ends all faults.
    ClearFaults,
    /// Sends one payload of garbage.
    Garbage {
        /// Which kind.
        kind: Garbage,
    },
    /// Sends one payload of one's own choice.
    Publish {
        /// The payload.
        text: String,
        /// The topic; without it the report topic.
        #[serde(default)]
        topic: Option<String>,
    },
    /// Sends bytes into the MQTT stream as they are; they need not be a packet.
    RawBytes {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Puts a file on the card, in place of one of the same path.
    PutFile {
        /// Its path, `/cache/Cube.3mf`.
        path: String,
        /// Bytes of moves.
        #[serde(default)]
        size: usize,
        /// What it holds instead.
        #[serde(default)]
        text: Option<String>,
        /// Changes the moves.
        #[serde(default)]
        seed: u64,
    },
    /// Takes a file off the card.
    RemoveFile {
        /// Its path.
        path: String,
    },
    /// Sends the next messages of a replay at once.
    ReplayNext {
        /// How many.
        count: usize,
    },
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// A print is under way already.
    Busy,
    /// There is no print, or it is not in the state that the order needs.
    NotPrinting,
    /// There is no tray of this index.
    NoSuchTray(usize),
    /// This printer does not replay a recording.
    NoReplay,
    /// There is no file of this path.
    NoSuchFile(String),
    /// The simulator itself could not do it.
    Failed(String),
    /// The printer was stopped, or did not answer within the deadline.
    Stopped,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("a print is under way already; cancel it or wait for its end"),
            Self::NotPrinting => f.write_str("there is no print in the state that this order needs"),
            Self::NoSuchTray(index) => {
                write!(f, "there is no tray {index}; they count over all units from 0")
            }
            Self::NoReplay => f.write_str("this printer does not replay a recording; start it with --replay"),
            Self::NoSuchFile(path) => write!(f, "there is no file {path:?} on the card"),
            Self::Failed(reason) => write!(f, "the simulator failed: {reason}"),
            Self::Stopped => f.write_str("the printer was stopped or did not answer in time"),
        }
    }
}

impl std::error::Error for CommandError {}
