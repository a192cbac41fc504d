//! Pins as text: 64 lower-case hexadecimal digits, the form in which records and answers carry them.

/// A SHA-256 over a SubjectPublicKeyInfo.
pub type Pin = [u8; 32];

/// The pin as 64 lower-case hexadecimal digits.
#[must_use]
pub fn pin_to_hex(pin: &Pin) -> String {
    use std::fmt::Write as _;
    pin.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads 64 hexadecimal digits of either case; [`None`] for anything else.
#[must_use]
pub fn pin_from_hex(text: &str) -> Option<Pin> {
    let mut pin = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != pin.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in pin.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(pin)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_comes_back() {
        let mut pin = [0; 32];
        for (byte, value) in pin.iter_mut().zip(0xd0_u8..) {
            *byte = value;
        }
        let text = pin_to_hex(&pin);
        assert!(text.starts_with("d0d1d2"));
        assert_eq!(pin_from_hex(&text), Some(pin));
        assert_eq!(pin_from_hex(&text.to_uppercase()), Some(pin));
    }

    #[test]
    fn other_texts_are_no_pins() {
        for text in ["", "0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(pin_from_hex(text), None, "{text}");
        }
    }
}
