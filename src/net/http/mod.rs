//! HTTP/1.1 towards small devices on the local network: ureq with a deadline for every wait, and digests of our own.
//!
//! Blocking: callers bring a thread. One [`Client`] keeps at most one idle connection to one address and never follows a
//! redirect, so a secret goes to that address and nowhere else. No compression is asked for, no proxy of the environment
//! is used, no header or body is read beyond its limit. The user agent never changes: some peers bind a nonce to it.
//!
//! Deadlines: connecting, and each wait for the peer's bytes, see [`Limits`]; an exchange as a whole where the caller wants
//! that, and [`Client::cancel`] from another thread ends whatever waits. A connect that is under way ends at its own
//! deadline.

pub mod digest;
mod error;
pub mod login;

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::http::{HeaderMap, HeaderValue, Method as HttpMethod, Request, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, BodyReader, config::Config};

pub use error::{HttpError, HttpErrorKind};
use login::{Login, Proof, Verdict};

/// The name that the product gives itself; the same in every request.
pub const USER_AGENT: &str = concat!("printernizer/", env!("CARGO_PKG_VERSION"));
/// Bytes of a response's head; small devices send a few hundred. Below the size of the buffer, in which it has to stand whole.
const HEAD_BYTES_MAX: usize = 6 * 1024;
/// Buffers of a connection; one request is less than 1 KiB, and reads of 8 KiB keep up with any small device.
const INPUT_BYTES: usize = 8 * 1024;
/// See [`INPUT_BYTES`].
const OUTPUT_BYTES: usize = 2 * 1024;
/// A connection that was idle for longer is not used again: small servers close theirs after a minute.
const IDLE_MAX: Duration = Duration::from_secs(45);
/// Bytes of a refusal's body that are read so that the connection can be used again.
const REFUSAL_BYTES_MAX: u64 = 4 * 1024;

/// The methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks whether something is there.
    Head,
    /// Changes a state; sent without a body.
    Put,
    /// Removes or stops something.
    Delete,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }

    fn http(self) -> HttpMethod {
        match self {
            Method::Get => HttpMethod::GET,
            Method::Head => HttpMethod::HEAD,
            Method::Put => HttpMethod::PUT,
            Method::Delete => HttpMethod::DELETE,
        }
    }
}

/// An answer that is taken whole comes within this time where the caller names none: a megabyte at 75 KB/s with a wide margin.
const FETCH_WHOLE: Duration = Duration::from_secs(20);

/// Deadlines.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection to be made.
    pub connect: Duration,
    /// For an answer to begin, and for each further piece of it.
    pub wait: Duration,
    /// For one request and its whole answer; `None` where answers may be long.
    pub whole: Option<Duration>,
}

/// A client of one address. Clones share its connection, its login and its end.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    agent: Agent,
    address: SocketAddr,
    limits: Limits,
    authority: String,
    login: Mutex<Login>,
    cancelled: AtomicBool,
    /// A connection may be kept from an earlier exchange.
    kept: AtomicBool,
}

/// An answer whose body has not been read. Dropping it closes the connection unless the body was read to its end.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Content-Length`, where the peer sent one.
    pub length: Option<u64>,
    headers: HeaderMap,
    body: BodyReader<'static>,
    shared: Arc<Shared>,
}

