//! `events` and `trace`: what happens in a running service, as lines.

use std::ffi::OsString;
use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::args::{EventsRequest, Options, TraceRequest};
use super::client::{Client, ClientError, SILENCE_MAX, url_of};
use super::sse::{Event, Parser};
use super::trace::tree;
use super::{Failure, complain, load, say};
use crate::base::backoff::{Backoff, BackoffConfig};
use crate::base::clock::Clock;
use crate::base::logging::line::escape;
use crate::base::secret::Secret;

/// Events of one page: the most that the API gives.
const PAGE: u64 = 200;
/// Pages at most: beyond the longest journal that can be configured.
const PAGES_MAX: u64 = 100_000 / PAGE + 1;
/// Bytes that are read from the stream at a time.
const READ_BYTES: usize = 8 * 1024;
/// A service that restarts is back after some seconds; one that is off is asked every half minute.
const RECONNECT: BackoffConfig =
    BackoffConfig { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// The longest wait that a service may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// The variable whose password is shown to the service of `--url`.
const PASSWORD_VARIABLE: &str = "PRINTERNIZER_WEB_PASSWORD";

/// The service of `--url`, or the one of this device. A private service wants its password even from readers: the one of
/// this device's configuration goes to this device only, another service gets what the variable names.
fn client(
    url: Option<&str>,
    options: &Options,
    environment: Vec<(OsString, OsString)>,
) -> Result<Client, Failure> {
    if let Some(url) = url {
        let named = environment.into_iter().find(|(name, _)| name == PASSWORD_VARIABLE);
        let password = named.and_then(|(_, text)| text.into_string().ok()).map(Secret::new);
        return Ok(Client::new(url, SILENCE_MAX)?.with_password(password));
    }
    let web = load(options, environment)?.config.web;
    let password = web.password.filter(|_| web.private);
    Ok(Client::new(&url_of(web.listen), SILENCE_MAX)?.with_password(password))
}

/// `events`.
///
/// # Errors
/// When the service cannot be reached or refuses.
pub fn run(request: &EventsRequest, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let client = client(request.url.as_deref(), &request.options, environment)?;
    let mut print = |line: &str| say(&format!("{line}\n"));
    if request.follow {
        let mut follower = Follower::new(request.after, request.json, RECONNECT);
        return follower.run(&client, &Clock::system(), &mut print, &complain);
    }
    pages(&client, request.after, request.json, &mut print)
}

/// One page of the journal.
#[derive(Deserialize)]
struct Page<'j> {
    #[serde(borrow)]
    events: Vec<&'j RawValue>,
    #[serde(default)]
    gap: bool,
}

/// Prints the newest events, or all after `after`.
fn pages(
    client: &Client,
    after: Option<u64>,
    json: bool,
    print: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(mut after) = after else {
        let body = client.get(&format!("/api/v1/events/recent?limit={PAGE}"))?;
        return page(&body, json, print).map(|_| ());
    };
    for _ in 0..PAGES_MAX {
        let body = client.get(&format!("/api/v1/events/recent?after={after}&limit={PAGE}"))?;
        match page(&body, json, print)? {
            Some(last) if last > after => after = last,
            Some(_) | None => return Ok(()),
        }
    }
    Ok(())
}

