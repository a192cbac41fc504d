//! A small pull parser for the XML of packages: elements, attributes, text.
//!
//! Own code instead of a crate, because the parts we read are flat lists of elements with attributes, because depth,
//! number and length must be bounded *while* reading a stream that may expand a thousandfold, and because document type
//! declarations, the door of every XML bomb, are simply refused. Namespaces are not resolved: a prefix is cut off.

use std::io::{BufRead, BufReader, Read};

use crate::formats::limits;
use crate::formats::result::Failure;

/// One thing in the document.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// An element begins. An `empty` one has no end event.
    Start { name: String, attributes: Vec<(String, String)>, empty: bool },
    /// Text between tags, trimmed; cut at [`limits::XML_TEXT_MAX`].
    Text(String),
    /// An element ends.
    End { name: String },
}

impl Event {
    /// The attribute called `name`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let Self::Start { attributes, .. } = self else { return None };
        attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads events out of a stream.
pub(crate) struct Xml<R: Read> {
    reader: BufReader<R>,
    depth: usize,
    /// Whether the bracket that opens the next tag is consumed already.
    in_tag: bool,
    buffer: Vec<u8>,
}

fn damaged() -> Failure {
    Failure::corrupt("an XML part is malformed")
}

impl<R: Read> Xml<R> {
    /// A parser of what `reader` gives.
    pub fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(4096, reader), depth: 0, in_tag: false, buffer: Vec::new() }
    }

    /// The stream below.
    pub fn into_inner(self) -> R {
        self.reader.into_inner()
    }

    /// The next event; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if !self.in_tag {
                if !self.until(b'<', true)? {
                    return if self.depth == 0 {
                        Ok(None)
                    } else {
                        Err(Failure::corrupt("an XML part ends too early"))
                    };
                }
                self.in_tag = true;
                let text = self.buffer.trim_ascii();
                if !text.is_empty() && self.depth > 0 {
                    return Ok(Some(Event::Text(unescape(text))));
                }
            }
            self.in_tag = false;
            if let Some(event) = self.tag()? {
                return Ok(Some(event));
            }
        }
    }

    /// The tag whose bracket is consumed. `None` for comments and instructions.
    fn tag(&mut self) -> Result<Option<Event>, Failure> {
        match self.peek()? {
            Some(b'?') => self.skip_past(b"?>").map(|()| None),
            Some(b'!') => self.declaration().map(|()| None),
            Some(b'/') => {
                if !self.until(b'>', false)? {
                    return Err(damaged());
                }
                self.depth = self.depth.checked_sub(1).ok_or_else(damaged)?;
                let name = self.buffer.get(1..).unwrap_or_default().trim_ascii();
                Ok(Some(Event::End { name: local_name(name)? }))
            }
            Some(_) => self.start().map(Some),
            None => Err(damaged()),
        }
    }

    fn start(&mut self) -> Result<Event, Failure> {
        // Up to the bracket outside of quotes.
        self.buffer.clear();
        let mut quote = None;
        loop {
            let byte = self.byte()?.ok_or_else(damaged)?;
            match quote {
                Some(mark) if byte == mark => quote = None,
                Some(_) => {}
                None if byte == b'>' => break,
                None if byte == b'"' || byte == b'\'' => quote = Some(byte),
                None => {}
            }
            if self.buffer.len() >= limits::XML_TEXT_MAX {
                return Err(Failure::too_large("an XML element is too long"));
            }
            self.buffer.push(byte);
        }
        let mut body = self.buffer.as_slice();
        let empty = body.last() == Some(&b'/');
        if empty {
            body = body.get(..body.len() - 1).unwrap_or_default();
        }
        let end = body.iter().position(u8::is_ascii_whitespace).unwrap_or(body.len());
        let (name, rest) = body.split_at(end);
        let event = Event::Start { name: local_name(name)?, attributes: attributes(rest)?, empty };
        if !empty {
            self.depth += 1;
            if self.depth > limits::XML_DEPTH_MAX {
                return Err(Failure::too_large("an XML part is nested too deeply"));
            }
        }
        Ok(event)
    }

    /// Comments are skipped, character data too (no part of ours uses it), a document type is refused.
    fn declaration(&mut self) -> Result<(), Failure> {
        let mut head = Vec::new();
        while head.len() < 3 {
            head.push(self.byte()?.ok_or_else(damaged)?);
        }
        match head.as_slice() {
            b"!--" => self.skip_past(b"-->"),
            b"![C" => self.skip_past(b"]]>"),
            _ => Err(Failure::unsupported("an XML part declares a document type, which is refused")),
        }
    }

    /// Reads into the buffer up to `mark`, which is consumed. False at the end of the stream. With `keep_prefix` the
    /// buffer keeps only as much as is allowed and the rest passes by; otherwise too much is an error.
    fn until(&mut self, mark: u8, keep_prefix: bool) -> Result<bool, Failure> {
        self.buffer.clear();
        loop {
            let available = self.reader.fill_buf().map_err(|error| stream_failure(&error))?;
            if available.is_empty() {
                return Ok(false);
            }
            let at = available.iter().position(|&byte| byte == mark);
            let taken = available.get(..at.unwrap_or(available.len())).unwrap_or_default();
            let room = limits::XML_TEXT_MAX - self.buffer.len();
            if taken.len() > room && !keep_prefix {
                return Err(Failure::too_large("an XML element is too long"));
            }
            self.buffer.extend_from_slice(taken.get(..taken.len().min(room)).unwrap_or_default());
            let consumed = taken.len() + usize::from(at.is_some());
            self.reader.consume(consumed);
            if at.is_some() {
                return Ok(true);
            }
        }
    }

    fn skip_past(&mut self, mark: &[u8]) -> Result<(), Failure> {
        let mut recent = [0u8; 3];
        loop {
            let byte = self.byte()?.ok_or_else(damaged)?;
            recent = [recent[1], recent[2], byte];
            if recent.ends_with(mark) {
                return Ok(());
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, Failure> {
        Ok(self.reader.fill_buf().map_err(|error| stream_failure(&error))?.first().copied())
    }

    fn byte(&mut self) -> Result<Option<u8>, Failure> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.reader.consume(1);
        }
        Ok(byte)
    }
}

