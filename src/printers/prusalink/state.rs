//! From answers to what is shown: status, and which print is which. Pure.
//!
//! A print has a number (`job.id`), but numbers may begin anew after a restart of the printer, and the printer forgets a
//! print the moment it ends. So the print that was on is remembered here, with a key of its own: number and *boot* (the
//! half of a nonce that changes when the printer restarts). The same number in the same boot is the same print. Where
//! the boot is another one or unknown, it is the same print if its file is and it has not gone back: printers go on with a
//! print after a power cut. The key stays the one of the print's beginning, whatever the boot becomes.

use super::parse::{File, Job, State, Status};
use crate::model::fetch::{Origin, Start};
use crate::model::status::{
    Nozzle, Observation, Print, PrintKind, PrinterError, PrinterStatus, Temperatures,
};

/// The job's own page is asked for at every poll until it names the file, but only this often without a pause: a print over
/// the serial line has no file.
const TRIES_AT_ONCE: u32 = 5;
/// Then only every so many polls.
const TRY_EVERY: u32 = 8;

/// The half of a nonce that changes with a restart of the printer.
pub type Boot = u32;

/// The print that is on, or was last.
#[derive(Clone, Debug, Default)]
struct Known {
    id: Option<u64>,
    boot: Option<Boot>,
    key: Option<String>,
    name: Option<String>,
    file: Option<String>,
    printing_s: Option<u32>,
    progress: Option<u8>,
    /// Its end was seen.
    over: bool,
    /// The number is the same, but it has to be compared by its file.
    doubtful: bool,
    /// Polls that found it without a name.
    tries: u32,
}

/// What is known of one printer.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    latest: Status,
    boot: Option<Boot>,
    known: Option<Known>,
    shown: PrinterStatus,
    /// Answers follow each other without an interruption.
    steady: bool,
    /// The printer took our order to stop this print.
    stopped_by_us: bool,
}

impl Machine {
    /// A machine that goes on from what the store remembers.
    pub fn new(print: &Print, status: PrinterStatus, progress: Option<u8>) -> Machine {
        let Some(key) = print.key.clone() else {
            return Machine { shown: status, ..Machine::default() };
        };
        let (id, boot) = read_key(&key);
        let known = Known {
            id,
            boot,
            key: Some(key),
            name: print.name.clone(),
            file: print.file.clone(),
            progress,
            over: !status.is_active(),
            ..Known::default()
        };
        Machine { known: Some(known), shown: status, ..Machine::default() }
    }

    /// Answers failed to come: what follows may be another boot.
    pub fn interrupted(&mut self) {
        self.steady = false;
    }

    /// Takes a status in. Answers whether the job's own page is wanted before anything is shown.
    pub fn status(&mut self, status: Status, boot: Option<Boot>) -> bool {
        self.latest = status;
        self.boot = boot;
        let steady = std::mem::replace(&mut self.steady, true);
        let job = self.latest.job;
        let on = match self.latest.state {
            Some(State::Printing | State::Paused) => true,
            Some(State::Attention | State::Busy | State::Error) => job.is_some(),
            Some(State::Idle | State::Ready | State::Finished | State::Stopped | State::Unknown) | None => {
                false
            }
        };
        if on {
            self.follow(steady);
        }
        self.shown = self.judge();
        if on {
            self.wants_job()
        } else {
            use PrinterStatus as S;
            if matches!(self.shown, S::Idle | S::Finished | S::Failed | S::Cancelled)
                && let Some(known) = &mut self.known
            {
                known.over = true;
            }
            false
        }
    }

    /// Takes the job's own page in; `None` when there is none, or it could not be had.
    pub fn job(&mut self, job: Option<Job>) {
        let boot = self.boot;
        let Some(known) = &mut self.known else { return };
        let Some(job) = job.filter(|job| known.id.is_none() || job.id == known.id) else { return };
        let (name, file) = job.file.as_ref().map_or((None, None), label);
        let differs =
            |old: &Option<String>, new: &Option<String>| old.is_some() && new.is_some() && old != new;
        if known.doubtful && (differs(&known.file, &file) || differs(&known.name, &name)) {
            *known = another(Some(known), job.id, boot);
        }
        known.doubtful = false;
        known.boot = boot.or(known.boot);
        if known.id.is_none() && job.id.is_some() {
            known.id = job.id;
            known.key = job.id.map(|id| write_key(id, boot));
        }
        known.name = name.or(known.name.take());
        known.file = file.or(known.file.take());
    }

