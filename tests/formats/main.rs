//! The readers of print files from the outside: true files, made files, damaged files, streams.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tests on own numbers")]

#[path = "../files/mod.rs"]
mod files;

mod damage;
mod dialects;
mod made;
mod packages;
mod pictures;
mod streams;
mod truth;
mod verification;

use std::io::Cursor;

use printernizer::formats::{Inspection, Options, PlateHint, inspect_reader};

/// Everything about a file in memory.
fn inspect(bytes: &[u8]) -> Inspection {
    inspect_with(bytes, PlateHint::default())
}

fn inspect_with(bytes: &[u8], plate: PlateHint) -> Inspection {
    let options = Options { plate, hashes: true, whole_gcode: true, ..Options::default() };
    inspect_reader(&mut Cursor::new(bytes), &options)
}
