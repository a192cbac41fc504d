//! The way to `tiny_http` and back: a new small request out, a whole bounded answer in.
//!
//! An answer is taken in whole before the first byte goes to the client. So a slow client never holds a handler thread,
//! an answer that was cut short becomes a 500 instead of half a page, and its length is known. Memory for that is
//! reserved before the request goes out ([`Gate`]): at most [`ProxyLimits::answers_bytes`] for all clients together.
//!
//! So are descriptors: where `tiny_http` cannot get one, it ends for good (and is started anew, which costs threads and
//! time). The gate keeps [`TURN_DESCRIPTORS`] for each turn occupied and lets them go just before they are needed.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use async_io::Async;
use event_listener::Event;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::head::{Head, Verb};
use crate::base::clock::{Clock, within};
use crate::web::respond::ApiError;
use crate::web::server::{Backend, PEER_HEADER};

/// Bounds of the way to `tiny_http`.
#[derive(Clone, Copy, Debug)]
pub struct ProxyLimits {
    /// Requests at a time: `tiny_http` keeps four threads and starts more when they are all busy.
    pub at_once: usize,
    /// Bytes of one answer, head and framing included.
    pub answer_bytes: usize,
    /// Bytes of all answers that clients have not taken yet.
    pub answers_bytes: usize,
    /// How long a request may wait for its turn.
    pub turn_time: Duration,
    /// How long a handler may take.
    pub handler_time: Duration,
}

/// How long a dead `tiny_http` is waited for, and how often it is looked for: its new start takes a few milliseconds.
const REVIVAL_TRIES: u32 = 20;
const REVIVAL_PAUSE: Duration = Duration::from_millis(50);

/// What one request takes: our end of the socket, `tiny_http`'s end, and its copy of that.
const TURN_DESCRIPTORS: usize = 3;

/// How often a gate that is short of descriptors looks for free ones.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);

/// First and later room for an answer; most are below 4 KiB.
const GROW_BYTES: usize = 4096;

/// Headers of an answer at most: our own handlers set five.
const ANSWER_HEADERS_MAX: usize = 24;

/// Turns and bytes that are still to be had.
#[derive(Debug)]
pub(super) struct Gate {
    turns: Cell<usize>,
    bytes: Cell<usize>,
    spare: RefCell<Vec<File>>,
    spare_wanted: usize,
    given_back: Event,
}

/// One request's share: a turn until its answer is in, and the bytes of that answer until the client has them.
#[derive(Debug)]
pub(super) struct Share {
    gate: Rc<Gate>,
    turn: bool,
    bytes: usize,
}

impl Gate {
    pub(super) fn new(limits: &ProxyLimits) -> Rc<Gate> {
        let gate = Gate {
            turns: Cell::new(limits.at_once),
            bytes: Cell::new(limits.answers_bytes),
            spare: RefCell::new(Vec::new()),
            spare_wanted: limits.at_once * TURN_DESCRIPTORS,
            given_back: Event::new(),
        };
        gate.stock_up();
        Rc::new(gate)
    }

    /// Occupies descriptors again, as far as there are any.
    fn stock_up(&self) {
        let mut spare = self.spare.borrow_mut();
        while spare.len() < self.spare_wanted {
            match File::open("/dev/null") {
                Ok(file) => spare.push(file),
                Err(_) => break,
            }
        }
    }

    /// Waits for a turn, for `bytes` of memory and for descriptors.
    async fn pass(self: &Rc<Self>, clock: &Clock, bytes: usize) -> Share {
        loop {
            let listener = self.given_back.listen();
            if self.turns.get() == 0 || self.bytes.get() < bytes {
                listener.await;
            } else if self.let_go() {
                self.turns.set(self.turns.get() - 1);
                self.bytes.set(self.bytes.get() - bytes);
                return Share { gate: Rc::clone(self), turn: true, bytes };
            } else {
                smol::future::or(listener, clock.sleep(SHORTAGE_PAUSE)).await;
                self.stock_up();
            }
        }
    }

    /// Frees the descriptors of one turn, if they are there.
    fn let_go(&self) -> bool {
        let mut spare = self.spare.borrow_mut();
        let rest = spare.len().checked_sub(TURN_DESCRIPTORS);
        if let Some(rest) = rest {
            spare.truncate(rest);
        }
        rest.is_some()
    }
}

impl Share {
    /// The answer is in and is `bytes` long: the turn and the rest of the reservation are free for others.
    fn settle(&mut self, bytes: usize) {
        self.gate.bytes.set(self.gate.bytes.get() + self.bytes.saturating_sub(bytes));
        self.bytes = self.bytes.min(bytes);
        if std::mem::take(&mut self.turn) {
            self.gate.turns.set(self.gate.turns.get() + 1);
            self.gate.stock_up();
        }
        // Everybody looks again: the first in line may need more bytes than were given back.
        self.gate.given_back.notify(usize::MAX);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.settle(0);
    }
}

