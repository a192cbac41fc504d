//! Prints of every model and origin, from start to end, as jobs.

use serde_json::{Value, json};
use simulator::bambu::{CancelEnd, Command, Model, Outcome, PauseReason, PrintPlan, Source};

use crate::contract::{self, job_steps};
use crate::printers::{advance, advance_slowly, begin, manual, order, plan};
use crate::service::Service;

/// A print from start to end, seen in all its reports.
const WHOLE: [&str; 6] =
    ["job_created", "-> preparing", "-> running", "job_started", "-> completed", "job_completed"];

/// The steps without relabellings, which depend on how piecemeal a printer tells its names.
fn steps(events: &[Value], job: &str) -> Vec<String> {
    job_steps(events, job).into_iter().filter(|step| step != "job_updated").collect()
}

fn completed(service: &Service, count: usize) {
    service.log.wait(&format!("{count} jobs have ended"), |frames| {
        (frames.iter().filter(|seen| seen.name == "job_completed").count() >= count).then_some(())
    });
}

fn a_whole_print(model: Model, source: Source) {
    let printer = manual(model);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Würfel", source));
    service.until(&id, "it prints", |view| view["status"] == "printing");
    let status = service.get(&format!("/printers/{id}/status"));
    assert_eq!(status["current_job"]["name"].as_str().unwrap().trim_end_matches(".3mf"), "Würfel");
    assert!(status["current_job"]["job_id"].is_string(), "{status}");
    advance_slowly(&printer, 900.0);
    completed(&service, 1);

    let jobs = service.jobs();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let job = &jobs[0];
    assert_eq!(
        (&job["status"], &job["progress"], &job["auto"]),
        (&json!("completed"), &json!(100), &json!(true))
    );
    assert_eq!(job["job_name"].as_str().unwrap().trim_end_matches(".3mf"), "Würfel");
    assert!(job["duration_s"].is_u64() && job["started_at"].is_string() && job["completed_at"].is_string());
    let events = service.journal();
    contract::check(&events);
    assert_eq!(steps(&events, job["id"].as_str().unwrap()), WHOLE, "{model:?} {source:?}");
    let view = service.get(&format!("/printers/{id}"));
    assert_eq!((&view["status"], &view["plate"]), (&json!("finished"), &json!("occupied")));
    order(&printer, Command::Reset);
    let view = service.until(&id, "it rests", |view| view["status"] == "idle");
    assert_eq!((&view["current_job"], &view["plate"]), (&Value::Null, &json!("occupied")));
    assert_eq!(service.jobs().len(), 1);
}

#[test]
fn a_whole_print_on_every_model_from_the_cloud() {
    for model in [Model::P1s, Model::A1, Model::A1Mini, Model::X1c, Model::H2d] {
        a_whole_print(model, Source::Cloud);
    }
}

#[test]
fn a_whole_print_on_every_model_from_the_screen() {
    for model in [Model::P1s, Model::A1, Model::A1Mini, Model::X1c, Model::H2d] {
        a_whole_print(model, Source::Screen);
    }
}

#[test]
fn a_whole_print_on_every_model_from_the_lan() {
    for model in [Model::P1s, Model::A1, Model::A1Mini, Model::X1c, Model::H2d] {
        a_whole_print(model, Source::Lan);
    }
}

