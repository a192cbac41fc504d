//! The trace of a print, and the figures of the events.

use serde_json::{Value, json};
use std::time::Duration;

use crate::printers::{advance, begin, manual, plan};
use crate::service::{Service, Setup};
use simulator::bambu::{Model, Printer, Source};

/// One print from start to end; its printer, which stays connected, and the seq of its `job_completed`.
fn printed(service: &Service) -> (Printer, u64) {
    let printer = manual(Model::P1s);
    service.watch(&printer);
    begin(&printer, plan("Würfel", Source::Lan));
    advance(&printer, 900.0);
    service.log.wait("the job has ended", |frames| {
        frames.iter().any(|seen| seen.name == "job_completed").then_some(())
    });
    let events = service.journal();
    let completed = events.iter().find(|event| event["event"] == "job_completed").unwrap();
    (printer, completed["seq"].as_u64().unwrap())
}

#[test]
fn every_event_of_a_print_shows_the_whole_print() {
    let service = Service::start();
    let (_printer, completed) = printed(&service);
    let trace = service.get(&format!("/events/trace/{completed}"));
    let events = trace["events"].as_array().unwrap();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    for name in ["job_created", "job_status_changed", "job_started", "job_completed"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(trace["flow"], "print-j1");
    assert_eq!((&trace["root"], &trace["cut_off"]), (&events[0]["seq"], &json!(false)));
    // The envelopes are those of the journal, and nothing of another flow is among them unless this print led to it.
    let journal = service.journal();
    for event in events {
        let mut envelope = event.clone();
        for added in ["depth", "since_root_ms", "since_cause_ms", "handled_by"] {
            assert!(envelope.as_object_mut().unwrap().remove(added).is_some(), "{added}");
        }
        assert!(journal.contains(&envelope), "{envelope}");
    }
    // Whatever is asked for, the same flow is answered; what came meanwhile (its file) stands at the end.
    let numbers = |trace: &Value| -> Vec<u64> {
        trace["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
    };
    let known = numbers(&trace);
    for event in events {
        let again = numbers(&service.get(&format!("/events/trace/{}", event["seq"])));
        assert_eq!(again.get(..known.len()), Some(known.as_slice()), "asked for {}", event["seq"]);
    }
    // Causes stand before what they led to, one level above.
    let depth = |seq: &Value| events.iter().find(|event| &event["seq"] == seq).map(|event| &event["depth"]);
    for event in events.iter().filter(|event| !event["cause"].is_null()) {
        let above = depth(&event["cause"]).and_then(Value::as_u64).unwrap();
        assert_eq!(event["depth"].as_u64(), Some(above + 1), "{event}");
    }
    let wrong = service.call("GET", "/events/trace/999999", None).expect(404);
    assert_eq!(wrong["error_code"], "NOT_FOUND");
    service.call("GET", "/events/trace/j1", None).expect(400);
}

#[test]
fn the_trace_of_a_print_shows_who_brought_its_file() {
    let printer = crate::prusa::manual(simulator::prusa::Model::Mk4);
    let service = Service::manual();
    let id = crate::prusa::watch(&service, &printer);
    crate::prusa::begin(&service, &id, &printer, "Würfel groß.gcode");
    let handled = |wanted: (&str, &str)| {
        let Some(job) = service.journal().into_iter().find(|event| event["event"] == "job_created") else {
            return false;
        };
        let trace = service.get(&format!("/events/trace/{}", job["seq"]));
        let events = trace["events"].as_array().unwrap().clone();
        events.iter().filter(|event| event["event"] == wanted.1).any(|event| {
            let by = event["handled_by"].as_array().unwrap();
            by.iter().any(|by| by["subscriber"] == wanted.0 && by["result"] == "done")
        })
    };
    for wanted in [
        ("downloads", "auto_download_triggered"),
        ("thumbnails", "file_needs_thumbnail_processing"),
        ("metadata", "file_needs_thumbnail_processing"),
    ] {
        crate::service::wait_for(&format!("{wanted:?}"), || {
            service.setup.clock.advance(Duration::from_millis(100));
            handled(wanted)
        });
    }
    let asked = ["job_created", "job_status_changed", "job_started", "job_updated"];
    assert!(asked.iter().any(|event| handled(("auto-download", event))), "nobody asked for its file");
    crate::prusa::finish(&printer);
    crate::prusa::poll(&service, &id, &printer);
    crate::service::wait_for("the booking", || {
        let events = service.journal();
        let Some(over) = events.iter().find(|event| event["event"] == "job_completed") else { return false };
        let trace = service.get(&format!("/events/trace/{}", over["seq"]));
        let events = trace["events"].as_array().unwrap().clone();
        events.iter().any(|event| {
            event["event"] == "job_completed"
                && event["handled_by"].as_array().unwrap().iter().any(|by| by["subscriber"] == "materials")
        })
    });
}

#[test]
fn state_events_are_counted_over_restarts() {
    let service = Service::manual();
    service.pass(Duration::from_secs(61));
    let count = |service: &Service, list: &str| service.get("/events/stats")[list]["printer_status"].as_u64();
    assert!(count(&service, "event_counts") >= Some(2));
    assert!(count(&service, "event_counts_since_start") >= Some(2));
    let before = count(&service, "event_counts").unwrap();
    let (setup, _) = service.stop();
    let service = Service::with(Setup { ..setup });
    assert_eq!(count(&service, "event_counts_since_start"), None);
    assert!(count(&service, "event_counts") >= Some(before));
    let figures = service.get("/health")["events"].clone();
    for field in ["store_queue", "subscribers", "handlers", "ring", "published_last_minute"] {
        assert!(!figures[field].is_null(), "{field}: {figures}");
    }
}

#[test]
fn the_log_level_is_changed_at_run_time() {
    let service = Service::start();
    service.call("PUT", "/settings", Some(json!({"log_level": "loud"}))).expect(400);
    service.call("PUT", "/settings", Some(json!({"level": "debug"}))).expect(422);
    let old = service.get("/settings")["log_level"].clone();
    let changed = service.call("PUT", "/settings", Some(json!({"log_level": old}))).expect(200);
    assert_eq!(changed["log_level"], old);
}
