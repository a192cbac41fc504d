//! The names and ids by which a printer tells one print from another: they depend on the model and on who ordered
//! the print.

use serde_json::{Value, json};

use super::ftps::placing::{file_name, path};
use super::model::Model;
use super::plan::{PrintPlan, Source};
use crate::wait::epoch_seconds;

/// Ids of cloud prints count from here; they look like the real ones.
const FIRST_CLOUD_ID: u64 = 626_732_161;
/// The newer models number their LAN prints from here.
const FIRST_LAN_TASK: u64 = 9_011;

/// What the printer says about a print: its names and ids, kept until the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields carry the protocol's own names")]
pub struct Names {
    pub gcode_file: String,
    pub subtask_name: String,
    pub print_type: String,
    pub project_id: String,
    pub profile_id: String,
    pub task_id: String,
    pub subtask_id: String,
    pub start_time: String,
}

impl Names {
    /// What is shown when nothing was printed since the power came on.
    #[must_use]
    pub fn idle(model: Model) -> Self {
        Self { print_type: idle_type(model).into(), ..no_ids(model) }
    }

    /// What is shown for `plan`, the `number`th print since the power came on.
    #[must_use]
    pub fn of(plan: &PrintPlan, model: Model, number: u32) -> Self {
        let (gcode_file, subtask_name) = titles(plan, model);
        let ids = match plan.source {
            Source::Cloud => {
                let id = cloud_id(number).to_string();
                let profile_id = (FIRST_CLOUD_ID - 100_000_000 + u64::from(number)).to_string();
                Self {
                    project_id: id.clone(),
                    profile_id,
                    task_id: id.clone(),
                    subtask_id: id,
                    ..Self::default()
                }
            }
            // The newer models count LAN prints in the task id and leave the subtask's empty.
            Source::Lan | Source::SdCard if model.packs_temperatures() => {
                Self { task_id: (FIRST_LAN_TASK + u64::from(number)).to_string(), ..no_ids(model) }
            }
            Source::Lan | Source::SdCard | Source::Screen | Source::Calibration => no_ids(model),
        };
        let print_type = match plan.source {
            Source::Cloud => "cloud",
            Source::Lan | Source::SdCard | Source::Screen => "local",
            Source::Calibration => "system",
        };
        let start_time = if model.hides_the_file() { epoch_seconds().to_string() } else { "0".into() };
        Self { gcode_file, subtask_name, print_type: print_type.into(), start_time, ..ids }
    }
}

/// `gcode_file` and `subtask_name`.
fn titles(plan: &PrintPlan, model: Model) -> (String, String) {
    let shown = shown_name(&plan.name);
    match (plan.source, model.hides_the_file()) {
        (Source::Calibration, _) => {
            ("/usr/etc/print/auto_cali_for_user.gcode".into(), "auto_cali_for_user".into())
        }
        (_, true) => (format!("/data/Metadata/plate_{}.gcode", plan.plate), shown),
        (Source::Cloud | Source::Lan | Source::SdCard, false) => (file_name(plan, model), shown),
        (Source::Screen, false) => (file_name(plan, model), file_name(plan, model)),
    }
}

/// The order for the `number`th print as it comes back on the report topic.
#[must_use]
pub fn echo(plan: &PrintPlan, model: Model, stores_sent_files: bool, number: u32) -> Value {
    let is_cloud = plan.source == Source::Cloud;
    let id = if is_cloud { cloud_id(number).to_string() } else { "0".into() };
    let path = path(plan, model, stores_sent_files);
    let url = match (plan.source, &path) {
        (Source::Cloud, _) => format!("https://storage.invalid/models/{id}.3mf?X-Amz-Signature=not-for-logs"),
        (Source::SdCard, Some(path)) if model.has_internal_storage() => format!("file:///media/usb0{path}"),
        (Source::SdCard, Some(path)) => format!("file:///sdcard{path}"),
        (_, None) if model.has_internal_storage() => format!("brtc://emmc/{}", file_name(plan, model)),
        (_, _) => format!("ftp:///{}", file_name(plan, model)),
    };
    let md5 = match plan.source {
        Source::SdCard => "from_sd_card",
        // What the real sum is of is not settled, so there is none.
        _ => "",
    };
    // A number here, a text in the status: the types drift on real printers too.
    let job_id = if is_cloud { json!(cloud_id(number)) } else { json!("") };
    json!({"print": {
        "sequence_id": "0", "command": "project_file",
        "param": format!("Metadata/plate_{}.gcode", plan.plate),
        "project_id": id, "profile_id": id, "task_id": id, "subtask_id": id, "job_id": job_id,
        "design_id": "0", "model_id": "", "plate_idx": plan.plate.to_string(), "subtask_name": plan.name,
        "md5": md5, "url": url, "timelapse": false, "bed_leveling": true,
        "ams_mapping": plan.trays, "use_ams": true, "bed_temp": plan.bed_temperature,
        "timestamp": epoch_seconds(), "reason": "success", "result": "success",
    }})
}

fn cloud_id(number: u32) -> u64 {
    FIRST_CLOUD_ID + u64::from(number)
}

/// `print_type` when nothing is printed.
#[must_use]
pub fn idle_type(model: Model) -> &'static str {
    if model.hides_the_file() { "" } else { "idle" }
}

/// The title as the printer shows it: what a FAT file system cannot hold becomes an underscore.
#[must_use]
pub fn shown_name(name: &str) -> String {
    name.chars().map(|c| if r#"<>:"/\|?*"#.contains(c) { '_' } else { c }).collect()
}

fn no_ids(model: Model) -> Names {
    let zero = || String::from("0");
    let subtask_id = if model.packs_temperatures() { String::new() } else { zero() };
    Names {
        project_id: zero(),
        profile_id: zero(),
        task_id: zero(),
        subtask_id,
        start_time: zero(),
        ..Names::default()
    }
}
