//! The real PrusaLink (the Python program for MK2.5 and MK3 on a Raspberry Pi) as a peer, with a printer behind it.
//!
//! `scripts/install-prusalink.sh` puts it under `target/prusalink`; without it the tests fail and say so. It is started
//! through `prusalink.py` beside this file, which keeps it to the loopback. It needs some ten seconds until it is IDLE,
//! eight of which it waits for the printer to boot.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use simulator::prusa::md5;
use simulator::wait::now;
use tempfile::TempDir;

use super::mk3::Mk3;

/// The user of digest authentication.
pub const USER: &str = "engineer";
/// The user's password.
pub const PASSWORD: &str = "Prusa-Link-1";
/// What is sent as `X-Api-Key`, in place of user and password.
pub const API_KEY: &str = "0123456789abcdef";
/// What digest authentication calls the place.
pub const REALM: &str = "Administrator";

/// How long it may take to start, to find its printer, or to see a file: ten seconds when nobody else is busy.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long a change of state may take.
const STATE_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// One request. PrusaLink answers within a few milliseconds, and within seconds on a machine that is busy.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How often another free port is tried when somebody else took it between our look and PrusaLink's start.
const PORT_TRIES: usize = 5;
/// How long a move of the printer takes; shorter and a small file is printed before anybody sees it.
const MOVE_TIME: Duration = Duration::from_millis(20);

/// An answer to a request.
#[derive(Debug)]
pub struct PeerAnswer {
    pub status: u16,
    /// The head without its first line.
    pub head: String,
    pub body: Vec<u8>,
}

impl PeerAnswer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A running PrusaLink and its printer. Both are gone, with their files, when this is dropped.
pub struct PrusaLinkPeer {
    /// Where it listens.
    pub address: SocketAddr,
    pub username: &'static str,
    pub password: &'static str,
    pub api_key: &'static str,
    /// The printer.
    pub printer: Mk3,
    child: Child,
    /// Open as long as it is wanted.
    input: Option<ChildStdin>,
    directory: TempDir,
}

impl PrusaLinkPeer {
    /// Starts it and waits until the printer is IDLE.
    pub fn start() -> PrusaLinkPeer {
        let peer = PrusaLinkPeer::start_early();
        peer.wait_for("the printer is found", START_PATIENCE, |peer| peer.state() == "IDLE");
        peer
    }

