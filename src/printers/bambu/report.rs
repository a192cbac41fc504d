//! Full and delta reports merged into what is known of a printer, field by field.
//!
//! Objects merge, arrays replace, except AMS units and trays, which are merged by their `id` because newer firmware
//! sends them in parts. Only a full report (`msg` 0) proves that something is absent. A message changes the state only
//! if it says `push_status`; the echo of `project_file` adds the plate and the slots of the file's filaments.

use std::borrow::Cow;

use super::files::{Url, is_same_title};
use crate::model::text;
use crate::printers::fields::Field;

/// AMS units that are kept: 4 AMS (ids 0-3), 8 AMS HT (128-135), and room for other generations.
const AMS_UNITS_MAX: usize = 16;
/// Trays of one unit that are kept; an AMS has 4.
const TRAYS_MAX: usize = 4;
/// External spools that are kept; dual-nozzle machines have two.
const EXTERNAL_MAX: usize = 4;
/// Health messages that are kept; a printer shows a handful at worst.
const HMS_MAX: usize = 16;
/// Extruders that are kept; machines have one or two.
const EXTRUDERS_MAX: usize = 4;
/// Filaments of one file whose slots are kept; a project has 16 at most.
const MAPPING_MAX: usize = 32;
/// Bytes of an identifying number that are kept: 64-bit numbers in decimal have 20.
const ID_BYTES_MAX: usize = 24;

/// `print_error` of a print that a person cancelled: shown as 0300-400C.
pub const ERROR_CANCELLED: u32 = 50_348_044;

/// What `gcode_state` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcodeState {
    /// Ready.
    Idle,
    /// Downloading or heating (also SLICING, and INIT with a job).
    Prepare,
    /// Printing, calibration at its start included.
    Running,
    /// Paused.
    Pause,
    /// Ended well.
    Finish,
    /// Ended badly.
    Failed,
}

/// One slot of an AMS unit or an external spool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tray {
    pub id: u16,
    pub material: Option<String>,
    /// `RRGGBBAA` as sent.
    pub color: Option<String>,
    /// Percent; `None` when unknown (-1).
    pub remain: Option<u8>,
}

/// One AMS unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unit {
    pub id: u16,
    pub trays: Vec<Tray>,
}

/// What the echo of a `project_file` command says of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The title as typed; the printer shows its own spelling of it.
    pub title: Option<String>,
    /// Where the file is. An address in the cloud is not kept.
    pub url: Url,
    /// The plate.
    pub plate: Option<u32>,
    /// The slot of each of the file's filaments; empty where it does not say.
    pub slots: Vec<Option<u16>>,
}

/// A health message: two numbers that name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    pub attr: u32,
    pub code: u32,
}

/// One extruder of a machine with packed temperatures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extruder {
    pub id: u8,
    pub current: Option<f32>,
    pub target: Option<f32>,
}

/// A temperature pair in degrees Celsius.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heat {
    pub current: Option<f32>,
    pub target: Option<f32>,
}

/// Everything kept of one printer's reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    pub gcode_state: Option<GcodeState>,
    pub print_type: Option<String>,
    pub subtask_name: Option<String>,
    pub gcode_file: Option<String>,
    pub subtask_id: Option<String>,
    pub task_id: Option<String>,
    pub start_time: Option<String>,
    pub plate: Option<u32>,
    /// What the last `project_file` said of the file, until that print is over.
    pub echo: Option<Echo>,
    pub prepare_percent: Option<u8>,
    pub percent: Option<u8>,
    pub remaining_min: Option<u32>,
    pub layer: Option<u32>,
    pub layers: Option<u32>,
    pub stage: Option<i32>,
    pub print_error: u32,
    /// The cancel code appeared during the print that is shown.
    pub cancel_seen: bool,
    pub hms: Vec<Health>,
    pub nozzle: Heat,
    pub bed: Heat,
    pub chamber: Option<f32>,
    pub device_bed: Heat,
    pub device_chamber: Option<f32>,
    pub extruders: Vec<Extruder>,
    pub active_extruder: Option<u8>,
    pub units: Vec<Unit>,
    pub external: Vec<Tray>,
    pub tray_now: Option<u16>,
}

