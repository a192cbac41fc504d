//! The table of printers that were heard on the network: merged, bounded, with ages. Pure.
//!
//! What is heard is not to be trusted: the table is for showing, and no decision depends on it. A Bambu Lab printer is one
//! entry by its serial number, a Prusa printer by its host, since it does not call out a number.
//!
//! A flood of made-up printers fills at most the free places: who was heard lately keeps its place, and printers of the list
//! are never pushed out by others.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::base::clock::{Mono, Now, Timestamp};
use crate::model::PrinterType;

/// Printers that are remembered: twice what can be watched.
pub const FOUND_MAX: usize = 64;
/// Who has not been heard for this long is forgotten. Bambu Lab printers call every 5 to 10 s; what others announce is asked
/// for again after a minute.
pub const FORGET_AFTER: Duration = Duration::from_secs(600);
/// Who was heard within this time is not pushed out by somebody new.
const FRESH: Duration = Duration::from_secs(60);

/// What was heard of a printer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its family.
    pub kind: PrinterType,
    /// Its serial number, where it calls it out.
    pub serial: Option<String>,
    /// Where it says that it is.
    pub address: Ipv4Addr,
    /// The port of its page, where it says one.
    pub port: Option<u16>,
    /// Its name on the network, as `prusa-mk4.local`.
    pub hostname: Option<String>,
    /// Its name for people.
    pub name: Option<String>,
    /// Its model in words.
    pub model: Option<String>,
    /// Whether it was heard from the address that it names.
    pub is_first_hand: bool,
}

impl Heard {
    fn is_same(&self, other: &Heard) -> bool {
        if self.kind != other.kind {
            return false;
        }
        match (&self.serial, &other.serial) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, None) => {
                let host = self.hostname.is_some() && self.hostname == other.hostname;
                (host || self.address == other.address) && self.port == other.port
            }
            _ => false,
        }
    }
}

/// A printer that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What was heard last.
    pub heard: Heard,
    /// When it was heard first.
    pub first: Timestamp,
    /// When it was heard last.
    pub last: Timestamp,
    /// The same, on the clock that does not jump.
    pub last_mono: Mono,
    /// It belongs to the list of printers.
    is_known: bool,
    /// When it was heard last from the address that it names.
    first_hand: Option<Mono>,
}

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    entries: Vec<Found>,
    refused: u64,
}

impl Table {
    /// Takes in what was heard. `is_known`: the list of printers has it.
    pub fn hear(&mut self, heard: Heard, is_known: bool, now: Now) {
        self.entries.retain(|found| now.mono.since(found.last_mono) < FORGET_AFTER);
        let first_hand = heard.is_first_hand.then_some(now.mono);
        if let Some(found) = self.entries.iter_mut().find(|found| found.heard.is_same(&heard)) {
            // Somebody else's word does not replace what the printer said itself a moment ago.
            let is_fresh = found.first_hand.is_some_and(|at| now.mono.since(at) < FRESH);
            if !heard.is_first_hand && is_fresh && heard.address != found.heard.address {
                return;
            }
            found.heard = heard;
            (found.last, found.last_mono, found.is_known) = (now.wall, now.mono, is_known);
            found.first_hand = first_hand.or(found.first_hand);
            return;
        }
        if self.entries.len() >= FOUND_MAX && !self.make_room(is_known, now.mono) {
            self.refused += 1;
            return;
        }
        let (first, last, last_mono) = (now.wall, now.wall, now.mono);
        self.entries.push(Found { heard, first, last, last_mono, is_known, first_hand });
    }

    fn make_room(&mut self, for_known: bool, now: Mono) -> bool {
        let others = self.entries.iter().enumerate().filter(|(_, found)| !found.is_known);
        let oldest = others.min_by_key(|(_, found)| found.last_mono).map(|(at, found)| (at, found.last_mono));
        match oldest {
            Some((at, last)) if for_known || now.since(last) >= FRESH => {
                self.entries.swap_remove(at);
                true
            }
            _ => false,
        }
    }

