//! One simulated printer of either family, as the matrix needs it: every report and every second is the test's doing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use simulator::archive::Recipe;
use simulator::bambu::ftps::{Content, FilePlan};
use simulator::{bambu, prusa};

/// The access code of every Bambu Lab printer here.
pub const CODE: &str = "12345678";
/// The PrusaLink password of every Prusa printer here.
pub const PASSWORD: &str = "pw-of-a-printer";
/// Bytes of a print's file.
const FILE_BYTES: u64 = 60_000;
/// Simulated seconds of printing, without what comes before and after.
const PRINT_SECONDS: f64 = 600.0;
/// Enough for every print here to end.
const REST_SECONDS: f64 = 900.0;

/// The file of a printer's prints, made once in this process: a printer that draws pictures while it is asked for a size
/// looks like one that hangs.
fn archive(serial: &str, size: u64) -> Content {
    static MADE: Mutex<BTreeMap<(String, u64), Content>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let recipe = Recipe {
            name: serial.to_owned(),
            printer: "Bambu Lab P1S".into(),
            model_id: "C12".into(),
            plates: vec![1],
            plate: 1,
            layers: 20,
            print_seconds: 600,
            calibration_seconds: 60,
            filaments: Vec::new(),
            size,
            seed: serial.bytes().map(u64::from).sum(),
        };
        Content::bytes(recipe.archive())
    };
    made.entry((serial.to_owned(), size)).or_insert_with(make).clone()
}

/// A family of printers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Bambu,
    Prusa,
}

/// A printer.
pub enum Machine {
    Bambu(Box<bambu::Printer>),
    Prusa(Box<prusa::Printer>),
}

impl Machine {
    /// The `number`-th printer of a family. Models take turns; numbers are unique within a service.
    pub fn new(family: Family, number: usize) -> Machine {
        match family {
            Family::Bambu => {
                let models = [bambu::Model::P1s, bambu::Model::A1, bambu::Model::X1c];
                let model = models[number % models.len()];
                let serial = format!("{}00A{number:09}", model.serial_prefix());
                let config = bambu::Config::manual(model, &serial, CODE);
                Machine::Bambu(Box::new(bambu::Printer::start(config).unwrap()))
            }
            Family::Prusa => {
                let models = [prusa::Model::Mk4, prusa::Model::Mini, prusa::Model::CoreOne];
                let model = models[number % models.len()];
                let config =
                    prusa::Config { serial: model.serial(number), ..prusa::Config::manual(model, PASSWORD) };
                Machine::Prusa(Box::new(prusa::Printer::start(config).unwrap()))
            }
        }
    }

    /// The Bambu Lab printer that this is.
    pub fn bambu(&self) -> &bambu::Printer {
        match self {
            Machine::Bambu(printer) => printer,
            Machine::Prusa(_) => panic!("this is for Bambu Lab printers"),
        }
    }

    /// The Prusa printer that this is.
    pub fn prusa(&self) -> &prusa::Printer {
        match self {
            Machine::Prusa(printer) => printer,
            Machine::Bambu(_) => panic!("this is for Prusa printers"),
        }
    }

    /// The body that adds it.
    pub fn entry(&self, enabled: bool) -> Value {
        match self {
            Machine::Bambu(printer) => json!({
                "name": printer.serial(), "printer_type": "bambu_lab", "is_enabled": enabled,
                "connection_config": {
                    "ip_address": "127.0.0.1", "serial_number": printer.serial(), "access_code": CODE,
                    "mqtt_port": printer.port(), "ftps_port": printer.ftps_addr().port(),
                },
            }),
            Machine::Prusa(printer) => json!({
                "name": printer.serial(), "printer_type": "prusa_link", "is_enabled": enabled,
                "connection_config": {
                    "ip_address": "127.0.0.1", "http_port": printer.port(), "password": PASSWORD,
                },
            }),
        }
    }

    /// Starts a print of this name.
    pub fn start(&self, name: &str) {
        self.start_sized(name, FILE_BYTES);
    }

    /// The same with a file of this size.
    pub fn start_sized(&self, name: &str, bytes: u64) {
        match self {
            Machine::Bambu(printer) => {
                let plan = bambu::PrintPlan {
                    name: name.to_owned(),
                    source: bambu::Source::Lan,
                    file: FilePlan { content: Some(archive(printer.serial(), bytes)), ..FilePlan::default() },
                    layers: 20,
                    calibration_seconds: 60.0,
                    print_seconds: PRINT_SECONDS,
                    ..bambu::PrintPlan::default()
                };
                printer.command(bambu::Command::StartPrint { plan }).unwrap();
            }
            Machine::Prusa(printer) => {
                let path = format!("{name}.gcode");
                let file = prusa::NewFile::sized(&path, usize::try_from(bytes).unwrap());
                printer.command(prusa::Command::AddFile { file }).unwrap();
                let start = prusa::Start { path, print_seconds: Some(PRINT_SECONDS), asks_first: false };
                printer.command(prusa::Command::StartPrint(start)).unwrap();
            }
        }
    }

    /// Lets simulated time pass.
    pub fn advance(&self, seconds: f64) {
        match self {
            Machine::Bambu(printer) => printer.command(bambu::Command::Advance { seconds }).unwrap(),
            Machine::Prusa(printer) => printer.command(prusa::Command::Advance { seconds }).unwrap(),
        }
    }

    /// Lets the print come to its end, in pieces.
    pub fn finish(&self) {
        let mut left = REST_SECONDS;
        while left > 0.0 {
            self.advance(60.0);
            left -= 60.0;
        }
    }

    /// Files come at so many bytes a second, until the next fault or the end of all.
    pub fn slow_down(&self, rate: u64) {
        match self {
            Machine::Bambu(printer) => printer.change_faults(|faults| faults.ftps.rate = rate).unwrap(),
            Machine::Prusa(printer) => {
                let slow = prusa::Faults::at(prusa::Target::Download, prusa::Fault::Slow(rate));
                printer.change_faults(|faults| *faults = slow).unwrap();
            }
        }
    }

    pub fn pause(&self) {
        match self {
            Machine::Bambu(printer) => {
                let reason = bambu::PauseReason::default();
                printer.command(bambu::Command::Pause { reason }).unwrap();
            }
            Machine::Prusa(printer) => printer.command(prusa::Command::Pause).unwrap(),
        }
    }

    pub fn resume(&self) {
        match self {
            Machine::Bambu(printer) => printer.command(bambu::Command::Resume).unwrap(),
            Machine::Prusa(printer) => printer.command(prusa::Command::Resume).unwrap(),
        }
    }

    /// A Bambu Lab printer says something; a Prusa printer speaks when it is asked.
    pub fn speak(&self) {
        if let Machine::Bambu(printer) = self {
            printer.command(bambu::Command::Report).unwrap();
        }
    }

    /// Status requests so far, of a printer that is asked.
    pub fn asked(&self) -> Option<u64> {
        match self {
            Machine::Bambu(_) => None,
            Machine::Prusa(printer) => Some(printer.observations().of(prusa::Target::Status)),
        }
    }

    /// Ends all faults.
    pub fn heal(&self) {
        match self {
            Machine::Bambu(printer) => printer.command(bambu::Command::ClearFaults).unwrap(),
            Machine::Prusa(printer) => printer.command(prusa::Command::ClearFaults).unwrap(),
        }
    }
}
