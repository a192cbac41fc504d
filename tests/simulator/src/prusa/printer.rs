//! A running printer and its threads.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;

use super::command::{Command, CommandError};
use super::config::Config;
use super::faults::{Faults, Silence};
use super::listener;
use super::model::Model;
use super::observe::Observations;
use super::shared::Shared;
use super::world::{Status, World};

/// Why a printer could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// An order of the prelude, or a file for the stick, was refused.
    Prelude(CommandError),
    /// No thread.
    Thread(io::Error),
    /// The port did not come into the state that the faults want.
    Port(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Prelude(error) => write!(f, "the printer's beginning was refused: {error}"),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
            Self::Port(reason) => f.write_str(reason),
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
    /// The HTTP port.
    pub port: u16,
    /// The serial number.
    pub serial: String,
    /// The user of digest authentication.
    pub username: &'static str,
    /// The PrusaLink password in force, which is the API key too.
    pub password: String,
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
        let config = Arc::new(config);
        let world = World::new(Arc::clone(&config)).map_err(StartError::Prelude)?;
        let silence = config.faults.silence;
        let shared = Arc::new(Shared::new(config, world, address));
        let mut printer = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        let for_listener = Arc::clone(&shared);
        let name = format!("listener {}", address.port());
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || listener::run(&for_listener, listener))
            .map_err(StartError::Thread)?;
        printer.threads.push(thread);
        if silence != Silence::None {
            shared.open(silence).map_err(StartError::Port)?;
        }
        Ok(printer)
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
            kind: "prusa_link",
            model: config.model,
            host: self.shared.address.ip().to_string(),
            port: self.port(),
            serial: config.serial.clone(),
            username: "maker",
            password: self.shared.world().password().to_owned(),
        }
    }

    /// Gives an order and waits until it was carried out.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn command(&self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::SetFaults { faults } => self.shared.set_faults(faults).map_err(CommandError::Failed),
            Command::ClearFaults => self.shared.set_faults(Faults::default()).map_err(CommandError::Failed),
            Command::Drop => {
                self.shared.cut_all();
                Ok(())
            }
            order => {
                let is_reboot = matches!(order, Command::Reboot { .. });
                self.shared.world().carry_out(order)?;
                if is_reboot {
                    self.shared.cut_all();
                }
                Ok(())
            }
        }
    }

    /// Changes the faults in force; every rule begins to count anew.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) -> Result<(), CommandError> {
        let mut faults = self.faults();
        change(&mut faults);
        self.command(Command::SetFaults { faults })
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.faults()
    }

    /// What the printer is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.world().status()
    }

    /// The bytes of a file on the stick, by its long or short names.
    #[must_use]
    pub fn content(&self, path: &str) -> Option<Arc<[u8]>> {
        let world = self.shared.world();
        world.stick.find(path).and_then(|(entry, _)| entry.file()).map(|file| Arc::clone(&file.content))
    }

    /// The path of a file on the stick as the network has it: `/usb/PARTS/CUBE~1.GCO`.
    #[must_use]
    pub fn short_path(&self, path: &str) -> Option<String> {
        self.shared.world().stick.find(path).map(|(_, short)| format!("/usb{short}"))
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
