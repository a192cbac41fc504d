//! Files of a PrusaLink printer: where to ask for them. The transfer itself is plain HTTP.

use std::net::SocketAddr;

use super::credentials;
use crate::model::Printer;
use crate::net::http::login::Login;
use crate::net::http::{Client, Limits};

/// A client for files, with a connection and a login of its own: it may be ended without disturbing the polls.
#[must_use]
pub fn client(printer: &Printer, address: SocketAddr, limits: Limits) -> Client {
    let way = &printer.connection;
    Client::new(address, &way.host, Login::new(credentials(way)), limits)
}

/// The request's target for a download reference, which the printers write as it is: blanks, `#` and letters of every kind
/// included.
#[must_use]
pub fn target(reference: &[u8]) -> String {
    let mut target = String::with_capacity(reference.len() + 1);
    if !reference.starts_with(b"/") {
        target.push('/');
    }
    for byte in reference {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            target.push(char::from(*byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_targets() {
        assert_eq!(target(b"/usb/SPICE~1.BGC"), "/usb/SPICE~1.BGC");
        let pi = "/api/files/local/PrusaLink gcodes/Würfel #1 100%.gcode/raw";
        assert_eq!(
            target(pi.as_bytes()),
            "/api/files/local/PrusaLink%20gcodes/W%C3%BCrfel%20%231%20100%25.gcode/raw"
        );
        assert_eq!(target(b"usb/a"), "/usb/a");
    }
}