/// An answer that has come in whole. Its memory counts until it is dropped.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    _share: Share,
}

/// Waits for a request's turn. May be dropped.
///
/// # Errors
/// 503 where none came in time.
pub(super) async fn turn(gate: &Rc<Gate>, clock: &Clock, limits: &ProxyLimits) -> Result<Share, ApiError> {
    let share = within(clock, limits.turn_time, gate.pass(clock, limits.answer_bytes)).await;
    share.ok_or_else(|| ApiError::busy("Too many requests at once. Try again shortly.", 2))
}

/// Hands a request whose turn it is to `tiny_http` and takes the answer in.
///
/// # Errors
/// 503 where nobody serves, 504 where the handler took too long, 500 where the answer was cut short or too large.
pub(super) async fn forward(
    mut share: Share,
    backend: &Backend,
    clock: &Clock,
    limits: &ProxyLimits,
    peer: IpAddr,
    head: &Head,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let request = rewrite(peer, head, body);
    let safe = matches!(head.verb, Verb::Get | Verb::Head | Verb::Options);
    let work = async {
        match exchange(backend, clock, limits, &request).await {
            // tiny_http died before it had read the request; asking again does no harm where nothing is changed.
            Err(Failure::Empty) if safe => exchange(backend, clock, limits, &request).await,
            other => other,
        }
    };
    let raw = match within(clock, limits.handler_time, work).await {
        None => return Err(ApiError::new(504, "TIMEOUT", "The answer took too long. Try again.")),
        Some(Err(failure)) => return Err(failure.into()),
        Some(Ok(raw)) => raw,
    };
    let (status, headers, body) = decode(&raw).ok_or(Failure::Broken)?;
    drop(raw);
    share.settle(body.len());
    Ok(Answer { status, headers, body, _share: share })
}

enum Failure {
    /// Nobody listens on the socket.
    NobodyThere,
    /// The connection ended before the first byte of an answer.
    Empty,
    /// The answer ended early or makes no sense.
    Broken,
    /// The answer is larger than the limit.
    TooLarge(usize),
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> ApiError {
        match failure {
            Failure::NobodyThere => {
                ApiError::busy("The service is just starting again. Try again in a few seconds.", 2)
            }
            Failure::Empty | Failure::Broken => {
                ApiError::internal("Something went wrong inside. It was noted; trying again may help.")
            }
            Failure::TooLarge(limit) => ApiError::new(
                500,
                "ANSWER_TOO_LARGE",
                format!(
                    "The answer would be larger than {limit} bytes. Ask for less, for example with ?limit=."
                ),
            ),
        }
    }
}

/// The request as `tiny_http` gets it: nothing in it was copied unseen, and nothing can follow it.
fn rewrite(peer: IpAddr, head: &Head, body: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "{} {} HTTP/1.1\r\nConnection: close\r\n{PEER_HEADER}: {peer}\r\n",
        head.verb.name(),
        head.target
    );
    if let Some(host) = &head.host {
        text.push_str("Host: ");
        text.push_str(host);
        text.push_str("\r\n");
    }
    for (name, value) in head.forwarded() {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

async fn exchange(
    backend: &Backend,
    clock: &Clock,
    limits: &ProxyLimits,
    request: &[u8],
) -> Result<Vec<u8>, Failure> {
    let mut stream = connect(backend, clock).await?;
    if stream.write_all(request).await.is_err() {
        return Err(Failure::Empty);
    }
    let mut raw = Vec::new();
    loop {
        let before = raw.len();
        if before >= limits.answer_bytes {
            return Err(Failure::TooLarge(limits.answer_bytes));
        }
        // Doubling, so that a large answer is not copied in small steps.
        raw.resize((before * 2).clamp(GROW_BYTES, limits.answer_bytes), 0);
        let count = match raw.get_mut(before..) {
            Some(space) => stream.read(space).await.unwrap_or(0),
            None => 0,
        };
        raw.truncate(before + count);
        if count == 0 {
            return if raw.is_empty() { Err(Failure::Empty) } else { Ok(raw) };
        }
        if raw.ends_with(b"0\r\n\r\n") && decode(&raw).is_some() {
            return Ok(raw);
        }
    }
}

/// Connects to `tiny_http`; where it has died, says so and waits for the new one.
async fn connect(backend: &Backend, clock: &Clock) -> Result<Async<UnixStream>, Failure> {
    for _ in 0..REVIVAL_TRIES {
        let path = backend.socket();
        match Async::<UnixStream>::connect(&path).await {
            Ok(stream) => return Ok(stream),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) =>
            {
                backend.lost(&path);
            }
            // No descriptor, or its backlog is full: both pass.
            Err(_) => {}
        }
        clock.sleep(REVIVAL_PAUSE).await;
    }
    log::warn!("web: nobody answers behind the front");
    Err(Failure::NobodyThere)
}

