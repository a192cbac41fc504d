//! MQTT links against Debian's Mosquitto, with TLS 1.2, self-made certificates and a password file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is surprised fails where it stands")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use printernizer::base::secret::Secret;
use printernizer::net::mqtt::{
    ConnectOptions, EVENT_QUEUE_MAX, MAX_INCOMING, MqttErrorKind, MqttEvent, MqttHandle, MqttLink,
    MqttThread, PUBLISH_QUEUE_MAX,
};
use printernizer::net::tls::{Observed, PeerPolicy, TlsVersions, Verdict, client_config};
use support::certificates::{Identity, Key, KeyKind, Version};
use support::mosquitto::{CODE, Mosquitto, USER};
use support::{patiently, wait_until};

const NAME: &str = "PEER00000000001";
const TOPIC: &str = "device/PEER00000000001/report";

fn options(address: SocketAddr, client_id: &str, policy: PeerPolicy) -> (ConnectOptions, Observed) {
    let (tls, observed) = client_config(policy, TlsVersions::Tls12Only);
    let options = ConnectOptions {
        client_id: client_id.to_owned(),
        username: USER.to_owned(),
        password: Secret::new(CODE),
        subscribe: TOPIC.to_owned(),
        ..ConnectOptions::new(address, (tls, observed.clone()))
    };
    (options, observed)
}

fn policy() -> PeerPolicy {
    PeerPolicy { pinned_spki: None, expected_common_name: Some(NAME.to_owned()) }
}

fn connect(handle: &MqttHandle, address: SocketAddr, client_id: &str) -> MqttLink {
    handle.connect(options(address, client_id, policy()).0).unwrap()
}

async fn next(link: &MqttLink) -> MqttEvent {
    patiently("an event of the link", link.events.recv()).await.expect("the link still tells something")
}

/// Waits until the link may receive messages.
async fn ready(link: &MqttLink) {
    assert_eq!(next(link).await, MqttEvent::Connected);
    assert_eq!(next(link).await, MqttEvent::Subscribed { accepted: true });
}

async fn message(link: &MqttLink) -> Vec<u8> {
    match next(link).await {
        MqttEvent::Message { payload } => payload,
        other => panic!("a message was expected: {other:?}"),
    }
}

/// Waits for the end of the link and says why it came.
async fn end(link: &MqttLink) -> MqttErrorKind {
    loop {
        if let MqttEvent::Closed(error) = next(link).await {
            let after = patiently("the channel ends", link.events.recv()).await;
            assert!(after.is_err(), "nothing follows the end, but {after:?} did");
            assert!(!error.message.contains(CODE), "no secret in {error}");
            return error.kind;
        }
    }
}

fn v3() -> Identity {
    Identity::new(Version::V3, NAME, Key::shared())
}

/// Runs a test with its own broker and its own thread, and ends both in order.
fn with_broker(identity: &Identity, test: impl AsyncFnOnce(&mut Mosquitto, MqttHandle)) {
    smol::block_on(async {
        let mut broker = Mosquitto::start(identity).await;
        let thread = MqttThread::start().unwrap();
        test(&mut broker, thread.handle()).await;
        thread.shutdown().await.expect("the thread ends in time");
    });
}

#[test]
fn messages_go_both_ways_over_both_kinds_of_certificates() {
    // The longest keys also show that the thread's stack is large enough.
    let long = Key::generate(KeyKind::Rsa4096);
    for (version, key) in [(Version::V1, Key::shared()), (Version::V3, &long)] {
        with_broker(&Identity::new(version, NAME, key), async |broker, handle| {
            let (options, observed) = options(broker.tls, "both-ways", policy());
            let link = handle.connect(options).unwrap();
            ready(&link).await;
            let seen = observed.get().unwrap();
            assert_eq!((seen.spki_sha256, seen.verdict), (key.pin(), Verdict::FirstUse));
            assert_eq!(seen.common_name.as_deref(), Some(NAME));

            let mut other = broker.client();
            other.subscribe("device/PEER00000000001/request");
            other.publish(TOPIC, b"{\"report\":1}");
            assert_eq!(message(&link).await, b"{\"report\":1}");
            link.publish("device/PEER00000000001/request", b"hello".to_vec()).unwrap();
            assert_eq!(other.receive(), ("device/PEER00000000001/request".to_owned(), b"hello".to_vec()));
        });
    }
}

