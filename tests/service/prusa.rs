//! Prusa printers over PrusaLink: connection, polls, jobs to their end. Time is moved by hand: a poll is when a test says so.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::prusa::{
    AfterReboot, Command, Config, Fault, Faults, Garbage, Model, NewFile, Printer, Silence, Target,
};

use crate::contract::{self, CONNECTED, connection_steps, job_steps};
use crate::service::{Service, wait_for};

/// The PrusaLink password of every honest printer here.
pub const PASSWORD: &str = "pw-of-a-printer";

/// A printer whose time is all the scenario's doing, with two files on its stick.
pub fn manual(model: Model) -> Printer {
    Printer::start(config(model)).unwrap()
}

pub fn config(model: Model) -> Config {
    let mut config = Config::manual(model, PASSWORD);
    config.files = vec![NewFile::new("Würfel groß.gcode"), NewFile::new("Spice rack, left.bgcode")];
    config
}

/// The body that adds `printer`.
pub fn entry(printer: &Printer) -> Value {
    let about = printer.description();
    json!({
        "name": about.name, "printer_type": "prusa_link",
        "connection_config": {"ip_address": about.host, "http_port": about.port, "password": about.password},
    })
}

/// Adds `printer`, which has to be connected by then; answers its id.
pub fn watch(service: &Service, printer: &Printer) -> String {
    let view = service.post("/printers", entry(printer)).expect(201);
    assert_eq!(view["connection"]["status"], "monitoring", "{view}");
    view["id"].as_str().unwrap().to_owned()
}

pub fn order(printer: &Printer, command: Command) {
    printer.command(command).unwrap();
}

pub fn advance(printer: &Printer, seconds: f64) {
    order(printer, Command::Advance { seconds });
}

/// Lets the service's time go on until the printer is asked again, and waits until the answer was taken.
pub fn poll(service: &Service, id: &str, printer: &Printer) {
    let path = format!("/printers/{id}");
    let before = printer.observations().of(Target::Status);
    let seen = service.get(&path)["last_seen"].clone();
    wait_for("the printer is asked", || {
        if printer.observations().of(Target::Status) > before {
            return true;
        }
        service.setup.clock.advance(Duration::from_millis(500));
        false
    });
    service.until(id, "the answer is taken", |view| view["last_seen"] != seen);
}

/// Starts a print of the named file and brings it to its first layers, seen by the service.
pub fn begin(service: &Service, id: &str, printer: &Printer, file: &str) {
    order(printer, Command::start(file));
    advance(printer, 150.0);
    poll(service, id, printer);
    service.until(id, "it prints", |view| view["status"] == "printing");
}

/// Lets the print come to its end without a look.
pub fn finish(printer: &Printer) {
    for _ in 0..2_000 {
        if printer.status().state == "FINISHED" {
            return;
        }
        advance(printer, 60.0);
    }
    panic!("the print does not end");
}

pub fn completed(service: &Service, count: usize) {
    wait_for("the jobs have ended", || {
        service.jobs().iter().filter(|job| job["completed_at"].is_string()).count() == count
    });
}

const WHOLE: [&str; 5] = ["job_created", "-> running", "job_started", "-> completed", "job_completed"];

#[test]
fn a_printer_is_connected_asked_every_eight_seconds_and_left_in_peace() {
    let printer = manual(Model::Mk4);
    let service = Service::manual();
    let id = watch(&service, &printer);
    let events = service.journal();
    contract::check(&events);
    assert_eq!(connection_steps(&events, &id), CONNECTED);
    let view = service.get(&format!("/printers/{id}"));
    assert_eq!((&view["status"], &view["printer_type"]), (&json!("idle"), &json!("prusa_link")));
    assert_eq!(view["connection_config"]["serial_number"], printer.serial());
    assert_eq!(view["connection_config"]["has_password"], true);
    assert!(!view.to_string().contains(PASSWORD));

    let first = printer.observations();
    assert_eq!(first.request_lines[0], "GET /api/version");
    assert_eq!((first.connections, first.peak_active_requests, first.refusals()), (1, 1, 0));
    assert_eq!((first.anonymous, first.of(Target::Status), first.of(Target::Job)), (1, 1, 0));
    let started = service.setup.clock.now().mono;
    for _ in 0..5 {
        poll(&service, &id, &printer);
    }
    let took = service.setup.clock.now().mono.since(started);
    assert!(took >= Duration::from_secs(36) && took <= Duration::from_secs(50), "{took:?}");
    let seen = printer.observations();
    assert_eq!((seen.of(Target::Status), seen.of(Target::Job)), (6, 0));
    // The first look at its files may have come meanwhile: one folder, over one connection and challenge of its own.
    let looked = seen.of(Target::Files);
    assert!(looked <= 1, "{seen:?}");
    assert!(seen.connections <= 2 && seen.anonymous <= 2, "one connection, one challenge: {seen:?}");
    assert_eq!((seen.refusals(), seen.peak_active_requests), (0, 1), "{seen:?}");
    let status = service.get(&format!("/printers/{id}/status"));
    assert!(status["temperatures"]["nozzle"]["current"].as_f64().unwrap() > 10.0, "{status}");
}

