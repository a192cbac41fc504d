//! Which of the endless failures of a printer that is off are worth a durable event: within one outage the first, a
//! changed kind, and then one an hour (rule 6 of the event contract). Pure.

use std::time::Duration;

use crate::base::clock::Mono;
use crate::model::ConnectionKind;

/// One durable failure per this time while nothing changes.
const REMINDER: Duration = Duration::from_secs(3600);

/// The memory of one printer's outage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outage {
    /// Attempts since the printer was last connected.
    attempts: u32,
    last: Option<(ConnectionKind, Mono)>,
}

impl Outage {
    /// Counts an attempt; answers its number and whether its beginning is durable (the first of an outage).
    pub fn begin(&mut self) -> (u32, bool) {
        self.attempts = self.attempts.saturating_add(1);
        (self.attempts, self.attempts == 1)
    }

    /// Whether this failure is durable.
    pub fn fail(&mut self, kind: ConnectionKind, now: Mono) -> bool {
        let durable = match self.last {
            None => true,
            Some((last, at)) => last != kind || now.since(at) >= REMINDER,
        };
        if durable {
            self.last = Some((kind, now));
        }
        durable
    }

    /// The printer is connected, or the user has changed something: the next failure is news again.
    pub fn over(&mut self) {
        *self = Outage::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_outage_is_told_once_an_hour() {
        let mut outage = Outage::default();
        let mut durable = 0;
        for minute in 0..24 * 60 {
            let begun = outage.begin().1;
            assert_eq!(begun, minute == 0);
            durable += u32::from(outage.fail(ConnectionKind::Unreachable, Mono(minute * 60_000)));
        }
        assert_eq!(durable, 24);
    }

    #[test]
    fn a_changed_kind_is_news_and_so_is_the_next_outage() {
        let mut outage = Outage::default();
        assert!(outage.fail(ConnectionKind::Unreachable, Mono(0)));
        assert!(!outage.fail(ConnectionKind::Unreachable, Mono(1)));
        assert!(outage.fail(ConnectionKind::WrongCode, Mono(2)));
        outage.over();
        assert!(outage.fail(ConnectionKind::WrongCode, Mono(3)));
    }
}
