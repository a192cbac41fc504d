//! The thread named `store`: the only writer. It takes what is queued, commits it as a group, announces, answers.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use smol::channel::{Receiver, Sender};

use super::backup::{BackupReport, Backups};
use super::env::{Env, guarded};
use super::error::StoreError;
use super::group::{self, Committed, Position, WriteWork};
use super::handle::{ReadWork, Request, Store};
use super::run_state::RunState;
use super::view::View;
use crate::base::clock::within;
use crate::events::Envelope;

/// Requests taken at once: what one commit and one memory peak may hold.
pub const GROUP_MAX: usize = 64;

/// Stack of the thread: closures of ours and redb's trees need a fraction; musl's own default would be 128 KiB.
const STACK_BYTES: usize = 512 * 1024;

/// What is told about a committed event, on the store's thread and in the order of `seq`.
pub type Publish = Arc<dyn Fn(Arc<Envelope>) + Send + Sync>;

/// Points at which a test looks in or holds the thread up. Production leaves them empty.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Between the commit of a group and its announcement, with the newest `seq`.
    pub on_committed: Option<Arc<dyn Fn(u64) + Send + Sync>>,
    /// At each turn of the loop: a test that blocks here stalls the thread.
    pub on_turn: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// All that the thread owns.
pub(super) struct Worker {
    pub(super) env: Arc<Env>,
    pub(super) requests: Receiver<Request>,
    pub(super) publish: Publish,
    pub(super) hooks: Hooks,
    pub(super) journal_max: u64,
    pub(super) group_window: Duration,
    pub(super) position: Position,
    pub(super) backups: Backups,
    pub(super) run_state: RunState,
}

/// What was taken from the queue at once.
#[derive(Default)]
struct Taken {
    writes: Vec<Box<dyn WriteWork>>,
    reads: Vec<Box<dyn ReadWork>>,
    pings: Vec<Sender<()>>,
    backups: Vec<Sender<Result<BackupReport, StoreError>>>,
    close: Option<Sender<Result<(), StoreError>>>,
}

impl Taken {
    fn add(&mut self, request: Request) {
        match request {
            Request::Write(work) => self.writes.push(work),
            Request::Read(work) => self.reads.push(work),
            Request::Ping(reply) => self.pings.push(reply),
            Request::Backup(reply) => self.backups.push(reply),
            Request::Close(reply) => self.close = Some(reply),
        }
    }
}

impl Worker {
    /// Starts the thread.
    pub(super) fn spawn(self, store: Store) -> std::io::Result<StoreThread> {
        let builder = std::thread::Builder::new().name("store".to_owned()).stack_size(STACK_BYTES);
        let handle = builder.spawn(move || self.run())?;
        Ok(StoreThread { store, handle: Some(handle) })
    }

    fn run(mut self) {
        loop {
            self.env.beat();
            if let Some(hook) = &self.hooks.on_turn {
                hook();
            }
            let Some(mut taken) = self.take() else { return };
            let env = Arc::clone(&self.env);
            let close = taken.close.take();
            if guarded(|| self.turn(taken)).is_none() {
                // Whoever waited for this turn is answered by the reply's end: `Failed`.
                env.fail_with("a panic on the store's thread".to_owned());
            }
            if let Some(reply) = close {
                let result = self.close();
                self.requests.close();
                let _ = reply.try_send(result);
                return;
            }
        }
    }

    /// Waits for a request, then takes what else is queued. While a backup is being written it does not wait. `None` when
    /// all handles are gone.
    fn take(&mut self) -> Option<Taken> {
        let mut taken = Taken::default();
        let mut count = 0_u64;
        if !self.backups.is_running() {
            taken.add(self.requests.recv_blocking().ok()?);
            count += 1;
            if !self.group_window.is_zero() {
                self.wait_for_company(&mut taken, &mut count);
            }
        }
        while taken.close.is_none() && count < GROUP_MAX as u64 {
            let Ok(request) = self.requests.try_recv() else { break };
            taken.add(request);
            count += 1;
        }
        let waiting = count + self.requests.len() as u64;
        let mut stats = self.env.stats();
        stats.queued_max = stats.queued_max.max(waiting);
        Some(taken)
    }