    /// Starts it and waits until it answers; the printer is not found yet, so the state is not IDLE.
    pub fn start_early() -> PrusaLinkPeer {
        // Not among the machine's temporary files: PrusaLink refuses to keep prints there.
        let directory = tempfile::Builder::new().prefix("prusalink").tempdir_in(place()).unwrap();
        let printer = Mk3::start(MOVE_TIME);
        for _ in 0..PORT_TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let (mut child, input) = spawn(directory.path(), port, &printer.port);
            let address = (Ipv4Addr::LOCALHOST, port).into();
            let log = || read(&directory.path().join("log"));
            if is_up(&mut child, address, log) {
                return PrusaLinkPeer {
                    address,
                    username: USER,
                    password: PASSWORD,
                    api_key: API_KEY,
                    printer,
                    child,
                    input: Some(input),
                    directory,
                };
            }
            assert!(log().contains("Address already in use"), "PrusaLink ended:\n{}", log());
        }
        panic!("PrusaLink found no free port in {PORT_TRIES} tries");
    }

    /// One request with the key, on a connection of its own.
    pub fn request(&self, method: &str, target: &str) -> PeerAnswer {
        self.request_with(method, target, &[])
    }

    /// The same with further header fields; a key among them replaces the right one.
    pub fn request_with(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> PeerAnswer {
        ask(self.address, method, target, fields)
            .unwrap_or_else(|| panic!("PrusaLink does not answer {method} {target}:\n{}", self.log()))
    }

    /// What `/api/v1/status` says of the printer.
    pub fn state(&self) -> String {
        let status = self.request("GET", "/api/v1/status").json();
        status["printer"]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the printer is in this state.
    pub fn wait_for_state(&self, state: &str) {
        self.wait_for(&format!("the state is {state}"), STATE_PATIENCE, |peer| peer.state() == state);
    }

    /// Waits until `condition` holds.
    pub fn wait_for(&self, what: &str, patience: Duration, condition: impl Fn(&Self) -> bool) {
        let deadline = now() + patience;
        while !condition(self) {
            assert!(now() < deadline, "waited {patience:?} in vain: {what}\n{}", self.log());
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }

    /// Puts a file where the printer keeps its own, folders included, and waits until PrusaLink has seen it.
    pub fn put(&self, name: &str, content: &[u8]) {
        let path = self.files().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Whole from the first moment: it is read as soon as it is seen.
        let outside = self.directory.path().join("arriving");
        File::create(&outside).unwrap().write_all(content).unwrap();
        fs::rename(outside, path).unwrap();
        let target = file_target(name);
        self.wait_for(&format!("{name} is seen"), START_PATIENCE, |peer| {
            peer.request("GET", &target).status == 200
        });
    }

    /// The folder of the printer's own files.
    pub fn files(&self) -> PathBuf {
        self.directory.path().join("PrusaLink gcodes")
    }

    /// Starts a print of a file that was put there.
    pub fn start_print(&self, name: &str) {
        let answer = self.request("POST", &file_target(name));
        assert_eq!(answer.status, 204, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        read(&self.directory.path().join("log"))
    }

    /// Ends PrusaLink at once, as a pulled plug would; the printer goes on.
    pub fn kill(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts PrusaLink again at the same address after [`PrusaLinkPeer::kill`] and waits until it answers.
    pub fn restart(&mut self) {
        let (child, input) = spawn(self.directory.path(), self.address.port(), &self.printer.port);
        (self.child, self.input) = (child, Some(input));
        let log = self.directory.path().join("log");
        assert!(is_up(&mut self.child, self.address, || read(&log)), "PrusaLink ended:\n{}", self.log());
    }
}

impl Drop for PrusaLinkPeer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address of a file, its name percent-encoded.
pub fn file_target(name: &str) -> String {
    let mut target = String::from("/api/v1/files/local/");
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b'/' => {
                target.push(byte.into())
            }
            _ => target += &format!("%{byte:02X}"),
        }
    }
    target
}

/// Waits until PrusaLink answers; `false` when it ended instead.
fn is_up(child: &mut Child, address: SocketAddr, log: impl Fn() -> String) -> bool {
    let deadline = now() + START_PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if ask(address, "GET", "/api/version", &[]).is_some_and(|answer| answer.status == 200) {
            return true;
        }
        assert!(now() < deadline, "PrusaLink does not answer:\n{}", log());
        std::thread::park_timeout(LOOK_INTERVAL);
    }
    false
}

/// One request with the key; `None` when there is no whole answer.
fn ask(address: SocketAddr, method: &str, target: &str, fields: &[(&str, &str)]) -> Option<PeerAnswer> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n");
    if !fields.iter().any(|(name, _)| *name == "X-Api-Key") {
        request += &format!("X-Api-Key: {API_KEY}\r\n");
    }
    for (name, value) in fields {
        request += &format!("{name}: {value}\r\n");
    }
    request += "Content-Length: 0\r\nConnection: close\r\n\r\n";
    let mut socket = TcpStream::connect_timeout(&address, REQUEST_TIMEOUT).ok()?;
    socket.set_read_timeout(Some(REQUEST_TIMEOUT)).unwrap();
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // It may close with a reset after the last byte.
    let _ = socket.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let (first, head) = head.split_once("\r\n").unwrap_or((&head, ""));
    let status = first.split(' ').nth(1)?.parse().ok()?;
    Some(PeerAnswer { status, head: head.to_owned(), body: answer[end + 4..].to_vec() })
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn spawn(directory: &Path, port: u16, terminal: &Path) -> (Child, ChildStdin) {
    let path = |name: &str| directory.join(name);
    let root = directory.display();
    let configuration = format!(
        "[daemon]\ndata_dir = {root}\npid_file = {root}/pid\n\
         [http]\naddress = 127.0.0.1\nport = {port}\n\
         [printer]\nsettings = {root}/settings.ini\ndirectory = {root}/PrusaLink gcodes\n\
         [cameras]\nauto_detect = False\n"
    );
    let digest = md5::hex(format!("{USER}:{REALM}:{PASSWORD}").as_bytes());
    let settings = format!(
        "[printer]\ntype = MK3S\nname = Test\n\
         [service::connect]\nhostname = 127.0.0.1\ntls = False\nport = 9\ntoken =\n\
         [service::local]\nenable = 1\nusername = {USER}\ndigest = {digest}\napi_key = {API_KEY}\n"
    );
    fs::create_dir_all(path("PrusaLink gcodes")).unwrap();
    for (name, text) in [("prusalink.ini", configuration), ("settings.ini", settings)] {
        File::create(path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }
    // A killed one leaves it behind.
    let _ = fs::remove_file(path("pid"));
    let log = File::options().create(true).append(true).open(path("log")).unwrap();
    let mut child = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/prusalink.py"))
        .args(["-f", "-i", "-c"])
        .arg(path("prusalink.ini"))
        .args(["-a", "127.0.0.1", "-t", &port.to_string(), "-s"])
        .arg(terminal)
        .current_dir(directory)
        .env("HOME", directory)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("PrusaLink's Python starts");
    let input = child.stdin.take().unwrap();
    (child, input)
}

/// Where tests keep their files, inside `target`.
fn place() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The Python that has PrusaLink.
fn python() -> PathBuf {
    let target = place().parent().unwrap();
    let python = target.join("prusalink/bin/python");
    assert!(
        python.exists(),
        "the real PrusaLink is missing at {}; scripts/install-prusalink.sh puts it there",
        python.display()
    );
    python
}