/// What one payload was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A full report: everything that the printer knows.
    Full,
    /// A part of a report.
    Delta,
    /// Something else that a printer says, such as an acknowledgement.
    Other,
    /// Not JSON.
    Malformed,
}

/// What came of one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What it was.
    pub kind: Kind,
    /// Known fields whose value could not be used, and broken characters: each costs itself only.
    pub odd: u32,
}

/// Merges one payload, as it came from the network, into `merged`.
pub fn apply(merged: &mut Merged, payload: &[u8]) -> Applied {
    let text = String::from_utf8_lossy(payload);
    let broken = u32::from(matches!(text, Cow::Owned(_)));
    let Some(root) = Field::payload(&text) else { return Applied { kind: Kind::Malformed, odd: broken } };
    let Some((_, print)) = root.into_iter().rfind(|(key, _)| key == "print") else {
        return Applied { kind: Kind::Other, odd: broken };
    };
    let print = print.list();
    let find = |name: &str| print.iter().rfind(|(key, _)| key == name).map(|(_, value)| *value);
    let command = find("command").and_then(Field::text);
    let message = find("msg").and_then(Field::integer::<i64>);
    match command.as_deref() {
        Some("push_status") => {
            let kind = if message == Some(0) { Kind::Full } else { Kind::Delta };
            let mut merge = Merge { merged, odd: broken };
            merge.report(&print, kind);
            Applied { kind, odd: merge.odd }
        }
        Some("project_file") => {
            let mut merge = Merge { merged, odd: broken };
            merge.echo(&print);
            Applied { kind: Kind::Other, odd: merge.odd }
        }
        _ => Applied { kind: Kind::Other, odd: broken },
    }
}

struct Merge<'m> {
    merged: &'m mut Merged,
    odd: u32,
}

