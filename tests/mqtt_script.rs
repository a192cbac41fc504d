//! MQTT links against peers that misbehave on purpose: silent at every stage, rude, broken, or full of rubbish.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is surprised fails where it stands")]

mod support;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use printernizer::base::secret::Secret;
use printernizer::net::mqtt::{
    ConnectOptions, Full, MAX_LINKS, MqttError, MqttErrorKind, MqttEvent, MqttLink, MqttThread,
    PUBLISH_BYTES_MAX, PUBLISH_QUEUE_MAX,
};
use printernizer::net::tls::{PeerPolicy, TlsVersions, client_config};
use support::certificates::{Identity, Key, Version};
use support::plain::{self, CONNACK_ACCEPTED, packet, publish, read_packet};
use support::scripted::{Scripted, TlsStream};
use support::{patiently, wait_until};

const TOPIC: &str = "reports";

fn options(address: SocketAddr) -> ConnectOptions {
    let tls = client_config(PeerPolicy::default(), TlsVersions::Tls12Only);
    ConnectOptions {
        client_id: "tester".to_owned(),
        username: "user".to_owned(),
        password: Secret::new("open sesame"),
        subscribe: TOPIC.to_owned(),
        connect_timeout: Duration::from_secs(1),
        keep_alive: Duration::from_secs(1),
        ..ConnectOptions::new(address, tls)
    }
}

fn identity() -> Identity {
    Identity::new(Version::V1, "PEER", Key::shared())
}

/// All events of a link; the last one is its end.
async fn life(link: &MqttLink) -> (Vec<MqttEvent>, MqttError) {
    let mut events = Vec::new();
    loop {
        match patiently("the link ends", link.events.recv()).await.unwrap() {
            MqttEvent::Closed(error) => {
                assert!(!error.message.contains("sesame"), "no secret in {error}");
                return (events, error);
            }
            event => events.push(event),
        }
    }
}

/// Lets one link live with a peer and returns what it told.
fn live_with(peer: &Scripted) -> (Vec<MqttEvent>, MqttError) {
    live(options(peer.address))
}

fn live(options: ConnectOptions) -> (Vec<MqttEvent>, MqttError) {
    smol::block_on(async {
        let thread = MqttThread::start().unwrap();
        let ended = life(&thread.handle().connect(options).unwrap()).await;
        assert_eq!(thread.handle().panics(), 0);
        thread.shutdown().await.expect("the thread ends in time");
        ended
    })
}

