//! The command line as a client of a running service: plain HTTP, deadlines everywhere, no proxies.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderValue, Response};
use ureq::{Agent, Body, SendBody};

use super::Failure;
use crate::base::logging::line::escape;
use crate::base::secret::Secret;

/// Bytes of an answer that are read: 200 events of a page at 8 KiB each.
const ANSWER_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// The service is on the LAN or on this device.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A handler of the service has 30 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);
/// The stream is never silent for longer than a ping's 15 s; two lost ones and some delay mean that nobody is there.
pub const SILENCE_MAX: Duration = Duration::from_secs(40);

/// A service at an address.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    password: Option<Secret>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// Nobody answers, or the line broke: trying again may help.
    Unreachable(String),
    /// The service is full or starting (503 or 429), and this is what it says.
    Busy {
        /// Its words.
        message: String,
        /// Seconds that it wants us to wait.
        retry_after_s: Option<u64>,
    },
    /// The service refuses, and this is what it says: trying again does not help.
    Refused(String),
}

impl ClientError {
    /// For the person at the prompt.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            ClientError::Unreachable(message) | ClientError::Refused(message) => message,
            ClientError::Busy { message, .. } => message,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::Failed(error.message().to_owned())
    }
}

/// The address under which a service that listens at `listen` is reached from the same device.
#[must_use]
pub fn url_of(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

impl Client {
    /// A client of the service at `url`, as `http://printernizer.local:8080`.
    ///
    /// # Errors
    /// When `url` is not of that form.
    pub fn new(url: &str, silence_max: Duration) -> Result<Client, Failure> {
        let base = url.trim_end_matches('/');
        let rest = base.strip_prefix("http://").unwrap_or_default();
        if rest.is_empty()
            || rest.contains(['/', '?', '#', '@'])
            || rest.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(Failure::Usage(format!(
                "--url: found {url:?}; allowed: the address of a service, as http://printernizer.local:8080"
            )));
        }
        let agent = Agent::config_builder()
            // Variables of the environment must not send the LAN's events through somebody's proxy.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(CONNECT_WITHIN))
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_send_request(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(ANSWER_WITHIN))
            .timeout_per_read(Some(silence_max))
            .user_agent(concat!("printernizer/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Client { agent, base: base.to_owned(), password: None })
    }

    /// The same client, which shows `password` with every request.
    #[must_use]
    pub fn with_password(self, password: Option<Secret>) -> Client {
        Client { password, ..self }
    }

    /// `GET path`; the body of a good answer.
    ///
    /// # Errors
    /// When nobody answers, or the answer is an error of the service.
    pub fn get(&self, path: &str) -> Result<String, ClientError> {
        let (status, retry_after_s, body) = self.open(path, None, "application/json")?;
        let mut text = String::new();
        body.take(ANSWER_BYTES_MAX).read_to_string(&mut text).map_err(|error| {
            ClientError::Unreachable(format!("{}: the answer broke off: {error}", self.base))
        })?;
        if status == 200 { Ok(text) } else { Err(self.refused(status, retry_after_s, &text)) }
    }

    /// Opens the stream of events after `last`.
    ///
    /// # Errors
    /// When nobody answers, or the answer is an error of the service.
    pub fn stream(&self, last: Option<u64>) -> Result<impl Read + use<>, ClientError> {
        let (status, retry_after_s, body) = self.open("/api/v1/events", last, "text/event-stream")?;
        if status == 200 {
            return Ok(body);
        }
        let mut text = String::new();
        let _ = body.take(ANSWER_BYTES_MAX).read_to_string(&mut text);
        Err(self.refused(status, retry_after_s, &text))
    }

    /// The address of the service.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `POST path` with JSON; the bytes of a good answer, as they come.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post_for_bytes(&self, path: &str, json: &str) -> Result<impl Read + use<>, ClientError> {
        let mut request =
            self.agent.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        if let Some(value) = self.authorization()? {
            request = request.header("Authorization", value);
        }
        let (status, retry_after_s, body) = self.answered(request.send(json))?;
        self.good(status, retry_after_s, body)
    }

    /// `POST path` with `length` bytes from `body`, and a passphrase.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post_bytes(
        &self,
        path: &str,
        passphrase: Option<&str>,
        mut body: impl Read,
        length: u64,
    ) -> Result<(), ClientError> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("Content-Type", "application/octet-stream")
            .header("Content-Length", length.to_string());
        if let Some(value) = self.authorization()? {
            request = request.header("Authorization", value);
        }
        if let Some(passphrase) = passphrase {
            let encoded: String = passphrase
                .bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                    other => format!("%{other:02X}"),
                })
                .collect();
            request = request.header("X-Passphrase", encoded);
        }
        let (status, retry_after_s, body) = self.answered(request.send(SendBody::from_reader(&mut body)))?;
        self.good(status, retry_after_s, body).map(drop)
    }

    fn good<B: Read>(&self, status: u16, retry_after_s: Option<u64>, body: B) -> Result<B, ClientError> {
        if status == 200 {
            return Ok(body);
        }
        let mut text = String::new();
        let _ = body.take(ANSWER_BYTES_MAX).read_to_string(&mut text);
        Err(self.refused(status, retry_after_s, &text))
    }

    fn open(
        &self,
        path: &str,
        last: Option<u64>,
        accept: &str,
    ) -> Result<(u16, Option<u64>, impl Read + use<>), ClientError> {
        let mut request = self.agent.get(format!("{}{path}", self.base)).header("Accept", accept);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        if let Some(value) = self.authorization()? {
            request = request.header("Authorization", value);
        }
        self.answered(request.call())
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, ClientError> {
        let Some(password) = &self.password else { return Ok(None) };
        let ascii = password.reveal().is_ascii();
        let value = HeaderValue::from_str(&format!("Bearer {}", password.reveal()));
        let Some(mut value) = value.ok().filter(|_| ascii) else {
            // The client library sends no other header than an ASCII one.
            let what = "this command can only send a password of ASCII characters";
            return Err(ClientError::Refused(what.to_owned()));
        };
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn answered(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<(u16, Option<u64>, impl Read + use<>), ClientError> {
        let answer = answer.map_err(|error| {
            ClientError::Unreachable(format!(
                "{} cannot be reached: {}. Is the service running? Another address can be given with --url",
                self.base,
                escape(&error.to_string())
            ))
        })?;
        let retry_after_s =
            answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        // The stream has no end; each event is bounded by its parser.
        let body = answer.into_parts();
        Ok((body.0.status.as_u16(), retry_after_s, body.1.into_with_config().limit(u64::MAX).reader()))
    }

    fn refused(&self, status: u16, retry_after_s: Option<u64>, body: &str) -> ClientError {
        let envelope: Option<Value> = serde_json::from_str(body).ok();
        let said = envelope.as_ref().and_then(|envelope| envelope.get("message")).and_then(Value::as_str);
        let message = match said {
            Some(said) => escape(said),
            None => format!("{} answers with status {status}, not as printernizer does", self.base),
        };
        match status {
            429 | 503 => ClientError::Busy { message, retry_after_s },
            _ => ClientError::Refused(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_listens_everywhere_is_reached_on_loopback() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:80", "http://[::1]:80"),
            ("192.168.1.2:80", "http://192.168.1.2:80"),
            ("[fd00::1]:80", "http://[fd00::1]:80"),
        ] {
            assert_eq!(url_of(listen.parse().unwrap()), url);
        }
    }

    #[test]
    fn urls_are_plain_addresses() {
        for good in ["http://printernizer.local", "http://[::1]:8080/", "http://10.0.0.1:80"] {
            assert!(Client::new(good, SILENCE_MAX).is_ok(), "{good}");
        }
        for bad in [
            "",
            "printernizer",
            "https://x",
            "http://",
            "http://x/api",
            "http://x y",
            "http://u:p@x",
            "http://x\n",
        ] {
            assert!(matches!(Client::new(bad, SILENCE_MAX), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn what_the_service_says_is_passed_on_harmlessly() {
        let client = Client::new("http://x", SILENCE_MAX).unwrap();
        let refused = client.refused(404, None, r#"{"status":"error","message":"No \u001b[2Jevent 9."}"#);
        assert_eq!(refused, ClientError::Refused("No \\u{1b}[2Jevent 9.".to_owned()));
        assert_eq!(
            client.refused(503, Some(3), "{}").message(),
            "http://x answers with status 503, not as printernizer does"
        );
        assert!(client.refused(200, None, "<html>").message().contains("not as printernizer"));
    }
}
