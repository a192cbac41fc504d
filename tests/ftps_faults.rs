//! FTPS sessions with peers that misbehave, one way at a time. Each was reported of a real device or is what a hostile one
//! would try.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

mod support;

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use printernizer::base::secret::Secret;
use printernizer::net::ftps::{
    Advice, Cancel, Confirmation, Finished, FtpsError, FtpsErrorKind, Options, Protection, Session, Times,
    Wanted,
};
use printernizer::net::tls::PeerPolicy;
use support::PATIENCE;
use support::certificates::{Identity, Key, Version};
use support::ftp_script::{A_WHILE, Begin, FtpPeer, Goodbye, Greeting, Reuse, Script, Sent};
use support::scripted::Scripted;

const NAME: &str = "PEER00000000001";
const CODE: &str = "87654321";

fn peer(script: Script) -> FtpPeer {
    FtpPeer::start(&Identity::new(Version::V1, NAME, Key::shared()), script)
}

fn options(peer: &FtpPeer) -> Options {
    let mut options = Options::new(peer.address());
    options.username = "user".to_owned();
    options.password = Secret::new(CODE);
    options.policy =
        PeerPolicy { pinned_spki: Some(Key::shared().pin()), expected_common_name: Some(NAME.to_owned()) };
    options.times = Times { connect: PATIENCE, answer: PATIENCE, stall: PATIENCE, end: PATIENCE };
    options
}

fn open(peer: &FtpPeer) -> Session {
    Session::open(options(peer), Cancel::new()).unwrap()
}

/// A session that loses its patience with missing answers soon.
fn open_hasty(peer: &FtpPeer) -> Session {
    let mut options = options(peer);
    options.times.end = A_WHILE;
    Session::open(options, Cancel::new()).unwrap()
}

fn opening_fails(script: Script) -> FtpsError {
    let peer = peer(script);
    Session::open(options(&peer), Cancel::new()).unwrap_err()
}

/// Fetches the file, its size asked for before.
fn fetch(session: &mut Session) -> Result<Finished, FtpsError> {
    let size = session.size(b"/file")?;
    let mut transfer = session.retrieve(b"/file", 0, Some(size))?;
    while transfer.read(&mut [0; 4096])? > 0 {}
    transfer.finish()
}

fn failure(script: Script) -> FtpsErrorKind {
    let peer = peer(script);
    let mut session = open(&peer);
    fetch(&mut session).unwrap_err().kind
}

#[test]
fn a_good_peer_is_no_problem() {
    let peer = peer(Script::default());
    let mut session = open(&peer);
    for _ in 0..3 {
        let finished = fetch(&mut session).unwrap();
        let good = Finished { received: 100_000, clean: true, confirmation: Confirmation::Confirmed };
        assert_eq!(finished, good);
        assert_eq!(session.learned().resumed, Some(true));
    }
    session.close();
    let commands = peer.commands();
    let expected =
        ["USER user", "PASS 87654321", "TYPE I", "PBSZ 0", "PROT P", "SIZE /file", "PASV", "RETR /file"];
    assert_eq!(commands[..8], expected);
    assert_eq!(commands.last().unwrap(), "QUIT");
}

// The end of a transfer.

#[test]
fn half_a_file_called_complete_is_short() {
    let short = FtpsErrorKind::Short { expected: 100_000, received: 40_000 };
    assert_eq!(short.advice(), Advice::Retry);
    assert_eq!(failure(Script { sent: Sent::Some(40_000), ..Script::default() }), short);
}

#[test]
fn half_a_file_called_aborted_is_interrupted() {
    let script = Script {
        sent: Sent::Some(40_000),
        goodbye: Goodbye::None,
        end: b"426 Connection closed; transfer aborted.\r\n",
        ..Script::default()
    };
    assert_eq!(failure(script), FtpsErrorKind::Interrupted);
}

#[test]
fn a_whole_file_called_aborted_is_whole() {
    let peer = peer(Script { end: b"426 Failure writing network stream\r\n", ..Script::default() });
    let mut session = open(&peer);
    assert_eq!(fetch(&mut session).unwrap().confirmation, Confirmation::Contradicted(426));
    // "226" may follow such a "426", and nobody could tell whose answer it is.
    assert!(!session.is_usable());
}

#[test]
fn an_end_without_goodbye_is_only_noted() {
    let peer = peer(Script { goodbye: Goodbye::None, ..Script::default() });
    let mut session = open(&peer);
    let finished = fetch(&mut session).unwrap();
    assert_eq!((finished.clean, finished.confirmation), (false, Confirmation::Confirmed));
    assert!(session.is_usable());
    assert_eq!(fetch(&mut session).unwrap(), finished);
}

