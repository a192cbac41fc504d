//! Spools over HTTP: what is entered, taken, put into slots, and said about it.

use serde_json::{Value, json};
use simulator::bambu::{Command, Model, Outcome, PrintPlan, Source};

use crate::contract;
use crate::printers::{advance, advance_slowly, begin, manual, order, plan};
use crate::service::{Service, Setup};

fn spool(weight: f64) -> Value {
    json!({"material_type": "PLA", "brand": "Prusament", "color": "Galaxy Black", "weight": weight, "cost_per_kg": 24.9})
}

fn enter(service: &Service, body: Value) -> (String, Value) {
    let view = service.post("/materials", body).expect(201);
    (view["id"].as_str().unwrap().to_owned(), view)
}

fn patch(service: &Service, id: &str, body: Value) -> Value {
    service.call("PATCH", &format!("/materials/{id}"), Some(body)).expect(200)
}

/// The events of spools in the journal, as words.
fn said(service: &Service) -> Vec<String> {
    let events = service.journal();
    contract::check(&events);
    let names = events.iter().map(|event| event["event"].as_str().unwrap());
    names.filter(|name| name.starts_with("material_")).map(str::to_owned).collect()
}

#[test]
fn a_spool_is_entered_changed_and_deleted() {
    let service = Service::start();
    let (id, view) = enter(
        &service,
        json!({"material_type": " PETG ", "brand": "eSun", "color": "rot", "color_hex": "ff0000", "diameter": 1.75,
            "weight": 0.75, "remaining_weight_g": 500.25, "cost_per_kg": "19.99", "purchase_date": "2026-03-01T10:00:00Z",
            "vendor": "shop", "batch_number": "4711", "notes": "dry", "location": "shelf 2"}),
    );
    for (field, expected) in [
        ("material_type", json!("PETG")),
        ("name", json!("eSun PETG rot")),
        ("color_hex", json!("#FF0000")),
        ("diameter", json!(1.75)),
        ("weight", json!(0.75)),
        ("weight_g", json!(750.0)),
        ("remaining_weight", json!(0.50025)),
        ("remaining_weight_g", json!(500.25)),
        ("used_weight_g", json!(249.75)),
        ("remaining_percentage", json!(66.7)),
        ("threshold_percentage", json!(20.0)),
        ("cost_per_kg", json!(19.99)),
        ("total_cost", json!(14.9925)),
        ("remaining_value", json!(10.0)),
        ("purchase_date", json!("2026-03-01")),
        ("printer_id", Value::Null),
        ("slot", Value::Null),
        ("is_active", json!(true)),
        ("low_stock", json!(false)),
    ] {
        assert_eq!(view[field], expected, "{field}: {view}");
    }
    assert_eq!(service.get(&format!("/materials/{id}")), view);
    let changed =
        patch(&service, &id, json!({"notes": null, "vendor": "other", "is_active": false, "weight": 1}));
    assert_eq!(
        (
            &changed["notes"],
            &changed["vendor"],
            &changed["is_active"],
            &changed["weight_g"],
            &changed["color"]
        ),
        (&Value::Null, &json!("other"), &json!(false), &json!(1000.0), &json!("rot"))
    );
    patch(&service, &id, json!({}));
    let answer = service.call("DELETE", &format!("/materials/{id}"), None);
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(service.call("GET", &format!("/materials/{id}"), None).error(404), "NOT_FOUND");
    assert_eq!(said(&service), ["material_created", "material_updated", "material_deleted"]);
    let events = service.journal();
    let event = |name: &str| events.iter().find(|event| event["event"] == name).unwrap()["data"].clone();
    assert_eq!(event("material_created"), json!({ "material": view }));
    assert_eq!(event("material_deleted"), json!({ "material_id": id }));
}

