//! The password at rest: argon2id with parameters that the board bears. **Pure** but for randomness.
//!
//! Why these parameters: one ARM1176 core at 1 GHz serves printers while it hashes, and the whole service has 12 MB. What a
//! desktop would take (19 MiB and more) does not fit; [`MEMORY_KIB`] with [`PASSES`] passes is some 0.2 s of that core and is
//! given back at once. Hashes are made one at a time ([`super::Guard`] has one thread for them), so a hundred attempts take the
//! memory of one. What the smaller memory gives away against somebody who has stolen the card is less than what they find on it
//! anyway: the printers' own codes. Against somebody on the network the pauses between attempts count, not the hash.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use rustls::crypto::ring;
use sha2::{Digest as _, Sha256};

use crate::base::secret::Secret;

/// Memory of one hash in KiB.
pub const MEMORY_KIB: u32 = 2048;
/// Passes over it.
pub const PASSES: u32 = 4;
/// Bytes of a salt: what RFC 9106 recommends.
const SALT_BYTES: usize = 16;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// What a kept hash may ask for at most: a damaged record must not take the board's memory or its day.
const MEMORY_KIB_MAX: u32 = 8 * 1024;
const PASSES_MAX: u32 = 16;

/// Bytes of a password: a long sentence.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// What may be a password, in words.
pub const PASSWORD_RULE: &str =
    "a text of 1 to 256 bytes without line breaks and other control characters, and without blanks around it";

/// Whether `text` may be a password: a header cannot carry blanks at its end, such a one could never be shown.
#[must_use]
pub fn fits(text: &str) -> bool {
    (1..=PASSWORD_BYTES_MAX).contains(&text.len())
        && text.trim() == text
        && !text.chars().any(char::is_control)
}

/// A SHA-256.
pub type Digest = [u8; 32];

/// The SHA-256 of what nobody can guess: ids of sessions and tokens.
#[must_use]
pub fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// No randomness: the system is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gives no random numbers")
    }
}

impl std::error::Error for NoRandomness {}

/// Random bytes that nobody can guess.
///
/// # Errors
/// [`NoRandomness`].
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// Bytes as small hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The other way round, for exactly `N` bytes.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// A salted hash of a password. `Debug` hides it: it could be tried at leisure elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    memory_kib: u32,
    passes: u32,
    salt: [u8; SALT_BYTES],
    hash: Digest,
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("memory_kib", &self.memory_kib).finish_non_exhaustive()
    }
}

impl Hash {
    /// Hashes `password` with a fresh salt. Takes [`MEMORY_KIB`] and a while: never on the executor.
    ///
    /// # Errors
    /// [`NoRandomness`], also where there is no memory for it.
    pub fn make(password: &Secret) -> Result<Hash, NoRandomness> {
        let mut hash =
            Hash { memory_kib: MEMORY_KIB, passes: PASSES, salt: random()?, hash: [0; HASH_BYTES] };
        hash.hash = hash.of(password).ok_or(NoRandomness)?;
        Ok(hash)
    }

    /// Whether it is the hash of `password`. Takes as long as [`Hash::make`].
    #[must_use]
    pub fn is_of(&self, password: &Secret) -> bool {
        // Hashes of hashes are compared, so that the time tells nothing.
        self.of(password).is_some_and(|hash| Sha256::digest(hash) == Sha256::digest(self.hash))
    }

    fn of(&self, password: &Secret) -> Option<Digest> {
        let params = Params::new(self.memory_kib, self.passes, 1, Some(HASH_BYTES)).ok()?;
        let mut out = [0; HASH_BYTES];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(password.reveal().as_bytes(), &self.salt, &mut out).ok()?;
        Some(out)
    }

    /// As it is kept: `argon2id$m=2048,t=4$SALT$HASH`, in hex.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (salt, hash) = (hex(&self.salt), hex(&self.hash));
        format!("argon2id$m={},t={}${salt}${hash}", self.memory_kib, self.passes)
    }

    /// Reads what [`Hash::to_text`] wrote.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Hash> {
        let mut parts = text.split('$');
        let (kind, costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if kind != "argon2id" || parts.next().is_some() {
            return None;
        }
        let (memory, passes) = costs.split_once(',')?;
        let number = |text: &str, name: &str, most: u32| {
            text.strip_prefix(name)?.parse::<u32>().ok().filter(|number| (1..=most).contains(number))
        };
        Some(Hash {
            memory_kib: number(memory, "m=", MEMORY_KIB_MAX)?,
            passes: number(passes, "t=", PASSES_MAX)?,
            salt: unhex(salt)?,
            hash: unhex(hash)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other_and_hides_both() {
        let password = Secret::new("a long sentence");
        let (one, other) = (Hash::make(&password).unwrap(), Hash::make(&password).unwrap());
        assert_ne!(one, other, "the salt differs");
        assert!(one.is_of(&password) && other.is_of(&password));
        for wrong in ["", "a long sentenc", "A long sentence", "a long sentence "] {
            assert!(!one.is_of(&Secret::new(wrong)), "{wrong}");
        }
        let text = one.to_text();
        assert!(!text.contains("sentence") && !format!("{one:?}").contains(&text[30..50]));
        assert_eq!(Hash::from_text(&text), Some(one));
    }

    #[test]
    fn the_hash_is_that_of_the_algorithm() {
        // From argon2-cffi 25.1: hash_secret_raw(b"a long sentence", b"0123456789abcdef", 4, 2048, 1, 32, Type.ID)
        let hash = Hash { memory_kib: 2048, passes: 4, salt: *b"0123456789abcdef", hash: [0; 32] };
        let found = hash.of(&Secret::new("a long sentence")).unwrap();
        assert_eq!(hex(&found), "51df486033e7446fb1a43abe22dcb3c096e6b21f6091a9850548dd94bd65b457");
    }

    #[test]
    fn what_is_damaged_is_no_hash_and_costs_nothing() {
        let whole = Hash { memory_kib: 8, passes: 1, salt: [1; 16], hash: [2; 32] }.to_text();
        assert!(Hash::from_text(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(Hash::from_text(&whole[..end]), None, "{end}");
        }
        for (from, to) in [
            ("m=8,", "m=4294967295,"),
            ("m=8,", "m=8193,"),
            ("t=1", "t=17"),
            ("t=1", "t=0"),
            ("argon2id", "argon2i"),
        ] {
            assert_eq!(Hash::from_text(&whole.replacen(from, to, 1)), None, "{to}");
        }
        assert_eq!(Hash::from_text(&format!("{whole}$")), None);
    }

    #[test]
    fn what_may_be_a_password() {
        for fine in ["x", "a long sentence", "pässwörd", &"x".repeat(256)] {
            assert!(fits(fine), "{fine}");
        }
        for not in ["", " x", "x ", "a\nb", "a\u{0}b", &"x".repeat(257)] {
            assert!(!fits(not), "{not:?}");
        }
    }

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(unhex::<2>("00ff"), Some([0, 255]));
        for not in ["00f", "00fff", "00FF", "+0ff", "00f\u{e9}"] {
            assert_eq!(unhex::<2>(not), None, "{not}");
        }
        assert_ne!(random::<16>(), random::<16>());
    }
}
