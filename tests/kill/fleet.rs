//! The printers of both families, what they print, and what really became of it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use printernizer::base::clock::{Clock, Mono};
use serde_json::{Value, json};
use simulator::bambu::ftps::FilePlan;
use simulator::{bambu, prusa};

/// Bytes of a print's file.
const FILE_BYTES: u64 = 1_000_000;
/// Bytes a second of a Bambu Lab printer's file server: a file takes longer than most lives of the service.
const RATE: u64 = 900_000;
/// The same of a Prusa printer's web server.
const PRUSA_RATE: u64 = 900_000;
/// Simulated seconds in a real one. A Bambu print takes some five real seconds.
const BAMBU_FACTOR: f64 = 80.0;
/// A Prusa print takes some eight: it is asked every eight seconds, and after every start of the service.
const PRUSA_FACTOR: f64 = 45.0;
/// Between two looks at the printers.
const LOOK: Duration = Duration::from_millis(150);
/// Looks at an ended print before the next one: somebody takes it off the plate. Longer than the service is ever away.
const REST_LOOKS: u32 = 25;
/// Every so many-th print is cancelled.
const CANCEL_EVERY: u32 = 5;
const PASSWORD: &str = "pw-of-a-printer";
const CODE: &str = "12345678";

/// A print as it really was.
#[derive(Clone, Debug)]
pub struct Print {
    /// The printer's serial number.
    pub serial: String,
    /// What the job has to be called, an ending aside.
    pub name: String,
    pub cancelled: bool,
    pub began: Mono,
    /// `None` while it is on.
    pub ended: Option<Mono>,
}

enum Machine {
    Bambu(Box<bambu::Printer>),
    Prusa(Box<prusa::Printer>),
}

impl Machine {
    fn serial(&self) -> &str {
        match self {
            Machine::Bambu(printer) => printer.serial(),
            Machine::Prusa(printer) => printer.serial(),
        }
    }

    /// Whether it is at no print.
    fn is_free(&self) -> bool {
        match self {
            Machine::Bambu(printer) => ["IDLE", "FINISH", "FAILED"].contains(&printer.status().gcode_state),
            Machine::Prusa(printer) => ["IDLE", "FINISHED", "STOPPED"].contains(&printer.status().state),
        }
    }

    /// Starts a print that has a name of its own.
    fn start(&self, name: &str) -> bool {
        match self {
            Machine::Bambu(printer) => {
                let plan = bambu::PrintPlan {
                    name: name.to_owned(),
                    source: bambu::Source::Lan,
                    file: FilePlan { size: FILE_BYTES, ..FilePlan::default() },
                    layers: 5,
                    print_seconds: 300.0,
                    calibration_seconds: 60.0,
                    ..bambu::PrintPlan::default()
                };
                printer.command(bambu::Command::StartPrint { plan }).is_ok()
            }
            Machine::Prusa(printer) => {
                let path = format!("{name}.gcode");
                let file = prusa::NewFile::sized(&path, usize::try_from(FILE_BYTES).unwrap());
                printer.command(prusa::Command::AddFile { file }).unwrap();
                let start = prusa::Start { path, print_seconds: Some(230.0), asks_first: false };
                printer.command(prusa::Command::StartPrint(start)).is_ok()
            }
        }
    }

    fn cancel(&self) -> bool {
        match self {
            Machine::Bambu(printer) => printer.command(bambu::Command::Cancel { end: None }).is_ok(),
            Machine::Prusa(printer) => printer.command(prusa::Command::Stop).is_ok(),
        }
    }

    /// The body that adds it.
    fn entry(&self) -> Value {
        match self {
            Machine::Bambu(printer) => json!({
                "name": printer.serial(), "printer_type": "bambu_lab",
                "connection_config": {
                    "ip_address": "127.0.0.1", "serial_number": printer.serial(), "access_code": CODE,
                    "mqtt_port": printer.port(), "ftps_port": printer.ftps_addr().port(),
                },
            }),
            Machine::Prusa(printer) => json!({
                "name": printer.serial(), "printer_type": "prusa_link",
                "connection_config": {
                    "ip_address": "127.0.0.1", "http_port": printer.port(), "password": PASSWORD,
                },
            }),
        }
    }

