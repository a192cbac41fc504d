//! A printer that can be started, ordered about, looked at and stopped.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use serde::Serialize;

use super::command::{Command, CommandError};
use super::config::Config;
use super::engine::Engine;
use super::faults::Faults;
use super::model::Model;
use super::observe::Observations;
use super::session::serve;
use super::shared::{Shared, Status, Task};
use crate::wait::{lock, wait_until};

/// Connections served at once, logged in or not. Real printers stop far earlier (see
/// [`Model::session_count_max`]); this only bounds threads.
const CONNECTIONS_MAX: usize = 32;
/// How long an order may take: it waits for the engine, and a new key takes a second or two in a slow build.
const ORDER_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause before the next try to take the port again.
const REBIND_PAUSE: Duration = Duration::from_millis(50);

/// Why a printer could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The address or port cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// Keys or certificates could not be made.
    Certificate(String),
    /// An order of the prelude was refused.
    Prelude(CommandError),
    /// A thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Certificate(reason) => write!(f, "cannot make the certificates: {reason}"),
            Self::Prelude(error) => write!(f, "an order before the start was refused: {error}"),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// What a client needs to know to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// What people call it.
    pub name: String,
    /// The kind of interface.
    pub kind: &'static str,
    /// The model.
    pub model: Model,
    /// The address.
    pub host: String,
    /// The MQTT port.
    pub port: u16,
    /// The serial number.
    pub serial: String,
    /// The access code in force.
    pub access_code: String,
}

/// A running printer. Dropping it cuts every connection, frees the port and joins every thread.
#[derive(Debug)]
pub struct Printer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Printer {
    /// Starts a printer; when this returns, clients can connect.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: Config) -> Result<Self, StartError> {
        let wanted = SocketAddr::new(config.host, config.port);
        let listener = TcpListener::bind(wanted).map_err(|error| StartError::Listen(wanted, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(wanted, error))?;
        let shared = Arc::new(Shared::new(config, address).map_err(StartError::Certificate)?);
        lock(&shared.listening).is_open = true;
        let engine = Engine::new(Arc::clone(&shared)).map_err(StartError::Prelude)?;
        let mut printer = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        let for_listener = Arc::clone(&shared);
        printer.spawn("listener", move || listen(&for_listener, listener))?;
        printer.spawn("engine", move || engine.run())?;
        if lock(&shared.faults).refuse_connections {
            shared.listen(false).map_err(|reason| StartError::Listen(address, io::Error::other(reason)))?;
        }
        Ok(printer)
    }

    fn spawn(&mut self, role: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let name = format!("{role} {}", self.port());
        let thread = thread::Builder::new().name(name).spawn(work).map_err(StartError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.shared.config.serial
    }

    /// What a client needs to know.
    #[must_use]
    pub fn description(&self) -> Description {
        let config = &self.shared.config;
        Description {
            name: config.name.clone(),
            kind: "bambu_lab",
            model: config.model,
            host: self.shared.address.ip().to_string(),
            port: self.port(),
            serial: config.serial.clone(),
            access_code: lock(&self.shared.access_code).clone(),
        }
    }

    /// Gives an order and waits until it was carried out; its reports were handed to the sockets by then.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn command(&self, command: Command) -> Result<(), CommandError> {
        let (sender, receiver) = sync_channel(1);
        if !self.shared.post(Task::Order(command, sender)) {
            return Err(CommandError::Stopped);
        }
        receiver.recv_timeout(ORDER_TIMEOUT).map_err(|_| CommandError::Stopped)?
    }

    /// Changes the faults in force.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) -> Result<(), CommandError> {
        let mut faults = lock(&self.shared.faults).clone();
        change(&mut faults);
        self.command(Command::SetFaults { faults })
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> Faults {
        lock(&self.shared.faults).clone()
    }

    /// What the machine is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.shared.status).clone()
    }

    /// What was seen of the clients so far.
    #[must_use]
    pub fn observations(&self) -> Observations {
        self.shared.observer.get()
    }

    /// Waits until `condition` holds for what was seen.
    ///
    /// # Errors
    /// What was seen by then, when `timeout` passes first.
    pub fn wait_for(
        &self,
        timeout: Duration,
        condition: impl Fn(&Observations) -> bool,
    ) -> Result<Observations, Box<Observations>> {
        self.shared.observer.wait_for(timeout, condition)
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.shared.stop.set();
        self.shared.wake_all();
        self.shared.cut_all();
        self.shared.knock();
        for thread in self.threads.drain(..) {
            // A panic in a thread of the printer has been printed; it must not abort the one who drops.
            let _ = thread.join();
        }
    }
}

/// Accepts connections, closes the port and opens it again as wanted, and joins the sessions at the end.
fn listen(shared: &Arc<Shared>, listener: TcpListener) {
    let mut sessions: Vec<JoinHandle<()>> = Vec::new();
    let mut listener = Some(listener);
    while !shared.stop.is_set() {
        listener = match listener {
            Some(open) if lock(&shared.listening).is_wanted => {
                accept(shared, &open, &mut sessions);
                Some(open)
            }
            other => {
                drop(other);
                closed(shared)
            }
        };
    }
    // New sessions cannot come any more; those that slipped in are cut here.
    shared.cut_all();
    for session in sessions {
        let _ = session.join();
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, sessions: &mut Vec<JoinHandle<()>>) {
    let Ok((socket, _)) = listener.accept() else {
        // Out of file descriptors, most likely.
        shared.stop.wait_for(REBIND_PAUSE);
        return;
    };
    // A knock, or a client that came in the same moment.
    if shared.stop.is_set() || !lock(&shared.listening).is_wanted {
        return;
    }
    sessions.retain(|session| !session.is_finished());
    if sessions.len() >= CONNECTIONS_MAX {
        return;
    }
    let shared = Arc::clone(shared);
    let name = format!("session {}", shared.address.port());
    let thread = thread::Builder::new().name(name).spawn(move || serve(&shared, socket));
    sessions.extend(thread);
}

/// Notes that the port is closed, waits until it is wanted and takes it again.
fn closed(shared: &Shared) -> Option<TcpListener> {
    {
        let mut listening = lock(&shared.listening);
        listening.is_open = false;
        shared.listening_changed.notify_all();
        while !listening.is_wanted && !shared.stop.is_set() {
            listening = wait_until(&shared.listening_changed, listening, None);
        }
    }
    while !shared.stop.is_set() {
        if let Ok(listener) = TcpListener::bind(shared.address) {
            lock(&shared.listening).is_open = true;
            shared.listening_changed.notify_all();
            return Some(listener);
        }
        shared.stop.wait_for(REBIND_PAUSE);
    }
    None
}
