//! What a round does next, for both kinds of wishes: a print's file (the search of `printers::bambu::files`) and a file by
//! its path. **Pure**: told what happened, answers with one step; no connection, no clock.

use std::time::Duration;

use crate::base::clock::Mono;
use crate::model::{Fetch, FetchKind, Origin, PrinterType, Start, Wanted};
use crate::net::ftps::{EntryKind, Listing};
use crate::printers::bambu::files::{
    self, Action, Family, Fit, Found, Input, PrintType, ROUNDS_S, Reason, Search, Trouble, Url,
};

/// Folders in which a name without a path is looked for: where prints lie, whatever model and way.
const FOLDERS: [&str; 4] = ["/", "/cache", "/model", "/models"];
/// How long after the end of a print a busy printer is asked again: it has to close its files.
const AFTER_PRINT: Duration = Duration::from_secs(5);

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for the size of the file at this path.
    Probe(Vec<u8>),
    /// List this folder.
    List(Vec<u8>),
    /// Fetch this file.
    Take(Found),
    /// The round is over; the next one begins then.
    Wait(Mono),
    /// The round is over; the next one begins when the print is over.
    WaitForEnd,
    /// There is nothing more to do.
    GiveUp,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happened<'a> {
    /// Time has passed.
    Tick,
    /// [`Step::Probe`]: the size, or that there is no such file.
    Size(Option<u64>),
    /// [`Step::Probe`]: the printer does not know the command.
    NoSizes,
    /// [`Step::List`]: what is there, or that there is no such folder.
    Listed(Option<&'a Listing>),
    /// Any of them could not be done; nor can the rest of the round.
    Trouble {
        /// Words.
        words: &'a str,
        /// Whether it stays until the user does something.
        lasting: bool,
    },
    /// [`Step::Take`]: it is not the wanted file.
    Rejected,
    /// The print is over.
    Ended,
}

/// A plan.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// For a print.
    Search(Box<Search>),
    /// For a path.
    Path(PathPlan),
}

impl Plan {
    /// The plan for a request, whose first round may begin now.
    pub(super) fn new(fetch: &Fetch, printer: PrinterType, family: Family, now: Mono) -> Plan {
        match (&fetch.wanted, printer) {
            (Wanted::Print { start, .. }, PrinterType::BambuLab) => {
                Plan::Search(Box::new(Search::new(print_of(start, family), now)))
            }
            (Wanted::Print { start, .. }, PrinterType::PrusaLink) => {
                Plan::Path(PathPlan::of_print(reference(start), now))
            }
            (Wanted::Path(path), _) => Plan::Path(PathPlan::new(path, now)),
        }
    }

    /// Takes in what happened and answers what to do next.
    pub(super) fn step(&mut self, happened: Happened<'_>, now: Mono) -> Step {
        let search = match self {
            Plan::Search(search) => search,
            Plan::Path(plan) => return plan.step(happened, now),
        };
        let trouble;
        let input = match happened {
            Happened::Tick => Input::Tick,
            Happened::Size(size) => Input::Size(size),
            Happened::NoSizes => Input::NoSizes,
            Happened::Listed(listing) => Input::Listed(listing),
            Happened::Rejected => Input::Rejected,
            Happened::Ended => Input::Ended,
            Happened::Trouble { words, lasting: true } => {
                trouble = Trouble::Lasting(words.to_owned());
                Input::Trouble(&trouble)
            }
            Happened::Trouble { words, lasting: false } => {
                trouble = Trouble::Passing(words.to_owned());
                Input::Trouble(&trouble)
            }
        };
        match search.step(input, now) {
            Action::Probe(path) => Step::Probe(path.into_bytes()),
            Action::List(folder) => Step::List(folder.as_bytes().to_vec()),
            Action::Take(found) => Step::Take(found),
            Action::Wait(until) => Step::Wait(until),
            Action::WaitForEnd(_) => Step::WaitForEnd,
            Action::GiveUp(_) => Step::GiveUp,
        }
    }

    /// Later reports tell more about the print.
    pub(super) fn learn(&mut self, start: &Start, family: Family, now: Mono) {
        match self {
            Plan::Search(search) => search.learn(print_of(start, family), now),
            Plan::Path(plan) => plan.learn(reference(start)),
        }
    }