#[test]
fn an_end_without_an_answer_is_judged_by_the_bytes() {
    let peer = peer(Script { end: b"", ..Script::default() });
    let mut session = open_hasty(&peer);
    assert_eq!(fetch(&mut session).unwrap().confirmation, Confirmation::Missing);
    // The answer may still come, and would be taken for that to the next question.
    assert!(!session.is_usable());
    assert_eq!(session.size(b"/file").unwrap_err().kind, FtpsErrorKind::Dead);
}

#[test]
fn a_connection_that_is_never_ended_does_not_keep_a_whole_file_waiting() {
    let peer = peer(Script { goodbye: Goodbye::StaysOpen, end: b"", ..Script::default() });
    let mut session = open_hasty(&peer);
    let finished = fetch(&mut session).unwrap();
    assert_eq!((finished.clean, finished.confirmation), (false, Confirmation::Missing));
}

#[test]
fn a_late_answer_is_waited_for() {
    let peer = peer(Script { end_is_late: true, ..Script::default() });
    let mut session = open(&peer);
    assert_eq!(fetch(&mut session).unwrap().confirmation, Confirmation::Confirmed);
    assert!(session.is_usable());
}

#[test]
fn a_size_that_lies_is_noticed() {
    let larger = Script { size: Some("213 100001"), ..Script::default() };
    assert_eq!(failure(larger), FtpsErrorKind::Short { expected: 100_001, received: 100_000 });
    let smaller = Script { size: Some("213 99999"), ..Script::default() };
    assert_eq!(failure(smaller), FtpsErrorKind::Long { expected: 99_999 });
    let nonsense = Script { size: Some("213 many"), ..Script::default() };
    assert_eq!(failure(nonsense), FtpsErrorKind::Protocol);
}

#[test]
fn a_transfer_that_stands_still_is_given_up() {
    for sent in [Sent::StallsAfter(40_000), Sent::StallsAfter(0), Sent::Drips] {
        let peer = peer(Script { sent, ..Script::default() });
        let mut options = options(&peer);
        options.times.stall = A_WHILE;
        let mut session = Session::open(options, Cancel::new()).unwrap();
        let error = fetch(&mut session).unwrap_err();
        assert_eq!((error.kind.clone(), error.kind.advice()), (FtpsErrorKind::Stalled, Advice::Retry));
        assert!(!session.is_usable());
    }
}

// The begin of a transfer.

#[test]
fn refusals_are_told_apart_and_leave_the_session_alone() {
    for (refusal, kind) in [
        ("550 no such file", FtpsErrorKind::NotFound),
        ("450 in use", FtpsErrorKind::FileBusy),
        ("425 no connection", FtpsErrorKind::NoDataConnection),
        ("426 aborted", FtpsErrorKind::Interrupted),
        ("522 reuse", FtpsErrorKind::ReuseRequired),
        ("530 log in", FtpsErrorKind::LoginRefused),
        ("553 no", FtpsErrorKind::NotPermitted),
        ("502 what?", FtpsErrorKind::Unsupported),
    ] {
        let peer = peer(Script { begin: Begin::Refuses(refusal), ..Script::default() });
        let mut session = open(&peer);
        let error = fetch(&mut session).unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.message.contains(refusal), "{error}");
        assert!(session.is_usable() && session.size(b"/file").is_ok());
    }
}

#[test]
fn two_sides_that_wait_for_each_other_are_parted() {
    let peer = peer(Script { begin: Begin::WaitsForTls, ..Script::default() });
    let mut options = options(&peer);
    options.times.answer = Duration::from_secs(1);
    let mut session = Session::open(options, Cancel::new()).unwrap();
    assert_eq!(fetch(&mut session).unwrap_err().kind, FtpsErrorKind::Silent);
    assert!(!session.is_usable());
}

#[test]
fn a_peer_that_has_forgotten_the_session_is_said_to_want_it() {
    let peer = peer(Script { reuse: Reuse::Impossible, ..Script::default() });
    let mut session = open(&peer);
    let error = fetch(&mut session).unwrap_err();
    assert_eq!((error.kind.clone(), error.kind.advice()), (FtpsErrorKind::ReuseRequired, Advice::Retry));
    assert_eq!(session.learned().resumed, Some(false));
}

#[test]
fn addresses_in_answers_are_not_believed() {
    let elsewhere = Script { pasv: "227 ok (203,0,113,7,{})", ..Script::default() };
    fetch(&mut open(&peer(elsewhere))).unwrap();
    let rubbish = Script { pasv: "227 somewhere", ..Script::default() };
    assert_eq!(failure(rubbish), FtpsErrorKind::Protocol);
    let unknown = Script { pasv: "502 what?", ..Script::default() };
    assert_eq!(failure(unknown), FtpsErrorKind::Unsupported);
    // Port 1 of loopback has no listener.
    let closed = Script { pasv: "227 ok (0,0,0,0,0,1)", ..Script::default() };
    assert_eq!(failure(closed), FtpsErrorKind::NoDataConnection);
}

