//! From the report that shows a print to its picture and its file, and a file of 200 MB through the downloads beside curl.
//! Run it with `cargo bench --bench downloads`; with `slow` as an argument the file of 20 MB also comes at 75 KB/s, which takes
//! four and a half minutes.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a measurement prints and fails where it stands, and uses a part of what the tests share"
)]

#[path = "../tests/support/client.rs"]
mod client;
#[path = "../tests/support/downloads.rs"]
mod downloads;
#[path = "../tests/support/service.rs"]
mod service;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Command;
use std::time::Duration;

use downloads::{Downloads, ID, SERIAL};
use printernizer::base::clock::{Clock, Timestamp};
use printernizer::downloads::Config;
use printernizer::model::FetchState;
use serde_json::Value;
use service::Service;
use simulator::bambu::ftps::FilePlan;
use simulator::bambu::{Command as Order, Config as PrinterConfig, Model, PrintPlan, Printer, Source};
use support::certificates::{Identity, Key, Version};
use support::vsftpd::{CODE, USER, Vsftpd};

const FILE_BYTES: u64 = 20_000_000;
const LARGE_BYTES: u64 = 200_000_000;
const LARGE_MEGABYTES: f64 = 200.0;
const ROUNDS: u32 = 3;

fn main() {
    let slow = std::env::args().any(|argument| argument == "slow");
    for rate in if slow { vec![0, 75_000] } else { vec![0] } {
        for model in [Model::P1s, Model::X1c] {
            a_print(model, rate);
        }
    }
    beside_curl();
}

/// One print from its PREPARE report to its file.
fn a_print(model: Model, rate: u64) {
    let serial = format!("{}00A000000077", model.serial_prefix());
    let printer = Printer::start(PrinterConfig::manual(model, &serial, "12345678")).unwrap();
    printer.change_faults(|faults| faults.ftps.rate = rate).unwrap();
    let service = Service::start();
    service.watch(&printer);
    let plan = PrintPlan {
        name: "Würfel".into(),
        source: Source::Lan,
        file: FilePlan { size: FILE_BYTES, ..FilePlan::default() },
        ..PrintPlan::default()
    };
    let written = number("/proc/self/io", "write_bytes:");
    printer.command(Order::StartPrint { plan }).unwrap();
    let clock = Clock::system();
    let shown = clock.now().wall;
    // The echo, and three simulated seconds later the PREPARE report.
    printer.command(Order::Advance { seconds: 4.0 }).unwrap();
    let limit = clock.now().mono.after(Duration::from_secs(600));
    let mut peak = 0;
    while !service.log.all().iter().any(|seen| seen.name == "file_download_complete") {
        assert!(clock.now().mono < limit, "the file does not come");
        peak = peak.max(number("/proc/self/status", "RssAnon:"));
        std::thread::park_timeout(Duration::from_millis(20));
    }
    std::thread::park_timeout(Duration::from_millis(500));
    let beyond = number("/proc/self/io", "write_bytes:").saturating_sub(written + FILE_BYTES);
    let journal = service.journal();
    let at = |name: &str| -> String {
        let event = journal.iter().find(|event| event["event"] == name);
        event.map_or("never".into(), |event| format!("{} ms", moment(event).millis_since(shown)))
    };
    println!(
        "{model:?}, {}: job {}, trigger {}, started {}, preview {}, file {}; {beyond} bytes written beyond the file, \
         {} kB of private memory at most (the simulated printer's files included)",
        if rate == 0 { "unlimited".to_owned() } else { format!("{rate} B/s") },
        at("job_created"),
        at("auto_download_triggered"),
        at("file_download_started"),
        at("file_preview_ready"),
        at("file_download_complete"),
        peak,
    );
}

fn moment(event: &Value) -> Timestamp {
    event["timestamp"].as_str().unwrap().parse().unwrap()
}

/// 200 MB through the desk: session, hash, part, sync, rename, record; and curl from the same server.
fn beside_curl() {
    let server = Vsftpd::start(&Identity::new(Version::V1, SERIAL, Key::shared()));
    for round in 0..ROUNDS {
        // Another file each time: an unchanged one would not be fetched.
        let name = format!("large-{round}.gcode");
        server.put_noise(&name, LARGE_BYTES, u64::from(round) + 1);
        let downloads = Downloads::start(&server, Config { settle: Duration::ZERO, ..Config::default() });
        let written = number("/proc/self/io", "write_bytes:");
        let clock = Clock::system();
        let start = clock.now().mono;
        let fetch = downloads.desk.request(ID, &server.path(&name)).unwrap();
        let peak = std::cell::Cell::new(0);
        downloads.until(fetch.id, "it is here", |fetch| {
            peak.set(peak.get().max(number("/proc/self/status", "RssAnon:")));
            matches!(fetch.state, FetchState::Done(_))
        });
        let took = clock.now().mono.since(start).as_secs_f64();
        let beyond = number("/proc/self/io", "write_bytes:").saturating_sub(written + LARGE_BYTES);
        println!(
            "downloads: {:.0} MB/s, {took:.2} s to the record, {} kB of private memory at most, {beyond} bytes \
             written beyond the file",
            LARGE_MEGABYTES / took,
            peak.get()
        );
        curl(&server, &name);
    }
}

fn curl(server: &Vsftpd, name: &str) {
    let target = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("curl")
        .args(["-s", "-k", "--tls-max", "1.2", "--disable-epsv", "-o", target.path().to_str().unwrap()])
        .args(["--user", &format!("{USER}:{CODE}"), "-w", "%{speed_download} B/s, %{time_total} s"])
        .arg(format!("ftps://{}/{name}", server.address))
        .output()
        .expect("curl is there");
    println!("curl to a file, without hash or sync: {}", String::from_utf8_lossy(&output.stdout));
}

/// A number behind a word in a file of the kernel's.
fn number(path: &str, word: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
