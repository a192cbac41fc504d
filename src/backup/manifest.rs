//! The description at the front of a backup.

use serde::{Deserialize, Serialize};

use super::BackupError;
use super::seal::Derivation;

/// Bytes of a manifest that are looked at.
const MANIFEST_BYTES_MAX: usize = 4096;

/// What goes into a backup besides the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The bytes of print files.
    #[serde(default)]
    pub files: bool,
    /// Their pictures.
    #[serde(default)]
    pub pictures: bool,
}

/// The description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// A number of its own, in hexadecimal digits.
    pub id: String,
    /// The version of the program that made it.
    pub version: String,
    /// When, as its clock said.
    pub created_at: String,
    /// The newest `seq` in it.
    pub seq: u64,
    /// What it holds besides the records.
    pub holds: Choice,
    /// How its secrets are encrypted; without it there are none in it.
    pub(super) secrets: Option<Derivation>,
}

impl Manifest {
    /// Whether it holds secrets.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        self.secrets.is_some()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Manifest, BackupError> {
        let manifest =
            (bytes.len() <= MANIFEST_BYTES_MAX).then(|| serde_json::from_slice(bytes).ok()).flatten();
        manifest.ok_or(BackupError::Damaged("its description"))
    }
}
