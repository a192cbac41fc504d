//! Splits a stream of bytes into lines without ever holding more than one bounded line.

use super::limits;

/// Collects bytes until a line is complete. A line longer than [`limits::LINE_MAX`] is handed on cut.
#[derive(Default)]
pub(crate) struct LineSplitter {
    partial: Vec<u8>,
    /// Bytes of the current line that were dropped because it is too long.
    dropped: u64,
    /// Offset of the next byte to come.
    offset: u64,
}

/// One line without its end.
pub(crate) struct Line<'a> {
    pub bytes: &'a [u8],
    /// Offset of its first byte in the stream.
    pub start: u64,
    /// Offset after its line end.
    pub end: u64,
}

impl LineSplitter {
    /// A splitter whose first byte is at `offset` of the file.
    pub fn starting_at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    /// Takes `chunk` and calls `each` for every line that it completes.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Line<'_>)) {
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            self.offset = self.offset.saturating_add(piece.len() as u64);
            let Some(body) = piece.strip_suffix(b"\n") else {
                self.keep(piece);
                continue;
            };
            if self.partial.is_empty() && self.dropped == 0 {
                let body = body.get(..body.len().min(limits::LINE_MAX)).unwrap_or_default();
                each(Line {
                    bytes: trim_end(body),
                    start: self.offset - piece.len() as u64,
                    end: self.offset,
                });
                continue;
            }
            self.keep(body);
            self.emit(1, &mut each);
        }
    }

    /// Hands on the last line when the stream ended without a line end.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.partial.is_empty() || self.dropped > 0 {
            self.emit(0, &mut each);
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = limits::LINE_MAX - self.partial.len().min(limits::LINE_MAX);
        let taken = piece.len().min(room);
        self.partial.extend_from_slice(piece.get(..taken).unwrap_or_default());
        self.dropped += (piece.len() - taken) as u64;
    }

    fn emit(&mut self, line_end: u64, each: &mut impl FnMut(Line<'_>)) {
        let length = self.partial.len() as u64 + self.dropped + line_end;
        each(Line {
            bytes: trim_end(&self.partial),
            start: self.offset.saturating_sub(length),
            end: self.offset,
        });
        self.partial.clear();
        self.dropped = 0;
    }
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_do_not_change_the_lines() {
        let text = b"a\r\n\nlonger line\nlast";
        for size in 1..text.len() {
            let mut lines = Vec::new();
            let mut splitter = LineSplitter::default();
            for chunk in text.chunks(size) {
                splitter.push(chunk, |line| lines.push((line.bytes.to_vec(), line.start, line.end)));
            }
            splitter.finish(|line| lines.push((line.bytes.to_vec(), line.start, line.end)));
            assert_eq!(
                lines,
                [
                    (b"a".to_vec(), 0, 3),
                    (b"".to_vec(), 3, 4),
                    (b"longer line".to_vec(), 4, 16),
                    (b"last".to_vec(), 16, 20)
                ]
            );
        }
    }

    #[test]
    fn an_endless_line_is_held_up_to_the_limit() {
        let mut splitter = LineSplitter::default();
        for _ in 0..100 {
            splitter.push(&[b'x'; 10_000], |_| panic!("there is no line end"));
        }
        assert!(splitter.partial.len() <= limits::LINE_MAX);
        let mut seen = 0;
        splitter.push(b"\nshort\n", |line| {
            seen += 1;
            assert!(seen > 1 || (line.bytes.len() == limits::LINE_MAX && line.end == 1_000_001));
        });
        assert_eq!(seen, 2);
    }
}
