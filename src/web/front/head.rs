//! Reads the head of a request and refuses everything that two parsers could understand differently.
//!
//! Pure. What passes is small, plain and unambiguous: a known method, a target that begins with a slash and holds visible
//! ASCII only, HTTP/1.0 or 1.1, at most one `Host` and one `Content-Length` of digits, no transfer coding, no
//! upgrade. The request that goes to `tiny_http` is written anew from these parts.

use crate::web::respond::ApiError;

/// Headers of a request at most; browsers send about 15.
const HEADERS_MAX: usize = 32;

/// Headers that handlers may see. All others end here, so a client cannot speak to them in the front's name.
const FORWARDED: [&str; 16] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "content-type",
    "cookie",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "origin",
    "range",
    "referer",
    "user-agent",
    "x-filename",
    "x-requested-with",
];

/// The methods that the API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read.
    Get,
    /// Read without the body.
    Head,
    /// Do or create.
    Post,
    /// Replace.
    Put,
    /// Change a part.
    Patch,
    /// Remove.
    Delete,
    /// Ask what is possible.
    Options,
}

impl Verb {
    fn parse(text: &str) -> Option<Verb> {
        Some(match text {
            "GET" => Verb::Get,
            "HEAD" => Verb::Head,
            "POST" => Verb::Post,
            "PUT" => Verb::Put,
            "PATCH" => Verb::Patch,
            "DELETE" => Verb::Delete,
            "OPTIONS" => Verb::Options,
            _ => return None,
        })
    }

    /// The name as it stands in a request.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Head => "HEAD",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
            Verb::Options => "OPTIONS",
        }
    }

    /// Whether a request with it may change something.
    #[must_use]
    pub fn changes_state(self) -> bool {
        matches!(self, Verb::Post | Verb::Put | Verb::Patch | Verb::Delete)
    }
}

/// A vetted head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Method.
    pub verb: Verb,
    /// Path and query as sent: visible ASCII, beginning with a slash.
    pub target: String,
    /// Whether the client speaks HTTP/1.1 (else 1.0).
    pub http11: bool,
    /// Bytes of body that follow.
    pub body_bytes: u64,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether the connection may be used again after the answer.
    pub keep_alive: bool,
    /// The `Host` header, lower case.
    pub host: Option<String>,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, by its name in any case; values with bytes outside ASCII were dropped.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The path of the target, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query of the target, without the question mark.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The headers that may be passed on.
    pub fn forwarded(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .filter(|(name, _)| FORWARDED.iter().any(|known| name.eq_ignore_ascii_case(known)))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What the bytes received so far are.
#[derive(Debug, PartialEq)]
pub enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A head, and how many bytes it took.
    Whole(Head, usize),
}

/// Parses the head at the beginning of `bytes`.
///
/// # Errors
/// The answer for a head that is refused. The connection must be closed after it.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ApiError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => {
            let message = format!("Send at most {HEADERS_MAX} headers.");
            return Err(ApiError::new(431, "HEAD_TOO_LARGE", message));
        }
        Err(httparse::Error::Version) => {
            return Err(ApiError::new(505, "HTTP_VERSION", "Speak HTTP/1.1 or HTTP/1.0."));
        }
        Err(_) => return Err(malformed("This is no HTTP request.")),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(malformed("This is no HTTP request."));
    };
    let Some(verb) = Verb::parse(method) else {
        let mut error = ApiError::new(405, "METHOD_NOT_ALLOWED", "This method is not used here.");
        error.allow = Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned());
        return Err(error);
    };
    if !plain_target(target) {
        return Err(malformed("The address must begin with a slash and hold plain characters only."));
    }
    let headers = collect(request.headers);
    let one = |name: &'static str| single(request.headers, name);
    if has(request.headers, "transfer-encoding") {
        return Err(ApiError::new(
            411,
            "LENGTH_REQUIRED",
            "Send the body with a Content-Length, not in chunks.",
        ));
    }
    if has(request.headers, "upgrade") {
        return Err(malformed("Upgrades of the protocol are not offered here."));
    }
    let expects_continue = match one("expect")? {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => version == 1,
        Some(_) => {
            return Err(ApiError::new(
                417,
                "EXPECTATION_FAILED",
                "Only `Expect: 100-continue` is understood.",
            ));
        }
    };
    let body_bytes = match one("content-length")? {
        None => 0,
        Some(value) => content_length(value)?,
    };
    let host = match one("host")? {
        None if version == 1 => return Err(malformed("A request needs a Host header.")),
        None => None,
        Some(value) => match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() => Some(text.to_ascii_lowercase()),
            _ => return Err(malformed("The Host header cannot be read.")),
        },
    };
    let connection = one("connection")?.unwrap_or_default().to_ascii_lowercase();
    let says = |word: &[u8]| connection.split(|byte| *byte == b',').any(|token| token.trim_ascii() == word);
    let keep_alive = if version == 1 { !says(b"close") } else { says(b"keep-alive") };
    let target = target.to_owned();
    let head =
        Head { verb, target, http11: version == 1, body_bytes, expects_continue, keep_alive, host, headers };
    Ok(Parsed::Whole(head, length))
}

