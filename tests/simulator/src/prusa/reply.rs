//! Replies as the firmware frames them: pages and files with their length, everything else in chunks.

use std::sync::Arc;

use serde_json::{Value, json};

use super::request::{Method, Request};

/// Bytes of one chunk, as they fit into one segment beside the head.
const CHUNK_MAX: usize = 1_000;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Length,
    /// Chunks, or the end of the connection where it does not stay open.
    Chunked,
    /// A head only, without a length (HEAD).
    None,
}

/// A reply before it is sent.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Whole lines beside the usual ones.
    pub headers: Vec<String>,
    /// The body.
    pub body: Arc<[u8]>,
    /// How it ends.
    pub framing: Framing,
    /// Whether the connection ends with it.
    pub closes: bool,
}

impl Reply {
    /// The words of a status or error, as text or JSON.
    pub fn page(status: u16, message: &str, request: &Request) -> Self {
        let title = format!("{status}: {}", reason(status));
        let (content_type, body) = match status {
            204 | 304 => ("text/plain", String::new()),
            _ if request.accepts_json => {
                ("application/json", json!({ "title": title, "message": message }).to_string())
            }
            _ => ("text/plain", format!("{title}\n\n{message}\n")),
        };
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into_bytes().into(),
            framing: Framing::Length,
            closes: !request.can_keep_alive || (status >= 400 && request.method.may_have_body()),
        }
    }

    /// A page for what is not even a request.
    pub fn refusal(status: u16) -> Self {
        let body = format!("{status}: {}\n\n\n", reason(status)).into_bytes().into();
        let content_type = "text/plain";
        Self { status, content_type, headers: Vec::new(), body, framing: Framing::Length, closes: true }
    }

    /// A JSON document.
    pub fn json(value: &Value, request: &Request) -> Self {
        Self::chunked("application/json", value.to_string().into_bytes().into(), request)
    }

    /// A body in chunks.
    pub fn chunked(content_type: &'static str, body: Arc<[u8]>, request: &Request) -> Self {
        let framing = if request.method == Method::Head { Framing::None } else { Framing::Chunked };
        Self {
            status: 200,
            content_type,
            headers: Vec::new(),
            body,
            framing,
            closes: !request.can_keep_alive,
        }
    }

    /// Adds a line to the head.
    #[must_use]
    pub fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }

    /// Ends the connection afterwards.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The head, with `Content-Length` wrong by `length_error` if there is one.
    pub fn head(&self, length_error: i64) -> Vec<u8> {
        let connection = if self.closes { "close" } else { "keep-alive" };
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nConnection: {connection}\r\n",
            self.status,
            reason(self.status),
            self.content_type
        );
        match self.framing {
            Framing::Length => {
                let length = i64::try_from(self.body.len()).unwrap_or(i64::MAX).saturating_add(length_error);
                head += &format!("Content-Length: {}\r\n", length.max(0));
            }
            Framing::Chunked if !self.closes => head += "Transfer-Encoding: chunked\r\n",
            Framing::Chunked | Framing::None => {}
        }
        for header in &self.headers {
            head += &format!("{header}\r\n");
        }
        (head + "\r\n").into_bytes()
    }

    /// Whether the body goes out in chunks.
    pub fn is_in_chunks(&self) -> bool {
        self.framing == Framing::Chunked && !self.closes
    }
}

/// `body` cut into chunks, with the last, empty one.
pub fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + body.len() / CHUNK_MAX * 8 + 16);
    for part in body.chunks(CHUNK_MAX) {
        bytes.extend_from_slice(format!("{:04x}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// The firmware's own words.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        500 => "Infernal Server Error",
        501 => "Not Implemented",
        503 => "Service Temporarily Unavailable",
        507 => "Insufficient Storage",
        _ => "???",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_have_four_digits() {
        assert_eq!(in_chunks(b"{}"), b"0002\r\n{}\r\n0\r\n\r\n");
        let long = in_chunks(&[b'x'; 2_500]);
        assert!(long.starts_with(b"03e8\r\n") && long.windows(6).any(|part| part == b"01f4\r\n"));
    }
}
