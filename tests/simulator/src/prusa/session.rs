//! One connection: requests one after the other, each in a slot, each with the fault that strikes it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::digest::Verdict;
use super::faults::{Fault, Target};
use super::garbage::{Instead, instead};
use super::observe::Observations;
use super::reply::{Reply, in_chunks};
use super::request::{Credentials, Method, Refusal, Request};
use super::routes::{is_guarded, route, target, unauthorized};
use super::shared::Shared;
use crate::wait::now;

/// Bytes of a head. The firmware has no such limit, it only never keeps what it does not know.
const HEAD_MAX: usize = 64 * 1024;
/// One segment, which is all that is under way at once where the line is slow.
const SEGMENT: usize = 1_024;
/// What is handed to the socket at once where it is not.
const PIECE: usize = 16 * 1_024;
/// How often a connection that is held looks whether it should still be.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long and how much is read from a client after the last reply, so that the reply is not lost in a reset.
const FAREWELL: Duration = Duration::from_millis(300);
const FAREWELL_READS_MAX: usize = 64;

/// How a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another request may come.
    Stays,
    /// It ends.
    Ends,
    /// It ends with a reset.
    Resets,
}

/// Serves a connection to its end.
pub fn serve(shared: &Shared, socket: TcpStream) {
    let Some(number) = shared.enter(&socket) else { return };
    let mut session = Session { shared, socket, buffer: Vec::new() };
    let next = session.run().unwrap_or(Next::Ends);
    if next == Next::Resets {
        // Without a lingering close the kernel sends a reset. A failure means that the connection is gone already.
        let _ = rustix::net::sockopt::set_socket_linger(&session.socket, Some(Duration::ZERO));
    }
    shared.leave(number);
}

struct Session<'a> {
    shared: &'a Shared,
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// What came instead of a whole head.
enum NoHead {
    Stalled,
    TooLarge,
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<Next> {
        let config = &self.shared.config;
        self.socket.set_nodelay(true)?;
        self.socket.set_write_timeout(Some(config.stall_timeout))?;
        loop {
            if self.buffer.is_empty() && !self.read_more(config.idle_timeout)? {
                return Ok(Next::Ends);
            }
            if self.shared.is_silent() {
                self.hold(|shared| shared.is_silent())?;
                return Ok(Next::Ends);
            }
            let Some(slot) = self.shared.slot() else { return Ok(Next::Ends) };
            let next = match self.head()? {
                Ok(head) => self.exchange(&head)?,
                Err(NoHead::Stalled) => self.send(&Reply::refusal(408), false, None)?,
                Err(NoHead::TooLarge) => self.send(&Reply::refusal(431), false, None)?,
            };
            match next {
                Next::Stays => {}
                Next::Ends => {
                    drop(slot);
                    self.farewell()?;
                    return Ok(Next::Ends);
                }
                Next::Resets => return Ok(Next::Resets),
            }
        }
    }

    /// Reads what is there; `false` at the end of the connection.
    fn read_more(&mut self, timeout: Duration) -> io::Result<bool> {
        self.socket.set_read_timeout(Some(timeout))?;
        let mut part = [0; 4_096];
        let count = self.socket.read(&mut part)?;
        self.buffer.extend_from_slice(part.get(..count).unwrap_or_default());
        Ok(count > 0)
    }

