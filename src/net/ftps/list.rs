//! Listings in the form of `ls -l`: bytes in, entries out.
//!
//! A line has eight fields with blanks between them (mode, links, owner, group, size, month, day, time or year), then one
//! blank, then the name: all the rest, verbatim. Names have blanks at every place, two in a row, and bytes that are not
//! UTF-8. Dates are not read: the peers' clocks are not to be trusted.

/// Longest line, in bytes: a name of 255 characters at four bytes, and room for the fields before it.
const LINE_BYTES_MAX: usize = 2 * 1024;

/// The fields before the name.
const FIELDS: usize = 8;

/// What a folder holds, as far as it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files, folders and links, in the peer's order; neither `.` nor `..`.
    pub entries: Vec<Entry>,
    /// Whether this is all there is. A cut transfer and the bounds make it false.
    pub complete: bool,
    /// Lines that were left out because they could not be read or named something that cannot be asked for.
    pub odd: u32,
}

/// One file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in bytes, as the peer says.
    pub size: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link or something else.
    Other,
}

/// A name as the peer wrote it. Never empty, without a slash, a line break or a zero byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    text: Box<str>,
    /// The bytes, where they are not the text's.
    raw: Option<Box<[u8]>>,
}

impl Name {
    /// A name of these bytes; [`None`] if it is empty or has a slash, a line break or a zero byte in it.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Name> {
        // A slash would leave the folder; the others cannot be sent in a command.
        if bytes.is_empty() || bytes.iter().any(|byte| matches!(byte, b'/' | b'\r' | b'\n' | 0)) {
            return None;
        }
        Some(match std::str::from_utf8(bytes) {
            Ok(text) => Name { text: text.into(), raw: None },
            Err(_) => Name { text: String::from_utf8_lossy(bytes).into(), raw: Some(bytes.into()) },
        })
    }

    /// The name for people; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name for the peer, byte for byte.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }
}

/// Puts a listing together from the bytes of its transfer.
#[derive(Debug)]
pub(super) struct Parser {
    listing: Listing,
    line: Vec<u8>,
    /// The current line is longer than allowed; its rest is skipped.
    overlong: bool,
    entries_max: usize,
}

impl Parser {
    pub fn new(entries_max: usize) -> Parser {
        Parser { listing: Listing::default(), line: Vec::new(), overlong: false, entries_max }
    }

    /// Takes bytes; `false` when there is no room for more entries.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = lines.next() {
            if self.line.len().saturating_add(part.len()) > LINE_BYTES_MAX {
                self.overlong = true;
            } else {
                self.line.extend_from_slice(part);
            }
            if lines.peek().is_some() && !self.line_ended() {
                return false;
            }
        }
        true
    }

    /// The listing. `complete` is whether the transfer came to its proper end.
    pub fn finish(mut self, complete: bool) -> Listing {
        // A last line without an end counts only where nothing was cut.
        let rest = !self.line.is_empty() || self.overlong;
        let room = if !rest {
            true
        } else if complete {
            self.line_ended()
        } else {
            self.listing.odd = self.listing.odd.saturating_add(1);
            true
        };
        self.listing.complete = complete && room;
        self.listing
    }

    fn line_ended(&mut self) -> bool {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let found = if self.overlong { Line::Odd } else { read(line) };
        let room = match found {
            Line::Entry(_) if self.listing.entries.len() >= self.entries_max => false,
            Line::Entry(entry) => {
                self.listing.entries.push(entry);
                true
            }
            Line::Nothing => true,
            Line::Odd => {
                self.listing.odd = self.listing.odd.saturating_add(1);
                true
            }
        };
        self.line.clear();
        self.overlong = false;
        room
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Entry(Entry),
    /// A line without an entry that is as it should be.
    Nothing,
    Odd,
}

fn read(line: &[u8]) -> Line {
    if line.is_empty() || line.starts_with(b"total ") {
        return Line::Nothing;
    }
    let Some((mode, size, name)) = fields(line) else { return Line::Odd };
    let kind = match mode.first() {
        Some(b'-') => EntryKind::File,
        Some(b'd') => EntryKind::Folder,
        Some(b'l' | b'b' | b'c' | b'p' | b's') => EntryKind::Other,
        _ => return Line::Odd,
    };
    if matches!(name, b"." | b"..") {
        return Line::Nothing;
    }
    let (Some(name), Some(size)) = (Name::new(name), decimal(size)) else { return Line::Odd };
    Line::Entry(Entry { name, kind, size })
}

