//! From merged reports to the contract's words: canonical status, print, temperatures, slots, errors.

use super::files::{PrintType, Url};
use super::report::{ERROR_CANCELLED, GcodeState, Heat, Merged, Tray, plate_of};
use super::stage;
use crate::model::status::{
    Filament, Nozzle, Observation, Print, PrintKind, PrinterError, PrinterStatus, Temperatures,
};
use crate::model::{Origin, Start};

/// Firmware of the P1S writes every id above 2^31-1 as this number: it names nothing.
const ID_CLAMPED: &str = "2147483647";
/// Errors that are shown; a printer with more needs a look at its own screen.
const ERRORS_SHOWN_MAX: usize = 8;

/// What the merged reports say, in the contract's words.
#[must_use]
pub fn observe(merged: &Merged) -> Observation {
    let status = status(merged);
    let prints = matches!(status, PrinterStatus::Printing | PrinterStatus::Paused);
    let calibrates = status == PrinterStatus::Preparing && merged.gcode_state == Some(GcodeState::Running);
    let ended = matches!(status, PrinterStatus::Finished | PrinterStatus::Failed | PrinterStatus::Cancelled);
    // While a print is prepared, progress and layers are still those of the print before.
    let counts = prints || calibrates || ended;
    let (temperature, nozzles) = temperatures(merged);
    Observation {
        status,
        stage: stage_words(merged, status),
        running: merged.gcode_state == Some(GcodeState::Running),
        cancelled: merged.cancel_seen,
        print: print(merged),
        start: start(merged),
        temperature,
        nozzles,
        progress: merged.percent.filter(|_| counts),
        remaining_s: merged
            .remaining_min
            .filter(|_| prints || calibrates)
            .map(|minutes| minutes.saturating_mul(60)),
        layer: merged.layer.filter(|_| counts),
        layers: merged.layers.filter(|layers| counts && *layers > 0),
        filaments: filaments(merged),
        mapping: merged.current_echo().map(|echo| echo.slots.clone()).unwrap_or_default(),
        errors: errors(merged),
    }
}

/// Whether a full report would mend something: a printer tells the number of layers once, and that may have been missed.
#[must_use]
pub fn misses_layers(merged: &Merged) -> bool {
    merged.gcode_state == Some(GcodeState::Running) && merged.layers.is_none()
}

fn status(merged: &Merged) -> PrinterStatus {
    let Some(state) = merged.gcode_state else { return PrinterStatus::Unknown };
    match state {
        GcodeState::Idle => PrinterStatus::Idle,
        GcodeState::Prepare => PrinterStatus::Preparing,
        GcodeState::Running => {
            let at_start = merged.layer.unwrap_or(0) == 0;
            if at_start && merged.stage.is_some_and(stage::is_preparation) {
                PrinterStatus::Preparing
            } else {
                PrinterStatus::Printing
            }
        }
        GcodeState::Pause => PrinterStatus::Paused,
        GcodeState::Finish => PrinterStatus::Finished,
        GcodeState::Failed if merged.cancel_seen => PrinterStatus::Cancelled,
        GcodeState::Failed => PrinterStatus::Failed,
    }
}

/// A freshly booted printer reports stage 0 while idle, so the stage is told only while a print is on.
fn stage_words(merged: &Merged, status: PrinterStatus) -> Option<&'static str> {
    if !status.is_active() {
        return None;
    }
    match merged.gcode_state {
        Some(GcodeState::Prepare) if merged.prepare_percent.is_some_and(|percent| percent < 100) => {
            Some("downloading")
        }
        _ => merged.stage.and_then(stage::words),
    }
}

fn print(merged: &Merged) -> Print {
    let file = merged.gcode_file.clone();
    let calibration = merged.print_type.as_deref() == Some("system")
        || file.as_deref().is_some_and(|file| file.starts_with("/usr/"));
    let is_told = merged.print_type.is_some() || file.is_some();
    let kind = if calibration { PrintKind::System } else { PrintKind::User };
    let key = [("task", &merged.subtask_id), ("task", &merged.task_id)]
        .into_iter()
        .find_map(|(kind, id)| Some((kind, id.as_deref().filter(|id| *id != ID_CLAMPED)?)))
        .map(|(kind, id)| format!("{kind}:{id}"));
    let plate = plate(merged);
    let name = merged.subtask_name.clone().or_else(|| file.as_deref().map(|file| base_name(file).to_owned()));
    // The printer writes the new start time some reports after the start; later it is reliable.
    let is_under_way =
        merged.gcode_state == Some(GcodeState::Running) && merged.percent.is_some_and(|percent| percent > 0);
    let mark = merged.start_time.clone().filter(|_| is_under_way);
    Print { key, mark, name, file, plate, kind: is_told.then_some(kind) }
}

