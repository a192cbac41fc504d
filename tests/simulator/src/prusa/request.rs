//! Requests as the firmware's parser reads them: it knows a handful of fields and reads over all others.

/// The methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// Whatever else.
    Unknown,
}

impl Method {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Unknown => "???",
        }
    }

    /// Whether an error closes the connection, because a body may follow that nobody has read.
    pub fn may_have_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Unknown)
    }
}

/// What a client says to be let in. Of several fields the last one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// `X-Api-Key`.
    Key(Vec<u8>),
    /// `Authorization`: the two parts that are looked at.
    Digest {
        /// As a number.
        nonce: u64,
        /// As bytes.
        response: [u8; 16],
    },
}

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target as sent.
    pub target: Vec<u8>,
    /// Whether the connection may stay open.
    pub can_keep_alive: bool,
    /// Whether errors are to be JSON.
    pub accepts_json: bool,
    /// The credentials.
    pub credentials: Credentials,
    /// The length of the body.
    pub content_length: Option<u64>,
    /// The ETag that the client has; 0 is none.
    pub if_none_match: u32,
}

/// Why a head is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400.
    Malformed,
    /// 414.
    TooLong,
}

impl Request {
    /// Reads a head without its empty line; every line has its CR and LF.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(head: &[u8], target_bytes_max: usize) -> Result<Self, Refusal> {
        let head = head.strip_suffix(b"\n").ok_or(Refusal::Malformed)?;
        let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r"));
        let first = lines.next().flatten().ok_or(Refusal::Malformed)?;
        let mut words = first.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refusal::Malformed);
        };
        if method.is_empty() || !method.iter().all(u8::is_ascii_uppercase) || !target.starts_with(b"/") {
            return Err(Refusal::Malformed);
        }
        let (major, minor) = match version.strip_prefix(b"HTTP/") {
            Some([major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9']) => (*major, *minor),
            _ => return Err(Refusal::Malformed),
        };
        let mut fields = Fields::default();
        for line in lines {
            fields.read(line.ok_or(Refusal::Malformed)?)?;
        }
        if target.len() > target_bytes_max {
            return Err(Refusal::TooLong);
        }
        let is_modern = major == b'1' && minor >= b'1';
        Ok(Self {
            method: match method {
                b"GET" => Method::Get,
                b"HEAD" => Method::Head,
                b"POST" => Method::Post,
                b"PUT" => Method::Put,
                b"DELETE" => Method::Delete,
                _ => Method::Unknown,
            },
            target: target.to_vec(),
            can_keep_alive: fields.keeps_alive.unwrap_or(is_modern),
            accepts_json: fields.accepts_json,
            credentials: fields.credentials.unwrap_or(Credentials::None),
            content_length: fields.content_length,
            if_none_match: fields.if_none_match,
        })
    }
}

#[derive(Default)]
struct Fields {
    keeps_alive: Option<bool>,
    accepts_json: bool,
    credentials: Option<Credentials>,
    content_length: Option<u64>,
    if_none_match: u32,
}

impl Fields {
    fn read(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(Refusal::Malformed)?;
        let (name, value) = line.split_at(colon);
        if name.is_empty() || name.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
            return Err(Refusal::Malformed);
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let text = String::from_utf8_lossy(value);
        match name.to_ascii_lowercase().as_slice() {
            b"x-api-key" => self.credentials = Some(Credentials::Key(value.to_vec())),
            b"authorization" => self.credentials = Some(digest(&text)),
            b"content-length" => self.content_length = Some(text.parse().map_err(|_| Refusal::Malformed)?),
            b"connection" => match text.to_ascii_lowercase().as_str() {
                "close" => self.keeps_alive = Some(false),
                "keep-alive" => self.keeps_alive = Some(true),
                _ => {}
            },
            // Only the first type is looked at.
            b"accept" => {
                let first = text.split([',', ';']).next().unwrap_or_default();
                self.accepts_json = first.trim() == "application/json";
            }
            b"if-none-match" => {
                let digits = text.bytes().filter(u8::is_ascii_digit);
                let add = |tag: u32, digit| tag.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'));
                self.if_none_match = digits.fold(0, add);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Nonce and response, quoted or not; what is missing is zero, what is no hex digit is read over.
fn digest(text: &str) -> Credentials {
    let Some(rest) = text.strip_prefix("Digest").or_else(|| text.strip_prefix("digest")) else {
        return Credentials::None;
    };
    let (mut nonce, mut response) = (0_u64, 0_u128);
    for part in rest.split(',') {
        let Some((name, value)) = part.trim().split_once('=') else { continue };
        let digits = value.chars().filter_map(|digit| digit.to_digit(16));
        match name.trim() {
            "nonce" => nonce = digits.fold(0, |number, digit| number << 4 | u64::from(digit)),
            "response" => response = digits.fold(0, |number, digit| number << 4 | u128::from(digit)),
            _ => {}
        }
    }
    Credentials::Digest { nonce, response: response.to_be_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Result<Request, Refusal> {
        Request::parse(format!("{head}\r\n").as_bytes(), 168)
    }

    #[test]
    fn known_fields_are_read_and_others_read_over() {
        let request = parsed(
            "GET /usb/A.GCO HTTP/1.1\r\nHost: x\r\nRange: bytes=0-\r\nACCEPT: application/json, */*\r\n\
             If-None-Match: \"4711\"\r\nConnection: Close",
        )
        .expect("a request");
        assert_eq!((request.method, request.target.as_slice()), (Method::Get, &b"/usb/A.GCO"[..]));
        assert_eq!(
            (request.can_keep_alive, request.accepts_json, request.if_none_match),
            (false, true, 4711)
        );
        assert!(
            !parsed("GET / HTTP/1.1\r\nAccept: text/html, application/json").expect("a request").accepts_json
        );
        assert!(!parsed("GET / HTTP/1.0").expect("a request").can_keep_alive);
    }

    #[test]
    fn the_last_credentials_count_and_quotes_do_not() {
        let digest = "Digest username=\"x\", nonce=00ff, uri=\"/\", response=\"0123\"";
        let both = parsed(&format!("GET / HTTP/1.1\r\nX-Api-Key: a\r\nAuthorization: {digest}")).expect("ok");
        let Credentials::Digest { nonce, response } = both.credentials else {
            panic!("the digest came last")
        };
        assert_eq!((nonce, response[14], response[15]), (255, 0x01, 0x23));
        let other =
            parsed(&format!("GET / HTTP/1.1\r\nAuthorization: {digest}\r\nX-API-KEY: a b")).expect("ok");
        assert_eq!(other.credentials, Credentials::Key(b"a b".to_vec()));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for head in
            ["", "GET /", "GET  / HTTP/1.1", "get / HTTP/1.1", "GET / HTTP/11", "GET / HTTP/1.1\r\nno colon"]
        {
            assert_eq!(parsed(head), Err(Refusal::Malformed), "{head:?}");
        }
        assert_eq!(parsed("GET / HTTP/1.1\r\nA: b\nC: d"), Err(Refusal::Malformed), "a line without CR");
        let path = "x".repeat(167);
        assert!(parsed(&format!("GET /{path} HTTP/1.1")).is_ok());
        assert_eq!(parsed(&format!("GET /{path}x HTTP/1.1")), Err(Refusal::TooLong));
    }
}
