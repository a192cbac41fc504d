//! The printer's inside: heaters, trays and the print that is under way. Pure: it is told how much time has passed
//! (only its names look at the wall clock, for two fields), and a seeded generator makes its noise.

use std::collections::VecDeque;

use serde_json::Value;

use super::model::Model;
use super::names::{self, Names};
use super::plan::{self, CancelEnd, PrintPlan, Segment, Source, Step};
use super::tray::{Unit, default_units};

/// Degrees Celsius of the room.
const ROOM: f64 = 24.0;
/// What models without a chamber thermometer say.
pub const CHAMBER_DUMMY: f64 = 5.0;

/// A heater with its time constants in simulated seconds.
#[derive(Debug, Clone, Copy)]
pub struct Heater {
    /// Degrees Celsius now.
    pub current: f64,
    /// Degrees Celsius wanted; 0 is off.
    pub target: f64,
    constant_s: f64,
}

impl Heater {
    const fn new(constant_s: f64) -> Self {
        Self { current: ROOM, target: 0.0, constant_s }
    }

    fn advance(&mut self, seconds: f64) {
        let goal = self.target.max(ROOM);
        self.current += (goal - self.current) * (1.0 - (-seconds / self.constant_s).exp());
    }
}

/// Why a print stands still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// Somebody pressed pause: stage 16.
    #[default]
    User,
    /// The filament ran out: stage 6, an error code and a health message.
    Runout,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Which model it is.
    pub model: Model,
    /// `gcode_state`.
    pub state: &'static str,
    /// The names and ids that are shown.
    pub names: Names,
    /// The plate being printed, from 1.
    pub plate: u32,
    /// `mc_percent`.
    pub percent: u32,
    /// `mc_remaining_time`, minutes.
    pub remaining_minutes: u32,
    /// `layer_num`.
    pub layer: u32,
    /// `total_layer_num`.
    pub layer_count: u32,
    /// `gcode_file_prepare_percent`.
    pub prepare_percent: u8,
    /// `stg`.
    pub stages: Vec<i64>,
    /// `stg_cur`.
    pub stage: i64,
    /// `print_error`.
    pub error: u32,
    /// `hms`: pairs of attribute and code.
    pub health: Vec<(u32, u32)>,
    /// One or two nozzles; index 0 is the right one.
    pub nozzles: Vec<Heater>,
    /// Index of the nozzle in use.
    pub active_nozzle: usize,
    /// The bed.
    pub bed: Heater,
    /// The chamber, warmed by the bed.
    pub chamber: Heater,
    /// Part cooling, 0 to 15.
    pub fan: u8,
    /// The chamber light.
    pub is_lit: bool,
    /// dBm.
    pub wifi: i32,
    /// `spd_lvl`, 1 to 4.
    pub speed_level: u8,
    /// Whether sent files are stored where FTPS shows them, also on models with a memory of their own.
    pub stores_sent_files: bool,
    /// The multi-colour units.
    pub units: Vec<Unit>,
    /// `ams.tray_now`: 255 none, 254 external, else unit times four plus slot.
    pub tray_now: u8,
    /// Line of the print file.
    pub line: u64,
    plan: Option<PrintPlan>,
    left: VecDeque<Segment>,
    current: Option<Segment>,
    elapsed_s: f64,
    is_paused: bool,
    prints_started: u32,
    noise: u64,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongState {
    /// There is a print already.
    Busy,
    /// There is no print, or it is not in the state that this order needs.
    NotPrinting,
}

