//! The API's list of printers and jobs: what is taken, what is refused and how, and that no secret comes back.

use serde_json::{Value, json};
use simulator::bambu::{Command, Config, Model, Printer, Source};

use crate::contract;
use crate::printers::{CODE, advance_slowly, begin, manual, numbered, order, plan, serial};
use crate::service::{Service, entry};

fn body() -> Value {
    json!({"name": "One", "printer_type": "bambu_lab", "is_enabled": false, "location": "shelf",
        "connection_config": {"ip_address": "192.0.2.7", "access_code": CODE, "serial_number": "01P00A111111111"}})
}

/// `body()` with one field changed, by its path; null removes it.
fn with(path: &str, value: Value) -> Value {
    let mut body = body();
    let (parent, field) = path.rsplit_once('.').map_or(("", path), |(parent, field)| (parent, field));
    let place = if parent.is_empty() { &mut body } else { &mut body[parent] };
    let fields = place.as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
    body
}

#[test]
fn a_printer_is_added_read_changed_and_removed() {
    let service = Service::start();
    let answer = service.post("/printers", body());
    let view = answer.expect(201);
    let id = view["id"].as_str().unwrap();
    assert_eq!(answer.header("Location"), Some(format!("/api/v1/printers/{id}").as_str()));
    let way = &view["connection_config"];
    assert_eq!(
        (&way["has_access_code"], &way["mqtt_port"], &way["has_api_key"]),
        (&json!(true), &json!(8883), &json!(false))
    );
    assert_eq!((&view["status"], &view["connection"]["status"]), (&json!("offline"), &json!("disconnected")));
    let path = format!("/printers/{id}");
    assert_eq!(service.get(&path), view);
    let changed = service.call("PUT", &path, Some(json!({"name": " Two\u{7} ", "location": ""}))).expect(200);
    assert_eq!((&changed["name"], &changed["location"]), (&json!("Two"), &Value::Null));
    assert_eq!(changed["connection_config"], view["connection_config"], "what is absent stays");
    let status = service.get(&format!("{path}/status"));
    for field in [
        "id",
        "name",
        "status",
        "connection",
        "temperatures",
        "current_job",
        "filaments",
        "errors",
        "last_seen",
        "timestamp",
    ] {
        assert!(status.get(field).is_some(), "{field}: {status}");
    }
    service.call("DELETE", &path, None).expect(204);
    assert_eq!(service.call("GET", &path, None).error(404), "NOT_FOUND");
    let names: Vec<String> =
        service.journal().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names[names.len() - 1], "printer_removed");
    assert_eq!(names.iter().filter(|name| *name == "printer_updated").count(), 1);
}