fn malformed(message: &'static str) -> ApiError {
    ApiError::new(400, "BAD_REQUEST", message)
}

/// Origin form only: a slash, then visible ASCII without what no client sends unescaped and what ends a path elsewhere.
fn plain_target(target: &str) -> bool {
    target.starts_with('/')
        && target
            .bytes()
            .all(|byte| (0x21..0x7f).contains(&byte) && !matches!(byte, b'#' | b'\\' | b'"' | b'<' | b'>'))
}

fn has(headers: &[httparse::Header<'_>], name: &str) -> bool {
    headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
}

/// The value of a header that must not come twice.
fn single<'h>(headers: &[httparse::Header<'h>], name: &'static str) -> Result<Option<&'h [u8]>, ApiError> {
    let mut found = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let first = found.next().map(|header| header.value);
    if found.next().is_some() {
        return Err(ApiError::new(400, "BAD_REQUEST", format!("The header {name} came twice.")));
    }
    Ok(first)
}

fn content_length(value: &[u8]) -> Result<u64, ApiError> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed("Content-Length must be a plain number."))
}

/// Header values as texts; those with bytes outside visible ASCII, blank and tab are dropped.
fn collect(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|header| header.value.iter().all(|byte| *byte == b'\t' || (0x20..0x7f).contains(byte)))
        .filter_map(|header| {
            let value = std::str::from_utf8(header.value).ok()?;
            Some((header.name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<Head, ApiError> {
        match parse(text.as_bytes())? {
            Parsed::Whole(head, length) => {
                assert_eq!(length, text.len());
                Ok(head)
            }
            Parsed::Partial => panic!("partial: {text:?}"),
        }
    }

    fn refused(text: &str) -> u16 {
        whole(text).expect_err(text).status
    }

    #[test]
    fn a_plain_request_passes() {
        let head =
            whole("GET /api/v1/jobs?page=2 HTTP/1.1\r\nHost: Box.local\r\nCookie: a=b\r\nX-Evil: 1\r\n\r\n")
                .unwrap();
        assert_eq!((head.verb, head.path(), head.query()), (Verb::Get, "/api/v1/jobs", "page=2"));
        assert_eq!(head.host.as_deref(), Some("box.local"));
        assert!(head.keep_alive && head.http11 && !head.expects_continue);
        assert_eq!(head.forwarded().collect::<Vec<_>>(), [("Cookie", "a=b")]);
    }

    #[test]
    fn connection_rules_of_both_versions() {
        assert!(!whole("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").unwrap().keep_alive);
        assert!(!whole("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(whole("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().keep_alive);
        assert!(!whole("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap().expects_continue);
        assert!(whole("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n").unwrap().expects_continue);
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        let cases = [
            (411, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (411, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n"),
            (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            (400, "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /\\..\\ HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
            (405, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (405, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            (405, "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
            (400, "\u{16}\u{3}\u{1}\r\n\r\n"),
        ];
        for (status, text) in cases {
            assert_eq!(refused(text), status, "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(HEADERS_MAX));
        assert_eq!(refused(&many), 431);
    }

    #[test]
    fn odd_header_values_are_dropped_and_the_rest_stays() {
        let head = whole("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \u{e4}\r\nAccept: b\r\n\r\n").unwrap();
        assert_eq!((head.header("user-agent"), head.header("accept")), (None, Some("b")));
    }

    #[test]
    fn a_head_cut_anywhere_is_partial_or_refused_and_never_whole() {
        let text = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n";
        for end in 0..text.len() {
            assert!(!matches!(parse(&text[..end]), Ok(Parsed::Whole(..))), "{end}");
        }
    }
}
