//! Restarts of the service and of connections around prints: nothing twice, nothing lost, nothing guessed.

use serde_json::{Value, json};
use simulator::bambu::{Command, Model, Outcome, PrintPlan, Printer, Source};

use crate::contract::{self, job_steps};
use crate::printers::{advance, advance_slowly, begin, faults, manual, order, plan};
use crate::service::Service;

fn monitoring(service: &Service, id: &str) {
    service.until(id, "it is connected", |view| view["connection"]["status"] == "monitoring");
}

fn ended(service: &Service, job: &Value) -> Value {
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    let mut last = Value::Null;
    crate::service::wait_for("the job has ended", || {
        last = service.get(&path);
        last["completed_at"].is_string()
    });
    last
}

/// A service and a printer in the middle of a print.
fn printing(model: Model, source: Source) -> (Printer, Service, String) {
    let printer = manual(model);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Cube", source));
    advance(&printer, 60.0);
    service.until(&id, "it prints", |view| view["status"] == "printing");
    (printer, service, id)
}

#[test]
fn a_restart_in_the_middle_of_a_print_is_no_edge() {
    for (model, source) in
        [(Model::P1s, Source::Cloud), (Model::A1, Source::Screen), (Model::X1c, Source::Lan)]
    {
        let (printer, service, id) = printing(model, source);
        let job = service.jobs()[0].clone();
        let service = service.restart();
        monitoring(&service, &id);
        let view = service.until(&id, "it prints", |view| view["status"] == "printing");
        assert_eq!(view["job_id"], job["id"], "{model:?} {source:?}");
        advance_slowly(&printer, 900.0);
        assert_eq!(ended(&service, &job)["status"], "completed");
        let jobs = service.jobs();
        assert_eq!(jobs.len(), 1, "{model:?} {source:?}: {jobs:?}");
        assert_eq!(jobs[0]["started_at"], job["started_at"]);
        let events = service.journal();
        contract::check(&events);
        let started: Vec<_> = events.iter().filter(|event| event["event"] == "service_started").collect();
        assert_eq!(started.len(), 2);
        assert_eq!(started[1]["data"]["previous_shutdown_clean"], true);
    }
}

#[test]
fn the_tenth_restart_still_knows_one_job() {
    let (printer, mut service, id) = printing(Model::P1s, Source::Cloud);
    let job = service.jobs()[0].clone();
    for _ in 0..10 {
        advance(&printer, 20.0);
        service = service.restart();
        service.until(&id, "it prints", |view| view["status"] == "printing");
    }
    advance_slowly(&printer, 900.0);
    assert_eq!(ended(&service, &job)["status"], "completed");
    assert_eq!(service.jobs().len(), 1);
    contract::check(&service.journal());
    assert_eq!(printer.observations().clean_disconnects, 10);
}

#[test]
fn a_drop_in_the_middle_of_a_print_is_no_edge() {
    for (model, source) in
        [(Model::P1s, Source::Cloud), (Model::A1, Source::Screen), (Model::X1c, Source::Lan)]
    {
        let (printer, service, id) = printing(model, source);
        let job = service.jobs()[0].clone();
        order(&printer, Command::Drop);
        service.log.first("the loss", |seen| seen.name == "printer_disconnected");
        let view = service.get(&format!("/printers/{id}"));
        assert_eq!(
            view["current_job"].as_str().unwrap().trim_end_matches(".3mf"),
            "Cube",
            "last words are kept"
        );
        advance(&printer, 30.0);
        service.until(&id, "it prints", |view| view["status"] == "printing");
        advance_slowly(&printer, 900.0);
        assert_eq!(ended(&service, &job)["status"], "completed");
        assert_eq!(service.jobs().len(), 1);
        contract::check(&service.journal());
    }
}

#[test]
fn an_end_while_the_service_is_off_is_what_the_printer_says_later() {
    let cases = [
        (Outcome::Finished, false, "completed"),
        (Outcome::FailedAt(60), false, "failed"),
        (Outcome::CancelledAt(60), false, "cancelled"),
        // The printer was switched off and on and says nothing of what became of it.
        (Outcome::Finished, true, "unknown"),
    ];
    for (outcome, reset, status) in cases {
        let printer = manual(Model::P1s);
        let service = Service::start();
        let id = service.watch(&printer);
        begin(&printer, PrintPlan { outcome, ..plan("Cube", Source::Cloud) });
        service.until(&id, "it prints", |view| view["status"] == "printing");
        let job = service.jobs()[0].clone();
        let (setup, _) = service.stop();
        advance_slowly(&printer, 900.0);
        if reset {
            order(&printer, Command::Reset);
        }
        let service = Service::with(setup);
        let over = ended(&service, &job);
        assert_eq!(over["status"], status, "{outcome:?}: {over}");
        if status == "unknown" {
            assert_eq!(over["duration_s"], Value::Null, "never guessed");
        }
        assert_eq!(service.jobs().len(), 1);
        let events = service.journal();
        contract::check(&events);
        let steps = job_steps(&events, job["id"].as_str().unwrap());
        assert_eq!(steps[steps.len() - 2..], [format!("-> {status}"), "job_completed".to_owned()]);
        let service = service.restart();
        monitoring(&service, &id);
        assert_eq!(service.jobs().len(), 1);
        contract::check(&service.journal());
    }
}

