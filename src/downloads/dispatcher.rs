//! The one task of the downloads: which request may run now, on which printer, and when the next round comes.
//!
//! The list of open requests is the store's; what is held beside it (plans, parts, what was learnt of the printers) makes
//! rounds better and is begun anew after a restart. A request waits for: its round, its printer's connection, the printer's
//! slot, and one of [`TRANSFERS_MAX`] places. It is never left waiting without a word: a printer that is not connected is an
//! event, once.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::plan::{Happened, Plan, Step};
use super::record::{self, Follow};
use super::shared::Shared;
use super::storage::{Knowledge, family};
use super::transfer::PartNote;
use super::worker::{self, Config, Env, Next, Round, RoundEnd};
use super::{Desk, TRANSFERS_MAX};
use crate::base::clock::{Clock, Mono, within};
use crate::base::pool::{Limits, Lost, Pool, Running};
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::events::Announcer;
use crate::model::status::ConnectionState;
use crate::model::{Fetch, FetchId, FetchKind, FetchState, PrinterId, PrinterType, Start, Wanted};
use crate::net::resolve::Resolver;
use crate::printers::bambu::files::Family;
use crate::printers::registry::{Entry, Registry};
use crate::store::{Blobs, ReadFiles as _, Store, StoreError};

/// How often prints are looked at for news while requests wait for them: what belongs together comes within a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rounds that are under way have this long to end when the service stops; their sockets are shut.
const END_WITHIN: Duration = Duration::from_secs(2);
/// A printer that is not connected is waited for so long before its requests say so: at a start, and after a short loss, it
/// is back sooner.
const OFFLINE_AFTER: Duration = Duration::from_secs(30);
/// A request whose round fell over, or could not be recorded, waits this long.
const AFTER_FAULT: Duration = Duration::from_secs(30);

/// What the task needs.
#[derive(Clone)]
pub struct Deps {
    /// The clocks.
    pub clock: Clock,
    /// Records.
    pub store: Store,
    /// Bytes.
    pub blobs: Blobs,
    /// State events.
    pub announcer: Announcer,
    /// The table of printers.
    pub registry: Registry,
    /// Addresses of host names.
    pub resolver: Resolver,
    /// Where requests come from.
    pub desk: Desk,
    /// How downloads are done.
    pub config: Config,
}

/// Works off the requests until stop.
///
/// # Errors
/// When the store cannot be used; the supervisor starts the task again, which finds everything in the records.
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    let mut dispatcher = Dispatcher::new(deps);
    dispatcher.refresh().await?;
    loop {
        dispatcher.look();
        let next = dispatcher.start_due().await?;
        let wake = {
            let (shared, slots) = (dispatcher.env.shared.clone(), dispatcher.env.registry.slots().clone());
            let work = smol::future::or(
                async {
                    let (id, ended) = dispatcher.first_end().await;
                    Input::Ended(id, ended.map(Box::new))
                },
                smol::future::or(
                    async {
                        shared.rung().await;
                        Input::Rung
                    },
                    async {
                        slots.freed().await;
                        Input::Freed
                    },
                ),
            );
            context.wait_until(next, work).await
        };
        match wake {
            Wake::Stop => break,
            Wake::Timer | Wake::Ready(Input::Freed) => {}
            Wake::Ready(Input::Rung) => dispatcher.refresh().await?,
            Wake::Ready(Input::Ended(id, ended)) => dispatcher.ended(id, ended),
        }
    }
    dispatcher.stop().await;
    Ok(())
}

enum Input {
    Rung,
    Freed,
    Ended(FetchId, Result<Box<RoundEnd>, Lost>),
}

/// A request that is not over.
struct Open {
    fetch: Fetch,
    /// Away with the worker while a round runs.
    plan: Option<Plan>,
    running: Option<Running<RoundEnd>>,
    /// When the next round comes; `None`: when something happens.
    due: Option<Mono>,
    part: Option<PartNote>,
    /// Whether it waits for the end of its print since before a restart: the rounds during it are used up.
    holds: bool,
    told: bool,
    /// Since when its round is due and the printer not connected.
    offline_since: Option<Mono>,
    /// Whether the listeners know that.
    told_offline: bool,
}

