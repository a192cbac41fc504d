//! Finding printers and being found, with real datagrams on networks of the tests' own.
//!
//! Each test runs in a network namespace: the house, with the printers. The service runs in a second one, joined to it by a
//! cable. Nothing of this is seen outside, and everything ends with the processes. Needs root (or unprivileged user
//! namespaces), `unshare` and `nsenter` (util-linux) and `ip` (iproute2).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

#[path = "support/house.rs"]
mod house;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use house::{DEVICE, HOUSE, run};
use serde_json::{Value, json};
use simulator::lan::{self, Entry, Responder};
use simulator::wait::{Stop, now};
use simulator::{bambu, prusa};

/// How long a test waits for something that takes a few seconds at most; machines are shared.
const PATIENCE: Duration = Duration::from_secs(120);
const CODE: &str = "12345678";

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

/// Runs the test of this name in a house of its own; `true` inside of it.
fn is_house(test: &str) -> bool {
    house::is_house(test, &[HOUSE, at(11), at(12), at(13), at(14), at(15), at(66)])
}

/// Waits without sleeping blindly: a channel that nobody sends to.
fn pause(duration: Duration) {
    let (_sender, never) = sync_channel::<()>(0);
    let _ = never.recv_timeout(duration);
}

#[track_caller]
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "waited in vain: {what}");
        pause(Duration::from_millis(50));
    }
}

/// The service in its own namespace.
struct Device {
    child: Child,
    _data: tempfile::TempDir,
}

