use std::net::Ipv6Addr;

use super::*;
use crate::net::dns::{A, AAAA, Data, NSEC, Name, PTR, SRV};

const EVERYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const START: Mono = Mono(1_000_000);

fn link(index: u32, last: u8) -> Link {
    let net = u8::try_from(index).unwrap();
    Link { name: format!("n{index}"), index, v4: vec![(Ipv4Addr::new(10, 0, net, last), 24)], v6: vec![] }
}

fn responder(links: &[Link]) -> Responder {
    let mut one = Responder::new("Printernizer", EVERYBODY, 8080, fastrand::Rng::with_seed(1));
    one.set_links(links, START);
    one
}

/// Runs until `name` is held or `limit` is over; answers what was sent.
fn run(one: &mut Responder, now: &mut Mono, limit: Duration) -> Vec<Out> {
    let (end, mut out) = (now.after(limit), Vec::new());
    while let Some(due) = one.due().filter(|due| *due <= end) {
        *now = due.max(*now);
        out.extend(one.tick(*now));
    }
    *now = end;
    out
}

fn held(links: &[Link]) -> (Responder, Mono) {
    let (mut one, mut now) = (responder(links), START);
    run(&mut one, &mut now, Duration::from_secs(5));
    assert_eq!(one.name().as_deref(), Some("printernizer.local"));
    (one, now)
}

fn name(text: &str) -> Name {
    Name::new(text.split('.')).unwrap()
}

fn ask(text: &str, kind: u16) -> Packet {
    let question = Question { name: name(text), kind, is_unicast: false };
    Packet { questions: vec![question], ..Packet::default() }
}

fn peer(last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, last), port)
}

fn claim(text: &str, address: [u8; 4]) -> Packet {
    let record = Record { name: name(text), flushes: true, ttl_s: 120, data: Data::A(address.into()) };
    Packet { is_response: true, answers: vec![record], ..Packet::default() }
}

fn kinds(records: &[Record]) -> Vec<u16> {
    records.iter().map(|record| record.data.kind()).collect()
}

#[test]
fn a_name_is_probed_for_thrice_and_announced_twice() {
    let (mut one, mut now) = (responder(&[link(1, 5)]), START);
    assert_eq!(one.name(), None);
    let out = run(&mut one, &mut now, Duration::from_secs(5));
    let [probes @ .., first, second] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!(probes.len(), 3);
    for probe in probes {
        assert_eq!(kinds(&probe.packet.authorities), [A, SRV]);
        assert!(!probe.packet.is_response && probe.packet.questions.iter().all(|one| one.kind == ANY));
    }
    for announcement in [first, second] {
        assert_eq!(kinds(&announcement.packet.answers), [A, PTR, SRV, crate::net::dns::TXT]);
        assert!(announcement.packet.bytes().len() < 512);
    }
    assert_eq!(one.due(), None, "and then there is peace");
    assert_eq!(one.name().as_deref(), Some("printernizer.local"));
}

#[test]
fn questions_get_answers_that_hold_on_their_network() {
    let (mut one, mut now) = held(&[link(1, 5), link(2, 6)]);
    now = now.after(Duration::from_secs(60));
    for (text, kind, answers, additionals) in [
        ("PRINTERNIZER.local", A, vec![A], vec![NSEC]),
        ("printernizer.local", AAAA, vec![NSEC], vec![]),
        ("_http._tcp.local", PTR, vec![PTR], vec![A, NSEC, SRV, crate::net::dns::TXT]),
        ("printernizer._http._tcp.local", SRV, vec![SRV], vec![A, NSEC]),
        ("_services._dns-sd._udp.local", PTR, vec![PTR], vec![]),
    ] {
        now = now.after(Duration::from_secs(5));
        assert!(one.hear(1, peer(9, MDNS_PORT), &ask(text, kind), now).is_empty());
        let out = run(&mut one, &mut now, Duration::from_secs(1));
        assert_eq!(out.len(), 1, "{text} {out:?}");
        assert_eq!((out[0].link, out[0].to), (1, None));
        assert_eq!(
            (kinds(&out[0].packet.answers), kinds(&out[0].packet.additionals)),
            (answers, additionals)
        );
        for record in out[0].packet.records() {
            assert!(!matches!(record.data, Data::A(address) if address.octets()[2] != 1), "{record:?}");
        }
    }
    for (text, kind) in [("other.local", A), ("_ipp._tcp.local", PTR), ("_http._tcp.local", A)] {
        assert!(
            one.hear(1, peer(9, MDNS_PORT), &ask(text, kind), now).is_empty() && one.due().is_none(),
            "{text}"
        );
    }
}

