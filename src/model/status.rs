//! What is known of a printer right now, in the words of the event contract.

use serde::{Deserialize, Serialize};

use super::{FileId, JobId, MaterialId, Start};
use crate::base::clock::{Mono, Timestamp};

/// What a printer is doing. `Finished`, `Failed` and `Cancelled` stand until the printer says idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrinterStatus {
    /// No connection, or no word for too long.
    #[default]
    Offline,
    /// A connection is being made.
    Connecting,
    /// Ready, nothing to do.
    Idle,
    /// A print is being prepared: downloading, heating, levelling.
    Preparing,
    /// Printing.
    Printing,
    /// Paused, by a person or by itself.
    Paused,
    /// A person is needed.
    Attention,
    /// The last print ended well.
    Finished,
    /// The last print failed.
    Failed,
    /// The last print was cancelled.
    Cancelled,
    /// Connected, but the printer has not said what it does.
    Unknown,
}

impl PrinterStatus {
    /// Whether a print occupies the printer in this status.
    #[must_use]
    pub fn is_active(self) -> bool {
        use PrinterStatus as S;
        match self {
            S::Preparing | S::Printing | S::Paused | S::Attention => true,
            S::Offline | S::Connecting | S::Idle | S::Finished | S::Failed | S::Cancelled | S::Unknown => {
                false
            }
        }
    }

    /// The stable name, as in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        use PrinterStatus as S;
        match self {
            S::Offline => "offline",
            S::Connecting => "connecting",
            S::Idle => "idle",
            S::Preparing => "preparing",
            S::Printing => "printing",
            S::Paused => "paused",
            S::Attention => "attention",
            S::Finished => "finished",
            S::Failed => "failed",
            S::Cancelled => "cancelled",
            S::Unknown => "unknown",
        }
    }
}

/// Step of a connection, in the words of `printer_connection_progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Not wanted: the printer is disabled or was disconnected by the user.
    #[default]
    Disconnected,
    /// An attempt is running.
    Connecting,
    /// The printer has answered.
    Connected,
    /// Its reports are being followed.
    Monitoring,
    /// The attempt failed; it is tried again.
    Failed,
    /// The attempt failed and a person is needed.
    Error,
}

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionKind {
    /// Nothing answers at the address.
    Unreachable,
    /// The address answers, the port is closed.
    Refused,
    /// The TLS handshake failed.
    Tls,
    /// Another key than the pinned one.
    CertificateChanged,
    /// The access code is wrong.
    WrongCode,
    /// The certificate belongs to another serial number.
    WrongSerial,
    /// Connected, but no word.
    Silent,
    /// User name, password or key refused.
    Auth,
    /// The peer does not speak the expected protocol.
    Protocol,
    /// The peer has no room for another client.
    Busy,
}

impl ConnectionKind {
    /// Whether only a person can mend this: the attempt ends with `error`.
    #[must_use]
    pub fn needs_user(self) -> bool {
        use ConnectionKind as K;
        match self {
            K::CertificateChanged | K::WrongCode | K::WrongSerial | K::Auth => true,
            K::Unreachable | K::Refused | K::Tls | K::Silent | K::Protocol | K::Busy => false,
        }
    }
}

/// One nozzle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nozzle {
    /// Number of the nozzle, as the printer counts.
    pub id: u8,
    /// Measured temperature in degrees Celsius.
    pub current: Option<f32>,
    /// Wanted temperature in degrees Celsius; 0 is off.
    pub target: Option<f32>,
    /// Whether this nozzle is the one in use.
    pub active: bool,
}

/// Temperatures in degrees Celsius.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Temperatures {
    /// Active nozzle, measured.
    pub nozzle: Option<f32>,
    /// Active nozzle, wanted.
    pub nozzle_target: Option<f32>,
    /// Bed, measured.
    pub bed: Option<f32>,
    /// Bed, wanted.
    pub bed_target: Option<f32>,
    /// Chamber, measured.
    pub chamber: Option<f32>,
}

/// One filament slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filament {
    /// Slot: AMS unit * 4 + tray, 128 and up for AMS HT, 254 and 255 external.
    pub slot: u16,
    /// Type, as `PLA`.
    #[serde(rename = "type")]
    pub material: Option<String>,
    /// Colour as `#RRGGBB`.
    pub color: Option<String>,
    /// Remaining share in percent.
    pub remaining_percentage: Option<u8>,
    /// Whether it is the one in use.
    pub active: bool,
    /// The spool assigned to this slot.
    pub material_id: Option<String>,
}

/// One error that the printer shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrinterError {
    /// The vendor's code, as shown on the printer's screen.
    pub code: String,
    /// `fatal`, `serious`, `common`, `info` or `print`.
    pub kind: String,
    /// English words.
    pub message: String,
}

/// Whether a finished print still lies on the plate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plate {
    /// Nobody knows.
    #[default]
    Unknown,
    /// From the end of a print until somebody says otherwise or the next print starts.
    Occupied,
    /// Somebody took the print off and said so.
    Clear,
}

/// How a print was started, as far as the printer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrintKind {
    /// A user's print.
    #[default]
    User,
    /// A calibration or another print of the printer's own: no job.
    System,
}

