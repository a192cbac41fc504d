//! Every task has a name, a holder, a heartbeat and a restart policy.
//!
//! The supervisor is the only place that spawns on the executor. A task that panics or fails is counted and started
//! again; one that keeps failing ends the process, so that the service manager starts it afresh. A task that stops
//! beating makes the watchdog ping stop, which has the same effect from outside. It does not look into tasks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use event_listener::Event;
use smol::future::FutureExt as _;
use smol::{LocalExecutor, Task};

use crate::base::clock::{Clock, Mono, within};
use crate::base::task::{Board, Stop, TaskContext, TaskResult, panic_text};

#[cfg(panic = "abort")]
compile_error!("isolation between tasks depends on unwinding panics");

/// Failures of one task within [`RESTART_WINDOW`] that end the process: more than a passing fault explains.
pub const RESTARTS_MAX: usize = 5;
/// See [`RESTARTS_MAX`].
pub const RESTART_WINDOW: Duration = Duration::from_secs(600);
/// Pause before a failed task starts again, so that a fault at its start does not spin.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// Tasks at the same time: 32 printers and the service's own.
pub const TASKS_MAX: usize = 64;

type TaskFuture = Pin<Box<dyn Future<Output = TaskResult>>>;

/// Why the process has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal(pub String);

struct Inner {
    executor: Rc<LocalExecutor<'static>>,
    clock: Clock,
    board: Board,
    stop: Stop,
    fatal: Mutex<Option<Fatal>>,
    fatal_event: Event,
    held: RefCell<BTreeMap<String, (Stop, Task<()>)>>,
}

/// Spawns, holds and restarts tasks on the main thread's executor.
#[derive(Clone)]
pub struct Supervisor(Rc<Inner>);

impl Supervisor {
    /// A supervisor without tasks. `stop` is thrown from outside when the service is to end.
    #[must_use]
    pub fn new(executor: Rc<LocalExecutor<'static>>, clock: Clock, board: Board, stop: Stop) -> Supervisor {
        Supervisor(Rc::new(Inner {
            executor,
            clock,
            board,
            stop,
            fatal: Mutex::new(None),
            fatal_event: Event::new(),
            held: RefCell::new(BTreeMap::new()),
        }))
    }

    /// Starts the task `name`; `factory` makes it anew at each restart. Answers `false` when the name is taken or
    /// [`TASKS_MAX`] tasks are running.
    pub fn spawn<F, W>(&self, name: &str, mut factory: F) -> bool
    where
        F: FnMut(TaskContext) -> W + 'static,
        W: Future<Output = TaskResult> + 'static,
    {
        let inner = &self.0;
        let mut held = inner.held.borrow_mut();
        held.retain(|_, (_, task)| !task.is_finished());
        if held.contains_key(name) || held.len() >= TASKS_MAX {
            return false;
        }
        let info = inner.board.enter(name, inner.clock.now().mono);
        let stop = Stop::default();
        let context = TaskContext::new(inner.clock.clone(), stop.clone(), info);
        let keeper = keep(Rc::downgrade(inner), name.to_owned(), context, move |context| {
            Box::pin(factory(context)) as TaskFuture
        });
        let task = inner.executor.spawn(keeper);
        held.insert(name.to_owned(), (stop, task));
        true
    }

    /// Asks the task `name` to end; it is forgotten once it has.
    pub fn stop(&self, name: &str) {
        if let Some((stop, _)) = self.0.held.borrow().get(name) {
            stop.throw();
        }
    }

    /// Asks the task `name` to end and waits until it has, at most `limit`.
    pub async fn stop_and_wait(&self, name: &str, limit: Duration) {
        let Some((stop, task)) = self.0.held.borrow_mut().remove(name) else { return };
        stop.throw();
        let _ = within(&self.0.clock, limit, task).await;
        self.0.board.leave(name);
    }

    /// Ends all tasks, each with its chance to say goodbye, within `limit` in all. Answers those that did not end.
    pub async fn stop_all(&self, limit: Duration) -> Vec<String> {
        let held = std::mem::take(&mut *self.0.held.borrow_mut());
        for (stop, _) in held.values() {
            stop.throw();
        }
        let deadline = self.0.clock.now().mono.after(limit);
        let mut late = Vec::new();
        for (name, (_, task)) in held {
            let left = deadline.since(self.0.clock.now().mono);
            if within(&self.0.clock, left, task).await.is_none() {
                late.push(name);
            }
        }
        late
    }

    /// Ends the process in an orderly way because going on makes no sense.
    pub fn fail(&self, reason: impl Into<String>) {
        self.0.fail(reason.into());
    }

    /// Waits until the service is to end: asked to from outside (`Ok`), or because of a fault.
    ///
    /// # Errors
    /// The reason, when a task kept failing or somebody called [`Supervisor::fail`].
    pub async fn ended(&self) -> Result<(), Fatal> {
        let asked = async {
            self.0.stop.wait().await;
            Ok(())
        };
        let failed = async {
            loop {
                let listener = self.0.fatal_event.listen();
                if let Some(fatal) = self.0.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                    return Err(fatal);
                }
                listener.await;
            }
        };
        failed.or(asked).await
    }
}

impl Inner {
    fn fail(&self, reason: String) {
        log::error!("{reason}");
        let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.get_or_insert(Fatal(reason));
        drop(fatal);
        self.fatal_event.notify(usize::MAX);
    }
}

