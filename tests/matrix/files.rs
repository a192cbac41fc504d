//! Faults of both families' file servers, at every step of a transfer, at its end, and after the print.
//!
//! A row is a step (a command of FTP, or the data), its cells are what goes wrong there; each cell has a printer of its own.
//! Meanwhile the witnesses print, and their files come: a server that hangs holds one of the places for transfers, not all.

use std::cell::RefCell;

use serde_json::Value;
use simulator::bambu::Tcp;
use simulator::bambu::ftps::{Ending, FtpsFaults, Goodbye, Hiding, Mishap, Protection, Reuse, TransferFault};
use simulator::prusa::{Fault, Faults, Target};

use crate::bench::{Bench, Watched};
use crate::client::Deadline;
use crate::machine::{Family, Machine};

/// Bytes of the printed file.
const FILE_BYTES: u64 = 200_000;
/// Where in the file something happens.
const MIDDLE: u64 = 100_000;

type Strike = Box<dyn Fn(&Machine) + Send + Sync>;

/// What goes wrong with one printer.
pub struct Cell {
    pub name: String,
    family: Family,
    strike: Strike,
    /// The kinds that the failed rounds may have until the fault ends; none where no round fails.
    pub kinds: &'static [&'static str],
    /// Whether the fault stays until after the print.
    after: bool,
    /// The number of the simulated printer, which decides about its model: 0 P1S, 1 A1, 2 X1C.
    model: usize,
}

impl Cell {
    /// What the table says.
    pub fn words(&self) -> String {
        let kinds: Vec<String> = self.kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let outcome = match (kinds.is_empty(), self.after) {
            (true, _) => "borne".to_owned(),
            (false, false) => kinds.join(" or "),
            (false, true) => format!("{}, after the print", kinds.join(" or ")),
        };
        format!("{}: {outcome}", self.name)
    }
}

/// A step of a transfer.
pub struct Step {
    pub name: String,
    pub cells: Vec<Cell>,
}

fn cell(
    name: &str,
    model: usize,
    kinds: &'static [&'static str],
    fault: impl Fn(&mut FtpsFaults) + Send + Sync + 'static,
) -> Cell {
    let strike = move |machine: &Machine| {
        machine.bambu().change_faults(|faults| fault(&mut faults.ftps)).unwrap();
    };
    Cell {
        name: name.to_owned(),
        family: Family::Bambu,
        strike: Box::new(strike),
        kinds,
        after: false,
        model,
    }
}

/// A fault of a Prusa printer's downloads.
fn page(fault: Fault, kinds: &'static [&'static str]) -> Cell {
    let strike = move |machine: &Machine| {
        machine.prusa().change_faults(|faults| *faults = Faults::at(Target::Download, fault)).unwrap();
    };
    let (name, family) = (format!("{fault:?}"), Family::Prusa);
    Cell { name, family, strike: Box::new(strike), kinds, after: false, model: 0 }
}

fn mishap(name: &str, model: usize, kinds: &'static [&'static str], mishap: Mishap) -> Cell {
    cell(name, model, kinds, move |f| f.transfers = vec![TransferFault::next(mishap, MIDDLE)])
}

