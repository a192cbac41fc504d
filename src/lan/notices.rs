//! The task that listens to the calls of Bambu Lab printers. It sends nothing.
//!
//! A restart of the task loses nothing: printers call again within ten seconds. A port that cannot be had is tried again with
//! every look at the networks.

use std::io;
use std::net::UdpSocket;

use smol::Async;

use super::sockets::{self, Came};
use super::{Allowance, Deps, HeardPrinter, LINKS_EVERY, Link, Side};
use crate::base::clock::Mono;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::model::PrinterType;
use crate::printers::bambu::notice::{self, NOTICE_BYTES_MAX};

/// Where printers call: the first is used by all newer firmware.
const PORTS: [u16; 2] = [2021, 1990];

/// Listens until stop.
///
/// # Errors
/// None; what does not work is tried again.
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    let mut ears = Ears::default();
    let mut allowance = Allowance::default();
    let mut buffer = vec![0; NOTICE_BYTES_MAX];
    let (mut links_due, mut deaf_until, mut first) = (Mono(0), Mono(0), 0);
    loop {
        let now = context.clock.now().mono;
        if now >= links_due {
            links_due = now.after(LINKS_EVERY);
            ears.look(&deps, now);
        }
        let deaf = now < deaf_until;
        let work = async {
            if deaf || ears.sockets.is_empty() {
                std::future::pending().await
            } else {
                let sockets: Vec<_> = ears.sockets.iter().map(|(_, socket)| socket).collect();
                sockets::any(&sockets, first, &mut buffer).await
            }
        };
        let until = if deaf { links_due.min(deaf_until) } else { links_due };
        match context.wait_until(until, work).await {
            Wake::Stop => return Ok(()),
            Wake::Timer => {}
            Wake::Ready(Came::Broken(at, error)) => {
                log::debug!("lan: a socket for printers' calls broke: {error}");
                if at < ears.sockets.len() {
                    ears.sockets.swap_remove(at);
                }
            }
            Wake::Ready(Came::Datagram(at, length, from)) => {
                first = at + 1;
                let now = context.clock.now();
                if let Err(until) = allowance.take(now.mono) {
                    deaf_until = until;
                    deps.handle.change(|state| state.floods += 1);
                    continue;
                }
                deps.handle.change(|state| state.datagrams += 1);
                let Some(call) = buffer.get(..length).and_then(notice::parse) else { continue };
                let heard = HeardPrinter {
                    kind: PrinterType::BambuLab,
                    serial: Some(call.serial),
                    address: call.address,
                    port: None,
                    hostname: None,
                    name: call.name,
                    model: call.model,
                    is_first_hand: call.address == *from.ip(),
                };
                deps.handle.hear(heard, *from.ip(), &ears.links, &deps.registry, now);
            }
        }
    }
}

/// The sockets and the networks that they are joined to.
#[derive(Default)]
struct Ears {
    sockets: Vec<(u16, Async<UdpSocket>)>,
    links: Vec<Link>,
}

impl Ears {
    /// Opens what is not open and joins what is new.
    fn look(&mut self, deps: &Deps, now: Mono) {
        self.links = (deps.links)();
        let opened = self.open();
        let mut side = match opened {
            Err(error) => Side::Failed(format!("calls of printers cannot be heard: {error}")),
            Ok(()) if self.links.is_empty() => Side::NoNetwork,
            Ok(()) => Side::Works,
        };
        for (_, socket) in &self.sockets {
            if let Err(error) = sockets::join_notices(socket, &self.links)
                && side == Side::Works
            {
                // Broadcasts are heard all the same.
                log::debug!("lan: a group cannot be joined: {error}");
                side = Side::Works;
            }
        }
        let names = self.links.iter().map(|link| link.name.clone()).collect();
        deps.handle.change(|state| {
            if state.notices != side {
                log::info!("lan: listening to printers' calls: {side:?}");
            }
            if side == Side::Works {
                state.since.get_or_insert(now);
            }
            (state.notices, state.links) = (side, names);
        });
    }

    fn open(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for port in PORTS {
            if !self.sockets.iter().any(|(open, _)| *open == port) {
                match sockets::notices(port) {
                    Ok(socket) => self.sockets.push((port, socket)),
                    Err(error) => result = Err(error),
                }
            }
        }
        // One of the two is enough.
        if self.sockets.is_empty() { result } else { Ok(()) }
    }
}
