//! The loop: which source is looked at when.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::local::{self, Folder};
use super::merge::{self, Merge};
use super::{LISTED_MAX, Listing, Requests, Seen, diff, source_id};
use crate::base::clock::{Clock, Mono};
use crate::base::error::chain;
use crate::base::pool::{Limits, Pool};
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::events::{Announcer, Event, FilesDiscovered, Flow};
use crate::library::Library;
use crate::model::{ConnectionState, FetchKind, FileSource, PrinterStatus};
use crate::net::ftps::Cancel;
use crate::net::resolve::Resolver;
use crate::printers::catalogue::{Catalogue, catalogue};
use crate::printers::registry::{Entry, Registry};
use crate::store::{Store, StoreError};

/// Period of each source (workflow 5 of the contract).
pub const EVERY: Duration = Duration::from_secs(300);
/// The first look after a source has appeared: a printer is connected by then.
const FIRST_AFTER: Duration = Duration::from_secs(15);
/// Between two looks at a watch folder in which something is being copied.
const SETTLE: Duration = Duration::from_secs(5);
/// A listing that has not ended by then is given up: slow printers need half a minute for a full card.
const LISTED_WITHIN: Duration = Duration::from_secs(120);
/// A transfer at the printer goes first; a look that somebody asked for waits a little for it.
const SLOT_WITHIN: Duration = Duration::from_secs(20);

/// What the loop needs.
#[derive(Clone)]
pub struct Deps {
    /// The clocks.
    pub clock: Clock,
    /// Records.
    pub store: Store,
    /// The bus.
    pub announcer: Announcer,
    /// The printers that are watched.
    pub registry: Registry,
    /// Names to addresses.
    pub resolver: Resolver,
    /// Where the watch folder's files go.
    pub library: Library,
    /// Wishes.
    pub requests: Requests,
}

/// Runs until stop.
///
/// # Errors
/// When the records cannot be read or written.
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    let mut finder = Finder {
        pool: Pool::new("discovery", Limits { threads_max: 1, queue_max: 1, nice: 5 }),
        folder: Arc::default(),
        root: deps.library.config().watch_folder.clone(),
        due: BTreeMap::new(),
        looks: 0,
        context,
        deps,
    };
    loop {
        finder.refresh();
        let rung = finder.deps.requests.listen();
        let now = finder.context.clock.now().mono;
        let wish = finder.deps.requests.take();
        let next = finder.due.iter().min_by_key(|(_, due)| **due).map(|(source, due)| (*source, *due));
        let (source, asked) = match (wish, next) {
            (Some(source), _) => (source, true),
            (None, Some((source, due))) if due <= now => (source, false),
            (None, next) => {
                let until = next.map_or_else(|| now.after(EVERY), |(_, due)| due);
                if finder.context.wait_until(until, rung).await == Wake::Stop {
                    return Ok(());
                }
                continue;
            }
        };
        finder.due.insert(source, now.after(EVERY));
        match finder.look(source, asked).await {
            Ok(()) => {}
            Err(Ended::Stop) => return Ok(()),
            Err(Ended::Store(error)) => return Err(error.into()),
        }
    }
}

/// Why a look did not come to its end.
enum Ended {
    Stop,
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Ended {
        Ended::Store(error)
    }
}

struct Finder {
    deps: Deps,
    context: TaskContext,
    pool: Pool,
    folder: Arc<Mutex<Folder>>,
    root: Option<PathBuf>,
    /// When each source is looked at next.
    due: BTreeMap<FileSource, Mono>,
    looks: u64,
}

impl Finder {
    /// Takes in which sources there are.
    fn refresh(&mut self) {
        let now = self.context.clock.now().mono;
        let entries = self.deps.registry.all();
        let printers = entries.iter().filter(|entry| entry.printer.enabled);
        let mut sources: Vec<FileSource> =
            printers.map(|entry| FileSource::Printer(entry.printer.id)).collect();
        sources.extend(self.root.as_ref().map(|_| FileSource::Local));
        self.due.retain(|source, _| sources.contains(source));
        for source in sources {
            self.due.entry(source).or_insert_with(|| now.after(FIRST_AFTER));
        }
    }

