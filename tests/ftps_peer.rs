//! FTPS sessions with a real vsftpd that demands what printers' servers demand: TLS from the first byte, encrypted data,
//! and a data connection that resumes the session of the control connection.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

mod support;

use std::net::Ipv6Addr;
use std::sync::mpsc::sync_channel;

use printernizer::base::secret::Secret;
use printernizer::net::ftps::{
    Advice, Cancel, Confirmation, EntryKind, FtpsError, FtpsErrorKind, LISTING_ENTRIES_MAX, Options,
    Protection, Session, Times, Wanted,
};
use printernizer::net::tls::{PeerPolicy, Verdict};
use support::certificates::{Identity, Key, Version};
use support::vsftpd::{CODE, USER, Vsftpd};
use support::{PATIENCE, wait_until};

const NAME: &str = "PEER00000000001";

fn identity() -> Identity {
    Identity::new(Version::V1, NAME, Key::shared())
}

fn options(server: &Vsftpd) -> Options {
    let mut options = Options::new(server.address);
    options.username = USER.to_owned();
    options.password = Secret::new(CODE);
    options.policy =
        PeerPolicy { pinned_spki: Some(Key::shared().pin()), expected_common_name: Some(NAME.to_owned()) };
    options.times = Times { connect: PATIENCE, answer: PATIENCE, stall: PATIENCE, end: PATIENCE };
    options
}

fn open(server: &Vsftpd) -> Session {
    Session::open(options(server), Cancel::new()).unwrap()
}

/// Bytes that repeat nowhere and compress nowhere.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn fetch(session: &mut Session, path: &[u8], offset: u64) -> Result<Vec<u8>, FtpsError> {
    let size = session.size(path)?;
    let mut transfer = session.retrieve(path, offset, Some(size))?;
    let mut bytes = Vec::new();
    let mut piece = [0; 10_000];
    loop {
        match transfer.read(&mut piece)? {
            0 => break,
            count => bytes.extend(&piece[..count]),
        }
    }
    assert_eq!(transfer.received(), bytes.len() as u64);
    let finished = transfer.finish()?;
    assert_eq!(finished.received, bytes.len() as u64);
    assert_eq!((finished.confirmation, finished.clean), (Confirmation::Confirmed, true));
    Ok(bytes)
}

#[test]
fn many_files_come_over_one_session_and_every_data_connection_resumes() {
    let server = Vsftpd::start(&identity());
    let large = content(3_000_001);
    server.put(b"large.3mf", &large);
    server.put(b"cache/small.3mf", b"small");
    server.put(b"empty.3mf", b"");
    let mut session = open(&server);
    assert_eq!(session.seen().unwrap().verdict, Verdict::Matches);
    assert_eq!(session.learned().resumed, None);
    for _ in 0..4 {
        assert!(
            fetch(&mut session, &server.path("large.3mf"), 0).unwrap() == large,
            "three megabytes are equal"
        );
        assert_eq!(fetch(&mut session, &server.path("cache/small.3mf"), 0).unwrap(), b"small");
        assert_eq!(fetch(&mut session, &server.path("empty.3mf"), 0).unwrap(), b"");
        assert_eq!(session.learned().resumed, Some(true));
        assert_eq!(session.learned().protection, Protection::Private);
    }
    session.close();
    let log = server.log();
    assert_eq!(log.matches("SHA384, reused,").count(), 12, "{log}");
    assert!(log.contains("\"221 Goodbye.\""), "{log}");
}

#[test]
fn names_come_back_verbatim_and_can_be_asked_for() {
    let server = Vsftpd::start(&identity());
    let mut names: Vec<&[u8]> = vec![
        "Würfel ► – x.gcode.3mf".as_bytes(),
        b"two  blanks.3mf",
        b" blank before",
        b"blank behind ",
        b"Size_ M; v2 (1) [a] {b,c} * ?.3mf",
        b"W\xfcrfel.3mf",
        b"-la",
    ];
    for name in &names {
        server.put(&[b"cache [x]/", *name].concat(), name);
    }
    let mut session = open(&server);
    let listing = session.list(&server.path("cache [x]")).unwrap();
    assert_eq!((listing.complete, listing.odd), (true, 0));
    let mut listed: Vec<&[u8]> = listing.entries.iter().map(|entry| entry.name.bytes()).collect();
    listed.sort_unstable();
    names.sort_unstable();
    assert_eq!(listed, names);
    for entry in &listing.entries {
        assert_eq!((entry.kind, entry.size), (EntryKind::File, entry.name.bytes().len() as u64));
        let path = server.path([b"cache [x]/", entry.name.bytes()].concat());
        assert_eq!(fetch(&mut session, &path, 0).unwrap(), entry.name.bytes());
    }
    let root = session.list(&server.path("")).unwrap();
    assert_eq!(root.entries.len(), 1);
    assert_eq!((root.entries[0].kind, root.entries[0].name.text()), (EntryKind::Folder, "cache [x]"));
}

