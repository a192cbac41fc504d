//! Trouble with a connection in the contract's kinds, and in words that say what to do.

use crate::model::status::ConnectionKind;
use crate::net::mqtt::{MqttError, MqttErrorKind};
use crate::net::tls::pin_to_hex;
use crate::printers::driver::{Identity, SessionEnd};

/// An end of a session without anything seen of the printer.
pub fn end(kind: ConnectionKind, message: &str) -> SessionEnd {
    SessionEnd { kind, message: message.to_owned(), seen: None }
}

/// The end of a session whose link was closed. `heard`: a report had come before.
pub fn closed(error: &MqttError, heard: bool, serial: Option<&str>, seen: Option<Identity>) -> SessionEnd {
    let (kind, message) = match &error.kind {
        MqttErrorKind::Unreachable => (
            ConnectionKind::Unreachable,
            "nothing answers at this address; is the printer on, and is the address right?".to_owned(),
        ),
        MqttErrorKind::Refused => (
            ConnectionKind::Refused,
            "the device at this address takes no connection on the printer's port; is it the printer, and is LAN mode on (A1, P1)?".to_owned(),
        ),
        MqttErrorKind::Tls => (ConnectionKind::Tls, format!("no secure connection: {}", error.message)),
        MqttErrorKind::KeyChanged => {
            let key = seen.as_ref().and_then(|seen| seen.pin.as_ref()).map_or_else(String::new, |pin| {
                let hex = pin_to_hex(pin);
                format!(" (SHA-256 {}...)", hex.get(..16).unwrap_or(&hex))
            });
            (
                ConnectionKind::CertificateChanged,
                format!(
                    "the printer shows another key than before{key}; if its mainboard was changed, trust the new key, \
                     otherwise somebody else answers at its address"
                ),
            )
        }
        MqttErrorKind::WrongName { seen } => (
            ConnectionKind::WrongSerial,
            format!(
                "the printer at this address has the serial number {seen}, not {}; correct the address or the number",
                serial.unwrap_or("the expected one")
            ),
        ),
        MqttErrorKind::WrongCode => (
            ConnectionKind::WrongCode,
            "the printer refuses the access code; it changes when LAN mode is toggled: enter the one on its screen".to_owned(),
        ),
        MqttErrorKind::Silent if heard => (ConnectionKind::Silent, "the printer has stopped answering".to_owned()),
        MqttErrorKind::Silent => (
            ConnectionKind::Silent,
            "the address takes connections but does not answer; switch the printer off and on".to_owned(),
        ),
        MqttErrorKind::TooLarge => (ConnectionKind::Protocol, "the printer sent an oversized message".to_owned()),
        MqttErrorKind::ClosedByPeer if heard => (ConnectionKind::Unreachable, "the printer closed the connection".to_owned()),
        MqttErrorKind::ClosedByPeer => (
            ConnectionKind::Busy,
            "the printer closed the connection at once; perhaps too many apps are connected to it".to_owned(),
        ),
        MqttErrorKind::Protocol => (ConnectionKind::Protocol, format!("the printer does not answer as expected: {}", error.message)),
    };
    SessionEnd { kind, message, seen }
}
