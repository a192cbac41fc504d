//! The search: what is done next.

use std::fmt;
use std::time::Duration;

use super::names::{Fit, Match, Sought, join};
use super::print::{Family, Print};
use crate::base::clock::Mono;
use crate::net::ftps::{Entry, EntryKind, Listing};

/// When rounds begin, in seconds after the print was noticed. A file may be written while the print begins, so the first
/// rounds are close together; after five minutes it is there or will not come before the end.
pub const ROUNDS_S: [u64; 5] = [0, 10, 30, 90, 300];

/// Which of these look into the folders as well. Listings are slow and change little, so not all do.
const LISTING_ROUNDS: [usize; 3] = [0, 2, 4];

/// From this round on, names that contradict the plate are asked for, too.
const LATE_ROUND: usize = 3;

/// How long after the end of the print the last round begins: the printer has to close its files.
const AFTER_PRINT: Duration = Duration::from_secs(5);

/// The shortest time between two rounds.
const GAP_MIN: Duration = Duration::from_secs(5);

/// Listed files that are kept as possible ones. More than a few mean that the name says nothing.
const MATCHES_MAX: usize = 32;

/// Files that were rejected, by path and size.
const REJECTED_MAX: usize = 16;

/// Names that a failure lists.
const TRIED_MAX: usize = 20;

/// How often news about the print bring the next round forward. Title, file, plate and url make four.
const NEWS_MAX: usize = 8;

/// How long after news the round begins: what belongs together comes within a second.
const AFTER_NEWS: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Time has passed. It is harmless at any time, and answered with what there is to do.
    Tick,
    /// [`Action::Probe`]: the file's size, or [`None`] because there is no such file.
    Size(Option<u64>),
    /// [`Action::Probe`]: the printer does not know the command.
    NoSizes,
    /// [`Action::List`]: what the folder holds, or [`None`] because there is no such folder.
    Listed(Option<&'a Listing>),
    /// [`Action::Probe`] or [`Action::List`]: it could not be done, nor can the rest of this round.
    Trouble(&'a Trouble),
    /// [`Action::Take`]: that file is not the one. It has another plate, or is not what it seemed.
    Rejected,
    /// The print is over.
    Ended,
}

/// Why nothing could be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It may go away.
    Passing(String),
    /// It stays until the user does something: a wrong access code, a changed key.
    Lasting(String),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for the size of the file at this path, then [`Input::Size`].
    Probe(String),
    /// List this folder, then [`Input::Listed`].
    List(&'static str),
    /// Fetch this file. If it is not the one, [`Input::Rejected`]; otherwise the search is over.
    Take(Found),
    /// Close the session, wait until then, and [`Input::Tick`].
    Wait(Mono),
    /// Close the session and wait for the print's end, [`Input::Ended`]. One more round follows then.
    WaitForEnd(Failure),
    /// There is nothing more to do.
    GiveUp(Failure),
}

/// A file that may be the print's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path on the printer, byte for byte.
    pub path: Vec<u8>,
    /// Its size in bytes, never 0.
    pub size: u64,
    /// The plate that it must hold, where one is known.
    pub plate: Option<u32>,
    /// How its name fits.
    pub fit: Fit,
}

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub reason: Reason,
    /// The names that were asked for, at most 20.
    pub tried: Vec<String>,
}

/// Reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The printer gives the print no name.
    NoName,
    /// A calibration; there is no file.
    Calibration,
    /// No file of the print's names is on the printer.
    NotFound,
    /// Several files fit equally well, and taking any would be a guess.
    Ambiguous(Vec<String>),
    /// The printer does not show its files.
    NotOnStorage(StorageHint),
    /// The printer could not be asked.
    Unasked(Trouble),
}

/// What the user can do about files that are not to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageHint {
    /// Change a setting of the printer.
    StoreOnExternal,
    /// Put a card or stick in.
    InsertStorage,
}

impl fmt::Display for StorageHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageHint::StoreOnExternal => {
                "the printer keeps sent files in its internal memory, where they cannot be fetched; put a USB stick or card \
                 in and switch on \"Store sent files on external storage\" in the printer's settings"
            }
            StorageHint::InsertStorage => "the printer shows no files at all; is there a card or USB stick in it?",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoName => f.write_str("the printer does not say what it prints"),
            Reason::Calibration => f.write_str("the printer calibrates itself; there is no file"),
            Reason::NotFound => f.write_str("no file with the print's name is on the printer"),
            Reason::Ambiguous(names) => {
                write!(f, "several files fit the print's name: {}", names.join(", "))
            }
            Reason::NotOnStorage(hint) => hint.fmt(f),
            Reason::Unasked(Trouble::Passing(words) | Trouble::Lasting(words)) => f.write_str(words),
        }
    }
}

