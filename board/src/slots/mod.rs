//! Two systems on one card, and which of them starts.
//!
//! The state is one small record, kept twice in sectors of the gap before the first partition, far apart so that one erase
//! block never holds both. Always the older one is overwritten, so a cut leaves at least one that is whole; the greater
//! number counts. A fresh card has none, and slot A starts.
//!
//! ```text
//! trial pending, a try left    spend the try on the card, then start the slot on trial
//! trial pending, no try left   it is over: note the failure, start the good slot
//! no trial                     start the good slot
//! what shall start cannot      start the other one, and note it
//! it starts and says nothing   after a few such starts in a row the other one, as often, and so on
//! confirmed by the new system  it is the good slot from now on
//! ```
//! [`State`] is pure; [`SlotFile`] keeps it in a file or a device; [`Updates`] is the same as embedded-svc's traits show it;
//! [`partitions`] knows where the systems lie. The program that does all this at a start is `board/src/init/main.rs`.

mod file;
mod ota;
pub mod partitions;

pub use file::{OFFSETS, SlotFile};
pub use ota::{Updates, Writing};

/// Bytes of a record: one sector, which a card writes as a whole.
pub const RECORD_BYTES: usize = 512;

const MAGIC: &[u8; 8] = b"PRZSLOT1";
/// Starts in a row after which a system gives way that starts and then never says that it works: damaged in its middle, where
/// a look at its beginning finds nothing. More than once, because somebody may pull the plug meanwhile.
const SILENT_STARTS: u8 = 3;

/// Bytes that the sum covers.
const SUMMED: usize = 44;

/// One of the two systems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    #[default]
    A,
    /// The second.
    B,
}

impl Slot {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// Its letter.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Slot::A => "A",
            Slot::B => "B",
        }
    }

    fn code(self) -> u8 {
        match self {
            Slot::A => 0,
            Slot::B => 1,
        }
    }

    fn of_code(code: u8) -> Option<Slot> {
        match code {
            0 => Some(Slot::A),
            1 => Some(Slot::B),
            _ => None,
        }
    }
}

/// How the last trial ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    #[default]
    None,
    /// It is running, or waits for its start.
    Pending,
    /// The new system said that it works.
    Confirmed,
    /// It never said so.
    RolledBack,
    /// It could not even be started.
    Unbootable,
}

/// The state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Grows by one with each record.
    pub sequence: u64,
    /// The system that is known to work.
    pub good: Slot,
    /// The system on trial, and how often it may still be started.
    pub trial: Option<(Slot, u8)>,
    /// How the last trial ended.
    pub outcome: Outcome,
    /// Starts so far.
    pub boots: u64,
    /// The lowest version (build number) that an update may have; raised when a trial is confirmed.
    pub version_min: u32,
    /// Starts in a row, trials apart, after which nothing said that it works: the first few of the good system, then as many of
    /// the other one.
    pub silent: u8,
}

/// What to do at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The slot to start.
    pub slot: Slot,
    /// The state to write before it is started.
    pub next: State,
    /// Whether that must have succeeded: a trial whose try is not spent on the card must not begin.
    pub write_first: bool,
}

impl State {
    /// What to do at a start.
    #[must_use]
    pub fn choose(self) -> Choice {
        let next = State { boots: self.boots.saturating_add(1), ..self };
        match self.trial {
            Some((slot, tries)) if tries > 0 => {
                Choice { slot, next: State { trial: Some((slot, tries - 1)), ..next }, write_first: true }
            }
            Some(_) => {
                State { trial: None, outcome: Outcome::RolledBack, silent: 0, ..next }.choose_without_trial()
            }
            None => next.choose_without_trial(),
        }
    }

    fn choose_without_trial(self) -> Choice {
        let silent = if self.silent < 2 * SILENT_STARTS { self.silent } else { 0 };
        let slot = if silent < SILENT_STARTS { self.good } else { self.good.other() };
        Choice { slot, next: State { silent: silent + 1, ..self }, write_first: false }
    }

    /// What to do when `slot` cannot be started: the other one. A trial is over then.
    #[must_use]
    pub fn cannot_start(self, slot: Slot) -> Choice {
        let next = match self.trial {
            Some((on_trial, _)) if on_trial == slot => {
                State { trial: None, outcome: Outcome::Unbootable, ..self }
            }
            _ => self,
        };
        Choice { slot: slot.other(), next, write_first: false }
    }

