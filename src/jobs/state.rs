//! Which print is which: the pure decisions over what a printer showed before and shows now.
//!
//! Words: a *print* is what the printer shows; a *job* is our record of it. An *edge* is a change of the print's state
//! that is seen while connected. The first report after a connection is no edge by itself: it is compared with what
//! was stored, and only a difference means that something happened meanwhile.

use crate::model::status::{Observation, Print, PrintKind, PrinterStatus};
use crate::model::{JobEnd, JobStatus, Track};

/// What has to happen to jobs. Applied in this order: `end`, `start`, `relabel`, `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The active job is over.
    pub end: Option<JobEnd>,
    /// A new print has begun: adopt a pending job or record a new one.
    pub start: bool,
    /// The printer has told more about the running print: name, file or plate.
    pub relabel: bool,
    /// The status that the active job (the new one after `start`) has now.
    pub status: Option<JobStatus>,
}

/// Decides what `seen` means after `track`. `job` is the status of the job that `track` names, if it still exists.
/// `first` is true for the first report of a connection whose status is known.
///
/// A printer that is not heard (`Offline`, `Connecting`, `Unknown`) decides nothing.
#[must_use]
pub fn decide(track: &Track, job: Option<JobStatus>, seen: &Observation, first: bool) -> Decision {
    let active_job = job.filter(|status| status.is_active());
    match seen.status {
        PrinterStatus::Offline | PrinterStatus::Connecting | PrinterStatus::Unknown => Decision::default(),
        PrinterStatus::Idle | PrinterStatus::Finished | PrinterStatus::Failed | PrinterStatus::Cancelled => {
            let end = active_job.map(|_| end_of(track, seen, first));
            Decision { end, ..Decision::default() }
        }
        PrinterStatus::Preparing
        | PrinterStatus::Printing
        | PrinterStatus::Paused
        | PrinterStatus::Attention => active(track, active_job, seen, first),
    }
}

fn active(track: &Track, active_job: Option<JobStatus>, seen: &Observation, first: bool) -> Decision {
    if seen.print.kind.or(track.print.kind) == Some(PrintKind::System) {
        // A calibration is no job. If a job was active, its end was not seen.
        return Decision { end: active_job.map(|_| JobEnd::Unknown), ..Decision::default() };
    }
    let status = job_status(seen);
    match active_job {
        Some(before) if is_same_print(track, before, seen, first) => {
            // A job that has printed does not go back to preparing: calibrations at its start belong to it.
            let went_back = status == JobStatus::Preparing && before != JobStatus::Preparing;
            Decision {
                relabel: is_better_label(&track.print, &seen.print, before),
                status: Some(status).filter(|status| *status != before && !went_back),
                ..Decision::default()
            }
        }
        Some(_) => {
            Decision { end: Some(JobEnd::Unknown), start: true, status: Some(status), ..Decision::default() }
        }
        None if is_start(track, seen, first) => {
            Decision { start: true, status: Some(status), ..Decision::default() }
        }
        None => Decision::default(),
    }
}

/// No job is active and the printer is at a print: whether that print is a new one.
fn is_start(track: &Track, seen: &Observation, first: bool) -> bool {
    if !track.seen.is_active() || track.print.kind == Some(PrintKind::System) {
        // The same number in a first report: that print is in the records already, as ended.
        let known =
            first && track.job_id.is_some() && track.print.key.is_some() && track.print.key == seen.print.key;
        return !known;
    }
    // It was at a print whose job is over (ended or deleted through the API): only another print is a start.
    !is_same_label(&track.print, &seen.print)
}

fn is_same_print(track: &Track, before: JobStatus, seen: &Observation, first: bool) -> bool {
    let (old, new) = (&track.print, &seen.print);
    if !first && before == JobStatus::Preparing {
        // The start was an edge, and the printer is still completing what it says about the print: its number and
        // name may have been those of the print before.
        return true;
    }
    if let (Some(old), Some(new)) = (&old.key, &new.key) {
        return old == new;
    }
    if !is_same_label(old, new) {
        return false;
    }
    if !first {
        return true;
    }
    if let (Some(old), Some(new)) = (&old.mark, &new.mark)
        && old != new
    {
        return false;
    }
    if before != JobStatus::Preparing && seen.status == PrinterStatus::Preparing && !seen.running {
        return false; // What has printed before is being prepared: another run of the same file.
    }
    match (track.progress, seen.progress) {
        (Some(old), Some(new)) => new >= old,
        _ => true,
    }
}

