//! Login, certificates, subscriptions and the end of sessions.
#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command as Process, Stdio};

use common::{Client, PATIENCE, Packet};
use simulator::bambu::{Command, Config, Model, Printer};

const SERIAL: &str = "01P00A000000001";
const CODE: &str = "12345678";

fn printer(model: Model) -> Printer {
    Printer::start(Config::manual(model, SERIAL, CODE)).unwrap()
}

#[test]
fn the_right_code_is_let_in_and_others_get_the_refusal_code() {
    let printer = printer(Model::P1s);
    assert_eq!(Client::connect(printer.addr(), "bblp", CODE).unwrap().1, 0);
    assert_eq!(Client::connect(printer.addr(), "bblp", "87654321").unwrap().1, 5);
    assert_eq!(Client::connect(printer.addr(), "admin", CODE).unwrap().1, 5);
    printer.command(Command::SetAccessCode { code: "87654321".into() }).unwrap();
    assert_eq!(Client::connect(printer.addr(), "bblp", "87654321").unwrap().1, 0);
    let seen = printer.observations();
    assert_eq!((seen.logins, seen.refused_logins, seen.handshakes), (2, 2, 4));

    let config = Config { refusal_code: 4, ..Config::manual(Model::P1s, SERIAL, CODE) };
    let printer = Printer::start(config).unwrap();
    assert_eq!(Client::connect(printer.addr(), "bblp", "").unwrap().1, 4);
}

#[test]
fn old_models_present_a_version_one_leaf_and_new_ones_version_three() {
    for (model, is_old) in [(Model::A1Mini, true), (Model::P2s, false)] {
        let printer = printer(model);
        let chain = Client::handshake(printer.addr()).unwrap().chain();
        assert_eq!(chain.len(), if is_old { 2 } else { 1 });
        assert_eq!(chain[0][8] == 0x02, is_old, "the first field of the signed part");
        let Some(text) = openssl_text(&chain[0]) else {
            println!("openssl is not installed: only the DER was looked at");
            continue;
        };
        assert!(text.contains(if is_old { "Version: 1 (0x0)" } else { "Version: 3 (0x2)" }), "{text}");
        assert!(text.contains(&format!("Subject: CN={SERIAL}")), "{text}");
        assert!(text.contains("BBL Technologies Co., Ltd") && text.contains("(2048 bit)"), "{text}");
        assert!(!text.contains("Alternative Name"), "{text}");
    }
}

#[test]
fn the_old_chain_verifies_up_to_its_authority() {
    let printer = printer(Model::X1c);
    let chain = Client::handshake(printer.addr()).unwrap().chain();
    // ring checks what openssl would: the authority's key has signed the leaf.
    let leaf = &chain[0];
    let signed_length = 4 + (usize::from(leaf[6]) << 8 | usize::from(leaf[7]));
    let key = common::rsa_public_key(&chain[1]);
    ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, key)
        .verify(&leaf[4..4 + signed_length], &leaf[leaf.len() - 256..])
        .unwrap();
}

