//! One question by multicast DNS: who is `name.local`?
//!
//! This is the one-shot query of RFC 6762 section 5.1: the question leaves from any free port, so those who know the answer
//! send it straight back to that port (section 6.7) and no group needs to be joined. IPv4 only, on the interface of the
//! default multicast route; an IPv6 address that comes back is used unless it is link-local, because the interface it
//! belongs to would have to be guessed. Nothing is announced, cached or browsed here.
//!
//! Bounds: [`ROUNDS`] rounds of [`ROUND`], [`PACKETS_MAX`] answers looked at, packets of [`PACKET_BYTES_MAX`] bytes,
//! read in [`crate::net::dns`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use smol::net::UdpSocket;

use crate::base::clock::{Clock, within};
use crate::net::dns::{A, AAAA, Data, Name, PACKET_BYTES_MAX, Packet, Question};

/// Where multicast DNS listens.
pub(super) const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), 5353);

/// How often the question is put: a packet on a wireless network gets lost easily, and multicast is not repeated.
const ROUNDS: u32 = 3;

/// How long each round waits. Those who answer do so within 120 ms, sleeping radios within a second.
const ROUND: Duration = Duration::from_secs(1);

/// Packets looked at in all, right or wrong. The network may be full of other answers, or of somebody's rubbish.
const PACKETS_MAX: usize = 64;

