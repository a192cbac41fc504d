//! Orders about a print: whether one makes sense, when it is carried out, when it is given up. Pure.
//!
//! A printer *takes* an order (it answers) and *carries it out* (its status shows it); only the second is a success. Between
//! them lie seconds, or minutes where it heats up again before it goes on. One order at a time is under way.

use std::time::Duration;

use smol::channel::Sender;

use crate::base::clock::Mono;
use crate::model::{Control, ControlError, ControlKind, JobId, PrinterStatus};
use crate::printers::registry::Reply;

/// For an answer to come, or the status that shows the order carried out.
pub const TAKE_WITHIN: Duration = Duration::from_secs(15);
/// For an order that was taken: parking and cooling before a stop shows take less than a minute.
const CONFIRM_WITHIN: Duration = Duration::from_secs(120);
/// Going on is shown after heating up again, which takes minutes for a large bed.
const RESUME_WITHIN: Duration = Duration::from_secs(900);

/// The order under way.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What was ordered.
    pub order: Control,
    /// The job of the print that it is about.
    pub job_id: Option<JobId>,
    /// Where replies go.
    pub reply: Sender<Reply>,
    given: Mono,
    taken: bool,
}

impl Pending {
    /// An order given at `now`.
    #[must_use]
    pub fn new(order: Control, job_id: Option<JobId>, reply: Sender<Reply>, now: Mono) -> Pending {
        Pending { order, job_id, reply, given: now, taken: false }
    }

    /// The printer has taken it.
    pub fn taken(&mut self) {
        self.taken = true;
        // Whoever asked may have gone away; so everywhere.
        let _ = self.reply.try_send(Reply::Taken);
    }

    /// When it is given up.
    #[must_use]
    pub fn due(&self) -> Mono {
        let wait = match self.order {
            _ if !self.taken => TAKE_WITHIN,
            Control::Resume => RESUME_WITHIN,
            Control::Pause | Control::Stop => CONFIRM_WITHIN,
        };
        self.given.after(wait)
    }

    /// What giving it up means.
    #[must_use]
    pub fn overdue(&self) -> ControlError {
        let message = if self.taken {
            "the printer has taken the order, but its status does not show it carried out; look at the printer"
        } else {
            "the printer has not answered to the order; look at the printer"
        };
        ControlError::new(ControlKind::Timeout, message)
    }

    /// What a status means for it; `None` while nothing is decided.
    #[must_use]
    pub fn judge(&self, status: PrinterStatus) -> Option<Result<(), ControlError>> {
        use PrinterStatus as S;
        let over = || ControlError::new(ControlKind::WrongState, "the print has ended");
        match (self.order, status) {
            // Not heard: the connection decides.
            (_, S::Offline | S::Connecting | S::Unknown) => None,
            (Control::Pause, S::Paused) => Some(Ok(())),
            (Control::Resume, S::Printing | S::Preparing) => Some(Ok(())),
            (Control::Stop, S::Idle | S::Finished | S::Failed | S::Cancelled) => Some(Ok(())),
            (Control::Pause | Control::Resume, S::Idle | S::Finished | S::Failed | S::Cancelled) => {
                Some(Err(over()))
            }
            (Control::Pause, S::Preparing | S::Printing | S::Attention)
            | (Control::Resume, S::Paused | S::Attention)
            | (Control::Stop, S::Preparing | S::Printing | S::Paused | S::Attention) => None,
        }
    }
}

/// Whether an order makes sense in a status.
///
/// # Errors
/// When it does not, with words that say why.
pub fn check(order: Control, status: PrinterStatus) -> Result<(), ControlError> {
    use PrinterStatus as S;
    let wrong = |message: &str| Err(ControlError::new(ControlKind::WrongState, message));
    match (order, status) {
        (_, S::Offline | S::Connecting) => {
            Err(ControlError::new(ControlKind::Offline, "the printer is not connected"))
        }
        (_, S::Unknown) => wrong("the printer has not said what it does"),
        (_, S::Idle | S::Finished | S::Failed | S::Cancelled) => wrong("nothing is being printed"),
        (Control::Pause, S::Preparing | S::Printing) | (Control::Resume, S::Paused) | (Control::Stop, _) => {
            Ok(())
        }
        (Control::Pause, S::Paused) => wrong("the print is paused already"),
        (Control::Resume, S::Preparing | S::Printing) => wrong("the print is not paused"),
        (Control::Pause | Control::Resume, S::Attention) => {
            wrong("the printer waits for an answer on its own screen")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PrinterStatus; 11] = [
        PrinterStatus::Offline,
        PrinterStatus::Connecting,
        PrinterStatus::Idle,
        PrinterStatus::Preparing,
        PrinterStatus::Printing,
        PrinterStatus::Paused,
        PrinterStatus::Attention,
        PrinterStatus::Finished,
        PrinterStatus::Failed,
        PrinterStatus::Cancelled,
        PrinterStatus::Unknown,
    ];

    fn pending(order: Control) -> Pending {
        Pending::new(order, None, smol::channel::bounded(1).0, Mono(1_000))
    }

    #[test]
    fn an_order_is_given_only_where_it_changes_something() {
        for order in [Control::Pause, Control::Resume, Control::Stop] {
            for status in ALL {
                if check(order, status).is_ok() {
                    assert_eq!(pending(order).judge(status), None, "{order:?} {status:?}");
                }
            }
        }
        assert!(check(Control::Stop, PrinterStatus::Attention).is_ok());
        assert_eq!(check(Control::Stop, PrinterStatus::Offline).unwrap_err().kind, ControlKind::Offline);
        for status in [PrinterStatus::Idle, PrinterStatus::Finished, PrinterStatus::Attention] {
            assert_eq!(check(Control::Pause, status).unwrap_err().kind, ControlKind::WrongState);
        }
    }

    #[test]
    fn only_the_status_confirms() {
        use PrinterStatus as S;
        for (order, status, expected) in [
            (Control::Pause, S::Paused, Some(true)),
            (Control::Pause, S::Printing, None),
            (Control::Pause, S::Finished, Some(false)),
            (Control::Resume, S::Printing, Some(true)),
            (Control::Resume, S::Paused, None),
            (Control::Resume, S::Cancelled, Some(false)),
            (Control::Stop, S::Cancelled, Some(true)),
            (Control::Stop, S::Failed, Some(true)),
            (Control::Stop, S::Idle, Some(true)),
            (Control::Stop, S::Paused, None),
            (Control::Stop, S::Offline, None),
        ] {
            let judged = pending(order).judge(status).map(|judged| judged.is_ok());
            assert_eq!(judged, expected, "{order:?} {status:?}");
        }
    }

    #[test]
    fn an_order_that_was_taken_is_waited_for_longer() {
        let mut resume = pending(Control::Resume);
        assert_eq!(resume.due(), Mono(16_000));
        resume.taken();
        assert_eq!(resume.due(), Mono(901_000));
        assert_eq!(resume.overdue().kind, ControlKind::Timeout);
    }
}
