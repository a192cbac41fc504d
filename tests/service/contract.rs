//! What the event contract says of every journal, whatever happened: checked by many scenarios at their end.

use std::collections::BTreeMap;

use serde_json::Value;

/// The steps of connections of one printer, as words: `connecting`, `connected`, `printer_connected`, ...
pub fn connection_steps(events: &[Value], printer: &str) -> Vec<String> {
    let of_printer = events.iter().filter(|event| event["data"]["printer_id"] == printer);
    of_printer
        .filter_map(|event| match event["event"].as_str().unwrap() {
            "printer_connection_progress" => Some(event["data"]["status"].as_str().unwrap().to_owned()),
            name @ ("printer_connected"
            | "printer_disconnected"
            | "printer_monitoring_started"
            | "printer_monitoring_stopped") => Some(name.to_owned()),
            _ => None,
        })
        .collect()
}

/// A connection that succeeds.
pub const CONNECTED: [&str; 5] =
    ["connecting", "connected", "printer_connected", "printer_monitoring_started", "monitoring"];

/// The events of one job, as words.
pub fn job_steps(events: &[Value], job: &str) -> Vec<String> {
    let of_job = events.iter().filter(|event| event["data"]["job_id"] == job);
    let mut is_over = false;
    of_job
        .filter_map(|event| {
            let name = event["event"].as_str().unwrap();
            is_over |= name == "job_completed";
            match name {
                "job_status_changed" => Some(format!("-> {}", event["data"]["status"].as_str().unwrap())),
                // Where its filament came from is found out some time after its end.
                "job_updated" if is_over => None,
                name if name.starts_with("job_") && event["seq"].is_u64() => Some(name.to_owned()),
                _ => None,
            }
        })
        .collect()
}

/// Checks what holds for every journal: gap-free, causes in the past, a flow's causes in order, one connection at a time,
/// one start and one end in a job's life, statuses that follow each other.
pub fn check(events: &[Value]) {
    let mut seqs = events.iter().map(|event| event["seq"].as_u64().expect("durable events carry seq"));
    if let Some(mut last) = seqs.next() {
        for seq in seqs {
            assert_eq!(seq, last + 1, "seq has no gaps");
            last = seq;
        }
    }
    let mut connected: BTreeMap<String, bool> = BTreeMap::new();
    let mut status: BTreeMap<String, String> = BTreeMap::new();
    let mut seen: BTreeMap<(String, String), u32> = BTreeMap::new();
    for event in events {
        let (name, data, seq) =
            (event["event"].as_str().unwrap(), &event["data"], event["seq"].as_u64().unwrap());
        assert_eq!(event["after"], event["seq"]);
        if let Some(cause) = event["cause"].as_u64() {
            assert!(cause < seq, "a cause is in the past: {event}");
        }
        let printer = data["printer_id"].as_str().unwrap_or_default().to_owned();
        let job = data["job_id"].as_str().unwrap_or_default().to_owned();
        match name {
            "printer_connected" => {
                assert_ne!(connected.insert(printer, true), Some(true), "connected once: {event}");
                assert!(event["flow"].is_string() && event["cause"].is_u64(), "{event}");
            }
            "printer_disconnected" => {
                assert_eq!(connected.insert(printer, false), Some(true), "disconnected once: {event}");
            }
            "job_created" | "job_started" | "job_completed" => {
                let count = seen.entry((name.to_owned(), job.clone())).or_default();
                *count += 1;
                assert_eq!(*count, 1, "once in a job's life: {event}");
                assert!(event["flow"] == format!("print-{job}"), "{event}");
            }
            "job_status_changed" => {
                assert_ne!(data["old_status"], data["status"], "{event}");
                let before = status.insert(job, data["status"].as_str().unwrap().to_owned());
                if let Some(before) = before {
                    assert_eq!(data["old_status"], before, "{event}");
                }
            }
            _ => {}
        }
        if name == "job_completed" {
            assert_eq!(
                status.get(data["job_id"].as_str().unwrap()).unwrap(),
                data["status"].as_str().unwrap()
            );
        }
    }
}
