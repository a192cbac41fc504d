//! Printers with a life of their own, for demonstrations and load.

use std::time::Duration;

use crate::bambu::{
    Command, Config, Model, Outcome, PauseReason, PrintPlan, Printer, Scenario, Scene, Source, StartError,
};
use crate::scenario::Cue;

/// Printers in one fleet; each has three threads and two ports.
pub const FLEET_SIZE_MAX: usize = 64;
/// From a printer's MQTT port to its FTPS port where ports are given: beyond those of any fleet beside this one.
pub const FTPS_PORTS_ABOVE: u16 = 1_000;
/// The models in the order in which a fleet has them; the first four make the demonstration.
const MODELS: [Model; 6] = [Model::X1c, Model::P1s, Model::A1Mini, Model::H2d, Model::A1, Model::P2s];

/// What a fleet is made from.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// How many printers, at most [`FLEET_SIZE_MAX`].
    pub count: usize,
    /// Reports a second of each.
    pub rate: f64,
    /// Simulated seconds in a real one.
    pub factor: f64,
    /// The first printer's port, the others follow; the FTPS ports lie [`FTPS_PORTS_ABOVE`] them. 0 takes free ones.
    pub first_port: u16,
}

impl Default for Fleet {
    /// Four printers that live twenty times as fast and report once a second.
    fn default() -> Self {
        Self { count: 4, rate: 1.0, factor: 20.0, first_port: 0 }
    }
}

impl Fleet {
    /// The configurations: models and situations take turns, names and serial numbers are unique and always
    /// the same.
    #[must_use]
    pub fn configs(&self) -> Vec<Config> {
        (0..self.count.min(FLEET_SIZE_MAX)).map(|index| self.config(index)).collect()
    }

    fn config(&self, index: usize) -> Config {
        let model = MODELS.get(index % MODELS.len()).copied().unwrap_or(Model::A1);
        let serial = format!("{}00A{:09}", model.serial_prefix(), index + 1);
        let mut config = Config::new(model, &serial, &format!("{:08}", 31_415_926 + index));
        let product = model.product_name().trim_start_matches("Bambu Lab ");
        config.name =
            if index < MODELS.len() { product.to_owned() } else { format!("{product} {}", index + 1) };
        config.report_interval = Some(Duration::from_secs_f64(1.0 / self.rate.clamp(0.01, 1_000.0)));
        config.factor = self.factor;
        let offset = u16::try_from(index).unwrap_or(0);
        if self.first_port > 0 {
            config.port = self.first_port.saturating_add(offset);
            config.ftps_port = config.port.saturating_add(FTPS_PORTS_ABOVE);
        }
        let (prelude, scenes) = match index % 4 {
            0 => printing(),
            1 => paused(),
            2 => finished(),
            _ => preparing(),
        };
        config.prelude = prelude;
        config.scenario = Scenario { scenes };
        config
    }
}