    /// The bytes of a file on its storage, by its name.
    fn content(&self, filename: &str) -> Option<Vec<u8>> {
        match self {
            Machine::Bambu(printer) => {
                let path = printer
                    .files()
                    .paths()
                    .into_iter()
                    .find(|path| path.rsplit('/').next() == Some(filename))?;
                Some(printer.files().get(&path)?.bytes().to_vec())
            }
            Machine::Prusa(printer) => printer.content(filename).map(|bytes| bytes.to_vec()),
        }
    }
}

/// Three Bambu Lab printers and two Prusa printers.
pub struct Fleet {
    machines: Vec<Machine>,
    prints: Mutex<Vec<Print>>,
}

impl Fleet {
    pub fn start() -> Fleet {
        let models = [bambu::Model::P1s, bambu::Model::A1, bambu::Model::X1c];
        let mut machines: Vec<Machine> = models
            .into_iter()
            .enumerate()
            .map(|(number, model)| {
                let mut config =
                    bambu::Config::new(model, &format!("{}00A00000000{number}", model.serial_prefix()), CODE);
                config.report_interval = Some(Duration::from_millis(100));
                config.factor = BAMBU_FACTOR;
                config.faults.ftps.rate = RATE;
                Machine::Bambu(Box::new(bambu::Printer::start(config).unwrap()))
            })
            .collect();
        for (number, model) in [prusa::Model::Mk4, prusa::Model::CoreOne].into_iter().enumerate() {
            let mut config = prusa::Config::new(model, PASSWORD);
            config.serial = model.serial(number + 1);
            config.factor = PRUSA_FACTOR;
            config.bytes_per_s = Some(PRUSA_RATE);
            machines.push(Machine::Prusa(Box::new(prusa::Printer::start(config).unwrap())));
        }
        Fleet { machines, prints: Mutex::default() }
    }

    pub fn entries(&self) -> impl Iterator<Item = Value> {
        self.machines.iter().map(Machine::entry)
    }

    /// What was printed so far.
    pub fn prints(&self) -> Vec<Print> {
        self.prints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bytes that the printer with this serial number has under this name.
    pub fn content(&self, serial: &str, filename: &str) -> Option<Vec<u8>> {
        self.machines.iter().find(|machine| machine.serial() == serial)?.content(filename)
    }

    /// Keeps the printers busy until told to stop, then lets every print come to its end.
    pub fn drive(&self, stop: &Receiver<()>) {
        let clock = Clock::system();
        let mut number = 0_u32;
        let mut rests = vec![REST_LOOKS; self.machines.len()];
        let mut on: Vec<Option<(usize, bool)>> = vec![None; self.machines.len()];
        let mut stopping = false;
        while !(stopping && on.iter().all(Option::is_none)) {
            match stop.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => stopping = true,
            }
            if stopping {
                // The channel answers at once from now on.
                std::thread::park_timeout(LOOK);
            }
            for (index, machine) in self.machines.iter().enumerate() {
                let now = clock.now().mono;
                if let Some((print, to_cancel)) = on[index] {
                    if machine.is_free() {
                        self.prints.lock().unwrap()[print].ended = Some(now);
                        (on[index], rests[index]) = (None, 0);
                    } else if to_cancel && now.since(self.prints()[print].began) > Duration::from_secs(3) {
                        // Refused where it does not print any more: then it has its own end.
                        let cancelled = machine.cancel();
                        self.prints.lock().unwrap()[print].cancelled = cancelled;
                        on[index] = Some((print, false));
                    }
                } else if rests[index] < REST_LOOKS {
                    rests[index] += 1;
                } else if !stopping && machine.is_free() {
                    number += 1;
                    let name = format!("Würfel {number}");
                    if machine.start(&name) {
                        let mut prints = self.prints.lock().unwrap();
                        let serial = machine.serial().to_owned();
                        prints.push(Print { serial, name, cancelled: false, began: now, ended: None });
                        on[index] = Some((prints.len() - 1, number.is_multiple_of(CANCEL_EVERY)));
                    }
                }
            }
        }
    }
}