type Decoded = (u16, Vec<(String, String)>, Vec<u8>);

/// Takes a raw answer apart. `None` where it is not whole. Only our own handlers' adapter writes here, in chunks; `tiny_http`
/// itself answers with a length when it refuses something.
fn decode(raw: &[u8]) -> Option<Decoded> {
    let mut headers = [httparse::EMPTY_HEADER; ANSWER_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(raw).ok()? else { return None };
    let status = response.code?;
    let rest = raw.get(length..)?;
    let mut chunked = false;
    let mut announced = None;
    let mut kept = Vec::new();
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).ok()?;
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = true;
        } else if header.name.eq_ignore_ascii_case("content-length") {
            announced = Some(value.trim().parse::<usize>().ok()?);
        } else {
            kept.push((header.name.to_owned(), value.to_owned()));
        }
    }
    let body = if chunked { dechunk(rest)? } else { rest.get(..announced?)?.to_vec() };
    Some((status, kept, body))
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(rest.get(..end)?).ok()?, 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return (rest == b"\r\n").then_some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::{Parsed, parse};
    use super::*;

    #[test]
    fn the_request_is_written_anew() {
        let text = "PUT /a HTTP/1.1\r\nHost: Box\r\nConnection: keep-alive\r\nX-Printernizer-Peer: 127.0.0.1\r\nContent-Length: 2\r\nContent-Type: x\r\nX: y\r\n\r\n";
        let Parsed::Whole(head, _) = parse(text.as_bytes()).unwrap() else { panic!("partial") };
        let sent = String::from_utf8(rewrite([10, 0, 0, 9].into(), &head, b"ab")).unwrap();
        assert_eq!(
            sent,
            "PUT /a HTTP/1.1\r\nConnection: close\r\nX-Printernizer-Peer: 10.0.0.9\r\nHost: box\r\nContent-Type: x\r\nContent-Length: 2\r\n\r\nab"
        );
    }

    #[test]
    fn only_a_whole_answer_counts() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n5\r\n0\r\n\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let (status, headers, body) = decode(whole).unwrap();
        assert_eq!(
            (status, headers, body.as_slice()),
            (200, vec![("A".to_owned(), "b".to_owned())], &b"0\r\n\r\nabc"[..])
        );
        for end in 0..whole.len() {
            assert_eq!(decode(&whole[..end]), None, "{end}");
        }
        let with_length = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(decode(with_length), Some((500, vec![], vec![])));
        assert_eq!(decode(b"HTTP/1.1 200 OK\r\n\r\nabc"), None);
    }

    #[test]
    fn shares_are_given_back_whatever_happens() {
        let limits = ProxyLimits {
            at_once: 2,
            answer_bytes: 100,
            answers_bytes: 250,
            turn_time: Duration::from_secs(1),
            handler_time: Duration::from_secs(1),
        };
        let gate = Gate::new(&limits);
        let clock = Clock::manual(crate::base::clock::RELEASE_FLOOR);
        let pass = |bytes| smol::future::block_on(smol::future::poll_once(gate.pass(&clock, bytes)));
        let mut first = pass(100).expect("free");
        let second = pass(100).expect("free");
        assert!(pass(100).is_none());
        first.settle(30);
        // A turn is free and 120 bytes are.
        let third = pass(100).expect("free");
        assert!(pass(10).is_none());
        drop((first, second, third));
        assert_eq!((gate.turns.get(), gate.bytes.get()), (2, 250));
        assert_eq!(gate.spare.borrow().len(), 2 * TURN_DESCRIPTORS);
    }

    #[test]
    fn no_turn_without_descriptors() {
        let limits = ProxyLimits { at_once: 1, ..super::super::Config::default().proxy };
        let gate = Gate::new(&limits);
        let clock = Clock::manual(crate::base::clock::RELEASE_FLOOR);
        // As if other rooms had taken them all.
        gate.spare.borrow_mut().clear();
        smol::block_on(async {
            let mut passing = std::pin::pin!(gate.pass(&clock, 10));
            assert!(smol::future::poll_once(passing.as_mut()).await.is_none());
            clock.advance(SHORTAGE_PAUSE);
            // There are some again.
            passing.await;
        });
    }
}
