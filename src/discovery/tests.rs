//! Listings against the records.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diff::{Known, diff};
use super::merge::{self, Merge};
use super::{Listing, Seen};
use crate::base::clock::{Clock, RELEASE_FLOOR};
use crate::events::Flow;
use crate::library::tests::{close, downloaded, options};
use crate::model::{FileRecord, FileSource, FileStatus, PrinterId};
use crate::store::tests::scratch;
use crate::store::{Read as _, Store, StoreOptions};

/// A second look changes nothing, and what was fetched is never demoted.
#[test]
fn listings_are_merged_and_never_demote() {
    let dir = scratch();
    let opened = Store::open(options(dir.path())).unwrap();
    let store = &opened.store;
    let source = FileSource::Printer(PrinterId(1));
    let look = |names: &[(&str, u64)], complete: bool| {
        let seen = |(name, size): &(&str, u64)| Seen {
            path: format!("/{name}").into_bytes(),
            name: (*name).into(),
            size: Some(*size),
            mark: None,
        };
        let listing = Listing { files: names.iter().map(seen).collect(), complete, ..Listing::default() };
        let known = store.read_blocking(|view| merge::known(view, source)).unwrap();
        let diff = diff(&known, listing);
        let counts = (diff.new, diff.existing, diff.removed);
        let merge =
            Merge { source, source_name: "P1S".into(), diff, complete, error: None, flow: Flow::new("sync") };
        let written = smol::block_on(merge::apply(store, merge, || 0)).unwrap();
        (counts, written)
    };
    store.write_blocking(|txn| downloaded(txn, 1, 0)).unwrap();
    assert_eq!(look(&[("1.gcode", 2), ("b.gcode", 5)], true), ((1, 1, 0), true));
    assert_eq!(look(&[("1.gcode", 2), ("b.gcode", 5)], true), ((0, 2, 0), false));
    // Another file under the name of the fetched one is another version.
    assert_eq!(look(&[("1.gcode", 9), ("b.gcode", 6)], true), ((2, 0, 0), true));
    assert_eq!(look(&[("1.gcode", 9)], false), ((0, 1, 0), false), "a partial listing takes nothing away");
    assert_eq!(look(&[], true), ((0, 0, 2), true));
    assert_eq!(look(&[], true), ((0, 0, 0), false));
    assert_eq!(look(&[("b.gcode", 6)], true), ((0, 1, 0), true));
    let files = store.read_blocking(|view| view.list::<FileRecord>(10)).unwrap();
    let stand: Vec<(&str, Option<u64>, FileStatus)> =
        files.iter().map(|file| (file.name.as_str(), file.size, file.status)).collect();
    assert_eq!(
        stand,
        [
            ("1.gcode", Some(2), FileStatus::Downloaded),
            ("b.gcode", Some(6), FileStatus::Available),
            ("1.gcode", Some(9), FileStatus::Unavailable),
        ]
    );
    close(opened);
}

#[test]
fn a_large_listing_is_merged_in_pieces_and_names_at_most_a_hundred_files_an_event() {
    let dir = scratch();
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let publish: crate::store::Publish = Arc::new(move |event| hearing.lock().unwrap().push(event));
    let clock = Clock::manual(RELEASE_FLOOR);
    let opened = Store::open(StoreOptions::new(dir.path(), clock, publish)).unwrap();
    let store = &opened.store;
    let files = (0..5_000).map(|number| Seen {
        path: format!("/cache/{number}.gcode").into_bytes(),
        name: format!("{number}.gcode"),
        size: Some(number),
        mark: None,
    });
    let listing = Listing { files: files.collect(), complete: true, ..Listing::default() };
    let source = FileSource::Printer(PrinterId(1));
    let merge = Merge {
        source,
        source_name: "P1S".into(),
        diff: diff(&BTreeMap::<[u8; 32], Known>::new(), listing),
        complete: true,
        error: None,
        flow: Flow::new("sync"),
    };
    assert!(smol::block_on(merge::apply(store, merge, || 0)).unwrap());
    let events = heard.lock().unwrap();
    assert_eq!(events.first().unwrap().event.name(), "files_discovered");
    assert_eq!(events.last().unwrap().event.name(), "file_sync_complete");
    let mut count = 0;
    for envelope in events.iter() {
        if let crate::events::Event::NewFilesFound(found) = &envelope.event {
            assert!(found.files.len() <= merge::NAMED_MAX && found.truncated);
            count += found.count;
        }
    }
    assert_eq!(count, 5_000);
    assert_eq!(store.read_blocking(|view| merge::known(view, source)).unwrap().len(), 5_000);
    close(opened);
}
