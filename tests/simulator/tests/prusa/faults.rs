//! Each fault does what it says, strikes where it should, and its end restores an honest printer.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use simulator::prusa::{Command, Fault, Faults, Garbage, Printer, Rule, Silence, Target};
use simulator::wait::now;

use crate::client::{Client, MOMENT, PASSWORD, PATIENCE, get, printer};

const STATUS: &str = "/api/v1/status";
const FILE: &str = "/usb/SPICER~1.GCO";

fn strike(printer: &Printer, at: Target, fault: Fault) {
    printer.command(Command::SetFaults { faults: Faults::at(at, fault) }).unwrap();
}

fn heal(printer: &Printer) {
    printer.command(Command::ClearFaults).unwrap();
    assert_eq!(get(printer, STATUS).status, 200);
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nX-Api-Key: {PASSWORD}\r\n\r\n")
}

#[test]
fn statuses_strike_as_often_as_they_should() {
    let printer = printer();
    let rules = vec![
        Rule { at: Target::Job, fault: Fault::Status(500), skip: 1, times: Some(2) },
        Rule { at: Target::Info, fault: Fault::Unauthorized, skip: 0, times: None },
    ];
    printer.command(Command::SetFaults { faults: Faults { rules, ..Faults::default() } }).unwrap();
    let mut client = Client::new(printer.addr());
    let statuses: Vec<u16> = (0..4).map(|_| client.get("/api/v1/job").status).collect();
    assert_eq!(statuses, [204, 500, 500, 204]);
    let answer = client.get("/api/v1/info");
    assert_eq!((answer.status, answer.challenge().1), (401, false));
    assert_eq!(client.get(STATUS).status, 200);
    assert_eq!(printer.observations().struck, 3);
    heal(&printer);
}

#[test]
fn bodies_are_cut_reset_shortened_and_spoilt() {
    let printer = printer();
    let whole = get(&printer, FILE).body;
    strike(&printer, Target::Download, Fault::Cut(1_000));
    let mut client = Client::new(printer.addr());
    client.send(&request(FILE));
    let text = client.rest().unwrap();
    assert!(text.ends_with(&whole[990..1_000]) && text.len() < 1_300);
    assert_eq!(get(&printer, STATUS).status, 200, "only downloads are struck");

    strike(&printer, Target::Download, Fault::Reset(1_000));
    let error = Client::new(printer.addr()).try_ask("GET", FILE, &format!("X-Api-Key: {PASSWORD}\r\n"));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionReset);

    strike(&printer, Target::Download, Fault::Truncated(500));
    assert_eq!(get(&printer, FILE).body, whole[..whole.len() - 500]);
    strike(&printer, Target::Download, Fault::Flipped(7));
    let spoilt = get(&printer, FILE).body;
    let differing: Vec<usize> = (0..whole.len()).filter(|place| spoilt[*place] != whole[*place]).collect();
    assert_eq!(differing, [7]);
    strike(&printer, Target::Download, Fault::Length(10));
    let mut client = Client::new(printer.addr());
    client.send(&request(FILE));
    assert_eq!(client.answer("GET").unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(printer.observations().whole_downloads, 1);
    heal(&printer);
}

#[test]
fn replies_hang_come_late_and_slowly() {
    let printer = printer();
    for fault in [Fault::Hang, Fault::HangInHead, Fault::HangInBody(10)] {
        strike(&printer, Target::Status, fault);
        let mut client = Client::new(printer.addr());
        client.send(&request(STATUS));
        printer.wait_for(PATIENCE, |seen| seen.active_requests == 1).unwrap();
        client.socket.set_read_timeout(Some(MOMENT)).unwrap();
        let error = client.answer("GET").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{fault:?} {error}");
        drop(client);
        printer.wait_for(PATIENCE, |seen| seen.active_requests == 0).unwrap();
    }
    strike(&printer, Target::Status, Fault::Drop);
    let mut client = Client::new(printer.addr());
    client.send(&request(STATUS));
    assert!(client.is_ended());
    for fault in [Fault::Delay(300), Fault::Slow(500)] {
        strike(&printer, Target::Status, fault);
        let started = now();
        assert_eq!(get(&printer, STATUS).status, 200);
        assert!(now().duration_since(started) >= Duration::from_millis(250), "{fault:?}");
    }
    heal(&printer);
}

