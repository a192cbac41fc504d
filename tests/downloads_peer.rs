//! The downloads alone, against Debian's vsftpd (implicit TLS, session reuse demanded): what the service's scenarios cannot
//! reach is tried here: files asked for by name, cancelling, a full card, files that are too large, names that are no text.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

#[path = "support/downloads.rs"]
mod downloads;
mod support;

use std::time::Duration;

use downloads::{Downloads, ID, PATIENCE, SERIAL};
use printernizer::base::clock::Clock;
use printernizer::downloads::{Config, DeskError};
use printernizer::model::{Content, FetchId, FetchKind, FetchState, FileRecord, PrinterId};
use printernizer::store::Read as _;
use support::certificates::{Identity, Key, Version};
use support::vsftpd::Vsftpd;

fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

/// Settled at once: nothing here is still being written.
fn config() -> Config {
    Config { settle: Duration::ZERO, ..Config::default() }
}

#[test]
fn files_are_fetched_by_path_and_by_name_whatever_they_are_called() {
    let identity = Identity::new(Version::V1, SERIAL, Key::shared());
    let server = Vsftpd::start(&identity);
    let downloads = Downloads::start(&server, config());
    let names: [&[u8]; 4] = [
        "Würfel ü.gcode".as_bytes(),
        b" two  blanks .gcode",
        b"no-text-\xff\xfe.gcode",
        "深圳.gcode".as_bytes(),
    ];
    for (number, name) in (1..).zip(names) {
        let bytes = noise(100_000 + number);
        server.put(name, &bytes);
        let (file, here) = downloads.bytes_of(&server.path(name));
        assert!(here == bytes, "{name:?}");
        assert_eq!(file.path, server.path(name));
        assert_eq!(file.size, Some(u64::from(100_000 + number)));
    }
    // The same again: the same version, and no new content.
    let (again, _) = downloads.bytes_of(&server.path("深圳.gcode".as_bytes()));
    let count = downloads.store.read_blocking(|view| view.count::<FileRecord>()).unwrap();
    assert_eq!(count, 4);
    assert_eq!(again.name, "深圳.gcode");
    assert_eq!(downloads.parts(), 0);
}

#[test]
fn the_same_bytes_under_two_names_are_kept_once() {
    let identity = Identity::new(Version::V1, SERIAL, Key::shared());
    let server = Vsftpd::start(&identity);
    let downloads = Downloads::start(&server, config());
    let bytes = noise(300_000);
    for name in ["a.gcode", "b.gcode"] {
        server.put(name.as_bytes(), &bytes);
        assert!(downloads.bytes_of(&server.path(name)).1 == bytes);
    }
    let contents = downloads.store.read_blocking(|view| view.count::<Content>()).unwrap();
    let files = downloads.store.read_blocking(|view| view.count::<FileRecord>()).unwrap();
    assert_eq!((contents, files), (1, 2));
}

#[test]
fn what_cannot_be_fetched_says_why() {
    let identity = Identity::new(Version::V1, SERIAL, Key::shared());
    let server = Vsftpd::start(&identity);
    server.put_sparse("large.gcode", 2_000_000);
    server.put(b"fine.gcode", &noise(10));
    server.put(b"broken.3mf", &noise(50_000));
    let limits = Config { file_bytes_max: 1_000_000, ..config() };
    let downloads = Downloads::start(&server, limits);
    let failed = |path: Vec<u8>| {
        let fetch = downloads.desk.request(ID, &path).unwrap();
        let failed = downloads.until(fetch.id, "it failed", |fetch| fetch.error.is_some());
        (failed.state, failed.error.unwrap().0)
    };
    assert_eq!(failed(server.path("large.gcode")), (FetchState::Failed, FetchKind::TooLarge));
    assert_eq!(failed(server.path("absent.gcode")), (FetchState::Failed, FetchKind::NotFound));
    assert_eq!(failed(server.path("broken.3mf")), (FetchState::Waiting, FetchKind::Corrupt));
    assert_eq!(downloads.parts(), 0);
    for bad in [&b""[..], b"/a\r\nDELE b", b"/../x", b"/folder/", &[b'x'; 2000]] {
        assert!(matches!(downloads.desk.request(ID, bad), Err(DeskError::BadName)), "{bad:?}");
    }
    assert!(matches!(downloads.desk.request(PrinterId(9), b"/a"), Err(DeskError::NoPrinter)));
    assert!(matches!(downloads.desk.request_current(ID), Err(DeskError::NoJob)));
}

#[test]
fn a_card_without_room_is_left_alone() {
    let identity = Identity::new(Version::V1, SERIAL, Key::shared());
    let server = Vsftpd::start(&identity);
    server.put(b"a.gcode", &noise(1000));
    let downloads = Downloads::start(&server, Config { reserve_bytes: u64::MAX, ..config() });
    let fetch = downloads.desk.request(ID, &server.path("a.gcode")).unwrap();
    let failed = downloads.until(fetch.id, "it failed", |fetch| fetch.error.is_some());
    assert_eq!((failed.state, failed.error.unwrap().0), (FetchState::Waiting, FetchKind::NoSpace));
    assert_eq!(downloads.parts(), 0);
}

#[test]
fn a_request_is_taken_back_while_it_waits_and_while_it_runs() {
    let identity = Identity::new(Version::V1, SERIAL, Key::shared());
    let server = Vsftpd::start(&identity);
    // Zero bytes come fast; these take long enough to be caught.
    server.put_sparse("endless.gcode", 1_900_000_000);
    server.put(b"a.gcode", &noise(1000));
    let downloads = Downloads::start(&server, config());
    let running = downloads.desk.request(ID, &server.path("endless.gcode")).unwrap();
    let again = downloads.desk.request(ID, &server.path("endless.gcode")).unwrap();
    assert_eq!(again.id, running.id, "one request for one file");
    let end = Clock::system().now().mono.after(PATIENCE);
    while downloads.desk.progress(running.id).is_none_or(|progress| progress.file_size.is_none()) {
        assert!(Clock::system().now().mono < end, "bytes come");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    // The printer's only slot is taken.
    assert!(downloads.registry.slots().try_take(ID).is_none());
    let waiting = downloads.desk.request(ID, &server.path("a.gcode")).unwrap();
    let cancelled = downloads.desk.cancel(waiting.id).unwrap();
    assert_eq!((cancelled.state, cancelled.error.unwrap().0), (FetchState::Failed, FetchKind::Cancelled));
    downloads.desk.cancel(running.id).unwrap();
    let cancelled = downloads.until(running.id, "it has ended", |fetch| fetch.state == FetchState::Failed);
    assert_eq!(cancelled.error.unwrap().0, FetchKind::Cancelled);
    assert_eq!(downloads.parts(), 0);
    assert!(matches!(downloads.desk.cancel(running.id), Err(DeskError::Over)));
    assert!(matches!(downloads.desk.cancel(FetchId(99)), Err(DeskError::NoFetch)));
    // The printer can be asked again.
    assert!(downloads.bytes_of(&server.path("a.gcode")).1 == noise(1000));
}
