//! What every driver gives, whatever it speaks to its printer: a session that is asked for its next event.

use crate::model::ControlError;
use crate::model::status::{ConnectionKind, Observation};
use crate::net::tls::Pin;

/// Who answered at the printer's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of its public key (SPKI), proven in the handshake.
    pub pin: Option<Pin>,
    /// Its serial number.
    pub serial: Option<String>,
}

/// What a session tells. `Ended` is the last.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// The printer let us in and has said its first word; comes once, before the first report.
    Connected(Identity),
    /// The printer's serial number was learnt from its certificate; the session has to be opened again with it.
    SerialLearnt(Identity),
    /// A report was merged: the newest state.
    Report(Box<Observation>),
    /// The printer has taken the last order; whether it carries it out is seen in its reports.
    Taken,
    /// The printer has not taken the last order.
    NotTaken(ControlError),
    /// The session is over.
    Ended(SessionEnd),
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// What sort of trouble.
    pub kind: ConnectionKind,
    /// English words that say what happened and what to do.
    pub message: String,
    /// Who answered, as far as seen: the key that the user may trust after a change.
    pub seen: Option<Identity>,
}

/// Counters of what odd things a printer has sent, since the service started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OddCounts {
    /// Payloads that were no JSON.
    pub malformed: u64,
    /// Known fields with unusable values.
    pub fields: u64,
    /// Reports that were merged.
    pub reports: u64,
}
