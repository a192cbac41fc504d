//! Prints as a list of steps with durations, from the order to its end. Pure: the machine walks the list.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ftps::FilePlan;
use super::model::Model;

/// `print_error` after somebody pressed stop: 0300-400C.
pub const CANCELLED_BY_USER: u32 = 50_348_044;
/// `print_error` of a print that went wrong on the plate: 0300-8003 (spaghetti).
pub const SPAGHETTI: u32 = 0x0300_8003;
/// `print_error` of a file that could not be read: 0500-4003.
pub const UNREADABLE_FILE: u32 = 0x0500_4003;
/// Steps of the download that is shown while preparing.
const DOWNLOAD_STEPS: u8 = 4;
/// Simulated seconds between the last layer and FINISH.
const TAIL_SECONDS: f64 = 30.0;
/// Simulated seconds between the error code and the state that follows it.
const ERROR_SECONDS: f64 = 2.0;

/// Who ordered a print, which decides about names and ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Sent through the maker's cloud: `project_file` is echoed, ids are real.
    #[default]
    Cloud,
    /// Started at the printer's screen: IDLE with the names first, no echo, ids "0".
    Screen,
    /// Sent by a slicer on the LAN: echoed with an `ftp` address, ids "0" or a small counter.
    Lan,
    /// Ordered over the LAN from the printer's card (the stick on the newer models): echoed with a `file` address.
    SdCard,
    /// The printer's own calibration; no customer's job.
    Calibration,
}

/// How a print ends when nobody interferes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// FINISH.
    #[default]
    Finished,
    /// FAILED straight from PREPARE, never RUNNING.
    FailedPreparing,
    /// FAILED at this percentage.
    FailedAt(u8),
    /// Cancelled at this percentage.
    CancelledAt(u8),
}

/// The state that follows a cancelled print; firmware differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelEnd {
    /// FAILED.
    #[default]
    Failed,
    /// IDLE.
    Idle,
}

/// A print to be. All times are simulated seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrintPlan {
    /// The title as a person typed it, without a suffix.
    pub name: String,
    /// Who ordered it.
    pub source: Source,
    /// Its file on the printer.
    pub file: FilePlan,
    /// The plate's number, from 1.
    pub plate: u32,
    /// Number of layers.
    pub layers: u32,
    /// From the first layer to the end.
    pub print_seconds: f64,
    /// Levelling, cleaning and heating before the first layer.
    pub calibration_seconds: f64,
    /// The trays it prints from, counted over all units from 0.
    pub trays: Vec<u8>,
    /// Nozzle temperature in degrees Celsius.
    pub nozzle_temperature: f64,
    /// Bed temperature in degrees Celsius.
    pub bed_temperature: f64,
    /// How it ends.
    pub outcome: Outcome,
    /// The state after a cancellation.
    pub cancel_end: CancelEnd,
    /// Goes from the last end to PREPARE without an IDLE between, also when started at the screen.
    pub starts_directly: bool,
    /// `total_layer_num` keeps its old value until somebody asks for a full report, as it happens on real printers.
    pub withholds_layer_count: bool,
}

impl Default for PrintPlan {
    fn default() -> Self {
        Self {
            name: "Cube".into(),
            source: Source::Cloud,
            file: FilePlan::default(),
            plate: 1,
            layers: 100,
            print_seconds: 3_600.0,
            calibration_seconds: 300.0,
            trays: vec![0],
            nozzle_temperature: 220.0,
            bed_temperature: 65.0,
            outcome: Outcome::Finished,
            cancel_end: CancelEnd::Failed,
            starts_directly: false,
            withholds_layer_count: false,
        }
    }
}

/// What happens at one moment of a print.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The order is echoed on the report topic.
    Announce,
    /// IDLE, with the names of what comes next.
    ShowNames,
    /// PREPARE with names and ids.
    Prepare,
    /// The download has come to this percentage.
    Download(u8),
    /// RUNNING with the list of stages.
    Run(Vec<i64>),
    /// One stage of the calibration.
    Stage(i64),
    /// Prints from one fraction of the whole to another.
    Layers(f64, f64),
    /// Everything printed; the nozzle retracts and parks.
    Tail,
    /// FINISH.
    Finish,
    /// An error code shows while the state is still the old one.
    Error(u32),
    /// FAILED.
    Fail,
    /// IDLE without names.
    Rest,
}

/// A step and how long it lasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// What happens when it begins.
    pub step: Step,
    /// Simulated seconds until the next one.
    pub seconds: f64,
}

