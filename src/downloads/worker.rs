//! One round on a thread: names are resolved, the file comes, proves itself and is recorded. Blocks.
//!
//! The order of a round: the record and `file_download_started` first, then the session; probes and listings as the plan
//! asks for them; for a file that is taken its room on the card, the part, the bytes, the end of the transfer, the second
//! look at its size, the look into the archive; then sync, rename, and the record with its events. Whatever fails ends the
//! round, and the plan says when the next one comes.

use std::sync::Arc;
use std::time::Duration;

use super::plan::{Happened, Plan, Step};
use super::record::{self, Follow};
use super::shared::{Ending, Shared};
use super::storage::{Knowledge, Storage, Trouble, Way, What};
use super::transfer::{self, Fault, PartNote};
use crate::base::clock::{Clock, Mono};
use crate::base::handling::Handling;
use crate::events::{Announcer, AutoRetry};
use crate::model::{Content, Fetch, FetchKind, FetchState, FileId, Printer, PrinterType};
use crate::net::ftps::{Cancel, Times};
use crate::net::resolve::Resolver;
use crate::printers::registry::{PrintFile, Registry};
use crate::printers::slots::Slot;
use crate::store::blobs::Claim;
use crate::store::{Blobs, Store, StoreError};

/// Its name in the trace: a round handles the event that asked for the file.
const NAME: &str = "downloads";

/// Files that one round begins to fetch at most: each that is not the wanted one costs a transfer.
const TAKES_MAX: u32 = 4;
/// Steps of one round at most; a search makes some thirty.
const STEPS_MAX: u32 = 200;

/// How downloads are done.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Deadlines on the network.
    pub times: Times,
    /// Bytes of one file. The largest print files that were seen have 300 MB.
    pub file_bytes_max: u64,
    /// Bytes of the card that downloads leave alone: for the records, their copies and an update.
    pub reserve_bytes: u64,
    /// A file whose end cannot be told by itself has to keep its size for this time.
    pub settle: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            times: Times::default(),
            file_bytes_max: 2 * 1024 * 1024 * 1024,
            reserve_bytes: 64 * 1024 * 1024,
            settle: Duration::from_secs(3),
        }
    }
}

/// What every round needs.
#[derive(Clone)]
pub(super) struct Env {
    pub clock: Clock,
    pub store: Store,
    pub blobs: Blobs,
    pub announcer: Announcer,
    pub registry: Registry,
    pub resolver: Resolver,
    pub shared: Shared,
    pub config: Config,
}

/// A round to be done.
pub(super) struct Round {
    pub fetch: Fetch,
    pub plan: Plan,
    pub printer: Arc<Printer>,
    pub knowledge: Knowledge,
    pub part: Option<PartNote>,
    /// Whether the listeners were told already that the file is left until after the print.
    pub told: bool,
    pub cancel: Cancel,
    pub slot: Slot,
}

/// What became of it.
pub(super) struct RoundEnd {
    pub fetch: Fetch,
    pub plan: Plan,
    pub knowledge: Knowledge,
    pub part: Option<PartNote>,
    pub told: bool,
    pub next: Next,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it is done, failed for good, or was taken back.
    Over,
    /// Another round; the plan says when.
    Again,
    /// The service stops: a later one takes it up.
    Stopped,
    /// The store could not be used: it is tried again after a while.
    Unrecorded,
}

/// A file that has arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    /// Its path on the printer, byte for byte.
    pub path: Vec<u8>,
    /// The name people know it by.
    pub name: String,
    /// Its bytes on the card.
    pub content: Content,
    /// The plate that is printed, as far as the archive tells.
    pub plate: Option<u32>,
    /// From the slot to the record.
    pub seconds: f64,
    /// Whether it was known to be here without fetching it.
    pub deduplicated: bool,
}

