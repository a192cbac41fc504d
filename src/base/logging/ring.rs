//! The newest lines, in memory, for the page and the support bundle.

use std::collections::VecDeque;

use log::Level;

use crate::base::clock::Timestamp;

/// Lines that are kept: some hours of a quiet service, some minutes of a noisy one.
pub const LINES_MAX: usize = 500;
/// Bytes of text that are kept: long lines push out more short ones.
pub const BYTES_MAX: usize = 64 * 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number since the start, from 1.
    pub number: u64,
    /// When it was written.
    pub wall: Timestamp,
    /// Its level.
    pub level: Level,
    /// Room, message and pairs; escaped.
    pub text: Box<str>,
}

/// The lines.
#[derive(Debug, Default)]
pub struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
    last: u64,
}

impl Ring {
    /// No line yet. Memory is taken as lines come.
    #[must_use]
    pub fn new() -> Ring {
        Ring::default()
    }

    /// Adds a line; the oldest make room.
    pub fn push(&mut self, wall: Timestamp, level: Level, text: String) {
        self.last += 1;
        self.bytes += text.len();
        self.lines.push_back(Line { number: self.last, wall, level, text: text.into_boxed_str() });
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len();
        }
    }

    /// The lines with a number above `after`, oldest first.
    #[must_use]
    pub fn after(&self, after: u64) -> Vec<Line> {
        self.lines.iter().filter(|line| line.number > after).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay_within_both_bounds() {
        let mut ring = Ring::new();
        for number in 0..2000 {
            ring.push(Timestamp(number), Level::Info, format!("line {number}"));
        }
        let lines = ring.after(0);
        assert_eq!((lines.len(), lines[0].number, &*lines[499].text), (LINES_MAX, 1501, "line 1999"));
        assert_eq!(ring.after(1999).len(), 1);
        for _ in 0..100 {
            ring.push(Timestamp(0), Level::Info, "x".repeat(2048));
        }
        assert_eq!(ring.after(0).len(), 32);
        ring.push(Timestamp(0), Level::Info, "x".repeat(2 * BYTES_MAX));
        assert!(ring.after(0).is_empty() && ring.bytes == 0);
    }
}