impl Merge<'_> {
    fn report(&mut self, print: &[(Cow<'_, str>, Field<'_>)], kind: Kind) {
        let was_active = self.merged.is_active();
        let state_before = self.merged.gcode_state;
        let error_before = self.merged.print_error;
        if kind == Kind::Full {
            // What this report does not mention is absent; a full report without a state keeps the one we know.
            *self.merged = Merged {
                gcode_state: self.merged.gcode_state,
                plate: self.merged.plate,
                echo: self.merged.echo.take(),
                print_error: 0,
                cancel_seen: self.merged.cancel_seen,
                ..Merged::default()
            };
        }
        let mut stated = None;
        let mut error = None;
        let mut plate = None;
        for (key, value) in print {
            if value.is_null() {
                self.odd += 1;
                continue;
            }
            match &**key {
                "gcode_state" => stated = self.value(value.text()),
                "print_error" => error = self.value(value.integer::<i64>()),
                "plate_idx" | "plate_id" => plate = self.value(value.integer::<u32>()).or(plate),
                key => self.field(key, *value),
            }
        }
        if let Some(stated) = stated {
            self.state(&stated);
        }
        if was_active && !self.merged.is_active() {
            // That print is over: what was said of its file is not about the next one.
            self.merged.plate = None;
            self.merged.echo = None;
        }
        if let Some(plate) = plate.filter(|plate| *plate > 0) {
            self.merged.plate = Some(plate);
        }
        if let Some(error) = error {
            // Some firmware writes the code as a negative 32-bit number; the same bits are meant.
            let code = u32::try_from(error).or_else(|_| i32::try_from(error).map(i32::cast_unsigned));
            self.merged.print_error = code.unwrap_or(0);
        }
        let is_active = self.merged.is_active();
        let is_new = is_active && !was_active && state_before.is_some();
        let has_failed = self.merged.gcode_state == Some(GcodeState::Failed);
        if is_new {
            // What the last print left behind says nothing about this one.
            self.merged.cancel_seen = false;
        } else if self.merged.print_error == ERROR_CANCELLED
            && (error_before != ERROR_CANCELLED || has_failed)
        {
            // It comes before the state. A connection may begin between the two: then it is there in the first report of a
            // print that is on. And a print that fails has a code of its own.
            self.merged.cancel_seen = true;
        }
    }

    fn field(&mut self, key: &str, value: Field<'_>) {
        match key {
            "print_type" => replace(&mut self.merged.print_type, name(value), &mut self.odd),
            "subtask_name" => replace(&mut self.merged.subtask_name, name(value), &mut self.odd),
            "gcode_file" => replace(&mut self.merged.gcode_file, name(value), &mut self.odd),
            "subtask_id" => replace(&mut self.merged.subtask_id, id(value), &mut self.odd),
            "task_id" => replace(&mut self.merged.task_id, id(value), &mut self.odd),
            "gcode_start_time" => replace(&mut self.merged.start_time, id(value), &mut self.odd),
            "gcode_file_prepare_percent" => {
                keep(&mut self.merged.prepare_percent, percent(value), &mut self.odd)
            }
            "mc_percent" => keep(&mut self.merged.percent, percent(value), &mut self.odd),
            "mc_remaining_time" => keep(&mut self.merged.remaining_min, value.integer(), &mut self.odd),
            "layer_num" => keep(&mut self.merged.layer, value.integer(), &mut self.odd),
            "total_layer_num" => keep(&mut self.merged.layers, value.integer(), &mut self.odd),
            "stg_cur" => keep(&mut self.merged.stage, value.integer(), &mut self.odd),
            "nozzle_temper" => keep(&mut self.merged.nozzle.current, celsius(value), &mut self.odd),
            "nozzle_target_temper" => keep(&mut self.merged.nozzle.target, celsius(value), &mut self.odd),
            "bed_temper" => keep(&mut self.merged.bed.current, celsius(value), &mut self.odd),
            "bed_target_temper" => keep(&mut self.merged.bed.target, celsius(value), &mut self.odd),
            "chamber_temper" => keep(&mut self.merged.chamber, celsius(value), &mut self.odd),
            "3D" => self.object(value, |merge, key, value| match key {
                "layer_num" => keep(&mut merge.merged.layer, value.integer(), &mut merge.odd),
                "total_layer_num" => keep(&mut merge.merged.layers, value.integer(), &mut merge.odd),
                _ => {}
            }),
            "hms" => self.hms(value),
            "device" => self.object(value, Merge::device),
            "ams" => self.object(value, Merge::ams),
            "vt_tray" => self.external(value),
            "vir_slot" => {
                let mut slots = Vec::new();
                self.array(value, |_, slot| slots.push(slot));
                for slot in slots {
                    self.external(slot);
                }
            }
            _ => {}
        }
    }

    fn echo(&mut self, print: &[(Cow<'_, str>, Field<'_>)]) {
        let (mut index, mut param, mut title, mut url) = (None, None, None, Url::None);
        let (mut mapping, mut refused) = (None, false);
        for (key, value) in print {
            match &**key {
                "plate_idx" => index = value.integer::<u32>(),
                "param" => param = value.text(),
                "subtask_name" => title = value.text().and_then(|text| text::name(&text)),
                "url" => url = value.text().map_or(Url::None, |text| Url::parse(&text)),
                "ams_mapping" => mapping = Some(*value),
                "result" => refused = value.text().is_some_and(|text| text.eq_ignore_ascii_case("fail")),
                _ => {}
            }
        }
        let plate = param.as_deref().and_then(plate_of).or(index).filter(|plate| *plate > 0);
        let mut slots = Vec::new();
        if let Some(mapping) = mapping.filter(|_| !refused) {
            self.array(mapping, |merge, slot| {
                if slots.len() < MAPPING_MAX {
                    // -1: this filament is not used.
                    slots.push(slot.integer::<u16>());
                } else {
                    merge.odd += 1;
                }
            });
        }
        self.merged.echo = Some(Echo { title, url, plate, slots });
    }

    fn state(&mut self, stated: &str) {
        self.merged.gcode_state = match stated {
            "IDLE" => Some(GcodeState::Idle),
            "PREPARE" | "SLICING" => Some(GcodeState::Prepare),
            "INIT" if self.merged.subtask_name.is_some() => Some(GcodeState::Prepare),
            "RUNNING" => Some(GcodeState::Running),
            "PAUSE" => Some(GcodeState::Pause),
            "FINISH" => Some(GcodeState::Finish),
            "FAILED" => Some(GcodeState::Failed),
            "" if self.merged.print_type.as_deref() == Some("idle") => Some(GcodeState::Idle),
            _ => {
                // OFFLINE, UNKNOWN and whatever comes next: the last state stands.
                self.odd += 1;
                self.merged.gcode_state
            }
        };
    }

    fn device(&mut self, key: &str, value: Field<'_>) {
        match key {
            "bed" => self.packed(value, |merged, heat| merged.device_bed = heat),
            "ctc" => self.packed(value, |merged, heat| merged.device_chamber = heat.current),
            "extruder" => self.object(value, |merge, key, value| match key {
                "state" => {
                    if let Some(state) = merge.value(value.integer::<i64>()) {
                        merge.merged.active_extruder = u8::try_from(state >> 4 & 0xF).ok();
                    }
                }
                "info" => merge.array(value, Merge::extruder),
                _ => {}
            }),
            _ => {}
        }
    }

    /// `{"info":{"temp":packed}}`
    fn packed(&mut self, value: Field<'_>, set: fn(&mut Merged, Heat)) {
        self.object(value, |merge, key, value| {
            if key == "info" {
                merge.object(value, |merge, key, value| {
                    if key == "temp"
                        && let Some(packed) = merge.value(value.integer::<i64>())
                    {
                        set(merge.merged, unpack(packed));
                    }
                });
            }
        });
    }

    fn extruder(&mut self, value: Field<'_>) {
        let (mut id, mut temp) = (None, None);
        value.entries(|key, value| match key {
            "id" => id = value.integer::<u8>(),
            "temp" => temp = value.integer::<i64>(),
            _ => {}
        });
        let (Some(id), Some(temp)) = (id, temp) else { return };
        let heat = unpack(temp);
        let extruder = Extruder { id, current: heat.current, target: heat.target };
        let extruders = &mut self.merged.extruders;
        if let Some(known) = extruders.iter_mut().find(|known| known.id == id) {
            *known = extruder;
        } else if extruders.len() < EXTRUDERS_MAX {
            extruders.push(extruder);
        } else {
            self.odd += 1;
        }
    }

    fn hms(&mut self, value: Field<'_>) {
        let mut list = Vec::new();
        self.array(value, |merge, item| {
            let (mut attr, mut code) = (None, None);
            item.entries(|key, value| match key {
                "attr" => attr = value.integer::<u32>(),
                "code" => code = value.integer::<u32>(),
                _ => {}
            });
            match (attr, code) {
                (Some(attr), Some(code)) if list.len() < HMS_MAX => list.push(Health { attr, code }),
                _ => merge.odd += 1,
            }
        });
        self.merged.hms = list;
    }

    fn ams(&mut self, key: &str, value: Field<'_>) {
        match key {
            "ams" => self.array(value, Merge::unit),
            "tray_now" => keep(&mut self.merged.tray_now, value.integer(), &mut self.odd),
            "tray_exist_bits" => {
                let bits = value.text().and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
                if let Some(bits) = self.value(bits) {
                    for unit in self.merged.units.iter_mut().filter(|unit| unit.id < 16) {
                        unit.trays.retain(|tray| bits >> (unit.id * 4 + tray.id) & 1 == 1);
                    }
                }
            }
            _ => {}
        }
    }

    fn unit(&mut self, value: Field<'_>) {
        let (mut id, mut trays) = (None, None);
        value.entries(|key, value| match key {
            "id" => id = value.integer::<u16>(),
            "tray" => trays = Some(value),
            _ => {}
        });
        let Some(id) = self.value(id) else { return };
        let Some(unit) = entry(
            &mut self.merged.units,
            AMS_UNITS_MAX,
            id,
            |unit| unit.id,
            || Unit { id, trays: Vec::new() },
        ) else {
            self.odd += 1;
            return;
        };
        let mut list = std::mem::take(&mut unit.trays);
        if let Some(trays) = trays {
            trays.elements(|tray| merge_tray(&mut list, TRAYS_MAX, tray, &mut self.odd));
        }
        if let Some(unit) = self.merged.units.iter_mut().find(|unit| unit.id == id) {
            unit.trays = list;
        }
    }

    fn external(&mut self, value: Field<'_>) {
        let mut list = std::mem::take(&mut self.merged.external);
        merge_tray(&mut list, EXTERNAL_MAX, value, &mut self.odd);
        self.merged.external = list;
    }

    fn object(&mut self, value: Field<'_>, mut each: impl FnMut(&mut Self, &str, Field<'_>)) {
        if !value.entries(|key, value| {
            if !value.is_null() {
                each(self, key, value)
            }
        }) {
            self.odd += 1;
        }
    }

    fn array<'a>(&mut self, value: Field<'a>, mut each: impl FnMut(&mut Self, Field<'a>)) {
        if !value.elements(|value| each(self, value)) {
            self.odd += 1;
        }
    }

    fn value<T>(&mut self, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.odd += 1;
        }
        value
    }
}

