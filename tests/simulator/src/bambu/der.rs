//! The few DER shapes that a certificate and a private key are made of. It only writes.

/// One value with its tag and length.
#[must_use]
pub fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match (content.len(), u8::try_from(significant.len())) {
        (0..=127, _) => bytes.push(significant.last().copied().unwrap_or(0)),
        (_, Ok(count)) => {
            bytes.push(0x80 | count);
            bytes.extend_from_slice(&significant);
        }
        (_, Err(_)) => unreachable!("a length has at most eight bytes"),
    }
    bytes.extend_from_slice(content);
    bytes
}

/// A SEQUENCE of values that are DER already.
#[must_use]
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

/// A SET of values that are DER already.
#[must_use]
pub fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x31, &parts.concat())
}

/// An INTEGER from an unsigned big-endian number.
#[must_use]
pub fn unsigned(number: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    if content.first().is_none_or(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    tagged(0x02, &content)
}

/// A BIT STRING without unused bits.
#[must_use]
pub fn bit_string(content: &[u8]) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend_from_slice(content);
    tagged(0x03, &bits)
}

/// An OBJECT IDENTIFIER whose content is encoded already.
#[must_use]
pub fn object_identifier(content: &[u8]) -> Vec<u8> {
    tagged(0x06, content)
}

/// A UTF8String.
#[must_use]
pub fn utf8(text: &str) -> Vec<u8> {
    tagged(0x0c, text.as_bytes())
}

/// A UTCTime such as `250101000000Z`.
#[must_use]
pub fn utc_time(text: &str) -> Vec<u8> {
    tagged(0x17, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_short_and_the_long_form() {
        assert_eq!(tagged(4, &[]), [4, 0]);
        assert_eq!(tagged(4, &[7; 127])[..2], [4, 127]);
        assert_eq!(tagged(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tagged(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn integers_stay_positive_and_minimal() {
        assert_eq!(unsigned(&[0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0, 127]), [2, 1, 127]);
        assert_eq!(unsigned(&[128]), [2, 2, 0, 128]);
    }
}
