//! Prints from start to end, as the network shows them.

use serde_json::{Value, json};
use simulator::prusa::{AfterReboot, Command, Printer, Scene, Start};
use simulator::scenario::Cue;

use crate::client::{advance, get, once, printer, with};

fn state(printer: &Printer) -> String {
    get(printer, "/api/v1/status").json()["printer"]["state"].as_str().unwrap().to_owned()
}

fn order(printer: &Printer, command: Command) {
    printer.command(command).unwrap();
}

fn started(printer: &Printer) -> Value {
    assert_eq!(once(printer, "POST", "/api/v1/files/usb/SPICER~1.GCO").status, 204);
    advance(printer, 130.0);
    get(printer, "/api/v1/job").json()
}

#[test]
fn a_whole_print() {
    let printer = printer();
    let status = get(&printer, "/api/v1/status").json();
    assert_eq!(status["storage"], json!({ "path": "/usb/", "name": "usb", "read_only": false }));
    assert!(status.get("job").is_none() && status["printer"]["axis_x"].is_number());
    assert_eq!(once(&printer, "POST", "/api/v1/files/usb/SPICER~1.GCO").status, 204);
    assert_eq!((state(&printer).as_str(), get(&printer, "/api/v1/job").status), ("BUSY", 204));
    assert_eq!(once(&printer, "POST", "/api/v1/files/usb/SPICER~1.GCO").status, 409);
    advance(&printer, 60.0);
    let status = get(&printer, "/api/v1/status").json();
    assert_eq!(
        (&status["printer"]["state"], &status["printer"]["target_bed"]),
        (&json!("PRINTING"), &json!(60.0))
    );
    assert!(status["job"].get("time_remaining").is_none() && status["printer"].get("axis_x").is_none());
    advance(&printer, 63.0 + 1_800.0);
    let job = get(&printer, "/api/v1/job").json();
    assert_eq!((&job["id"], &job["state"], &job["progress"]), (&json!(1), &json!("PRINTING"), &json!(50.0)));
    assert_eq!(job["time_remaining"], 1_800);
    let file = &job["file"];
    assert_eq!((&file["name"], &file["path"]), (&json!("SPICER~1.GCO"), &json!("/usb")));
    assert_eq!(file["display_name"], "Spice rack.gcode");
    assert!(file["size"].is_u64() && file["m_timestamp"].is_u64());
    assert_eq!(
        get(&printer, "/usb/SPICER~1.GCO").status,
        200,
        "a file from the stick can be downloaded while it prints"
    );
    advance(&printer, 1_805.0);
    assert_eq!(
        (state(&printer).as_str(), get(&printer, "/api/v1/job").json()["progress"].as_f64()),
        ("PRINTING", Some(100.0))
    );
    advance(&printer, 90_000.0);
    assert_eq!(
        (state(&printer).as_str(), get(&printer, "/api/v1/job").status),
        ("FINISHED", 204),
        "it lingers"
    );
    assert!(get(&printer, "/api/v1/status").json().get("job").is_none());
    order(&printer, Command::Leave);
    assert_eq!(state(&printer), "IDLE");
}

#[test]
fn pause_resume_and_stop_by_the_network() {
    let printer = printer();
    let id = started(&printer)["id"].as_u64().unwrap();
    let put = |word: &str| once(&printer, "PUT", &format!("/api/v1/job/{id}/{word}")).status;
    assert_eq!((put("resume"), put("pause"), state(&printer).as_str()), (409, 204, "PAUSED"));
    assert_eq!((put("pause"), put("fly"), put("resume")), (409, 400, 204));
    assert_eq!(state(&printer), "PAUSED", "resuming takes its time");
    advance(&printer, 10.0);
    assert_eq!(state(&printer), "PRINTING");
    assert_eq!(once(&printer, "DELETE", &format!("/api/v1/job/{}", id + 1)).status, 404);
    assert_eq!(once(&printer, "PUT", "/api/v1/job/x/pause").status, 400);
    assert_eq!(once(&printer, "DELETE", &format!("/api/v1/job/{id}")).status, 204);
    assert_eq!(state(&printer), "PRINTING", "stopping takes its time");
    advance(&printer, 10.0);
    assert_eq!((state(&printer).as_str(), get(&printer, "/api/v1/job").status), ("STOPPED", 204));
    assert_eq!(once(&printer, "DELETE", &format!("/api/v1/job/{id}")).status, 409, "the last id stays known");
    assert_eq!(started(&printer)["id"].as_u64().unwrap(), id + 1, "a new print may follow directly");
}