impl Merged {
    /// What the last `project_file` said, if it was about the print that is shown: one that was refused is followed by
    /// others.
    pub fn current_echo(&self) -> Option<&Echo> {
        self.echo.as_ref().filter(|echo| match (&echo.title, &self.subtask_name) {
            (Some(typed), Some(shown)) => is_same_title(typed, shown),
            _ => true,
        })
    }

    fn is_active(&self) -> bool {
        use GcodeState as S;
        matches!(self.gcode_state, Some(S::Prepare | S::Running | S::Pause))
    }
}

/// A name, or that there is none (""). `None` where the value cannot be a name: a number is none.
fn name(value: Field<'_>) -> Option<Option<String>> {
    let text = value.text().filter(|_| value.is_text())?;
    Some(text::name(&text))
}

/// An identifying number as text; "0" and "" stand for none. `None` where the value cannot be one.
fn id(value: Field<'_>) -> Option<Option<String>> {
    let text = value.text()?;
    Some(Some(text::clean(&text, ID_BYTES_MAX)).filter(|id| !id.is_empty() && id != "0"))
}

/// Replaces a value, also by none; what cannot be used costs a count and leaves what was known.
fn replace<T>(place: &mut T, value: Option<T>, odd: &mut u32) {
    match value {
        Some(value) => *place = value,
        None => *odd += 1,
    }
}

