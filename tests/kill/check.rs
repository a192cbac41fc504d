//! What has to be true after all the kills: between what was told, what is recorded, what lies on the card, and what the
//! printers really did.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use printernizer::base::clock::Mono;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fleet::{Fleet, Print};
use crate::process::{Service, Told};

/// A life of the service: from its readiness to its kill.
pub type Life = (Mono, Mono);

/// Who has lived for so long during a print has seen it: connections stand within a second or two, and are asked at once.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// The figures of a run.
#[derive(Debug, Default)]
pub struct Figures {
    pub events: usize,
    pub prints: usize,
    pub unseen: usize,
    pub jobs: BTreeMap<String, usize>,
    /// Prints whose end nobody saw.
    pub unknown: Vec<String>,
    pub triggered: usize,
    pub fetched: usize,
    pub resumed: usize,
    pub rounds: usize,
    pub failed_rounds: BTreeMap<String, usize>,
}

/// Every event so far, the told ones and the rest of the journal together.
pub fn story(service: &Service, told: &Told) -> Vec<Value> {
    let kept = service.journal();
    let mut all = told.lock().unwrap().clone();
    for (seq, data) in kept {
        let before = all.insert(seq, data.clone());
        assert!(before.is_none_or(|before| before == data), "seq {seq} was told with other words");
    }
    // Whatever is told now is there already: nothing that was told may be newer than the journal.
    let seqs: Vec<u64> = all.keys().copied().collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "seq has gaps");
    all.values().map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// That the journal still holds, byte for byte, what was told of it.