    async fn look(&mut self, source: FileSource, asked: bool) -> Result<(), Ended> {
        let begun = self.context.clock.now().mono;
        let (listing, name) = match source {
            FileSource::Upload => return Ok(()),
            FileSource::Local => {
                let Some(listing) = self.folder().await? else { return Ok(()) };
                (listing, "local".to_owned())
            }
            FileSource::Printer(id) => {
                let Some(entry) = self.deps.registry.get(id) else { return Ok(()) };
                let name = entry.printer.name.clone();
                match self.printer(&entry, asked).await? {
                    Some(listing) => (listing, name),
                    None => return Ok(()),
                }
            }
        };
        self.merge(source, name, listing, begun).await?;
        if source == FileSource::Local {
            self.take().await?;
        }
        Ok(())
    }

    /// The listing of a printer; `None` when it is left alone.
    async fn printer(&mut self, entry: &Entry, asked: bool) -> Result<Option<Listing>, Ended> {
        let state = entry.state.get();
        let printer = Arc::clone(&entry.printer);
        if !asked && is_left_alone(state.connection, state.seen.status) {
            return Ok(None);
        }
        let slots = self.deps.registry.slots();
        let slot = if asked {
            let mut taking = Box::pin(slots.take(printer.id, &self.context.clock, SLOT_WITHIN));
            loop {
                match self.context.wait(taking.as_mut()).await {
                    Wake::Ready(slot) => break slot,
                    Wake::Timer => {}
                    Wake::Stop => return Err(Ended::Stop),
                }
            }
        } else {
            slots.try_take(printer.id)
        };
        let Some(slot) = slot else {
            return Ok(
                asked.then(|| Listing::failed(FetchKind::Refused, "a file of this printer is being fetched"))
            );
        };
        let (resolver, cancel) = (self.deps.resolver.clone(), Cancel::new());
        let stopping = cancel.clone();
        let deadline = self.context.clock.now().mono.after(LISTED_WITHIN);
        let job = move || {
            // The slot is free when the session is over, whoever still waits for it.
            let _slot = slot;
            listing_of(catalogue(&printer, &resolver, &cancel, LISTED_MAX))
        };
        let Ok(running) = self.pool.run(job) else { return Ok(None) };
        let mut answer = Box::pin(running.answer());
        loop {
            match self.context.wait_until(deadline, answer.as_mut()).await {
                Wake::Ready(Ok(listing)) => return Ok(Some(listing)),
                Wake::Ready(Err(lost)) => {
                    return Ok(Some(Listing::failed(FetchKind::Interrupted, lost.to_string())));
                }
                Wake::Stop => {
                    stopping.cancel();
                    return Err(Ended::Stop);
                }
                Wake::Timer if self.context.clock.now().mono >= deadline => {
                    stopping.cancel();
                    return Ok(Some(Listing::failed(
                        FetchKind::Stalled,
                        "the printer did not end its listing",
                    )));
                }
                Wake::Timer => {}
            }
        }
    }

    /// The listing of the watch folder.
    async fn folder(&mut self) -> Result<Option<Listing>, Ended> {
        let Some(root) = self.root.clone() else { return Ok(None) };
        let folder = Arc::clone(&self.folder);
        let now = self.context.clock.now().mono;
        let job = move || folder.lock().unwrap_or_else(PoisonError::into_inner).look(&root, now);
        let Some(looked) = self.work(job).await? else { return Ok(None) };
        if looked.unsettled > 0 {
            let soon = self.context.clock.now().mono.after(SETTLE);
            self.due.insert(FileSource::Local, soon);
        }
        Ok(Some(looked.listing))
    }

    /// Copies the watch folder's files to their places.
    async fn take(&mut self) -> Result<(), Ended> {
        let Some(root) = self.root.clone() else { return Ok(()) };
        let (store, library) = (self.deps.store.clone(), self.deps.library.clone());
        let stop = StopOnDrop::default();
        let stopped = Arc::clone(&stop.0);
        let job = move || local::take_all(&store, &library, &root, &|| !stopped.load(Ordering::Relaxed));
        match self.work(job).await? {
            Some(result) => {
                result?;
            }
            None => log::warn!("the watch folder's files could not be taken now"),
        }
        Ok(())
    }

