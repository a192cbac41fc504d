//! Secrets under a passphrase: argon2id makes the key, ChaCha20-Poly1305 encrypts and proves.
//!
//! More memory than for the password at the door ([`crate::web::guard`] has 2 MiB): a backup lies on other people's disks,
//! where it can be tried for years, and it is made or taken once in a while. 8 MiB and three passes are about a second of a
//! Raspberry Pi Zero, given back at once.

use argon2::{Algorithm, Argon2, Params, Version};
use rustls::crypto::ring as provider;
use serde::{Deserialize, Serialize};

use super::{BackupError, SECRETS_BYTES_MAX};
use crate::base::secret::Secret;

/// Bytes of a passphrase at least.
pub const PASSPHRASE_BYTES_MIN: usize = 8;
/// Bytes of a passphrase at most: a long sentence.
pub const PASSPHRASE_BYTES_MAX: usize = 256;
/// Memory of the key's derivation in KiB.
const MEMORY_KIB: u32 = 8 * 1024;
/// Passes over it.
const PASSES: u32 = 3;
/// What a backup may ask for: a made-up one is not to take the device's memory or its day.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
const PASSES_MAX: u32 = 16;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// A passphrase of a usable length.
#[derive(Clone)]
pub struct Passphrase(Secret);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

impl Passphrase {
    /// Takes a text.
    ///
    /// # Errors
    /// [`BackupError::BadPassphrase`] for one that is too short or too long.
    pub fn new(text: &str) -> Result<Passphrase, BackupError> {
        let fits = (PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&text.len());
        if fits { Ok(Passphrase(Secret::new(text))) } else { Err(BackupError::BadPassphrase) }
    }
}

/// How the key is made; in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Derivation {
    name: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
}

const NAME: &str = "argon2id+chacha20poly1305";

impl Derivation {
    /// A new one with a salt of its own.
    pub fn fresh() -> Result<Derivation, BackupError> {
        let salt = hex(&random::<SALT_BYTES>()?);
        Ok(Derivation { name: NAME.to_owned(), memory_kib: MEMORY_KIB, passes: PASSES, salt })
    }

    fn key(&self, passphrase: &Passphrase) -> Result<ring::aead::LessSafeKey, BackupError> {
        if self.name != NAME {
            return Err(BackupError::Newer);
        }
        let bounded = self.memory_kib <= MEMORY_KIB_MAX && (1..=PASSES_MAX).contains(&self.passes);
        let salt = unhex(&self.salt).filter(|salt| bounded && salt.len() == SALT_BYTES);
        let salt = salt.ok_or(BackupError::Damaged("how its secrets are encrypted"))?;
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32));
        let params = params.map_err(|_| BackupError::Damaged("how its secrets are encrypted"))?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.0.reveal().as_bytes(), &salt, &mut key)
            .map_err(|_| BackupError::Damaged("how its secrets are encrypted"))?;
        let key = ring::aead::UnboundKey::new(&ring::aead::CHACHA20_POLY1305, &key);
        key.map(ring::aead::LessSafeKey::new).map_err(|_| BackupError::NoRandomness)
    }

    /// Encrypts `plain`; `bound` is what it belongs to and cannot be moved from.
    pub fn seal(
        &self,
        passphrase: &Passphrase,
        bound: &[u8],
        plain: Vec<u8>,
    ) -> Result<Vec<u8>, BackupError> {
        let nonce = random::<NONCE_BYTES>()?;
        let mut sealed = plain;
        self.key(passphrase)?
            .seal_in_place_append_tag(
                ring::aead::Nonce::assume_unique_for_key(nonce),
                ring::aead::Aad::from(bound),
                &mut sealed,
            )
            .map_err(|_| BackupError::NoRandomness)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Decrypts what [`Derivation::seal`] made.
    pub fn open(&self, passphrase: &Passphrase, bound: &[u8], sealed: &[u8]) -> Result<Vec<u8>, BackupError> {
        let (nonce, rest) =
            sealed.split_first_chunk::<NONCE_BYTES>().ok_or(BackupError::Damaged("its secrets"))?;
        if rest.len() > SECRETS_BYTES_MAX + TAG_BYTES {
            return Err(BackupError::Damaged("its secrets"));
        }
        let mut plain = rest.to_vec();
        let length = self
            .key(passphrase)?
            .open_in_place(
                ring::aead::Nonce::assume_unique_for_key(*nonce),
                ring::aead::Aad::from(bound),
                &mut plain,
            )
            .map_err(|_| BackupError::WrongPassphrase)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], BackupError> {
    let mut bytes = [0; N];
    provider::default_provider().secure_random.fill(&mut bytes).map_err(|_| BackupError::NoRandomness)?;
    Ok(bytes)
}

/// Small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The other way round.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}
