//! Prints from the order to the end, as a subscriber sees them; deltas that add up to the full report; sizes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at once")]

mod common;

use common::Client;
use serde_json::{Map, Value, json};
use simulator::bambu::{
    CancelEnd, Command, CommandError, Config, Model, Outcome, PauseReason, PrintPlan, Printer, Source, Tray,
};

const SERIAL: &str = "01P00A000000001";
const CODE: &str = "12345678";

/// A printer, a subscriber, and the state that the subscriber put together.
struct Watched {
    printer: Printer,
    client: Client,
    state: Value,
    /// Every different value of `gcode_state` in order.
    states: Vec<String>,
    /// The commands of messages that are no status.
    others: Vec<Value>,
}

impl Watched {
    fn new(model: Model) -> Self {
        let printer = Printer::start(Config::manual(model, SERIAL, CODE)).unwrap();
        let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
        let state = client.pushall(SERIAL)["print"].clone();
        let states = vec![state["gcode_state"].as_str().unwrap().to_owned()];
        Self { printer, client, state, states, others: Vec::new() }
    }

    /// Gives an order and takes in everything that it causes.
    fn order(&mut self, order: Command) {
        self.printer.command(order).unwrap();
        self.catch_up();
    }

    fn catch_up(&mut self) {
        // An answer to this marks the end of what was sent before.
        self.printer.command(Command::Publish { text: "{\"mark\":1}".into(), topic: None }).unwrap();
        loop {
            let report = self.client.report();
            if report.get("mark").is_some() {
                return;
            }
            if report["print"]["command"] != "push_status" {
                self.others.push(report);
                continue;
            }
            merge(&mut self.state, &report["print"]);
            let state = self.state["gcode_state"].as_str().unwrap();
            if self.states.last().map(String::as_str) != Some(state) {
                self.states.push(state.to_owned());
            }
        }
    }

    fn start(&mut self, plan: PrintPlan) {
        self.order(Command::StartPrint { plan });
    }

    fn advance(&mut self, seconds: f64) {
        self.order(Command::Advance { seconds });
    }

    fn full(&mut self) -> Value {
        self.client.pushall(SERIAL)["print"].clone()
    }
}

