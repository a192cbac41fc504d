//! The handle: how everybody else asks the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smol::channel::{Receiver, Sender, TrySendError, bounded};

use super::backup::BackupReport;
use super::env::{Env, guarded};
use super::error::{DecodeError, RecordError, StoreError};
use super::group::WriteWork;
use super::record::hex;
use super::refuge::Refusal;
use super::stats::StoreStats;
use super::tables::{Key as _, Table};
use super::txn::Txn;
use super::view::View;
use crate::base::clock::{Clock, within};
use crate::base::latest::Latest;
use crate::base::zone::Zone;

/// Requests that wait for the store's thread: some for each task of the service, with 16 printers ending at once.
pub const QUEUE_MAX: usize = 256;

/// How long a request waits for a place in the queue. A card may stall for seconds while it tidies up; after that the
/// caller is told.
pub const QUEUE_WAIT: Duration = Duration::from_secs(10);

/// A queued question.
pub(super) trait ReadWork: Send {
    /// Asks it and tells the caller.
    fn run(self: Box<Self>, view: Result<&View<'_>, StoreError>);
}

/// What the thread is asked.
pub(super) enum Request {
    Write(Box<dyn WriteWork>),
    Read(Box<dyn ReadWork>),
    Ping(Sender<()>),
    Backup(Sender<Result<BackupReport, StoreError>>),
    Close(Sender<Result<(), StoreError>>),
}

/// A handle to the store. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) env: Arc<Env>,
    requests: Sender<Request>,
}

impl Store {
    pub(super) fn new(env: Arc<Env>, requests: Sender<Request>) -> Store {
        Store { env, requests }
    }