/// Reads until the other side hangs up.
fn hold(mut stream: impl std::io::Read) {
    let mut buffer = [0; 1024];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

/// Lets a client in and grants its subscription.
fn let_in(stream: &mut TlsStream) {
    assert_eq!(read_packet(stream).unwrap().first, 0x10, "a CONNECT comes first");
    stream.write_all(CONNACK_ACCEPTED).unwrap();
    assert_eq!(read_packet(stream).unwrap().first, 0x82, "the subscription follows");
    stream.write_all(plain::SUBACK_GRANTED).unwrap();
}

/// A peer that lets the client in, sends `bytes`, and then holds the connection.
fn peer_that_sends(bytes: Vec<u8>) -> Scripted {
    Scripted::tls(&identity(), move |mut stream| {
        let_in(&mut stream);
        // The client may hang up in the middle of it.
        let _ = stream.write_all(&bytes);
        hold(stream);
    })
}

#[test]
fn a_peer_that_accepts_and_says_nothing_is_silent() {
    let (events, error) = live_with(&Scripted::tcp(hold));
    assert_eq!((events, &error.kind), (vec![], &MqttErrorKind::Silent));
    assert!(error.message.contains("TLS was not answered"), "{error}");
}

#[test]
fn a_peer_that_speaks_tls_and_nothing_else_is_silent() {
    let (events, error) = live_with(&Scripted::tls(&identity(), hold));
    assert_eq!((events, &error.kind), (vec![], &MqttErrorKind::Silent));
    assert!(error.message.contains("the login was not"), "{error}");
}

#[test]
fn an_address_that_swallows_everything_is_unreachable() {
    // A listener whose queue is full drops further attempts without a word, like an address where nobody lives.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let attempt = || TcpStream::connect_timeout(&address, Duration::from_millis(300));
    let queued: Vec<TcpStream> = std::iter::from_fn(|| attempt().ok()).take(16).collect();
    assert!(queued.len() < 16, "the queue never fills up");
    let (events, error) = live(options(address));
    assert_eq!((events, error.kind), (vec![], MqttErrorKind::Unreachable));
}

#[test]
fn a_peer_that_goes_silent_later_is_noticed_after_two_probes() {
    let peer = Scripted::tls(&identity(), |mut stream| {
        let_in(&mut stream);
        hold(stream);
    });
    let (events, error) = live_with(&peer);
    assert_eq!(events, [MqttEvent::Connected, MqttEvent::Subscribed { accepted: true }]);
    assert_eq!(error.kind, MqttErrorKind::Silent);
}

#[test]
fn refusals_are_told_apart() {
    let cases = [
        (plain::CONNACK_BAD_PASSWORD, MqttErrorKind::WrongCode),
        (plain::CONNACK_NOT_AUTHORIZED, MqttErrorKind::WrongCode),
        (plain::CONNACK_UNAVAILABLE, MqttErrorKind::Protocol),
        (&[0x20, 2, 0, 0x86], MqttErrorKind::Protocol),
        (&[0xd0, 0], MqttErrorKind::Protocol),
        (&[0xff, 0xff, 0xff, 0xff, 0xff], MqttErrorKind::Protocol),
        (&[], MqttErrorKind::ClosedByPeer),
    ];
    for (answer, expected) in cases {
        let peer = Scripted::tls(&identity(), move |mut stream| {
            read_packet(&mut stream).unwrap();
            stream.write_all(answer).unwrap();
        });
        let (events, error) = live_with(&peer);
        assert_eq!((events, error.kind), (vec![], expected), "{answer:?}");
    }
}

#[test]
fn a_refused_subscription_is_told_and_the_link_goes_on() {
    let peer = Scripted::tls(&identity(), |mut stream| {
        read_packet(&mut stream).unwrap();
        stream.write_all(CONNACK_ACCEPTED).unwrap();
        read_packet(&mut stream).unwrap();
        stream.write_all(plain::SUBACK_REFUSED).unwrap();
        stream.write_all(&publish(TOPIC, b"still here")).unwrap();
    });
    let (events, error) = live_with(&peer);
    let expected = [
        MqttEvent::Connected,
        MqttEvent::Subscribed { accepted: false },
        MqttEvent::Message { payload: b"still here".to_vec() },
    ];
    assert_eq!((events.as_slice(), error.kind), (&expected[..], MqttErrorKind::ClosedByPeer));
}

#[test]
fn messages_on_foreign_topics_are_ignored() {
    let foreign = [publish("other", b"no"), publish("reports/more", b"no"), publish(TOPIC, b"yes")];
    let peer = peer_that_sends([foreign.concat(), vec![0xf0, 0]].concat());
    let (events, error) = live_with(&peer);
    assert_eq!(events.last(), Some(&MqttEvent::Message { payload: b"yes".to_vec() }));
    assert_eq!((events.len(), error.kind), (3, MqttErrorKind::Protocol));
}

#[test]
fn rubbish_ends_the_link_and_nothing_else() {
    let acknowledgement = |first: u8| packet(first, &[0x12, 0x34]);
    let cases = [
        ("a packet type that does not exist", vec![0xf0, 0]),
        ("a length without end", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a message without a topic", packet(0x30, &[])),
        ("a topic longer than its packet", packet(0x30, &[0xff, 0xff, b'a'])),
        ("a topic that is no text", packet(0x30, &[0, 1, 0xff])),
        ("quality three", packet(0x36, &[0, 1, b'a'])),
        ("quality one without a number", packet(0x32, &[0, 1, b'a', 0, 0])),
        ("a CONNECT", packet(0x10, &[0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0])),
        ("a second CONNACK", CONNACK_ACCEPTED.to_vec()),
        ("an acknowledgement of nothing", acknowledgement(0x40)),
        ("a receipt of nothing", acknowledgement(0x50)),
        ("a release of nothing", acknowledgement(0x62)),
        ("a completion of nothing", acknowledgement(0x70)),
        ("an empty acknowledgement", packet(0x40, &[])),
        ("an empty SUBACK", packet(0x90, &[0, 1])),
        ("a DISCONNECT", packet(0xe0, &[])),
    ];
    for (what, bytes) in cases {
        let (events, error) = live_with(&peer_that_sends(bytes));
        assert_eq!(error.kind, MqttErrorKind::Protocol, "{what}: {error}");
        assert!(!events.iter().any(|event| matches!(event, MqttEvent::Message { .. })), "{what}");
    }
}

#[test]
fn a_packet_that_only_claims_to_be_huge_is_refused_by_its_head() {
    // 268 435 455 bytes are announced, none follow.
    let (_, error) = live_with(&peer_that_sends(vec![0x30, 0xff, 0xff, 0xff, 0x7f]));
    assert_eq!(error.kind, MqttErrorKind::TooLarge);
}

#[test]
fn a_torn_tls_stream_is_told() {
    let peer = Scripted::tls(&identity(), |mut stream| {
        let_in(&mut stream);
        // Bytes past the encryption, as a fault in the peer would send them.
        stream.sock.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        hold(stream.sock);
    });
    assert_eq!(live_with(&peer).1.kind, MqttErrorKind::Tls);
}

#[test]
fn an_answer_that_is_not_tls_is_told() {
    let peer = Scripted::tcp(|mut stream| {
        stream.write_all(b"220 ready\r\n").unwrap();
        hold(stream);
    });
    assert_eq!(live_with(&peer).1.kind, MqttErrorKind::Tls);
}

#[test]
fn a_peer_that_drips_its_handshake_runs_into_the_deadline() {
    // A record that announces more than ever comes keeps the handshake waiting.
    let peer = Scripted::tcp(|mut stream| {
        stream.write_all(&[0x16, 0x03, 0x03, 0x40, 0x00, 0x02]).unwrap();
        hold(stream);
    });
    assert_eq!(live_with(&peer).1.kind, MqttErrorKind::Silent);
}

#[test]
fn a_link_that_is_dropped_while_it_connects_gives_its_place_back() {
    smol::block_on(async {
        let peer = Scripted::tcp(hold);
        let thread = MqttThread::start().unwrap();
        let handle = thread.handle();
        let slow = ConnectOptions { connect_timeout: Duration::from_secs(60), ..options(peer.address) };
        let links: Vec<MqttLink> = (0..MAX_LINKS).map(|_| handle.connect(slow.clone()).unwrap()).collect();
        assert!(handle.connect(slow.clone()).is_err(), "all places are taken");
        drop(links);
        wait_until("all places are free", || handle.links() == 0).await;
        drop(handle.connect(slow).expect("there is room again"));
        thread.shutdown().await.expect("the thread ends in time");
    });
}

#[test]
fn the_publish_queue_is_bounded_and_what_cannot_be_sent_is_refused() {
    smol::block_on(async {
        let peer = Scripted::tcp(hold);
        let thread = MqttThread::start().unwrap();
        let link = thread.handle().connect(options(peer.address)).unwrap();
        assert_eq!(link.publish("with/+", "x"), Err(Full));
        assert_eq!(link.publish("t", vec![0; PUBLISH_BYTES_MAX]), Err(Full));
        for _ in 0..PUBLISH_QUEUE_MAX {
            link.publish("t", "x").unwrap();
        }
        assert_eq!(link.publish("t", "x"), Err(Full));
        thread.shutdown().await.expect("the thread ends in time");
    });
}

#[test]
fn an_invalid_subscription_is_an_error_and_not_a_panic() {
    for subscribe in ["", "a/#/b", "a+", &"x".repeat(2000)] {
        let options =
            ConnectOptions { subscribe: subscribe.to_owned(), ..options(([127, 0, 0, 1], 1).into()) };
        assert_eq!(live(options).1.kind, MqttErrorKind::Protocol);
    }
}

#[test]
fn a_deaf_peer_gets_its_disconnect_in_time_and_does_not_hold_up_the_end() {
    smol::block_on(async {
        // It never reads again after the login and does not hang up after the DISCONNECT either.
        let (tell, told) = smol::channel::bounded::<()>(1);
        let peer = Scripted::tls(&identity(), move |mut stream| {
            let_in(&mut stream);
            let _ = told.recv_blocking();
        });
        let thread = MqttThread::start().unwrap();
        let link = thread.handle().connect(options(peer.address)).unwrap();
        assert_eq!(patiently("the login", link.events.recv()).await, Ok(MqttEvent::Connected));
        thread.shutdown().await.expect("the thread ends although the peer does not hang up");
        tell.close();
    });
}

#[test]
fn a_disconnect_reaches_the_peer_before_the_connection_ends() {
    smol::block_on(async {
        let (tell, told) = smol::channel::bounded(4);
        let peer = Scripted::tls(&identity(), move |mut stream| {
            let_in(&mut stream);
            // Unread bytes on the other side must not tear the connection down before the DISCONNECT is read.
            for _ in 0..4 {
                stream.write_all(&publish(TOPIC, &[0; 100_000])).unwrap();
            }
            let mut last = read_packet(&mut stream).unwrap();
            while last.first == 0xc0 {
                last = read_packet(&mut stream).unwrap();
            }
            tell.send_blocking(last.first).unwrap();
        });
        let thread = MqttThread::start().unwrap();
        let quiet = ConnectOptions { keep_alive: Duration::from_secs(60), ..options(peer.address) };
        let link = thread.handle().connect(quiet).unwrap();
        wait_until("a message waits", || link.events.len() > 2).await;
        drop(link);
        assert_eq!(patiently("the last packet", told.recv()).await, Ok(0xe0));
        thread.shutdown().await.expect("the thread ends in time");
    });
}
