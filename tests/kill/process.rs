//! The real program as a process, and a record of what it tells an outside observer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// The service is up within this time, on the slowest of machines.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the observer was told: durable events by seq, as they came.
pub type Told = Arc<Mutex<BTreeMap<u64, String>>>;

/// The service, running.
pub struct Service {
    child: Child,
    pub address: SocketAddr,
}

impl Service {
    /// Starts the program on its directory, and waits until it is ready.
    pub fn start(data: &Path, address: SocketAddr) -> Service {
        let child = Command::new(env!("CARGO_BIN_EXE_printernizer"))
            .env("PRINTERNIZER_NETWORK_FIND_PRINTERS", "false")
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Service { child, address };
        let (_stop, never) = sync_channel::<()>(0);
        for _ in 0..PATIENCE.as_millis() / 20 {
            if service.get("/api/v1/readiness").is_some() {
                return service;
            }
            let _ = never.recv_timeout(Duration::from_millis(20));
        }
        panic!("the service is not up after {PATIENCE:?}");
    }

    pub fn request(&self, head: &str, body: &str) -> Option<String> {
        let mut socket = TcpStream::connect(self.address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        let json = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        write!(socket, "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{json}Content-Length: {length}\r\n\r\n{body}")
            .ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        (head.contains(" 200 ") || head.contains(" 201 ")).then(|| body.to_owned())
    }

    pub fn get(&self, path: &str) -> Option<String> {
        self.request(&format!("GET {path}"), "")
    }

    /// Kills the process as a pulled plug would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The whole journal, by pages.
    pub fn journal(&self) -> BTreeMap<u64, String> {
        #[derive(serde::Deserialize)]
        struct Page<'p> {
            #[serde(borrow)]
            events: Vec<&'p serde_json::value::RawValue>,
        }
        let mut all = BTreeMap::new();
        loop {
            let after = all.keys().next_back().copied().unwrap_or(0);
            let page = self.get(&format!("/api/v1/events/recent?after={after}&limit=200")).unwrap();
            let page: Page<'_> = serde_json::from_str(&page).unwrap();
            if page.events.is_empty() {
                return all;
            }
            for event in page.events {
                let value: Value = serde_json::from_str(event.get()).unwrap();
                all.insert(value["seq"].as_u64().unwrap(), event.get().to_owned());
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A test that fails leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The newest seq that the observer was told.
pub fn last(told: &Told) -> u64 {
    told.lock().unwrap().keys().next_back().copied().unwrap_or(0)
}

/// Follows the event stream until it breaks, from after what was told so far.
pub fn observe(address: SocketAddr, told: Told) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let after = last(&told);
        let Ok(mut socket) = TcpStream::connect(address) else { return };
        let request = format!("GET /api/v1/events?after={after} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if socket.write_all(request.as_bytes()).is_err() {
            return;
        }
        let mut seq = None;
        for line in BufReader::new(socket).lines() {
            let Ok(line) = line else { return };
            if let Some(id) = line.strip_prefix("id: ") {
                seq = id.parse::<u64>().ok();
            } else if let Some(data) = line.strip_prefix("data: ")
                && let Some(seq) = seq.take()
            {
                let before = told.lock().unwrap().insert(seq, data.to_owned());
                assert!(before.is_none_or(|before| before == data), "seq {seq} was told with other words");
            }
        }
    })
}
