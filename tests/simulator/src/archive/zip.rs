//! A ZIP archive as Bambu Studio writes it: every entry with bit 3 set, its checksum and sizes behind it in a
//! descriptor, pictures stored and all else deflated.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};

/// How hard is pressed; more costs time and saves little.
const LEVEL: u8 = 6;
/// The longest piece that deflate can carry unpressed.
const PIECE_MAX: usize = 65_535;
/// Bytes before each of those.
const PIECE_HEAD: usize = 5;
/// Bit 3: sizes follow the data. Bit 11: names are UTF-8.
const FLAGS: u16 = 0x0808;
/// 19 December 2025 and 13:01:34, in the form of the old disks: the same in every archive, so that equal archives are equal.
const DATE_AND_TIME: u32 = 0x5b93_6831;

/// An archive that is being written.
#[derive(Debug, Default)]
pub struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

impl Zip {
    /// Adds an entry as it is.
    pub fn store(&mut self, name: &str, plain: &[u8]) {
        self.add(name, 0, plain, plain);
    }

    /// Adds an entry deflated.
    pub fn deflate(&mut self, name: &str, plain: &[u8]) {
        self.add(name, 8, plain, &compress_to_vec(plain, LEVEL));
    }

    /// Adds an entry of method 8 whose first `pressed` bytes are deflated and whose rest is not, as a compressor does
    /// it where pressing would not help. The packed size of the rest is then known beforehand: see [`Unpressed`].
    pub fn deflate_in_part(&mut self, name: &str, plain: &[u8], pressed: usize, pieces: usize) {
        let (first, rest) = plain.split_at_checked(pressed).unwrap_or((plain, &[]));
        let mut packed = if first.is_empty() { Vec::new() } else { deflated_without_end(first) };
        let piece_size = rest.len().div_ceil(pieces.max(1)).clamp(1, PIECE_MAX);
        let mut pieces = rest.chunks(piece_size).peekable();
        if pieces.peek().is_none() {
            put_piece(&mut packed, &[], true);
        }
        while let Some(piece) = pieces.next() {
            put_piece(&mut packed, piece, pieces.peek().is_none());
        }
        self.add(name, 8, plain, &packed);
    }

    fn add(&mut self, name: &str, method: u16, plain: &[u8], packed: &[u8]) {
        let offset = size32(self.bytes.len());
        let (sum, packed_size, plain_size) =
            (crc32fast::hash(plain), size32(packed.len()), size32(plain.len()));
        let version: u16 = if method == 0 { 0 } else { 20 };
        let name_size = u16::try_from(name.len()).unwrap_or(u16::MAX);
        let mut fixed = Vec::new();
        for word in [version, FLAGS, method] {
            fixed.extend_from_slice(&word.to_le_bytes());
        }
        fixed.extend_from_slice(&DATE_AND_TIME.to_le_bytes());

        self.bytes.extend_from_slice(b"PK\x03\x04");
        self.bytes.extend_from_slice(&fixed);
        self.bytes.extend_from_slice(&[0; 12]);
        self.bytes.extend_from_slice(&name_size.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(packed);
        self.bytes.extend_from_slice(b"PK\x07\x08");
        for word in [sum, packed_size, plain_size] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }

        self.directory.extend_from_slice(b"PK\x01\x02");
        self.directory.extend_from_slice(&version.to_le_bytes());
        self.directory.extend_from_slice(&fixed);
        for word in [sum, packed_size, plain_size] {
            self.directory.extend_from_slice(&word.to_le_bytes());
        }
        self.directory.extend_from_slice(&name_size.to_le_bytes());
        // No extra field, no comment, first disk, no attributes.
        self.directory.extend_from_slice(&[0; 12]);
        self.directory.extend_from_slice(&offset.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        self.count = self.count.saturating_add(1);
    }

    /// The whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let offset = size32(self.bytes.len());
        let size = size32(self.directory.len());
        self.bytes.extend_from_slice(&self.directory);
        self.bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend_from_slice(&self.count.to_le_bytes());
        self.bytes.extend_from_slice(&self.count.to_le_bytes());
        self.bytes.extend_from_slice(&size.to_le_bytes());
        self.bytes.extend_from_slice(&offset.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes
    }
}

/// Unpressed bytes in a deflate stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpressed {
    /// How many.
    pub size: usize,
    /// In how many pieces.
    pub pieces: usize,
}

impl Unpressed {
    /// As many as fill exactly `room` bytes of the stream.
    #[must_use]
    pub fn filling(room: usize) -> Self {
        let pieces = room.div_ceil(PIECE_MAX + PIECE_HEAD).max(1);
        Self { size: room.saturating_sub(pieces * PIECE_HEAD), pieces }
    }

    /// Few enough for one piece.
    #[must_use]
    pub fn few(size: usize) -> Self {
        Self { size, pieces: 1 }
    }

    /// The room that they take.
    #[must_use]
    pub fn room(self) -> usize {
        self.size + self.pieces * PIECE_HEAD
    }
}

fn put_piece(packed: &mut Vec<u8>, piece: &[u8], is_last: bool) {
    let size = u16::try_from(piece.len()).unwrap_or(u16::MAX);
    packed.push(u8::from(is_last));
    packed.extend_from_slice(&size.to_le_bytes());
    packed.extend_from_slice(&(!size).to_le_bytes());
    packed.extend_from_slice(piece);
}

/// Deflates `plain` so that more blocks may follow, from a whole byte on.
fn deflated_without_end(plain: &[u8]) -> Vec<u8> {
    let flags = create_comp_flags_from_zip_params(i32::from(LEVEL), -15, 0);
    let mut compressor = CompressorOxide::new(flags);
    let mut packed = Vec::new();
    let (status, taken) = compress_to_output(&mut compressor, plain, TDEFLFlush::Sync, |bytes: &[u8]| {
        packed.extend_from_slice(bytes);
        true
    });
    debug_assert!(status == TDEFLStatus::Okay && taken == plain.len(), "a sink that takes everything");
    packed
}

/// Archives here have far less than 4 GB.
fn size32(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec;

    use super::*;

    #[test]
    fn a_stream_that_is_pressed_in_part_unpacks_to_the_whole() {
        let plain: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        for (pressed, pieces) in [(0, 4), (1, 5), (70_000, 2), (200_000, 1)] {
            let mut zip = Zip::default();
            zip.deflate_in_part("x", &plain, pressed, pieces);
            let bytes = zip.finish();
            let size = u32::from_le_bytes(bytes[bytes.len() - 22 - 47 + 20..][..4].try_into().unwrap());
            let packed = &bytes[31..31 + usize::try_from(size).unwrap()];
            assert_eq!(decompress_to_vec(packed).unwrap(), plain, "{pressed}");
            if pressed == 0 {
                assert_eq!(Unpressed::filling(packed.len()), Unpressed { size: plain.len(), pieces });
            }
        }
    }
}