fn openssl_text(der: &[u8]) -> Option<String> {
    let mut process = Process::new("openssl")
        .args(["x509", "-inform", "DER", "-noout", "-text"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    process.stdin.take().unwrap().write_all(der).unwrap();
    Some(String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap().replace("CN = ", "CN="))
}

#[test]
fn a_restarted_printer_has_its_old_key_and_a_changed_key_keeps_the_name() {
    let first = Client::handshake(printer(Model::P1s).addr()).unwrap().chain();
    let printer = printer(Model::P1s);
    assert_eq!(Client::handshake(printer.addr()).unwrap().chain(), first);
    printer.command(Command::ChangeKey).unwrap();
    let changed = Client::handshake(printer.addr()).unwrap().chain();
    assert_ne!(changed[0], first[0]);
    assert_ne!(common::rsa_public_key(&changed[0]), common::rsa_public_key(&first[0]));
    let name = SERIAL.as_bytes();
    assert!(changed[0].windows(name.len()).any(|window| window == name));
}

#[test]
fn a_full_report_answers_pushall_and_a_wrong_serial_is_silence() {
    let printer = printer(Model::P1s);
    let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
    assert_eq!(client.pushall(SERIAL)["print"]["gcode_state"], "IDLE");
    let mut lower_case = Client::subscribed(printer.addr(), &SERIAL.to_lowercase(), CODE);
    lower_case.request(&SERIAL.to_lowercase(), r#"{"pushing":{"command":"pushall"}}"#).unwrap();
    assert!(lower_case.is_quiet());
    let seen = printer.observations();
    assert_eq!((seen.pushalls, seen.requests, seen.subscriptions.len()), (1, 2, 2));
}

#[test]
fn versions_name_the_product_and_its_firmware() {
    let printer = printer(Model::H2d);
    let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
    client.request(SERIAL, r#"{"info":{"sequence_id":"42","command":"get_version"}}"#).unwrap();
    let answer = client.report();
    assert_eq!(answer["info"]["sequence_id"], "42");
    assert_eq!(answer["info"]["module"][0]["name"], "ota");
    assert_eq!(answer["info"]["module"][0]["product_name"], "Bambu Lab H2D");
}

#[test]
fn clean_and_unclean_ends_are_told_apart() {
    let printer = printer(Model::A1);
    let mut polite = Client::subscribed(printer.addr(), SERIAL, CODE);
    polite.send(&[0xe0, 0]).unwrap();
    drop(polite);
    printer.wait_for(PATIENCE, |seen| seen.clean_disconnects == 1).unwrap();
    drop(Client::subscribed(printer.addr(), SERIAL, CODE));
    let seen = printer.wait_for(PATIENCE, |seen| seen.unclean_ends == 1).unwrap();
    assert_eq!((seen.clean_disconnects, seen.open_sessions, seen.client_ids.len()), (1, 0, 2));
}

#[test]
fn pings_are_answered_and_a_broken_promise_ends_the_session() {
    let printer = printer(Model::A1);
    let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
    client.send(&[0xc0, 0]).unwrap();
    assert_eq!(client.packet().unwrap(), Packet(0xd0, vec![]));
    let mut sleepy = Client::handshake(printer.addr()).unwrap();
    sleepy.send(&common::connect_packet("bblp", CODE, 1)).unwrap();
    assert_eq!(sleepy.packet().unwrap(), Packet(0x20, vec![0, 0]));
    assert!(sleepy.is_ended());
    assert_eq!(printer.wait_for(PATIENCE, |seen| seen.unclean_ends == 1).unwrap().keep_alive_failures, 1);
}

#[test]
fn small_models_throw_out_who_listens_to_the_requests() {
    let topic = format!("device/{SERIAL}/request");
    let printer = printer(Model::P1s);
    let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
    assert!(client.subscribe(&topic).is_err());
    let big = Printer::start(Config::manual(Model::X1c, SERIAL, CODE)).unwrap();
    let mut client = Client::subscribed(big.addr(), SERIAL, CODE);
    assert_eq!(client.subscribe(&topic).unwrap().0, 0x90);
}

#[test]
fn a_small_model_serves_four_clients_and_no_fifth() {
    let printer = printer(Model::A1);
    let clients: Vec<Client> = (0..4).map(|_| Client::subscribed(printer.addr(), SERIAL, CODE)).collect();
    assert!(Client::connect(printer.addr(), "bblp", CODE).is_err());
    drop(clients);
    printer.wait_for(PATIENCE, |seen| seen.open_sessions == 0).unwrap();
    Client::subscribed(printer.addr(), SERIAL, CODE);
}

#[test]
fn what_is_not_mqtt_ends_the_connection() {
    let printer = printer(Model::A1);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xc0, 0], &[0x30, 0xff, 0xff, 0xff, 0xff]] {
        let mut client = Client::handshake(printer.addr()).unwrap();
        client.send(bytes).unwrap();
        assert!(client.is_ended());
    }
    assert_eq!(printer.observations().protocol_errors, 3);
}

#[test]
fn dropping_a_printer_ends_its_sessions_and_frees_its_port() {
    let printer = printer(Model::A1);
    let address = printer.addr();
    let mut client = Client::subscribed(address, SERIAL, CODE);
    let _half_open = TcpStream::connect(address).unwrap();
    drop(printer);
    assert!(client.is_ended());
    assert!(TcpStream::connect(address).is_err());
    let config = Config { port: address.port(), ..Config::manual(Model::A1, SERIAL, CODE) };
    let again = Printer::start(config).unwrap();
    Client::subscribed(again.addr(), SERIAL, CODE);
}

#[test]
fn printers_listen_on_the_newer_internet_too() {
    let host = "::1".parse().unwrap();
    let config = Config { host, ..Config::manual(Model::P1s, SERIAL, CODE) };
    let printer = match Printer::start(config) {
        Ok(printer) => printer,
        Err(error) => return println!("no loopback for IPv6 on this machine: {error}"),
    };
    Client::subscribed(printer.addr(), SERIAL, CODE).pushall(SERIAL);
}
