//! Jobs over HTTP: edited, cancelled, corrected, counted, exported.

use printernizer::base::clock::{Clock, RELEASE_FLOOR, Timestamp};
use serde_json::{Value, json};
use simulator::bambu::{Command, Model, Source};

use crate::client;
use crate::contract;
use crate::printers::{advance, advance_slowly, begin, manual, order, plan};
use crate::service::{Service, Setup};

fn put(service: &Service, path: &str, body: Value) -> client::Answer {
    service.call("PUT", path, Some(body))
}

fn ended(service: &Service, count: usize) {
    service.log.wait(&format!("{count} jobs have ended"), |frames| {
        (frames.iter().filter(|seen| seen.name == "job_completed").count() >= count).then_some(())
    });
}

#[test]
fn a_waiting_job_is_edited_and_cancelled() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    let job = service
        .post("/jobs", json!({"printer_id": id, "job_name": "Vase", "filename": "vase.3mf"}))
        .expect(201);
    assert_eq!(
        (&job["booking"], &job["notes"], &job["material_used_g"]),
        (&json!("none"), &Value::Null, &Value::Null)
    );
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    let edited =
        put(&service, &path, json!({"job_name": " Big vase ", "notes": "for Ada", "plate": 2})).expect(200);
    assert_eq!(
        (&edited["job_name"], &edited["notes"], &edited["plate"], &edited["filename"]),
        (&json!("Big vase"), &json!("for Ada"), &json!(2), &json!("vase.3mf"))
    );
    let cleared = put(&service, &path, json!({"notes": null, "filename": null})).expect(200);
    assert_eq!(
        (&cleared["notes"], &cleared["filename"], &cleared["plate"]),
        (&Value::Null, &Value::Null, &json!(2))
    );
    put(&service, &path, json!({})).expect(200);
    for (body, status, code) in [
        (json!({"job_name": " "}), 400, "BAD_VALUE"),
        (json!({"plate": 0}), 400, "BAD_VALUE"),
        (json!({"file_id": "f9"}), 400, "BAD_VALUE"),
        (json!({"file_id": "x"}), 400, "BAD_VALUE"),
        (json!({"status": "printing"}), 400, "BAD_VALUE"),
        (json!({"status": "running"}), 409, "STATUS_NOT_BY_HAND"),
        (json!({"status": "completed"}), 409, "STATUS_NOT_BY_HAND"),
        (json!({"plate": "two"}), 422, "WRONG_SHAPE"),
    ] {
        assert_eq!(put(&service, &path, body.clone()).error(status), code, "{body}");
    }
    let cancelled = service.post(&format!("{path}/cancel"), json!({})).expect(200);
    assert_eq!((&cancelled["status"], &cancelled["booking"]), (&json!("cancelled"), &json!("none")));
    assert!(cancelled["completed_at"].is_string());
    assert_eq!(service.post(&format!("{path}/cancel"), json!({})).error(409), "JOB_IS_OVER");
    assert_eq!(
        put(&service, &format!("{path}/status"), json!({"status": "completed"})).error(409),
        "JOB_IS_OVER"
    );
    assert_eq!(put(&service, &path, json!({"filename": "other.3mf"})).error(409), "JOB_FILE_IS_FIXED");
    assert_eq!(service.post("/jobs/j99/cancel", json!({})).error(404), "NOT_FOUND");
    let events = service.journal();
    contract::check(&events);
    let steps = contract::job_steps(&events, job["id"].as_str().unwrap());
    assert_eq!(steps, ["job_created", "job_updated", "job_updated", "-> cancelled", "job_completed"]);
    let stats = service.get("/jobs/statistics");
    assert_eq!((&stats["total"]["cancelled"], &stats["total"]["jobs"]), (&json!(1), &json!(1)));
    assert_eq!(stats["total"]["success_rate_percentage"], Value::Null);
}

#[test]
fn nobody_says_how_a_print_stands_but_its_printer() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    service.watch(&printer);
    begin(&printer, plan("Cube", Source::Cloud));
    service.log.first("it prints", |seen| seen.name == "job_started");
    let path = format!("/jobs/{}", service.jobs()[0]["id"].as_str().unwrap());
    for status in ["completed", "failed", "cancelled", "pending", "unknown"] {
        let body = json!({"status": status, "force": true});
        assert_eq!(put(&service, &format!("{path}/status"), body).error(409), "JOB_IS_ACTIVE", "{status}");
    }
    assert_eq!(service.call("DELETE", &path, None).error(409), "JOB_IS_ACTIVE");
    // Its name and notes are the user's.
    let edited = put(&service, &path, json!({"job_name": "My cube", "notes": "blue"})).expect(200);
    assert_eq!((&edited["job_name"], &edited["status"]), (&json!("My cube"), &json!("running")));
    advance_slowly(&printer, 900.0);
    ended(&service, 1);
    let job = service.get(&path);
    assert_eq!(
        (&job["job_name"], &job["notes"], &job["status"], &job["booking"]),
        (&json!("My cube"), &json!("blue"), &json!("completed"), &json!("pending"))
    );
    // An end that the printer named stays.
    assert_eq!(
        put(&service, &format!("{path}/status"), json!({"status": "failed"})).error(409),
        "JOB_IS_OVER"
    );
    let same = put(&service, &format!("{path}/status"), json!({"status": "completed"})).expect(200);
    assert_eq!((&same["previous_status"], &same["status"]), (&json!("completed"), &json!("completed")));
    contract::check(&service.journal());
}

