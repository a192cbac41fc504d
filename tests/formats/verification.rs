//! The later, thorough check of a whole file.

use std::io::Cursor;

use printernizer::formats::verify::{Progress, Verdict, Verifier};
use printernizer::formats::{Format, Kind};

use crate::files::archive::{self, zip};
use crate::files::blocks::{self, Packing};
use crate::files::{self};

fn verify(bytes: &[u8], budget: u64) -> (Verdict, u32) {
    let mut verifier = Verifier::new();
    for steps in 1..1_000_000 {
        match verifier.step(&mut Cursor::new(bytes), budget).unwrap() {
            Progress::Working { done, total } => assert!(done <= total),
            Progress::Done(verdict) => return (verdict, steps),
        }
    }
    panic!("it never ends");
}

#[test]
fn whole_files_are_intact_whatever_the_step() {
    let package = zip(&archive::gcode_3mf(&[1, 2], &[1, 2], &files::moves(200_000)));
    let blocks = blocks::bgcode(true, Packing::Deflate);
    for budget in [1, 50_000, u64::MAX] {
        let (verdict, steps) = verify(&package, budget);
        assert_eq!((verdict.format, verdict.failures.as_slice()), (Some(Format::ThreeMf), &[][..]));
        assert_eq!((verdict.checked, verdict.md5_checked), (20, 2));
        assert!(budget != 50_000 || steps > 5);
        let (verdict, _) = verify(&blocks, budget);
        assert_eq!((verdict.checked, verdict.is_corrupt()), (8, false));
    }
    let (verdict, steps) = verify(b"G28\n", 1000);
    assert_eq!((verdict.checked, verdict.is_corrupt(), steps), (0, false, 1));
}

#[test]
fn one_wrong_bit_anywhere_in_the_data_is_found() {
    let package = zip(&archive::gcode_3mf(&[1], &[1], &files::moves(30_000)));
    let gcode = package.windows(22).position(|bytes| bytes == b"Metadata/plate_1.gcode").unwrap();
    for place in [gcode + 40, gcode + 4000] {
        let mut bad = package.clone();
        bad[place] ^= 4;
        assert!(verify(&bad, 10_000).0.is_corrupt(), "{place}");
    }
    let blocks = blocks::bgcode(true, Packing::None);
    for place in [100, blocks.len() / 2, blocks.len() - 10] {
        let mut bad = blocks.clone();
        bad[place] ^= 4;
        assert!(verify(&bad, 10_000).0.is_corrupt(), "{place}");
    }
    assert!(verify(&blocks[..blocks.len() - 1], 10_000).0.is_corrupt());
    assert!(verify(&package[..package.len() - 1], 10_000).0.is_corrupt());
}

#[test]
fn a_bomb_is_refused_without_being_unpacked() {
    let bomb = archive::packed("Metadata/plate_1.gcode", vec![b' '; 40 * 1024 * 1024]);
    let (verdict, _) = verify(&zip(&[bomb]), u64::MAX);
    assert_eq!(verdict.failures[0].kind, Kind::TooLarge);
}