struct Dispatcher {
    env: Arc<Env>,
    pool: Pool,
    open: BTreeMap<FetchId, Open>,
    /// At most one for each printer of the list.
    knowledge: BTreeMap<PrinterId, Knowledge>,
}

impl Dispatcher {
    fn new(deps: Deps) -> Dispatcher {
        let Deps { clock, store, blobs, announcer, registry, resolver, desk, config } = deps;
        let shared: Shared = desk.shared.clone();
        let env = Env { clock, store, blobs, announcer, registry, resolver, shared, config };
        let limits = Limits { threads_max: TRANSFERS_MAX, queue_max: TRANSFERS_MAX, nice: 0 };
        Dispatcher {
            env: Arc::new(env),
            pool: Pool::new("transfer", limits),
            open: BTreeMap::new(),
            knowledge: BTreeMap::new(),
        }
    }

    fn now(&self) -> Mono {
        self.env.clock.now().mono
    }

    /// Brings the list up to date with the records.
    async fn refresh(&mut self) -> Result<(), StoreError> {
        let fetches = self.env.store.read(|view| view.open_fetches()).await?;
        self.open.retain(|id, open| open.running.is_some() || fetches.iter().any(|fetch| fetch.id == *id));
        let now = self.now();
        for fetch in fetches {
            if self.open.contains_key(&fetch.id) {
                continue;
            }
            let holds = fetch.state == FetchState::AfterPrint;
            let plan = self.plan(&fetch, now);
            let open = Open {
                plan: Some(plan),
                running: None,
                due: None,
                part: None,
                holds,
                told: holds,
                offline_since: None,
                told_offline: false,
                fetch,
            };
            self.open.insert(open.fetch.id, open);
        }
        for id in self.env.shared.hurried() {
            let Some(open) = self.open.get_mut(&id) else { continue };
            open.holds = false;
            if let Some(plan) = &mut open.plan {
                plan.hurry(now);
            }
        }
        let printers: Vec<PrinterId> = self.env.registry.all().iter().map(|entry| entry.printer.id).collect();
        self.knowledge.retain(|id, _| printers.contains(id));
        Ok(())
    }

    fn plan(&self, fetch: &Fetch, now: Mono) -> Plan {
        let entry = self.env.registry.get(fetch.printer_id);
        let known = entry.map(|entry| (entry.printer.kind, family(&entry.printer)));
        let (kind, family) = known.unwrap_or((PrinterType::BambuLab, Family::Unknown));
        Plan::new(fetch, kind, family, now)
    }

    /// Takes in what the printers show of the prints whose files are wanted, and finds out what is due.
    fn look(&mut self) {
        let now = self.now();
        for open in self.open.values_mut() {
            let Some(plan) = &mut open.plan else { continue };
            let Some(entry) = self.env.registry.get(open.fetch.printer_id) else {
                open.due = Some(now);
                continue;
            };
            let state = entry.state.get();
            plan.set_busy(state.seen.status.is_active());
            let mut is_over = !state.seen.status.is_active();
            if let Wanted::Print { job_id, start } = &mut open.fetch.wanted {
                // Before the first report the state is the store's: the last words of this very print, or of none.
                let is_at_it = state.job_id == Some(*job_id);
                is_over |= !is_at_it;
                if is_at_it && state.fresh && !is_over {
                    let known = joined(start, &state.seen.start);
                    if known != *start {
                        *start = known;
                        plan.learn(start, family(&entry.printer), now);
                    }
                }
            }
            let step = plan.step(if is_over { Happened::Ended } else { Happened::Tick }, now);
            if open.holds && !is_over {
                open.due = None;
                continue;
            }
            open.holds = false;
            open.due = match step {
                Step::Wait(until) => Some(until),
                Step::WaitForEnd => None,
                Step::Probe(_) | Step::List(_) | Step::Take(_) | Step::GiveUp => Some(now),
            };
            let left_alone = self.knowledge.get(&open.fetch.printer_id).and_then(|known| known.leave_until);
            open.due = open.due.map(|due| due.max(left_alone.unwrap_or_default()));
        }
    }

