use super::*;

fn name(text: &str) -> Name {
    Name::new(text.split('.')).unwrap()
}

fn full() -> Packet {
    let record = |owner: &str, data| Record { name: name(owner), flushes: true, ttl_s: 120, data };
    Packet {
        id: 7,
        is_response: true,
        is_truncated: false,
        questions: vec![Question { name: name("a.local"), kind: ANY, is_unicast: true }],
        answers: vec![
            record("a.local", Data::A(Ipv4Addr::new(10, 0, 0, 1))),
            record("a.local", Data::Aaaa(Ipv6Addr::LOCALHOST)),
            record("_x._tcp.local", Data::Ptr(Name::new(["A b.c", "_x", "_tcp", "local"]).unwrap())),
        ],
        authorities: vec![record("i._x._tcp.local", Data::Srv { port: 80, target: name("a.local") })],
        additionals: vec![
            record("i._x._tcp.local", Data::Txt(b"\x06path=/".to_vec())),
            record("a.local", Data::Nsec(vec![A, AAAA])),
            record("a.local", Data::Other(13, vec![1, 2])),
        ],
    }
}

#[test]
fn what_is_written_is_read_again() {
    let packet = full();
    assert_eq!(Packet::parse(&packet.bytes()), Some(packet));
}

#[test]
fn names_are_compared_without_case_and_keep_their_bytes() {
    assert_eq!(name("PRUSA-mk4.Local"), name("prusa-MK4.local"));
    assert_ne!(name("a.local"), name("a.b.local"));
    assert_eq!(name("Prusa-MK4.local").host().as_deref(), Some("prusa-mk4.local"));
    assert_eq!(Name::new(["a b", "local"]).unwrap().host(), None);
    assert_eq!(Name::new(["a b", "local"]).unwrap().parent(), Some(name("local")));
    assert_eq!((Name::root().host(), Name::root().parent()), (None, None));
    assert!(Name::new(["x".repeat(64)]).is_none() && Name::new([""]).is_none());
    assert!(Name::new(vec!["x".repeat(60); 5]).is_none());
}

#[test]
fn compressed_names_are_read_also_inside_of_data() {
    // A pointer record whose owner and target both point at the question's name.
    let mut bytes = b"\0\0\x84\0\0\x01\0\x01\0\0\0\0\x02_x\x05local\0\0\x0c\0\x01".to_vec();
    bytes.extend(b"\xc0\x0c\0\x0c\0\x01\0\0\0\x78\0\x06\x03Abc\xc0\x0c");
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.answers[0].name, name("_x.local"));
    assert_eq!(packet.answers[0].data, Data::Ptr(name("abc._x.local")));
}

#[test]
fn a_packet_cut_at_any_byte_is_none_and_every_changed_byte_ends() {
    let bytes = full().bytes();
    for cut in 0..bytes.len() {
        assert_eq!(Packet::parse(&bytes[..cut]), None, "cut at {cut}");
    }
    for at in 0..bytes.len() {
        for value in [0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = Packet::parse(&changed); // It may be right or wrong, but it ends.
        }
    }
}

#[test]
fn circles_and_excesses_are_refused() {
    let head = b"\0\0\x84\0\0\0\0\x01\0\0\0\0";
    let with = |owner: &[u8]| {
        Packet::parse(&[&head[..], owner, b"\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\0\0\x01"].concat())
    };
    assert!(with(b"\x01a\0").is_some());
    for owner in [&b"\xc0\x0c"[..], b"\x01a\xc0\x0c", b"\xc0\x20", b"\x40\0", &[63; 300]] {
        assert_eq!(with(owner), None, "{owner:?}");
    }
    let mut many = head.to_vec();
    many[4..12].fill(0xff);
    assert_eq!(Packet::parse(&many), None, "more records than there can be");
    assert_eq!(Packet::parse(&vec![0; PACKET_BYTES_MAX + 1]), None);
    let mut update = full().bytes();
    update[2] |= 0x28;
    assert_eq!(Packet::parse(&update), None, "another operation");
}

/// Random bytes, and real packets with random damage, neither panic nor grow.
#[test]
fn random_packets_end() {
    let mut random = fastrand::Rng::with_seed(20_261_126);
    let good = full().bytes();
    for turn in 0..40_000 {
        let mut bytes = if turn % 2 == 0 {
            (0..random.usize(..200)).map(|_| random.u8(..)).collect()
        } else {
            good.clone()
        };
        for _ in 0..random.usize(..6) {
            if let Some(at) = (!bytes.is_empty()).then(|| random.usize(..bytes.len())) {
                bytes[at] = random.u8(..);
            }
        }
        if let Some(packet) = Packet::parse(&bytes) {
            // What could be read can be written, and is the same then.
            let again = Packet::parse(&packet.bytes());
            if packet.bytes().len() <= PACKET_BYTES_MAX && !holds_odd_text(&packet) {
                assert_eq!(again, Some(packet));
            }
        }
    }
}

/// Kinds that are known under a number of their own are not what `Other` holds.
fn holds_odd_text(packet: &Packet) -> bool {
    packet.records().chain(&packet.authorities).any(|record| matches!(record.data, Data::Other(..)))
}
