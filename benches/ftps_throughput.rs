//! How fast a file of 200 MB comes, with its SHA-256 taken on the way, beside curl from the same vsftpd. Run it with
//! `cargo bench --bench ftps_throughput`; it prints one line for each fetch.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints and fails where it stands"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use printernizer::base::clock::Clock;
use printernizer::base::secret::Secret;
use printernizer::net::ftps::{Cancel, Options, Session};
use sha2::{Digest as _, Sha256};
use support::certificates::{Identity, Key, Version};
use support::vsftpd::{CODE, USER, Vsftpd};

const BYTES: u64 = 200_000_000;
const ROUNDS: u32 = 3;

fn main() {
    let server = Vsftpd::start(&Identity::new(Version::V1, "PEER", Key::shared()));
    server.put_noise("large.3mf", BYTES, 0);
    let mut options = Options::new(server.address);
    options.username = USER.to_owned();
    options.password = Secret::new(CODE);
    let target = tempfile::NamedTempFile::new().unwrap();
    for _ in 0..ROUNDS {
        for to_file in [false, true] {
            let sink = to_file.then(|| File::create(target.path()).unwrap());
            ours(&options, &server.path("large.3mf"), sink);
            curl(&server, if to_file { target.path().to_str().unwrap() } else { "/dev/null" });
        }
    }
}

fn ours(options: &Options, path: &[u8], mut sink: Option<File>) {
    let (clock, before) = (Clock::system(), processor_ticks());
    let start = clock.now().mono;
    let mut session = Session::open(options.clone(), Cancel::new()).unwrap();
    let size = session.size(path).unwrap();
    let mut transfer = session.retrieve(path, 0, Some(size)).unwrap();
    let mut hash = Sha256::new();
    let mut piece = vec![0; 16 * 1024];
    loop {
        let count = transfer.read(&mut piece).unwrap();
        let Some(piece) = piece.get(..count).filter(|piece| !piece.is_empty()) else { break };
        hash.update(piece);
        if let Some(sink) = &mut sink {
            sink.write_all(piece).unwrap();
        }
    }
    transfer.finish().unwrap();
    session.close();
    if let Some(sink) = &mut sink {
        sink.sync_data().unwrap();
    }
    let took = clock.now().mono.since(start).as_secs_f64();
    let where_to = if sink.is_some() { "a file, synced" } else { "nowhere" };
    let ticks = processor_ticks() - before;
    let digest = hash.finalize();
    println!(
        "ours to {where_to}: {:.0} MB/s, {took:.2} s, {ticks}0 ms of processor, {} ({:02x}..)",
        megabytes() / took,
        memory(),
        digest.first().unwrap()
    );
}

fn curl(server: &Vsftpd, target: &str) {
    let output = Command::new("/usr/bin/time")
        .args([
            "-f",
            "%e s, %U + %S s of processor, %M kB",
            "curl",
            "-s",
            "-k",
            "--tls-max",
            "1.2",
            "-o",
            target,
        ])
        .args(["--disable-epsv", "--user", &format!("{USER}:{CODE}"), "-w", "%{speed_download} B/s, "])
        .arg(format!("ftps://{}/large.3mf", server.address))
        .output()
        .expect("curl and time are there");
    println!(
        "curl to {target}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
}

#[allow(clippy::cast_precision_loss, reason = "for show")]
fn megabytes() -> f64 {
    BYTES as f64 / 1e6
}

/// Resident memory of this process.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

/// Processor time of this process in hundredths of a second.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}