#[test]
fn what_is_published_early_is_sent_after_the_login() {
    with_broker(&v3(), async |broker, handle| {
        let mut other = broker.client();
        other.subscribe("requests");
        let link = connect(&handle, broker.tls, "early");
        link.publish("requests", "first").unwrap();
        ready(&link).await;
        assert_eq!(other.receive().1, b"first");
        // What has been sent makes room again.
        for _ in 0..3 * PUBLISH_QUEUE_MAX {
            link.publish("requests", "more").unwrap();
            assert_eq!(other.receive().1, b"more");
        }
    });
}

#[test]
fn a_pinned_key_is_accepted_and_a_changed_one_is_not() {
    with_broker(&Identity::new(Version::V1, NAME, Key::other()), async |broker, handle| {
        let pinned = |key: &Key| PeerPolicy { pinned_spki: Some(key.pin()), ..policy() };
        let (right, observed) = options(broker.tls, "pinned", pinned(Key::other()));
        let link = handle.connect(right).unwrap();
        ready(&link).await;
        assert_eq!(observed.get().unwrap().verdict, Verdict::Matches);

        let (wrong, observed) = options(broker.tls, "changed", pinned(Key::shared()));
        assert_eq!(end(&handle.connect(wrong).unwrap()).await, MqttErrorKind::KeyChanged);
        let seen = observed.get().unwrap();
        assert_eq!((seen.spki_sha256, seen.verdict), (Key::other().pin(), Verdict::KeyChanged));
        assert!(!broker.log().contains("as changed"), "the changed peer must not see the login");
    });
}

#[test]
fn another_name_is_told() {
    with_broker(&Identity::new(Version::V1, "PEER-NEXT-DOOR", Key::shared()), async |broker, handle| {
        let link = connect(&handle, broker.tls, "name");
        assert_eq!(end(&link).await, MqttErrorKind::WrongName { seen: "PEER-NEXT-DOOR".to_owned() });
    });
}

#[test]
fn a_wrong_password_is_told() {
    with_broker(&v3(), async |broker, handle| {
        let (mut options, _) = options(broker.tls, "password", policy());
        options.password = Secret::new("87654321");
        assert_eq!(end(&handle.connect(options).unwrap()).await, MqttErrorKind::WrongCode);
    });
}

#[test]
fn a_port_without_tls_and_a_closed_port_are_told_apart() {
    with_broker(&v3(), async |broker, handle| {
        assert_eq!(end(&connect(&handle, broker.plain, "plain")).await, MqttErrorKind::Tls);
        let closed = broker.plain;
        broker.kill();
        assert_eq!(end(&connect(&handle, closed, "closed")).await, MqttErrorKind::Refused);
    });
}

#[test]
fn ipv6_works_with_and_without_a_scope() {
    with_broker(&v3(), async |broker, handle| {
        let mut scoped = broker.tls_v6;
        if let SocketAddr::V6(address) = &mut scoped {
            address.set_scope_id(1); // the loopback interface
        }
        for (address, client_id) in [(broker.tls_v6, "v6-bare"), (scoped, "v6-scoped")] {
            let link = connect(&handle, address, client_id);
            ready(&link).await;
            broker.client().publish(TOPIC, &[b'x'; 200_000]);
            assert_eq!(message(&link).await.len(), 200_000);
            drop(link);
            broker.logged(&format!("Received DISCONNECT from {client_id}")).await;
        }
        let nobody = SocketAddr::new(broker.tls_v6.ip(), broker.plain.port());
        assert_eq!(end(&connect(&handle, nobody, "v6-closed")).await, MqttErrorKind::Refused);
    });
}

#[test]
fn a_mapped_ipv4_address_is_an_ipv4_address() {
    with_broker(&v3(), async |broker, handle| {
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), broker.tls.port());
        ready(&connect(&handle, mapped, "mapped")).await;
    });
}

#[test]
fn large_messages_pass_and_too_large_ones_end_their_link_only() {
    with_broker(&v3(), async |broker, handle| {
        let first = connect(&handle, broker.tls, "first");
        ready(&first).await;
        let (mut bystander, _) = options(broker.tls, "bystander", policy());
        bystander.subscribe = "elsewhere".to_owned();
        let bystander = handle.connect(bystander).unwrap();
        ready(&bystander).await;

        let mut other = broker.client();
        let large: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        other.publish(TOPIC, &large);
        assert_eq!(message(&first).await, large);
        other.publish(TOPIC, &vec![0; MAX_INCOMING + 40_000]);
        assert_eq!(end(&first).await, MqttErrorKind::TooLarge);

        other.publish("elsewhere", b"still here");
        assert_eq!(message(&bystander).await, b"still here");
    });
}

