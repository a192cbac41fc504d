//! A small HTTP client and a listener to the event stream, written here so that they share nothing with what is tested.
//!
//! Every wait has a deadline and fails with what was seen by then.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use printernizer::base::clock::{Clock, Mono};
use serde_json::Value;

/// How long a test waits for something that takes milliseconds when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Frames that one listener keeps; a test that makes more has run wild.
const FRAMES_MAX: usize = 50_000;

/// The end of a test's patience, in real time.
pub struct Deadline(Mono);

impl Deadline {
    pub fn new() -> Deadline {
        Deadline(Clock::system().now().mono.after(PATIENCE))
    }

    pub fn left(&self) -> Duration {
        self.0.since(Clock::system().now().mono)
    }
}

/// One whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as JSON, where the status is `status`.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Checks the error envelope and answers its code.
    pub fn error(&self, status: u16) -> String {
        let body = self.expect(status);
        let mut keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["details", "error_code", "message", "status", "timestamp"], "{body}");
        assert_eq!(body["status"], "error");
        assert!(body["message"].as_str().unwrap().len() > 10, "the message says what to do: {body}");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
        body["error_code"].as_str().unwrap().to_owned()
    }
}

/// Sends one request on a connection of its own. `headers` are whole lines.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: Option<&[u8]>,
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if let Some(body) = body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A refusal may come before the whole body was taken.
    let _ = stream.write_all(body.unwrap_or_default());
    let mut reader = BufReader::new(stream);
    let (status, headers) = read_head(&mut reader);
    let mut body = Vec::new();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length {
        Some((_, length)) => {
            if method != "HEAD" && status != 304 {
                body.resize(length.parse().unwrap(), 0);
                reader.read_exact(&mut body).unwrap();
            }
        }
        None => {
            let _ = reader.read_to_end(&mut body);
        }
    }
    Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), bytes: body }
}

fn read_head(reader: &mut BufReader<TcpStream>) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {line:?}")).parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    (status, headers)
}

/// One frame of an event stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The `id:` line.
    pub id: Option<u64>,
    /// The `event:` line.
    pub name: String,
    /// The `data:` line as it came.
    pub text: String,
    /// The same as JSON.
    pub json: Value,
}

impl Seen {
    /// The envelope's payload.
    pub fn data(&self) -> &Value {
        &self.json["data"]
    }

    pub fn seq(&self) -> Option<u64> {
        self.json["seq"].as_u64()
    }

    /// Whether this event is about the printer `id`.
    pub fn is_of(&self, id: &str) -> bool {
        self.json["data"]["printer_id"] == id
    }
}

#[derive(Default)]
struct Heard {
    frames: Vec<Seen>,
    ended: bool,
}

/// A client of the event stream: a thread that reads, a bounded list, and waits with a deadline.
pub struct Listener {
    heard: Arc<(Mutex<Heard>, Condvar)>,
    socket: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Opens `/api/v1/events` with `query`; the answer has to be a stream.
    pub fn open(address: SocketAddr, query: &str, headers: &[&str]) -> Listener {
        let mut socket = TcpStream::connect(address).unwrap();
        let mut head = format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: {address}\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let (status, headers) = read_head(&mut reader);
        let kind = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        assert_eq!((status, kind.map(|(_, kind)| kind.as_str())), (200, Some("text/event-stream")));
        socket.set_read_timeout(None).unwrap();
        let heard: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let writing = Arc::clone(&heard);
        let thread = std::thread::spawn(move || {
            read_frames(reader, &writing);
            writing.0.lock().unwrap().ended = true;
            writing.1.notify_all();
        });
        Listener { heard, socket, thread: Some(thread) }
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Seen> {
        self.heard.0.lock().unwrap().frames.clone()
    }

    /// How many frames have come.
    pub fn count(&self) -> usize {
        self.heard.0.lock().unwrap().frames.len()
    }

    /// The durable events so far.
    pub fn durable(&self) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| seen.id.is_some()).collect()
    }

    /// Waits until `pick` finds something among all frames, and answers it.
    pub fn wait<T>(&self, what: &str, pick: impl Fn(&[Seen]) -> Option<T>) -> T {
        let deadline = Deadline::new();
        let mut heard = self.heard.0.lock().unwrap();
        loop {
            if let Some(found) = pick(&heard.frames) {
                return found;
            }
            let left = deadline.left();
            if left.is_zero() || heard.ended {
                let tail = heard.frames.len().saturating_sub(60);
                for seen in &heard.frames[tail..] {
                    eprintln!("{:?} {}", seen.id, seen.text);
                }
                panic!("waited in vain (stream ended: {}): {what}", heard.ended);
            }
            heard = self.heard.1.wait_timeout(heard, left).unwrap().0;
        }
    }

    /// Waits for the first frame from place `from` on that fits; answers it and the place after it.
    pub fn after(&self, from: usize, what: &str, fits: impl Fn(&Seen) -> bool) -> (Seen, usize) {
        self.wait(what, |frames| {
            let place = frames.iter().skip(from).position(&fits)? + from;
            Some((frames[place].clone(), place + 1))
        })
    }

    /// Waits for the first frame that fits, from the beginning.
    pub fn first(&self, what: &str, fits: impl Fn(&Seen) -> bool) -> Seen {
        self.after(0, what, fits).0
    }

    /// Waits until the stream has brought the event with this seq, or a later one.
    pub fn reaches(&self, seq: u64) {
        self.wait(&format!("seq {seq}"), |frames| {
            frames.iter().any(|seen| seen.id.is_some_and(|id| id >= seq)).then_some(())
        });
    }

    /// Waits until the service ends the stream.
    pub fn wait_for_end(&self) {
        let deadline = Deadline::new();
        let mut heard = self.heard.0.lock().unwrap();
        while !heard.ended {
            let left = deadline.left();
            assert!(!left.is_zero(), "the stream does not end");
            heard = self.heard.1.wait_timeout(heard, left).unwrap().0;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read_frames(mut reader: BufReader<TcpStream>, heard: &(Mutex<Heard>, Condvar)) {
    let (mut id, mut name, mut text) = (None, String::new(), String::new());
    let mut line = String::new();
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let content = line.trim_end_matches('\n');
        if content.is_empty() {
            if !name.is_empty() {
                let json = serde_json::from_str(&text).unwrap_or(Value::Null);
                let seen = Seen { id, name: name.clone(), text: text.clone(), json };
                let mut heard_now = heard.0.lock().unwrap();
                if heard_now.frames.len() >= FRAMES_MAX {
                    return;
                }
                heard_now.frames.push(seen);
                heard.1.notify_all();
            }
            (id, name, text) = (None, String::new(), String::new());
        } else if let Some(value) = content.strip_prefix("id: ") {
            id = Some(value.parse().unwrap());
        } else if let Some(value) = content.strip_prefix("event: ") {
            name = value.to_owned();
        } else if let Some(value) = content.strip_prefix("data: ") {
            text = value.to_owned();
        }
    }
}
