//! The only place that knows everybody: wiring in reading order, supervisor, shutdown, health.
//!
//! Threads: main (the executor and all tasks), `async-io` (its timers and sockets), `mqtt`, `store`, and the web server's
//! few. Nothing that blocks runs on the executor.

mod beats;
mod files;
mod fleet;
pub mod helper;
mod inherited;
mod lan;
mod light;
mod machine;
mod notify;
mod probe;
mod rescue;
mod seed;
pub mod serve;
mod settings;
mod stream;
pub mod supervisor;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_signal::{Signal, Signals};
use smol::LocalExecutor;
use smol::future::FutureExt as _;
use smol::stream::StreamExt as _;

use self::supervisor::Supervisor;
use crate::arrivals;
use crate::base::clock::{Clock, within};
use crate::base::latest::Latest;
use crate::base::task::{Board, Stop, Wake};
use crate::config::Config;
use crate::discovery;
use crate::downloads::{self, Desk};
use crate::events::{Announcer, Event, EventBus, ServiceStarted, ServiceStopping};
use crate::library::{Library, follow, keep};
use crate::materials;
use crate::monitor::{summary, watch};
use crate::net::mqtt::MqttThread;
use crate::net::resolve::Resolver;
use crate::printers::registry::{ORDERS_MAX, Registry};
use crate::printers::session::{Means, http_pool};
use crate::store::{Blobs, Read as _, Store, StoreError, StoreOptions};
use crate::web::api::Api;
use crate::web::guard::{Guard, GuardConfig, OpenError};
use crate::web::server::SlowLane;
use crate::{metadata, thumbnails};

/// Time that all tasks together have for their goodbyes; with the store's last commit the service ends within 5 s.
const TASKS_END_WITHIN: Duration = Duration::from_millis(3000);
/// Time for what is queued in the store and its last commit.
const STORE_ENDS_WITHIN: Duration = Duration::from_millis(1500);
/// A copy of the records is made once a day.
const BACKUP_EVERY: Duration = Duration::from_secs(24 * 3600);
/// The first copy after a start: soon, because a device that is switched off every night would never see the second.
/// It costs nothing where nothing has changed since the last one.
const FIRST_BACKUP_AFTER: Duration = Duration::from_secs(600);
/// The watchdog is fed at least this often where the service manager names no interval.
const WATCHDOG_EVERY: Duration = Duration::from_secs(10);

/// What the service needs to run.
pub struct Options {
    /// The configuration. What was changed through the API counts over it.
    pub config: Config,
    /// The socket that the page is served on.
    pub listener: TcpListener,
    /// Where wishes of somebody with the card in their hand are looked for, beside the data directory.
    pub rescue_dirs: Vec<PathBuf>,
    /// The clocks.
    pub clock: Clock,
    /// The service manager.
    pub manager: Arc<dyn Manager>,
    /// The machine.
    pub board: Arc<dyn board::Board>,
    /// How files are fetched.
    pub downloads: downloads::Config,
}

/// The service manager, as far as the service speaks to it.
pub trait Manager: Send + Sync {
    /// The service is up.
    fn ready(&self);
    /// The service is going down.
    fn stopping(&self);
    /// Everybody is alive.
    fn alive(&self);
    /// How often [`Manager::alive`] is expected.
    fn interval(&self) -> Option<Duration>;
}

/// Why the service could not start, or had to end.
#[derive(Debug)]
pub enum AppError {
    /// The store could not be opened or has failed.
    Store(StoreError),
    /// A thread or socket could not be made.
    Start {
        /// What was being started.
        what: &'static str,
        /// Why it did not work.
        source: std::io::Error,
    },
    /// The address of the page cannot be used.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The service manager's socket cannot be used.
    Inherited(inherited::InheritedError),
    /// The web server could not be started.
    Web(crate::web::server::ServerError),
    /// A task kept failing, or a thread has ended.
    Fatal(String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppError::Store(_) => f.write_str("the store failed"),
            AppError::Start { what, .. } => write!(f, "could not start {what}"),
            AppError::Listen { address, .. } => {
                write!(f, "cannot listen on {address}; choose another with --listen or [web] listen")
            }
            AppError::Inherited(_) => f.write_str("cannot serve the page"),
            AppError::Web(_) => f.write_str("could not start the web server"),
            AppError::Fatal(reason) => write!(f, "the service ended itself: {reason}"),
        }
    }
}

