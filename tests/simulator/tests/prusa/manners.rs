//! HTTP as the firmware speaks it.

use std::time::Duration;

use crate::client::{Client, PASSWORD, PATIENCE, get, once, printer, with};

#[test]
fn documents_come_in_chunks_and_pages_with_their_length() {
    let printer = printer();
    let mut client = Client::new(printer.addr());
    let answer = client.get("/api/v1/status");
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    let answer = client.get("/api/v1/job");
    assert_eq!((answer.status, answer.field("Content-Length")), (204, Some("0")));
    let answer = client.get("/nowhere");
    assert_eq!((answer.status, answer.text().as_str()), (404, "404: Not Found\n\n\n"));
    // JSON only if it is the first type that is accepted.
    let key = format!("X-Api-Key: {PASSWORD}\r\n");
    let json = client.ask_with("GET", "/nowhere", &format!("{key}Accept: application/json, text/plain\r\n"));
    assert_eq!(json.json()["title"], "404: Not Found");
    let text = client.ask_with("GET", "/nowhere", &format!("{key}Accept: text/plain, application/json\r\n"));
    assert!(text.text().starts_with("404"));
    // Without keep-alive there are no chunks; the end of the connection is the end of the document.
    let answer = client.ask_with("GET", "/api/v1/info", &format!("{key}Connection: close\r\n"));
    assert_eq!((answer.field("Transfer-Encoding"), answer.field("Content-Length")), (None, None));
    assert!(answer.json()["serial"].is_string() && client.is_ended());
    assert_eq!(printer.observations().connections, 1);
}

#[test]
fn a_start_and_errors_to_what_may_have_a_body_end_the_connection() {
    let printer = printer();
    for (method, target, status, ends) in [
        ("POST", "/api/v1/files/usb/nothing.gcode", 404, true),
        ("PUT", "/api/v1/job/7/pause", 404, true),
        ("PUT", "/api/v1/files/usb/new.gcode", 411, true),
        ("DELETE", "/api/v1/job/7", 404, false),
        ("BREW", "/api/v1/status", 405, true),
        ("POST", "/api/v1/files/usb/SPICER~1.GCO", 204, true),
    ] {
        let mut client = Client::new(printer.addr());
        let answer = client.ask(method, target);
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(
            answer.field("Connection"),
            Some(if ends { "close" } else { "keep-alive" }),
            "{method} {target}"
        );
        assert!(if ends { client.is_ended() } else { client.is_quiet() }, "{method} {target}");
    }
}

#[test]
fn three_requests_are_served_at_once_and_further_ones_wait() {
    let printer = with(|config| config.bytes_per_s = Some(100_000));
    let mut slow: Vec<Client> = (0..3).map(|_| Client::new(printer.addr())).collect();
    for client in &mut slow {
        client.send(&format!("GET /usb/SPICER~1.GCO HTTP/1.1\r\nX-Api-Key: {PASSWORD}\r\n\r\n"));
    }
    printer.wait_for(PATIENCE, |seen| seen.active_requests == 3).unwrap();
    let mut fourth = Client::new(printer.addr());
    fourth.send(&format!("GET /api/v1/status HTTP/1.1\r\nX-Api-Key: {PASSWORD}\r\n\r\n"));
    printer.wait_for(PATIENCE, |seen| seen.waits == 1).unwrap();
    assert!(fourth.is_quiet());
    // An idle connection holds no place: the fourth gets the place of the one that ends.
    drop(slow.remove(0));
    assert_eq!(fourth.answer("GET").unwrap().status, 200);
    let seen = printer.observations();
    assert_eq!((seen.peak_active_requests, seen.peak_connections), (3, 4));
}

#[test]
fn what_is_no_request_is_refused_and_slow_ones_are_given_up() {
    let printer = with(|config| {
        config.stall_timeout = Duration::from_millis(100);
        config.idle_timeout = Duration::from_millis(400);
    });
    for (text, status) in
        [("rubbish\r\n\r\n", 400), ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400), ("GET /api/v1/sta", 408)]
    {
        let mut client = Client::new(printer.addr());
        client.send(text);
        assert_eq!(client.answer("GET").unwrap().status, status, "{text:?}");
        assert!(client.is_ended());
    }
    assert!(Client::new(printer.addr()).is_ended(), "an idle connection is closed");
    assert_eq!(printer.observations().malformed, 2);
}

#[test]
fn targets_have_168_bytes_and_no_way_out() {
    let printer = printer();
    let name = |length: usize| format!("/api/v1/files/usb/{}", "x".repeat(length - 18));
    assert_eq!((get(&printer, &name(168)).status, get(&printer, &name(169)).status), (404, 414));
    for target in ["/usb/../etc/passwd", "/usb/%2e%2e/x", "/api/v1/files/usb/a/..", "/usb/%zz", "/usb/%ff"] {
        assert_eq!(get(&printer, target).status, 404, "{target}");
    }
    assert_eq!(get(&printer, "/api/v1/files/local").status, 403);
    assert_eq!(once(&printer, "POST", "/usb/SPICER~1.GCO").status, 405);
    assert_eq!(printer.observations().too_long, 1);
}

#[test]
fn requests_may_follow_each_other_without_waiting() {
    let printer = printer();
    let mut client = Client::new(printer.addr());
    let request = format!("GET /api/v1/info HTTP/1.1\r\nX-Api-Key: {PASSWORD}\r\n\r\n");
    client.send(&request.repeat(3));
    for _ in 0..3 {
        assert_eq!(client.answer("GET").unwrap().status, 200);
    }
}
