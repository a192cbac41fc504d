//! A connection without a network: the test double of [`TinyConnection`](super::TinyConnection).
//!
//! Handlers are written for any `Connection`, so their tests run them against this one and look at what they wrote.

use std::convert::Infallible;

use embedded_svc::http::server::{Connection, Headers, Method, Query};
use embedded_svc::io::{ErrorType, Read, Write};
use serde_json::Value;

use super::RequestHead;

/// A request made by a test, and the answer that a handler wrote.
#[derive(Debug)]
pub struct DoubleConnection {
    head: RequestHead,
    body: DoubleBody,
    answer: Option<(u16, Vec<(String, String)>)>,
    written: Vec<u8>,
}

/// The body that the test gave.
#[derive(Debug)]
pub struct DoubleBody(Vec<u8>, usize);

impl DoubleConnection {
    /// A request without body and headers.
    pub fn new(method: Method, uri: &str) -> DoubleConnection {
        DoubleConnection::with(method, uri, &[], b"")
    }

    /// A request with a JSON body.
    pub fn json(method: Method, uri: &str, body: &Value) -> DoubleConnection {
        DoubleConnection::with(
            method,
            uri,
            &[("Content-Type", "application/json")],
            body.to_string().as_bytes(),
        )
    }

    /// A request with headers and a body.
    pub fn with(method: Method, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> DoubleConnection {
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.push(("Content-Length".to_owned(), body.len().to_string()));
        DoubleConnection {
            head: RequestHead::new(method, uri.to_owned(), headers),
            body: DoubleBody(body.to_vec(), 0),
            answer: None,
            written: Vec::new(),
        }
    }

    /// The status of the answer; 0 while there is none.
    pub fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |(status, _)| *status)
    }

    /// A header of the answer.
    pub fn answer_header(&self, name: &str) -> Option<&str> {
        let (_, headers) = self.answer.as_ref()?;
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body of the answer.
    pub fn answer_body(&self) -> &[u8] {
        &self.written
    }

    /// The body of the answer as JSON; null where it is none.
    pub fn answer_json(&self) -> Value {
        serde_json::from_slice(&self.written).unwrap_or(Value::Null)
    }
}

impl ErrorType for DoubleBody {
    type Error = Infallible;
}

impl Read for DoubleBody {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let rest = self.0.get(self.1..).unwrap_or_default();
        // Few bytes at a time, so that a handler that reads only once is found out.
        let count = rest.len().min(buffer.len()).min(7);
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.1 += count;
        Ok(count)
    }
}

impl ErrorType for DoubleConnection {
    type Error = Infallible;
}

impl Read for DoubleConnection {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        self.body.read(buffer)
    }
}

impl Write for DoubleConnection {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Query for DoubleConnection {
    fn uri(&self) -> &str {
        self.head.uri()
    }

    fn method(&self) -> Method {
        self.head.method()
    }
}

impl Headers for DoubleConnection {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

impl Connection for DoubleConnection {
    type Headers = RequestHead;
    type Read = DoubleBody;
    type RawConnectionError = Infallible;
    type RawConnection = DoubleConnection;

    fn split(&mut self) -> (&RequestHead, &mut DoubleBody) {
        (&self.head, &mut self.body)
    }

    fn initiate_response<'a>(
        &'a mut self,
        status: u16,
        _: Option<&'a str>,
        headers: &'a [(&'a str, &'a str)],
    ) -> Result<(), Infallible> {
        assert!(self.answer.is_none(), "the answer was begun twice");
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.answer = Some((status, headers));
        Ok(())
    }

    fn is_response_initiated(&self) -> bool {
        self.answer.is_some()
    }

    fn raw_connection(&mut self) -> Result<&mut DoubleConnection, Infallible> {
        Ok(self)
    }
}
