//! Files that mean harm: each must be answered with the right kind, in under a second, in less than 8 MB above idle.
//!
//! One test in a process of its own, because it measures the memory of the process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

#[path = "files/mod.rs"]
mod files;

use std::io::Cursor;

use files::archive::{self, Part, packed, stored, zip};
use files::blocks::{Packing, Writer};
use files::text;
use peak_alloc::PeakAlloc;
use printernizer::base::clock::Clock;
use printernizer::formats::forward::Tap;
use printernizer::formats::verify::{Progress, Verifier};
use printernizer::formats::{Kind, Options, PlateHint, inspect_reader, plates, renditions};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What a file may cost at most.
const PEAK_MAX: usize = 8 * 1024 * 1024;
const SECONDS_MAX: f64 = 1.0;

struct Bomb {
    name: &'static str,
    bytes: Vec<u8>,
    /// Kind of the failure or of one of the warnings, of the inspection or of the renditions; `None` when any will do.
    kind: Option<Kind>,
}

fn bomb(name: &'static str, kind: impl Into<Option<Kind>>, bytes: impl Into<Vec<u8>>) -> Bomb {
    Bomb { name, bytes: bytes.into(), kind: kind.into() }
}

#[test]
fn hostile_files_are_answered_quickly_and_cheaply() {
    let clock = Clock::system();
    let mut failures = Vec::new();
    println!("| file | bytes | kind | peak KiB | ms |\n|---|---|---|---|---|");
    for bomb in bombs() {
        HEAP.reset_peak_usage();
        let idle = HEAP.current_usage();
        let start = clock.now().mono;
        let kinds = read(&bomb.bytes);
        let seconds = clock.now().mono.since(start).as_secs_f64();
        let peak = HEAP.peak_usage().saturating_sub(idle);
        let kind = bomb.kind.map_or("any", Kind::name);
        println!(
            "| {} | {} | {kind} | {} | {:.1} |",
            bomb.name,
            bomb.bytes.len(),
            peak / 1024,
            seconds * 1000.0
        );
        if let Some(kind) = bomb.kind
            && !kinds.contains(&kind)
        {
            failures.push(format!("{}: {kind:?} is not among {kinds:?}", bomb.name));
        }
        if peak > PEAK_MAX {
            failures.push(format!("{}: {peak} bytes of memory", bomb.name));
        }
        // A debug build is several times slower than what is shipped.
        if seconds > SECONDS_MAX * if cfg!(debug_assertions) { 20.0 } else { 1.0 } {
            failures.push(format!("{}: {seconds} seconds", bomb.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Everything that is ever done with a file.
fn read(bytes: &[u8]) -> Vec<Kind> {
    let options = Options { hashes: true, whole_gcode: true, ..Options::default() };
    let answer = inspect_reader(&mut Cursor::new(bytes), &options);
    let mut kinds: Vec<Kind> =
        answer.warnings.iter().chain(&answer.error).map(|failure| failure.kind).collect();
    kinds.extend(renditions(&mut Cursor::new(bytes), &answer).err().map(|failure| failure.kind));
    let _ = plates(&mut Cursor::new(bytes));
    let mut tap = Tap::new(PlateHint::default());
    for chunk in bytes.chunks(16 * 1024) {
        if tap.is_finished() {
            break;
        }
        tap.push(chunk);
    }
    let _ = tap.preview();
    let mut verifier = Verifier::new();
    loop {
        match verifier.step(&mut Cursor::new(bytes), 1024 * 1024) {
            Ok(Progress::Working { .. }) => {}
            Ok(Progress::Done(verdict)) => {
                kinds.extend(verdict.failures.iter().map(|failure| failure.kind));
                return kinds;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
}

fn bombs() -> Vec<Bomb> {
    let mut out = archives();
    out.extend(crowds());
    out.extend(xml_and_json());
    out.extend(pictures());
    out.extend(lines());
    out.extend(blocks());
    out
}

fn usual() -> Vec<Part> {
    archive::gcode_3mf(&[1], &[1], "G28\n")
}

/// The usual package with one part replaced.
fn with(part: Part) -> Vec<u8> {
    let mut parts = usual();
    parts.retain(|other| other.name != part.name);
    parts.push(part);
    zip(&parts)
}

fn archives() -> Vec<Bomb> {
    let zeros = vec![0; 64 * 1024 * 1024];
    let spaces = vec![b' '; 64 * 1024 * 1024];
    let mut out = vec![
        bomb(
            "zip: G-code of 64 MB of blanks",
            Kind::TooLarge,
            with(packed("Metadata/plate_1.gcode", spaces.clone())),
        ),
        bomb(
            "zip: settings of 64 MB of blanks",
            Kind::TooLarge,
            with(packed("Metadata/project_settings.config", spaces)),
        ),
        bomb(
            "zip: picture of 64 MB of zeros",
            Kind::TooLarge,
            with(packed("Metadata/plate_1.png", zeros.clone())),
        ),
        bomb("zip: model of 64 MB of zeros", Kind::TooLarge, with(packed("3D/3dmodel.model", zeros))),
    ];
    let lie = |length: u64| Part {
        lie_plain: Some(length),
        ..packed("Metadata/project_settings.config", vec![b' '; 4 * 1024 * 1024])
    };
    out.push(bomb("zip: 4 MB that claim to be 1 KB", Kind::Corrupt, with(lie(1024))));
    out.push(bomb("zip: 4 MB that claim to be 4 GB", Kind::TooLarge, with(lie(0xFFFF_FFFE))));
    let stored_lie = Part { lie_plain: Some(77), ..stored("Metadata/plate_1.png", files::png(64, 64)) };
    out.push(bomb("zip: stored sizes that differ", Kind::Corrupt, with(stored_lie)));
    let crc = Part { lie_crc: Some(1), ..packed("Metadata/slice_info.config", archive::slice_info(&[1])) };
    out.push(bomb("zip: wrong checksum", Kind::Corrupt, with(crc)));
    // One kernel of data, many entries that point at it.
    let overlapping: Vec<Part> = (0..1000)
        .map(|n| Part {
            lie_offset: (n > 0).then_some(0),
            ..packed(&format!("Metadata/plate_{n}.png"), if n == 0 { vec![0; 3_000_000] } else { Vec::new() })
        })
        .collect();
    out.push(bomb("zip: 1000 entries over the same data", Kind::Corrupt, zip(&overlapping)));
    let many: Vec<Part> = (0..5000).map(|n| stored(&format!("Metadata/x{n}"), "")).collect();
    out.push(bomb("zip: 5000 entries", Kind::TooLarge, zip(&many)));
    let outside = Part { lie_offset: Some(0xFFFF_0000), ..stored("Metadata/plate_1.png", files::png(8, 8)) };
    out.push(bomb("zip: data outside of the file", Kind::Corrupt, with(outside)));
    let encrypted = Part { flags: 1, ..packed("Metadata/slice_info.config", "secret") };
    out.push(bomb("zip: encrypted part", Kind::Unsupported, with(encrypted)));
    let strange = Part { method: Some(14), ..stored("Metadata/plate_1.gcode", "G28\n") };
    out.push(bomb("zip: unknown method", Kind::Unsupported, with(strange)));
    let itself = zip(&[
        stored("3D/3dmodel.model", "x"),
        Part { lie_offset: Some(0), ..stored("3D/3dmodel.model", "x") },
    ]);
    out.push(bomb("zip: an entry that is another one", Kind::Corrupt, itself));
    let mut directory_far = zip(&usual());
    let end = directory_far.len() - 6;
    directory_far[end..end + 4].copy_from_slice(&[0xF0, 0xFF, 0xFF, 0x7F]);
    out.push(bomb("zip: directory outside of the file", Kind::Corrupt, directory_far));
    let mut comment = zip(&usual());
    let length = comment.len();
    comment[length - 2..].copy_from_slice(&[0xFF, 0xFF]);
    comment.extend(b"PK\x05\x06".repeat(16_384).iter().take(65_535));
    out.push(bomb("zip: comment of 16000 end records", None, comment));
    let md5 = stored("Metadata/plate_1.gcode.md5", vec![b'0'; 2_000_000]);
    out.push(bomb("zip: MD5 of 2 MB", Kind::TooLarge, with(md5)));
    let gcode: Vec<u8> = text::prusa_like("F 1", "", &files::moves(16_000_000)).into_bytes();
    out.push(bomb("zip: honest G-code of 16 MB", None, with(packed("Metadata/plate_1.gcode", gcode))));
    out
}

/// Many things of which each alone is allowed.
fn crowds() -> Vec<Bomb> {
    let plate = |n: usize| format!("Metadata/plate_{n}.png");
    let each = |bytes: &[u8]| zip(&(1..=64).map(|n| packed(&plate(n), bytes)).collect::<Vec<_>>());
    let blank = png_bomb(4096, 2160, 2160);
    let short = png_bomb(4096, 2160, 2159);
    let hollow = {
        let mut bytes = png_bomb(64, 64, 64);
        bytes.resize(4 * 1024 * 1024, 0);
        bytes
    };
    // The same view of the same plate each time, so that all of them are equally good.
    let lines = "\n".repeat(4 * 1024 * 1024);
    let metadata = {
        let mut writer = Writer::new(false);
        writer.ini(2, Packing::Deflate, &lines);
        let block = writer.bytes.split_off(10);
        (0..63).for_each(|_| writer.bytes.extend_from_slice(&block));
        writer.gcode(1);
        std::mem::take(&mut writer.bytes)
    };
    let packed_zeros = packed("", vec![0; 15 * 1024 * 1024]);
    let fifteen = |n: usize| Part { name: format!("3D/Objects/{n}.model"), ..packed_zeros.clone() };
    let mut models: Vec<Part> = (0..60).map(fifteen).collect();
    models.extend(usual());
    let gcodes: Vec<Part> = (0..2000)
        .flat_map(|n| {
            let name = format!("Metadata/plate_{n}.gcode");
            [stored(&format!("{name}.md5"), "d41d8cd98f00b204e9800998ecf8427e"), stored(&name, "")]
        })
        .collect();
    let blocks = text::block("thumbnail", "1x1", &blank).repeat(40);
    vec![
        bomb("crowd: 64 blank pictures of 4096 by 2160", None, each(&blank)),
        bomb("crowd: 64 such pictures without their last row", Kind::Corrupt, each(&short)),
        bomb("crowd: 40 such pictures in G-code", None, format!("G28\n{blocks}")),
        bomb("crowd: 64 pictures with 4 MB of nothing behind", None, each(&hollow)),
        bomb("crowd: 63 bgcode blocks of 4 million lines", Kind::TooLarge, metadata),
        bomb("crowd: 60 models of 15 MB of zeros", Kind::TooLarge, zip(&models)),
        bomb("crowd: 2000 plates with sums", None, zip(&gcodes)),
    ]
}

fn xml_and_json() -> Vec<Bomb> {
    let slice = |text: String| with(packed("Metadata/slice_info.config", text));
    let laughs = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"{}\">{}]><config>&j;</config>",
        "ha".repeat(100),
        ('b'..='j')
            .map(|name| format!(
                "<!ENTITY {name} \"{}\">",
                format!("&{};", char::from(name as u8 - 1)).repeat(10)
            ))
            .collect::<String>()
    );
    let filaments = "<filament id='1' used_g='1' type='PLA'/>".repeat(20_000);
    let plates = "<plate><metadata key='index' value='1'/></plate>".repeat(15_000);
    let target = archive::RELATIONSHIPS.replace("plate_1.png", "../../_rels/.rels");
    vec![
        bomb("xml: a thousand million laughs", Kind::Unsupported, slice(laughs)),
        bomb("xml: 100000 levels", Kind::TooLarge, slice("<plate>".repeat(100_000))),
        bomb(
            "xml: 50000 attributes",
            Kind::TooLarge,
            slice(format!("<config {}/>", "a='1' ".repeat(50_000))),
        ),
        bomb(
            "xml: an attribute of 900 KB",
            Kind::TooLarge,
            slice(format!("<config a='{}'/>", "x".repeat(900_000))),
        ),
        bomb("xml: a name of 900 KB", Kind::TooLarge, slice(format!("<{}/>", "x".repeat(900_000)))),
        bomb("xml: text of 900 KB", None, slice(format!("<config>{}</config>", "x".repeat(900_000)))),
        bomb("xml: a comment without end", Kind::Corrupt, slice(format!("<!-- {}", "-".repeat(900_000)))),
        bomb("xml: 15000 plates", Kind::TooLarge, slice(format!("<config>{plates}</config>"))),
        bomb("xml: 20000 filaments", None, slice(format!("<config><plate>{filaments}</plate></config>"))),
        bomb("xml: relationships in a circle", None, with(packed("_rels/.rels", target))),
        bomb(
            "json: 500000 levels",
            Kind::Corrupt,
            with(packed("Metadata/project_settings.config", "[".repeat(500_000))),
        ),
        bomb(
            "json: a text of 1.9 MB",
            None,
            with(packed(
                "Metadata/project_settings.config",
                format!("{{\"a\":\"{}\"}}", "x".repeat(1_900_000)),
            )),
        ),
        bomb(
            "json: 300000 items",
            None,
            with(packed(
                "Metadata/project_settings.config",
                format!("{{\"filament_type\":[{}1]}}", "\"PLA\",".repeat(300_000)),
            )),
        ),
    ]
}

/// A PNG with this header whose image data is `rows` of zeros, packed as tightly as can be.
fn png_bomb(width: u32, height: u32, rows: usize) -> Vec<u8> {
    let line = vec![0u8; 1 + width as usize * 4];
    let mut plain = Vec::new();
    for _ in 0..rows {
        plain.extend_from_slice(&line);
    }
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&plain, 9);
    let mut header = width.to_be_bytes().to_vec();
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 6, 0, 0, 0]);
    chunks(&[(b"IHDR", header), (b"IDAT", packed), (b"IEND", Vec::new())])
}

fn chunks(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in chunks {
        out.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        let start = out.len();
        out.extend_from_slice(*name);
        out.extend_from_slice(data);
        let sum = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&sum.to_be_bytes());
    }
    out
}

fn pictures() -> Vec<Bomb> {
    let cover = |bytes: Vec<u8>| with(stored("Metadata/plate_1.png", bytes));
    let only = |bytes: Vec<u8>| zip(&[stored("Metadata/plate_1.png", bytes)]);
    let mut qoi = b"qoif".to_vec();
    qoi.extend_from_slice(&4000u32.to_be_bytes());
    qoi.extend_from_slice(&2000u32.to_be_bytes());
    qoi.extend_from_slice(&[4, 0]);
    qoi.extend(std::iter::repeat_n(0xFD, 8_000_000 / 62 + 1));
    qoi.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
    let mut texts = files::png(16, 16);
    let bomb_text = {
        let mut data = b"key\0\0".to_vec();
        data.extend_from_slice(&miniz_oxide::deflate::compress_to_vec_zlib(&vec![b'x'; 50_000_000], 9));
        data
    };
    let profile = {
        let mut data = b"profile\0\0".to_vec();
        data.extend_from_slice(&miniz_oxide::deflate::compress_to_vec_zlib(&vec![b'x'; 50_000_000], 9));
        data
    };
    for (name, data) in [(b"zTXt", bomb_text), (b"iCCP", profile)] {
        let chunk = chunks(&[(name, data)]).split_off(8);
        texts.splice(33..33, chunk);
    }
    let mut interlaced = png_bomb(2000, 2000, 1);
    interlaced[28] = 1;
    let mut jpeg = files::jpeg(64, 64, false);
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    let progressive = files::jpeg(700, 700, true);
    // The last scan of a progressive picture, which only refines, over and over.
    let scans = {
        let last = progressive.windows(2).rposition(|bytes| bytes == [0xFF, 0xDA]).unwrap();
        let mut bytes = progressive[..progressive.len() - 2].to_vec();
        let scan = bytes[last..].to_vec();
        while bytes.len() + scan.len() < 1_000_000 {
            bytes.extend_from_slice(&scan);
        }
        bytes.extend_from_slice(&[0xFF, 0xD9]);
        bytes
    };
    vec![
        bomb("png: 50000 by 50000", Kind::TooLarge, only(png_bomb(50_000, 50_000, 1))),
        bomb("png: 4096 by 4096", Kind::TooLarge, only(png_bomb(4096, 4096, 4096))),
        bomb("png: 4096 by 2160, blank", None, only(png_bomb(4096, 2160, 2160))),
        bomb("png: more rows than it says", None, only(png_bomb(1000, 10, 10_000))),
        bomb("png: fewer rows than it says", Kind::Corrupt, only(png_bomb(1000, 1000, 10))),
        bomb("png: 50 MB of text and profile", None, cover(texts)),
        bomb("png: interlaced 2000 by 2000", Kind::TooLarge, only(interlaced)),
        bomb(
            "png: 300000 chunks",
            None,
            only(chunks(&[vec![(b"tEXt", b"a\0b".to_vec()); 300_000], vec![(b"IEND", vec![])]].concat())),
        ),
        bomb("qoi: one run of 8 million pixels", None, cover(qoi)),
        bomb("jpeg: 65535 by 65535", Kind::TooLarge, only(jpeg)),
        bomb("jpeg: progressive 700 by 700", None, cover(progressive)),
        bomb("jpeg: 1024 by 1024", None, cover(files::jpeg(1024, 1024, false))),
        bomb("jpeg: scans without end", None, cover(scans)),
    ]
}

fn lines() -> Vec<Bomb> {
    let block = |lines: &str| format!("; thumbnail begin 16x16 100\n{lines}");
    vec![
        bomb("gcode: one line of 20 MB", Kind::Unsupported, vec![b'x'; 20_000_000]),
        bomb("gcode: one comment of 20 MB", None, format!(";TIME:10\n;{}", "x".repeat(20_000_000))),
        bomb("gcode: 10 million empty lines", None, vec![b'\n'; 10_000_000]),
        bomb(
            "gcode: a picture without end",
            Kind::Corrupt,
            format!("G28\n{}", block(&"; AAAA\n".repeat(2_000_000))),
        ),
        bomb("gcode: 100000 openings", Kind::Corrupt, format!("G28\n{}", block("").repeat(40_000))),
        bomb(
            "gcode: a picture in one line of 8 MB",
            None,
            format!("G28\n;thumbnail: data:image/png;base64,{}\n", "A".repeat(8_000_000)),
        ),
        bomb(
            "gcode: a million settings",
            None,
            format!("G28\n{}", "; layer_height = 0.2\n".repeat(1_000_000)),
        ),
        bomb("gcode: a million tools", None, (0..1_000_000).map(|n| format!("T{n}\n")).collect::<String>()),
        bomb(
            "gcode: objects without end",
            None,
            format!("G28\n; objects_info = {{\"objects\":[{}", "{\"name\":\"x\"},".repeat(500_000)),
        ),
        bomb(
            "gcode: a list of a million tools",
            None,
            format!("G28\n; filament used [mm] = {}\n", "1,".repeat(1_000_000)),
        ),
        bomb("gcode: binary zeros", Kind::Unsupported, vec![0; 10_000_000]),
        bomb("gcode: empty", Kind::Corrupt, Vec::new()),
    ]
}

fn blocks() -> Vec<Bomb> {
    let lying = |kind: u16, packing: u16, plain: u32, stored: u32| {
        let mut bytes = Writer::new(false).bytes;
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&packing.to_le_bytes());
        bytes.extend_from_slice(&plain.to_le_bytes());
        if packing > 0 {
            bytes.extend_from_slice(&stored.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 3000]);
        bytes
    };
    let blanks = "=".repeat(3_900_000);
    let many: Vec<u8> = {
        let mut writer = Writer::new(true);
        (0..100_000).for_each(|_| {
            writer.ini(3, Packing::None, "");
        });
        writer.bytes
    };
    let packed = |packing| {
        let mut writer = Writer::new(true);
        writer.ini(2, packing, &blanks).gcode(1);
        std::mem::take(&mut writer.bytes)
    };
    let mut expanding = Writer::new(false);
    expanding.ini(2, Packing::Deflate, &"a".repeat(50_000_000));
    let at = 10 + 4;
    expanding.bytes[at..at + 4].copy_from_slice(&1000u32.to_le_bytes());
    let mut newer = Writer::new(false);
    newer.bytes[4] = 9;
    newer.ini(3, Packing::None, "layer_height=0.2\n").gcode(1);
    let mut checksum = Writer::new(false).bytes;
    checksum[8] = 7;
    vec![
        bomb("bgcode: a block of 4 GB", Kind::Corrupt, lying(0, 0, u32::MAX, 0)),
        bomb("bgcode: a picture of 4 GB", Kind::Corrupt, lying(5, 0, u32::MAX, 0)),
        bomb("bgcode: metadata that unpacks to 4 GB", Kind::TooLarge, lying(2, 1, u32::MAX, 100)),
        bomb("bgcode: unknown packing", Kind::Unsupported, lying(2, 9, 10, 10)),
        bomb("bgcode: damaged packing", Kind::Corrupt, lying(2, 1, 100, 100)),
        bomb("bgcode: 50 MB that claim to be 1 KB", Kind::TooLarge, expanding.bytes),
        bomb("bgcode: 3.9 MB in one line, deflate", None, packed(Packing::Deflate)),
        bomb("bgcode: 3.9 MB in one line, heatshrink", None, packed(Packing::Heatshrink12)),
        bomb("bgcode: 100000 blocks", Kind::TooLarge, many),
        bomb("bgcode: version 9", Kind::Unsupported, newer.bytes),
        bomb("bgcode: unknown checksum", Kind::Unsupported, checksum),
        bomb("bgcode: ten bytes", Kind::Corrupt, Writer::new(true).bytes),
    ]
}
