//! Everything a printer is apart from its sockets: machine, stick, transfer, clock, password. Time passes when it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value};

use super::command::{AfterReboot, Command, CommandError, Start};
use super::config::Config;
use super::content::{NewFile, crc32};
use super::digest::Keeper;
use super::machine::{Job, Machine, State};
use super::request::Method;
use super::stick::{FileBody, Stick, StickError};
use crate::scenario::Player;
use crate::wait::now;

/// The longest simulated time taken in one piece, so that a scenario notices percentages on the way.
const PIECE_MAX_S: f64 = 10.0;
/// Orders that a scenario may give without any time passing; more is a scenario that runs in a circle.
const ORDERS_AT_ONCE_MAX: usize = 8;

/// Makes the boots of one process different.
static BOOTS: AtomicU32 = AtomicU32::new(0);

/// A file that arrives through Connect.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// Counts up.
    pub id: u32,
    /// The path of short names.
    pub path: String,
    /// Its size.
    pub size: f64,
    /// Bytes that are there.
    pub received: f64,
    /// Bytes a simulated second.
    pub bytes_per_s: f64,
    /// Simulated seconds since it began.
    pub seconds: f64,
}

/// What the printer is doing, for people who look at the simulator itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// As PrusaLink writes it.
    pub state: &'static str,
    /// The running print's id.
    pub job_id: Option<u32>,
    /// The long name of its file.
    pub file: Option<String>,
    /// Percent printed.
    pub percent: f64,
    /// Whether a file is arriving.
    pub is_receiving: bool,
}

/// The printer.
#[derive(Debug)]
pub struct World {
    config: Arc<Config>,
    /// States, prints, temperatures.
    pub machine: Machine,
    /// The files.
    pub stick: Stick,
    /// The file that is arriving.
    pub transfer: Option<Transfer>,
    /// Merged into the status.
    pub status_patch: Value,
    /// Merged into the job.
    pub job_patch: Value,
    password: String,
    player: Player<Command>,
    factor: f64,
    last_time: Instant,
    simulated_s: f64,
    boot_half: u32,
    booted_at: Instant,
    advanced_since_boot_s: f64,
    transfers: u32,
    changes: u32,
}

impl World {
    /// Builds the printer and carries out its prelude.
    ///
    /// # Errors
    /// The first order of the prelude, or the first file, that is refused.
    pub fn new(config: Arc<Config>) -> Result<Self, CommandError> {
        let time = now();
        let mut world = Self {
            machine: Machine::new(config.pace),
            stick: Stick::default(),
            transfer: None,
            status_patch: Value::Null,
            job_patch: Value::Null,
            password: config.password.clone(),
            player: Player::new(Vec::new()),
            factor: config.factor,
            last_time: time,
            simulated_s: 0.0,
            boot_half: 0,
            booted_at: time,
            advanced_since_boot_s: 0.0,
            transfers: 0,
            changes: 0,
            config,
        };
        world.boot();
        for file in world.config.files.clone() {
            world.add(&file, false)?;
        }
        world.changes = 0;
        for order in world.config.prelude.clone() {
            world.carry_out(order)?;
        }
        world.player = Player::new(world.config.scenes.clone());
        Ok(world)
    }

    fn boot(&mut self) {
        let boots = BOOTS.fetch_add(1, Ordering::Relaxed);
        let seed = format!("{} {boots} {}", self.config.serial, std::process::id());
        // Zero would mean that there is no nonce yet.
        self.boot_half = crc32(seed.as_bytes()).max(1);
        self.booted_at = now();
        self.advanced_since_boot_s = 0.0;
    }

