//! Why something failed on an FTPS session, sorted by what one would do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};

use rustls::InvalidMessage;

use super::reply::Reply;
use crate::net::tls::{PeerSeen, Verdict};

/// Longest message of an error, in bytes. Parts of it quote the peer.
const MESSAGE_BYTES_MAX: usize = 240;

/// Longest piece of a reply that a message quotes, in characters. The rest of a message is ours and short.
const QUOTE_CHARS_MAX: usize = 80;

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FtpsError {
    /// What sort of trouble it is.
    pub kind: FtpsErrorKind,
    /// What happened, in words for a log or a page; no secrets, at most 240 bytes.
    pub message: String,
}

/// The sorts of trouble. [`FtpsErrorKind::advice`] says what to do about each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FtpsErrorKind {
    /// Nothing answers at the address: off, elsewhere, or another network.
    Unreachable,
    /// The address answers that nobody listens on the port.
    Refused,
    /// The TLS handshake of the control connection failed, or the other side does not speak TLS.
    Tls,
    /// The peer's key is not the pinned one.
    KeyChanged,
    /// The peer's certificate carries another name than the expected one.
    WrongName {
        /// The name it carries.
        seen: String,
    },
    /// The peer does not accept the user name or the password (530, 430).
    LoginRefused,
    /// A connection stood, but no answer came in time.
    Silent,
    /// The data connection stood, but no byte came in time.
    Stalled,
    /// The peer closes the session: too many clients, or idle for too long (421).
    Closing,
    /// No data connection came to be (425): usually another transfer is going on.
    NoDataConnection,
    /// TLS on the data connection failed; some peers want the data in clear text ([`super::Protection::Clear`]).
    DataTls,
    /// The peer demands that the data connection resumes the session of the control connection, and says it did not (522).
    ReuseRequired,
    /// The transfer was cut (426, 451, or the connection broke).
    Interrupted,
    /// The file cannot be had at the moment (450).
    FileBusy,
    /// There is no such file or folder, or it is not ours to see (550).
    NotFound,
    /// The peer does not permit this (532, 533, 552, 553).
    NotPermitted,
    /// The peer does not know the command (500 to 504), or has said so before.
    Unsupported,
    /// The transfer ended, and fewer bytes came than the file has.
    Short {
        /// The size of the whole file in bytes.
        expected: u64,
        /// The bytes of the file up to the end of the transfer, those skipped at its start included.
        received: u64,
    },
    /// More bytes came than the file has: it is not the file whose size was asked for.
    Long {
        /// The size of the whole file in bytes.
        expected: u64,
    },
    /// The peer broke the rules of FTP.
    Protocol,
    /// The session cannot be used any more: the peer hung up, answers in clear text, or owes an answer to something else.
    Dead,
    /// The path cannot be sent: it is empty, too long, or has a line break or a zero byte in it.
    BadPath,
    /// [`super::Cancel::cancel`] was called.
    Cancelled,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// It may go away: wait, and try again. With the same session if [`super::Session::is_usable`], otherwise with a new one.
    Retry,
    /// The same request will fail again, others may not.
    GiveUp,
    /// Nothing will work until somebody does something about it.
    TellUser,
}

impl FtpsErrorKind {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::Unreachable
            | Self::Refused
            | Self::Silent
            | Self::Stalled
            | Self::Closing
            | Self::NoDataConnection
            | Self::DataTls
            | Self::Interrupted
            | Self::FileBusy
            | Self::Short { .. }
            | Self::Long { .. }
            | Self::Dead
            // The peer may have forgotten the TLS session (OpenSSL does after 5 minutes); a new login makes a new one.
            | Self::ReuseRequired
            | Self::Tls => Advice::Retry,
            Self::NotFound
            | Self::NotPermitted
            | Self::Unsupported
            | Self::Protocol
            | Self::BadPath
            | Self::Cancelled => Advice::GiveUp,
            Self::KeyChanged | Self::WrongName { .. } | Self::LoginRefused => Advice::TellUser,
        }
    }
}

