//! Whether the printer that is known is the one at another address. Blocks; the caller brings a thread.
//!
//! A Bambu Lab printer proves its key, which was pinned at the first connection; nothing is sent that is worth anything to a
//! stranger. A Prusa printer has no key: it is asked for its serial number behind its login, and what it gets to see of the
//! password is a digest.

use std::net::{IpAddr, SocketAddr};

use crate::model::{Printer, PrinterType};

/// What was found at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The printer.
    Same,
    /// Somebody else.
    Other,
    /// Nobody, or nobody who said anything that could be used.
    Nobody,
}

/// Whether enough is known of `printer` to recognise it anywhere.
#[must_use]
pub fn is_recognisable(printer: &Printer) -> bool {
    let way = &printer.connection;
    match printer.kind {
        PrinterType::BambuLab => printer.pin.is_some() && way.serial.is_some(),
        // Without a password there would be only a key to show, in clear.
        PrinterType::PrusaLink => {
            way.serial.is_some() && way.password.as_ref().is_some_and(|word| !word.is_empty())
        }
    }
}

/// Looks who is at `address`, at the printer's own port. Ends within about 12 s.
#[must_use]
pub fn look(printer: &Printer, address: IpAddr) -> Found {
    if !is_recognisable(printer) {
        return Found::Nobody;
    }
    match printer.kind {
        PrinterType::BambuLab => {
            super::bambu::look(printer, SocketAddr::new(address, printer.connection.mqtt_port))
        }
        PrinterType::PrusaLink => {
            super::prusalink::look(printer, SocketAddr::new(address, printer.connection.http_port))
        }
    }
}