/// The search for one print's file.
#[derive(Clone, Debug)]
pub struct Search {
    print: Print,
    sought: Option<Sought>,
    started: Mono,
    phase: Phase,
    /// Begun rounds; the one after the print is number [`ROUNDS_S`]`.len()`.
    round: usize,
    ended: bool,
    /// Folders that do not exist and will not soon.
    absent: Vec<&'static str>,
    rejected: Vec<(Vec<u8>, u64)>,
    tried: Vec<String>,
    seen: Seen,
    no_sizes: bool,
    news: usize,
}

/// What was seen in this round.
#[derive(Clone, Debug, Default)]
struct Seen {
    matches: Vec<Candidate>,
    /// A folder was not listed to its end, or there were too many matches.
    partial: bool,
    /// The root was listed to its end, and this is how many entries it has.
    root_entries: Option<usize>,
    ambiguous: Vec<String>,
    trouble: Option<Trouble>,
}

#[derive(Clone, Debug)]
struct Candidate {
    how: Match,
    folder: usize,
    found: Found,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Until a round is due.
    Waiting(Mono),
    /// The paths still to be asked for, the current one first.
    Probing(Vec<String>),
    /// Asking is over; this folder is being listed.
    Listing(usize),
    /// These fit, best first; the first one is being fetched.
    Offering(Vec<Found>, After),
    WaitingForEnd(Failure),
    Over(Failure),
}

/// How a round goes on when an offered file was rejected.
#[derive(Clone, Debug)]
enum After {
    /// With these paths.
    Probes(Vec<String>),
    /// It was the last word of the listings.
    Listings,
}

impl Search {
    /// Begins a search at the moment the print was noticed. [`Search::step`] with [`Input::Tick`] tells what to do first.
    #[must_use]
    pub fn new(print: Print, now: Mono) -> Search {
        let sought = Sought::of(&print);
        Search {
            print,
            sought,
            started: now,
            phase: Phase::Waiting(now),
            round: 0,
            ended: false,
            absent: Vec::new(),
            rejected: Vec::new(),
            tried: Vec::new(),
            seen: Seen::default(),
            no_sizes: false,
            news: 0,
        }
    }

    /// Takes in what later reports show: names, plate and url may come one after the other. A round that runs goes on as it
    /// was; where the names are new, the next one comes soon. Ask [`Search::step`] with [`Input::Tick`] afterwards.
    pub fn learn(&mut self, print: Print, now: Mono) {
        self.print = print;
        let due = match self.phase {
            Phase::Waiting(due) => due,
            Phase::WaitingForEnd(_) => now.after(AFTER_NEWS),
            Phase::Probing(_) | Phase::Listing(_) | Phase::Offering(..) | Phase::Over(_) => return,
        };
        if self.news < NEWS_MAX && Sought::of(&self.print) != self.sought {
            self.news = self.news.saturating_add(1);
            self.phase = Phase::Waiting(due.min(now.after(AFTER_NEWS)));
            if !self.ended {
                self.round = self.round.min(ROUNDS_S.len().saturating_sub(1));
            }
        }
    }

    /// Brings the next round forward: somebody waits for it. A round that runs goes on as it was.
    pub fn hurry(&mut self, now: Mono) {
        if let Phase::Waiting(_) | Phase::WaitingForEnd(_) = self.phase {
            if !self.ended {
                self.round = self.round.min(ROUNDS_S.len().saturating_sub(1));
            }
            self.phase = Phase::Waiting(now);
        }
    }

    /// Why the last round found nothing, and what was asked for so far.
    #[must_use]
    pub fn last_failure(&self) -> Failure {
        match &self.phase {
            Phase::WaitingForEnd(failure) | Phase::Over(failure) => failure.clone(),
            Phase::Waiting(_) | Phase::Probing(_) | Phase::Listing(_) | Phase::Offering(..) => {
                self.failure(self.reason())
            }
        }
    }

    /// Takes in what happened and answers what to do next.
    pub fn step(&mut self, input: Input<'_>, now: Mono) -> Action {
        if self.print.is_calibration() {
            self.phase = Phase::Over(self.failure(Reason::Calibration));
        }
        match input {
            Input::Tick => {}
            Input::Size(size) => self.probed(size, now),
            Input::NoSizes => {
                if matches!(self.phase, Phase::Probing(_)) {
                    self.no_sizes = true;
                    self.probes_done(now);
                }
            }
            Input::Listed(listing) => self.listed(listing, now),
            Input::Trouble(trouble) => self.trouble(trouble, now),
            Input::Rejected => self.rejected(now),
            Input::Ended => self.print_ended(now),
        }
        self.due(now);
        self.action()
    }