pub fn nothing_told_is_lost(service: &Service, told: &Told) {
    let kept = service.journal();
    let told = told.lock().unwrap();
    let (oldest, newest) = (*kept.keys().next().unwrap(), *kept.keys().next_back().unwrap());
    for (seq, data) in told.range(oldest..) {
        assert_eq!(kept.get(seq), Some(data), "seq {seq} was told and is not there; the newest is {newest}");
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn named<'s>(story: &'s [Value], name: &'s str) -> impl Iterator<Item = &'s Value> {
    story.iter().filter(move |event| event["event"] == name)
}

/// Whether every job has ended and every download that was begun has come to its end.
pub fn is_quiet(story: &[Value]) -> bool {
    let over: BTreeSet<&str> =
        named(story, "job_completed").map(|event| text(&event["data"], "job_id")).collect();
    let fetched = ends_of_downloads(story);
    named(story, "job_created").all(|event| over.contains(text(&event["data"], "job_id")))
        && named(story, "auto_download_triggered").all(|event| fetched.contains(text(event, "flow")))
}

/// The flows whose file is here or was given up.
fn ends_of_downloads(story: &[Value]) -> BTreeSet<&str> {
    let given_up = named(story, "auto_download_failed").filter(|event| event["data"]["retry"] == "none");
    named(story, "file_download_complete").chain(given_up).map(|event| text(event, "flow")).collect()
}

/// Checks everything.
pub fn check(
    story: &[Value],
    data: &Path,
    fleet: &Fleet,
    lives: &[Life],
    printers: &BTreeMap<String, String>,
) -> Figures {
    let mut figures = Figures { events: story.len(), ..Figures::default() };
    once(story);
    jobs(story, fleet, lives, printers, &mut figures);
    files(story, data, fleet, printers, &mut figures);
    figures
}

/// Nothing is told twice.
fn once(story: &[Value]) {
    let mut lives: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for event in story {
        let name = text(event, "event");
        let whose = match name {
            "job_created" | "job_started" | "job_completed" => text(&event["data"], "job_id"),
            "auto_download_triggered" | "file_download_complete" => text(event, "flow"),
            _ => continue,
        };
        *lives.entry((name, whose)).or_default() += 1;
    }
    let twice: Vec<_> = lives.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "told more than once: {twice:?}");
    for event in story {
        if let Some(cause) = event["cause"].as_u64() {
            assert!(cause < event["seq"].as_u64().unwrap(), "a cause is in the past: {event}");
        }
    }
}

/// The name of a print's job without the endings that some reports add.
fn plain(name: &str) -> &str {
    let name = name.strip_suffix(".3mf").or_else(|| name.strip_suffix(".gcode")).unwrap_or(name);
    name.strip_suffix(".gcode").unwrap_or(name)
}

/// Every print is one job, and each ended as the print did.
fn jobs(
    story: &[Value],
    fleet: &Fleet,
    lives: &[Life],
    printers: &BTreeMap<String, String>,
    figures: &mut Figures,
) {
    let prints = fleet.prints();
    figures.prints = prints.len();
    let mut of_print: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for event in named(story, "job_created") {
        let data = &event["data"];
        let serial = &printers[text(data, "printer_id")];
        of_print.entry((serial, plain(text(data, "job_name")))).or_default().push(text(data, "job_id"));
    }
    let ends: BTreeMap<&str, &str> = named(story, "job_completed")
        .map(|event| (text(&event["data"], "job_id"), text(&event["data"], "status")))
        .collect();
    for print in &prints {
        let Some(jobs) = of_print.remove(&(print.serial.as_str(), print.name.as_str())) else {
            assert!(!could_be_seen(print, lives), "a print that could be seen has no job: {print:?}");
            figures.unseen += 1;
            continue;
        };
        assert_eq!(jobs.len(), 1, "one print is one job: {print:?}");
        let end = *ends.get(jobs[0]).unwrap_or_else(|| panic!("{} of {print:?} has not ended", jobs[0]));
        let truth = if print.cancelled { "cancelled" } else { "completed" };
        assert!(end == truth || end == "unknown", "{} is {end} and was {truth}: {print:?}", jobs[0]);
        *figures.jobs.entry(end.to_owned()).or_default() += 1;
        if end == "unknown" {
            figures.unknown.push(format!("{} of {}: {truth}", print.name, print.serial));
        }
    }
    assert!(of_print.is_empty(), "jobs without a print: {of_print:?}");
}

/// Whether one life of the service was long enough during a print.
fn could_be_seen(print: &Print, lives: &[Life]) -> bool {
    let ended = print.ended.unwrap_or(Mono(u64::MAX));
    lives.iter().any(|(from, to)| (*to).min(ended).since((*from).max(print.began)) > SEEN_WITHIN)
}

/// Every file that was told of is there with its bytes, and nothing else.
fn files(
    story: &[Value],
    data: &Path,
    fleet: &Fleet,
    printers: &BTreeMap<String, String>,
    figures: &mut Figures,
) {
    let mut expected = BTreeSet::new();
    for event in named(story, "file_download_complete") {
        let file = &event["data"];
        let path = text(file, "file_path");
        let bytes = fs::read(data.join(path)).unwrap_or_else(|error| panic!("{path}: {error}; {event}"));
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, text(file, "sha256"), "{event}");
        assert_eq!(bytes.len() as u64, file["file_size"].as_u64().unwrap(), "{event}");
        let serial = &printers[text(file, "printer_id")];
        // The oldest files of a full card have gone.
        if let Some(source) = fleet.content(serial, text(file, "filename")) {
            assert!(source == bytes, "other bytes than the printer's: {event}");
        }
        expected.insert(path.to_owned());
        figures.fetched += 1;
    }
    let mut found = BTreeSet::new();
    for folder in fs::read_dir(data.join("files")).unwrap().map(Result::unwrap) {
        for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            let folder = folder.file_name().into_string().unwrap();
            found.insert(format!("files/{folder}/{}", file.file_name().into_string().unwrap()));
        }
    }
    assert_eq!(found, expected, "what lies there, and what was told");
    figures.triggered = named(story, "auto_download_triggered").count();
    for event in named(story, "file_download_started") {
        figures.rounds += 1;
        figures.resumed += usize::from(event["data"]["resumed_from"].as_u64().unwrap_or(0) > 0);
    }
    for event in named(story, "file_download_failed") {
        *figures.failed_rounds.entry(text(&event["data"], "kind").to_owned()).or_default() += 1;
    }
    let given_up: Vec<&Value> =
        named(story, "auto_download_failed").filter(|event| event["data"]["retry"] == "none").collect();
    assert!(given_up.is_empty(), "files that lie on their printers were given up: {given_up:?}");
}
