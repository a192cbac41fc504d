//! The loop of a room: what the records ask for at the start, then what is asked from then on.

use std::time::Duration;

use super::order::{asked, take_back};
use super::{Deps, IsPending, Order};
use crate::base::error::chain;
use crate::base::pool::Lost;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::bus::MustError;
use crate::events::{Event, FileNeedsThumbnailProcessing};
use crate::model::file::Figures;
use crate::model::{FileId, PlateWork};
use crate::store::{INDEXED_READ_MAX, ReadFiles as _, StoreError};

/// Pause before a full worker or an unreadable journal is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why an order was not ended. It stays pending in its record.
#[derive(Debug)]
pub enum Ended {
    /// The service stops.
    Stop,
    /// The store could not read or commit.
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Ended {
        Ended::Store(error)
    }
}

/// A room that does work for files.
pub trait Reader {
    /// Its name as a subscriber.
    const NAME: &'static str;

    /// Whether its kind of work is pending.
    fn is_pending(work: &PlateWork) -> bool;

    /// Does one order and ends it by [`Readers::end`], whatever the file is; answers how it went.
    fn read(&self, readers: &Readers, order: Order) -> impl Future<Output = Result<Went, Ended>>;
}

/// How an order went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// There is a result.
    Well,
    /// There is none, for a reason of this kind.
    Badly(String),
}

/// What a room works with while it does an order.
pub struct Readers {
    /// The rooms' common needs.
    pub deps: Deps,
    context: TaskContext,
    pending: IsPending,
}

impl Readers {
    /// Runs `job` on the worker; waits for a place and for the answer. A job that panics is [`Lost`], and the worker lives.
    ///
    /// # Errors
    /// [`Ended::Stop`].
    pub async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Clone + Send + 'static,
    ) -> Result<Result<T, Lost>, Ended> {
        let running = loop {
            if let Ok(running) = self.deps.pool.run(job.clone()) {
                break running;
            }
            let later = self.context.clock.now().mono.after(AGAIN_AFTER);
            if self.context.wait_until(later, std::future::pending::<()>()).await == Wake::Stop {
                return Err(Ended::Stop);
            }
        };
        self.wait(running.answer()).await
    }

    /// Waits for something that has a deadline of its own.
    ///
    /// # Errors
    /// [`Ended::Stop`].
    pub async fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Ended> {
        let mut work = std::pin::pin!(work);
        loop {
            match self.context.wait(work.as_mut()).await {
                Wake::Ready(answer) => return Ok(answer),
                Wake::Stop => return Err(Ended::Stop),
                Wake::Timer => {}
            }
        }
    }

    /// Ends an order: its result and its event are one transaction. Nothing is said of an order that is no longer wanted.
    ///
    /// # Errors
    /// [`Ended::Store`].
    pub async fn end(
        &self,
        order: Order,
        note: impl FnOnce(&mut PlateWork, &mut Figures) + Send + 'static,
        event: Event,
    ) -> Result<(), Ended> {
        let pending = self.pending;
        self.deps.store.write(move |txn| order.end(txn, pending, note, event)).await?;
        Ok(())
    }
}

/// Runs a room until stop.
///
/// # Errors
/// When the store cannot be read or written, or the bus has no place.
pub async fn run<R: Reader>(context: TaskContext, deps: Deps, reader: R) -> TaskResult {
    // Listening begins before the scan, so that nothing falls between; what both show is done once.
    let newest = deps.announcer.newest();
    let mut events = deps.announcer.bus().subscribe_must(R::NAME, newest, deps.store.clone())?;
    let readers = Readers { deps, context: context.clone(), pending: R::is_pending };
    let mut ended = scan(&readers, &reader).await;
    loop {
        match ended {
            Ok(()) => {}
            Err(Ended::Stop) => return Ok(()),
            Err(Ended::Store(error)) => return Err(error.into()),
        }
        let wake = context.wait(events.recv()).await;
        ended = match wake {
            Wake::Stop => return Ok(()),
            Wake::Timer => Ok(()),
            Wake::Ready(Ok(envelope)) => match &envelope.event {
                Event::FileNeedsThumbnailProcessing(FileNeedsThumbnailProcessing { file_id, .. }) => {
                    file(&readers, &reader, *file_id).await
                }
                _ => Ok(()),
            },
            // The records know what is pending; the events are only the quick way to hear of it.
            Wake::Ready(Err(error @ MustError::Gap { .. })) => {
                log::warn!("{}: {error}; looking through the records", R::NAME);
                scan(&readers, &reader).await
            }
            Wake::Ready(Err(MustError::Journal(error))) => {
                log::warn!("{}: {}; asking again", R::NAME, chain(&error));
                let later = context.clock.now().mono.after(AGAIN_AFTER);
                match context.wait_until(later, std::future::pending::<()>()).await {
                    Wake::Stop => Err(Ended::Stop),
                    Wake::Ready(()) | Wake::Timer => Ok(()),
                }
            }
        };
    }
}

/// Does everything that is pending in the records.
async fn scan<R: Reader>(readers: &Readers, reader: &R) -> Result<(), Ended> {
    let mut done_up_to = None;
    loop {
        let waiting = readers.deps.store.read(|view| view.files_with_work()).await?;
        let full = waiting.len() >= INDEXED_READ_MAX;
        let fresh: Vec<FileId> =
            waiting.into_iter().filter(|id| done_up_to.is_none_or(|last| *id > last)).collect();
        let Some(last) = fresh.last().copied() else { return Ok(()) };
        for id in fresh {
            file(readers, reader, id).await?;
        }
        if !full {
            return Ok(());
        }
        done_up_to = Some(last);
    }
}

/// Does what one record asks for, one order after the other.
async fn file<R: Reader>(readers: &Readers, reader: &R, id: FileId) -> Result<(), Ended> {
    let asked = readers.deps.store.read(move |view| asked(view, id, R::is_pending)).await?;
    if asked.moot {
        readers.deps.store.write(move |txn| take_back(txn, id)).await?;
    }
    for order in asked.orders {
        let handling = order.cause.map(|seq| readers.deps.announcer.handle(R::NAME, seq));
        let went = reader.read(readers, order).await?;
        match (handling, went) {
            (Some(handling), Went::Well) => handling.done(),
            (Some(handling), Went::Badly(kind)) => handling.failed(&kind),
            (None, _) => {}
        }
    }
    Ok(())
}
