//! One session with one printer: who are you, then its status every [`POLL_EVERY`], and the job's own page when a print is
//! new.
//!
//! Requests follow each other on one connection, so a small printer never has two of ours to answer. A single answer that
//! does not come is no reason to give a printer up, because the small ones answer late while they write to their stick;
//! [`FAILURES_MAX`] in a row are. Each request is a piece of work on a thread of the pool, with the deadlines of
//! `net::http`; the session itself waits on the injected clock and ends what takes longer than [`ANSWER_WITHIN`].

use std::collections::VecDeque;
use std::time::Duration;

use smol::future::FutureExt as _;

use super::parse::{self, Peer};
use super::state::{Boot, Machine};
use super::{REALM, credentials, words};
use crate::base::clock::{Clock, Mono};
use crate::base::pool::{Lost, Pool, Running};
use crate::model::status::ConnectionKind;
use crate::model::{Control, ControlError, ControlKind, Printer};
use crate::net::http::digest::Challenge;
use crate::net::http::login::Login;
use crate::net::http::{Client, HttpError, HttpErrorKind, Limits, Method, Whole};
use crate::net::resolve::Resolver;
use crate::printers::driver::{Identity, OddCounts, SessionEnd, SessionEvent};
use crate::printers::session::Last;

/// Between two polls, idle or printing: faster ones have disturbed printers and Connect, slower ones would notice a start
/// after the 10 s that are promised.
pub const POLL_EVERY: Duration = Duration::from_secs(8);
/// A printer that answers late gets at least this much peace between an answer and the next request.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// For a request and all its repetitions. Answers of some seconds are usual while a printer writes to its stick.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// After an order was taken the printer is asked a few times sooner, to see it carried out.
const LOOK_AFTER: Duration = Duration::from_millis(1500);
/// So many times.
const LOOKS: u8 = 4;
/// Requests that fail in a row before a printer that answered is given up: after at most 54 s, within the 90 s that are
/// promised.
const FAILURES_MAX: u32 = 3;
/// Bytes of an answer: a status has 600, a job of a Pi with its metadata some thousand.
const BODY_BYTES_MAX: u64 = 16 * 1024;

const LIMITS: Limits = Limits {
    connect: ANSWER_WITHIN,
    wait: ANSWER_WITHIN,
    // The session's own clock is to decide; this one is for a session that nobody asks any more.
    whole: Some(Duration::from_secs(15)),
};

/// What is carried from one session with a printer to the next.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    machine: Option<Machine>,
    login: Option<Login>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Version,
    Info,
    Status,
    Job,
    /// An order for the print of this number.
    Order(Control, u64),
}

impl Ask {
    fn path(self) -> String {
        match self {
            Ask::Version => "/api/version".to_owned(),
            Ask::Info => "/api/v1/info".to_owned(),
            Ask::Status => "/api/v1/status".to_owned(),
            Ask::Job => "/api/v1/job".to_owned(),
            Ask::Order(Control::Stop, id) => format!("/api/v1/job/{id}"),
            Ask::Order(order, id) => format!("/api/v1/job/{id}/{}", order.name()),
        }
    }

    fn method(self) -> Method {
        match self {
            Ask::Version | Ask::Info | Ask::Status | Ask::Job => Method::Get,
            Ask::Order(Control::Pause | Control::Resume, _) => Method::Put,
            Ask::Order(Control::Stop, _) => Method::Delete,
        }
    }
}

enum Phase {
    /// Nothing is asked until then.
    Resting(Mono),
    /// A request is under way.
    Asking { ask: Ask, answer: Running<Result<Whole, HttpError>>, deadline: Mono },
}

