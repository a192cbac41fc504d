//! One printer's watch: connect, follow, lose, try again, for ever.
//!
//! A watch owns the printer's newest state: only it writes the cell. Transitions are committed before they are shown;
//! everything else (temperatures, progress) goes to the cell at once and to listeners at most five times a second.
//! A restart of the task loses the open connection and nothing else.

mod connection;
mod orders;

use std::sync::Arc;
use std::time::Duration;

use smol::channel::Receiver;
use smol::future::FutureExt as _;

use super::control::Pending;
use super::outage::Outage;
use super::pace::Pace;
use crate::base::backoff::{Backoff, BackoffConfig};
use crate::base::clock::{Clock, Mono};
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::events::{Announcer, DisconnectReason, Event, Flow, JobProgress, StatusUpdate};
use crate::jobs::record::{Transition, apply};
use crate::model::status::{ConnectionKind, ConnectionState, Print, PrinterState, PrinterStatus};
use crate::model::{MaterialId, Printer, PrinterId, PrinterType};
use crate::printers::driver::SessionEvent;
use crate::printers::registry::{Command, Entry, Registry};
use crate::printers::session::{Last, Means, Memory, Session};
use crate::store::{Read as _, Store, StoreError, Txn};

/// Retries of a printer that is off: quick at first, then twice a minute.
const RETRY: BackoffConfig =
    BackoffConfig { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// Retries where a person is needed: a wrong code tried often can lock a printer, and the fix may happen on its screen.
const RETRY_USER: BackoffConfig =
    BackoffConfig { first: Duration::from_secs(300), longest: Duration::from_secs(600) };
/// A connection that held for this time is a success; one that breaks sooner counts as a failure, so that a printer that
/// throws everybody out after its first words is not asked (and written about) every second.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// At most one progress event per job in this time.
const PROGRESS_GAP: Duration = Duration::from_secs(10);

/// What every watch needs.
#[derive(Clone)]
pub struct Deps {
    /// The clocks.
    pub clock: Clock,
    /// The store.
    pub store: Store,
    /// What sessions connect with.
    pub means: Means,
    /// State events.
    pub announcer: Announcer,
    /// The table of watched printers.
    pub registry: Registry,
}

/// Runs the watch of `printer_id` until it is stopped.
///
/// # Errors
/// When the store cannot commit; the supervisor starts the watch again.
pub async fn run(
    context: TaskContext,
    deps: Deps,
    printer_id: PrinterId,
    commands: Receiver<Command>,
) -> TaskResult {
    let Some(entry) = deps.registry.get(printer_id) else { return Ok(()) };
    let mut watch = Watch::new(deps, entry);
    watch.recover().await?;
    loop {
        let next = if watch.wanted { watch.attempt(&context, &commands).await? } else { Next::Rest(None) };
        let Next::Rest(until) = next else {
            if matches!(next, Next::Stop) {
                break;
            }
            continue;
        };
        if !watch.rest(&context, &commands, until).await? {
            break;
        }
    }
    watch.leave().await?;
    Ok(())
}

/// What follows an attempt.
enum Next {
    /// Try again at once.
    Again,
    /// Wait until then, or for ever, unless somebody says something.
    Rest(Option<Mono>),
    /// The watch is to end.
    Stop,
}

enum Input {
    Session(SessionEvent),
    Command(Command),
}

/// What makes a report a transition when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    status: PrinterStatus,
    running: bool,
    cancelled: bool,
    print: Print,
    errors: Vec<String>,
}

struct Watch {
    deps: Deps,
    entry: Entry,
    printer: Arc<Printer>,
    state: PrinterState,
    wanted: bool,
    outage: Outage,
    backoff: Backoff,
    connected_at: Option<Mono>,
    memory: Memory,
    flow: Option<Flow>,
    /// The durable `connecting` of this attempt, if it was one: the root of its causes.
    root: Option<u64>,
    signature: Option<Signature>,
    first: bool,
    /// Whether the store knows that the printer is offline; it may hold the status before a power cut.
    offline_recorded: bool,
    pace: Pace,
    progress_shown: Option<(u8, Mono)>,
    /// The printer's slots that hold a spool.
    slots: Vec<(u16, MaterialId)>,
    /// The order under way.
    order: Option<Pending>,
    /// The newest durable status update.
    status_seq: Option<u64>,
}

