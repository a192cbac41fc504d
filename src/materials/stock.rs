//! Low stock: once per fall below the threshold, whatever lowered the spool. Pure.
//!
//! Armed means: the next fall below is announced. A spool is armed when it is made, loses that when it is found below the
//! threshold, and gets it back when it is at or above. A threshold that is moved only decides anew whether the spool is
//! armed: it is not the filament that fell. Everything is compared in whole numbers.

use crate::model::{Mass, Share};

/// What follows from a spool's new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the spool is armed from now on.
    pub armed: bool,
    /// Whether low stock is to be announced now.
    pub announce: bool,
}

/// Judges a spool of `weight` with `remaining` left.
#[must_use]
pub fn judge(armed: bool, remaining: Mass, weight: Mass, threshold: Share) -> Verdict {
    let low = threshold.exceeds(remaining, weight);
    Verdict { armed: !low, announce: low && armed }
}

/// Whether a spool is armed after its threshold was moved, with what it held before anything else changed.
#[must_use]
pub fn armed_at(remaining: Mass, weight: Mass, threshold: Share) -> bool {
    !threshold.exceeds(remaining, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grams(grams: u64) -> Mass {
        Mass::from_grams(grams)
    }

    fn percent(percent: u64) -> Share {
        Share::from_millionths(percent * 10_000).unwrap()
    }

    #[test]
    fn the_table() {
        let hair = Mass::from_micrograms(1);
        for (armed, remaining, now_armed, announce) in [
            (true, grams(1000), true, false),
            (true, grams(200), true, false), // exactly at the threshold is not below
            (true, grams(200).less(hair), false, true),
            (true, Mass::ZERO, false, true),
            (false, grams(200).less(hair), false, false), // said already
            (false, grams(200), true, false),             // armed again at the threshold
            (false, grams(201), true, false),
        ] {
            let verdict = judge(armed, remaining, grams(1000), percent(20));
            assert_eq!(verdict, Verdict { armed: now_armed, announce }, "{armed} {remaining}");
        }
        // A threshold of nothing is never undercut; one of everything is, by anything less.
        assert_eq!(judge(true, Mass::ZERO, grams(1), percent(0)), Verdict { armed: true, announce: false });
        assert!(judge(true, grams(1).less(hair), grams(1), percent(100)).announce);
    }

    #[test]
    fn a_moved_threshold_only_arms() {
        assert!(!armed_at(grams(250), grams(1000), percent(30)), "raised above: disarmed, nothing said");
        assert!(armed_at(grams(150), grams(1000), percent(10)), "lowered below: armed for the next fall");
        assert!(armed_at(grams(150), grams(1000), percent(15)));
    }

    /// The rule in other words, told over a whole life: an announcement at every step from not below to below.
    #[test]
    fn it_is_said_exactly_at_every_fall() {
        let mut random = fastrand::Rng::with_seed(7);
        let weight = grams(1000);
        let (mut armed, mut threshold, mut remaining) = (true, percent(20), grams(1000));
        let mut said = 0;
        for _ in 0..20_000 {
            let was_low = threshold.exceeds(remaining, weight);
            if random.u8(0..8) == 0 {
                threshold = percent(random.u64(0..=100));
                armed = armed_at(remaining, weight, threshold);
                let verdict = judge(armed, remaining, weight, threshold);
                assert!(!verdict.announce, "moving a threshold says nothing");
                armed = verdict.armed;
            } else {
                remaining = Mass::from_micrograms(random.u64(0..=1000) * 1_000_000 + random.u64(0..3));
                let verdict = judge(armed, remaining, weight, threshold);
                let low = threshold.exceeds(remaining, weight);
                assert_eq!(verdict.announce, low && !was_low);
                armed = verdict.armed;
                said += u32::from(verdict.announce);
            }
            assert_eq!(armed, !threshold.exceeds(remaining, weight));
        }
        assert!(said > 1000, "{said}");
    }
}