    /// Runs a job on the worker; `None` when there was no place, or it ended in a fault.
    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, Ended> {
        let Ok(running) = self.pool.run(job) else { return Ok(None) };
        let mut answer = Box::pin(running.answer());
        loop {
            match self.context.wait(answer.as_mut()).await {
                Wake::Ready(answer) => return Ok(answer.ok()),
                Wake::Stop => return Err(Ended::Stop),
                Wake::Timer => {}
            }
        }
    }

    /// Compares the listing with what is known, and writes what it changes.
    async fn merge(
        &mut self,
        source: FileSource,
        source_name: String,
        listing: Listing,
        begun: Mono,
    ) -> Result<(), Ended> {
        let (complete, error) = (listing.complete, listing.error.clone());
        if let Some((kind, words)) = error.as_ref().filter(|_| listing.files.is_empty()) {
            log::debug!("{:?}: nothing could be listed: {words}", source_id(source));
            let event = FilesDiscovered {
                printer_id: source_id(source),
                total_found: 0,
                new_files: 0,
                existing_files: 0,
                removed_files: 0,
                complete: false,
                error: Some(words.clone()),
                kind: Some(*kind),
            };
            self.deps.announcer.state(Event::FilesDiscovered(event), None);
            return Ok(());
        }
        // Comparing reads every record of the source: off the executor, and not on the store's own thread.
        let store = self.deps.store.clone();
        let job = move || {
            let known = store.read_blocking(|view| merge::known(view, source))?;
            Ok::<_, StoreError>(diff::diff(&known, listing))
        };
        let Some(diff) = self.work(job).await? else { return Ok(()) };
        self.looks += 1;
        let name = match source.printer_id() {
            Some(id) => id.to_string(),
            None => "local".to_owned(),
        };
        let flow = Flow::new(&format!("sync-{name}-{}-{}", self.deps.announcer.newest(), self.looks));
        let merge = Merge { source, source_name, diff: diff?, complete, error, flow };
        let (clock, quiet) = (self.context.clock.clone(), merge.clone());
        let took = move || u64::try_from(clock.now().mono.since(begun).as_millis()).unwrap_or(u64::MAX);
        let mut applying = Box::pin(merge::apply(&self.deps.store, merge, &took));
        let written = loop {
            match self.context.wait(applying.as_mut()).await {
                Wake::Ready(written) => break written,
                Wake::Stop => return Err(Ended::Stop),
                Wake::Timer => {}
            }
        };
        match written {
            Ok(true) => {}
            Ok(false) => {
                let flow = Some(quiet.flow.clone());
                self.deps.announcer.state(Event::FilesDiscovered(quiet.discovered()), flow.clone());
                self.deps.announcer.state(Event::FileSyncComplete(quiet.complete(took())), flow);
            }
            Err(error @ StoreError::Failed(_)) => return Err(error.into()),
            Err(error) => log::warn!("a listing could not be recorded: {}", chain(&error)),
        }
        Ok(())
    }
}

/// Whether a printer is not looked at by itself: polling a busy printer's storage disturbs it, and nobody answers where
/// nobody is.
fn is_left_alone(connection: ConnectionState, status: PrinterStatus) -> bool {
    connection != ConnectionState::Monitoring || status.is_active() || status == PrinterStatus::Attention
}

/// Tells a job to end when nobody waits for it any more.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A printer's catalogue in this room's words.
fn listing_of(found: Catalogue) -> Listing {
    let mut listing = Listing { complete: found.complete, ..Listing::default() };
    listing.error = found.error;
    for file in found.files {
        let seen = Seen { path: file.path, name: file.name, size: file.size, mark: file.mark };
        if !listing.push(seen) {
            break;
        }
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_left_alone() {
        use PrinterStatus as S;
        for (status, alone) in [
            (S::Idle, false),
            (S::Finished, false),
            (S::Failed, false),
            (S::Cancelled, false),
            (S::Preparing, true),
            (S::Printing, true),
            (S::Paused, true),
            (S::Attention, true),
        ] {
            assert_eq!(is_left_alone(ConnectionState::Monitoring, status), alone, "{status:?}");
            assert!(is_left_alone(ConnectionState::Failed, status));
        }
    }
}
