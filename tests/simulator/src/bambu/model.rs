//! The printer models and how they differ on the network.

use serde::{Deserialize, Serialize};

use super::certificate::CertificateVersion;

/// The simulated models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// X1 Carbon: full reports each time, a real chamber temperature, files under `/data/Metadata`.
    X1c,
    /// P1S: small deltas, a dummy chamber temperature; layers return to 0 at the end.
    P1s,
    /// A1: small deltas, AMS lite.
    A1,
    /// A1 mini: like the A1.
    A1Mini,
    /// H2D: deltas, two nozzles, packed temperatures under `device`, a negative `home_flag`.
    H2d,
    /// P2S: new certificates, packed temperatures, one nozzle.
    P2s,
}

impl Model {
    /// Every model.
    pub const ALL: [Self; 6] = [Self::X1c, Self::P1s, Self::A1, Self::A1Mini, Self::H2d, Self::P2s];

    /// The name on the box, as `get_version` gives it.
    #[must_use]
    pub fn product_name(self) -> &'static str {
        match self {
            Self::X1c => "Bambu Lab X1 Carbon",
            Self::P1s => "Bambu Lab P1S",
            Self::A1 => "Bambu Lab A1",
            Self::A1Mini => "Bambu Lab A1 mini",
            Self::H2d => "Bambu Lab H2D",
            Self::P2s => "Bambu Lab P2S",
        }
    }

    /// The first characters of a serial number.
    #[must_use]
    pub fn serial_prefix(self) -> &'static str {
        match self {
            Self::X1c => "00M",
            Self::P1s => "01P",
            Self::A1 => "039",
            Self::A1Mini => "030",
            Self::H2d => "094",
            Self::P2s => "22E",
        }
    }

    /// A believable firmware version.
    #[must_use]
    pub fn firmware(self) -> &'static str {
        match self {
            Self::X1c => "01.09.00.00",
            Self::P1s => "01.08.02.00",
            Self::A1 => "01.07.00.00",
            Self::A1Mini => "01.07.02.00",
            Self::H2d => "01.02.00.00",
            Self::P2s => "01.01.00.00",
        }
    }

    /// The generation of certificates that the model carries.
    #[must_use]
    pub fn certificate_version(self) -> CertificateVersion {
        match self {
            Self::X1c | Self::P1s | Self::A1 | Self::A1Mini => CertificateVersion::V1,
            Self::H2d | Self::P2s => CertificateVersion::V3,
        }
    }

    /// Whether every report is a full one.
    #[must_use]
    pub fn is_always_full(self) -> bool {
        self == Self::X1c
    }

    /// Whether prints show as `/data/Metadata/plate_N.gcode`, also after their end.
    #[must_use]
    pub fn hides_the_file(self) -> bool {
        matches!(self, Self::X1c | Self::H2d | Self::P2s)
    }

    /// Whether temperatures are packed into `device.*`.
    #[must_use]
    pub fn packs_temperatures(self) -> bool {
        matches!(self, Self::H2d | Self::P2s)
    }

    /// Whether the chamber has a thermometer; the others always say 5.
    #[must_use]
    pub fn has_chamber_sensor(self) -> bool {
        matches!(self, Self::X1c | Self::H2d | Self::P2s)
    }

    /// How many nozzles it has.
    #[must_use]
    pub fn nozzle_count(self) -> usize {
        if self == Self::H2d { 2 } else { 1 }
    }

    /// The stage that stands for none.
    #[must_use]
    pub fn no_stage(self) -> i64 {
        if self.hides_the_file() { -1 } else { 255 }
    }

    /// Whether the model cuts the connection of a client that subscribes to the request topic.
    #[must_use]
    pub fn guards_the_request_topic(self) -> bool {
        matches!(self, Self::P1s | Self::A1 | Self::A1Mini)
    }

    /// Whether AMS changes come as partial units (`id` and what changed) instead of whole lists.
    #[must_use]
    pub fn sends_partial_units(self) -> bool {
        !matches!(self, Self::X1c)
    }

    /// How many multi-colour units it has in the simulator.
    #[must_use]
    pub fn unit_count(self) -> usize {
        match self {
            Self::X1c | Self::H2d => 2,
            Self::P1s | Self::A1 | Self::A1Mini | Self::P2s => 1,
        }
    }

    /// Clients served at once; one more is turned away. Reports differ from one to five.
    #[must_use]
    pub fn session_count_max(self) -> usize {
        if self.hides_the_file() { 8 } else { 4 }
    }

    /// The code by which slicers and discovery name the model.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::X1c => "BL-P001",
            Self::P1s => "C12",
            Self::A1 => "N2S",
            Self::A1Mini => "N1",
            Self::H2d => "O1D",
            Self::P2s => "N7",
        }
    }

    /// Whether sent files stay in a memory of its own, which FTPS does not show.
    #[must_use]
    pub fn has_internal_storage(self) -> bool {
        matches!(self, Self::H2d | Self::P2s)
    }

    /// Whether the file server is the small one of the microcontroller: no `REST`, no session reuse demanded, data in
    /// clear text allowed. The others have vsftpd.
    #[must_use]
    pub fn has_small_file_server(self) -> bool {
        matches!(self, Self::A1 | Self::A1Mini)
    }

    /// File sessions served at once; one more is turned away after a moment.
    #[must_use]
    pub fn file_session_count_max(self) -> usize {
        if self.has_small_file_server() { 1 } else { 5 }
    }
}
