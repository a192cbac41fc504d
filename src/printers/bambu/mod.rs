//! Bambu Lab printers on the LAN: MQTT over TLS for status (facts: report merging, states, models).

mod control;
pub mod files;
mod identity;
pub mod liveness;
pub mod notice;
mod observe;
mod report;
pub mod session;
mod stage;
mod words;

pub use identity::look;
pub use report::{Applied, Kind};
pub use session::Session;

use crate::model::status::Observation;

/// The merged reports of one printer: payloads in, an observation out. Bounded by the limits of `report`.
#[derive(Clone, Debug, Default)]
pub struct Reports(report::Merged);

impl Reports {
    /// Merges one payload of `device/SERIAL/report` as it came from the network. Whatever it holds, the rest stays.
    pub fn apply(&mut self, payload: &[u8]) -> Applied {
        report::apply(&mut self.0, payload)
    }

    /// What the reports say in the contract's words.
    #[must_use]
    pub fn observe(&self) -> Observation {
        observe::observe(&self.0)
    }

    /// Whether asking for a full report would mend something.
    #[must_use]
    pub fn is_missing_layers(&self) -> bool {
        observe::misses_layers(&self.0)
    }
}