/// Prints a page; the last seq on it.
fn page(
    body: &str,
    json: bool,
    print: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<Option<u64>, Failure> {
    let page: Page<'_> = serde_json::from_str(body)
        .map_err(|error| Failure::Failed(format!("the service's answer is not a list of events: {error}")))?;
    if page.gap {
        complain("(the events before these are no longer kept)");
    }
    let mut last = None;
    for event in &page.events {
        let value: Value = serde_json::from_str(event.get()).unwrap_or(Value::Null);
        last = value.get("seq").and_then(Value::as_u64).or(last);
        if json {
            print(event.get())?;
        } else {
            print(&line(&value))?;
        }
    }
    Ok(last)
}

/// `trace`.
///
/// # Errors
/// When the service cannot be reached or refuses.
pub fn trace(request: &TraceRequest, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let client = client(request.url.as_deref(), &request.options, environment)?;
    let body = client.get(&format!("/api/v1/events/trace/{}", request.seq))?;
    if request.json {
        return say(&format!("{body}\n"));
    }
    let value: Value = serde_json::from_str(&body)
        .map_err(|error| Failure::Failed(format!("the service's answer is not JSON: {error}")))?;
    tree(&value).iter().try_for_each(|line| say(&format!("{line}\n")))
}

/// An event as a line for people: seq, time, name, then the plain values of its data.
pub(super) fn line(envelope: &Value) -> String {
    let text = |field: &str| envelope.get(field).and_then(Value::as_str).unwrap_or("?");
    let seq =
        envelope.get("seq").and_then(Value::as_u64).map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let line = format!("{seq:>6} {} {}", text("timestamp"), text("event"));
    escape(&(line + &words(envelope)))
}

/// The plain values of an event's data, each with a blank before it; not escaped.
pub(super) fn words(envelope: &Value) -> String {
    let mut line = String::new();
    if let Some(data) = envelope.get("data").and_then(Value::as_object) {
        for (key, value) in data {
            match value {
                Value::Null => {}
                Value::String(text) if text.is_empty() || text.contains(' ') => {
                    line.push_str(&format!(" {key}={text:?}"))
                }
                Value::String(text) => line.push_str(&format!(" {key}={text}")),
                Value::Bool(_) | Value::Number(_) => line.push_str(&format!(" {key}={value}")),
                Value::Array(list) => line.push_str(&format!(" {key}=[{}]", list.len())),
                Value::Object(_) => line.push_str(&format!(" {key}={{..}}")),
            }
        }
    }
    line
}

/// Follows a stream across broken connections.
struct Follower {
    /// The newest durable seq that was seen: where to go on.
    last: Option<u64>,
    json: bool,
    backoff: Backoff,
}

impl Follower {
    fn new(after: Option<u64>, json: bool, backoff: BackoffConfig) -> Follower {
        Follower { last: after, json, backoff: Backoff::new(backoff) }
    }

    /// Prints events until nobody reads them or the service refuses. A service that cannot be reached at all ends it too;
    /// one that was there is waited for, however long it takes.
    fn run(
        &mut self,
        client: &Client,
        clock: &Clock,
        print: &mut dyn FnMut(&str) -> Result<(), Failure>,
        complain: &dyn Fn(&str),
    ) -> Result<(), Failure> {
        let mut was_there = false;
        loop {
            let (trouble, wait) = match client.stream(self.last) {
                Ok(mut body) => {
                    was_there = true;
                    let trouble = self.read(&mut body, print)?;
                    (trouble, Duration::ZERO)
                }
                Err(error @ ClientError::Refused(_)) => return Err(error.into()),
                Err(error @ ClientError::Unreachable(_)) if !was_there => return Err(error.into()),
                Err(ClientError::Unreachable(message)) => (message, Duration::ZERO),
                Err(ClientError::Busy { message, retry_after_s }) => {
                    (message, Duration::from_secs(retry_after_s.unwrap_or(0)).min(RETRY_AFTER_MAX))
                }
            };
            // Said once for each outage, not for each attempt.
            if self.backoff.failures() == 0 {
                complain(&format!("({trouble}; trying again)"));
            }
            let wait = self.backoff.fail(fastrand::u32(..)).max(wait);
            smol::block_on(clock.sleep(wait));
        }
    }

    /// Reads until the line breaks; answers what the trouble is.
    fn read(
        &mut self,
        body: &mut dyn Read,
        print: &mut dyn FnMut(&str) -> Result<(), Failure>,
    ) -> Result<String, Failure> {
        let mut parser = Parser::default();
        let mut buffer = [0; READ_BYTES];
        let mut events = Vec::new();
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => return Ok("the service ended the stream".to_owned()),
                Ok(count) => count,
                Err(error) => return Ok(format!("the stream broke off: {}", escape(&error.to_string()))),
            };
            if parser.feed(buffer.get(..count).unwrap_or_default(), |event| events.push(event)).is_err() {
                return Ok("the service sent an event that is too long".to_owned());
            }
            for event in events.drain(..) {
                self.backoff.succeed();
                self.take(&event, print)?;
            }
        }
    }

    fn take(
        &mut self,
        event: &Event,
        print: &mut dyn FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let value: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
        let seq = event.id.as_deref().and_then(|id| id.parse().ok());
        let seq = match event.name.as_str() {
            // A snapshot stands for everything up to its seq.
            "snapshot" => value.get("seq").and_then(Value::as_u64).or(seq),
            "ping" => return Ok(()),
            _ => seq,
        };
        self.last = seq.or(self.last);
        let is_envelope = value.get("event").is_some();
        match (self.json, is_envelope) {
            (true, true) => print(&event.data),
            (true, false) => print(&format!("{{\"event\":{:?},\"data\":{value}}}", escape(&event.name))),
            (false, true) => print(&line(&value)),
            (false, false) => {
                let fields =
                    serde_json::json!({"event": event.name, "seq": seq, "timestamp": "", "data": value});
                print(&line(&fields))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    /// A service that is a script: each answer is sent on a connection of its own; answers the requests' heads.
    fn service(answers: Vec<&'static str>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut heads = Vec::new();
            let mut silent = Vec::new();
            for answer in answers {
                let (mut socket, _) = listener.accept().unwrap();
                let mut head = String::new();
                for line in BufReader::new(socket.try_clone().unwrap()).lines() {
                    let line = line.unwrap();
                    if line.is_empty() {
                        break;
                    }
                    head += &line.to_ascii_lowercase();
                    head += "\n";
                }
                heads.push(head);
                let keep_open = answer.ends_with("(silence)");
                socket.write_all(answer.trim_end_matches("(silence)").as_bytes()).unwrap();
                if keep_open {
                    silent.push(socket);
                }
            }
            heads
        });
        (url, thread)
    }

    const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    const GONE: &str =
        "HTTP/1.1 404 Not Found\r\nContent-Length: 33\r\n\r\n{\"message\":\"No such place, sir.\"}";
    const FULL: &str =
        "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 19\r\n\r\n{\"message\":\"full.\"}";

    fn leak(text: String) -> &'static str {
        Box::leak(text.into_boxed_str())
    }

    fn quick(after: Option<u64>, json: bool) -> Follower {
        let wait = Duration::from_millis(1);
        Follower::new(after, json, BackoffConfig { first: wait, longest: wait })
    }

    fn follow(follower: &mut Follower, url: &str, silence: Duration) -> (Vec<String>, Result<(), Failure>) {
        let client = Client::new(url, silence).unwrap();
        let mut lines = Vec::new();
        let mut print = |line: &str| {
            lines.push(line.to_owned());
            Ok(())
        };
        let result = follower.run(&client, &Clock::system(), &mut print, &|_| ());
        (lines, result)
    }

    #[test]
    fn a_follower_goes_on_where_it_was() {
        let snapshot = "event: snapshot\ndata: {\"seq\":41,\"printers\":[1,2],\"jobs\":[]}\n\n";
        let durable = "id: 42\nevent: job_started\ndata: {\"seq\":42,\"event\":\"job_started\",\"timestamp\":\"T\",\"data\":{\"job_id\":\"j1\",\"job_name\":\"a b\"}}\n\n";
        let state = "event: job_update\ndata: {\"seq\":null,\"event\":\"job_update\",\"timestamp\":\"T\",\"data\":{}}\n\nevent: ping\ndata: {\"seq\":42}\n\n";
        let (url, thread) = service(vec![
            leak(format!("{STREAM}{snapshot}")),
            leak(format!("{STREAM}{durable}{state}")),
            FULL,
            leak(format!("{STREAM}: nothing\n\n")),
            GONE,
        ]);
        let (lines, result) = follow(&mut quick(None, false), &url, Duration::from_secs(10));
        assert_eq!(
            lines,
            [
                "    41  snapshot jobs=[0] printers=[2] seq=41",
                "    42 T job_started job_id=j1 job_name=\"a b\"",
                "     - T job_update",
            ]
        );
        assert!(matches!(result, Err(Failure::Failed(text)) if text == "No such place, sir."));
        let heads = thread.join().unwrap();
        assert!(!heads[0].contains("last-event-id") && heads[0].contains("accept: text/event-stream"));
        assert!(heads[1].contains("last-event-id: 41\n"));
        assert!(heads[2].contains("last-event-id: 42\n") && heads[4].contains("last-event-id: 42\n"));
    }

    #[test]
    fn a_silent_service_is_left() {
        let durable = "id: 7\nevent: x\ndata: {\"seq\":7,\"event\":\"x\"}\n\n";
        let (url, thread) = service(vec![leak(format!("{STREAM}{durable}(silence)")), GONE]);
        let (lines, _) = follow(&mut quick(Some(3), true), &url, Duration::from_millis(100));
        assert_eq!(lines, ["{\"seq\":7,\"event\":\"x\"}"]);
        let heads = thread.join().unwrap();
        assert!(heads[0].contains("last-event-id: 3\n") && heads[1].contains("last-event-id: 7\n"));
    }

    #[test]
    fn a_service_that_was_never_there_is_not_waited_for() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (lines, result) =
            follow(&mut quick(None, false), &format!("http://{free}"), Duration::from_secs(10));
        assert!(lines.is_empty());
        assert!(matches!(result, Err(Failure::Failed(text)) if text.contains("cannot be reached")));
    }

    #[test]
    fn a_reader_that_leaves_ends_it() {
        let (url, thread) = service(vec![leak(format!("{STREAM}event: x\ndata: {{\"event\":\"x\"}}\n\n"))]);
        let client = Client::new(&url, Duration::from_secs(10)).unwrap();
        let result =
            quick(None, true).run(&client, &Clock::system(), &mut |_| Err(Failure::NobodyReads), &|_| ());
        assert!(matches!(result, Err(Failure::NobodyReads)));
        thread.join().unwrap();
    }

    #[test]
    fn pages_are_read_to_the_end() {
        let answer = |body: &str| {
            leak(format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
        };
        let (url, thread) = service(vec![
            answer(
                r#"{"events":[{"seq":4,"event":"a"},{"seq":5,"event":"b"}],"oldest":4,"newest":6,"gap":true}"#,
            ),
            answer(r#"{"events":[{"seq":6,"event":"c"}],"oldest":4,"newest":6,"gap":false}"#),
            answer(r#"{"events":[],"oldest":4,"newest":6,"gap":false}"#),
        ]);
        let client = Client::new(&url, Duration::from_secs(10)).unwrap();
        let mut lines = Vec::new();
        pages(&client, Some(2), true, &mut |line| {
            lines.push(line.to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(
            lines,
            [r#"{"seq":4,"event":"a"}"#, r#"{"seq":5,"event":"b"}"#, r#"{"seq":6,"event":"c"}"#]
        );
        let heads = thread.join().unwrap();
        assert!(heads[0].contains("after=2&limit=200") && heads[2].contains("after=6&"));
    }

    #[test]
    fn a_private_service_is_shown_its_password() {
        let (url, thread) = service(vec![GONE, GONE, GONE]);
        let variables = || vec![(OsString::from(PASSWORD_VARIABLE), OsString::from("a sentence 1"))];
        let request = TraceRequest { url: Some(url.clone()), seq: 3, ..TraceRequest::default() };
        assert!(matches!(trace(&request, variables()), Err(Failure::Failed(_))));
        assert!(matches!(trace(&request, Vec::new()), Err(Failure::Failed(_))));
        // This device: the password of the configuration, where reading needs it.
        let mut variables = variables();
        variables.push(("PRINTERNIZER_WEB_PRIVATE".into(), "true".into()));
        let listen = Some(OsString::from(url.trim_start_matches("http://")));
        let options = Options { listen, config: Some("/dev/null".into()), ..Options::default() };
        let request = TraceRequest { options, seq: 3, ..TraceRequest::default() };
        assert!(matches!(trace(&request, variables), Err(Failure::Failed(_))));
        let other = vec![(OsString::from(PASSWORD_VARIABLE), OsString::from("Grüße"))];
        let request = TraceRequest { url: Some(url), ..TraceRequest::default() };
        assert!(matches!(trace(&request, other), Err(Failure::Failed(text)) if text.contains("ASCII")));
        let heads = thread.join().unwrap();
        assert!(heads[0].contains("authorization: bearer a sentence 1\n"), "{}", heads[0]);
        assert!(!heads[1].contains("authorization"));
        assert!(heads[2].contains("authorization: bearer a sentence 1\n"), "{}", heads[2]);
    }

    #[test]
    fn lines_are_for_terminals() {
        let envelope = serde_json::json!({"seq": 1, "timestamp": "T", "event": "x", "data": {"a": "\u{1b}[2J\n", "b": null, "c": {"d": 1}, "e": 2.5}});
        assert_eq!(line(&envelope), "     1 T x a=\\u{1b}[2J\\n c={..} e=2.5");
        assert_eq!(line(&Value::Null), "     - ? ?");
    }
}