impl FtpsError {
    pub(super) fn new(kind: FtpsErrorKind, message: impl Into<String>) -> FtpsError {
        let mut message = message.into();
        let mut end = MESSAGE_BYTES_MAX.min(message.len());
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        FtpsError { kind, message }
    }

    pub(super) fn cancelled() -> FtpsError {
        FtpsError::new(FtpsErrorKind::Cancelled, "the transfer was cancelled")
    }

    pub(super) fn protocol(message: impl Into<String>) -> FtpsError {
        FtpsError::new(FtpsErrorKind::Protocol, message)
    }

    pub(super) fn dead(message: impl Into<String>) -> FtpsError {
        FtpsError::new(FtpsErrorKind::Dead, message)
    }

    /// Sorts a reply that is not the hoped-for one. `doing` completes the sentence "the peer refused ...".
    pub(super) fn refusal(doing: &str, reply: &Reply) -> FtpsError {
        use FtpsErrorKind as Kind;
        let kind = match reply.code {
            421 => Kind::Closing,
            425 => Kind::NoDataConnection,
            426 | 451 | 452 => Kind::Interrupted,
            430 | 530 => Kind::LoginRefused,
            450 => Kind::FileBusy,
            500..=504 => Kind::Unsupported,
            522 => Kind::ReuseRequired,
            550 => Kind::NotFound,
            532..=534 | 536 | 551..=553 => Kind::NotPermitted,
            _ => Kind::Protocol,
        };
        let quote: String = reply.text.chars().take(QUOTE_CHARS_MAX).collect();
        FtpsError::new(kind, format!("the peer refused {doing}: {} {quote}", reply.code))
    }
}

impl fmt::Display for FtpsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for FtpsError {}

/// Sorts an error of TCP's connect to the control port.
pub(super) fn connect(error: &io::Error, seconds: u64) -> FtpsError {
    use FtpsErrorKind as Kind;
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            FtpsError::new(Kind::Refused, "the address answers, but nobody listens on the port")
        }
        ErrorKind::TimedOut => {
            FtpsError::new(Kind::Unreachable, format!("nothing answered at the address for {seconds} s"))
        }
        _ => FtpsError::new(Kind::Unreachable, format!("the address cannot be reached: {error}")),
    }
}

/// Sorts an error of the control connection's TLS handshake by what was seen of the peer during it.
pub(super) fn handshake(error: &io::Error, seen: Option<&PeerSeen>, seconds: u64) -> FtpsError {
    use FtpsErrorKind as Kind;
    if let Some(refused) = seen.and_then(refused_peer) {
        return refused;
    }
    match error.kind() {
        ErrorKind::TimedOut => FtpsError::new(
            Kind::Silent,
            format!("the connection stands, but TLS was not answered for {seconds} s"),
        ),
        // Something that is not TLS, that has no room for another client, or that dislikes what we offer.
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            FtpsError::new(Kind::Tls, "the peer hung up during the TLS handshake; is it the right port?")
        }
        _ => FtpsError::new(Kind::Tls, format!("the TLS handshake failed: {error}")),
    }
}

/// Sorts an error of the data connection's TLS handshake.
pub(super) fn data_handshake(error: &io::Error, seen: Option<&PeerSeen>, seconds: u64) -> FtpsError {
    if let Some(refused) = seen.and_then(refused_peer) {
        return refused;
    }
    let what = match error.kind() {
        ErrorKind::TimedOut => format!("it was not answered for {seconds} s"),
        _ => error.to_string(),
    };
    FtpsError::new(FtpsErrorKind::DataTls, format!("the TLS handshake of the data connection failed: {what}"))
}