/// Starts printers side by side, since each makes its keys; the order stays.
///
/// # Errors
/// The first printer that could not be started; the others are stopped again.
pub fn start(configs: Vec<Config>) -> Result<Vec<Printer>, StartError> {
    std::thread::scope(|scope| {
        let starts: Vec<_> =
            configs.into_iter().map(|config| scope.spawn(move || Printer::start(config))).collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn start_print(plan: PrintPlan) -> Command {
    Command::StartPrint { plan }
}

fn advance(seconds: f64) -> Command {
    Command::Advance { seconds }
}

fn after(seconds: f64, order: Command) -> Scene {
    Scene { cue: Cue::Seconds(seconds), order }
}

fn at(percent: u32, order: Command) -> Scene {
    Scene { cue: Cue::Percent(percent), order }
}

/// The time of the scene that follows begins at the print's end.
fn ended() -> Scene {
    Scene { cue: Cue::Ended, order: Command::Report }
}

fn plan(name: &str, print_seconds: f64, layers: u32) -> PrintPlan {
    PrintPlan { name: name.into(), print_seconds, layers, ..PrintPlan::default() }
}

/// In the middle of a print of two colours; prints come one after the other.
fn printing() -> (Vec<Command>, Vec<Scene>) {
    let dragon = PrintPlan { trays: vec![0, 4], ..plan("Dragon two-colour", 7_200.0, 412) };
    let planter = PrintPlan { source: Source::Lan, plate: 2, ..plan("Planter - Plate 2", 3_600.0, 240) };
    let prelude = vec![start_print(dragon.clone()), advance(3_000.0)];
    let scenes = vec![
        ended(),
        after(300.0, start_print(planter)),
        ended(),
        after(300.0, start_print(plan("Würfel", 1_800.0, 120))),
        ended(),
        after(300.0, start_print(dragon)),
    ];
    (prelude, scenes)
}

/// Out of filament; people come by and see to it.
fn paused() -> (Vec<Command>, Vec<Scene>) {
    let bracket = plan("Shelf bracket", 5_400.0, 300);
    let runout = Command::Pause { reason: PauseReason::Runout };
    let prelude = vec![start_print(bracket.clone()), advance(2_400.0), runout.clone()];
    let scenes = vec![
        after(1_500.0, Command::Resume),
        at(70, Command::Pause { reason: PauseReason::User }),
        after(300.0, Command::Resume),
        ended(),
        after(400.0, start_print(bracket)),
        at(30, runout),
    ];
    (prelude, scenes)
}

/// Done and waiting for somebody to take the print off; later one is cancelled, and one fails.
fn finished() -> (Vec<Command>, Vec<Scene>) {
    let prelude = vec![start_print(plan("Würfel: groß", 1_800.0, 90)), advance(3_000.0)];
    let screen = PrintPlan { source: Source::Screen, ..plan("Benchy", 1_500.0, 240) };
    let cancelled = PrintPlan { outcome: Outcome::CancelledAt(40), ..plan("Wrong file", 1_500.0, 80) };
    let failed = PrintPlan { outcome: Outcome::FailedAt(60), ..plan("Tall tower", 2_400.0, 600) };
    let scenes = vec![
        after(900.0, start_print(screen)),
        ended(),
        after(400.0, Command::Reset),
        after(300.0, start_print(cancelled)),
        ended(),
        after(400.0, start_print(failed)),
        ended(),
        after(400.0, Command::Reset),
    ];
    (prelude, scenes)
}

/// Warming up; between its prints it calibrates itself.
fn preparing() -> (Vec<Command>, Vec<Scene>) {
    let gears = PrintPlan { calibration_seconds: 900.0, ..plan("Gear set", 2_700.0, 160) };
    let lan = PrintPlan { source: Source::Lan, ..plan("Hose adapter", 1_800.0, 140) };
    let calibration = PrintPlan { source: Source::Calibration, ..PrintPlan::default() };
    let prelude = vec![start_print(gears.clone()), advance(8.0)];
    let scenes = vec![
        ended(),
        after(200.0, start_print(calibration)),
        ended(),
        after(200.0, start_print(lan)),
        ended(),
        after(300.0, start_print(gears)),
    ];
    (prelude, scenes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_has_unique_printers_and_the_demonstration_four_situations() {
        let configs = Fleet { count: 12, ..Fleet::default() }.configs();
        let mut serials: Vec<_> = configs.iter().map(|config| config.serial.clone()).collect();
        let mut names: Vec<_> = configs.iter().map(|config| config.name.clone()).collect();
        serials.sort();
        serials.dedup();
        names.sort();
        names.dedup();
        assert_eq!((serials.len(), names.len()), (12, 12));
        assert!(serials.iter().all(|serial| serial.len() == 15));

        // The clock stands: on a busy machine the first would have gone on before the last is there.
        let still = |config| Config { factor: 0.0, ..config };
        let configs = Fleet::default().configs().into_iter().map(still).collect();
        let printers = start(configs).expect("four printers");
        let states: Vec<_> = printers.iter().map(|printer| printer.status().gcode_state).collect();
        assert_eq!(states, ["RUNNING", "PAUSE", "FINISH", "PREPARE"]);
    }

    #[test]
    fn the_scenes_go_round_for_days() {
        let config = Config { factor: 0.0, report_interval: None, ..Fleet::default().config(2) };
        let printer = Printer::start(config).expect("a printer");
        let mut states = Vec::new();
        for _ in 0..2_000 {
            printer.command(advance(60.0)).expect("time passes");
            let state = printer.status().gcode_state;
            if states.last() != Some(&state) {
                states.push(state);
            }
        }
        for wanted in ["IDLE", "RUNNING", "FINISH", "FAILED"] {
            let count = states.iter().filter(|state| **state == wanted).count();
            assert!(count > 5, "{wanted} {count} times");
        }
    }
}
