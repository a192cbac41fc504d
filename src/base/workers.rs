//! Threads for work that blocks: a few, with small stacks, there only while there is something to do.
//!
//! A thread that has nothing to do waits for [`LINGER`] and leaves. Nothing queues: work is handed to a thread that waits,
//! or to a new one, or refused when [`Workers::new`]'s limit of threads is reached. So work that hangs holds up nobody
//! else, as long as there may be as many threads as pieces of work that can hang at once.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use smol::channel::Receiver;

use super::task::panic_text;

/// How long a thread waits for more before it leaves: long enough for the requests of one conversation, which follow each
/// other at once; short enough that nobody is there between two polls.
pub const LINGER: Duration = Duration::from_secs(1);

type Work = Box<dyn FnOnce() + Send>;

/// A pool of threads. Clones are handles to the same one.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    name: &'static str,
    stack_bytes: usize,
    threads_max: usize,
    state: Mutex<State>,
    handed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    threads: usize,
    waiting: usize,
    panics: u64,
    /// Work for threads that wait; never more than [`State::waiting`], so it needs no other bound.
    handed: Handed,
}

#[derive(Default)]
struct Handed(VecDeque<Work>);

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.len())
    }
}

/// All threads are at work, or the system gives no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too much is going on at once")
    }
}

impl std::error::Error for Busy {}

impl Workers {
    /// A pool that starts at most `threads_max` threads called `name` with stacks of `stack_bytes`.
    #[must_use]
    pub fn new(name: &'static str, stack_bytes: usize, threads_max: usize) -> Workers {
        Workers(Arc::new(Shared {
            name,
            stack_bytes,
            threads_max,
            state: Mutex::default(),
            handed: Condvar::new(),
        }))
    }

    /// Has `work` done; its result comes through the channel, which closes without one where the work panicked.
    ///
    /// # Errors
    /// [`Busy`] when no thread is free; nothing is done then.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Receiver<T>, Busy> {
        let (tell, told) = smol::channel::bounded(1);
        self.hand(Box::new(move || {
            // Whoever asked may have gone away.
            let _ = tell.try_send(work());
        }))?;
        Ok(told)
    }

    /// Threads there are right now.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.state().threads
    }

    /// Pieces of work that panicked.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.0.state().panics
    }

    fn hand(&self, work: Work) -> Result<(), Busy> {
        let mut state = self.0.state();
        if state.waiting > state.handed.0.len() {
            state.handed.0.push_back(work);
            drop(state);
            self.0.handed.notify_one();
            return Ok(());
        }
        if state.threads >= self.0.threads_max {
            return Err(Busy);
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name(shared.name.to_owned()).stack_size(shared.stack_bytes);
        if let Err(error) = thread.spawn(move || serve(&shared, work)) {
            log::error!("no thread could be started: {error}");
            self.0.state().threads -= 1;
            return Err(Busy);
        }
        Ok(())
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("name", &self.0.name).field("state", &*self.0.state()).finish()
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(shared: &Shared, first: Work) {
    let mut work = first;
    loop {
        let panicked = catch_unwind(AssertUnwindSafe(work)).err();
        if let Some(panic) = &panicked {
            log::error!("work on a thread {} panicked: {}", shared.name, panic_text(panic.as_ref()));
        }
        let mut state = shared.state();
        state.panics += u64::from(panicked.is_some());
        state.waiting += 1;
        let (mut state, _) = shared
            .handed
            .wait_timeout_while(state, LINGER, |state| state.handed.0.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        match state.handed.0.pop_front() {
            Some(next) => work = next,
            None => {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK_BYTES: usize = 128 * 1024;

    #[test]
    fn threads_are_shared_by_work_that_follows_and_leave_when_idle() {
        let workers = Workers::new("test", STACK_BYTES, 4);
        for number in 0..100 {
            let told = workers.run(move || number * 2).unwrap();
            assert_eq!(smol::block_on(told.recv()), Ok(number * 2));
        }
        assert!(workers.threads() <= 2, "{workers:?}");
        let mut looks = 0;
        while workers.threads() > 0 {
            looks += 1;
            assert!(looks < 600, "{workers:?}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    #[test]
    fn hanging_work_holds_up_nobody_and_too_much_is_refused() {
        let workers = Workers::new("test", STACK_BYTES, 3);
        let (release, released) = smol::channel::bounded::<()>(1);
        let hang = || {
            let released = released.clone();
            workers.run(move || released.recv_blocking())
        };
        let (one, two) = (hang().unwrap(), hang().unwrap());
        let told = workers.run(|| 1).unwrap();
        assert_eq!(smol::block_on(told.recv()), Ok(1));
        // The third thread may still be on its way back to waiting.
        let three = loop {
            match hang() {
                Ok(three) => break three,
                Err(Busy) => std::thread::park_timeout(Duration::from_millis(1)),
            }
        };
        assert_eq!(hang().err(), Some(Busy));
        release.close();
        for told in [one, two, three] {
            assert!(smol::block_on(told.recv()).is_ok());
        }
    }

    #[test]
    fn a_panic_ends_its_work_only() {
        let workers = Workers::new("test", STACK_BYTES, 1);
        let told = workers.run(|| panic!("on purpose")).unwrap();
        let told: Result<(), _> = smol::block_on(told.recv());
        assert!(told.is_err());
        let told = loop {
            match workers.run(|| 7) {
                Ok(told) => break told,
                Err(Busy) => std::thread::park_timeout(Duration::from_millis(1)),
            }
        };
        assert_eq!(smol::block_on(told.recv()), Ok(7));
        assert_eq!(workers.panics(), 1);
    }
}
