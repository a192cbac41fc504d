//! The envelope around every event, and its JSON as every listener sees it.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Event;
use crate::base::clock::{Now, Timestamp};
use crate::bus::Sequenced;

/// The workflow instance that an event belongs to: a connection attempt, a manual download, a print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow(pub Arc<str>);

impl Flow {
    /// A flow by its id, as `print-j12` or `connect-p1-7`.
    #[must_use]
    pub fn new(id: &str) -> Flow {
        Flow(Arc::from(id))
    }
}

/// One event as it is announced. The JSON is made once, by whoever needs it first, and shared.
#[derive(Debug)]
pub struct Envelope {
    /// Durable: gap-free and strictly rising; state: `None`.
    pub seq: Option<u64>,
    /// The newest durable seq when this was made (for a durable event: its own).
    pub after: u64,
    /// When it was made.
    pub timestamp: Timestamp,
    /// Whether the device knew the time.
    pub clock_synced: bool,
    /// The workflow instance.
    pub flow: Option<Flow>,
    /// `seq` of the durable event that led to this one.
    pub cause: Option<u64>,
    /// What happened.
    pub event: Event,
    json: OnceLock<Arc<str>>,
}

impl Envelope {
    /// A durable event with its `seq`.
    #[must_use]
    pub fn durable(seq: u64, now: Now, flow: Option<Flow>, cause: Option<u64>, event: Event) -> Envelope {
        Envelope {
            seq: Some(seq),
            after: seq,
            timestamp: now.wall,
            clock_synced: now.synced,
            flow,
            cause,
            event,
            json: OnceLock::new(),
        }
    }

    /// A state event, made when `after` was the newest durable seq.
    #[must_use]
    pub fn state(after: u64, now: Now, flow: Option<Flow>, event: Event) -> Envelope {
        Envelope {
            seq: None,
            after,
            timestamp: now.wall,
            clock_synced: now.synced,
            flow,
            cause: None,
            event,
            json: OnceLock::new(),
        }
    }

    /// Reads an envelope back from its JSON, as the journal holds it. [`Envelope::json`] then gives exactly `json`. `None` for
    /// an event that this version does not know, or bytes that are not an envelope.
    #[must_use]
    pub fn from_json(json: Arc<str>) -> Option<Envelope> {
        let read: Written<'_> = serde_json::from_str(&json).ok()?;
        let (seq, after, cause, clock_synced) = (read.seq, read.after, read.cause, read.clock_synced);
        let timestamp = read.timestamp.parse().ok()?;
        let flow = read.flow.as_deref().map(Flow::new);
        let event = Event::parse(&read.event, read.data.get())?;
        Some(Envelope { seq, after, timestamp, clock_synced, flow, cause, event, json: OnceLock::from(json) })
    }

    /// The envelope as JSON. For a durable event these are the bytes that the journal holds.
    #[must_use]
    pub fn json(&self) -> Arc<str> {
        Arc::clone(self.json.get_or_init(|| Arc::from(self.render())))
    }

    fn render(&self) -> String {
        let mut data = Vec::with_capacity(256);
        if self.event.write_data(&mut data).is_err() {
            data = b"{}".to_vec();
        }
        let number = |value: Option<u64>| value.map_or_else(|| "null".to_owned(), |value| value.to_string());
        let synced = if self.clock_synced { "" } else { ",\"clock_synced\":false" };
        let flow = self.flow.as_ref().map_or_else(|| "null".to_owned(), |flow| json!(&*flow.0).to_string());
        format!(
            "{{\"seq\":{},\"after\":{},\"event\":\"{}\",\"timestamp\":\"{}\"{synced},\"flow\":{flow},\"cause\":{},\"data\":{}}}",
            number(self.seq),
            self.after,
            self.event.name(),
            self.timestamp,
            number(self.cause),
            String::from_utf8_lossy(&data),
        )
    }
}

/// An envelope as it was written.
#[derive(Deserialize)]
struct Written<'a> {
    seq: Option<u64>,
    after: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(default = "yes")]
    clock_synced: bool,
    #[serde(borrow)]
    flow: Option<Cow<'a, str>>,
    cause: Option<u64>,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn yes() -> bool {
    true
}

impl Sequenced for Envelope {
    fn seq(&self) -> Option<u64> {
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Mono, RELEASE_FLOOR};
    use crate::events::{JobOnly, ServiceStopping};
    use crate::model::JobId;

    #[test]
    fn the_envelope_has_every_field() {
        let now = Now { mono: Mono(0), wall: RELEASE_FLOOR, synced: true };
        let event = Event::JobUpdated(JobOnly { job_id: JobId(2) });
        let envelope = Envelope::durable(9, now, Some(Flow::new("print-j2")), Some(8), event);
        assert_eq!(
            &*envelope.json(),
            r#"{"seq":9,"after":9,"event":"job_updated","timestamp":"2026-11-01T00:00:00.000Z","flow":"print-j2","cause":8,"data":{"job_id":"j2"}}"#
        );
    }

    #[test]
    fn an_envelope_comes_back_from_its_own_bytes() {
        let now = Now { mono: Mono(0), wall: Timestamp(1_793_491_212_345), synced: true };
        let event = Event::ServiceStopping(ServiceStopping { reason: "a \"test\"".into() });
        let written = Envelope::durable(9, now, Some(Flow::new("a \"flow\"")), Some(8), event);
        let read = Envelope::from_json(written.json()).unwrap();
        assert_eq!((read.seq, read.after, read.cause), (Some(9), 9, Some(8)));
        assert_eq!((read.timestamp, read.clock_synced), (now.wall, true));
        assert_eq!((&read.flow, &read.event), (&written.flow, &written.event));
        assert_eq!(read.json(), written.json());
        // Also with other blanks than ours: the bytes of the journal count.
        let spaced: Arc<str> =
            Arc::from(written.json().replace("\"cause\":", "\"clock_synced\": false, \"cause\": "));
        let read = Envelope::from_json(Arc::clone(&spaced)).unwrap();
        assert!(!read.clock_synced);
        assert_eq!(read.json(), spaced);
        assert!(Envelope::from_json(Arc::from("{}")).is_none());
        assert!(
            Envelope::from_json(Arc::from(written.json().replace("service_stopping", "unknown"))).is_none()
        );
    }

    #[test]
    fn an_unknown_time_is_said() {
        let now = Now { mono: Mono(0), wall: Timestamp(0), synced: false };
        let event = Event::ServiceStopping(ServiceStopping { reason: "a \"test\"".into() });
        let envelope = Envelope::state(3, now, None, event);
        assert_eq!(
            &*envelope.json(),
            r#"{"seq":null,"after":3,"event":"service_stopping","timestamp":"1970-01-01T00:00:00.000Z","clock_synced":false,"flow":null,"cause":null,"data":{"reason":"a \"test\""}}"#
        );
    }
}
