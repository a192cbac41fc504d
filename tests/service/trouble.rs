//! Everything that can be wrong with the way to a printer, told apart, and the way back when the fault ends.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::{Value, json};
use simulator::bambu::{Command, Config, Faults, Model, Printer, Tcp};

use crate::client::PATIENCE;
use crate::contract::{self, CONNECTED, connection_steps};
use crate::printers::{CODE, faults, manual, numbered, order, serial};
use crate::service::{Service, entry};

/// Adds `printer` with changes to its way in; answers its id and how the connection stands.
fn add_with(service: &Service, printer: &Printer, changes: Value) -> (String, Value) {
    let mut body = entry(printer);
    for (field, value) in changes.as_object().unwrap() {
        body["connection_config"][field] = value.clone();
    }
    let view = service.post("/printers", body).expect(201);
    (view["id"].as_str().unwrap().to_owned(), view["connection"].clone())
}

fn change(service: &Service, id: &str, way: Value) {
    service.call("PUT", &format!("/printers/{id}"), Some(json!({"connection_config": way}))).expect(200);
}

fn connected(service: &Service, id: &str) {
    service.until(id, "it is connected", |view| view["connection"]["status"] == "monitoring");
}

/// The durable steps with their kinds.
fn kinds(service: &Service, id: &str) -> Vec<(String, String)> {
    service
        .journal()
        .iter()
        .filter(|event| event["event"] == "printer_connection_progress" && event["data"]["printer_id"] == *id)
        .filter_map(|event| {
            let data = &event["data"];
            Some((data["status"].as_str()?.to_owned(), data["kind"].as_str()?.to_owned()))
        })
        .collect()
}

/// The user is needed: `failed`, then `error`, with words; and the printer is offline.
fn needs_user(service: &Service, id: &str, connection: &Value, kind: &str) {
    assert_eq!((&connection["status"], &connection["kind"]), (&json!("error"), &json!(kind)), "{connection}");
    assert!(connection["message"].as_str().unwrap().len() > 20);
    assert_eq!(
        kinds(service, id),
        [("failed".to_owned(), kind.to_owned()), ("error".to_owned(), kind.to_owned())]
    );
    let error = service.log.first("the error", |seen| seen.is_of(id) && seen.data()["status"] == "error");
    assert!(error.data()["retry_in_s"].as_u64().unwrap() >= 200, "a person is not that quick: {error:?}");
    assert!(error.json["cause"].is_u64() && error.json["flow"].is_string());
    assert_eq!(service.get(&format!("/printers/{id}"))["status"], "offline");
}

#[test]
fn a_wrong_code_is_told_and_the_right_one_helps_at_once() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let (id, connection) = add_with(&service, &printer, json!({"access_code": "87654321"}));
    needs_user(&service, &id, &connection, "wrong_code");
    assert_eq!(printer.observations().refused_logins, 1, "a wrong code is not tried again and again");
    change(&service, &id, json!({"access_code": CODE}));
    connected(&service, &id);
    let events = service.journal();
    contract::check(&events);
    let steps = connection_steps(&events, &id);
    assert_eq!(steps[..3], ["connecting", "failed", "error"]);
    assert_eq!(steps[3..], CONNECTED);
    assert_eq!(service.get(&format!("/printers/{id}"))["connection"]["kind"], Value::Null);
}

#[test]
fn a_code_that_changes_while_connected_is_noticed_at_the_next_connection() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    order(&printer, Command::SetAccessCode { code: "newcode1".into() });
    order(&printer, Command::Drop);
    let view = service.until(&id, "the code is refused", |view| view["connection"]["status"] == "error");
    assert_eq!(view["connection"]["kind"], "wrong_code");
    change(&service, &id, json!({"access_code": "newcode1"}));
    connected(&service, &id);
}

#[test]
fn connect_answers_with_the_new_attempt_and_not_with_the_old_one() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let (id, connection) = add_with(&service, &printer, json!({"access_code": "wrong"}));
    assert_eq!(connection["kind"], "wrong_code");
    let connect = format!("/printers/{id}/connect");
    let refused = service.call("POST", &connect, None).expect(503);
    assert_eq!(refused["details"]["connection"]["kind"], "wrong_code");
    assert_eq!(printer.observations().refused_logins, 2);
    order(&printer, Command::SetAccessCode { code: "wrong".into() });
    assert_eq!(service.call("POST", &connect, None).expect(200)["connection"]["status"], "monitoring");
}

