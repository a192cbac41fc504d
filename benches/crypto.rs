//! What a megabyte costs that is hashed or enciphered, to be counted in instructions:
//!
//! ```text
//! cargo bench --bench crypto --no-run
//! valgrind --tool=callgrind target/release/deps/crypto-* sha256 1      # and once more with 3
//! ```
//! The difference of the two totals over 2 is the cost of one megabyte; for the boards' processor
//! `image-build/count-instructions.sh --benches` does that.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a measuring tool")]

use std::hint::black_box;

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use sha2::{Digest, Sha256};

/// A full TLS record, which is what a download comes in.
const RECORD_BYTES: usize = 16 * 1024;
/// Records of a megabyte (MiB).
const RECORDS: u32 = 64;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let kind = arguments.next().unwrap_or_else(|| "sha256".into());
    let megabytes: u32 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1);
    let mut record = vec![0x5a; RECORD_BYTES];
    match kind.as_str() {
        // Files in the library, by the crate that the library uses.
        "sha256" => {
            let mut digest = Sha256::new();
            for _ in 0..megabytes * RECORDS {
                digest.update(black_box(&record));
            }
            black_box(digest.finalize());
        }
        // TLS, by the provider of rustls.
        "aes128gcm" => seal(&AES_128_GCM, megabytes * RECORDS, &mut record),
        "aes256gcm" => seal(&AES_256_GCM, megabytes * RECORDS, &mut record),
        "chacha20" => seal(&CHACHA20_POLY1305, megabytes * RECORDS, &mut record),
        other => panic!("found {other}; there are sha256, aes128gcm, aes256gcm, chacha20"),
    }
    println!("{kind}: {megabytes} MiB");
}

/// Enciphers so many records, each with its tag; opening one costs the same.
fn seal(algorithm: &'static Algorithm, records: u32, record: &mut [u8]) {
    let key = UnboundKey::new(algorithm, &[7; 32].as_slice()[..algorithm.key_len()])
        .expect("a key of the right length");
    let key = LessSafeKey::new(key);
    for number in 0..records {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&number.to_le_bytes());
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), black_box(record))
            .expect("a record is far below the cipher's limit");
        black_box(tag.as_ref());
    }
}
