//! The plug is pulled: the real program is killed with SIGKILL at seeded random moments while prints start, go on and end.
//! Afterwards everything that an outside observer was told is still there, byte for byte, and nothing is told twice; every file
//! that was announced is there with the announced bytes, and there are no others.
//!
//! `PRINTERNIZER_KILLS` sets the number of kills (6 in an ordinary run), `PRINTERNIZER_SEED` the seed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sha2::Digest as _;
use simulator::bambu;

const KILLS: u64 = 6;
/// The service is up within this time, on the slowest of machines.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the observer was told: durable events by seq.
type Told = Arc<Mutex<BTreeMap<u64, String>>>;

struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start(data: &Path, address: SocketAddr) -> Service {
        let child = Command::new(env!("CARGO_BIN_EXE_printernizer"))
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Service { child, address };
        let (_stop, never) = sync_channel::<()>(0);
        for _ in 0..PATIENCE.as_millis() / 20 {
            if service.get("/api/v1/readiness").is_some() {
                return service;
            }
            let _ = never.recv_timeout(Duration::from_millis(20));
        }
        panic!("the service is not up after {PATIENCE:?}");
    }

    fn request(&self, head: &str, body: &str) -> Option<String> {
        let mut socket = TcpStream::connect(self.address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        let json = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        write!(socket, "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{json}Content-Length: {length}\r\n\r\n{body}")
            .ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        (head.contains(" 200 ") || head.contains(" 201 ")).then(|| body.to_owned())
    }

    fn get(&self, path: &str) -> Option<String> {
        self.request(&format!("GET {path}"), "")
    }

    /// Kills the process as a pulled plug would.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Follows the event stream until it breaks, from after `after`.
fn observe(address: SocketAddr, after: u64, told: Told) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let Ok(mut socket) = TcpStream::connect(address) else { return };
        let request = format!("GET /api/v1/events?after={after} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if socket.write_all(request.as_bytes()).is_err() {
            return;
        }
        let mut seq = None;
        for line in BufReader::new(socket).lines() {
            let Ok(line) = line else { return };
            if let Some(id) = line.strip_prefix("id: ") {
                seq = id.parse::<u64>().ok();
            } else if let Some(data) = line.strip_prefix("data: ")
                && let Some(seq) = seq.take()
            {
                let before = told.lock().unwrap().insert(seq, data.to_owned());
                assert!(before.is_none_or(|before| before == data), "seq {seq} was told with other words");
            }
        }
    })
}

