//! Trouble with a connection in the contract's kinds, and in words that say what to do.

use crate::model::ControlKind;
use crate::model::status::ConnectionKind;
use crate::net::http::{HttpError, HttpErrorKind};
use crate::printers::driver::SessionEnd;

/// An end of a session.
pub fn end(kind: ConnectionKind, message: impl Into<String>) -> SessionEnd {
    SessionEnd { kind, message: message.into(), seen: None }
}

/// The end of a session whose request failed. `heard`: the printer had answered before.
pub fn failed(error: &HttpError, heard: bool) -> SessionEnd {
    use ConnectionKind as K;
    match error.kind {
        HttpErrorKind::Unreachable if heard => end(K::Unreachable, "the printer is no longer there"),
        HttpErrorKind::Unreachable => end(
            K::Unreachable,
            "nothing answers at this address; is the printer on, and is the address right?",
        ),
        HttpErrorKind::Refused => end(
            K::Refused,
            "the device at this address takes no connection on this port; is it the printer, and is PrusaLink switched on (Settings, Network)?",
        ),
        HttpErrorKind::Silent => silent(heard),
        HttpErrorKind::Interrupted => end(K::Unreachable, "the connection to the printer broke"),
        HttpErrorKind::Auth => end(
            K::Auth,
            "the printer refuses the PrusaLink password; enter the one on its screen (Settings, Network, PrusaLink), \
             and for PrusaLink on a Raspberry Pi the user name as well",
        ),
        HttpErrorKind::Protocol | HttpErrorKind::TooLarge | HttpErrorKind::BadRequest => end(
            K::Protocol,
            format!("what answers at this address does not answer as PrusaLink does: {}", error.message),
        ),
        HttpErrorKind::Cancelled => end(K::Protocol, "the connection was ended here"),
    }
}

/// The end of a session with a printer that does not answer.
pub fn silent(heard: bool) -> SessionEnd {
    let message = if heard {
        "the printer has stopped answering; if it does not come back, switch it off and on"
    } else {
        "the address takes connections but does not answer; switch the printer off and on"
    };
    end(ConnectionKind::Silent, message)
}

/// The end of a session whose request got another status than the one that was wanted.
pub fn status(code: u16, path: &str) -> SessionEnd {
    match code {
        401 | 403 => failed(&HttpError { kind: HttpErrorKind::Auth, message: String::new() }, false),
        429 | 503 => end(ConnectionKind::Busy, "the printer has no time to answer; it is asked again"),
        404 => end(
            ConnectionKind::Protocol,
            format!("there is no {path} at this address; is it the printer, and is its firmware up to date?"),
        ),
        _ => end(
            ConnectionKind::Protocol,
            format!("the printer answers {path} with the status {code}; switch it off and on"),
        ),
    }
}

/// Why an order could not be given.
pub fn order(kind: HttpErrorKind) -> ControlKind {
    match kind {
        HttpErrorKind::Unreachable | HttpErrorKind::Refused => ControlKind::Offline,
        HttpErrorKind::Silent | HttpErrorKind::Interrupted => ControlKind::Timeout,
        HttpErrorKind::Auth
        | HttpErrorKind::Protocol
        | HttpErrorKind::TooLarge
        | HttpErrorKind::BadRequest
        | HttpErrorKind::Cancelled => ControlKind::Refused,
    }
}

/// The end of a session with another program than PrusaLink.
pub fn stranger(program: &str) -> SessionEnd {
    let what = if program.contains("Moonraker") {
        "Moonraker (Klipper), not PrusaLink; such printers are not supported"
    } else if program.contains("OctoPrint") {
        "OctoPrint, not PrusaLink; such printers are not supported"
    } else {
        "another program than PrusaLink"
    };
    end(ConnectionKind::Protocol, format!("at this address answers {what}"))
}