/// An answer with its whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of `address`. `host` is what the user calls it, for the `Host` header; `login` is a new one or that of an
    /// earlier client of the same peer. Connects with the first request.
    #[must_use]
    pub fn new(address: SocketAddr, host: &str, login: Login, limits: Limits) -> Client {
        Client::with_authority(address, authority(address, host), login, limits)
    }

    fn with_authority(address: SocketAddr, authority: String, login: Login, limits: Limits) -> Client {
        let agent = Agent::with_parts(config(limits), DefaultConnector::default(), Fixed(address));
        Client(Arc::new(Shared {
            agent,
            address,
            limits,
            authority,
            login: Mutex::new(login),
            cancelled: AtomicBool::new(false),
            kept: AtomicBool::new(false),
        }))
    }

    /// Sends a request and waits for the head of its answer. `target` is a path, percent-encoded, with its query.
    ///
    /// # Errors
    /// [`HttpError`]: no answer, not HTTP, or not let in. Every status but a refused login is an answer.
    pub fn send(&self, method: Method, target: &str) -> Result<Answer, HttpError> {
        self.send_within(method, target, self.0.limits.whole)
    }

    /// [`Client::send`] with a deadline of its own for the exchange as a whole.
    fn send_within(
        &self,
        method: Method,
        target: &str,
        whole: Option<Duration>,
    ) -> Result<Answer, HttpError> {
        let mut exchange = self.login().begin();
        loop {
            let proof = self.login().proof(&mut exchange, method.name(), target);
            let answer = self.once(method, target, &proof, whole)?;
            let challenge = answer
                .headers
                .get_all("www-authenticate")
                .iter()
                .filter_map(|value| digest::Challenge::parse(value.to_str().ok()?))
                .next();
            match self.login().judge(&mut exchange, answer.status, challenge, unrepeated()) {
                Verdict::Answered => return Ok(answer),
                Verdict::Again => answer.drain(),
                Verdict::Refused => {
                    answer.drain();
                    return Err(HttpError::new(HttpErrorKind::Auth, "the password or key is not accepted"));
                }
            }
        }
    }

    /// [`Client::send`] and the whole body, at most `bytes_max` bytes of it.
    ///
    /// # Errors
    /// As [`Client::send`]; [`HttpErrorKind::TooLarge`] for a longer body.
    pub fn fetch(&self, method: Method, target: &str, bytes_max: u64) -> Result<Whole, HttpError> {
        // What is taken whole is short: a peer that drips it holds its caller no longer than this.
        let deadline = self.0.limits.whole.unwrap_or(FETCH_WHOLE);
        let answer = self.send_within(method, target, Some(deadline))?;
        Ok(Whole { status: answer.status, body: answer.whole(bytes_max)? })
    }

    /// The peer's last challenge.
    #[must_use]
    pub fn challenge(&self) -> Option<digest::Challenge> {
        self.login().challenge().cloned()
    }

    /// A client of the same peer with a connection of its own, which begins with what this one has learnt.
    #[must_use]
    pub fn renewed(&self) -> Client {
        let shared = &self.0;
        Client::with_authority(shared.address, shared.authority.clone(), self.known_login(), shared.limits)
    }

    /// What is known of the peer's way to let us in, for the next client of the same peer.
    #[must_use]
    pub fn known_login(&self) -> Login {
        self.login().clone()
    }

    /// Ends every request, now and later, with [`HttpErrorKind::Cancelled`]. For another thread.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        self.0.agent.clone().shutdown();
    }

    /// Whether [`Client::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    fn login(&self) -> std::sync::MutexGuard<'_, Login> {
        self.0.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn once(
        &self,
        method: Method,
        target: &str,
        proof: &Proof,
        whole: Option<Duration>,
    ) -> Result<Answer, HttpError> {
        let kept = self.0.kept.swap(false, Ordering::SeqCst);
        let answered = match self.0.exchange(method, target, proof, whole) {
            // A peer that closes a connection just when it is to be used again: asking twice for the same changes nothing.
            Err(error) if error.kind == HttpErrorKind::Interrupted && method == Method::Get && kept => {
                self.0.exchange(method, target, proof, whole)
            }
            other => other,
        };
        self.0.kept.store(answered.is_ok(), Ordering::SeqCst);
        answered.map(|(status, length, headers, body)| Answer {
            status,
            length,
            headers,
            body,
            shared: Arc::clone(&self.0),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("authority", &self.0.authority).finish_non_exhaustive()
    }
}

type Parts = (u16, Option<u64>, HeaderMap, BodyReader<'static>);

impl Shared {
    fn exchange(
        &self,
        method: Method,
        target: &str,
        proof: &Proof,
        whole: Option<Duration>,
    ) -> Result<Parts, HttpError> {
        let malformed = |what: &str| HttpError::new(HttpErrorKind::BadRequest, what);
        let uri: Uri = format!("http://{}{target}", self.authority)
            .parse()
            .map_err(|_| malformed("the path cannot be asked for"))?;
        let request = Request::builder().method(method.http()).uri(uri);
        // Only the first type counts at some.
        let request = request.header("Accept", "application/json");
        let request = match proof {
            Proof::None => request,
            Proof::Digest(value) => request.header("Authorization", secret(value)?),
            Proof::Key(key) => request.header("X-Api-Key", secret(key.reveal())?),
        };
        let odd = |_| malformed("the request cannot be written");
        let answer = match method {
            // An empty body, so that its length is told.
            Method::Put => {
                let request = request.body([0_u8; 0].as_slice()).map_err(odd)?;
                self.agent.run(self.agent.configure_request(request).timeout_per_call(whole).build())
            }
            Method::Get | Method::Head | Method::Delete => {
                let request = request.body(()).map_err(odd)?;
                self.agent.run(self.agent.configure_request(request).timeout_per_call(whole).build())
            }
        };
        let answer = answer.map_err(|error| HttpError::of(&error, self.cancelled.load(Ordering::SeqCst)))?;
        let (head, body) = answer.into_parts();
        let length = body.content_length();
        let body = body.into_with_config().limit(u64::MAX).reader();
        Ok((head.status.as_u16(), length, head.headers, body))
    }
}

impl Answer {
    /// A header of the answer, if it is there once and plain text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The whole body, at most `bytes_max` bytes.
    ///
    /// # Errors
    /// When it is longer, or does not come whole.
    pub fn whole(mut self, bytes_max: u64) -> Result<Vec<u8>, HttpError> {
        let too_large =
            || HttpError::new(HttpErrorKind::TooLarge, "the answer is longer than any that makes sense");
        if self.length.is_some_and(|length| length > bytes_max) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let read = self.body.by_ref().take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| self.trouble(error))?;
        if bytes.len() as u64 > bytes_max { Err(too_large()) } else { Ok(bytes) }
    }

    /// Reads the next bytes of the body.
    ///
    /// # Errors
    /// When the connection breaks, stalls, ends before `Content-Length`, or was cancelled.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, HttpError> {
        self.body.read(into).map_err(|error| self.trouble(error))
    }

    fn trouble(&self, error: std::io::Error) -> HttpError {
        HttpError::of(&ureq::Error::from(error), self.shared.cancelled.load(Ordering::SeqCst))
    }

    /// Reads a short body to its end, so that the connection can be used again.
    fn drain(mut self) {
        let _ = std::io::copy(&mut self.body.by_ref().take(REFUSAL_BYTES_MAX), &mut std::io::sink());
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

fn config(limits: Limits) -> Config {
    Agent::config_builder()
        // Variables of the environment must not send a printer's password through somebody's proxy.
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(USER_AGENT)
        .accept_encoding("")
        .max_response_header_size(HEAD_BYTES_MAX)
        .input_buffer_size(INPUT_BYTES)
        .output_buffer_size(OUTPUT_BYTES)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(IDLE_MAX)
        .timeout_connect(Some(limits.connect))
        .timeout_send_request(Some(limits.wait))
        .timeout_send_body(Some(limits.wait))
        .timeout_recv_response(Some(limits.wait))
        .timeout_per_read(Some(limits.wait))
        .timeout_per_write(Some(limits.wait))
        .timeout_per_call(limits.whole)
        .build()
}

/// Addresses are resolved before, by `net::resolve`: this is the one.
#[derive(Debug)]
struct Fixed(SocketAddr);

impl Resolver for Fixed {
    fn resolve(
        &self,
        _uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

/// What stands behind `http://` and in `Host`: the user's name for the device where it is a plain one, else the address.
fn authority(address: SocketAddr, host: &str) -> String {
    let name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    let host = match address {
        _ if name && !host.is_empty() => host.to_owned(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    };
    match address.port() {
        80 => host,
        port => format!("{host}:{port}"),
    }
}

fn secret(text: &str) -> Result<HeaderValue, HttpError> {
    let ascii = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let value = HeaderValue::from_str(text).ok().filter(|_| ascii);
    let mut value = value.ok_or_else(|| {
        HttpError::new(HttpErrorKind::Auth, "user name and key may hold plain ASCII characters only")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A number that does not come again: seeded by the system for every call.
fn unrepeated() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