#[test]
fn ipv6_is_announced_where_the_page_listens_to_it() {
    let mut both = link(1, 5);
    both.v6 = vec!["fd00::5".parse().unwrap(), "fe80::5".parse().unwrap()];
    let mut one =
        Responder::new("printernizer", IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80, fastrand::Rng::with_seed(1));
    one.set_links(std::slice::from_ref(&both), START);
    let mut now = START;
    let out = run(&mut one, &mut now, Duration::from_secs(5));
    let answers = &out.last().unwrap().packet.answers;
    assert_eq!(
        kinds(answers).iter().filter(|kind| **kind == AAAA).count(),
        1,
        "no link-local one: {answers:?}"
    );
    // A page on one address is announced on its network only.
    let mut narrow =
        Responder::new("printernizer", IpAddr::V4(Ipv4Addr::new(10, 0, 2, 6)), 80, fastrand::Rng::new());
    narrow.set_links(&[link(1, 5), link(2, 6)], START);
    let mut now = START;
    assert!(run(&mut narrow, &mut now, Duration::from_secs(5)).iter().all(|out| out.link == 2));
}

#[test]
fn what_is_known_already_is_not_said_and_nothing_is_repeated_within_a_second() {
    let (mut one, mut now) = held(&[link(1, 5)]);
    now = now.after(Duration::from_secs(60));
    let mut knowing = ask("_http._tcp.local", PTR);
    let data = Data::Ptr(name("printernizer._http._tcp.local"));
    knowing.answers = vec![Record { name: name("_http._tcp.local"), flushes: false, ttl_s: 4000, data }];
    assert!(one.hear(1, peer(9, MDNS_PORT), &knowing, now).is_empty() && one.due().is_none());
    knowing.answers[0].ttl_s = 100;
    let _ = one.hear(1, peer(9, MDNS_PORT), &knowing, now);
    assert_eq!(
        run(&mut one, &mut now, Duration::from_secs(5)).len(),
        1,
        "what is nearly forgotten is said again"
    );
    // A hundred askers in a second are answered once.
    let mut sent = 0;
    for n in 0..100 {
        let moment = now.after(Duration::from_millis(9 * n));
        sent += one.hear(1, peer(9, MDNS_PORT), &ask("printernizer.local", A), moment).len();
        sent += one.tick(moment).len();
    }
    assert_eq!(sent, 1);
}

#[test]
fn plain_resolvers_are_answered_alone_and_not_too_often() {
    let (mut one, now) = held(&[link(1, 5)]);
    let mut question = ask("printernizer.local", A);
    question.id = 77;
    let out = one.hear(1, peer(9, 40_000), &question, now);
    assert_eq!(out[0].to, Some(peer(9, 40_000)));
    let packet = &out[0].packet;
    assert_eq!((packet.id, packet.questions.len()), (77, 1));
    assert!(packet.records().all(|record| !record.flushes && record.ttl_s <= LEGACY_TTL_S));
    let more: usize = (0..1000).map(|_| one.hear(1, peer(9, 40_000), &question, now).len()).sum();
    assert_eq!(more, UNICAST_PER_SECOND as usize - 1);
    // From outside of the network nobody is heard.
    let far = SocketAddrV4::new(Ipv4Addr::new(192, 168, 9, 9), 40_000);
    assert!(one.hear(1, far, &question, now.after(Duration::from_secs(5))).is_empty());
    let far = SocketAddrV4::new(Ipv4Addr::new(192, 168, 9, 9), MDNS_PORT);
    let _ = one.hear(1, far, &claim("printernizer.local", [192, 168, 9, 9]), now);
    assert!(one.name().is_some());
}

#[test]
fn who_allows_it_is_answered_alone_if_everybody_knows() {
    let (mut one, now) = held(&[link(1, 5)]);
    let mut question = ask("printernizer.local", A);
    question.questions[0].is_unicast = true;
    assert_eq!(one.hear(1, peer(9, MDNS_PORT), &question, now)[0].to, Some(peer(9, MDNS_PORT)));
    let later = now.after(RECENT);
    assert!(one.hear(1, peer(9, MDNS_PORT), &question, later).is_empty());
    assert_eq!(one.tick(later)[0].to, None);
}

#[test]
fn a_taken_name_gets_a_number() {
    let (mut one, mut now) = (responder(&[link(1, 5)]), START);
    now = now.after(Duration::from_millis(300));
    assert_eq!(one.tick(now).len(), 1);
    let _ = one.hear(1, peer(9, MDNS_PORT), &claim("printernizer.local", [10, 0, 1, 9]), now);
    run(&mut one, &mut now, Duration::from_secs(5));
    assert_eq!(one.name().as_deref(), Some("printernizer-2.local"));
    // The number stays when the networks change, and the old name is the other's.
    let _ = one.hear(1, peer(9, MDNS_PORT), &claim("printernizer.local", [10, 0, 1, 9]), now);
    assert_eq!(one.name().as_deref(), Some("printernizer-2.local"));
    one.set_links(&[link(1, 7)], now);
    run(&mut one, &mut now, Duration::from_secs(5));
    assert_eq!(one.name().as_deref(), Some("printernizer-2.local"));
}

