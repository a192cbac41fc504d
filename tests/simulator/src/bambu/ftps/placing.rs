//! Where the file of a print lies, what it is called, and when it is there: by model, by who ordered the print, and by
//! the plan's own wishes. Pure, apart from the card that is written to.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::config::Config;
use super::super::machine::{Machine, whole};
use super::super::model::Model;
use super::super::names::shown_name;
use super::super::plan::{PrintPlan, Source, Step};
use super::files::{Content, Files};
use crate::archive::noise::Noise;
use crate::archive::{Filament, Recipe};

/// Bytes of a print's file unless the plan says more: small enough for a demonstration on a slow machine.
const SIZE_USUAL: u64 = 600_000;
/// Files from here on are made before the print is reported, so that nobody waits for them, and measures that.
const MADE_BEFORE: u64 = 2_000_000;
/// Seconds into RUNNING after which a file that had vanished is back.
const BACK_AFTER_S: f64 = 5.0;
/// Seconds that a growing file takes from its first half to its second where no download is shown.
const GROWTH_S: f64 = 10.0;

/// The file of a print.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilePlan {
    /// Bytes, to the byte, unless that is too few for a whole archive (some 40 000).
    pub size: u64,
    /// Plates in the archive beside the one that is printed.
    pub plates: Vec<u32>,
    /// Other moves under the same name, as when it was sliced again.
    pub revision: u64,
    /// Where it lies.
    pub place: Place,
    /// It is there so many simulated seconds after RUNNING began, and not before.
    pub late_s: Option<f64>,
    /// It is seen growing while it is written.
    pub grows: bool,
    /// It vanishes while the printer prepares, and comes back when it prints.
    pub vanishes: bool,
    /// What it holds, in place of an archive made for it.
    #[serde(skip)]
    pub content: Option<Content>,
}

impl Default for FilePlan {
    fn default() -> Self {
        Self {
            size: SIZE_USUAL,
            plates: Vec::new(),
            revision: 0,
            place: Place::Usual,
            late_s: None,
            grows: false,
            vanishes: false,
            content: None,
        }
    }
}

/// Where the file lies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Where the model puts it.
    #[default]
    Usual,
    /// In `/`, under the usual name: some A1 do so with files from the cloud.
    Root,
    /// In `/cache`, under the usual name.
    Cache,
    /// In `/model`, under the usual name.
    Model,
    /// Under this path and no other.
    Path(String),
    /// Nowhere that FTPS shows.
    Nowhere,
}

/// The folders of a fresh card. `/cache` comes with the first file from the cloud.
#[must_use]
pub fn folders(model: Model) -> &'static [&'static str] {
    match model {
        Model::X1c => &["/model", "/timelapse", "/ipcam", "/logger", "/verify_job"],
        Model::P1s => &["/models", "/timelapse", "/image", "/logger"],
        Model::A1 => &["/timelapse", "/image", "/logger"],
        Model::A1Mini => &["/model", "/timelapse", "/image", "/logger"],
        Model::H2d | Model::P2s => &["/timelapse", "/ipcam"],
    }
}

/// The name that the file has on the card.
#[must_use]
pub fn file_name(plan: &PrintPlan, model: Model) -> String {
    let shown = shown_name(&plan.name);
    match plan.source {
        Source::Cloud => format!("{shown}.3mf"),
        Source::Screen if !model.hides_the_file() => format!("{shown}.3mf"),
        Source::Screen | Source::Lan | Source::SdCard | Source::Calibration => format!("{shown}.gcode.3mf"),
    }
}

/// The path of the file; [`None`] where FTPS does not show it.
#[must_use]
pub fn path(plan: &PrintPlan, model: Model, stores_sent_files: bool) -> Option<String> {
    let name = file_name(plan, model);
    let is_internal = model.has_internal_storage() && !stores_sent_files && plan.source != Source::SdCard;
    match &plan.file.place {
        _ if plan.source == Source::Calibration => None,
        Place::Path(path) => Some(path.clone()),
        Place::Nowhere => None,
        Place::Root => Some(format!("/{name}")),
        Place::Cache => Some(format!("/cache/{name}")),
        Place::Model => Some(format!("/model/{name}")),
        Place::Usual if is_internal => None,
        Place::Usual if plan.source == Source::Cloud => Some(format!("/cache/{name}")),
        Place::Usual => Some(format!("/{name}")),
    }
}

/// A moment in a print; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Moment {
    /// It was ordered.
    Order,
    /// The download has come to this percentage.
    Download(u8),
    /// Simulated seconds after RUNNING began.
    Running(f64),
}

/// What happens to a file.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Put(String, Content, u8),
    Remove(String),
}

/// The file of the print that was started last, on its way to the card.
#[derive(Debug, Default)]
pub struct PrintedFile {
    coming: VecDeque<(Moment, Change)>,
    now: Option<Moment>,
}

impl PrintedFile {
    /// The file of `machine`'s print.
    #[must_use]
    pub fn of(machine: &Machine, config: &Config) -> Self {
        let Some(plan) = machine.plan() else { return Self::default() };
        let Some(path) = path(plan, machine.model, config.stores_sent_files) else { return Self::default() };
        let recipe = Arc::new(recipe(plan, machine, config));
        let content = match &plan.file.content {
            Some(content) => content.clone(),
            None => Content::archive(Arc::clone(&recipe)),
        };
        if plan.file.size >= MADE_BEFORE {
            let _ = content.get();
        }
        let mut coming: Vec<(Moment, Change)> = changes(plan, machine.model)
            .into_iter()
            .map(|(moment, percent)| match percent {
                Some(percent) => (moment, Change::Put(path.clone(), content.clone(), percent)),
                None => (moment, Change::Remove(path.clone())),
            })
            .collect();
        if plan.source == Source::Cloud && !machine.model.hides_the_file() {
            let last = coming.last().map_or(Moment::Order, |(moment, _)| *moment);
            let beside = beside(plan, &recipe).into_iter();
            coming.extend(beside.map(|(path, content)| (last, Change::Put(path, content, 100))));
        }
        Self { coming: coming.into(), now: Some(Moment::Order) }
    }

