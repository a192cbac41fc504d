//! Reports: the whole state as a printer of each model words it, and the difference between two of them.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::machine::{CHAMBER_DUMMY, Heater, Machine, whole};
use super::model::Model;
use super::tray::{Tray, exist_bits};

/// The fields of a report in their order; printers do not sort them, and `command` comes last.
pub type Fields = Vec<(String, Value)>;

/// Everything the machine has to say.
#[must_use]
pub fn full(machine: &Machine, address: IpAddr) -> Fields {
    let mut fields = fixed_head(machine, address);
    fields.extend(temperatures(machine));
    fields.extend(progress(machine));
    fields.extend(fixed_tail(machine));
    fields.push(("ams".into(), ams(machine)));
    if machine.model.packs_temperatures() {
        fields.push(("device".into(), device(machine)));
        let spools = ["254", "255"].map(external_spool);
        fields.push(("vir_slot".into(), json!(spools)));
    } else {
        fields.push(("vt_tray".into(), external_spool("254")));
    }
    fields
}

/// What changed from `old` to `new`; names that vanished are not mentioned, as on real printers.
#[must_use]
pub fn delta(old: &Fields, new: &Fields) -> Fields {
    let mut changed = Fields::new();
    for (name, value) in new {
        // Both lists are made by the same code, so the position nearly always agrees; search only when not.
        match old.iter().find(|(old_name, _)| old_name == name) {
            Some((_, old_value)) if old_value == value => {}
            Some((_, old_value)) => changed.push((name.clone(), difference(old_value, value))),
            None => changed.push((name.clone(), value.clone())),
        }
    }
    changed
}

/// Objects by their changed members, lists of things with an `id` by the changed things, all else whole.
fn difference(old: &Value, new: &Value) -> Value {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut changed = Map::new();
            for (name, value) in new {
                match old.get(name) {
                    Some(old_value) if old_value == value => {}
                    Some(old_value) => {
                        let part = match name.as_str() {
                            "ams" | "tray" => partial_units(old_value, value),
                            _ => difference(old_value, value),
                        };
                        changed.insert(name.clone(), part);
                    }
                    None => {
                        changed.insert(name.clone(), value.clone());
                    }
                }
            }
            Value::Object(changed)
        }
        _ => new.clone(),
    }
}

fn partial_units(old: &Value, new: &Value) -> Value {
    let (Value::Array(old_items), Value::Array(items)) = (old, new) else { return difference(old, new) };
    let mut changed = Vec::new();
    for item in items {
        match old_items.iter().find(|old_item| old_item.get("id") == item.get("id")) {
            Some(old_item) if old_item == item => {}
            Some(old_item) => {
                let mut part = difference(old_item, item);
                if let (Some(part), Some(id)) = (part.as_object_mut(), item.get("id")) {
                    part.insert("id".into(), id.clone());
                }
                changed.push(part);
            }
            None => changed.push(item.clone()),
        }
    }
    Value::Array(changed)
}

/// The payload of a `push_status`.
#[must_use]
pub fn payload(fields: &Fields, is_full: bool, sequence: u64) -> String {
    let mut text = String::from("{\"print\":{");
    for (name, value) in fields {
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        text.push_str(&value.to_string());
        text.push(',');
    }
    let kind = u8::from(!is_full);
    text.push_str(&format!("\"command\":\"push_status\",\"msg\":{kind},\"sequence_id\":\"{sequence}\"}}}}"));
    text
}

/// A temperature in the printers' steps of 1/32 degree; whole ones are sent without a point.
fn degrees(value: f64) -> Value {
    let rounded = (value * 32.0).round() / 32.0;
    if rounded.fract() == 0.0 { json!(whole(rounded)) } else { json!(rounded) }
}