impl Machine {
    /// A machine that was just switched on. The serial number seeds its noise.
    #[must_use]
    pub fn new(model: Model, serial: &str, unit_count: usize) -> Self {
        Self {
            model,
            state: "IDLE",
            names: Names::idle(model),
            plate: 1,
            percent: 0,
            remaining_minutes: 0,
            layer: 0,
            layer_count: 0,
            prepare_percent: 0,
            stages: Vec::new(),
            // Freshly booted printers say 0, which elsewhere means printing.
            stage: 0,
            error: 0,
            health: Vec::new(),
            nozzles: vec![Heater::new(25.0); model.nozzle_count()],
            active_nozzle: 0,
            bed: Heater::new(60.0),
            chamber: Heater::new(600.0),
            fan: 0,
            is_lit: true,
            wifi: -52,
            speed_level: 2,
            stores_sent_files: false,
            units: default_units(unit_count),
            tray_now: 255,
            line: 0,
            plan: None,
            left: VecDeque::new(),
            current: None,
            elapsed_s: 0.0,
            is_paused: false,
            prints_started: 0,
            noise: serial.bytes().fold(0x9e37_79b9, |sum, byte| sum.wrapping_mul(31) ^ u64::from(byte)),
        }
    }

    /// Whether a print is under way, paused ones included.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// The print that is under way.
    #[must_use]
    pub fn plan(&self) -> Option<&PrintPlan> {
        self.plan.as_ref()
    }