#[test]
fn two_devices_that_begin_together_end_with_two_names() {
    // 10.0.1.5 and 10.0.1.9 hear each other; the later address wins the name.
    let mut both = [responder(&[link(1, 5)]), responder(&[link(1, 9)])];
    let mut now = START;
    for _ in 0..4000 {
        now = now.after(Duration::from_millis(5));
        for speaker in 0..2 {
            let out = both[speaker].tick(now);
            for said in out {
                let from = peer(if speaker == 0 { 5 } else { 9 }, MDNS_PORT);
                // Everybody hears it, the speaker too, in the form in which it travels.
                let packet = Packet::parse(&said.packet.bytes()).unwrap();
                for (listener, other) in both.iter_mut().enumerate() {
                    for back in other.hear(1, from, &packet, now) {
                        assert!(listener != speaker, "nobody answers himself: {back:?}");
                    }
                }
            }
        }
    }
    let [first, second] = both;
    assert_eq!(second.name().as_deref(), Some("printernizer.local"));
    assert_eq!(first.name().as_deref(), Some("printernizer-2.local"));
}

#[test]
fn a_held_name_is_defended_against_probes() {
    let (mut one, mut now) = held(&[link(1, 5)]);
    now = now.after(Duration::from_millis(300));
    let mut rival = ask("printernizer.local", ANY);
    rival.questions[0].is_unicast = true;
    rival.authorities = claim("printernizer.local", [10, 0, 1, 200]).answers;
    assert!(one.hear(1, peer(200, MDNS_PORT), &rival, now).is_empty());
    let out = run(&mut one, &mut now, Duration::from_millis(10));
    assert_eq!(out[0].to, None);
    assert_eq!(kinds(&out[0].packet.answers)[0], A);
    assert_eq!(one.name().as_deref(), Some("printernizer.local"));
}

#[test]
fn our_own_words_on_another_network_are_no_conflict() {
    let (mut one, now) = held(&[link(1, 5), link(2, 6)]);
    let ours = claim("printernizer.local", [10, 0, 2, 6]);
    let _ = one.hear(1, peer(5, MDNS_PORT), &ours, now);
    assert!(one.name().is_some());
    let theirs = claim("printernizer.local", [10, 0, 2, 99]);
    let _ = one.hear(1, peer(5, MDNS_PORT), &theirs, now);
    assert_eq!(one.name(), None, "a conflict makes it ask again");
}

#[test]
fn endless_conflicts_make_it_slower_not_busier() {
    let (mut one, mut now) = (responder(&[link(1, 5)]), START);
    let mut sent = 0;
    for _ in 0..60_000 {
        now = now.after(Duration::from_millis(10));
        sent += one.tick(now).len();
        let label = one.label();
        let _ = one.hear(1, peer(9, MDNS_PORT), &claim(&format!("{label}.local"), [10, 0, 1, 9]), now);
    }
    assert!(sent <= 150, "{sent} packets in ten minutes of conflicts");
    assert!(one.number <= NUMBER_MAX);
    // When it is over the next name is taken.
    run(&mut one, &mut now, Duration::from_secs(10));
    assert!(one.name().is_some());
}

#[test]
fn a_goodbye_takes_everything_back_once() {
    let (mut one, _) = held(&[link(1, 5), link(2, 6)]);
    let out = one.goodbye();
    assert_eq!(out.len(), 2);
    assert!(out.iter().flat_map(|out| &out.packet.answers).all(|record| record.ttl_s == 0));
    assert!(one.goodbye().is_empty());
    assert!(responder(&[link(1, 5)]).goodbye().is_empty(), "what was not announced is not taken back");
}

#[test]
fn without_a_network_nothing_is_said_and_one_may_come_later() {
    let (mut one, mut now) = (responder(&[]), START);
    assert!(run(&mut one, &mut now, Duration::from_secs(60)).is_empty());
    one.set_links(&[link(1, 5)], now);
    assert_eq!(run(&mut one, &mut now, Duration::from_secs(5)).len(), 5);
    one.set_links(&[], now);
    assert_eq!((one.name(), one.due()), (None, None));
}

#[test]
fn long_and_odd_labels_do_no_harm() {
    for label in ["x".repeat(80), "ä".repeat(60), String::new()] {
        let mut one = Responder::new(&label, EVERYBODY, 80, fastrand::Rng::new());
        one.set_links(&[link(1, 5)], START);
        let mut now = START;
        run(&mut one, &mut now, Duration::from_secs(5));
        one.rename(NUMBER_MAX);
        assert!(one.names.is_some());
    }
}
