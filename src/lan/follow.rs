//! Which address is looked at for which lost printer, and when: pure.
//!
//! A call on the network only makes an address a candidate. A candidate is looked at while its printer is lost, one at a time
//! in the whole service, and each again only after a pause that grows, so that made-up calls cause a trickle of connections
//! and nothing else. What was heard first hand pushes out hearsay, and not the other way round.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::model::PrinterId;

/// Candidates of one printer: it has one or two addresses, the rest is somebody's invention.
pub const CANDIDATES_MAX: usize = 4;
/// Between two looks, whoever they are for.
pub const LOOK_GAP: Duration = Duration::from_secs(2);
/// Between two looks at the same address for the same printer, at first.
pub const RETRY_FIRST: Duration = Duration::from_secs(20);
/// The same, after many.
pub const RETRY_LONGEST: Duration = Duration::from_secs(15 * 60);
/// A candidate that was not heard for this long is given up.
pub const STALE_AFTER: Duration = Duration::from_secs(180);

#[derive(Clone, Debug)]
struct Candidate {
    address: Ipv4Addr,
    is_first_hand: bool,
    heard: Mono,
    tries: u32,
    due: Mono,
}

/// The candidates.
#[derive(Debug, Default)]
pub struct Follow {
    candidates: BTreeMap<PrinterId, Vec<Candidate>>,
    next_look: Option<Mono>,
    /// Decides among equals: who can foresee it could keep a printer from its turn.
    random: fastrand::Rng,
}

impl Follow {
    /// `printer` may be at `address`, somebody says.
    pub fn hear(&mut self, printer: PrinterId, address: Ipv4Addr, is_first_hand: bool, now: Mono) {
        let list = self.candidates.entry(printer).or_default();
        list.retain(|one| now.since(one.heard) < STALE_AFTER);
        if let Some(known) = list.iter_mut().find(|one| one.address == address) {
            known.heard = now;
            known.is_first_hand |= is_first_hand;
            return;
        }
        if list.len() >= CANDIDATES_MAX {
            // Hearsay goes first, then what was tried most. Among equals chance decides, so that nobody can hold all places.
            let rank = |one: &Candidate| (!one.is_first_hand, one.tries);
            let Some(worst) = list.iter().map(rank).max() else { return };
            if !is_first_hand && worst < (true, 1) {
                return;
            }
            let equals: Vec<usize> =
                (0..).zip(list.iter()).filter(|(_, one)| rank(one) == worst).map(|(at, _)| at).collect();
            if let Some(at) = equals.get(self.random.usize(..equals.len().max(1))) {
                list.swap_remove(*at);
            }
        }
        list.push(Candidate { address, is_first_hand, heard: now, tries: 0, due: now });
    }

    /// Forgets everything about printers for which `keep` is false: found again, or removed.
    pub fn retain(&mut self, keep: impl Fn(PrinterId) -> bool) {
        self.candidates.retain(|printer, list| !list.is_empty() && keep(*printer));
    }

    /// The address to look at now, if any; it counts as tried.
    pub fn pick(&mut self, now: Mono) -> Option<(PrinterId, Ipv4Addr)> {
        if self.next_look.is_some_and(|next| now < next) {
            return None;
        }
        let all = self
            .candidates
            .iter()
            .flat_map(|(printer, list)| list.iter().enumerate().map(move |(at, one)| (*printer, at, one)));
        let ready: Vec<(PrinterId, usize, (u32, bool))> = all
            .filter(|(_, _, one)| now >= one.due && now.since(one.heard) < STALE_AFTER)
            .map(|(printer, at, one)| (printer, at, (one.tries, !one.is_first_hand)))
            .collect();
        let best = ready.iter().map(|(_, _, rank)| *rank).min()?;
        let equals: Vec<_> = ready.into_iter().filter(|(_, _, rank)| *rank == best).collect();
        let (printer, at, _) = *equals.get(self.random.usize(..equals.len().max(1)))?;
        let one = self.candidates.get_mut(&printer)?.get_mut(at)?;
        let pause = RETRY_FIRST.saturating_mul(1 << one.tries.min(10)).min(RETRY_LONGEST);
        one.tries += 1;
        one.due = now.after(pause);
        self.next_look = Some(now.after(LOOK_GAP));
        Some((printer, one.address))
    }

