//! The handler threads, and the life of `tiny_http` under them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use embedded_svc::http::server::{Connection as _, Handler};

use super::TinyConnection;
use super::router::write;
use crate::base::clock::{Clock, Mono};
use crate::web::respond::ApiError;

/// Handler threads: one may be slow (see [`super::SlowLane`]), the other goes on answering.
pub const HANDLERS: usize = 2;

/// Stack of a handler thread. Measured: the deepest handler path with JSON both ways stays below 60 KiB in a debug
/// build on x86-64 (see the test `a_handler_fits_its_stack`); three times that leaves room for the store's reads.
pub const STACK_BYTES: usize = 192 * 1024;

/// A handler thread turns at least this often: the heartbeat's rhythm, and few enough wakeups for an idle board.
const TURN: Duration = Duration::from_secs(5);

/// How long a stop waits for a handler in the middle of its work.
pub const STOP_WAIT: Duration = Duration::from_millis(1500);

/// A failed new start of `tiny_http` is tried again after this long; it happens while descriptors are short.
const REOPEN_WAIT: Duration = Duration::from_millis(250);

/// Between two new starts there is at least this long: the threads of a dead `tiny_http` linger for five seconds, and
/// without a pace a shortage of descriptors piled up eighty of them.
const REOPEN_PACE: Duration = Duration::from_secs(2);

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// A directory of its own for the socket; made with mode 0700, sockets left by a former run are removed.
    pub directory: PathBuf,
    /// Stack of each handler thread in bytes.
    pub stack_bytes: usize,
}

impl ServerConfig {
    /// The usual setup below `directory`.
    #[must_use]
    pub fn new(directory: PathBuf) -> ServerConfig {
        ServerConfig { directory, stack_bytes: STACK_BYTES }
    }
}

/// Why the server did not start.
#[derive(Debug)]
pub enum ServerError {
    /// The socket's directory could not be made private.
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket could not be opened.
    Listen {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A handler thread could not be started.
    Thread(io::Error),
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerError::Directory { path, .. } => {
                write!(f, "cannot make {} a private directory for the web socket", path.display())
            }
            ServerError::Listen { path, reason } => {
                write!(
                    f,
                    "cannot listen on {} (is its path longer than 100 bytes?): {reason}",
                    path.display()
                )
            }
            ServerError::Thread(_) => f.write_str("cannot start a thread for web requests"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServerError::Directory { source, .. } | ServerError::Thread(source) => Some(source),
            ServerError::Listen { .. } => None,
        }
    }
}

/// Counts since start.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Requests handed to a handler.
    pub requests: AtomicU64,
    /// Handlers that panicked; each answered 500.
    pub panics: AtomicU64,
    /// Answers that could not be written whole, mostly because the client had gone.
    pub broken_answers: AtomicU64,
    /// Times that `tiny_http` had to be started anew.
    pub restarts: AtomicU64,
}

/// What the front knows of the server: where it listens, and a way to say that it does not.
pub struct Backend {
    socket: Mutex<PathBuf>,
    server: Mutex<Weak<tiny_http::Server>>,
    lost: AtomicBool,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("socket", &self.socket()).finish_non_exhaustive()
    }
}

impl Backend {
    /// A server at `socket` that somebody else keeps alive; for tests of the front.
    #[must_use]
    pub fn at(socket: PathBuf) -> Backend {
        Backend { socket: Mutex::new(socket), server: Mutex::new(Weak::new()), lost: AtomicBool::new(false) }
    }

    /// The socket to connect to.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that nobody listens on the socket any more, and wakes a handler thread to see to it. A socket that was
    /// replaced meanwhile is no news.
    pub fn lost(&self, socket: &Path) {
        if self.socket() != socket {
            return;
        }
        self.lost.store(true, Ordering::Release);
        if let Some(server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).upgrade() {
            server.unblock();
        }
    }

    fn replace(&self, socket: PathBuf, server: &Arc<tiny_http::Server>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = socket;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(server);
    }
}

type Beat = Arc<dyn Fn(usize) + Send + Sync>;

