//! Recordings of real printers, played to subscribers.
//!
//! A recording is a text file with one message a line: `YYYY-MM-DD HH:MM:SS :: json`. Lines of any other shape are
//! skipped. The recordings themselves are no part of this repository.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

/// Messages kept of one recording; a day of a printer that reports every two seconds has half of that.
const MESSAGES_MAX: usize = 100_000;
/// A pause in the recording longer than this is cut to it, in recorded seconds.
const PAUSE_MAX_S: f64 = 60.0;

/// A recording in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recording {
    messages: Arc<Vec<(f64, String)>>,
}

impl Recording {
    /// Reads a recording from a file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no message.
    pub fn read(path: &Path) -> io::Result<Self> {
        let recording = Self::parse(&String::from_utf8_lossy(&std::fs::read(path)?));
        if recording.messages.is_empty() {
            let reason = format!("{} holds no line of the form `DATE TIME :: JSON`", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(recording)
    }

    /// Reads a recording from its text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut messages = Vec::new();
        let mut last_second = None;
        for line in text.lines().take(MESSAGES_MAX) {
            let Some((stamp, payload)) = line.split_once(" :: ") else { continue };
            let Some(second) = second_of_day(stamp) else { continue };
            // Over midnight the difference is negative; the pause is short anyway.
            let pause = last_second.map_or(0.0, |last: u32| f64::from(second.saturating_sub(last)));
            last_second = Some(second);
            messages.push((pause.min(PAUSE_MAX_S), payload.to_owned()));
        }
        Self { messages: Arc::new(messages) }
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

fn second_of_day(stamp: &str) -> Option<u32> {
    let (_, time) = stamp.split_once(' ')?;
    let mut parts = time.split(':').map(|part| part.trim().parse::<u32>().ok());
    Some(parts.next()?? * 3_600 + parts.next()?? * 60 + parts.next()??)
}

/// A recording being played, with the state that its messages add up to.
#[derive(Debug)]
pub struct Replay {
    left: VecDeque<(f64, String)>,
    waited_s: f64,
    state: Value,
}

impl Replay {
    /// Starts at the first message. Until the recording comes to a full report of its own, `pushall` is answered
    /// with its first one.
    #[must_use]
    pub fn new(recording: &Recording) -> Self {
        let left: VecDeque<_> = recording.messages.iter().cloned().collect();
        let is_full = |message: &Value| message.pointer("/print/msg").and_then(Value::as_u64) == Some(0);
        let first = left.iter().filter_map(|(_, payload)| serde_json::from_str(payload).ok()).find(is_full);
        Self { left, waited_s: 0.0, state: first.unwrap_or(Value::Null) }
    }

    /// Recorded seconds until the next message; `None` at the end.
    #[must_use]
    pub fn until_next(&self) -> Option<f64> {
        self.left.front().map(|(pause, _)| (pause - self.waited_s).max(0.0))
    }

    /// Lets recorded time pass, at most up to [`Replay::until_next`], and gives the message that is due.
    pub fn advance(&mut self, seconds: f64) -> Option<String> {
        self.waited_s += seconds;
        if self.until_next()? > 1e-9 {
            return None;
        }
        self.next_message()
    }

    /// The next message, whether due or not.
    pub fn next_message(&mut self) -> Option<String> {
        let (_, payload) = self.left.pop_front()?;
        self.waited_s = 0.0;
        if let Ok(message) = serde_json::from_str::<Value>(&payload) {
            self.add(&message);
        }
        Some(payload)
    }

    /// The answer to `pushall`: everything known by now.
    #[must_use]
    pub fn full(&self) -> String {
        self.state.to_string()
    }

    fn add(&mut self, message: &Value) {
        if message.pointer("/print/command").and_then(Value::as_str) != Some("push_status") {
            return;
        }
        if message.pointer("/print/msg").and_then(Value::as_u64) == Some(0) || self.state.is_null() {
            self.state = message.clone();
            return;
        }
        merge(&mut self.state, message);
        if let Some(kind) = self.state.pointer_mut("/print/msg") {
            *kind = Value::from(0);
        }
    }
}

/// Objects deeply, all else by replacement.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "2026-01-02 10:00:00 :: {\"print\":{\"a\":1,\"command\":\"push_status\",\"msg\":1}}\n\
        not a message\n\
        2026-01-02 10:00:02 :: {\"print\":{\"a\":2,\"b\":{\"c\":1},\"command\":\"push_status\",\"msg\":0}}\n\
        2026-01-02 10:00:05 :: {\"print\":{\"b\":{\"d\":3},\"command\":\"push_status\",\"msg\":1}}\n";

    #[test]
    fn messages_keep_their_distances_and_add_up() {
        let recording = Recording::parse(TEXT);
        assert_eq!(recording.len(), 3);
        let mut replay = Replay::new(&recording);
        assert!(
            replay.full().contains("\"a\":2"),
            "the first full report answers before anything was played"
        );
        assert!(replay.advance(0.0).is_some_and(|payload| payload.contains("\"a\":1")));
        assert_eq!(replay.until_next(), Some(2.0));
        assert_eq!(replay.advance(1.5), None);
        assert!(replay.advance(0.5).is_some());
        assert!(replay.advance(3.0).is_some());
        assert_eq!(replay.until_next(), None);
        let state: Value = serde_json::from_str(&replay.full()).expect("valid JSON");
        assert_eq!(state["print"]["b"], serde_json::json!({ "c": 1, "d": 3 }));
        assert_eq!(state["print"]["msg"], 0);
    }
}
