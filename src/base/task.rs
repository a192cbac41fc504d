//! What a task and its supervisor say to each other: stop, beat, and what became of it.
//!
//! The supervisor itself, who spawns and restarts, is in `app`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_listener::Event;
use smol::future::FutureExt as _;

use super::clock::{Clock, Mono};

/// A task beats at least this often, whatever it waits for.
pub const BEAT_EVERY: Duration = Duration::from_secs(10);
/// A task that has not beaten for this long is stalled: three beats missed, or one commit on a very slow card.
pub const BEAT_LIMIT: Duration = Duration::from_secs(30);
/// Why a task ended itself.
pub type TaskResult = Result<(), Box<dyn std::error::Error>>;

/// A switch that is thrown once: stop. Cloning gives another handle to the same switch.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<StopSwitch>);

#[derive(Debug, Default)]
struct StopSwitch {
    thrown: AtomicBool,
    event: Event,
}

impl Stop {
    /// Throws the switch.
    pub fn throw(&self) {
        self.0.thrown.store(true, Ordering::SeqCst);
        self.0.event.notify(usize::MAX);
    }

    /// Whether it was thrown.
    #[must_use]
    pub fn is_thrown(&self) -> bool {
        self.0.thrown.load(Ordering::SeqCst)
    }

    /// Waits until it is thrown.
    pub async fn wait(&self) {
        loop {
            let listener = self.0.event.listen();
            if self.is_thrown() {
                return;
            }
            listener.await;
        }
    }
}

/// What is known of one task, readable from every thread.
#[derive(Debug)]
pub struct TaskInfo {
    beat_ms: AtomicU64,
    restarts: AtomicU64,
    panics: AtomicU64,
    stalled: AtomicBool,
}

impl TaskInfo {
    /// Notes that the task is alive at `now`, unless a test has stalled it.
    pub fn beat(&self, now: Mono) {
        if !self.stalled.load(Ordering::SeqCst) {
            self.beat_ms.store(now.0, Ordering::Relaxed);
        }
    }

    /// Counts a restart, and whether a panic was its reason.
    pub fn restarted(&self, panicked: bool) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.panics.fetch_add(u64::from(panicked), Ordering::Relaxed);
    }
}

/// One line of the table of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLine {
    /// The task's name.
    pub name: String,
    /// Time since its last beat.
    pub silent: Duration,
    /// Starts after the first.
    pub restarts: u64,
    /// Restarts that were panics.
    pub panics: u64,
}

/// The table of all tasks: shared with the status page and the watchdog.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<BTreeMap<String, Arc<TaskInfo>>>>);

impl Board {
    /// Enters a task that begins at `now`.
    #[must_use]
    pub fn enter(&self, name: &str, now: Mono) -> Arc<TaskInfo> {
        let info = Arc::new(TaskInfo {
            beat_ms: AtomicU64::new(now.0),
            restarts: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::clone(&info));
        info
    }

    /// Strikes a task off the table.
    pub fn leave(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// All tasks, in the order of their names.
    #[must_use]
    pub fn lines(&self, now: Mono) -> Vec<TaskLine> {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks
            .iter()
            .map(|(name, info)| TaskLine {
                name: name.clone(),
                silent: now.since(Mono(info.beat_ms.load(Ordering::Relaxed))),
                restarts: info.restarts.load(Ordering::Relaxed),
                panics: info.panics.load(Ordering::Relaxed),
            })
            .collect()
    }

    /// The tasks that have not beaten within [`BEAT_LIMIT`].
    #[must_use]
    pub fn stalled(&self, now: Mono) -> Vec<String> {
        self.lines(now).into_iter().filter(|line| line.silent > BEAT_LIMIT).map(|line| line.name).collect()
    }

    /// Makes a task hang at its next beat, as a test of the watchdog. `false` if there is no such task.
    #[must_use]
    pub fn stall(&self, name: &str) -> bool {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.get(name).map(|info| info.stalled.store(true, Ordering::SeqCst)).is_some()
    }
}

/// What a task gets from its supervisor.
#[derive(Clone)]
pub struct TaskContext {
    /// The clocks.
    pub clock: Clock,
    /// Thrown when the task is to end.
    pub stop: Stop,
    info: Arc<TaskInfo>,
}

impl TaskContext {
    /// The context of a task whose line in the table is `info`.
    #[must_use]
    pub fn new(clock: Clock, stop: Stop, info: Arc<TaskInfo>) -> TaskContext {
        TaskContext { clock, stop, info }
    }

    /// The task's line in the table.
    #[must_use]
    pub fn info(&self) -> &TaskInfo {
        &self.info
    }

    /// Says that the task is alive. Every loop calls it at each turn, at least every [`BEAT_EVERY`].
    pub async fn beat(&self) {
        if self.info.stalled.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.info.beat(self.clock.now().mono);
    }

    /// Waits for `work`, for stop, or until the next beat is due.
    pub async fn wait<T>(&self, work: impl Future<Output = T>) -> Wake<T> {
        self.wait_until(self.clock.now().mono.after(BEAT_EVERY), work).await
    }

    /// Waits for `work`, for stop, or until `deadline`, at most until the next beat is due; beats before and after.
    pub async fn wait_until<T>(&self, deadline: Mono, work: impl Future<Output = T>) -> Wake<T> {
        self.beat().await;
        let deadline = deadline.min(self.clock.now().mono.after(BEAT_EVERY));
        let wake = async {
            self.stop.wait().await;
            Wake::Stop
        }
        .or(async { Wake::Ready(work.await) })
        .or(async {
            self.clock.sleep_until(deadline).await;
            Wake::Timer
        })
        .await;
        self.beat().await;
        wake
    }
}

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Wake<T> {
    /// The task is to end.
    Stop,
    /// The work is done.
    Ready(T),
    /// The deadline passed, or a beat was due.
    Timer,
}

/// The text of a panic.
#[must_use]
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
