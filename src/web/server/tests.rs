//! The router with the test double, the threads with a real socket.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use embedded_svc::http::server::{Connection, Handler, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use super::double::DoubleConnection;
use super::*;
use crate::base::clock::{Clock, RELEASE_FLOOR};
use crate::web::respond::{ApiError, Reply};

#[derive(Deserialize)]
struct NewPrinter {
    name: String,
}

fn said<C: Connection>(call: &mut Call<'_, C>, what: &str) -> Answer {
    let params: Vec<&str> = ["id", "filename"].iter().map(|name| call.param(name)).collect();
    Reply::json(200, &json!({ "what": what, "params": params }))
}

fn table<C: Connection>() -> Router<C> {
    Router::new(Clock::manual(RELEASE_FLOOR))
        .api(Method::Get, "/jobs", |call| {
            let paging = call.paging()?;
            call.conditional_json(&paging.list("jobs", vec!["a"], 1))
        })
        .api(Method::Get, "/jobs/{id}", |call| said(call, "one"))
        .api(Method::Get, "/jobs/export", |call| said(call, "export"))
        .api(Method::Delete, "/jobs/{id}", |_| Ok(Reply::empty(204)))
        .api(Method::Post, "/printers", |call| {
            let new: NewPrinter = call.json()?;
            Reply::json(201, &json!({ "name": new.name }))
        })
        .api(Method::Post, "/printers/{id}/files/{filename:path}/download", |call| said(call, "download"))
        .page(Method::Get, "/metrics", |_| Ok(Reply::new(200, "text/plain", b"x 1\n".to_vec())))
        .guard(|call, route| {
            let open = route.method == Method::Get || call.header("Authorization").is_some();
            if open { Ok(()) } else { Err(ApiError::new(401, "PASSWORD_NEEDED", "Log in first.")) }
        })
}

fn ask(mut connection: DoubleConnection) -> DoubleConnection {
    table().handle(&mut connection).unwrap();
    connection
}

fn get(uri: &str) -> DoubleConnection {
    ask(DoubleConnection::new(Method::Get, uri))
}

fn post(uri: &str, kind: &str, body: &[u8]) -> DoubleConnection {
    ask(DoubleConnection::with(Method::Post, uri, &[("Content-Type", kind), ("Authorization", "x")], body))
}

#[test]
fn the_more_exact_route_wins() {
    assert_eq!(get("/api/v1/jobs/export").answer_json()["what"], "export");
    assert_eq!(get("/api/v1/jobs/a%20b?x=1").answer_json(), json!({ "what": "one", "params": ["a b", ""] }));
    assert_eq!(get("/metrics").answer_body(), b"x 1\n");
    let found = post("/api/v1/printers/p1/files/cache%2Fa.3mf/download", "", b"");
    assert_eq!(found.answer_json(), json!({ "what": "download", "params": ["p1", "cache/a.3mf"] }));
}

#[test]
fn what_is_not_there_is_said_so() {
    for uri in [
        "/",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/jobs/a/b",
        "/metrics/x",
        "/api/v1/jobs/%2e%2e",
        "/api/v1/jobs/%2Fa",
        "/api/v1/jobs/a%00",
        "/api/v1/jobs/%zz",
        "//api/v1/jobs",
        "/api/v1//jobs",
    ] {
        let answer = get(uri);
        assert_eq!(
            (answer.status(), &answer.answer_json()["error_code"]),
            (404, &json!("NOT_FOUND")),
            "{uri}"
        );
    }
    let wrong = ask(DoubleConnection::new(Method::Put, "/api/v1/jobs/a"));
    assert_eq!((wrong.status(), wrong.answer_header("Allow")), (405, Some("GET, DELETE, HEAD, OPTIONS")));
    // A literal route hides the parameter: DELETE /jobs/export does not delete a job named "export".
    let hidden = ask(DoubleConnection::new(Method::Delete, "/api/v1/jobs/export"));
    assert_eq!(hidden.status(), 405);
    let options = ask(DoubleConnection::new(Method::Options, "/api/v1/jobs"));
    assert_eq!((options.status(), options.answer_header("Allow")), (204, Some("GET, HEAD, OPTIONS")));
    assert_eq!(ask(DoubleConnection::new(Method::Head, "/api/v1/jobs")).status(), 200);
}

#[test]
fn lists_are_conditional_and_paged() {
    let first = get("/api/v1/jobs?limit=1");
    assert_eq!(first.answer_json()["pagination"]["limit"], 1);
    let tag = first.answer_header("ETag").unwrap();
    let again =
        ask(DoubleConnection::with(Method::Get, "/api/v1/jobs?limit=1", &[("If-None-Match", tag)], b""));
    assert_eq!((again.status(), again.answer_body()), (304, &b""[..]));
    let odd = get("/api/v1/jobs?limit=500");
    assert_eq!((odd.status(), &odd.answer_json()["details"]["field"]), (400, &json!("limit")));
    assert_eq!(get("/api/v1/jobs?limit=%").answer_json()["error_code"], "BAD_QUERY");
}

