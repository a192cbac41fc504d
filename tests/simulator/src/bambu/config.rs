//! What a simulated printer is made from.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::certificate::CertificateVersion;
use super::command::Command;
use super::faults::Faults;
use super::model::Model;
use super::replay::Recording;
use super::scenario::Scenario;

/// A printer to be. [`Config::new`] gives an honest idle one on a free port of the loopback.
#[derive(Debug, Clone)]
pub struct Config {
    /// What people call it.
    pub name: String,
    /// The model.
    pub model: Model,
    /// The serial number: topic, common name of the certificate and seed of its key.
    pub serial: String,
    /// The access code that is the password of MQTT and FTPS.
    pub access_code: String,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The FTPS port; 0 takes a free one.
    pub ftps_port: u16,
    /// Whether the newer models, which keep sent files in their own memory, are set to store them on the stick too, where
    /// FTPS shows them.
    pub stores_sent_files: bool,
    /// Mixed into the content of the files it is sent. Without it the serial number is, so that every printer has its own
    /// file under the same name; equal seeds give equal files.
    pub file_seed: Option<u64>,
    /// Time between reports; `None` leaves only those that steps of a print and [`Command::Report`] bring.
    pub report_interval: Option<Duration>,
    /// Simulated seconds in a real one; 0 stops the clock, and [`Command::Advance`] moves it.
    pub factor: f64,
    /// After so many deltas comes an unasked full report; an A1 sends one every five minutes. 0 is never.
    pub full_every: u32,
    /// The CONNACK code for a wrong access code: 5 or 4.
    pub refusal_code: u8,
    /// Whether commands that act are taken.
    pub is_developer_mode: bool,
    /// How many multi-colour units it has; as many as the model usually has unless set.
    pub unit_count: Option<usize>,
    /// The certificate's generation; the model's own unless set.
    pub certificate_version: Option<CertificateVersion>,
    /// Bits of the leaf's RSA key. 4096 as in the newest models takes seconds to make.
    pub key_bits: u64,
    /// Orders carried out before the printer can be reached.
    pub prelude: Vec<Command>,
    /// The printer's life of its own.
    pub scenario: Scenario,
    /// A recording to play instead of the simulated machine. It begins with the first subscriber.
    pub replay: Option<Recording>,
    /// Faults from the start.
    pub faults: Faults,
}

impl Config {
    /// An idle printer that reports every two seconds in real time, in Developer Mode, without a life of its own.
    #[must_use]
    pub fn new(model: Model, serial: &str, access_code: &str) -> Self {
        Self {
            name: model.product_name().to_owned(),
            model,
            serial: serial.to_owned(),
            access_code: access_code.to_owned(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            ftps_port: 0,
            stores_sent_files: false,
            file_seed: None,
            report_interval: Some(Duration::from_secs(2)),
            factor: 1.0,
            full_every: 150,
            refusal_code: 5,
            is_developer_mode: true,
            unit_count: None,
            certificate_version: None,
            key_bits: 2048,
            prelude: Vec::new(),
            scenario: Scenario::default(),
            replay: None,
            faults: Faults::default(),
        }
    }

    /// A printer for tests that want every report to be their own doing: nothing periodic, the clock stands.
    #[must_use]
    pub fn manual(model: Model, serial: &str, access_code: &str) -> Self {
        Self { report_interval: None, factor: 0.0, full_every: 0, ..Self::new(model, serial, access_code) }
    }
}
