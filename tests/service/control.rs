//! Pause, resume, stop: a success only when the printer's own status says so, and every failure with its kind.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::bambu::{self, Model, Source};
use simulator::prusa::{self, Fault, Faults, Target};

use crate::client::Answer;
use crate::contract;
use crate::service::{Service, wait_for};
use crate::{printers, prusa as prusa_tests};

fn command(service: &Service, id: &str, command: &str) -> Answer {
    service.call("POST", &format!("/printers/{id}/{command}"), None)
}

/// The events about orders, as words with their job.
fn orders(events: &[Value]) -> Vec<(String, Value)> {
    let of_orders = events.iter().filter_map(|event| {
        let name = event["event"].as_str().unwrap();
        let data = &event["data"];
        match name {
            "print_paused" | "print_resumed" | "print_stopped" => {
                Some((name.to_owned(), data["job_id"].clone()))
            }
            "printer_control_failed" => {
                assert!(data["error"].as_str().unwrap().len() > 10, "{event}");
                let what =
                    format!("{} {}", data["command"].as_str().unwrap(), data["kind"].as_str().unwrap());
                Some((what, Value::Null))
            }
            _ => None,
        }
    });
    of_orders.collect()
}

fn names(events: &[Value]) -> Vec<String> {
    orders(events).into_iter().map(|(name, _)| name).collect()
}

/// A Bambu printer that prints, and a service that sees it.
pub fn bambu_printing(developer: bool) -> (bambu::Printer, Service, String) {
    let model = Model::P1s;
    let config = bambu::Config {
        is_developer_mode: developer,
        ..bambu::Config::manual(model, &printers::serial(model, 1), printers::CODE)
    };
    let printer = bambu::Printer::start(config).unwrap();
    let service = Service::start();
    let id = service.watch(&printer);
    printers::begin(&printer, printers::plan("Cube", Source::Lan));
    service.until(&id, "it prints", |view| view["status"] == "printing");
    printers::order(&printer, bambu::Command::SetFactor { factor: 10.0 });
    (printer, service, id)
}

/// A Prusa printer that prints, and a service that sees it; both in real time.
fn prusa_printing() -> (prusa::Printer, Service, String) {
    let config = prusa::Config { factor: 10.0, ..prusa_tests::config(prusa::Model::Mk4) };
    let printer = prusa::Printer::start(config).unwrap();
    prusa_tests::order(&printer, prusa::Command::start("Würfel groß.gcode"));
    prusa_tests::advance(&printer, 200.0);
    let service = Service::start();
    let id = prusa_tests::watch(&service, &printer);
    service.until(&id, "it prints", |view| view["status"] == "printing");
    (printer, service, id)
}

/// Pauses, goes on, stops, and what does not fit in between.
fn a_whole_conversation(service: &Service, id: &str) {
    let job = service.jobs()[0]["id"].clone();
    assert_eq!(command(service, id, "resume").error(409), "CONTROL_WRONG_STATE");
    let answer = command(service, id, "pause").expect(200);
    assert_eq!(
        (&answer["confirmed"], &answer["job_id"], &answer["command"]),
        (&json!(true), &job, &json!("pause"))
    );
    assert_eq!(service.get(&format!("/printers/{id}"))["status"], "paused");
    assert_eq!(service.jobs()[0]["status"], "paused");
    assert_eq!(command(service, id, "pause").error(409), "CONTROL_WRONG_STATE");
    assert_eq!(command(service, id, "resume").expect(200)["confirmed"], true);
    assert_eq!(service.get(&format!("/printers/{id}"))["status"], "printing");
    assert_eq!(command(service, id, "stop").expect(200)["confirmed"], true);
    wait_for("the job has ended", || service.jobs()[0]["status"] == "cancelled");
    assert_eq!(command(service, id, "stop").error(409), "CONTROL_WRONG_STATE");
    assert_eq!(command(service, "p99", "stop").error(404), "NOT_FOUND");
    let events = service.journal();
    contract::check(&events);
    let expected = [
        ("resume wrong_state", Value::Null),
        ("print_paused", job.clone()),
        ("pause wrong_state", Value::Null),
        ("print_resumed", job.clone()),
        ("print_stopped", job),
        ("stop wrong_state", Value::Null),
    ];
    assert_eq!(orders(&events), expected.map(|(name, job)| (name.to_owned(), job)));
    // A confirmation follows the status that confirms it.
    let paused = events.iter().find(|event| event["event"] == "print_paused").unwrap();
    let cause = events.iter().find(|event| event["seq"] == paused["cause"]).unwrap();
    assert_eq!(
        (&cause["event"], &cause["data"]["status"]),
        (&json!("printer_status_update"), &json!("paused"))
    );
    assert_eq!(paused["flow"], cause["flow"]);
}

