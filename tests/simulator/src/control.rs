//! A tiny HTTP interface by which other processes drive the printers.
//!
//! - `GET /state`: every printer with its description, status, faults and observations.
//! - `POST /printers/{n}/command`: carries out one [`crate::bambu::Command`] or [`crate::prusa::Command`] given as JSON; `n` is an index from 0, a serial
//!   number or a name (percent-encoded). 200, 400 (not understood), 404 or 409 (refused, with the reason).
//!
//! One request at a time, one request a connection. It belongs on the loopback: whoever reaches it may do anything
//! to the simulated printers, and reads their access codes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::any::{AnyPrinter, OrderError};
use crate::wait::Stop;

/// A client that stalls for this long is left.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Request line and headers; ours have some 200 bytes.
const HEAD_MAX: usize = 8 * 1024;
/// The largest order is a payload of one's own choice; a bit more than any that a client should survive.
const BODY_MAX: usize = 1024 * 1024;

/// The running interface. Dropping it frees its port.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts to serve `printers` at `address` (port 0 takes a free one).
    ///
    /// # Errors
    /// When the address cannot be listened on or no thread can be started.
    pub fn start(printers: Arc<Vec<AnyPrinter>>, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(Stop::default());
        let stop_of_thread = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn(move || serve(&listener, &printers, &stop_of_thread))?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.set();
        // Wakes the thread out of its accept; a failure means that it is gone already.
        let _ = TcpStream::connect_timeout(&self.address, TIMEOUT);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, printers: &[AnyPrinter], stop: &Stop) {
    while !stop.is_set() {
        let Ok((mut socket, _)) = listener.accept() else {
            stop.wait_for(Duration::from_millis(50));
            continue;
        };
        if stop.is_set() {
            return;
        }
        // A client that breaks off has only itself to blame.
        let _ = exchange(&mut socket, printers);
    }
}

fn exchange(socket: &mut TcpStream, printers: &[AnyPrinter]) -> io::Result<()> {
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let (status, answer) = match read_request(socket)? {
        Some(request) => answer(&request, printers),
        None => (413, json!({ "error": "the request is too large or not HTTP" })),
    };
    let reason = match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        _ => "Bad Request",
    };
    let body = answer.to_string();
    write!(
        socket,
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

/// Reads one request; `None` when it is too large or no HTTP.
fn read_request(socket: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(position) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break position;
        }
        if bytes.len() > HEAD_MAX || !read_more(socket, &mut bytes)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(bytes.get(..head_end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse::<usize>().ok());
    let Some(length) = length.filter(|length| *length <= BODY_MAX) else { return Ok(None) };
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if !read_more(socket, &mut body)? {
            return Ok(None);
        }
    }
    body.truncate(length);
    Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), body }))
}

fn read_more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 4_096];
    let count = socket.read(&mut part)?;
    bytes.extend_from_slice(part.get(..count).unwrap_or_default());
    Ok(count > 0)
}

fn answer(request: &Request, printers: &[AnyPrinter]) -> (u16, Value) {
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["state"]) => (200, state(printers)),
        ("POST", ["printers", which, "command"]) => match find(printers, &decoded(which)) {
            Some(printer) => carry_out(printer, &request.body),
            None => {
                (404, json!({ "error": "no such printer; give an index from 0, a serial number or a name" }))
            }
        },
        (_, ["state"] | ["printers", _, "command"]) => {
            (405, json!({ "error": "GET /state, POST /printers/{n}/command" }))
        }
        _ => (404, json!({ "error": "there is only /state and /printers/{n}/command" })),
    }
}

fn carry_out(printer: &AnyPrinter, body: &[u8]) -> (u16, Value) {
    match printer.order(body) {
        Ok(()) => (200, json!({ "ok": true })),
        Err(OrderError::NotUnderstood(reason)) => {
            (400, json!({ "error": format!("not a command: {reason}") }))
        }
        Err(OrderError::Refused(reason)) => (409, json!({ "error": reason })),
    }
}

fn find<'a>(printers: &'a [AnyPrinter], which: &str) -> Option<&'a AnyPrinter> {
    let by_index = which.parse::<usize>().ok().and_then(|index| printers.get(index));
    by_index.or_else(|| printers.iter().find(|printer| printer.is_called(which)))
}

/// Undoes percent-encoding; what is none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn state(printers: &[AnyPrinter]) -> Value {
    let printers: Vec<Value> = printers.iter().map(AnyPrinter::state).collect();
    json!({ "printers": printers })
}
