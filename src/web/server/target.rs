//! The target of a request taken apart: path segments and query, percent-decoded within bounds.
//!
//! A decoded segment is an opaque text. It is never empty, never `.` or `..`, and holds neither control characters
//! nor slashes (except for a parameter that is declared to be a path), so that no handler can be talked into leaving
//! its directory by a name alone.

use crate::web::respond::ApiError;

/// Segments of a path at most; the deepest route of the API has seven.
const SEGMENTS_MAX: usize = 16;

/// Bytes of a decoded parameter at most: the longest name that a file system takes is 255, a path on a printer's
/// storage some more.
pub const PARAM_BYTES_MAX: usize = 1024;

/// Pairs in a query at most.
const QUERY_PAIRS_MAX: usize = 32;

/// Splits a target into its path and its query (without the question mark).
#[must_use]
pub fn split_target(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// The raw segments of `path` without the leading slash; one trailing slash is forgiven. `None` where there are too
/// many or one is empty.
#[must_use]
pub fn segments(path: &str) -> Option<Vec<&str>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(Vec::new());
    }
    let parts: Vec<&str> = path.split('/').take(SEGMENTS_MAX + 1).collect();
    (parts.len() <= SEGMENTS_MAX && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

/// Percent-decodes `text`; `plus` makes `+` a blank, as in a query. `None` where an escape is broken, the result is not
/// UTF-8 or longer than [`PARAM_BYTES_MAX`].
#[must_use]
pub fn decode(text: &str, plus: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len().min(PARAM_BYTES_MAX));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => (hex(rest.next()?)? << 4) | hex(rest.next()?)?,
            b'+' if plus => b' ',
            other => other,
        };
        if bytes.len() == PARAM_BYTES_MAX {
            return None;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Decodes one path segment that names something. `path` allows slashes inside (a path on a printer's storage), of which
/// no part may be empty, `.` or `..`.
#[must_use]
pub fn decode_segment(raw: &str, path: bool) -> Option<String> {
    let text = decode(raw, false)?;
    let fine = |part: &str| !part.is_empty() && part != "." && part != "..";
    let whole = !text.chars().any(|c| c.is_control() || c == '\\');
    let parts = if path { text.split('/').all(fine) } else { !text.contains('/') && fine(&text) };
    (whole && parts).then_some(text)
}

/// The decoded pairs of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Decodes `query`. A name without `=` has an empty value; of a repeated name the first counts.
    ///
    /// # Errors
    /// 400 where an escape is broken or there are too many pairs.
    pub fn parse(query: &str) -> Result<Pairs, ApiError> {
        let bad = || ApiError::new(400, "BAD_QUERY", "The part after the question mark cannot be read.");
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == QUERY_PAIRS_MAX {
                return Err(bad());
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name, true).ok_or_else(bad)?, decode(value, true).ok_or_else(bad)?));
        }
        Ok(Pairs(pairs))
    }

    /// The value of `name`; an empty value counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of `name` as a whole number.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        self.get(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| ApiError::bad_value(name, format!("`{name}` must be a whole number.")))
            })
            .transpose()
    }

    /// The value of `name` as a yes or no: `true`, `1`, `yes`, or `false`, `0`, `no`; absent is `None`.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.get(name)
            .map(|text| match text {
                "true" | "1" | "yes" => Ok(true),
                "false" | "0" | "no" => Ok(false),
                _ => Err(ApiError::bad_value(name, format!("`{name}` must be true or false."))),
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        assert_eq!(segments("/"), Some(vec![]));
        assert_eq!(segments("/a/b%2Fc/"), Some(vec!["a", "b%2Fc"]));
        assert_eq!(segments("a"), None);
        assert_eq!(segments("//a"), None);
        assert_eq!(segments("/a//b"), None);
        assert_eq!(segments(&"/a".repeat(SEGMENTS_MAX + 1)), None);
    }

    #[test]
    fn names_cannot_climb() {
        for raw in [
            "..",
            ".",
            "%2e%2e",
            "%2E%2e",
            "..%2f..%2fetc",
            "%2fetc",
            "a%00",
            "a%0d%0a",
            "a%5cb",
            "%",
            "%4",
            "%zz",
            "%ff",
            "",
        ] {
            assert_eq!(decode_segment(raw, false), None, "{raw}");
        }
        for raw in ["..", "a%2f..%2fb", "%2fa", "a%2f%2fb", "a%2f", "a%2f.", "..%5cb"] {
            assert_eq!(decode_segment(raw, true), None, "{raw}");
        }
        assert_eq!(decode_segment("cache%2Fplate%201.gcode", true).as_deref(), Some("cache/plate 1.gcode"));
        assert_eq!(decode_segment("K%C3%BCche+1", false).as_deref(), Some("Küche+1"));
        assert_eq!(decode_segment("...", false).as_deref(), Some("..."));
        assert_eq!(decode_segment(&"a".repeat(PARAM_BYTES_MAX + 1), false), None);
    }

    #[test]
    fn queries_are_read_within_bounds() {
        let pairs = Pairs::parse("a=1&b=x+y%26&c&a=2&&n=18446744073709551616").unwrap();
        assert_eq!(pairs.get("a"), Some("1"));
        assert_eq!(pairs.get("b"), Some("x y&"));
        assert_eq!(pairs.get("c"), None);
        assert_eq!(pairs.number("a").unwrap(), Some(1));
        assert_eq!(pairs.number("n").unwrap_err().status, 400);
        assert_eq!(pairs.flag("a").unwrap(), Some(true));
        assert!(pairs.flag("b").is_err());
        assert!(Pairs::parse("a=%x").is_err());
        assert!(Pairs::parse(&"a=1&".repeat(QUERY_PAIRS_MAX + 1)).is_err());
    }
}
