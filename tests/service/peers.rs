//! The same conversations with the simulator and with Debian's Mosquitto: whoever speaks MQTT as a printer does is one.

use serde_json::{Value, json};
use simulator::bambu::{Command, Config, Model, Printer};

use crate::contract::{self, CONNECTED, connection_steps, job_steps};
use crate::printers::{CODE, serial};
use crate::service::Service;
use crate::support::certificates::{Identity, Key, Version};
use crate::support::mosquitto::Mosquitto;
use crate::support::plain::PlainClient;

/// Somebody who plays a printer: reports are the scenario's own texts.
trait Peer {
    fn port(&self) -> u16;
    /// Says `text` on the report topic.
    fn say(&mut self, text: &str);
    /// Waits until it was asked for a full report for the `count`th time.
    fn asked(&mut self, count: usize);
    /// Comes back with another key under the same name, after every connection was lost.
    fn change_key(&mut self);
}

fn number() -> String {
    serial(Model::P1s, 1)
}

/// The simulator, silent by itself.
struct Simulated(Printer);

impl Simulated {
    fn new() -> Simulated {
        let config = Config::manual(Model::P1s, &number(), CODE);
        let printer = Printer::start(config).unwrap();
        // It hears requests and leaves the answers to the scenario.
        crate::printers::faults(&printer, |faults| faults.half_dead = true);
        Simulated(printer)
    }
}

impl Peer for Simulated {
    fn port(&self) -> u16 {
        self.0.port()
    }

    fn say(&mut self, text: &str) {
        self.0.command(Command::Publish { text: text.into(), topic: None }).unwrap();
    }

    fn asked(&mut self, count: usize) {
        let asked = |texts: &[String]| texts.iter().filter(|text| text.contains("pushall")).count();
        self.0.wait_for(crate::client::PATIENCE, |seen| asked(&seen.request_texts) >= count).unwrap();
    }

    fn change_key(&mut self) {
        self.0.command(Command::ChangeKey).unwrap();
        self.0.command(Command::Drop).unwrap();
    }
}

/// Mosquitto, with the scenario behind it on the plain port.
struct Broker {
    broker: Mosquitto,
    client: PlainClient,
    asked: usize,
    version: Version,
    v6: bool,
}

impl Broker {
    fn new(version: Version) -> Broker {
        Broker::with(version, &number(), Key::shared())
    }

    fn with(version: Version, name: &str, key: &Key) -> Broker {
        let broker = smol::block_on(Mosquitto::start(&Identity::new(version, name, key)));
        let mut client = broker.client();
        client.subscribe(&format!("device/{}/request", number()));
        Broker { broker, client, asked: 0, version, v6: false }
    }
}

impl Peer for Broker {
    fn port(&self) -> u16 {
        if self.v6 { self.broker.tls_v6.port() } else { self.broker.tls.port() }
    }

    fn say(&mut self, text: &str) {
        self.client.publish(&format!("device/{}/report", number()), text.as_bytes());
    }

    fn asked(&mut self, count: usize) {
        while self.asked < count {
            let (_, payload) = self.client.receive();
            self.asked += usize::from(String::from_utf8(payload).unwrap().contains("pushall"));
        }
    }

    fn change_key(&mut self) {
        *self = Broker { asked: self.asked, ..Broker::with(self.version, &number(), Key::other()) };
    }
}

fn report(message: u32, fields: Value) -> String {
    let mut print = fields;
    print["command"] = json!("push_status");
    print["msg"] = json!(message);
    json!({ "print": print }).to_string()
}

fn full(state: &str, percent: u32) -> String {
    report(
        0,
        json!({
            "gcode_state": state, "mc_percent": percent, "subtask_name": "Cube", "gcode_file": "Cube.gcode.3mf",
            "print_type": "cloud", "task_id": "4711", "subtask_id": "4712", "nozzle_temper": 219.5, "layer_num": percent,
            "total_layer_num": 100, "stg_cur": 0, "mc_remaining_time": 12,
        }),
    )
}

/// Adds the peer and gives the first word; answers its id.
fn join(service: &Service, peer: &mut impl Peer, host: &str) -> String {
    let body = json!({"name": "Peer", "printer_type": "bambu_lab", "connection_config": {
        "ip_address": host, "mqtt_port": peer.port(), "serial_number": number(), "access_code": CODE}});
    let view = std::thread::scope(|scope| {
        let adding = scope.spawn(|| service.post("/printers", body).expect(201));
        peer.asked(1);
        peer.say(&report(0, json!({"gcode_state": "IDLE"})));
        adding.join().unwrap()
    });
    assert_eq!(view["connection"]["status"], "monitoring", "{view}");
    view["id"].as_str().unwrap().to_owned()
}

fn status(service: &Service, id: &str, status: &str) {
    service.until(id, status, |view| view["status"] == status);
}

