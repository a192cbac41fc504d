//! When to ask a printer for a full report, and when to give it up: pure, over moments on the monotonic clock.
//!
//! Facts behind the numbers: an idle A1 still speaks every 2 s with gaps of up to 32 s; 30 s watchdogs gave false alarms;
//! some firmware stops publishing while the connection lives and speaks again after a request; a wrong serial number
//! gives a connection that is silent for ever; asking often makes the small machines lag.

use std::time::Duration;

use super::Kind;
use crate::base::clock::Mono;

/// A first report has to come within this time after it was asked for.
pub const FIRST_REPORT_WITHIN: Duration = Duration::from_secs(15);
/// Silence after which a full report is asked for: about twice the longest natural gap.
pub const SILENCE_BEFORE_ASKING: Duration = Duration::from_secs(60);
/// Silence after that request that ends the session; a vanished printer is noticed after 75 s.
pub const SILENCE_AFTER_ASKING: Duration = Duration::from_secs(15);
/// Least time between two requests that are not about silence (missing layer counts).
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(300);
/// A broker that does not confirm the subscription gets the request after this time all the same.
pub const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(3);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Ask for a full report.
    Ask,
    /// End the session: not a word since the connection was made.
    GiveUpUnheard,
    /// End the session: the printer has fallen silent.
    GiveUpSilent,
}

/// The state of one session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Liveness {
    connected_at: Option<Mono>,
    subscribed: bool,
    heard_at: Option<Mono>,
    asked_at: Option<Mono>,
}

impl Liveness {
    /// A session that is not yet connected.
    #[must_use]
    pub fn new() -> Liveness {
        Liveness::default()
    }

    /// The broker let us in.
    pub fn connected(&mut self, now: Mono) {
        self.connected_at = Some(now);
    }

    /// The broker confirmed the subscription.
    pub fn subscribed(&mut self) {
        self.subscribed = true;
    }

    /// A message came. Answers whether a full report should be asked for at once (`wanting`: something is missing).
    pub fn heard(&mut self, kind: Kind, wanting: bool, now: Mono) -> bool {
        if kind == Kind::Malformed {
            return false; // Garbage is no sign of life.
        }
        self.heard_at = Some(now);
        wanting && self.asked_at.is_none_or(|asked| now.since(asked) >= ASK_AGAIN_AFTER)
    }

    /// A request for a full report went out.
    pub fn asked(&mut self, now: Mono) {
        self.asked_at = Some(now);
    }

    /// What is due at `now`.
    #[must_use]
    pub fn due(&self, now: Mono) -> Option<Act> {
        let deadline = self.deadline()?;
        if now < deadline.0 { None } else { Some(deadline.1) }
    }

    /// When something will be due, if nothing is heard until then.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.deadline().map(|(when, _)| when)
    }

    fn deadline(&self) -> Option<(Mono, Act)> {
        let connected = self.connected_at?;
        let Some(asked) = self.asked_at else {
            let wait = if self.subscribed { Duration::ZERO } else { SUBSCRIBED_WITHIN };
            return Some((connected.after(wait), Act::Ask));
        };
        match self.heard_at {
            None => Some((asked.after(FIRST_REPORT_WITHIN), Act::GiveUpUnheard)),
            Some(heard)
                if asked > heard.after(SILENCE_BEFORE_ASKING)
                    || asked == heard.after(SILENCE_BEFORE_ASKING) =>
            {
                Some((asked.after(SILENCE_AFTER_ASKING), Act::GiveUpSilent))
            }
            Some(heard) => Some((heard.after(SILENCE_BEFORE_ASKING), Act::Ask)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono(1_000_000);

    fn at(seconds: u64) -> Mono {
        START.after(Duration::from_secs(seconds))
    }

    fn connected() -> Liveness {
        let mut liveness = Liveness::new();
        assert_eq!(liveness.next(), None);
        liveness.connected(at(0));
        liveness.subscribed();
        assert_eq!(liveness.due(at(0)), Some(Act::Ask));
        liveness.asked(at(0));
        liveness
    }

    #[test]
    fn a_broker_that_does_not_confirm_is_asked_all_the_same() {
        let mut liveness = Liveness::new();
        liveness.connected(at(0));
        assert_eq!(liveness.due(at(2)), None);
        assert_eq!(liveness.due(at(3)), Some(Act::Ask));
    }

    #[test]
    fn a_wrong_serial_number_is_silent_from_the_start() {
        let liveness = connected();
        assert_eq!(liveness.due(at(14)), None);
        assert_eq!(liveness.due(at(15)), Some(Act::GiveUpUnheard));
    }

    #[test]
    fn natural_gaps_raise_no_alarm() {
        let mut liveness = connected();
        for step in 1..100 {
            let now = at(step * 32);
            assert_eq!(liveness.due(now), if step == 1 { Some(Act::GiveUpUnheard) } else { None });
            liveness.heard(Kind::Delta, false, now);
        }
    }

    #[test]
    fn a_vanished_printer_is_noticed_within_90_seconds() {
        let mut liveness = connected();
        liveness.heard(Kind::Full, false, at(100));
        assert_eq!(liveness.due(at(159)), None);
        assert_eq!(liveness.due(at(160)), Some(Act::Ask));
        liveness.asked(at(160));
        assert_eq!(liveness.due(at(174)), None);
        assert_eq!(liveness.due(at(175)), Some(Act::GiveUpSilent));
    }

    #[test]
    fn a_printer_that_answers_the_question_stays() {
        let mut liveness = connected();
        liveness.heard(Kind::Full, false, at(1));
        liveness.asked(at(61));
        liveness.heard(Kind::Full, false, at(62));
        assert_eq!(liveness.due(at(121)), None);
        assert_eq!(liveness.due(at(122)), Some(Act::Ask));
    }

    #[test]
    fn garbage_is_no_sign_of_life() {
        let mut liveness = connected();
        liveness.heard(Kind::Malformed, false, at(5));
        assert_eq!(liveness.due(at(15)), Some(Act::GiveUpUnheard));
    }

    #[test]
    fn missing_facts_are_asked_for_rarely() {
        let mut liveness = connected();
        assert!(!liveness.heard(Kind::Delta, true, at(10)));
        assert!(liveness.heard(Kind::Delta, true, at(300)));
        liveness.asked(at(300));
        assert!(!liveness.heard(Kind::Delta, true, at(302)));
        assert_eq!(liveness.due(at(330)), None);
    }
}
