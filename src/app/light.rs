//! What the board's light says, from what everybody else shows. The only task that speaks to the light.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use board::{Board, BoardError, Signal};

use crate::base::task::{BEAT_LIMIT, Board as Tasks, TaskContext, TaskResult, Wake};
use crate::model::{ConnectionState, PrinterState, PrinterStatus};
use crate::printers::registry::Registry;
use crate::store::Store;

/// How often the states are looked at: as fast as a person looks from one light to the next.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The signal for `states`, most urgent first; `odd` where the system has something to say to a person, such as that the
/// wireless network refuses its password.
#[must_use]
pub fn signal<'s>(faulty: bool, odd: bool, states: impl Iterator<Item = &'s PrinterState>) -> Signal {
    let (mut attention, mut printing) = (odd, false);
    for state in states {
        attention |= state.connection == ConnectionState::Error
            || matches!(state.status, PrinterStatus::Attention | PrinterStatus::Failed);
        printing |= matches!(
            state.status,
            PrinterStatus::Preparing | PrinterStatus::Printing | PrinterStatus::Paused
        );
    }
    match (faulty, attention, printing) {
        (true, ..) => Signal::Fault,
        (_, true, _) => Signal::Attention,
        (_, _, true) => Signal::Printing,
        _ => Signal::Fine,
    }
}

/// Shows the signal whenever it changes, until the service stops. A machine without a light is asked once.
///
/// # Errors
/// None.
pub async fn run(
    context: TaskContext,
    board: Arc<dyn Board>,
    registry: Registry,
    store: Store,
    tasks: Tasks,
) -> TaskResult {
    let mut shown = None;
    let (mut missing, mut failed) = (false, false);
    loop {
        let now = context.clock.now().mono;
        let faulty =
            store.failure().get().is_some() || tasks.lines(now).iter().any(|task| task.silent > BEAT_LIMIT);
        let states: Vec<_> = registry.all().into_iter().map(|entry| entry.state.get()).collect();
        // In memory, and nobody waits for the light; where there is none nothing is looked for.
        let odd = !missing && !board::notices(Path::new("/")).is_empty();
        let wanted = signal(faulty, odd, states.iter().map(|state| &**state));
        if !missing && shown != Some(wanted) {
            match board.show(wanted) {
                Ok(()) => (shown, failed) = (Some(wanted), false),
                Err(BoardError::Missing(_)) => missing = true,
                Err(error) => {
                    // Whoever sets it may only be busy: it is tried again at the next look.
                    if !failed {
                        log::warn!("the light cannot be set: {}", crate::base::error::chain(&error));
                    }
                    failed = true;
                }
            }
        }
        let due = context.clock.now().mono.after(LOOK_EVERY);
        if context.wait_until(due, std::future::pending::<()>()).await == Wake::Stop {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_counts() {
        let state = |status, connection| PrinterState { status, connection, ..PrinterState::default() };
        let idle = state(PrinterStatus::Idle, ConnectionState::Monitoring);
        let printing = state(PrinterStatus::Printing, ConnectionState::Monitoring);
        let waiting = state(PrinterStatus::Attention, ConnectionState::Monitoring);
        let refused = state(PrinterStatus::Offline, ConnectionState::Error);
        let off = state(PrinterStatus::Offline, ConnectionState::Failed);
        for (faulty, odd, states, expected) in [
            (false, false, vec![], Signal::Fine),
            (false, false, vec![&idle, &off], Signal::Fine),
            (false, false, vec![&idle, &printing], Signal::Printing),
            (false, false, vec![&printing, &waiting], Signal::Attention),
            (false, false, vec![&refused], Signal::Attention),
            (false, true, vec![&printing], Signal::Attention),
            (true, true, vec![&waiting], Signal::Fault),
        ] {
            assert_eq!(signal(faulty, odd, states.into_iter()), expected);
        }
    }
}
