//! Who sits where: a fixed number of sockets, shared fairly between addresses.
//!
//! Pure bookkeeping, no sockets in it. The rules:
//! * at most [`SeatLimits::seats`] connections, the last [`SeatLimits::kept`] of them for loopback (a screen or a
//!   proxy on the device itself must get in whatever happens on the LAN);
//! * at most [`SeatLimits::per_address`] for one address (for IPv6: one /64 network, since a host owns a whole one; not
//!   for loopback, where a proxy may stand for many);
//! * a connection that has not yet sent a whole request, or waits idle for its next one, may be asked to leave when
//!   somebody else needs its seat. So silent sockets never keep a real viewer out, who sends a request at once.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::clock::Mono;

/// Seats given up at each shortage of descriptors; a few, so that the others in the house find some as well.
const SHRINK_SEATS: usize = 4;

/// Seats that are always there: a page, its stream and the two of loopback.
const CAP_MIN: usize = 8;

/// How many may sit.
#[derive(Clone, Copy, Debug)]
pub struct SeatLimits {
    /// Connections in all.
    pub seats: usize,
    /// Of these, kept for loopback.
    pub kept: usize,
    /// Connections of one address.
    pub per_address: usize,
    /// A connection that waits for a request for at least this long may be asked to leave.
    pub patience: Duration,
}

/// A seat and whose turn on it: the same seat has another id for its next holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatId {
    /// Which seat, below [`SeatLimits::seats`].
    pub index: usize,
    turn: u64,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not sent a whole request since then, and may be asked to leave.
    Waiting(Mono),
    /// Its request is being answered.
    Busy,
    /// It is an event stream.
    Stream,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    id: SeatId,
    address: IpAddr,
    local: bool,
    phase: Phase,
}

/// What to do with a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Take this seat. Its former holder, if there is one still, is to be cut off now.
    Seat(SeatId),
    /// Take no seat: this address has too many.
    AddressFull,
    /// Take no seat: all that the newcomer could have are busy.
    Full,
}

/// The table of seats.
#[derive(Debug)]
pub struct Seats {
    limits: SeatLimits,
    seats: Vec<Option<Seat>>,
    turns: u64,
    /// Seats in use at most: fewer than there are while descriptors are short.
    cap: usize,
}

impl Seats {
    /// An empty table.
    #[must_use]
    pub fn new(limits: SeatLimits) -> Seats {
        Seats { limits, seats: vec![None; limits.seats], turns: 0, cap: limits.seats }
    }

