//! The client against peers that a few lines of script play.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use super::login::Credentials;
use super::*;

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    wait: Duration::from_secs(10),
    whole: Some(Duration::from_secs(20)),
};

type Script = Box<dyn Fn(&mut TcpStream) + Send>;

/// Plays one connection after the other: each script gets the heads of requests and writes what it likes.
fn peer(scripts: Vec<Script>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for script in scripts {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            script(&mut stream);
        }
    });
    (address, thread)
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn say(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

fn client(address: SocketAddr, limits: Limits) -> Client {
    let credentials = Credentials {
        usual_user: "maker".into(),
        password: Some(crate::base::secret::Secret::new("pw")),
        ..Credentials::default()
    };
    Client::new(address, "printer.local", Login::new(credentials), limits)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const CHALLENGE: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"Printer API\", nonce=\"1\", stale=false\r\nContent-Length: 2\r\n\r\nno";

#[test]
fn one_connection_serves_the_challenge_and_what_follows() {
    let (tell, told): (_, Receiver<String>) = sync_channel(8);
    let (address, thread) = peer(vec![Box::new(move |stream| {
        for answer in [CHALLENGE, OK, OK] {
            tell.send(head(stream)).unwrap();
            say(stream, answer);
        }
    })]);
    let client = client(address, LIMITS);
    for _ in 0..2 {
        assert_eq!(client.fetch(Method::Get, "/api/version?a=%20b", 10).unwrap().body, b"{}");
    }
    drop(client);
    thread.join().unwrap();
    let heads: Vec<String> = told.iter().map(|head| head.to_ascii_lowercase()).collect();
    assert_eq!(heads.len(), 3, "{heads:?}");
    for head in &heads {
        assert!(head.starts_with("get /api/version?a=%20b http/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("host: printer.local:{}\r\n", address.port())), "{head}");
        assert!(head.contains(&format!("user-agent: {}\r\n", USER_AGENT.to_ascii_lowercase())), "{head}");
        assert!(head.contains("accept: application/json\r\n"), "{head}");
        assert!(!head.contains("accept-encoding") && !head.contains("pw"), "{head}");
    }
    assert!(!heads[0].contains("authorization") && heads[1].contains("authorization: digest "));
    assert!(heads[2].contains("uri=\"/api/version?a=%20b\""), "{}", heads[2]);
}

#[test]
fn a_put_tells_that_it_has_no_body() {
    let (tell, told) = sync_channel(8);
    let (address, thread) = peer(vec![Box::new(move |stream| {
        tell.send(head(stream)).unwrap();
        say(stream, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    })]);
    let answer = client(address, LIMITS).fetch(Method::Put, "/api/v1/job/1/pause", 10).unwrap();
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    thread.join().unwrap();
    let head = told.recv().unwrap().to_ascii_lowercase();
    assert!(head.contains("content-length: 0\r\n") && !head.contains("chunked"), "{head}");
}

#[test]
fn redirects_are_answers_and_lead_nowhere() {
    let (address, thread) = peer(vec![Box::new(|stream| {
        head(stream);
        say(stream, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    })]);
    assert_eq!(client(address, LIMITS).fetch(Method::Get, "/", 10).unwrap().status, 302);
    thread.join().unwrap();
}

#[test]
fn answers_have_limits() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n000b\r\n12345678901\r\n0\r\n\r\n";
    let lying = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n1234";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n000a\r\n1234567890\r\n0000\r\n\r\n";
    for (answer, expected) in [
        (long.as_str(), Err(HttpErrorKind::Protocol)),
        (chunked, Err(HttpErrorKind::TooLarge)),
        (lying, Err(HttpErrorKind::TooLarge)),
        (short, Err(HttpErrorKind::Interrupted)),
        ("SSH-2.0-OpenSSH_9.2\r\n", Err(HttpErrorKind::Protocol)),
        (chunks, Ok(10)),
    ] {
        let said = answer.to_owned();
        let script = move |stream: &mut TcpStream| {
            head(stream);
            say(stream, &said);
        };
        let (address, thread) = peer(vec![Box::new(script)]);
        let got = client(address, LIMITS).fetch(Method::Get, "/", 10);
        let got = got.map(|whole| whole.body.len()).map_err(|error| error.kind);
        assert_eq!(got, expected, "{answer:.60}");
        thread.join().unwrap();
    }
}

#[test]
fn a_connection_that_is_closed_when_it_is_used_again_is_made_anew() {
    let once = |stream: &mut TcpStream| {
        head(stream);
        say(stream, OK);
        // The next request arrives, and nobody answers it.
        head(stream);
    };
    let (address, thread) = peer(vec![
        Box::new(once),
        Box::new(|stream| {
            head(stream);
            say(stream, OK);
        }),
    ]);
    let client = client(address, LIMITS);
    for _ in 0..2 {
        assert_eq!(client.fetch(Method::Get, "/", 10).unwrap().status, 200);
    }
    thread.join().unwrap();
}

#[test]
fn silence_refusal_and_cancelling_are_told_apart() {
    let silent = |stream: &mut TcpStream| {
        head(stream);
        head(stream); // Until the client leaves.
    };
    let (address, thread) = peer(vec![Box::new(silent)]);
    let quick = Limits { wait: Duration::from_millis(100), ..LIMITS };
    let error = client(address, quick).fetch(Method::Get, "/", 10).unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Silent);
    thread.join().unwrap();

    let error = client(address, LIMITS).fetch(Method::Get, "/", 10).unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Refused);

    let (tell, told) = sync_channel(1);
    let (address, thread) = peer(vec![Box::new(move |stream: &mut TcpStream| {
        head(stream);
        tell.send(()).unwrap();
        head(stream);
    })]);
    let client = client(address, LIMITS);
    let other = client.clone();
    let asking = std::thread::spawn(move || other.fetch(Method::Get, "/", 10));
    told.recv().unwrap();
    client.cancel();
    assert_eq!(asking.join().unwrap().unwrap_err().kind, HttpErrorKind::Cancelled);
    assert_eq!(client.fetch(Method::Get, "/", 10).unwrap_err().kind, HttpErrorKind::Cancelled);
    thread.join().unwrap();
}

#[test]
fn a_trickle_ends_at_the_deadline_of_the_whole() {
    let (address, thread) = peer(vec![Box::new(|stream: &mut TcpStream| {
        head(stream);
        say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    })]);
    let quick = Limits { whole: Some(Duration::from_millis(300)), ..LIMITS };
    let error = client(address, quick).fetch(Method::Get, "/", 2000).unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Silent);
    thread.join().unwrap();
}

#[test]
fn hosts_are_named_as_they_may_be() {
    for (address, host, expected) in [
        ("10.0.0.1:80", "printer.local", "printer.local"),
        ("10.0.0.1:8080", "printer.local", "printer.local:8080"),
        ("[fd00::1]:80", "fd00::1", "[fd00::1]"),
        ("[fe80::1%3]:80", "[fe80::1%eth0]", "[fe80::1]"),
        ("10.0.0.1:80", "my_printer", "10.0.0.1"),
        ("10.0.0.1:80", "", "10.0.0.1"),
    ] {
        assert_eq!(authority(address.parse().unwrap(), host), expected);
    }
}