    /// The print has come to a step.
    pub fn step(&mut self, step: &Step, files: &Files) {
        let moment = match step {
            Step::Download(percent) => Moment::Download(*percent),
            Step::Run(_) => Moment::Running(0.0),
            _ => return self.apply(files),
        };
        if self.now.is_some_and(|now| now < moment) {
            self.now = Some(moment);
        }
        self.apply(files);
    }

    /// Simulated time has passed.
    pub fn advance(&mut self, seconds: f64, files: &Files) {
        if let Some(Moment::Running(running_s)) = &mut self.now {
            *running_s += seconds;
            self.apply(files);
        }
    }

    /// Simulated seconds until something happens by itself.
    #[must_use]
    pub fn until_next(&self) -> Option<f64> {
        match (self.now?, self.coming.front()?.0) {
            (Moment::Running(now), Moment::Running(then)) => Some((then - now).max(0.0)),
            _ => None,
        }
    }

    fn apply(&mut self, files: &Files) {
        let Some(now) = self.now else { return };
        let is_due = |moment: Moment| match (moment, now) {
            (Moment::Running(then), Moment::Running(now)) => now + 1e-9 >= then,
            (moment, now) => moment <= now,
        };
        while self.coming.front().is_some_and(|(moment, _)| is_due(*moment)) {
            match self.coming.pop_front() {
                Some((_, Change::Put(path, content, percent))) => files.put_in_part(&path, content, percent),
                Some((_, Change::Remove(path))) => {
                    files.remove(&path);
                }
                None => {}
            }
        }
    }
}

/// When so much of the file is there, of 100 parts; [`None`] when it is taken away.
fn changes(plan: &PrintPlan, model: Model) -> Vec<(Moment, Option<u8>)> {
    let file = &plan.file;
    if let Some(late_s) = file.late_s {
        let late_s = late_s.max(0.0);
        let whole = (Moment::Running(late_s + if file.grows { GROWTH_S } else { 0.0 }), Some(100));
        let half = file.grows.then_some((Moment::Running(late_s), Some(50)));
        return half.into_iter().chain([whole]).collect();
    }
    let is_downloaded = plan.source == Source::Cloud;
    let mut changes = match (is_downloaded, model.hides_the_file(), file.grows) {
        // What is sent over the LAN or lies on the card is there before the order.
        (false, ..) => vec![(Moment::Order, Some(100))],
        // The large ones write it only when they print.
        (true, true, false) => vec![(Moment::Running(0.0), Some(100))],
        (true, true, true) => vec![(Moment::Running(0.0), Some(50)), (Moment::Running(GROWTH_S), Some(100))],
        (true, false, false) => vec![(Moment::Download(100), Some(100))],
        (true, false, true) => {
            [25, 50, 75, 100].map(|percent| (Moment::Download(percent), Some(percent))).into()
        }
    };
    if file.vanishes {
        changes = vec![
            (if is_downloaded { Moment::Download(25) } else { Moment::Order }, Some(100)),
            (Moment::Download(75), None),
            (Moment::Running(BACK_AFTER_S), Some(100)),
        ];
    }
    changes
}

/// What the small models put beside a file from the cloud.
fn beside(plan: &PrintPlan, recipe: &Arc<Recipe>) -> Vec<(String, Content)> {
    let name = shown_name(&plan.name);
    let plate = plan.plate;
    // Some keep the archive in the root, and then the side file carries the plate's number.
    let bbl = match plan.file.place {
        Place::Root => format!("/cache/{plate}_{name}.bbl"),
        _ => format!("/cache/{name}.bbl"),
    };
    let number = Noise::of(&name).below(900_000_000) + 100_000_000;
    vec![
        (bbl, Content::bytes(format!("{{\"plate\":{plate}}}").into_bytes())),
        (format!("/cache/{name}_plate_{plate}.gcode"), Content::gcode(Arc::clone(recipe))),
        (format!("/image/{number}.png"), Content::small_cover(Arc::clone(recipe))),
    ]
}

/// What the archive of a print is made from.
fn recipe(plan: &PrintPlan, machine: &Machine, config: &Config) -> Recipe {
    let mut plates = plan.file.plates.clone();
    plates.push(plan.plate);
    plates.sort_unstable();
    plates.dedup();
    let trays: Vec<_> = machine.units.iter().flat_map(|unit| &unit.trays).collect();
    let filaments = plan
        .trays
        .iter()
        .map(|tray| {
            let tray = trays.get(usize::from(*tray)).filter(|tray| tray.is_filled);
            let colour = tray.map_or("808080", |tray| tray.colour.get(..6).unwrap_or("808080"));
            Filament { kind: tray.map_or("PLA", |tray| &tray.kind).to_owned(), colour: format!("#{colour}") }
        })
        .collect();
    let owner = config.file_seed.map_or_else(|| config.serial.clone(), |seed| seed.to_string());
    Recipe {
        name: plan.name.clone(),
        printer: machine.model.product_name().into(),
        model_id: machine.model.code().into(),
        plates,
        plate: plan.plate,
        layers: plan.layers,
        print_seconds: u64::from(whole(plan.print_seconds)),
        calibration_seconds: u64::from(whole(plan.calibration_seconds)),
        filaments,
        size: plan.file.size,
        seed: Noise::of(&format!("{owner} {} {}", plan.name, plan.file.revision)).draw(),
    }
}