#[test]
fn every_kind_of_garbage_is_sent() {
    let printer = printer();
    for kind in Garbage::ALL {
        strike(&printer, Target::Status, Fault::Garbage(kind));
        let mut client = Client::new(printer.addr());
        client.send(&format!("GET {STATUS} HTTP/1.1\r\nX-Api-Key: {PASSWORD}\r\nConnection: close\r\n\r\n"));
        let bytes = client.rest().unwrap();
        assert!(bytes.len() > 40 || kind == Garbage::NotHttp, "{kind:?}");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let wanted = match kind {
            Garbage::NotHttp => "220 ",
            Garbage::LongLine => "OOOO",
            Garbage::ManyHeaders => "X-Field-1999: ",
            Garbage::Html => "<!doctype html>",
            Garbage::BrokenJson => "{\"printer\"",
            Garbage::Empty => "Connection: close\r\n\r\n",
            Garbage::NotAnObject => "[1,2,3]",
            Garbage::WrongTypes => "\"temp_bed\":\"soon\"",
            Garbage::Nulls => "\"temp_bed\":null",
            Garbage::DeepNesting => "[[[[]]]]",
            Garbage::InvalidUtf8 => "\"state\":\"\u{fffd}",
            Garbage::HugeNumbers => "DREAMING",
            Garbage::Large => "xxxx",
            Garbage::BadChunk => "zzzz",
            Garbage::HugeChunk => "7fffffff",
        };
        assert!(text.contains(wanted), "{kind:?}: {}", text.chars().take(400).collect::<String>());
    }
    heal(&printer);
}

#[test]
fn a_mute_printer_accepts_and_says_nothing() {
    let printer = printer();
    let mut old = Client::new(printer.addr());
    assert_eq!(old.get(STATUS).status, 200);
    printer.change_faults(|faults| faults.silence = Silence::Mute).unwrap();
    let mut new = Client::new(printer.addr());
    for client in [&mut old, &mut new] {
        client.send(&request(STATUS));
        assert!(client.is_quiet());
    }
    heal(&printer);
    assert!(old.is_ended() && new.is_ended(), "what was asked in the silence is never answered");
}

#[test]
fn a_download_freezes_when_the_printer_falls_silent() {
    let printer = crate::client::with(|config| config.bytes_per_s = Some(50_000));
    let mut client = Client::new(printer.addr());
    client.send(&request(FILE));
    printer.wait_for(PATIENCE, |seen| seen.bytes_sent > 5_000).unwrap();
    printer.change_faults(|faults| faults.silence = Silence::Mute).unwrap();
    client.socket.set_read_timeout(Some(MOMENT)).unwrap();
    let error = client.answer("GET").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}

#[test]
fn a_closed_port_refuses_and_comes_back() {
    let printer = printer();
    let mut client = Client::new(printer.addr());
    assert_eq!(client.get(STATUS).status, 200);
    printer.change_faults(|faults| faults.silence = Silence::Refuse).unwrap();
    assert!(client.is_ended());
    let error = TcpStream::connect(printer.addr()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    heal(&printer);
}

#[test]
fn a_hole_swallows_connections_and_is_filled_in_again() {
    let printer = printer();
    let connections = printer.observations().connections;
    for _ in 0..2 {
        printer.change_faults(|faults| faults.silence = Silence::BlackHole).unwrap();
        let error = TcpStream::connect_timeout(&printer.addr(), MOMENT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        heal(&printer);
    }
    assert_eq!(printer.observations().connections, connections + 2, "only the clients count");
    printer.change_faults(|faults| faults.silence = Silence::BlackHole).unwrap();
    let address = printer.addr();
    drop(printer);
    assert!(TcpStream::connect_timeout(&address, PATIENCE).is_err());
}