/// Whether name and file, where both sides know them, are the same.
fn is_same_label(old: &Print, new: &Print) -> bool {
    if let (Some(old), Some(new)) = (&old.key, &new.key) {
        return old == new;
    }
    match (&old.name, &new.name) {
        (Some(old), Some(new)) => is_same_name(old, new),
        _ => match (&old.file, &new.file) {
            (Some(old), Some(new)) => is_same_name(old, new),
            _ => true,
        },
    }
}

/// Whether two names are of one print. Some firmware sends a title with bytes that are no UTF-8: what is left of it may
/// stand for the whole one, and is no other print.
fn is_same_name(old: &str, new: &str) -> bool {
    let (old, new) = (stem(old), stem(new));
    old == new || is_left_of(old, new) || is_left_of(new, old)
}

/// Whether `damaged` has lost characters and is otherwise `whole`.
fn is_left_of(damaged: &str, whole: &str) -> bool {
    const LOST: char = char::REPLACEMENT_CHARACTER;
    let Some((head, _)) = damaged.split_once(LOST) else { return false };
    let tail = damaged.rsplit(LOST).next().unwrap_or_default();
    whole.strip_prefix(head).is_some_and(|rest| rest.ends_with(tail))
}

fn is_better_label(old: &Print, new: &Print, before: JobStatus) -> bool {
    let differs = |old: &Option<String>, new: &Option<String>| match (old, new) {
        (Some(old), Some(new)) => old != new && !is_left_of(stem(new), stem(old)),
        (None, new) => new.is_some(),
        (Some(_), None) => false,
    };
    let fills = |old: &Option<String>, new: &Option<String>| new.is_some() && old.is_none();
    let plate = new.plate.is_some() && new.plate != old.plate;
    if before == JobStatus::Preparing {
        differs(&old.name, &new.name) || differs(&old.file, &new.file) || plate
    } else {
        fills(&old.name, &new.name) || fills(&old.file, &new.file) || (plate && old.plate.is_none())
    }
}

fn end_of(track: &Track, seen: &Observation, first: bool) -> JobEnd {
    if first && !is_same_label(&track.print, &seen.print) {
        return JobEnd::Unknown; // The printer speaks of another print.
    }
    match seen.status {
        PrinterStatus::Finished => JobEnd::Completed,
        PrinterStatus::Cancelled => JobEnd::Cancelled,
        PrinterStatus::Failed if seen.cancelled => JobEnd::Cancelled,
        PrinterStatus::Failed => JobEnd::Failed,
        PrinterStatus::Idle if seen.cancelled => JobEnd::Cancelled,
        PrinterStatus::Idle
        | PrinterStatus::Offline
        | PrinterStatus::Connecting
        | PrinterStatus::Preparing
        | PrinterStatus::Printing
        | PrinterStatus::Paused
        | PrinterStatus::Attention
        | PrinterStatus::Unknown => JobEnd::Unknown,
    }
}

fn job_status(seen: &Observation) -> JobStatus {
    match seen.status {
        PrinterStatus::Paused | PrinterStatus::Attention => JobStatus::Paused,
        PrinterStatus::Preparing if !seen.running => JobStatus::Preparing,
        _ => JobStatus::Running,
    }
}

