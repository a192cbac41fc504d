//! Each fault does what it says, and its end restores an honest printer.
#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

mod common;

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use common::{Client, MOMENT, PATIENCE, Packet};
use simulator::bambu::{Command, Config, Faults, Garbage, Model, Printer, Recording, Silence, Tcp};
use simulator::wait::now;

const SERIAL: &str = "01P00A000000001";
const CODE: &str = "12345678";
const PUSHALL: &str = r#"{"pushing":{"sequence_id":"1","command":"pushall"}}"#;

fn watched(model: Model) -> (Printer, Client) {
    let printer = Printer::start(Config::manual(model, SERIAL, CODE)).unwrap();
    let client = Client::subscribed(printer.addr(), SERIAL, CODE);
    (printer, client)
}

fn ping(client: &mut Client) -> std::io::Result<Packet> {
    client.send(&[0xc0, 0])?;
    client.packet()
}

fn set(printer: &Printer, change: impl FnOnce(&mut Faults)) {
    printer.change_faults(change).unwrap();
}

#[test]
fn a_dead_printer_says_nothing_and_keeps_the_connection() {
    let (printer, mut client) = watched(Model::P1s);
    set(&printer, |faults| faults.silence = Silence::Dead);
    printer.command(Command::Report).unwrap();
    client.send(&[0xc0, 0]).unwrap();
    client.request(SERIAL, PUSHALL).unwrap();
    assert!(client.is_quiet());
    printer.command(Command::ClearFaults).unwrap();
    assert_eq!(ping(&mut client).unwrap(), Packet(0xd0, vec![]));
}

#[test]
fn a_mute_printer_answers_pings_only() {
    let (printer, mut client) = watched(Model::P1s);
    set(&printer, |faults| faults.silence = Silence::Mute);
    printer.command(Command::Report).unwrap();
    client.request(SERIAL, PUSHALL).unwrap();
    assert_eq!(ping(&mut client).unwrap(), Packet(0xd0, vec![]));
    assert!(client.is_quiet());
}

#[test]
fn a_sleeping_stream_wakes_at_a_request() {
    let (printer, mut client) = watched(Model::P1s);
    set(&printer, |faults| faults.silence = Silence::Asleep);
    printer.command(Command::Report).unwrap();
    assert!(client.is_quiet());
    client.pushall(SERIAL);
    assert_eq!(printer.faults().silence, Silence::None);
}

#[test]
fn a_half_dead_session_reports_and_hears_nothing() {
    let (printer, mut client) = watched(Model::P1s);
    set(&printer, |faults| faults.half_dead = true);
    client.request(SERIAL, PUSHALL).unwrap();
    printer.wait_for(PATIENCE, |seen| seen.requests == 1).unwrap();
    printer.command(Command::Report).unwrap();
    assert_eq!(client.report()["print"]["msg"], 1);
    assert!(client.is_quiet());
    assert_eq!(printer.observations().pushalls, 0);
}

#[test]
fn a_dropped_connection_can_be_made_again() {
    let (printer, mut client) = watched(Model::P1s);
    printer.command(Command::Drop).unwrap();
    assert!(client.is_ended());
    assert_eq!(printer.wait_for(PATIENCE, |seen| seen.unclean_ends == 1).unwrap().clean_disconnects, 0);
    Client::subscribed(printer.addr(), SERIAL, CODE);
}

