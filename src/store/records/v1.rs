//! Version 1 of every record. Postcard is positional: order and types of the fields are the format.

use serde::{Deserialize, Serialize};

use super::codes;
use crate::base::clock::Timestamp;
use crate::base::secret::Secret;
use crate::model::status::Print;
use crate::model::{self, ConnectionConfig, JobId, PrinterId};
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

impl Job {
    pub(in crate::store) fn into_model(self, id: JobId) -> Result<model::Job, DecodeError> {
        Ok(model::Job {
            id,
            printer_id: PrinterId(self.printer_id),
            printer_name: self.printer_name,
            name: self.name,
            file: self.file,
            plate: self.plate,
            file_id: None,
            status: codes::job_status::decode(self.status)?,
            auto: self.auto,
            progress: self.progress,
            error: self.error,
            notes: None,
            material: model::JobMaterial::default(),
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            printing_at: self.printing_at.map(Timestamp),
            ended_at: self.ended_at.map(Timestamp),
            clock_synced: self.clock_synced,
            created_seq: self.created_seq,
        })
    }
}

/// What is remembered of a printer between two reports.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Track {
    shown: u8,
    seen: u8,
    print_key: Option<String>,
    print_mark: Option<String>,
    print_name: Option<String>,
    print_file: Option<String>,
    print_plate: Option<u32>,
    print_kind: Option<u8>,
    job_id: Option<u64>,
    progress: Option<u8>,
    plate: u8,
    started_at: Option<i64>,
    errors: Vec<String>,
    last_seen: Option<i64>,
}

impl From<&model::Track> for Track {
    fn from(track: &model::Track) -> Track {
        let print = track.print.clone();
        Track {
            shown: codes::printer_status::encode(track.shown),
            seen: codes::printer_status::encode(track.seen),
            print_key: print.key,
            print_mark: print.mark,
            print_name: print.name,
            print_file: print.file,
            print_plate: print.plate,
            print_kind: print.kind.map(codes::print_kind::encode),
            job_id: track.job_id.map(|id| id.0),
            progress: track.progress,
            plate: codes::plate::encode(track.plate),
            started_at: track.started_at.map(|time| time.0),
            errors: track.errors.clone(),
            last_seen: track.last_seen.map(|time| time.0),
        }
    }
}

impl Track {
    pub(in crate::store) fn into_model(self, printer_id: PrinterId) -> Result<model::Track, DecodeError> {
        Ok(model::Track {
            printer_id,
            shown: codes::printer_status::decode(self.shown)?,
            seen: codes::printer_status::decode(self.seen)?,
            print: Print {
                key: self.print_key,
                mark: self.print_mark,
                name: self.print_name,
                file: self.print_file,
                plate: self.print_plate,
                kind: self.print_kind.map(codes::print_kind::decode).transpose()?,
            },
            job_id: self.job_id.map(JobId),
            progress: self.progress,
            plate: codes::plate::decode(self.plate)?,
            started_at: self.started_at.map(Timestamp),
            errors: self.errors,
            last_seen: self.last_seen.map(Timestamp),
        })
    }
}
