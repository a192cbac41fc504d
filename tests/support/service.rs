//! The whole service in this process: real threads, real sockets, its own directory, a service manager that records.
//!
//! A running service is a [`Service`]; it can be ended and started again on the same directory. Its main listener follows
//! the event stream from the first event of the journal.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use printernizer::app::{self, AppError, Handles, Manager, Options};
use printernizer::base::clock::{Clock, RELEASE_FLOOR};
use printernizer::base::secret::Secret;
use printernizer::config::{Config, StorageConfig, TimeConfig, WebConfig};
use printernizer::library::LibraryConfig;
use serde_json::{Value, json};
use simulator::bambu::Printer;
use tempfile::TempDir;

use super::client::{self, Answer, Deadline, Listener, PATIENCE, Seen};

#[path = "described.rs"]
mod described;

/// Lines of the log that are kept, of all services of this program.
const LINES_MAX: usize = 200_000;

/// Keeps everything that the product logs, down to the last detail.
struct Keeper(Mutex<Vec<String>>);

static KEEPER: Keeper = Keeper(Mutex::new(Vec::new()));

impl log::Log for Keeper {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        !metadata.target().starts_with("polling") && !metadata.target().starts_with("async_io")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut lines = self.0.lock().unwrap();
            if lines.len() < LINES_MAX {
                lines.push(format!("{} {} {}", record.level(), record.target(), record.args()));
            }
        }
    }

    fn flush(&self) {}
}

/// Everything that was logged so far by any service of this program.
pub fn logged() -> Vec<String> {
    KEEPER.0.lock().unwrap().clone()
}

/// The service ends within this time, whatever its printers do.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A service manager that counts.
#[derive(Default)]
pub struct Recorder {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
    alive: AtomicU64,
}

impl Recorder {
    pub fn alive_count(&self) -> u64 {
        self.alive.load(Ordering::SeqCst)
    }

    pub fn is_stopping(&self) -> bool {
        self.state.lock().unwrap().1
    }
}

impl Manager for Recorder {
    fn ready(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    fn stopping(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    fn alive(&self) {
        self.alive.fetch_add(1, Ordering::SeqCst);
    }

    fn interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(10))
    }
}

/// What a service is started with.
#[derive(Clone)]
pub struct Setup {
    pub directory: Arc<TempDir>,
    pub clock: Clock,
    /// Whether `clock` is moved by hand.
    pub manual: bool,
    pub journal_max: u64,
    pub library: LibraryConfig,
    pub network: printernizer::lan::Config,
    pub downloads: printernizer::downloads::Config,
    /// Whose days the statistics count by.
    pub zone: &'static str,
    /// The password of the configuration.
    pub password: Option<&'static str>,
    pub private: bool,
    pub board: Arc<dyn board::Board>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            directory: Arc::new(tempfile::tempdir().unwrap()),
            clock: Clock::system(),
            manual: false,
            journal_max: 10_000,
            library: LibraryConfig::default(),
            network: printernizer::lan::Config { find_printers: false, announce: false },
            downloads: printernizer::downloads::Config::default(),
            zone: "UTC",
            password: None,
            private: false,
            board: Arc::new(board::Host::new(Path::new("/"))),
        }
    }
}

impl Setup {
    /// A clock that a test moves by hand.
    pub fn manual() -> Setup {
        Setup { clock: Clock::manual(RELEASE_FLOOR), manual: true, ..Setup::default() }
    }
}

/// A running service.
pub struct Service {
    pub setup: Setup,
    pub address: SocketAddr,
    pub handles: Handles,
    pub manager: Arc<Recorder>,
    /// Follows everything from the first event that the journal still holds.
    pub log: Listener,
    thread: Option<JoinHandle<()>>,
    outcome: Mutex<Receiver<Result<(), AppError>>>,
}

impl Service {
    pub fn start() -> Service {
        Service::with(Setup::default())
    }

    pub fn manual() -> Service {
        Service::with(Setup::manual())
    }

