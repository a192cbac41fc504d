//! Event streams: what a client may ask for, where events come from, and the writing of frames.
//!
//! A stream costs no thread and about 3 KiB. A client that does not take a frame within the write deadline is dropped; it
//! comes back by itself and asks for what it missed. Frames are texts behind `Arc`, made once for all streams.

use std::net::{IpAddr, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use smol::io::AsyncReadExt as _;

use super::answer::{Length, head as answer_head};
use super::head::Head;
use super::socket::{Client, Gone};
use crate::base::clock::{Clock, Timestamp};
use crate::web::respond::ApiError;
use crate::web::server::Pairs;

/// Event names in `?types=` at most; the catalogue has about 50.
const TYPES_MAX: usize = 64;

/// Bytes of a printer's id at most.
const ID_BYTES_MAX: usize = 128;

/// What the kernel may keep for one stream: some seconds of events. Without it a client that does not read could tie up
/// megabytes before its write deadline is noticed.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A viewer that vanished (Wi-Fi gone, lid closed) is noticed after this long without an acknowledgement.
const VANISHED_MS: u32 = 30_000;

/// Told to browsers: how long to wait before they come back.
const RETRY_MS: u32 = 2000;

/// Bytes a client may send while it listens; it has nothing to say.
const CHATTER_BYTES_MAX: usize = 4096;

/// One event, ready to be sent: see [`frame`].
pub type Frame = Arc<str>;

/// Writes a frame: `id:` for durable events only, the name, the data (one line of JSON).
#[must_use]
pub fn frame(seq: Option<u64>, event: &str, data: &str) -> Frame {
    debug_assert!(
        !event.contains(['\n', '\r']) && !data.contains(['\n', '\r']),
        "a frame's parts are single lines"
    );
    match seq {
        Some(seq) => format!("id: {seq}\nevent: {event}\ndata: {data}\n\n").into(),
        None => format!("event: {event}\ndata: {data}\n\n").into(),
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRequest {
    /// Everything after this seq, without a snapshot unless there is a gap; `None`: a snapshot, then what follows.
    pub after: Option<u64>,
    /// Only these events; `None`: all. `snapshot`, `gap` and `ping` come in any case.
    pub types: Option<Vec<String>>,
    /// Only events of this printer.
    pub printer_id: Option<String>,
    /// The client's address.
    pub peer: IpAddr,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Cookie` header.
    pub cookie: Option<String>,
}

impl StreamRequest {
    /// Reads what `head` asks for. A `Last-Event-ID` counts before `?after=`: a browser that comes back by itself sends both.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(head: &Head, peer: IpAddr) -> Result<StreamRequest, ApiError> {
        let query = Pairs::parse(head.query())?;
        let last = head.header("last-event-id").and_then(|text| text.trim().parse().ok());
        let after = match last {
            Some(seq) => Some(seq),
            None => query.number("after")?,
        };
        let types = query.get("types").map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let word = |text: &String| {
            !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        if types.as_ref().is_some_and(|types| types.len() > TYPES_MAX || !types.iter().all(word)) {
            return Err(ApiError::bad_value(
                "types",
                "`types` must be names of events, separated by commas.",
            ));
        }
        let printer_id = query.get("printer_id").map(str::to_owned);
        if printer_id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
            return Err(ApiError::bad_value("printer_id", "`printer_id` is too long."));
        }
        let header = |name| head.header(name).map(str::to_owned);
        Ok(StreamRequest {
            after,
            types,
            printer_id,
            peer,
            authorization: header("authorization"),
            cookie: header("cookie"),
        })
    }
}

/// The content of a `ping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Wall time of the device.
    pub now: Timestamp,
    /// The newest durable seq.
    pub seq: u64,
}

/// Where events come from. Lives on the executor's thread.
pub trait EventSource {
    /// What [`EventSource::open`] makes.
    type Stream: EventStream;

    /// Begins a stream: snapshot or replay first, then what follows.
    ///
    /// # Errors
    /// The answer instead of a stream, such as 401 or 503.
    fn open(&self, request: StreamRequest) -> impl Future<Output = Result<Self::Stream, ApiError>>;

    /// What a ping says now.
    fn ping(&self) -> Ping;
}

/// One client's events.
pub trait EventStream {
    /// Waits for the next frame; `None` ends the stream. The future is not dropped before it is ready, except together
    /// with the whole stream.
    fn next(&mut self) -> impl Future<Output = Option<Frame>>;
}

/// Times of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Time between pings.
    pub ping: Duration,
    /// Time for a client to take one frame.
    pub write: Duration,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client went away.
    Closed,
    /// The client did not take a frame in time.
    Slow,
    /// The source had no more.
    Source,
}

impl From<Gone> for End {
    fn from(gone: Gone) -> End {
        match gone {
            Gone::Closed => End::Closed,
            Gone::Stalled => End::Slow,
        }
    }
}

/// The head of a stream's answer.
pub(super) fn stream_head() -> Vec<u8> {
    let headers = [
        ("Content-Type", "text/event-stream"),
        ("Cache-Control", "no-cache"),
        // For those who put nginx in front.
        ("X-Accel-Buffering", "no"),
    ];
    answer_head(200, headers.into_iter(), Length::UntilClose, false)
}

enum Next {
    Frame(Option<Frame>),
    Ping,
    Closed,
}

/// Writes frames and pings until one side ends.
pub(super) async fn pump<E: EventSource>(
    client: &mut Client,
    source: &E,
    mut stream: E::Stream,
    clock: &Clock,
    limits: &StreamLimits,
) -> End {
    tune(client.stream().get_ref());
    let mut first = stream_head();
    first.extend_from_slice(format!("retry: {RETRY_MS}\n\n").as_bytes());
    if let Err(gone) = client.write_within(&first, limits.write).await {
        return gone.into();
    }
    let mut ping_at = clock.now().mono.after(limits.ping);
    loop {
        let mut next = pin!(stream.next());
        loop {
            // The ping comes first: a busy stream must not put it off for ever.
            let event = smol::future::or(
                async {
                    clock.sleep_until(ping_at).await;
                    Next::Ping
                },
                smol::future::or(async { Next::Frame(next.as_mut().await) }, async {
                    closed(client).await;
                    Next::Closed
                }),
            )
            .await;
            let (text, done) = match event {
                Next::Frame(Some(frame)) => (frame, true),
                Next::Frame(None) => return End::Source,
                Next::Closed => return End::Closed,
                Next::Ping => {
                    ping_at = clock.now().mono.after(limits.ping);
                    let ping = source.ping();
                    (
                        frame(None, "ping", &format!("{{\"now\":\"{}\",\"seq\":{}}}", ping.now, ping.seq)),
                        false,
                    )
                }
            };
            if let Err(gone) = client.write_within(text.as_bytes(), limits.write).await {
                return gone.into();
            }
            // A long replay must not keep the other tasks of this thread waiting.
            smol::future::yield_now().await;
            if done {
                break;
            }
        }
    }
}

/// Waits until the client has closed its side (or talks without end).
async fn closed(client: &Client) {
    let mut buffer = [0_u8; 64];
    let mut heard = 0;
    let mut stream = client.stream();
    while let Ok(count) = stream.read(&mut buffer).await {
        heard += count;
        if count == 0 || heard > CHATTER_BYTES_MAX {
            return;
        }
    }
}

/// Bounds what the kernel keeps for a stream. Failing costs memory or patience, not correctness.
fn tune(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, VANISHED_MS);
}

#[cfg(test)]
mod tests {
    use super::super::head::{Parsed, parse};
    use super::*;

    fn request(text: &str) -> Result<StreamRequest, ApiError> {
        let Parsed::Whole(head, _) = parse(text.as_bytes()).unwrap() else { panic!("partial") };
        StreamRequest::parse(&head, [10, 0, 0, 1].into())
    }

    #[test]
    fn a_browser_that_comes_back_gets_what_it_missed() {
        let asked = request("GET /e?after=5&types=job_started,printer_status_update&printer_id=p%201 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(asked.after, Some(5));
        assert_eq!(asked.types.unwrap(), ["job_started", "printer_status_update"]);
        assert_eq!(asked.printer_id.as_deref(), Some("p 1"));
        let again = request("GET /e?after=5 HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 9\r\n\r\n").unwrap();
        assert_eq!(again.after, Some(9));
        let odd = request("GET /e HTTP/1.1\r\nHost: a\r\nLast-Event-ID: x\r\n\r\n").unwrap();
        assert_eq!(odd.after, None);
    }

    #[test]
    fn odd_wishes_are_refused_by_name() {
        for (query, field) in [
            ("after=x".to_owned(), "after"),
            ("types=A".to_owned(), "types"),
            ("types=a,".to_owned(), "types"),
            (format!("types={}", "a,".repeat(100)), "types"),
            (format!("printer_id={}", "a".repeat(200)), "printer_id"),
        ] {
            let error = request(&format!("GET /e?{query} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap_err();
            assert_eq!((error.status, error.details["field"].as_str()), (400, Some(field)));
        }
    }

    #[test]
    fn only_durable_events_have_an_id() {
        assert_eq!(&*frame(Some(7), "job_started", "{}"), "id: 7\nevent: job_started\ndata: {}\n\n");
        assert_eq!(&*frame(None, "printer_status", "{}"), "event: printer_status\ndata: {}\n\n");
    }
}
