//! The shapes of answers. Every field is always there; what is unknown is null; secrets are never there.

use serde::Serialize;

use super::linked::Linked;
use crate::base::clock::{Clock, Timestamp};
use crate::model::status::{ConnectionState, Filament, Plate, PrinterError, PrinterState};
use crate::model::{
    Booking, ConnectionKind, FileId, Job, JobId, JobStatus, Mass, Printer, PrinterId, PrinterStatus,
    PrinterType,
};
use crate::net::tls::pin_to_hex;
use crate::printers::registry::Registry;

/// A printer of the list.
#[derive(Debug, Serialize)]
pub struct PrinterView {
    id: PrinterId,
    name: String,
    printer_type: PrinterType,
    status: PrinterStatus,
    is_enabled: bool,
    location: Option<String>,
    description: Option<String>,
    connection_config: ConnectionConfigView,
    connection: ConnectionView,
    /// SHA-256 of the printer's public key, in hex.
    certificate_sha256: Option<String>,
    current_job: Option<String>,
    job_id: Option<JobId>,
    plate: Plate,
    last_seen: Option<String>,
    created_at: String,
}

#[derive(Debug, Serialize)]
struct ConnectionConfigView {
    ip_address: String,
    serial_number: Option<String>,
    has_access_code: bool,
    has_api_key: bool,
    username: Option<String>,
    has_password: bool,
    mqtt_port: u16,
    ftps_port: u16,
    http_port: u16,
}

/// How the connection stands.
#[derive(Debug, Serialize)]
pub struct ConnectionView {
    status: ConnectionState,
    kind: Option<ConnectionKind>,
    message: Option<String>,
}

impl ConnectionView {
    pub fn of(state: &PrinterState) -> ConnectionView {
        ConnectionView {
            status: state.connection,
            kind: state.connection_kind,
            message: state.connection_message.clone(),
        }
    }
}

impl PrinterView {
    pub fn of(printer: &Printer, state: &PrinterState) -> PrinterView {
        let way = &printer.connection;
        PrinterView {
            id: printer.id,
            name: printer.name.clone(),
            printer_type: printer.kind,
            status: state.status,
            is_enabled: printer.enabled,
            location: printer.location.clone(),
            description: printer.description.clone(),
            connection_config: ConnectionConfigView {
                ip_address: way.host.clone(),
                serial_number: way.serial.clone(),
                has_access_code: way.access_code.is_some(),
                has_api_key: way.api_key.is_some(),
                username: way.username.clone(),
                has_password: way.password.is_some(),
                mqtt_port: way.mqtt_port,
                ftps_port: way.ftps_port,
                http_port: way.http_port,
            },
            connection: ConnectionView::of(state),
            certificate_sha256: printer.pin.as_ref().map(pin_to_hex),
            current_job: state.current_job().map(str::to_owned),
            job_id: state.job_id,
            plate: state.plate,
            last_seen: time(state.last_seen),
            created_at: printer.created_at.to_string(),
        }
    }
}

/// The newest state of a printer.
#[derive(Debug, Serialize)]
pub struct StatusView {
    id: PrinterId,
    name: String,
    status: PrinterStatus,
    stage: Option<&'static str>,
    connection: ConnectionView,
    temperatures: TemperaturesView,
    current_job: Option<CurrentJobView>,
    filaments: Vec<FilamentView>,
    errors: Vec<PrinterError>,
    plate: Plate,
    last_seen: Option<String>,
    silent_for_s: Option<u64>,
    timestamp: String,
}

#[derive(Debug, Serialize)]
struct TemperaturesView {
    bed: HeatView,
    nozzle: HeatView,
    chamber: Option<f32>,
}

#[derive(Debug, Serialize)]
struct HeatView {
    current: Option<f32>,
    target: Option<f32>,
}

#[derive(Debug, Serialize)]
struct CurrentJobView {
    name: String,
    job_id: Option<JobId>,
    progress: Option<u8>,
    remaining_time_minutes: Option<u32>,
    layer_current: Option<u32>,
    layer_total: Option<u32>,
    started_at: Option<String>,
    file_id: Option<FileId>,
    thumbnail_url: Option<String>,
}