/// The whole journal, by pages.
fn journal(service: &Service) -> BTreeMap<u64, String> {
    let mut all = BTreeMap::new();
    loop {
        let after = all.keys().next_back().copied().unwrap_or(0);
        let page = service.get(&format!("/api/v1/events/recent?after={after}&limit=200")).unwrap();
        #[derive(serde::Deserialize)]
        struct Page<'p> {
            #[serde(borrow)]
            events: Vec<&'p serde_json::value::RawValue>,
        }
        let page: Page<'_> = serde_json::from_str(&page).unwrap();
        if page.events.is_empty() {
            return all;
        }
        for event in page.events {
            let value: Value = serde_json::from_str(event.get()).unwrap();
            all.insert(value["seq"].as_u64().unwrap(), event.get().to_owned());
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn printers() -> Vec<bambu::Printer> {
    let models = [bambu::Model::P1s, bambu::Model::A1, bambu::Model::X1c];
    models
        .into_iter()
        .enumerate()
        .map(|(number, model)| {
            let serial = format!("01P00A00000000{number}");
            let config = bambu::Config {
                report_interval: Some(Duration::from_millis(100)),
                factor: 300.0,
                ..bambu::Config::new(model, &serial, "12345678")
            };
            let printer = bambu::Printer::start(config).unwrap();
            // A file takes about a second, so that most kills meet a transfer.
            printer.change_faults(|faults| faults.ftps.rate = 400_000).unwrap();
            printer
        })
        .collect()
}

/// Keeps the printers busy with short prints, some of which are cancelled, until told to stop.
fn drive(printers: &[bambu::Printer], stop: &Receiver<()>) {
    let mut round = 0_u32;
    while stop.recv_timeout(Duration::from_millis(150)) == Err(RecvTimeoutError::Timeout) {
        round += 1;
        for printer in printers {
            // Refused while a print is on: that is how they take turns.
            let plan = bambu::PrintPlan {
                name: format!("Würfel {round}"),
                layers: 5,
                print_seconds: 600.0,
                calibration_seconds: 60.0,
                file: bambu::ftps::FilePlan { size: 400_000, ..bambu::ftps::FilePlan::default() },
                ..bambu::PrintPlan::default()
            };
            let _ = printer.command(bambu::Command::StartPrint { plan });
            if round.is_multiple_of(7) {
                let _ = printer.command(bambu::Command::Cancel { end: None });
            }
        }
    }
}

#[test]
fn nothing_that_was_told_is_lost_and_nothing_is_told_twice() {
    let kills = setting("PRINTERNIZER_KILLS", KILLS);
    let mut random = fastrand::Rng::with_seed(setting("PRINTERNIZER_SEED", 7));
    let data = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = Told::default();
    let printers = printers();
    let (stop, stopped) = sync_channel::<()>(1);
    std::thread::scope(|scope| {
        let printers = &printers;
        scope.spawn(move || drive(printers, &stopped));
        let mut service = Service::start(data.path(), address);
        for printer in printers {
            let body = serde_json::json!({
                "name": printer.serial(),
                "printer_type": "bambu_lab",
                "connection_config": {
                    "ip_address": "127.0.0.1",
                    "serial_number": printer.serial(),
                    "access_code": "12345678",
                    "mqtt_port": printer.port(),
                    "ftps_port": printer.ftps_addr().port(),
                },
            });
            service.request("POST /api/v1/printers", &body.to_string()).unwrap();
        }
        let (_pause, never) = sync_channel::<()>(0);
        for _ in 0..kills {
            let last = told.lock().unwrap().keys().next_back().copied().unwrap_or(0);
            let observer = observe(address, last, Arc::clone(&told));
            let _ = never.recv_timeout(Duration::from_millis(random.u64(20..2500)));
            service.kill();
            observer.join().unwrap();
            service = Service::start(data.path(), address);
        }
        check(&service, &told);
        stop.send(()).unwrap();
        service.kill();
    });
    // Nothing can be fetched any more when the printers are gone: what the next start leaves is what counts.
    drop(printers);
    let service = Service::start(data.path(), address);
    check_files(data.path(), &journal(&service));
    service.kill();
}

/// Looks at the data directory from outside: announced files and files are the same.
fn check_files(data: &Path, journal: &BTreeMap<u64, String>) {
    let mut announced: BTreeMap<String, Value> = BTreeMap::new();
    let mut triggered = 0;
    for event in journal.values() {
        let event: Value = serde_json::from_str(event).unwrap();
        match event["event"].as_str().unwrap() {
            "auto_download_triggered" => triggered += 1,
            "file_download_complete" => {
                announced
                    .insert(event["data"]["file_path"].as_str().unwrap().to_owned(), event["data"].clone());
            }
            _ => {}
        }
    }
    for (path, data_of) in &announced {
        let bytes = std::fs::read(data.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(data_of["file_size"], bytes.len(), "{path}");
        let sum: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(data_of["sha256"], sum, "{path}");
    }
    let (mut found, mut parts) = (Vec::new(), 0);
    for folder in std::fs::read_dir(data.join("files")).unwrap() {
        let folder = folder.unwrap().file_name().into_string().unwrap();
        for file in std::fs::read_dir(data.join("files").join(&folder)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            if folder == "part" { parts += 1 } else { found.push(format!("files/{folder}/{name}")) }
        }
    }
    let unknown: Vec<&String> = found.iter().filter(|path| !announced.contains_key(*path)).collect();
    assert!(unknown.is_empty(), "bytes without a record: {unknown:?}");
    println!(
        "{} files announced, {} there, {parts} parts, {triggered} fetches",
        announced.len(),
        found.len()
    );
    assert!(parts <= triggered, "every part belongs to a fetch");
    assert!(!announced.is_empty(), "no file came at all");
}

fn check(service: &Service, told: &Told) {
    let kept = journal(service);
    let newest = *kept.keys().next_back().unwrap();
    let seqs: Vec<u64> = kept.keys().copied().collect();
    assert_eq!(seqs, (1..=newest).collect::<Vec<_>>(), "seq has gaps");
    for (seq, data) in told.lock().unwrap().iter() {
        assert_eq!(kept.get(seq), Some(data), "seq {seq} was told and is not there");
    }
    let mut lives: BTreeMap<(String, String), u32> = BTreeMap::new();
    for data in kept.values() {
        let event: Value = serde_json::from_str(data).unwrap();
        let name = event["event"].as_str().unwrap();
        if ["job_created", "job_started", "job_completed"].contains(&name) {
            *lives
                .entry((name.to_owned(), event["data"]["job_id"].as_str().unwrap().to_owned()))
                .or_default() += 1;
        }
    }
    let twice: Vec<_> = lives.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "told more than once: {twice:?}");
    let created = lives.keys().filter(|(name, _)| name == "job_created").count();
    let ended = lives.keys().filter(|(name, _)| name == "job_completed").count();
    println!(
        "{newest} events, {} of them observed, {created} jobs, {ended} ended",
        told.lock().unwrap().len()
    );
    assert!(created > 0, "no print was seen at all");
}