#[test]
fn a_print_is_a_job_from_its_start_to_its_end() {
    for (file, model) in [("Würfel groß.gcode", Model::Mk4), ("Spice rack, left.bgcode", Model::Mini)] {
        let printer = manual(model);
        let service = Service::manual();
        let id = watch(&service, &printer);
        begin(&service, &id, &printer, file);
        let job = service.jobs()[0].clone();
        assert_eq!(
            (&job["job_name"], &job["status"], &job["auto"]),
            (&json!(file), &json!("running"), &json!(true))
        );
        assert_eq!(job["filename"], printer.short_path(file).unwrap());
        let asked = printer.observations().of(Target::Job);
        advance(&printer, 300.0);
        poll(&service, &id, &printer);
        assert_eq!(printer.observations().of(Target::Job), asked, "its own page is asked for once");
        let status = service.get(&format!("/printers/{id}/status"));
        assert!(status["current_job"]["progress"].as_u64().is_some(), "{status}");
        finish(&printer);
        poll(&service, &id, &printer);
        completed(&service, 1);
        let view = service.until(&id, "it is finished", |view| view["status"] == "finished");
        assert_eq!((&view["current_job"], &view["plate"]), (&json!(file), &json!("occupied")));
        order(&printer, Command::Leave);
        poll(&service, &id, &printer);
        service.until(&id, "it is idle", |view| view["status"] == "idle" && view["current_job"].is_null());
        let events = service.journal();
        contract::check(&events);
        assert_eq!(job_steps(&events, job["id"].as_str().unwrap()), WHOLE);
        assert_eq!(service.jobs().len(), 1);
    }
}

#[test]
fn ends_are_what_the_printer_says_and_never_guessed() {
    let printer = manual(Model::Mk4);
    let service = Service::manual();
    let id = watch(&service, &printer);
    // Stopped at the printer.
    begin(&service, &id, &printer, "Würfel groß.gcode");
    order(&printer, Command::Stop);
    advance(&printer, 20.0);
    poll(&service, &id, &printer);
    completed(&service, 1);
    order(&printer, Command::Leave);
    poll(&service, &id, &printer);
    // Finished, and somebody left the screen before the next look.
    begin(&service, &id, &printer, "Würfel groß.gcode");
    finish(&printer);
    order(&printer, Command::Leave);
    poll(&service, &id, &printer);
    completed(&service, 2);
    // The next print of the same file began before the next look.
    begin(&service, &id, &printer, "Würfel groß.gcode");
    finish(&printer);
    order(&printer, Command::Leave);
    begin(&service, &id, &printer, "Würfel groß.gcode");
    wait_for("the next job", || service.jobs().len() == 4);
    // Switched off in the middle of the print.
    order(&printer, Command::Reboot { job: AfterReboot::Lost });
    poll(&service, &id, &printer);
    completed(&service, 4);
    let statuses: Vec<Value> = service.jobs().iter().map(|job| job["status"].clone()).collect();
    assert_eq!(statuses, ["cancelled", "unknown", "unknown", "unknown"]);
    contract::check(&service.journal());
}