/// What helps to find the print's file.
fn start(merged: &Merged) -> Start {
    let echo = merged.current_echo();
    let told = echo.map_or(&Url::None, |echo| &echo.url);
    let origin = match (told, merged.print_type.as_deref().map(PrintType::of)) {
        (_, Some(PrintType::System)) => Origin::System,
        (Url::Ftp(path), _) => Origin::Sent(path.clone()),
        (Url::File(path), _) => Origin::OnCard(path.clone()),
        (Url::Internal(name), _) => Origin::Internal(name.clone()),
        (Url::Cloud, _) | (_, Some(PrintType::Cloud)) => Origin::Cloud,
        (_, Some(PrintType::Local)) => Origin::Local,
        (Url::None | Url::Other, Some(PrintType::Unknown) | None) => Origin::Unknown,
    };
    let (title, file) = (merged.subtask_name.clone(), merged.gcode_file.clone());
    Start { title, file, plate: plate(merged), origin }
}

/// The plate: by the file in the printer's memory, by the command that started the print, by the report.
fn plate(merged: &Merged) -> Option<u32> {
    let by_file = merged.gcode_file.as_deref().and_then(plate_of);
    by_file.or_else(|| merged.current_echo().and_then(|echo| echo.plate)).or(merged.plate)
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn temperatures(merged: &Merged) -> (Temperatures, Vec<Nozzle>) {
    let active = merged.active_extruder.unwrap_or(0);
    let mut nozzles: Vec<Nozzle> = merged
        .extruders
        .iter()
        .map(|extruder| Nozzle {
            id: extruder.id,
            current: extruder.current,
            target: extruder.target,
            active: extruder.id == active,
        })
        .collect();
    let classic = merged.nozzle;
    if nozzles.is_empty() && classic != Heat::default() {
        nozzles.push(Nozzle { id: 0, current: classic.current, target: classic.target, active: true });
    }
    let nozzle = match nozzles.iter().find(|nozzle| nozzle.active) {
        Some(nozzle) => Heat { current: nozzle.current, target: nozzle.target },
        None => classic,
    };
    let bed = if merged.device_bed == Heat::default() { merged.bed } else { merged.device_bed };
    // P1 and A1 have no chamber sensor and send exactly 5.
    let chamber = merged.device_chamber.or(merged.chamber.filter(|degrees| *degrees != 5.0));
    let temperature = Temperatures {
        nozzle: nozzle.current,
        nozzle_target: nozzle.target,
        bed: bed.current,
        bed_target: bed.target,
        chamber,
    };
    (temperature, nozzles)
}

fn filaments(merged: &Merged) -> Vec<Filament> {
    let inside = merged.units.iter().flat_map(|unit| {
        unit.trays.iter().map(move |tray| {
            // AMS HT units are numbered from 128 and hold one spool: the unit's number is the slot's.
            let slot =
                if unit.id < 128 { unit.id.saturating_mul(4).saturating_add(tray.id) } else { unit.id };
            (slot, tray)
        })
    });
    let outside = merged.external.iter().map(|tray| (tray.id, tray));
    inside.chain(outside).filter_map(|(slot, tray)| filament(slot, tray, merged.tray_now)).collect()
}

fn filament(slot: u16, tray: &Tray, now: Option<u16>) -> Option<Filament> {
    let active = now == Some(slot);
    if tray.material.is_none() && !active {
        return None; // An empty slot.
    }
    Some(Filament {
        slot,
        material: tray.material.clone(),
        color: tray.color.as_deref().and_then(color),
        remaining_percentage: tray.remain,
        active,
        material_id: None,
    })
}

/// `RRGGBBAA` to `#RRGGBB`; a wholly transparent colour is no colour.
fn color(text: &str) -> Option<String> {
    let hex = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rgb = text.get(..6).filter(|_| hex && text.get(6..) != Some("00"))?;
    Some(format!("#{}", rgb.to_ascii_uppercase()))
}

fn errors(merged: &Merged) -> Vec<PrinterError> {
    let mut errors = Vec::new();
    let error = merged.print_error;
    if error != 0 {
        let message =
            if error == ERROR_CANCELLED { "the print was cancelled" } else { "the print needs a look" };
        errors.push(PrinterError {
            code: format!("{:04X}-{:04X}", error >> 16, error & 0xFFFF),
            kind: "print".into(),
            message: message.into(),
        });
    }
    for health in &merged.hms {
        let kind = match health.code >> 16 {
            1 => "fatal",
            2 => "serious",
            3 => "common",
            _ => "info",
        };
        let module = match health.attr >> 24 {
            0x03 => "motion",
            0x05 => "mainboard",
            0x07 => "AMS",
            0x08 => "toolhead",
            0x0C => "camera",
            _ => "printer",
        };
        errors.push(PrinterError {
            code: format!(
                "{:04X}-{:04X}-{:04X}-{:04X}",
                health.attr >> 16,
                health.attr & 0xFFFF,
                health.code >> 16,
                health.code & 0xFFFF
            ),
            kind: kind.into(),
            message: format!("{module}: look the code up on the printer's screen"),
        });
    }
    errors.truncate(ERRORS_SHOWN_MAX);
    errors
}