#[test]
fn a_peer_without_restart_is_asked_once() {
    let peer = peer(Script { rest: "502 no", ..Script::default() });
    let mut session = open(&peer);
    let refused = session.retrieve(b"/file", 10, Some(100_000)).unwrap_err();
    assert_eq!((refused.kind, session.learned().restart), (FtpsErrorKind::Unsupported, Some(false)));
    assert!(session.is_usable());
    assert_eq!(fetch(&mut session).unwrap().received, 100_000);
    let mut options = options(&peer);
    options.restart = session.learned().restart;
    let mut session = Session::open(options, Cancel::new()).unwrap();
    assert_eq!(session.retrieve(b"/file", 10, Some(100_000)).unwrap_err().kind, FtpsErrorKind::Unsupported);
    assert_eq!(peer.commands().iter().filter(|command| command.starts_with("REST")).count(), 1);
}

#[test]
fn a_restart_counts_what_was_there_before() {
    let peer = peer(Script { sent: Sent::Some(5_000), ..Script::default() });
    let mut session = open(&peer);
    let mut transfer = session.retrieve(b"/file", 90_000, Some(100_000)).unwrap();
    while transfer.read(&mut [0; 4096]).unwrap() > 0 {}
    assert_eq!(transfer.received(), 5_000);
    let short = FtpsErrorKind::Short { expected: 100_000, received: 95_000 };
    assert_eq!(transfer.finish().unwrap_err().kind, short);
}

// Protection.

#[test]
fn a_peer_without_private_data_is_served_in_clear_text_only_if_that_is_wanted() {
    let script = Script { prot_private: "536 no", ..Script::default() };
    let peer = peer(script);
    let strict = Session::open(options(&peer), Cancel::new()).unwrap_err();
    assert_eq!(strict.kind, FtpsErrorKind::DataTls);
    let mut lenient = options(&peer);
    lenient.protection = Wanted::PrivateElseClear;
    let mut session = Session::open(lenient, Cancel::new()).unwrap();
    assert_eq!(session.learned().protection, Protection::Clear);
    let finished = fetch(&mut session).unwrap();
    assert_eq!((finished.received, finished.clean), (100_000, false));
    let before = peer.commands().len();
    let mut clear = options(&peer);
    clear.protection = Wanted::Clear;
    fetch(&mut Session::open(clear, Cancel::new()).unwrap()).unwrap();
    assert!(!peer.commands()[before..].contains(&"PROT P".to_owned()));
}

#[test]
fn a_peer_that_forgets_the_protection_is_found_out() {
    assert_eq!(failure(Script { forgets_protection: true, ..Script::default() }), FtpsErrorKind::DataTls);
}

// The control connection.

#[test]
fn a_refused_login_is_for_the_user_and_repeats_nothing() {
    let error = opening_fails(Script { pass: "530 87654321 is wrong", ..Script::default() });
    assert_eq!((error.kind.clone(), error.kind.advice()), (FtpsErrorKind::LoginRefused, Advice::TellUser));
    assert!(!format!("{error} {error:?}").contains(CODE));
    let full = opening_fails(Script { pass: "421 87654321: too many", ..Script::default() });
    assert_eq!((full.kind.clone(), full.kind.advice()), (FtpsErrorKind::Closing, Advice::Retry));
    assert!(!format!("{full} {full:?}").contains(CODE), "{full}");
}

#[test]
fn greetings_of_all_kinds() {
    let greeted = |greeting| opening_fails(Script { greeting, ..Script::default() }).kind;
    assert_eq!(greeted(Greeting::Says(b"421 full\r\n")), FtpsErrorKind::Closing);
    assert_eq!(greeted(Greeting::Says(b"\x00\xff\x17 rubbish\r\n")), FtpsErrorKind::Protocol);
    assert_eq!(greeted(Greeting::Endless(b"xxxxxxxxxxxxxxxx")), FtpsErrorKind::Protocol);
    assert_eq!(greeted(Greeting::Endless(b"220-and on\r\n")), FtpsErrorKind::Protocol);
    assert_eq!(greeted(Greeting::Endless(b"120 wait\r\n")), FtpsErrorKind::Protocol);
}

#[test]
fn silence_has_an_end_at_every_stage() {
    let hasty = |peer: &FtpPeer| {
        let mut options = options(peer);
        options.times.answer = Duration::from_secs(1);
        Session::open(options, Cancel::new()).unwrap_err().kind
    };
    for greeting in [Greeting::Nothing, Greeting::Drips] {
        assert_eq!(hasty(&peer(Script { greeting, ..Script::default() })), FtpsErrorKind::Silent);
    }
    // Nobody even answers TLS.
    let mute =
        Scripted::tcp(|mut stream| while std::io::Read::read(&mut stream, &mut [0; 64]).unwrap_or(0) > 0 {});
    let mut options = Options::new(mute.address);
    options.times.answer = A_WHILE;
    assert_eq!(Session::open(options, Cancel::new()).unwrap_err().kind, FtpsErrorKind::Silent);
}

