//! Who is let in: keys, digests, nonces.

use simulator::prusa::{AfterReboot, Command};

use crate::client::{Client, PASSWORD, advance, digest, get, printer, with};

const STATUS: &str = "/api/v1/status";

#[test]
fn the_password_is_the_key_and_a_wrong_one_is_told() {
    let printer = printer();
    assert_eq!(get(&printer, "/api/version").json()["text"], "PrusaLink");
    let mut client = Client::new(printer.addr());
    let answer = client.ask_with("GET", STATUS, "x-api-key: wrong\r\n");
    assert_eq!(answer.status, 401);
    assert_eq!(answer.field("WWW-Authenticate"), Some("ApiKey realm=\"Printer API\""));
    assert_eq!(answer.text(), "401: Unauthorized\n\n\n");
    // The connection stays, and the right key opens.
    assert_eq!(client.get(STATUS).status, 200);
    let seen = printer.observations();
    assert_eq!((seen.connections, seen.wrong_keys, seen.right_keys, seen.anonymous), (2, 1, 2, 0));
}

#[test]
fn a_digest_is_good_for_many_requests_until_its_nonce_is_old() {
    let printer = printer();
    let mut client = Client::new(printer.addr());
    let first = client.ask_with("GET", STATUS, "");
    let (nonce, stale) = first.challenge();
    assert_eq!((first.status, nonce.len(), stale), (401, 16, false));
    for target in [STATUS, "/api/v1/job?with=query", "/api/v1/files/usb"] {
        let answer = client.ask_with("GET", target, &digest(PASSWORD, &nonce, "GET", target));
        assert!(matches!(answer.status, 200 | 204), "{target}");
    }
    // The method, the address and the password are part of it; fields that it does not know are not.
    for field in [
        digest(PASSWORD, &nonce, "PUT", STATUS),
        digest(PASSWORD, &nonce, "GET", "/api/v1/job"),
        digest("other", &nonce, "GET", STATUS),
    ] {
        let answer = client.ask_with("GET", STATUS, &field);
        assert_eq!((answer.status, answer.challenge().1), (401, false));
    }
    let odd = digest(PASSWORD, &nonce, "GET", STATUS)
        .replace("\"maker\"", "\"x\"")
        .replace("realm", "qop=auth, realm");
    assert_eq!(client.ask_with("GET", STATUS, &odd).status, 200);
    advance(&printer, 301.0);
    let answer = client.ask_with("GET", STATUS, &digest(PASSWORD, &nonce, "GET", STATUS));
    let (fresh, stale) = answer.challenge();
    assert!(stale && fresh[..8] == nonce[..8] && fresh != nonce);
    assert_eq!(client.ask_with("GET", STATUS, &digest(PASSWORD, &fresh, "GET", STATUS)).status, 200);
    let seen = printer.observations();
    assert_eq!((seen.right_digests, seen.stale_digests, seen.wrong_digests), (5, 1, 3));
}

#[test]
fn a_reboot_makes_nonces_stale_and_cuts_connections() {
    let printer = printer();
    let mut client = Client::new(printer.addr());
    let (nonce, _) = client.ask_with("GET", STATUS, "").challenge();
    printer.command(Command::Reboot { job: AfterReboot::Lost }).unwrap();
    assert!(client.is_ended());
    let mut client = Client::new(printer.addr());
    let (fresh, stale) = client.ask_with("GET", STATUS, &digest(PASSWORD, &nonce, "GET", STATUS)).challenge();
    assert!(stale && fresh[..8] != nonce[..8]);
}

#[test]
fn a_changed_password_and_an_empty_one() {
    let printer = printer();
    printer.command(Command::SetPassword { password: "new".into() }).unwrap();
    assert_eq!(get(&printer, STATUS).status, 401);
    let mut client = Client::new(printer.addr());
    let (nonce, _) = client.ask_with("GET", STATUS, "").challenge();
    let old = client.ask_with("GET", STATUS, &digest(PASSWORD, &nonce, "GET", STATUS));
    assert_eq!((old.status, old.challenge().1), (401, false));
    assert_eq!(client.ask_with("GET", STATUS, &digest("new", &nonce, "GET", STATUS)).status, 200);
    printer.command(Command::SetPassword { password: String::new() }).unwrap();
    assert_eq!(client.ask_with("GET", STATUS, "X-Api-Key: \r\n").status, 401);
}

#[test]
fn older_firmware_differs() {
    let printer = with(|config| *config = config.clone().old_firmware());
    let mut client = Client::new(printer.addr());
    let answer = client.ask_with("GET", STATUS, "");
    assert!(answer.field("WWW-Authenticate").unwrap().ends_with("stale=\"false\""));
    let long = format!("/api/v1/files/usb/{}", "x".repeat(100 - 17));
    assert_eq!(get(&printer, &long).status, 414);
    let oldest = with(|config| config.knows_digest = false);
    let mut client = Client::new(oldest.addr());
    assert!(client.ask_with("GET", STATUS, "").field("WWW-Authenticate").unwrap().starts_with("ApiKey"));
}
