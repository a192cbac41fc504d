//! The printer models and how they differ on the network, which is little.

use serde::{Deserialize, Serialize};

/// The simulated models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Original Prusa MINI.
    Mini,
    /// MK3.5.
    Mk35,
    /// MK4.
    Mk4,
    /// MK4S.
    Mk4s,
    /// XL with five tools.
    Xl,
    /// CORE One.
    CoreOne,
}

impl Model {
    /// Every model.
    pub const ALL: [Self; 6] = [Self::Mini, Self::Mk35, Self::Mk4, Self::Mk4s, Self::Xl, Self::CoreOne];

    /// The name people use.
    #[must_use]
    pub fn product_name(self) -> &'static str {
        match self {
            Self::Mini => "Prusa MINI",
            Self::Mk35 => "Prusa MK3.5",
            Self::Mk4 => "Prusa MK4",
            Self::Mk4s => "Prusa MK4S",
            Self::Xl => "Prusa XL",
            Self::CoreOne => "Prusa CORE One",
        }
    }

    /// The host name until somebody changes it; equal models have equal ones.
    #[must_use]
    pub fn hostname(self) -> &'static str {
        match self {
            Self::Mini => "prusa-mini",
            Self::Mk35 => "prusa-mk3-5",
            Self::Mk4 | Self::Mk4s => "prusa-mk4",
            Self::Xl => "prusa-xl",
            Self::CoreOne => "prusa-core-one",
        }
    }

    /// `printer_model` in sliced files.
    #[must_use]
    pub fn slicer_name(self) -> &'static str {
        match self {
            Self::Mini => "MINI",
            Self::Mk35 => "MK3.5",
            Self::Mk4 => "MK4",
            Self::Mk4s => "MK4S",
            Self::Xl => "XL5",
            Self::CoreOne => "COREONE",
        }
    }

    /// The first digits of a serial number.
    #[must_use]
    pub fn serial_prefix(self) -> &'static str {
        match self {
            Self::Mini => "10525",
            Self::Mk35 => "10595",
            Self::Mk4 => "10589",
            Self::Mk4s => "10626",
            Self::Xl => "17030",
            Self::CoreOne => "10722",
        }
    }

    /// A serial number of this model.
    #[must_use]
    pub fn serial(self, number: usize) -> String {
        format!("{}-{:013}", self.serial_prefix(), 3_742_441_600_000_u64 + number as u64)
    }
}