impl Watch {
    fn new(deps: Deps, entry: Entry) -> Watch {
        let state = (*entry.state.get()).clone();
        let printer = Arc::clone(&entry.printer);
        Watch {
            deps,
            wanted: printer.enabled,
            printer,
            entry,
            state,
            outage: Outage::default(),
            backoff: Backoff::new(RETRY),
            connected_at: None,
            memory: Memory::default(),
            flow: None,
            root: None,
            signature: None,
            first: true,
            offline_recorded: false,
            pace: Pace::default(),
            progress_shown: None,
            slots: Vec::new(),
            order: None,
            status_seq: None,
        }
    }

    /// A watch that was restarted in the middle of a connection has lost it.
    async fn recover(&mut self) -> Result<(), StoreError> {
        self.load_slots().await?;
        if self.state.connection == ConnectionState::Monitoring {
            self.disconnected(DisconnectReason::Lost).await?;
        }
        if !self.wanted {
            self.unreachable(ConnectionState::Disconnected, None, None).await?;
        }
        Ok(())
    }

    /// One attempt to connect, and all that follows if it succeeds.
    async fn attempt(
        &mut self,
        context: &TaskContext,
        commands: &Receiver<Command>,
    ) -> Result<Next, StoreError> {
        let started = self.deps.clock.now().mono;
        let (number, is_first) = self.outage.begin();
        self.flow = Some(Flow::new(&format!(
            "connect-{}-{}-{number}",
            self.printer.id,
            self.deps.announcer.newest()
        )));
        self.connecting(number, is_first).await?;
        let mut session = {
            let memory = std::mem::take(&mut self.memory);
            let (means, printer) = (self.deps.means.clone(), Arc::clone(&self.printer));
            let seen = &self.state.seen;
            let last = Last { print: seen.print.clone(), status: seen.status, progress: seen.progress };
            let open = async move { Session::open(&printer, memory, last, &means).await };
            let mut open = std::pin::pin!(open);
            loop {
                match context.wait(open.as_mut()).await {
                    Wake::Stop => return Ok(Next::Stop),
                    Wake::Timer => {}
                    Wake::Ready(Ok(session)) => break session,
                    Wake::Ready(Err(end)) => return self.failed(end, number, started).await,
                }
            }
        };
        self.first = true;
        self.signature = None;
        loop {
            let due = self.show_deadline().min(self.order.as_ref().map_or(Mono(u64::MAX), Pending::due));
            let input = {
                let session = async { Input::Session(session.next().await) };
                let command = async {
                    match commands.recv().await {
                        Ok(command) => Input::Command(command),
                        Err(_) => std::future::pending().await,
                    }
                };
                context.wait_until(due, command.or(session)).await
            };
            match input {
                Wake::Stop => return Ok(Next::Stop),
                Wake::Timer => {
                    self.show_if_due();
                    self.order_overdue().await?;
                }
                Wake::Ready(Input::Command(Command::Control(order, reply))) => {
                    if self.order(order, reply).await? {
                        session.control(order);
                    }
                }
                Wake::Ready(Input::Session(SessionEvent::Taken)) => {
                    if let Some(order) = &mut self.order {
                        order.taken();
                    }
                }
                Wake::Ready(Input::Session(SessionEvent::NotTaken(error))) => {
                    self.order_failed(error).await?
                }
                Wake::Ready(Input::Command(command)) => {
                    if self.obey(command).await? {
                        self.leave().await?;
                        return Ok(if self.wanted { Next::Again } else { Next::Rest(None) });
                    }
                }
                Wake::Ready(Input::Session(SessionEvent::Connected(identity))) => {
                    // A printer whose number comes after the login: it may be in the list already.
                    let new = self.printer.connection.serial.is_none() && identity.serial.is_some();
                    if new && let Some(end) = self.learn(identity.clone()).await? {
                        return self.failed(end, number, started).await;
                    }
                    self.connected(identity, number, started).await?;
                }
                Wake::Ready(Input::Session(SessionEvent::SerialLearnt(identity))) => {
                    return match self.learn(identity).await? {
                        None => {
                            self.outage.over();
                            Ok(Next::Again)
                        }
                        Some(end) => self.failed(end, number, started).await,
                    };
                }
                Wake::Ready(Input::Session(SessionEvent::Report(seen))) => {
                    self.reported(*seen).await?;
                    self.order_seen().await?;
                }
                Wake::Ready(Input::Session(SessionEvent::Ended(end))) => {
                    log_odd(&self.printer, session.odd());
                    self.memory = session.into_memory();
                    if self.state.connection != ConnectionState::Monitoring {
                        return self.failed(end, number, started).await;
                    }
                    let silent = end.kind == ConnectionKind::Silent;
                    self.state.connection_kind = Some(end.kind);
                    self.state.connection_message = Some(end.message);
                    // The pause counts from the loss, however long its record takes.
                    let now = self.deps.clock.now().mono;
                    self.disconnected(if silent { DisconnectReason::Silent } else { DisconnectReason::Lost })
                        .await?;
                    if self.connected_at.is_none_or(|at| now.since(at) >= STABLE_AFTER) {
                        self.backoff.succeed();
                    }
                    let pause = self.backoff.fail(fastrand::u32(..));
                    return Ok(Next::Rest(Some(now.after(pause))));
                }
            }
        }
    }

