//! One session with one printer: connect, subscribe, ask once for everything, then listen.
//!
//! A session ends with the first trouble; who opened it decides when to try again. Nothing is published but requests for
//! a full report and for versions: some machines wedge after a dozen commands.

use std::collections::VecDeque;
use std::time::Duration;

use smol::future::FutureExt as _;

use super::liveness::{Act, Liveness};
use super::{Kind, Reports, control, words};
use crate::base::clock::{Clock, Mono};
use crate::base::secret::Secret;
use crate::model::status::ConnectionKind;
use crate::model::{Control, ControlError, ControlKind, Printer};
use crate::net::mqtt::{ConnectOptions, MqttEvent, MqttHandle, MqttLink};
use crate::net::resolve::Resolver;
use crate::net::tls::{self, Observed, PeerPolicy, TlsVersions};
use crate::printers::driver::{Identity, OddCounts, SessionEnd, SessionEvent};

/// The user name of every Bambu Lab printer.
const USER: &str = "bblp";
/// The topic when the serial number is not known yet: nothing comes on it, the certificate is what is wanted.
const NO_SERIAL: &str = "UNKNOWN";
/// Bytes of a serial number; real ones have 15.
const SERIAL_BYTES_MAX: usize = 32;

/// Partial reports count only after the first full one of a session: merged into what was known before an interruption
/// they would show a print that may be over by now. A printer that ignores the question is believed after this time.
const FULL_WITHIN: Duration = Duration::from_secs(10);

const PUSH_ALL: &str =
    r#"{"pushing":{"sequence_id":"20000","command":"pushall","version":1,"push_target":1}}"#;
const GET_VERSION: &str = r#"{"info":{"sequence_id":"20001","command":"get_version"}}"#;

/// A session. Dropping it says goodbye to the printer.
pub struct Session {
    clock: Clock,
    link: MqttLink,
    observed: Observed,
    serial: Option<String>,
    liveness: Liveness,
    reports: Reports,
    odd: OddCounts,
    logged_in: bool,
    announced: bool,
    /// A full report has come in this session.
    whole: bool,
    /// When partial reports count without a full one.
    partial_from: Option<Mono>,
    pending: VecDeque<SessionEvent>,
    /// The number of the last order, and whether its answer is waited for.
    order: Option<(u32, bool)>,
    /// The health message of refused orders was shown before the order.
    refusal_shown: bool,
}

impl Session {
    /// Resolves the printer's address and begins to connect. `reports` is what was merged before a short interruption.
    ///
    /// # Errors
    /// When the printer has no access code, its name has no address, or the service has no room for another connection.
    pub async fn open(
        printer: &Printer,
        reports: Reports,
        clock: Clock,
        mqtt: &MqttHandle,
        resolver: &Resolver,
    ) -> Result<Session, SessionEnd> {
        let connection = &printer.connection;
        let Some(code) = connection.access_code.clone().filter(|code| !code.is_empty()) else {
            return Err(words::end(
                ConnectionKind::WrongCode,
                "no access code is stored; enter the one on the printer's screen",
            ));
        };
        let address = resolver
            .resolve(&connection.host, connection.mqtt_port)
            .await
            .map_err(|error| words::end(ConnectionKind::Unreachable, &error.to_string()))?;
        let policy = PeerPolicy { pinned_spki: printer.pin, expected_common_name: connection.serial.clone() };
        let (config, observed) = tls::client_config(policy, TlsVersions::Tls12Only);
        let serial = connection.serial.clone();
        let options = ConnectOptions {
            client_id: format!("printernizer-{}", printer.id),
            username: USER.to_owned(),
            password: Secret::new(code.reveal()),
            subscribe: topic(serial.as_deref(), "report"),
            ..ConnectOptions::new(address, (config, observed.clone()))
        };
        let link = mqtt
            .connect(options)
            .map_err(|_| words::end(ConnectionKind::Busy, "the service has too many connections open"))?;
        Ok(Session {
            clock,
            link,
            observed,
            serial,
            liveness: Liveness::new(),
            reports,
            odd: OddCounts::default(),
            logged_in: false,
            announced: false,
            whole: false,
            partial_from: None,
            pending: VecDeque::new(),
            order: None,
            refusal_shown: false,
        })
    }

