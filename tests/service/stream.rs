//! The event stream: snapshot, replay, gap, filters, pings, and listeners that do not keep up.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::bambu::{Command, Model, Source};

use crate::client::{Listener, Seen};
use crate::printers::{advance_slowly, begin, manual, numbered, order, plan};
use crate::service::{Service, Setup};

const PRINTER_FIELDS: [&str; 20] = [
    "printer_id",
    "status",
    "stage",
    "temperature",
    "nozzles",
    "progress",
    "current_job",
    "job_id",
    "started_at",
    "remaining_s",
    "layer",
    "layers",
    "filaments",
    "errors",
    "plate",
    "connection",
    "last_seen",
    "silent_for_s",
    "file_id",
    "thumbnail_url",
];

fn has_fields(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(value.get(field).is_some(), "{field} is never missing: {value}");
    }
}

#[test]
fn a_snapshot_comes_first_and_then_what_follows() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Cube", Source::Cloud));
    service.until(&id, "it prints", |view| view["status"] == "printing");
    let before = service.newest();
    let listener = Listener::open(service.address, "", &[]);
    let snapshot = listener.first("the snapshot", |_| true);
    assert_eq!((snapshot.name.as_str(), snapshot.id), ("snapshot", None));
    let all = &snapshot.json;
    has_fields(all, &["printers", "jobs", "downloads", "seq", "build", "started_at", "auth", "warnings"]);
    // The print's file is being looked for meanwhile, which makes events too.
    let seq = all["seq"].as_u64().unwrap();
    assert!((before..=service.newest()).contains(&seq), "{before} {seq}");
    has_fields(&all["printers"][0], &PRINTER_FIELDS);
    has_fields(&all["printers"][0], &["name", "type"]);
    assert_eq!(
        (&all["printers"][0]["status"], &all["printers"][0]["current_job"]),
        (&json!("printing"), &json!("Cube"))
    );
    assert_eq!(all["jobs"][0]["status"], "running");
    // What follows is what the main listener hears too, with the same bytes.
    advance_slowly(&printer, 900.0);
    let newest = service.log.first("the end", |seen| seen.name == "job_completed").id.unwrap();
    listener.reaches(newest);
    let heard: Vec<_> = listener.durable().into_iter().filter(|seen| seen.id <= Some(newest)).collect();
    let told: Vec<Seen> = service
        .log
        .durable()
        .into_iter()
        .filter(|seen| seen.id.is_some_and(|id| id > seq && id <= newest))
        .collect();
    assert_eq!(heard, told);
}

#[test]
fn a_replay_is_byte_for_byte_what_was_told() {
    let printer = manual(Model::X1c);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Würfel \"5\"", Source::Cloud));
    advance_slowly(&printer, 900.0);
    service.until(&id, "it has ended", |view| view["status"] == "finished");
    let newest = service.newest();
    service.log.reaches(newest);
    let live = service.log.durable();
    for after in [0, 1, newest / 2, newest - 1] {
        for (query, headers) in [
            (format!("?after={after}"), vec![]),
            ("?after=3".to_owned(), vec![format!("Last-Event-ID: {after}")]),
        ] {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let listener = Listener::open(service.address, &query, &headers);
            listener.reaches(newest);
            let replayed = listener.durable();
            assert_eq!(listener.all()[0].id, Some(after + 1), "no snapshot before a replay");
            let place = usize::try_from(after).unwrap();
            assert_eq!(replayed[..], live[place..][..replayed.len()], "after {after}");
        }
    }
    let answer = service.call("GET", "/events/recent?after=0&limit=200", None);
    for seen in &live {
        assert!(answer.body.contains(&seen.text), "the same bytes in the page: {}", seen.text);
    }
    let page = answer.json();
    assert_eq!((&page["oldest"], &page["newest"], &page["gap"]), (&json!(1), &json!(newest), &json!(false)));
    let last = service.get("/events/recent?limit=3");
    assert_eq!(last["events"].as_array().unwrap().len(), 3);
    assert_eq!(last["events"][2]["seq"], newest);
    let nothing = service.get(&format!("/events/recent?after={newest}"));
    assert_eq!(nothing["events"], json!([]));
}