/// A file or print name without folder and print-file suffixes, for comparisons: printers add and drop them.
#[must_use]
pub fn stem(name: &str) -> &str {
    let mut stem = name.rsplit('/').next().unwrap_or(name).trim();
    loop {
        let cut = [".3mf", ".gcode", ".bgcode", ".gco", ".gc", ".g", ".bgc"].into_iter().find_map(|suffix| {
            let at = stem.len().checked_sub(suffix.len()).filter(|at| *at > 0)?;
            let (rest, tail) = stem.split_at_checked(at)?;
            tail.eq_ignore_ascii_case(suffix).then_some(rest)
        });
        match cut {
            Some(rest) => stem = rest,
            None => return stem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, PrinterId};

    fn track(seen: PrinterStatus, key: Option<&str>, name: &str, progress: Option<u8>) -> Track {
        let print = Print { key: key.map(Into::into), name: Some(name.into()), ..Print::default() };
        Track { seen, print, progress, job_id: Some(JobId(1)), ..Track::new(PrinterId(1)) }
    }

    fn seen(status: PrinterStatus, key: Option<&str>, name: &str, progress: Option<u8>) -> Observation {
        Observation {
            status,
            running: matches!(status, PrinterStatus::Printing),
            print: Print { key: key.map(Into::into), name: Some(name.into()), ..Print::default() },
            progress,
            ..Observation::default()
        }
    }

    const START: Decision = Decision { end: None, start: true, relabel: false, status: None };

    #[test]
    fn a_damaged_title_is_no_other_print() {
        for (whole, damaged, same) in [
            ("Würfel", "W\u{fffd}\u{fffd}rfel", true),
            ("Würfel.3mf", "W\u{fffd}rfel", true),
            ("Würfel", "\u{fffd}", true),
            ("Würfel", "W\u{fffd}rmer", false),
            ("We", "We\u{fffd}e", false),
            ("Würfel", "Würfe", false),
        ] {
            let before = track(PrinterStatus::Printing, None, whole, Some(10));
            let now = seen(PrinterStatus::Printing, None, damaged, Some(11));
            let decision = decide(&before, Some(JobStatus::Running), &now, false);
            assert_eq!(decision.start, !same, "{whole} {damaged}");
            let before = track(PrinterStatus::Preparing, None, whole, None);
            let now = seen(PrinterStatus::Preparing, None, damaged, None);
            let decision = decide(&before, Some(JobStatus::Preparing), &now, false);
            assert_eq!(decision.relabel, !same, "{whole} {damaged}");
        }
    }

    #[test]
    fn a_print_starts_at_preparing_or_printing() {
        use PrinterStatus as S;
        for before in [S::Unknown, S::Idle, S::Finished, S::Failed, S::Cancelled] {
            for (now, status) in [
                (S::Preparing, JobStatus::Preparing),
                (S::Printing, JobStatus::Running),
                (S::Paused, JobStatus::Paused),
            ] {
                let decision =
                    decide(&track(before, None, "a", Some(100)), None, &seen(now, None, "a", None), false);
                assert_eq!(decision, Decision { status: Some(status), ..START }, "{before:?} {now:?}");
            }
        }
    }

    #[test]
    fn nothing_heard_decides_nothing() {
        use PrinterStatus as S;
        for status in [S::Offline, S::Connecting, S::Unknown] {
            let decision = decide(
                &track(S::Printing, None, "a", None),
                Some(JobStatus::Running),
                &seen(status, None, "b", None),
                true,
            );
            assert_eq!(decision, Decision::default());
        }
    }

    #[test]
    fn ends_are_what_the_printer_says() {
        use PrinterStatus as S;
        let at = track(S::Printing, None, "a", Some(50));
        for (status, cancelled, end) in [
            (S::Finished, false, JobEnd::Completed),
            (S::Failed, false, JobEnd::Failed),
            (S::Failed, true, JobEnd::Cancelled),
            (S::Cancelled, true, JobEnd::Cancelled),
            (S::Idle, true, JobEnd::Cancelled),
            (S::Idle, false, JobEnd::Unknown),
        ] {
            for first in [false, true] {
                let now = Observation { cancelled, ..seen(status, None, "a", Some(100)) };
                let decision = decide(&at, Some(JobStatus::Running), &now, first);
                assert_eq!(
                    decision,
                    Decision { end: Some(end), ..Decision::default() },
                    "{status:?} {first}"
                );
            }
        }
    }

    #[test]
    fn the_end_of_another_print_says_nothing_about_ours() {
        let at = track(PrinterStatus::Printing, Some("task:1"), "a", Some(50));
        let now = seen(PrinterStatus::Finished, Some("task:2"), "a", Some(100));
        assert_eq!(decide(&at, Some(JobStatus::Running), &now, true).end, Some(JobEnd::Unknown));
    }

    #[test]
    fn a_reconnection_to_the_same_print_is_no_edge() {
        let at = track(PrinterStatus::Printing, None, "a.3mf", Some(50));
        for progress in [None, Some(50), Some(51), Some(100)] {
            let now = seen(PrinterStatus::Printing, None, "a", progress);
            assert_eq!(
                decide(&at, Some(JobStatus::Running), &now, true),
                Decision::default(),
                "{progress:?}"
            );
        }
        let at = track(PrinterStatus::Printing, Some("task:1"), "a", Some(50));
        // The number decides, whatever else changed.
        let now = seen(PrinterStatus::Printing, Some("task:1"), "b", Some(10));
        assert!(!decide(&at, Some(JobStatus::Running), &now, true).start);
    }

    #[test]
    fn a_reconnection_to_another_print_ends_the_old_job_unseen() {
        let other = Decision { end: Some(JobEnd::Unknown), status: Some(JobStatus::Running), ..START };
        let unnumbered = track(PrinterStatus::Printing, None, "a", Some(50));
        for now in [
            seen(PrinterStatus::Printing, None, "b", Some(60)),
            seen(PrinterStatus::Printing, None, "a", Some(49)),
        ] {
            assert_eq!(decide(&unnumbered, Some(JobStatus::Running), &now, true), other);
        }
        let numbered = track(PrinterStatus::Printing, Some("task:1"), "a", Some(50));
        let now = seen(PrinterStatus::Printing, Some("task:2"), "a", Some(60));
        assert_eq!(decide(&numbered, Some(JobStatus::Running), &now, true), other);
        // Prepared again: another run of the same file.
        let now = seen(PrinterStatus::Preparing, None, "a", None);
        assert!(decide(&unnumbered, Some(JobStatus::Running), &now, true).start);
    }

    #[test]
    fn two_runs_of_one_file_are_told_apart_by_their_start_times() {
        let mut at = track(PrinterStatus::Printing, None, "a", Some(50));
        at.print.mark = Some("1000".into());
        let mut now = seen(PrinterStatus::Printing, None, "a", Some(60));
        now.print.mark = Some("9000".into());
        assert!(decide(&at, Some(JobStatus::Running), &now, true).start);
        now.print.mark = Some("1000".into());
        assert!(!decide(&at, Some(JobStatus::Running), &now, true).start);
    }

    #[test]
    fn numbers_and_names_that_come_late_belong_to_the_same_print() {
        let at = track(PrinterStatus::Preparing, Some("task:1"), "old plate", None);
        let now = seen(PrinterStatus::Printing, Some("task:2"), "new plate", Some(0));
        let decision = decide(&at, Some(JobStatus::Preparing), &now, false);
        let relabelled = Decision { relabel: true, status: Some(JobStatus::Running), ..Decision::default() };
        assert_eq!(decision, relabelled);
    }

    #[test]
    fn calibrating_after_the_start_is_no_step_back() {
        let at = track(PrinterStatus::Printing, None, "a", Some(0));
        let now = Observation { running: true, ..seen(PrinterStatus::Preparing, None, "a", Some(1)) };
        assert_eq!(decide(&at, Some(JobStatus::Running), &now, false), Decision::default());
    }

    #[test]
    fn calibrations_are_no_jobs() {
        let mut now = seen(PrinterStatus::Printing, None, "auto_cali", Some(1));
        now.print.kind = Some(PrintKind::System);
        assert_eq!(
            decide(&track(PrinterStatus::Idle, None, "a", None), None, &now, false),
            Decision::default()
        );
        // The print after a calibration is one.
        let mut calibrating = track(PrinterStatus::Printing, None, "auto_cali", None);
        calibrating.print.kind = Some(PrintKind::System);
        calibrating.job_id = None;
        let mut now = seen(PrinterStatus::Preparing, None, "a", None);
        now.print.kind = Some(PrintKind::User);
        assert!(decide(&calibrating, None, &now, false).start);
    }

    #[test]
    fn a_print_whose_record_was_deleted_is_not_recorded_again() {
        let at = track(PrinterStatus::Printing, None, "a", Some(10));
        let now = seen(PrinterStatus::Paused, None, "a", Some(11));
        assert_eq!(decide(&at, None, &now, false), Decision::default());
    }

    #[test]
    fn a_print_that_is_recorded_as_ended_is_not_recorded_again_after_a_reconnection() {
        let at = track(PrinterStatus::Finished, Some("task:1"), "a", Some(100));
        let now = seen(PrinterStatus::Printing, Some("task:1"), "a", Some(99));
        assert_eq!(decide(&at, Some(JobStatus::Completed), &now, true), Decision::default());
    }

    #[test]
    fn stems_ignore_folders_and_print_suffixes() {
        for name in
            ["Würfel", "Würfel.3mf", "cache/Würfel.gcode.3mf", "Würfel.gcode.3mf.GCODE.3MF", " Würfel.3mf "]
        {
            assert_eq!(stem(name), "Würfel");
        }
        assert_eq!(stem(".3mf"), ".3mf");
        assert_eq!(stem("v1.2"), "v1.2");
        assert_eq!(stem("ü"), "ü");
    }
}