#[test]
fn what_cannot_be_a_printer_is_refused_with_the_field() {
    let service = Service::start();
    let newest = service.newest();
    let cases = [
        (with("name", json!("")), 400, "name"),
        (with("name", json!(7)), 422, "name"),
        (with("printer_type", json!("toaster")), 400, "printer_type"),
        (with("printer_type", Value::Null), 422, "printer_type"),
        (with("connection_config", Value::Null), 422, "connection_config"),
        (with("connection_config", json!("x")), 422, "connection_config"),
        (with("connection_config.ip_address", Value::Null), 422, "connection_config.ip_address"),
        (with("connection_config.ip_address", json!("http://printer")), 400, "connection_config.ip_address"),
        (with("connection_config.ip_address", json!("a b")), 400, "connection_config.ip_address"),
        (with("connection_config.ip_address", json!("x".repeat(300))), 400, "connection_config.ip_address"),
        (with("connection_config.access_code", Value::Null), 422, "connection_config.access_code"),
        (with("connection_config.access_code", json!(12_345_678)), 422, "connection_config.access_code"),
        (with("connection_config.access_code", json!("x".repeat(200))), 400, "connection_config.access_code"),
        (with("connection_config.serial_number", json!("01P/#")), 400, "connection_config.serial_number"),
        (with("connection_config.mqtt_port", json!(0)), 400, "connection_config.mqtt_port"),
        (with("connection_config.mqtt_port", json!(70_000)), 422, "connection_config.mqtt_port"),
        (with("connection_config.mqtt_port", json!("8883")), 422, "connection_config.mqtt_port"),
        (with("is_enabled", json!("yes")), 422, "is_enabled"),
    ];
    for (body, status, field) in cases {
        for path in ["/printers", "/printers/test-connection"] {
            if path.ends_with("connection") && field == "name" && body["name"] == "" {
                continue;
            }
            let answer = service.post(path, body.clone());
            let code = answer.error(status);
            assert_eq!(code, if status == 422 { "WRONG_SHAPE" } else { "BAD_VALUE" });
            assert_eq!(answer.json()["details"]["field"], field, "{answer:?}");
        }
    }
    for (text, status, code) in [
        ("{", 400, "BAD_JSON"),
        ("[]", 422, "WRONG_SHAPE"),
        ("\u{0}", 400, "BAD_JSON"),
        ("", 400, "BAD_JSON"),
    ] {
        let answer =
            service.raw("POST", "/printers", &["Content-Type: application/json"], Some(text.as_bytes()));
        assert_eq!(answer.error(status), code, "{text:?}");
    }
    let text = body().to_string();
    let answer = service.raw("POST", "/printers", &["Content-Type: text/plain"], Some(text.as_bytes()));
    assert_eq!(answer.error(415), "UNSUPPORTED_MEDIA_TYPE");
    let large = vec![b' '; 70_000];
    assert_eq!(
        service.raw("POST", "/printers", &["Content-Type: application/json"], Some(&large)).status,
        413
    );
    assert_eq!(service.newest(), newest, "nothing of this was written");
    assert_eq!(service.get("/printers")["total_count"], 0);
}

#[test]
fn unknown_addresses_and_methods() {
    let service = Service::start();
    for path in
        ["/printers/p99", "/printers/nonsense", "/jobs/j99", "/jobs/..", "/nothing", "/printers/p1/status"]
    {
        assert_eq!(service.call("GET", path, None).error(404), "NOT_FOUND", "{path}");
    }
    for action in ["connect", "disconnect", "trust", "plate-cleared"] {
        assert_eq!(service.call("POST", &format!("/printers/p9/{action}"), None).error(404), "NOT_FOUND");
    }
    let answer = service.call("DELETE", "/printers", None);
    assert_eq!(answer.error(405), "METHOD_NOT_ALLOWED");
    let allow = answer.header("Allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    assert_eq!(service.call("PATCH", "/health", None).error(405), "METHOD_NOT_ALLOWED");
    for query in ["?page=0", "?limit=0", "?limit=201", "?page=x"] {
        assert_eq!(service.call("GET", &format!("/jobs{query}"), None).error(400), "BAD_VALUE", "{query}");
        assert_eq!(service.call("GET", &format!("/printers{query}"), None).error(400), "BAD_VALUE");
    }
    assert_eq!(service.call("GET", "/jobs?job_status=sleeping", None).error(400), "BAD_VALUE");
    assert_eq!(service.call("GET", "/jobs?printer_id=zzz", None).error(400), "BAD_VALUE");
    // A page from elsewhere may neither read nor write here.
    let foreign = ["Origin: http://evil.example", "Content-Type: application/json"];
    assert_eq!(service.raw("POST", "/printers", &foreign, Some(b"{}")).error(403), "FOREIGN_ORIGIN");
}

#[test]
fn every_address_names_its_methods() {
    let service = Service::start();
    let checksum = "0".repeat(64);
    for (path, allow) in [
        ("/events".to_owned(), "GET, HEAD, OPTIONS"),
        ("/library".to_owned(), "POST, OPTIONS"),
        (format!("/library/files/{checksum}/download"), "GET, HEAD, OPTIONS"),
        ("/files/f1/content".to_owned(), "GET, HEAD, OPTIONS"),
        ("/jobs/export".to_owned(), "GET, HEAD, OPTIONS"),
        ("/materials/export".to_owned(), "GET, HEAD, OPTIONS"),
        ("/jobs/j1".to_owned(), "GET, DELETE, PUT, HEAD, OPTIONS"),
        ("/openapi.json".to_owned(), "GET, HEAD, OPTIONS"),
    ] {
        let refused = service.call("PATCH", &path, None);
        assert_eq!(refused.error(405), "METHOD_NOT_ALLOWED", "{path}");
        assert_eq!(refused.header("Allow"), Some(allow), "{path}");
        let asked = service.call("OPTIONS", &path, None);
        assert_eq!(
            (asked.status, asked.header("Allow"), asked.body.as_str()),
            (204, Some(allow), ""),
            "{path}"
        );
    }
    for path in ["/printers", "/jobs", "/health", "/jobs/export", "/openapi.json"] {
        let (whole, head) = (service.call("GET", path, None), service.call("HEAD", path, None));
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        for name in ["Content-Type", "ETag"] {
            assert_eq!(head.header(name), whole.header(name), "{path}: {name}");
        }
    }
    for path in ["/library/files/nonsense/download", "/files/nonsense/content", "/files/f99/content"] {
        assert_eq!(service.call("GET", path, None).error(404), "NOT_FOUND", "{path}");
    }
}

#[test]
fn figures_for_prometheus() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    service.watch(&printer);
    let answer = crate::client::request(service.address, "GET", "/metrics", &[], None);
    assert_eq!(
        (answer.status, answer.header("Content-Type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    let mut figures = std::collections::BTreeMap::new();
    let mut known = "";
    for line in answer.body.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            known = kind.split(' ').next().unwrap();
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next(), Some(known), "a sample stands behind its type");
            assert!(figures.insert(name, value.parse::<f64>().unwrap()).is_none(), "{name} twice");
        }
    }
    let name = entry(&printer)["name"].as_str().unwrap().to_owned();
    assert_eq!(
        figures[&*format!("printernizer_printer_connected{{printer_id=\"p1\",name=\"{name}\"}}")],
        1.0
    );
    assert_eq!(figures["printernizer_service_up{service=\"store\"}"], 1.0);
    assert!(figures["printernizer_memory_rss_bytes"] > 1e6);
    assert_eq!(figures["printernizer_events_total{event=\"printer_added\"}"], 1.0);
    assert_eq!(figures["printernizer_jobs_total{status=\"completed\"}"], 0.0);
}