    /// Somebody waits: the next round comes at once.
    pub(super) fn hurry(&mut self, now: Mono) {
        match self {
            Plan::Search(search) => search.hurry(now),
            Plan::Path(plan) => plan.hurry(now),
        }
    }

    /// Whether the printer is at a print: a file that it refuses now may be had after it.
    pub(super) fn set_busy(&mut self, busy: bool) {
        if let Plan::Path(plan) = self {
            plan.busy = busy;
        }
    }

    /// Why the last round brought nothing: kind, words, and the names that were asked for so far.
    pub(super) fn failure(&self) -> (FetchKind, String, Vec<String>) {
        match self {
            Plan::Search(search) => {
                let failure = search.last_failure();
                (kind_of(&failure.reason), failure.reason.to_string(), failure.tried)
            }
            Plan::Path(plan) => {
                let words = plan.trouble.clone();
                let tried = plan.paths.iter().map(|path| String::from_utf8_lossy(path).into_owned());
                let words = words.unwrap_or_else(|| "there is no such file on the printer".to_owned());
                (FetchKind::NotFound, words, tried.collect())
            }
        }
    }
}

/// Where a Prusa printer says that the file of its print is.
fn reference(start: &Start) -> Option<Vec<u8>> {
    start.file.as_ref().map(|path| path.as_bytes().to_vec())
}

/// The kind of a search's end. [`Reason::Unasked`] has one of its own, which the worker knows better.
fn kind_of(reason: &Reason) -> FetchKind {
    match reason {
        Reason::NotOnStorage(_) => FetchKind::NotOnStorage,
        Reason::Unasked(_) => FetchKind::Interrupted,
        Reason::NoName => FetchKind::BadName,
        Reason::Calibration | Reason::NotFound | Reason::Ambiguous(_) => FetchKind::NotFound,
    }
}

/// A print as the search knows it.
pub(super) fn print_of(start: &Start, family: Family) -> files::Print {
    let (url, print_type) = match &start.origin {
        Origin::Unknown => (Url::None, PrintType::Unknown),
        Origin::Sent(path) => (Url::Ftp(path.clone()), PrintType::Unknown),
        Origin::OnCard(path) => (Url::File(path.clone()), PrintType::Unknown),
        Origin::Cloud => (Url::Cloud, PrintType::Cloud),
        Origin::Internal(name) => (Url::Internal(name.clone()), PrintType::Unknown),
        Origin::System => (Url::None, PrintType::System),
        Origin::Local => (Url::None, PrintType::Local),
    };
    files::Print {
        title: start.title.clone(),
        gcode_file: start.file.clone(),
        plate: start.plate,
        family,
        url,
        print_type,
    }
}

/// The plan for a file by its path: the rounds of a search, and nothing else is ever taken.
#[derive(Clone, Debug)]
pub(super) struct PathPlan {
    /// Where it may be; one path, or a name in each folder.
    paths: Vec<Vec<u8>>,
    started: Mono,
    round: usize,
    phase: Phase,
    /// A print's: the printer has it, so what is not there now will be; a file that is still being sent is not shown.
    is_print: bool,
    busy: bool,
    ended: bool,
    trouble: Option<String>,
}

#[derive(Clone, Debug)]
enum Phase {
    Waiting(Mono),
    Probing(usize),
    /// The printer tells no sizes: the folder of this path is listed.
    Listing(usize),
    Offering(usize, u64),
    WaitingForEnd,
    Over,
}

impl PathPlan {
    fn new(path: &[u8], now: Mono) -> PathPlan {
        let paths = if path.starts_with(b"/") {
            vec![path.to_vec()]
        } else {
            FOLDERS.map(|folder| [folder.trim_end_matches('/').as_bytes(), b"/", path].concat()).to_vec()
        };
        PathPlan::at(paths, false, now)
    }

    /// For the file of a print, at the place that the printer names.
    fn of_print(path: Option<Vec<u8>>, now: Mono) -> PathPlan {
        PathPlan::at(path.into_iter().collect(), true, now)
    }

    fn at(paths: Vec<Vec<u8>>, is_print: bool, now: Mono) -> PathPlan {
        let (busy, ended, trouble) = (is_print, false, None);
        PathPlan { paths, started: now, round: 0, phase: Phase::Waiting(now), is_print, busy, ended, trouble }
    }