    /// `running` has come up. Where it runs because the good one says nothing any more, it goes on doing so.
    #[must_use]
    pub fn works(self, running: Slot) -> State {
        let is_instead = running != self.good && self.silent > SILENT_STARTS;
        State { silent: if is_instead { SILENT_STARTS } else { 0 }, ..self }
    }

    /// `running` works: it is the good slot from now on, and nothing older than `version` is taken any more.
    #[must_use]
    pub fn confirm(self, running: Slot, version: u32) -> State {
        let on_trial = self.trial.is_some_and(|(slot, _)| slot == running);
        if !on_trial && running == self.good {
            return self;
        }
        State {
            good: running,
            trial: None,
            outcome: Outcome::Confirmed,
            version_min: self.version_min.max(version),
            silent: 0,
            ..self
        }
    }

    /// `slot` holds a new, checked system: it is tried `tries` times.
    #[must_use]
    pub fn try_out(self, slot: Slot, tries: u8) -> State {
        State { trial: Some((slot, tries.max(1))), outcome: Outcome::Pending, ..self }
    }

    /// The record.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let (trial, tries) = match self.trial {
            Some((slot, tries)) => (slot.code() + 1, tries),
            None => (0, 0),
        };
        let outcome = match self.outcome {
            Outcome::None => 0,
            Outcome::Pending => 1,
            Outcome::Confirmed => 2,
            Outcome::RolledBack => 3,
            Outcome::Unbootable => 4,
        };
        let fields: [&[u8]; 7] = [
            MAGIC,
            &self.sequence.to_le_bytes(),
            &[self.good.code(), trial, tries, outcome],
            &self.version_min.to_le_bytes(),
            &self.boots.to_le_bytes(),
            &[self.silent],
            &[0; 11],
        ];
        let summed: Vec<u8> = fields.concat();
        let record = summed.iter().copied().chain(crc32fast::hash(&summed).to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(record) {
            *to = from;
        }
        bytes
    }

    /// Reads a record; `None` for anything that is not a whole one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<State> {
        let summed = bytes.get(..SUMMED)?;
        let sum = u32::from_le_bytes(bytes.get(SUMMED..SUMMED + 4)?.try_into().ok()?);
        if crc32fast::hash(summed) != sum || summed.get(..8)? != MAGIC {
            return None;
        }
        let word = |at: usize| Some(u64::from_le_bytes(summed.get(at..at + 8)?.try_into().ok()?));
        let [good, trial, tries, outcome] = *summed.get(16..20)?.first_chunk::<4>()?;
        Some(State {
            sequence: word(8)?,
            good: Slot::of_code(good)?,
            trial: match trial {
                0 => None,
                code => Some((Slot::of_code(code - 1)?, tries)),
            },
            outcome: match outcome {
                0 => Outcome::None,
                1 => Outcome::Pending,
                2 => Outcome::Confirmed,
                3 => Outcome::RolledBack,
                4 => Outcome::Unbootable,
                _ => return None,
            },
            version_min: u32::from_le_bytes(summed.get(20..24)?.try_into().ok()?),
            boots: word(24)?,
            silent: *summed.get(32)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_state() -> State {
        State {
            sequence: 7,
            good: Slot::B,
            trial: Some((Slot::A, 2)),
            outcome: Outcome::Pending,
            boots: 300,
            version_min: 12,
            silent: 5,
        }
    }

    #[test]
    fn a_record_comes_back_and_every_broken_one_is_refused() {
        for state in [State::default(), some_state(), State { outcome: Outcome::Unbootable, ..some_state() }]
        {
            assert_eq!(State::decode(&state.encode()), Some(state));
        }
        let whole = some_state().encode();
        for at in 0..SUMMED + 4 {
            for bit in 0..8 {
                let mut broken = whole;
                broken[at] ^= 1 << bit;
                assert_eq!(State::decode(&broken), None, "byte {at}, bit {bit}");
            }
        }
        for cut in 0..SUMMED + 4 {
            assert_eq!(State::decode(&whole[..cut]), None);
        }
        assert_eq!(State::decode(&[0; RECORD_BYTES]), None);
    }

    #[test]
    fn the_record_is_pinned() {
        let hex: String = some_state().encode()[..48].iter().map(|byte| format!("{byte:02x}")).collect();
        let fields = "50525a534c4f54310700000000000000010102010c0000002c01000000000000";
        assert_eq!(hex, format!("{fields}05{}4e3d4206", "00".repeat(11)));
    }

    #[test]
    fn a_good_update_is_tried_confirmed_and_stays() {
        let fresh = State::default();
        assert_eq!(fresh.choose().slot, Slot::A);
        let trying = fresh.try_out(Slot::B, 1);
        let choice = trying.choose();
        assert_eq!((choice.slot, choice.write_first), (Slot::B, true));
        let confirmed = choice.next.confirm(Slot::B, 40);
        assert_eq!((confirmed.good, confirmed.trial, confirmed.version_min), (Slot::B, None, 40));
        assert_eq!(confirmed.choose().slot, Slot::B);
        assert_eq!(confirmed.confirm(Slot::B, 39), confirmed);
    }

    #[test]
    fn an_update_that_says_nothing_is_rolled_back() {
        let mut state = State::default().try_out(Slot::B, 2);
        for _ in 0..2 {
            let choice = state.choose();
            assert_eq!(choice.slot, Slot::B);
            state = choice.next;
        }
        let choice = state.choose();
        assert_eq!(
            (choice.slot, choice.next.outcome, choice.next.trial),
            (Slot::A, Outcome::RolledBack, None)
        );
        assert_eq!(choice.next.choose().slot, Slot::A);
    }

    /// The slots of as many starts, each of which is followed by a word of the slots in `speaks`.
    fn starts(state: &mut State, count: usize, speaks: &[Slot]) -> Vec<Slot> {
        (0..count)
            .map(|_| {
                let choice = state.choose();
                *state = choice.next;
                if speaks.contains(&choice.slot) {
                    *state = state.works(choice.slot);
                }
                choice.slot
            })
            .collect()
    }

    #[test]
    fn a_system_that_starts_and_says_nothing_gives_way_after_three_starts() {
        use Slot::{A, B};
        let mut state = State::default();
        assert_eq!(starts(&mut state, 5, &[A, B]), [A; 5], "one that speaks is never left");
        // The other one stays as long as it speaks; the good one is not tried again before it falls silent.
        assert_eq!(starts(&mut state, 8, &[B]), [A, A, A, B, B, B, B, B]);
        assert_eq!(state.good, A, "nothing is decided by it");
        assert_eq!(starts(&mut state, 9, &[]), [B, B, B, A, A, A, B, B, B], "neither is given up for ever");
        assert_eq!(starts(&mut state, 4, &[A]), [A; 4]);
        assert_eq!(state.silent, 0);
        // Two cuts in a row change nothing.
        assert_eq!((starts(&mut state, 2, &[]), starts(&mut state, 1, &[A])), (vec![A, A], vec![A]));
        assert_eq!(starts(&mut state, 2, &[]), [A, A]);
    }

    #[test]
    fn any_count_on_a_card_is_a_choice() {
        for silent in 0..=u8::MAX {
            let choice = State { silent, ..State::default() }.choose();
            assert!(choice.next.silent <= 2 * SILENT_STARTS, "{silent}");
        }
    }

    #[test]
    fn trials_and_the_count_of_silence_keep_out_of_each_others_way() {
        use Slot::{A, B};
        // Tries are counted by the trial; what comes after a rollback is a first start.
        let mut state = State { silent: 2, ..State::default() }.try_out(B, 2);
        assert_eq!(starts(&mut state, 5, &[]), [B, B, A, A, A]);
        assert_eq!(starts(&mut state, 1, &[]), [B]);
        // A good one that cannot even be mounted is looked at again at each start: that costs nothing.
        let choice = State::default().choose();
        let instead = choice.next.cannot_start(A);
        assert_eq!(instead.next.works(B).choose().slot, A);
        // A confirmed update begins with no silence behind it.
        let confirmed = State { silent: 2, ..State::default() }.try_out(B, 1).choose().next.confirm(B, 4);
        assert_eq!((confirmed.good, confirmed.silent), (B, 0));
    }

    #[test]
    fn what_cannot_start_gives_way_to_the_other() {
        let choice = State::default().try_out(Slot::B, 1).choose();
        let instead = choice.next.cannot_start(Slot::B);
        assert_eq!(
            (instead.slot, instead.next.outcome, instead.next.trial),
            (Slot::A, Outcome::Unbootable, None)
        );
        // The good slot itself is broken: the other is better than nothing, and nothing is decided by it.
        let instead = State::default().cannot_start(Slot::A);
        assert_eq!((instead.slot, instead.next), (Slot::B, State::default()));
    }
}