#[test]
fn bodies_are_checked_before_a_handler_uses_them() {
    let uri = "/api/v1/printers";
    assert_eq!(
        post(uri, "application/json; charset=utf-8", br#"{"name":"a long enough name"}"#).status(),
        201
    );
    let cases: [(&str, &[u8], u16, &str); 6] = [
        ("text/plain", br#"{"name":"a"}"#, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("", br#"{"name":"a"}"#, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("application/json", b"", 400, "BAD_JSON"),
        ("application/json", b"{\"name\":\xff}", 400, "BAD_JSON"),
        ("application/json", br#"{"name":7}"#, 422, "WRONG_SHAPE"),
        ("application/json", &[b' '; BODY_BYTES_MAX + 1], 413, "BODY_TOO_LARGE"),
    ];
    for (kind, body, status, code) in cases {
        let answer = post(uri, kind, body);
        assert_eq!((answer.status(), &answer.answer_json()["error_code"]), (status, &json!(code)));
        assert_eq!(answer.answer_json()["timestamp"], "2026-11-01T00:00:00.000Z");
    }
    let deep = format!("{{\"more\":{}", "[".repeat(60_000));
    assert_eq!(post(uri, "application/json", deep.as_bytes()).status(), 400);
}

#[test]
fn the_guard_comes_before_every_handler() {
    let refused = ask(DoubleConnection::json(Method::Post, "/api/v1/printers", &json!({ "name": "a" })));
    assert_eq!((refused.status(), &refused.answer_json()["error_code"]), (401, &json!("PASSWORD_NEEDED")));
    assert_eq!(ask(DoubleConnection::new(Method::Delete, "/api/v1/jobs/a")).status(), 401);
    assert_eq!(get("/api/v1/jobs").status(), 200);
}

/// Asks the server directly over its socket, as the front does.
fn over_socket(server: &Server, request: &str) -> String {
    let mut stream = UnixStream::connect(server.backend().socket()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// How deep a handler's stack has become, by painting: a recursion that touches what a handler may use.
#[inline(never)]
fn use_stack(kib: usize) -> usize {
    let block = [1_u8; 1024];
    let block = std::hint::black_box(block);
    if kib <= 1 { usize::from(block[0]) } else { use_stack(kib - 1) + usize::from(block[1023]) }
}

#[test]
fn a_handler_fits_its_stack() {
    let directory = tempfile::tempdir().unwrap();
    // The whole way (tiny_http, router, JSON both ways, ETag) in a third of the stack, in a debug build.
    let config = ServerConfig { directory: directory.path().join("web"), stack_bytes: STACK_BYTES / 3 };
    let server = Server::start(config, table(), Clock::manual(RELEASE_FLOOR), Arc::new(|_| {})).unwrap();
    let body = json!({ "name": "x".repeat(2000), "more": vec![json!({ "a": [1, 2, 3] }); 100] }).to_string();
    let answer = over_socket(
        &server,
        &format!(
            "POST /api/v1/printers HTTP/1.1\r\nConnection: close\r\nAuthorization: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.ends_with("0\r\n\r\n"), "{answer}");
    let answer = over_socket(&server, "GET /api/v1/jobs HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("ETag"), "{answer}");
    server.stop();
}

#[test]
fn handlers_have_room_for_what_the_rooms_below_do() {
    let directory = tempfile::tempdir().unwrap();
    let router = Router::new(Clock::manual(RELEASE_FLOOR)).api(Method::Get, "/deep", |_| {
        // In a debug build a frame is a few times its block; this touches about 100 KiB.
        Reply::json(200, &use_stack(40))
    });
    // The deepest nesting that is let in, read into values.
    let router = router.api(Method::Post, "/nested", |call| {
        let value: Value = call.json()?;
        Reply::json(200, &value)
    });
    let config = ServerConfig::new(directory.path().join("web"));
    let server = Server::start(config, router, Clock::manual(RELEASE_FLOOR), Arc::new(|_| {})).unwrap();
    let answer = over_socket(&server, "GET /api/v1/deep HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for (depth, status) in [(15, 200), (16, 400), (126, 400), (20_000, 400)] {
        let body = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let head =
            format!("Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
        let answer = over_socket(&server, &format!("POST /api/v1/nested HTTP/1.1\r\n{head}\r\n\r\n{body}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[test]
fn the_socket_is_private_old_ones_are_removed_and_a_stop_leaves_none() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("web");
    std::fs::create_dir(&directory).unwrap();
    drop(std::os::unix::net::UnixListener::bind(directory.join("web-0.sock")).unwrap());
    let beats = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counted = Arc::clone(&beats);
    let server = Server::start(
        ServerConfig::new(directory.clone()),
        table(),
        Clock::manual(RELEASE_FLOOR),
        Arc::new(move |number| {
            counted[number].fetch_add(1, Ordering::SeqCst);
        }),
    )
    .unwrap();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let answer = over_socket(&server, "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("x 1\n"), "{answer}");
    assert!(beats.iter().map(|beat| beat.load(Ordering::SeqCst)).sum::<usize>() >= 1);
    server.stop();
    let left: Vec<_> = std::fs::read_dir(&directory).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let parent = tempfile::tempdir().unwrap();
    let start = |directory| {
        Server::start(ServerConfig::new(directory), table(), Clock::manual(RELEASE_FLOOR), Arc::new(|_| {}))
            .err()
    };
    let missing = start(parent.path().join("a/b")).expect("no parent");
    assert!(matches!(missing, ServerError::Directory { .. }), "{missing}");
    let long = start(parent.path().join("x".repeat(200))).expect("longer than a socket's path may be");
    assert!(matches!(long, ServerError::Listen { .. }), "{long}");
}

#[test]
fn the_table_can_be_listed() {
    let router = table::<DoubleConnection>();
    let all: Vec<(Method, &str)> = router.table().collect();
    assert!(all.contains(&(Method::Post, "/api/v1/printers/{id}/files/{filename:path}/download")));
    assert!(all.contains(&(Method::Get, "/metrics")));
    let value: Value = json!(all.len());
    assert_eq!(value, json!(7));
}
