//! One `tiny_http` request as a [`Connection`] of `embedded-svc`.
//!
//! The answer is written by hand (status line, headers, chunked body) through `tiny_http`'s raw writer, because its own
//! `Response` adds headers that nobody wants and cannot say that an answer was cut short. The last chunk is written
//! by [`TinyConnection::finish`] only: an answer without it (a panic, an error in the middle) is one that the front
//! throws away and replaces by a 500, so a client never takes half an answer for a whole one.

use std::io::{self, Write as _};

use embedded_svc::http::server::{Connection, Headers, Method, Query};
use embedded_svc::io::{ErrorType, Read, Write};

use crate::web::respond::reason;

/// What is known of a request before its body: copied, because `tiny_http` lends head and body together only.
#[derive(Clone, Debug)]
pub struct RequestHead {
    method: Method,
    uri: String,
    headers: Vec<(String, String)>,
}

impl RequestHead {
    /// A head from its parts; header names are compared without case.
    #[must_use]
    pub fn new(method: Method, uri: String, headers: Vec<(String, String)>) -> RequestHead {
        RequestHead { method, uri, headers }
    }
}

impl Query for RequestHead {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn method(&self) -> Method {
        self.method
    }
}

impl Headers for RequestHead {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The body of a request; empty once the answer has begun.
pub struct RequestBody(Option<tiny_http::Request>);

impl ErrorType for RequestBody {
    type Error = io::Error;
}

impl Read for RequestBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Some(request) => request.as_reader().read(buffer),
            None => Ok(0),
        }
    }
}

/// A connection that is never taken over: `raw_connection` always refuses.
pub struct NoRawConnection(());

impl ErrorType for NoRawConnection {
    type Error = io::Error;
}

impl Read for NoRawConnection {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(unsupported())
    }
}

impl Write for NoRawConnection {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(unsupported())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(unsupported())
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "the connection cannot be taken over")
}

/// One request of `tiny_http` and its answer.
pub struct TinyConnection {
    head: RequestHead,
    body: RequestBody,
    writer: Option<Box<dyn io::Write + Send>>,
}

impl TinyConnection {
    /// Wraps `request`.
    ///
    /// # Errors
    /// Hands the request back where its method is none that the API knows.
    #[expect(
        clippy::result_large_err,
        reason = "the request is what the caller needs back, and it is moved once"
    )]
    pub fn new(request: tiny_http::Request) -> Result<TinyConnection, tiny_http::Request> {
        let Some(method) = method(request.method()) else { return Err(request) };
        let headers = request
            .headers()
            .iter()
            .map(|header| (header.field.as_str().to_string(), header.value.as_str().to_owned()))
            .collect();
        let head = RequestHead::new(method, request.url().to_owned(), headers);
        Ok(TinyConnection { head, body: RequestBody(Some(request)), writer: None })
    }

    /// Writes the last chunk: the answer is whole. Does nothing where no answer was begun.
    ///
    /// # Errors
    /// Where the front has gone away.
    pub fn finish(mut self) -> io::Result<()> {
        match self.writer.take() {
            Some(mut writer) => {
                writer.write_all(b"0\r\n\r\n")?;
                writer.flush()
            }
            None => Ok(()),
        }
    }
}

/// The method in `embedded-svc`'s words.
fn method(method: &tiny_http::Method) -> Option<Method> {
    Some(match method {
        tiny_http::Method::Get => Method::Get,
        tiny_http::Method::Head => Method::Head,
        tiny_http::Method::Post => Method::Post,
        tiny_http::Method::Put => Method::Put,
        tiny_http::Method::Delete => Method::Delete,
        tiny_http::Method::Patch => Method::Patch,
        tiny_http::Method::Options => Method::Options,
        _ => return None,
    })
}

/// The head of an answer. Headers that could break the framing (line breaks, other control bytes, non-ASCII) are
/// dropped rather than written.
pub(super) fn response_head(status: u16, message: Option<&str>, headers: &[(&str, &str)]) -> Vec<u8> {
    let plain = |text: &str| text.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte));
    let words = message.filter(|text| plain(text)).unwrap_or_else(|| reason(status));
    let mut head = format!("HTTP/1.1 {status} {words}\r\nTransfer-Encoding: chunked\r\n");
    for (name, value) in headers {
        if plain(name) && plain(value) && !name.contains([':', ' ']) {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        } else {
            log::debug!("web: a header of an answer was dropped: it is not plain ASCII");
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

impl ErrorType for TinyConnection {
    type Error = io::Error;
}

impl Read for TinyConnection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl Write for TinyConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(writer) = &mut self.writer else {
            return Err(io::Error::other("the answer has no head yet"));
        };
        if !bytes.is_empty() {
            write!(writer, "{:x}\r\n", bytes.len())?;
            writer.write_all(bytes)?;
            writer.write_all(b"\r\n")?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.flush())
    }
}

impl Query for TinyConnection {
    fn uri(&self) -> &str {
        self.head.uri()
    }

    fn method(&self) -> Method {
        self.head.method()
    }
}

impl Headers for TinyConnection {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

impl Connection for TinyConnection {
    type Headers = RequestHead;
    type Read = RequestBody;
    type RawConnectionError = io::Error;
    type RawConnection = NoRawConnection;

    fn split(&mut self) -> (&RequestHead, &mut RequestBody) {
        (&self.head, &mut self.body)
    }

    fn initiate_response<'a>(
        &'a mut self,
        status: u16,
        message: Option<&'a str>,
        headers: &'a [(&'a str, &'a str)],
    ) -> io::Result<()> {
        let Some(request) = self.body.0.take() else {
            return Err(io::Error::other("the answer has begun already"));
        };
        let mut writer = request.into_writer();
        writer.write_all(&response_head(status, message, headers))?;
        self.writer = Some(writer);
        Ok(())
    }

    fn is_response_initiated(&self) -> bool {
        self.body.0.is_none()
    }

    fn raw_connection(&mut self) -> io::Result<&mut NoRawConnection> {
        Err(unsupported())
    }
}
