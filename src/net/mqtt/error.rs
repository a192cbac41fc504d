//! Why a link ended, sorted by what one would do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use rumqttc::{ConnectReturnCode, ConnectionError, StateError, TlsError, mqttbytes};

use crate::net::tls::{PeerSeen, Verdict};

/// Longest message of an error, in bytes. Parts of it come from libraries that quote the peer.
const MESSAGE_BYTES_MAX: usize = 240;

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttError {
    /// What sort of trouble it is.
    pub kind: MqttErrorKind,
    /// What happened, in words for a log or a page; no secrets, at most 240 bytes.
    pub message: String,
}

/// The sorts of trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MqttErrorKind {
    /// Nothing answers at the address: off, elsewhere, or another network.
    Unreachable,
    /// The address answers that nobody listens on the port.
    Refused,
    /// The TLS handshake failed, or the other side does not speak TLS.
    Tls,
    /// The peer's key is not the pinned one.
    KeyChanged,
    /// The peer's certificate carries another name than the expected one.
    WrongName {
        /// The name it carries.
        seen: String,
    },
    /// The peer does not accept the user name or the password.
    WrongCode,
    /// The peer broke the rules of MQTT, or refused the login for a reason other than its password.
    Protocol,
    /// A connection stood, but no answer came in time.
    Silent,
    /// The peer sent a packet longer than allowed.
    TooLarge,
    /// The peer closed a working connection.
    ClosedByPeer,
}

impl MqttError {
    pub(super) fn new(kind: MqttErrorKind, message: impl Into<String>) -> MqttError {
        let mut message = message.into();
        let mut end = MESSAGE_BYTES_MAX.min(message.len());
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        MqttError { kind, message }
    }
}

impl fmt::Display for MqttError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for MqttError {}

/// How far a link had come when it failed.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The peer had let us in.
    pub connected: bool,
    /// A TCP connection stood and the first TLS message was made.
    pub hello_sent: bool,
    /// What was seen of the peer in this attempt.
    pub seen: Option<PeerSeen>,
    /// The deadline that applied.
    pub limit: Duration,
    /// The longest packet allowed.
    pub max_incoming: usize,
}

/// Sorts an error of the client library.
pub(super) fn classify(error: &ConnectionError, progress: &Progress) -> MqttError {
    use MqttErrorKind as Kind;
    match error {
        // TCP's connect is the only bare I/O of the library before a connection stands.
        ConnectionError::Io(error) if !progress.hello_sent => tcp(error),
        ConnectionError::Io(error) => session_io(error),
        ConnectionError::Tls(error) => handshake(error, progress),
        ConnectionError::NetworkTimeout => timeout(progress),
        ConnectionError::FlushTimeout => MqttError::new(
            Kind::Silent,
            format!("the peer took nothing off the connection for {} s", progress.limit.as_secs()),
        ),
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => MqttError::new(Kind::WrongCode, "the peer does not accept the user name or the password"),
        ConnectionError::ConnectionRefused(code) => {
            MqttError::new(Kind::Protocol, format!("the peer refused the login: {code:?}"))
        }
        ConnectionError::MqttState(error) => state(error, progress),
        ConnectionError::NotConnAck(_) => {
            MqttError::new(Kind::Protocol, "the peer answered the login with something else")
        }
        ConnectionError::RequestsDone => MqttError::new(Kind::Protocol, "the link was given up"),
    }
}

/// Sorts an error of TCP's connect.
pub(super) fn tcp(error: &io::Error) -> MqttError {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            MqttError::new(MqttErrorKind::Refused, "the address answers, but nobody listens on the port")
        }
        _ => MqttError::new(MqttErrorKind::Unreachable, format!("the address cannot be reached: {error}")),
    }
}

/// Nothing answered within `limit`.
pub(super) fn unreachable(limit: Duration) -> MqttError {
    let message = format!("nothing answered at the address for {} s", limit.as_secs());
    MqttError::new(MqttErrorKind::Unreachable, message)
}