#[test]
fn pauses_and_questions_are_seen_and_the_job_goes_on() {
    let printer = manual(Model::Xl);
    let service = Service::manual();
    let id = watch(&service, &printer);
    // A question while nothing is printed is no job.
    order(&printer, Command::Ask);
    poll(&service, &id, &printer);
    service.until(&id, "it asks", |view| view["status"] == "attention");
    assert!(service.jobs().is_empty());
    order(&printer, Command::Answer);
    begin(&service, &id, &printer, "Würfel groß.gcode");
    for (command, status, back) in
        [(Command::Pause, "paused", Command::Resume), (Command::Ask, "attention", Command::Answer)]
    {
        order(&printer, command);
        poll(&service, &id, &printer);
        service.until(&id, "it waits", |view| view["status"] == status);
        assert_eq!(service.jobs()[0]["status"], "paused");
        order(&printer, back);
        advance(&printer, 20.0);
        poll(&service, &id, &printer);
        service.until(&id, "it goes on", |view| view["status"] == "printing");
    }
    finish(&printer);
    poll(&service, &id, &printer);
    completed(&service, 1);
    let events = service.journal();
    contract::check(&events);
    let job = service.jobs()[0]["id"].as_str().unwrap().to_owned();
    let expected = [
        "job_created",
        "-> running",
        "job_started",
        "-> paused",
        "-> running",
        "-> paused",
        "-> running",
        "-> completed",
        "job_completed",
    ];
    assert_eq!(job_steps(&events, &job), expected);
}

#[test]
fn a_restart_of_the_service_or_the_printer_in_a_print_is_no_edge() {
    let printer = manual(Model::Mk4);
    let mut service = Service::manual();
    let id = watch(&service, &printer);
    begin(&service, &id, &printer, "Würfel groß.gcode");
    let job = service.jobs()[0].clone();
    for _ in 0..3 {
        service = service.restart();
        service.until(&id, "it is connected", |view| view["connection"]["status"] == "monitoring");
        let view = service.until(&id, "it prints", |view| view["status"] == "printing");
        assert_eq!(view["job_id"], job["id"]);
        advance(&printer, 30.0);
    }
    // A power cut of the printer, which goes on with the print.
    order(&printer, Command::Reboot { job: AfterReboot::Resumed });
    advance(&printer, 200.0);
    poll(&service, &id, &printer);
    service.until(&id, "it prints on", |view| view["status"] == "printing");
    // It ends while the service is away.
    let (setup, _) = service.stop();
    finish(&printer);
    let service = Service::with(setup);
    completed(&service, 1);
    let jobs = service.jobs();
    assert_eq!((jobs.len(), &jobs[0]["id"], &jobs[0]["status"]), (1, &job["id"], &json!("completed")));
    let events = service.journal();
    contract::check(&events);
    assert_eq!(job_steps(&events, job["id"].as_str().unwrap()), WHOLE);
}

#[test]
fn nonces_are_used_as_long_as_they_are_good() {
    for config in [config(Model::Mk4), config(Model::Mini).old_firmware()] {
        let life = config.nonce_lifetime_s;
        let printer = Printer::start(config).unwrap();
        let service = Service::manual();
        let id = watch(&service, &printer);
        for _ in 0..3 {
            advance(&printer, f64::from(life) + 1.0);
            poll(&service, &id, &printer);
        }
        order(&printer, Command::Reboot { job: AfterReboot::Lost });
        poll(&service, &id, &printer);
        let seen = printer.observations();
        // Once for the states, and once for the first look at its files, if that came meanwhile.
        assert_eq!((seen.anonymous.saturating_sub(1) <= 1, seen.wrong_digests), (true, 0), "{seen:?}");
        assert!((3..=5).contains(&seen.stale_digests), "{seen:?}");
        assert_eq!(connection_steps(&service.journal(), &id), CONNECTED, "nobody noticed");
    }
}

#[test]
fn a_printer_that_takes_keys_only_gets_the_password_as_a_key() {
    let printer = Printer::start(Config { knows_digest: false, ..config(Model::Mini) }).unwrap();
    let service = Service::manual();
    let id = watch(&service, &printer);
    poll(&service, &id, &printer);
    let seen = printer.observations();
    assert_eq!((seen.anonymous, seen.wrong_keys), (1, 0));
    begin(&service, &id, &printer, "Würfel groß.gcode");
    let job = service.jobs()[0].clone();
    let service = service.restart();
    let view = service.until(&id, "it prints", |view| view["status"] == "printing");
    assert_eq!(view["job_id"], job["id"], "known by its file, without a boot");
}