#[derive(Debug, Serialize)]
struct FilamentView {
    slot: u16,
    #[serde(rename = "type")]
    material: Option<String>,
    color: Option<String>,
    remaining_percentage: Option<u8>,
    is_active: bool,
    material_id: Option<String>,
}

impl StatusView {
    /// `linked` is the file of the job that the printer is at.
    pub fn of(printer: &Printer, state: &PrinterState, linked: Linked, clock: &Clock) -> StatusView {
        let (now, seen) = (clock.now(), &state.seen);
        let heat = &seen.temperature;
        let current_job = state.current_job().map(|name| CurrentJobView {
            name: name.to_owned(),
            job_id: state.job_id,
            progress: seen.progress,
            remaining_time_minutes: seen.remaining_s.map(|seconds| seconds.div_ceil(60)),
            layer_current: seen.layer,
            layer_total: seen.layers,
            started_at: time(state.started_at),
            file_id: linked.file_id.or(state.file_id),
            thumbnail_url: linked.thumbnail_url.or_else(|| state.thumbnail_url.clone()),
        });
        StatusView {
            id: printer.id,
            name: printer.name.clone(),
            status: state.status,
            stage: seen.stage,
            connection: ConnectionView::of(state),
            temperatures: TemperaturesView {
                bed: HeatView { current: heat.bed, target: heat.bed_target },
                nozzle: HeatView { current: heat.nozzle, target: heat.nozzle_target },
                chamber: heat.chamber,
            },
            current_job,
            filaments: seen.filaments.iter().map(FilamentView::of).collect(),
            errors: seen.errors.clone(),
            plate: state.plate,
            last_seen: time(state.last_seen),
            silent_for_s: state.last_seen_mono.map(|at| now.mono.since(at).as_secs()),
            timestamp: now.wall.to_string(),
        }
    }
}

impl FilamentView {
    fn of(filament: &Filament) -> FilamentView {
        FilamentView {
            slot: filament.slot,
            material: filament.material.clone(),
            color: filament.color.clone(),
            remaining_percentage: filament.remaining_percentage,
            is_active: filament.active,
            material_id: filament.material_id.clone(),
        }
    }
}

/// A job.
#[derive(Debug, Serialize)]
pub struct JobView {
    id: JobId,
    printer_id: PrinterId,
    printer_name: String,
    job_name: String,
    filename: Option<String>,
    plate: Option<u32>,
    status: JobStatus,
    /// Percent; of an active job, as its printer said last.
    progress: Option<u8>,
    auto: bool,
    created_at: String,
    started_at: Option<String>,
    printing_at: Option<String>,
    completed_at: Option<String>,
    duration_s: Option<u64>,
    material_used_g: Option<f64>,
    booking: Booking,
    notes: Option<String>,
    error: Option<String>,
    file_id: Option<FileId>,
    thumbnail_url: Option<String>,
    /// The event that told of its creation: where its trace begins.
    created_seq: Option<u64>,
}

impl JobView {
    /// `linked` is the job's file, see [`Linked::of`].
    pub fn of(job: &Job, linked: Linked, registry: &Registry) -> JobView {
        // The record has the progress of the last change of status; while the print is on, the printer knows better.
        let printer = job.status.is_active().then(|| registry.get(job.printer_id)).flatten();
        let state = printer.map(|entry| entry.state.get()).filter(|state| state.job_id == Some(job.id));
        let live = state.as_ref().and_then(|state| state.seen.progress);
        let preview = state.and_then(|state| state.thumbnail_url.clone());
        JobView {
            id: job.id,
            printer_id: job.printer_id,
            printer_name: job.printer_name.clone(),
            job_name: job.name.clone(),
            filename: job.file.clone(),
            plate: job.plate,
            status: job.status,
            progress: live.or(job.progress),
            auto: job.auto,
            created_at: job.created_at.to_string(),
            started_at: time(job.started_at),
            printing_at: time(job.printing_at),
            completed_at: time(job.ended_at),
            duration_s: job.duration_s(),
            material_used_g: job.material.used.map(Mass::grams),
            booking: job.material.booking,
            notes: job.notes.clone(),
            error: job.error.clone(),
            file_id: linked.file_id,
            // Until the file is read there may be what its first bytes showed.
            thumbnail_url: linked.thumbnail_url.or(preview),
            created_seq: Some(job.created_seq).filter(|seq| *seq > 0),
        }
    }
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}
