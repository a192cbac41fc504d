//! MD5 (RFC 1321), which slicers put beside the G-code. Long broken as a signature, still a good checksum.

use std::sync::LazyLock;

/// How far each step of the four rounds turns; the four numbers of a round repeat.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The sines of 1 to 64 as fractions of 2^32, in four rounds of sixteen.
static SINES: LazyLock<Vec<u32>> = LazyLock::new(|| {
    (1..=64_u32)
        .map(|step| crate::bambu::machine::whole((f64::from(step).sin().abs() * 4_294_967_296.0).floor()))
        .collect()
});

/// The sum as upper-case hexadecimal digits, as Bambu Studio writes it.
#[must_use]
pub fn md5_text(bytes: &[u8]) -> String {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut blocks = bytes.chunks_exact(64);
    for block in &mut blocks {
        mix(&mut state, block);
    }
    let mut tail = blocks.remainder().to_vec();
    tail.push(0x80);
    while tail.len() % 64 != 56 {
        tail.push(0);
    }
    let bits = u64::try_from(bytes.len()).unwrap_or(0).wrapping_mul(8);
    tail.extend_from_slice(&bits.to_le_bytes());
    for block in tail.chunks_exact(64) {
        mix(&mut state, block);
    }
    state.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02X}")).collect()
}

fn mix(state: &mut [u32; 4], block: &[u8]) {
    let mut words = [0_u32; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    }
    let [mut a, mut b, mut c, mut d] = *state;
    for ((round, turns), sines) in TURNS.iter().enumerate().zip(SINES.chunks_exact(16)) {
        for ((step, turn), sine) in turns.iter().cycle().enumerate().zip(sines) {
            let (mixed, place) = match round {
                0 => (b & c | !b & d, step),
                1 => (d & b | !d & c, (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let word = words.get(place).copied().unwrap_or(0);
            let sum = a.wrapping_add(mixed).wrapping_add(*sine).wrapping_add(word);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(*turn)));
        }
    }
    for (old, new) in state.iter_mut().zip([a, b, c, d]) {
        *old = old.wrapping_add(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_the_standard() {
        for (text, sum) in [
            ("", "D41D8CD98F00B204E9800998ECF8427E"),
            ("abc", "900150983CD24FB0D6963F7D28E17F72"),
            (
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                "D174AB98D277D9F5A5611C2C9F419D9F",
            ),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57EDF4A22BE3C955AC49DA2E2107B67A",
            ),
        ] {
            assert_eq!(md5_text(text.as_bytes()), sum, "{text}");
        }
    }
}
