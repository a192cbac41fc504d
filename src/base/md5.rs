//! MD5, because others still use it: the checksum that archives carry beside a plate's G-code, digest authentication over
//! HTTP. Not a protection against anybody.

/// The running sum.
pub struct Md5 {
    state: [u32; 4],
    length: u64,
    block: [u8; 64],
    filled: usize,
}

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The whole parts of 2^32 |sin(n + 1)|, RFC 1321 section 3.4.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

impl Default for Md5 {
    fn default() -> Self {
        Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            length: 0,
            block: [0; 64],
            filled: 0,
        }
    }
}

impl Md5 {
    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if self.filled > 0 {
            let taken = bytes.len().min(64 - self.filled);
            let (head, rest) = bytes.split_at(taken);
            if let Some(target) = self.block.get_mut(self.filled..self.filled + taken) {
                target.copy_from_slice(head);
            }
            self.filled += taken;
            bytes = rest;
            if self.filled < 64 {
                return;
            }
            let block = self.block;
            compress(&mut self.state, &block);
            self.filled = 0;
        }
        let mut blocks = bytes.chunks_exact(64);
        for block in &mut blocks {
            compress(&mut self.state, block);
        }
        let rest = blocks.remainder();
        if let Some(target) = self.block.get_mut(..rest.len()) {
            target.copy_from_slice(rest);
        }
        self.filled = rest.len();
    }

    /// The sum.
    #[must_use]
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8);
        self.update(&[0x80]);
        while self.filled != 56 {
            self.update(&[0]);
        }
        self.update(&bits.to_le_bytes());
        let mut out = [0; 16];
        for (target, word) in out.chunks_exact_mut(4).zip(self.state) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        out
    }
}

#[expect(clippy::indexing_slicing, reason = "all indices are taken modulo the fixed sizes of the tables")]
fn compress(state: &mut [u32; 4], block: &[u8]) {
    let mut words = [0u32; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
    }
    let [mut a, mut b, mut c, mut d] = *state;
    for round in 0..64usize {
        let (mix, at) = match round / 16 {
            0 => ((b & c) | (!b & d), round),
            1 => ((d & b) | (!d & c), (5 * round + 1) % 16),
            2 => (b ^ c ^ d, (3 * round + 5) % 16),
            _ => (c ^ (b | !d), (7 * round) % 16),
        };
        let sum = a.wrapping_add(mix).wrapping_add(SINES[round % 64]).wrapping_add(words[at % 16]);
        a = d;
        d = c;
        c = b;
        b = b.wrapping_add(sum.rotate_left(SHIFTS[round / 16 % 4][round % 4]));
    }
    for (target, value) in state.iter_mut().zip([a, b, c, d]) {
        *target = target.wrapping_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(bytes: &[u8], piece: usize) -> String {
        let mut md5 = Md5::default();
        bytes.chunks(piece).for_each(|chunk| md5.update(chunk));
        md5.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_sums_of_the_standard() {
        assert_eq!(md5(b"", 1), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"abc", 2), "900150983cd24fb0d6963f7d28e17f72");
        let digits = b"12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        for piece in [1, 7, 63, 64, 65, 80] {
            assert_eq!(md5(digits, piece), "57edf4a22be3c955ac49da2e2107b67a");
        }
    }
}