#[test]
fn what_cannot_be_a_spool_is_refused_by_name() {
    let service = Service::start();
    let (id, _) = enter(&service, spool(1.0));
    for (status, field, change) in [
        (422, "weight", json!({"weight": null})),
        (422, "material_type", json!({"material_type": null, "weight": 1, "only": true})),
        (422, "weight", json!({"weight": "heavy"})),
        (422, "is_active", json!({"is_active": 1})),
        (400, "material_type", json!({"material_type": " "})),
        (400, "weight", json!({"weight": 0})),
        (400, "weight", json!({"weight": -1})),
        (400, "weight", json!({"weight": 1e9})),
        (400, "weight_g", json!({"weight": 1, "weight_g": 999})),
        (400, "remaining_weight", json!({"remaining_weight": 1.000001})),
        (400, "threshold_percentage", json!({"threshold_percentage": 100.1})),
        (400, "cost_per_kg", json!({"cost_per_kg": -0.01})),
        (400, "color_hex", json!({"color_hex": "red"})),
        (400, "diameter", json!({"diameter": 175})),
        (400, "purchase_date", json!({"purchase_date": "2026-02-30"})),
        (400, "printer_id", json!({"printer_id": "p9"})),
    ] {
        let mut body = spool(1.0);
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        if change.get("only").is_some() {
            body.as_object_mut().unwrap().remove("material_type");
        }
        let answer = service.post("/materials", body);
        assert_eq!(answer.json()["details"]["field"], field, "{change}: {answer:?}");
        answer.error(status);
        if status == 400 {
            let answer = service.call("PATCH", &format!("/materials/{id}"), Some(change.clone()));
            assert_eq!(answer.json()["details"]["field"], field, "{change}: {answer:?}");
            answer.error(400);
        }
    }
    assert_eq!(said(&service), ["material_created"]);
    assert_eq!(service.get("/materials")["total_count"], 1);
}

#[test]
fn low_stock_is_said_once_at_the_threshold_over_http_and_restarts() {
    let setup = Setup::default();
    let service = Service::with(setup.clone());
    let (id, _) = enter(&service, spool(0.7));
    // 20 % of 0.7 as a client's binary arithmetic has it: exactly at the threshold for a person.
    let view = patch(&service, &id, json!({"remaining_weight": 0.7 * 0.2}));
    assert_eq!((&view["remaining_weight_g"], &view["low_stock"]), (&json!(140.0), &json!(false)));
    let view = patch(&service, &id, json!({"remaining_weight": 0.1399999}));
    assert_eq!(view["low_stock"], true);
    drop(service);
    let service = Service::with(setup.clone());
    patch(&service, &id, json!({"remaining_weight": 0.1}));
    let booking =
        json!({"material_id": id, "weight_grams": 25, "print_time_hours": 1.5, "file_name": "cube.3mf"});
    let booking = service.post("/materials/consumption", booking).expect(201);
    assert_eq!(
        (&booking["weight_used"], &booking["print_time_hours"], &booking["auto"], &booking["cost"]),
        (&json!(25.0), &json!(1.5), &json!(false), &json!(0.6225))
    );
    let path = format!("/materials/consumption/{}", booking["id"].as_str().unwrap());
    let undone = service.call("DELETE", &path, None).expect(200);
    assert!(undone["undone_at"].is_string(), "{undone}");
    assert_eq!(service.call("DELETE", &path, None).error(409), "ALREADY_UNDONE");
    patch(&service, &id, json!({"remaining_weight": 0.7}));
    patch(&service, &id, json!({"remaining_weight": 0}));
    let low = enter(&service, json!({"material_type": "TPU", "weight_g": 500, "remaining_weight_g": 99.9})).0;
    let (created, updated, low_stock) = ("material_created", "material_updated", "material_low_stock");
    assert_eq!(
        said(&service),
        [
            created, updated, updated, low_stock, updated, updated, updated, updated, updated, low_stock,
            created, low_stock
        ]
    );
    let events = service.journal();
    let last = events.last().unwrap();
    assert_eq!(last["cause"], json!(last["seq"].as_u64().unwrap() - 1));
    assert_eq!(
        last["data"],
        json!({"material_id": low, "material_name": "TPU", "remaining_percentage": 19.98, "remaining_g": 99.9,
            "threshold_percentage": 20.0})
    );
    assert_eq!(service.get("/materials?low_stock=true")["total_count"], 2);
    let stats = service.get("/materials/stats");
    assert_eq!(stats["low_stock"], json!([id, low]));
    assert_eq!((&stats["total_spools"], &stats["total_weight"]), (&json!(2), &json!(1.2)));
}

