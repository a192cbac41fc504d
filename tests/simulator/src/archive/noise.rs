//! Numbers that look random and are always the same for the same seed.

/// A generator (Marsaglia's xorshift).
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    /// Seeded by a number.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike.
        let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03;
        word ^= word >> 31;
        Self(word | 1)
    }

    /// Seeded by a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::new(text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from((self.draw() >> 11) % limit).unwrap_or(0)
    }

    /// The next number from 0 to 1.
    pub fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.draw() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}
