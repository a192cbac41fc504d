//! What a handler gets: the request with its path parameters, query and body taken apart.

use embedded_svc::http::server::{Connection, Method, Request};
use serde::de::DeserializeOwned;

use super::shape::field_at;
use super::target::Pairs;
use crate::web::guard::Asking;
use crate::web::respond::{ApiError, Paging, Reply};

/// Bytes of a small body; the front refuses more before a handler ever sees it.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Nesting of a JSON body at most. The deepest body of the API has four levels; `serde_json` itself goes down 128, which
/// overflows the small stack of a handler thread (seen in a debug build) and would end the process.
const JSON_DEPTH_MAX: usize = 16;

/// The header in which the front tells who asks: the client's address as text. A client cannot set it.
pub const PEER_HEADER: &str = "X-Printernizer-Peer";

/// One request on its way through a handler. `C` is any connection of `embedded-svc`.
pub struct Call<'r, C: Connection> {
    request: Request<&'r mut C>,
    params: Vec<(&'static str, String)>,
    query: Pairs,
}

impl<'r, C: Connection> Call<'r, C> {
    pub(super) fn new(
        request: Request<&'r mut C>,
        params: Vec<(&'static str, String)>,
        query: Pairs,
    ) -> Call<'r, C> {
        Call { request, params, query }
    }

    /// The method. A HEAD request arrives as [`Method::Get`]'s route; the front drops the body of its answer.
    pub fn method(&self) -> Method {
        self.request.method()
    }

    /// The decoded value of `{name}` in the route's pattern; empty where the pattern has none of that name, which is a
    /// defect that the first test of the route finds.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    /// The query.
    #[must_use]
    pub fn query(&self) -> &Pairs {
        &self.query
    }

    /// Which page of a list is wanted.
    ///
    /// # Errors
    /// 400 naming `page` or `limit`.
    pub fn paging(&self) -> Result<Paging, ApiError> {
        Paging::parse(self.query.get("page"), self.query.get("limit"))
    }

    /// A header of the request, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }

    /// The client's address as the front saw it; `None` in tests without a front.
    #[must_use]
    pub fn peer(&self) -> Option<&str> {
        self.header(PEER_HEADER)
    }

    /// What it shows of who sends it, for the guard. Without a front somebody on this device asks.
    #[must_use]
    pub fn asking(&self) -> Asking<'_> {
        let peer = self.peer().and_then(|peer| peer.parse().ok()).unwrap_or(Asking::nobody().peer);
        Asking { authorization: self.header("Authorization"), cookie: self.header("Cookie"), peer }
    }

    /// The whole body.
    ///
    /// # Errors
    /// 413 above [`BODY_BYTES_MAX`], 400 where it was cut short.
    pub fn body(&mut self) -> Result<Vec<u8>, ApiError> {
        let announced =
            self.header("Content-Length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        let mut body = Vec::with_capacity(announced.min(BODY_BYTES_MAX));
        let mut piece = [0_u8; 1024];
        loop {
            let count = self.request.read(&mut piece).map_err(|_| cut())?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            if body.len() + bytes.len() > BODY_BYTES_MAX {
                return Err(ApiError::new(
                    413,
                    "BODY_TOO_LARGE",
                    format!("Send at most {BODY_BYTES_MAX} bytes."),
                ));
            }
            body.extend_from_slice(bytes);
        }
        if body.len() < announced { Err(cut()) } else { Ok(body) }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// 415 where the content type is another one, 400 where it is no JSON, 422 naming the field where a field is missing
    /// or of the wrong type.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        let kind = self.header("Content-Type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::new(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                "Send the body as `Content-Type: application/json`.",
            ));
        }
        let body = self.body()?;
        parse_json(&body)
    }

    /// A 200 with `value` as JSON and an `ETag`; 304 where the client has it already. For lists and records.
    ///
    /// # Errors
    /// 500 where `value` cannot be JSON.
    pub fn conditional_json<T: serde::Serialize + ?Sized>(&self, value: &T) -> Result<Reply, ApiError> {
        Ok(Reply::json(200, value)?.conditional(self.header("If-None-Match")))
    }
}