#[test]
fn a_wrong_password_needs_a_person_and_a_corrected_one_is_tried_at_once() {
    let printer = manual(Model::Mk4);
    let service = Service::manual();
    let mut wrong = entry(&printer);
    wrong["connection_config"]["password"] = json!("wrong-password");
    wrong["connection_config"]["username"] = json!("maker");
    let view = service.post("/printers", wrong).expect(201);
    assert_eq!(
        (&view["connection"]["status"], &view["connection"]["kind"]),
        (&json!("error"), &json!("auth"))
    );
    assert!(view["connection"]["message"].as_str().unwrap().contains("password"), "{view}");
    let id = view["id"].as_str().unwrap().to_owned();
    let seen = printer.observations();
    assert_eq!((seen.refusals(), seen.wrong_keys), (1, 0), "asked once, and never in clear");
    service.pass(Duration::from_secs(200));
    assert_eq!(printer.observations().refusals(), 1, "and not again by itself for minutes");
    let steps = connection_steps(&service.journal(), &id);
    assert_eq!(steps, ["connecting", "failed", "error"]);

    let right = json!({"connection_config": {"password": PASSWORD}});
    service.call("PUT", &format!("/printers/{id}"), Some(right)).expect(200);
    service.until(&id, "it is connected", |view| view["connection"]["status"] == "monitoring");
    // The password is changed at the printer.
    order(&printer, Command::SetPassword { password: "another-one".into() });
    service.pass(Duration::from_secs(10));
    service.pass(Duration::from_secs(5));
    let view = service.until(&id, "it is refused", |view| view["connection"]["status"] == "error");
    assert_eq!((&view["status"], &view["connection"]["kind"]), (&json!("offline"), &json!("auth")), "{view}");
    assert_eq!(printer.observations().wrong_keys, 0, "never in clear after a digest was taken");
    contract::check(&service.journal());
}

#[test]
fn trouble_of_every_kind_is_told_apart_and_ends_without_a_restart() {
    let cases = [
        (Faults { silence: Silence::Refuse, ..Faults::default() }, "refused"),
        (Faults::at(Target::All, Fault::Status(500)), "protocol"),
        (Faults::at(Target::Status, Fault::Status(503)), "busy"),
        (Faults::at(Target::Version, Fault::Garbage(Garbage::Html)), "protocol"),
        (Faults::at(Target::Version, Fault::Garbage(Garbage::NotHttp)), "protocol"),
        (Faults::at(Target::Status, Fault::Garbage(Garbage::Large)), "protocol"),
        (Faults::at(Target::Status, Fault::Garbage(Garbage::BrokenJson)), "protocol"),
        (Faults::at(Target::Version, Fault::Drop), "unreachable"),
    ];
    for (faults, kind) in cases {
        let printer = Printer::start(Config { faults: faults.clone(), ..config(Model::Mk4) }).unwrap();
        let service = Service::manual();
        let view = service.post("/printers", entry(&printer)).expect(201);
        assert_eq!(view["connection"]["kind"], kind, "{faults:?}: {view}");
        let id = view["id"].as_str().unwrap().to_owned();
        order(&printer, Command::ClearFaults);
        service.pass(Duration::from_secs(40));
        service.until(&id, "it is connected", |view| view["connection"]["status"] == "monitoring");
        contract::check(&service.journal());
    }
}

#[test]
fn a_silent_printer_is_given_up_within_90_seconds_and_delays_nobody() {
    let (silent, other) = (manual(Model::Mk4), manual(Model::Mini));
    let service = Service::manual();
    let (id, other_id) = (watch(&service, &silent), watch(&service, &other));
    silent.change_faults(|faults| faults.silence = Silence::Mute).unwrap();
    // One answer that does not come is borne.
    let asked = other.observations().of(Target::Status);
    service.pass(Duration::from_secs(24));
    assert_eq!(service.get(&format!("/printers/{id}"))["connection"]["status"], "monitoring");
    service.pass(Duration::from_secs(60));
    service.until(&id, "it is lost", |view| view["connection"]["kind"] == "silent");
    let lost = service.log.first("the loss", |seen| seen.name == "printer_disconnected");
    assert_eq!((&lost.data()["reason"], &lost.data()["printer_id"]), (&json!("silent"), &json!(id)));
    assert!(other.observations().of(Target::Status) >= asked + 8, "{:?}", other.observations());
    assert_eq!(connection_steps(&service.journal(), &other_id), CONNECTED);
    assert!(silent.observations().peak_connections <= 2, "{:?}", silent.observations());
    order(&silent, Command::ClearFaults);
    service.pass(Duration::from_secs(40));
    service.until(&id, "it is back", |view| view["connection"]["status"] == "monitoring");
    contract::check(&service.journal());
}