/// The mode, the size and the name.
fn fields(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut rest = line;
    let mut fields = [&[] as &[u8]; FIELDS];
    for field in &mut fields {
        let start = rest.iter().position(|byte| *byte != b' ')?;
        rest = rest.get(start..)?;
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (found, after) = rest.split_at_checked(end)?;
        *field = found;
        rest = after;
    }
    let [mode, _links, _owner, _group, size, ..] = fields;
    // One blank ends the last field; any further ones belong to the name.
    Some((mode, size, rest.get(1..)?))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &[u8]) -> Vec<u8> {
        [b"-rw-r--r--    1 0        0          300000 Nov 23 13:12 ", name].concat()
    }

    fn entry(line: &[u8]) -> Entry {
        match read(line) {
            Line::Entry(entry) => entry,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(line)),
        }
    }

    fn listing(bytes: &[u8]) -> Listing {
        let mut parser = Parser::new(100);
        assert!(parser.push(bytes));
        parser.finish(true)
    }

    #[test]
    fn names_are_kept_verbatim() {
        for name in [
            "a.3mf",
            "a b  c.3mf",
            " blank before",
            "  two before",
            "blank behind ",
            "Würfel ► – x.gcode.3mf",
            "Size_ M; v2 (1).3mf",
            "13:12 total 5",
            "-rw-r--r-- 1",
            "tab\there",
        ] {
            let entry = entry(&line(name.as_bytes()));
            assert_eq!((entry.name.text(), entry.name.bytes()), (name, name.as_bytes()));
            assert_eq!((entry.kind, entry.size), (EntryKind::File, 300_000));
        }
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_shown_lossily_and_kept() {
        let entry = entry(&line(b"W\xfcrfel \xff.3mf"));
        assert_eq!(entry.name.text(), "W\u{fffd}rfel \u{fffd}.3mf");
        assert_eq!(entry.name.bytes(), b"W\xfcrfel \xff.3mf");
    }

    #[test]
    fn kinds_years_and_large_sizes() {
        let folder = entry(b"drwxr-xr-x 2 owner group 4096 Jan  1  1980 cache");
        assert_eq!((folder.kind, folder.name.text()), (EntryKind::Folder, "cache"));
        let link = entry(b"lrwxrwxrwx 1 0 0 7 Jan 1 00:00 a -> b");
        assert_eq!((link.kind, link.name.text()), (EntryKind::Other, "a -> b"));
        let large = entry(b"-rw------- 1 0 0 18446744073709551615 Jan 1 2026 large");
        assert_eq!(large.size, u64::MAX);
    }

    #[test]
    fn lines_that_name_nothing_or_something_odd() {
        for nothing in [
            &b""[..],
            b"total 12",
            b"drwxr-xr-x 2 0 0 4096 Jan 1 1980 .",
            b"drwxr-xr-x 2 0 0 0 Jan 1 1980 ..",
        ] {
            assert_eq!(read(nothing), Line::Nothing);
        }
        for odd in [
            &b"hello"[..],
            b"        ",
            b"-rw-r--r-- 1 0 0 12 Nov 23 13:12",
            b"-rw-r--r-- 1 0 0 12 Nov 23 13:12 ",
            b"-rw-r--r-- 1 0 0 12x Nov 23 13:12 a",
            b"-rw-r--r-- 1 0 0 -12 Nov 23 13:12 a",
            b"-rw-r--r-- 1 0 0 18446744073709551616 Nov 23 13:12 a",
            b"crw-r--r-- 1 0 0 8, 1 Nov 23 13:12 a",
            b"?rw-r--r-- 1 0 0 12 Nov 23 13:12 a",
            b"-rw-r--r-- 1 0 0 12 Nov 23 13:12 ../../etc/passwd",
            b"-rw-r--r-- 1 0 0 12 Nov 23 13:12 a\0b",
            b"-rw-r--r-- 1 0 0 12 Nov 23 13:12 a\rb",
        ] {
            assert_eq!(read(odd), Line::Odd, "{}", String::from_utf8_lossy(odd));
        }
    }

    #[test]
    fn lines_arrive_in_any_pieces() {
        let bytes =
            [&b"total 2\r\n"[..], &line(b"one "), b"\r\n", &line(b"two"), b"\n", &line(b"three")].concat();
        let whole = listing(&bytes);
        assert_eq!(whole.entries.iter().map(|e| e.name.text()).collect::<Vec<_>>(), ["one ", "two", "three"]);
        assert!(whole.complete && whole.odd == 0);
        for cut in 0..=bytes.len() {
            let mut parser = Parser::new(100);
            assert!(parser.push(&bytes[..cut]) && parser.push(&bytes[cut..]));
            assert_eq!(parser.finish(true), whole, "{cut}");
        }
    }

    #[test]
    fn a_listing_cut_anywhere_has_no_half_names() {
        let bytes = [line(b"one"), line(b"two")].join(&b"\r\n"[..]);
        for cut in 0..bytes.len() {
            let mut parser = Parser::new(100);
            assert!(parser.push(&bytes[..cut]));
            let listing = parser.finish(false);
            assert!(!listing.complete);
            assert!(listing.entries.iter().all(|entry| entry.name.text() == "one"), "{cut}");
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded_and_said() {
        let mut parser = Parser::new(2);
        let bytes = [line(b"a"), line(b"b"), line(b"c"), Vec::new()].join(&b"\n"[..]);
        assert!(!parser.push(&bytes));
        let cut = parser.finish(false);
        assert_eq!((cut.entries.len(), cut.complete), (2, false));
        // Exactly full is whole.
        let mut parser = Parser::new(2);
        assert!(parser.push(&[line(b"a"), line(b"b"), Vec::new()].join(&b"\n"[..])));
        assert!(parser.finish(true).complete);
        // The one too many may be a last line without an end.
        let mut parser = Parser::new(1);
        assert!(parser.push(&[line(b"a"), line(b"b")].join(&b"\n"[..])));
        assert!(!parser.finish(true).complete);
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_hides_only_itself() {
        let mut parser = Parser::new(10);
        for _ in 0..1000 {
            assert!(parser.push(&[b'x'; 1000]));
            assert!(parser.line.len() <= LINE_BYTES_MAX);
        }
        let after = [&b"\n"[..], &line(b"a"), b"\n"].concat();
        assert!(parser.push(&after));
        let listing = parser.finish(true);
        assert_eq!((listing.entries.len(), listing.odd), (1, 1));
    }

    #[test]
    fn every_byte_at_every_place_is_survived() {
        let bytes = line(b"name");
        for place in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut bytes = bytes.clone();
                bytes[place] = value;
                let _ = listing(&bytes);
            }
        }
    }
}