    /// How many addresses wait to be looked at.
    #[must_use]
    pub fn len(&self) -> usize {
        self.candidates.values().map(Vec::len).sum()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether a printer could be at `address`: on a network of a house, or where the call came from. A made-up call is not to
/// make this device knock at strangers' doors on the Internet.
#[must_use]
pub fn is_plausible(address: Ipv4Addr, source: Ipv4Addr, own: impl Fn(Ipv4Addr) -> bool) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let is_near = address.is_private() || address.is_link_local() || shared || address == source;
    let is_host = !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && !address.is_broadcast();
    is_host && is_near && !own(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono(1_000_000);
    const P: PrinterId = PrinterId(1);

    fn at(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    #[test]
    fn an_address_is_looked_at_again_after_a_growing_pause() {
        let (mut follow, mut now, mut looks) = (Follow::default(), START, Vec::new());
        for second in 0..7200_u64 {
            now = START.after(Duration::from_secs(second));
            if second % 5 == 0 {
                follow.hear(P, at(9), true, now);
            }
            if follow.pick(now) == Some((P, at(9))) {
                looks.push(second);
            }
        }
        assert_eq!(looks[..4], [0, 20, 60, 140]);
        assert!(looks.len() < 16, "{looks:?}");
        follow.hear(P, at(9), true, now);
        follow.retain(|_| false);
        assert!(follow.is_empty());
    }

    #[test]
    fn made_up_calls_cause_a_trickle_and_do_not_hide_the_printer() {
        let mut follow = Follow::default();
        let (mut looks, mut found) = (0, None);
        for tenth in 0..6000_u64 {
            let now = START.after(Duration::from_millis(100 * tenth));
            // Hundreds of inventions a second, and the printer's own call every ten seconds, later than they.
            for n in 0..50 {
                let [.., b, c, d] = (u32::try_from(tenth).unwrap() * 50 + n).to_be_bytes();
                follow.hear(P, Ipv4Addr::new(10, b, c, d), false, now);
            }
            if tenth % 100 == 50 {
                follow.hear(P, at(9), true, now);
            }
            if let Some((_, address)) = follow.pick(now) {
                looks += 1;
                found = found.or((address == at(9)).then_some(tenth));
            }
            assert!(follow.len() <= CANDIDATES_MAX);
        }
        assert!(looks <= 300, "{looks} looks in ten minutes");
        assert!(found.is_some_and(|tenth| tenth <= 100), "{found:?}");
    }

    #[test]
    fn even_with_forged_senders_the_printer_has_its_turn() {
        let mut follow = Follow { random: fastrand::Rng::with_seed(3), ..Follow::default() };
        let mut found = false;
        for second in 0..600_u64 {
            let now = START.after(Duration::from_secs(second));
            for n in 0..3 {
                let [.., b, c, d] = (u32::try_from(second).unwrap() * 3 + n).to_be_bytes();
                follow.hear(P, Ipv4Addr::new(10, 128 | b, c, d), true, now);
            }
            if second % 7 == 0 {
                follow.hear(P, at(9), true, now);
            }
            found |= follow.pick(now).is_some_and(|(_, address)| address == at(9));
        }
        assert!(found);
    }

    #[test]
    fn only_near_hosts_are_plausible() {
        let source = Ipv4Addr::new(93, 184, 216, 34);
        let plausible = |address: [u8; 4]| is_plausible(address.into(), source, |own| own == at(1));
        for good in [
            [10, 0, 0, 2],
            [192, 168, 1, 9],
            [172, 20, 0, 1],
            [169, 254, 3, 3],
            [100, 64, 0, 1],
            source.octets(),
        ] {
            assert!(plausible(good), "{good:?}");
        }
        for bad in
            [[8, 8, 8, 8], [127, 0, 0, 1], [224, 0, 0, 1], [0, 0, 0, 0], [255, 255, 255, 255], [10, 0, 0, 1]]
        {
            assert!(!plausible(bad), "{bad:?}");
        }
    }
}