/// A task of ours failed on something; the peer's last packet is the most likely cause.
pub(super) fn panicked() -> MqttError {
    MqttError::new(MqttErrorKind::Protocol, "the MQTT client failed on what the peer sent")
}

fn timeout(progress: &Progress) -> MqttError {
    let seconds = progress.limit.as_secs();
    if !progress.hello_sent {
        return unreachable(progress.limit);
    }
    let message = match progress.seen {
        None => format!("the connection stands, but TLS was not answered for {seconds} s"),
        Some(_) => format!("TLS was answered, but the login was not, for {seconds} s"),
    };
    MqttError::new(MqttErrorKind::Silent, message)
}

fn handshake(error: &TlsError, progress: &Progress) -> MqttError {
    use MqttErrorKind as Kind;
    if let Some(seen) = &progress.seen {
        match seen.verdict {
            Verdict::KeyChanged => {
                return MqttError::new(Kind::KeyChanged, "the peer's key is not the one it had before");
            }
            Verdict::WrongName => {
                let seen = seen.common_name.clone().unwrap_or_default();
                let message = format!("the certificate belongs to {seen}, not to the expected peer");
                return MqttError::new(Kind::WrongName { seen }, message);
            }
            Verdict::NoName => {
                return MqttError::new(Kind::Tls, "the certificate carries no name that could be checked");
            }
            Verdict::Unproven | Verdict::FirstUse | Verdict::Matches => {}
        }
    }
    let message = match error {
        TlsError::Io(error) => match error.kind() {
            // Something that is not TLS, that has no room for another client, or that dislikes what we offer.
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "the peer hung up during the TLS handshake; is it the right port?".to_owned()
            }
            _ => format!("the TLS handshake failed: {error}"),
        },
        error => format!("the TLS handshake failed: {error}"),
    };
    MqttError::new(Kind::Tls, message)
}

fn state(error: &StateError, progress: &Progress) -> MqttError {
    use MqttErrorKind as Kind;
    match error {
        StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => session_io(error),
        StateError::ConnectionAborted => closed(progress),
        StateError::AwaitPingResp | StateError::CollisionTimeout => {
            MqttError::new(Kind::Silent, "the peer does not answer probes any more")
        }
        StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded(size)) => MqttError::new(
            Kind::TooLarge,
            format!("the peer sent a packet of {size} bytes; {} are allowed", progress.max_incoming),
        ),
        StateError::Deserialization(error) => {
            MqttError::new(Kind::Protocol, format!("the peer sent a broken packet: {error}"))
        }
        StateError::InvalidState
        | StateError::Unsolicited(_)
        | StateError::WrongPacket
        | StateError::EmptySubscription => {
            MqttError::new(Kind::Protocol, format!("the peer broke the protocol: {error}"))
        }
    }
}

fn closed(progress: &Progress) -> MqttError {
    let message = if progress.connected {
        "the peer closed the connection"
    } else {
        "the peer closed the connection instead of answering the login"
    };
    MqttError::new(MqttErrorKind::ClosedByPeer, message)
}

