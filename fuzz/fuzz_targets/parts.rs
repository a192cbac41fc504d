//! Fuzzed bytes as the parts of a sound archive, so that the parsers behind the checksums are reached.
#![no_main]

#[path = "../src/all.rs"]
mod all;
#[path = "../../tests/files/mod.rs"]
mod files;

use files::archive::{Part, stored, zip};

const NAMES: [&str; 9] = [
    "Metadata/slice_info.config",
    "Metadata/model_settings.config",
    "Metadata/project_settings.config",
    "Metadata/Slic3r_PE.config",
    "Metadata/plate_1.gcode",
    "Metadata/plate_1.json",
    "Metadata/plate_1.gcode.md5",
    "_rels/.rels",
    "3D/3dmodel.model",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The first byte says which part the first piece is; 0xFF ends a piece.
    let Some((&first, rest)) = data.split_first() else { return };
    let mut parts: Vec<Part> = Vec::new();
    for (place, piece) in rest.split(|&byte| byte == 0xFF).take(NAMES.len()).enumerate() {
        let name = NAMES[(usize::from(first) + place) % NAMES.len()];
        let deflate = place % 2 == 1;
        parts.push(Part { deflate, descriptor: first & 0x40 == 0, ..stored(name, piece) });
    }
    all::read(&zip(&parts));
});
