//! `/events/trace/{seq}`: how a print came about, and who handled what of it.

use embedded_svc::http::server::Connection;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::Api;
use crate::base::clock::Timestamp;
use crate::base::handling::{Handled, HandlingResult};
use crate::store::TracedEvent;
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// The answer.
#[derive(Serialize)]
struct TraceView {
    /// The event that was asked for.
    seq: u64,
    flow: Option<String>,
    /// The first event: where everything else came from.
    root: u64,
    /// From the first event to the last.
    duration_ms: u64,
    /// Whether causes of the first event are no longer kept.
    cut_off: bool,
    /// Whether later events were left out.
    truncated: bool,
    /// The envelopes as the journal holds them, with `depth`, times and handlers behind their own fields.
    events: Vec<Box<RawValue>>,
}

/// What is added to an envelope.
#[derive(Serialize)]
struct Place {
    depth: u32,
    since_root_ms: u64,
    since_cause_ms: Option<u64>,
    handled_by: Vec<HandledView>,
}

/// Who handled an event.
#[derive(Serialize)]
struct HandledView {
    subscriber: &'static str,
    started_at: String,
    /// From the event to the begin of its handling.
    waited_ms: u64,
    took_ms: u64,
    result: HandlingResult,
    note: Option<String>,
}

#[derive(Deserialize)]
struct Stamp<'j> {
    timestamp: &'j str,
}

pub fn trace<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let text = call.param("seq");
    let seq: u64 = text.parse().map_err(|_| ApiError::bad_value("seq", "Use the number of an event."))?;
    let (found, oldest) = api
        .store
        .read_blocking(|view| Ok::<_, crate::store::StoreError>((view.trace(seq)?, view.oldest_seq()?)))?;
    let Some(found) = found else {
        let message = if seq < oldest {
            format!("Event {seq} is no longer kept; the oldest is {oldest}.")
        } else {
            format!("There is no event {seq} yet.")
        };
        let details = json!({"resource": "event", "id": seq, "oldest": oldest});
        return Err(ApiError::new(404, "NOT_FOUND", message).with_details(details));
    };
    let times: Vec<(u64, Timestamp)> =
        found.events.iter().map(|traced| (traced.event.seq, time_of(traced))).collect();
    let seqs: Vec<u64> = times.iter().map(|(seq, _)| *seq).collect();
    let handled = api.announcer.handlings().of_all(&seqs);
    let time = |seq: u64| {
        times
            .binary_search_by_key(&seq, |(seq, _)| *seq)
            .ok()
            .and_then(|at| times.get(at))
            .map(|(_, time)| *time)
    };
    let first = times.first().copied().unwrap_or((seq, Timestamp(0)));
    let last = times.last().copied().unwrap_or(first);
    let mut events = Vec::with_capacity(found.events.len());
    for traced in &found.events {
        let now = time(traced.event.seq).unwrap_or(first.1);
        let place = Place {
            depth: traced.depth,
            since_root_ms: now.millis_since(first.1),
            since_cause_ms: traced.cause.and_then(&time).map(|cause| now.millis_since(cause)),
            handled_by: handled
                .iter()
                .filter(|handled| handled.seq == traced.event.seq)
                .map(|handled| view(handled, now))
                .collect(),
        };
        events.extend(joined(&traced.event.json, &place));
    }
    let (root, duration_ms) = (first.0, last.1.millis_since(first.1));
    let (flow, cut_off, truncated) = (found.flow, found.cut_off, found.truncated);
    Reply::json(200, &TraceView { seq, flow, root, duration_ms, cut_off, truncated, events })
}

fn view(handled: &Handled, event: Timestamp) -> HandledView {
    HandledView {
        subscriber: handled.subscriber,
        started_at: handled.started_at.to_string(),
        waited_ms: handled.started_at.millis_since(event),
        took_ms: handled.took_ms,
        result: handled.result,
        note: handled.note.clone(),
    }
}

fn time_of(traced: &TracedEvent) -> Timestamp {
    let stamp: Option<Stamp<'_>> = serde_json::from_str(&traced.event.json).ok();
    stamp.and_then(|stamp| stamp.timestamp.parse().ok()).unwrap_or_default()
}

/// The envelope with more fields behind its own.
fn joined(envelope: &str, place: &Place) -> Option<Box<RawValue>> {
    let more = serde_json::to_string(place).ok()?;
    let joined = format!("{},{}", envelope.trim_end().strip_suffix('}')?, more.strip_prefix('{')?);
    RawValue::from_string(joined).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_keeps_its_bytes() {
        let place = Place { depth: 1, since_root_ms: 2, since_cause_ms: None, handled_by: Vec::new() };
        let joined = joined(r#"{"seq":1,"data":{"a":"}"}}"#, &place).unwrap();
        assert_eq!(
            joined.get(),
            r#"{"seq":1,"data":{"a":"}"},"depth":1,"since_root_ms":2,"since_cause_ms":null,"handled_by":[]}"#
        );
    }
}
