//! Whether a known printer is at another address: it is, if it takes the password's digest and names the serial number.

use std::net::SocketAddr;
use std::time::Duration;

use super::{credentials, parse};
use crate::model::Printer;
use crate::net::http::login::Login;
use crate::net::http::{Client, HttpErrorKind, Limits, Method};
use crate::printers::identity::Found;

/// For each wait, and twice that for the whole: small printers answer late while they write to their stick.
const WAIT: Duration = Duration::from_secs(5);
/// Bytes of the page with the serial number.
const BODY_BYTES_MAX: u64 = 16 * 1024;

/// Asks for the page with the serial number. A key is never shown, and a password only as a digest.
#[must_use]
pub fn look(printer: &Printer, address: SocketAddr) -> Found {
    let login = Login::digest_only(credentials(&printer.connection));
    let limits = Limits { connect: WAIT, wait: WAIT, whole: Some(2 * WAIT) };
    let client = Client::new(address, &address.ip().to_string(), login, limits);
    match client.fetch(Method::Get, "/api/v1/info", BODY_BYTES_MAX) {
        Ok(page) if page.status == 200 => {
            let seen = parse::serial(&page.body);
            // Who lets everybody in has not been asked whether it knows the password.
            let asked = client.challenge().is_some();
            let same = asked && seen.is_some() && seen == printer.connection.serial;
            if same { Found::Same } else { Found::Other }
        }
        Ok(_) => Found::Other,
        Err(error) if error.kind == HttpErrorKind::Auth => Found::Other,
        Err(_) => Found::Nobody,
    }
}