#[test]
fn odd_answers_in_a_print_change_nothing_that_was_known() {
    let printer = manual(Model::Mk4);
    let service = Service::manual();
    let id = watch(&service, &printer);
    begin(&service, &id, &printer, "Würfel groß.gcode");
    for garbage in Garbage::ALL {
        printer
            .change_faults(|faults| *faults = Faults::at(Target::Status, Fault::Garbage(garbage)))
            .unwrap();
        let before = printer.observations().of(Target::Status);
        wait_for("it is asked", || {
            service.setup.clock.advance(Duration::from_millis(100));
            printer.observations().of(Target::Status) > before
        });
        order(&printer, Command::ClearFaults);
        poll(&service, &id, &printer);
        let view = service.until(&id, "it prints", |view| view["status"] == "printing");
        assert_eq!(view["connection"]["status"], "monitoring", "{garbage:?}");
    }
    let jobs = service.jobs();
    assert_eq!((jobs.len(), &jobs[0]["status"]), (1, &json!("running")), "{jobs:?}");
    contract::check(&service.journal());
}

#[test]
fn the_same_machine_twice_is_refused_by_its_number() {
    let printer = manual(Model::Mk4);
    let service = Service::manual();
    watch(&service, &printer);
    let error = service.post("/printers", entry(&printer)).error(409);
    assert_eq!(error, "DUPLICATE_PRINTER");
    // Under another name of the same address.
    let mut other = entry(&printer);
    other["connection_config"]["ip_address"] = json!("localhost");
    let view = service.post("/printers", other).expect(201);
    let view = service
        .until(view["id"].as_str().unwrap(), "it is refused", |view| view["connection"]["status"] == "error");
    assert_eq!(view["connection"]["kind"], "wrong_serial", "{view}");
}

#[test]
fn a_connection_test_goes_step_by_step() {
    let printer = manual(Model::Mk4);
    let service = Service::start();
    let answer = service.post("/printers/test-connection", entry(&printer)).expect(200);
    assert_eq!(answer["success"], true, "{answer}");
    let mut wrong = entry(&printer);
    wrong["connection_config"]["password"] = json!("wrong");
    let answer = service.post("/printers/test-connection", wrong).expect(200);
    let failed = answer["steps"].as_array().unwrap().iter().find(|step| step["result"] == "failed").unwrap();
    assert_eq!((&failed["step"], &failed["kind"]), (&json!("login"), &json!("auth")), "{answer}");
    let mut nothing = entry(&printer);
    nothing["connection_config"]["password"] = json!("");
    assert_eq!(service.post("/printers/test-connection", nothing).error(422), "WRONG_SHAPE");
}

#[test]
fn the_password_is_in_no_log_line_and_no_event() {
    let printer = manual(Model::Mk4);
    let service = Service::manual();
    let id = watch(&service, &printer);
    begin(&service, &id, &printer, "Würfel groß.gcode");
    order(&printer, Command::Reboot { job: AfterReboot::Lost });
    poll(&service, &id, &printer);
    let events = service.journal();
    assert!(events.iter().all(|event| !event.to_string().contains(PASSWORD)));
    let lines = crate::service::logged();
    assert!(lines.iter().any(|line| line.contains("ureq")), "the library's own lines are among them");
    // The library's traces hold the bytes of requests; `base::logging` lets no library say more than debug.
    for line in lines.into_iter().filter(|line| !line.starts_with("TRACE ureq")) {
        assert!(!line.contains(PASSWORD) && !line.contains("response=\""), "{line}");
    }
}
