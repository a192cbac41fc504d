//! What a printer saw of its clients, for tests to look at and to wait for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::faults::Target;

/// Request lines and user agents kept; the oldest goes first. Counters count on.
const KEPT_MAX: usize = 1_024;

/// Counters and lists since the printer was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Observations {
    /// TCP connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// The most that were open at once.
    pub peak_connections: u64,
    /// Requests being served now.
    pub active_requests: u64,
    /// The most that were served at once.
    pub peak_active_requests: u64,
    /// Requests that had to wait for a slot.
    pub waits: u64,
    /// Complete request heads.
    pub requests: u64,
    /// Requests by kind.
    pub kinds: BTreeMap<Target, u64>,
    /// Replies by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The newest requests: method and target.
    pub request_lines: Vec<String>,
    /// Requests without credentials.
    pub anonymous: u64,
    /// Requests with the right key.
    pub right_keys: u64,
    /// Requests with a wrong key.
    pub wrong_keys: u64,
    /// Requests with a good digest.
    pub right_digests: u64,
    /// Requests with a digest of the right password and an old nonce.
    pub stale_digests: u64,
    /// Requests with a digest that does not fit.
    pub wrong_digests: u64,
    /// What is no request that the firmware's parser takes.
    pub malformed: u64,
    /// Requests whose target was too long.
    pub too_long: u64,
    /// Bytes sent, heads included.
    pub bytes_sent: u64,
    /// Downloads begun.
    pub downloads: u64,
    /// Downloads sent to the last byte.
    pub whole_downloads: u64,
    /// Requests struck by a fault.
    pub struck: u64,
}

impl Observations {
    /// How many requests of this kind there were.
    #[must_use]
    pub fn of(&self, target: Target) -> u64 {
        self.kinds.get(&target).copied().unwrap_or(0)
    }

    /// Every attempt to be let in that failed.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.wrong_keys + self.wrong_digests
    }

    /// Appends a request line; the list is bounded.
    pub fn keep(&mut self, line: String) {
        if self.request_lines.len() >= KEPT_MAX {
            self.request_lines.remove(0);
        }
        self.request_lines.push(line);
    }
}

/// Where the printer's threads write it.
pub type Observer = crate::observer::Observer<Observations>;