#[test]
fn a_closed_port_refuses_and_opens_again_under_the_same_number() {
    let (printer, mut client) = watched(Model::P1s);
    for _ in 0..3 {
        set(&printer, |faults| faults.refuse_connections = true);
        assert_eq!(TcpStream::connect(printer.addr()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        printer.command(Command::ClearFaults).unwrap();
        TcpStream::connect(printer.addr()).unwrap();
    }
    assert_eq!(ping(&mut client).unwrap(), Packet(0xd0, vec![]), "existing sessions live on");
    let faults = Faults { refuse_connections: true, ..Faults::default() };
    let closed = Printer::start(Config { faults, ..Config::manual(Model::A1, "B", CODE) }).unwrap();
    assert!(TcpStream::connect(closed.addr()).is_err());
}

#[test]
fn a_port_without_tls_holds_closes_or_answers_something_else() {
    let (printer, _client) = watched(Model::P1s);
    set(&printer, |faults| faults.tcp = Tcp::Hold);
    let mut socket = TcpStream::connect(printer.addr()).unwrap();
    socket.set_read_timeout(Some(MOMENT)).unwrap();
    assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    set(&printer, |faults| faults.tcp = Tcp::Close);
    assert!(Client::handshake(printer.addr()).is_err());
    set(&printer, |faults| faults.tcp = Tcp::PlainText);
    let error = Client::handshake(printer.addr()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    printer.command(Command::ClearFaults).unwrap();
    Client::subscribed(printer.addr(), SERIAL, CODE);
}

#[test]
fn slowness_delays_and_nothing_else() {
    let (printer, _client) = watched(Model::P1s);
    set(&printer, |faults| faults.tls_delay_ms = 300);
    let start = now();
    Client::handshake(printer.addr()).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    set(&printer, |faults| {
        faults.tls_delay_ms = 0;
        faults.connack_delay_ms = 300;
    });
    let start = now();
    assert_eq!(Client::connect(printer.addr(), "bblp", CODE).unwrap().1, 0);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_slow_printer_stops_at_once() {
    let faults = Faults { tls_delay_ms: 60_000, ..Faults::default() };
    let printer = Printer::start(Config { faults, ..Config::manual(Model::P1s, SERIAL, CODE) }).unwrap();
    let _socket = TcpStream::connect(printer.addr()).unwrap();
    printer.wait_for(PATIENCE, |seen| seen.connections == 1).unwrap();
    let start = now();
    drop(printer);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn refusals_carry_the_wanted_code_and_names_can_be_wrong() {
    let (printer, _client) = watched(Model::P1s);
    for code in 1..=5 {
        set(&printer, |faults| faults.connack_code = Some(code));
        assert_eq!(Client::connect(printer.addr(), "bblp", CODE).unwrap().1, code);
    }
    let honest = Client::handshake(printer.addr()).unwrap().chain();
    set(&printer, |faults| {
        *faults = Faults { wrong_common_name: Some("STRANGER".into()), ..Faults::default() }
    });
    let wrong = Client::handshake(printer.addr()).unwrap().chain();
    assert!(wrong.first().unwrap().windows(8).any(|window| window == b"STRANGER"));
    printer.command(Command::ClearFaults).unwrap();
    assert_eq!(Client::handshake(printer.addr()).unwrap().chain(), honest);
}

#[test]
fn acknowledgements_come_unless_they_are_lost() {
    let (printer, mut client) = watched(Model::P1s);
    let mut body = vec![0, 1, b'x', 0, 9];
    body.extend_from_slice(b"{}");
    client.send(&common::packet(0x32, &body)).unwrap();
    assert_eq!(client.packet().unwrap(), Packet(0x40, vec![0, 9]));
    set(&printer, |faults| faults.lose_acknowledgements = true);
    client.send(&common::packet(0x32, &body)).unwrap();
    assert!(client.is_quiet());
}

#[test]
fn garbage_of_every_kind_is_delivered_and_the_session_goes_on() {
    let (printer, mut client) = watched(Model::A1Mini);
    for kind in Garbage::ALL {
        printer.command(Command::Garbage { kind }).unwrap();
        assert_eq!(client.payload().unwrap(), kind.payload(), "{kind:?}");
    }
    set(&printer, |faults| faults.garbage = Some(Garbage::Nulls));
    printer.command(Command::Report).unwrap();
    assert_eq!(client.payload().unwrap(), Garbage::Nulls.payload());
    printer.command(Command::ClearFaults).unwrap();
    assert_eq!(client.pushall(SERIAL)["print"]["gcode_state"], "IDLE");
    printer.command(Command::RawBytes { bytes: vec![0xf7, 0xff, 0xff] }).unwrap();
    drop(printer);
    assert!(client.is_ended());
}

#[test]
fn a_recording_is_played_to_its_subscriber_in_order() {
    let lines: String = (0..20)
        .map(|second| {
            format!(
                "2026-01-02 10:00:{second:02} :: {{\"print\":{{\"layer_num\":{second},\
                 \"command\":\"push_status\",\"msg\":{}}}}}\n",
                u8::from(second != 3)
            )
        })
        .collect();
    let replay = Some(Recording::parse(&lines));
    let config = Config { replay: replay.clone(), factor: 100.0, ..Config::manual(Model::A1, SERIAL, CODE) };
    let printer = Printer::start(config).unwrap();
    let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
    for second in 0..20 {
        assert_eq!(client.report()["print"]["layer_num"], second);
    }
    let by_hand = Printer::start(Config { replay, ..Config::manual(Model::A1, SERIAL, CODE) }).unwrap();
    let mut client = Client::subscribed(by_hand.addr(), SERIAL, CODE);
    by_hand.command(Command::ReplayNext { count: 10 }).unwrap();
    for second in 0..10 {
        assert_eq!(client.report()["print"]["layer_num"], second);
    }
    assert_eq!(client.pushall(SERIAL)["print"]["layer_num"], 9);
}
