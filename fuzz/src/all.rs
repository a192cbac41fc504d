//! Everything that is ever done with a file, over bytes in memory.

use std::io::Cursor;

use printernizer_fuzz::formats::forward::Tap;
use printernizer_fuzz::formats::verify::{Progress, Verifier};
use printernizer_fuzz::formats::{Options, PlateHint, inspect_reader, picture, plates, renditions};

/// The first byte of the input chooses the sizes of pieces, so that borders are hit at many places.
pub fn read(bytes: &[u8]) {
    let piece = usize::from(bytes.len() as u8) * 3 + 1;
    let options = Options { hashes: true, whole_gcode: true, ..Options::default() };
    let answer = inspect_reader(&mut Cursor::new(bytes), &options);
    assert!(answer.warnings.len() <= 32);
    for thumbnail in answer.thumbnails.iter().take(4) {
        if let Ok(bytes) = picture(&mut Cursor::new(bytes), thumbnail) {
            assert_eq!(bytes.len() as u64, thumbnail.bytes);
        }
    }
    let _ = renditions(&mut Cursor::new(bytes), &answer);
    let _ = plates(&mut Cursor::new(bytes));
    let mut tap = Tap::new(PlateHint { index: Some(1), gcode_file: None });
    for chunk in bytes.chunks(piece) {
        tap.push(chunk);
    }
    let _ = tap.preview();
    let mut verifier = Verifier::new();
    while let Ok(Progress::Working { .. }) = verifier.step(&mut Cursor::new(bytes), 4096) {}
}
