//! The task that speaks multicast DNS: announces the device, and asks for Prusa printers.
//!
//! One socket for each network, opened and closed as networks come and go. Printers are asked for when a network is new, when
//! somebody wants to know, when a printer of the list is lost and once a minute while it is, and every ten minutes otherwise.
//!
//! A restart of the task announces again and asks again.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use smol::Async;
use smol::future::FutureExt as _;

use super::browse::{Announced, Browse};
use super::responder::{Out, Responder};
use super::sockets::{self, Came};
use super::{Allowance, Deps, HeardPrinter, LINKS_EVERY, Link, MDNS_PORT, Side, following};
use crate::base::clock::{Mono, Now};
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::model::PrinterType;
use crate::net::dns::{PACKET_BYTES_MAX, Packet};

/// Questions of one round: a packet on a wireless network gets lost easily.
const ROUND: u32 = 3;
/// Between the first and the second question of a round; doubled after each.
const ROUND_GAP: Duration = Duration::from_secs(1);
/// Between two rounds.
const ASK_EVERY: Duration = Duration::from_secs(600);
/// The same while a printer is lost.
const ASK_WHILE_LOST: Duration = Duration::from_secs(60);
/// A printer that is newly lost is asked for sooner, but not sooner than this after the last round.
const ASK_NEWLY_LOST: Duration = Duration::from_secs(5);
/// Whoever wants to know does so at most this often.
const ASK_GAP: Duration = Duration::from_secs(2);
/// What an answer left open is asked for at most this often.
const OPEN_GAP: Duration = Duration::from_secs(1);

/// Speaks until stop, and says goodbye.
///
/// # Errors
/// None; what does not work is tried again.
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    let start = context.clock.now().mono;
    let mut voice = Voice::new(deps, start);
    let mut allowance = Allowance::default();
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    let (mut deaf_until, mut first) = (Mono(0), 0);
    loop {
        let asked = voice.deps.handle.asked();
        let now = context.clock.now().mono;
        if voice.deps.handle.take_wanted() {
            voice.wanted(now);
        }
        voice.tick(now);
        let deaf = now < deaf_until;
        let work = async {
            let heard = async {
                if deaf || voice.sides.is_empty() {
                    std::future::pending().await
                } else {
                    let sockets: Vec<_> = voice.sides.iter().map(|(_, socket)| socket).collect();
                    Some(sockets::any(&sockets, first, &mut buffer).await)
                }
            };
            let asked = async {
                asked.await;
                None
            };
            heard.or(asked).await
        };
        let until = if deaf { voice.due().min(deaf_until) } else { voice.due() };
        match context.wait_until(until, work).await {
            Wake::Stop => {
                voice.goodbye();
                return Ok(());
            }
            Wake::Timer | Wake::Ready(None) => {}
            Wake::Ready(Some(Came::Broken(at, error))) => {
                log::debug!("lan: a socket of multicast DNS broke: {error}");
                voice.broken(at);
            }
            Wake::Ready(Some(Came::Datagram(at, length, from))) => {
                first = at + 1;
                let now = context.clock.now();
                if let Err(until) = allowance.take(now.mono) {
                    deaf_until = until;
                    voice.deps.handle.change(|state| state.floods += 1);
                    continue;
                }
                voice.deps.handle.change(|state| state.datagrams += 1);
                if let Some(packet) = buffer.get(..length).and_then(Packet::parse) {
                    voice.hear(at, from, &packet, now.mono);
                    voice.tell(*from.ip(), now);
                }
            }
        }
    }
}

/// A round of questions that is under way.
#[derive(Clone, Copy, Debug)]
struct Round {
    left: u32,
    due: Mono,
    gap: Duration,
}

struct Voice {
    deps: Deps,
    sides: Vec<(Link, Async<UdpSocket>)>,
    responder: Option<Responder>,
    /// What the responder would like to have.
    label: String,
    browse: Browse,
    links_due: Mono,
    round: Option<Round>,
    asked_last: Option<Mono>,
    /// A round was begun since a printer was lost.
    asked_for_lost: bool,
    open_last: Option<Mono>,
}

impl Voice {
    fn new(deps: Deps, now: Mono) -> Voice {
        let (address, port) = deps.page;
        let (announce, label) = (deps.config.announces(address), deps.label());
        let responder = announce.then(|| Responder::new(&label, address, port, fastrand::Rng::new()));
        Voice {
            deps,
            sides: Vec::new(),
            responder,
            label,
            browse: Browse::default(),
            links_due: now,
            round: None,
            asked_last: None,
            asked_for_lost: false,
            open_last: None,
        }
    }

    /// When something is to be done.
    fn due(&self) -> Mono {
        let responder = self.responder.as_ref().and_then(Responder::due);
        let round = self.round.map(|round| round.due);
        [responder, round].into_iter().flatten().fold(self.links_due, Mono::min)
    }

    fn tick(&mut self, now: Mono) {
        if now >= self.links_due {
            self.links_due = now.after(LINKS_EVERY);
            self.look(now);
            self.begin_round_if_due(now);
        }
        if let Some(round) = self.round.filter(|round| now >= round.due) {
            let question = self.browse.question(now).bytes();
            for (_, socket) in &self.sides {
                sockets::send(socket, &question, None);
            }
            let next =
                Round { left: round.left.saturating_sub(1), due: now.after(round.gap), gap: round.gap * 2 };
            self.round = Some(next).filter(|round| round.left > 0);
        }
        let out = self.responder.as_mut().map(|responder| responder.tick(now)).unwrap_or_default();
        self.send(out);
        self.show_name();
    }

