//! Version 1 of every record. Postcard is positional: order and types of the fields are the format.

use serde::{Deserialize, Serialize};

use super::codes;
use crate::base::clock::Timestamp;
use crate::base::secret::Secret;
use crate::model::status::{Observation, Print, Temperatures};
use crate::model::{self, ConnectionConfig, Filament, JobId, Nozzle, PrinterError, PrinterId};
use crate::store::error::DecodeError;

/// A printer of the list. Codes and passwords are stored as they are: the file is readable by the service only.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Printer {
    name: String,
    kind: u8,
    host: String,
    serial: Option<String>,
    access_code: Option<Secret>,
    api_key: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    mqtt_port: u16,
    ftps_port: u16,
    http_port: u16,
    pin: Option<[u8; 32]>,
    location: Option<String>,
    description: Option<String>,
    enabled: bool,
    created_at: i64,
}

impl From<&model::Printer> for Printer {
    fn from(printer: &model::Printer) -> Printer {
        let connection = printer.connection.clone();
        Printer {
            name: printer.name.clone(),
            kind: codes::printer_type::encode(printer.kind),
            host: connection.host,
            serial: connection.serial,
            access_code: connection.access_code,
            api_key: connection.api_key,
            username: connection.username,
            password: connection.password,
            mqtt_port: connection.mqtt_port,
            ftps_port: connection.ftps_port,
            http_port: connection.http_port,
            pin: printer.pin,
            location: printer.location.clone(),
            description: printer.description.clone(),
            enabled: printer.enabled,
            created_at: printer.created_at.0,
        }
    }
}

impl Printer {
    pub(in crate::store) fn into_model(self, id: PrinterId) -> Result<model::Printer, DecodeError> {
        Ok(model::Printer {
            id,
            name: self.name,
            kind: codes::printer_type::decode(self.kind)?,
            connection: ConnectionConfig {
                host: self.host,
                serial: self.serial,
                access_code: self.access_code,
                api_key: self.api_key,
                username: self.username,
                password: self.password,
                mqtt_port: self.mqtt_port,
                ftps_port: self.ftps_port,
                http_port: self.http_port,
            },
            pin: self.pin,
            location: self.location,
            description: self.description,
            enabled: self.enabled,
            created_at: Timestamp(self.created_at),
        })
    }
}

/// A job. The first three fields are `StoredJobHead`, in every version.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Job {
    printer_id: u64,
    status: u8,
    created_at: i64,
    printer_name: String,
    name: String,
    file: Option<String>,
    plate: Option<u32>,
    auto: bool,
    progress: Option<u8>,
    error: Option<String>,
    started_at: Option<i64>,
    printing_at: Option<i64>,
    ended_at: Option<i64>,
    clock_synced: bool,
    created_seq: u64,
}

impl From<&model::Job> for Job {
    fn from(job: &model::Job) -> Job {
        Job {
            printer_id: job.printer_id.0,
            status: codes::job_status::encode(job.status),
            created_at: job.created_at.0,
            printer_name: job.printer_name.clone(),
            name: job.name.clone(),
            file: job.file.clone(),
            plate: job.plate,
            auto: job.auto,
            progress: job.progress,
            error: job.error.clone(),
            started_at: job.started_at.map(|time| time.0),
            printing_at: job.printing_at.map(|time| time.0),
            ended_at: job.ended_at.map(|time| time.0),
            clock_synced: job.clock_synced,
            created_seq: job.created_seq,
        }
    }
}

impl Job {
    pub(in crate::store) fn into_model(self, id: JobId) -> Result<model::Job, DecodeError> {
        Ok(model::Job {
            id,
            printer_id: PrinterId(self.printer_id),
            printer_name: self.printer_name,
            name: self.name,
            file: self.file,
            plate: self.plate,
            status: codes::job_status::decode(self.status)?,
            auto: self.auto,
            progress: self.progress,
            error: self.error,
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            printing_at: self.printing_at.map(Timestamp),
            ended_at: self.ended_at.map(Timestamp),
            clock_synced: self.clock_synced,
            created_seq: self.created_seq,
        })
    }
}

