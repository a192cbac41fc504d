//! What several test programs share: certificates made on the spot, a real Mosquitto, a small MQTT client for its plain
//! port, TLS peers that follow a script, and a real PrusaLink with a printer behind a pseudo-terminal.
//!
//! Everything talks to loopback on free ports and ends with the value that holds it. Debian packages that are needed:
//! `mosquitto`, `vsftpd` and `openssl`; PrusaLink is put in place by `scripts/install-prusalink.sh`. Without them the tests
//! fail and say so.

#![allow(dead_code, missing_docs, reason = "each test program uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

pub mod certificates;
pub mod ftp_script;
pub mod mk3;
pub mod mosquitto;
pub mod plain;
pub mod prusalink;
pub mod scripted;
pub mod vsftpd;

use std::time::Duration;

/// How long a test waits for something that takes milliseconds when all is well. Generous, because machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, looking every 10 ms; panics with `what` after [`PATIENCE`].
pub async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let looking = async {
        while !condition() {
            smol::Timer::after(Duration::from_millis(10)).await;
        }
    };
    patiently(what, looking).await;
}

/// Waits for `work`; panics with `what` after [`PATIENCE`].
pub async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(PATIENCE).await;
        panic!("waited {PATIENCE:?} in vain: {what}");
    };
    smol::future::or(work, late).await
}
