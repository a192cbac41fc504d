//! The payloads. Field names, units and nulls are those of the contract: no field is ever missing, an unknown value is
//! null, lists are lists.

use serde::{Deserialize, Serialize};

use crate::model::status::{
    ConnectionKind, ConnectionState, Filament, Nozzle, Plate, PrinterError, PrinterState, PrinterStatus,
    Temperatures,
};
use crate::model::{Control, ControlKind, Job, JobId, JobStatus, Printer, PrinterId, PrinterType};

payload! {
    /// A printer by id, name and type.
    PrinterRef { printer_id: PrinterId, name: String, #[serde(rename = "type")] kind: PrinterType, }
    /// A printer by id.
    PrinterOnly { printer_id: PrinterId, }
    /// A step of a connection.
    ConnectionProgress {
        printer_id: PrinterId, status: ConnectionState, kind: Option<ConnectionKind>, message: Option<String>,
        attempt: u32, retry_in_s: Option<u32>, duration_ms: Option<u64>,
    }
    /// A connection's end. `reason`: requested, lost, silent, removed, shutdown.
    PrinterDisconnected { printer_id: PrinterId, name: String, reason: DisconnectReason, }
    /// The connection as a status update shows it.
    ConnectionView { status: ConnectionState, kind: Option<ConnectionKind>, }
    /// The newest state of a printer.
    StatusUpdate {
        printer_id: PrinterId, status: PrinterStatus, stage: Option<String>, temperature: Temperatures, nozzles: Vec<Nozzle>,
        progress: Option<u8>, current_job: Option<String>, job_id: Option<JobId>, started_at: Option<String>,
        remaining_s: Option<u32>, layer: Option<u32>, layers: Option<u32>, filaments: Vec<Filament>,
        errors: Vec<PrinterError>, plate: Plate, connection: ConnectionView, last_seen: Option<String>,
        silent_for_s: Option<u64>, file_id: Option<String>, thumbnail_url: Option<String>,
    }
    /// The plate is free again.
    PlateCleared { printer_id: PrinterId, job_id: Option<JobId>, }
    /// One printer in the periodic summary.
    StatusLine {
        printer_id: PrinterId, name: String, #[serde(rename = "type")] kind: PrinterType, status: PrinterStatus,
        temperature: Temperatures, progress: Option<u8>, current_job: Option<String>, last_seen: Option<String>,
    }
    /// A change of status since the last summary.
    StatusChange { printer_id: PrinterId, old_status: PrinterStatus, new_status: PrinterStatus, timestamp: String, }
    /// The periodic summary of all printers.
    StatusSummary { printers: Vec<StatusLine>, status_changes: Vec<StatusChange>, }
    /// A new job.
    JobCreated {
        job_id: JobId, printer_id: PrinterId, job_name: String, filename: Option<String>, plate: Option<u32>, auto: bool,
    }
    /// A job with its printer and name.
    JobRef { job_id: JobId, printer_id: PrinterId, job_name: String, }
    /// A job by id.
    JobOnly { job_id: JobId, }
    /// A change of a job's status.
    JobStatusChanged { job_id: JobId, printer_id: PrinterId, old_status: JobStatus, status: JobStatus, }
    /// A job's progress.
    JobProgress {
        job_id: JobId, progress: u8, remaining_s: Option<u32>, layer: Option<u32>, layers: Option<u32>,
    }
    /// One active job in the periodic list.
    JobLine { job_id: JobId, printer_id: PrinterId, job_name: String, status: JobStatus, progress: Option<u8>, }
    /// One changed job in the periodic list.
    JobChange {
        job_id: JobId, printer_id: PrinterId, job_name: String, old_status: Option<JobStatus>, new_status: Option<JobStatus>,
        status: JobStatus, old_progress: Option<u8>, new_progress: Option<u8>, progress: Option<u8>, timestamp: String,
    }
    /// The periodic list of active jobs.
    JobUpdate { active_jobs: u32, jobs: Vec<JobLine>, job_updates: Vec<JobChange>, }
    /// A job's end.
    JobCompleted {
        job_id: JobId, printer_id: PrinterId, job_name: String, status: JobStatus, duration_s: Option<u64>,
        material_used_g: Option<f64>, error: Option<String>,
    }
    /// Settings were changed.
    SettingsChanged { keys: Vec<String>, }
    /// A print that was paused, goes on or was stopped by an order.
    PrintControlled { printer_id: PrinterId, job_id: Option<JobId>, }
    /// An order that was not carried out. `command`: pause, resume, stop.
    ControlFailed { printer_id: PrinterId, command: Control, error: String, kind: ControlKind, }
    /// The service is up.
    ServiceStarted { version: String, previous_shutdown_clean: bool, }
    /// The service is going down.
    ServiceStopping { reason: String, }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectReason {
    /// The user asked for it.
    Requested,
    /// The network or the printer ended it.
    Lost,
    /// No word for too long.
    Silent,
    /// The printer was removed from the list.
    Removed,
    /// The service stops.
    Shutdown,
}

impl PrinterRef {
    /// The reference to `printer`.
    #[must_use]
    pub fn of(printer: &Printer) -> PrinterRef {
        PrinterRef { printer_id: printer.id, name: printer.name.clone(), kind: printer.kind }
    }
}

impl JobRef {
    /// The reference to `job`.
    #[must_use]
    pub fn of(job: &Job) -> JobRef {
        JobRef { job_id: job.id, printer_id: job.printer_id, job_name: job.name.clone() }
    }
}

impl StatusUpdate {
    /// The payload for `state`. `silent_for_s` is the age of the newest report where it is known.
    #[must_use]
    pub fn of(printer_id: PrinterId, state: &PrinterState, silent_for_s: Option<u64>) -> StatusUpdate {
        let seen = &state.seen;
        StatusUpdate {
            printer_id,
            status: state.status,
            stage: seen.stage.map(str::to_owned),
            temperature: seen.temperature.clone(),
            nozzles: seen.nozzles.clone(),
            progress: seen.progress,
            current_job: state.current_job().map(str::to_owned),
            job_id: state.job_id,
            started_at: state.started_at.map(|time| time.to_string()),
            remaining_s: seen.remaining_s,
            layer: seen.layer,
            layers: seen.layers,
            filaments: seen.filaments.clone(),
            errors: seen.errors.clone(),
            plate: state.plate,
            connection: ConnectionView { status: state.connection, kind: state.connection_kind },
            last_seen: state.last_seen.map(|time| time.to_string()),
            silent_for_s,
            file_id: state.file_id.map(|id| id.to_string()),
            thumbnail_url: state.thumbnail_url.clone(),
        }
    }
}

impl StatusLine {
    /// The summary line of `printer` in `state`.
    #[must_use]
    pub fn of(printer: &Printer, state: &PrinterState) -> StatusLine {
        StatusLine {
            printer_id: printer.id,
            name: printer.name.clone(),
            kind: printer.kind,
            status: state.status,
            temperature: state.seen.temperature.clone(),
            progress: state.seen.progress,
            current_job: state.current_job().map(str::to_owned),
            last_seen: state.last_seen.map(|time| time.to_string()),
        }
    }
}
