//! Renditions: sizes, shapes, colours, the choice of the source.

use std::io::Cursor;

use printernizer::formats::{Kind, Renditions, Size, picture, renditions};

use crate::files::archive::{self, zip};
use crate::files::{self, text};
use crate::inspect;

fn decode(png: &[u8]) -> (u32, u32, Vec<u8>, png::ColorType) {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width, info.height, pixels, info.color_type)
}

fn shapes(made: &Renditions) -> Vec<(u32, u32)> {
    made.sizes
        .iter()
        .map(|size| {
            let (width, height, ..) = decode(&size.png);
            assert_eq!((width, height), (size.width, size.height));
            (width, height)
        })
        .collect()
}

#[test]
fn never_enlarged_never_distorted() {
    for (source, expected) in [
        ((16, 16), [(16, 16), (16, 16), (16, 16)]),
        ((220, 124), [(128, 72), (220, 124), (220, 124)]),
        ((512, 512), [(128, 128), (256, 256), (512, 512)]),
        ((531, 734), [(93, 128), (185, 256), (370, 512)]),
        ((4000, 3), [(128, 1), (256, 1), (512, 1)]),
        ((1, 1), [(1, 1), (1, 1), (1, 1)]),
    ] {
        let made = Renditions::of(&files::png(source.0, source.1)).unwrap();
        assert_eq!(shapes(&made), expected, "{source:?}");
        assert_eq!(made.sizes.iter().map(|size| size.size).collect::<Vec<_>>(), Size::ALL);
    }
}

#[test]
fn all_kinds_of_pictures_give_the_same_image() {
    let reference = decode(&Renditions::of(&files::png(320, 240)).unwrap().sizes[0].png);
    let qoi = decode(&Renditions::of(&files::qoi(320, 240)).unwrap().sizes[0].png);
    assert_eq!((reference.0, reference.1, &reference.2), (qoi.0, qoi.1, &qoi.2));
    for progressive in [false, true] {
        let jpeg = Renditions::of(&files::jpeg(320, 240, progressive)).unwrap();
        let (width, height, pixels, color) = decode(&jpeg.sizes[0].png);
        assert_eq!((width, height, color), (128, 96, png::ColorType::Rgb));
        // The middle is where the shape is; JPEG is near, not equal.
        let (near, exact) = (&pixels[(60 * 128 + 64) * 3..][..3], &reference.2[(60 * 128 + 64) * 4..][..3]);
        assert!(near.iter().zip(exact).all(|(a, b)| a.abs_diff(*b) < 12), "{near:?} {exact:?}");
    }
}

#[test]
fn every_colour_type_of_png() {
    use png::{BitDepth, ColorType};
    let gray: Vec<u8> = (0..200 * 100).map(|at| (at % 200) as u8).collect();
    let two: Vec<u8> = gray.iter().flat_map(|&gray| [gray, 200]).collect();
    let rgb: Vec<u8> = gray.iter().flat_map(|&gray| [gray, gray, gray]).collect();
    let wide: Vec<u8> = gray.iter().flat_map(|&gray| [gray, gray]).collect();
    for (color, depth, data) in [
        (ColorType::Grayscale, BitDepth::Eight, &gray),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, &two),
        (ColorType::Rgb, BitDepth::Eight, &rgb),
        (ColorType::Grayscale, BitDepth::Sixteen, &wide),
    ] {
        let made = Renditions::of(&files::png_of(200, 100, color, depth, data)).unwrap();
        let (width, height, pixels, _) = decode(&made.sizes[0].png);
        assert_eq!((width, height), (128, 64));
        // Column 64 of 128 averages source columns 100 and 101.
        let channels = pixels.len() / (128 * 64);
        assert!(pixels[64 * channels].abs_diff(100) <= 1, "{color:?} {depth:?}");
    }
}

#[test]
fn a_picture_that_fits_is_served_without_its_luggage() {
    let mut source = files::png(100, 100);
    // A text chunk behind the header.
    let mut chunk = b"\0\0\0\x08tEXtkey\0text".to_vec();
    let sum = crc32fast::hash(&chunk[4..]);
    chunk.extend_from_slice(&sum.to_be_bytes());
    source.splice(33..33, chunk);
    let made = Renditions::of(&source).unwrap();
    assert_eq!(made.sizes[2].png.as_ref(), files::png(100, 100));
}

/// Found by fuzzing: all rows were there, the end was not, and the largest size came out missing.
#[test]
fn a_picture_that_fits_and_lacks_its_end_still_has_all_sizes() {
    let mut source = files::png(150, 20);
    source.truncate(source.len() - 12);
    source.extend_from_slice(b"\0\0\0\xFFIEND");
    let made = Renditions::of(&source).unwrap();
    assert_eq!(shapes(&made), [(128, 17), (150, 20), (150, 20)]);
}

