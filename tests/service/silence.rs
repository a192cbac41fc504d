//! Silence, drops and garbage: noticed when they matter, borne when they do not. Time is moved by hand.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::bambu::{Command, Garbage, Model, Printer, Silence, Source};

use crate::client::Seen;
use crate::contract::{self, CONNECTED, connection_steps};
use crate::printers::{advance, begin, faults, manual, numbered, order, plan};
use crate::service::Service;

const SECOND: Duration = Duration::from_secs(1);

/// Lets the printer speak, and waits until that was heard.
fn speak(service: &Service, id: &str, printer: &Printer) {
    let before = service.get(&format!("/printers/{id}"))["last_seen"].clone();
    order(printer, Command::Report);
    service.until(id, "the report is heard", |view| view["last_seen"] != before);
}

#[test]
fn a_printer_that_vanishes_is_noticed_within_90_seconds() {
    let printer = manual(Model::P1s);
    let service = Service::manual();
    let id = service.watch(&printer);
    let pushalls = printer.observations().pushalls;
    faults(&printer, |faults| faults.silence = Silence::Mute);
    service.pass(59 * SECOND);
    assert_eq!(service.get(&format!("/printers/{id}"))["connection"]["status"], "monitoring");
    assert_eq!(printer.observations().pushalls, pushalls);
    service.pass(31 * SECOND);
    let view = service.get(&format!("/printers/{id}"));
    assert_ne!(view["connection"]["status"], "monitoring", "{view}");
    printer.wait_for(crate::client::PATIENCE, |seen| seen.pushalls > pushalls || seen.requests > 2).unwrap();
    let lost = service.log.first("the loss", |seen| seen.name == "printer_disconnected");
    assert_eq!(lost.data()["reason"], "silent");
    // It comes back when it speaks again.
    order(&printer, Command::ClearFaults);
    service.pass(40 * SECOND);
    service.until(&id, "it is back", |view| view["connection"]["status"] == "monitoring");
    let steps = connection_steps(&service.journal(), &id);
    assert_eq!(
        steps[CONNECTED.len()..][..3],
        ["printer_monitoring_stopped", "printer_disconnected", "connecting"]
    );
    assert_eq!(steps[steps.len() - 4..], CONNECTED[1..], "{steps:?}");
}

#[test]
fn natural_gaps_raise_no_alarm() {
    let printer = manual(Model::A1);
    let service = Service::manual();
    let id = service.watch(&printer);
    for _ in 0..12 {
        service.pass(32 * SECOND);
        speak(&service, &id, &printer);
    }
    assert_eq!(connection_steps(&service.journal(), &id), CONNECTED);
    let seen = printer.observations();
    assert_eq!((seen.logins, seen.pushalls), (1, 1), "nothing was asked for either");
}

#[test]
fn a_printer_that_sleeps_is_woken_and_stays_connected() {
    let printer = manual(Model::P1s);
    let service = Service::manual();
    let id = service.watch(&printer);
    for _ in 0..3 {
        faults(&printer, |faults| faults.silence = Silence::Asleep);
        let pushalls = printer.observations().pushalls;
        service.pass(61 * SECOND);
        printer.wait_for(crate::client::PATIENCE, |seen| seen.pushalls == pushalls + 1).unwrap();
        service.pass(20 * SECOND);
    }
    assert_eq!(connection_steps(&service.journal(), &id), CONNECTED);
}

#[test]
fn silence_from_the_start_is_told_after_a_quarter_of_a_minute() {
    let printer = manual(Model::P1s);
    faults(&printer, |faults| faults.silence = Silence::Mute);
    let service = Service::manual();
    let view = std::thread::scope(|scope| {
        let adding = scope.spawn(|| service.add(&printer));
        printer.wait_for(crate::client::PATIENCE, |seen| seen.pushalls > 0 || seen.requests > 0).unwrap();
        service.setup.clock.advance(16 * SECOND);
        adding.join().unwrap()
    });
    let id = view["id"].as_str().unwrap();
    let view = service.until(id, "it is given up", |view| view["connection"]["status"] == "failed");
    assert_eq!(view["connection"]["kind"], "silent");
    assert!(view["connection"]["message"].as_str().unwrap().contains("serial number"), "{view}");
    order(&printer, Command::ClearFaults);
    service.pass(3 * SECOND);
    service.until(id, "it is back", |view| view["connection"]["status"] == "monitoring");
    contract::check(&service.journal());
}