/// A session. Dropping it ends whatever request is under way.
pub struct Session {
    clock: Clock,
    pool: Pool,
    client: Client,
    machine: Machine,
    phase: Phase,
    next: Ask,
    /// When the poll began that is under way.
    begun: Mono,
    serial: Option<String>,
    expected_serial: Option<String>,
    announced: bool,
    failures: u32,
    /// An order that waits for the request under way.
    order: Option<Control>,
    /// Polls that come sooner, see [`LOOK_AFTER`].
    looks: u8,
    odd: OddCounts,
    pending: VecDeque<SessionEvent>,
}

impl Session {
    /// Resolves the printer's address. `memory` is what the last session left, `last` what the store remembers.
    ///
    /// # Errors
    /// When the printer has no password or its name no address.
    pub async fn open(
        printer: &Printer,
        memory: Memory,
        last: &Last,
        clock: Clock,
        pool: &Pool,
        resolver: &Resolver,
    ) -> Result<Session, SessionEnd> {
        let way = &printer.connection;
        let credentials = credentials(way);
        if credentials.password.is_none() && credentials.key.is_none() {
            return Err(words::end(
                ConnectionKind::Auth,
                "no password is stored; enter the PrusaLink password on the printer's screen (Settings, Network, PrusaLink)",
            ));
        }
        let address = resolver
            .resolve(&way.host, way.http_port)
            .await
            .map_err(|error| words::end(ConnectionKind::Unreachable, error.to_string()))?;
        let login = memory.login.unwrap_or_else(|| Login::new(credentials));
        let mut machine =
            memory.machine.unwrap_or_else(|| Machine::new(&last.print, last.status, last.progress));
        machine.interrupted();
        let now = clock.now().mono;
        Ok(Session {
            clock,
            pool: pool.clone(),
            client: Client::new(address, &way.host, login, LIMITS),
            machine,
            phase: Phase::Resting(now),
            next: Ask::Version,
            begun: now,
            serial: None,
            expected_serial: way.serial.clone(),
            announced: false,
            failures: 0,
            order: None,
            looks: 0,
            odd: OddCounts::default(),
            pending: VecDeque::new(),
        })
    }