    /// Who was heard, in the order of names and addresses.
    #[must_use]
    pub fn list(&self, now: Mono) -> Vec<Found> {
        let mut list: Vec<Found> =
            self.entries.iter().filter(|found| now.since(found.last_mono) < FORGET_AFTER).cloned().collect();
        list.sort_by(|a, b| {
            (&a.heard.name, a.heard.address, &a.heard.serial).cmp(&(
                &b.heard.name,
                b.heard.address,
                &b.heard.serial,
            ))
        });
        list
    }

    /// Calls for which there was no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Clock, RELEASE_FLOOR};

    fn bambu(serial: &str, address: [u8; 4]) -> Heard {
        Heard {
            kind: PrinterType::BambuLab,
            serial: Some(serial.into()),
            address: address.into(),
            port: None,
            hostname: None,
            name: None,
            model: None,
            is_first_hand: true,
        }
    }

    fn prusa(host: &str, address: [u8; 4]) -> Heard {
        let hostname = Some(host.into());
        Heard { kind: PrinterType::PrusaLink, serial: None, port: Some(80), hostname, ..bambu("", address) }
    }

    #[test]
    fn a_printer_is_one_entry_wherever_it_goes() {
        let (clock, mut table) = (Clock::manual(RELEASE_FLOOR), Table::default());
        table.hear(bambu("A1", [10, 0, 0, 1]), false, clock.now());
        clock.advance(Duration::from_secs(5));
        table.hear(bambu("A1", [10, 0, 0, 2]), false, clock.now());
        table.hear(prusa("mk4.local", [10, 0, 0, 3]), false, clock.now());
        table.hear(prusa("mk4.local", [10, 0, 0, 4]), false, clock.now());
        table.hear(prusa("other.local", [10, 0, 0, 4]), false, clock.now());
        let list = table.list(clock.now().mono);
        assert_eq!(list.len(), 2, "{list:?}");
        assert_eq!(list[0].heard.address, Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(list[0].last.millis_since(list[0].first), 5000);
        clock.advance(FORGET_AFTER);
        assert!(table.list(clock.now().mono).is_empty());
    }

    #[test]
    fn hearsay_does_not_move_who_spoke_a_moment_ago() {
        let (clock, mut table) = (Clock::manual(RELEASE_FLOOR), Table::default());
        table.hear(bambu("A1", [10, 0, 0, 1]), false, clock.now());
        let hearsay = Heard { is_first_hand: false, ..bambu("A1", [10, 0, 0, 66]) };
        table.hear(hearsay.clone(), false, clock.now());
        assert_eq!(table.list(clock.now().mono)[0].heard.address, Ipv4Addr::new(10, 0, 0, 1));
        clock.advance(FRESH);
        table.hear(hearsay, false, clock.now());
        assert_eq!(table.list(clock.now().mono)[0].heard.address, Ipv4Addr::new(10, 0, 0, 66));
    }

    #[test]
    fn a_flood_fills_free_places_only() {
        let (clock, mut table) = (Clock::manual(RELEASE_FLOOR), Table::default());
        table.hear(bambu("KNOWN", [10, 0, 0, 1]), true, clock.now());
        clock.advance(2 * FRESH);
        table.hear(bambu("REAL", [10, 0, 0, 2]), false, clock.now());
        for number in 0..10_000_u32 {
            table.hear(bambu(&format!("FAKE{number}"), number.to_be_bytes()), false, clock.now());
        }
        let list = table.list(clock.now().mono);
        assert_eq!(list.len(), FOUND_MAX);
        let has = |list: &[Found], serial: &str| {
            list.iter().any(|found| found.heard.serial.as_deref() == Some(serial))
        };
        assert!(has(&list, "KNOWN") && has(&list, "REAL"));
        assert_eq!(table.refused(), 10_000 - 62);
        // A printer of the list finds room at once, a new one when the flood is over.
        table.hear(bambu("KNOWN2", [10, 0, 0, 3]), true, clock.now());
        clock.advance(FRESH);
        table.hear(bambu("LATER", [10, 0, 0, 4]), false, clock.now());
        let list = table.list(clock.now().mono);
        assert!(has(&list, "KNOWN2") && has(&list, "LATER") && has(&list, "KNOWN"));
        assert_eq!(list.len(), FOUND_MAX);
    }
}