    pub fn with(setup: Setup) -> Service {
        if log::set_logger(&KEEPER).is_ok() {
            log::set_max_level(log::LevelFilter::Trace);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (handles, manager) = (Handles::default(), Arc::new(Recorder::default()));
        let config = Config {
            storage: StorageConfig {
                data_dir: setup.directory.path().to_owned(),
                journal_max: setup.journal_max,
            },
            web: WebConfig {
                password: setup.password.map(Secret::new),
                private: setup.private,
                ..WebConfig::default()
            },
            library: setup.library.clone(),
            // Tests speak to loopback only, except those that have a network of their own.
            network: setup.network,
            time: TimeConfig { zone: setup.zone.parse().unwrap() },
            ..Config::default()
        };
        let options = Options {
            config,
            listener,
            rescue_dirs: vec![setup.directory.path().join("boot")],
            clock: setup.clock.clone(),
            manager: manager.clone(),
            downloads: setup.downloads,
            board: setup.board.clone(),
        };
        let (sender, outcome) = sync_channel(1);
        let running = handles.clone();
        let thread = std::thread::spawn(move || {
            let _ = sender.send(app::run(options, &running));
        });
        wait_for("the service is up", || manager.state.lock().unwrap().0 || thread.is_finished());
        if thread.is_finished() {
            panic!("the service did not start: {:?}", outcome.try_recv());
        }
        let log = Listener::open(address, "?after=0", &[]);
        Service { setup, address, handles, manager, log, thread: Some(thread), outcome: Mutex::new(outcome) }
    }

    /// Ends the service as SIGTERM does, in time and without an error; answers its events.
    pub fn stop(mut self) -> (Setup, Vec<Seen>) {
        let started = Deadline::new();
        self.handles.stop.throw();
        let result = self.outcome.lock().unwrap().recv_timeout(PATIENCE).expect("the service ends");
        let took = PATIENCE - started.left();
        assert!(result.is_ok(), "{result:?}");
        assert!(took < ENDS_WITHIN, "the service took {took:?} to end");
        assert!(self.manager.is_stopping());
        self.thread.take().unwrap().join().unwrap();
        self.log.wait_for_end();
        (self.setup.clone(), self.log.all())
    }

    /// Ends the service and starts it again on the same directory.
    pub fn restart(self) -> Service {
        Service::with(self.stop().0)
    }

    pub fn directory(&self) -> &Path {
        self.setup.directory.path()
    }

    /// Sends a request below `/api/v1`. A clock that is moved by hand goes on a little while the answer is waited for.
    pub fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string());
        self.raw(method, path, &["Content-Type: application/json"], body.as_deref().map(str::as_bytes))
    }

    /// The same with headers and a body of one's own. The answer is one that the API's description allows.
    pub fn raw(&self, method: &str, path: &str, headers: &[&str], body: Option<&[u8]>) -> Answer {
        let path = format!("/api/v1{path}");
        let answer = self.send(method, &path, headers, body);
        described::check(method, &path, &answer);
        answer
    }

    fn send(&self, method: &str, path: &str, headers: &[&str], body: Option<&[u8]>) -> Answer {
        if !self.setup.manual {
            return client::request(self.address, method, path, headers, body);
        }
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| client::request(self.address, method, path, headers, body));
            while !asking.is_finished() {
                // A real pause: the handlers poll in manual time, and manual time is to pass slowly.
                std::thread::park_timeout(Duration::from_millis(2));
                self.setup.clock.advance(Duration::from_millis(1));
            }
            asking.join().unwrap()
        })
    }

    pub fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).expect(200)
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body))
    }

    /// Adds `printer` to the list as its owner would; answers the whole view.
    pub fn add(&self, printer: &Printer) -> Value {
        self.post("/printers", entry(printer)).expect(201)
    }

    /// Adds `printer`, which has to be connected by then; answers its id.
    pub fn watch(&self, printer: &Printer) -> String {
        let view = self.add(printer);
        assert_eq!(view["connection"]["status"], "monitoring", "{view}");
        view["id"].as_str().unwrap().to_owned()
    }

    /// The newest seq in the journal.
    pub fn newest(&self) -> u64 {
        self.get("/events/stats")["newest_seq"].as_u64().unwrap()
    }

    /// The whole journal, oldest first, as the API gives it.
    pub fn journal(&self) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = self.get(&format!("/events/recent?after={after}&limit=200"));
            let list = page["events"].as_array().unwrap().clone();
            let Some(last) = list.last() else { return events };
            after = last["seq"].as_u64().unwrap();
            events.extend(list);
        }
    }

    /// Moves the clock on in steps, waiting after each until all tasks have noticed.
    pub fn pass(&self, time: Duration) {
        assert!(self.setup.manual, "only a manual clock is moved by hand");
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(1));
            self.setup.clock.advance(step);
            left -= step;
            // A request goes through every thread that matters: front, handler, store.
            self.get("/readiness");
        }
    }

    /// All jobs, oldest first.
    pub fn jobs(&self) -> Vec<Value> {
        let mut jobs = self.get("/jobs?limit=200")["jobs"].as_array().unwrap().clone();
        jobs.reverse();
        jobs
    }

    /// Waits until the printer's view fits.
    pub fn until(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/printers/{id}");
        let deadline = Deadline::new();
        loop {
            let view = self.get(&path);
            if fits(&view) {
                return view;
            }
            assert!(!deadline.left().is_zero(), "waited in vain: {what}; the last view is {view}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.handles.stop.throw();
        if let Some(thread) = self.thread.take() {
            // With a manual clock the goodbyes' deadlines would never pass by themselves.
            let deadline = Deadline::new();
            while !thread.is_finished() && !deadline.left().is_zero() {
                std::thread::park_timeout(Duration::from_millis(5));
                self.setup.clock.advance(Duration::from_millis(5));
            }
        }
    }
}

/// The body that adds `printer`.
pub fn entry(printer: &Printer) -> Value {
    let about = printer.description();
    json!({
        "name": about.name, "printer_type": "bambu_lab",
        "connection_config": {
            "ip_address": about.host, "mqtt_port": about.port, "ftps_port": printer.ftps_addr().port(), "serial_number": about.serial,
            "access_code": about.access_code,
        },
    })
}

/// Waits until `condition` holds, looking every few milliseconds, with a deadline.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::new();
    while !condition() {
        assert!(!deadline.left().is_zero(), "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