#[test]
fn an_end_that_nobody_saw_is_offered_to_the_user() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    service.watch(&printer);
    begin(&printer, plan("Cube", Source::Cloud));
    service.log.first("it prints", |seen| seen.name == "job_started");
    advance(&printer, 60.0);
    order(&printer, Command::Reset);
    ended(&service, 1);
    let job = service.jobs()[0].clone();
    assert_eq!((&job["status"], &job["booking"]), (&json!("unknown"), &json!("offered")));
    let (id, path) = (job["id"].as_str().unwrap(), format!("/jobs/{}", job["id"].as_str().unwrap()));
    let spool = service.post("/materials", json!({"material_type": "PLA", "weight": 1})).expect(201);
    let booking = json!({"material_id": spool["id"], "weight_grams": 12.5, "job_id": id});
    let booking = service.post("/materials/consumption", booking).expect(201);
    assert_eq!((&booking["job_id"], &booking["printer_id"]), (&json!(id), &job["printer_id"]));
    assert_eq!(service.get(&path)["booking"], "booked");
    let undo = format!("/materials/consumption/{}", booking["id"].as_str().unwrap());
    service.call("DELETE", &undo, None).expect(200);
    assert_eq!(service.get(&path)["booking"], "undone");
    assert_eq!(service.get(&format!("/materials/consumption/history?job_id={id}"))["total_count"], 1);
    let body = json!({"status": "completed", "completion_notes": "it lay on the plate"});
    let told = put(&service, &format!("{path}/status"), body).expect(200);
    assert_eq!((&told["previous_status"], &told["status"]), (&json!("unknown"), &json!("completed")));
    let job = service.get(&path);
    assert_eq!((&job["status"], &job["notes"]), (&json!("completed"), &json!("it lay on the plate")));
    let events = service.journal();
    contract::check(&events);
    let booked = events.iter().rfind(|event| event["event"] == "material_updated").unwrap();
    assert_eq!(booked["flow"], format!("print-{id}"));
    let stats = service.get("/jobs/statistics");
    assert_eq!((&stats["total"]["unknown"], &stats["total"]["completed"]), (&json!(0), &json!(1)));
}

#[test]
fn jobs_are_counted_by_printer_and_by_local_day() {
    let clock = Clock::manual(Timestamp(RELEASE_FLOOR.0 + 22 * 3_600_000));
    let setup = Setup { clock, manual: true, zone: "Europe/Berlin", ..Setup::default() };
    let service = Service::with(setup.clone());
    let body = |name: &str| {
        json!({"name": name, "printer_type": "prusa_link", "is_enabled": false,
            "connection_config": {"ip_address": "127.0.0.1", "http_port": if name == "one" { 8001 } else { 8002 }, "api_key": "k"}})
    };
    let printers = ["one", "two"].map(|name| service.post("/printers", body(name)).expect(201)["id"].clone());
    let cancel = |printer: &Value| {
        let job = service.post("/jobs", json!({"printer_id": printer, "job_name": "x"})).expect(201);
        service.post(&format!("/jobs/{}/cancel", job["id"].as_str().unwrap()), json!({})).expect(200);
        job["id"].as_str().unwrap().to_owned()
    };
    cancel(&printers[0]);
    // Past midnight in Berlin, not yet in London.
    setup.clock.advance(std::time::Duration::from_secs(3_700));
    let last = cancel(&printers[0]);
    cancel(&printers[1]);
    let stats = service.get("/jobs/statistics");
    assert_eq!((&stats["time_zone"], &stats["today"]), (&json!("Europe/Berlin"), &json!("2026-11-02")));
    let days = |stats: &Value| -> Vec<(String, u64)> {
        let days = stats["days"].as_array().unwrap().iter();
        days.map(|day| (day["day"].as_str().unwrap().to_owned(), day["jobs"].as_u64().unwrap())).collect()
    };
    assert_eq!(days(&stats), [("2026-11-02".to_owned(), 2), ("2026-11-01".to_owned(), 1)]);
    let of_printers: Vec<_> =
        stats["printers"].as_array().unwrap().iter().map(|one| one["cancelled"].clone()).collect();
    assert_eq!(of_printers, [json!(2), json!(1)]);
    assert_eq!(stats["printers"][0]["printer_name"], "one");
    let one = service.get(&format!("/jobs/statistics?printer_id={}", printers[1].as_str().unwrap()));
    assert_eq!((days(&one), &one["total"]["jobs"]), (vec![("2026-11-02".to_owned(), 1)], &json!(1)));
    assert_eq!(days(&service.get("/jobs/statistics?days=1")), [("2026-11-02".to_owned(), 2)]);
    service.call("GET", "/jobs/statistics?days=367", None).error(400);
    // What is deleted no longer counts.
    service.call("DELETE", &format!("/jobs/{last}"), None).expect(204);
    assert_eq!(service.get("/jobs/statistics")["total"]["jobs"], 2);
    drop(service);
    // Another zone counts by its own days.
    let service = Service::with(Setup { zone: "UTC", ..setup });
    let stats = service.get("/jobs/statistics");
    assert_eq!(days(&stats), [("2026-11-01".to_owned(), 2)]);
}

