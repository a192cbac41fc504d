//! The simulator as a process, driven over its control interface.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at once")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use common::{Client, PATIENCE};
use serde_json::{Value, json};

/// The process and what it said; killed when a test panics.
struct Process {
    child: Child,
    line: Value,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_simulator"))
            .args(arguments)
            .arg("--until-stdin-ends")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, line: serde_json::from_str(&line).unwrap() }
    }

    fn control(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let address = self.line["control"].as_str().unwrap().strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(printer: &Value) -> SocketAddr {
    let port = u16::try_from(printer["port"].as_u64().unwrap()).unwrap();
    SocketAddr::new(printer["host"].as_str().unwrap().parse().unwrap(), port)
}

/// One request with these header fields: status, head and body.
fn http(port: &Value, method: &str, target: &str, fields: &str) -> (u16, String, String) {
    let port = u16::try_from(port.as_u64().unwrap()).unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "{method} {target} HTTP/1.1\r\n{fields}\r\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

#[test]
fn the_demonstration_says_where_it_is_and_ends_with_its_input() {
    let mut process = Process::start(&["--printers", "demo"]);
    let printers = process.line["printers"].as_array().unwrap().clone();
    assert_eq!(printers.len(), 6);
    for printer in &printers[..4] {
        assert_eq!(printer["kind"], "bambu_lab");
        let (serial, code) = (printer["serial"].as_str().unwrap(), printer["access_code"].as_str().unwrap());
        let mut client = Client::subscribed(address(printer), serial, code);
        assert_eq!(client.pushall(serial)["print"]["msg"], 0);
        client.report();
    }
    for printer in &printers[4..] {
        assert_eq!(printer["kind"], "prusa_link");
        let (status, _, body) = http(
            &printer["port"],
            "GET",
            "/api/v1/status",
            &format!("X-Api-Key: {}\r\nConnection: close\r\n", printer["password"].as_str().unwrap()),
        );
        assert_eq!(status, 200);
        assert!(serde_json::from_str::<Value>(&body).unwrap()["printer"]["state"].is_string());
    }
    drop(process.child.stdin.take());
    assert!(process.child.wait().unwrap().success());
    assert!(TcpStream::connect(address(&printers[0])).is_err());
}

#[test]
fn other_processes_drive_it_over_http() {
    let process =
        Process::start(&["--printer", "a1,039TEST,87654321", "--printer", "h2d", "--factor", "0.001"]);
    let (status, state) = process.control("GET", "/state", "");
    assert_eq!(status, 200);
    assert_eq!(state["printers"][0]["description"]["serial"], "039TEST");
    assert_eq!(state["printers"][1]["status"]["gcode_state"], "IDLE");

    let start = json!({ "command": "start_print", "plan": { "name": "Cube", "source": "lan" } }).to_string();
    assert_eq!(process.control("POST", "/printers/039TEST/command", &start), (200, json!({ "ok": true })));
    assert_eq!(process.control("POST", "/printers/0/command", &start).0, 409);
    let advance = r#"{"command":"advance","seconds":3600}"#;
    assert_eq!(process.control("POST", "/printers/Bambu%20Lab%20A1%201/command", advance).0, 200);
    let faults = r#"{"command":"set_faults","faults":{"silence":"mute","tcp":"plain_text"}}"#;
    assert_eq!(process.control("POST", "/printers/0/command", faults).0, 200);
    let (_, state) = process.control("GET", "/state", "");
    assert_eq!(state["printers"][0]["status"]["gcode_state"], "RUNNING");
    assert_eq!(state["printers"][0]["faults"]["silence"], "mute");

    for (path, body, status) in [
        ("/printers/0/command", "{", 400),
        ("/printers/0/command", r#"{"command":"fly"}"#, 400),
        ("/printers/0/command", r#"{"command":"set_faults","faults":{"gremlins":true}}"#, 400),
        ("/printers/7/command", start.as_str(), 404),
        ("/elsewhere", "", 404),
        ("/state", "", 405),
    ] {
        let (seen, answer) = process.control("POST", path, body);
        assert_eq!(seen, status, "{path} {body}");
        assert!(answer["error"].is_string());
    }
}

#[test]
fn prusa_printers_are_driven_in_the_same_way() {
    let process = Process::start(&["--printer", "mk4,SN1,secret", "--printer", "p1s", "--factor", "0.001"]);
    let printer = &process.line["printers"][0];
    assert_eq!(
        (&printer["kind"], &printer["serial"], &printer["password"]),
        (&json!("prusa_link"), &json!("SN1"), &json!("secret"))
    );
    let ask = |method: &str, target: &str| {
        http(&printer["port"], method, target, "X-Api-Key: secret\r\nConnection: close\r\n").0
    };
    let start = r#"{"command":"start_print","path":"Küche/Haken 100 %.gcode"}"#;
    assert_eq!(process.control("POST", "/printers/SN1/command", start).0, 200);
    assert_eq!(process.control("POST", "/printers/SN1/command", start).0, 409);
    let advance = r#"{"command":"advance","seconds":200}"#;
    assert_eq!(process.control("POST", "/printers/Prusa%20MK4%201/command", advance).0, 200);
    assert_eq!(ask("GET", "/api/v1/job"), 200);
    let faults =
        r#"{"command":"set_faults","faults":{"rules":[{"at":"status","fault":{"status":500},"times":1}]}}"#;
    assert_eq!(process.control("POST", "/printers/0/command", faults).0, 200);
    assert_eq!((ask("GET", "/api/v1/status"), ask("GET", "/api/v1/status")), (500, 200));
    let add =
        r#"{"command":"add_file","file":{"path":"x.bgcode","recipe":{"size":1000,"print_seconds":60}}}"#;
    assert_eq!(process.control("POST", "/printers/0/command", add).0, 200);
    assert_eq!(ask("GET", "/usb/X~1.BGC"), 200);
    let (_, state) = process.control("GET", "/state", "");
    let prusa = &state["printers"][0];
    assert_eq!(
        (&prusa["status"]["state"], &prusa["status"]["file"]),
        (&json!("PRINTING"), &json!("Haken 100 %.gcode"))
    );
    assert_eq!(
        (&prusa["observations"]["right_keys"], &prusa["observations"]["kinds"]["job"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(state["printers"][1]["description"]["kind"], "bambu_lab");
    for body in ["{", r#"{"command":"pushall"}"#, r#"{"command":"set_faults","faults":{"gremlins":1}}"#] {
        assert_eq!(process.control("POST", "/printers/0/command", body).0, 400, "{body}");
    }
}

#[test]
fn wrong_usage_ends_with_two_and_a_reason() {
    for (arguments, reason) in [
        (&[][..], "--prusa or --printer"),
        (&["--printers", "0"], "1 to 64"),
        (&["--printer", "voron"], "unknown model"),
        (&["--prusa", "many"], "--prusa takes a number"),
        (&["--printer", "mk4,S,P,http"], "no port number"),
        (&["--printer", "a1", "--rate", "0"], "above 0"),
        (&["--printer", "a1", "--replay", "/nowhere.log"], "--replay"),
        (&["--nonsense"], "nonsense"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_simulator")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(reason), "{text}");
    }
}
