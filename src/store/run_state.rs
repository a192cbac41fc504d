//! The file `run-state`: whether the last run ended in order, and the greatest numbers known then.
//!
//! One line, replaced as a whole: `clean seq=12 job=3 printer=1` after an orderly end, `running ...` from the start on and
//! renewed with each backup. The numbers are a floor: records that turn out to be older than them (a restored backup, a
//! file that lost its newest commit) may not give the same numbers out again.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::env::Env;
use super::txn::Counters;
use crate::base::file::write_atomic;

/// Name of the file in the data directory.
pub(super) const FILE: &str = "run-state";

/// Longer files are not ours.
const BYTES_MAX: u64 = 256;

/// What the file said at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) clean: bool,
    pub(super) floor: Counters,
}

/// The file.
#[derive(Debug)]
pub(super) struct RunState {
    path: PathBuf,
}

impl RunState {
    /// Reads the file; `None` when there is none. What cannot be understood counts as an unclean end.
    pub(super) fn open(dir: &Path) -> (RunState, Option<Found>) {
        let path = dir.join(FILE);
        let found = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(data) if data.len() <= BYTES_MAX => {
                Some(fs::read_to_string(&path).map_or_else(|_| Found::default(), |text| parse(&text)))
            }
            Ok(_) | Err(_) => Some(Found::default()),
        };
        (RunState { path }, found)
    }

    /// Notes that a run has begun. On a card that takes nothing the run goes on without the note: redb sees an unclean end by
    /// itself, and only the floor of the numbers is lower then.
    pub(super) fn begin(&self, counters: Counters) {
        if let Err(error) = self.set_running(counters) {
            log::warn!("cannot write {}: {error}", self.path.display());
        }
    }

    /// Notes that a run has begun.
    pub(super) fn set_running(&self, counters: Counters) -> io::Result<()> {
        write_atomic(&self.path, render("running", counters).as_bytes())
    }

    /// Notes an orderly end.
    pub(super) fn set_clean(&self, counters: Counters) -> io::Result<()> {
        write_atomic(&self.path, render("clean", counters).as_bytes())
    }

    /// Renews the floor in the middle of a run; a failure only means a lower floor.
    pub(super) fn note(&self, env: &Env, counters: Counters) {
        if env.check().is_ok()
            && let Err(error) = self.set_running(counters)
        {
            log::warn!("cannot write {}: {error}", self.path.display());
        }
    }
}

fn render(word: &str, counters: Counters) -> String {
    let Counters { seq, job, printer } = counters;
    format!("{word} seq={seq} job={job} printer={printer}\n")
}

fn parse(text: &str) -> Found {
    let mut found = Found::default();
    let mut words = text.split_ascii_whitespace();
    let clean = words.next() == Some("clean");
    let mut numbers = 0;
    for word in words {
        let Some((name, number)) = word.split_once('=') else { continue };
        let Ok(number) = number.parse() else { continue };
        match name {
            "seq" => found.floor.seq = number,
            "job" => found.floor.job = number,
            "printer" => found.floor.printer = number,
            _ => continue,
        }
        numbers += 1;
    }
    found.clean = clean && numbers == 3 && text.ends_with('\n');
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_rubbish_is_an_unclean_end() {
        let dir = tempfile::tempdir().unwrap();
        let counters = Counters { seq: 12, job: 3, printer: 1 };
        let (state, found) = RunState::open(dir.path());
        assert_eq!(found, None);
        state.set_running(counters).unwrap();
        assert_eq!(RunState::open(dir.path()).1, Some(Found { clean: false, floor: counters }));
        state.set_clean(counters).unwrap();
        assert_eq!(RunState::open(dir.path()).1, Some(Found { clean: true, floor: counters }));
        assert_eq!(
            parse("clean seq=12 job"),
            Found { clean: false, floor: Counters { seq: 12, ..Default::default() } }
        );
        assert_eq!(parse("clean"), Found::default());
        assert_eq!(parse("\u{0}\u{0}"), Found::default());
    }
}
