//! How often somebody may try a password: pauses for each address, and a budget for all of them together. **Pure**.
//!
//! An attempt is paid for before it is judged, so that many at once cannot pass together; the right password gives it back.
//! The first [`FREE`] failures of an address cost nothing, people mistype. Then each costs a pause that doubles up to
//! [`PAUSE_MAX`]: one guess in five minutes, whatever the address tries meanwhile.
//!
//! Somebody with many addresses is held by the common budget. It cannot keep out the people of the house: an address from which
//! somebody has logged in is not asked for the common budget, and sessions and tokens are not attempts at all.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::base::clock::Mono;

/// Failures of one address without a pause.
pub const FREE: u32 = 5;
/// The longest pause of an address.
pub const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The first pause of an address.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Without an attempt for so long an address is a stranger again.
const FORGET: Duration = Duration::from_secs(3600);
/// Addresses that are remembered: a household has a dozen. Beyond that the strangers share one entry.
pub const ADDRESSES_MAX: usize = 64;
/// Attempts of all strangers together that may come at once.
pub const BUDGET_MAX: u32 = 20;
/// One more after each such time: 1 200 guesses an hour at most, from the whole world.
const BUDGET_EVERY: Duration = Duration::from_secs(3);

/// Who tries: an address, or what a provider gives one customer of IPv6 (a /64 is one network).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Address(IpAddr),
    /// Everybody for whom there is no room in the table.
    Others,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Key,
    failures: u32,
    not_before: Mono,
    last: Mono,
    /// Somebody has logged in from there.
    good: bool,
}

/// The attempts of all addresses.
#[derive(Debug)]
pub struct Attempts {
    table: Vec<Entry>,
    budget: u32,
    filled: Mono,
}

/// An attempt that was paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid {
    key: Key,
    from_budget: bool,
}

fn key_of(address: IpAddr) -> Key {
    Key::Address(match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    })
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(doublings) => PAUSE_FIRST.saturating_mul(1 << doublings.min(16)).min(PAUSE_MAX),
    }
}

impl Attempts {
    /// Nobody has tried yet.
    #[must_use]
    pub fn new(now: Mono) -> Attempts {
        Attempts { table: Vec::new(), budget: BUDGET_MAX, filled: now }
    }

