//! At most five state updates a second for a printer, without delay as long as there are fewer. Pure.

use std::time::Duration;

use heapless::Deque;

use crate::base::clock::Mono;

/// Updates within [`WINDOW`]: what the event contract allows for one printer.
const UPDATES: usize = 5;
/// See [`UPDATES`].
const WINDOW: Duration = Duration::from_secs(1);

/// When the latest updates went out, and whether another one waits.
#[derive(Debug, Default)]
pub struct Pace {
    sent: Deque<Mono, UPDATES>,
    waiting: bool,
}

impl Pace {
    /// There is something new to show.
    pub fn want(&mut self) {
        self.waiting = true;
    }

    /// When the waiting update may go out; `None` when nothing waits.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        if !self.waiting {
            return None;
        }
        match self.sent.front() {
            Some(oldest) if self.sent.is_full() => Some(oldest.after(WINDOW)),
            _ => Some(Mono(0)),
        }
    }

    /// The newest state went out, durably or not.
    pub fn sent(&mut self, now: Mono) {
        self.waiting = false;
        if self.sent.is_full() {
            self.sent.pop_front();
        }
        // There is room for one after the line above.
        let _ = self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_go_out_at_once_and_many_are_gathered() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(), None);
        let mut sent = Vec::new();
        for millis in 0..10_000 {
            let now = Mono(1_000_000 + millis);
            if millis % 50 == 0 {
                pace.want();
            }
            if pace.due().is_some_and(|due| now >= due) {
                pace.sent(now);
                sent.push(millis);
            }
        }
        assert_eq!(&sent[..5], [0, 50, 100, 150, 200]);
        assert!(sent.windows(6).all(|six| six[5] - six[0] >= 1000), "{sent:?}");
        assert!(sent.len() >= 48);
    }
}