fn refused_peer(seen: &PeerSeen) -> Option<FtpsError> {
    use FtpsErrorKind as Kind;
    match seen.verdict {
        Verdict::KeyChanged => {
            Some(FtpsError::new(Kind::KeyChanged, "the peer's key is not the one it had before"))
        }
        Verdict::WrongName => {
            let seen = seen.common_name.clone().unwrap_or_default();
            let message = format!("the certificate belongs to {seen}, not to the expected peer");
            Some(FtpsError::new(Kind::WrongName { seen }, message))
        }
        Verdict::NoName => {
            Some(FtpsError::new(Kind::Tls, "the certificate carries no name that could be checked"))
        }
        Verdict::Unproven | Verdict::FirstUse | Verdict::Matches => None,
    }
}

/// Sorts an error of the control connection after its handshake. All but silence mean that the session is over.
pub(super) fn control(error: &io::Error, waiting_for: &str, seconds: u64) -> FtpsError {
    if is_clear_text(error) {
        // vsftpd does this after trouble with TLS on a data connection.
        return FtpsError::dead("the peer answers in clear text after trouble with TLS");
    }
    match error.kind() {
        ErrorKind::TimedOut => FtpsError::new(
            FtpsErrorKind::Silent,
            format!("the peer did not answer {waiting_for} for {seconds} s"),
        ),
        _ => FtpsError::dead(format!("the control connection broke: {error}")),
    }
}

/// Whether bytes came that are no TLS at all.
fn is_clear_text(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16) -> FtpsErrorKind {
        FtpsError::refusal("it", &Reply { code, text: "because".to_owned() }).kind
    }

    #[test]
    fn replies_are_told_apart() {
        use FtpsErrorKind as Kind;
        let table = [
            (421, Kind::Closing, Advice::Retry),
            (425, Kind::NoDataConnection, Advice::Retry),
            (426, Kind::Interrupted, Advice::Retry),
            (450, Kind::FileBusy, Advice::Retry),
            (451, Kind::Interrupted, Advice::Retry),
            (502, Kind::Unsupported, Advice::GiveUp),
            (522, Kind::ReuseRequired, Advice::Retry),
            (530, Kind::LoginRefused, Advice::TellUser),
            (550, Kind::NotFound, Advice::GiveUp),
            (553, Kind::NotPermitted, Advice::GiveUp),
            (299, Kind::Protocol, Advice::GiveUp),
        ];
        for (code, kind, advice) in table {
            assert_eq!(refusal(code), kind, "{code}");
            assert_eq!(kind.advice(), advice, "{code}");
        }
    }

    #[test]
    fn a_wrong_peer_is_told_before_the_handshake_that_it_broke() {
        let error = io::Error::from(ErrorKind::InvalidData);
        let seen =
            |verdict| PeerSeen { spki_sha256: [7; 32], common_name: Some("OTHER".to_owned()), verdict };
        let kind = |verdict| handshake(&error, Some(&seen(verdict)), 20).kind;
        assert_eq!(kind(Verdict::KeyChanged), FtpsErrorKind::KeyChanged);
        assert_eq!(kind(Verdict::WrongName), FtpsErrorKind::WrongName { seen: "OTHER".to_owned() });
        assert_eq!(kind(Verdict::NoName), FtpsErrorKind::Tls);
        assert_eq!(kind(Verdict::Matches), FtpsErrorKind::Tls);
        let late = io::Error::from(ErrorKind::TimedOut);
        assert_eq!(handshake(&late, None, 20).kind, FtpsErrorKind::Silent);
        let changed = data_handshake(&late, Some(&seen(Verdict::KeyChanged)), 20);
        assert_eq!(changed.kind, FtpsErrorKind::KeyChanged);
        assert_eq!(data_handshake(&late, None, 20).kind, FtpsErrorKind::DataTls);
    }

    #[test]
    fn messages_are_bounded_and_quotes_short() {
        let reply = Reply { code: 550, text: "ä".repeat(4000) };
        let error = FtpsError::refusal("the file", &reply);
        assert_eq!(error.message.chars().filter(|c| *c == 'ä').count(), QUOTE_CHARS_MAX);
        assert!(error.message.len() <= MESSAGE_BYTES_MAX, "{}", error.message.len());
    }
}
