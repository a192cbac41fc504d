//! Steps that only compute: bytes in, bytes out.

use std::io::Cursor;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Trouble, demand};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    number: u64,
    signed: i64,
    share: f64,
    name: heapless::String<16>,
    list: heapless::Vec<u16, 4>,
    nothing: Option<u32>,
}

/// A record with every kind of field goes to bytes and back.
pub(super) fn records(_: &Path) -> Result<(), Trouble> {
    let too_long = |()| Trouble("a heapless text or list refused what fits".to_owned());
    let sample = Sample {
        number: u64::MAX - 1,
        signed: i64::MIN + 1,
        share: 0.1,
        name: heapless::String::try_from("Würfel").map_err(|_| too_long(()))?,
        list: heapless::Vec::from_slice(&[1, 2, 65_535]).map_err(|_| too_long(()))?,
        nothing: None,
    };
    let bytes = postcard::to_allocvec(&sample)?;
    let back: Sample = postcard::from_bytes(&bytes)?;
    demand(back == sample, format_args!("{back:?} came back"))?;
    let cut = postcard::from_bytes::<Sample>(bytes.get(..bytes.len() - 1).unwrap_or_default());
    demand(cut.is_err(), "a record that was cut off was taken")
}

/// Example B.1 of FIPS 180-2: the digest of "abc".
const DIGEST_OF_ABC: [u8; 32] = [
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0,
    0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
];

/// A known digest, and one in pieces.
pub(super) fn digest(_: &Path) -> Result<(), Trouble> {
    demand(Sha256::digest(b"abc").as_slice() == DIGEST_OF_ABC, "the digest of \"abc\" is wrong")?;
    let bytes = pattern(100_001);
    let mut pieces = Sha256::new();
    for piece in bytes.chunks(61) {
        pieces.update(piece);
    }
    demand(pieces.finalize() == Sha256::digest(&bytes), "a digest in pieces differs from one at once")
}

/// Bytes that compress neither to nothing nor not at all.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [high, ..] = state.to_be_bytes();
        high & 0x1F
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

/// Compressed and inflated again, and a damaged stream refused.
pub(super) fn inflate(_: &Path) -> Result<(), Trouble> {
    let bytes = pattern(64 * 1024);
    let mut packed = miniz_oxide::deflate::compress_to_vec_zlib(&bytes, 6);
    demand(packed.len() < bytes.len(), "nothing was compressed")?;
    let inflate =
        |packed: &[u8]| miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(packed, bytes.len());
    let back = inflate(&packed).map_err(|error| Trouble(error.to_string()))?;
    demand(back == bytes, "other bytes came back")?;
    // The last bytes are the checksum.
    if let Some(last) = packed.last_mut() {
        *last ^= 1;
    }
    demand(inflate(&packed).is_err(), "a stream with a wrong checksum was taken")
}

/// A small picture, written and read.
pub(super) fn picture(_: &Path) -> Result<(), Trouble> {
    const SIDE: u32 = 48;
    let pixels = pattern(48 * 48 * 4);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIDE, SIDE);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    let limits = png::Limits { bytes: 256 * 1024 };
    let mut reader = png::Decoder::new_with_limits(Cursor::new(&file), limits).read_info()?;
    let mut back = vec![0; pixels.len()];
    demand(reader.output_buffer_size() == Some(pixels.len()), "the picture has another size")?;
    reader.next_frame(&mut back)?;
    demand(back == pixels, "other pixels came back")
}