#[test]
fn exports_are_whole_and_compute_nothing() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    for number in 0..40 {
        let name = if number == 7 {
            "=HYPERLINK(\"http://evil\",\"x\")".to_owned()
        } else {
            format!("job, number {number}")
        };
        let job = service.post("/jobs", json!({"printer_id": id, "job_name": name})).expect(201);
        service.post(&format!("/jobs/{}/cancel", job["id"].as_str().unwrap()), json!({})).expect(200);
    }
    service.post("/jobs", json!({"printer_id": id, "job_name": "waits"})).expect(201);
    let answer = service.call("GET", "/jobs/export", None);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"jobs.csv\""));
    let lines: Vec<&str> = answer.body.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 42);
    assert!(lines[0].starts_with("id,printer_id,printer_name,job_name,filename,"), "{}", lines[0]);
    assert!(lines[1].contains(",\"job, number 0\","), "{}", lines[1]);
    assert!(lines[8].contains(",\"'=HYPERLINK(\"\"http://evil\"\",\"\"x\"\")\","), "{}", lines[8]);
    assert_eq!(service.call("GET", "/jobs/export?job_status=pending", None).body.lines().count(), 2);
    assert_eq!(service.call("GET", "/jobs/export?job_id=j3", None).body.lines().count(), 2);
    assert_eq!(service.call("GET", "/jobs/export?from=2100-01-01", None).body.lines().count(), 1);
    assert_eq!(service.call("GET", "/jobs/export?job_status=x", None).error(400), "BAD_VALUE");
    assert_eq!(service.call("GET", "/jobs/export?format=excel", None).error(400), "BAD_VALUE");
    assert_eq!(service.call("HEAD", "/jobs/export", None).body, "");
    service.post("/materials", json!({"material_type": "PLA", "weight": 1, "notes": "@SUM(A1)"})).expect(201);
    let answer = service.call("GET", "/materials/export?format=csv", None);
    let lines: Vec<&str> = answer.body.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[1].starts_with("m1,PLA,,,,,1000,1000,100,20,,,") && lines[1].ends_with(",\"'@SUM(A1)\""),
        "{}",
        lines[1]
    );
    assert_eq!(service.get("/jobs?from=2100-01-01T00:00:00Z")["total_count"], 0);
    service.call("GET", "/jobs?from=yesterday", None).error(400);
}

#[test]
fn cancelling_a_running_job_stops_its_printer() {
    let (printer, service, _) = crate::control::bambu_printing(true);
    let path = format!("/jobs/{}", service.jobs()[0]["id"].as_str().unwrap());
    let answer = service.post(&format!("{path}/cancel"), json!({})).expect(200);
    assert_eq!((&answer["status"], &answer["id"]), (&json!("cancelled"), &service.jobs()[0]["id"]));
    assert_eq!(service.post(&format!("{path}/cancel"), json!({})).error(409), "JOB_IS_OVER");
    let events = service.journal();
    contract::check(&events);
    assert!(events.iter().any(|event| event["event"] == "print_stopped"));
    drop(printer);
    // A printer that takes no orders says why, and the job goes on.
    let (_printer, service, _) = crate::control::bambu_printing(false);
    let path = format!("/jobs/{}", service.jobs()[0]["id"].as_str().unwrap());
    assert_eq!(service.post(&format!("{path}/cancel"), json!({})).error(409), "CONTROL_NOT_PERMITTED");
    assert_eq!(service.get(&path)["status"], "running");
}