/// Keeps a value that can be used; one that cannot costs a count and leaves what was known.
fn keep<T>(place: &mut Option<T>, value: Option<T>, odd: &mut u32) {
    match value {
        Some(value) => *place = Some(value),
        None => *odd += 1,
    }
}

fn merge_tray(list: &mut Vec<Tray>, max: usize, value: Field<'_>, odd: &mut u32) {
    let mut id = None;
    value.entries(|key, value| {
        if key == "id" {
            id = value.integer::<u16>();
        }
    });
    let Some(id) = id else {
        *odd += 1;
        return;
    };
    let Some(tray) = entry(list, max, id, |tray| tray.id, || Tray { id, ..Tray::default() }) else {
        *odd += 1;
        return;
    };
    value.entries(|key, value| match key {
        "tray_type" => tray.material = value.text().and_then(|text| text::name(&text)),
        "tray_color" => tray.color = value.text().and_then(|text| text::name(&text)),
        "remain" => tray.remain = value.integer::<u8>().filter(|remain| *remain <= 100),
        _ => {}
    });
}

fn entry<T>(
    list: &mut Vec<T>,
    max: usize,
    id: u16,
    id_of: fn(&T) -> u16,
    new: impl FnOnce() -> T,
) -> Option<&mut T> {
    let position = list.iter().position(|known| id_of(known) == id);
    let position = match position {
        Some(position) => position,
        None if list.len() < max => {
            list.push(new());
            list.len() - 1
        }
        None => return None,
    };
    list.get_mut(position)
}

fn percent(value: Field<'_>) -> Option<u8> {
    value.integer::<u8>().filter(|percent| *percent <= 100)
}

/// Degrees Celsius; what no machine can have is a mistake.
fn celsius(value: Field<'_>) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "a temperature needs no double precision")]
    value.number().filter(|degrees| (-60.0..=1000.0).contains(degrees)).map(|degrees| degrees as f32)
}

/// Newer machines pack two temperatures into one number: low 16 bits measured, high 16 bits wanted.
fn unpack(packed: i64) -> Heat {
    let half = |shift: u32| {
        u16::try_from(packed >> shift & 0xFFFF).ok().map(f32::from).filter(|degrees| *degrees <= 1000.0)
    };
    Heat { current: half(0), target: half(16) }
}

/// The plate in `.../plate_N.gcode`.
pub fn plate_of(path: &str) -> Option<u32> {
    let name = path.rsplit('/').next()?;
    let digits = name.strip_prefix("plate_")?.strip_suffix(".gcode")?;
    digits.parse().ok().filter(|plate| *plate > 0)
}
