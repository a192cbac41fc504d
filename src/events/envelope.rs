//! The envelope around every event, and its JSON as every listener sees it.

use std::sync::{Arc, OnceLock};

use serde_json::json;

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