/// Every step and what can go wrong there.
pub fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for command in ["GREETING", "USER", "PASS", "PBSZ", "PROT", "TYPE", "PASV", "SIZE", "RETR"] {
        let mut cells = vec![
            cell("hangs", 2, &["stalled", "interrupted"], move |f| f.hangs_at = Some(command.into())),
            cell("hangs up", 0, &["interrupted"], move |f| f.hangs_up_at = Some(command.into())),
            cell("no FTP", 2, &["interrupted", "refused"], move |f| {
                f.answers.insert(command.into(), "no FTP at all".into());
            }),
        ];
        if !["GREETING"].contains(&command) {
            cells.push(cell("clear text", 1, &["interrupted"], move |f| {
                f.clear_text_at = Some(command.into());
            }));
        }
        steps.push(Step { name: command.to_owned(), cells });
    }
    steps.push(Step {
        name: "connecting".into(),
        cells: vec![
            cell("nobody listens", 0, &["printer_offline"], |f| f.refuse_connections = true),
            cell("held", 2, &["interrupted", "stalled"], |f| f.tcp = Tcp::Hold),
            cell("closed at once", 2, &["interrupted"], |f| f.tcp = Tcp::Close),
            cell("plain text", 0, &["interrupted"], |f| f.tcp = Tcp::PlainText),
        ],
    });
    steps.push(Step {
        name: "before the data".into(),
        cells: vec![
            cell("no login", 0, &["auth"], |f| f.refuses_login = true),
            cell("no card", 0, &["not_on_storage", "not_found"], |f| f.no_storage = true),
            cell("sessions are forgotten", 2, &["refused"], |f| f.session_reuse = Some(Reuse::Impossible)),
            cell("clear text in truth", 1, &[], |f| f.protection = Protection::ClearInTruth),
        ],
    });
    steps.push(Step {
        name: "the beginning of the data".into(),
        cells: vec![
            mishap("450", 2, &["refused"], Mishap::Refused(450)),
            mishap("550", 0, &["refused"], Mishap::Refused(550)),
            mishap("425", 2, &["refused"], Mishap::Refused(425)),
            cell("no SIZE", 2, &[], |f| f.no_size = true),
        ],
    });
    steps.push(Step {
        name: "the middle of the data".into(),
        cells: vec![
            mishap("truncated", 2, &["size_mismatch"], Mishap::Truncated),
            mishap("426", 1, &["interrupted"], Mishap::Cut),
            mishap("reset", 2, &["interrupted"], Mishap::Reset),
            mishap("the power went", 0, &["interrupted"], Mishap::Lost),
        ],
    });
    steps.push(Step {
        name: "the middle of the data, II".into(),
        cells: vec![
            mishap("stalled", 2, &["stalled"], Mishap::Stalled),
            mishap("a pause", 1, &[], Mishap::PausedMs(300)),
            mishap("one bit", 2, &[], Mishap::Flipped),
            cell("no REST", 0, &[], |f| f.no_rest = true),
        ],
    });
    steps.push(Step {
        name: "the end of the data".into(),
        cells: vec![
            cell("no goodbye", 0, &[], |f| f.goodbye = Goodbye::NoCloseNotify),
            cell("no end", 1, &[], |f| f.goodbye = Goodbye::StaysOpen),
            cell("no 226", 1, &[], |f| f.ending = Ending::Missing),
            cell("426 after all", 0, &[], |f| f.ending = Ending::Code(426)),
        ],
    });
    steps.push(Step {
        name: "sizes".into(),
        cells: vec![
            cell("too large", 2, &["size_mismatch"], |f| f.size_lie = 10),
            cell("too small", 0, &["size_mismatch"], |f| f.size_lie = -10),
            cell("226 late", 2, &[], |f| f.ending = Ending::LateMs(300)),
        ],
    });
    let after = |cell: Cell| Cell { after: true, ..cell };
    steps.push(Step {
        name: "until after the print".into(),
        cells: vec![
            after(cell("locked", 2, &["refused"], |f| f.hiding = Hiding::LockedWhilePrinting)),
            after(cell("hidden", 0, &["not_found", "not_on_storage"], |f| {
                f.hiding = Hiding::HiddenWhilePrinting
            })),
            after(cell("nobody listens", 1, &["printer_offline"], |f| f.refuse_connections = true)),
        ],
    });
    steps.push(Step {
        name: "Prusa: before the data".into(),
        cells: vec![
            page(Fault::Status(500), &["refused"]),
            // What the printer says of a file that it prints; of another one it would be `not_found`.
            page(Fault::Status(404), &["refused"]),
            page(Fault::Drop, &["interrupted"]),
            page(Fault::HangInHead, &["stalled"]),
        ],
    });
    steps.push(Step {
        name: "Prusa: the middle of the data".into(),
        cells: vec![
            page(Fault::Cut(MIDDLE), &["interrupted"]),
            page(Fault::Reset(MIDDLE), &["interrupted"]),
            page(Fault::HangInBody(MIDDLE), &["stalled"]),
            page(Fault::Slow(40_000), &[]),
        ],
    });
    steps.push(Step {
        name: "Prusa: lengths".into(),
        cells: vec![
            page(Fault::Length(5), &["interrupted", "size_mismatch"]),
            page(Fault::Length(-5), &["size_mismatch", "interrupted"]),
            page(Fault::Truncated(5), &["interrupted", "size_mismatch"]),
        ],
    });
    steps
}

