//! What a printer answers to requests. Pure: a request and the machine in, answers out.

use serde_json::{Value, json};

use super::machine::{Machine, PauseReason};
use super::model::Model;
use super::plan::{PrintPlan, Source};

/// What a request leads to, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Reaction {
    /// Publish this message.
    Publish(Value),
    /// Publish a full report.
    Full,
    /// Publish a report in the model's manner.
    Report,
    /// It asked for everything.
    CountPushall,
    /// It asked for versions.
    CountVersion,
    /// The stream runs again, if it had fallen asleep.
    WakeUp,
}

/// Understands one request. Nonsense leads to nothing, as on real printers.
#[must_use]
pub fn react(payload: &[u8], machine: &mut Machine, serial: &str, is_developer_mode: bool) -> Vec<Reaction> {
    let Ok(Value::Object(sections)) = serde_json::from_slice::<Value>(payload) else { return Vec::new() };
    let mut reactions = Vec::new();
    for (section, request) in &sections {
        let command = request.get("command").and_then(Value::as_str).unwrap_or_default();
        match (section.as_str(), command) {
            ("pushing", "pushall") => {
                reactions.extend([Reaction::CountPushall, Reaction::WakeUp, Reaction::Full]);
            }
            ("pushing", "start") => reactions.extend([Reaction::WakeUp, Reaction::Report]),
            ("info", "get_version") => {
                let versions = versions(machine.model, machine.units.len(), serial, request);
                reactions.extend([Reaction::CountVersion, Reaction::Publish(versions)]);
            }
            ("print" | "system" | "xcam", _) if !command.is_empty() => {
                if is_developer_mode {
                    reactions.extend(act(section, command, request, machine));
                } else {
                    reactions.push(Reaction::Publish(refusal(section, command, request)));
                }
            }
            _ => {}
        }
    }
    reactions
}

/// Commands that do something. Since early 2025 printers take them only in Developer Mode.
fn act(section: &str, command: &str, request: &Value, machine: &mut Machine) -> Vec<Reaction> {
    let outcome = match (section, command) {
        ("print", "pause") => machine.pause(PauseReason::User).map(|()| None),
        ("print", "resume") => machine.resume().map(|()| None),
        ("print", "stop") => machine.cancel(None).map(|()| None),
        ("print", "project_file") => machine.start(ordered_plan(request)),
        ("system", "ledctrl") => {
            machine.is_lit = request.get("led_mode").and_then(Value::as_str) != Some("off");
            Ok(None)
        }
        _ => Ok(None),
    };
    let is_success = outcome.is_ok();
    let result = if is_success { "success" } else { "fail" };
    let mut answer =
        json!({ "sequence_id": sequence(request), "param": "", "result": result, "reason": result });
    if let Some(fields) = answer.as_object_mut() {
        // Many acknowledgements of the newer models lack the command's name.
        if !machine.model.packs_temperatures() {
            fields.insert("command".into(), json!(command));
        }
    }
    let mut reactions = vec![Reaction::Publish(json!({ section: answer }))];
    if let Ok(Some(echo)) = outcome {
        reactions.push(Reaction::Publish(echo));
    }
    if is_success {
        reactions.push(Reaction::Report);
    }
    reactions
}

/// A slicer's order on the LAN.
fn ordered_plan(request: &Value) -> PrintPlan {
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    let plate = text("param").trim_start_matches("Metadata/plate_").trim_end_matches(".gcode").parse();
    let name = match text("subtask_name") {
        "" => text("url").rsplit('/').next().unwrap_or_default().trim_end_matches(".gcode.3mf"),
        name => name,
    };
    let plan = PrintPlan::default();
    PrintPlan { name: name.to_owned(), source: Source::Lan, plate: plate.unwrap_or(1), ..plan }
}

fn refusal(section: &str, command: &str, request: &Value) -> Value {
    json!({ section: {
        "command": command, "sequence_id": sequence(request), "result": "failed",
        "reason": "mqtt message verify failed", "err_code": 84_033_543,
    }})
}

fn sequence(request: &Value) -> Value {
    request.get("sequence_id").cloned().unwrap_or_else(|| json!("0"))
}

fn versions(model: Model, unit_count: usize, serial: &str, request: &Value) -> Value {
    let module = |name: String, product: &str, version: &str, hardware: &str| {
        json!({
            "name": name, "product_name": product, "sw_ver": version, "hw_ver": hardware, "sn": serial,
            "loader_ver": "00.00.00.00", "flag": 0, "visible": !product.is_empty(),
        })
    };
    let mut modules = vec![
        module("ota".into(), model.product_name(), model.firmware(), "OTA"),
        module("esp32".into(), "", "01.16.39.58", "AP05"),
        module("mc".into(), "", "00.01.30.10", "MC02"),
        module("th".into(), "", "00.00.07.72", "TH03"),
    ];
    for unit in 0..unit_count {
        let (name, product) = match model {
            Model::A1 | Model::A1Mini => ("ams_f1", "AMS Lite"),
            Model::X1c | Model::P1s => ("ams", "AMS"),
            Model::H2d | Model::P2s => ("n3f", "AMS 2 Pro"),
        };
        modules.push(module(format!("{name}/{unit}"), product, "00.00.08.15", "AMS_F102"));
    }
    json!({ "info": { "command": "get_version", "sequence_id": sequence(request), "module": modules } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(request: &str, is_developer_mode: bool) -> (Vec<Reaction>, Machine) {
        let mut machine = Machine::new(Model::P1s, "S", 1);
        let reactions = react(request.as_bytes(), &mut machine, "S", is_developer_mode);
        (reactions, machine)
    }

    #[test]
    fn commands_are_refused_without_developer_mode_and_reads_are_not() {
        let (reactions, _) = run(r#"{"print":{"command":"stop","sequence_id":"7"}}"#, false);
        let [Reaction::Publish(answer)] = reactions.as_slice() else { panic!("one answer: {reactions:?}") };
        assert_eq!(answer["print"]["err_code"], 84_033_543);
        let (reactions, _) = run(r#"{"info":{"command":"get_version","sequence_id":"7"}}"#, false);
        assert!(matches!(reactions.as_slice(), [Reaction::CountVersion, Reaction::Publish(_)]));
    }

    #[test]
    fn a_slicers_order_starts_a_print_with_its_plate() {
        let request = r#"{"print":{"command":"project_file","param":"Metadata/plate_3.gcode",
            "url":"ftp:///Box.gcode.3mf","subtask_name":"Box"}}"#;
        let (reactions, mut machine) = run(request, true);
        assert_eq!(reactions.len(), 3);
        while machine.state != "PREPARE" {
            machine.advance(machine.until_next_step().expect("the print goes on"));
        }
        assert_eq!((machine.names.gcode_file.as_str(), machine.plate), ("Box.gcode.3mf", 3));
    }

    #[test]
    fn nonsense_leads_to_nothing() {
        for request in ["", "null", "[]", "{\"print\":3}", "{\"pushing\":{\"command\":7}}", "{\"x\""] {
            assert_eq!(run(request, true).0, Vec::new(), "{request}");
        }
    }
}