#[test]
fn a_wrong_serial_number_is_told() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let (id, connection) = add_with(&service, &printer, json!({"serial_number": "01P00A999999999"}));
    needs_user(&service, &id, &connection, "wrong_serial");
    assert!(connection["message"].as_str().unwrap().contains(printer.serial()), "{connection}");
    change(&service, &id, json!({"serial_number": printer.serial()}));
    connected(&service, &id);
}

#[test]
fn a_lower_case_serial_number_is_put_right() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let lower = format!(" {} ", printer.serial().to_lowercase());
    let (id, connection) = add_with(&service, &printer, json!({"serial_number": lower}));
    assert_eq!(connection["status"], "monitoring");
    let view = service.get(&format!("/printers/{id}"));
    assert_eq!(view["connection_config"]["serial_number"], printer.serial());
}

#[test]
fn a_serial_number_is_learnt_from_the_certificate() {
    let printer = manual(Model::H2d);
    let service = Service::start();
    let (id, _) = add_with(&service, &printer, json!({"serial_number": null}));
    connected(&service, &id);
    let view = service.get(&format!("/printers/{id}"));
    assert_eq!(view["connection_config"]["serial_number"], printer.serial());
    contract::check(&service.journal());
    // It is one printer, whatever way it is added.
    assert_eq!(service.post("/printers", entry(&printer)).error(409), "DUPLICATE_PRINTER");
    let service = service.restart();
    connected(&service, &id);
}

#[test]
fn the_same_printer_under_another_name_is_told() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    service.watch(&printer);
    let (id, _) = add_with(&service, &printer, json!({"serial_number": null, "ip_address": "localhost"}));
    let view = service.until(&id, "it is refused", |view| view["connection"]["status"] == "error");
    assert_eq!(view["connection"]["kind"], "wrong_serial");
    assert!(view["connection"]["message"].as_str().unwrap().contains("in the list already"), "{view}");
}

#[test]
fn a_closed_port_and_a_reopened_one() {
    let printer = manual(Model::P1s);
    faults(&printer, |faults| faults.refuse_connections = true);
    let service = Service::start();
    let (id, connection) = add_with(&service, &printer, json!({}));
    assert_eq!((&connection["status"], &connection["kind"]), (&json!("failed"), &json!("refused")));
    assert_eq!(kinds(&service, &id), [("failed".to_owned(), "refused".to_owned())]);
    faults(&printer, |faults| faults.refuse_connections = false);
    connected(&service, &id);
    contract::check(&service.journal());
}

#[test]
fn names_without_an_address_are_unreachable() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let (id, _) = add_with(&service, &printer, json!({"ip_address": "no-such-printer.invalid"}));
    let view = service.until(&id, "it fails", |view| view["connection"]["status"] == "failed");
    assert_eq!(view["connection"]["kind"], "unreachable");
    change(&service, &id, json!({"ip_address": "127.0.0.1"}));
    connected(&service, &id);
}

#[test]
fn what_is_no_printer_is_told_apart() {
    for (tcp, kind) in [(Tcp::PlainText, "tls"), (Tcp::Close, "tls")] {
        let config = Config {
            faults: Faults { tcp, ..Faults::default() },
            ..Config::manual(Model::P1s, &serial(Model::P1s, 1), CODE)
        };
        let printer = Printer::start(config).unwrap();
        let service = Service::start();
        let (id, connection) = add_with(&service, &printer, json!({}));
        assert_eq!((&connection["status"], &connection["kind"]), (&json!("failed"), &json!(kind)), "{tcp:?}");
        faults(&printer, |faults| faults.tcp = Tcp::Tls);
        connected(&service, &id);
    }
}

#[test]
fn a_port_that_takes_connections_and_never_answers_is_silent() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let service = Service::start();
    let body = json!({"name": "Deaf", "printer_type": "bambu_lab", "connection_config": {
        "ip_address": "127.0.0.1", "mqtt_port": listener.local_addr().unwrap().port(), "access_code": CODE}});
    let view = service.post("/printers", body).expect(201);
    let id = view["id"].as_str().unwrap();
    assert_eq!(view["connection"]["status"], "connecting", "answered after 5 s with what is known");
    let view = service.until(id, "it is given up", |view| view["connection"]["status"] == "failed");
    assert_eq!(view["connection"]["kind"], "silent");
}