#[test]
fn pages_and_tags_of_lists() {
    let service = Service::start();
    let id = service.post("/printers", body()).expect(201)["id"].as_str().unwrap().to_owned();
    for number in 1..=7 {
        service.post("/jobs", json!({"printer_id": id, "job_name": format!("Job {number}")})).expect(201);
    }
    let page = service.get("/jobs?page=2&limit=3");
    assert_eq!(page["total_count"], 7);
    assert_eq!(page["pagination"], json!({"page": 2, "limit": 3, "total_items": 7, "total_pages": 3}));
    let names: Vec<_> = page["jobs"].as_array().unwrap().iter().map(|job| job["job_name"].clone()).collect();
    assert_eq!(names, ["Job 4", "Job 3", "Job 2"], "newest first");
    assert_eq!(service.get("/jobs?page=4&limit=3")["jobs"], json!([]));
    assert_eq!(service.get(&format!("/jobs?printer_id={id}&job_status=pending"))["total_count"], 7);
    assert_eq!(service.get("/jobs?job_status=running")["total_count"], 0);
    for path in ["/jobs", "/jobs/j1", "/printers", &format!("/printers/{id}")] {
        let answer = service.call("GET", path, None);
        let tag = format!("If-None-Match: {}", answer.header("ETag").unwrap());
        let again = service.raw("GET", path, &[&tag], None);
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
    service.call("DELETE", "/jobs/j3", None).expect(204);
    assert_eq!(service.get("/jobs")["total_count"], 6);
    assert_eq!(service.call("DELETE", "/jobs/j3", None).error(404), "NOT_FOUND");
    for bad in [json!({"printer_id": id}), json!({"printer_id": id, "job_name": 7})] {
        assert_eq!(service.post("/jobs", bad).error(422), "WRONG_SHAPE");
    }
    for bad in [
        json!({"printer_id": id, "job_name": " "}),
        json!({"printer_id": "x", "job_name": "a"}),
        json!({"printer_id": id, "job_name": "a", "plate": 0}),
    ] {
        assert_eq!(service.post("/jobs", bad).error(400), "BAD_VALUE");
    }
    assert_eq!(service.post("/jobs", json!({"printer_id": "p77", "job_name": "a"})).error(404), "NOT_FOUND");
    for _ in 0..44 {
        service.post("/jobs", json!({"printer_id": id, "job_name": "more"})).expect(201);
    }
    let answer = service.post("/jobs", json!({"printer_id": id, "job_name": "too many"}));
    assert_eq!(answer.error(409), "TOO_MANY_PENDING_JOBS");
    contract::check(&service.journal());
}

#[test]
fn the_same_printer_twice_is_refused() {
    let service = Service::start();
    let id = service.post("/printers", body()).expect(201)["id"].as_str().unwrap().to_owned();
    let same_serial = with("connection_config.ip_address", json!("192.0.2.99"));
    assert_eq!(service.post("/printers", same_serial).error(409), "DUPLICATE_PRINTER");
    let lower = with("connection_config.serial_number", json!("01p00a111111111"));
    assert_eq!(service.post("/printers", lower).error(409), "DUPLICATE_PRINTER");
    let same_place = with("connection_config.serial_number", json!("01P00A222222222"));
    assert_eq!(service.post("/printers", same_place).error(409), "DUPLICATE_PRINTER");
    let mut other = with("connection_config.serial_number", json!("01P00A222222222"));
    other["connection_config"]["mqtt_port"] = json!(8884);
    let other = service.post("/printers", other).expect(201)["id"].as_str().unwrap().to_owned();
    let steal = json!({"connection_config": {"mqtt_port": 8883}});
    assert_eq!(
        service.call("PUT", &format!("/printers/{other}"), Some(steal)).error(409),
        "DUPLICATE_PRINTER"
    );
    let kind = json!({"printer_type": "prusa_link"});
    assert_eq!(service.call("PUT", &format!("/printers/{id}"), Some(kind)).error(400), "BAD_VALUE");
    assert_eq!(service.get("/printers")["total_count"], 2);
}

#[test]
fn a_printer_at_work_is_removed_by_force_only() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Cube", Source::Cloud));
    service.until(&id, "it prints", |view| view["status"] == "printing");
    let job = service.jobs()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/printers/{id}");
    assert_eq!(service.call("DELETE", &path, None).error(409), "PRINTER_HAS_ACTIVE_JOB");
    assert_eq!(service.call("DELETE", &format!("/jobs/{job}"), None).error(409), "JOB_IS_ACTIVE");
    let clear = format!("{path}/plate-cleared");
    assert_eq!(service.call("POST", &clear, None).error(409), "PRINTER_IS_PRINTING");
    let before = service.newest();
    service.call("DELETE", &format!("{path}?force=true"), None).expect(204);
    // What the printer says now is nobody's business any more.
    advance_slowly(&printer, 900.0);
    printer.wait_for(crate::client::PATIENCE, |seen| seen.clean_disconnects == 1).unwrap();
    let events = service.journal();
    contract::check(&events);
    let tail: Vec<String> = events
        .iter()
        .filter(|event| event["seq"].as_u64().unwrap() > before)
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        tail,
        [
            "printer_monitoring_stopped",
            "printer_disconnected",
            "job_status_changed",
            "job_completed",
            "printer_removed"
        ]
    );
    let gone = &events[events.len() - 4];
    assert_eq!(gone["data"]["reason"], "removed");
    // Nor is its watch heard any more, by those who listen.
    service.log.reaches(events.last().unwrap()["seq"].as_u64().unwrap());
    let heard = service.log.all();
    let end = heard.iter().position(|seen| seen.name == "printer_removed").unwrap();
    assert!(heard[end + 1..].iter().all(|seen| !seen.is_of(&id)), "a word after the last one");
    let job = service.get(&format!("/jobs/{job}"));
    assert_eq!((&job["status"], &job["printer_name"]), (&json!("unknown"), &json!("Bambu Lab P1S")));
    // It may come back, as another entry.
    assert_ne!(service.watch(&printer), id);
    assert_eq!(service.get("/jobs")["total_count"], 1);
}