    /// The printer's clock, in seconds since 1970.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, far below 2^53"
    )]
    pub fn clock_s(&self) -> u64 {
        self.config.clock_start_s + self.simulated_s as u64
    }

    /// What a request is judged by.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative; a century fits"
    )]
    pub fn keeper(&self, method: Method) -> Keeper {
        let uptime_s = now().duration_since(self.booted_at).as_secs_f64() + self.advanced_since_boot_s;
        let config = &self.config;
        let is_write = matches!(method, Method::Post | Method::Put);
        Keeper {
            password: self.password.clone(),
            knows_digest: config.knows_digest,
            boot_half: self.boot_half,
            uptime_s: uptime_s as u32,
            lifetime_s: if is_write { config.nonce_lifetime_write_s } else { config.nonce_lifetime_s },
            quotes_stale: config.quotes_stale,
        }
    }

    /// The password in force.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        let job = self.machine.job();
        Status {
            state: self.machine.state().name(),
            job_id: job.map(|job| job.id),
            file: job.map(|job| job.long.clone()),
            percent: self.machine.percent(),
            is_receiving: self.transfer.is_some(),
        }
    }

    /// The ETag of a folder: the same until something changes through the network.
    pub fn folder_etag(&self, path: &str) -> u32 {
        crc32(format!("{path} {}", self.changes).as_bytes()).max(1)
    }

    /// Lets the time pass that has passed.
    pub fn catch_up(&mut self) {
        let time = now();
        let seconds = time.duration_since(self.last_time).as_secs_f64() * self.factor;
        self.last_time = time;
        if seconds > 0.0 {
            self.advance(seconds);
        }
    }

    /// Lets simulated time pass, with every step of the print and every scene on the way.
    fn advance(&mut self, seconds: f64) {
        let mut left = seconds.max(0.0);
        let mut orders_at_once = 0;
        loop {
            let steps = [self.machine.until_next_step(), self.player.until_next()];
            let piece = steps.into_iter().flatten().fold(left.min(PIECE_MAX_S), f64::min);
            self.machine.advance(piece);
            self.simulated_s += piece;
            self.receive(piece);
            left -= piece;
            let percent = self.machine.is_busy().then(|| self.machine.percent());
            if let Some(order) = self.player.advance(piece, percent) {
                orders_at_once = if piece > 0.0 { 1 } else { orders_at_once + 1 };
                if orders_at_once > ORDERS_AT_ONCE_MAX {
                    return;
                }
                // A scene whose order does not fit the state is passed over.
                let _ = self.carry_out(order);
                continue;
            }
            if left <= 1e-9 {
                return;
            }
        }
    }

    /// Lets a file arrive, and puts it into place when it is there and nobody prints it.
    fn receive(&mut self, seconds: f64) {
        let Some(transfer) = &mut self.transfer else { return };
        transfer.seconds += seconds;
        transfer.received = (transfer.received + transfer.bytes_per_s * seconds).min(transfer.size);
        let is_printed = self.machine.printed_path() == Some(transfer.path.as_str());
        if transfer.received >= transfer.size && !is_printed {
            let path = transfer.path.clone();
            self.transfer = None;
            self.stick.complete(&path);
            self.changes += 1;
        }
    }

    /// The transfer as the network sees it: one that is complete is over, even if its file waits for a print's end.
    pub fn shown_transfer(&self) -> Option<&Transfer> {
        self.transfer.as_ref().filter(|transfer| transfer.received < transfer.size)
    }

    fn add(&mut self, file: &NewFile, is_partial: bool) -> Result<String, CommandError> {
        let recipe = &file.recipe;
        let body = FileBody {
            content: file.content(self.config.model.slicer_name()).into(),
            picture: file.picture.clone().map(Arc::from),
            is_partial,
            print_seconds: recipe.print_seconds,
            nozzle_c: recipe.nozzle_c,
            bed_c: recipe.bed_c,
        };
        self.changes += 1;
        let clock_s = self.clock_s();
        self.stick.put(&file.path, clock_s, body).map_err(|error| match error {
            StickError::BadName | StickError::InTheWay => CommandError::BadName(file.path.clone()),
            StickError::Full => CommandError::Failed("the stick is full".into()),
        })
    }

    /// Deletes through the network.
    pub fn delete(&mut self, path: &str) {
        if self.stick.remove(path) {
            self.changes += 1;
        }
    }

    /// Starts a print of a file on the stick.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn start(&mut self, start: &Start) -> Result<(), CommandError> {
        let missing = || CommandError::NoSuchFile(start.path.clone());
        let (entry, path) = self.stick.find(&start.path).ok_or_else(missing)?;
        let file = entry.file().ok_or_else(missing)?;
        let job = Job {
            id: 0,
            path,
            long: entry.long.clone(),
            print_seconds: start.print_seconds.unwrap_or(file.print_seconds),
            nozzle_c: file.nozzle_c,
            bed_c: file.bed_c,
            asks_first: start.asks_first,
        };
        self.machine.start(job)
    }

    /// Carries out what concerns the printer itself; orders that concern the connections are passed over.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn carry_out(&mut self, order: Command) -> Result<(), CommandError> {
        use State::{Busy, Error, Finished, Idle, Ready, Stopped};
        match order {
            Command::StartPrint(start) => self.start(&start),
            Command::Pause => self.machine.pause(),
            Command::Resume => self.machine.resume(),
            Command::Stop => self.machine.stop(),
            Command::Leave => self.machine.rest(&[Finished, Stopped], Idle),
            Command::SetReady => self.machine.rest(&[Idle, Finished, Stopped], Ready),
            Command::Busy => self.machine.rest(&[Idle, Ready, Finished, Stopped], Busy),
            Command::Idle => self.machine.rest(&[Busy, Ready, Error, Idle], Idle),
            Command::Ask => {
                self.machine.ask();
                Ok(())
            }
            Command::Answer => self.machine.answer(),
            Command::Fail => {
                self.machine.fail();
                Ok(())
            }
            Command::Advance { seconds } => {
                self.advanced_since_boot_s += seconds.max(0.0);
                self.advance(seconds);
                Ok(())
            }
            Command::SetFactor { factor } => {
                self.factor = factor.clamp(0.0, 1e6);
                Ok(())
            }
            Command::AddFile { file } => self.add(&file, false).map(|_| ()),
            Command::RemoveFile { path } => {
                if self.stick.remove(&path) {
                    Ok(())
                } else {
                    Err(CommandError::NoSuchFile(path))
                }
            }
            Command::Receive { file, bytes_per_s } => self.begin_receiving(&file, bytes_per_s),
            Command::SetPassword { password } => {
                self.password = password;
                Ok(())
            }
            Command::Reboot { job } => {
                self.machine.reboot(job == AfterReboot::Resumed);
                self.boot();
                self.changes = 0;
                Ok(())
            }
            Command::PatchStatus { patch } => {
                self.status_patch = patch;
                Ok(())
            }
            Command::PatchJob { patch } => {
                self.job_patch = patch;
                Ok(())
            }
            Command::Drop | Command::SetFaults { .. } | Command::ClearFaults => Ok(()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes and rates are far below 2^53")]
    fn begin_receiving(&mut self, file: &NewFile, bytes_per_s: u64) -> Result<(), CommandError> {
        if self.transfer.is_some() {
            return Err(CommandError::AlreadyReceiving);
        }
        let path = self.add(file, true)?;
        let size =
            self.stick.find(&path).and_then(|(entry, _)| entry.file()).map_or(0, |file| file.content.len());
        self.transfers += 1;
        self.transfer = Some(Transfer {
            id: self.transfers,
            path,
            size: size as f64,
            received: 0.0,
            bytes_per_s: bytes_per_s as f64,
            seconds: 0.0,
        });
        Ok(())
    }
}

/// Merges as RFC 7396 says.
pub fn merge(value: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let Some(object) = value.as_object_mut() else { return };
            for (name, patch) in fields {
                if patch.is_null() {
                    object.remove(name);
                } else {
                    merge(object.entry(name.clone()).or_insert(Value::Null), patch);
                }
            }
        }
        other => *value = other.clone(),
    }
}
