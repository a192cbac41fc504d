//! A printer of the list, as the user described it.

use serde::{Deserialize, Serialize};

use super::PrinterId;
use crate::base::clock::Timestamp;
use crate::base::secret::Secret;

/// The families of printers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrinterType {
    /// Bambu Lab: MQTT and FTPS on the LAN.
    BambuLab,
    /// Prusa: PrusaLink over HTTP.
    PrusaLink,
}

impl PrinterType {
    /// The stable name, as in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PrinterType::BambuLab => "bambu_lab",
            PrinterType::PrusaLink => "prusa_link",
        }
    }
}

/// How a printer is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionConfig {
    /// IPv4 or IPv6 literal, or a host name.
    pub host: String,
    /// Bambu: the serial number in capitals; the certificate's name must equal it. `None` until a certificate was seen.
    pub serial: Option<String>,
    /// Bambu: the LAN access code.
    pub access_code: Option<Secret>,
    /// PrusaLink: the API key.
    pub api_key: Option<Secret>,
    /// PrusaLink: the user name.
    pub username: Option<String>,
    /// PrusaLink: the password.
    pub password: Option<Secret>,
    /// Bambu: the MQTT port, normally 8883.
    pub mqtt_port: u16,
    /// Bambu: the FTPS port, normally 990.
    pub ftps_port: u16,
    /// PrusaLink: the HTTP port, normally 80.
    pub http_port: u16,
}

/// One printer of the list. Stored first, then connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printer {
    /// Its identifier.
    pub id: PrinterId,
    /// The user's name for it.
    pub name: String,
    /// Its family.
    pub kind: PrinterType,
    /// How it is reached.
    pub connection: ConnectionConfig,
    /// SHA-256 of the public key (SPKI) seen at the first connection, or trusted by the user since.
    pub pin: Option<[u8; 32]>,
    /// Where it stands; free text.
    pub location: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Whether it is watched.
    pub enabled: bool,
    /// When it was added.
    pub created_at: Timestamp,
}
