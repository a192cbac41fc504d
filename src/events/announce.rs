//! State events on their way to the bus.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

use super::counts::Counts;
use super::{Envelope, Event, Flow};
use crate::base::clock::Clock;
use crate::base::handling::{Handling, Handlings};
use crate::bus::Bus;

/// Events that the ring holds. A dozen printers at five status updates a second fill it in four seconds, which is what a
/// slow listener may fall behind before it gets a snapshot; an envelope takes about 1 KB.
pub const RING: usize = 256;

/// The product's bus.
pub type EventBus = Bus<Envelope, RING>;

/// Announces events. Cloning gives another handle to the same bus.
#[derive(Clone)]
pub struct Announcer {
    bus: EventBus,
    newest: Arc<AtomicU64>,
    counts: Arc<Counts>,
    handlings: Handlings,
    clock: Clock,
}

/// What a line of the log says of an event.
#[derive(Deserialize)]
struct Logged<'j> {
    #[serde(borrow)]
    data: Subject<'j>,
}

#[derive(Default, Deserialize)]
struct Subject<'j> {
    #[serde(borrow)]
    printer_id: Option<Cow<'j, str>>,
    #[serde(borrow)]
    filename: Option<Cow<'j, str>>,
}

impl Announcer {
    /// An announcer on `bus`, when `newest` is the newest durable seq so far.
    #[must_use]
    pub fn new(bus: EventBus, newest: u64, clock: Clock) -> Announcer {
        let (newest, handlings) = (Arc::new(AtomicU64::new(newest)), Handlings::new(clock.clone()));
        Announcer { bus, newest, counts: Arc::default(), handlings, clock }
    }

    /// Passes on a durable event that the store has committed. Called in the order of `seq`.
    pub fn committed(&self, envelope: Arc<Envelope>) {
        if let Some(seq) = envelope.seq {
            self.newest.store(seq, Ordering::Release);
        }
        self.publish(envelope);
    }

    /// Continues after a restart, when `newest` is the newest durable seq of the journal.
    pub fn resume(&self, newest: u64) {
        self.newest.store(newest, Ordering::Release);
    }

    /// Announces a state event.
    pub fn state(&self, event: Event, flow: Option<Flow>) {
        let envelope = Envelope::state(self.newest(), self.clock.now(), flow, event);
        self.publish(Arc::new(envelope));
    }

    fn publish(&self, envelope: Arc<Envelope>) {
        self.counts.note(&envelope, self.clock.now().mono);
        if log::log_enabled!(log::Level::Debug) {
            log_line(&envelope);
        }
        self.bus.publish(envelope);
    }

    /// `subscriber` begins to act on the durable event `seq`: the trace then shows when that was, how long it took and what
    /// came of it.
    pub fn handle(&self, subscriber: &'static str, seq: u64) -> Handling {
        self.handlings.begin(subscriber, seq)
    }

    /// Who handled what lately.
    #[must_use]
    pub fn handlings(&self) -> &Handlings {
        &self.handlings
    }

    /// How often each event was announced since the start.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The newest durable seq that was announced.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// The bus, to listen.
    #[must_use]
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }
}

/// What an event is about: the printer and the file, where it has them.
fn subject(json: &str) -> Subject<'_> {
    serde_json::from_str::<Logged<'_>>(json).map_or_else(|_| Subject::default(), |logged| logged.data)
}

/// One line for each event, for those who have set the level to debug.
fn log_line(envelope: &Envelope) {
    let json = envelope.json();
    let Subject { printer_id, filename } = subject(&json);
    let seq = envelope.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let name = envelope.event.name();
    match (printer_id.as_deref(), filename.as_deref()) {
        (Some(printer), Some(file)) => {
            log::debug!(event_type = name, seq = seq.as_str(), printer_id = printer, filename = file; "event");
        }
        (Some(printer), None) => {
            log::debug!(event_type = name, seq = seq.as_str(), printer_id = printer; "event")
        }
        (None, Some(file)) => log::debug!(event_type = name, seq = seq.as_str(), filename = file; "event"),
        (None, None) => log::debug!(event_type = name, seq = seq.as_str(); "event"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::RELEASE_FLOOR;
    use crate::events::{FileDeleted, JobOnly};
    use crate::model::{FileId, JobId, PrinterId};

    #[test]
    fn a_line_says_what_an_event_is_about() {
        let clock = Clock::manual(RELEASE_FLOOR);
        let of = |event| {
            let json = Envelope::durable(1, clock.now(), None, None, event).json();
            let Subject { printer_id, filename } = subject(&json);
            (printer_id.map(Cow::into_owned), filename.map(Cow::into_owned))
        };
        let (file_id, filename) = (FileId(1), "W\u{fc}rfel \"1\".gcode".to_owned());
        let deleted = FileDeleted { file_id, filename: filename.clone(), printer_id: Some(PrinterId(2)) };
        assert_eq!(of(Event::FileDeleted(deleted)), (Some("p2".into()), Some(filename)));
        assert_eq!(of(Event::JobUpdated(JobOnly { job_id: JobId(1) })), (None, None));
    }

    #[test]
    fn everything_announced_is_counted_and_what_is_handled_is_remembered() {
        let announcer = Announcer::new(EventBus::new(), 0, Clock::manual(RELEASE_FLOOR));
        announcer.state(Event::JobUpdated(JobOnly { job_id: JobId(1) }), None);
        assert_eq!(announcer.counts().all()["job_updated"].total, 1);
        announcer.handle("test", 7).done();
        assert_eq!(announcer.handlings().of(7).len(), 1);
    }
}