    /// The step at which it is.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        self.current.as_ref().map(|segment| &segment.step)
    }

    /// How many prints were started.
    #[must_use]
    pub fn prints_started(&self) -> u32 {
        self.prints_started
    }

    /// Starts a print. The message is the echo of the order, to be published before the next report.
    ///
    /// # Errors
    /// [`WrongState::Busy`].
    pub fn start(&mut self, plan: PrintPlan) -> Result<Option<Value>, WrongState> {
        if self.is_busy() {
            return Err(WrongState::Busy);
        }
        self.prints_started += 1;
        self.left = plan::segments(&plan, self.model);
        self.plan = Some(plan);
        self.is_paused = false;
        Ok(self.next_step())
    }

    /// Pauses the print.
    ///
    /// # Errors
    /// [`WrongState::NotPrinting`] unless the state is RUNNING.
    pub fn pause(&mut self, reason: PauseReason) -> Result<(), WrongState> {
        if self.state != "RUNNING" {
            return Err(WrongState::NotPrinting);
        }
        self.is_paused = true;
        self.state = "PAUSE";
        match reason {
            PauseReason::User => self.stage = 16,
            PauseReason::Runout => {
                self.stage = 6;
                self.error = 0x0700_8011;
                self.health = vec![(0x0700_2000, 0x0002_0001)];
            }
        }
        Ok(())
    }

    /// Goes on with a paused print.
    ///
    /// # Errors
    /// [`WrongState::NotPrinting`] unless the state is PAUSE.
    pub fn resume(&mut self) -> Result<(), WrongState> {
        if self.state != "PAUSE" {
            return Err(WrongState::NotPrinting);
        }
        self.is_paused = false;
        self.state = "RUNNING";
        self.error = 0;
        self.health.clear();
        self.stage = match self.current.as_ref().map(|segment| &segment.step) {
            Some(Step::Stage(stage)) => *stage,
            _ => 0,
        };
        Ok(())
    }

    /// Somebody presses stop.
    ///
    /// # Errors
    /// [`WrongState::NotPrinting`] when there is no print.
    pub fn cancel(&mut self, end: Option<CancelEnd>) -> Result<(), WrongState> {
        let end = end.or(self.plan.as_ref().map(|plan| plan.cancel_end)).unwrap_or_default();
        self.break_off(plan::cancellation(end))
    }

    /// The print breaks with `error`.
    ///
    /// # Errors
    /// [`WrongState::NotPrinting`] when there is no print.
    pub fn fail(&mut self, error: u32) -> Result<(), WrongState> {
        self.break_off(plan::failure(error))
    }

    fn break_off(&mut self, segments: [Segment; 2]) -> Result<(), WrongState> {
        if !self.is_busy() {
            return Err(WrongState::NotPrinting);
        }
        self.is_paused = false;
        self.left = segments.into();
        // The error step is silent on the report topic, so there is no message to lose here.
        self.next_step();
        Ok(())
    }

    /// Back to IDLE without names, whatever was going on, as after a power cycle. Heat and trays stay.
    pub fn reset(&mut self) {
        let fresh = Self::new(self.model, "", 0);
        *self = Self {
            nozzles: self.nozzles.iter().map(|heater| Heater { target: 0.0, ..*heater }).collect(),
            bed: Heater { target: 0.0, ..self.bed },
            chamber: Heater { target: 0.0, ..self.chamber },
            units: std::mem::take(&mut self.units),
            is_lit: self.is_lit,
            stores_sent_files: self.stores_sent_files,
            speed_level: self.speed_level,
            prints_started: self.prints_started,
            noise: self.noise,
            ..fresh
        };
    }

    /// Shows the number of layers, which a plan may have withheld; a full report does it.
    pub fn reveal_layer_count(&mut self) {
        let Some(plan) = self.plan.as_ref().filter(|_| matches!(self.state, "RUNNING" | "PAUSE")) else {
            return;
        };
        self.layer_count = if plan.source == Source::Calibration { 0 } else { plan.layers };
    }

    /// Simulated seconds until the next step of the print; `None` when nothing will happen by itself.
    #[must_use]
    pub fn until_next_step(&self) -> Option<f64> {
        let segment = self.current.as_ref().filter(|_| !self.is_paused)?;
        Some((segment.seconds - self.elapsed_s).max(0.0))
    }

    /// Lets `seconds` of simulated time pass, at most up to [`Machine::until_next_step`], and takes that step
    /// when it is due. Tells whether a step was taken, with the message that goes with it.
    pub fn advance(&mut self, seconds: f64) -> Option<Option<Value>> {
        for heater in &mut self.nozzles {
            heater.advance(seconds);
        }
        self.bed.advance(seconds);
        self.chamber.target =
            if self.bed.target > 0.0 { ROOM + (self.bed.target - ROOM) * 0.35 } else { 0.0 };
        self.chamber.advance(seconds);
        let left = self.until_next_step()?;
        self.elapsed_s += seconds;
        self.show_progress();
        if seconds + 1e-9 >= left { Some(self.next_step()) } else { None }
    }

    /// Draws new noise for the fields that never rest.
    pub fn shake(&mut self) {
        self.wifi = -50 - i32::try_from(self.random() % 9).unwrap_or(0);
        let amplitude = 1.0 / 8.0;
        for index in 0..self.nozzles.len() {
            let noise = self.random_unit() * amplitude;
            if let Some(heater) = self.nozzles.get_mut(index) {
                heater.current += noise;
            }
        }
        let noise = self.random_unit() * amplitude;
        self.bed.current += noise;
        if self.state == "RUNNING" {
            self.line += 40 + self.random() % 400;
        }
    }

    /// A number in -1 to 1.
    fn random_unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.random() >> 33).unwrap_or(0)) / f64::from(1_u32 << 30) - 1.0
    }

    /// Marsaglia's xorshift: noise, nothing more.
    fn random(&mut self) -> u64 {
        let mut word = self.noise | 1;
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        self.noise = word;
        word
    }

    fn next_step(&mut self) -> Option<Value> {
        self.elapsed_s = 0.0;
        self.current = self.left.pop_front();
        let (Some(segment), Some(plan)) = (self.current.clone(), self.plan.clone()) else { return None };
        let mut message = None;
        match segment.step {
            Step::Announce => {
                message = Some(names::echo(&plan, self.model, self.stores_sent_files, self.prints_started))
            }
            Step::ShowNames => {
                self.names = Names::of(&plan, self.model, self.prints_started);
                self.state = "IDLE";
                self.error = 0;
            }
            Step::Prepare => self.prepare(&plan),
            Step::Download(percent) => self.prepare_percent = percent,
            Step::Run(stages) => {
                self.state = "RUNNING";
                self.stage = stages.first().copied().unwrap_or(0);
                self.stages = stages;
                self.layer = 0;
                self.percent = 0;
                if !plan.withholds_layer_count {
                    self.reveal_layer_count();
                }
                self.remaining_minutes = minutes(plan.print_seconds + plan.calibration_seconds);
                self.heat(140.0, plan.bed_temperature);
            }
            Step::Stage(stage) => {
                self.stage = stage;
                if stage == 4 {
                    self.tray_now = plan.trays.first().copied().unwrap_or(254);
                }
            }
            Step::Layers(..) => {
                self.stage = 0;
                self.tray_now = plan.trays.first().copied().unwrap_or(254);
                self.fan = 15;
                self.heat(plan.nozzle_temperature, plan.bed_temperature);
                self.show_progress();
            }
            Step::Tail => {
                self.stage = self.model.no_stage();
                self.fan = 0;
                self.heat(plan.nozzle_temperature, 0.0);
            }
            Step::Finish => self.end(&plan, "FINISH"),
            Step::Error(code) => self.error = code,
            Step::Fail => self.end(&plan, "FAILED"),
            Step::Rest => {
                self.end(&plan, "IDLE");
                self.names.subtask_name.clear();
            }
        }
        message
    }

    fn prepare(&mut self, plan: &PrintPlan) {
        self.names = Names::of(plan, self.model, self.prints_started);
        self.state = "PREPARE";
        self.plate = plan.plate;
        self.prepare_percent = if matches!(plan.source, Source::Screen | Source::SdCard) { 100 } else { 0 };
        self.error = 0;
        self.health.clear();
        self.stages.clear();
        self.stage = self.model.no_stage();
        self.heat(0.0, plan.bed_temperature);
    }

    fn end(&mut self, plan: &PrintPlan, state: &'static str) {
        self.state = state;
        if state == "FINISH" && plan.source != Source::Calibration {
            self.percent = 100;
            self.layer = plan.layers;
        }
        self.remaining_minutes = 0;
        self.stages.clear();
        self.stage = self.model.no_stage();
        self.names.print_type = names::idle_type(self.model).into();
        if !self.model.hides_the_file() {
            self.names.gcode_file.clear();
        }
        if self.model == Model::P1s {
            self.layer = 0;
        }
        self.tray_now = 255;
        self.fan = 0;
        self.heat(0.0, 0.0);
        self.use_filament(plan);
        self.plan = None;
        self.current = None;
        self.left.clear();
    }

    fn use_filament(&mut self, plan: &PrintPlan) {
        for &tray in &plan.trays {
            let unit = self.units.get_mut(usize::from(tray / 4));
            if let Some(tray) = unit.and_then(|unit| unit.trays.get_mut(usize::from(tray % 4))) {
                tray.use_some();
            }
        }
    }

    fn heat(&mut self, nozzle: f64, bed: f64) {
        let active = self.active_nozzle;
        for (index, heater) in self.nozzles.iter_mut().enumerate() {
            // The resting nozzle of a pair is kept warm.
            heater.target = if index == active { nozzle } else { nozzle.min(140.0) };
        }
        self.bed.target = bed;
    }

    fn show_progress(&mut self) {
        let (Some(segment), Some(plan)) = (&self.current, &self.plan) else { return };
        let Step::Layers(from, to) = segment.step else { return };
        let share = if segment.seconds > 0.0 { (self.elapsed_s / segment.seconds).min(1.0) } else { 1.0 };
        let done = from + (to - from) * share;
        self.percent = whole(done * 100.0).min(99);
        self.layer = (whole(done * f64::from(plan.layers)) + 1).min(plan.layers);
        self.remaining_minutes = minutes((1.0 - done) * plan.print_seconds);
        if plan.trays.len() > 1 {
            // Colours take turns from layer to layer; the state stays RUNNING meanwhile.
            let turn = usize::try_from(self.layer).unwrap_or(0) % plan.trays.len();
            self.tray_now = plan.trays.get(turn).copied().unwrap_or(255);
        }
    }
}

fn minutes(seconds: f64) -> u32 {
    whole((seconds / 60.0).ceil())
}

/// The whole part of a number that is never negative and far below the limit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before the conversion")]
pub fn whole(number: f64) -> u32 {
    number.clamp(0.0, f64::from(u32::MAX)) as u32
}