#[test]
fn a_bambu_printer_in_developer_mode_does_what_is_ordered() {
    let (_printer, service, id) = bambu_printing(true);
    a_whole_conversation(&service, &id);
}

#[test]
fn a_prusa_printer_does_what_is_ordered() {
    let (printer, service, id) = prusa_printing();
    a_whole_conversation(&service, &id);
    let seen = printer.observations();
    assert_eq!((seen.of(Target::Control), seen.refusals(), seen.peak_active_requests), (3, 0, 1), "{seen:?}");
}

#[test]
fn firmware_that_takes_orders_from_its_maker_only_says_so() {
    let (_printer, service, id) = bambu_printing(false);
    let answer = command(&service, &id, "pause");
    let body = answer.expect(409);
    assert_eq!(
        (&body["error_code"], &body["details"]["kind"]),
        (&json!("CONTROL_NOT_PERMITTED"), &json!("not_permitted"))
    );
    assert!(body["message"].as_str().unwrap().contains("Developer Mode"), "{body}");
    assert_eq!(service.get(&format!("/printers/{id}"))["status"], "printing");
    assert_eq!(names(&service.journal()), ["pause not_permitted"]);
}

#[test]
fn refusals_and_silence_of_a_prusa_printer_have_their_kinds() {
    for (fault, status, kind) in [
        (Fault::Status(409), 409, "wrong_state"),
        (Fault::Status(404), 409, "wrong_state"),
        (Fault::Status(500), 409, "refused"),
        (Fault::Drop, 503, "timeout"),
        (Fault::Hang, 503, "timeout"),
    ] {
        let printer = prusa_tests::manual(prusa::Model::Mk4);
        let service = Service::manual();
        let id = prusa_tests::watch(&service, &printer);
        prusa_tests::begin(&service, &id, &printer, "Würfel groß.gcode");
        printer.change_faults(|faults| *faults = Faults::at(Target::Control, fault)).unwrap();
        let asked = std::thread::scope(|scope| {
            let answer = scope.spawn(|| command(&service, &id, "pause"));
            if fault == Fault::Hang {
                printer.wait_for(crate::client::PATIENCE, |seen| seen.of(Target::Control) == 1).unwrap();
                while !answer.is_finished() {
                    std::thread::park_timeout(Duration::from_millis(5));
                    service.setup.clock.advance(Duration::from_millis(50));
                }
            }
            answer.join().unwrap()
        });
        let body = asked.expect(status);
        assert_eq!(body["details"]["kind"], kind, "{fault:?}: {body}");
        let events = service.journal();
        assert_eq!(names(&events), [format!("pause {kind}")], "{fault:?}");
        contract::check(&events);
        // The printer goes on being watched.
        prusa_tests::order(&printer, prusa::Command::ClearFaults);
        prusa_tests::poll(&service, &id, &printer);
        assert_eq!(service.jobs().len(), 1);
    }
}

#[test]
fn an_order_that_is_taken_and_not_carried_out_is_given_up() {
    let printer = prusa_tests::manual(prusa::Model::Mk4);
    let service = Service::manual();
    let id = prusa_tests::watch(&service, &printer);
    prusa_tests::begin(&service, &id, &printer, "Würfel groß.gcode");
    // Whatever the printer does, it says that it prints.
    let patch = json!({"printer": {"state": "PRINTING"}});
    prusa_tests::order(&printer, prusa::Command::PatchStatus { patch });
    let answer = std::thread::scope(|scope| {
        let answer = scope.spawn(|| command(&service, &id, "pause"));
        printer.wait_for(crate::client::PATIENCE, |seen| seen.of(Target::Control) == 1).unwrap();
        while !answer.is_finished() {
            std::thread::park_timeout(Duration::from_millis(5));
            service.setup.clock.advance(Duration::from_millis(50));
        }
        answer.join().unwrap()
    });
    assert_eq!(answer.expect(200)["confirmed"], false);
    assert!(names(&service.journal()).is_empty(), "nothing is decided yet");
    assert_eq!(command(&service, &id, "stop").error(409), "CONTROL_REFUSED");
    service.pass(Duration::from_secs(130));
    assert_eq!(names(&service.journal()), ["stop refused", "pause timeout"]);
    contract::check(&service.journal());
}

#[test]
fn an_order_to_a_printer_that_is_away_is_refused_at_once() {
    let printer = prusa_tests::manual(prusa::Model::Mk4);
    let service = Service::manual();
    let id = prusa_tests::watch(&service, &printer);
    service.call("POST", &format!("/printers/{id}/disconnect"), None).expect(200);
    let body = command(&service, &id, "stop").expect(503);
    assert_eq!(
        (&body["error_code"], &body["details"]["kind"]),
        (&json!("PRINTER_OFFLINE"), &json!("offline"))
    );
    assert_eq!(names(&service.journal()), ["stop offline"]);
    assert_eq!(printer.observations().of(Target::Control), 0);
}
