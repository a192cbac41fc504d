//! Finding printers on the network, and being found there.
//!
//! - [`notices`] listens to the calls of Bambu Lab printers (UDP 2021 and 1990, broadcast and multicast).
//! - [`names`] speaks multicast DNS: it takes and announces the device's name (`responder`, `records`) and asks for Prusa
//!   printers (`browse`).
//! - [`following`] looks for lost printers where they were heard (`follow`) and corrects their address where they prove who they
//!   are.
//!
//! Everything that is heard is hearsay: it fills the table that `GET /printers/discover` shows (`found`), and makes an address
//! worth a look. Only a printer that proves its key, or knows its password and number, moves an entry of the list. A printer
//! that is connected is never moved.
//!
//! Nothing else depends on this room. Without multicast, with both switches off, or with somebody else's flood on the network,
//! printers are added by address and watched as ever; [`Handle::state`] says what does not work.
//!
//! Bounds: [`DATAGRAMS_PER_SECOND`] datagrams are looked at on each side, the tables have theirs, one look at an address is
//! under way at a time. Networks that come and go are noticed within [`LINKS_EVERY`].

mod browse;
mod follow;
pub mod following;
mod found;
pub mod names;
pub mod notices;
mod records;
mod responder;
mod sockets;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};

use crate::base::clock::{Clock, Mono, Now};
use crate::base::latest::Latest;
use crate::model::status::ConnectionState;
use crate::model::{Printer, PrinterType};
use crate::printers::registry::Registry;
use found::Heard;

pub use found::{FOUND_MAX, Found, Heard as HeardPrinter};

/// Datagrams in a second that are looked at, on each side: eight printers call once in five seconds, a house full of
/// multicast DNS has some ten a second. The rest is left to the system's buffer, which drops what it cannot hold.
pub const DATAGRAMS_PER_SECOND: u32 = 50;
/// The networks are looked at this often.
pub const LINKS_EVERY: Duration = Duration::from_secs(5);
/// Where multicast DNS listens.
pub const MDNS_PORT: u16 = 5353;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether printers are listened and asked for, and followed.
    pub find_printers: bool,
    /// Whether the device's name and page are announced.
    pub announce: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { find_printers: true, announce: true }
    }
}

impl Config {
    /// Whether a page that listens on `listen` is announced: one that only this machine can reach is not.
    #[must_use]
    pub fn announces(&self, listen: IpAddr) -> bool {
        self.announce && !listen.is_loopback()
    }
}

/// A network that the device is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface's name.
    pub name: String,
    /// The system's number for it.
    pub index: u32,
    /// IPv4 addresses with the bits of their prefixes.
    pub v4: Vec<(Ipv4Addr, u8)>,
    /// IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
}

impl Link {
    /// Whether `address` is part of the network.
    #[must_use]
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        self.v4.iter().any(|(own, bits)| {
            let mask = u32::MAX.checked_shl(32 - u32::from((*bits).min(32))).unwrap_or(0);
            own.to_bits() & mask == address.to_bits() & mask
        })
    }
}

/// What the tasks need.
#[derive(Clone)]
pub struct Deps {
    /// The clocks.
    pub clock: Clock,
    /// The printers of the list.
    pub registry: Registry,
    /// What was heard, for all.
    pub handle: Handle,
    /// What is done.
    pub config: Config,
    /// The networks as they are now.
    pub links: Arc<dyn Fn() -> Vec<Link> + Send + Sync>,
    /// What the device would like to be called: the first of these without a dot. They may change.
    pub names: Latest<Vec<String>>,
    /// Where the page listens.
    pub page: (IpAddr, u16),
}

/// What a device without a name of its own is called.
const LABEL: &str = "printernizer";

impl Deps {
    /// The label that the device would like to have now.
    fn label(&self) -> String {
        let names = self.names.get();
        names.iter().find(|name| !name.contains('.')).map_or(LABEL, String::as_str).to_owned()
    }
}

/// How a side of the room is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Switched off.
    #[default]
    Off,
    /// There is no network.
    NoNetwork,
    /// It listens.
    Works,
    /// It does not, and why.
    Failed(String),
}

/// How the room is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Listening to Bambu Lab printers.
    pub notices: Side,
    /// Multicast DNS.
    pub names: Side,
    /// The names of the networks.
    pub links: Vec<String>,
    /// Since when it listens.
    pub since: Option<Mono>,
    /// Datagrams that were looked at.
    pub datagrams: u64,
    /// Times that so many came that some were not.
    pub floods: u64,
    /// Printers that were heard and for which there was no room.
    pub unplaced: u64,
    /// Looks at an address where a lost printer might be.
    pub looks: u64,
    /// Looks that found somebody else.
    pub strangers: u64,
    /// Printers whose address was corrected.
    pub moved: u64,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    found: found::Table,
    follow: follow::Follow,
    wanted: bool,
}

/// What was heard and how the room is, for everybody. Clones share it.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// Rung when printers are to be asked for now.
    asked: Event,
    /// Rung when an address became worth a look.
    heard: Event,
    /// The name that is held on the network, as `printernizer-2.local`.
    name: Latest<Option<String>>,
}