    /// The printer took our order to stop the print that is on.
    pub fn stopped_by_us(&mut self) {
        self.stopped_by_us = true;
    }

    /// The number of the print that is on.
    pub fn job_id(&self) -> Option<u64> {
        self.known.as_ref().filter(|known| !known.over)?.id
    }

    /// What is shown.
    pub fn observe(&self) -> Observation {
        let latest = &self.latest;
        let status = self.shown;
        let line = latest.job.unwrap_or_default();
        let active = status.is_active();
        let progress = match status {
            PrinterStatus::Finished => Some(100),
            PrinterStatus::Cancelled | PrinterStatus::Failed => {
                self.known.as_ref().and_then(|known| known.progress)
            }
            _ if active => line.progress,
            _ => None,
        };
        let temperature = Temperatures {
            nozzle: latest.nozzle,
            nozzle_target: latest.nozzle_target,
            bed: latest.bed,
            bed_target: latest.bed_target,
            chamber: None,
        };
        let nozzle = Nozzle { id: 0, current: latest.nozzle, target: latest.nozzle_target, active: true };
        Observation {
            status,
            stage: (latest.state == Some(State::Busy)).then_some("busy"),
            running: status == PrinterStatus::Printing,
            cancelled: status == PrinterStatus::Cancelled
                || status == PrinterStatus::Idle && self.stopped_by_us,
            start: self.start(),
            print: self.print(),
            temperature,
            nozzles: if latest.nozzle.is_some() { vec![nozzle] } else { Vec::new() },
            progress,
            remaining_s: line.remaining_s.filter(|_| active),
            layer: None,
            layers: None,
            filaments: Vec::new(),
            mapping: Vec::new(),
            errors: self.errors(),
        }
    }

    /// The status line is of a print: decides which one.
    fn follow(&mut self, steady: bool) {
        let line = self.latest.job.unwrap_or_default();
        let boot = self.boot;
        let fresh = match &mut self.known {
            None => true,
            Some(known) => match (line.id, known.id) {
                (Some(new), Some(old)) if new != old => true,
                (Some(_), Some(_)) => {
                    let same_boot = known.boot.is_some() && known.boot == boot;
                    let went_back = went_back(known, line.printing_s, line.progress);
                    let unknown_boot = known.boot.is_none() || boot.is_none();
                    known.doubtful |= !(same_boot || steady && unknown_boot);
                    !same_boot && went_back
                }
                (None, _) => known.over,
                (Some(_), None) => known.over,
            },
        };
        if fresh {
            self.known = Some(another(self.known.as_ref(), line.id, boot));
            self.stopped_by_us = false;
        }
        if let Some(known) = &mut self.known {
            if let (None, Some(id)) = (known.id, line.id) {
                known.id = Some(id);
                known.key = Some(write_key(id, boot));
            }
            if known.over {
                // The same print again after its end: an end that was none.
                known.over = false;
                self.stopped_by_us = false;
            }
            known.printing_s = line.printing_s.or(known.printing_s);
            known.progress = line.progress.or(known.progress);
            if !known.doubtful {
                known.boot = boot.or(known.boot);
            }
        }
    }

    fn wants_job(&mut self) -> bool {
        let Some(known) = &mut self.known else { return false };
        if known.doubtful || known.name.is_some() {
            return known.doubtful;
        }
        let due = known.tries < TRIES_AT_ONCE || known.tries.is_multiple_of(TRY_EVERY);
        known.tries = known.tries.saturating_add(1);
        due
    }