#[test]
fn a_half_dead_session_shows_what_is_told() {
    let printer = manual(Model::P1s);
    faults(&printer, |faults| faults.half_dead = true);
    let service = Service::manual();
    let view = std::thread::scope(|scope| {
        let adding = scope.spawn(|| service.add(&printer));
        printer.wait_for(crate::client::PATIENCE, |seen| seen.requests > 0).unwrap();
        order(&printer, Command::FullReport);
        adding.join().unwrap()
    });
    let id = view["id"].as_str().unwrap();
    service.until(id, "it is shown", |view| view["status"] == "idle");
    for _ in 0..4 {
        service.pass(50 * SECOND);
        speak(&service, id, &printer);
    }
    begin(&printer, plan("Cube", Source::Cloud));
    service.until(id, "its print is seen", |view| view["status"] == "printing");
    assert_eq!(connection_steps(&service.journal(), id), CONNECTED);
}

#[test]
fn endless_failures_do_not_fill_the_journal() {
    let printer = manual(Model::P1s);
    let service = Service::manual();
    let id = service.watch(&printer);
    faults(&printer, |faults| faults.refuse_connections = true);
    order(&printer, Command::Drop);
    service.until(&id, "it is gone", |view| view["status"] == "offline");
    service.pass(5 * SECOND);
    service.log.first("the first failure", |seen| seen.data()["status"] == "failed");
    service.until(&id, "that is recorded", |view| {
        view["connection"]["status"] == "failed" && view["status"] == "offline"
    });
    let newest = service.newest();
    // Ten minutes of attempts: all of them state.
    service.pass(600 * SECOND);
    assert_eq!(service.newest(), newest);
    let attempts = service.log.all().iter().filter(|seen| seen.data()["status"] == "failed").count();
    assert!(attempts > 10, "it was tried all the time: {attempts}");
    let highest = service.log.all().iter().filter_map(|seen| seen.data()["attempt"].as_u64()).max().unwrap();
    assert!(usize::try_from(highest).unwrap() >= attempts);
    faults(&printer, |faults| faults.refuse_connections = false);
    service.pass(40 * SECOND);
    service.until(&id, "it is back", |view| view["connection"]["status"] == "monitoring");
    contract::check(&service.journal());
}

#[test]
fn a_printer_that_throws_everybody_out_is_not_asked_every_second() {
    let printer = manual(Model::P1s);
    let service = Service::manual();
    let id = service.watch(&printer);
    for _ in 0..6 {
        order(&printer, Command::Drop);
        service.until(&id, "it is gone", |view| view["status"] == "offline");
        service.pass(45 * SECOND);
        service.until(&id, "it is back", |view| view["connection"]["status"] == "monitoring");
        // It holds for some seconds only.
    }
    order(&printer, Command::Drop);
    service.until(&id, "it is gone", |view| view["status"] == "offline");
    let logins = printer.observations().logins;
    service.pass(10 * SECOND);
    assert_eq!(printer.observations().logins, logins, "the pause has grown");
    service.pass(30 * SECOND);
    service.until(&id, "it is back", |view| view["connection"]["status"] == "monitoring");
    // After a minute all is forgiven.
    for _ in 0..3 {
        service.pass(30 * SECOND);
        speak(&service, &id, &printer);
    }
    order(&printer, Command::Drop);
    service.until(&id, "it is gone", |view| view["status"] == "offline");
    service.pass(2 * SECOND);
    service.until(&id, "it is back at once", |view| view["connection"]["status"] == "monitoring");
}

/// What the bystander's listeners hear, without what depends on the moment.
fn story(frames: &[Seen], id: &str) -> Vec<Value> {
    // When the search for a print's file has its turn is no part of what the printer told.
    let of_reports =
        |name: &str| name.starts_with("printer_") || name.starts_with("job_") && name != "job_updated";
    let durable = frames.iter().filter(|seen| seen.id.is_some() && seen.is_of(id) && of_reports(&seen.name));
    durable
        .map(|seen| json!([seen.name, seen.data()["status"], seen.data()["job_id"], seen.data()["errors"]]))
        .collect()
}

