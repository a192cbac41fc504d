//! A life of its own: orders that a printer gives itself, one after the other, for demonstrations.

use serde::{Deserialize, Serialize};

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
pub struct Scene<Order> {
    /// What is waited for.
    pub cue: Cue,
    /// What is ordered then. An order that is refused is passed over.
    pub order: Order,
}

/// Scenes in a ring, being played: begun again after the last one. None is no scenario.
#[derive(Debug, Clone)]
pub struct Player<Order> {
    scenes: Vec<Scene<Order>>,
    next: usize,
    waited_s: f64,
}

impl<Order: Clone> Player<Order> {
    /// Plays from the first scene.
    #[must_use]
    pub fn new(scenes: Vec<Scene<Order>>) -> Self {
        Self { scenes, next: 0, waited_s: 0.0 }
    }

    /// Simulated seconds until the next scene, where time alone decides.
    #[must_use]
    pub fn until_next(&self) -> Option<f64> {
        match self.scenes.get(self.next)?.cue {
            Cue::Seconds(seconds) => Some((seconds - self.waited_s).max(0.0)),
            Cue::Percent(_) | Cue::Ended => None,
        }
    }

    /// Notes that simulated time has passed and gives the order that is due now. `percent` is there while printing.
    pub fn advance(&mut self, seconds: f64, percent: Option<f64>) -> Option<Order> {
        self.waited_s += seconds;
        let scene = self.scenes.get(self.next)?;
        let is_due = match scene.cue {
            Cue::Seconds(seconds) => self.waited_s + 1e-9 >= seconds,
            Cue::Percent(wanted) => percent.is_some_and(|percent| percent >= f64::from(wanted)),
            Cue::Ended => percent.is_none(),
        };
        if !is_due {
            return None;
        }
        let order = scene.order.clone();
        self.next = (self.next + 1) % self.scenes.len();
        self.waited_s = 0.0;
        Some(order)
    }
}