#[test]
fn what_is_not_there_is_said_and_the_session_goes_on() {
    let server = Vsftpd::start(&identity());
    server.put(b"there", b"x");
    let mut session = open(&server);
    assert_eq!(session.size(&server.path("missing")).unwrap_err().kind, FtpsErrorKind::NotFound);
    assert_eq!(session.retrieve(&server.path("missing"), 0, None).unwrap_err().kind, FtpsErrorKind::NotFound);
    let missing = session.list(&server.path("no folder")).unwrap_err();
    assert_eq!((missing.kind.clone(), missing.kind.advice()), (FtpsErrorKind::NotFound, Advice::GiveUp));
    assert_eq!(session.list(b"a\r\nQUIT").unwrap_err().kind, FtpsErrorKind::BadPath);
    assert!(session.is_usable());
    assert_eq!(fetch(&mut session, &server.path("there"), 0).unwrap(), b"x");
    assert!(session.list(&server.path("")).unwrap().complete);
}

#[test]
fn a_transfer_goes_on_where_another_ended() {
    let server = Vsftpd::start(&identity());
    let whole = content(7_000_000);
    server.put(b"file", &whole);
    let mut session = open(&server);
    let mut transfer = session.retrieve(&server.path("file"), 0, Some(7_000_000)).unwrap();
    let mut part = vec![0; 100_000];
    let mut filled = 0;
    while filled < part.len() {
        filled += transfer.read(&mut part[filled..]).unwrap();
    }
    transfer.abandon();
    // After a goodbye on the data connection vsftpd answers "aborted", and the session goes on.
    assert!(session.is_usable());
    assert!(server.log().contains("426 Failure writing network stream"), "{}", server.log());
    assert_eq!(session.learned().restart, None);
    part.extend(fetch(&mut session, &server.path("file"), 100_000).unwrap());
    assert!(part == whole, "the parts make the whole");
    assert_eq!(session.learned().restart, Some(true));
    assert_eq!(fetch(&mut session, &server.path("file"), 7_000_000).unwrap(), b"");
    let beyond = session.retrieve(&server.path("file"), 7_000_001, Some(7_000_000)).unwrap_err();
    assert_eq!(beyond.kind, FtpsErrorKind::Long { expected: 7_000_000 });
}