#[test]
fn garbage_costs_counts_and_nothing_else() {
    let tell = |dirty: bool| {
        let (victim, bystander) = (manual(Model::P1s), numbered(Model::P1s, 2));
        let service = Service::start();
        let id = service.watch(&victim);
        let other = service.watch(&bystander);
        begin(&victim, plan("Cube", Source::Cloud));
        begin(&bystander, plan("Sphere", Source::Cloud));
        service.until(&id, "it prints", |view| view["status"] == "printing");
        for kind in Garbage::ALL.into_iter().filter(|kind| dirty && *kind != Garbage::Large300k) {
            order(&victim, Command::Garbage { kind });
            if kind != Garbage::InvalidUtf8 {
                // A title of broken characters is a title; everything else leaves what was known.
                speak(&service, &id, &victim);
                let view = service.get(&format!("/printers/{id}"));
                assert_eq!(
                    (&view["status"], &view["current_job"]),
                    (&json!("printing"), &json!("Cube")),
                    "{kind:?}"
                );
            } else {
                service.until(&id, "the title is broken", |view| view["current_job"] != "Cube");
                order(&victim, Command::FullReport);
                service.until(&id, "the title is whole again", |view| view["current_job"] == "Cube");
            }
        }
        advance(&victim, 60.0);
        advance(&bystander, 900.0);
        service.log.first("the bystander ends", |seen| seen.name == "job_completed" && seen.is_of(&other));
        // The victim is as connected as before, shows what it did, and its next report is believed.
        order(&victim, Command::FullReport);
        service.until(&id, "it prints as before", |view| {
            view["status"] == "printing" && view["current_job"] == "Cube"
        });
        assert_eq!(connection_steps(&service.journal(), &id), CONNECTED);
        assert_eq!(service.jobs().len(), 2);
        advance(&victim, 900.0);
        service.log.first("the victim ends", |seen| seen.name == "job_completed" && seen.is_of(&id));
        let events = service.journal();
        contract::check(&events);
        assert_eq!(service.get("/health")["services"]["tasks"]["details"]["panics"], 0);
        story(&service.log.all(), &other)
    };
    let (clean, dirty) = (tell(false), tell(true));
    assert_eq!(clean.len(), dirty.len());
    for (left, right) in clean.iter().zip(&dirty) {
        assert_eq!((&left[0], &left[1], &left[3]), (&right[0], &right[1], &right[3]));
    }
}

#[test]
fn a_message_that_is_too_large_costs_that_connection_only() {
    let (victim, bystander) = (manual(Model::P1s), numbered(Model::P1s, 2));
    let service = Service::start();
    let (id, other) = (service.watch(&victim), service.watch(&bystander));
    begin(&victim, plan("Cube", Source::Cloud));
    service.until(&id, "it prints", |view| view["status"] == "printing");
    order(&victim, Command::Garbage { kind: Garbage::Large300k });
    service.log.first("the loss", |seen| seen.name == "printer_disconnected" && seen.is_of(&id));
    service.log.wait("the way back", |frames| {
        let count = frames.iter().filter(|seen| seen.name == "printer_connected" && seen.is_of(&id)).count();
        (count == 2).then_some(())
    });
    service.until(&id, "it prints", |view| view["status"] == "printing");
    assert_eq!(service.jobs().len(), 1);
    assert_eq!(connection_steps(&service.journal(), &other), CONNECTED);
    assert_eq!(bystander.observations().logins, 1);
    contract::check(&service.journal());
}

#[test]
fn bytes_that_are_no_mqtt_end_the_connection_only() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    order(&printer, Command::RawBytes { bytes: vec![0xff; 64] });
    service.log.first("the loss", |seen| seen.name == "printer_disconnected");
    service.until(&id, "it is back", |view| view["connection"]["status"] == "monitoring");
    assert_eq!(service.get("/health")["status"], "healthy");
}

#[test]
fn a_printer_that_sends_nothing_but_garbage_is_no_printer() {
    for kind in [Garbage::BrokenJson, Garbage::Empty, Garbage::NotAnObject] {
        let printer = manual(Model::X1c);
        faults(&printer, |faults| faults.garbage = Some(kind));
        let service = Service::manual();
        let view = std::thread::scope(|scope| {
            let adding = scope.spawn(|| service.add(&printer));
            printer.wait_for(crate::client::PATIENCE, |seen| seen.full_reports > 0).unwrap();
            service.setup.clock.advance(16 * SECOND);
            adding.join().unwrap()
        });
        let id = view["id"].as_str().unwrap();
        let view = service.until(id, "it is given up", |view| view["connection"]["status"] == "failed");
        assert_eq!(view["connection"]["kind"], "silent", "{kind:?}");
        order(&printer, Command::ClearFaults);
        service.pass(3 * SECOND);
        service.until(id, "it is back", |view| view["status"] == "idle");
    }
}