    fn judge(&self) -> PrinterStatus {
        use PrinterStatus as S;
        let print_on = self.known.as_ref().is_some_and(|known| !known.over);
        match self.latest.state {
            None | Some(State::Unknown) => S::Unknown,
            Some(State::Idle | State::Ready) => S::Idle,
            Some(State::Printing) => S::Printing,
            Some(State::Paused) => S::Paused,
            Some(State::Finished) => S::Finished,
            Some(State::Stopped) => S::Cancelled,
            // Crash recovery and power panic belong to the print that they interrupt.
            Some(State::Busy) if print_on => match self.shown {
                S::Printing | S::Paused | S::Attention => self.shown,
                _ => S::Preparing,
            },
            Some(State::Busy) => S::Idle,
            Some(State::Attention) => S::Attention,
            Some(State::Error) if print_on || self.shown == S::Failed => S::Failed,
            Some(State::Error) => S::Attention,
        }
    }

    fn print(&self) -> Print {
        use PrinterStatus as S;
        let kind = |kind| Print { kind: Some(kind), ..Print::default() };
        match (self.shown, &self.known) {
            (
                S::Preparing | S::Printing | S::Paused | S::Finished | S::Failed | S::Cancelled,
                Some(known),
            ) => known.print(),
            (S::Attention, Some(known)) if !known.over => known.print(),
            // A dialog while nothing is printed: no job.
            (S::Attention, _) => kind(PrintKind::System),
            (S::Preparing | S::Printing | S::Paused, None) => kind(PrintKind::User),
            _ => Print::default(),
        }
    }

    fn start(&self) -> Start {
        let print = self.print();
        Start { title: print.name, file: print.file, plate: None, origin: Origin::Local }
    }

    fn errors(&self) -> Vec<PrinterError> {
        if self.latest.state != Some(State::Error) && self.latest.trouble.is_none() {
            return Vec::new();
        }
        let message = self.latest.trouble.clone();
        let message =
            message.unwrap_or_else(|| "the printer reports an error; look at its screen".to_owned());
        vec![PrinterError { code: "ERROR".into(), kind: "serious".into(), message }]
    }
}

impl Known {
    fn print(&self) -> Print {
        Print {
            key: self.key.clone(),
            mark: None,
            name: self.name.clone(),
            file: self.file.clone(),
            plate: None,
            kind: Some(PrintKind::User),
        }
    }
}

/// A print that is not the one before.
fn another(before: Option<&Known>, id: Option<u64>, boot: Option<Boot>) -> Known {
    let mut key = id.map(|id| write_key(id, boot));
    if key.is_some() && before.is_some_and(|before| before.key == key) {
        // The same number again, and nothing to tell the boots apart.
        key = key.map(|key| format!("{key}'"));
    }
    Known { id, boot, key, ..Known::default() }
}

/// Whether the print now shown has come less far than the one before had: then it is another run.
fn went_back(known: &Known, printing_s: Option<u32>, progress: Option<u8>) -> bool {
    match (known.printing_s, printing_s) {
        (Some(old), Some(new)) => new < old,
        _ => matches!((known.progress, progress), (Some(old), Some(new)) if new < old),
    }
}

fn write_key(id: u64, boot: Option<Boot>) -> String {
    match boot {
        Some(boot) => format!("job:{id}@{boot:08x}"),
        None => format!("job:{id}@"),
    }
}

fn read_key(key: &str) -> (Option<u64>, Option<Boot>) {
    let rest = key.strip_prefix("job:").and_then(|rest| rest.split_once('@'));
    let Some((id, boot)) = rest else { return (None, None) };
    (id.parse().ok(), Boot::from_str_radix(boot.trim_end_matches('\''), 16).ok())
}

/// The name for people, and the path as the printer names it.
fn label(file: &File) -> (Option<String>, Option<String>) {
    let name = file.display_name.clone().or_else(|| file.name.clone());
    (name, path_of(file))
}

/// The path as the printer names it.
pub fn path_of(file: &File) -> Option<String> {
    match (&file.path, &file.name) {
        (Some(path), Some(name)) if path.rsplit('/').next() != Some(name) => {
            Some(format!("{}/{name}", path.trim_end_matches('/')))
        }
        (Some(path), _) => Some(path.clone()),
        (None, name) => name.clone(),
    }
}

#[cfg(test)]
mod tests;
