//! A life of its own: orders that a printer gives itself, one after the other, for demonstrations.

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::machine::Machine;

/// What a scene waits for before its order is given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cue {
    /// Simulated seconds since the scene before.
    Seconds(f64),
    /// The running print has come to this percentage.
    Percent(u32),
    /// Nothing is being printed.
    Ended,
}

/// A cue and the order that follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// What is waited for.
    pub cue: Cue,
    /// What is ordered then. An order that is refused is passed over.
    pub order: Command,
}

/// Scenes in a ring.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// The scenes, begun again after the last one. Empty is no scenario.
    pub scenes: Vec<Scene>,
}

/// A scenario being played.
#[derive(Debug, Clone, Default)]
pub struct Player {
    scenario: Scenario,
    next: usize,
    waited_s: f64,
}

impl Player {
    /// Plays from the first scene.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        Self { scenario, next: 0, waited_s: 0.0 }
    }

    fn cue(&self) -> Option<Cue> {
        self.scenario.scenes.get(self.next).map(|scene| scene.cue)
    }

    /// Simulated seconds until the next scene, where time alone decides.
    #[must_use]
    pub fn until_next(&self) -> Option<f64> {
        match self.cue()? {
            Cue::Seconds(seconds) => Some((seconds - self.waited_s).max(0.0)),
            Cue::Percent(_) | Cue::Ended => None,
        }
    }

    /// Notes that simulated time has passed and gives the order that is due now.
    pub fn advance(&mut self, seconds: f64, machine: &Machine) -> Option<Command> {
        self.waited_s += seconds;
        let is_due = match self.cue()? {
            Cue::Seconds(seconds) => self.waited_s + 1e-9 >= seconds,
            Cue::Percent(percent) => machine.is_busy() && machine.percent >= percent,
            Cue::Ended => !machine.is_busy(),
        };
        if !is_due {
            return None;
        }
        let order = self.scenario.scenes.get(self.next).map(|scene| scene.order.clone());
        self.next = (self.next + 1) % self.scenario.scenes.len().max(1);
        self.waited_s = 0.0;
        order
    }
}
