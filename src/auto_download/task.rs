//! Follows the events about jobs and asks for the files of prints that have started.
//!
//! It gets every durable event, from the ring or the journal; a restart begins with a look at the active jobs, so nothing is
//! missed and no cursor is kept. Being told twice is harmless: a print that has a request gets no second one.

use std::time::Duration;

use crate::base::clock::{Clock, within};
use crate::base::latest::Latest;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::bus::MustError;
use crate::downloads::{self, Desk};
use crate::events::{Announcer, Event};
use crate::model::{JobId, Start};
use crate::printers::registry::{Entry, Registry};
use crate::store::{Read as _, ReadFiles as _, Store, StoreError};

use super::policy;

/// Its name among the subscribers.
const NAME: &str = "auto-download";

/// What the printer says of a print is shown a moment after its job is committed; a printer that has gone meanwhile is not
/// waited for longer than this.
const SHOWN_WITHIN: Duration = Duration::from_millis(200);
/// Pause after the journal could not be read.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// What the task needs.
#[derive(Clone)]
pub struct Deps {
    /// The clocks.
    pub clock: Clock,
    /// Records and journal.
    pub store: Store,
    /// The bus.
    pub announcer: Announcer,
    /// The table of printers.
    pub registry: Registry,
    /// Where files are asked for.
    pub desk: Desk,
    /// Whether prints that start from now on get their files.
    pub enabled: Latest<bool>,
}

/// Follows the events until stop.
///
/// # Errors
/// When the store cannot be used or the bus has no place; the supervisor starts the task again.
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    let newest = deps.announcer.newest();
    let mut events = deps.announcer.bus().subscribe_must(NAME, newest, deps.store.clone())?;
    deps.look_at_all().await?;
    loop {
        match context.wait(events.recv()).await {
            Wake::Stop => return Ok(()),
            Wake::Timer => {}
            Wake::Ready(Ok(envelope)) => match &envelope.event {
                Event::JobCreated(job) => deps.consider(job.job_id, envelope.seq).await?,
                Event::JobStarted(job) => deps.consider(job.job_id, envelope.seq).await?,
                Event::JobStatusChanged(job) if job.status.is_active() => {
                    deps.consider(job.job_id, envelope.seq).await?;
                }
                Event::JobUpdated(job) => deps.consider(job.job_id, envelope.seq).await?,
                // The last round comes after the end.
                Event::JobCompleted(_) => deps.desk.wake(),
                _ => {}
            },
            Wake::Ready(Err(MustError::Gap { .. })) => deps.look_at_all().await?,
            Wake::Ready(Err(error @ MustError::Journal(_))) => {
                log::warn!("{error}");
                let pause = context.clock.now().mono.after(AFTER_TROUBLE);
                if context.wait_until(pause, std::future::pending::<()>()).await == Wake::Stop {
                    return Ok(());
                }
            }
        }
    }
}

impl Deps {
    /// Considers every job that is active.
    async fn look_at_all(&self) -> Result<(), StoreError> {
        let jobs = self.store.read(|view| view.active_or_pending_jobs(None)).await?;
        for job in jobs.into_iter().filter(|job| job.status.is_active()) {
            self.consider(job.id, None).await?;
        }
        Ok(())
    }

    /// Asks for the file of a job if the policy says so and nobody has asked yet. `cause` is the event that told of it.
    async fn consider(&self, id: JobId, cause: Option<u64>) -> Result<(), StoreError> {
        if !*self.enabled.get() {
            return Ok(());
        }
        let known = self.store.read(move |view| {
            let open = view.job(id)?.filter(|job| job.status.is_active());
            let tried = view.fetch_of(id)?.is_some();
            Ok::<_, StoreError>(open.filter(|_| !tried))
        });
        let job = match known.await {
            Ok(Some(job)) => job,
            Ok(None) => return Ok(()),
            // Noted already; it costs only itself.
            Err(StoreError::Record(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(entry) = self.registry.get(job.printer_id) else { return Ok(()) };
        let handling = cause.map(|seq| self.announcer.handle(NAME, seq));
        let start = self.shown(&entry, id).await;
        let kind = entry.printer.kind;
        let asked = self.store.write(move |txn| {
            let Some(job) = txn.job(id)?.filter(|job| job.status.is_active()) else { return Ok(false) };
            if txn.fetch_of(id)?.is_some() {
                return Ok(false);
            }
            let Some(filename) = policy::decide(&job, &start, kind) else { return Ok(false) };
            downloads::trigger(txn, &job, policy::named(&job, &start), filename, cause)?;
            Ok::<_, StoreError>(true)
        });
        let asked = asked.await;
        match (handling, &asked) {
            (Some(handling), Ok(true)) => handling.done_with("the file of its print is asked for"),
            (Some(handling), Ok(false)) => handling.skipped("no file to ask for"),
            (Some(handling), Err(_)) => handling.failed("the records cannot be written"),
            (None, _) => {}
        }
        if asked? {
            self.desk.wake();
        }
        Ok(())
    }

    /// What the printer says of the print of `job`.
    async fn shown(&self, entry: &Entry, job: JobId) -> Start {
        let waiting = async {
            let (mut generation, mut state) = entry.state.read();
            while state.job_id != Some(job) {
                (generation, state) = entry.state.changed(generation).await;
            }
            state.seen.start.clone()
        };
        within(&self.clock, SHOWN_WITHIN, waiting).await.unwrap_or_default()
    }
}
