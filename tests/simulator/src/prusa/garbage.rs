//! What no printer should send and some do.

use serde_json::{Map, Value, json};

use super::faults::Garbage;
use super::reply::{Framing, Reply};

/// Bytes of a line without an end.
const LONG_LINE: usize = 100 * 1024;
/// Fields of an endless head.
const FIELD_COUNT: usize = 2_000;
/// Depth of nested arrays.
const DEPTH: usize = 10_000;
/// Bytes of a valid but unreasonable document.
const LARGE: usize = 4 * 1024 * 1024;

/// What goes out in the place of a reply.
#[derive(Debug)]
pub enum Instead {
    /// These bytes, and then the end of the connection.
    Bytes(Vec<u8>),
    /// Another reply.
    Reply(Reply),
}

/// Garbage of this kind in the place of `honest`.
pub fn instead(kind: Garbage, honest: Reply) -> Instead {
    let page: Value =
        serde_json::from_slice(&honest.body).unwrap_or_else(|_| json!({ "value": 1, "text": "x" }));
    let text = match kind {
        Garbage::NotHttp => {
            return Instead::Bytes(b"220 ready when you are\r\n\r\n\xff\xfe\0\0garbage".to_vec());
        }
        Garbage::LongLine => {
            let mut bytes = b"HTTP/1.1 200 ".to_vec();
            bytes.resize(LONG_LINE, b'O');
            return Instead::Bytes(bytes);
        }
        Garbage::ManyHeaders => {
            let fields: String =
                (0..FIELD_COUNT).map(|number| format!("X-Field-{number}: {number}\r\n")).collect();
            return Instead::Bytes(format!("HTTP/1.1 200 OK\r\n{fields}\r\n{{}}").into_bytes());
        }
        Garbage::BadChunk => return Instead::Bytes(chunked(&honest, "zzzz\r\n{}\r\n0\r\n\r\n")),
        Garbage::HugeChunk => return Instead::Bytes(chunked(&honest, "7fffffff\r\n{\"printer\":{}")),
        Garbage::Html => {
            let body: &[u8] = b"<!doctype html><title>Router</title><h1>Login</h1>";
            let framing = Framing::Length;
            return Instead::Reply(Reply {
                content_type: "text/html",
                body: body.into(),
                framing,
                ..ok(honest)
            });
        }
        Garbage::BrokenJson => {
            let whole = page.to_string();
            whole.as_bytes().get(..whole.len() / 2).unwrap_or_default().to_vec()
        }
        Garbage::Empty => Vec::new(),
        Garbage::NotAnObject => b"[1,2,3]".to_vec(),
        Garbage::WrongTypes => changed(&page, &wrong_type).to_string().into_bytes(),
        Garbage::Nulls => changed(&page, &|_| Value::Null).to_string().into_bytes(),
        Garbage::HugeNumbers => changed(&page, &huge).to_string().into_bytes(),
        Garbage::DeepNesting => {
            let mut bytes = br#"{"printer":"#.to_vec();
            bytes.extend(std::iter::repeat_n(b'[', DEPTH));
            bytes.extend(std::iter::repeat_n(b']', DEPTH));
            bytes.push(b'}');
            bytes
        }
        Garbage::InvalidUtf8 => {
            let mut bytes = Vec::new();
            for part in page.to_string().split_inclusive(":\"") {
                bytes.extend_from_slice(part.as_bytes());
                if part.ends_with(":\"") {
                    bytes.extend_from_slice(&[0xfc, 0xff]);
                }
            }
            bytes
        }
        Garbage::Large => {
            // Put in as text: escaping four megabytes takes longer than a printer may think.
            let page = page.to_string();
            let rest = page.strip_prefix('{').unwrap_or_default();
            let filler = "x".repeat(LARGE);
            [r#"{"filler":""#, &filler, r#"","#, rest].concat().into_bytes()
        }
    };
    let framing = Framing::Chunked;
    Instead::Reply(Reply { content_type: "application/json", body: text.into(), framing, ..ok(honest) })
}

fn ok(reply: Reply) -> Reply {
    Reply { status: 200, ..reply }
}

fn chunked(honest: &Reply, rest: &str) -> Vec<u8> {
    let reply = Reply { framing: Framing::Chunked, closes: false, status: 200, ..honest.clone() };
    [reply.head(0), rest.as_bytes().to_vec()].concat()
}

/// Every leaf replaced.
fn changed(value: &Value, leaf: &dyn Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: Map<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), changed(value, leaf))).collect();
            Value::Object(fields)
        }
        Value::Array(items) => items.iter().map(|item| changed(item, leaf)).collect(),
        other => leaf(other),
    }
}

fn wrong_type(value: &Value) -> Value {
    match value {
        Value::Number(_) => json!("soon"),
        Value::String(_) => json!([17]),
        Value::Bool(_) => json!({ "maybe": 1 }),
        _ => json!(false),
    }
}

fn huge(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_u64() => json!(u64::MAX),
        Value::Number(_) => json!(-1e300),
        Value::String(_) => json!("DREAMING"),
        other => other.clone(),
    }
}
