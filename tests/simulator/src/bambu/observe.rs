//! What a printer saw of its clients, for tests to look at and to wait for.

use serde::Serialize;

use super::ftps::FtpsObservations;

/// Texts kept per list (subscriptions, client ids, requests); the oldest goes first. Counters count on.
const KEPT_MAX: usize = 256;
/// Characters kept of one request.
const TEXT_MAX: usize = 2_000;

/// Counters and lists since the printer was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Observations {
    /// TCP connections accepted.
    pub connections: u64,
    /// TLS handshakes completed.
    pub handshakes: u64,
    /// Handshakes that failed or were broken off.
    pub handshake_failures: u64,
    /// CONNECT packets accepted.
    pub logins: u64,
    /// CONNECT packets refused, for whatever reason.
    pub refused_logins: u64,
    /// Sessions that ended with DISCONNECT.
    pub clean_disconnects: u64,
    /// Sessions (after an accepted CONNECT) that ended in any other way, the printer's own doing included.
    pub unclean_ends: u64,
    /// Sessions ended because the client broke its keep-alive promise by half and more.
    pub keep_alive_failures: u64,
    /// Sessions ended because the client sent what is not MQTT.
    pub protocol_errors: u64,
    /// Clients logged in now.
    pub open_sessions: u64,
    /// Client identifiers in order of login.
    pub client_ids: Vec<String>,
    /// Topic filters in order of subscription.
    pub subscriptions: Vec<String>,
    /// `pushall` requests.
    pub pushalls: u64,
    /// `get_version` requests.
    pub get_versions: u64,
    /// All publishes by clients, to whatever topic.
    pub requests: u64,
    /// The newest requests as sent.
    pub request_texts: Vec<String>,
    /// PINGREQ packets.
    pub pings: u64,
    /// Full reports sent, counted once per receiving session.
    pub full_reports: u64,
    /// Delta reports sent, counted once per receiving session.
    pub delta_reports: u64,
    /// All publishes sent, counted once per receiving session.
    pub publishes: u64,
    /// Payload bytes of those.
    pub payload_bytes: u64,
    /// What the file server saw.
    pub ftps: FtpsObservations,
}

impl Observations {
    /// Appends to one of the lists, which are bounded.
    pub fn keep(list: &mut Vec<String>, text: &str) {
        if list.len() >= KEPT_MAX {
            list.remove(0);
        }
        list.push(text.chars().take(TEXT_MAX).collect());
    }
}

/// Where the printer's threads write it.
pub type Observer = crate::observer::Observer<Observations>;
