//! Server-Sent Events, read: bytes in, events out. Pure; follows the "event stream" section of the HTML standard as far as
//! a service of ours uses it.

/// Bytes of one event: a snapshot with 32 printers and 200 jobs has less than 200 KiB.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// One event of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `id:` it came with: durable events only.
    pub id: Option<String>,
    /// Its name; `message` where the stream names none.
    pub name: String,
    /// Its data.
    pub data: String,
}

/// The stream sent an event of more than [`EVENT_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// What has come of an event so far.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_return: bool,
}

impl Parser {
    /// Takes bytes as they come; calls `each` for every event that they complete.
    ///
    /// # Errors
    /// When an event is too long; the stream is of no use then.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Event)) -> Result<(), TooLong> {
        for byte in bytes {
            // A line ends with CR LF, LF or CR.
            let swallow = self.after_return && *byte == b'\n';
            self.after_return = *byte == b'\r';
            match byte {
                _ if swallow => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    if let Some(event) = self.line(&String::from_utf8_lossy(&line)) {
                        each(event);
                    }
                }
                byte => {
                    if self.line.len() + self.event.data.len() >= EVENT_BYTES_MAX {
                        return Err(TooLong);
                    }
                    self.line.push(*byte);
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            if event.name.is_empty() {
                "message".clone_into(&mut event.name);
            }
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // Comments (an empty field), `retry` and what later versions may add.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], at_a_time: usize) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in bytes.chunks(at_a_time) {
            parser.feed(piece, |event| events.push(event)).unwrap();
        }
        events
    }

    fn event(id: Option<&str>, name: &str, data: &str) -> Event {
        Event { id: id.map(str::to_owned), name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_however_the_bytes_are_cut() {
        let stream = ": hello\nretry: 2000\n\nid: 7\nevent: job_started\ndata: {\"a\":\"ü\"}\n\ndata:one\ndata: two\nnew: x\n\nevent: nothing\n\nid: 8\n";
        let expected = [event(Some("7"), "job_started", "{\"a\":\"ü\"}"), event(None, "message", "one\ntwo")];
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = stream.replace('\n', line_end);
            for at_a_time in [1, 2, 3, 7, 1000] {
                assert_eq!(parse(stream.as_bytes(), at_a_time), expected, "{line_end:?} {at_a_time}");
            }
        }
    }

    #[test]
    fn endless_events_are_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&vec![b'x'; EVENT_BYTES_MAX], |_| ()), Ok(()));
        assert_eq!(parser.feed(b"x", |_| ()), Err(TooLong));
        let mut parser = Parser::default();
        let many = b"data: 0123456789\n".repeat(EVENT_BYTES_MAX / 10);
        assert_eq!(parser.feed(&many, |_| ()), Err(TooLong));
    }
}
