//! Fills a data directory with the records of years, so that a service can be measured that starts on them:
//! `cargo bench --bench records -- DIR`. `scripts/measure-records.sh` does the measuring.

#![allow(clippy::unwrap_used, reason = "a bench that is surprised fails where it stands")]

#[path = "../tests/support/full.rs"]
mod full;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use printernizer::base::clock::{Clock, RELEASE_FLOOR};
use printernizer::store::{Blobs, Store, StoreOptions};

fn main() {
    let dir =
        PathBuf::from(std::env::args().skip(1).find(|word| !word.starts_with('-')).expect("a directory"));
    let opened =
        Store::open(StoreOptions::new(&dir, Clock::manual(RELEASE_FLOOR), Arc::new(|_| {}))).unwrap();
    let blobs = Blobs::open(&dir).unwrap();
    full::fill(&opened.store);
    for number in 1..=full::FILES {
        // A start looks at each file's length; holes have one too.
        let path = blobs.content(full::checksum(number), "3mf");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap().set_len(full::size(number)).unwrap();
    }
    smol::block_on(opened.thread.close(Duration::from_secs(60))).unwrap();
    println!(
        "{} jobs, {} files and {} spools are in {}",
        full::JOBS,
        full::FILES,
        full::SPOOLS,
        dir.display()
    );
}
