//! Why there is no answer, sorted by what one would do about it.

use std::fmt;
use std::io::{self, ErrorKind};

use ureq::{Error, Timeout};

/// Longest message of an error, in bytes. Parts of it come from a library that may quote the peer.
const MESSAGE_BYTES_MAX: usize = 240;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// What sort of trouble it is.
    pub kind: HttpErrorKind,
    /// What happened, in words for a log or a page; no secrets, at most 240 bytes.
    pub message: String,
}

/// The sorts of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpErrorKind {
    /// Nothing answers at the address.
    Unreachable,
    /// The address answers that nobody listens on the port.
    Refused,
    /// A connection stood, but nothing came in time.
    Silent,
    /// The connection broke, or the body ended too early.
    Interrupted,
    /// User name, password or key are not accepted, or cannot be sent.
    Auth,
    /// What came is not HTTP, or more of a head than is read.
    Protocol,
    /// The body is longer than asked for.
    TooLarge,
    /// What was to be asked for cannot be asked for.
    BadRequest,
    /// [`super::Client::cancel`] was called.
    Cancelled,
}

impl HttpError {
    pub(super) fn new(kind: HttpErrorKind, message: &str) -> HttpError {
        let message = crate::model::text::clean(message, MESSAGE_BYTES_MAX);
        HttpError { kind, message }
    }

    pub(super) fn of(error: &Error, cancelled: bool) -> HttpError {
        use HttpErrorKind as Kind;
        if cancelled {
            return HttpError::new(Kind::Cancelled, "ended here");
        }
        let (kind, message) = match error {
            Error::Io(error) => return HttpError::of_io(error),
            Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                (Kind::Unreachable, "no connection within the time".to_owned())
            }
            Error::Timeout(_) => (Kind::Silent, "no answer within the time".to_owned()),
            Error::HostNotFound | Error::ConnectionFailed => (Kind::Unreachable, error.to_string()),
            Error::BodyExceedsLimit(_) => (Kind::TooLarge, error.to_string()),
            Error::Http(_) | Error::BadUri(_) => (Kind::BadRequest, error.to_string()),
            other => (Kind::Protocol, other.to_string()),
        };
        HttpError::new(kind, &message)
    }

    fn of_io(error: &io::Error) -> HttpError {
        use HttpErrorKind as Kind;
        // Errors of the library come wrapped when a body is read.
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
            && !matches!(inner, Error::Io(_))
        {
            return HttpError::of(inner, false);
        }
        let kind = match error.kind() {
            ErrorKind::ConnectionRefused => Kind::Refused,
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => Kind::Unreachable,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Kind::Silent,
            ErrorKind::InvalidData | ErrorKind::InvalidInput => Kind::Protocol,
            _ => Kind::Interrupted,
        };
        HttpError::new(kind, &error.to_string())
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HttpError {}