    fn head(&mut self) -> io::Result<Result<Vec<u8>, NoHead>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                let mut head = std::mem::replace(&mut self.buffer, rest);
                head.truncate(end + 2);
                return Ok(Ok(head));
            }
            if self.buffer.len() > HEAD_MAX {
                return Ok(Err(NoHead::TooLarge));
            }
            match self.read_more(self.shared.config.stall_timeout) {
                Ok(true) => {}
                Ok(false) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if is_timeout(&error) => return Ok(Err(NoHead::Stalled)),
                Err(error) => return Err(error),
            }
        }
    }

    fn exchange(&mut self, head: &[u8]) -> io::Result<Next> {
        let shared = self.shared;
        let request = match Request::parse(head, shared.config.target_bytes_max) {
            Ok(request) => request,
            Err(refusal) => {
                let status = match refusal {
                    Refusal::Malformed => 400,
                    Refusal::TooLong => 414,
                };
                shared.observer.note(|seen| {
                    let counter = if status == 414 { &mut seen.too_long } else { &mut seen.malformed };
                    *counter += 1;
                });
                return self.send(&Reply::refusal(status), false, None);
            }
        };
        let target = target(&request);
        let fault = shared.armed().1.strike(target);
        shared.observer.note(|seen| {
            seen.requests += 1;
            *seen.kinds.entry(target).or_default() += 1;
            seen.keep(format!("{} {}", request.method.name(), String::from_utf8_lossy(&request.target)));
            seen.struck += u64::from(fault.is_some());
        });
        let reply = self.answer(&request, fault);
        let is_download = target == Target::Download && reply.status == 200;
        if is_download {
            shared.observer.note(|seen| seen.downloads += 1);
        }
        let is_head = request.method == Method::Head;
        let next = match fault {
            Some(Fault::Garbage(kind)) => match instead(kind, reply) {
                Instead::Bytes(bytes) => self.pour(&bytes, None).map(|()| Next::Ends),
                Instead::Reply(reply) => self.send(&reply, is_head, None),
            },
            fault => self.send(&reply, is_head, fault),
        }?;
        if is_download && fault.is_none() {
            shared.observer.note(|seen| seen.whole_downloads += 1);
        }
        Ok(next)
    }

    /// The honest reply, or the page that a fault puts in its place.
    fn answer(&self, request: &Request, fault: Option<Fault>) -> Reply {
        let mut world = self.shared.world();
        match fault {
            Some(Fault::Status(status)) => return Reply::page(status, "", request),
            Some(Fault::Unauthorized) => return unauthorized(request, &world, Verdict::Unknown),
            _ => {}
        }
        if is_guarded(request) {
            let verdict = world.keeper(request.method).judge(request);
            self.shared.observer.note(|seen| count(seen, verdict, &request.credentials));
            if verdict != Verdict::Welcome {
                return unauthorized(request, &world, verdict);
            }
        }
        route(request, &mut world, &self.shared.config)
    }

    /// Sends a reply as the fault lets it.
    fn send(&mut self, reply: &Reply, is_head: bool, fault: Option<Fault>) -> io::Result<Next> {
        self.shared.observer.note(|seen| *seen.statuses.entry(reply.status).or_default() += 1);
        let length_error = if let Some(Fault::Length(error)) = fault { error } else { 0 };
        let head = reply.head(length_error);
        let mut body = reply.body.clone();
        match fault {
            Some(Fault::Drop) => return Ok(Next::Ends),
            Some(Fault::Hang) => return self.hold(|_| true),
            Some(Fault::HangInHead) => {
                self.pour(head.get(..head.len() / 2).unwrap_or_default(), None)?;
                return self.hold(|_| true);
            }
            Some(Fault::Delay(milliseconds))
                if self.shared.stop.wait_for(Duration::from_millis(milliseconds)) =>
            {
                return Ok(Next::Ends);
            }
            Some(Fault::Truncated(bytes)) => {
                let kept = body.len().saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
                body = body.get(..kept).unwrap_or_default().into();
            }
            Some(Fault::Flipped(place)) => {
                let mut bytes = body.to_vec();
                if let Some(byte) = usize::try_from(place).ok().and_then(|place| bytes.get_mut(place)) {
                    *byte ^= 0x55;
                }
                body = bytes.into();
            }
            _ => {}
        }
        // A shorter body has the length that fits it.
        let head = if body.len() < reply.body.len() {
            Reply { body: body.clone(), ..reply.clone() }.head(length_error)
        } else {
            head
        };
        self.pour(&head, None)?;
        if !is_head {
            let framed = if reply.is_in_chunks() { in_chunks(&body).into() } else { body };
            if let Some(next) = self.send_body(&framed, fault)? {
                return Ok(next);
            }
        }
        Ok(if reply.closes || length_error != 0 { Next::Ends } else { Next::Stays })
    }

    /// Sends the body; how the connection goes on where a fault broke it off.
    fn send_body(&mut self, framed: &[u8], fault: Option<Fault>) -> io::Result<Option<Next>> {
        let part = |bytes: u64| {
            let end = usize::try_from(bytes).unwrap_or(usize::MAX).min(framed.len());
            framed.get(..end).unwrap_or_default()
        };
        match fault {
            Some(Fault::Cut(bytes)) => self.pour(part(bytes), None).map(|()| Some(Next::Ends)),
            Some(Fault::Reset(bytes)) => self.pour(part(bytes), None).map(|()| Some(Next::Resets)),
            Some(Fault::HangInBody(bytes)) => {
                self.pour(part(bytes), None)?;
                self.hold(|_| true).map(Some)
            }
            Some(Fault::Slow(rate)) => self.pour(framed, Some(rate)).map(|()| None),
            _ => self.pour(framed, None).map(|()| None),
        }
    }

    /// Sends bytes as fast as the line, and `rate` in bytes a second, let them.
    fn pour(&mut self, bytes: &[u8], rate: Option<u64>) -> io::Result<()> {
        let size = match (rate, self.shared.config.bytes_per_s) {
            (Some(rate), _) => usize::try_from(rate / 10).unwrap_or(SEGMENT).clamp(1, SEGMENT),
            (None, Some(_)) => SEGMENT,
            (None, None) => PIECE,
        };
        let started = now();
        let mut sent = 0_u64;
        for segment in bytes.chunks(size) {
            if self.shared.take_line(segment.len()) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            // Silence freezes what is under way, too.
            if self.shared.is_silent() {
                self.hold(|shared| shared.is_silent())?;
                return Err(ErrorKind::ConnectionAborted.into());
            }
            self.socket.write_all(segment)?;
            let count = u64::try_from(segment.len()).unwrap_or(0);
            sent += count;
            self.shared.observer.note(|seen| seen.bytes_sent += count);
            if let Some(rate) = rate {
                let due = started + Duration::from_millis(sent.saturating_mul(1_000) / rate.max(1));
                if self.shared.stop.wait_for(due.saturating_duration_since(now())) {
                    return Err(ErrorKind::ConnectionAborted.into());
                }
            }
        }
        Ok(())
    }

    /// Says nothing for as long as `lasts` holds and the client waits.
    fn hold(&mut self, lasts: impl Fn(&Shared) -> bool) -> io::Result<Next> {
        self.socket.set_read_timeout(Some(LOOK_INTERVAL))?;
        let mut part = [0; 1_024];
        while !self.shared.stop.is_set() && lasts(self.shared) {
            match self.socket.read(&mut part) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Next::Ends)
    }

    /// Ends the connection so that the client gets everything that was sent.
    fn farewell(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)?;
        self.socket.set_read_timeout(Some(FAREWELL))?;
        let mut part = [0; 4_096];
        for _ in 0..FAREWELL_READS_MAX {
            if self.socket.read(&mut part)? == 0 {
                break;
            }
        }
        Ok(())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn count(seen: &mut Observations, verdict: Verdict, credentials: &Credentials) {
    let counter = match (verdict, credentials) {
        (_, Credentials::None) => &mut seen.anonymous,
        (Verdict::Welcome, Credentials::Key(_)) => &mut seen.right_keys,
        (_, Credentials::Key(_)) => &mut seen.wrong_keys,
        (Verdict::Welcome, Credentials::Digest { .. }) => &mut seen.right_digests,
        (Verdict::Stale, _) => &mut seen.stale_digests,
        (_, Credentials::Digest { .. }) => &mut seen.wrong_digests,
    };
    *counter += 1;
}
