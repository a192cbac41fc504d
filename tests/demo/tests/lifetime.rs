//! Nothing outlives the demo, however it ends. Both programs are played by a stand-in.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at once")]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Looks, some 20 s in all, for something that should come to pass.
const LOOKS: u32 = 1_000;

/// Examples lie beside the programs and are built with the tests.
fn stand_in() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_demo")).parent().unwrap().join("examples/stand_in")
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn demo(address: SocketAddr, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command
        .arg("--service")
        .arg(stand_in())
        .arg("--simulator")
        .arg(stand_in())
        .args(["--printers", "3", "--port", &address.port().to_string(), "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts a demo and waits until it says where the page is.
fn shown(address: SocketAddr, data: &Path) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = demo(address, data).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).unwrap() == 0 {
            panic!("the demo ended before it showed anything: {}", child.wait().unwrap());
        }
        if line.trim() == format!("http://{address}/") {
            break;
        }
    }
    (child, output)
}

fn is_closed_soon(address: SocketAddr) -> bool {
    (0..LOOKS).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        TcpStream::connect(address).is_err()
    })
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn it_adds_every_printer_and_ends_by_itself() {
    let (address, data) = (free_address(), tempfile::tempdir().unwrap());
    let output = demo(address, data.path()).args(["--seconds", "1"]).output().unwrap();
    assert!(TcpStream::connect(address).is_err(), "the service is gone");
    let log = std::fs::read_to_string(data.path().join("printernizer.log")).unwrap();
    for number in 0..3 {
        assert!(log.contains(&format!("\"serial_number\":\"S{number}\"")), "{log}");
        assert!(log.contains("\"mqtt_port\":1") && log.contains("\"ftps_port\":2"), "{log}");
    }
    // The stand-in knows no clean end: SIGTERM kills it, and the demo says so.
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not end cleanly"));
}

#[test]
fn a_signal_ends_it_and_a_kill_leaves_nothing_behind() {
    for how in [Signal::INT, Signal::TERM, Signal::KILL] {
        let (address, data) = (free_address(), tempfile::tempdir().unwrap());
        let (mut child, mut output) = shown(address, data.path());
        TcpStream::connect(address).unwrap();
        signal(&child, how);
        child.wait().unwrap();
        assert!(is_closed_soon(address), "the service lives on after {how:?}");
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
    }
}

#[test]
fn a_service_that_fails_is_shown_with_the_end_of_its_log() {
    let (address, data) = (free_address(), tempfile::tempdir().unwrap());
    let output = demo(address, data.path()).env("STAND_IN_FAILS", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("nothing to say for itself"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("ended by itself"));
}

#[test]
fn a_taken_port_is_named() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let data = tempfile::tempdir().unwrap();
    let output = demo(held.local_addr().unwrap(), data.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("choose another one with --port"));
}