impl std::error::Error for AppError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AppError::Store(source) => Some(source),
            AppError::Start { source, .. } | AppError::Listen { source, .. } => Some(source),
            AppError::Inherited(source) => Some(source),
            AppError::Web(source) => Some(source),
            AppError::Fatal(_) => None,
        }
    }
}

impl From<OpenError> for AppError {
    fn from(error: OpenError) -> AppError {
        match error {
            OpenError::Store(source) => AppError::Store(source),
            OpenError::NoRandomness => AppError::Start {
                what: "the guard: the system gives no random numbers",
                source: std::io::Error::other("see the kernel's log"),
            },
        }
    }
}

impl From<StoreError> for AppError {
    fn from(source: StoreError) -> AppError {
        AppError::Store(source)
    }
}

/// What a test may hold on to while the service runs.
#[derive(Clone, Default)]
pub struct Handles {
    /// Thrown to end the service as SIGTERM does.
    pub stop: Stop,
    /// The table of tasks.
    pub tasks: Board,
}

/// Runs the service until SIGTERM, SIGINT, or `handles.stop`.
///
/// # Errors
/// When it cannot start, or had to end itself; the service manager starts it afresh then.
pub fn run(options: Options, handles: &Handles) -> Result<(), AppError> {
    let Options { mut config, listener, rescue_dirs, clock, manager, board, downloads: fetching } = options;
    let started = clock.now();
    let light = Arc::clone(&board);
    let _ = light.show(board::Signal::Starting);
    let data_dir = config.storage.data_dir.clone();
    let forgotten = rescue::look(&data_dir, &rescue_dirs);

    let restored = crate::backup::switch(&data_dir)
        .map_err(|source| AppError::Start { what: "with the backup that was restored", source })?;
    if let Some(manifest) = restored {
        log::warn!("the backup of {} (version {}) was restored", manifest.created_at, manifest.version);
    }

    // The store announces what it has committed; the announcer passes it on.
    let bus = EventBus::new();
    let announcer = Announcer::new(bus, 0, clock.clone());
    let publish = announcer.clone();
    let opened = Store::open(StoreOptions {
        journal_max: config.storage.journal_max,
        zone: config.time.zone.clone(),
        ..StoreOptions::new(
            data_dir.clone(),
            clock.clone(),
            Arc::new(move |envelope| publish.committed(envelope)),
        )
    })?;
    let store = opened.store.clone();
    announcer.resume(store.read_blocking(|view| view.newest_seq())?);

    if forgotten.is_wanted() {
        store.write_blocking(Guard::forget)?;
        forgotten.done(&data_dir);
    }
    let password = GuardConfig { password: config.web.password.take(), private: config.web.private };
    let guard = Guard::open(&store, &clock, password)?;
    let changed = settings::read(&store, &mut config)?;

    // Records and files agree before anybody hears of them.
    let blobs =
        Blobs::open(&data_dir).map_err(|source| AppError::Start { what: "the place for files", source })?;
    let report = &opened.report;
    downloads::sweep(&store, &blobs, !report.restored_from_backup && !report.started_empty)?;

    let mqtt = MqttThread::start().map_err(|source| AppError::Start { what: "the MQTT thread", source })?;
    let registry = Registry::default();
    let deps = watch::Deps {
        clock: clock.clone(),
        store: store.clone(),
        means: Means {
            clock: clock.clone(),
            mqtt: mqtt.handle(),
            resolver: Resolver::new(clock.clone()),
            http: http_pool(),
        },
        announcer: announcer.clone(),
        registry: registry.clone(),
    };
    let library = Library::new(store.clone(), blobs.clone(), config.library.clone());
    let readers = arrivals::Deps {
        clock: clock.clone(),
        store: store.clone(),
        announcer: announcer.clone(),
        blobs: blobs.clone(),
        registry: registry.clone(),
        pool: arrivals::pool(),
        resolver: deps.means.resolver.clone(),
        http: deps.means.http.clone(),
    };
    let (orders, wire) = smol::channel::bounded(ORDERS_MAX);
    let requests = discovery::Requests::default();
    let finding = discovery::Deps {
        clock: clock.clone(),
        store: store.clone(),
        announcer: announcer.clone(),
        registry: registry.clone(),
        resolver: deps.means.resolver.clone(),
        library: library.clone(),
        requests: requests.clone(),
    };
    let card = library.card().clone();
    let heard = crate::lan::Handle::default();
    let figures = probe::Figures::new(
        data_dir.clone(),
        store.clone(),
        mqtt.handle(),
        Arc::clone(&board),
        card,
        heard.clone(),
    );
    let desk = Desk::new(store.clone(), registry.clone());
    let entries = std::mem::take(&mut config.printers);
    let names = Latest::new(settings::host_names(&config.web.names));
    let neighbours =
        lan::Neighbours::new(config.network, &listener, names.clone(), &registry, &heard, &clock)
            .map_err(|source| AppError::Start { what: "the network's side", source })?;
    let automatic = Latest::new(config.downloads.auto);
    let low_stock = Latest::new(config.materials.threshold());
    let told = settings::Told {
        guard: guard.clone(),
        names: names.clone(),
        library: library.clone(),
        downloads: desk.clone(),
        automatic: automatic.clone(),
        low_stock: low_stock.clone(),
    };
    let afresh = Stop::default();
    let owned =
        machine::Owned { board: Arc::clone(&board), data_dir: data_dir.clone(), afresh: afresh.clone() };
    let api = Arc::new(Api {
        clock: clock.clone(),
        store: store.clone(),
        blobs: readers.blobs.clone(),
        registry,
        desk: desk.clone(),
        announcer,
        orders,
        library: library.clone(),
        discovery: requests.clone(),
        lan: heard,
        slow: SlowLane::new(),
        tasks: handles.tasks.clone(),
        started,
        guard,
        settings: Arc::new(settings::Settings::new(store.clone(), config, changed, told)),
        machine: Arc::new(owned),
        low_stock,
        zone: store.zone(),
        probe: Arc::new(move || figures.read()),
    });
    // Before anybody can reach it or is told that it is up: from then on the end is an orderly one.
    let signals = Signals::new([Signal::Term, Signal::Int])
        .map_err(|source| AppError::Start { what: "the signal handler", source })?;
    let web = stream::start_web(&data_dir, listener, names, &api)?;

    let clean = opened.report.previous_shutdown_clean;
    store.write_blocking(move |txn| {
        let event =
            ServiceStarted { version: env!("CARGO_PKG_VERSION").into(), previous_shutdown_clean: clean };
        txn.emit(Event::ServiceStarted(event), None, None);
        Ok::<(), StoreError>(())
    })?;
    seed::add(&store, entries)?;
    let (printers, tracks) = store.read_blocking(|view| {
        let printers = view.printers()?;
        let tracks = printers.iter().map(|printer| view.track(printer.id)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, StoreError>((printers, tracks))
    })?;

    let executor = Rc::new(LocalExecutor::new());
    let supervisor =
        Supervisor::new(Rc::clone(&executor), clock.clone(), handles.tasks.clone(), handles.stop.clone());
    let web = web.spawn(&supervisor);
    spawn_service(&supervisor, &deps, wire, &manager, handles);
    supervisor.spawn("discovery", move |context| discovery::run(context, finding.clone()));
    let for_card = library.clone();
    supervisor.spawn("card", move |context| keep::run(context, for_card.clone()));
    let (following, for_library) = (deps.clone(), library.clone());
    supervisor.spawn("library", move |context| {
        follow::run(context, for_library.clone(), following.announcer.clone())
    });
    files::spawn(&supervisor, &deps, desk, blobs, fetching, automatic);
    neighbours.spawn(&supervisor, &deps);
    let (for_light, tasks) = (deps.clone(), handles.tasks.clone());
    supervisor.spawn("light", move |context| {
        let (board, tasks) = (Arc::clone(&board), tasks.clone());
        let (registry, store) = (for_light.registry.clone(), for_light.store.clone());
        async move { light::run(context, board, registry, store, tasks).await }
    });
    spawn_readers(&supervisor, readers);
    for (printer, track) in printers.into_iter().zip(tracks) {
        fleet::start(&supervisor, &deps, Arc::new(printer), track);
    }
    manager.ready();
    log::info!(
        "printernizer {} is up, {}",
        env!("CARGO_PKG_VERSION"),
        if clean { "after a clean shutdown" } else { "after an unclean one" }
    );

    let result = smol::block_on(executor.run(async {
        let ended = asked(signals, &supervisor, &store, &afresh).await;
        manager.stopping();
        let reason = match &ended {
            Ok(reason) => (*reason).to_owned(),
            Err(fatal) => fatal.to_string(),
        };
        let goodbye = store.write(move |txn| {
            txn.emit(Event::ServiceStopping(ServiceStopping { reason }), None, None);
            Ok::<(), StoreError>(())
        });
        let _ = within(&clock, Duration::from_secs(1), goodbye).await;
        let late = supervisor.stop_all(TASKS_END_WITHIN).await;
        if !late.is_empty() {
            log::warn!("did not end in time: {}", late.join(", "));
        }
        if mqtt.shutdown().await.is_err() {
            log::warn!("the MQTT thread did not end in time");
        }
        ended
    }));
    // The same flicker as at the start: not yet.
    let _ = light.show(board::Signal::Starting);
    web.stop();
    // What holds the store must be gone before its thread can end.
    drop((api, deps, library, supervisor, executor));
    drop(store);
    smol::block_on(opened.thread.close(STORE_ENDS_WITHIN))?;
    result.map(|_| ())
}

/// Waits until the service is to end; answers why.
async fn asked(
    mut signals: Signals,
    supervisor: &Supervisor,
    store: &Store,
    afresh: &Stop,
) -> Result<&'static str, AppError> {
    let signalled = async {
        match signals.next().await {
            Some(Ok(Signal::Int)) => Ok("interrupted"),
            _ => Ok("terminated"),
        }
    };
    let again = async {
        afresh.wait().await;
        Ok("starts afresh")
    };
    let ended =
        async { supervisor.ended().await.map(|()| "requested").map_err(|fatal| AppError::Fatal(fatal.0)) };
    let failed = async { Err(AppError::Fatal(format!("the store failed: {}", store.failed().await))) };
    failed.or(ended).or(again).or(signalled).await
}

