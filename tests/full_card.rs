//! A card that is full: printers are watched on, prints are recorded in memory, the page says so, and when there is room
//! again everything is on the card.
//!
//! The card is a small file system in memory, in a mount namespace of its own (`unshare` and `nsenter` of util-linux).

#![allow(dead_code, missing_docs, reason = "helpers are shared with other programs")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

#[path = "support/client.rs"]
mod client;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use client::{Answer, Deadline, request};
use serde_json::{Value, json};
use simulator::bambu::{Command as Order, Config, Model, PrintPlan, Printer, Source};

const CODE: &str = "12345678";
const SERIAL: &str = "01P00A000000001";
/// Bytes of the card: the records of a new service have room in it.
const CARD: &str = "6m";
/// Prints on a full card until the file of the records has to grow, at most.
const PRINTS_MAX: usize = 60;

fn call(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let headers: &[&str] = if body.is_some() { &["Content-Type: application/json"] } else { &[] };
    request(address, method, path, headers, body.map(|body| body.to_string().into_bytes()).as_deref())
}

/// A small card, mounted where only this process and those that enter its namespace see it.
struct Card {
    holder: Child,
    path: PathBuf,
    privileged: bool,
}

impl Card {
    fn insert(path: &Path) -> Card {
        let privileged = rustix::process::geteuid().is_root();
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount").args((!privileged).then_some("--map-root-user"));
        let script = r#"mount -t tmpfs -o "size=$2,mode=700" tmpfs "$1" && echo there && exec cat"#;
        let mut holder = unshare
            .args(["sh", "-c", script, "sh"])
            .arg(path)
            .arg(CARD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is a program of util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "there\n", "no file system could be mounted");
        Card { holder, path: path.to_owned(), privileged }
    }

    /// The card's directory as seen from here.
    fn outside(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(self.path.strip_prefix("/").unwrap())
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut filler = File::create(self.outside().join("filler")).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while filler.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.outside().join("filler")).unwrap();
    }

    fn serve(&self, address: SocketAddr) -> Service {
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--target={}", self.holder.id())).arg("--mount");
        enter.args((!self.privileged).then_some(["--user", "--preserve-credentials"]).into_iter().flatten());
        let child = enter
            .arg(env!("CARGO_BIN_EXE_printernizer"))
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(&self.path)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Service { child, address };
        service.until("/readiness", "it is up", |answer| answer.status == 200);
        service
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn ask(&self, path: &str) -> Option<Answer> {
        std::net::TcpStream::connect(self.address).ok()?;
        Some(call(self.address, "GET", &format!("/api/v1{path}"), None))
    }

    fn until(&self, path: &str, what: &str, done: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = Deadline::new();
        loop {
            let answer = self.ask(path);
            match answer {
                Some(answer) if done(&answer) => return answer,
                answer => assert!(!deadline.left().is_zero(), "in vain: {what}: {answer:?}"),
            }
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }

    fn jobs(&self) -> Vec<Value> {
        self.ask("/jobs?limit=200").unwrap().expect(200)["jobs"].as_array().unwrap().clone()
    }

    /// Ends it as the service manager does; whether it says that all went well.
    fn stop(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A print from its start to its end; its job is the `number`-th.
fn print(printer: &Printer, service: &Service, number: usize) {
    let name = format!("Teil {number}");
    let plan = PrintPlan {
        name: name.clone(),
        source: Source::Lan,
        layers: 10,
        print_seconds: 600.0,
        ..PrintPlan::default()
    };
    printer.command(Order::StartPrint { plan }).unwrap();
    printer.command(Order::Advance { seconds: 400.0 }).unwrap();
    let shows = |status: &'static str| {
        let name = name.clone();
        move |answer: &Answer| {
            let jobs = answer.expect(200);
            jobs["jobs"].as_array().unwrap().iter().any(|job| {
                job["job_name"].as_str().is_some_and(|found| found.starts_with(&name))
                    && job["status"] == status
            })
        }
    };
    service.until("/jobs", "the print has a job", shows("running"));
    for _ in 0..30 {
        printer.command(Order::Advance { seconds: 60.0 }).unwrap();
    }
    service.until("/jobs", "the job has its end", shows("completed"));
}

#[test]
fn a_full_card_ends_neither_the_watching_nor_the_records() {
    let directory = tempfile::tempdir().unwrap();
    let card = Card::insert(directory.path());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let printer = Printer::start(Config::manual(Model::P1s, SERIAL, CODE)).unwrap();
    let service = card.serve(address);
    let entry = json!({
        "name": "P1S", "printer_type": "bambu_lab",
        "connection_config": {
            "ip_address": "127.0.0.1", "serial_number": SERIAL, "access_code": CODE,
            "mqtt_port": printer.port(), "ftps_port": printer.ftps_addr().port(),
        },
    });
    call(address, "POST", "/api/v1/printers", Some(&entry)).expect(201);
    print(&printer, &service, 1);

    card.fill();
    let refuses = || {
        let health = service.ask("/health").unwrap().expect(200);
        (health["services"]["store"]["details"]["in_memory_since"].is_string(), health)
    };
    let mut prints = 1;
    while !refuses().0 {
        assert!(prints < PRINTS_MAX, "the card is full, and everything finds room: {}", refuses().1);
        prints += 1;
        print(&printer, &service, prints);
    }
    // On a card that takes nothing any more.
    print(&printer, &service, prints + 1);
    prints += 1;
    let health = refuses().1;
    assert_ne!(health["status"], "healthy");
    let warnings = health["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|text| text.as_str().unwrap().contains("takes no records")), "{health}");
    let tasks = &health["services"]["tasks"]["details"];
    assert!(tasks["restarts"] == 0 && tasks["panics"] == 0, "{health}");
    assert_eq!(service.jobs().len(), prints);

    // There is room again, and the plug is pulled in an orderly way.
    card.free();
    let before = service.ask("/events/recent?limit=200").unwrap().expect(200);
    assert!(service.stop(), "what was in memory could not be written");
    let service = card.serve(address);
    let ends: Vec<Value> = service.jobs().iter().map(|job| job["status"].clone()).collect();
    assert_eq!(ends, vec![json!("completed"); prints]);
    let after = service.ask("/events/recent?limit=200").unwrap().expect(200);
    let newest = before["events"].as_array().unwrap().last().unwrap();
    assert!(after["events"].as_array().unwrap().contains(newest), "{newest} is no longer there");
    let health = service.ask("/health").unwrap().expect(200);
    assert!(health["services"]["store"]["details"]["in_memory_since"].is_null(), "{health}");
    assert!(service.stop());
}
