//! What a simulated printer is made from.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::command::{Command, Scene};
use super::content::NewFile;
use super::faults::Faults;
use super::model::Model;
use crate::wait::epoch_seconds;

/// How long the steps around a print take, in simulated seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// BUSY, without a job, between the order and PRINTING.
    pub starting_s: f64,
    /// PRINTING, at 0 percent and without an estimate, while heating and levelling.
    pub heating_s: f64,
    /// PAUSED goes on for this long after a resume was accepted.
    pub resuming_s: f64,
    /// PRINTING goes on for this long after a stop was accepted.
    pub aborting_s: f64,
    /// PRINTING, at 100 percent, before FINISHED.
    pub finishing_s: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { starting_s: 3.0, heating_s: 120.0, resuming_s: 8.0, aborting_s: 8.0, finishing_s: 10.0 }
    }
}

/// A printer to be. [`Config::new`] gives an honest idle one on a free port of the loopback.
#[derive(Debug, Clone)]
pub struct Config {
    /// What people call it.
    pub name: String,
    /// The model.
    pub model: Model,
    /// The serial number.
    pub serial: String,
    /// The host name it shows.
    pub hostname: String,
    /// The PrusaLink password, which is the API key too.
    pub password: String,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 takes a free one (a real printer has 80).
    pub port: u16,
    /// Simulated seconds in a real one; 0 stops the clock, and [`Command::Advance`] moves it.
    pub factor: f64,
    /// The printer's clock at its start, in seconds since 1970.
    pub clock_start_s: u64,
    /// How long the steps of a print take.
    pub pace: Pace,
    /// Whether the firmware knows digests; 4.4 knows the key only.
    pub knows_digest: bool,
    /// How long a nonce is good, in seconds of real time (and of [`Command::Advance`]). 5 in firmware 4.5.x to 5.1.0.
    pub nonce_lifetime_s: u32,
    /// The same for PUT and POST. 8 in firmware 4.5.x to 5.1.0.
    pub nonce_lifetime_write_s: u32,
    /// Firmware 4.5.3 and 4.5.4: `stale="true"`.
    pub quotes_stale: bool,
    /// Bytes of a request target; 100 before firmware 5.1.0.
    pub target_bytes_max: usize,
    /// Requests served at once; further ones wait.
    pub slot_count: usize,
    /// Names with a percent sign are not found, as in some versions.
    pub loses_percent_signs: bool,
    /// Bytes a second, of all connections together; real ones give 25 000 to 550 000. `None` is as fast as it goes.
    pub bytes_per_s: Option<u64>,
    /// An idle connection is closed after this long.
    pub idle_timeout: Duration,
    /// A request or reply without progress is given up after this long.
    pub stall_timeout: Duration,
    /// What is on the stick.
    pub files: Vec<NewFile>,
    /// Orders carried out before the printer can be reached.
    pub prelude: Vec<Command>,
    /// The printer's life of its own: scenes in a ring.
    pub scenes: Vec<Scene>,
    /// Faults from the start.
    pub faults: Faults,
}

impl Config {
    /// An idle printer with an empty stick, in real time, without a life of its own.
    #[must_use]
    pub fn new(model: Model, password: &str) -> Self {
        Self {
            name: model.product_name().to_owned(),
            model,
            serial: model.serial(1),
            hostname: model.hostname().to_owned(),
            password: password.to_owned(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            factor: 1.0,
            clock_start_s: epoch_seconds(),
            pace: Pace::default(),
            knows_digest: true,
            nonce_lifetime_s: 300,
            nonce_lifetime_write_s: 300,
            quotes_stale: false,
            target_bytes_max: 168,
            slot_count: 3,
            loses_percent_signs: false,
            bytes_per_s: None,
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(10),
            files: Vec::new(),
            prelude: Vec::new(),
            scenes: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// A printer for tests that move its time themselves: the clock stands, at the same moment every time.
    #[must_use]
    pub fn manual(model: Model, password: &str) -> Self {
        Self { factor: 0.0, clock_start_s: 1_767_268_800, ..Self::new(model, password) }
    }

    /// The limits of firmware before 5.1.0.
    #[must_use]
    pub fn old_firmware(mut self) -> Self {
        self.target_bytes_max = 100;
        self.nonce_lifetime_s = 5;
        self.nonce_lifetime_write_s = 8;
        self.quotes_stale = true;
        self
    }
}