#[test]
fn bookings_are_listed_filtered_and_refused_by_name() {
    let service = Service::start();
    let (one, _) = enter(&service, spool(1.0));
    let (two, _) = enter(&service, json!({"material_type": "ABS", "weight": 1}));
    for (number, spool) in [&one, &two, &one, &one].into_iter().enumerate() {
        let body = json!({"material_id": spool, "weight_grams": number + 1});
        service.post("/materials/consumption", body).expect(201);
    }
    let history = service.get(&format!("/materials/consumption/history?material_id={one}&limit=2"));
    let weights: Vec<f64> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["weight_used"].as_f64().unwrap())
        .collect();
    assert_eq!((weights, &history["total_count"]), (vec![4.0, 3.0], &json!(3)));
    assert_eq!(service.get("/materials/consumption/history?days=1")["total_count"], 4);
    assert_eq!(service.get("/materials/consumption/history?job_id=j1")["total_count"], 0);
    for days in ["0", "366", "-1", "x"] {
        service.call("GET", &format!("/materials/consumption/history?days={days}"), None).error(400);
    }
    for (field, body) in [
        ("material_id", json!({"material_id": "m99", "weight_grams": 1})),
        ("material_id", json!({"material_id": "x", "weight_grams": 1})),
        ("weight_grams", json!({"material_id": one, "weight_grams": 0})),
        ("weight_grams", json!({"material_id": one, "weight_grams": -5})),
        ("weight_grams", json!({"material_id": one, "weight_grams": 100_001})),
        ("job_id", json!({"material_id": one, "weight_grams": 1, "job_id": "j5"})),
        ("printer_id", json!({"material_id": one, "weight_grams": 1, "printer_id": "p5"})),
        ("print_time_hours", json!({"material_id": one, "weight_grams": 1, "print_time_hours": 1e6})),
    ] {
        let answer = service.post("/materials/consumption", body);
        assert_eq!(answer.json()["details"]["field"], field, "{answer:?}");
        answer.error(400);
    }
    assert_eq!(service.get(&format!("/materials/{one}"))["remaining_weight_g"], 992.0);
    assert_eq!(service.get("/materials?material_type=abs")["materials"][0]["id"], json!(two));
    assert_eq!(service.get("/materials?brand=PRUSAMENT&color=galaxy%20black")["total_count"], 1);
    let types = service.get("/materials/types");
    assert!(types["types"].as_array().unwrap().contains(&json!("ABS")), "{types}");
    assert_eq!(types["brands"], json!(["Prusament"]));
}

#[test]
fn a_spool_in_a_slot_is_shown_with_the_printer_and_leaves_with_it() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Cube", Source::Cloud));
    advance(&printer, 60.0);
    let (spool, _) = enter(&service, spool(1.0));
    let status = service.get(&format!("/printers/{id}/status"));
    let slot = status["filaments"][0]["slot"].as_u64().unwrap_or_else(|| panic!("no filaments: {status}"));
    let path = format!("/printers/{id}/slots/{slot}");
    let put = |spool: Value| service.call("PUT", &path, Some(json!({ "material_id": spool })));
    assert_eq!(put(json!(spool)).expect(200), json!({"printer_id": id, "slot": slot, "material_id": spool}));
    let shown = |expected: Value| {
        let seen = service.log.wait("the slot's spool", |frames| {
            let update = frames.iter().rfind(|seen| seen.name == "printer_status_update")?.data().clone();
            let filaments = update["filaments"].as_array()?.clone();
            let one = filaments.into_iter().find(|one| one["slot"] == slot)?;
            (one["material_id"] == expected).then_some(one)
        });
        assert!(seen["type"].is_string(), "{seen}");
        let status = service.get(&format!("/printers/{id}/status"));
        assert_eq!(status["filaments"][0]["material_id"], expected, "{status}");
    };
    shown(json!(spool));
    advance(&printer, 10.0);
    shown(json!(spool));
    let view = service.get(&format!("/materials/{spool}"));
    assert_eq!((&view["printer_id"], &view["slot"]), (&json!(id), &json!(slot)));
    assert_eq!(service.get(&format!("/materials?printer_id={id}"))["total_count"], 1);
    put(Value::Null).expect(200);
    shown(Value::Null);
    put(json!(spool)).expect(200);
    shown(json!(spool));
    service.call("DELETE", &format!("/materials/{spool}"), None).expect(204);
    shown(Value::Null);
    assert_eq!(put(json!(spool)).error(400), "BAD_VALUE");
    assert_eq!(service.call("PUT", &path, Some(json!({}))).error(422), "WRONG_SHAPE");
    assert_eq!(
        service
            .call("PUT", &format!("/printers/{id}/slots/256"), Some(json!({"material_id": null})))
            .error(400),
        "BAD_VALUE"
    );
    assert_eq!(
        service.call("PUT", "/printers/p99/slots/1", Some(json!({"material_id": null}))).error(404),
        "NOT_FOUND"
    );
    // A removed printer leaves its spools behind, in no slot.
    let (other, _) = enter(&service, json!({"material_type": "PLA", "weight": 1}));
    put(json!(other)).expect(200);
    service.call("DELETE", &format!("/printers/{id}?force=true"), None).expect(204);
    let view = service.get(&format!("/materials/{other}"));
    assert_eq!((&view["printer_id"], &view["slot"]), (&Value::Null, &Value::Null));
}

