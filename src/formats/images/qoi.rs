//! QOI, the "Quite OK Image": decoded by rows. After the public specification of 2021 (qoiformat.org).

use crate::formats::result::Failure;

const HEADER_LENGTH: usize = 14;

/// Decodes `bytes` of the given size and hands on row by row as RGBA.
pub(crate) fn rows(bytes: &[u8], size: (u32, u32), mut sink: impl FnMut(&[u8])) -> Result<(), Failure> {
    let mut decoder = Decoder { input: bytes.get(HEADER_LENGTH..).unwrap_or_default(), ..Decoder::default() };
    let mut row = vec![0; size.0 as usize * 4];
    for _ in 0..size.1 {
        for target in row.chunks_exact_mut(4) {
            let pixel = decoder.pixel().ok_or_else(|| Failure::corrupt("the QOI picture ends too early"))?;
            target.copy_from_slice(&pixel);
        }
        sink(&row);
    }
    Ok(())
}

struct Decoder<'a> {
    input: &'a [u8],
    pixel: [u8; 4],
    seen: [[u8; 4]; 64],
    run: u8,
}

impl Default for Decoder<'_> {
    fn default() -> Self {
        Self { input: &[], pixel: [0, 0, 0, 255], seen: [[0; 4]; 64], run: 0 }
    }
}

impl Decoder<'_> {
    fn pixel(&mut self) -> Option<[u8; 4]> {
        if self.run > 0 {
            self.run -= 1;
            return Some(self.pixel);
        }
        let tag = self.byte()?;
        let [red, green, blue, alpha] = self.pixel;
        self.pixel = match tag {
            0xFE => [self.byte()?, self.byte()?, self.byte()?, alpha],
            0xFF => [self.byte()?, self.byte()?, self.byte()?, self.byte()?],
            0x00..=0x3F => *self.seen.get(usize::from(tag))?,
            0x40..=0x7F => [
                red.wrapping_add((tag >> 4) & 3).wrapping_sub(2),
                green.wrapping_add((tag >> 2) & 3).wrapping_sub(2),
                blue.wrapping_add(tag & 3).wrapping_sub(2),
                alpha,
            ],
            0x80..=0xBF => {
                let second = self.byte()?;
                let step = (tag & 0x3F).wrapping_sub(32);
                [
                    red.wrapping_add(step).wrapping_add(second >> 4).wrapping_sub(8),
                    green.wrapping_add(step),
                    blue.wrapping_add(step).wrapping_add(second & 0x0F).wrapping_sub(8),
                    alpha,
                ]
            }
            0xC0..=0xFD => {
                self.run = tag & 0x3F;
                self.pixel
            }
        };
        let [red, green, blue, alpha] = self.pixel.map(usize::from);
        if let Some(slot) = self.seen.get_mut((red * 3 + green * 5 + blue * 7 + alpha * 11) % 64) {
            *slot = self.pixel;
        }
        Some(self.pixel)
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.input.split_first()?;
        self.input = rest;
        Some(byte)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plain encoder for tests: runs, small differences and whole pixels.
    pub(crate) fn encode(size: (u32, u32), pixels: &[[u8; 4]]) -> Vec<u8> {
        let mut out = b"qoif".to_vec();
        out.extend_from_slice(&size.0.to_be_bytes());
        out.extend_from_slice(&size.1.to_be_bytes());
        out.extend_from_slice(&[4, 0]);
        let mut last = [0u8, 0, 0, 255];
        let mut run = 0u8;
        for &pixel in pixels {
            if pixel == last {
                run += 1;
                if run == 62 {
                    out.push(0xC0 | (run - 1));
                    run = 0;
                }
                continue;
            }
            if run > 0 {
                out.push(0xC0 | (run - 1));
                run = 0;
            }
            let step: Vec<u8> = (0..3).map(|at| pixel[at].wrapping_sub(last[at]).wrapping_add(2)).collect();
            if pixel[3] == last[3] && step.iter().all(|&step| step < 4) {
                out.push(0x40 | (step[0] << 4) | (step[1] << 2) | step[2]);
            } else if pixel[3] == last[3] {
                out.push(0xFE);
                out.extend_from_slice(&pixel[..3]);
            } else {
                out.push(0xFF);
                out.extend_from_slice(&pixel);
            }
            last = pixel;
        }
        if run > 0 {
            out.push(0xC0 | (run - 1));
        }
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out
    }

    #[test]
    fn what_was_encoded_comes_back() {
        let pixels: Vec<[u8; 4]> = (0..40u32 * 30)
            .map(|at| {
                if at % 7 < 4 {
                    [10, 20, 30, 255]
                } else {
                    [at.to_le_bytes()[0] % 5, 1, 3, if at % 2 == 0 { 0 } else { 255 }]
                }
            })
            .collect();
        let mut out = Vec::new();
        rows(&encode((40, 30), &pixels), (40, 30), |row| out.extend_from_slice(row)).unwrap();
        assert_eq!(out, pixels.concat());
    }

    #[test]
    fn luma_and_index_codes_are_understood() {
        // Luma: green +1, red +1-8+9, blue; then the first pixel again by its place in the index.
        let mut bytes = b"qoif\0\0\0\x02\0\0\0\x01\x04\0".to_vec();
        bytes.extend_from_slice(&[0xA1, 0x99, 53]);
        let mut out = Vec::new();
        rows(&bytes, (2, 1), |row| out.extend_from_slice(row)).unwrap();
        assert_eq!(out[..4], [2, 1, 2, 255]);
        assert!(rows(&bytes[..14], (2, 1), |_| {}).is_err());
    }
}
