//! The front with a real `tiny_http` behind it and plain sockets before it. Time stands still unless a test moves it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, Got, PATIENCE};
use super::*;
use crate::base::clock::{RELEASE_FLOOR, Timestamp};

#[test]
fn a_request_goes_to_its_handler_and_back() {
    let bench = Bench::new();
    let got = bench.get("/api/v1/hello?who=a%20b");
    assert_eq!((got.status, got.json()), (200, json!({ "hello": "a b", "peer": "127.0.0.1" })));
    assert!(got.head.contains("X-Content-Type-Options: nosniff\r\n"), "{}", got.head);
    assert!(!got.head.contains("Server") && !got.head.contains("chunked"), "{}", got.head);
    let got = bench.ask("POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(got.body, b"hello");
    let body = "y".repeat(64 * 1024);
    let got = bench.ask(&format!(
        "POST /api/v1/echo HTTP/1.1\r\nHost: [::1]\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!((got.status, got.body.len()), (200, body.len()));
    assert_eq!(bench.get("/api/v1/big").body.len(), 300_000);
    let old = bench.ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((old.status, old.body.as_slice()), (200, &b"page"[..]));
    assert_eq!(bench.get("/nothing").code(), (404, "NOT_FOUND".to_owned()));
    let wrong = bench.ask("DELETE /api/v1/hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(wrong.code(), (405, "METHOD_NOT_ALLOWED".to_owned()));
    assert!(wrong.head.contains("Allow: GET, HEAD, OPTIONS\r\n"), "{}", wrong.head);
}

#[test]
fn a_connection_is_used_again() {
    let bench = Bench::new();
    let mut stream = bench.connect();
    for _ in 0..3 {
        stream.write_all(b"GET /api/v1/hello?who=x HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let got = Got::read(&mut stream);
        assert!(got.head.contains("Connection: keep-alive"), "{}", got.head);
    }
    // Two at once, with a body between them.
    stream
        .write_all(b"POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabcHEAD /api/v1/hello HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(Got::read(&mut stream).body, b"abc");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    // The answer to HEAD has a length and no body: the next status line follows its head.
    let (head, next) = rest.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Length: 33"), "{rest}");
    assert!(next.starts_with("HTTP/1.1 200 OK") && next.ends_with("page"), "{rest}");
    assert_eq!(bench.count(&bench.stats.accepted), 1);
    // An idle connection ends quietly.
    let mut idle = bench.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    Got::read(&mut idle);
    assert_eq!(bench.drain(&mut idle, Duration::from_millis(500)), b"");
}

#[test]
fn refusals_are_envelopes() {
    let bench = Bench::new();
    let cases = [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "FOREIGN_HOST"),
        (
            "POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
            403,
            "FOREIGN_ORIGIN",
        ),
        (
            "POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
            "LENGTH_REQUIRED",
        ),
        (
            "POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000000000\r\n\r\n",
            413,
            "BODY_TOO_LARGE",
        ),
        (
            "POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18000000000000000000\r\n\r\n",
            413,
            "BODY_TOO_LARGE",
        ),
        (
            "POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            400,
            "BAD_REQUEST",
        ),
        ("nonsense\r\n\r\n", 400, "BAD_REQUEST"),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "NOT_FOUND"),
        ("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "NOT_FOUND"),
        ("GET /api/v1/huge HTTP/1.1\r\nHost: localhost\r\n\r\n", 500, "ANSWER_TOO_LARGE"),
        ("GET /api/v1/panic HTTP/1.1\r\nHost: localhost\r\n\r\n", 500, "INTERNAL"),
        ("POST /half HTTP/1.1\r\nHost: localhost\r\n\r\n", 500, "INTERNAL"),
    ];
    for (text, status, code) in cases {
        assert_eq!(bench.ask(text).code(), (status, code.to_owned()), "{text}");
    }
    bench.assert_alive();
    assert_eq!(bench.count(&bench.stats.panics), 0);
}

#[test]
fn an_endless_head_is_cut() {
    let bench = Bench::new();
    let mut stream = bench.connect();
    let mut line = String::from("GET /");
    line.push_str(&"a".repeat(9000));
    stream.write_all(line.as_bytes()).unwrap();
    assert_eq!(Got::read(&mut stream).code(), (431, "HEAD_TOO_LARGE".to_owned()));
    let mut headers = bench.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
    // More than the front ever reads: it answers and goes away in the middle.
    for _ in 0..100_000 {
        if headers.write_all(b"X: 0123456789012345678901234567890123456789\r\n").is_err() {
            break;
        }
    }
    bench.assert_alive();
}

#[test]
fn a_slow_head_is_given_up() {
    let bench = Bench::new();
    let mut slow = bench.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
    let text = String::from_utf8(bench.drain(&mut slow, Duration::from_millis(250))).unwrap();
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    let mut silent = bench.connect();
    assert_eq!(bench.drain(&mut silent, Duration::from_millis(250)), b"");
    bench.assert_alive();
}

#[test]
fn a_stalled_body_and_a_stalled_reader_are_given_up() {
    let bench = Bench::new();
    let mut stalled =
        bench.send("POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
    bench.drain(&mut stalled, Duration::from_millis(500));
    assert_eq!(bench.count(&bench.stats.stalled), 1);
    // More answers than all the buffers of the kernel take, and nobody who reads them.
    let mut deaf = bench.connect();
    deaf.set_nonblocking(true).unwrap();
    let request = b"GET /api/v1/big HTTP/1.1\r\nHost: localhost\r\n\r\n";
    bench.advance_until(Duration::from_millis(20), "the end of the deaf one", || {
        let _ = deaf.write(request);
        bench.count(&bench.stats.stalled) == 2
    });
    // It got some answers, and was given up in the middle of one.
    assert!(bench.count(&bench.stats.requests) > 2);
    drop(deaf);
    bench.assert_alive();
}

#[test]
fn a_hundred_silent_sockets_do_not_keep_a_viewer_out() {
    let bench = Bench::with(|config| config.seats.seats = 16);
    let silent: Vec<TcpStream> = (0..100).map(|_| bench.connect()).collect();
    bench.until("the crowd", || {
        bench.count(&bench.stats.accepted) + bench.count(&bench.stats.refused_full) >= 15
    });
    for _ in 0..5 {
        let mut viewer = bench.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let start = bench.clock.now().mono;
        bench.advance_until(Duration::from_millis(20), "the answer", || viewer_has_answer(&viewer));
        assert_eq!(Got::read(&mut viewer).status, 200);
        // The crowd before it in the backlog takes a patience a roomful: 100 / 14 * 0.5 s, and some slack.
        assert!(bench.clock.now().mono.since(start) < Duration::from_secs(8));
    }
    assert!(bench.count(&bench.stats.evicted) > 0);
    drop(silent);
    bench.advance_until(Duration::from_millis(20), "an empty room", || {
        bench.count(&bench.stats.seats_taken) == 0
    });
    bench.assert_alive();
}

fn viewer_has_answer(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let ready = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    ready
}

#[test]
fn a_crowd_from_one_address_leaves_room_for_others_and_loopback_always_gets_in() {
    // 127.0.0.2 and up stand for the LAN here.
    let bench = Bench::with(|config| {
        config.is_local = |address| *address == IpAddr::V4(Ipv4Addr::LOCALHOST);
        config.seats = SeatLimits { seats: 8, kept: 2, per_address: 4, patience: Duration::from_secs(3600) };
    });
    let from = |host: u8| {
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)
                .unwrap();
        rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
        rustix::net::connect(&socket, &bench.address).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    // Streams are never asked to leave.
    let watch = |host: u8| {
        let mut stream = from(host);
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert_eq!(Got::read(&mut stream).status, 200);
        stream
    };
    let crowd: Vec<TcpStream> = (0..4).map(|_| watch(2)).collect();
    assert_eq!(Got::read(&mut from(2)).code(), (503, "BUSY".to_owned()));
    let others = [watch(3), watch(4)];
    assert_eq!(Got::read(&mut from(5)).code(), (503, "BUSY".to_owned()));
    assert_eq!(bench.count(&bench.stats.refused_full), 1);
    bench.assert_alive();
    drop((crowd, others));
    bench.advance_until(Duration::from_millis(1), "room", || bench.count(&bench.stats.seats_taken) == 0);
    let mut viewer = from(5);
    viewer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(Got::read(&mut viewer).status, 200);
    bench.assert_alive();
}

#[test]
fn many_resets_change_nothing() {
    let bench = Bench::new();
    for _ in 0..300 {
        let stream = bench.send("GET /api/v1/hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        drop(stream);
    }
    for _ in 0..20 {
        let stream = bench.send("GET /api/v1/hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // It may have had to make room for the next one already.
        let _ = stream.shutdown(Shutdown::Both);
    }
    bench.until("an empty room", || {
        let _ = bench.get("/");
        bench.count(&bench.stats.seats_taken) <= 2
    });
    bench.assert_alive();
    assert_eq!(bench.count(&bench.stats.panics), 0);
}

#[test]
fn handlers_that_hang_are_given_up_and_do_not_pile_up() {
    let bench = Bench::new();
    let mut held: Vec<TcpStream> =
        (0..2).map(|_| bench.send("GET /api/v1/hold HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
    bench.until("both threads inside", || bench.hold.inside.load(Ordering::SeqCst) == 2);
    for stream in &mut held {
        let text = String::from_utf8(bench.drain(stream, Duration::from_millis(500))).unwrap();
        assert!(text.starts_with("HTTP/1.1 504 "), "{text}");
    }
    bench.hold.release();
    bench.assert_alive();
}

#[test]
fn a_dead_tiny_http_is_replaced_without_a_lost_request() {
    let bench = Bench::new();
    bench.assert_alive();
    let directory = bench.directory.path().join("web");
    for name in std::fs::read_dir(&directory).unwrap() {
        std::fs::remove_file(name.unwrap().path()).unwrap();
    }
    let mut stream = bench.send("GET /api/v1/hello?who=late HTTP/1.1\r\nHost: localhost\r\n\r\n");
    bench.advance_until(Duration::from_millis(10), "the answer", || viewer_has_answer(&stream));
    let got = Got::read(&mut stream);
    assert_eq!((got.status, got.json()["hello"].as_str()), (200, Some("late")));
    assert_eq!(bench.server.as_ref().unwrap().stats().restarts.load(Ordering::SeqCst), 1);
    bench.assert_alive();
}

#[test]
fn an_event_stream_begins_with_what_was_asked_for_and_pings() {
    let bench = Bench::new();
    let mut stream = bench.send("GET /api/v1/events?types=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = Got::read(&mut stream);
    assert!(head.head.contains("Content-Type: text/event-stream\r\n"), "{}", head.head);
    let mut expect = |text: &str| {
        let mut bytes = vec![0; text.len()];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    };
    expect("retry: 2000\n\nevent: snapshot\ndata: {}\n\n");
    bench.frames.send_blocking(frame(Some(7), "job_started", r#"{"seq":7}"#)).unwrap();
    expect("id: 7\nevent: job_started\ndata: {\"seq\":7}\n\n");
    bench.clock.advance(Duration::from_secs(14));
    bench.frames.send_blocking(frame(None, "x", "1")).unwrap();
    expect("event: x\ndata: 1\n\n");
    bench.clock.advance(Duration::from_secs(1));
    expect(&format!(
        "event: ping\ndata: {{\"now\":\"{}\",\"seq\":41}}\n\n",
        Timestamp(RELEASE_FLOOR.0 + 15_000)
    ));
    assert_eq!(bench.opened.lock().unwrap()[0].types.as_deref(), Some(&["a".to_owned()][..]));
    let again = bench.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 7\r\n\r\n");
    bench.until("the second stream", || bench.opened.lock().unwrap().len() == 2);
    assert_eq!(bench.opened.lock().unwrap()[1].after, Some(7));
    drop(again);
    assert_eq!(bench.get("/api/v1/events?after=x").code(), (400, "BAD_VALUE".to_owned()));
    let posted = bench.ask("POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Other methods are the router's, and that of this bench does not know the address.
    assert_eq!(posted.code(), (404, "NOT_FOUND".to_owned()));
    let looked = bench.ask("HEAD /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(looked.status == 200 && looked.head.contains("text/event-stream"), "{}", looked.head);
}

#[test]
fn a_full_house_is_told_so_and_a_leaving_viewer_makes_room() {
    let bench = Bench::with(|config| config.streams = 3);
    let mut viewers: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = bench.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(Got::read(&mut stream).status, 200);
            stream
        })
        .collect();
    let refused = bench.get("/api/v1/events");
    assert_eq!(refused.code(), (503, "TOO_MANY_STREAMS".to_owned()));
    assert!(refused.head.contains("Retry-After: 15\r\n"), "{}", refused.head);
    viewers.pop();
    bench.until("room", || {
        let mut stream = bench.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Got::read(&mut stream).status == 200
    });
}

#[test]
fn a_viewer_that_does_not_read_is_dropped_and_the_others_go_on() {
    let bench = Bench::new();
    let mut deaf = bench.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    Got::read(&mut deaf);
    let data = format!("\"{}\"", "z".repeat(60_000));
    let big = frame(None, "big", &data);
    bench.advance_until(Duration::from_millis(10), "the end of the deaf viewer", || {
        let _ = bench.frames.try_send(Arc::clone(&big));
        bench.count(&bench.stats.streams_slow) == 1
    });
    bench.assert_alive();
}

#[test]
fn a_panic_ends_one_connection_only() {
    let bench = Bench::new();
    let mut stream = bench.send("GET /api/v1/events?printer_id=panic HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    bench.assert_alive();
    assert_eq!(bench.count(&bench.stats.panics), 1);
}

#[test]
fn large_bodies_stream_through_the_front() {
    let bench = Bench::new();
    let body = vec![1_u8; 500_000];
    let mut stream = bench.send(&format!(
        "POST /large HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body).unwrap();
    assert_eq!(Got::read(&mut stream).body, b"500000");
    let refused = bench.ask("POST /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n");
    assert_eq!(refused.code(), (413, "BODY_TOO_LARGE".to_owned()));
    let full = bench.ask("POST /large?no HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n");
    assert_eq!(full.code(), (507, "NO_SPACE".to_owned()));
    let mut cut = bench.send("POST /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
    cut.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    cut.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    bench.assert_alive();
}

#[test]
fn a_stop_lets_a_running_request_end() {
    let bench = Bench::new();
    let mut held = bench.send("GET /api/v1/hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut idle = bench.connect();
    bench.until("the handler", || bench.hold.inside.load(Ordering::SeqCst) == 1);
    bench.stop.try_send(()).unwrap();
    bench.hold.release();
    assert_eq!(Got::read(&mut held).status, 204);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}