#[test]
fn another_print_meanwhile_is_another_job() {
    for (source, name) in [
        (Source::Cloud, "Sphere"),
        (Source::Cloud, "Cube"),
        (Source::Lan, "Sphere"),
        (Source::Screen, "Sphere"),
    ] {
        for off in [true, false] {
            let (printer, service, id) = printing(Model::P1s, source);
            let job = service.jobs()[0].clone();
            let meanwhile = || {
                advance_slowly(&printer, 900.0);
                begin(&printer, PrintPlan { starts_directly: true, ..plan(name, source) });
            };
            let service = if off {
                let (setup, _) = service.stop();
                meanwhile();
                Service::with(setup)
            } else {
                faults(&printer, |faults| faults.refuse_connections = true);
                order(&printer, Command::Drop);
                service.until(&id, "it is gone", |view| view["status"] == "offline");
                meanwhile();
                faults(&printer, |faults| faults.refuse_connections = false);
                service
            };
            assert_eq!(ended(&service, &job)["status"], "unknown", "{source:?} {name} {off}");
            let view = service
                .until(&id, "it prints", |view| view["status"] == "printing" && view["job_id"] != job["id"]);
            let jobs = service.jobs();
            assert_eq!(jobs.len(), 2, "{jobs:?}");
            assert_eq!((&jobs[1]["id"], &jobs[1]["status"]), (&view["job_id"], &json!("running")));
            assert_eq!(jobs[1]["job_name"].as_str().unwrap().trim_end_matches(".3mf"), name);
            contract::check(&service.journal());
        }
    }
}

#[test]
fn a_part_of_a_report_after_a_gap_does_not_revive_the_old_print() {
    // The connection is lost, another print of the same name begins, and the first words after the gap say nothing of it.
    let (printer, service, id) = printing(Model::P1s, Source::Screen);
    let job = service.jobs()[0].clone();
    advance(&printer, 300.0);
    service.until(&id, "it goes on", |_| true);
    faults(&printer, |faults| faults.refuse_connections = true);
    order(&printer, Command::Drop);
    service.until(&id, "it is gone", |view| view["status"] == "offline");
    advance_slowly(&printer, 600.0);
    begin(&printer, plan("Cube", Source::Screen));
    // Reports come, the question is ignored: parts only.
    faults(&printer, |faults| faults.half_dead = true);
    let before = printer.observations();
    faults(&printer, |faults| faults.refuse_connections = false);
    printer.wait_for(crate::client::PATIENCE, |seen| seen.requests >= before.requests + 2).unwrap();
    order(&printer, Command::SetError { code: 1 });
    order(&printer, Command::SetError { code: 0 });
    assert_eq!(service.jobs().len(), 1, "nothing is concluded from a part");
    order(&printer, Command::FullReport);
    assert_eq!(ended(&service, &job)["status"], "unknown");
    let view = service.until(&id, "it prints", |view| view["status"] == "printing");
    assert_ne!(view["job_id"], job["id"]);
    assert_eq!(service.jobs().len(), 2);
    contract::check(&service.journal());
}

#[test]
fn an_unclean_end_is_noticed_and_nothing_acknowledged_is_lost() {
    let (printer, service, id) = printing(Model::P1s, Source::Cloud);
    let job = service.jobs()[0].clone();
    let before = service.journal();
    // What is on the card at this moment, as a pulled plug leaves it.
    let setup = crate::service::Setup::default();
    for file in std::fs::read_dir(service.directory()).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), setup.directory.path().join(file.file_name())).unwrap();
        }
    }
    service.stop();
    let service = Service::with(setup);
    monitoring(&service, &id);
    let view = service.until(&id, "it prints", |view| view["status"] == "printing");
    assert_eq!(view["job_id"], job["id"]);
    let events = service.journal();
    assert_eq!(events[..before.len()], before, "the journal goes on where it was");
    assert_eq!(events[before.len()]["event"], "service_started");
    assert_eq!(events[before.len()]["data"]["previous_shutdown_clean"], false);
    advance_slowly(&printer, 900.0);
    assert_eq!(ended(&service, &job)["status"], "completed");
    assert_eq!(service.jobs().len(), 1);
}

#[test]
fn the_journal_stays_as_it_was_told() {
    let printer = manual(Model::X1c);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Cube", Source::Cloud));
    advance_slowly(&printer, 900.0);
    service.until(&id, "it has ended", |view| view["status"] == "finished");
    let (setup, told) = service.stop();
    let told: Vec<_> = told.into_iter().filter(|seen| seen.id.is_some()).collect();
    let service = Service::with(setup);
    // One more: the start itself.
    service.log.reaches(told.last().unwrap().id.unwrap() + 1);
    let replayed = service.log.durable();
    for (old, new) in told.iter().zip(&replayed) {
        assert_eq!((old.id, &old.text), (new.id, &new.text), "byte for byte");
    }
    assert!(replayed.len() > told.len());
    let last = told.last().unwrap();
    assert_ne!(last.name, "service_started");
}