    /// Runs `work` on the store's thread as one fact: when it answers `Ok`, all its changes and events are committed (together
    /// with those of other callers, in one sync of the card) and announced before this returns; when it answers `Err` or
    /// panics, none of them is.
    ///
    /// `work` must not wait for anything and not call the store. Once queued it runs even if this future is dropped.
    ///
    /// # Errors
    /// What `work` answers, or from [`StoreError`]: `Busy`, `Closed`, `Failed`, `Panicked`, `TooLarge`.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = bounded(1);
        let writing = Writing { work: Some(work), result: None, reply };
        self.send(Request::Write(Box::new(writing))).await?;
        self.answer(answer).await?
    }

    /// [`Store::write`] for threads that may block; never on the executor, the store's thread or in a publish callback.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T, E>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        smol::block_on(self.write(work))
    }

    /// Runs `work` on the store's thread with a view of everything committed, and so of every write that has been answered.
    /// Keep it short: writes wait for it.
    ///
    /// # Errors
    /// What `work` answers, or from [`StoreError`]: `Busy`, `Closed`, `Failed`, `Panicked`.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = bounded(1);
        self.send(Request::Read(Box::new(Reading { work, reply }))).await?;
        self.answer(answer).await?
    }

    /// Runs `work` on the calling thread with a view of everything committed. Writes do not wait for it. For threads that
    /// may block: it reads the card.
    ///
    /// # Errors
    /// What `work` answers, or from [`StoreError`]: `Closed`, `Failed`, `Panicked`.
    pub fn read_blocking<T, E>(&self, work: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let answer = guarded(|| work(&View::new(&self.env)?));
        answer.unwrap_or_else(|| Err(StoreError::Panicked.into()))
    }

    /// Goes to the store's thread and back: proof that it is alive and not stuck. The supervisor asks every 10 s with a
    /// deadline of its own.
    ///
    /// # Errors
    /// `Busy`, `Closed`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let (reply, answer) = bounded(1);
        self.send(Request::Ping(reply)).await?;
        self.answer(answer).await
    }

    /// Writes the compact copy of the records (everything but the journal) beside the file, in small steps between the
    /// commits; does nothing when the last copy is still true. Asked once a day.
    ///
    /// # Errors
    /// [`StoreError::Backup`]; the store goes on.
    pub async fn backup(&self) -> Result<BackupReport, StoreError> {
        let (reply, answer) = bounded(1);
        self.send(Request::Backup(reply)).await?;
        self.answer(answer).await?
    }

    /// The newest durable `seq` that was announced: what a state event names as `after`.
    #[must_use]
    pub fn newest_seq(&self) -> u64 {
        self.env.announced.load(Ordering::Acquire)
    }

    /// Grows by one at each turn of the thread's loop.
    #[must_use]
    pub fn heartbeat(&self) -> u64 {
        self.env.heartbeat.load(Ordering::Relaxed)
    }

    /// The cell that gets the reason when the file has failed. From then on every request answers
    /// [`StoreError::Failed`]; the process is to end with an error so that it is started afresh.
    #[must_use]
    pub fn failure(&self) -> &Latest<Option<Arc<str>>> {
        &self.env.failed
    }

    /// Why and since when the card takes no records, if it is so: they are kept in memory, and a power cut would lose them.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        (*self.env.refusal.get()).clone()
    }

    /// Waits until the store has failed; answers why.
    pub async fn failed(&self) -> Arc<str> {
        let mut cell = self.env.failed.read();
        loop {
            if let Some(cause) = &*cell.1 {
                return Arc::clone(cause);
            }
            cell = self.env.failed.changed(cell.0).await;
        }
    }

    /// The figures.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let mut stats = *self.env.stats();
        stats.queued = self.requests.len() as u64;
        stats.damaged_records = self.env.damage.count();
        stats
    }

    pub(super) fn clock(&self) -> Clock {
        self.env.clock.clone()
    }

    /// Whose days the statistics of jobs count by.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.env.zone.clone()
    }

    /// Sends the request to close; used by the owner of the thread.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = bounded(1);
        self.send(Request::Close(reply)).await?;
        self.answer(answer).await?
    }

    pub(super) fn note_unreadable_event(&self, seq: u64) {
        let row = seq.to_bytes();
        let error = RecordError { table: Table::Journal.name(), key: hex(&row), error: DecodeError::Body };
        self.env.damage.note(Table::Journal, &row, &error);
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        let request = match self.requests.try_send(request) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(StoreError::Closed),
            Err(TrySendError::Full(request)) => request,
        };
        match within(&self.env.clock, QUEUE_WAIT, self.requests.send(request)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(StoreError::Closed),
            None => {
                self.env.stats().busy += 1;
                Err(StoreError::Busy)
            }
        }
    }

    /// The answer; without one the thread has ended.
    async fn answer<T>(&self, answer: Receiver<T>) -> Result<T, StoreError> {
        match answer.recv().await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.env.check().err().unwrap_or(StoreError::Closed)),
        }
    }
}

struct Writing<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: Sender<Result<T, E>>,
}

impl<F, T, E> WriteWork for Writing<F, T, E>
where
    F: FnOnce(&mut Txn<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, txn: &mut Txn<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = self.result.insert(work(txn));
        result.is_ok()
    }

    fn reject(&mut self, error: StoreError) {
        self.result = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Panicked.into()),
            (Err(error), _) => Err(error.into()),
        };
        // Nobody waits any more: fine, the facts are kept all the same.
        let _ = self.reply.try_send(result);
    }
}

struct Reading<F, T, E> {
    work: F,
    reply: Sender<Result<T, E>>,
}

impl<F, T, E> ReadWork for Reading<F, T, E>
where
    F: FnOnce(&View<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(self: Box<Self>, view: Result<&View<'_>, StoreError>) {
        let Reading { work, reply } = *self;
        let answer = match view {
            Ok(view) => guarded(|| work(view)).unwrap_or_else(|| Err(StoreError::Panicked.into())),
            Err(error) => Err(error.into()),
        };
        // Nobody waits any more: fine.
        let _ = reply.try_send(answer);
    }
}