    /// Seats taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.seats.iter().flatten().count()
    }

    /// Seats in a phase that fits.
    pub fn count(&self, fits: impl Fn(Phase) -> bool) -> usize {
        self.seats.iter().flatten().filter(|seat| fits(seat.phase)).count()
    }

    /// Seats a newcomer, who waits for a request from now on. Where its address or the room is full, it gets the seat of
    /// the connection that has waited longest, if that one's patience is over.
    pub fn admit(&mut self, address: IpAddr, local: bool, now: Mono) -> Admission {
        let address = network(address);
        let same = self.seats.iter().flatten().filter(|seat| seat.address == address).count();
        // Behind loopback may be a proxy with everybody's connections.
        let index = if same >= self.limits.per_address && !local {
            // An address harms only itself here, so its patience does not matter.
            match self.impatient(now, Duration::ZERO, |seat| seat.address == address) {
                Some(index) => index,
                None => return Admission::AddressFull,
            }
        } else {
            let free = self.seats.iter().position(Option::is_none).filter(|_| self.taken() < self.cap);
            match free.filter(|_| local || self.lan_seat_is_free()) {
                Some(index) => index,
                None => match self.impatient(now, self.limits.patience, |seat| local || !seat.local) {
                    Some(index) => index,
                    None => return Admission::Full,
                },
            }
        };
        self.turns += 1;
        let id = SeatId { index, turn: self.turns };
        if let Some(seat) = self.seats.get_mut(index) {
            *seat = Some(Seat { id, address, local, phase: Phase::Waiting(now) });
        }
        Admission::Seat(id)
    }

    fn lan_seat_is_free(&self) -> bool {
        let lan = self.seats.iter().flatten().filter(|seat| !seat.local).count();
        lan + self.limits.kept < self.cap
    }

    /// The seat of the longest waiting connection whose patience is over.
    fn impatient(&self, now: Mono, patience: Duration, fits: impl Fn(&Seat) -> bool) -> Option<usize> {
        let waiting =
            self.seats.iter().flatten().filter(|seat| fits(seat)).filter_map(|seat| match seat.phase {
                Phase::Waiting(since) => Some((since, seat.id.index)),
                Phase::Busy | Phase::Stream => None,
            });
        waiting.min().filter(|(since, _)| now.since(*since) >= patience).map(|(_, index)| index)
    }

    /// Notes what the connection does now; nothing where the seat has a new holder.
    pub fn enter(&mut self, id: SeatId, phase: Phase) {
        if let Some(Some(seat)) = self.seats.get_mut(id.index)
            && seat.id == id
        {
            seat.phase = phase;
        }
    }

    /// Frees a seat, unless it has a new holder.
    pub fn leave(&mut self, id: SeatId) {
        if let Some(seat) = self.seats.get_mut(id.index)
            && seat.is_some_and(|seat| seat.id == id)
        {
            *seat = None;
        }
    }

    /// Descriptors have run out: from now on there are fewer seats than are taken, and the longest waiting connection
    /// loses its own, whatever its patience.
    pub fn shrink(&mut self) -> Option<SeatId> {
        self.cap = self.taken().saturating_sub(SHRINK_SEATS).max(CAP_MIN).min(self.cap);
        let waiting = self.seats.iter().flatten().filter_map(|seat| match seat.phase {
            Phase::Waiting(since) => Some((since, seat.id.index, seat.id)),
            Phase::Busy | Phase::Stream => None,
        });
        let id = waiting.min_by_key(|(since, index, _)| (*since, *index)).map(|(_, _, id)| id)?;
        self.leave(id);
        Some(id)
    }

    /// Descriptors were no problem for a while: one more seat, up to the limit.
    pub fn grow(&mut self) {
        self.cap = (self.cap + 1).min(self.limits.seats);
    }

    /// Until when newcomers are left in the backlog: while no seat for the LAN is free, but one will be when somebody's
    /// patience is over. `None` means accept: there is a seat, or all are busy and waiting would help nobody (and would
    /// keep loopback out).
    #[must_use]
    pub fn hold_until(&self, now: Mono) -> Option<Mono> {
        if self.lan_seat_is_free() && self.taken() < self.cap {
            return None;
        }
        let waiting = self.seats.iter().flatten().filter_map(|seat| match seat.phase {
            Phase::Waiting(since) => Some(since.after(self.limits.patience)),
            Phase::Busy | Phase::Stream => None,
        });
        waiting.min().filter(|over| *over > now)
    }
}

