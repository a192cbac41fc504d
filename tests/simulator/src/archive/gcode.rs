//! G-code as Bambu Studio writes it: the header with the figures, some of the settings, and moves.

use super::Recipe;
use super::noise::Noise;

/// Height of a layer in millimetres.
const LAYER_HEIGHT: f64 = 0.2;
/// Corners of a layer's outline; the real detail of a part is no concern of anybody here.
const CORNERS: u32 = 8;
/// Layers with moves of their own; taller parts are finished by the filling.
const LAYERS_DRAWN_MAX: u32 = 400;
/// What closes the file.
const ENDING: &str = "M400\nM18 X Y Z\nM73 P100 R0\n; EXECUTABLE_BLOCK_END\n\n";

/// The header, the settings and the moves of every layer.
#[must_use]
pub fn beginning(recipe: &Recipe, plate: u32) -> String {
    let figures = recipe.figures(plate);
    let mut text = format!(
        "; HEADER_BLOCK_START\n\
         ; BambuStudio 02.04.00.70\n\
         ; model printing time: {}; total estimated time: {}\n\
         ; total layer number: {}\n\
         ; total filament length [mm] : {}\n\
         ; total filament volume [cm^3] : {}\n\
         ; total filament weight [g] : {}\n\
         ; filament_density: {}\n\
         ; filament_diameter: {}\n\
         ; max_z_height: {:.2}\n\
         ; filament: {}\n\
         ; HEADER_BLOCK_END\n\n\
         ; CONFIG_BLOCK_START\n",
        duration(recipe.print_seconds),
        duration(figures.total_seconds),
        recipe.layers,
        list(&figures.lengths_mm, 2),
        // Cubic millimetres under the name of cubic centimetres, as this version of the slicer does it.
        list(&figures.lengths_mm.iter().map(|length| length * 2.405_28).collect::<Vec<_>>(), 2),
        list(&figures.weights_g, 2),
        list(&vec![1.24; recipe.filaments.len()], 2),
        list(&vec![1.75; recipe.filaments.len()], 2),
        f64::from(recipe.layers) * LAYER_HEIGHT,
        numbers(recipe.filaments.len()),
    );
    for (name, value) in settings(recipe) {
        text.push_str(&format!("; {name} = {value}\n"));
    }
    text.push_str(&format!(
        "; CONFIG_BLOCK_END\n\n; EXECUTABLE_BLOCK_START\nM73 P0 R{}\nM201 X12000 Y12000 Z1500 E5000\n\
         M140 S65\nM104 S220\nG28\nM83\n",
        figures.total_minutes()
    ));
    let mut noise = Noise::new(recipe.seed ^ u64::from(plate));
    for layer in 0..recipe.layers.min(LAYERS_DRAWN_MAX) {
        let height = f64::from(layer + 1) * LAYER_HEIGHT;
        let percent = layer * 100 / recipe.layers.max(1);
        text.push_str(&format!(
            "; CHANGE_LAYER\n; Z_HEIGHT: {height:.2}\n; LAYER_HEIGHT: {LAYER_HEIGHT}\nM73 L{}\nM73 P{percent} R{}\n\
             G1 Z{height:.2} F9000\n; FEATURE: Outer wall\n",
            layer + 1,
            figures.total_minutes() * (100 - percent) / 100,
        ));
        let turn = noise.unit() * 0.05;
        for corner in 0..=CORNERS {
            let (sin, cos) =
                ((f64::from(corner) / f64::from(CORNERS) + turn) * std::f64::consts::TAU).sin_cos();
            text.push_str(&format!(
                "G1 X{:.3} Y{:.3} E.{:05}\n",
                128.0 + 30.0 * cos,
                128.0 + 30.0 * sin,
                83_114
            ));
        }
    }
    text.push_str("; FEATURE: Sparse infill\n");
    text
}

