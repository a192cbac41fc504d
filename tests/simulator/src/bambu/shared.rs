//! What the threads of one printer share.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustls::ServerConfig;
use serde::Serialize;

use super::certificate::identity;
use super::command::{Command, CommandError};
use super::config::Config;
use super::faults::Faults;
use super::ftps::Ftps;
use super::observe::Observer;
use super::port::Port;
use super::session::Session;
use super::tls::server_config;
use crate::wait::{Stop, lock, now, wait_until};

/// Requests and orders waiting for the engine. It takes them within a millisecond or so; a client that floods is
/// not listened to any further.
const INBOX_MAX: usize = 1_024;

/// Something for the engine to do.
#[derive(Debug)]
pub enum Task {
    /// A payload published to the request topic.
    Request(Vec<u8>),
    /// An order, with the place for its outcome.
    Order(Box<Command>, SyncSender<Result<(), CommandError>>),
    /// Somebody subscribed to the reports.
    Subscribed,
}

/// What the machine is doing, for people who look at the simulator itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `gcode_state`.
    pub gcode_state: &'static str,
    /// The title shown.
    pub subtask_name: String,
    /// Percent printed.
    pub percent: u32,
    /// The layer being printed.
    pub layer: u32,
    /// Number of layers.
    pub layer_count: u32,
    /// `stg_cur`.
    pub stage: i64,
}

/// Shared by the listener, the engine and the sessions.
#[derive(Debug)]
pub struct Shared {
    /// What the printer is made from.
    pub config: Config,
    /// The MQTT port.
    pub port: Port,
    /// The file server.
    pub ftps: Ftps,
    /// The end of everything.
    pub stop: Stop,
    /// What was seen.
    pub observer: Observer,
    /// The faults in force.
    pub faults: Mutex<Faults>,
    /// What the machine was doing when the engine looked last.
    pub status: Mutex<Status>,
    /// The access code in force.
    pub access_code: Mutex<String>,
    /// The sessions that are connected.
    pub sessions: Mutex<Vec<Arc<Session>>>,
    tls: Mutex<(u32, Arc<ServerConfig>)>,
    inbox: Mutex<VecDeque<Task>>,
    inbox_changed: Condvar,
}

impl Shared {
    /// Makes the keys and certificates, which takes a few hundred milliseconds for a new serial number.
    ///
    /// # Errors
    /// A sentence, when the certificates could not be made.
    pub fn new(config: Config, address: SocketAddr, ftps_address: SocketAddr) -> Result<Self, String> {
        let faults = config.faults.clone();
        let tls = make_tls(&config, &faults, 0)?;
        Ok(Self {
            port: Port::new(address),
            ftps: Ftps::new(ftps_address, &config),
            stop: Stop::default(),
            observer: Observer::default(),
            status: Mutex::default(),
            access_code: Mutex::new(config.access_code.clone()),
            sessions: Mutex::new(Vec::new()),
            tls: Mutex::new((0, tls)),
            inbox: Mutex::new(VecDeque::new()),
            inbox_changed: Condvar::new(),
            faults: Mutex::new(faults),
            config,
        })
    }

    /// The topic of the reports.
    #[must_use]
    pub fn report_topic(&self) -> String {
        format!("device/{}/report", self.config.serial)
    }

    /// The topic of the requests.
    #[must_use]
    pub fn request_topic(&self) -> String {
        format!("device/{}/request", self.config.serial)
    }

    /// The certificate and key for a new connection.
    #[must_use]
    pub fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&lock(&self.tls).1)
    }

    /// Makes a new key under the same name, or the same key under another name, as the faults say.
    ///
    /// # Errors
    /// A sentence, when the certificates could not be made.
    pub fn renew_tls(&self, is_new_key: bool) -> Result<(), String> {
        let generation = lock(&self.tls).0 + u32::from(is_new_key);
        let faults = lock(&self.faults).clone();
        *lock(&self.tls) = (generation, make_tls(&self.config, &faults, generation)?);
        Ok(())
    }

    /// Hands something to the engine; `false` when its inbox is full.
    pub fn post(&self, task: Task) -> bool {
        let mut inbox = lock(&self.inbox);
        if inbox.len() >= INBOX_MAX {
            return false;
        }
        inbox.push_back(task);
        self.inbox_changed.notify_all();
        true
    }

    /// Waits until there is something to do, the deadline has come, or the end. Only the engine calls this.
    pub fn next_task(&self, deadline: Option<Instant>) -> Option<Task> {
        let mut inbox = lock(&self.inbox);
        loop {
            if self.stop.is_set() {
                return None;
            }
            if let Some(task) = inbox.pop_front() {
                return Some(task);
            }
            if deadline.is_some_and(|deadline| now() >= deadline) {
                return None;
            }
            inbox = wait_until(&self.inbox_changed, inbox, deadline);
        }
    }

    /// Wakes everyone who might be waiting, after the stop signal was set.
    pub fn wake_all(&self) {
        // The lock is taken so that nobody is between a look at the signal and the wait.
        drop(lock(&self.inbox));
        self.inbox_changed.notify_all();
        self.port.wake();
        self.ftps.port.wake();
    }

    /// Opens or closes both ports as the faults say, and waits until that is done.
    ///
    /// # Errors
    /// A sentence, when it was not done in time.
    pub fn listen(&self, faults: &Faults) -> Result<(), String> {
        self.port.listen(!faults.refuse_connections, &self.stop)?;
        self.ftps.port.listen(!faults.ftps.refuse_connections, &self.stop)
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        for session in lock(&self.sessions).iter() {
            session.cut();
        }
        self.ftps.cut_all();
    }
}

fn make_tls(config: &Config, faults: &Faults, generation: u32) -> Result<Arc<ServerConfig>, String> {
    let common_name = faults.wrong_common_name.as_ref().unwrap_or(&config.serial);
    let version = config.certificate_version.unwrap_or(config.model.certificate_version());
    let identity = identity(common_name, &config.serial, generation, version, config.key_bits)?;
    server_config(&identity).map_err(|error| error.to_string())
}