    /// Waits between attempts. `false` when the watch is to end.
    async fn rest(
        &mut self,
        context: &TaskContext,
        commands: &Receiver<Command>,
        until: Option<Mono>,
    ) -> Result<bool, StoreError> {
        loop {
            if self.wanted && until.is_some_and(|until| self.deps.clock.now().mono >= until) {
                return Ok(true);
            }
            let deadline = until.unwrap_or(Mono(u64::MAX));
            match context.wait_until(deadline, commands.recv()).await {
                Wake::Stop | Wake::Ready(Err(_)) => return Ok(false),
                Wake::Timer => {}
                Wake::Ready(Ok(command)) => {
                    let changed = self.obey(command).await?;
                    if changed && !self.wanted {
                        self.unreachable(ConnectionState::Disconnected, None, None).await?;
                    }
                    if changed {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Carries out a command; answers whether the connection has to be made anew (or left).
    async fn obey(&mut self, command: Command) -> Result<bool, StoreError> {
        match command {
            Command::Connect => {
                use ConnectionState as S;
                // An attempt under way is what is asked for; to begin it anew would only make a slow printer slower.
                let idle = !self.wanted || !matches!(self.state.connection, S::Connecting | S::Monitoring);
                if idle {
                    self.wanted = true;
                    self.start_over();
                }
                Ok(idle)
            }
            Command::Disconnect => {
                self.wanted = false;
                Ok(true)
            }
            Command::Update(printer) => {
                let same_way =
                    printer.connection == self.printer.connection && printer.pin == self.printer.pin;
                let same = same_way && printer.enabled == self.printer.enabled;
                self.printer = printer;
                // A connection made just now may have put its own, older entry there.
                self.deps.registry.update(Arc::clone(&self.printer));
                if !same {
                    self.wanted = self.printer.enabled;
                    self.start_over();
                    self.entry.stranger.set(None);
                    // Another code or address may mean another machine: nothing is carried over.
                    self.memory = Memory::default();
                }
                Ok(!same)
            }
            Command::Refresh => {
                let id = self.printer.id;
                self.load_slots().await?;
                if let Some(track) = self.deps.store.read(move |view| view.track(id)).await? {
                    self.state.plate = track.plate;
                    self.state.job_id = track.job_id;
                    self.join_file();
                }
                self.show();
                Ok(false)
            }
            // While a session is open these do not come here.
            Command::Control(order, reply) => {
                self.order(order, reply).await?;
                Ok(false)
            }
        }
    }

    fn start_over(&mut self) {
        self.outage.over();
        self.backoff = Backoff::new(RETRY);
    }

    async fn reported(&mut self, seen: crate::model::status::Observation) -> Result<(), StoreError> {
        let now = self.deps.clock.now();
        self.state.status = seen.status;
        self.state.see(seen);
        self.name_spools();
        self.state.fresh = true;
        self.state.last_seen = Some(now.wall);
        self.state.last_seen_mono = Some(now.mono);
        let is_first = self.first && self.state.status != PrinterStatus::Unknown;
        let signature = Signature {
            status: self.state.status,
            running: self.state.seen.running,
            cancelled: self.state.seen.cancelled,
            print: Print { mark: None, ..self.state.seen.print.clone() },
            errors: self.state.seen.errors.iter().map(|error| error.code.clone()).collect(),
        };
        if is_first || self.signature.as_ref() != Some(&signature) {
            self.transition(is_first).await?;
            self.signature = Some(signature);
            self.first &= !is_first;
            self.pace.sent(self.deps.clock.now().mono);
            self.entry.state.set(self.state.clone());
        } else {
            self.join_file();
            self.entry.state.set(self.state.clone());
            self.pace.want();
            self.show_if_due();
        }
        self.show_progress(now.mono);
        Ok(())
    }

    async fn load_slots(&mut self) -> Result<(), StoreError> {
        let id = self.printer.id;
        self.slots = self.deps.store.read(move |view| view.slots(id)).await?;
        self.name_spools();
        Ok(())
    }

    fn name_spools(&mut self) {
        self.state.seen.name_spools(&self.slots, self.printer.kind == PrinterType::PrusaLink);
    }

    /// Commits `work`, unless the printer has been removed from the list meanwhile: nothing is said of it after
    /// `printer_removed`, and no job is recorded for it.
    async fn write<T: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let id = self.printer.id;
        self.deps
            .store
            .write(move |txn| if txn.printer(id)?.is_some() { work(txn) } else { Ok(T::default()) })
            .await
    }

    async fn transition(&mut self, first: bool) -> Result<(), StoreError> {
        let transition = Transition {
            printer_id: self.printer.id,
            printer_name: self.printer.name.clone(),
            state: self.state.clone(),
            first,
            flow: self.flow.clone(),
        };
        let recorded = self.write(move |txn| apply(txn, &transition)).await?;
        self.state.job_id = recorded.job_id;
        self.state.started_at = recorded.started_at;
        self.state.plate = recorded.plate;
        self.state.file_id = recorded.file_id;
        self.state.thumbnail_url = recorded.thumbnail_url;
        self.join_file();
        self.status_seq = recorded.seq.or(self.status_seq);
        Ok(())
    }

    /// Takes in what became known of the print's file.
    fn join_file(&mut self) {
        let known = self.entry.file.get();
        if let Some(file) = known.as_ref().as_ref().filter(|file| self.state.job_id == Some(file.job_id)) {
            self.state.file_id = file.file_id.or(self.state.file_id);
            self.state.thumbnail_url = file.thumbnail_url.clone().or(self.state.thumbnail_url.take());
        }
    }

    fn show_deadline(&self) -> Mono {
        self.pace.due().unwrap_or(Mono(u64::MAX))
    }

    fn show_if_due(&mut self) {
        let now = self.deps.clock.now().mono;
        if self.pace.due().is_some_and(|due| now >= due) {
            self.show();
        }
    }

    /// Tells listeners the newest state.
    fn show(&mut self) {
        let now = self.deps.clock.now().mono;
        self.entry.state.set(self.state.clone());
        let silent_for = self.state.last_seen_mono.map(|at| now.since(at).as_secs());
        let update = StatusUpdate::of(self.printer.id, &self.state, silent_for);
        let flow = self.state.job_id.map(crate::jobs::record::flow_of);
        self.tell(Event::PrinterStatusUpdate(Box::new(update)), flow);
        self.pace.sent(now);
    }

    fn show_progress(&mut self, now: Mono) {
        let seen = &self.state.seen;
        let (Some(job_id), Some(progress), true) =
            (self.state.job_id, seen.progress, seen.status.is_active())
        else {
            self.progress_shown = None;
            return;
        };
        let due =
            self.progress_shown.is_none_or(|(shown, at)| shown != progress && now.since(at) >= PROGRESS_GAP);
        if due {
            self.progress_shown = Some((progress, now));
            let event = JobProgress {
                job_id,
                progress,
                remaining_s: seen.remaining_s,
                layer: seen.layer,
                layers: seen.layers,
            };
            self.tell(Event::JobProgressUpdated(event), Some(crate::jobs::record::flow_of(job_id)));
        }
    }

    /// Tells a state event, but none of a printer that is being removed.
    fn tell(&self, event: Event, flow: Option<Flow>) {
        if !*self.entry.leaving.get() {
            self.deps.announcer.state(event, flow);
        }
    }
}

/// Odd input is counted and told once per connection, not once per report.
fn log_odd(printer: &Printer, odd: crate::printers::driver::OddCounts) {
    if odd.malformed > 0 || odd.fields > 0 {
        log::info!(
            "{}: {} reports, {} were no JSON, {} fields could not be used",
            printer.id,
            odd.reports,
            odd.malformed,
            odd.fields
        );
    }
}