/// The print that a printer shows: current, or the last one until the printer forgets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Print {
    /// The vendor's number of this very print; differs when the same file is printed twice. `None` where there is none.
    pub key: Option<String>,
    /// A weaker mark of this very print, such as its start time as the printer notes it: tells two runs of one file
    /// apart after an interruption. `None` until the print runs.
    pub mark: Option<String>,
    /// The name on the printer's screen.
    pub name: Option<String>,
    /// The file as the printer names it.
    pub file: Option<String>,
    /// Plate within the file, from 1.
    pub plate: Option<u32>,
    /// Whether it is a user's print; `None` where the reports so far do not say.
    pub kind: Option<PrintKind>,
}

/// What a driver has read from its printer: the merged state of all reports so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The status; never `Offline` or `Connecting`, which are the connection's words.
    pub status: PrinterStatus,
    /// The step within the status in words, as `heating the bed`.
    pub stage: Option<&'static str>,
    /// Whether the printer itself says that it prints (its calibrations at the start of a print included, which
    /// `status` shows as preparing).
    pub running: bool,
    /// Whether a person cancelled the shown print, as far as the printer says.
    pub cancelled: bool,
    /// The print it shows.
    pub print: Print,
    /// What helps to find that print's file, as long as the printer says it.
    pub start: Start,
    /// Temperatures.
    pub temperature: Temperatures,
    /// All nozzles.
    pub nozzles: Vec<Nozzle>,
    /// Progress in percent.
    pub progress: Option<u8>,
    /// Remaining time in seconds.
    pub remaining_s: Option<u32>,
    /// Current layer.
    pub layer: Option<u32>,
    /// All layers.
    pub layers: Option<u32>,
    /// Filament slots.
    pub filaments: Vec<Filament>,
    /// The slot of each filament of the printed file, in the file's order, as the printer was told; empty where it does not
    /// say.
    pub mapping: Vec<Option<u16>>,
    /// Errors shown.
    pub errors: Vec<PrinterError>,
}

impl Observation {
    /// Names the spools that are assigned to the slots. A printer that shows no slots at all (`bare`) gets those that hold
    /// a spool, so that its spool is seen.
    pub fn name_spools(&mut self, slots: &[(u16, MaterialId)], bare: bool) {
        let named = |slot: u16| slots.iter().find(|(of, _)| *of == slot).map(|(_, id)| id.to_string());
        if bare {
            // Those that were added here before, and by nobody else.
            self.filaments.retain(|one| {
                one.active
                    || one.material.is_some()
                    || one.color.is_some()
                    || one.remaining_percentage.is_some()
            });
        }
        for filament in &mut self.filaments {
            filament.material_id = named(filament.slot);
        }
        if bare && self.filaments.is_empty() {
            self.filaments.extend(slots.iter().map(|(slot, id)| Filament {
                slot: *slot,
                material: None,
                color: None,
                remaining_percentage: None,
                active: false,
                material_id: Some(id.to_string()),
            }));
        }
    }
}

/// The newest state of a printer as everybody reads it: what the driver saw plus what the service knows.
#[derive(Clone, Debug, Default)]
pub struct PrinterState {
    /// Status, the connection's words included.
    pub status: PrinterStatus,
    /// Step of the connection.
    pub connection: ConnectionState,
    /// Why the last attempt failed.
    pub connection_kind: Option<ConnectionKind>,
    /// The same in words that say what to do.
    pub connection_message: Option<String>,
    /// The merged reports; kept while the printer is silent, with its age in `last_seen`.
    pub seen: Observation,
    /// Whether `seen` comes from a report of this run (false: from the store).
    pub fresh: bool,
    /// The job of the shown print.
    pub job_id: Option<JobId>,
    /// The version of the file that is printed, once it is known.
    pub file_id: Option<FileId>,
    /// Where a browser finds a picture of the print.
    pub thumbnail_url: Option<String>,
    /// The print's start.
    pub started_at: Option<Timestamp>,
    /// The slots that this run has seen in use since the print's start; at most [`SLOTS_SEEN_MAX`].
    pub slots: Vec<u16>,
    /// Whether something lies on the plate.
    pub plate: Plate,
    /// Wall time of the last report.
    pub last_seen: Option<Timestamp>,
    /// Monotonic time of the last report of this run.
    pub last_seen_mono: Option<Mono>,
}

/// Slots that are remembered of one print: more than any printer has.
const SLOTS_SEEN_MAX: usize = 32;

impl PrinterState {
    /// Takes a new report. The slots in use are collected while a print is on, and kept until the next one begins.
    pub fn see(&mut self, seen: Observation) {
        if seen.status.is_active() {
            if !self.seen.status.is_active() {
                self.slots.clear();
            }
            for filament in seen.filaments.iter().filter(|filament| filament.active) {
                if !self.slots.contains(&filament.slot) && self.slots.len() < SLOTS_SEEN_MAX {
                    self.slots.push(filament.slot);
                }
            }
        }
        self.seen = seen;
    }

    /// The name of the print that the printer is at, or has finished and not yet left.
    #[must_use]
    pub fn current_job(&self) -> Option<&str> {
        use PrinterStatus as S;
        let shown = match self.seen.status {
            S::Preparing
            | S::Printing
            | S::Paused
            | S::Attention
            | S::Finished
            | S::Failed
            | S::Cancelled => true,
            S::Offline | S::Connecting | S::Idle | S::Unknown => false,
        };
        self.seen.print.name.as_deref().filter(|_| shown)
    }
}