#[test]
fn a_removed_printer_says_nothing_more() {
    // Removed in the middle of everything it has to say.
    let printer = manual(Model::X1c);
    let service = Service::start();
    for round in 0..8 {
        let id = service.watch(&printer);
        std::thread::scope(|scope| {
            let talking = scope.spawn(|| {
                for code in 1..60_u32 {
                    order(&printer, Command::SetError { code });
                }
            });
            service.log.wait("it talks", |frames| {
                frames.iter().any(|seen| seen.is_of(&id) && !seen.data()["errors"][0].is_null()).then_some(())
            });
            service.call("DELETE", &format!("/printers/{id}"), None).expect(204);
            talking.join().unwrap();
        });
        printer.wait_for(crate::client::PATIENCE, |seen| seen.clean_disconnects > round).unwrap();
        let events = service.journal();
        let last = events.iter().rposition(|event| event["data"]["printer_id"] == id.as_str()).unwrap();
        assert_eq!(events[last]["event"], "printer_removed");
        order(&printer, Command::SetError { code: 0 });
    }
}

#[test]
fn the_plate_is_occupied_until_somebody_says_otherwise() {
    let printer = manual(Model::A1);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Cube", Source::Cloud));
    advance_slowly(&printer, 900.0);
    service.until(&id, "it has ended", |view| view["status"] == "finished" && view["plate"] == "occupied");
    let clear = format!("/printers/{id}/plate-cleared");
    assert_eq!(service.call("POST", &clear, None).expect(200)["plate"], "clear");
    service.until(&id, "it is clear", |view| view["plate"] == "clear");
    let newest = service.newest();
    service.call("POST", &clear, None).expect(200);
    assert_eq!(service.newest(), newest, "once");
    let cleared = service.log.first("the word", |seen| seen.name == "plate_cleared");
    assert_eq!(cleared.data()["job_id"], service.jobs()[0]["id"]);
    let service = service.restart();
    service.until(&id, "it is still clear", |view| view["plate"] == "clear" && view["status"] == "finished");
}

