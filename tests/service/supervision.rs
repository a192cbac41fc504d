//! The watchdog's pings stop when any task stalls, and the service ends in time and with its goodbyes said.

use std::time::Duration;

use printernizer::base::task::Board;
use serde_json::json;
use simulator::bambu::{Model, Silence, Tcp};

use crate::client::PATIENCE;
use crate::printers::{faults, manual, numbered};
use crate::service::{Service, wait_for};

const STEP: Duration = Duration::from_secs(10);
/// Looks at the tasks, some milliseconds apart, before the clock moves on a little.
const LOOKS: u32 = 300;

/// Tasks that have not beaten since the last step but one, `stalled` aside.
fn late(service: &Service, stalled: Option<&str>) -> Vec<String> {
    let lines = service.handles.tasks.lines(service.setup.clock.now().mono);
    let late = lines.into_iter().filter(|line| line.silent > STEP + STEP / 2);
    late.map(|line| line.name).filter(|name| Some(name.as_str()) != stalled).collect()
}

/// Moves the clock on by one step and waits until everybody else has noticed. A handler thread beats when it has
/// answered, so it is asked something.
fn step(service: &Service, stalled: Option<&str>) {
    let before = service.manager.alive_count();
    service.setup.clock.advance(STEP);
    let mut looks = 0_u32;
    wait_for("every task beats", || {
        let late = late(service, stalled);
        looks += 1;
        if looks.is_multiple_of(LOOKS) {
            // Who was at work when the clock moved waits for a moment that has to come.
            println!("not heard yet: {late:?}");
            service.setup.clock.advance(Duration::from_secs(1));
        }
        if late.iter().any(|name| name.starts_with("web-")) {
            service.call("GET", "/liveness", None);
        }
        late.is_empty()
    });
    if stalled.is_none() {
        wait_for("the watchdog is fed", || service.manager.alive_count() > before);
    }
}

fn names(board: &Board, service: &Service) -> Vec<String> {
    board.lines(service.setup.clock.now().mono).into_iter().map(|line| line.name).collect()
}

#[test]
fn a_stall_of_any_task_stops_the_watchdogs_pings() {
    let printer = manual(Model::P1s);
    let probe = Service::manual();
    probe.watch(&printer);
    let tasks = names(&probe.handles.tasks, &probe);
    for expected in ["backup", "fleet", "front", "mqtt", "store", "summary", "watch-p1", "watchdog", "web-0"]
    {
        assert!(tasks.iter().any(|name| name == expected), "{expected} is on the board: {tasks:?}");
    }
    drop(probe);
    for task in tasks {
        let service = Service::manual();
        service.watch(&printer);
        step(&service, None);
        step(&service, None);
        assert!(service.handles.tasks.stall(&task));
        // Three steps until it counts as stalled; whatever is fed until then is history.
        for _ in 0..4 {
            step(&service, Some(&task));
        }
        let fed = service.manager.alive_count();
        for _ in 0..3 {
            step(&service, Some(&task));
        }
        assert_eq!(service.manager.alive_count(), fed, "{task} hangs and the watchdog is fed all the same");
        assert_eq!(service.handles.tasks.stalled(service.setup.clock.now().mono), [task.as_str()]);
    }
}

#[test]
fn health_says_what_hangs() {
    let service = Service::manual();
    assert_eq!(service.get("/health")["status"], "healthy");
    assert!(service.handles.tasks.stall("backup"));
    for _ in 0..4 {
        step(&service, Some("backup"));
    }
    let health = service.get("/health");
    assert_eq!(health["status"], "unhealthy");
    assert_eq!(health["services"]["tasks"]["details"]["stalled"], json!(["backup"]));
}

#[test]
fn the_end_is_clean_and_every_printer_hears_it() {
    let printers: Vec<_> = (1..=4).map(|number| numbered(Model::P1s, number)).collect();
    let service = Service::start();
    for printer in &printers {
        service.watch(printer);
    }
    // `stop` checks the time and the outcome.
    let (setup, _) = service.stop();
    for printer in &printers {
        let seen = printer.wait_for(PATIENCE, |seen| seen.open_sessions == 0).unwrap();
        assert_eq!((seen.clean_disconnects, seen.unclean_ends), (1, 0));
    }
    let service = Service::with(setup);
    let started = service
        .log
        .wait("the start", |frames| frames.iter().rfind(|seen| seen.name == "service_started").cloned());
    assert_eq!(started.data()["previous_shutdown_clean"], true);
    let events = service.journal();
    let stopping: Vec<_> = events.iter().filter(|event| event["event"] == "service_stopping").collect();
    assert_eq!(stopping.len(), 1);
    assert_eq!(stopping[0]["data"]["reason"], "requested");
    let farewells = events.iter().filter(|event| event["event"] == "printer_disconnected");
    assert!(farewells.clone().all(|event| event["data"]["reason"] == "shutdown"));
    assert_eq!(farewells.count(), printers.len());
}

#[test]
fn printers_that_do_not_answer_do_not_hold_up_the_end() {
    let (dead, held, gone) = (numbered(Model::P1s, 1), numbered(Model::P1s, 2), numbered(Model::P1s, 3));
    let service = Service::start();
    service.watch(&dead);
    faults(&held, |faults| faults.tcp = Tcp::Hold);
    faults(&gone, |faults| faults.refuse_connections = true);
    for printer in [&held, &gone] {
        let mut body = crate::service::entry(printer);
        body["is_enabled"] = json!(false);
        let id = service.post("/printers", body).expect(201)["id"].as_str().unwrap().to_owned();
        service.call("PUT", &format!("/printers/{id}"), Some(json!({"is_enabled": true}))).expect(200);
    }
    held.wait_for(PATIENCE, |seen| seen.connections > 0).unwrap();
    faults(&dead, |faults| faults.silence = Silence::Dead);
    let service = service.restart();
    let started = service
        .log
        .wait("the start", |frames| frames.iter().rfind(|seen| seen.name == "service_started").cloned());
    assert_eq!(started.data()["previous_shutdown_clean"], true);
    service.stop();
}

#[test]
fn an_end_right_after_the_start_is_clean_too() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    service.watch(&printer);
    let mut setup = service.stop().0;
    for _ in 0..5 {
        setup = Service::with(setup).stop().0;
    }
    let service = Service::with(setup);
    let events = service.journal();
    crate::contract::check(&events);
    for started in events.iter().filter(|event| event["event"] == "service_started") {
        assert_eq!(started["data"]["previous_shutdown_clean"], true);
    }
}

#[test]
fn health_shows_real_figures() {
    let printers: Vec<_> = (1..=8).map(|number| numbered(Model::P1s, number)).collect();
    let service = Service::start();
    for printer in &printers {
        service.watch(printer);
    }
    let health = service.get("/health");
    assert_eq!(health["services"]["mqtt"]["details"]["links"], 8);
    assert!(health["memory"]["rss_bytes"].as_u64().unwrap() > 0);
    assert!(health["storage"]["free"].as_u64().unwrap() > 0);
    assert!(health["uptime_seconds"].is_u64());
    let stats = service.get("/events/stats");
    assert!(stats["event_counts"]["printer_connected"].as_u64().unwrap() >= 8, "{stats}");
}
