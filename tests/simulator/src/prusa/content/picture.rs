//! Pictures as a slicer puts them into files: PNG, and base64 for text.

use super::sums::{adler32, crc32};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Bytes of a stored deflate block.
const STORED_MAX: usize = 65_535;

/// A cube before a grey ground, in a colour that depends on `seed`; 16 colours, not compressed.
#[must_use]
pub fn png(width: u16, height: u16, seed: &str) -> Vec<u8> {
    let hue = crc32(seed.as_bytes());
    let row_bytes = usize::from(width).div_ceil(2);
    let mut pixels = Vec::with_capacity((row_bytes + 1) * usize::from(height));
    for y in 0..height {
        pixels.push(0);
        for pair in 0..row_bytes {
            let x = u16::try_from(2 * pair).unwrap_or(0);
            pixels.push(shade(x, y, width, height) << 4 | shade(x + 1, y, width, height));
        }
    }
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend_from_slice(&u32::from(width).to_be_bytes());
    header.extend_from_slice(&u32::from(height).to_be_bytes());
    header.extend_from_slice(&[4, 3, 0, 0, 0]);
    chunk(&mut bytes, b"IHDR", &header);
    chunk(&mut bytes, b"PLTE", &palette(hue));
    chunk(&mut bytes, b"IDAT", &stored(&pixels));
    chunk(&mut bytes, b"IEND", &[]);
    bytes
}

/// Colour 0 is the ground, 1 to 5 are the cube's faces.
fn shade(x: u16, y: u16, width: u16, height: u16) -> u8 {
    let size = f64::from(width.min(height)) * 0.4;
    let (dx, dy) = (f64::from(x) - f64::from(width) / 2.0, f64::from(y) - f64::from(height) / 2.0);
    let lean = dx.abs() / 2.0;
    if dx.abs() > size || dy.abs() > size * 1.2 - lean {
        0
    } else if dy < lean - size * 0.2 {
        1
    } else if dx < 0.0 {
        3
    } else {
        5
    }
}

fn palette(hue: u32) -> Vec<u8> {
    let base = [hue >> 16, hue >> 8, hue].map(|part| 96 + (part & 0x7f));
    let mut colours = vec![40, 40, 44];
    for step in 1..16_u32 {
        let shade = |part: u32| u8::try_from((part * (18 - step)) / 18).unwrap_or(255);
        colours.extend(base.map(shade));
    }
    colours
}

fn chunk(bytes: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(data.len()).unwrap_or(0).to_be_bytes());
    let summed = [kind.as_slice(), data].concat();
    bytes.extend_from_slice(&summed);
    bytes.extend_from_slice(&crc32(&summed).to_be_bytes());
}

/// A zlib stream that does not compress.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let count = data.len().div_ceil(STORED_MAX);
    for (number, block) in data.chunks(STORED_MAX).enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(0);
        stream.push(u8::from(number + 1 == count));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend_from_slice(&adler32(data).to_be_bytes());
    stream
}

/// Base64 with padding.
#[must_use]
pub fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word =
            (0..3).fold(0_u32, |word, place| word << 8 | u32::from(group.get(place).copied().unwrap_or(0)));
        for place in 0..4 {
            let digit = ALPHABET.get((word >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The bytes behind base64; what is no digit is passed over.
#[must_use]
pub fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0_u32);
    for digit in text.iter().filter_map(|byte| ALPHABET.iter().position(|known| known == byte)) {
        word = word << 6 | u32::try_from(digit).unwrap_or(0);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 0xff).unwrap_or(0));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_goes_there_and_back() {
        assert_eq!(encoded(b"Man"), "TWFu");
        assert_eq!(encoded(b"Ma"), "TWE=");
        assert_eq!(encoded(b"M"), "TQ==");
        for length in 0..50_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(decoded(encoded(&bytes).as_bytes()), bytes);
        }
    }

    #[test]
    fn pictures_differ_by_seed_and_say_their_size() {
        let (one, other) = (png(220, 124, "a"), png(220, 124, "b"));
        assert_ne!(one, other);
        assert_eq!(one[16..24], [0, 0, 0, 220, 0, 0, 0, 124]);
    }
}