/// The steps of `plan` on `model` from the order to the end.
#[must_use]
pub fn segments(plan: &PrintPlan, model: Model) -> VecDeque<Segment> {
    let mut steps = VecDeque::new();
    let mut push = |step, seconds| steps.push_back(Segment { step, seconds });
    match plan.source {
        Source::Cloud | Source::Lan | Source::SdCard => push(Step::Announce, 3.0),
        Source::Screen if !plan.starts_directly => push(Step::ShowNames, 2.0),
        Source::Screen | Source::Calibration => {}
    }
    push(Step::Prepare, 2.0);
    if matches!(plan.source, Source::Cloud | Source::Lan) {
        for part in 1..=DOWNLOAD_STEPS {
            push(Step::Download(part * (100 / DOWNLOAD_STEPS)), 2.5);
        }
    }
    if plan.outcome == Outcome::FailedPreparing {
        push(Step::Error(UNREADABLE_FILE), ERROR_SECONDS);
        push(Step::Fail, 0.0);
        return steps;
    }
    let stages = stages(plan, model);
    let stage_seconds = plan.calibration_seconds / f64::from(u32::try_from(stages.len()).unwrap_or(1));
    push(Step::Run(stages.clone()), 3.0);
    for stage in stages {
        push(Step::Stage(stage), stage_seconds);
    }
    if plan.source == Source::Calibration {
        push(Step::Finish, 0.0);
        return steps;
    }
    let end = match plan.outcome {
        Outcome::Finished | Outcome::FailedPreparing => 1.0,
        Outcome::FailedAt(percent) | Outcome::CancelledAt(percent) => f64::from(percent.min(100)) / 100.0,
    };
    push(Step::Layers(0.0, end), plan.print_seconds * end);
    match plan.outcome {
        Outcome::Finished | Outcome::FailedPreparing => {
            push(Step::Tail, TAIL_SECONDS);
            push(Step::Finish, 0.0);
        }
        Outcome::FailedAt(_) => {
            push(Step::Error(SPAGHETTI), ERROR_SECONDS);
            push(Step::Fail, 0.0);
        }
        Outcome::CancelledAt(_) => steps.extend(cancellation(plan.cancel_end)),
    }
    steps
}

/// The steps after somebody pressed stop.
#[must_use]
pub fn cancellation(end: CancelEnd) -> [Segment; 2] {
    let last = match end {
        CancelEnd::Failed => Step::Fail,
        CancelEnd::Idle => Step::Rest,
    };
    [
        Segment { step: Step::Error(CANCELLED_BY_USER), seconds: ERROR_SECONDS },
        Segment { step: last, seconds: 0.0 },
    ]
}

/// The steps of a print that breaks with `error`.
#[must_use]
pub fn failure(error: u32) -> [Segment; 2] {
    [Segment { step: Step::Error(error), seconds: ERROR_SECONDS }, Segment { step: Step::Fail, seconds: 0.0 }]
}

fn stages(plan: &PrintPlan, model: Model) -> Vec<i64> {
    match (plan.source, model) {
        (Source::Calibration, _) => vec![13, 14, 1, 3, 25],
        (_, Model::X1c) => vec![2, 13, 11, 14, 1, 8, 10],
        (_, Model::H2d | Model::P2s) => vec![29, 2, 13, 14, 39, 1],
        (_, Model::P1s) => vec![2, 14, 1],
        (_, Model::A1 | Model::A1Mini) => vec![2, 13, 4, 3, 14, 1, 13],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &PrintPlan) -> Vec<Step> {
        segments(plan, Model::P1s).into_iter().map(|segment| segment.step).collect()
    }

    #[test]
    fn a_cloud_print_is_announced_and_a_screen_start_is_not() {
        assert_eq!(names(&PrintPlan::default())[..2], [Step::Announce, Step::Prepare]);
        let mut plan = PrintPlan { source: Source::Screen, ..PrintPlan::default() };
        assert_eq!(names(&plan)[..2], [Step::ShowNames, Step::Prepare]);
        plan.starts_directly = true;
        assert_eq!(names(&plan)[0], Step::Prepare);
    }

    #[test]
    fn a_print_that_fails_while_preparing_never_runs() {
        let plan = PrintPlan { outcome: Outcome::FailedPreparing, ..PrintPlan::default() };
        let steps = names(&plan);
        assert!(!steps.iter().any(|step| matches!(step, Step::Run(_))));
        assert_eq!(steps.last(), Some(&Step::Fail));
    }

    #[test]
    fn a_cancelled_print_shows_the_code_before_the_state() {
        let plan = PrintPlan { outcome: Outcome::CancelledAt(40), ..PrintPlan::default() };
        let steps = names(&plan);
        assert_eq!(steps[steps.len() - 2..], [Step::Error(CANCELLED_BY_USER), Step::Fail]);
        assert!(steps.contains(&Step::Layers(0.0, 0.4)));
    }
}