/// Sorts an I/O error of a connection that stood. TLS errors travel inside of them.
fn session_io(error: &io::Error) -> MqttError {
    use MqttErrorKind as Kind;
    match error.kind() {
        ErrorKind::TimedOut => MqttError::new(Kind::Silent, "the peer stopped answering"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            MqttError::new(Kind::Unreachable, format!("the network to the peer broke: {error}"))
        }
        ErrorKind::InvalidData => {
            MqttError::new(Kind::Tls, format!("the encrypted connection broke: {error}"))
        }
        _ => MqttError::new(Kind::ClosedByPeer, format!("the peer closed the connection: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            connected: false,
            hello_sent: true,
            seen: None,
            limit: Duration::from_secs(20),
            max_incoming: 100,
        }
    }

    fn seen(verdict: Verdict) -> Progress {
        let seen = PeerSeen { spki_sha256: [7; 32], common_name: Some("OTHER".to_owned()), verdict };
        Progress { seen: Some(seen), ..progress() }
    }

    fn kind(error: &ConnectionError, progress: &Progress) -> MqttErrorKind {
        classify(error, progress).kind
    }

    #[test]
    fn a_time_out_is_sorted_by_how_far_it_came() {
        let cold = Progress { hello_sent: false, ..progress() };
        assert_eq!(kind(&ConnectionError::NetworkTimeout, &cold), MqttErrorKind::Unreachable);
        assert_eq!(kind(&ConnectionError::NetworkTimeout, &progress()), MqttErrorKind::Silent);
        let login = classify(&ConnectionError::NetworkTimeout, &seen(Verdict::Matches));
        assert_eq!(login.kind, MqttErrorKind::Silent);
        assert!(login.message.contains("login"), "{login}");
    }

    #[test]
    fn a_refused_handshake_says_why() {
        let broken = || ConnectionError::Tls(TlsError::Io(ErrorKind::InvalidData.into()));
        assert_eq!(kind(&broken(), &seen(Verdict::KeyChanged)), MqttErrorKind::KeyChanged);
        let other = MqttErrorKind::WrongName { seen: "OTHER".to_owned() };
        assert_eq!(kind(&broken(), &seen(Verdict::WrongName)), other);
        assert_eq!(kind(&broken(), &seen(Verdict::NoName)), MqttErrorKind::Tls);
        assert_eq!(kind(&broken(), &seen(Verdict::Unproven)), MqttErrorKind::Tls);
        assert_eq!(kind(&broken(), &progress()), MqttErrorKind::Tls);
    }

    #[test]
    fn io_means_different_things_before_and_after_the_connection_stands() {
        let cold = Progress { hello_sent: false, ..progress() };
        let refused = || ConnectionError::Io(ErrorKind::ConnectionRefused.into());
        assert_eq!(kind(&refused(), &cold), MqttErrorKind::Refused);
        let no_route = ConnectionError::Io(ErrorKind::HostUnreachable.into());
        assert_eq!(kind(&no_route, &cold), MqttErrorKind::Unreachable);
        let state = |kind: ErrorKind| ConnectionError::MqttState(StateError::Io(kind.into()));
        assert_eq!(kind(&state(ErrorKind::ConnectionReset), &progress()), MqttErrorKind::ClosedByPeer);
        assert_eq!(kind(&state(ErrorKind::UnexpectedEof), &progress()), MqttErrorKind::ClosedByPeer);
        assert_eq!(kind(&state(ErrorKind::TimedOut), &progress()), MqttErrorKind::Silent);
        assert_eq!(kind(&state(ErrorKind::InvalidData), &progress()), MqttErrorKind::Tls);
    }

    #[test]
    fn the_login_and_the_protocol() {
        let refusal = |code| kind(&ConnectionError::ConnectionRefused(code), &progress());
        assert_eq!(refusal(ConnectReturnCode::BadUserNamePassword), MqttErrorKind::WrongCode);
        assert_eq!(refusal(ConnectReturnCode::NotAuthorized), MqttErrorKind::WrongCode);
        assert_eq!(refusal(ConnectReturnCode::ServiceUnavailable), MqttErrorKind::Protocol);
        let state = |error| kind(&ConnectionError::MqttState(error), &progress());
        assert_eq!(state(StateError::AwaitPingResp), MqttErrorKind::Silent);
        assert_eq!(state(StateError::ConnectionAborted), MqttErrorKind::ClosedByPeer);
        assert_eq!(state(StateError::WrongPacket), MqttErrorKind::Protocol);
        let large = mqttbytes::Error::PayloadSizeLimitExceeded(300_000);
        assert_eq!(state(StateError::Deserialization(large)), MqttErrorKind::TooLarge);
        let broken = mqttbytes::Error::MalformedPacket;
        assert_eq!(state(StateError::Deserialization(broken)), MqttErrorKind::Protocol);
    }

    #[test]
    fn messages_are_bounded() {
        let error = MqttError::new(MqttErrorKind::Tls, "ä".repeat(1000));
        assert_eq!(error.message.len(), MESSAGE_BYTES_MAX);
    }
}
