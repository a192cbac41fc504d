//! The connection workflow on every path: added through the API, at the service's start, after a loss.

use serde_json::json;
use simulator::bambu::{Command, Model};

use crate::contract::{self, CONNECTED, connection_steps};
use crate::printers::{manual, numbered, order};
use crate::service::{Service, entry};

#[test]
fn the_order_is_the_contracts_on_every_path() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    let added = service.journal();
    assert_eq!(connection_steps(&added, &id), CONNECTED);

    // A loss, and the way back.
    order(&printer, Command::Drop);
    let lost = service.log.first("the loss", |seen| seen.name == "printer_disconnected");
    assert_eq!(lost.data()["reason"], "lost");
    service.log.wait("the way back", |frames| {
        (frames.iter().filter(|seen| seen.name == "printer_connected").count() == 2).then_some(())
    });
    let after = service.journal();
    let back = connection_steps(&after, &id).split_off(CONNECTED.len());
    assert_eq!(back[..2], ["printer_monitoring_stopped", "printer_disconnected"]);
    assert_eq!(back[2..], CONNECTED);

    // The service's own restart.
    let newest = service.newest();
    let service = service.restart();
    service.log.wait("the start", |frames| {
        (frames.iter().filter(|seen| seen.name == "printer_connected").count() == 3).then_some(())
    });
    let events = service.journal();
    contract::check(&events);
    let later: Vec<_> =
        events.iter().filter(|event| event["seq"].as_u64().unwrap() > newest).cloned().collect();
    let steps = connection_steps(&later, &id);
    assert_eq!(steps[..2], ["printer_monitoring_stopped", "printer_disconnected"]);
    assert_eq!(steps[2..], CONNECTED);
    let reason = later.iter().find(|event| event["event"] == "printer_disconnected").unwrap();
    assert_eq!(reason["data"]["reason"], "shutdown");

    // Every attempt is a flow of its own, and its durable events are a chain of causes.
    for connected in events.iter().filter(|event| event["event"] == "printer_connected") {
        let flow: Vec<_> = events
            .iter()
            .filter(|event| event["flow"] == connected["flow"] && event["event"] != "printer_status_update")
            .filter(|event| event["seq"].as_u64() <= connected["seq"].as_u64().map(|seq| seq + 2))
            .collect();
        assert_eq!(flow.len(), CONNECTED.len(), "{flow:?}");
        for pair in flow.windows(2) {
            assert_eq!(pair[1]["cause"], pair[0]["seq"], "{pair:?}");
        }
        assert!(flow[1]["data"]["duration_ms"].is_u64());
        assert_eq!(flow[0]["data"]["attempt"], 1);
    }
}

#[test]
fn a_printer_is_stored_first_and_connected_then() {
    let printer = manual(Model::A1);
    let service = Service::start();
    let id = service.watch(&printer);
    let names: Vec<String> =
        service.journal().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    let place = |name: &str| names.iter().position(|other| other == name).unwrap();
    assert!(place("printer_added") < place("printer_connection_progress"), "{names:?}");
    let seen = printer.observations();
    assert_eq!((seen.logins, seen.refused_logins), (1, 0));
    assert_eq!(seen.client_ids, [format!("printernizer-{id}")]);
    assert_eq!(seen.subscriptions, [format!("device/{}/report", printer.serial())]);
    assert_eq!(seen.pushalls, 1, "one question, one answer");
}

#[test]
fn from_idle_to_printing_is_no_new_connection() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    crate::printers::begin(&printer, crate::printers::plan("Cube", Default::default()));
    service.until(&id, "it prints", |view| view["status"] == "printing");
    assert_eq!(connection_steps(&service.journal(), &id), CONNECTED);
}

#[test]
fn disconnect_and_connect_disable_and_enable() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    let path = |action: &str| format!("/printers/{id}/{action}");

    let answer = service.call("POST", &path("disconnect"), None).expect(200);
    assert_eq!(
        (&answer["status"], &answer["connection"]["status"]),
        (&json!("offline"), &json!("disconnected"))
    );
    printer.wait_for(crate::client::PATIENCE, |seen| seen.clean_disconnects == 1).unwrap();
    let answer = service.call("POST", &path("connect"), None).expect(200);
    assert_eq!(answer["connection"]["status"], "monitoring");

    let answer =
        service.call("PUT", &format!("/printers/{id}"), Some(json!({"is_enabled": false}))).expect(200);
    assert_eq!(answer["is_enabled"], false);
    service.until(&id, "it is left", |view| view["connection"]["status"] == "disconnected");
    printer.wait_for(crate::client::PATIENCE, |seen| seen.clean_disconnects == 2).unwrap();
    // A disabled printer stays disabled over a restart.
    let service = service.restart();
    let view = service.get(&format!("/printers/{id}"));
    assert_eq!((&view["status"], &view["connection"]["status"]), (&json!("offline"), &json!("disconnected")));
    assert_eq!(printer.observations().logins, 2);
    service.call("PUT", &format!("/printers/{id}"), Some(json!({"is_enabled": true}))).expect(200);
    service.until(&id, "it is back", |view| view["connection"]["status"] == "monitoring");

    let events = service.journal();
    contract::check(&events);
    let reasons: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "printer_disconnected")
        .map(|event| event["data"]["reason"].clone())
        .collect();
    assert_eq!(reasons, ["requested", "requested"]);
}

#[test]
fn connect_while_connected_changes_nothing() {
    let printer = manual(Model::X1c);
    let service = Service::start();
    let id = service.watch(&printer);
    let newest = service.newest();
    let answer = service.call("POST", &format!("/printers/{id}/connect"), None).expect(200);
    assert_eq!(answer["connection"]["status"], "monitoring");
    service.call("PUT", &format!("/printers/{id}"), Some(json!({"name": "Another name"}))).expect(200);
    assert_eq!(service.newest(), newest + 1, "one printer_updated and nothing else");
    assert_eq!(printer.observations().logins, 1);
}

#[test]
fn two_printers_connect_and_are_lost_one_by_one() {
    let (left, right) = (manual(Model::P1s), numbered(Model::P1s, 2));
    let service = Service::start();
    let (left_id, right_id) = (service.watch(&left), service.watch(&right));
    drop(left);
    service.until(&left_id, "the left one is gone", |view| view["status"] == "offline");
    assert_eq!(service.get(&format!("/printers/{right_id}"))["status"], "idle");
    assert_eq!(connection_steps(&service.journal(), &right_id), CONNECTED);
    assert_eq!(right.observations().logins, 1);
}

#[test]
fn a_version_1_and_a_version_3_certificate_are_taken() {
    let service = Service::start();
    for (model, certificate) in [
        (Model::P1s, simulator::bambu::CertificateVersion::V1),
        (Model::P1s, simulator::bambu::CertificateVersion::V3),
    ] {
        let config = simulator::bambu::Config {
            certificate_version: Some(certificate),
            ..simulator::bambu::Config::manual(
                model,
                &crate::printers::serial(model, 3),
                crate::printers::CODE,
            )
        };
        let printer = simulator::bambu::Printer::start(config).unwrap();
        let view = service.post("/printers", entry(&printer)).expect(201);
        assert_eq!(view["connection"]["status"], "monitoring", "{certificate:?}: {view}");
        assert_eq!(view["certificate_sha256"].as_str().unwrap().len(), 64);
        let id = view["id"].as_str().unwrap();
        service.call("DELETE", &format!("/printers/{id}"), None).expect(204);
    }
}