/// The order of a connection, a print told by messages, a large report, and a report too large.
fn a_print_by_messages(mut peer: impl Peer, host: &str) {
    let service = Service::start();
    let id = join(&service, &mut peer, host);
    assert_eq!(connection_steps(&service.journal(), &id), CONNECTED);
    peer.say(&full("PREPARE", 0));
    status(&service, &id, "preparing");
    peer.say(&full("RUNNING", 1));
    status(&service, &id, "printing");
    peer.say(&report(1, json!({"gcode_state": "PAUSE"})));
    status(&service, &id, "paused");
    peer.say(&report(1, json!({"gcode_state": "RUNNING", "filler": "x".repeat(200 * 1024)})));
    status(&service, &id, "printing");
    peer.say(&full("FINISH", 100));
    status(&service, &id, "finished");
    let jobs = service.jobs();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let events = service.journal();
    contract::check(&events);
    assert_eq!(
        job_steps(&events, jobs[0]["id"].as_str().unwrap()),
        [
            "job_created",
            "-> preparing",
            "-> running",
            "job_started",
            "-> paused",
            "-> running",
            "-> completed",
            "job_completed"
        ]
    );
    peer.say(&report(1, json!({"filler": "x".repeat(300 * 1024)})));
    service.log.first("the loss", |seen| seen.name == "printer_disconnected");
    peer.asked(2);
    peer.say(&full("FINISH", 100));
    service.log.wait("the way back", |frames| {
        (frames.iter().filter(|seen| seen.name == "printer_connected").count() == 2).then_some(())
    });
    status(&service, &id, "finished");
    assert_eq!(service.jobs().len(), 1);
    contract::check(&service.journal());
}

#[test]
fn a_print_by_messages_through_the_simulator() {
    a_print_by_messages(Simulated::new(), "127.0.0.1");
}

#[test]
fn a_print_by_messages_through_mosquitto() {
    a_print_by_messages(Broker::new(Version::V1), "127.0.0.1");
}

#[test]
fn a_print_by_messages_over_ipv6() {
    for host in ["::1", "[::1]"] {
        let mut broker = Broker::new(Version::V3);
        broker.v6 = true;
        a_print_by_messages(broker, host);
    }
}

#[test]
fn a_print_by_messages_under_a_name() {
    a_print_by_messages(Broker::new(Version::V3), "localhost");
}

fn a_changed_key(mut peer: impl Peer) {
    let service = Service::start();
    let id = join(&service, &mut peer, "127.0.0.1");
    let first = service.get(&format!("/printers/{id}"))["certificate_sha256"].clone();
    peer.change_key();
    let way = json!({"connection_config": {"mqtt_port": peer.port()}});
    service.call("PUT", &format!("/printers/{id}"), Some(way)).expect(200);
    let view = service.until(&id, "the key is refused", |view| view["connection"]["status"] == "error");
    assert_eq!(view["connection"]["kind"], "certificate_changed", "{view}");
    std::thread::scope(|scope| {
        let trusting =
            scope.spawn(|| service.call("POST", &format!("/printers/{id}/trust"), None).expect(200));
        peer.asked(2);
        peer.say(&report(0, json!({"gcode_state": "IDLE"})));
        assert_eq!(trusting.join().unwrap()["connection"]["status"], "monitoring");
    });
    assert_ne!(service.get(&format!("/printers/{id}"))["certificate_sha256"], first);
    contract::check(&service.journal());
}

#[test]
fn a_changed_key_at_the_simulator() {
    a_changed_key(Simulated::new());
}

#[test]
fn a_changed_key_at_mosquitto() {
    a_changed_key(Broker::new(Version::V1));
}

fn refused(port: u16, way: Value, kind: &str) {
    let service = Service::start();
    let mut body = json!({"name": "Peer", "printer_type": "bambu_lab", "connection_config": {
        "ip_address": "127.0.0.1", "mqtt_port": port, "serial_number": number(), "access_code": CODE}});
    for (field, value) in way.as_object().unwrap() {
        body["connection_config"][field] = value.clone();
    }
    let view = service.post("/printers", body).expect(201);
    assert_eq!(
        (&view["connection"]["status"], &view["connection"]["kind"]),
        (&json!("error"), &json!(kind)),
        "{view}"
    );
    let steps = connection_steps(&service.journal(), view["id"].as_str().unwrap());
    assert_eq!(steps, ["connecting", "failed", "error"]);
}

#[test]
fn a_wrong_code_and_a_wrong_name_at_both() {
    let (simulated, broker) = (Simulated::new(), Broker::new(Version::V3));
    for port in [simulated.port(), broker.port()] {
        refused(port, json!({"access_code": "11111111"}), "wrong_code");
        refused(port, json!({"serial_number": "01P00A123123123"}), "wrong_serial");
    }
}

/// Moves the clock by a second at a time until the other end of `until` is gone.
fn moving(service: &Service, until: std::sync::mpsc::Receiver<()>) {
    let step = std::time::Duration::from_millis(300);
    while until.recv_timeout(step) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        service.pass(std::time::Duration::from_secs(1));
    }
}

fn silence(mut peer: impl Peer) {
    let service = Service::manual();
    let id = join(&service, &mut peer, "127.0.0.1");
    service.pass(std::time::Duration::from_secs(61));
    peer.asked(2);
    service.pass(std::time::Duration::from_secs(16));
    let lost = service.log.first("the loss", |seen| seen.name == "printer_disconnected" && seen.is_of(&id));
    assert_eq!(lost.data()["reason"], "silent");
    // The pause before the next attempt begins a moment after the loss was told: time goes on until it has passed.
    std::thread::scope(|scope| {
        let (_until_asked, asked) = std::sync::mpsc::sync_channel::<()>(0);
        let service = &service;
        scope.spawn(move || moving(service, asked));
        peer.asked(3);
    });
    peer.say(&report(0, json!({"gcode_state": "IDLE"})));
    service.until(&id, "it is back", |view| view["connection"]["status"] == "monitoring");
    contract::check(&service.journal());
}

#[test]
fn silence_of_the_simulator() {
    silence(Simulated::new());
}

#[test]
fn silence_of_mosquitto() {
    silence(Broker::new(Version::V1));
}