/// Runs a round to its end.
pub(super) fn run(env: &Env, round: Round) -> RoundEnd {
    let Round { fetch, plan, printer, knowledge, part, told, cancel, slot } = round;
    let began = env.clock.now().mono;
    let kind = printer.kind;
    let way = Way {
        printer,
        resolver: env.resolver.clone(),
        clock: env.clock.clone(),
        times: env.config.times,
        cancel: cancel.clone(),
    };
    let storage = Storage::new(way, knowledge);
    let handling = fetch.cause.map(|seq| env.announcer.handle(NAME, seq));
    let (cause, claim) = (0, None);
    let mut work =
        Work { env, fetch, plan, kind, storage, part, told, cancel, began, cause, claim, handling };
    let next = work.round();
    let Work { fetch, plan, mut storage, part, told, claim, .. } = work;
    drop(claim);
    storage.close();
    env.shared.end(fetch.id);
    drop(slot);
    let next = next.unwrap_or_else(|error| {
        log::error!("{}: could not be recorded: {}", fetch.id, crate::base::error::chain(&error));
        Next::Unrecorded
    });
    RoundEnd { fetch, plan, knowledge: storage.knowledge(), part, told, next }
}

/// A round at work.
pub(super) struct Work<'a> {
    pub env: &'a Env,
    pub fetch: Fetch,
    plan: Plan,
    /// What the printer is.
    pub kind: PrinterType,
    pub storage: Storage,
    pub part: Option<PartNote>,
    told: bool,
    pub cancel: Cancel,
    pub began: Mono,
    /// `seq` of the round's start.
    pub cause: u64,
    /// Held from the moment that the bytes are in their place until they are recorded, so that nobody removes them.
    pub claim: Option<Claim>,
    /// Of the event that asked for the file; a round that is broken off leaves it to be interrupted.
    handling: Option<Handling>,
}