    /// Starts what is due and may run; answers when to look again.
    async fn start_due(&mut self) -> Result<Mono, StoreError> {
        let now = self.now();
        let mut due: Vec<(u8, FetchId)> = Vec::new();
        let mut next = Mono(u64::MAX);
        for open in self.open.values().filter(|open| open.running.is_none()) {
            match open.due {
                Some(at) if at <= now => due.push((self.rank(&open.fetch), open.fetch.id)),
                Some(at) => next = next.min(at),
                None => {}
            }
            if matches!(open.fetch.wanted, Wanted::Print { .. }) {
                next = next.min(now.after(LOOK_EVERY));
            }
        }
        due.sort_unstable();
        for (_, id) in due {
            self.start(id).await?;
            // Whoever could not be started is looked at again.
            next = next.min(now.after(LOOK_EVERY));
        }
        Ok(next)
    }

    /// The order of requests: the print that the printer is at, what a person asked for, the rest.
    fn rank(&self, fetch: &Fetch) -> u8 {
        let state = self.env.registry.get(fetch.printer_id).map(|entry| entry.state.get());
        let is_current = fetch.job_id().is_some() && fetch.job_id() == state.and_then(|state| state.job_id);
        match (is_current, fetch.auto || fetch.refetch) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        }
    }

    async fn start(&mut self, id: FetchId) -> Result<(), StoreError> {
        if self.open.values().filter(|open| open.running.is_some()).count() >= TRANSFERS_MAX {
            return Ok(());
        }
        let Some(open) = self.open.get_mut(&id) else { return Ok(()) };
        let Some(entry) = self.env.registry.get(open.fetch.printer_id) else {
            let words = "the printer is no longer in the list";
            return self.end_without_round(id, FetchState::Failed, words).await;
        };
        if !is_connected(&entry) {
            let now = self.env.clock.now().mono;
            let since = *open.offline_since.get_or_insert(now);
            if open.told_offline || now.since(since) < OFFLINE_AFTER {
                return Ok(());
            }
            open.told_offline = true;
            let words = "the printer is not connected; the file is fetched when it is";
            return self.end_without_round(id, FetchState::Waiting, words).await;
        }
        (open.offline_since, open.told_offline) = (None, false);
        // A round of a dispatcher that fell over may still be under way.
        if self.env.shared.progress(id).is_some() {
            return Ok(());
        }
        let Some(slot) = self.env.registry.slots().try_take(open.fetch.printer_id) else { return Ok(()) };
        let Some(plan) = open.plan.take() else { return Ok(()) };
        let knowledge = self.knowledge.get(&open.fetch.printer_id).copied().unwrap_or_default();
        let round = Round {
            fetch: open.fetch.clone(),
            plan: plan.clone(),
            printer: Arc::clone(&entry.printer),
            knowledge,
            part: open.part.clone(),
            told: open.told,
            cancel: self.env.shared.begin(id),
            slot,
        };
        let env = Arc::clone(&self.env);
        match self.pool.run(move || worker::run(&env, round)) {
            Ok(running) => open.running = Some(running),
            Err(full) => {
                log::warn!("{id}: {full}");
                self.env.shared.end(id);
                open.plan = Some(plan);
            }
        }
        Ok(())
    }

    /// Says why a request does not get a round.
    async fn end_without_round(
        &mut self,
        id: FetchId,
        state: FetchState,
        words: &'static str,
    ) -> Result<(), StoreError> {
        let over = state == FetchState::Failed;
        let written = self.env.store.write(move |txn| {
            use crate::store::Read as _;
            let Some(mut fetch) = txn.get::<Fetch>(id)?.filter(|fetch| !fetch.state.is_over()) else {
                return Ok::<_, StoreError>(());
            };
            fetch.state = state;
            let auto = over.then_some(crate::events::AutoRetry::None);
            let follow = Follow { retry_in_s: None, auto, cause: fetch.cause };
            record::failed(txn, &mut fetch, FetchKind::PrinterOffline, words, Some(follow))
        });
        written.await?;
        if over {
            self.open.remove(&id);
            if let Err(error) = self.env.blobs.drop_part(&id.to_string()) {
                log::warn!("{id}: its bytes cannot be removed: {error}");
            }
        }
        Ok(())
    }

    /// Waits for the first round that ends.
    async fn first_end(&self) -> (FetchId, Result<RoundEnd, Lost>) {
        type Waiting<'a> = Pin<Box<dyn Future<Output = Result<RoundEnd, Lost>> + 'a>>;
        let mut waiting: Vec<(FetchId, Waiting<'_>)> = self
            .open
            .iter()
            .filter_map(|(id, open)| Some((*id, Box::pin(open.running.as_ref()?.answer()) as Waiting<'_>)))
            .collect();
        std::future::poll_fn(|context| {
            for (id, ended) in &mut waiting {
                if let Poll::Ready(ended) = ended.as_mut().poll(context) {
                    return Poll::Ready((*id, ended));
                }
            }
            Poll::Pending
        })
        .await
    }

    fn ended(&mut self, id: FetchId, ended: Result<Box<RoundEnd>, Lost>) {
        let now = self.now();
        let Some(open) = self.open.get_mut(&id) else { return };
        open.running = None;
        let (fetch, next) = match ended {
            Ok(ended) => {
                let RoundEnd { fetch, plan, knowledge, part, told, next } = *ended;
                self.knowledge.insert(fetch.printer_id, knowledge);
                open.plan = Some(plan);
                open.part = part;
                open.told = told;
                open.fetch = fetch;
                (open.fetch.clone(), next)
            }
            Err(Lost) => {
                self.env.shared.end(id);
                (open.fetch.clone(), Next::Unrecorded)
            }
        };
        match next {
            Next::Over => {
                self.open.remove(&id);
            }
            Next::Again | Next::Stopped => {}
            Next::Unrecorded => {
                // Begun anew after a pause; what has come is in the part.
                let plan = self.plan(&fetch, now.after(AFTER_FAULT));
                if let Some(open) = self.open.get_mut(&id) {
                    open.plan = Some(plan);
                }
            }
        }
    }

    /// Ends the rounds that run. What they have fetched stays, for the next start.
    async fn stop(&mut self) {
        self.env.shared.stop_all();
        let clock = self.env.clock.clone();
        let ending = async {
            while self.open.values().any(|open| open.running.is_some()) {
                let (id, _) = self.first_end().await;
                if let Some(open) = self.open.get_mut(&id) {
                    open.running = None;
                }
            }
        };
        if within(&clock, END_WITHIN, ending).await.is_none() {
            log::warn!("a transfer did not end in time");
        }
    }
}

/// Whether the printer speaks to us: only then it is asked for files.
fn is_connected(entry: &Entry) -> bool {
    entry.state.get().connection == ConnectionState::Monitoring
}

/// What is known of a print's start after a later report: what falls silent keeps its value.
fn joined(known: &Start, seen: &Start) -> Start {
    use crate::model::Origin;
    Start {
        title: seen.title.clone().or_else(|| known.title.clone()),
        file: seen.file.clone().or_else(|| known.file.clone()),
        plate: seen.plate.or(known.plate),
        origin: if seen.origin == Origin::Unknown { known.origin.clone() } else { seen.origin.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    #[test]
    fn what_falls_silent_keeps_its_value() {
        let known = Start {
            title: Some("A".into()),
            file: Some("A.3mf".into()),
            plate: Some(2),
            origin: Origin::Sent("A.3mf".into()),
        };
        assert_eq!(joined(&known, &Start::default()), known);
        let seen = Start { title: Some("B".into()), ..Start::default() };
        assert_eq!(joined(&known, &seen).title.as_deref(), Some("B"));
        let local = Start { origin: Origin::Cloud, ..Start::default() };
        assert_eq!(joined(&known, &local).origin, Origin::Cloud);
    }
}