#[test]
fn ends_are_what_the_printer_says() {
    let ends = [
        (Outcome::FailedAt(40), CancelEnd::Failed, "failed"),
        (Outcome::FailedPreparing, CancelEnd::Failed, "failed"),
        (Outcome::CancelledAt(30), CancelEnd::Failed, "cancelled"),
        (Outcome::CancelledAt(30), CancelEnd::Idle, "cancelled"),
    ];
    for model in [Model::P1s, Model::X1c] {
        let printer = manual(model);
        let service = Service::start();
        service.watch(&printer);
        for (number, (outcome, cancel_end, _)) in ends.iter().enumerate() {
            let plan =
                PrintPlan { outcome: *outcome, cancel_end: *cancel_end, ..plan("Cube", Source::Cloud) };
            order(&printer, Command::StartPrint { plan });
            advance_slowly(&printer, 1_200.0);
            completed(&service, number + 1);
        }
        let jobs = service.jobs();
        let statuses: Vec<&str> = jobs.iter().map(|job| job["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ends.map(|(_, _, status)| status), "{model:?}");
        assert!(jobs[0]["error"].as_str().unwrap().contains("0300-8003"), "{:?}", jobs[0]);
        let events = service.journal();
        contract::check(&events);
        let preparing = steps(&events, jobs[1]["id"].as_str().unwrap());
        assert_eq!(preparing, ["job_created", "-> preparing", "-> failed", "job_completed"]);
    }
}

#[test]
fn a_cancellation_from_outside_is_one() {
    let printer = manual(Model::A1);
    let service = Service::start();
    service.watch(&printer);
    begin(&printer, plan("Cube", Source::Cloud));
    order(&printer, Command::Cancel { end: None });
    advance(&printer, 10.0);
    completed(&service, 1);
    assert_eq!(service.jobs()[0]["status"], "cancelled");
}

#[test]
fn pauses_are_seen_and_the_job_goes_on() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Cube", Source::Lan));
    order(&printer, Command::Pause { reason: PauseReason::default() });
    service.until(&id, "it is paused", |view| view["status"] == "paused");
    assert_eq!(service.jobs()[0]["status"], "paused");
    order(&printer, Command::Resume);
    service.until(&id, "it goes on", |view| view["status"] == "printing");
    advance_slowly(&printer, 900.0);
    completed(&service, 1);
    let events = service.journal();
    contract::check(&events);
    let job = service.jobs()[0]["id"].as_str().unwrap().to_owned();
    let expected = [
        "job_created",
        "-> preparing",
        "-> running",
        "job_started",
        "-> paused",
        "-> running",
        "-> completed",
        "job_completed",
    ];
    assert_eq!(steps(&events, &job), expected);
}

#[test]
fn the_same_file_twice_is_two_jobs() {
    for (model, source) in
        [(Model::P1s, Source::Cloud), (Model::A1, Source::Screen), (Model::X1c, Source::Lan)]
    {
        for directly in [false, true] {
            let printer = manual(model);
            let service = Service::start();
            service.watch(&printer);
            for count in 1..=2 {
                begin(&printer, PrintPlan { starts_directly: directly, ..plan("Cube", source) });
                advance_slowly(&printer, 900.0);
                completed(&service, count);
            }
            let jobs = service.jobs();
            assert_eq!(jobs.len(), 2, "{model:?} {source:?} {directly}: {jobs:?}");
            let events = service.journal();
            contract::check(&events);
            for job in jobs {
                assert_eq!(job["status"], "completed");
                assert_eq!(steps(&events, job["id"].as_str().unwrap()), WHOLE);
            }
        }
    }
}

#[test]
fn calibrations_are_no_jobs() {
    for model in [Model::P1s, Model::X1c, Model::H2d] {
        let printer = manual(model);
        let service = Service::start();
        let id = service.watch(&printer);
        begin(&printer, plan("auto_cali", Source::Calibration));
        advance_slowly(&printer, 900.0);
        service.until(&id, "the calibration is over", |view| view["status"] == "finished");
        assert_eq!(service.jobs(), Vec::<Value>::new(), "{model:?}");
        begin(&printer, plan("Cube", Source::Cloud));
        advance_slowly(&printer, 900.0);
        completed(&service, 1);
        assert_eq!(service.jobs().len(), 1);
        contract::check(&service.journal());
    }
}

#[test]
fn a_pending_job_is_adopted() {
    let printer = manual(Model::A1);
    let service = Service::start();
    let id = service.watch(&printer);
    let body = json!({"printer_id": id, "job_name": "For the neighbour", "filename": "Cube.gcode.3mf"});
    let pending = service.post("/jobs", body).expect(201);
    assert_eq!((&pending["status"], &pending["auto"]), (&json!("pending"), &json!(false)));
    let other = service.post("/jobs", json!({"printer_id": id, "job_name": "Something else"})).expect(201);

    begin(&printer, plan("Cube", Source::Cloud));
    advance_slowly(&printer, 900.0);
    completed(&service, 1);
    let jobs = service.jobs();
    assert_eq!(jobs.len(), 2, "{jobs:?}");
    let job = &jobs[0];
    assert_eq!(job["id"], pending["id"]);
    assert_eq!((&job["status"], &job["job_name"]), (&json!("completed"), &json!("For the neighbour")));
    assert_eq!((&jobs[1]["id"], &jobs[1]["status"]), (&other["id"], &json!("pending")));
    let events = service.journal();
    contract::check(&events);
    assert_eq!(steps(&events, job["id"].as_str().unwrap()), WHOLE, "created once, by the API");
}

#[test]
fn the_state_of_a_print_is_shown_truly() {
    let printer = manual(Model::H2d);
    let service = Service::start();
    let id = service.watch(&printer);
    let plan = PrintPlan { layers: 50, plate: 3, ..plan("Cube", Source::Cloud) };
    begin(&printer, plan);
    advance(&printer, 200.0);
    service.until(&id, "it prints", |view| view["status"] == "printing");
    let update = service.log.wait("progress", |frames| {
        let last = frames.iter().rfind(|seen| seen.name == "printer_status_update")?;
        (last.data()["progress"].as_u64()? > 10).then(|| last.data().clone())
    });
    assert_eq!(update["layers"], 50);
    assert!(
        update["layer"].as_u64().unwrap() > 1 && update["remaining_s"].as_u64().unwrap() > 60,
        "{update}"
    );
    assert_eq!(update["nozzles"].as_array().unwrap().len(), 2, "{update}");
    assert!(update["temperature"]["nozzle_target"].as_f64().unwrap() > 200.0, "{update}");
    assert!(update["filaments"].as_array().unwrap().iter().filter(|one| one["active"] == true).count() == 1);
    let job = service.jobs()[0].clone();
    assert_eq!((&job["plate"], &job["status"]), (&json!(3), &json!("running")));
    assert!(job["progress"].as_u64().unwrap() > 10, "as the printer says, not as it was at the start: {job}");
    for field in ["stage", "file_id", "thumbnail_url", "last_seen", "silent_for_s", "started_at", "job_id"] {
        assert!(update.get(field).is_some(), "{field} is never missing");
    }
}