#[test]
fn five_hundred_spools_are_listed_by_pages() {
    let service = Service::start();
    for number in 0..500 {
        let body = json!({"material_type": "PLA", "brand": format!("maker {}", number % 120), "weight": 1});
        service.post("/materials", body).expect(201);
    }
    let page = service.call("GET", "/materials?limit=200&page=3", None);
    let list = page.json();
    assert_eq!(list["materials"].as_array().unwrap().len(), 100);
    assert_eq!(list["pagination"], json!({"page": 3, "limit": 200, "total_items": 500, "total_pages": 3}));
    assert!(page.body.len() < 100 * 1024, "{}", page.body.len());
    let stats = service.call("GET", "/materials/stats", None);
    assert!(stats.body.len() < 32 * 1024, "{}", stats.body.len());
    assert_eq!(stats.json()["total_spools"], 500);
    assert_eq!(stats.json()["by_brand"].as_array().unwrap().len(), 101, "100 names and the rest");
}

#[test]
fn a_print_is_booked_on_the_spool_it_was_printed_from() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    let spools = [0, 2].map(|slot| {
        let (spool, _) = enter(&service, json!({"material_type": "PLA", "weight": 1}));
        let path = format!("/printers/{id}/slots/{slot}");
        service.call("PUT", &path, Some(json!({ "material_id": spool }))).expect(200);
        spool
    });
    let mut left = 1000.0;
    for (number, (outcome, share)) in
        [(Outcome::Finished, 1.0), (Outcome::CancelledAt(40), 0.4)].iter().enumerate()
    {
        let plan =
            PrintPlan { trays: vec![2], outcome: *outcome, ..plan(&format!("Cube {number}"), Source::Lan) };
        begin(&printer, plan);
        let figures = service.log.wait("the file's figures", |frames| {
            frames.iter().filter(|seen| seen.name == "file_metadata_extracted").nth(number).cloned()
        });
        let whole = figures.data()["metadata"]["filament_used_g"].as_f64().unwrap();
        advance_slowly(&printer, 1_200.0);
        let job = format!("j{}", number + 1);
        let update = service.log.first("the booking", |seen| {
            seen.name == "material_updated" && seen.json["flow"] == format!("print-{job}")
        });
        let events = service.journal();
        contract::check(&events);
        let completed = events
            .iter()
            .find(|event| event["event"] == "job_completed" && event["data"]["job_id"] == job)
            .unwrap();
        assert_eq!(update.json["cause"], completed["seq"], "{update:?}");
        let used = completed["data"]["material_used_g"].as_f64().unwrap();
        assert!((used - whole * share).abs() < whole * 0.011, "{used} of {whole}");
        left -= used;
        let material = &update.data()["material"];
        assert_eq!((&material["id"], &material["slot"]), (&json!(spools[1]), &json!(2)));
        assert!((material["remaining_weight_g"].as_f64().unwrap() - left).abs() < 0.001, "{material}");
        let trace = service.get(&format!("/events/trace/{}", completed["seq"])).to_string();
        assert!(
            trace.contains("\"subscriber\":\"materials\"") && trace.contains("\"note\":\"booked\""),
            "{trace}"
        );
        let view = service.get(&format!("/jobs/{job}"));
        assert_eq!((&view["booking"], &view["material_used_g"]), (&json!("booked"), &json!(used)), "{view}");
        let history = service.get(&format!("/materials/consumption/history?job_id={job}"));
        let booking = &history["items"][0];
        assert_eq!(
            (&history["total_count"], &booking["auto"], &booking["slot"]),
            (&json!(1), &json!(true), &json!(2))
        );
        order(&printer, Command::Reset);
        service.until(&id, "it rests", |view| view["status"] == "idle");
    }
    assert_eq!(service.get(&format!("/materials/{}", spools[0]))["remaining_weight_g"], 1000.0);
    let stats = service.get("/jobs/statistics");
    assert!((stats["total"]["material_used_g"].as_f64().unwrap() - (1000.0 - left)).abs() < 0.001, "{stats}");
}
