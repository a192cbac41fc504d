//! Being found: takes a name, announces it, answers for it, and gives way when somebody else has it. Pure: packets and times
//! in, packets out.
//!
//! This is the responder of RFC 6762: three probes, two announcements, answers, a goodbye. A name that is taken gets a number
//! behind it. Each network of the device carries the addresses that are true there, all carry the same name.
//!
//! Bounds: a kind of record is sent to a network once a second at most (while somebody else probes for the name, four
//! times), [`UNICAST_PER_SECOND`] answers go to single askers, and who forces one conflict after the other makes us slower,
//! not busier. Whoever asks from outside the network is not heard.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::records::{Names, is_outdone, set};
use super::{Link, MDNS_PORT};
use crate::base::clock::Mono;
use crate::net::dns::{ANY, Packet, Question, Record};

/// Probes before a name is ours.
const PROBES: u8 = 3;
/// Between two probes.
const PROBE_GAP: Duration = Duration::from_millis(250);
/// Announcements once it is.
const ANNOUNCEMENTS: u8 = 2;
/// Between two announcements.
const ANNOUNCE_GAP: Duration = Duration::from_secs(1);
/// Who loses the name to somebody probing at the same time tries again after this pause.
const YIELD: Duration = Duration::from_secs(1);
/// So many conflicts without a success make every further attempt wait for [`CONFLICT_PAUSE`].
const CONFLICTS_MAX: u32 = 15;
/// See [`CONFLICTS_MAX`].
const CONFLICT_PAUSE: Duration = Duration::from_secs(5);
/// A name that was held for this long makes earlier conflicts forgotten.
const HELD: Duration = Duration::from_secs(60);
/// The highest number behind a name; after it the numbers begin anew.
const NUMBER_MAX: u32 = 99;
/// Bytes of the label, so that a number fits behind it.
const LABEL_BYTES_MAX: usize = 60;
/// A record is multicast once in this time.
const REPEAT: Duration = Duration::from_secs(1);
/// The same while a name is defended.
const REPEAT_DEFENDING: Duration = Duration::from_millis(250);
/// Who allows an answer to himself alone gets one if everybody has heard it within this time.
const RECENT: Duration = Duration::from_secs(30);
/// Answers to single askers in a second. An answer is about five times as long as its question.
pub const UNICAST_PER_SECOND: u32 = 20;
/// Seconds that a plain resolver may keep an answer (RFC 6762, section 6.7).
const LEGACY_TTL_S: u32 = 10;

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// On the network with this number.
    pub link: u32,
    /// To somebody alone, or to everybody.
    pub to: Option<SocketAddrV4>,
    /// What.
    pub packet: Packet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is no network.
    Silent,
    Probing {
        sent: u8,
        due: Mono,
    },
    Announcing {
        sent: u8,
        due: Mono,
    },
    Held {
        since: Mono,
    },
}

#[derive(Debug)]
struct Side {
    link: Link,
    /// What is to be answered to everybody, when, and whether somebody wants our name.
    pending: Option<(u8, Mono, bool)>,
    /// When each kind was multicast last, in the order of [`set::EACH`].
    sent: [Option<Mono>; 8],
}

/// The responder.
#[derive(Debug)]
pub struct Responder {
    base: String,
    number: u32,
    listen: IpAddr,
    port: u16,
    names: Option<Names>,
    phase: Phase,
    sides: Vec<Side>,
    own: Vec<IpAddr>,
    conflicts: u32,
    unicast: (Mono, u32),
    random: fastrand::Rng,
}

impl Responder {
    /// For a device that would like to be called `label`, with a page at `listen` and `port`.
    #[must_use]
    pub fn new(label: &str, listen: IpAddr, port: u16, random: fastrand::Rng) -> Responder {
        let mut base = label.to_ascii_lowercase();
        base.truncate(
            (0..=LABEL_BYTES_MAX.min(base.len())).rev().find(|at| base.is_char_boundary(*at)).unwrap_or(0),
        );
        if base.is_empty() {
            base = "printernizer".to_owned();
        }
        let mut responder = Responder {
            base,
            number: 1,
            listen,
            port,
            names: None,
            phase: Phase::Silent,
            sides: Vec::new(),
            own: Vec::new(),
            conflicts: 0,
            unicast: (Mono(0), 0),
            random,
        };
        responder.rename(1);
        responder
    }