    /// The next event. May be dropped while it waits and called again.
    pub async fn next(&mut self) -> SessionEvent {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return event;
            }
            let woken = {
                let (clock, next, events) = (&self.clock, self.liveness.next(), &self.link.events);
                let timer = async {
                    match next {
                        Some(when) => clock.sleep_until(when).await,
                        None => std::future::pending().await,
                    }
                    None
                };
                async { Some(events.recv().await) }.or(timer).await
            };
            match woken {
                Some(Ok(event)) => self.handle(event),
                Some(Err(_)) => {
                    return SessionEvent::Ended(words::end(
                        ConnectionKind::Protocol,
                        "the connection was ended here",
                    ));
                }
                None => self.act(),
            }
        }
    }

    /// Gives an order for the print that is on. What the printer answers is an event: [`SessionEvent::Taken`] or
    /// [`SessionEvent::NotTaken`]; some firmware answers nothing.
    pub fn control(&mut self, order: Control) {
        let sequence = control::next_sequence(self.order.map(|(last, _)| last));
        self.order = Some((sequence, true));
        self.refusal_shown = control::is_refused_by_health(&self.reports.observe().errors);
        let request = topic(self.serial.as_deref(), "request");
        if self.link.publish(&request, control::payload(order, sequence)).is_err() {
            let message = "the service could not send the order; try again in a few seconds";
            self.answered(Err(ControlError::new(ControlKind::Refused, message)));
        }
    }

    fn answered(&mut self, answer: Result<(), ControlError>) {
        if let Some((_, waiting @ true)) = &mut self.order {
            *waiting = false;
            self.pending.push_back(match answer {
                Ok(()) => SessionEvent::Taken,
                Err(error) => SessionEvent::NotTaken(error),
            });
        }
    }

    /// How far the session got, in the words of a connection test.
    #[must_use]
    pub fn reached(&self) -> &'static str {
        if self.logged_in {
            "first_report"
        } else if self.observed.get().is_some() {
            "login"
        } else {
            "tls"
        }
    }

    /// What was merged, to carry over a short interruption.
    #[must_use]
    pub fn into_reports(self) -> Reports {
        self.reports
    }

    /// What odd things came in this session.
    #[must_use]
    pub fn odd(&self) -> OddCounts {
        self.odd
    }

    fn handle(&mut self, event: MqttEvent) {
        let now = self.clock.now().mono;
        match event {
            MqttEvent::Connected => {
                self.logged_in = true;
                if self.serial.is_none() {
                    self.learn_serial();
                } else {
                    self.liveness.connected(now);
                }
            }
            MqttEvent::Subscribed { .. } => {
                // A broker that refuses the topic stays silent; liveness notices that.
                self.liveness.subscribed();
                self.act();
            }
            MqttEvent::Message { payload } => {
                let applied = self.reports.apply(&payload);
                if let (Kind::Other, Some((sequence, true))) = (applied.kind, self.order)
                    && let Some(answer) = control::answer(&payload, sequence)
                {
                    self.answered(answer);
                }
                self.odd.fields += u64::from(applied.odd);
                self.odd.malformed += u64::from(applied.kind == Kind::Malformed);
                self.whole |= applied.kind == Kind::Full;
                let wanting = !self.whole || self.reports.is_missing_layers();
                // Before the first report an answer about versions is no sign that reports will come.
                let told = matches!(applied.kind, Kind::Full | Kind::Delta) || self.announced;
                if told && self.liveness.heard(applied.kind, wanting, now) {
                    self.ask();
                }
                match applied.kind {
                    Kind::Full | Kind::Delta => self.report(now),
                    // An echo may have told the plate; it is shown with the next report.
                    Kind::Other | Kind::Malformed => {}
                }
            }
            MqttEvent::Closed(error) => {
                let seen = self.identity();
                let end = words::closed(&error, self.announced, self.serial.as_deref(), seen);
                self.pending.push_back(SessionEvent::Ended(end));
            }
        }
    }

    fn report(&mut self, now: Mono) {
        if !self.whole && self.partial_from.is_none_or(|from| now < from) {
            return;
        }
        self.odd.reports += 1;
        if !self.announced {
            self.announced = true;
            let identity = self.identity().unwrap_or_default();
            self.pending
                .push_back(SessionEvent::Connected(Identity { serial: self.serial.clone(), ..identity }));
        }
        let seen = self.reports.observe();
        if !self.refusal_shown && control::is_refused_by_health(&seen.errors) {
            self.refusal_shown = true;
            self.answered(Err(control::not_permitted()));
        }
        self.pending.push_back(SessionEvent::Report(Box::new(seen)));
    }

    fn learn_serial(&mut self) {
        let identity = self.identity().unwrap_or_default();
        let event = match identity.serial.as_deref().and_then(serial) {
            Some(serial) => SessionEvent::SerialLearnt(Identity { serial: Some(serial), ..identity }),
            None => SessionEvent::Ended(words::end(
                ConnectionKind::WrongSerial,
                "the certificate names no serial number; enter the one on the printer's screen",
            )),
        };
        self.pending.push_back(event);
    }

    fn act(&mut self) {
        match self.liveness.due(self.clock.now().mono) {
            None => {}
            Some(Act::Ask) => self.ask(),
            Some(Act::GiveUpUnheard) => self.pending.push_back(SessionEvent::Ended(words::end(
                ConnectionKind::Silent,
                "connected, but the printer says nothing; check the serial number, or switch the printer off and on",
            ))),
            Some(Act::GiveUpSilent) => self.pending.push_back(SessionEvent::Ended(words::end(
                ConnectionKind::Silent,
                "the printer has stopped talking; it is asked again",
            ))),
        }
    }

    /// Asks for a full report, and for versions the first time. A full queue is no harm: liveness asks again.
    fn ask(&mut self) {
        let request = topic(self.serial.as_deref(), "request");
        let _ = self.link.publish(&request, PUSH_ALL);
        if !self.announced {
            let _ = self.link.publish(&request, GET_VERSION);
        }
        let now = self.clock.now().mono;
        self.partial_from.get_or_insert(now.after(FULL_WITHIN));
        self.liveness.asked(now);
    }

    fn identity(&self) -> Option<Identity> {
        let seen = self.observed.get()?;
        let proven =
            matches!(seen.verdict, tls::Verdict::FirstUse | tls::Verdict::Matches | tls::Verdict::KeyChanged);
        Some(Identity { pin: proven.then_some(seen.spki_sha256), serial: seen.common_name })
    }
}

fn topic(serial: Option<&str>, direction: &str) -> String {
    format!("device/{}/{direction}", serial.unwrap_or(NO_SERIAL))
}

/// A serial number as it has to be written: in capitals, without blanks. `None` for what cannot be one.
#[must_use]
pub fn serial(text: &str) -> Option<String> {
    let serial = text.trim().to_ascii_uppercase();
    let fits = !serial.is_empty() && serial.len() <= SERIAL_BYTES_MAX;
    (fits && serial.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_put_right() {
        assert_eq!(serial(" 01p00a123456789 ").as_deref(), Some("01P00A123456789"));
        for odd in ["", "  ", "01P/#", "a+b", "ä", &"1".repeat(33)] {
            assert_eq!(serial(odd), None, "{odd}");
        }
    }
}
