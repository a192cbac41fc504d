//! Common shapes of answers: the error envelope, lists with paging, conditional answers.
//!
//! Bounds: a page of a list holds at most [`LIMIT_MAX`] items. The front cuts answers above its own limit.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::base::clock::Timestamp;

/// Items on a page of a list where the client does not say.
pub const LIMIT_DEFAULT: u32 = 50;

/// Items on a page at most; 200 records of about 1 KB stay well below the front's limit for one answer.
pub const LIMIT_MAX: u32 = 200;

/// Pages at most: the product with [`LIMIT_MAX`] stays far below any overflow, and no store here is that large.
const PAGE_MAX: u32 = 1_000_000;

/// What went wrong, as a client sees it. Becomes the error envelope of the API.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The HTTP status, 400-599.
    pub status: u16,
    /// Stable UPPER_SNAKE code.
    pub code: &'static str,
    /// English, says what to do.
    pub message: String,
    /// More facts for programs, such as the name of the field; null where there are none.
    pub details: Value,
    /// Value of a `Retry-After` header in seconds.
    pub retry_after_s: Option<u32>,
    /// Value of an `Allow` header, for 405.
    pub allow: Option<String>,
}

impl ApiError {
    /// An error without details.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            code,
            message: message.into(),
            details: Value::Null,
            retry_after_s: None,
            allow: None,
        }
    }

    /// 404 for a record: `what` is a noun such as "printer".
    #[must_use]
    pub fn not_found(what: &str, id: &str) -> ApiError {
        ApiError::new(404, "NOT_FOUND", format!("There is no {what} with the id {id:?}."))
            .with_details(json!({ "resource": what, "id": id }))
    }

    /// 400: a value of the right shape that cannot be used.
    pub fn bad_value(field: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(400, "BAD_VALUE", message).with_details(json!({ "field": field }))
    }

    /// 422: a missing field or one of the wrong type.
    pub fn wrong_shape(field: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(422, "WRONG_SHAPE", message).with_details(json!({ "field": field }))
    }

    /// 409 with its own stable code.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(409, code, message)
    }

    /// 503 with `Retry-After`: a queue or a lane is full.
    pub fn busy(message: impl Into<String>, retry_after_s: u32) -> ApiError {
        let mut error = ApiError::new(503, "BUSY", message);
        error.retry_after_s = Some(retry_after_s);
        error
    }

    /// 500. `message` is for the outside; write the inside to the log.
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(500, "INTERNAL", message)
    }

    /// The same error with `details`.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> ApiError {
        self.details = details;
        self
    }

    /// The envelope as JSON text: `{"status":"error","message","error_code","details","timestamp"}`.
    #[must_use]
    pub fn envelope(&self, timestamp: Timestamp) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            status: &'static str,
            message: &'a str,
            error_code: &'a str,
            details: &'a Value,
            timestamp: String,
        }
        let envelope = Envelope {
            status: "error",
            message: &self.message,
            error_code: self.code,
            details: &self.details,
            timestamp: timestamp.to_string(),
        };
        serde_json::to_vec(&envelope).unwrap_or_else(|_| b"{\"status\":\"error\"}".to_vec())
    }

    /// The envelope as a reply with its headers.
    #[must_use]
    pub fn reply(&self, timestamp: Timestamp) -> Reply {
        let mut reply =
            Reply::new(self.status, JSON, self.envelope(timestamp)).header("Cache-Control", "no-store");
        if self.status == 401 {
            // RFC 9110 wants it; browsers show no window of their own for this scheme.
            reply = reply.header("WWW-Authenticate", "Bearer");
        }
        if let Some(seconds) = self.retry_after_s {
            reply = reply.header("Retry-After", seconds.to_string());
        }
        if let Some(allow) = &self.allow {
            reply = reply.header("Allow", allow.clone());
        }
        reply
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

/// Content type of JSON answers.
pub const JSON: &str = "application/json";

/// A whole answer, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, `Content-Type` included; the front adds length, connection and security headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for 204 and 304.
    pub body: Vec<u8>,
}

impl Reply {
    /// A reply with a body.
    pub fn new(status: u16, content_type: impl Into<String>, body: Vec<u8>) -> Reply {
        Reply { status, headers: vec![("Content-Type", content_type.into())], body }
    }

    /// A reply without a body, such as 204.
    #[must_use]
    pub fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    /// `value` as JSON, not to be cached.
    ///
    /// # Errors
    /// 500 where `value` cannot be JSON (a map with keys that are no texts): a defect of ours.
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Result<Reply, ApiError> {
        let body = serde_json::to_vec(value).map_err(|error| {
            log::error!("web: an answer cannot be written as JSON: {error}");
            ApiError::internal("The answer could not be written. Please report this.")
        })?;
        Ok(Reply::new(status, JSON, body).header("Cache-Control", "no-cache"))
    }

    /// The same reply with one more header. Both must be plain ASCII without line breaks; others are dropped when
    /// the answer is written.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Adds an `ETag` over the body, and turns a 200 into 304 where the client already has this body
    /// (`if_none_match` is the value of its header).
    #[must_use]
    pub fn conditional(self, if_none_match: Option<&str>) -> Reply {
        let tag = etag(&self.body);
        self.conditional_with(tag, if_none_match)
    }

    /// The same with a tag that is already known, quotes included.
    #[must_use]
    pub fn conditional_with(mut self, tag: String, if_none_match: Option<&str>) -> Reply {
        if self.status == 200 && if_none_match.is_some_and(|asked| etag_matches(asked, &tag)) {
            self.status = 304;
            self.body = Vec::new();
            self.headers.retain(|(name, _)| *name != "Content-Type");
        }
        self.header("ETag", tag)
    }
}