/// The last known state of a printer.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct LastState {
    status: u8,
    print_key: Option<String>,
    print_name: Option<String>,
    print_file: Option<String>,
    print_plate: Option<u32>,
    print_kind: u8,
    temperatures: [Option<f32>; 5],
    nozzles: Vec<(u8, Option<f32>, Option<f32>, bool)>,
    progress: Option<u8>,
    remaining_s: Option<u32>,
    layer: Option<u32>,
    layers: Option<u32>,
    filaments: Vec<StoredFilament>,
    errors: Vec<(String, String, String)>,
    job_id: Option<u64>,
    started_at: Option<i64>,
    plate: u8,
    last_seen: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredFilament {
    slot: u16,
    material: Option<String>,
    color: Option<String>,
    remaining_percentage: Option<u8>,
    active: bool,
    material_id: Option<String>,
}

impl From<&super::LastState> for LastState {
    fn from(state: &super::LastState) -> LastState {
        let seen = &state.seen;
        let temperature = &seen.temperature;
        LastState {
            status: codes::printer_status::encode(seen.status),
            print_key: seen.print.key.clone(),
            print_name: seen.print.name.clone(),
            print_file: seen.print.file.clone(),
            print_plate: seen.print.plate,
            print_kind: codes::print_kind::encode(seen.print.kind),
            temperatures: [
                temperature.nozzle,
                temperature.nozzle_target,
                temperature.bed,
                temperature.bed_target,
                temperature.chamber,
            ],
            nozzles: seen.nozzles.iter().map(|one| (one.id, one.current, one.target, one.active)).collect(),
            progress: seen.progress,
            remaining_s: seen.remaining_s,
            layer: seen.layer,
            layers: seen.layers,
            filaments: seen.filaments.iter().map(StoredFilament::from).collect(),
            errors: seen
                .errors
                .iter()
                .map(|one| (one.code.clone(), one.kind.clone(), one.message.clone()))
                .collect(),
            job_id: state.job_id.map(|id| id.0),
            started_at: state.started_at.map(|time| time.0),
            plate: codes::plate::encode(state.plate),
            last_seen: state.last_seen.map(|time| time.0),
        }
    }
}

impl From<&Filament> for StoredFilament {
    fn from(filament: &Filament) -> StoredFilament {
        StoredFilament {
            slot: filament.slot,
            material: filament.material.clone(),
            color: filament.color.clone(),
            remaining_percentage: filament.remaining_percentage,
            active: filament.active,
            material_id: filament.material_id.clone(),
        }
    }
}

impl From<StoredFilament> for Filament {
    fn from(stored: StoredFilament) -> Filament {
        Filament {
            slot: stored.slot,
            material: stored.material,
            color: stored.color,
            remaining_percentage: stored.remaining_percentage,
            active: stored.active,
            material_id: stored.material_id,
        }
    }
}

impl LastState {
    pub(in crate::store) fn into_model(self, printer_id: PrinterId) -> Result<super::LastState, DecodeError> {
        let [nozzle, nozzle_target, bed, bed_target, chamber] = self.temperatures;
        let seen = Observation {
            status: codes::printer_status::decode(self.status)?,
            stage: None,
            print: Print {
                key: self.print_key,
                name: self.print_name,
                file: self.print_file,
                plate: self.print_plate,
                kind: codes::print_kind::decode(self.print_kind)?,
            },
            temperature: Temperatures { nozzle, nozzle_target, bed, bed_target, chamber },
            nozzles: self
                .nozzles
                .into_iter()
                .map(|(id, current, target, active)| Nozzle { id, current, target, active })
                .collect(),
            progress: self.progress,
            remaining_s: self.remaining_s,
            layer: self.layer,
            layers: self.layers,
            filaments: self.filaments.into_iter().map(Filament::from).collect(),
            errors: self
                .errors
                .into_iter()
                .map(|(code, kind, message)| PrinterError { code, kind, message })
                .collect(),
        };
        Ok(super::LastState {
            printer_id,
            seen,
            job_id: self.job_id.map(JobId),
            started_at: self.started_at.map(Timestamp),
            plate: codes::plate::decode(self.plate)?,
            last_seen: self.last_seen.map(Timestamp),
        })
    }
}