    /// Opens sockets on new networks and closes those of networks that are gone.
    fn look(&mut self, now: Mono) {
        let links = (self.deps.links)();
        let mut failure = None;
        self.sides
            .retain(|(link, _)| links.iter().any(|new| new.index == link.index && new.name == link.name));
        let mut is_new = false;
        for link in &links {
            match self.sides.iter_mut().find(|(known, _)| known.index == link.index) {
                Some((known, _)) => {
                    is_new |= known != link;
                    known.clone_from(link);
                }
                None => match sockets::names(link) {
                    Ok(socket) => {
                        is_new = true;
                        self.sides.push((link.clone(), socket));
                    }
                    Err(error) => failure = Some(format!("no multicast DNS on {}: {error}", link.name)),
                },
            }
        }
        let label = self.deps.label();
        if label != self.label && self.responder.is_some() {
            // The settings have another name now.
            self.goodbye();
            let (address, port) = self.deps.page;
            self.responder = Some(Responder::new(&label, address, port, fastrand::Rng::new()));
            self.label = label;
        }
        let open: Vec<Link> = self.sides.iter().map(|(link, _)| link.clone()).collect();
        if let Some(responder) = &mut self.responder {
            responder.set_links(&open, now);
        }
        if is_new {
            self.begin_round(now);
        }
        let side = match failure {
            _ if links.is_empty() => Side::NoNetwork,
            Some(why) => Side::Failed(why),
            None => Side::Works,
        };
        let names = links.iter().map(|link| link.name.clone()).collect();
        self.deps.handle.change(|state| {
            if state.names != side {
                log::info!("lan: multicast DNS: {side:?}");
            }
            if side == Side::Works {
                state.since.get_or_insert(now);
            }
            (state.names, state.links) = (side, names);
        });
    }

    fn begin_round_if_due(&mut self, now: Mono) {
        let is_lost = self.deps.registry.all().iter().any(following::is_lost);
        let every = match (is_lost, self.asked_for_lost) {
            (true, false) => ASK_NEWLY_LOST,
            (true, true) => ASK_WHILE_LOST,
            (false, _) => ASK_EVERY,
        };
        self.asked_for_lost &= is_lost;
        if self.asked_last.is_none_or(|last| now.since(last) >= every) {
            self.begin_round(now);
            self.asked_for_lost = is_lost;
        }
    }

    fn begin_round(&mut self, now: Mono) {
        if self.deps.config.find_printers && !self.sides.is_empty() {
            self.asked_last = Some(now);
            self.round = Some(Round { left: ROUND, due: now, gap: ROUND_GAP });
        }
    }

    /// Somebody wants to know who is there.
    fn wanted(&mut self, now: Mono) {
        if self.asked_last.is_none_or(|last| now.since(last) >= ASK_GAP) {
            self.begin_round(now);
        }
    }

    fn hear(&mut self, at: usize, from: SocketAddrV4, packet: &Packet, now: Mono) {
        let Some((link, socket)) = self.sides.get(at) else { return };
        let index = link.index;
        // Answers from another port are none (RFC 6762, section 6); from another network neither.
        if self.deps.config.find_printers && from.port() == MDNS_PORT && link.holds(*from.ip()) {
            self.browse.hear(packet, now);
            let is_due = self.open_last.is_none_or(|last| now.since(last) >= OPEN_GAP);
            if packet.is_response
                && is_due
                && let Some(question) = self.browse.open_question(now)
            {
                self.open_last = Some(now);
                sockets::send(socket, &question.bytes(), None);
            }
        }
        if let Some(responder) = &mut self.responder {
            let out = responder.hear(index, from, packet, now);
            self.send(out);
        }
    }

    /// Tells which printers the packet of this moment, which came from `source`, spoke of.
    fn tell(&mut self, source: Ipv4Addr, now: Now) {
        let announced = self.browse.announced(now.mono);
        let links: Vec<Link> = self.sides.iter().map(|(link, _)| link.clone()).collect();
        for Announced { name, hostname, address, port, .. } in
            announced.into_iter().filter(|one| one.heard == now.mono)
        {
            let heard = HeardPrinter {
                kind: PrinterType::PrusaLink,
                serial: None,
                address,
                port: Some(port),
                hostname,
                name,
                model: None,
                // The answer names the printer's own host; the sender may be a proxy for one that sleeps.
                is_first_hand: links.iter().any(|link| link.holds(address)),
            };
            self.deps.handle.hear(heard, source, &links, &self.deps.registry, now);
        }
    }

    fn broken(&mut self, at: usize) {
        if at < self.sides.len() {
            self.sides.swap_remove(at);
        }
    }

    fn send(&self, out: Vec<Out>) {
        for Out { link, to, packet } in out {
            if let Some((_, socket)) = self.sides.iter().find(|(side, _)| side.index == link) {
                sockets::send(socket, &packet.bytes(), to);
            }
        }
    }

    fn show_name(&self) {
        let name = self.responder.as_ref().and_then(Responder::name);
        let cell = self.deps.handle.name();
        if *cell.get() != name {
            if let Some(name) = &name {
                log::info!("lan: this device is {name} on the network");
            }
            cell.set(name);
        }
    }

    fn goodbye(&mut self) {
        let out = self.responder.as_mut().map(Responder::goodbye).unwrap_or_default();
        self.send(out);
    }
}