#[test]
fn who_comes_too_late_gets_a_gap_and_a_snapshot() {
    let printer = manual(Model::P1s);
    let service = Service::with(Setup { journal_max: 12, ..Setup::default() });
    let id = service.watch(&printer);
    // The store trims now and then: more than its slack.
    for code in 1..=300 {
        order(&printer, Command::SetError { code });
    }
    service.log.wait("the last error", |frames| {
        frames.iter().rev().take(9).any(|seen| seen.data()["errors"][0]["code"] == "0000-012C").then_some(())
    });
    let newest = service.newest();
    let page = service.get("/events/recent?after=0&limit=200");
    let oldest = page["oldest"].as_u64().unwrap();
    assert!(oldest > 1 && page["gap"] == true, "{page}");
    assert!(newest - oldest < 12 + 256 + 64, "the journal is bounded: {oldest} to {newest}");
    let listener = Listener::open(service.address, "?after=0", &[]);
    let (gap, next) = listener.after(0, "a gap", |_| true);
    assert_eq!(gap.name, "gap");
    assert_eq!(gap.json["after"], 0);
    let (snapshot, _) = listener.after(next, "a snapshot", |_| true);
    assert_eq!(snapshot.name, "snapshot");
    // The last seq that is still there is no gap; one from the future is.
    let edge = Listener::open(service.address, &format!("?after={}", oldest - 1), &[]);
    assert_eq!(edge.first("the oldest", |_| true).id, Some(oldest));
    let future = Listener::open(service.address, &format!("?after={}", newest + 1000), &[]);
    assert_eq!(future.first("a gap", |_| true).name, "gap");
    // Nobody is told what is older than what he knows.
    service.call("POST", &format!("/printers/{id}/disconnect"), None).expect(200);
    let told = listener.first("what follows", |seen| seen.id.is_some());
    assert!(told.id.unwrap() > snapshot.json["seq"].as_u64().unwrap());
}

#[test]
fn filters_leave_out_the_rest() {
    let (left, right) = (manual(Model::P1s), numbered(Model::P1s, 2));
    let service = Service::start();
    let left_id = service.watch(&left);
    let right_id = service.watch(&right);
    let newest = service.newest();
    service.log.reaches(newest);
    let typed = Listener::open(service.address, "?after=0&types=printer_added,printer_connected", &[]);
    typed.wait("four events", |frames| (frames.len() >= 4).then_some(()));
    let names: Vec<_> = typed.all().into_iter().map(|seen| seen.name).collect();
    assert_eq!(names, ["printer_added", "printer_connected", "printer_added", "printer_connected"]);
    let one = Listener::open(service.address, &format!("?after=0&printer_id={right_id}"), &[]);
    begin(&right, plan("Cube", Source::Cloud));
    begin(&left, plan("Cube", Source::Cloud));
    one.first("its job", |seen| seen.name == "job_started");
    assert!(one.all().iter().all(|seen| seen.is_of(&right_id)), "nothing of {left_id}");
    assert!(one.durable().len() > 7);
    for query in ["?types=Nope!", "?after=-1", "?after=x"] {
        let path = format!("/events{query}");
        assert_eq!(service.call("GET", &path, None).error(400), "BAD_VALUE", "{query}");
    }
}

