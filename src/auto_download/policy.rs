//! Whether a print's file is fetched by itself, and under which name it is asked for. **Pure**.

use crate::jobs::record::UNNAMED;
use crate::model::{Job, Origin, PrinterType, Start};

/// Endings of files that a printer prints.
pub const PRINTABLE: [&str; 7] = ["gcode", "bgcode", "3mf", "gco", "g", "gc", "bgc"];

/// Longest text behind a full stop that is an ending; "v1.2 of the thing" has none.
const ENDING_CHARS_MAX: usize = 5;

/// The name under which the file of a print is asked for; `None` where it is left alone: the print is over or is the
/// printer's own, it has no name, or the name is not that of a print file. That it was not tried yet is the caller's to know.
#[must_use]
pub fn decide(job: &Job, start: &Start, kind: PrinterType) -> Option<String> {
    let calibrates = start.origin == Origin::System
        || [start.file.as_deref(), job.file.as_deref()]
            .into_iter()
            .flatten()
            .any(|file| file.starts_with("/usr/"));
    if !job.status.is_active() || calibrates {
        return None;
    }
    let named = named(job, start);
    let name = match kind {
        PrinterType::BambuLab => named.name(),
        // Its files have short names, and the title is the long one.
        PrinterType::PrusaLink => named.title.clone().or_else(|| named.name()),
    };
    let name = name.filter(|name| !name.trim().is_empty())?;
    let is_title = named.title.as_deref() == Some(name.as_str());
    let printable = match ending(&name) {
        Some(ending) => {
            PRINTABLE.contains(&ending.to_ascii_lowercase().as_str()) || (is_title && is_bambu(kind))
        }
        None => is_bambu(kind),
    };
    printable.then_some(name)
}

/// What is known of a print: what the printer says now, and what it said when its job was made. The printer may be gone before
/// it says it again, or be at another print after a restart of the service.
#[must_use]
pub fn named(job: &Job, start: &Start) -> Start {
    Start {
        title: start.title.clone().or_else(|| Some(job.name.clone()).filter(|name| name != UNNAMED)),
        file: start.file.clone().or_else(|| job.file.clone()),
        plate: start.plate.or(job.plate),
        origin: start.origin.clone(),
    }
}

/// Bambu Lab printers tell titles as well as files, and titles have no endings, or any.
fn is_bambu(kind: PrinterType) -> bool {
    match kind {
        PrinterType::BambuLab => true,
        PrinterType::PrusaLink => false,
    }
}

/// The ending of a name, where it has one: a few letters and digits, and not digits only.
fn ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    let is_ending = !stem.is_empty()
        && !ending.is_empty()
        && ending.chars().count() <= ENDING_CHARS_MAX.max("bgcode".len())
        && ending.chars().all(char::is_alphanumeric)
        && ending.chars().any(char::is_alphabetic);
    is_ending.then_some(ending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::{JobId, JobStatus, PrinterId};

    fn job(name: &str, file: Option<&str>, status: JobStatus) -> Job {
        Job {
            id: JobId(1),
            printer_id: PrinterId(1),
            printer_name: String::new(),
            name: name.into(),
            file: file.map(Into::into),
            plate: None,
            file_id: None,
            status,
            auto: true,
            progress: None,
            error: None,
            created_at: Timestamp(0),
            started_at: None,
            printing_at: None,
            ended_at: None,
            clock_synced: true,
            created_seq: 1,
            notes: None,
            material: crate::model::JobMaterial::default(),
        }
    }

    fn start(title: Option<&str>, file: Option<&str>) -> Start {
        Start { title: title.map(Into::into), file: file.map(Into::into), ..Start::default() }
    }

    #[test]
    fn print_files_of_any_case_are_fetched() {
        use PrinterType::{BambuLab, PrusaLink};
        for (name, bambu, prusa) in [
            ("a.gcode", true, true),
            ("A.GCODE", true, true),
            ("a.bgcode", true, true),
            ("a.BgCode", true, true),
            ("a.3mf", true, true),
            ("a.gcode.3mf", true, true),
            ("a.gco", true, true),
            ("a.g", true, true),
            ("a.gc", true, true),
            ("SPICE~1.BGC", true, true),
            ("Würfel", true, false),
            ("v1.2", true, false),
            ("a.png", false, false),
            ("a.stl", false, false),
            ("a.txt", false, false),
            (".gcode", true, false),
        ] {
            for (kind, expected) in [(BambuLab, bambu), (PrusaLink, prusa)] {
                let title = if kind == BambuLab { "t" } else { name };
                let decided =
                    decide(&job("t", None, JobStatus::Running), &start(Some(title), Some(name)), kind);
                assert_eq!(decided.is_some(), expected, "{name} {kind:?}");
                assert!(decided.is_none_or(|decided| decided == name));
            }
        }
    }

    #[test]
    fn only_while_the_print_is_on() {
        for status in [JobStatus::Preparing, JobStatus::Running, JobStatus::Paused] {
            let decided = decide(&job("A", None, status), &start(Some("A"), None), PrinterType::BambuLab);
            assert_eq!(decided.as_deref(), Some("A"), "{status:?}");
        }
        for status in [JobStatus::Pending, JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled] {
            assert_eq!(decide(&job("A", None, status), &start(Some("A"), None), PrinterType::BambuLab), None);
        }
    }

    #[test]
    fn calibrations_and_prints_without_a_name_have_no_file() {
        let running = |name: &str, file| job(name, file, JobStatus::Running);
        let system = Start { origin: Origin::System, ..start(Some("auto_cali"), None) };
        assert_eq!(decide(&running("auto_cali", None), &system, PrinterType::BambuLab), None);
        let file = Some("/usr/etc/print/auto_cali_for_user.gcode");
        assert_eq!(decide(&running("cali", file), &start(None, file), PrinterType::BambuLab), None);
        assert_eq!(decide(&running(UNNAMED, None), &Start::default(), PrinterType::BambuLab), None);
    }

    #[test]
    fn the_name_is_the_one_people_know() {
        let running = job("Title", Some("/data/Metadata/plate_2.gcode"), JobStatus::Running);
        let shown = start(Some("Title"), Some("/data/Metadata/plate_2.gcode"));
        assert_eq!(decide(&running, &shown, PrinterType::BambuLab).as_deref(), Some("Title"));
        // Before the printer's report is shown the job's own words have to do, for the search as well.
        let known = named(&running, &Start::default());
        assert_eq!((known.title.as_deref(), known.file), (Some("Title"), running.file.clone()));
        assert_eq!(named(&running, &start(Some("Other"), None)).title.as_deref(), Some("Other"));
        assert_eq!(decide(&running, &Start::default(), PrinterType::BambuLab).as_deref(), Some("Title"));
        let dotted = start(Some("holder.stl"), Some("/data/Metadata/plate_1.gcode"));
        assert_eq!(decide(&running, &dotted, PrinterType::BambuLab).as_deref(), Some("holder.stl"));
        let on_card = start(Some("Title"), Some("cache/Title.3mf"));
        assert_eq!(decide(&running, &on_card, PrinterType::BambuLab).as_deref(), Some("Title.3mf"));
    }
}
