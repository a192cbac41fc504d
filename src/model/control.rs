//! What a person can ask of a running print, and why that may fail.

use serde::{Deserialize, Serialize};

/// An order to a printer about its print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Pause it.
    Pause,
    /// Go on with it.
    Resume,
    /// Stop it for good.
    Stop,
}

impl Control {
    /// The stable name, as in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Control::Pause => "pause",
            Control::Resume => "resume",
            Control::Stop => "stop",
        }
    }
}

/// Why an order was not carried out: the kinds of `printer_control_failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlKind {
    /// The printer's firmware takes no orders from us (Bambu without Developer Mode).
    NotPermitted,
    /// There is no print, or it is not in the state that the order needs.
    WrongState,
    /// The printer is not connected.
    Offline,
    /// No answer, or the printer has not done it in time.
    Timeout,
    /// The printer refuses without such a reason, or another order is under way.
    Refused,
}

/// An order that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlError {
    /// What sort of trouble.
    pub kind: ControlKind,
    /// English words that say what happened and what to do.
    pub message: String,
}

impl ControlError {
    /// An error with its words.
    #[must_use]
    pub fn new(kind: ControlKind, message: impl Into<String>) -> ControlError {
        ControlError { kind, message: message.into() }
    }
}
