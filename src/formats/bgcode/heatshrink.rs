//! The heatshrink bit stream: literals and back references, most significant bit first.
//!
//! A one bit and eight bits are a literal; a zero bit, `window` bits (distance less one) and `lookahead` bits (count
//! less one) are a copy out of what was written. What lies before the start counts as zero bytes.

use crate::formats::result::Failure;

/// Decompresses a stream that is handed over in pieces. Memory: one window of 2 or 4 KiB.
pub(crate) struct Heatshrink {
    window_bits: u32,
    lookahead_bits: u32,
    history: Vec<u8>,
    at: usize,
    bits: u32,
    held: u32,
    /// Bytes still to come.
    remaining: u64,
}

impl Heatshrink {
    /// A decoder for `length` bytes of output.
    pub fn new(window_bits: u32, lookahead_bits: u32, length: u64) -> Self {
        let window_bits = window_bits.clamp(4, 15);
        Self {
            window_bits,
            lookahead_bits,
            history: vec![0; 1 << window_bits],
            at: 0,
            bits: 0,
            held: 0,
            remaining: length,
        }
    }

    /// Decodes `input` and hands every byte to `out`. What follows the announced length is padding.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for &byte in input {
            self.bits = (self.bits << 8) | u32::from(byte);
            self.held += 8;
            while self.remaining > 0 && self.step(out) {}
            if self.remaining == 0 {
                return;
            }
        }
    }

    /// Whether everything that was announced has come out.
    pub fn finish(&self) -> Result<(), Failure> {
        if self.remaining == 0 { Ok(()) } else { Err(Failure::corrupt("compressed data ends too early")) }
    }

    /// One literal or copy, if its bits are there. At most 1 + 15 + 8 bits are needed, and 7 + 8 are held before.
    fn step(&mut self, out: &mut Vec<u8>) -> bool {
        if self.held == 0 {
            return false;
        }
        if (self.bits >> (self.held - 1)) & 1 == 1 {
            if self.held < 9 {
                return false;
            }
            self.held -= 9;
            let byte = ((self.bits >> self.held) & 0xFF) as u8;
            self.emit(byte, out);
            return true;
        }
        let needed = 1 + self.window_bits + self.lookahead_bits;
        if self.held < needed {
            return false;
        }
        self.held -= needed;
        let reference = (self.bits >> self.held) & ((1 << (needed - 1)) - 1);
        let distance = (reference >> self.lookahead_bits) as usize + 1;
        let count = u64::from(reference & ((1 << self.lookahead_bits) - 1)) + 1;
        for _ in 0..count.min(self.remaining) {
            let from = (self.at + self.history.len() - distance) & (self.history.len() - 1);
            let byte = self.history.get(from).copied().unwrap_or_default();
            self.emit(byte, out);
        }
        true
    }

    fn emit(&mut self, byte: u8, out: &mut Vec<u8>) {
        if let Some(slot) = self.history.get_mut(self.at) {
            *slot = byte;
        }
        self.at = (self.at + 1) & (self.history.len() - 1);
        self.remaining -= 1;
        out.push(byte);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plain encoder for tests: greedy search, then the bits.
    pub(crate) fn compress(data: &[u8], window_bits: u32, lookahead_bits: u32) -> Vec<u8> {
        let (window, longest) = (1usize << window_bits, 1usize << lookahead_bits);
        let mut bits = Vec::new();
        let mut put =
            |value: usize, count: u32| (0..count).rev().for_each(|bit| bits.push((value >> bit) & 1 == 1));
        let mut at = 0;
        while at < data.len() {
            let mut best = (0, 0);
            for distance in 1..=window.min(at) {
                let length = (0..longest.min(data.len() - at))
                    .take_while(|&step| data[at + step] == data[at + step - distance])
                    .count();
                if length > best.1 {
                    best = (distance, length);
                }
            }
            if best.1 > 2 {
                put(0, 1);
                put(best.0 - 1, window_bits);
                put(best.1 - 1, lookahead_bits);
                at += best.1;
            } else {
                put(1, 1);
                put(usize::from(data[at]), 8);
                at += 1;
            }
        }
        bits.chunks(8)
            .map(|chunk| {
                chunk.iter().enumerate().fold(0u8, |byte, (at, &bit)| byte | (u8::from(bit) << (7 - at)))
            })
            .collect()
    }

    #[test]
    fn both_window_sizes_round_trip_in_pieces_of_any_size() {
        let data: Vec<u8> =
            (0..6000u32).flat_map(|n| format!("key {} = value {}\n", n % 37, n % 11).into_bytes()).collect();
        for (window, lookahead) in [(11, 4), (12, 4)] {
            let packed = compress(&data[..20_000], window, lookahead);
            assert!(packed.len() < 10_000);
            for size in [1, 7, 4096] {
                let mut decoder = Heatshrink::new(window, lookahead, 20_000);
                let mut out = Vec::new();
                packed.chunks(size).for_each(|chunk| decoder.push(chunk, &mut out));
                decoder.finish().unwrap();
                assert_eq!(out, &data[..20_000]);
            }
        }
    }

    #[test]
    fn a_short_stream_is_noticed_and_a_reference_before_the_start_is_zero() {
        let mut decoder = Heatshrink::new(11, 4, 3);
        let mut out = Vec::new();
        decoder.push(&[0, 0x02], &mut out);
        assert_eq!(out, [0, 0, 0]);
        assert!(decoder.finish().is_ok());
        assert!(Heatshrink::new(11, 4, 3).finish().is_err());
    }
}