    /// Pays for an attempt of `address`.
    ///
    /// # Errors
    /// How long to wait first. Asking too early costs nothing and makes it no longer.
    pub fn pay(&mut self, address: IpAddr, now: Mono) -> Result<Paid, Duration> {
        self.fill(now);
        let key = self.enter(key_of(address), now);
        let budget = self.budget;
        let Some(entry) = self.table.iter_mut().find(|entry| entry.key == key) else {
            return Err(BUDGET_EVERY);
        };
        let wait = entry.not_before.since(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        if !entry.good && budget == 0 {
            return Err(BUDGET_EVERY);
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.last = now;
        entry.not_before = now.after(pause(entry.failures));
        let from_budget = !entry.good;
        self.budget -= u32::from(from_budget);
        Ok(Paid { key, from_budget })
    }

    /// The password was right: everything is forgiven.
    pub fn right(&mut self, paid: Paid) {
        self.give_back(paid);
        if let Some(entry) = self.table.iter_mut().find(|entry| entry.key == paid.key) {
            entry.failures = 0;
            entry.not_before = Mono::default();
            entry.good = paid.key != Key::Others;
        }
    }

    /// The attempt was not judged: it never was.
    pub fn not_judged(&mut self, paid: Paid) {
        self.give_back(paid);
        if let Some(entry) = self.table.iter_mut().find(|entry| entry.key == paid.key) {
            entry.failures = entry.failures.saturating_sub(1);
            entry.not_before = entry.last.after(pause(entry.failures));
        }
    }

    fn give_back(&mut self, paid: Paid) {
        self.budget = self.budget.saturating_add(u32::from(paid.from_budget)).min(BUDGET_MAX);
    }

    fn fill(&mut self, now: Mono) {
        let periods = now.since(self.filled).as_millis() / BUDGET_EVERY.as_millis();
        let Ok(more) = u32::try_from(periods) else { return };
        if more > 0 {
            self.budget = self.budget.saturating_add(more).min(BUDGET_MAX);
            self.filled = self.filled.after(BUDGET_EVERY.saturating_mul(more));
        }
    }

    /// The key under which `wanted` is counted; makes its entry.
    fn enter(&mut self, wanted: Key, now: Mono) -> Key {
        if self.table.iter().any(|entry| entry.key == wanted) {
            return wanted;
        }
        self.table.retain(|entry| entry.good || now.since(entry.last) < FORGET);
        let mut key = wanted;
        // One place is kept for all the others.
        if self.table.len() + 1 >= ADDRESSES_MAX {
            let oldest_good = self.table.iter().filter(|entry| entry.good).count() > ADDRESSES_MAX / 2;
            let place = self
                .table
                .iter()
                .enumerate()
                .filter(|(_, entry)| {
                    entry.good == oldest_good && entry.not_before <= now && entry.key != Key::Others
                })
                .min_by_key(|(_, entry)| entry.last)
                .map(|(place, _)| place);
            match place {
                Some(place) => {
                    self.table.swap_remove(place);
                }
                None => key = Key::Others,
            }
        }
        if !self.table.iter().any(|entry| entry.key == key) {
            self.table.push(Entry { key, failures: 0, not_before: Mono::default(), last: now, good: false });
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono(10_000_000);

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 168, 1, last])
    }

    fn later(seconds: u64) -> Mono {
        START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn mistyping_costs_nothing_and_guessing_a_pause_that_doubles() {
        let mut attempts = Attempts::new(START);
        for _ in 1..FREE {
            attempts.pay(v4(1), START).unwrap();
        }
        attempts.pay(v4(1), START).unwrap();
        let mut now = START;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let wait = attempts.pay(v4(1), now).unwrap_err();
            assert_eq!(attempts.pay(v4(1), now), Err(wait), "asking too early makes it no longer");
            pauses.push(wait.as_secs());
            now = now.after(wait);
            attempts.pay(v4(1), now).unwrap();
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert!(attempts.pay(v4(2), now).is_ok(), "another address is not held up");
    }

    #[test]
    fn many_at_once_do_not_pass_together() {
        let mut attempts = Attempts::new(START);
        let passed = (0..100).filter(|_| attempts.pay(v4(1), START).is_ok()).count();
        assert_eq!(passed, FREE as usize);
    }

    #[test]
    fn the_right_password_forgives_everything() {
        let mut attempts = Attempts::new(START);
        let mut paid = Vec::new();
        for _ in 0..FREE {
            paid.push(attempts.pay(v4(1), START).unwrap());
        }
        assert!(attempts.pay(v4(1), START).is_err());
        attempts.right(paid[0]);
        for _ in 0..FREE {
            attempts.pay(v4(1), START).unwrap();
        }
    }

    #[test]
    fn what_was_not_judged_never_was() {
        let mut attempts = Attempts::new(START);
        for _ in 0..50 {
            let paid = attempts.pay(v4(1), START).unwrap();
            attempts.not_judged(paid);
        }
        assert_eq!(attempts.budget, BUDGET_MAX);
    }

    #[test]
    fn somebody_with_many_addresses_is_held_and_the_house_is_not() {
        let mut attempts = Attempts::new(START);
        let paid = attempts.pay(v4(200), START).unwrap();
        attempts.right(paid);
        let passed =
            |attempts: &mut Attempts, now| (1..=150).filter(|n| attempts.pay(v4(*n), now).is_ok()).count();
        assert_eq!(passed(&mut attempts, START), BUDGET_MAX as usize);
        assert_eq!(attempts.pay(v4(150), START), Err(BUDGET_EVERY));
        assert!(attempts.pay(v4(200), START).is_ok(), "who has logged in from there is not asked");
        assert_eq!(passed(&mut attempts, later(30)), 10);
        assert!(attempts.table.len() <= ADDRESSES_MAX);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_those_who_wait() {
        let mut attempts = Attempts::new(START);
        // Slowly enough for the budget: every address fails until it has to wait long.
        let mut now = START;
        for n in 0..100 {
            for _ in 0..12 {
                now = now.after(BUDGET_EVERY);
                let _ = attempts.pay(v4(n), now);
            }
        }
        assert!(attempts.table.len() <= ADDRESSES_MAX);
        assert!(attempts.pay(v4(99), now).is_err());
        let others = attempts.table.iter().filter(|entry| entry.key == Key::Others).count();
        assert!(others <= 1);
        // After an hour of peace everybody is a stranger again.
        now = now.after(FORGET);
        attempts.pay(v4(99), now).unwrap();
        attempts.pay(v4(250), now).unwrap();
        assert_eq!(attempts.table.iter().filter(|entry| now.since(entry.last) >= FORGET).count(), 0);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_mapped_ones_are_ipv4() {
        let one: IpAddr = "fd00::1:2:3:4".parse().unwrap();
        assert_eq!(key_of(one), key_of("fd00::ffff:2:3:4".parse().unwrap()));
        assert_ne!(key_of(one), key_of("fd00:0:0:1::1".parse().unwrap()));
        assert_eq!(key_of("::ffff:192.168.1.7".parse().unwrap()), key_of(v4(7)));
    }
}
