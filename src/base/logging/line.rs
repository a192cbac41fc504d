//! One record becomes one line: escaped, bounded, the same whoever wrote it.

use std::fmt::{self, Write};

use log::kv::{Key, Value, VisitSource};
use log::{Level, Record};

use crate::base::clock::Timestamp;

/// Bytes of a line that are kept: a long error chain fits, a printer's whole report does not.
pub const LINE_BYTES_MAX: usize = 2048;

/// Place for the mark that something was cut off.
const CUT: &str = "...";

/// Collects text: what could begin a new line, move a terminal or reverse the reading direction is written as an escape,
/// and what exceeds [`LINE_BYTES_MAX`] is dropped while it is written, so that no large text is ever built.
#[derive(Debug, Default)]
pub struct Escaped {
    text: String,
    cut: bool,
}

impl Escaped {
    /// What was collected.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn put(&mut self, text: &str) -> fmt::Result {
        if self.cut {
            return Err(fmt::Error);
        }
        if self.text.len() + text.len() > LINE_BYTES_MAX - CUT.len() {
            self.cut = true;
            self.text.push_str(CUT);
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

impl Write for Escaped {
    /// # Errors
    /// When the line is full; formatting stops there.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut buffer = [0; 4];
        for character in text.chars() {
            match character {
                '\n' => self.put("\\n")?,
                '\r' => self.put("\\r")?,
                '\t' => self.put("\\t")?,
                other if is_unsafe(other) => self.put(&other.escape_unicode().to_string())?,
                other => self.put(other.encode_utf8(&mut buffer))?,
            }
        }
        Ok(())
    }
}

/// Characters that must not reach a terminal or a log reader: controls, line and paragraph separators, and those that
/// change the direction of the text around them.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// `text` on one line, escaped and bounded; for messages that do not go through the log.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = Escaped::default();
    let _ = out.write_str(text);
    out.into_text()
}

/// The record as `room: message key=value ...`.
#[must_use]
pub fn render(record: &Record<'_>) -> String {
    let mut out = Escaped::default();
    let target = record.target();
    let room = target.strip_prefix("printernizer::").unwrap_or(target);
    // An error means that the line is full: what fits is the line.
    let _ = write!(out, "{room}: {}", record.args());
    let _ = record.key_values().visit(&mut Pairs(&mut out));
    out.into_text()
}

struct Pairs<'o>(&'o mut Escaped);

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        let text = escape(&value.to_string());
        let bare = !text.is_empty() && !text.contains([' ', '"', '=']);
        let written = if bare {
            write!(self.0, " {key}={text}")
        } else {
            write!(self.0, " {key}=\"{}\"", text.replace('"', "'"))
        };
        written.map_err(log::kv::Error::from)
    }
}

/// The line as it leaves the process: with the journal's level mark, or with `wall` time and level.
#[must_use]
pub fn finish(level: Level, wall: Option<Timestamp>, text: &str) -> String {
    match wall {
        Some(wall) => format!("{wall} {level:<5} {text}\n"),
        None => format!("<{}>{text}\n", syslog(level)),
    }
}

/// The level as in sd-daemon(3).
fn syslog(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render_text(text: &str) -> String {
        render(
            &Record::builder()
                .target("printernizer::jobs")
                .level(Level::Info)
                .args(format_args!("{text}"))
                .build(),
        )
    }

    #[test]
    fn nobody_can_forge_a_line() {
        let line = render_text("name\n<0>forged\r\u{1b}[2J\u{202E}\u{2028}ü\u{85}");
        assert_eq!(line, "jobs: name\\n<0>forged\\r\\u{1b}[2J\\u{202e}\\u{2028}ü\\u{85}");
    }

    #[test]
    fn lines_are_bounded_at_a_character() {
        let line = render_text(&"ä".repeat(100_000));
        assert!(line.len() <= LINE_BYTES_MAX && line.ends_with("ä..."));
        let line = render_text(&"\u{1}".repeat(100_000));
        assert!(line.len() <= LINE_BYTES_MAX && line.ends_with("\\u{1}..."));
    }

    #[test]
    fn pairs_follow_the_message() {
        let pairs = [
            ("printer_id", Value::from("p1")),
            ("filename", Value::from("a b\n\"x\"")),
            ("n", Value::from(3)),
        ];
        let record =
            Record::builder().target("rustls").args(format_args!("hello")).key_values(&pairs).build();
        assert_eq!(render(&record), "rustls: hello printer_id=p1 filename=\"a b\\n'x'\" n=3");
    }

    #[test]
    fn the_journal_gets_levels_and_a_terminal_the_time() {
        assert_eq!(finish(Level::Warn, None, "x"), "<4>x\n");
        assert_eq!(finish(Level::Info, Some(Timestamp(0)), "x"), "1970-01-01T00:00:00.000Z INFO  x\n");
    }
}
