#![no_main]

#[path = "../src/all.rs"]
mod all;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut bytes = b"GCDE".to_vec();
    bytes.extend_from_slice(data);
    all::read(&bytes);
});
