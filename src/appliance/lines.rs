//! The text of `printernizer.toml` as people write it, line by line: tidied into TOML, with the places of its values.
//!
//! Editors of phones and office programs change quotes, people leave them out, capitals creep in. What is meant is clear in
//! these cases, so a line is rewritten and its number stays: mistakes are told with the number that the person sees. What
//! is not clear is left as it is, and the reader of TOML complains.
//!
//! Pure. Not here: what the keys mean. Bounds: those of the file, which the caller has read.

use std::ops::Range;

/// Keys whose values are texts, so that missing quotes are put around them. An access code of digits is no number.
const TEXT_KEYS: &[&str] = &[
    "ssid",
    "password",
    "country",
    "name",
    "zone",
    "host",
    "serial",
    "access_code",
    "api_key",
    "username",
    "location",
    "description",
    "type",
    "level",
];
/// Keys whose values must not be seen.
const SECRET_KEYS: &[&str] = &["password", "access_code", "api_key"];
/// What may stand for a straight double quote, and for a straight single one.
const DOUBLE_QUOTES: &[char] =
    &['\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{ab}', '\u{bb}', '\u{ff02}'];
const SINGLE_QUOTES: &[char] = &['\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}', '\u{2032}'];

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As TOML has it; without the line's end.
    pub text: String,
    /// What it is.
    pub kind: Kind,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[name]` or `[[name]]`.
    Header {
        /// The name, in small letters.
        name: String,
    },
    /// `key = value` on one line.
    Pair(Pair),
    /// A comment, an empty line, a part of something longer, or nothing that makes sense.
    Other,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key, in small letters.
    pub key: String,
    /// The value as TOML has it, quotes included.
    pub value: String,
    /// Where the value stands in the text that was read, quotes included.
    pub span: Range<usize>,
}

impl Pair {
    /// Whether nobody may see the value.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        is_secret(&self.key)
    }

    /// Whether the value stands for one that was taken over before: nothing but stars.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let inner = self.value.trim_matches(['"', '\'']).trim();
        self.is_secret() && !inner.is_empty() && inner.bytes().all(|byte| byte == b'*')
    }
}

/// A section: its header and what follows, up to the next header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The name, in small letters; empty for what stands before the first header.
    pub name: String,
    /// Its lines, as indices.
    pub lines: Range<usize>,
}

/// Whether nobody may see the values of `key`.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    SECRET_KEYS.contains(&key)
}

/// Takes a text apart.
#[must_use]
pub fn read(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut begin = 0;
    let mut open: Option<&str> = None;
    for whole in text.split('\n') {
        let line = whole.strip_suffix('\r').unwrap_or(whole);
        if let Some(closing) = open {
            if line.contains(closing) {
                open = None;
            }
            lines.push(Line { text: line.to_owned(), kind: Kind::Other });
        } else {
            let read = one(line, begin);
            if let Kind::Pair(pair) = &read.kind {
                open = ["\"\"\"", "'''"].into_iter().find(|quotes| {
                    pair.value.starts_with(quotes)
                        && !pair.value.get(3..).is_some_and(|rest| rest.contains(quotes))
                });
            }
            lines.push(read);
        }
        begin += whole.len() + 1;
    }
    lines
}

/// The sections of lines; the first has no name and may be empty.
#[must_use]
pub fn sections(lines: &[Line]) -> Vec<Section> {
    let mut sections = vec![Section { name: String::new(), lines: 0..0 }];
    for (index, line) in lines.iter().enumerate() {
        if let Kind::Header { name } = &line.kind {
            sections.push(Section { name: name.clone(), lines: index..index });
        }
        if let Some(last) = sections.last_mut() {
            last.lines.end = index + 1;
        }
    }
    sections
}

/// Reads one line, which begins at `begin` of the whole text.
fn one(line: &str, begin: usize) -> Line {
    let other = || Line { text: clean(line), kind: Kind::Other };
    let bare = line.trim_matches(is_blank);
    if let Some(name) = header(bare) {
        let double = bare.starts_with("[[");
        let text = if double { format!("[[{name}]]") } else { format!("[{name}]") };
        return Line { text, kind: Kind::Header { name } };
    }
    let Some((key, value)) = line.split_once('=') else { return other() };
    let key = key.trim_matches(is_blank).to_ascii_lowercase();
    let is_bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !is_bare {
        return other();
    }
    let at = line.len() - value.len();
    let at = at + (value.len() - value.trim_start_matches(is_blank).len());
    let value = value.trim_matches(is_blank);
    let (value, length, rest) = tidy(&key, value);
    let span = begin + at..begin + at + length;
    let rest = clean(rest);
    let gap = if rest.is_empty() { "" } else { " " };
    let text = format!("{key} = {value}{gap}{}", rest.trim_start());
    Line { text, kind: Kind::Pair(Pair { key, value, span }) }
}

/// The name in a header, in small letters; `None` for anything else, such as a list.
fn header(bare: &str) -> Option<String> {
    let bare = bare.split_once('#').map_or(bare, |(header, _)| header).trim_matches(is_blank);
    let inner = bare
        .strip_prefix("[[")
        .and_then(|rest| rest.strip_suffix("]]"))
        .or_else(|| bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')))?;
    let name = inner.trim_matches(is_blank).to_ascii_lowercase();
    let fits = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    fits.then_some(name)
}

/// A value as TOML has it, the bytes that it takes of the line, and what follows it.
fn tidy<'v>(key: &str, value: &'v str) -> (String, usize, &'v str) {
    let as_it_is = |length: usize| {
        let (taken, rest) = value.split_at_checked(length).unwrap_or((value, ""));
        (taken.to_owned(), taken.len(), rest)
    };
    if let Some(quotes) = ["\"\"\"", "'''"].into_iter().find(|quotes| value.starts_with(quotes)) {
        let inner = value.get(3..).unwrap_or_default();
        return as_it_is(inner.find(quotes).map_or(value.len(), |end| 3 + end + 3));
    }
    let mut letters = value.char_indices();
    let (first, is_text) = (letters.next().map(|(_, letter)| letter), TEXT_KEYS.contains(&key));
    match first {
        Some('"') => {
            let mut escaped = false;
            for (at, letter) in letters {
                match letter {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => return as_it_is(at + 1),
                    // Opened straight and closed by a phone.
                    _ if DOUBLE_QUOTES.contains(&letter) && ends(value, at, letter) => {
                        return requoted(value, 1, at, letter);
                    }
                    _ => {}
                }
            }
            as_it_is(value.len())
        }
        Some('\'') => {
            as_it_is(value.get(1..).and_then(|rest| rest.find('\'')).map_or(value.len(), |end| end + 2))
        }
        Some(open) if DOUBLE_QUOTES.contains(&open) || SINGLE_QUOTES.contains(&open) => {
            let closing: &[char] = if DOUBLE_QUOTES.contains(&open) { DOUBLE_QUOTES } else { SINGLE_QUOTES };
            let straight = if DOUBLE_QUOTES.contains(&open) { '"' } else { '\'' };
            // The last one that only a comment follows.
            let end = letters.rfind(|(at, letter)| {
                (closing.contains(letter) || *letter == straight) && ends(value, *at, *letter)
            });
            match end {
                Some((at, letter)) => requoted(value, open.len_utf8(), at, letter),
                None => as_it_is(value.len()),
            }
        }
        // Without quotes: a text where the key wants one and no comment can be meant.
        Some(first) if is_text && !matches!(first, '[' | '{' | '#') && !value.contains(['#', '"']) => {
            (quoted(value), value.len(), "")
        }
        _ => {
            let end = value.find('#').unwrap_or(value.len());
            let length = value.get(..end).unwrap_or(value).trim_end_matches(is_blank).len();
            as_it_is(length)
        }
    }
}

/// Whether nothing but blanks or a comment follows the letter at `at`.
fn ends(value: &str, at: usize, letter: char) -> bool {
    let rest = value.get(at + letter.len_utf8()..).unwrap_or_default().trim_start_matches(is_blank);
    rest.is_empty() || rest.starts_with('#')
}

/// A value between other quotes than TOML's: what is inside, in straight ones.
fn requoted(value: &str, begin: usize, end: usize, closing: char) -> (String, usize, &str) {
    let inner = value.get(begin..end).unwrap_or_default();
    let length = end + closing.len_utf8();
    (quoted(inner), length, value.get(length..).unwrap_or_default())
}

/// A text as TOML has it.
#[must_use]
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Blanks of any kind, also those that cannot be seen.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{feff}' | '\u{200b}')
}

/// What is no value: unseen letters go.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|letter| !matches!(letter, '\u{feff}' | '\u{200b}'))
        .map(|letter| if letter == '\u{a0}' { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> (String, String) {
        let lines = read(line);
        let Kind::Pair(pair) = &lines[0].kind else { panic!("no pair: {line}") };
        (pair.value.clone(), line[pair.span.clone()].to_owned())
    }

    #[test]
    fn what_people_write_becomes_toml() {
        for (line, toml, original) in [
            ("ssid = \"home\"", "\"home\"", "\"home\""),
            ("  SSID=home", "\"home\"", "home"),
            ("ssid = My Home Network \r", "\"My Home Network\"", "My Home Network"),
            ("password = 12345678", "\"12345678\"", "12345678"),
            ("password = \u{201c}it's\u{201d} # mine", "\"it's\"", "\u{201c}it's\u{201d}"),
            ("password = \u{201e}a\u{201c}", "\"a\"", "\u{201e}a\u{201c}"),
            ("password = \"a\u{201d}", "\"a\"", "\"a\u{201d}"),
            ("password = \u{2018}a b\u{2019}", "\"a b\"", "\u{2018}a b\u{2019}"),
            ("password = 'a\"b' # c", "'a\"b'", "'a\"b'"),
            ("password = \"a\\\"b#c\" # d", "\"a\\\"b#c\"", "\"a\\\"b#c\""),
            ("password = a\\b", "'a\\b'", "a\\b"),
            ("enabled = true # yes", "true", "true"),
            ("name = [\"a\", \"b\"]", "[\"a\", \"b\"]", "[\"a\", \"b\"]"),
            ("mqtt_port = 8883", "8883", "8883"),
        ] {
            let (found, span) = value(line);
            assert_eq!((found.as_str(), span.as_str()), (toml, original), "{line}");
            let table: toml::Table =
                toml::from_str(&read(line)[0].text).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(table.len(), 1);
        }
    }

    #[test]
    fn what_is_not_clear_is_left_for_the_reader_to_complain() {
        for line in [
            "password = a # b",
            "password = a\"b",
            "password = \"open",
            "password =",
            "password = \u{201c}open",
        ] {
            let lines = read(line);
            assert!(
                toml::from_str::<toml::Table>(&lines[0].text).is_err(),
                "{line} became {}",
                lines[0].text
            );
        }
    }

    #[test]
    fn lines_keep_their_numbers_and_sections_their_lines() {
        let text = "\u{feff}# c\r\n[WiFi]\r\nssid = x\r\n\r\n[[Printers]] # one\r\nhost = 10.0.0.1\r\ndescription = \"\"\"\r\n[web]\r\n\"\"\"\r\n[web]";
        let lines = read(text);
        assert_eq!(lines.len(), 10);
        let found: Vec<_> =
            sections(&lines).into_iter().map(|section| (section.name, section.lines)).collect();
        assert_eq!(
            found,
            [
                (String::new(), 0..1),
                ("wifi".to_owned(), 1..4),
                ("printers".to_owned(), 4..9),
                ("web".to_owned(), 9..10)
            ]
        );
        let whole: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let table: toml::Table = toml::from_str(&whole.join("\n")).unwrap();
        assert_eq!(table["printers"][0]["host"].as_str(), Some("10.0.0.1"));
    }

    #[test]
    fn stars_stand_for_what_was_taken_over() {
        for (line, kept) in [
            ("password = \"***\"   ", true),
            ("access_code = *****", true),
            ("api_key = '*'", true),
            ("password = \"\"", false),
            ("password = \"*a*\"", false),
            ("ssid = \"***\"", false),
        ] {
            let lines = read(line);
            let Kind::Pair(pair) = &lines[0].kind else { panic!("no pair") };
            assert_eq!(pair.is_kept(), kept, "{line}");
        }
    }

    #[test]
    fn any_bytes_give_lines_with_spans_inside_them() {
        let letters = [
            '=', '"', '\'', '[', ']', '#', '\n', '\r', 'a', '*', '\u{201c}', '\u{2019}', '\u{feff}', '\\',
            ' ', '\u{0}',
        ];
        let mut seed = 1_u32;
        for _ in 0..3000 {
            let mut text = String::from("password");
            for _ in 0..24 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push(letters[usize::try_from(seed >> 28).unwrap()]);
            }
            let lines = read(&text);
            assert_eq!(lines.len(), text.split('\n').count());
            for line in &lines {
                assert!(!line.text.contains('\n'));
                if let Kind::Pair(pair) = &line.kind {
                    assert!(text.get(pair.span.clone()).is_some(), "{text:?} {pair:?}");
                }
            }
            assert_eq!(sections(&lines).last().unwrap().lines.end, lines.len());
        }
    }
}