#[test]
fn a_changed_key_waits_for_trust() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    let trust = format!("/printers/{id}/trust");
    assert_eq!(service.call("POST", &trust, None).error(409), "NOTHING_TO_TRUST");
    let first = service.get(&format!("/printers/{id}"))["certificate_sha256"].clone();

    order(&printer, Command::ChangeKey);
    order(&printer, Command::Drop);
    let view = service.until(&id, "the key is refused", |view| view["connection"]["status"] == "error");
    assert_eq!(view["connection"]["kind"], "certificate_changed");
    assert_eq!(view["certificate_sha256"], first);
    let logins = printer.observations().logins;
    // Neither another attempt nor a restart nor a harmless change takes the stranger for the printer.
    let refused = service.call("POST", &format!("/printers/{id}/connect"), None);
    assert_eq!(refused.error(503), "PRINTER_NOT_CONNECTED");
    assert_eq!(refused.json()["details"]["connection"]["kind"], "certificate_changed");
    let service = service.restart();
    service.until(&id, "it is refused again", |view| view["connection"]["kind"] == "certificate_changed");
    service.call("PUT", &format!("/printers/{id}"), Some(json!({"location": "shelf"}))).expect(200);
    assert_eq!(printer.observations().logins, logins, "the code was not shown to the stranger");

    let answer = service.call("POST", &trust, None).expect(200);
    assert_eq!(answer["connection"]["status"], "monitoring", "{answer}");
    assert_ne!(service.get(&format!("/printers/{id}"))["certificate_sha256"], first);
    let service = service.restart();
    connected(&service, &id);
    contract::check(&service.journal());
}

#[test]
fn a_stranger_with_another_name_cannot_be_trusted() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    faults(&printer, |faults| faults.wrong_common_name = Some("SOMEBODY".into()));
    order(&printer, Command::Drop);
    let view = service.until(&id, "the name is refused", |view| view["connection"]["status"] == "error");
    assert_eq!(view["connection"]["kind"], "wrong_serial");
    assert_eq!(service.call("POST", &format!("/printers/{id}/trust"), None).error(409), "NOTHING_TO_TRUST");
    faults(&printer, |faults| faults.wrong_common_name = None);
    let answer = service.call("POST", &format!("/printers/{id}/connect"), None).expect(200);
    assert_eq!(answer["connection"]["status"], "monitoring");
}

#[test]
fn another_printer_at_the_address_is_told() {
    let (here, there) = (manual(Model::P1s), numbered(Model::P1s, 2));
    let service = Service::start();
    let id = service.watch(&here);
    change(&service, &id, json!({"mqtt_port": there.port()}));
    let view = service.until(&id, "the other is refused", |view| view["connection"]["status"] == "error");
    assert_eq!(view["connection"]["kind"], "wrong_serial");
    change(&service, &id, json!({"mqtt_port": here.port()}));
    connected(&service, &id);
    assert_eq!(there.observations().logins, 0);
    contract::check(&service.journal());
}

#[test]
fn other_refusals_of_the_login() {
    for (code, kind) in
        [(4, "wrong_code"), (5, "wrong_code"), (3, "protocol"), (2, "protocol"), (1, "protocol")]
    {
        let printer = manual(Model::P1s);
        faults(&printer, |faults| faults.connack_code = Some(code));
        let service = Service::start();
        let (id, connection) = add_with(&service, &printer, json!({}));
        assert_eq!(connection["kind"], kind, "CONNACK {code}: {connection}");
        order(&printer, Command::ClearFaults);
        service.call("POST", &format!("/printers/{id}/connect"), None).expect(200);
        connected(&service, &id);
    }
}

#[test]
fn every_place_taken_is_busy() {
    let printer = manual(Model::P1s);
    let services: Vec<Service> = (0..Model::P1s.session_count_max()).map(|_| Service::start()).collect();
    for service in &services {
        service.watch(&printer);
    }
    let last = Service::start();
    let (id, connection) = add_with(&last, &printer, json!({}));
    assert_eq!((&connection["status"], &connection["kind"]), (&json!("failed"), &json!("busy")));
    drop(services);
    printer.wait_for(PATIENCE, |seen| seen.clean_disconnects >= 4).unwrap();
    connected(&last, &id);
}