    /// Keeps a group open for a moment after its first write.
    fn wait_for_company(&self, taken: &mut Taken, count: &mut u64) {
        let clock = &self.env.clock;
        let end = clock.now().mono.after(self.group_window);
        while !taken.writes.is_empty() && taken.close.is_none() && *count < GROUP_MAX as u64 {
            let left = end.since(clock.now().mono);
            match smol::block_on(within(clock, left, self.requests.recv())) {
                Some(Ok(request)) => taken.add(request),
                Some(Err(_)) | None => return,
            }
            *count += 1;
        }
    }

    fn turn(&mut self, taken: Taken) {
        for reply in taken.pings {
            let _ = reply.try_send(());
        }
        // Questions come first: they see everything that was answered, and need not wait for the card.
        if !taken.reads.is_empty() {
            let view = View::new(&self.env);
            for read in taken.reads {
                read.run(view.as_ref().map_err(Clone::clone));
            }
        }
        if !taken.writes.is_empty() {
            self.write(taken.writes);
        }
        for reply in taken.backups {
            self.backups.start(&self.env, &mut self.position, reply);
        }
        if self.backups.step(&self.env, &mut self.position) {
            self.run_state.note(&self.env, self.position.counters);
        }
    }

    /// Commits a group, announces its events in order, answers its callers.
    fn write(&mut self, mut works: Vec<Box<dyn WriteWork>>) {
        let begin = self.env.clock.now().mono;
        let outcome = match self.env.check() {
            Ok(()) => guarded(|| group::commit(&self.env, self.position, self.journal_max, &mut works))
                .unwrap_or_else(|| Err(self.env.fail_with("a panic during a commit".to_owned()))),
            Err(error) => Err(error),
        };
        let outcome = match outcome {
            Ok(committed) => {
                let took = self.env.clock.now().mono.since(begin);
                self.committed(committed, works.len(), took);
                Ok(())
            }
            Err(error) => Err(error),
        };
        for work in works {
            work.answer(outcome.clone());
        }
    }

    fn committed(&mut self, committed: Committed, closures: usize, took: Duration) {
        self.position = committed.position;
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        {
            let mut stats = self.env.stats();
            stats.kept += committed.tally.kept;
            stats.discarded += committed.tally.discarded;
            stats.panicked += committed.tally.panicked;
            stats.events += committed.events.len() as u64;
            stats.group_max = stats.group_max.max(closures as u64);
            if committed.written {
                stats.commits += 1;
                stats.commit_ms += took_ms;
                stats.commit_ms_max = stats.commit_ms_max.max(took_ms);
            }
        }
        if let Some(hook) = &self.hooks.on_committed {
            hook(self.position.counters.seq);
        }
        for event in committed.events {
            let seq = event.seq.unwrap_or_default();
            (self.publish)(event);
            self.env.announced.store(seq, Ordering::Release);
        }
    }

    /// Closes the file and notes that this was done in order.
    fn close(&mut self) -> Result<(), StoreError> {
        self.backups.abandon();
        let database = self.env.database.write().unwrap_or_else(PoisonError::into_inner).take();
        self.env.check()?;
        if let Some(database) = database {
            let closed = guarded(|| database.close());
            match closed {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(self.env.fail(error)),
                None => return Err(self.env.fail_with("a panic while closing the file".to_owned())),
            }
        }
        self.run_state
            .set_clean(self.position.counters)
            .map_err(|error| self.env.fail_with(error.to_string()))
    }
}

impl Drop for Worker {
    /// Whoever is still queued, or comes later, learns that nobody will answer. (A closed channel keeps what is in it.)
    fn drop(&mut self) {
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            drop(request);
        }
    }
}

/// The owner's end of the thread. Dropping it without [`StoreThread::close`] leaves the thread running until all handles are
/// gone, and counts as an unclean end.
#[derive(Debug)]
pub struct StoreThread {
    store: Store,
    handle: Option<JoinHandle<()>>,
}

impl StoreThread {
    /// Finishes what is queued, closes the file, notes the clean end, and waits for the thread to leave. Requests that come
    /// later answer [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError::Busy`] when it did not manage within `limit` (the thread goes on trying), [`StoreError::Failed`].
    pub async fn close(mut self, limit: Duration) -> Result<(), StoreError> {
        let clock = self.store.clock();
        let result = within(&clock, limit, self.store.close()).await.unwrap_or(Err(StoreError::Busy));
        if result != Err(StoreError::Busy)
            && let Some(handle) = self.handle.take()
        {
            // It has answered and is past its last wait: this takes no time.
            let _ = handle.join();
        }
        result
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }
}
