//! Threads for work that blocks: started when there is something to do, gone when there has been nothing for a while.
//!
//! A pool runs at most `threads_max` jobs at a time and lets `queue_max` more wait; one more is refused, and that is an answer.
//! A job that panics is lost, says so, and takes nothing along. Dropping a job's future does not stop the job: what has to
//! be ended early carries a sign of its own (a cancelled flag, a closed socket).

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use smol::channel::{Receiver, bounded};

/// Stack of a pool's thread: transfers with TLS and hashing, and the readers of print files, were measured with 128 KiB; tests
/// without optimisation need twice that.
pub const STACK_BYTES: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 192 * 1024 };

/// A thread with nothing to do leaves after this time: long enough for the next file of a burst, short enough to be
/// gone in between.
const IDLE: Duration = Duration::from_secs(5);

/// How a pool is made.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Jobs at a time.
    pub threads_max: usize,
    /// Jobs that wait.
    pub queue_max: usize,
    /// Added to the niceness of its threads: 0 is as everybody, 10 steps back whenever something else wants to run.
    pub nice: i32,
}

/// The pool has no room for another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too much is waiting already")
    }
}

impl std::error::Error for Full {}

/// A job did not come to its end: it panicked, or there was no thread for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the work ended in a fault of the program")
    }
}

impl std::error::Error for Lost {}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Jobs that wait or run.
    outstanding: usize,
    threads: usize,
    idle: usize,
    closed: bool,
    panics: u64,
}

struct Shared {
    name: &'static str,
    limits: Limits,
    state: Mutex<State>,
    work: Condvar,
}

/// A pool. Cloning gives another handle to the same threads; when the last handle is dropped they leave after their job.
#[derive(Clone)]
pub struct Pool(Arc<Handle>);

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        let never_done = std::mem::take(&mut state.queue);
        drop(state);
        drop(never_done); // Each gives back its place, for which it takes the lock.
        self.0.work.notify_all();
    }
}

/// What a pool is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Threads that live.
    pub threads: usize,
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs that panicked since the start.
    pub panics: u64,
}

impl Pool {
    /// A pool without threads so far. `name` is that of its threads.
    #[must_use]
    pub fn new(name: &'static str, limits: Limits) -> Pool {
        let (state, work) = (Mutex::new(State::default()), Condvar::new());
        Pool(Arc::new(Handle(Arc::new(Shared { name, limits, state, work }))))
    }

    /// Queues `job`; the answer comes through the future, and not at all only if the process ends.
    ///
    /// # Errors
    /// [`Full`]: as many jobs as may wait do so already; `job` was dropped.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Running<T>, Full> {
        let (tell, answer) = bounded(1);
        let shared = &self.0.0;
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.outstanding >= shared.limits.threads_max + shared.limits.queue_max {
            return Err(Full);
        }
        state.outstanding += 1;
        let place = Place(Arc::clone(shared));
        state.queue.push_back(Box::new(move || {
            let place = place;
            let answer = job();
            // Before the answer: whoever has it may ask for the next job at once, and there must be room for it.
            drop(place);
            // Whoever asked may have gone away.
            let _ = tell.try_send(answer);
        }));
        if state.queue.len() > state.idle && state.threads < shared.limits.threads_max {
            state.threads += 1;
            drop(state);
            start(shared);
        } else {
            drop(state);
        }
        shared.work.notify_one();
        Ok(Running(answer))
    }

    /// What it is doing.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let state = self.0.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        PoolStats { threads: state.threads, queued: state.queue.len(), panics: state.panics }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.0.0.name).finish_non_exhaustive()
    }
}

/// A queued job; its answer comes from [`Running::answer`].
#[derive(Debug)]
pub struct Running<T>(Receiver<T>);

impl<T> Running<T> {
    /// Waits for the job's end. May be dropped and called again.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn answer(&self) -> Result<T, Lost> {
        self.0.recv().await.map_err(|_| Lost)
    }
}

/// A job's place among those that wait or run, given back however the job ends.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.outstanding -= 1;
        state.panics += u64::from(std::thread::panicking());
    }
}

/// Starts a thread that was counted already.
fn start(shared: &Arc<Shared>) {
    let own = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(shared.name.to_owned()).stack_size(STACK_BYTES);
    if let Err(error) = thread.spawn(move || work(&own)) {
        log::error!("no thread for {}: {error}", shared.name);
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.threads -= 1;
        // With nobody left to do them the jobs are lost, and their callers learn it.
        let lost = if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        drop(state);
        drop(lost);
    }
}

fn work(shared: &Shared) {
    if shared.limits.nice != 0 {
        // On Linux this is a thread's own; that it cannot be had is no reason not to work.
        let _ = rustix::process::setpriority_process(None, shared.limits.nice);
    }
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(job) = state.queue.pop_front() {
            drop(state);
            // The job's place has counted a panic, and the panic itself has been written to the log.
            let _ = catch_unwind(AssertUnwindSafe(job));
            state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        if state.closed {
            break;
        }
        state.idle += 1;
        let (woken, waited) = shared.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
        state = woken;
        state.idle -= 1;
        if waited.timed_out() && state.queue.is_empty() {
            break;
        }
    }
    state.threads -= 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn pool(threads_max: usize, queue_max: usize) -> Pool {
        Pool::new("test", Limits { threads_max, queue_max, nice: 0 })
    }

    #[test]
    fn jobs_answer_and_panics_are_told_and_counted() {
        let pool = pool(1, 8);
        let good = pool.run(|| 7).unwrap();
        let bad = pool.run(|| -> u8 { panic!("a fault for the test") }).unwrap();
        assert_eq!(smol::block_on(good.answer()), Ok(7));
        assert_eq!(smol::block_on(bad.answer()), Err(Lost));
        assert_eq!(pool.stats().panics, 1, "counted before it is told");
        let after = pool.run(|| 8).unwrap();
        assert_eq!(smol::block_on(after.answer()), Ok(8));
    }

    #[test]
    fn whoever_has_the_answer_finds_room_for_the_next_job() {
        let pool = pool(1, 0);
        for round in 0..10_000 {
            let running = pool.run(move || assert!(round % 100 != 7, "a fault for the test")).unwrap();
            assert_eq!(smol::block_on(running.answer()).is_err(), round % 100 == 7);
        }
        assert_eq!(pool.stats().panics, 100);
    }

    #[test]
    fn jobs_that_wait_when_the_pool_goes_are_lost() {
        let pool = pool(1, 1);
        let gate = Arc::new(Barrier::new(2));
        let held = Arc::clone(&gate);
        let running = pool.run(move || (held.wait(), held.wait())).unwrap();
        gate.wait(); // It runs.
        let waiting = pool.run(|| ()).unwrap();
        drop(pool);
        assert_eq!(smol::block_on(waiting.answer()), Err(Lost));
        gate.wait();
        smol::block_on(running.answer()).unwrap();
    }

    #[test]
    fn no_more_than_allowed_run_or_wait() {
        let pool = pool(2, 1);
        let gate = Arc::new(Barrier::new(3));
        let held: Vec<_> = (0..2)
            .map(|_| {
                let gate = Arc::clone(&gate);
                pool.run(move || gate.wait().is_leader()).unwrap()
            })
            .collect();
        // Both are running or about to; one may wait, the next is refused.
        let waiting = pool.run(|| 1).unwrap();
        assert!(pool.run(|| 2).is_err());
        assert!(pool.stats().threads <= 2);
        gate.wait();
        for job in &held {
            smol::block_on(job.answer()).unwrap();
        }
        assert_eq!(smol::block_on(waiting.answer()), Ok(1));
    }
}
