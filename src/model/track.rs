//! What the store remembers of a printer between two reports, so that a restart or a reconnection continues where the
//! last one ended: the first report is compared with this, and is an edge only where they differ.

use super::status::{Plate, Print, PrinterStatus};
use super::{JobId, PrinterId};
use crate::base::clock::Timestamp;

/// The last recorded state of one printer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The printer.
    pub printer_id: PrinterId,
    /// The status that was announced last, the connection's words included.
    pub shown: PrinterStatus,
    /// The last status that the printer itself gave; `Unknown` before the first.
    pub seen: PrinterStatus,
    /// The print that it showed then.
    pub print: Print,
    /// The job of that print: the active one, or the last one until the printer is idle.
    pub job_id: Option<JobId>,
    /// Progress of that print in percent.
    pub progress: Option<u8>,
    /// Whether something lies on the plate.
    pub plate: Plate,
    /// When that print started.
    pub started_at: Option<Timestamp>,
    /// Codes of the errors that were announced last.
    pub errors: Vec<String>,
    /// Wall time of the last report.
    pub last_seen: Option<Timestamp>,
}

impl Track {
    /// The record of a printer that has said nothing yet.
    #[must_use]
    pub fn new(printer_id: PrinterId) -> Track {
        Track {
            printer_id,
            shown: PrinterStatus::Offline,
            seen: PrinterStatus::Unknown,
            print: Print::default(),
            job_id: None,
            progress: None,
            plate: Plate::Unknown,
            started_at: None,
            errors: Vec::new(),
            last_seen: None,
        }
    }
}
