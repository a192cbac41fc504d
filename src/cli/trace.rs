//! A trace as a tree for people: what led to what, how long it took, and who handled it.

use serde_json::Value;

use super::events::words;
use crate::base::logging::line::escape;

/// Blanks for each level of the tree.
const STEP: &str = "  ";
/// Levels that are shown as such: deeper ones stand below each other, so that a line stays readable.
const DEPTH_MAX: u64 = 12;

/// The lines of a trace. Events stand below what led to them, and below each event who handled it.
pub fn tree(trace: &Value) -> Vec<String> {
    let empty = Vec::new();
    let events = trace.get("events").and_then(Value::as_array).unwrap_or(&empty);
    let number = |value: &Value, field: &str| value.get(field).and_then(Value::as_u64);
    let flow = trace.get("flow").and_then(Value::as_str).unwrap_or("no flow");
    let took = duration(number(trace, "duration_ms").unwrap_or(0));
    let mut lines = vec![escape(&format!("{flow}: {} events in {took}", events.len()))];
    if trace.get("cut_off").and_then(Value::as_bool) == Some(true) {
        lines.push("(what led to the first one is no longer kept)".to_owned());
    }
    for event in ordered(events) {
        let seq = number(event, "seq").map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        let indent =
            STEP.repeat(usize::try_from(number(event, "depth").unwrap_or(0).min(DEPTH_MAX)).unwrap_or(0));
        let name = event.get("event").and_then(Value::as_str).unwrap_or("?");
        let when = match (number(event, "since_cause_ms"), number(event, "since_root_ms")) {
            (Some(cause), Some(root)) if cause != root => {
                format!("+{} (at {})", duration(cause), duration(root))
            }
            (Some(time), _) | (None, Some(time)) => format!("+{}", duration(time)),
            (None, None) => String::new(),
        };
        let when = match event.get("timestamp").and_then(Value::as_str) {
            Some(time) if number(event, "seq") == number(trace, "root") => time.to_owned(),
            _ => when,
        };
        lines.push(escape(&format!("{seq:>6} {indent}{name} {when}{}", words(event))));
        for handled in event.get("handled_by").and_then(Value::as_array).unwrap_or(&empty) {
            let text = |field: &str| handled.get(field).and_then(Value::as_str);
            let note = text("note").map_or_else(String::new, |note| format!(": {note}"));
            lines.push(escape(&format!(
                "       {indent}{STEP}[{} {} in {}, begun after {}{note}]",
                text("subscriber").unwrap_or("?"),
                text("result").unwrap_or("?"),
                duration(number(handled, "took_ms").unwrap_or(0)),
                duration(number(handled, "waited_ms").unwrap_or(0)),
            )));
        }
    }
    if trace.get("truncated").and_then(Value::as_bool) == Some(true) {
        lines.push("(there are more)".to_owned());
    }
    lines
}

/// The events so that each stands right below what led to it; siblings by `seq`. Causes come before what they led to in
/// the answer, and what is not so (another service's answer) is kept at the end.
fn ordered(events: &[Value]) -> Vec<&Value> {
    let seq = |event: &Value| event.get("seq").and_then(Value::as_u64);
    let cause = |event: &Value| event.get("cause").and_then(Value::as_u64);
    let is_root = |event: &Value| {
        let above = cause(event);
        above.is_none() || events.iter().all(|other| seq(other) != above) || above >= seq(event)
    };
    let mut stack: Vec<&Value> = events.iter().rev().filter(|event| is_root(event)).collect();
    let mut order = Vec::with_capacity(events.len());
    while let Some(event) = stack.pop() {
        order.push(event);
        let number = seq(event);
        let below = events
            .iter()
            .rev()
            .filter(|other| number.is_some() && cause(other) == number && seq(other) > number);
        stack.extend(below);
    }
    order
}

/// A time in the unit that suits it.
fn duration(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..600_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_stand_below_what_led_to_them() {
        let handled = json!([{
            "subscriber": "thumbnails", "started_at": "T", "waited_ms": 3, "took_ms": 41, "result": "failed",
            "note": "a \u{1b}[2J",
        }]);
        let event = |seq: u64, cause: Option<u64>, name: &str, depth: u64, by: &Value| {
            json!({
                "seq": seq, "cause": cause, "event": name, "timestamp": "T", "depth": depth, "since_root_ms": seq * 100,
                "since_cause_ms": cause.map(|cause| (seq - cause) * 100), "handled_by": by, "data": {"job_id": "j3"},
            })
        };
        let none = json!([]);
        let trace = json!({
            "seq": 5, "flow": "print-j3", "root": 2, "duration_ms": 12_345, "cut_off": false, "truncated": false,
            "events": [
                event(2, None, "printer_status_update", 0, &none), event(3, Some(2), "job_created", 1, &none),
                event(4, Some(2), "other", 1, &none), event(5, Some(3), "job_started", 2, &handled),
            ],
        });
        assert_eq!(
            tree(&trace),
            [
                "print-j3: 4 events in 12.3 s",
                "     2 printer_status_update T job_id=j3",
                "     3   job_created +100 ms (at 300 ms) job_id=j3",
                "     5     job_started +200 ms (at 500 ms) job_id=j3",
                "             [thumbnails failed in 41 ms, begun after 3 ms: a \\u{1b}[2J]",
                "     4   other +200 ms (at 400 ms) job_id=j3",
            ]
        );
    }

    #[test]
    fn another_services_answer_ends_too() {
        for odd in [
            json!(null),
            json!({"events": [{"seq": 1, "cause": 1}, {"seq": 2, "cause": 3}, {"seq": 3, "cause": 2}, 7, {}]}),
        ] {
            assert!(tree(&odd).len() <= 6);
        }
    }
}