/// Asks for `name` and waits for the first usable answer; [`None`] if nobody gave one.
///
/// The first round asks for IPv4 alone, so that a peer with both is reached by the address that is preferred.
///
/// # Errors
/// If there is no socket or no way to the group.
pub(super) async fn ask(clock: &Clock, group: SocketAddr, name: &str) -> io::Result<Option<IpAddr>> {
    // The caller has checked the labels; a name that cannot be asked for is nobody's.
    let Some(name) = Name::new(name.split('.')) else {
        return Ok(None);
    };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let id = fastrand::u16(1..);
    let mut packets_left = PACKETS_MAX;
    for round in 0..ROUNDS {
        let kinds: &[u16] = if round == 0 { &[A] } else { &[A, AAAA] };
        for kind in kinds {
            socket.send_to(&question(id, &name, *kind).bytes(), group).await?;
        }
        let answered = within(clock, ROUND, listen(&socket, id, &name, &mut packets_left)).await;
        match answered {
            Some(Ok(Some(address))) => return Ok(Some(address)),
            // Too much rubbish to go on.
            Some(Ok(None)) => return Ok(None),
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    Ok(None)
}

/// Reads packets until one has the answer, or too many have come.
async fn listen(
    socket: &UdpSocket,
    id: u16,
    name: &Name,
    packets_left: &mut usize,
) -> io::Result<Option<IpAddr>> {
    let mut buffer = vec![0; PACKET_BYTES_MAX]; // not in the task, which is as large as its largest wait
    while *packets_left > 0 {
        let (length, _from) = socket.recv_from(&mut buffer).await?;
        *packets_left -= 1;
        let address = buffer.get(..length).and_then(|packet| answer(packet, id, name));
        if address.is_some() {
            return Ok(address);
        }
    }
    Ok(None)
}

/// A packet with one question.
fn question(id: u16, name: &Name, kind: u16) -> Packet {
    let question = Question { name: name.clone(), kind, is_unicast: false };
    Packet { id, questions: vec![question], ..Packet::default() }
}

/// The address that `packet` gives for `name`, if it answers question `id`. IPv4 before IPv6.
fn answer(packet: &[u8], id: u16, name: &Name) -> Option<IpAddr> {
    let packet = Packet::parse(packet).filter(|packet| packet.is_response && packet.id == id)?;
    // A record without time to live is being taken back.
    let ours = packet.records().filter(|record| record.name == *name && record.ttl_s > 0);
    let mut v6 = None;
    for record in ours {
        match record.data {
            Data::A(v4) if !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast() => {
                return Some(IpAddr::V4(v4));
            }
            Data::Aaaa(address)
                if !address.is_unspecified()
                    && !address.is_multicast()
                    && !address.is_unicast_link_local() =>
            {
                v6.get_or_insert(IpAddr::V6(address));
            }
            _ => {}
        }
    }
    v6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::RELEASE_FLOOR;

    const NAME: &str = "peer-7.local";
    const TYPE_A: u16 = A;
    const TYPE_AAAA: u16 = AAAA;
    const ID: u16 = 0x1234;
    const V4: [u8; 4] = [192, 168, 7, 9];
    const V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

    fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
        super::question(id, &Name::new(name.split('.')).unwrap(), kind).bytes()
    }

    fn answer(packet: &[u8], id: u16, name: &str) -> Option<IpAddr> {
        super::answer(packet, id, &Name::new(name.split('.')).unwrap())
    }

    fn labels(name: &str) -> Vec<u8> {
        let body = name.split('.').flat_map(|l| [&[u8::try_from(l.len()).unwrap()], l.as_bytes()].concat());
        body.chain([0]).collect()
    }

    fn record(name: &[u8], kind: u16, class: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        let fixed = [kind.to_be_bytes(), class.to_be_bytes(), [0, 0], [0, 10], length.to_be_bytes()].concat();
        [name, &fixed, data].concat()
    }

    /// An answer that repeats the question, as the rule for such askers wants it.
    fn reply(question: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = question.to_vec();
        packet[2] = 0x84;
        packet[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        packet.extend(records.concat());
        packet
    }

    /// Points at the name in the repeated question.
    const POINTER: [u8; 2] = [0xc0, 12];

    fn v4() -> Option<IpAddr> {
        Some(IpAddr::from(V4))
    }

    #[test]
    fn a_question_is_what_the_rfc_says() {
        let packet = question(ID, "a.local", TYPE_A);
        let expected = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x01a\x05local\0\0\x01\0\x01";
        assert_eq!(packet, expected);
        assert_eq!(answer(&packet, ID, "a.local"), None, "a question is no answer");
    }

    #[test]
    fn both_kinds_of_addresses_are_found_and_ipv4_is_preferred() {
        let asked = question(ID, NAME, TYPE_A);
        let a = record(&POINTER, TYPE_A, 0x8001, &V4);
        let aaaa = record(&labels("PEER-7.Local"), TYPE_AAAA, 1, &V6);
        assert_eq!(answer(&reply(&asked, std::slice::from_ref(&a)), ID, NAME), v4());
        assert_eq!(answer(&reply(&asked, &[aaaa.clone(), a]), ID, NAME), v4());
        assert_eq!(answer(&reply(&asked, &[aaaa]), ID, NAME), Some(IpAddr::from(V6)));
    }

    #[test]
    fn what_is_not_meant_for_us_is_passed_over() {
        let asked = question(ID, NAME, TYPE_A);
        let link_local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let useless = [
            record(&labels("other.local"), TYPE_A, 1, &[10, 0, 0, 1]),
            record(&labels("sub.peer-7.local"), TYPE_A, 1, &[10, 0, 0, 2]),
            record(&labels("peer-7"), TYPE_A, 1, &[10, 0, 0, 3]),
            record(&POINTER, 16, 1, b"text"),
            record(&POINTER, TYPE_A, 3, &[10, 0, 0, 4]),
            record(&POINTER, TYPE_A, 1, &[224, 0, 0, 1]),
            record(&POINTER, TYPE_A, 1, &[0, 0, 0, 0]),
            record(&POINTER, TYPE_AAAA, 1, &link_local),
        ];
        assert_eq!(answer(&reply(&asked, &useless), ID, NAME), None);
        let good = [&useless[..], &[record(&POINTER, TYPE_A, 1, &V4)]].concat();
        assert_eq!(answer(&reply(&asked, &good), ID, NAME), v4());
        assert_eq!(answer(&reply(&asked, &good), ID + 1, NAME), None);
    }

    #[test]
    fn a_record_that_is_taken_back_is_no_answer() {
        let asked = question(ID, NAME, TYPE_A);
        let mut packet = reply(&asked, &[record(&POINTER, TYPE_A, 1, &V4)]);
        let ttl = packet.len() - 10;
        packet[ttl..ttl + 4].fill(0);
        assert_eq!(answer(&packet, ID, NAME), None);
    }

    #[test]
    fn an_answer_cut_at_any_byte_is_none() {
        let asked = question(ID, NAME, TYPE_A);
        let packet = reply(&asked, &[record(&POINTER, TYPE_A, 1, &V4)]);
        for cut in 0..packet.len() {
            assert_eq!(answer(&packet[..cut], ID, NAME), None, "cut at {cut}");
        }
    }

    #[test]
    fn hostile_packets_end() {
        let asked = question(ID, NAME, TYPE_A);
        let with_name = |name: &[u8]| answer(&reply(&asked, &[record(name, TYPE_A, 1, &V4)]), ID, NAME);
        let at = u8::try_from(asked.len()).unwrap();
        assert_eq!(with_name(&[0xc0, at]), None, "a pointer to itself");
        assert_eq!(with_name(&[1, b'a', 0xc0, at]), None, "a pointer in a circle");
        assert_eq!(with_name(&[0xc0, at + 9]), None, "a pointer forward");
        assert_eq!(with_name(&[0x40, 0]), None, "a label of no known kind");
        assert_eq!(with_name(&[63; 200]), None, "a name without end");
        assert_eq!(answer(&reply(&asked, &[record(&POINTER, TYPE_A, 1, &[1, 2])]), ID, NAME), None);
        let mut many = reply(&asked, &[]);
        many[6..12].fill(0xff);
        assert_eq!(answer(&many, ID, NAME), None, "more records than anybody has");
        let good = reply(&asked, &[record(&POINTER, TYPE_A, 1, &V4)]);
        for at in 0..good.len() {
            for value in [0x00, 0x01, 0x3f, 0x7f, 0x80, 0xc0, 0xff] {
                let mut changed = good.clone();
                changed[at] = value;
                let _ = answer(&changed, ID, NAME); // it may be right or wrong, but it ends
            }
        }
    }

    async fn responder() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[test]
    fn a_responder_is_found_behind_rubbish() {
        smol::block_on(async {
            let (socket, address) = responder().await;
            let answering = async {
                let mut buffer = [0; 512];
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let asked = &buffer[..length];
                socket.send_to(b"rubbish", from).await.unwrap();
                socket.send_to(&reply(asked, &[record(&POINTER, TYPE_A, 0x8001, &V4)]), from).await.unwrap();
            };
            let clock = Clock::manual(RELEASE_FLOOR);
            let (found, ()) = smol::future::zip(ask(&clock, address, NAME), answering).await;
            assert_eq!(found.unwrap(), v4());
        });
    }

    #[test]
    fn silence_is_asked_again_and_then_believed() {
        smol::block_on(async {
            let (socket, address) = responder().await;
            let clock = Clock::manual(RELEASE_FLOOR);
            let counting = async {
                let mut kinds = Vec::new();
                for expected in [1, 3, 5] {
                    while kinds.len() < expected {
                        let mut buffer = [0; 512];
                        let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
                        kinds.push(buffer[length - 3]);
                    }
                    // The asker waits by now or will in a moment: the clock is moved until the next round comes.
                    clock.advance(ROUND);
                }
                kinds
            };
            let moving = async {
                loop {
                    smol::Timer::after(Duration::from_millis(5)).await;
                    clock.advance(ROUND / 10);
                }
            };
            let asking = smol::future::zip(ask(&clock, address, NAME), counting);
            let (found, kinds) = smol::future::or(asking, moving).await;
            assert_eq!(found.unwrap(), None);
            assert_eq!(kinds, [1, 1, 28, 1, 28]);
        });
    }

    #[test]
    fn a_flood_of_rubbish_ends_the_question() {
        smol::block_on(async {
            let (socket, address) = responder().await;
            let flooding = async {
                let mut buffer = [0; 512];
                let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
                for _ in 0..PACKETS_MAX {
                    socket.send_to(b"rubbish", from).await.unwrap();
                }
            };
            let clock = Clock::manual(RELEASE_FLOOR);
            let (found, ()) = smol::future::zip(ask(&clock, address, NAME), flooding).await;
            assert_eq!(found.unwrap(), None);
        });
    }
}