impl Work<'_> {
    fn now(&self) -> Mono {
        self.env.clock.now().mono
    }

    fn round(&mut self) -> Result<Next, StoreError> {
        let (fetch, resumed_from) = (self.fetch.clone(), transfer::resumable(self));
        let started = self.env.store.write_blocking(move |txn| record::started(txn, &fetch, resumed_from))?;
        let Some((fetch, cause)) = started else {
            return Ok(self.taken_back());
        };
        (self.fetch, self.cause) = (fetch, cause);
        let now = self.now();
        let mut step = self.plan.step(Happened::Tick, now);
        let mut last: Option<Trouble> = None;
        let mut takes = 0;
        for _ in 0..STEPS_MAX {
            let fault = match step {
                Step::Wait(_) | Step::WaitForEnd | Step::GiveUp => return self.failed(&step, last),
                Step::Probe(ref path) => match self.storage.size(path) {
                    Ok(size) => {
                        step = self.happened(Happened::Size(Some(size)));
                        continue;
                    }
                    Err(error) => match error.what {
                        What::NotFound => {
                            step = self.happened(Happened::Size(None));
                            continue;
                        }
                        What::Unsupported => {
                            step = self.happened(Happened::NoSizes);
                            continue;
                        }
                        What::Other => Fault::Trouble(error.trouble),
                    },
                },
                Step::List(ref folder) => match self.storage.list(folder) {
                    Ok(listing) => {
                        step = self.happened(Happened::Listed(Some(&listing)));
                        continue;
                    }
                    Err(error) if error.what == What::NotFound => {
                        step = self.happened(Happened::Listed(None));
                        continue;
                    }
                    Err(error) => Fault::Trouble(error.trouble),
                },
                Step::Take(ref found) => {
                    takes += 1;
                    match transfer::take(self, found) {
                        Ok(arrived) => match self.arrived(&arrived)? {
                            Some(()) => return Ok(Next::Over),
                            None => return Ok(self.taken_back()),
                        },
                        Err(Fault::Rejected(words)) if takes >= TAKES_MAX => {
                            Fault::Trouble(Trouble::passing(FetchKind::NotFound, words))
                        }
                        Err(fault) => fault,
                    }
                }
            };
            match fault {
                Fault::Rejected(words) => {
                    log::info!("{}: {words}", self.fetch.id);
                    last = Some(Trouble::passing(FetchKind::NotFound, words));
                    self.drop_part();
                    step = self.happened(Happened::Rejected);
                }
                Fault::Trouble(trouble) => {
                    match self.env.shared.ending(self.fetch.id) {
                        Some(Ending::Stopped) => return Ok(Next::Stopped),
                        Some(Ending::Cancelled) => return self.cancelled(),
                        None => {}
                    }
                    let lasting = trouble.lasting;
                    step = self.happened(Happened::Trouble { words: &trouble.words, lasting });
                    last = Some(trouble);
                }
                Fault::Store(error) => return Err(error),
            }
        }
        self.failed(&Step::GiveUp, last)
    }

    fn happened(&mut self, happened: Happened<'_>) -> Step {
        let now = self.now();
        self.plan.step(happened, now)
    }

    /// The file is whole and in its place: record and announce it.
    fn arrived(&mut self, arrived: &Arrived) -> Result<Option<()>, StoreError> {
        let (fetch, arrived, cause) = (self.fetch.clone(), arrived.clone(), self.cause);
        let done: Option<FileId> =
            self.env.store.write_blocking(move |txn| record::completed(txn, &fetch, &arrived, cause))?;
        self.part = None;
        self.claim = None;
        let Some(file_id) = done else { return Ok(None) };
        if let Some(job_id) = self.fetch.job_id() {
            let file = PrintFile { job_id, file_id: Some(file_id), thumbnail_url: self.preview_url() };
            self.env.registry.show_file(self.fetch.printer_id, file);
        }
        self.env.shared.ring_verifier();
        if let Some(handling) = self.handling.take() {
            handling.done();
        }
        Ok(Some(()))
    }

    /// Where the preview is, if there is one.
    pub(super) fn preview_url(&self) -> Option<String> {
        let id = self.fetch.id;
        self.env.shared.preview(id).map(|_| super::Desk::preview_url(id))
    }

    /// Somebody took the request back while it ran.
    fn taken_back(&mut self) -> Next {
        self.drop_part();
        if let Some(handling) = self.handling.take() {
            handling.skipped("nobody wants it any longer");
        }
        Next::Over
    }

    fn cancelled(&mut self) -> Result<Next, StoreError> {
        self.drop_part();
        let (mut fetch, cause) = (self.fetch.clone(), self.cause);
        fetch.state = FetchState::Failed;
        let follow = Follow { retry_in_s: None, auto: Some(AutoRetry::None), cause: Some(cause) };
        self.fetch = self.env.store.write_blocking(move |txn| {
            let words = "the download was cancelled";
            record::failed(txn, &mut fetch, FetchKind::Cancelled, words, Some(follow))?;
            Ok::<_, StoreError>(fetch)
        })?;
        if let Some(handling) = self.handling.take() {
            handling.skipped(FetchKind::Cancelled.name());
        }
        Ok(Next::Over)
    }

    /// The round is over without the file: says so, and what follows.
    fn failed(&mut self, step: &Step, last: Option<Trouble>) -> Result<Next, StoreError> {
        let (kind, words, tried) = self.plan.failure();
        let (kind, words) = last.map_or((kind, words), |trouble| (trouble.kind, trouble.words));
        let now = self.now();
        let (state, retry_in_s, auto) = match step {
            Step::Wait(until) => {
                let until = (*until).max(self.storage.knowledge().leave_until.unwrap_or_default());
                (FetchState::Waiting, Some(until.since(now).as_secs()), None)
            }
            Step::WaitForEnd => {
                let first = !std::mem::replace(&mut self.told, true);
                (FetchState::AfterPrint, None, first.then_some(AutoRetry::AfterPrint))
            }
            Step::Probe(_) | Step::List(_) | Step::Take(_) | Step::GiveUp => {
                (FetchState::Failed, None, Some(AutoRetry::None))
            }
        };
        let over = state == FetchState::Failed;
        if over {
            self.drop_part();
        }
        let mut fetch = self.fetch.clone();
        fetch.state = state;
        fetch.tried = tried;
        let follow = Follow { retry_in_s, auto, cause: Some(self.cause) };
        self.fetch = self.env.store.write_blocking(move |txn| {
            record::failed(txn, &mut fetch, kind, &words, Some(follow))?;
            Ok::<_, StoreError>(fetch)
        })?;
        if let Some(handling) = self.handling.take() {
            handling.failed(kind.name());
        }
        Ok(if over { Next::Over } else { Next::Again })
    }

    /// Forgets the bytes so far.
    pub(super) fn drop_part(&mut self) {
        self.part = None;
        if let Err(error) = self.env.blobs.drop_part(&self.fetch.id.to_string()) {
            log::warn!("{}: its bytes cannot be removed: {error}", self.fetch.id);
        }
    }
}