/// The address that is counted: IPv4 as it is, also inside IPv6, else the /64 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            // Loopback and link-local share networks that belong to nobody; there the host part counts.
            if address.is_loopback() || address.is_unicast_link_local() {
                IpAddr::V6(address)
            } else {
                IpAddr::V6(bits.into())
            }
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SeatLimits =
        SeatLimits { seats: 6, kept: 2, per_address: 3, patience: Duration::from_millis(500) };

    fn lan(host: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, host])
    }

    #[test]
    fn one_address_cannot_take_every_seat() {
        let mut seats = Seats::new(LIMITS);
        for _ in 0..3 {
            let Admission::Seat(id) = seats.admit(lan(1), false, Mono(0)) else { panic!("full") };
            seats.enter(id, Phase::Busy);
        }
        assert_eq!(seats.admit(lan(1), false, Mono(0)), Admission::AddressFull);
        assert_eq!(seats.admit("::ffff:10.0.0.1".parse().unwrap(), false, Mono(0)), Admission::AddressFull);
        assert!(matches!(seats.admit(lan(2), false, Mono(0)), Admission::Seat(_)));
    }

    #[test]
    fn a_whole_network_of_ipv6_is_one_address() {
        let mut seats = Seats::new(LIMITS);
        for host in 1..4 {
            let address = format!("2001:db8::{host}").parse().unwrap();
            let Admission::Seat(id) = seats.admit(address, false, Mono(0)) else { panic!("full") };
            seats.enter(id, Phase::Stream);
        }
        assert_eq!(seats.admit("2001:db8::ffff".parse().unwrap(), false, Mono(0)), Admission::AddressFull);
        assert!(matches!(
            seats.admit("2001:db8:0:1::1".parse().unwrap(), false, Mono(0)),
            Admission::Seat(_)
        ));
    }

    #[test]
    fn the_last_seats_are_for_loopback() {
        let mut seats = Seats::new(LIMITS);
        let mut ids = Vec::new();
        for host in 0..4 {
            let Admission::Seat(id) = seats.admit(lan(host), false, Mono(0)) else { panic!("full") };
            seats.enter(id, Phase::Busy);
            ids.push(id);
        }
        assert_eq!(seats.admit(lan(9), false, Mono(9000)), Admission::Full);
        let local = IpAddr::from([127, 0, 0, 1]);
        for _ in 0..2 {
            let Admission::Seat(id) = seats.admit(local, true, Mono(9000)) else { panic!("full") };
            seats.enter(id, Phase::Stream);
        }
        assert_eq!(seats.admit(local, true, Mono(20_000)), Admission::Full);
        seats.leave(ids[0]);
        assert_eq!(seats.taken(), 5);
        assert!(matches!(seats.admit(lan(9), false, Mono(20_000)), Admission::Seat(SeatId { index: 0, .. })));
    }

    #[test]
    fn the_longest_silent_one_leaves_first_and_the_busy_ones_stay() {
        let mut seats = Seats::new(LIMITS);
        let mut ids = Vec::new();
        for host in 0..4 {
            let Admission::Seat(id) = seats.admit(lan(host), false, Mono(u64::from(host))) else {
                panic!("full")
            };
            ids.push(id);
        }
        seats.enter(ids[0], Phase::Busy);
        // Newcomers are left in the backlog until a patience is over.
        assert_eq!(seats.hold_until(Mono(400)), Some(Mono(501)));
        assert_eq!(seats.admit(lan(9), false, Mono(400)), Admission::Full);
        assert_eq!(seats.hold_until(Mono(501)), None);
        let Admission::Seat(newcomer) = seats.admit(lan(9), false, Mono(501)) else { panic!("full") };
        assert_eq!(newcomer.index, ids[1].index);
        // The one that was cut off must not free the seat of its successor.
        seats.leave(ids[1]);
        seats.enter(ids[1], Phase::Busy);
        assert_eq!(seats.taken(), 4);
        assert_eq!(seats.count(|phase| phase == Phase::Busy), 1);
    }

    #[test]
    fn a_crowd_from_one_address_makes_room_for_its_own_newcomers_only() {
        let mut seats = Seats::new(LIMITS);
        for _ in 0..3 {
            assert!(matches!(seats.admit(lan(1), false, Mono(0)), Admission::Seat(_)));
        }
        assert!(matches!(seats.admit(lan(2), false, Mono(0)), Admission::Seat(_)));
        let Admission::Seat(id) = seats.admit(lan(1), false, Mono(1)) else { panic!("full") };
        assert_eq!((id.index, seats.taken()), (0, 4));
        for seat in seats.seats.iter_mut().flatten() {
            seat.phase = Phase::Busy;
        }
        assert_eq!(seats.admit(lan(1), false, Mono(9000)), Admission::AddressFull);
    }

    #[test]
    fn when_descriptors_run_out_the_longest_waiting_one_goes() {
        let mut seats = Seats::new(LIMITS);
        let Admission::Seat(busy) = seats.admit(lan(1), false, Mono(0)) else { panic!("full") };
        seats.enter(busy, Phase::Busy);
        let Admission::Seat(waiting) = seats.admit(lan(2), false, Mono(5)) else { panic!("full") };
        assert_eq!(seats.shrink(), Some(waiting));
        assert_eq!(seats.shrink(), None);
        assert_eq!(seats.taken(), 1);
    }

    #[test]
    fn a_shortage_of_descriptors_makes_the_room_smaller_for_a_while() {
        let limits = SeatLimits { seats: 20, kept: 2, ..LIMITS };
        let mut seats = Seats::new(limits);
        for host in 0..18 {
            assert!(matches!(seats.admit(lan(host), false, Mono(0)), Admission::Seat(_)));
        }
        seats.shrink();
        assert_eq!((seats.cap, seats.taken()), (14, 17));
        // A newcomer takes the seat of one that waits; there are not more than before.
        assert_eq!(seats.admit(lan(30), false, Mono(1)), Admission::Full);
        assert!(matches!(seats.admit(lan(30), false, Mono(600)), Admission::Seat(_)));
        assert_eq!(seats.taken(), 17);
        for _ in 0..100 {
            seats.grow();
        }
        assert_eq!(seats.cap, 20);
        assert!(matches!(seats.admit(lan(31), false, Mono(601)), Admission::Seat(_)));
        assert_eq!(seats.taken(), 18);
        for _ in 0..100 {
            seats.shrink();
        }
        assert_eq!(seats.cap, CAP_MIN);
    }
}
