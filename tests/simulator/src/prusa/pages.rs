//! The JSON documents.

use serde_json::{Map, Value, json};

use super::config::Config;
use super::machine::{Machine, State};
use super::stick::{Entry, Kind};
use super::world::{World, merge};

/// Diameter of the nozzle.
const NOZZLE_MM: f64 = 0.4;

/// `/api/version`.
pub fn version(config: &Config) -> Value {
    json!({
        "api": "2.0.0", "server": "2.1.2", "nozzle_diameter": NOZZLE_MM, "text": "PrusaLink",
        "hostname": config.hostname, "capabilities": { "upload-by-put": true },
    })
}

/// `/api/v1/info`.
pub fn info(config: &Config) -> Value {
    json!({
        "nozzle_diameter": NOZZLE_MM, "mmu": false, "serial": config.serial, "hostname": config.hostname,
        "min_extrusion_temp": 170,
    })
}

/// `/api/v1/storage`.
pub fn storage() -> Value {
    json!({ "storage_list": [
        { "path": "/usb/", "name": "usb", "type": "USB", "read_only": false, "available": true },
    ]})
}

/// `/api/v1/status`.
pub fn status(world: &World) -> Value {
    let mut page = Map::new();
    if let Some(job) = world.machine.job() {
        let mut fields = progress(&world.machine);
        fields.insert("id".into(), json!(job.id));
        page.insert("job".into(), Value::Object(fields));
    }
    page.insert("storage".into(), json!({ "path": "/usb/", "name": "usb", "read_only": false }));
    if let Some(transfer) = transfer_fields(world) {
        page.insert("transfer".into(), Value::Object(transfer));
    }
    page.insert("printer".into(), printer(&world.machine));
    let mut page = Value::Object(page);
    if !world.status_patch.is_null() {
        merge(&mut page, &world.status_patch);
    }
    page
}

fn printer(machine: &Machine) -> Value {
    let (target_nozzle, target_bed) = machine.targets();
    let is_printing = machine.is_busy();
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("state", json!(machine.state().name()));
    put("temp_bed", json!(tenths(machine.bed_c)));
    put("target_bed", json!(tenths(target_bed)));
    put("temp_nozzle", json!(tenths(machine.nozzle_c)));
    put("target_nozzle", json!(tenths(target_nozzle)));
    put("axis_z", json!(tenths(machine.height_mm())));
    if !is_printing {
        put("axis_x", json!(0.0));
        put("axis_y", json!(0.0));
    }
    put("flow", json!(100));
    put("speed", json!(100));
    let is_moving = is_printing && machine.state() == State::Printing;
    put("fan_hotend", json!(if machine.nozzle_c > 50.0 { 7_120 } else { 0 }));
    put("fan_print", json!(if is_moving && machine.percent() > 1.0 { 4_560 } else { 0 }));
    Value::Object(fields)
}

/// Percent as a whole number, seconds as whole numbers, the estimate where there is one.
fn progress(machine: &Machine) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("progress".into(), json!(machine.percent().floor()));
    if let Some(left) = machine.time_remaining_s() {
        fields.insert("time_remaining".into(), json!(whole(left)));
    }
    fields.insert("time_printing".into(), json!(whole(machine.time_printing_s)));
    fields
}

/// `/api/v1/job`; `None` is 204.
pub fn job(world: &World) -> Option<Value> {
    let job = world.machine.job()?;
    let mut page = progress(&world.machine);
    page.insert("id".into(), json!(job.id));
    page.insert("state".into(), json!(world.machine.state().job_name()));
    let path = format!("/usb{}", job.path);
    let (folder, name) = path.rsplit_once('/').unwrap_or(("/usb", &path));
    let mut file = Map::new();
    file.insert("name".into(), json!(name));
    file.insert("display_name".into(), json!(job.long));
    file.insert("path".into(), json!(folder));
    file.insert("refs".into(), refs(&path, true, true));
    let entry = world.stick.find(&job.path).map(|(entry, _)| entry);
    if let Some((entry, body)) =
        entry.and_then(|entry| Some((entry, entry.file()?))).filter(|(_, body)| !body.is_partial)
    {
        file.insert("size".into(), json!(body.content.len()));
        file.insert("m_timestamp".into(), json!(entry.modified_s));
    }
    page.insert("file".into(), Value::Object(file));
    let mut page = Value::Object(page);
    if !world.job_patch.is_null() {
        merge(&mut page, &world.job_patch);
    }
    Some(page)
}