/// A strong tag over `body`: 128 bits of its SHA-256 in hex, in quotes.
#[must_use]
pub fn etag(body: &[u8]) -> String {
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in Sha256::digest(body).iter().take(16) {
        use fmt::Write as _;
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// Whether the value of an `If-None-Match` header names `tag` (weak comparison, list and `*` understood).
#[must_use]
pub fn etag_matches(if_none_match: &str, tag: &str) -> bool {
    let bare = |text: &str| text.trim().strip_prefix("W/").unwrap_or(text.trim()).to_owned();
    if_none_match.trim() == "*" || if_none_match.split(',').any(|candidate| bare(candidate) == bare(tag))
}

/// Which page of a list a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// From 1.
    pub page: u32,
    /// Items on a page, 1 to [`LIMIT_MAX`].
    pub limit: u32,
}

impl Paging {
    /// Checks the two values as they stood in the query.
    ///
    /// # Errors
    /// 400 naming the field where a value is no number or out of range.
    pub fn parse(page: Option<&str>, limit: Option<&str>) -> Result<Paging, ApiError> {
        let number = |field: &str, text: Option<&str>, default: u32, most: u32| match text {
            None => Ok(default),
            Some(text) => match text.parse::<u32>() {
                Ok(number) if number >= 1 && number <= most => Ok(number),
                _ => Err(ApiError::bad_value(field, format!("`{field}` must be a number from 1 to {most}."))),
            },
        };
        Ok(Paging {
            page: number("page", page, 1, PAGE_MAX)?,
            limit: number("limit", limit, LIMIT_DEFAULT, LIMIT_MAX)?,
        })
    }

    /// Items before this page.
    #[must_use]
    pub fn offset(self) -> u64 {
        u64::from(self.page - 1) * u64::from(self.limit)
    }

    /// The list envelope: `{<name>: [...], "total_count", "pagination": {...}}`. `items` are those of this page.
    pub fn list<T: Serialize>(self, name: &'static str, items: Vec<T>, total: u64) -> List<T> {
        List { name, items, total, paging: self }
    }
}

/// One page of a list, ready to be serialized.
#[derive(Clone, Debug)]
pub struct List<T> {
    name: &'static str,
    items: Vec<T>,
    total: u64,
    paging: Paging,
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Pagination {
            page: u32,
            limit: u32,
            total_items: u64,
            total_pages: u64,
        }
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry(self.name, &self.items)?;
        map.serialize_entry("total_count", &self.total)?;
        map.serialize_entry(
            "pagination",
            &Pagination {
                page: self.paging.page,
                limit: self.paging.limit,
                total_items: self.total,
                total_pages: self.total.div_ceil(u64::from(self.paging.limit)),
            },
        )?;
        map.end()
    }
}

/// The usual words for a status.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_envelope_is_that_of_the_contract() {
        let text = ApiError::bad_value("limit", "No.").envelope(Timestamp(0));
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"{"status":"error","message":"No.","error_code":"BAD_VALUE","details":{"field":"limit"},"timestamp":"1970-01-01T00:00:00.000Z"}"#
        );
        let reply = ApiError::busy("Later.", 2).reply(Timestamp(0));
        assert_eq!((reply.status, reply.header_value("retry-after")), (503, Some("2")));
    }

    #[test]
    fn a_list_carries_its_paging() {
        let paging = Paging::parse(Some("3"), Some("2")).unwrap();
        assert_eq!(paging.offset(), 4);
        let text = serde_json::to_string(&paging.list("jobs", vec!["e"], 5)).unwrap();
        assert_eq!(
            text,
            r#"{"jobs":["e"],"total_count":5,"pagination":{"page":3,"limit":2,"total_items":5,"total_pages":3}}"#
        );
        let empty =
            serde_json::to_value(Paging::parse(None, None).unwrap().list::<u8>("jobs", vec![], 0)).unwrap();
        assert_eq!(empty["pagination"]["total_pages"], 0);
        assert_eq!(empty["pagination"]["limit"], 50);
    }

    #[test]
    fn odd_paging_is_refused_by_name() {
        for (page, limit, field) in [
            (Some("0"), None, "page"),
            (Some("-1"), None, "page"),
            (Some("9999999999"), None, "page"),
            (None, Some("201"), "limit"),
            (None, Some("x"), "limit"),
            (None, Some(""), "limit"),
        ] {
            let error = Paging::parse(page, limit).unwrap_err();
            assert_eq!((error.status, error.details["field"].as_str()), (400, Some(field)));
        }
    }

    #[test]
    fn a_known_body_is_not_sent_again() {
        let reply = Reply::new(200, JSON, b"{}".to_vec()).conditional(None);
        let tag = reply.header_value("ETag").unwrap().to_owned();
        assert_eq!(reply.status, 200);
        for asked in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = Reply::new(200, JSON, b"{}".to_vec()).conditional(Some(&asked));
            assert_eq!((again.status, again.body.len()), (304, 0), "{asked}");
            assert_eq!(again.header_value("ETag"), Some(tag.as_str()));
        }
        let other = Reply::new(200, JSON, b"[]".to_vec()).conditional(Some(&tag));
        assert_eq!(other.status, 200);
        let error = Reply::new(404, JSON, b"{}".to_vec()).conditional(Some(&tag));
        assert_eq!(error.status, 404);
    }
}
