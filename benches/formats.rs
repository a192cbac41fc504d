//! What reading print files costs: instructions counted by callgrind, peak of the heap, bytes read.
//!
//! `cargo bench --bench formats` makes the files, then runs itself once per case below `valgrind --tool=callgrind`.
//! Without valgrind it says so and measures memory and bytes only. `-- CASE` runs one case; `-- --keep DIR` keeps the
//! files and callgrind's output, for `callgrind_annotate`. `-- make FILE` makes a file, whose name is one of [`CASES`], and
//! `-- run CASE FILE` does the work of one case: for another counter, as `image-build/count-instructions.sh --benches`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a measuring tool"
)]
#![allow(clippy::disallowed_methods, reason = "files for measuring need not be durable")]

#[path = "../tests/files/mod.rs"]
mod files;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use files::archive::{self, zip};
use files::blocks::{self, Packing};
use files::text;
use peak_alloc::PeakAlloc;
use printernizer::formats::{Options, inspect_reader, renditions};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const CASES: [(&str, &str); 11] = [
    ("package_5mb", "package_5.gcode.3mf"),
    ("package_5mb_opaque_noise", "noisy_5.gcode.3mf"),
    ("package_5mb_figures", "package_5.gcode.3mf"),
    ("package_5mb_hashes", "package_5.gcode.3mf"),
    ("package_50mb", "package_50.gcode.3mf"),
    ("text_5mb", "text_5.gcode"),
    ("text_50mb", "text_50.gcode"),
    ("text_500mb", "text_500.gcode"),
    ("text_500mb_figures", "text_500.gcode"),
    ("blocks_2mb", "blocks_2.bgcode"),
    ("blocks_20mb", "blocks_20.bgcode"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", case, file] => run(case, Path::new(file)),
        ["make", file] => make(&PathBuf::from(file)),
        ["--keep", folder, cases @ ..] => measure(Path::new(folder), cases),
        cases => {
            let folder = tempfile::tempdir().unwrap();
            measure(folder.path(), cases);
        }
    }
}

/// A file that counts what is read from it.
struct Counted {
    file: File,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// One case; prints peak and bytes.
fn run(case: &str, file: &Path) {
    if case == "nothing" {
        return;
    }
    let mut file = Counted { file: File::open(file).unwrap(), read: 0 };
    let options = Options { hashes: case.ends_with("_hashes"), ..Options::default() };
    HEAP.reset_peak_usage();
    let idle = HEAP.current_usage();
    let answer = inspect_reader(&mut file, &options);
    assert!(
        answer.error.is_none() && answer.metadata.print_time_s.is_some() && !answer.thumbnails.is_empty()
    );
    if !case.ends_with("_figures") {
        renditions(&mut file, &answer).unwrap();
    }
    println!("{} {}", HEAP.peak_usage().saturating_sub(idle), file.read);
}

fn measure(folder: &Path, cases: &[&str]) {
    std::fs::create_dir_all(folder).unwrap();
    let with_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    if !with_valgrind {
        println!("valgrind is not installed: no instruction counts");
    }
    let count = |case: &str, file: &Path| {
        let me = std::env::current_exe().unwrap();
        let out = format!("--callgrind-out-file={}", folder.join(format!("callgrind.{case}")).display());
        let mut command = if with_valgrind {
            let mut command = Command::new("valgrind");
            command.args(["--tool=callgrind", &out]).arg(me);
            command
        } else {
            Command::new(me)
        };
        let output = command.args(["run", case]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let counted =
            errors.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse::<u64>().ok());
        (counted, String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (nothing, _) = count("nothing", Path::new("-"));
    println!("| case | file MB | million instructions | peak KiB | KiB read |\n|---|---|---|---|---|");
    for (case, name) in CASES {
        if !cases.is_empty() && !cases.contains(&case) {
            continue;
        }
        let path = folder.join(name);
        if !path.is_file() {
            make(&path);
        }
        let (counted, printed) = count(case, &path);
        let mut numbers = printed.split_whitespace().map(|word| word.parse::<u64>().unwrap());
        let (peak, read) = (numbers.next().unwrap(), numbers.next().unwrap());
        let millions = counted.zip(nothing).map_or("-".to_owned(), |(all, none)| {
            format!("{}.{}", (all - none) / 1_000_000, (all - none) / 100_000 % 10)
        });
        let size = path.metadata().unwrap().len();
        println!("| {case} | {} | {millions} | {} | {} |", size / 1_000_000, peak / 1024, read / 1024);
    }
}

fn make(path: &PathBuf) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let megabytes: usize = name.split(['_', '.']).nth(1).unwrap().parse().unwrap();
    let moves = files::moves(1_000_000);
    let mut out = std::io::BufWriter::new(File::create(path).unwrap());
    if name.starts_with("noisy") {
        // The worst cover that there can be: nothing transparent, nothing that packs.
        let mut parts = archive::gcode_3mf(&[1], &[1], &moves.repeat(megabytes * 31 / 10));
        let mut noise = files::Noise(5);
        let pixels: Vec<u8> = (0..512 * 512)
            .flat_map(|_| [noise.next().to_le_bytes()[2], noise.next().to_le_bytes()[3], 77, 255])
            .collect();
        let cover = files::png_of(512, 512, png::ColorType::Rgba, png::BitDepth::Eight, &pixels);
        parts
            .iter_mut()
            .filter(|part| part.name == "Metadata/plate_1.png")
            .for_each(|part| part.data = cover.clone());
        out.write_all(&zip(&parts)).unwrap();
    } else if name.starts_with("package") {
        // Random numbers pack worse than real moves: about three times instead of four to fourteen.
        let parts = archive::gcode_3mf(&[1], &[1], &moves.repeat(megabytes * 31 / 10));
        out.write_all(&zip(&parts)).unwrap();
    } else if name.starts_with("text") {
        let pictures = [(16, 16), (313, 173), (640, 480)].map(|(width, height)| {
            text::block("thumbnail", &format!("{width}x{height}"), &files::png(width, height))
        });
        let whole = text::prusa_like("ForkSlicer 2.9.9", &pictures.concat(), "@");
        let (head, tail) = whole.split_once("@").unwrap();
        out.write_all(head.as_bytes()).unwrap();
        (0..megabytes).for_each(|_| out.write_all(moves.as_bytes()).unwrap());
        out.write_all(tail.as_bytes()).unwrap();
    } else {
        let mut bytes = blocks::bgcode(true, Packing::Deflate);
        let block = {
            let mut writer = blocks::Writer::new(true);
            writer.gcode(1);
            writer.bytes.split_off(10)
        };
        while bytes.len() < megabytes * 1_000_000 {
            bytes.extend_from_slice(&block);
        }
        out.write_all(&bytes).unwrap();
    }
}