#[test]
fn a_wrong_size_is_noticed_at_both_sides() {
    let server = Vsftpd::start(&identity());
    server.put(b"file", &content(50_000));
    let mut session = open(&server);
    let mut drain = |size: u64| -> Result<(), FtpsError> {
        let mut transfer = session.retrieve(&server.path("file"), 0, Some(size))?;
        while transfer.read(&mut [0; 4096])? > 0 {}
        transfer.finish().map(|_| ())
    };
    assert_eq!(drain(50_001).unwrap_err().kind, FtpsErrorKind::Short { expected: 50_001, received: 50_000 });
    let mut session = open(&server);
    let mut transfer = session.retrieve(&server.path("file"), 0, Some(49_999)).unwrap();
    let error = loop {
        match transfer.read(&mut [0; 4096]) {
            Ok(0) => panic!("one byte too many"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, FtpsErrorKind::Long { expected: 49_999 });
}

#[test]
fn a_wrong_password_is_for_the_user_and_is_not_repeated() {
    let server = Vsftpd::start(&identity());
    let mut options = options(&server);
    options.password = Secret::new("nottheone");
    let error = Session::open(options, Cancel::new()).unwrap_err();
    assert_eq!((error.kind.clone(), error.kind.advice()), (FtpsErrorKind::LoginRefused, Advice::TellUser));
    assert!(!format!("{error} {error:?}").contains("nottheone"), "{error:?}");
}

#[test]
fn a_peer_that_is_not_the_pinned_one_gets_no_password() {
    let server = Vsftpd::start(&identity());
    let mut pinned = options(&server);
    pinned.policy.pinned_spki = Some(Key::other().pin());
    let error = Session::open(pinned, Cancel::new()).unwrap_err();
    assert_eq!(error.kind, FtpsErrorKind::KeyChanged);
    let mut named = options(&server);
    named.policy.expected_common_name = Some("PEER00000000002".to_owned());
    let error = Session::open(named, Cancel::new()).unwrap_err();
    assert_eq!(error.kind, FtpsErrorKind::WrongName { seen: NAME.to_owned() });
    assert!(!server.log().contains("USER"), "{}", server.log());
    // Without a pin the key is learned.
    let mut first = options(&server);
    first.policy = PeerPolicy::default();
    let seen = Session::open(first, Cancel::new()).unwrap().seen().unwrap();
    assert_eq!((seen.spki_sha256, seen.verdict), (Key::shared().pin(), Verdict::FirstUse));
}

#[test]
fn clear_data_is_refused_here_and_the_refusal_says_what_to_change() {
    let server = Vsftpd::start(&identity());
    server.put(b"file", b"x");
    let mut clear = options(&server);
    clear.protection = Wanted::Clear;
    let mut session = Session::open(clear, Cancel::new()).unwrap();
    assert_eq!(session.learned().protection, Protection::Clear);
    assert_eq!(session.size(&server.path("file")).unwrap(), 1);
    assert_eq!(session.retrieve(&server.path("file"), 0, Some(1)).unwrap_err().kind, FtpsErrorKind::DataTls);
}

#[test]
fn extended_passive_mode_serves_the_newer_addresses() {
    let server = Vsftpd::start_on(Ipv6Addr::LOCALHOST.into(), &identity());
    server.put(b"file", b"over six");
    let mut session = open(&server);
    assert_eq!(fetch(&mut session, &server.path("file"), 0).unwrap(), b"over six");
    assert_eq!(session.list(&server.path("")).unwrap().entries.len(), 1);
    assert!(server.log().contains("EPSV") && !server.log().contains("PASV"), "{}", server.log());
}

#[test]
fn another_thread_ends_a_transfer_that_waits() {
    let server = Vsftpd::start(&identity());
    server.put_sparse("file", 200_000_000);
    let cancel = Cancel::new();
    let mut session = Session::open(options(&server), cancel.clone()).unwrap();
    let (begun, wait) = sync_channel(1);
    let path = server.path("file");
    let worker = std::thread::spawn(move || {
        let mut transfer = session.retrieve(&path, 0, Some(200_000_000)).unwrap();
        let mut piece = vec![0; 16 * 1024];
        transfer.read(&mut piece).unwrap();
        begun.send(()).unwrap();
        let error = loop {
            match transfer.read(&mut piece) {
                Ok(count) => assert_ne!(count, 0, "the transfer was over before it could be cancelled"),
                Err(error) => break error,
            }
        };
        drop(transfer);
        (error, session.is_usable())
    });
    wait.recv_timeout(PATIENCE).unwrap();
    cancel.cancel();
    let (error, usable) = worker.join().unwrap();
    assert_eq!((error.kind, usable), (FtpsErrorKind::Cancelled, false));
    let again = Session::open(options(&server), cancel).unwrap_err();
    assert_eq!(again.kind, FtpsErrorKind::Cancelled);
    // The peer has noticed, too: it does not sit there sending into a connection that nobody reads.
    smol::block_on(wait_until("vsftpd gives up", || server.is_idle()));
}

#[test]
fn a_long_listing_is_cut_and_says_so() {
    let server = Vsftpd::start(&identity());
    for number in 0..LISTING_ENTRIES_MAX + 5 {
        server.put(format!("cache/{number:05}.3mf").as_bytes(), b"");
    }
    server.put(b"model/one", b"");
    let mut session = open(&server);
    let listing = session.list(&server.path("cache")).unwrap();
    assert_eq!((listing.entries.len(), listing.complete), (LISTING_ENTRIES_MAX, false));
    let mut session = open(&server);
    assert!(session.list(&server.path("model")).unwrap().complete);
}

#[test]
fn a_small_stack_is_enough() {
    let server = Vsftpd::start(&identity());
    let whole = content(300_000);
    server.put(b"cache/file", &whole);
    let options = options(&server);
    let small = std::thread::Builder::new().stack_size(128 * 1024);
    let worker = small.spawn(move || {
        let mut session = Session::open(options, Cancel::new()).unwrap();
        assert!(session.list(&server.path("cache")).unwrap().complete);
        let bytes = fetch(&mut session, &server.path("cache/file"), 0).unwrap();
        session.close();
        bytes
    });
    assert!(worker.unwrap().join().unwrap() == whole);
}
