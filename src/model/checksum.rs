//! What names a content: its SHA-256.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The SHA-256 of some bytes; 64 lower-case hex digits wherever people or programs see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum(pub [u8; 32]);

/// A text that is no checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAChecksum;

impl fmt::Display for NotAChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a checksum of 64 lower-case hex digits")
    }
}

impl std::error::Error for NotAChecksum {}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Checksum {
    type Err = NotAChecksum;

    /// Accepts exactly what `Display` writes, so that one content has one name.
    fn from_str(text: &str) -> Result<Checksum, NotAChecksum> {
        let digits = text.as_bytes();
        let plain = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != 64 || !plain {
            return Err(NotAChecksum);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotAChecksum)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAChecksum)?;
        }
        Ok(Checksum(bytes))
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Checksum)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_content_has_one_name() {
        let text = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let checksum: Checksum = text.parse().unwrap();
        assert_eq!(checksum.to_string(), text);
        assert_eq!(serde_json::to_string(&checksum).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Checksum>(&format!("\"{text}\"")).unwrap(), checksum);
        for odd in ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &text.replace('0', "+")] {
            assert_eq!(odd.parse::<Checksum>(), Err(NotAChecksum), "{odd}");
        }
    }
}
