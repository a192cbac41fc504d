//! Heartbeats of what is not a task: threads are pinged by small tasks of their own, and the service manager is told
//! that everybody is alive only if everybody is.

use std::time::Duration;

use smol::future::FutureExt as _;

use crate::base::clock::{Mono, within};
use crate::base::task::{Board, TaskContext, TaskResult, Wake};

/// A thread is pinged this often.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Pause after a ping that failed.
const PING_PAUSE: Duration = Duration::from_secs(1);
/// A ping is answered within this time, or the thread counts as stalled: longer than the slowest commit on a worn card.
pub const PING_WITHIN: Duration = Duration::from_secs(20);

/// Pings a thread for ever. A ping that is not answered means that this task does not beat, which is what the watchdog
/// looks at.
///
/// # Errors
/// Never; the signature is a task's.
pub async fn ping<F, W>(context: TaskContext, mut send: F) -> TaskResult
where
    F: FnMut() -> W,
    W: Future<Output = bool>,
{
    let mut due = context.clock.now().mono;
    loop {
        if context.stop.is_thrown() {
            return Ok(());
        }
        if context.clock.now().mono >= due {
            let answer = within(&context.clock, PING_WITHIN, send());
            let stopped = async {
                context.stop.wait().await;
                None
            };
            if stopped.or(answer).await != Some(true) {
                // No beat: the thread is asked again at once, but not in a spin.
                context.clock.sleep(PING_PAUSE).await;
                continue;
            }
            due = context.clock.now().mono.after(PING_EVERY);
        }
        if context.wait_until(due, std::future::pending::<()>()).await == Wake::Stop {
            return Ok(());
        }
    }
}

/// Tells the service manager that the service is alive, while every task is. `interval` is a fraction of its time-out.
///
/// # Errors
/// Never; the signature is a task's.
pub async fn watchdog(
    context: TaskContext,
    board: Board,
    interval: Duration,
    notify: impl Fn(),
) -> TaskResult {
    let mut told: Vec<String> = Vec::new();
    let mut due = Mono(0);
    loop {
        let now = context.clock.now().mono;
        if now >= due {
            due = now.after(interval);
            let stalled = board.stalled(now);
            if stalled.is_empty() {
                notify();
            } else if stalled != told {
                log::error!("no sign of life from {}; the watchdog is not fed", stalled.join(", "));
            }
            told = stalled;
        }
        if context.wait_until(due, std::future::pending::<()>()).await == Wake::Stop {
            return Ok(());
        }
    }
}