/// Runs a task until it ends by itself, starting it again after every failure, within limits.
async fn keep(
    inner: std::rc::Weak<Inner>,
    name: String,
    context: TaskContext,
    mut factory: impl FnMut(TaskContext) -> TaskFuture,
) {
    let mut failures: Vec<Mono> = Vec::with_capacity(RESTARTS_MAX + 1);
    loop {
        context.info().beat(context.clock.now().mono);
        let made = std::panic::catch_unwind(AssertUnwindSafe(|| factory(context.clone())));
        let result = match made {
            Ok(future) => AssertUnwindSafe(future).catch_unwind().await,
            Err(panic) => Err(panic),
        };
        let (reason, panicked) = match result {
            Ok(Ok(())) => break,
            Ok(Err(error)) => (error.to_string(), false),
            Err(panic) => (format!("panic: {}", panic_text(&*panic)), true),
        };
        context.info().restarted(panicked);
        let now = context.clock.now().mono;
        failures.retain(|at| now.since(*at) < RESTART_WINDOW);
        failures.push(now);
        let Some(inner) = inner.upgrade() else { break };
        if failures.len() > RESTARTS_MAX {
            inner.fail(format!("task {name} failed {} times within 10 minutes: {reason}", failures.len()));
            break;
        }
        drop(inner);
        log::error!("task {name} failed and starts again: {reason}");
        if context.stop.is_thrown() {
            break;
        }
        context.clock.sleep(RESTART_PAUSE).await;
    }
    if let Some(inner) = inner.upgrade() {
        inner.board.leave(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::RELEASE_FLOOR;
    use crate::base::task::{BEAT_EVERY, Wake};
    use std::cell::Cell;

    fn supervisor() -> (Rc<LocalExecutor<'static>>, Clock, Board, Stop, Supervisor) {
        let executor = Rc::new(LocalExecutor::new());
        let (clock, board, stop) = (Clock::manual(RELEASE_FLOOR), Board::default(), Stop::default());
        let supervisor = Supervisor::new(Rc::clone(&executor), clock.clone(), board.clone(), stop.clone());
        (executor, clock, board, stop, supervisor)
    }

    /// Lets every task run until all of them wait.
    fn settle(executor: &LocalExecutor<'_>) {
        while executor.try_tick() {}
    }

    #[test]
    fn a_panicking_task_starts_again_and_others_go_on() {
        let (executor, clock, board, _, supervisor) = supervisor();
        let (starts, turns) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let counted = Rc::clone(&starts);
        supervisor.spawn("weak", move |context| {
            let start = counted.get() + 1;
            counted.set(start);
            async move {
                assert!(start > 2, "the first two starts fail");
                context.stop.wait().await;
                Ok(())
            }
        });
        let counted = Rc::clone(&turns);
        supervisor.spawn("strong", move |context| {
            let counted = Rc::clone(&counted);
            async move {
                while context.wait(std::future::pending::<()>()).await != Wake::Stop {
                    counted.set(counted.get() + 1);
                }
                Ok(())
            }
        });
        for _ in 0..10 {
            settle(&executor);
            clock.advance(BEAT_EVERY);
        }
        settle(&executor);
        assert_eq!(starts.get(), 3);
        assert_eq!(turns.get(), 10);
        let lines = board.lines(clock.now().mono);
        let weak = lines.iter().find(|line| line.name == "weak").unwrap();
        assert_eq!((weak.restarts, weak.panics), (2, 2));
    }

    #[test]
    fn a_task_that_keeps_failing_ends_the_service() {
        let (executor, clock, _, _, supervisor) = supervisor();
        supervisor.spawn("broken", |_| async { Err("always".into()) });
        for _ in 0..=RESTARTS_MAX {
            settle(&executor);
            clock.advance(RESTART_PAUSE);
        }
        settle(&executor);
        let fatal = smol::block_on(executor.run(supervisor.ended())).unwrap_err();
        assert!(fatal.0.contains("broken") && fatal.0.contains("always"), "{fatal:?}");
    }

    #[test]
    fn rare_failures_are_forgiven() {
        let (executor, clock, board, stop, supervisor) = supervisor();
        supervisor.spawn("rare", |context| async move {
            context.clock.sleep(RESTART_WINDOW / 4).await;
            Err("once in a while".into())
        });
        for _ in 0..100 {
            settle(&executor);
            clock.advance(RESTART_WINDOW / 4);
        }
        stop.throw();
        assert_eq!(smol::block_on(executor.run(supervisor.ended())), Ok(()));
        assert!(board.lines(clock.now().mono)[0].restarts > 20);
    }

    #[test]
    fn a_stalled_task_is_seen() {
        let (executor, clock, board, _, supervisor) = supervisor();
        for name in ["a", "b"] {
            supervisor.spawn(name, |context| async move {
                while context.wait(std::future::pending::<()>()).await != Wake::Stop {}
                Ok(())
            });
        }
        settle(&executor);
        assert!(board.stall("b"));
        for _ in 0..4 {
            clock.advance(BEAT_EVERY);
            settle(&executor);
        }
        assert_eq!(board.stalled(clock.now().mono), ["b"]);
    }

    #[test]
    fn stopping_waits_for_goodbyes_but_not_for_ever() {
        let (executor, clock, _, _, supervisor) = supervisor();
        let said = Rc::new(Cell::new(false));
        let saying = Rc::clone(&said);
        supervisor.spawn("polite", move |context| {
            let saying = Rc::clone(&saying);
            async move {
                context.stop.wait().await;
                saying.set(true);
                Ok(())
            }
        });
        supervisor.spawn("deaf", |_| std::future::pending());
        settle(&executor);
        let late = smol::block_on(executor.run(smol::future::zip(
            supervisor.stop_all(Duration::from_secs(5)),
            async {
                for _ in 0..20 {
                    smol::future::yield_now().await;
                }
                clock.advance(Duration::from_secs(5));
            },
        )))
        .0;
        assert!(said.get());
        assert_eq!(late, ["deaf"]);
    }
}