struct Shared<H> {
    config: ServerConfig,
    handler: H,
    clock: Clock,
    beat: Beat,
    backend: Arc<Backend>,
    stats: Arc<ServerStats>,
    current: Mutex<Current>,
    stop: AtomicBool,
    alive: Mutex<usize>,
    ended: Condvar,
}

/// The `tiny_http` in use, `None` while a new one could not be opened.
struct Current {
    server: Option<Arc<tiny_http::Server>>,
    /// How many were opened; numbers the sockets, so that a dying server removes its own file and no other.
    opened: u64,
    /// When the last new one was opened.
    reopened: Option<Mono>,
}

/// The running server. Stop it with [`Server::stop`]; dropping it stops it too.
pub struct Server {
    backend: Arc<Backend>,
    stats: Arc<ServerStats>,
    threads: Vec<JoinHandle<()>>,
    halt: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Server {
    /// Opens the socket and starts the handler threads (named `web-0`, `web-1`). `beat` is called with the thread's number at
    /// each turn, at least every 5 s while no handler is stuck.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing is left running then.
    pub fn start<H>(
        config: ServerConfig,
        handler: H,
        clock: Clock,
        beat: Arc<dyn Fn(usize) + Send + Sync>,
    ) -> Result<Server, ServerError>
    where
        H: Handler<TinyConnection> + Sync + 'static,
    {
        private_directory(&config.directory)?;
        let (server, socket) = open(&config.directory, 0)?;
        let server = Arc::new(server);
        let backend = Arc::new(Backend::at(socket.clone()));
        backend.replace(socket, &server);
        let stats = Arc::new(ServerStats::default());
        let shared = Arc::new(Shared {
            config,
            handler,
            clock,
            beat,
            backend: Arc::clone(&backend),
            stats: Arc::clone(&stats),
            current: Mutex::new(Current { server: Some(server), opened: 0, reopened: None }),
            stop: AtomicBool::new(false),
            alive: Mutex::new(HANDLERS),
            ended: Condvar::new(),
        });
        let halting = Arc::clone(&shared);
        let mut running =
            Server { backend, stats, threads: Vec::new(), halt: Box::new(move || halting.halt()) };
        for number in 0..HANDLERS {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new()
                .name(format!("web-{number}"))
                .stack_size(shared.config.stack_bytes)
                .spawn(move || {
                    shared.run(number);
                    *shared.alive.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
                    shared.ended.notify_all();
                })
                .map_err(ServerError::Thread)?;
            running.threads.push(thread);
        }
        Ok(running)
    }

    /// Where the front finds the server.
    #[must_use]
    pub fn backend(&self) -> Arc<Backend> {
        Arc::clone(&self.backend)
    }

    /// Counts since start.
    #[must_use]
    pub fn stats(&self) -> Arc<ServerStats> {
        Arc::clone(&self.stats)
    }

    /// Ends the threads and removes the socket. Idle threads end at once; for one inside a handler it waits at most
    /// [`STOP_WAIT`] and then leaves it to the end of the process.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let all_ended = (self.halt)();
        for thread in self.threads.drain(..) {
            if (all_ended || thread.is_finished()) && thread.join().is_err() {
                log::error!("web: a handler thread ended by a panic");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl<H: Handler<TinyConnection>> Shared<H> {
    fn run(&self, number: usize) {
        while !self.stop.load(Ordering::Acquire) {
            (self.beat)(number);
            // A panic in tiny_http itself must not end the thread either.
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                self.stats.panics.fetch_add(1, Ordering::Relaxed);
                log::error!("web: a request ended in a panic");
            }
        }
    }

    /// Waits for one request and answers it.
    fn turn(&self) {
        let server = self.current.lock().unwrap_or_else(PoisonError::into_inner).server.clone();
        let lost = self.backend.lost.swap(false, Ordering::AcqRel);
        let Some(server) = server.filter(|_| !lost) else {
            self.reopen();
            return;
        };
        match server.recv_timeout(TURN) {
            Ok(Some(request)) => self.serve(request),
            Ok(None) => {}
            Err(error) => {
                log::warn!("web: tiny_http stopped accepting: {error}");
                self.backend.lost(&self.backend.socket());
            }
        }
    }

    fn serve(&self, request: tiny_http::Request) {
        self.stats.requests.fetch_add(1, Ordering::Relaxed);
        let Ok(mut connection) = TinyConnection::new(request) else {
            // The front lets no other method through; dropping the request answers 500.
            return;
        };
        let handled = catch_unwind(AssertUnwindSafe(|| self.handler.handle(&mut connection)));
        let whole = match handled {
            Ok(Ok(())) => connection.finish(),
            Ok(Err(error)) => {
                log::debug!("web: an answer was not written whole: {error:?}");
                Err(io::Error::other("not whole"))
            }
            Err(_) => {
                self.stats.panics.fetch_add(1, Ordering::Relaxed);
                log::error!("web: a handler panicked");
                self.apologize(connection)
            }
        };
        if whole.is_err() {
            self.stats.broken_answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers 500 where a handler panicked before it had begun its answer. Where it had begun, the missing last chunk
    /// tells the front.
    fn apologize(&self, mut connection: TinyConnection) -> io::Result<()> {
        if connection.is_response_initiated() {
            return Err(io::Error::other("panic in the middle of an answer"));
        }
        let error = ApiError::internal("Something went wrong inside. It was noted; trying again may help.");
        write(&mut connection, &error.reply(self.clock.now().wall))?;
        connection.finish()
    }

    /// Replaces a dead `tiny_http` by a new one on a new socket.
    fn reopen(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stop.load(Ordering::Acquire) {
            return;
        }
        let now = self.clock.now().mono;
        if current.reopened.is_some_and(|last| now.since(last) < REOPEN_PACE) {
            drop(current);
            self.backend.lost.store(true, Ordering::Release);
            thread::park_timeout(REOPEN_WAIT);
            return;
        }
        if let Some(dead) = current.server.take() {
            // The other thread may be waiting on it.
            dead.unblock();
        }
        match open(&self.config.directory, current.opened + 1) {
            Ok((server, socket)) => {
                let server = Arc::new(server);
                self.backend.replace(socket, &server);
                current.opened += 1;
                current.reopened = Some(now);
                current.server = Some(server);
                self.stats.restarts.fetch_add(1, Ordering::Relaxed);
                log::warn!("web: tiny_http was started anew");
            }
            Err(error) => {
                log::warn!("web: {error}; trying again");
                drop(current);
                thread::park_timeout(REOPEN_WAIT);
            }
        }
    }

    /// Tells the threads to end and waits for them; answers whether all have ended.
    fn halt(&self) -> bool {
        self.stop.store(true, Ordering::Release);
        let server = self.current.lock().unwrap_or_else(PoisonError::into_inner).server.take();
        if let Some(server) = server {
            for _ in 0..HANDLERS {
                server.unblock();
            }
        }
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        match self.ended.wait_timeout_while(alive, STOP_WAIT, |alive| *alive > 0) {
            Ok((alive, _)) => *alive == 0,
            Err(_) => false,
        }
    }
}

fn open(directory: &Path, number: u64) -> Result<(tiny_http::Server, PathBuf), ServerError> {
    let path = directory.join(format!("web-{number}.sock"));
    match catch_unwind(|| tiny_http::Server::http_unix(&path)) {
        Ok(Ok(server)) => Ok((server, path)),
        Ok(Err(error)) => Err(ServerError::Listen { path, reason: error.to_string() }),
        // It unwraps where a thread cannot be started.
        Err(_) => Err(ServerError::Listen { path, reason: "no thread could be started".to_owned() }),
    }
}

/// Makes `directory` ours alone and removes sockets of a former run.
fn private_directory(directory: &Path) -> Result<(), ServerError> {
    let failed = |source| ServerError::Directory { path: directory.to_owned(), source };
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("web-") && name.ends_with(".sock"))
        {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
