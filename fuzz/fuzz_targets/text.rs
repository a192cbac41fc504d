#![no_main]

#[path = "../src/all.rs"]
mod all;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Whatever does not begin like an archive or like blocks is read as text.
    all::read(data);
});