/// Moves up to exactly `size` bytes, the ending of the file included. Every line is different and looks random.
#[must_use]
pub fn filling(size: usize, seed: u64) -> Vec<u8> {
    let size = size.max(ENDING.len());
    let mut bytes = Vec::with_capacity(size);
    let mut noise = Noise::new(seed);
    let room = size - ENDING.len();
    while bytes.len() < room {
        // `G1 X123.456 Y123.456 E.12345`, without the machinery of formatting: this is most of a large file.
        let word = noise.draw();
        bytes.extend_from_slice(b"G1 X");
        put_digits(&mut bytes, 100 + word % 150, 3);
        bytes.push(b'.');
        put_digits(&mut bytes, word >> 8, 3);
        bytes.extend_from_slice(b" Y");
        put_digits(&mut bytes, 100 + (word >> 20) % 150, 3);
        bytes.push(b'.');
        put_digits(&mut bytes, word >> 28, 3);
        bytes.extend_from_slice(b" E.");
        put_digits(&mut bytes, word >> 40, 5);
        bytes.push(b'\n');
    }
    bytes.truncate(room);
    if let Some(last) = bytes.last_mut() {
        *last = b'\n';
    }
    bytes.extend_from_slice(ENDING.as_bytes());
    bytes
}

/// The bytes of [`filling`] that are there in any case.
#[must_use]
pub fn filling_min() -> usize {
    ENDING.len()
}

/// The last `count` decimal digits.
fn put_digits(bytes: &mut Vec<u8>, number: u64, count: u32) {
    let mut left = 10_u64.pow(count);
    while left > 1 {
        let digit = number % left / (left / 10);
        bytes.push(b'0' + u8::try_from(digit).unwrap_or(0));
        left /= 10;
    }
}

/// The settings that both the G-code and the project carry.
#[must_use]
pub fn settings(recipe: &Recipe) -> Vec<(&'static str, String)> {
    let each = |value: &str| vec![value; recipe.filaments.len()].join(";");
    let kinds: Vec<_> = recipe.filaments.iter().map(|filament| filament.kind.as_str()).collect();
    let colours: Vec<_> = recipe.filaments.iter().map(|filament| filament.colour.as_str()).collect();
    [
        ("brim_type", "auto_brim".into()),
        ("brim_width", "5".into()),
        ("curr_bed_type", "Textured PEI Plate".into()),
        ("default_print_profile", "0.20mm Standard".into()),
        ("enable_prime_tower", if recipe.filaments.len() > 1 { "1" } else { "0" }.into()),
        ("enable_support", "0".into()),
        ("filament_colour", colours.join(";")),
        ("filament_settings_id", each("\"Generic PLA\"")),
        ("filament_type", kinds.join(";")),
        ("filament_vendor", each("Generic")),
        ("initial_layer_print_height", "0.2".into()),
        ("layer_height", "0.2".into()),
        ("nozzle_diameter", "0.4".into()),
        ("nozzle_temperature", each("220")),
        ("printer_model", recipe.printer.clone()),
        ("printer_settings_id", format!("{} 0.4 nozzle", recipe.printer)),
        ("sparse_infill_density", "15%".into()),
        ("sparse_infill_pattern", "grid".into()),
        ("support_type", "tree(auto)".into()),
        ("textured_plate_temp", each("65")),
        ("top_shell_layers", "5".into()),
        ("wall_loops", "2".into()),
    ]
    .into()
}

/// `1d 2h 3m 4s`, as far as there is something to say.
fn duration(seconds: u64) -> String {
    let parts =
        [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let first = parts.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    parts.iter().skip(first).map(|(number, unit)| format!("{number}{unit}")).collect::<Vec<_>>().join(" ")
}

fn list(numbers: &[f64], digits: usize) -> String {
    numbers.iter().map(|number| format!("{number:.digits$}")).collect::<Vec<_>>().join(",")
}

fn numbers(count: usize) -> String {
    (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filling_has_its_size_and_never_repeats() {
        for size in [filling_min(), filling_min() + 1, filling_min() + 29, 100_000] {
            let bytes = filling(size, 7);
            assert_eq!(bytes.len(), size);
            assert!(bytes.ends_with(ENDING.as_bytes()));
        }
        let bytes = filling(100_000, 7);
        let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').filter(|line| line.len() > 20).collect();
        let count = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert!(count > 3_000 && lines.len() > count - 3, "{} of {count}", lines.len());
        assert_ne!(filling(1_000, 7), filling(1_000, 8));
    }

    #[test]
    fn durations_begin_with_the_largest_unit_that_is_there() {
        for (seconds, text) in [(0, "0s"), (434, "7m 14s"), (3_600, "1h 0m 0s"), (90_061, "1d 1h 1m 1s")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