/// Target in the high half, actual in the low half.
fn packed(heater: &Heater) -> Value {
    json!(whole(heater.target.round()) << 16 | whole(heater.current.round()))
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn fixed_head(machine: &Machine, address: IpAddr) -> Fields {
    // The address as a number whose lowest byte comes first.
    let number = match address {
        IpAddr::V4(address) => u32::from_le_bytes(address.octets()),
        IpAddr::V6(_) => 0,
    };
    let rtsp = machine.model.hides_the_file();
    named([
        (
            "upgrade_state",
            json!({
                "sequence_id": 0, "progress": "", "status": "IDLE", "consistency_request": false, "dis_state": 1,
                "err_code": 0, "force_upgrade": false, "message": "", "module": "", "new_version_state": 2,
                "cur_state_code": 0, "idx2": 323_234_869, "new_ver_list": [],
            }),
        ),
        (
            "ipcam",
            json!({
                "ipcam_dev": "1", "ipcam_record": "enable", "timelapse": "disable", "resolution": "1080p",
                "tutk_server": "disable", "mode_bits": 3, "rtsp_url": if rtsp { "disable" } else { "" },
            }),
        ),
        ("upload", json!({ "status": "idle", "progress": 0, "message": "" })),
        ("net", json!({ "conf": 0, "info": [{ "ip": number, "mask": 16_777_215 }] })),
    ])
}

fn temperatures(machine: &Machine) -> Fields {
    // An H2D says it only under `device`; the P2S and the older ones have the classic fields.
    if machine.model == Model::H2d {
        return Fields::new();
    }
    let nozzle = machine.nozzles.get(machine.active_nozzle).copied();
    let (current, target) = nozzle.map_or((0.0, 0.0), |nozzle| (nozzle.current, nozzle.target));
    let chamber = if machine.model.has_chamber_sensor() { machine.chamber.current } else { CHAMBER_DUMMY };
    named([
        ("nozzle_temper", degrees(current)),
        ("nozzle_target_temper", degrees(target)),
        ("bed_temper", degrees(machine.bed.current)),
        ("bed_target_temper", degrees(machine.bed.target)),
        ("chamber_temper", degrees(chamber)),
    ])
}

fn progress(machine: &Machine) -> Fields {
    let names = &machine.names;
    let is_working = matches!(machine.state, "RUNNING" | "PAUSE");
    let health: Vec<Value> =
        machine.health.iter().map(|(attr, code)| json!({ "attr": attr, "code": code })).collect();
    let mut fields = named([
        ("mc_print_stage", text(if is_working { 2 } else { 1 })),
        ("heatbreak_fan_speed", text(if is_working { 15 } else { 0 })),
        ("cooling_fan_speed", text(machine.fan)),
        ("big_fan1_speed", text(0)),
        ("big_fan2_speed", text(0)),
        ("mc_percent", json!(machine.percent)),
        ("mc_remaining_time", json!(machine.remaining_minutes)),
        ("spd_mag", json!(100)),
        ("spd_lvl", json!(machine.speed_level)),
        ("print_error", json!(machine.error)),
        ("lifecycle", json!("product")),
        ("wifi_signal", text(format!("{}dBm", machine.wifi))),
        ("gcode_state", json!(machine.state)),
        ("gcode_file_prepare_percent", text(machine.prepare_percent)),
        ("project_id", text(&names.project_id)),
        ("profile_id", text(&names.profile_id)),
        ("task_id", text(&names.task_id)),
        ("subtask_id", text(&names.subtask_id)),
        ("subtask_name", text(&names.subtask_name)),
        ("gcode_file", text(&names.gcode_file)),
        ("stg", json!(machine.stages)),
        ("stg_cur", json!(machine.stage)),
        ("print_type", text(&names.print_type)),
        ("mc_print_line_number", text(machine.line)),
        ("mc_print_sub_stage", json!(0)),
        ("layer_num", json!(machine.layer)),
        ("total_layer_num", json!(machine.layer_count)),
        ("hms", json!(health)),
    ]);
    if machine.model.hides_the_file() {
        fields.extend(named([
            ("gcode_start_time", text(&names.start_time)),
            ("job_id", text(&names.task_id)),
            ("plate_idx", json!(machine.plate)),
        ]));
    }
    if machine.model.packs_temperatures() {
        let layers = json!({ "layer_num": machine.layer, "total_layer_num": machine.layer_count });
        fields.push(("3D".into(), layers));
    }
    fields
}

fn fixed_tail(machine: &Machine) -> Fields {
    let home_flag: i64 = if machine.model == Model::H2d { -1_067_390_568 } else { 847_070_616 };
    let light = if machine.is_lit { "on" } else { "off" };
    let mut fields = named([
        ("queue_number", json!(0)),
        ("queue_total", json!(0)),
        ("home_flag", json!(home_flag)),
        ("sdcard", json!(true)),
        ("force_upgrade", json!(false)),
        ("mess_production_state", json!("active")),
        ("ams_status", json!(0)),
        ("ams_rfid_status", json!(0)),
        ("hw_switch_state", json!(u8::from(machine.tray_now != 255))),
        ("s_obj", json!([])),
        ("filam_bak", json!([])),
        ("fan_gear", json!(u32::from(machine.fan) * 17)),
        ("nozzle_diameter", json!("0.4")),
        ("nozzle_type", json!("stainless_steel")),
        ("cali_version", json!(1)),
        ("k", json!("0.0200")),
        ("flag3", json!(671)),
        ("online", json!({ "ahb": false, "rfid": false, "version": 1_145_989_246 })),
        ("lights_report", json!([{ "node": "chamber_light", "mode": light }])),
        ("xcam", json!({ "buildplate_marker_detector": true })),
    ]);
    if machine.model.packs_temperatures() {
        fields.extend(named([
            ("cfg", json!("8801D0F8")),
            ("fun", json!("1AFFF9CFF")),
            ("aux", json!("1004")),
            ("stat", json!("46258008")),
        ]));
    }
    fields
}

fn ams(machine: &Machine) -> Value {
    let units: Vec<Value> = machine.units.iter().enumerate().map(|(id, unit)| unit.to_json(id)).collect();
    let bits = exist_bits(&machine.units);
    let now = machine.tray_now.to_string();
    json!({
        "ams": units, "ams_exist_bits": format!("{:x}", (1_u32 << units.len().min(31)) - 1),
        "tray_exist_bits": bits, "tray_is_bbl_bits": bits, "tray_tar": now, "tray_now": now, "tray_pre": now,
        "tray_read_done_bits": bits, "tray_reading_bits": "0", "version": 233, "insert_flag": true,
        "power_on_flag": true,
    })
}

fn device(machine: &Machine) -> Value {
    let slot_now = match machine.tray_now {
        255 => 0xff_ff,
        tray => u32::from(tray / 4) << 8 | u32::from(tray % 4),
    };
    let extruders: Vec<Value> = machine
        .nozzles
        .iter()
        .enumerate()
        .map(|(id, heater)| {
            let snow = if id == machine.active_nozzle { slot_now } else { 0xff_ff };
            json!({
                "id": id, "temp": packed(heater), "snow": snow, "spre": snow, "star": snow, "hnow": id, "hpre": id,
                "htar": id, "info": 78, "stat": 0, "z_bias": 0, "filam_bak": [],
            })
        })
        .collect();
    let nozzles: Vec<Value> = (0..machine.nozzles.len())
        .map(|id| json!({ "id": id, "diameter": 0.4, "type": "HS01", "tm": 0, "wear": 0 }))
        .collect();
    let active = u32::try_from(machine.active_nozzle).unwrap_or(0);
    let state = u32::try_from(machine.nozzles.len()).unwrap_or(1) | active << 4;
    json!({
        "bed": { "info": { "temp": packed(&machine.bed) }, "state": 0 },
        "ctc": { "info": { "temp": packed(&machine.chamber) }, "state": 0 },
        "extruder": { "info": extruders, "state": state },
        "nozzle": { "exist": 3, "info": nozzles, "state": 0 },
        "airduct": { "modeCur": 0, "modeList": [{ "ctrl": [16, 32], "modeId": 0, "off": [] }],
            "parts": [{ "func": 0, "id": 16, "range": 6_553_600, "state": machine.fan }] },
        "type": 1,
    })
}

fn external_spool(id: &str) -> Value {
    Tray { is_filled: true, colour: "FFFFFFFF".into(), remain: 0, ..Tray::default() }.to_json(id)
}