    /// The next event. May be dropped while it waits and called again.
    pub async fn next(&mut self) -> SessionEvent {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return event;
            }
            match &self.phase {
                Phase::Resting(due) => match self.order.take() {
                    Some(order) => self.give(order),
                    None => {
                        self.clock.sleep_until(*due).await;
                        self.ask();
                    }
                },
                Phase::Asking { ask, answer, deadline } => {
                    let (ask, clock, deadline) = (*ask, &self.clock, *deadline);
                    let late = async {
                        clock.sleep_until(deadline).await;
                        None
                    };
                    let answer = async { Some(answer.answer().await) }.or(late).await;
                    self.answered(ask, answer);
                }
            }
        }
    }

    /// How far the session got, in the words of a connection test.
    #[must_use]
    pub fn reached(&self) -> &'static str {
        match self.next {
            Ask::Version => "login",
            Ask::Info => "serial",
            Ask::Status | Ask::Job | Ask::Order(..) => "first_report",
        }
    }

    /// Gives an order for the print that is on. The answer is an event: [`SessionEvent::Taken`] or [`SessionEvent::NotTaken`].
    pub fn control(&mut self, order: Control) {
        self.order = Some(order);
    }

    /// What is carried over to the next session.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory { machine: Some(self.machine.clone()), login: Some(self.client.known_login()) }
    }

    /// What odd things came in this session.
    #[must_use]
    pub fn odd(&self) -> OddCounts {
        self.odd
    }

    fn give(&mut self, order: Control) {
        match self.machine.job_id() {
            Some(id) => self.follow_with(Ask::Order(order, id)),
            None => self.not_taken(ControlKind::WrongState, "the printer is at no print that it names"),
        }
    }

    /// The answer to an order, or its failure to come.
    fn ordered(&mut self, order: Control, answer: Result<u16, (ControlKind, String)>) {
        match answer {
            Ok(200..=299) => {
                if order == Control::Stop {
                    self.machine.stopped_by_us();
                }
                self.looks = LOOKS;
                self.pending.push_back(SessionEvent::Taken);
            }
            Ok(404 | 409) => self.not_taken(
                ControlKind::WrongState,
                "the printer says that its print is not in a state for this; look at its screen",
            ),
            Ok(code) => {
                self.not_taken(ControlKind::Refused, &format!("the printer refuses with the status {code}"));
            }
            Err((kind, message)) => self.not_taken(kind, &message),
        }
        self.rest();
    }

    fn not_taken(&mut self, kind: ControlKind, message: &str) {
        self.pending.push_back(SessionEvent::NotTaken(ControlError::new(kind, message)));
    }

    fn ask(&mut self) {
        let ask = self.next;
        let now = self.clock.now().mono;
        if ask == Ask::Status {
            self.begun = now;
        }
        let client = self.client.clone();
        let work = move || client.fetch(ask.method(), &ask.path(), BODY_BYTES_MAX);
        match self.pool.run(work) {
            Ok(answer) => {
                self.phase = Phase::Asking { ask, answer, deadline: now.after(ANSWER_WITHIN) };
            }
            Err(full) => {
                let message = format!("the service cannot ask the printer: {full}");
                if let Ask::Order(order, _) = ask {
                    return self.ordered(order, Err((ControlKind::Refused, message)));
                }
                self.trouble(ask, words::end(ConnectionKind::Busy, message));
            }
        }
    }

    fn answered(&mut self, ask: Ask, answer: Option<Result<Result<Whole, HttpError>, Lost>>) {
        if let Ask::Order(order, _) = ask {
            let answer = match answer {
                Some(Ok(Ok(whole))) => Ok(whole.status),
                Some(Ok(Err(error))) => Err((words::order(error.kind), error.message)),
                Some(Err(lost)) => Err((ControlKind::Refused, lost.to_string())),
                None => {
                    self.renew();
                    Err((ControlKind::Timeout, "the printer has not answered in time".to_owned()))
                }
            };
            return self.ordered(order, answer);
        }
        match answer {
            Some(Ok(Ok(whole))) => self.take(ask, &whole),
            Some(Ok(Err(error))) => {
                let end = words::failed(&error, self.announced);
                if error.kind == HttpErrorKind::Auth { self.end(end) } else { self.trouble(ask, end) }
            }
            Some(Err(Lost)) => {
                self.trouble(
                    ask,
                    words::end(ConnectionKind::Protocol, "a request failed inside the service"),
                );
            }
            None => {
                // The thread is to come back from its request before another one is begun.
                self.renew();
                self.trouble(ask, words::silent(self.announced));
            }
        }
    }

    /// Ends the request under way, and begins with a new connection.
    fn renew(&mut self) {
        let fresh = self.client.renewed();
        std::mem::replace(&mut self.client, fresh).cancel();
    }

    /// An answer came: what it says, and what is asked for next.
    fn take(&mut self, ask: Ask, whole: &Whole) {
        let code = whole.status;
        match ask {
            Ask::Version => match (code, parse::version(&whole.body)) {
                (200, Some(Peer::PrusaLink(_))) => self.follow_with(Ask::Info),
                (200, Some(Peer::Other(program))) => self.end(words::stranger(&program)),
                (200, None) => self.end(words::stranger("")),
                _ => self.trouble(ask, words::status(code, &ask.path())),
            },
            Ask::Info => {
                // An older version without this page is a printer without a serial number.
                self.serial = if code == 200 { parse::serial(&whole.body) } else { None };
                match (&self.serial, &self.expected_serial) {
                    (Some(seen), Some(expected)) if seen != expected => {
                        let message = format!(
                            "the printer at this address has the serial number {seen}, not {expected}; correct the address, or save it again to accept this printer"
                        );
                        self.end(words::end(ConnectionKind::WrongSerial, message));
                    }
                    _ => self.follow_with(Ask::Status),
                }
            }
            Ask::Status => {
                let status = if code == 200 { parse::status(&whole.body) } else { None };
                let Some(status) = status else {
                    let garbage = code == 200;
                    self.odd.malformed += u64::from(garbage);
                    let end = if garbage {
                        words::end(
                            ConnectionKind::Protocol,
                            "the printer's status cannot be read; it is asked again",
                        )
                    } else {
                        words::status(code, &ask.path())
                    };
                    return if end.kind == ConnectionKind::Auth {
                        self.end(end)
                    } else {
                        self.trouble(ask, end)
                    };
                };
                self.failures = 0;
                self.odd.fields += status.odd;
                if self.machine.status(status, boot(self.client.challenge().as_ref())) {
                    self.follow_with(Ask::Job);
                } else {
                    self.report();
                }
            }
            Ask::Job => {
                let job = if code == 200 { parse::job(&whole.body) } else { None };
                self.odd.malformed += u64::from(code == 200 && job.is_none());
                self.odd.fields += job.as_ref().map_or(0, |job| job.odd);
                self.machine.job(job);
                self.report();
            }
            // See `ordered`.
            Ask::Order(..) => {}
        }
    }

    fn follow_with(&mut self, ask: Ask) {
        self.next = ask;
        self.ask();
    }

    /// Tells the newest state, and rests.
    fn report(&mut self) {
        self.odd.reports += 1;
        if !self.announced {
            self.announced = true;
            let identity = Identity { pin: None, serial: self.serial.clone() };
            self.pending.push_back(SessionEvent::Connected(identity));
        }
        self.pending.push_back(SessionEvent::Report(Box::new(self.machine.observe())));
        self.rest();
    }

    fn rest(&mut self) {
        let now = self.clock.now().mono;
        self.next = if self.announced { Ask::Status } else { Ask::Version };
        let usual = self.begun.after(POLL_EVERY).max(now.after(PAUSE_MIN));
        let due = if self.looks > 0 { now.after(LOOK_AFTER) } else { usual };
        self.looks = self.looks.saturating_sub(1);
        self.phase = Phase::Resting(due);
    }

    /// A request failed: the printer is given up, or asked again at its time.
    fn trouble(&mut self, ask: Ask, end: SessionEnd) {
        self.machine.interrupted();
        if ask == Ask::Job {
            // The print goes without a name until the next poll.
            self.machine.job(None);
            return self.report();
        }
        self.failures += 1;
        if self.announced && self.failures < FAILURES_MAX {
            return self.rest();
        }
        self.end(end);
    }

    fn end(&mut self, end: SessionEnd) {
        self.phase = Phase::Resting(Mono(u64::MAX));
        self.pending.push_back(SessionEvent::Ended(end));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.cancel();
    }
}