fn cut() -> ApiError {
    ApiError::new(400, "BODY_CUT", "The body ended early.")
}

/// Reads `body` as a `T`, see [`Call::json`].
fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if nesting(body) > JSON_DEPTH_MAX {
        let message = format!("Nest the body at most {JSON_DEPTH_MAX} levels deep.");
        return Err(ApiError::new(400, "BAD_JSON", message));
    }
    // serde would take a list for a structure, field by field.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::wrong_shape("", "Send one JSON object."));
    }
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            let text = error.to_string();
            let field = field_at(body, error.line(), error.column(), &text);
            ApiError::wrong_shape(
                &field,
                format!("`{}`: {}.", if field.is_empty() { "body" } else { &field }, bare(&text)),
            )
        } else {
            ApiError::new(
                400,
                "BAD_JSON",
                format!("The body is no JSON: line {}, column {}.", error.line(), error.column()),
            )
        }
    })
}

/// The deepest nesting of brackets outside texts; never less than a parser would find.
fn nesting(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// serde's message without its position and without the value that came: that may be an access code written as a number.
fn bare(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(words, _)| words);
    let text = match (text.starts_with("invalid "), text.rfind("expected ")) {
        (true, Some(at)) => text.get(at..).unwrap_or_default(),
        (true, None) => "this value cannot be used",
        (false, _) => text,
    };
    text.chars().take(200).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the shape matters")]
    struct Printer {
        name: String,
        connection_config: Connection,
        slots: Option<Vec<Slot>>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the shape matters")]
    struct Connection {
        ip_address: String,
        mqtt_port: Option<u16>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the shape matters")]
    struct Slot {
        id: u8,
    }

    #[test]
    fn nesting_is_counted_outside_texts() {
        assert_eq!(nesting(br#"{"a":"[[[[\"[[","b":[{}]}"#), 3);
        assert_eq!(nesting(b"]]]["), 1);
        assert_eq!(nesting(br#""\\"[["#), 2);
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let cases = [
            (r#"{"connection_config":{"ip_address":"x"}}"#, 422, "name"),
            (r#"{"name":1,"connection_config":{"ip_address":"x"}}"#, 422, "name"),
            (r#"{"name":"a","connection_config":{}}"#, 422, "connection_config.ip_address"),
            (r#"{"name":"a","connection_config":{"ip_address":null}}"#, 422, "connection_config.ip_address"),
            (
                r#"{"name":"a","connection_config":{"ip_address":"x","mqtt_port":70000}}"#,
                422,
                "connection_config.mqtt_port",
            ),
            (
                "{\"name\":\"a \\\" {b\",\n \"connection_config\":{\"ip_address\":\"ü\",\n \"mqtt_port\":\"1\"}}",
                422,
                "connection_config.mqtt_port",
            ),
            (
                r#"{"name":"a","connection_config":{"ip_address":"x"},"slots":[{"id":1},{"id":"b"}]}"#,
                422,
                "slots[1].id",
            ),
            (r#"{"name":[1,[2]],"connection_config":{}}"#, 422, "name"),
            (r#"{"name":{"a":{}},"connection_config":{}}"#, 422, "name"),
            (r#"{"name":"a","connection_config":"x"}"#, 422, "connection_config"),
            (r#"{"name":"a","connection_config":{"ip_address":"x"},"slots":[{}]}"#, 422, "slots[0].id"),
            (r#"[]"#, 422, ""),
            (r#"{"name":"#, 400, ""),
            ("", 400, ""),
        ];
        for (body, status, field) in cases {
            let error = parse_json::<Printer>(body.as_bytes()).unwrap_err();
            assert_eq!(error.status, status, "{body}");
            if status == 422 {
                assert_eq!(error.details["field"].as_str(), Some(field), "{body}: {}", error.message);
            }
            assert!(!error.message.contains(" at line "), "{}", error.message);
        }
    }
}
