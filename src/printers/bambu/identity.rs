//! Whether a known printer is at another address: it is, if it proves the key that was pinned.

use std::net::SocketAddr;
use std::time::Duration;

use crate::model::Printer;
use crate::net::tls::{self, PeerPolicy, TlsVersions, Verdict};
use crate::printers::identity::Found;

/// For the connection and the handshake: slow printers need 3 to 5 s for it.
const WITHIN: Duration = Duration::from_secs(10);

/// Shakes hands and hangs up. No login is sent, so a stranger learns nothing and a printer counts no failed attempt.
#[must_use]
pub fn look(printer: &Printer, address: SocketAddr) -> Found {
    let policy =
        PeerPolicy { pinned_spki: printer.pin, expected_common_name: printer.connection.serial.clone() };
    let (config, observed) = tls::client_config(policy, TlsVersions::Tls12Only);
    let shaken = tls::shake_hands(address, config, WITHIN);
    match (shaken, observed.get().map(|seen| seen.verdict)) {
        (Ok(()), Some(Verdict::Matches)) => Found::Same,
        (_, Some(_)) => Found::Other,
        (_, None) => Found::Nobody,
    }
}
