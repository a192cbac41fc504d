//! Build script: packs the page's files into tables for [`web::assets`](../../printernizer/web/assets/index.html).
//!
//! Each file of `src/web/page` is freed of comments (scripts), compressed once (gzip: over plain HTTP browsers offer nothing better) and hashed. All files
//! but the page itself live below `/assets/<build>/`, where `<build>` is a hash over all of them: their
//! addresses change with their content, so they may be cached for ever, and their references to each other stay as written.
//! It also makes the description of the API (`src/web/openapi`) and compresses it: only that goes into the program.
//! The same sources give the same bytes: no time, no path and no order of the file system enters.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script writes to cargo's directory, where nothing must survive a power cut"
)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a build script that cannot go on says why and stops the build"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest as _, Sha256};

#[path = "../openapi/compile.rs"]
mod compile;

/// The mark in `index.html` that becomes the build's hash.
const BUILD_MARK: &str = "@BUILD@";

/// miniz_oxide's slowest and smallest.
const LEVEL: u8 = 10;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let page = root.join("src/web/page");
    println!("cargo::rerun-if-changed={}", page.display());
    println!("cargo::rerun-if-changed={}", root.join("src/web/assets/pack.rs").display());
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&page)
        .expect("the page's directory is part of the source")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| content_type(path).is_some())
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("plain names").to_owned();
            (name, fs::read(&path).expect("readable"))
        })
        .collect();
    files.sort();
    let mut all = Sha256::new();
    for (name, bytes) in &files {
        all.update(name.as_bytes());
        all.update([0]);
        all.update(Sha256::digest(bytes));
    }
    let build = hex(&all.finalize(), 6);
    let mut table = format!(
        "/// A hash over all files of the page.\npub const BUILD: &str = \"{build}\";\n\nstatic FILES: &[File] = &[\n"
    );
    for (name, bytes) in files {
        let kind = content_type(Path::new(&name)).expect("filtered above");
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => lean(&name, &text.replace(BUILD_MARK, &build)).into_bytes(),
            Err(error) => error.into_bytes(),
        };
        let packed = gzip(&bytes);
        fs::write(out.join(&name), &bytes).expect("cargo's directory is writable");
        fs::write(out.join(format!("{name}.gz")), &packed).expect("cargo's directory is writable");
        let tag = hex(&Sha256::digest(&bytes), 16);
        writeln!(
            table,
            "    File {{ name: {name:?}, content_type: {kind:?}, tag: {tag:?}, plain: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")), packed: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.gz\")) }},"
        )
        .expect("writing to a text cannot fail");
    }
    table.push_str("];\n");
    fs::write(out.join("page_table.rs"), table).expect("cargo's directory is writable");
    describe_api(&root.join("src/web/openapi"), &out);
}

/// Makes `openapi.json` and `openapi.json.gz` out of the descriptions in `from`.
fn describe_api(from: &Path, out: &Path) {
    println!("cargo::rerun-if-changed={}", from.display());
    let mut sources: Vec<(String, String)> = fs::read_dir(from)
        .expect("the descriptions are part of the source")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "api"))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("readable")))
        .collect();
    sources.sort();
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    let document = match compile::compile(&version, &sources) {
        Ok(document) => document,
        Err(error) => panic!("the description of the API: {error}"),
    };
    let tag = hex(&Sha256::digest(&document), 16);
    let packed = gzip(document.as_bytes());
    let table = format!("const TAG: &str = {tag:?};\nconst PLAIN_BYTES: usize = {};\n", document.len());
    fs::write(out.join("openapi.json"), &document).expect("cargo's directory is writable");
    fs::write(out.join("openapi.json.gz"), packed).expect("cargo's directory is writable");
    fs::write(out.join("openapi.rs"), table).expect("cargo's directory is writable");
}

/// A script without its comments and indentation, which are a tenth of what goes over the wire. Only whole lines are taken:
/// a text over several lines would be changed by that, so a script that has one stays as it is.
fn lean(name: &str, text: &str) -> String {
    let is_whole = |line: &str| line.matches('`').count().is_multiple_of(2);
    if !name.ends_with(".js") || !text.lines().all(is_whole) {
        return text.to_owned();
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.fold(String::with_capacity(text.len()), |all, line| all + line + "\n")
}

fn content_type(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

fn hex(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a text cannot fail");
        text
    })
}

/// RFC 1952, with no time and no name in its head.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    packed.extend(miniz_oxide::deflate::compress_to_vec(bytes, LEVEL));
    packed.extend(crc32(bytes).to_le_bytes());
    packed.extend(u32::try_from(bytes.len()).expect("a small file").to_le_bytes());
    packed
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}