#[test]
fn a_connection_test_names_the_step() {
    let printer = manual(Model::H2d);
    let service = Service::start();
    let results = |body: Value| {
        let answer = service.post("/printers/test-connection", body).expect(200);
        let steps: Vec<String> = answer["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| format!("{}: {}", step["step"].as_str().unwrap(), step["result"].as_str().unwrap()))
            .collect();
        (answer["success"].as_bool().unwrap(), steps, answer)
    };
    let (success, steps, _) = results(entry(&printer));
    assert!(success, "{steps:?}");
    assert_eq!(
        steps[..6],
        ["address: ok", "port: ok", "tls: ok", "serial: ok", "login: ok", "first_report: ok"]
    );
    let failing = |changes: Value, step: &str, kind: &str| {
        let mut body = entry(&printer);
        for (field, value) in changes.as_object().unwrap() {
            body["connection_config"][field] = value.clone();
        }
        let (success, steps, answer) = results(body);
        assert!(!success);
        let failed =
            answer["steps"].as_array().unwrap().iter().find(|step| step["result"] == "failed").unwrap();
        assert_eq!((&failed["step"], &failed["kind"]), (&json!(step), &json!(kind)), "{steps:?}");
        assert_eq!(failed["message"], answer["message"]);
    };
    failing(json!({"access_code": "nope"}), "login", "wrong_code");
    failing(json!({"serial_number": "09400A999999999"}), "serial", "wrong_serial");
    failing(json!({"ip_address": "no-such-printer.invalid"}), "address", "unreachable");
    failing(json!({"mqtt_port": crate::support::mosquitto::free_port()}), "port", "refused");
    let (success, ..) = results(json!({"printer_type": "bambu_lab", "connection_config": {
        "ip_address": "127.0.0.1", "mqtt_port": printer.port(), "access_code": CODE}}));
    assert!(success, "the serial number is learnt");
    assert_eq!(service.get("/printers")["total_count"], 0);
    assert!(!service.journal().iter().any(|event| event["event"].as_str().unwrap().starts_with("printer_")));
    printer.wait_for(crate::client::PATIENCE, |seen| seen.open_sessions == 0).unwrap();
}

#[test]
fn a_connection_test_ends_in_time_and_says_how_far_it_came() {
    for (silence, step) in
        [(simulator::bambu::Silence::Mute, "first_report"), (simulator::bambu::Silence::Dead, "login")]
    {
        let printer = manual(Model::P1s);
        crate::printers::faults(&printer, |faults| faults.silence = silence);
        let service = Service::manual();
        let answer = std::thread::scope(|scope| {
            let testing = scope.spawn(|| service.post("/printers/test-connection", entry(&printer)));
            printer
                .wait_for(crate::client::PATIENCE, |seen| {
                    seen.logins > 0 && (step == "login" || seen.requests > 0)
                })
                .unwrap();
            service.setup.clock.advance(std::time::Duration::from_millis(20_200));
            testing.join().unwrap().expect(200)
        });
        let failed =
            answer["steps"].as_array().unwrap().iter().find(|step| step["result"] == "failed").unwrap();
        assert_eq!((&failed["step"], &failed["kind"]), (&json!(step), &json!("silent")), "{answer}");
    }
}

#[test]
fn secrets_stay_inside() {
    let printer = Printer::start(Config::manual(Model::P1s, &serial(Model::P1s, 5), "SeCr3tC0de")).unwrap();
    let right = numbered(Model::P1s, 6);
    let service = Service::start();
    let id = service.watch(&printer);
    let mut answers = Vec::new();
    let mut keep =
        |answer: crate::client::Answer| answers.push(format!("{:?} {}", answer.headers, answer.body));
    let mut wrong = entry(&right);
    for (field, value) in
        [("access_code", "Wr0ngSeCr3t"), ("password", "PaSsw0rdSeCr3t"), ("api_key", "KeYSeCr3t")]
    {
        wrong["connection_config"][field] = json!(value);
    }
    keep(service.post("/printers", wrong.clone()));
    keep(service.post("/printers", wrong.clone()));
    keep(service.post("/printers/test-connection", entry(&printer)));
    keep(service.post("/printers/test-connection", wrong));
    for value in [
        json!(987_654_321),
        json!(["LiStSeCr3t"]),
        json!({"SeCr3t": 1}),
        json!("SeCr3t".repeat(40)),
        json!("SeCr3t\u{1}"),
    ] {
        keep(service.call(
            "PUT",
            &format!("/printers/{id}"),
            Some(json!({"connection_config": {"access_code": value}})),
        ));
    }
    let broken = r#"{"connection_config": {"access_code": "BrOkenSeCr3t"#;
    keep(service.raw(
        "PUT",
        &format!("/printers/{id}"),
        &["Content-Type: application/json"],
        Some(broken.as_bytes()),
    ));
    order(&printer, Command::SetAccessCode { code: "ChangedSeCr3t".into() });
    order(&printer, Command::Drop);
    service.until(&id, "the code is refused", |view| view["connection"]["kind"] == "wrong_code");
    for path in
        ["/printers", "/health", "/system", "/events/stats", "/events/recent?after=0&limit=200", "/jobs"]
    {
        keep(service.call("GET", path, None));
    }
    for path in ["", "/status"] {
        keep(service.call("GET", &format!("/printers/{id}{path}"), None));
    }
    let (setup, frames) = service.stop();
    let events: String = frames.iter().map(|seen| seen.text.clone()).collect();
    let log = crate::service::logged();
    assert!(log.iter().any(|line| line.contains("printernizer")), "the log is listened to");
    for (place, text) in [("answers", answers.concat()), ("events", events), ("log", log.concat())] {
        for secret in ["SeCr3t", "987654321", "987_654_321"] {
            assert!(!text.contains(secret), "{secret} in the {place}");
        }
    }
    assert!(setup.directory.path().exists());
}