    /// A print's file is said to be somewhere else.
    fn learn(&mut self, path: Option<Vec<u8>>) {
        if let (true, Phase::Waiting(_) | Phase::WaitingForEnd, Some(path)) =
            (self.is_print, &self.phase, path)
        {
            self.paths = vec![path];
        }
    }

    fn hurry(&mut self, now: Mono) {
        if let Phase::Waiting(_) | Phase::WaitingForEnd = self.phase {
            self.phase = Phase::Waiting(now);
        }
    }

    fn step(&mut self, happened: Happened<'_>, now: Mono) -> Step {
        match (&self.phase, happened) {
            (_, Happened::Tick) => {}
            (Phase::Probing(at), Happened::Size(Some(size))) => self.phase = Phase::Offering(*at, size),
            (Phase::Probing(at), Happened::Size(None)) => self.next(*at, now),
            (Phase::Probing(at), Happened::NoSizes) => self.phase = Phase::Listing(*at),
            (Phase::Listing(at), Happened::Listed(listing)) => {
                let at = *at;
                match listing.and_then(|listing| self.size_in(listing, at)) {
                    Some(size) => self.phase = Phase::Offering(at, size),
                    None => self.next(at, now),
                }
            }
            (
                Phase::Probing(_) | Phase::Listing(_) | Phase::Offering(..),
                Happened::Trouble { words, lasting },
            ) => {
                self.trouble = Some(words.to_owned());
                if lasting { self.phase = Phase::Over } else { self.failed(now) }
            }
            (Phase::Offering(at, _), Happened::Rejected) => self.next(*at, now),
            (Phase::WaitingForEnd, Happened::Ended) => {
                self.ended = true;
                self.phase = Phase::Waiting(now.after(AFTER_PRINT));
            }
            (_, Happened::Ended) => self.ended = true,
            // An answer to something that was not asked.
            (
                _,
                Happened::Size(_)
                | Happened::NoSizes
                | Happened::Listed(_)
                | Happened::Trouble { .. }
                | Happened::Rejected,
            ) => {}
        }
        if matches!(self.phase, Phase::Waiting(due) if due <= now) {
            self.trouble = None;
            if self.paths.is_empty() { self.failed(now) } else { self.phase = Phase::Probing(0) }
        }
        self.action()
    }

    fn action(&self) -> Step {
        let path = |at: &usize| self.paths.get(*at).cloned();
        match &self.phase {
            Phase::Waiting(due) => Step::Wait(*due),
            Phase::Probing(at) => path(at).map_or(Step::GiveUp, Step::Probe),
            Phase::Listing(at) => path(at).map_or(Step::GiveUp, |path| Step::List(folder_of(&path))),
            Phase::Offering(at, size) => path(at).map_or(Step::GiveUp, |path| {
                Step::Take(Found { path, size: *size, plate: None, fit: Fit::Exact })
            }),
            Phase::WaitingForEnd => Step::WaitForEnd,
            Phase::Over => Step::GiveUp,
        }
    }

    /// The next place, or the end: what is nowhere will not come by waiting, unless it is being printed.
    fn next(&mut self, at: usize, now: Mono) {
        if at.saturating_add(1) < self.paths.len() {
            self.phase = Phase::Probing(at.saturating_add(1));
        } else if self.is_print {
            self.failed(now);
        } else {
            self.phase = Phase::Over;
        }
    }

    fn failed(&mut self, now: Mono) {
        self.round = self.round.saturating_add(1);
        self.phase = match ROUNDS_S.get(self.round) {
            Some(after) => {
                let due = self.started.after(Duration::from_secs(*after));
                Phase::Waiting(due.max(now.after(Duration::from_secs(5))))
            }
            None if self.busy && !self.ended => Phase::WaitingForEnd,
            None => Phase::Over,
        };
    }

    fn size_in(&self, listing: &Listing, at: usize) -> Option<u64> {
        let path = self.paths.get(at)?;
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        let entry = listing
            .entries
            .iter()
            .find(|entry| entry.kind == EntryKind::File && entry.name.bytes() == name)?;
        Some(entry.size)
    }
}