/// Found by fuzzing: the decoder stumbled over colours that are finer than the brightness.
#[test]
fn a_jpeg_with_unusual_components_is_refused_before_it_is_decoded() {
    let good = files::jpeg(24, 16, false);
    let frame = good.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).unwrap();
    assert_eq!(good[frame + 9], 3);
    for (component, sampling) in [(2, 0x21), (1, 0x12), (2, 0x22), (0, 0x11), (0, 0x41), (0, 0x00), (1, 0x00)]
    {
        let mut bytes = good.clone();
        bytes[frame + 11 + 3 * component] = sampling;
        let result = Renditions::of(&bytes);
        if (component, sampling) != (0, 0x11) {
            assert_eq!(result.unwrap_err().kind, Kind::Unsupported, "{component} {sampling:#x}");
        }
    }
    // Four colours are for printing presses.
    let mut four = good;
    four[frame + 9] = 4;
    assert_eq!(Renditions::of(&four).unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn damage_and_excess_have_their_kinds() {
    let good = files::png(300, 200);
    assert_eq!(Renditions::of(&good[..good.len() / 2]).unwrap_err().kind, Kind::Corrupt);
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    assert_eq!(Renditions::of(&flipped).unwrap_err().kind, Kind::Corrupt);
    let mut huge = good;
    huge[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    assert_eq!(Renditions::of(&huge).unwrap_err().kind, Kind::TooLarge);
    let mut wide = files::qoi(4, 4);
    wide[4..12].copy_from_slice(&[0, 0, 0x0F, 0xFF, 0, 0, 0x0F, 0xFF]);
    assert_eq!(Renditions::of(&wide).unwrap_err().kind, Kind::TooLarge);
    assert_eq!(Renditions::of(b"GIF89a").unwrap_err().kind, Kind::Corrupt);
    let jpeg = files::jpeg(64, 64, false);
    assert!(Renditions::of(&jpeg[..40]).is_err());
    assert_eq!(Renditions::of(&files::jpeg(2000, 2000, false)).unwrap_err().kind, Kind::TooLarge);
}

#[test]
fn the_best_picture_is_chosen_and_the_next_when_it_is_damaged_or_blank() {
    let blocks = [
        text::block("thumbnail_QOI", "16x16", &files::qoi(16, 16)),
        text::block("thumbnail_QOI", "480x240", &files::qoi(480, 240)),
        text::block("thumbnail", "380x285", &files::png(380, 285)),
    ];
    let bytes = text::prusa_like("Fork 1.0", &blocks.concat(), "G28\n").into_bytes();
    let answer = inspect(&bytes);
    let (at, _) = renditions(&mut Cursor::new(&bytes), &answer).unwrap();
    assert_eq!(at, 2);

    let blank = files::png_of(512, 512, png::ColorType::Rgba, png::BitDepth::Eight, &vec![0; 512 * 512 * 4]);
    let mut torn = files::png(400, 400);
    let middle = torn.len() / 2;
    torn[middle] ^= 1;
    let blocks = [
        text::block("thumbnail", "512x512", &blank),
        text::block("thumbnail", "400x400", &torn),
        text::block("thumbnail", "64x64", &files::png(64, 64)),
    ];
    let bytes = text::prusa_like("Fork 1.0", &blocks.concat(), "G28\n").into_bytes();
    let answer = inspect(&bytes);
    let (at, made) = renditions(&mut Cursor::new(&bytes), &answer).unwrap();
    assert_eq!((at, made.blank), (2, false));
}

#[test]
fn the_bytes_of_every_listed_picture_can_be_had() {
    let text = text::prusa_like("Fork 1.0", &text::block("thumbnail", "64x64", &files::png(64, 64)), "G28\n")
        .into_bytes();
    let package = zip(&archive::gcode_3mf(&[1, 2], &[2], "G28\n"));
    let blocks = files::blocks::bgcode(true, files::blocks::Packing::None);
    for bytes in [text, package, blocks] {
        let answer = inspect(&bytes);
        assert!(!answer.thumbnails.is_empty());
        for thumbnail in &answer.thumbnails {
            let bytes = picture(&mut Cursor::new(&bytes), thumbnail).unwrap();
            assert_eq!(Some(files::sha256(&bytes)), thumbnail.sha256);
        }
    }
}

#[test]
fn a_file_without_pictures_says_so() {
    let bytes = b";TIME:10\nG28\n";
    let answer = inspect(bytes);
    assert_eq!(renditions(&mut Cursor::new(bytes), &answer).unwrap_err().kind, Kind::NoneEmbedded);
}