impl Device {
    /// Starts the service; it has no network until it is plugged in.
    fn unplugged(environment: &[(&str, &str)]) -> Device {
        let data = tempfile::tempdir().unwrap();
        let script = "ip link set lo up && echo ready && read go && exec \"$@\"";
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_printernizer")])
            .args(["serve", "--config", "/dev/null", "--listen", "0.0.0.0:8080", "--data"])
            .arg(data.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Device { child, _data: data }
    }

    fn run(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    /// Puts the cable in.
    fn plug_in(&self) {
        house::plug_in(self.child.id());
    }

    /// A device on the network, up.
    fn start() -> Device {
        let mut device = Device::unplugged(&[]);
        device.plug_in();
        device.run();
        device.wait_up();
        device
    }

    fn wait_up(&self) {
        wait("the service is up", || self.try_get("/readiness"));
    }

    fn exchange(&self, head: &str, host: &str, body: Option<&Value>) -> Option<(u16, String)> {
        let address = SocketAddr::from((DEVICE, 8080));
        let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let length = body.len();
        write!(socket, "{head} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n{body}").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let code = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    }

    fn try_get(&self, path: &str) -> Option<Value> {
        let (code, body) = self.exchange(&format!("GET /api/v1{path}"), "10.77.0.1:8080", None)?;
        (code == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|| panic!("GET {path}"))
    }

    fn add(&self, entry: &Value) -> String {
        let (code, body) =
            self.exchange("POST /api/v1/printers", "10.77.0.1:8080", Some(entry)).expect("an answer");
        assert_eq!(code, 201, "{body}");
        let view: Value = serde_json::from_str(&body).unwrap();
        let id = view["id"].as_str().unwrap().to_owned();
        wait("the printer is connected", || (self.connection(&id).0 == "monitoring").then_some(()));
        id
    }

    /// The state of a printer's connection, and its address.
    fn connection(&self, id: &str) -> (String, String) {
        let view = self.get(&format!("/printers/{id}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&view["connection"]["status"]), text(&view["connection_config"]["ip_address"]))
    }

    fn discovered(&self) -> Vec<Value> {
        self.get("/printers/discover?timeout=0")["discovered"].as_array().unwrap().clone()
    }

    fn lan(&self) -> Value {
        self.get("/health")["services"]["lan"]["details"].clone()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says the same again and again until it is dropped, as printers do.
struct Caller {
    stop: Arc<Stop>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Caller {
    fn start(from: Ipv4Addr, to: &str, serial: &str, location: Ipv4Addr) -> Caller {
        let (to, text) = (to.parse().unwrap(), lan::call(serial, location, "C12", "Würfel"));
        let stop = Arc::new(Stop::default());
        let ending = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !ending.wait_for(Duration::from_millis(200)) {
                let _ = lan::shout(from, to, text.as_bytes());
            }
        });
        Caller { stop, thread: Some(thread) }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.stop.set();
        self.thread.take().unwrap().join().unwrap();
    }
}

const BROADCAST: &str = "255.255.255.255:2021";
const GROUP_OLD: &str = "239.255.255.250:1990";

fn bambu_at(last: u8, serial: &str) -> bambu::Printer {
    let config = bambu::Config {
        host: IpAddr::V4(at(last)),
        port: 8883,
        ftps_port: 990,
        ..bambu::Config::manual(bambu::Model::P1s, serial, CODE)
    };
    bambu::Printer::start(config).unwrap()
}

fn prusa_at(last: u8, serial: &str, password: &str) -> prusa::Printer {
    let config = prusa::Config {
        host: IpAddr::V4(at(last)),
        port: 80,
        serial: serial.to_owned(),
        ..prusa::Config::new(prusa::Model::Mk4, password)
    };
    prusa::Printer::start(config).unwrap()
}

fn bambu_entry(last: u8, serial: &str) -> Value {
    json!({"name": "P1S", "printer_type": "bambu_lab", "connection_config": {
        "ip_address": at(last).to_string(), "serial_number": serial, "access_code": CODE}})
}

#[test]
fn printers_are_found_by_calls_and_by_multicast_dns() {
    if !is_house("printers_are_found_by_calls_and_by_multicast_dns") {
        return;
    }
    let device = Device::start();
    let _first = Caller::start(at(11), BROADCAST, "01P00A000000011", at(11));
    let _second = Caller::start(at(12), GROUP_OLD, "03900A000000012", at(12));
    let _noise = Caller::start(at(66), BROADCAST, "not a serial", at(66));
    let _far = Caller::start(at(66), BROADCAST, "01P00A000000099", Ipv4Addr::new(8, 8, 8, 8));
    let entry = Entry::Prusa { host: "prusa-mk4".into(), address: at(13), port: 80 };
    let _responder = Responder::start(HOUSE, vec![entry]).unwrap();
    let found = wait("three printers", || Some(device.discovered()).filter(|found| found.len() >= 3));
    let addresses: Vec<&str> = found.iter().map(|row| row["ip_address"].as_str().unwrap()).collect();
    for address in ["10.77.0.11", "10.77.0.12", "10.77.0.13"] {
        assert!(addresses.contains(&address), "{found:?}");
    }
    assert_eq!(found.len(), 3, "{found:?}");
    let row = found.iter().find(|row| row["ip_address"] == "10.77.0.11").unwrap();
    assert_eq!(
        (&row["printer_type"], &row["serial_number"]),
        (&json!("bambu_lab"), &json!("01P00A000000011"))
    );
    assert_eq!(
        (&row["model"], &row["name"], &row["already_added"]),
        (&json!("P1S"), &json!("Würfel"), &json!(false))
    );
    let row = found.iter().find(|row| row["ip_address"] == "10.77.0.13").unwrap();
    assert_eq!((&row["printer_type"], &row["hostname"]), (&json!("prusa_link"), &json!("prusa-mk4.local")));
    assert_eq!(row["port"], 80);

    let printer = bambu_at(11, "01P00A000000011");
    let id = device.add(&bambu_entry(11, "01P00A000000011"));
    let found = device.get("/printers/discover");
    let row =
        found["discovered"].as_array().unwrap().iter().find(|row| row["ip_address"] == "10.77.0.11").unwrap();
    assert_eq!((&row["already_added"], &row["printer_id"]), (&json!(true), &json!(id)));
    assert_eq!(found["errors"], json!([]));
    assert_eq!(device.lan()["looks"], 0, "nobody is looked at who is where he should be");
    drop(printer);
}

#[test]
fn a_moved_printer_is_followed_to_its_key_and_nowhere_else() {
    if !is_house("a_moved_printer_is_followed_to_its_key_and_nowhere_else") {
        return;
    }
    let serial = "01P00A000000021";
    let device = Device::start();
    let printer = bambu_at(11, serial);
    let id = device.add(&bambu_entry(11, serial));

    // Somebody else says that the printer is at his place, which has a printer with another key but the same number.
    let thief = bambu_at(66, serial);
    thief.command(bambu::Command::ChangeKey).unwrap();
    let lies = Caller::start(at(66), BROADCAST, serial, at(66));
    let heard = device.lan()["datagrams"].as_u64().unwrap();
    wait("the lies are heard", || (device.lan()["datagrams"].as_u64().unwrap() > heard + 20).then_some(()));
    assert_eq!(device.connection(&id), ("monitoring".to_owned(), "10.77.0.11".to_owned()));
    assert_eq!(thief.observations().connections, 0, "a printer that is connected is not looked for");

    // The printer goes away. The thief is looked at, and refused without having seen a code.
    drop(printer);
    wait("the thief is looked at", || (device.lan()["strangers"].as_u64() > Some(0)).then_some(()));
    let seen = thief.observations();
    assert_eq!((seen.logins, seen.refused_logins), (0, 0), "no code was shown");
    assert_eq!(device.connection(&id).1, "10.77.0.11");

    // It comes back elsewhere.
    let moved = bambu_at(12, serial);
    let truth = Caller::start(at(12), BROADCAST, serial, at(12));
    wait("the printer is followed", || {
        (device.connection(&id) == ("monitoring".to_owned(), "10.77.0.12".to_owned())).then_some(())
    });
    assert_eq!((moved.observations().logins, moved.observations().refused_logins), (1, 0));
    let thieves = thief.observations();
    assert_eq!((thieves.logins, thieves.refused_logins), (0, 0));
    assert!(thieves.connections <= 3, "{} connections to the thief", thieves.connections);
    assert_eq!(device.lan()["moved"], 1);
    let events = device.get("/events/recent?after=0&limit=200");
    let updates =
        events["events"].as_array().unwrap().iter().filter(|event| event["event"] == "printer_updated");
    assert_eq!(updates.count(), 1);
    drop((lies, truth));
}

#[test]
fn a_moved_prusa_printer_is_followed_by_its_number_behind_the_login() {
    if !is_house("a_moved_prusa_printer_is_followed_by_its_number_behind_the_login") {
        return;
    }
    let (serial, other) = ("10589-3742441630555", "10589-3742441630999");
    let device = Device::start();
    let printer = prusa_at(13, serial, "secret-of-one");
    let entry = json!({"name": "MK4", "printer_type": "prusa_link", "connection_config": {
        "ip_address": at(13).to_string(), "password": "secret-of-one"}});
    let id = device.add(&entry);
    drop(printer);
    // Its old sister has the same model and another password, and the printer itself a new address.
    let sister = prusa_at(15, other, "secret-of-two");
    let moved = prusa_at(14, serial, "secret-of-one");
    let entries = [("prusa-mk4", 14), ("prusa-mk4-2", 15)].map(|(host, last)| Entry::Prusa {
        host: host.into(),
        address: at(last),
        port: 80,
    });
    let _responder = Responder::start(HOUSE, entries.to_vec()).unwrap();
    wait("the printer is followed", || {
        (device.connection(&id) == ("monitoring".to_owned(), "10.77.0.14".to_owned())).then_some(())
    });
    drop((sister, moved));
}

#[test]
fn made_up_calls_neither_fill_the_table_nor_cause_connections() {
    if !is_house("made_up_calls_neither_fill_the_table_nor_cause_connections") {
        return;
    }
    let serial = "01P00A000000031";
    let device = Device::start();
    let printer = bambu_at(11, serial);
    let id = device.add(&bambu_entry(11, serial));
    drop(printer);
    let waiting = bambu_at(66, "01P00A000000066");
    // Thousands of calls: for the lost printer at ever new addresses, and for printers that never were.
    let to: SocketAddr = BROADCAST.parse().unwrap();
    for number in 0..4000_u32 {
        let [.., high, low] = number.to_be_bytes();
        let somewhere = Ipv4Addr::new(10, 78, high, low);
        let _ = lan::shout(at(66), to, lan::call(serial, somewhere, "C12", "x").as_bytes());
        let _ = lan::shout(at(66), to, lan::call(&format!("FAKE{number}"), at(66), "C12", "x").as_bytes());
        let _ = lan::shout(at(66), to, lan::call(serial, at(66), "C12", "x").as_bytes());
    }
    let state =
        wait("the flood is noticed", || Some(device.lan()).filter(|lan| lan["floods"].as_u64() > Some(0)));
    assert!(device.discovered().len() <= 64, "{state}");
    assert!(state["looks"].as_u64().unwrap() <= 10, "{state}");
    assert!(waiting.observations().connections <= 3);
    assert_eq!(device.connection(&id).1, "10.77.0.11");
    // And the printer is found all the same.
    let moved = bambu_at(12, serial);
    let truth = Caller::start(at(12), BROADCAST, serial, at(12));
    wait("the printer is followed", || (device.connection(&id).1 == "10.77.0.12").then_some(()));
    drop((moved, truth));
}

/// Whether a packet holds an address record of `name` with this address.
fn holds(packet: &[u8], name: &str, address: Ipv4Addr) -> bool {
    let [_, rest @ ..] = &*lan::labels(name) else { return false };
    let has = |part: &[u8]| packet.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    has(rest) && has(&address.octets())
}

#[test]
fn the_device_has_a_name_and_tells_where_its_page_is() {
    if !is_house("the_device_has_a_name_and_tells_where_its_page_is") {
        return;
    }
    let mut device = Device::start();
    wait("the name is held", || (device.lan()["name"] == "printernizer.local").then_some(()));
    let ask = |name: &str, kind| lan::ask(HOUSE, name, kind, Duration::from_secs(3)).unwrap();
    let answer = wait("an answer", || ask("printernizer.local", 1));
    assert!(holds(&answer, "printernizer.local", DEVICE));
    let answer = wait("an answer", || ask("_http._tcp.local", 12));
    assert!(holds(&answer, "printernizer.local", DEVICE), "the address comes along");
    let port = 8080_u16.to_be_bytes();
    assert!(answer.windows(2).any(|window| window == port));
    let path = b"path=/";
    assert!(answer.windows(path.len()).any(|window| window == path));
    // The page is served under that name and under no other.
    let code = |device: &Device, host: &str| device.exchange("GET /api/v1/liveness", host, None).unwrap().0;
    assert_eq!(code(&device, "printernizer.local:8080"), 200);
    assert_eq!(code(&device, "printernizer-2.local:8080"), 421);
    // The end is announced: records without time to live.
    let pid = rustix::process::Pid::from_raw(i32::try_from(device.child.id()).unwrap()).unwrap();
    let goodbye = |packet: &[u8]| {
        let gone = [&lan::labels("printernizer.local")[..], &[0, 1, 0x80, 1, 0, 0, 0, 0]].concat();
        packet.windows(gone.len()).any(|window| window == gone)
    };
    let end = || rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(lan::overhear(HOUSE, PATIENCE, goodbye, end).unwrap());
    assert!(device.child.wait().unwrap().success());
}

#[test]
fn a_taken_name_gets_a_number_that_works() {
    if !is_house("a_taken_name_gets_a_number_that_works") {
        return;
    }
    let rival = Entry::Host { host: "printernizer".into(), address: at(66) };
    let _rival = Responder::start(HOUSE, vec![rival]).unwrap();
    let device = Device::start();
    wait("another name is held", || (device.lan()["name"] == "printernizer-2.local").then_some(()));
    let answer =
        wait("an answer", || lan::ask(HOUSE, "printernizer-2.local", 1, Duration::from_secs(3)).unwrap());
    assert!(holds(&answer, "printernizer-2.local", DEVICE));
    let code = device.exchange("GET /api/v1/liveness", "printernizer-2.local:8080", None).unwrap().0;
    assert_eq!(code, 200);
}

#[test]
fn a_network_may_come_later_and_lack_multicast() {
    if !is_house("a_network_may_come_later_and_lack_multicast") {
        return;
    }
    run("ip", &["link", "set", "cable", "multicast", "off"]);
    let mut device = Device::unplugged(&[]);
    device.run();
    // The service runs without any network, and begins to listen when there is one.
    pause(Duration::from_secs(1));
    device.plug_in();
    device.wait_up();
    // Printers are added by address, whatever becomes of the rest.
    let printer = bambu_at(11, "01P00A000000041");
    device.add(&bambu_entry(11, "01P00A000000041"));
    let health = device.get("/health");
    assert_ne!(health["status"], "unhealthy", "{health}");
    wait("the network is seen", || (device.lan()["interfaces"] == json!(["wlan0"])).then_some(()));
    // Broadcasts need no multicast.
    let _caller = Caller::start(at(12), BROADCAST, "01P00A000000042", at(12));
    wait("a call is heard", || Some(device.discovered()).filter(|found| !found.is_empty()));
    drop(printer);
}

#[test]
fn both_can_be_switched_off() {
    if !is_house("both_can_be_switched_off") {
        return;
    }
    let off = [("PRINTERNIZER_NETWORK_FIND_PRINTERS", "false"), ("PRINTERNIZER_NETWORK_ANNOUNCE", "false")];
    let mut device = Device::unplugged(&off);
    device.plug_in();
    device.run();
    device.wait_up();
    let caller = Caller::start(at(12), BROADCAST, "01P00A000000051", at(12));
    let answer = device.get("/printers/discover");
    assert_eq!(answer["discovered"], json!([]));
    assert_eq!(answer["errors"][0]["kind"], "switched_off");
    assert_eq!(lan::ask(HOUSE, "printernizer.local", 1, Duration::from_secs(2)).unwrap(), None);
    assert_eq!(device.get("/health")["status"], "healthy");
    drop(caller);
}