fn folder_of(path: &[u8]) -> Vec<u8> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) | None => b"/".to_vec(),
        Some(at) => path.get(..at).unwrap_or(b"/").to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSING: Happened<'static> = Happened::Trouble { words: "busy", lasting: false };

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1000)
    }

    #[test]
    fn a_path_is_asked_for_and_nothing_else() {
        let mut plan = PathPlan::new(b"/a/\xff.3mf", at(0));
        assert_eq!(plan.step(Happened::Tick, at(0)), Step::Probe(b"/a/\xff.3mf".to_vec()));
        assert!(matches!(plan.step(Happened::Size(Some(7)), at(0)), Step::Take(Found { size: 7, .. })));
        let mut plan = PathPlan::new(b"/a.3mf", at(0));
        plan.step(Happened::Tick, at(0));
        assert_eq!(plan.step(Happened::Size(None), at(0)), Step::GiveUp);
        assert_eq!(plan.step(Happened::Ended, at(9)), Step::GiveUp);
    }

    #[test]
    fn a_name_is_looked_for_in_every_folder() {
        let mut plan = PathPlan::new("ü.3mf".as_bytes(), at(0));
        let mut step = plan.step(Happened::Tick, at(0));
        for folder in ["", "/cache", "/model", "/models"] {
            assert_eq!(step, Step::Probe(format!("{folder}/ü.3mf").into_bytes()));
            step = plan.step(Happened::Size(None), at(0));
        }
        assert_eq!(step, Step::GiveUp);
    }

    #[test]
    fn trouble_brings_rounds_and_a_busy_printer_one_after_the_print() {
        for busy in [false, true] {
            let mut plan = PathPlan::new(b"/a.3mf", at(0));
            plan.busy = busy;
            for due in [10, 30, 90, 300] {
                assert!(matches!(plan.step(Happened::Tick, at(due)), Step::Probe(_)), "{due}");
                let wait = plan.step(PASSING, at(due - 9));
                assert_eq!(wait, Step::Wait(at(due)));
                assert_eq!(plan.step(Happened::Tick, at(due - 1)), wait);
            }
            plan.step(Happened::Tick, at(300));
            if busy {
                assert_eq!(plan.step(PASSING, at(301)), Step::WaitForEnd);
                assert_eq!(plan.step(Happened::Ended, at(400)), Step::Wait(at(405)));
                assert!(matches!(plan.step(Happened::Tick, at(405)), Step::Probe(_)));
            }
            assert_eq!(plan.step(PASSING, at(406)), Step::GiveUp);
        }
        let mut plan = PathPlan::new(b"/a.3mf", at(0));
        plan.step(Happened::Tick, at(0));
        assert_eq!(plan.step(Happened::Trouble { words: "key", lasting: true }, at(1)), Step::GiveUp);
    }

    #[test]
    fn the_file_of_a_print_is_waited_for() {
        let mut plan = PathPlan::of_print(Some(b"/usb/A~1.BGC".to_vec()), at(0));
        plan.step(Happened::Tick, at(0));
        assert_eq!(plan.step(Happened::Size(None), at(0)), Step::Wait(at(10)));
        plan.learn(Some(b"/usb/B~1.BGC".to_vec()));
        assert_eq!(plan.step(Happened::Tick, at(10)), Step::Probe(b"/usb/B~1.BGC".to_vec()));
        // Without a place the rounds pass, and the last one comes after the print.
        let mut plan = PathPlan::of_print(None, at(0));
        for due in [0, 10, 30, 90] {
            assert!(matches!(plan.step(Happened::Tick, at(due)), Step::Wait(_)), "{due}");
        }
        assert_eq!(plan.step(Happened::Tick, at(300)), Step::WaitForEnd);
        plan.step(Happened::Ended, at(400));
        assert_eq!(plan.step(Happened::Tick, at(405)), Step::GiveUp);
    }

    #[test]
    fn where_sizes_are_not_told_the_folder_is_listed() {
        let mut plan = PathPlan::new(b"/cache/a.3mf", at(0));
        plan.step(Happened::Tick, at(0));
        assert_eq!(plan.step(Happened::NoSizes, at(0)), Step::List(b"/cache".to_vec()));
        assert_eq!(plan.step(Happened::Listed(None), at(0)), Step::GiveUp);
        assert_eq!(folder_of(b"/a"), b"/");
    }
}