    fn action(&self) -> Action {
        match &self.phase {
            Phase::Waiting(due) => Action::Wait(*due),
            Phase::Probing(paths) => {
                paths.first().map_or_else(|| self.nothing(), |path| Action::Probe(path.clone()))
            }
            Phase::Listing(folder) => match self.folders().get(*folder) {
                Some(folder) => Action::List(folder),
                None => self.nothing(),
            },
            Phase::Offering(found, _) => {
                found.first().map_or_else(|| self.nothing(), |found| Action::Take(found.clone()))
            }
            Phase::WaitingForEnd(failure) => Action::WaitForEnd(failure.clone()),
            Phase::Over(failure) => Action::GiveUp(failure.clone()),
        }
    }

    /// Every phase keeps something to do, see `start_round` and `go_on`; this answers if that were ever wrong.
    fn nothing(&self) -> Action {
        Action::GiveUp(self.failure(Reason::NotFound))
    }

    fn due(&mut self, now: Mono) {
        if matches!(self.phase, Phase::Waiting(due) if due <= now) {
            self.start_round(now);
        }
    }

    fn start_round(&mut self, now: Mono) {
        self.seen = Seen::default();
        if self.is_last() {
            // A stick may have been put in meanwhile.
            self.absent.clear();
        }
        self.sought = Sought::of(&self.print);
        let Some(sought) = &self.sought else {
            self.round_failed(now);
            return;
        };
        let mut paths = sought.probes(self.round >= LATE_ROUND);
        paths.retain(|path| !self.absent.iter().any(|folder| is_in(path, folder)));
        if self.no_sizes || paths.is_empty() {
            self.probes_done(now);
        } else {
            self.phase = Phase::Probing(paths);
        }
    }

    fn is_last(&self) -> bool {
        self.round >= ROUNDS_S.len()
    }