#[test]
fn a_new_link_subscribes_again() {
    with_broker(&v3(), async |broker, handle| {
        let mut other = broker.client();
        for life in 0..3_u8 {
            let link = connect(&handle, broker.tls, "lives");
            ready(&link).await;
            other.publish(TOPIC, &[life]);
            assert_eq!(message(&link).await, [life]);
        }
    });
}

#[test]
fn a_link_whose_caller_stands_still_does_not_hold_up_another() {
    with_broker(&v3(), async |broker, handle| {
        let stuck = connect(&handle, broker.tls, "stuck");
        let (mut brisk, _) = options(broker.tls, "brisk", policy());
        brisk.subscribe = "brisk".to_owned();
        let brisk = handle.connect(brisk).unwrap();
        ready(&stuck).await;
        ready(&brisk).await;

        let mut other = broker.client();
        for number in 0..200_u8 {
            other.publish(TOPIC, &[number; 2000]);
            other.publish("brisk", &[number]);
        }
        for number in 0..200_u8 {
            assert_eq!(message(&brisk).await, [number]);
        }
        assert_eq!(stuck.events.len(), EVENT_QUEUE_MAX, "the queue is full and no fuller");
        // Nothing was lost: what did not fit waited in the connection.
        for number in 0..200_u8 {
            assert_eq!(message(&stuck).await, [number; 2000]);
        }
        // A link that waits for its caller still ends when it is told to.
        for number in 0..200_u8 {
            other.publish(TOPIC, &[number; 2000]);
        }
        wait_until("the queue fills up", || stuck.events.is_full()).await;
        stuck.disconnect();
        broker.logged("Received DISCONNECT from stuck").await;
    });
}

#[test]
fn every_end_from_this_side_says_disconnect() {
    with_broker(&v3(), async |broker, handle| {
        let asked = connect(&handle, broker.tls, "asked");
        ready(&asked).await;
        asked.disconnect();
        broker.logged("Received DISCONNECT from asked").await;
        let after = patiently("the channel ends", asked.events.recv()).await;
        assert!(after.is_err(), "an end that was asked for is no trouble: {after:?}");

        let dropped = connect(&handle, broker.tls, "dropped");
        ready(&dropped).await;
        drop(dropped);
        broker.logged("Received DISCONNECT from dropped").await;
        wait_until("all places are free again", || handle.links() == 0).await;

        let thread = MqttThread::start().unwrap();
        let links = ["last-a", "last-b"].map(|client_id| connect(&thread.handle(), broker.tls, client_id));
        for link in &links {
            ready(link).await;
        }
        thread.shutdown().await.expect("the thread ends in time");
        broker.logged("Received DISCONNECT from last-a").await;
        broker.logged("Received DISCONNECT from last-b").await;
    });
}

#[test]
fn a_peer_that_dies_is_noticed_at_once_and_a_new_link_finds_it_again() {
    smol::block_on(async {
        let identity = v3();
        let thread = MqttThread::start().unwrap();
        let mut broker = Mosquitto::start(&identity).await;
        let link = connect(&thread.handle(), broker.tls, "survivor");
        ready(&link).await;
        broker.kill();
        assert_eq!(end(&link).await, MqttErrorKind::ClosedByPeer);

        let broker = Mosquitto::start(&identity).await;
        let link = connect(&thread.handle(), broker.tls, "survivor");
        ready(&link).await;
        thread.shutdown().await.expect("the thread ends in time");
    });
}

#[test]
fn a_quiet_link_is_kept_alive() {
    with_broker(&v3(), async |broker, handle| {
        let (mut options, _) = options(broker.tls, "quiet", policy());
        options.keep_alive = Duration::from_secs(1);
        let link = handle.connect(options).unwrap();
        ready(&link).await;
        broker.logged("Sending PINGRESP to quiet").await;
        broker.client().publish(TOPIC, b"after a probe");
        assert_eq!(message(&link).await, b"after a probe");
    });
}