/// The half of a nonce that tells the printer's boots apart: 32 random bits of the boot, then its uptime. Only printers
/// with a web server of their own make theirs that way.
fn boot(challenge: Option<&Challenge>) -> Option<Boot> {
    let challenge = challenge.filter(|seen| seen.realm == REALM && !seen.qop && seen.nonce.len() == 16)?;
    let _uptime = Boot::from_str_radix(challenge.nonce.get(8..)?, 16).ok()?;
    Boot::from_str_radix(challenge.nonce.get(..8)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_read_out_of_the_right_nonces_only() {
        let boot = |text: &str| boot(Challenge::parse(text).as_ref());
        for (text, expected) in [
            (r#"Digest realm="Printer API", nonce="deadbeef0000001f", stale=false"#, Some(0xdead_beef)),
            (r#"Digest realm="Printer API", nonce="deadbeef0000001", stale=false"#, None),
            (r#"Digest realm="Printer API", nonce="deadbeefzzzzzzzz", stale=false"#, None),
            (r#"Digest realm="Administrator", nonce="deadbeef0000001f""#, None),
            (r#"Digest realm="Printer API", nonce="deadbeef0000001f", qop="auth""#, None),
        ] {
            assert_eq!(boot(text), expected, "{text}");
        }
    }
}