/// The rooms that work for files whose bytes have arrived. Figures begin first: they are promised sooner.
fn spawn_readers(supervisor: &Supervisor, deps: arrivals::Deps) {
    let for_metadata = deps.clone();
    supervisor.spawn("metadata", move |context| metadata::run(context, for_metadata.clone()));
    supervisor.spawn("thumbnails", move |context| thumbnails::run(context, deps.clone()));
}

fn spawn_service(
    supervisor: &Supervisor,
    deps: &watch::Deps,
    wire: smol::channel::Receiver<crate::printers::registry::Order>,
    manager: &Arc<dyn Manager>,
    handles: &Handles,
) {
    let (keeper, for_fleet) = (supervisor.clone(), deps.clone());
    supervisor.spawn("fleet", move |context| {
        let (keeper, deps, wire) = (keeper.clone(), for_fleet.clone(), wire.clone());
        async move { fleet::run(context, keeper, deps, wire).await }
    });
    let for_summary = deps.clone();
    supervisor.spawn("summary", move |context| {
        let deps = for_summary.clone();
        async move { summary::run(context, deps).await }
    });
    let booking = materials::task::Deps { store: deps.store.clone(), announcer: deps.announcer.clone() };
    supervisor.spawn("materials", move |context| {
        let booking = booking.clone();
        async move { materials::task::run(context, booking).await }
    });
    let store = deps.store.clone();
    supervisor.spawn("store", move |context| {
        let store = store.clone();
        async move {
            beats::ping(context, move || {
                let store = store.clone();
                async move { store.ping().await.is_ok() }
            })
            .await
        }
    });
    let mqtt = deps.means.mqtt.clone();
    supervisor.spawn("mqtt", move |context| {
        let mqtt = mqtt.clone();
        async move {
            beats::ping(context, move || {
                let mqtt = mqtt.clone();
                async move { mqtt.ping(beats::PING_WITHIN).await.is_ok() }
            })
            .await
        }
    });
    let store = deps.store.clone();
    supervisor.spawn("backup", move |context| {
        let store = store.clone();
        async move {
            let mut due = context.clock.now().mono.after(FIRST_BACKUP_AFTER);
            loop {
                if context.wait_until(due, std::future::pending::<()>()).await == Wake::Stop {
                    return Ok(());
                }
                if context.clock.now().mono >= due {
                    due = context.clock.now().mono.after(BACKUP_EVERY);
                    if let Err(error) = store.backup().await {
                        log::error!(
                            "the daily copy of the records failed: {}",
                            crate::base::error::chain(&error)
                        );
                    }
                }
            }
        }
    });
    let (board, manager) = (handles.tasks.clone(), Arc::clone(manager));
    supervisor.spawn("watchdog", move |context| {
        let (board, manager) = (board.clone(), Arc::clone(&manager));
        let interval = manager.interval().unwrap_or(WATCHDOG_EVERY);
        async move { beats::watchdog(context, board, interval, move || manager.alive()).await }
    });
}
