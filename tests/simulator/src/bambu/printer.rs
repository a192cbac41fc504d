//! A printer that can be started, ordered about, looked at and stopped.

use std::net::{SocketAddr, TcpListener, TcpStream};
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
use super::ftps::{self, Files};
use super::model::Model;
use super::observe::Observations;
use super::port::Port;
use super::session::serve;
use super::shared::{Shared, Status, Task};
use crate::wait::lock;

/// How long an order may take: it waits for the engine, and a new key takes a second or two in a slow build.
const ORDER_TIMEOUT: Duration = Duration::from_secs(20);

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
    /// The FTPS port.
    pub ftps_port: u16,
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
        let (listener, address) = bind(SocketAddr::new(config.host, config.port))?;
        let (ftps_listener, ftps_address) = bind(SocketAddr::new(config.host, config.ftps_port))?;
        let shared = Arc::new(Shared::new(config, address, ftps_address).map_err(StartError::Certificate)?);
        let engine = Engine::new(Arc::clone(&shared)).map_err(StartError::Prelude)?;
        let mut printer = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        printer.spawn_listener("listener", listener, |shared| &shared.port, serve)?;
        printer.spawn_listener("files", ftps_listener, |shared| &shared.ftps.port, ftps::serve)?;
        printer.spawn("engine", move || engine.run())?;
        let faults = lock(&shared.faults).clone();
        shared.listen(&faults).map_err(|reason| StartError::Listen(address, io::Error::other(reason)))?;
        Ok(printer)
    }

    fn spawn_listener(
        &mut self,
        role: &str,
        listener: TcpListener,
        port: fn(&Shared) -> &Port,
        serve: fn(&Shared, TcpStream),
    ) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        let for_session = Arc::clone(&self.shared);
        let serve: Arc<dyn Fn(TcpStream) + Send + Sync> = Arc::new(move |socket| serve(&for_session, socket));
        self.spawn(role, move || port(&shared).run(&shared.stop, listener, &serve, || shared.cut_all()))
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
        self.shared.port.address
    }

    /// Where its files are fetched.
    #[must_use]
    pub fn ftps_addr(&self) -> SocketAddr {
        self.shared.ftps.port.address
    }

    /// What is on its card.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.shared.ftps.files
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared.port.address.port()
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
            host: self.shared.port.address.ip().to_string(),
            port: self.port(),
            ftps_port: self.ftps_addr().port(),
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
        if !self.shared.post(Task::Order(Box::new(command), sender)) {
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
        self.shared.port.knock();
        self.shared.ftps.port.knock();
        for thread in self.threads.drain(..) {
            // A panic in a thread of the printer has been printed; it must not abort the one who drops.
            let _ = thread.join();
        }
    }
}

fn bind(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = TcpListener::bind(wanted).map_err(|error| StartError::Listen(wanted, error))?;
    let address = listener.local_addr().map_err(|error| StartError::Listen(wanted, error))?;
    Ok((listener, address))
}