/// `/api/v1/transfer`; `None` is 204.
pub fn transfer(world: &World) -> Option<Value> {
    let mut fields = transfer_fields(world)?;
    let transfer = world.shown_transfer()?;
    let (entry, _) = world.stick.find(&transfer.path)?;
    fields.insert("type".into(), json!("FROM_CONNECT"));
    fields.insert("display_name".into(), json!(entry.long));
    fields.insert("path".into(), json!(format!("/usb{}", transfer.path)));
    fields.insert("size".into(), json!(whole(transfer.size)));
    fields.insert("to_print".into(), json!(false));
    Some(Value::Object(fields))
}

fn transfer_fields(world: &World) -> Option<Map<String, Value>> {
    let transfer = world.shown_transfer()?;
    let mut fields = Map::new();
    fields.insert("id".into(), json!(transfer.id));
    fields.insert("time_transferring".into(), json!(whole(transfer.seconds)));
    fields.insert(
        "progress".into(),
        json!((transfer.received / transfer.size.max(1.0) * 10_000.0).floor() / 100.0),
    );
    fields.insert("transferred".into(), json!(whole(transfer.received)));
    Some(fields)
}

/// A folder with its children, which have no sizes and no children of their own. `entry` is `None` for the root.
pub fn folder(entry: Option<&Entry>, path: &str, children: &[Entry]) -> Value {
    let mut page = Map::new();
    page.insert("type".into(), json!("FOLDER"));
    page.insert("ro".into(), json!(false));
    if let Some(entry) = entry {
        page.insert("m_timestamp".into(), json!(entry.modified_s));
    }
    page.insert("name".into(), json!(entry.map_or("usb", |entry| entry.short.as_str())));
    let visible = children.iter().filter(|child| !child.long.starts_with('.'));
    page.insert("children".into(), visible.map(|child| listed(child, path)).collect());
    Value::Object(page)
}

fn listed(child: &Entry, folder: &str) -> Value {
    let mut fields = common(child);
    if let Kind::File(body) = &child.kind {
        let path = format!("/usb{folder}/{}", child.short);
        fields.insert("refs".into(), refs(&path, is_printable(&child.short), !body.is_partial));
    }
    Value::Object(fields)
}

/// A file with its size. Its download is named here even while it cannot be had.
pub fn file(entry: &Entry, path: &str) -> Value {
    let mut fields = common(entry);
    if let Kind::File(body) = &entry.kind {
        fields.insert("size".into(), json!(body.content.len()));
    }
    fields.insert("refs".into(), refs(&format!("/usb{path}"), is_printable(&entry.short), true));
    Value::Object(fields)
}

fn common(entry: &Entry) -> Map<String, Value> {
    let is_partial = entry.file().is_some_and(|body| body.is_partial);
    let mut fields = Map::new();
    fields.insert("name".into(), json!(entry.short));
    fields.insert("ro".into(), json!(is_partial));
    fields.insert("type".into(), json!(kind(entry)));
    fields.insert("m_timestamp".into(), json!(entry.modified_s));
    fields.insert("display_name".into(), json!(entry.long));
    fields
}

fn refs(path: &str, has_pictures: bool, has_download: bool) -> Value {
    let mut refs = Map::new();
    if has_pictures {
        refs.insert("icon".into(), json!(format!("/thumb/s{path}")));
        refs.insert("thumbnail".into(), json!(format!("/thumb/l{path}")));
    }
    if has_download {
        refs.insert("download".into(), json!(path));
    }
    Value::Object(refs)
}

fn kind(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::Folder(_) => "FOLDER",
        Kind::File(_) if is_printable(&entry.short) => "PRINT_FILE",
        Kind::File(_) if entry.short.ends_with(".BBF") => "FIRMWARE",
        Kind::File(_) => "FILE",
    }
}

/// By the short name's extension.
fn is_printable(short: &str) -> bool {
    [".GCO", ".BGC", ".G", ".GC"].iter().any(|extension| short.ends_with(extension))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the range first")]
fn whole(value: f64) -> u64 {
    value.clamp(0.0, 1e15) as u64
}
