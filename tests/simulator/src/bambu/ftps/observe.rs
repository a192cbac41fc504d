//! What the file server saw of its clients.

use serde::Serialize;

/// Transfers kept in the list; the oldest goes first. Counters count on.
const RETRIEVALS_MAX: usize = 256;

/// Counters and lists since the printer was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FtpsObservations {
    /// TCP connections accepted on the control port.
    pub connections: u64,
    /// TLS handshakes of control connections.
    pub handshakes: u64,
    /// Those that failed or were broken off.
    pub handshake_failures: u64,
    /// Sessions that were let in.
    pub logins: u64,
    /// Logins refused, for whatever reason.
    pub refused_logins: u64,
    /// Sessions logged in now.
    pub open_sessions: u64,
    /// The most that were at once.
    pub sessions_peak: u64,
    /// Sessions that ended with `QUIT`.
    pub quits: u64,
    /// Sessions (logged in) that ended in any other way, the printer's own doing included.
    pub unclean_ends: u64,
    /// Sessions ended for idleness.
    pub idle_ends: u64,
    /// Connections turned away because there were too many.
    pub turned_away: u64,
    /// The newest commands as sent, passwords replaced.
    pub commands: Vec<String>,
    /// `SIZE` commands.
    pub sizes: u64,
    /// `SIZE`, `CWD` and `RETR` commands for what is not there.
    pub misses: u64,
    /// `LIST` and `NLST` transfers begun.
    pub listings: u64,
    /// `RETR` transfers begun.
    pub retrieves: u64,
    /// Transfers going on now, listings included.
    pub open_transfers: u64,
    /// The most that were at once.
    pub transfers_peak: u64,
    /// Transfers refused or broken because there was another one.
    pub clashes: u64,
    /// Files sent whole (from where the client wanted).
    pub completed: u64,
    /// Transfers that the client broke off.
    pub aborted: u64,
    /// Data connections with TLS that resumed the session of their control connection.
    pub resumed: u64,
    /// Data connections with TLS that did not.
    pub not_resumed: u64,
    /// Data connections in clear text.
    pub clear: u64,
    /// Transfers refused with 522.
    pub refused_for_tls: u64,
    /// Data connections on which the client spoke before it was told to (before 150).
    pub early: u64,
    /// Bytes of files sent, of listings not.
    pub bytes_sent: u64,
    /// The newest `RETR` transfers that began.
    pub retrievals: Vec<Retrieval>,
}

/// One `RETR` that was answered with 150.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retrieval {
    /// Counts from 1.
    pub number: u64,
    /// The whole path.
    pub path: String,
    /// Where it began.
    pub offset: u64,
    /// Bytes handed to the socket.
    pub bytes: u64,
    /// The code that ended it, 0 as long as it has none.
    pub code: u16,
}

impl FtpsObservations {
    /// Notes the beginning of a transfer and gives its number.
    pub fn begin(&mut self, path: &str, offset: u64) -> u64 {
        self.retrieves += 1;
        if self.retrievals.len() >= RETRIEVALS_MAX {
            self.retrievals.remove(0);
        }
        let number = self.retrieves;
        self.retrievals.push(Retrieval { number, path: path.to_owned(), offset, bytes: 0, code: 0 });
        number
    }

    /// The transfer of that number, unless it is too long ago.
    pub fn retrieval(&mut self, number: u64) -> Option<&mut Retrieval> {
        self.retrievals.iter_mut().rev().find(|retrieval| retrieval.number == number)
    }

    /// Counts a session in or out.
    pub fn count_session(&mut self, is_in: bool) {
        self.open_sessions = counted(self.open_sessions, is_in);
        self.sessions_peak = self.sessions_peak.max(self.open_sessions);
    }

    /// Counts a transfer in or out.
    pub fn count_transfer(&mut self, is_in: bool) {
        self.open_transfers = counted(self.open_transfers, is_in);
        self.transfers_peak = self.transfers_peak.max(self.open_transfers);
    }
}

fn counted(number: u64, is_in: bool) -> u64 {
    if is_in { number + 1 } else { number.saturating_sub(1) }
}