#[test]
fn a_question_is_attention_here_and_paused_there() {
    let printer = printer();
    let start = Start { path: "Spice rack.gcode".into(), print_seconds: Some(500.0), asks_first: true };
    order(&printer, Command::StartPrint(start));
    advance(&printer, 10.0);
    let job = get(&printer, "/api/v1/job").json();
    assert_eq!((state(&printer).as_str(), &job["state"]), ("ATTENTION", &json!("PAUSED")));
    assert_eq!(once(&printer, "PUT", "/api/v1/job/1/resume").status, 409);
    order(&printer, Command::Answer);
    advance(&printer, 200.0);
    assert_eq!(state(&printer), "PRINTING");
    order(&printer, Command::Ask);
    assert_eq!(once(&printer, "DELETE", "/api/v1/job/1").status, 204);
    advance(&printer, 10.0);
    assert_eq!(state(&printer), "STOPPED");
}

#[test]
fn states_without_a_print() {
    let printer = printer();
    for (command, wanted) in [
        (Command::SetReady, "READY"),
        (Command::Idle, "IDLE"),
        (Command::Busy, "BUSY"),
        (Command::Idle, "IDLE"),
        (Command::Ask, "ATTENTION"),
        (Command::Answer, "IDLE"),
        (Command::Fail, "ERROR"),
        (Command::Idle, "IDLE"),
    ] {
        order(&printer, command);
        assert_eq!((state(&printer).as_str(), get(&printer, "/api/v1/job").status), (wanted, 204));
    }
    assert!(printer.command(Command::Resume).is_err() && printer.command(Command::start("none")).is_err());
}

#[test]
fn a_reboot_loses_the_print_or_goes_on_with_it() {
    let printer = printer();
    let job = started(&printer);
    order(&printer, Command::Reboot { job: AfterReboot::Resumed });
    assert_eq!(
        (state(&printer).as_str(), &get(&printer, "/api/v1/job").json()["id"]),
        ("PRINTING", &job["id"])
    );
    order(&printer, Command::Reboot { job: AfterReboot::Lost });
    assert_eq!((state(&printer).as_str(), get(&printer, "/api/v1/job").status), ("IDLE", 204));
    assert_ne!(started(&printer)["id"], job["id"], "ids count on");
}

#[test]
fn documents_can_be_bent_at_will() {
    let printer = printer();
    started(&printer);
    let patch = json!({ "printer": { "state": "UNKNOWN", "temp_bed": null }, "storage": [{ "name": "x" }] });
    order(&printer, Command::PatchStatus { patch });
    order(&printer, Command::PatchJob { patch: json!({ "file": null }) });
    let status = get(&printer, "/api/v1/status").json();
    assert_eq!((&status["printer"]["state"], status["printer"].get("temp_bed")), (&json!("UNKNOWN"), None));
    assert!(status["storage"].is_array() && status["printer"]["temp_nozzle"].is_number());
    assert!(get(&printer, "/api/v1/job").json().get("file").is_none());
    order(&printer, Command::PatchStatus { patch: Value::Null });
    assert_eq!(state(&printer), "PRINTING");
}

#[test]
fn scenes_follow_each_other_for_days() {
    let printer = with(|config| {
        config.scenes = vec![
            Scene { cue: Cue::Seconds(60.0), order: Command::start("Spice rack.gcode") },
            Scene { cue: Cue::Percent(40), order: Command::Pause },
            Scene { cue: Cue::Seconds(300.0), order: Command::Resume },
            Scene { cue: Cue::Ended, order: Command::Idle },
            Scene { cue: Cue::Seconds(300.0), order: Command::Leave },
        ];
    });
    let mut states = Vec::new();
    for _ in 0..2_000 {
        advance(&printer, 60.0);
        let state = printer.status().state;
        if states.last() != Some(&state) {
            states.push(state);
        }
    }
    let round: Vec<&str> = states.iter().copied().skip_while(|state| *state != "IDLE").take(5).collect();
    assert_eq!(round, ["IDLE", "PRINTING", "PAUSED", "PRINTING", "FINISHED"]);
    assert!(states.len() > 60, "{}", states.len());
}