impl Default for Handle {
    fn default() -> Handle {
        Handle(Arc::new(Shared {
            inner: Mutex::default(),
            asked: Event::new(),
            heard: Event::new(),
            name: Latest::new(None),
        }))
    }
}

impl Handle {
    /// Who was heard.
    #[must_use]
    pub fn list(&self, now: Mono) -> Vec<Found> {
        self.with(|inner| inner.found.list(now))
    }

    /// How the room is.
    #[must_use]
    pub fn state(&self) -> State {
        self.with(|inner| State { unplaced: inner.found.refused(), ..inner.state.clone() })
    }

    /// The name that is held on the network.
    #[must_use]
    pub fn name(&self) -> Latest<Option<String>> {
        self.0.name.clone()
    }

    /// Asks the network for printers now.
    pub fn ask(&self) {
        self.with(|inner| inner.wanted = true);
        self.0.asked.notify(usize::MAX);
    }

    fn take_wanted(&self) -> bool {
        self.with(|inner| std::mem::take(&mut inner.wanted))
    }

    fn asked(&self) -> EventListener {
        self.0.asked.listen()
    }

    fn heard_event(&self) -> EventListener {
        self.0.heard.listen()
    }

    /// Takes in what was heard of a printer, from `source`.
    fn hear(&self, heard: Heard, source: Ipv4Addr, links: &[Link], registry: &Registry, now: Now) {
        let own = |address: Ipv4Addr| links.iter().any(|link| link.v4.iter().any(|(own, _)| *own == address));
        if !follow::is_plausible(heard.address, source, own) {
            return;
        }
        let entries = registry.all();
        let known = entries.iter().any(|entry| belongs(&entry.printer, &heard));
        // Where a printer of the list is and answers, no other one is looked for.
        let here = Ok(IpAddr::V4(heard.address));
        let is_taken = entries.iter().any(|entry| {
            entry.printer.connection.host.parse() == here
                && entry.printer.kind == heard.kind
                && entry.state.get().connection == ConnectionState::Monitoring
        });
        let lost: Vec<_> =
            entries.iter().filter(|entry| !is_taken && following::is_sought(entry, &heard)).collect();
        self.with(|inner| {
            for entry in &lost {
                inner.follow.hear(entry.printer.id, heard.address, heard.is_first_hand, now.mono);
            }
            inner.found.hear(heard, known, now);
        });
        if !lost.is_empty() {
            self.0.heard.notify(usize::MAX);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.with(|inner| change(&mut inner.state));
    }

    /// Critical sections only move values, so a panic leaves them whole.
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a printer of the list is, by all that it is known by, the one that was heard.
#[must_use]
pub fn belongs(printer: &Printer, heard: &Heard) -> bool {
    if printer.kind != heard.kind {
        return false;
    }
    let way = &printer.connection;
    let host = way.host.trim_end_matches('.');
    let named = heard.hostname.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(host));
    let here = host.parse() == Ok(IpAddr::V4(heard.address));
    match printer.kind {
        PrinterType::BambuLab => match (&way.serial, &heard.serial) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => here,
        },
        PrinterType::PrusaLink => (here || named) && heard.port.is_none_or(|port| port == way.http_port),
    }
}

/// So many datagrams in a second, see [`DATAGRAMS_PER_SECOND`].
#[derive(Debug, Default)]
struct Allowance {
    begun: Option<Mono>,
    used: u32,
}

impl Allowance {
    /// Whether one more may be looked at; otherwise when it may.
    fn take(&mut self, now: Mono) -> Result<(), Mono> {
        const WINDOW: Duration = Duration::from_secs(1);
        let begun = match self.begun {
            Some(begun) if now.since(begun) < WINDOW => begun,
            _ => {
                self.used = 0;
                *self.begun.insert(now)
            }
        };
        if self.used >= DATAGRAMS_PER_SECOND {
            return Err(begun.after(WINDOW));
        }
        self.used += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_own() {
        let link = |bits| Link {
            name: "x".into(),
            index: 1,
            v4: vec![(Ipv4Addr::new(192, 168, 7, 5), bits)],
            v6: vec![],
        };
        assert!(link(24).holds(Ipv4Addr::new(192, 168, 7, 200)));
        assert!(!link(24).holds(Ipv4Addr::new(192, 168, 8, 5)));
        assert!(link(16).holds(Ipv4Addr::new(192, 168, 8, 5)) && link(0).holds(Ipv4Addr::new(8, 8, 8, 8)));
        assert!(
            !link(32).holds(Ipv4Addr::new(192, 168, 7, 6)) && link(255).holds(Ipv4Addr::new(192, 168, 7, 5))
        );
    }

    #[test]
    fn a_flood_has_to_wait() {
        let (mut allowance, start) = (Allowance::default(), Mono(1_000_000));
        assert!((0..DATAGRAMS_PER_SECOND).all(|_| allowance.take(start).is_ok()));
        let later = start.after(Duration::from_secs(1));
        assert_eq!(allowance.take(start.after(Duration::from_millis(900))), Err(later));
        assert!(allowance.take(later).is_ok());
    }
}