/// The stream knows better what happened below; callers ask it. This is for the rest.
fn stream_failure(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => Failure::too_large("an XML part is too large"),
        _ => Failure::corrupt("an XML part cannot be unpacked"),
    }
}

/// A name without its prefix.
fn local_name(name: &[u8]) -> Result<String, Failure> {
    if name.is_empty() || name.len() > limits::NAME_MAX {
        return Err(damaged());
    }
    let local = name.rsplit(|&byte| byte == b':').next().unwrap_or(name);
    std::str::from_utf8(local).map(str::to_owned).map_err(|_| damaged())
}

fn attributes(mut rest: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let mut out = Vec::new();
    loop {
        rest = rest.trim_ascii();
        if rest.is_empty() {
            return Ok(out);
        }
        let equals = rest.iter().position(|&byte| byte == b'=').ok_or_else(damaged)?;
        let name = rest.get(..equals).unwrap_or_default().trim_ascii();
        rest = rest.get(equals + 1..).unwrap_or_default().trim_ascii_start();
        let mark = *rest.first().filter(|&&mark| mark == b'"' || mark == b'\'').ok_or_else(damaged)?;
        let value = rest.get(1..).unwrap_or_default();
        let end = value.iter().position(|&byte| byte == mark).ok_or_else(damaged)?;
        if out.len() >= limits::XML_ATTRIBUTES_MAX {
            return Err(Failure::too_large("an XML element has too many attributes"));
        }
        out.push((local_name(name)?, unescape(value.get(..end).unwrap_or_default())));
        rest = value.get(end + 1..).unwrap_or_default();
    }
}

/// Text with its five named and its numbered characters; anything else behind an ampersand stays as it is.
fn unescape(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains('&') {
        return text.into_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('&') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at..).unwrap_or_default();
        let entity = rest.get(1..rest.find(';').filter(|&end| end < 12).unwrap_or(1)).unwrap_or_default();
        let character = match entity {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => numbered(entity),
        };
        match character {
            Some(character) => {
                out.push(character);
                rest = rest.get(entity.len() + 2..).unwrap_or_default();
            }
            None => {
                out.push('&');
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

fn numbered(entity: &str) -> Option<char> {
    let digits = entity.strip_prefix('#')?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Result<Vec<Event>, Failure> {
        let mut xml = Xml::new(text.as_bytes());
        let mut out = Vec::new();
        while let Some(event) = xml.next()? {
            out.push(event);
        }
        Ok(out)
    }

    #[test]
    fn elements_attributes_and_text() {
        let text = "<?xml version='1.0'?><!-- a > b --><c:config a=\"x&amp;&#x41;\" b = '>'>\n text &lt;1 <e/></c:config>";
        assert_eq!(
            events(text).unwrap(),
            [
                Event::Start {
                    name: "config".into(),
                    attributes: vec![("a".into(), "x&A".into()), ("b".into(), ">".into())],
                    empty: false
                },
                Event::Text("text <1".into()),
                Event::Start { name: "e".into(), attributes: vec![], empty: true },
                Event::End { name: "config".into() },
            ]
        );
    }

    #[test]
    fn bombs_are_refused() {
        let doctype = "<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\">]><a>&b;</a>";
        assert_eq!(events(doctype).unwrap_err().kind, crate::formats::Kind::Unsupported);
        let deep = "<a>".repeat(100_000);
        assert_eq!(events(&deep).unwrap_err().kind, crate::formats::Kind::TooLarge);
        let wide = format!("<a {}/>", "b='1' ".repeat(100));
        assert_eq!(events(&wide).unwrap_err().kind, crate::formats::Kind::TooLarge);
        let long = format!("<a b='{}'/>", "x".repeat(1_000_000));
        assert_eq!(events(&long).unwrap_err().kind, crate::formats::Kind::TooLarge);
    }

    #[test]
    fn malformed_text_is_an_error_and_never_a_panic() {
        for text in [
            "<",
            "<a",
            "<a b>",
            "<a b=c>",
            "</a>",
            "<a></a></a>",
            "<a>",
            "<!",
            "<!-",
            "<a b='",
            "< a>",
            "<a b='1'",
        ] {
            assert!(events(text).is_err(), "{text}");
        }
        assert_eq!(events("no xml at all").unwrap(), []);
    }
}
