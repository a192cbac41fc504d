//! Prusa printers with a life of their own, for demonstrations and load.

use super::command::{Command, Scene, Start};
use super::config::Config;
use super::content::{NewFile, Recipe};
use super::model::Model;
use crate::scenario::Cue;

/// How fast they send: somewhere between what people measured and what the Wi-Fi chip can do.
pub const BYTES_PER_S: u64 = 200_000;
/// The models in the order in which a fleet has them.
const MODELS: [Model; 6] = [Model::Mk4, Model::Mini, Model::Xl, Model::CoreOne, Model::Mk4s, Model::Mk35];

/// `count` printers that live `factor` times as fast: models and situations take turns, names, serial numbers and
/// passwords are unique and always the same. `first_port` 0 takes free ones.
#[must_use]
pub fn configs(count: usize, factor: f64, first_port: u16) -> Vec<Config> {
    (0..count).map(|index| config(index, factor, first_port)).collect()
}

fn config(index: usize, factor: f64, first_port: u16) -> Config {
    let model = MODELS.get(index % MODELS.len()).copied().unwrap_or(Model::Mk4);
    let mut config = Config::new(model, &password(index));
    let product = model.product_name();
    config.name = if index < MODELS.len() { product.to_owned() } else { format!("{product} {}", index + 1) };
    config.serial = model.serial(index + 1);
    config.factor = factor;
    let offset = u16::try_from(index).unwrap_or(0);
    config.port = if first_port == 0 { 0 } else { first_port.saturating_add(offset) };
    config.files = files();
    config.bytes_per_s = Some(BYTES_PER_S);
    (config.prelude, config.scenes) = if index.is_multiple_of(2) { printing() } else { finished() };
    config
}

/// A password as long as a real one may be.
#[must_use]
pub fn password(index: usize) -> String {
    format!("maker-{:09}", 271_828_182 + index)
}

/// What is on everybody's stick.
#[must_use]
pub fn files() -> Vec<NewFile> {
    let file = |path: &str, print_seconds: f64, weight_g: &[f64]| NewFile {
        path: path.into(),
        bytes: None,
        picture: None,
        recipe: Recipe { size: 400_000, print_seconds, weight_g: weight_g.to_vec(), ..Recipe::default() },
    };
    vec![
        file("Spice rack.bgcode", 7_200.0, &[86.4]),
        file("Küche/Löffelhalter.gcode", 3_000.0, &[31.2]),
        file("Küche/Haken 100 %.gcode", 1_500.0, &[9.8]),
        file("Two colours.bgcode", 5_400.0, &[22.5, 4.1]),
    ]
}

fn start(path: &str) -> Command {
    Command::StartPrint(Start { path: path.into(), print_seconds: None, asks_first: false })
}

fn after(seconds: f64, order: Command) -> Scene {
    Scene { cue: Cue::Seconds(seconds), order }
}

/// The time of the scene that follows begins at the print's end.
fn ended() -> Scene {
    Scene { cue: Cue::Ended, order: Command::Idle }
}

/// In the middle of a print; others follow, one is paused for a while.
fn printing() -> (Vec<Command>, Vec<Scene>) {
    let prelude = vec![start("Spice rack.bgcode"), Command::Advance { seconds: 2_500.0 }];
    let scenes = vec![
        ended(),
        after(400.0, start("Küche/Löffelhalter.gcode")),
        Scene { cue: Cue::Percent(50), order: Command::Pause },
        after(400.0, Command::Resume),
        ended(),
        after(300.0, Command::Leave),
        after(200.0, start("Two colours.bgcode")),
        ended(),
        after(300.0, start("Spice rack.bgcode")),
    ];
    (prelude, scenes)
}

/// Done and waiting for somebody; later one print asks a question, and one is stopped.
fn finished() -> (Vec<Command>, Vec<Scene>) {
    let prelude = vec![start("Küche/Haken 100 %.gcode"), Command::Advance { seconds: 3_000.0 }];
    let asking = Start { path: "Two colours.bgcode".into(), print_seconds: Some(2_400.0), asks_first: true };
    let scenes = vec![
        after(900.0, Command::Leave),
        after(300.0, Command::StartPrint(asking)),
        after(200.0, Command::Answer),
        ended(),
        after(500.0, start("Küche/Löffelhalter.gcode")),
        Scene { cue: Cue::Percent(30), order: Command::Stop },
        ended(),
        after(300.0, Command::Leave),
        after(300.0, start("Küche/Haken 100 %.gcode")),
        ended(),
    ];
    (prelude, scenes)
}

#[cfg(test)]
mod tests {
    use super::super::printer::Printer;
    use super::*;

    #[test]
    fn a_fleet_has_unique_printers_in_two_situations() {
        let configs = configs(8, 0.0, 0);
        let mut names: Vec<_> = configs.iter().map(|config| config.name.clone()).collect();
        names.extend(configs.iter().map(|config| config.serial.clone()));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 16);
        assert!(configs.iter().all(|config| config.password.len() == 15));
        let printers: Vec<_> =
            configs.into_iter().take(2).map(|config| Printer::start(config).expect("a printer")).collect();
        let states: Vec<_> = printers.iter().map(|printer| printer.status().state).collect();
        assert_eq!(states, ["PRINTING", "FINISHED"]);
    }

    #[test]
    fn the_scenes_go_round_for_days() {
        for index in 0..2 {
            let printer = Printer::start(config(index, 0.0, 0)).expect("a printer");
            let mut states = Vec::new();
            for _ in 0..4_000 {
                printer.command(Command::Advance { seconds: 60.0 }).expect("time passes");
                let state = printer.status().state;
                if states.last() != Some(&state) {
                    states.push(state);
                }
            }
            let wanted: &[&str] = if index == 0 {
                &["PRINTING", "PAUSED", "FINISHED", "IDLE"]
            } else {
                &["ATTENTION", "STOPPED", "FINISHED"]
            };
            for state in wanted {
                let count = states.iter().filter(|other| *other == state).count();
                assert!(count > 5, "{index}: {state} {count} times");
            }
        }
    }
}
