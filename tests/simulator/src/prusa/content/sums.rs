//! The two checksums of PNG and binary G-code.

/// CRC-32 as in zip and PNG.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let table = table();
    let step = |sum: u32, byte: &u8| {
        let place = ((sum ^ u32::from(*byte)) & 0xff) as usize;
        table.get(place).copied().unwrap_or(0) ^ (sum >> 8)
    };
    !bytes.iter().fold(!0, step)
}

fn table() -> [u32; 256] {
    let mut table = [0; 256];
    for (start, place) in (0_u32..).zip(table.iter_mut()) {
        *place = (0..8).fold(start, |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 });
    }
    table
}

/// Adler-32 as in zlib.
pub fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_examples_come_out() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