/// The merge that the reports are made for: objects deeply, lists of units and trays by id, all else replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                let place = into.entry(name.clone()).or_insert(Value::Null);
                if matches!(name.as_str(), "ams" | "tray") && value.is_array() {
                    merge_units(place, value);
                } else {
                    merge(place, value);
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn merge_units(into: &mut Value, from: &Value) {
    for item in from.as_array().unwrap() {
        let items = into.as_array_mut().unwrap();
        match items.iter_mut().find(|old| old["id"] == item["id"]) {
            // An emptied tray says nothing but its id.
            Some(old) if item.as_object().unwrap().len() == 1 => *old = item.clone(),
            Some(old) => merge(old, item),
            None => items.push(item.clone()),
        }
    }
}

fn without_envelope(print: &Value) -> Map<String, Value> {
    let mut fields = print.as_object().unwrap().clone();
    for name in ["msg", "sequence_id"] {
        fields.remove(name);
    }
    fields
}

fn cloud() -> PrintPlan {
    PrintPlan { name: "Würfel: groß".into(), layers: 50, ..PrintPlan::default() }
}

#[test]
fn a_cloud_print_goes_through_its_states() {
    let mut watched = Watched::new(Model::A1);
    watched.start(cloud());
    let echo = watched.others[0]["print"].clone();
    assert_eq!(
        (&echo["command"], &echo["subtask_name"]),
        (&json!("project_file"), &json!("Würfel: groß")),
        "the echo has the name as typed"
    );
    assert!(echo["job_id"].is_number() && echo["task_id"].is_string());
    watched.advance(3.0);
    assert_eq!(watched.state["gcode_state"], "PREPARE");
    assert_eq!(watched.state["gcode_file"], "Würfel_ groß.3mf");
    assert_eq!(watched.state["subtask_name"], "Würfel_ groß");
    assert_eq!(watched.state["gcode_file_prepare_percent"], "0");
    assert_eq!(watched.state["print_type"], "cloud");
    assert_eq!(watched.state["task_id"], echo["task_id"]);
    watched.advance(12.0);
    assert_eq!(watched.state["gcode_state"], "RUNNING");
    assert_eq!(watched.state["gcode_file_prepare_percent"], "100");
    assert_eq!(watched.state["total_layer_num"], 50);
    assert_eq!((&watched.state["stg_cur"], &watched.state["layer_num"]), (&json!(2), &json!(0)));
    watched.advance(303.0 + 1_800.0);
    assert_eq!(watched.state["stg_cur"], 0);
    assert_eq!(watched.state["mc_percent"], 50);
    assert_eq!(watched.state["layer_num"], 26);
    assert_eq!(watched.state["mc_remaining_time"], 30);
    assert_eq!(watched.state["mc_print_stage"], "2");
    watched.advance(1_810.0);
    assert_eq!((&watched.state["stg_cur"], &watched.state["gcode_state"]), (&json!(255), &json!("RUNNING")));
    watched.advance(30.0);
    assert_eq!(watched.state["gcode_state"], "FINISH");
    assert_eq!(watched.state["gcode_file"], "");
    assert_eq!(watched.state["subtask_name"], "Würfel_ groß");
    assert_eq!(watched.state["print_type"], "idle");
    assert_eq!(watched.state["mc_percent"], 100);
    assert_eq!(watched.states, ["IDLE", "PREPARE", "RUNNING", "FINISH"]);
    // The next one starts without an IDLE between, under other ids.
    let first_id = watched.state["task_id"].clone();
    watched.start(cloud());
    watched.advance(5_000.0);
    assert_eq!(watched.states[4..], ["PREPARE", "RUNNING", "FINISH"]);
    assert_ne!(watched.state["task_id"], first_id);
}

#[test]
fn deltas_add_up_to_the_full_report_on_every_model() {
    for model in Model::ALL {
        let mut watched = Watched::new(model);
        watched.start(PrintPlan { trays: vec![0, 1], ..cloud() });
        for _ in 0..40 {
            watched.advance(60.0);
        }
        watched.order(Command::Pause { reason: PauseReason::Runout });
        watched.order(Command::SetTray { index: 1, tray: Tray::default() });
        watched.order(Command::SetTray {
            index: 2,
            tray: Tray { is_filled: true, kind: "ASA".into(), ..Tray::default() },
        });
        watched.order(Command::Resume);
        watched.advance(5_000.0);
        let merged = without_envelope(&watched.state.clone());
        assert_eq!(merged, without_envelope(&watched.full()), "{model:?}");
    }
}

#[test]
fn sizes_are_those_of_the_real_ones() {
    for (model, full) in [
        (Model::A1, 3_800..4_800),
        (Model::A1Mini, 3_800..4_800),
        (Model::P1s, 3_800..4_800),
        (Model::X1c, 6_000..13_000),
        (Model::H2d, 6_500..14_000),
        (Model::P2s, 5_000..7_500),
    ] {
        let printer = Printer::start(Config::manual(model, SERIAL, CODE)).unwrap();
        let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
        client.request(SERIAL, r#"{"pushing":{"command":"pushall"}}"#).unwrap();
        let size = client.payload().unwrap().len();
        println!("{model:?}: a full report has {size} bytes");
        assert!(full.contains(&size), "{model:?}: {size}");
        if !model.is_always_full() {
            printer.command(Command::Report).unwrap();
            let size = client.payload().unwrap().len();
            assert!(size < 300, "{model:?}: a delta of {size} bytes");
        }
    }
}

#[test]
fn a_screen_start_shows_its_names_while_idle_and_has_no_ids() {
    let mut watched = Watched::new(Model::A1);
    watched.start(PrintPlan { source: Source::Screen, ..cloud() });
    assert_eq!(watched.state["gcode_state"], "IDLE");
    assert_eq!(watched.state["gcode_file"], "Würfel_ groß.3mf");
    assert_eq!(watched.state["subtask_name"], "Würfel_ groß.3mf");
    watched.advance(5_000.0);
    assert_eq!(watched.states, ["IDLE", "PREPARE", "RUNNING", "FINISH"]);
    assert_eq!((&watched.state["task_id"], &watched.state["subtask_id"]), (&json!("0"), &json!("0")));
    assert!(watched.others.is_empty(), "no echo");
    // A second one: FINISH, IDLE with names, PREPARE; or, told so, FINISH to PREPARE.
    watched.start(PrintPlan { source: Source::Screen, ..cloud() });
    watched.advance(5_000.0);
    watched.start(PrintPlan { source: Source::Screen, starts_directly: true, ..cloud() });
    watched.advance(5_000.0);
    assert_eq!(watched.states[4..], ["IDLE", "PREPARE", "RUNNING", "FINISH", "PREPARE", "RUNNING", "FINISH"]);
}

#[test]
fn big_models_hide_the_file_and_name_the_plate() {
    for (model, task, scheme) in [(Model::X1c, "0", "ftp:///"), (Model::H2d, "9012", "brtc://emmc/")] {
        let mut watched = Watched::new(model);
        watched.start(PrintPlan { source: Source::Lan, plate: 3, name: "Box - Plate 3".into(), ..cloud() });
        assert_eq!(watched.others[0]["print"]["url"], format!("{scheme}Box - Plate 3.gcode.3mf"));
        assert_eq!(watched.others[0]["print"]["param"], "Metadata/plate_3.gcode");
        watched.advance(5_000.0);
        assert_eq!(watched.states, ["IDLE", "PREPARE", "RUNNING", "FINISH"]);
        assert_eq!(watched.state["gcode_file"], "/data/Metadata/plate_3.gcode", "kept after the end");
        assert_eq!(watched.state["task_id"], task);
        assert_eq!((&watched.state["print_type"], &watched.state["stg_cur"]), (&json!(""), &json!(-1)));
    }
}

#[test]
fn a_calibration_is_a_system_print_without_layers() {
    let mut watched = Watched::new(Model::P1s);
    watched.start(PrintPlan { source: Source::Calibration, ..PrintPlan::default() });
    watched.advance(20.0);
    assert_eq!(watched.state["print_type"], "system");
    assert!(watched.state["gcode_file"].as_str().unwrap().starts_with("/usr/"));
    watched.advance(1_000.0);
    assert_eq!(watched.states, ["IDLE", "PREPARE", "RUNNING", "FINISH"]);
    assert_eq!(watched.state["total_layer_num"], 0);
}

#[test]
fn pauses_carry_their_reason_and_time_stands_still() {
    let mut watched = Watched::new(Model::P1s);
    watched.start(cloud());
    watched.advance(1_000.0);
    let percent = watched.state["mc_percent"].clone();
    watched.order(Command::Pause { reason: PauseReason::User });
    assert_eq!((&watched.state["gcode_state"], &watched.state["stg_cur"]), (&json!("PAUSE"), &json!(16)));
    watched.advance(10_000.0);
    assert_eq!(watched.state["mc_percent"], percent);
    assert_eq!(
        watched.printer.command(Command::Pause { reason: PauseReason::User }),
        Err(CommandError::NotPrinting)
    );
    watched.order(Command::Resume);
    watched.order(Command::Pause { reason: PauseReason::Runout });
    assert_eq!(watched.state["stg_cur"], 6);
    assert_eq!(watched.state["hms"][0]["attr"], 0x0700_2000);
    watched.order(Command::Resume);
    assert_eq!(watched.state["hms"], json!([]));
    watched.advance(5_000.0);
    assert_eq!(watched.states[1..], ["PREPARE", "RUNNING", "PAUSE", "RUNNING", "PAUSE", "RUNNING", "FINISH"]);
}

#[test]
fn a_cancelled_print_says_so_before_it_ends() {
    for (end, last) in [(CancelEnd::Failed, "FAILED"), (CancelEnd::Idle, "IDLE")] {
        let mut watched = Watched::new(Model::A1);
        watched.start(cloud());
        watched.advance(1_000.0);
        watched.order(Command::Cancel { end: Some(end) });
        assert_eq!(watched.state["print_error"], 50_348_044);
        assert_eq!(watched.state["gcode_state"], "RUNNING");
        watched.advance(2.0);
        assert_eq!(watched.state["gcode_state"], last);
        watched.start(cloud());
        watched.advance(3.0);
        assert_eq!(watched.state["print_error"], 0);
    }
}

#[test]
fn failures_end_in_failed_also_before_anything_ran() {
    let mut watched = Watched::new(Model::X1c);
    watched.start(PrintPlan { outcome: Outcome::FailedPreparing, ..cloud() });
    watched.advance(100.0);
    assert_eq!(watched.states, ["IDLE", "PREPARE", "FAILED"]);
    watched.start(PrintPlan { outcome: Outcome::FailedAt(30), ..cloud() });
    watched.advance(5_000.0);
    assert_eq!(watched.states[3..], ["PREPARE", "RUNNING", "FAILED"]);
    assert_eq!(watched.state["print_error"], 0x0300_8003);
    assert_eq!(watched.state["mc_percent"], 30);
}

#[test]
fn two_nozzles_pack_target_and_actual_into_one_number() {
    let mut watched = Watched::new(Model::H2d);
    assert!(watched.state.get("nozzle_temper").is_none());
    assert!(watched.state["home_flag"].as_i64().unwrap() < 0);
    watched.start(cloud());
    watched.advance(2_000.0);
    let device = &watched.state["device"];
    let right = device["extruder"]["info"][0]["temp"].as_u64().unwrap();
    assert_eq!((right >> 16, right & 0xffff), (220, 220));
    assert_eq!(device["extruder"]["info"].as_array().unwrap().len(), 2);
    assert_eq!(device["bed"]["info"]["temp"].as_u64().unwrap() >> 16, 65);
}

#[test]
fn commands_over_mqtt_are_answered_and_carried_out() {
    let mut watched = Watched::new(Model::P1s);
    watched.start(cloud());
    watched.advance(1_000.0);
    for (command, state) in [("pause", "PAUSE"), ("resume", "RUNNING"), ("stop", "FAILED")] {
        let request = format!(r#"{{"print":{{"command":"{command}","sequence_id":"9"}}}}"#);
        watched.client.request(SERIAL, &request).unwrap();
        let answer = watched.client.report_where(|report| report["print"]["sequence_id"] == "9");
        assert_eq!(
            (&answer["print"]["command"], &answer["print"]["result"]),
            (&json!(command), &json!("success"))
        );
        watched.advance(2.0);
        assert_eq!(watched.state["gcode_state"], state);
    }
    watched.client.request(SERIAL, r#"{"print":{"command":"pause","sequence_id":"9"}}"#).unwrap();
    let answer = watched.client.report_where(|report| report["print"]["sequence_id"] == "9");
    assert_eq!(answer["print"]["result"], "fail");
}

#[test]
fn time_runs_by_itself_with_a_factor() {
    let config = Config { factor: 2_000.0, ..Config::manual(Model::A1Mini, SERIAL, CODE) };
    let printer = Printer::start(config).unwrap();
    let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
    printer.command(Command::StartPrint { plan: cloud() }).unwrap();
    for state in ["PREPARE", "RUNNING", "FINISH"] {
        client.report_where(|report| report["print"]["gcode_state"] == state);
    }
}

#[test]
fn overridden_fields_hold_until_they_are_cleared() {
    let mut watched = Watched::new(Model::A1);
    let fields = json!({ "layer_num": "three", "brand_new": [1] }).as_object().unwrap().clone();
    watched.order(Command::SetFields { fields });
    assert_eq!((&watched.state["layer_num"], &watched.state["brand_new"]), (&json!("three"), &json!([1])));
    assert_eq!(watched.full()["layer_num"], "three");
    watched.order(Command::ClearFields);
    assert_eq!(watched.state["layer_num"], 0);
}

#[test]
fn a_withheld_number_of_layers_comes_with_the_next_full_report() {
    let mut watched = Watched::new(Model::P1s);
    watched.start(PrintPlan { withholds_layer_count: true, ..cloud() });
    watched.advance(1_000.0);
    assert_eq!(
        (&watched.state["gcode_state"], &watched.state["total_layer_num"]),
        (&json!("RUNNING"), &json!(0))
    );
    assert_eq!(watched.full()["total_layer_num"], 50);
}