impl Step {
    /// Runs it; answers what was not as it has to be.
    pub fn run(&self) -> Vec<String> {
        let bench = Bench::new();
        let subjects: Vec<(&Cell, Watched)> = self
            .cells
            .iter()
            .enumerate()
            .map(|(number, cell)| {
                // Multiples of three keep the model.
                let machine = Machine::new(cell.family, cell.model + 3 * number);
                (cell, bench.add(machine, true))
            })
            .collect();
        let everybody: Vec<&Watched> = subjects.iter().map(|(_, subject)| subject).collect();
        let from = bench.here();
        for (cell, subject) in &subjects {
            (cell.strike)(&subject.machine);
            subject.machine.start_sized("Teil", FILE_BYTES);
            subject.machine.advance(200.0);
        }
        bench.witnesses_start();
        let failed = |subject: &Watched| -> Vec<String> {
            let events = bench.events(subject, from);
            let failed = events.iter().filter(|event| event["event"] == "file_download_failed");
            failed.map(|event| event["data"]["kind"].as_str().unwrap().to_owned()).collect()
        };
        let named = |subject: &Watched, name: &str| -> Vec<Value> {
            bench.events(subject, from).into_iter().filter(|event| event["event"] == name).collect()
        };
        let has_failed = |(cell, subject): &(&Cell, &Watched)| {
            let until = if cell.after { "auto_download_failed" } else { "file_download_failed" };
            cell.kinds.is_empty() || !named(subject, until).is_empty()
        };
        let patiently = |what: &str, done: &dyn Fn() -> bool| {
            let deadline = Deadline::new();
            while !done() && !deadline.left().is_zero() {
                bench.tick(&everybody, &[]);
            }
            if !done() {
                bench.problem(format!("waited in vain: {what}"));
            }
        };
        // A fault ends as soon as it is told: rounds go by on a clock that runs on while another server hangs in real time.
        let healed = RefCell::new(vec![false; subjects.len()]);
        let all_told = || {
            for ((cell, subject), healed) in subjects.iter().zip(healed.borrow_mut().iter_mut()) {
                if *healed || !has_failed(&(cell, subject)) {
                    continue;
                }
                *healed = true;
                if cell.after {
                    subject.machine.finish();
                }
                if !cell.kinds.is_empty() {
                    subject.machine.heal();
                }
            }
            healed.borrow().iter().all(|healed| *healed)
        };
        patiently("the faults are told", &all_told);
        patiently("the witness's file", &|| bench.witnesses_have_files(from));
        bench.witnesses_finish();
        let complete = |subject: &Watched| !named(subject, "file_download_complete").is_empty();
        patiently("the files come after all", &|| everybody.iter().all(|subject| complete(subject)));
        for (cell, subject) in &subjects {
            if !cell.after {
                subject.machine.finish();
            }
        }
        let over = |subject: &Watched| !named(subject, "job_completed").is_empty();
        patiently("the prints end", &|| everybody.iter().all(|subject| over(subject)));
        for (cell, subject) in &subjects {
            let kinds = failed(subject);
            let right = kinds.is_empty() == cell.kinds.is_empty()
                && kinds.iter().all(|kind| cell.kinds.contains(&kind.as_str()));
            if !right {
                let words: Vec<Value> = named(subject, "file_download_failed")
                    .iter()
                    .map(|event| event["data"]["error"].clone())
                    .collect();
                bench.problem(format!("{}: the rounds failed with {kinds:?}: {words:?}", cell.name));
            }
            self.is_right(&bench, cell, subject, from);
        }
        bench.witnesses_are_undisturbed(from);
        bench.end()
    }

    /// The bytes on the card are the printer's, and the connection to the printer never felt anything.
    fn is_right(&self, bench: &Bench, cell: &Cell, subject: &Watched, from: usize) {
        let events = bench.events(subject, from);
        if events.iter().any(|event| event["event"] == "printer_disconnected") {
            bench.problem(format!("{}: the connection was lost", cell.name));
        }
        let complete = events.iter().rfind(|event| event["event"] == "file_download_complete");
        let Some(complete) = complete else { return };
        let path = complete["data"]["file_path"].as_str().unwrap();
        let kept = std::fs::read(bench.service.directory().join(path)).unwrap_or_default();
        let is_there = match &subject.machine {
            Machine::Bambu(printer) => {
                let paths = printer.files().paths();
                let files = paths.iter().filter_map(|path| printer.files().get(path));
                files.into_iter().any(|file| *file.bytes() == *kept)
            }
            Machine::Prusa(printer) => printer.content("Teil.gcode").is_some_and(|bytes| *bytes == *kept),
        };
        if !is_there {
            bench.problem(format!("{}: other bytes than the printer's: {complete}", cell.name));
        }
    }
}
