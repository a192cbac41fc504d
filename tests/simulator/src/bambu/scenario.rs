//! The life that a printer is given with its configuration.

use serde::{Deserialize, Serialize};

use super::command::Command;

/// An order of this printer, and what it waits for.
pub type Scene = crate::scenario::Scene<Command>;

/// Scenes in a ring.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// The scenes, begun again after the last one. Empty is no scenario.
    pub scenes: Vec<Scene>,
}