#[test]
fn a_peer_without_tls_is_told_apart_from_none() {
    let plain = Scripted::tcp(|mut stream| {
        let _ = std::io::Write::write_all(&mut stream, b"220 plain\r\n");
        while std::io::Read::read(&mut stream, &mut [0; 64]).unwrap_or(0) > 0 {}
    });
    let options = Options::new(plain.address);
    assert_eq!(Session::open(options, Cancel::new()).unwrap_err().kind, FtpsErrorKind::Tls);
    let nobody = support::mosquitto::free_port();
    let options = Options::new(([127, 0, 0, 1], nobody).into());
    assert_eq!(Session::open(options, Cancel::new()).unwrap_err().kind, FtpsErrorKind::Refused);
}

#[test]
fn clear_text_after_trouble_with_tls_means_a_new_session() {
    let peer = peer(Script { clear_text_after: "SIZE", ..Script::default() });
    let mut session = open(&peer);
    let error = session.size(b"/file").unwrap_err();
    assert_eq!((error.kind.clone(), error.kind.advice()), (FtpsErrorKind::Dead, Advice::Retry));
    assert!(error.message.contains("clear text"), "{error}");
    assert!(!session.is_usable());
}

#[test]
fn a_peer_that_hangs_up_is_dead() {
    let peer = peer(Script { hangs_up_after: "SIZE", ..Script::default() });
    let mut session = open(&peer);
    assert_eq!(session.size(b"/file").unwrap_err().kind, FtpsErrorKind::Dead);
    assert!(!session.is_usable());
}

#[test]
fn a_farewell_that_came_unasked_is_read_before_the_next_question() {
    let peer = peer(Script { end: b"226 done\r\n421 idle for too long\r\n", ..Script::default() });
    let mut session = open(&peer);
    fetch(&mut session).unwrap();
    assert_eq!(session.size(b"/file").unwrap_err().kind, FtpsErrorKind::Closing);
}

#[test]
fn every_wait_can_be_cancelled() {
    let waits = [
        Script { greeting: Greeting::Nothing, ..Script::default() },
        Script { sent: Sent::StallsAfter(1_000), ..Script::default() },
        Script { begin: Begin::WaitsForTls, ..Script::default() },
        Script { goodbye: Goodbye::StaysOpen, end: b"", sent: Sent::Some(99_999), ..Script::default() },
        Script { prot_private: "536 no", sent: Sent::StallsAfter(1_000), ..Script::default() },
    ];
    for script in waits {
        let peer = peer(script);
        let cancel = Cancel::new();
        let (begun, wait) = sync_channel(1);
        let (mut options, handle) = (options(&peer), cancel.clone());
        options.protection = Wanted::PrivateElseClear;
        let worker = std::thread::spawn(move || {
            begun.send(()).unwrap();
            let mut session = Session::open(options, handle)?;
            fetch(&mut session)
        });
        wait.recv_timeout(PATIENCE).unwrap();
        // Somewhere on the way or at the wait: it has to end from everywhere.
        wait.recv_timeout(A_WHILE).unwrap_err();
        cancel.cancel();
        assert_eq!(worker.join().unwrap().unwrap_err().kind, FtpsErrorKind::Cancelled);
    }
}

// Listings.

#[test]
fn listings_say_whether_they_are_whole() {
    let line = "-rw-r--r-- 1 0 0 12 Nov 23 13:12 a b\r\nrubbish\r\n";
    let list = |script: Script| {
        let peer = peer(Script { list: line.as_bytes().to_vec(), ..script });
        open_hasty(&peer).list(b"/cache").unwrap()
    };
    let whole = list(Script::default());
    assert_eq!((whole.entries.len(), whole.complete, whole.odd), (1, true, 1));
    assert_eq!(whole.entries[0].name.text(), "a b");
    assert!(list(Script { goodbye: Goodbye::None, ..Script::default() }).complete, "226 vouches");
    assert!(list(Script { end: b"", ..Script::default() }).complete, "the goodbye vouches");
    let nobody_vouches = Script { goodbye: Goodbye::None, end: b"", ..Script::default() };
    let doubtful = list(nobody_vouches);
    assert_eq!((doubtful.entries.len(), doubtful.complete), (1, false));
    let cut = list(Script { sent: Sent::Some(44), end: b"426 cut\r\n", ..Script::default() });
    assert_eq!((cut.entries.len(), cut.complete), (1, false));
}