#[test]
fn pings_come_every_quarter_of_a_minute() {
    let service = Service::manual();
    let listener = Listener::open(service.address, "", &[]);
    listener.first("the snapshot", |seen| seen.name == "snapshot");
    for count in 1..=3 {
        service.pass(Duration::from_secs(15));
        listener.wait("a ping", |frames| {
            (frames.iter().filter(|seen| seen.name == "ping").count() >= count).then_some(())
        });
    }
    let ping = listener.first("a ping", |seen| seen.name == "ping");
    assert_eq!((ping.id, &ping.json["seq"]), (None, &json!(service.newest())));
    assert!(ping.json["now"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn summaries_come_in_their_time() {
    let printer = manual(Model::P1s);
    let service = Service::manual();
    let id = service.watch(&printer);
    service.pass(Duration::from_secs(31));
    let (summary, place) = service.log.after(0, "the summary", |seen| seen.name == "printer_status");
    assert_eq!((summary.id, &summary.json["seq"]), (None, &Value::Null));
    assert_eq!(summary.data()["printers"][0]["status"], "idle");
    assert_eq!(
        service.log.all().iter().filter(|seen| seen.name == "job_update").count(),
        0,
        "no job, no list"
    );
    begin(&printer, plan("Cube", Source::Cloud));
    service.until(&id, "it prints", |view| view["status"] == "printing");
    service.pass(Duration::from_secs(30));
    let (summary, _) = service.log.after(place, "the next", |seen| seen.name == "printer_status");
    let change = &summary.data()["status_changes"][0];
    assert_eq!((&change["old_status"], &change["new_status"]), (&json!("idle"), &json!("printing")));
    let update = service.log.first("the jobs", |seen| seen.name == "job_update");
    assert_eq!(update.data()["active_jobs"], 1);
    assert_eq!(update.data()["job_updates"][0]["new_status"], "running");
    assert!(update.data()["jobs"][0]["progress"].is_u64(), "{update:?}");
    advance_slowly(&printer, 900.0);
    service.until(&id, "it has ended", |view| view["status"] == "finished");
    service.pass(Duration::from_secs(30));
    let updates: Vec<Seen> = service.log.all().into_iter().filter(|seen| seen.name == "job_update").collect();
    let last = updates.last().unwrap().data();
    assert_eq!((&last["active_jobs"], &last["jobs"]), (&json!(0), &json!([])));
    assert_eq!(last["job_updates"][0]["status"], "completed");
    service.pass(Duration::from_secs(30));
    let again = service.log.all().iter().filter(|seen| seen.name == "job_update").count();
    assert_eq!(again, updates.len(), "once after the last has ended");
}

#[test]
fn a_listener_that_does_not_keep_up_is_told_and_gets_a_snapshot() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    service.watch(&printer);
    // Somebody who asks for the stream and reads nothing: more than the kernel's and the ring's room.
    let mut lazy = TcpStream::connect(service.address).unwrap();
    let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", service.address);
    lazy.write_all(head.as_bytes()).unwrap();
    for error in 1..=1500_u32 {
        order(&printer, Command::SetError { code: error });
    }
    let last = format!("{:04X}-{:04X}", 1500 >> 16, 1500);
    service.log.wait("the last error", |frames| {
        frames
            .iter()
            .rev()
            .take(50)
            .any(|seen| seen.data()["errors"][0]["code"] == last.as_str())
            .then_some(())
    });
    // The others have missed nothing that counts, or were told.
    let frames = service.log.all();
    if !frames.iter().any(|seen| seen.name == "gap") {
        let seqs: Vec<u64> = frames.iter().filter_map(|seen| seen.id).collect();
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
    let newest = service.newest();
    // The lazy one reads now: whatever it was told is in order, and a hole is named.
    let mut text = String::new();
    lazy.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let mut buffer = [0; 65536];
    while let Ok(count) = std::io::Read::read(&mut lazy, &mut buffer) {
        if count == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if text.contains(&format!("id: {newest}\n")) {
            break;
        }
    }
    let mut last = None::<u64>;
    let mut holes = 0;
    let mut excused = false;
    for line in text.lines() {
        if line.starts_with("event: gap") || line.starts_with("event: snapshot") {
            excused = true;
        } else if let Some(seq) = line.strip_prefix("id: ").and_then(|seq| seq.parse::<u64>().ok()) {
            if let Some(last) = last {
                assert!(seq > last, "in order");
                assert!(seq == last + 1 || excused, "a hole from {last} to {seq} without a word");
                holes += u32::from(seq > last + 1);
            }
            (last, excused) = (Some(seq), false);
        }
    }
    assert!(last.is_some(), "it got something; {holes} holes");
    assert_eq!(service.get("/health")["status"], "healthy");
}

#[test]
fn a_full_house_is_said_so() {
    let service = Service::start();
    let mut listeners = Vec::new();
    let refused = loop {
        let answer = {
            let stream = TcpStream::connect(service.address).unwrap();
            stream.set_read_timeout(Some(crate::client::PATIENCE)).unwrap();
            let mut reader = &stream;
            let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", service.address);
            reader.write_all(head.as_bytes()).unwrap();
            let mut start = [0; 12];
            std::io::Read::read_exact(&mut reader, &mut start).unwrap();
            listeners.push(stream);
            String::from_utf8(start.to_vec()).unwrap()
        };
        if !answer.ends_with("200") {
            break answer;
        }
        assert!(listeners.len() < 64, "streams are bounded");
    };
    assert_eq!(refused, "HTTP/1.1 503");
    // The page itself is still served.
    drop(listeners);
    crate::service::wait_for("there is room again", || service.call("GET", "/health", None).status == 200);
}