    fn folders(&self) -> &'static [&'static str] {
        self.sought.as_ref().map_or(&[], |sought| sought.folders)
    }

    fn plate(&self) -> Option<u32> {
        self.sought.as_ref().and_then(|sought| sought.plate)
    }

    fn probed(&mut self, size: Option<u64>, now: Mono) {
        let Phase::Probing(paths) = &mut self.phase else { return };
        let mut rest = std::mem::take(paths);
        if rest.is_empty() {
            return self.probes_done(now);
        }
        let path = rest.remove(0);
        if !self.tried.contains(&path) && self.tried.len() < TRIED_MAX {
            self.tried.push(path.clone());
        }
        // An empty file is one that is about to be written.
        if let Some(size) = size.filter(|size| *size > 0) {
            let found = Found { path: path.into_bytes(), size, plate: self.plate(), fit: Fit::Exact };
            if !self.is_rejected(&found) {
                self.phase = Phase::Offering(vec![found], After::Probes(rest));
                return;
            }
        }
        self.go_on(rest, now);
    }

    fn go_on(&mut self, paths: Vec<String>, now: Mono) {
        if paths.is_empty() { self.probes_done(now) } else { self.phase = Phase::Probing(paths) }
    }

    fn probes_done(&mut self, now: Mono) {
        // Without sizes listings are all there is.
        if self.is_last() || self.no_sizes || LISTING_ROUNDS.contains(&self.round) {
            self.next_folder(0, now);
        } else {
            self.round_failed(now);
        }
    }

    fn next_folder(&mut self, from: usize, now: Mono) {
        let exists = |folder: &&'static str| !self.absent.contains(folder);
        match self.folders().iter().skip(from).position(exists) {
            Some(step) => self.phase = Phase::Listing(from.saturating_add(step)),
            None => self.listings_done(now),
        }
    }

    fn listed(&mut self, listing: Option<&Listing>, now: Mono) {
        let Phase::Listing(index) = self.phase else { return };
        let Some(folder) = self.folders().get(index).copied() else { return self.listings_done(now) };
        match listing {
            // This one comes to be with the first file that the cloud sends.
            None if folder == "/cache" => {}
            None => self.absent.push(folder),
            Some(listing) => {
                self.seen.partial |= !listing.complete;
                if folder == "/" && listing.complete {
                    self.seen.root_entries = Some(listing.entries.len());
                }
                for entry in &listing.entries {
                    self.look_at(entry, index, folder);
                }
            }
        }
        self.next_folder(index.saturating_add(1), now);
    }

    fn look_at(&mut self, entry: &Entry, index: usize, folder: &str) {
        let Some(sought) = &self.sought else { return };
        if entry.kind != EntryKind::File || entry.size == 0 {
            return;
        }
        let Some(how) = sought.fit(entry.name.text()) else { return };
        let path = [join(folder, "").as_bytes(), entry.name.bytes()].concat();
        let found = Found { path, size: entry.size, plate: sought.plate, fit: how.fit };
        if self.seen.matches.len() < MATCHES_MAX {
            self.seen.matches.push(Candidate { how, folder: index, found });
        } else {
            self.seen.partial = true;
        }
    }

    /// All folders are listed: the best fit, if it is only one.
    fn listings_done(&mut self, now: Mono) {
        let mut matches = std::mem::take(&mut self.seen.matches);
        let rank = |candidate: &Candidate| candidate.how.rank;
        let Some(best) = matches.iter().map(rank).min() else { return self.round_failed(now) };
        matches.retain(|candidate| rank(candidate) == best);
        let written = |candidate: &Candidate| candidate.how.written.clone();
        let first = matches.first().map(written);
        let one_spelling = matches.iter().map(written).all(|name| Some(name) == first);
        let certain = match best.2 {
            // What the dots stand for is not known, so nothing else may fit, seen or unseen.
            Fit::Shortened => matches.len() == 1 && !self.seen.partial,
            Fit::Exact | Fit::IgnoringCase | Fit::Normal | Fit::WithPlate | Fit::Loose => one_spelling,
        };
        if !certain {
            let names =
                matches.iter().map(|candidate| String::from_utf8_lossy(&candidate.found.path).into_owned());
            self.seen.ambiguous = names.take(TRIED_MAX).collect();
            return self.round_failed(now);
        }
        matches.sort_by_key(|candidate| (candidate.folder, candidate.how.ending));
        let found: Vec<Found> = matches
            .into_iter()
            .map(|candidate| candidate.found)
            .filter(|found| !self.is_rejected(found))
            .collect();
        if found.is_empty() {
            self.round_failed(now);
        } else {
            self.phase = Phase::Offering(found, After::Listings);
        }
    }

    fn is_rejected(&self, found: &Found) -> bool {
        self.rejected.iter().any(|(path, size)| *path == found.path && *size == found.size)
    }

    fn rejected(&mut self, now: Mono) {
        let Phase::Offering(found, after) = &mut self.phase else { return };
        if found.is_empty() {
            return;
        }
        let no = found.remove(0);
        if self.rejected.len() >= REJECTED_MAX {
            self.rejected.remove(0);
        }
        self.rejected.push((no.path, no.size));
        if !found.is_empty() {
            return;
        }
        match std::mem::replace(after, After::Listings) {
            After::Probes(paths) => self.go_on(paths, now),
            After::Listings => self.round_failed(now),
        }
    }

    fn trouble(&mut self, trouble: &Trouble, now: Mono) {
        match trouble {
            Trouble::Lasting(_) => {
                self.phase = Phase::Over(self.failure(Reason::Unasked(trouble.clone())));
            }
            Trouble::Passing(_) => {
                if matches!(self.phase, Phase::Probing(_) | Phase::Listing(_) | Phase::Offering(..)) {
                    self.seen.trouble = Some(trouble.clone());
                    self.round_failed(now);
                }
            }
        }
    }

    fn print_ended(&mut self, now: Mono) {
        if self.ended {
            return;
        }
        self.ended = true;
        // A round that runs is let run; what comes after it is the last one.
        if let Phase::Waiting(_) | Phase::WaitingForEnd(_) = self.phase {
            self.round = ROUNDS_S.len();
            self.phase = Phase::Waiting(now.after(AFTER_PRINT));
        }
    }

    fn round_failed(&mut self, now: Mono) {
        let failure = self.failure(self.reason());
        self.phase = if self.is_last() {
            Phase::Over(failure)
        } else if self.ended {
            self.round = ROUNDS_S.len();
            Phase::Waiting(now.after(AFTER_PRINT))
        } else {
            self.round = self.round.saturating_add(1);
            match ROUNDS_S.get(self.round) {
                Some(after) => {
                    let due = self.started.after(Duration::from_secs(*after));
                    Phase::Waiting(due.max(now.after(GAP_MIN)))
                }
                None => Phase::WaitingForEnd(failure),
            }
        };
    }

    fn reason(&self) -> Reason {
        if self.sought.is_none() {
            return Reason::NoName;
        }
        if let Some(trouble) = &self.seen.trouble {
            return Reason::Unasked(trouble.clone());
        }
        if !self.seen.ambiguous.is_empty() {
            return Reason::Ambiguous(self.seen.ambiguous.clone());
        }
        match (self.print.family, self.seen.root_entries) {
            (Family::H2, _) => Reason::NotOnStorage(StorageHint::StoreOnExternal),
            (_, Some(0)) => Reason::NotOnStorage(StorageHint::InsertStorage),
            _ => Reason::NotFound,
        }
    }

    fn failure(&self, reason: Reason) -> Failure {
        Failure { reason, tried: self.tried.clone() }
    }
}

fn is_in(path: &str, folder: &str) -> bool {
    folder != "/" && path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