    fn rename(&mut self, number: u32) {
        self.number = number;
        self.names = Names::new(&self.label(), self.listen, self.port);
    }

    fn label(&self) -> String {
        if self.number < 2 { self.base.clone() } else { format!("{}-{}", self.base, self.number) }
    }

    /// The name that is ours now, as `printernizer.local`.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        matches!(self.phase, Phase::Announcing { .. } | Phase::Held { .. })
            .then(|| format!("{}.local", self.label()))
    }

    /// The networks are these now. A change makes the name be taken anew: somebody else may have it there.
    pub fn set_links(&mut self, links: &[Link], now: Mono) {
        let Some(names) = &self.names else { return };
        self.own = links
            .iter()
            .flat_map(|link| {
                let v4 = link.v4.iter().map(|(address, _)| IpAddr::V4(*address));
                v4.chain(link.v6.iter().map(|address| IpAddr::V6(*address)))
            })
            .collect();
        let served: Vec<&Link> = links.iter().filter(|link| names.serves(link)).collect();
        if served.len() == self.sides.len()
            && served.iter().zip(&self.sides).all(|(new, old)| **new == old.link)
        {
            return;
        }
        self.sides = served
            .into_iter()
            .map(|link| Side { link: link.clone(), pending: None, sent: [None; 8] })
            .collect();
        self.phase = if self.sides.is_empty() {
            Phase::Silent
        } else {
            // Devices that are switched on together do not speak all at once.
            let due = now.after(Duration::from_millis(self.random.u64(..250)));
            Phase::Probing { sent: 0, due }
        };
    }

    /// When [`Responder::tick`] has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        let phase = match self.phase {
            Phase::Silent | Phase::Held { .. } => None,
            Phase::Probing { due, .. } | Phase::Announcing { due, .. } => Some(due),
        };
        let pending = self.sides.iter().filter_map(|side| side.pending.map(|(_, due, _)| due)).min();
        [phase, pending].into_iter().flatten().min()
    }

    /// What is to be sent by now.
    pub fn tick(&mut self, now: Mono) -> Vec<Out> {
        let Some(names) = self.names.clone() else { return Vec::new() };
        let mut out = Vec::new();
        match self.phase {
            Phase::Probing { sent, due } if now >= due && sent < PROBES => {
                out.extend(self.sides.iter().map(|side| Out {
                    link: side.link.index,
                    to: None,
                    packet: probe(&names, &side.link),
                }));
                self.phase = Phase::Probing { sent: sent + 1, due: now.after(PROBE_GAP) };
            }
            Phase::Probing { due, .. } | Phase::Announcing { due, .. } if now >= due => {
                let sent = if let Phase::Announcing { sent, .. } = self.phase { sent } else { 0 };
                for side in &mut self.sides {
                    note(side, set::ANNOUNCED, now);
                    let answers = names.records(set::ANNOUNCED, &side.link);
                    let packet = Packet { is_response: true, answers, ..Packet::default() };
                    out.push(Out { link: side.link.index, to: None, packet });
                }
                self.phase = if sent + 1 < ANNOUNCEMENTS {
                    Phase::Announcing { sent: sent + 1, due: now.after(ANNOUNCE_GAP) }
                } else {
                    Phase::Held { since: now }
                };
            }
            Phase::Silent | Phase::Probing { .. } | Phase::Announcing { .. } | Phase::Held { .. } => {}
        }
        for side in &mut self.sides {
            let Some((bits, due, defending)) = side.pending else { continue };
            if now < due {
                continue;
            }
            side.pending = None;
            let gap = if defending { REPEAT_DEFENDING } else { REPEAT };
            let bits = without_recent(side, bits, gap, now);
            if bits != 0 {
                note(side, bits, now);
                let packet = answer(&names, &side.link, bits);
                out.push(Out { link: side.link.index, to: None, packet });
            }
        }
        out
    }

    /// Takes in what came from `from` on a network; answers what is to be sent at once.
    pub fn hear(&mut self, link: u32, from: SocketAddrV4, packet: &Packet, now: Mono) -> Vec<Out> {
        let Some(at) = self.sides.iter().position(|side| side.link.index == link) else { return Vec::new() };
        let Some(side) = self.sides.get(at) else { return Vec::new() };
        if !side.link.holds(*from.ip()) {
            return Vec::new();
        }
        if packet.is_response {
            if from.port() == MDNS_PORT {
                self.hear_answer(packet, now);
            }
            return Vec::new();
        }
        match self.phase {
            Phase::Silent => Vec::new(),
            Phase::Probing { .. } => {
                self.hear_rival(at, *from.ip(), packet, now);
                Vec::new()
            }
            Phase::Announcing { .. } | Phase::Held { .. } => self.hear_question(at, from, packet, now),
        }
    }

    fn hear_answer(&mut self, packet: &Packet, now: Mono) {
        let Some(names) = &self.names else { return };
        let claimed =
            packet.records().any(|record| record.ttl_s > 0 && names.is_claimed_by(record, &self.own));
        if !claimed {
            return;
        }
        match self.phase {
            Phase::Silent => {}
            // The name is somebody's: another one.
            Phase::Probing { .. } => {
                self.conflicts = self.conflicts.saturating_add(1);
                self.rename(if self.number >= NUMBER_MAX { 2 } else { self.number + 1 });
                let pause = if self.conflicts >= CONFLICTS_MAX { CONFLICT_PAUSE } else { PROBE_GAP };
                self.phase = Phase::Probing { sent: 0, due: now.after(pause) };
            }
            // Two networks may have been joined. Who has the name is found out as at the beginning.
            Phase::Announcing { .. } | Phase::Held { .. } => {
                if matches!(self.phase, Phase::Held { since } if now.since(since) >= HELD) {
                    self.conflicts = 0;
                }
                self.conflicts = self.conflicts.saturating_add(1);
                let pause = if self.conflicts >= CONFLICTS_MAX { CONFLICT_PAUSE } else { Duration::ZERO };
                self.phase = Phase::Probing { sent: 0, due: now.after(pause) };
            }
        }
    }

    /// Somebody probes for our name at the same time.
    fn hear_rival(&mut self, at: usize, from: Ipv4Addr, packet: &Packet, now: Mono) {
        let (Some(names), Some(side)) = (&self.names, self.sides.get(at)) else { return };
        if self.own.contains(&IpAddr::V4(from)) {
            return; // Our own probe on another network, or somebody beside us on this machine.
        }
        let outdone =
            [(&names.host, set::V4 | set::V6), (&names.page, set::PLACE)].into_iter().any(|(name, bits)| {
                let theirs: Vec<Record> =
                    packet.authorities.iter().filter(|record| record.name == *name).cloned().collect();
                is_outdone(&names.records(bits, &side.link), &theirs)
            });
        if outdone {
            self.phase = Phase::Probing { sent: 0, due: now.after(YIELD) };
        }
    }

    fn hear_question(&mut self, at: usize, from: SocketAddrV4, packet: &Packet, now: Mono) -> Vec<Out> {
        let (Some(names), Some(side)) = (self.names.clone(), self.sides.get_mut(at)) else {
            return Vec::new();
        };
        let asked =
            packet.questions.iter().fold(0, |bits, question| bits | names.asked(question, &side.link));
        let known = |record: &Record| {
            packet.answers.iter().any(|known| {
                known.name == record.name && known.data == record.data && known.ttl_s >= record.ttl_s / 2
            })
        };
        let mut bits = 0;
        for bit in set::EACH.into_iter().filter(|bit| asked & bit != 0) {
            if !names.records(bit, &side.link).iter().all(known) {
                bits |= bit;
            }
        }
        if bits == 0 {
            return Vec::new();
        }
        if from.port() != MDNS_PORT {
            let mut answer = answer(&names, &side.link, bits);
            answer.id = packet.id;
            answer.questions.clone_from(&packet.questions);
            for record in answer.answers.iter_mut().chain(&mut answer.additionals) {
                record.flushes = false;
                record.ttl_s = record.ttl_s.min(LEGACY_TTL_S);
            }
            return self.alone(at, from, answer, now);
        }
        let defending = !packet.authorities.is_empty();
        let alone = packet.questions.iter().all(|question| question.is_unicast) && !defending;
        let recent = set::EACH.into_iter().zip(side.sent).filter(|(bit, _)| bits & bit != 0);
        let heard = recent.clone().all(|(_, at)| at.is_some_and(|at| now.since(at) < RECENT));
        if alone && heard {
            let answer = answer(&names, &side.link, bits);
            return self.alone(at, from, answer, now);
        }
        let pause = match (packet.is_truncated, bits & set::SHARED != 0) {
            (true, _) => self.random.u64(400..500),
            (false, true) => self.random.u64(20..120),
            (false, false) => 0,
        };
        let due = now.after(Duration::from_millis(pause));
        side.pending = Some(match side.pending {
            None => (bits, due, defending),
            Some((other, earlier, was)) => (other | bits, earlier.min(due), was || defending),
        });
        Vec::new()
    }

    fn alone(&mut self, at: usize, to: SocketAddrV4, packet: Packet, now: Mono) -> Vec<Out> {
        if now.since(self.unicast.0) >= Duration::from_secs(1) {
            self.unicast = (now, 0);
        }
        if self.unicast.1 >= UNICAST_PER_SECOND {
            return Vec::new();
        }
        self.unicast.1 += 1;
        self.sides
            .get(at)
            .map(|side| Out { link: side.link.index, to: Some(to), packet })
            .into_iter()
            .collect()
    }

    /// Takes everything back that was announced.
    pub fn goodbye(&mut self) -> Vec<Out> {
        let (Some(names), Some(_)) = (self.names.clone(), self.name()) else { return Vec::new() };
        self.phase = Phase::Silent;
        self.sides
            .iter()
            .map(|side| {
                let mut answers = names.records(set::ANNOUNCED, &side.link);
                answers.iter_mut().for_each(|record| record.ttl_s = 0);
                let packet = Packet { is_response: true, answers, ..Packet::default() };
                Out { link: side.link.index, to: None, packet }
            })
            .collect()
    }
}

/// "Does anybody have these names? I would like them with these records."
fn probe(names: &Names, link: &Link) -> Packet {
    let question =
        |name: &crate::net::dns::Name| Question { name: name.clone(), kind: ANY, is_unicast: true };
    let mut authorities = names.records(set::V4 | set::V6 | set::PLACE, link);
    authorities.iter_mut().for_each(|record| record.flushes = false);
    Packet { questions: vec![question(&names.host), question(&names.page)], authorities, ..Packet::default() }
}

fn answer(names: &Names, link: &Link, bits: u8) -> Packet {
    Packet {
        is_response: true,
        answers: names.records(bits, link),
        additionals: names.records(Names::additional(bits), link),
        ..Packet::default()
    }
}

fn note(side: &mut Side, bits: u8, now: Mono) {
    for (bit, at) in set::EACH.into_iter().zip(&mut side.sent) {
        if bits & bit != 0 {
            *at = Some(now);
        }
    }
}

fn without_recent(side: &Side, bits: u8, gap: Duration, now: Mono) -> u8 {
    let recent = set::EACH
        .into_iter()
        .zip(side.sent)
        .filter(|(_, at)| at.is_some_and(|at| now.since(at) < gap))
        .fold(0, |all, (bit, _)| all | bit);
    bits & !recent
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
