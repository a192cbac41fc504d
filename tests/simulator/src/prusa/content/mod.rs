//! Files for the stick: bytes that a test gives, or real G-code made from a recipe, as PrusaSlicer writes it.

mod binary;
mod picture;
mod sums;
mod text;

use serde::{Deserialize, Serialize};

pub use picture::{decoded, encoded, png};
pub use sums::crc32;

/// A file to be put onto the stick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewFile {
    /// Where, by its long names; folders are made: `Parts/Würfel groß.gcode`.
    pub path: String,
    /// What is in it. Without it the recipe is followed, if the name says `.gcode` or `.bgcode`.
    pub bytes: Option<Vec<u8>>,
    /// What to make.
    pub recipe: Recipe,
    /// The picture that the printer shows of it, whatever is in it.
    pub picture: Option<Vec<u8>>,
}

impl NewFile {
    /// A file made from the usual recipe.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    /// A file of about this size (never smaller than its head and tail).
    #[must_use]
    pub fn sized(path: &str, size: usize) -> Self {
        Self { path: path.to_owned(), recipe: Recipe { size, ..Recipe::default() }, ..Self::default() }
    }

    /// A file with this content.
    #[must_use]
    pub fn bytes(path: &str, bytes: Vec<u8>) -> Self {
        Self { path: path.to_owned(), bytes: Some(bytes), ..Self::default() }
    }

    /// The content; `slicer_model` is the printer that it was sliced for.
    #[must_use]
    pub fn content(&self, slicer_model: &str) -> Vec<u8> {
        let lower = self.path.to_ascii_lowercase();
        match &self.bytes {
            Some(bytes) => bytes.clone(),
            None if lower.ends_with(".bgcode") || lower.ends_with(".bgc") => {
                binary::make(&self.recipe, &self.path, slicer_model)
            }
            None => text::make(&self.recipe, &self.path, slicer_model),
        }
    }
}

/// A picture in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// What a made file says and how large it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Bytes to reach with moves.
    pub size: usize,
    /// What the slicer estimates, and how long the simulated print takes.
    pub print_seconds: f64,
    /// Grams of every tool.
    pub weight_g: Vec<f64>,
    /// The material of every tool.
    pub filament_type: String,
    /// Millimetres.
    pub layer_height: f64,
    /// Number of layers.
    pub layers: u32,
    /// Degrees of the nozzle.
    pub nozzle_c: f64,
    /// Degrees of the bed.
    pub bed_c: f64,
    /// Its pictures, in this order, all PNG.
    pub previews: Vec<Preview>,
}

impl Default for Recipe {
    /// An hour's print in a file of 60 KB, with the pictures of a MINI.
    fn default() -> Self {
        Self {
            size: 60_000,
            print_seconds: 3_600.0,
            weight_g: vec![12.34],
            filament_type: "PLA".into(),
            layer_height: 0.2,
            layers: 100,
            nozzle_c: 215.0,
            bed_c: 60.0,
            previews: vec![Preview { width: 16, height: 16 }, Preview { width: 220, height: 124 }],
        }
    }
}

impl Recipe {
    /// `1d 2h 3m 4s`, parts that are zero left out at the front.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a year")]
    fn duration(&self) -> String {
        let seconds = self.print_seconds.clamp(0.0, 3.2e7) as u64;
        let parts = [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm')];
        let mut text = String::new();
        for (count, unit) in parts {
            if count > 0 || !text.is_empty() {
                text += &format!("{count}{unit} ");
            }
        }
        format!("{text}{}s", seconds % 60)
    }

    /// One number for every tool.
    fn per_tool(&self, factor: f64) -> String {
        let numbers: Vec<_> = self.weight_g.iter().map(|grams| format!("{:.2}", grams * factor)).collect();
        numbers.join(", ")
    }

    fn total_g(&self) -> f64 {
        self.weight_g.iter().sum()
    }

    /// The statistics, without the sign and blank that the text form puts in front.
    fn statistics(&self) -> Vec<(&'static str, String)> {
        vec![
            // PLA of 1.24 g/cm3 and 1.75 mm.
            ("filament used [mm]", self.per_tool(335.3)),
            ("filament used [cm3]", self.per_tool(1.0 / 1.24)),
            ("filament used [g]", self.per_tool(1.0)),
            ("filament cost", self.per_tool(0.025)),
            ("total filament used [g]", format!("{:.2}", self.total_g())),
            ("total filament cost", format!("{:.2}", self.total_g() * 0.025)),
            ("total filament used for wipe tower [g]", "0.00".into()),
            ("estimated printing time (normal mode)", self.duration()),
            ("estimated first layer printing time (normal mode)", "1m 12s".into()),
        ]
    }

    /// The settings that a reader may want.
    fn settings(&self, slicer_model: &str) -> Vec<(&'static str, String)> {
        let tools = self.weight_g.len().max(1);
        let each = |value: String, separator: &str| vec![value; tools].join(separator);
        vec![
            ("bed_temperature", each(format!("{:.0}", self.bed_c), ",")),
            ("brim_width", "0".into()),
            ("filament_colour", each("#FF8000".into(), ";")),
            ("filament_type", each(self.filament_type.clone(), ";")),
            ("fill_density", "15%".into()),
            ("first_layer_bed_temperature", each(format!("{:.0}", self.bed_c), ",")),
            ("first_layer_temperature", each(format!("{:.0}", self.nozzle_c + 5.0), ",")),
            ("layer_height", format!("{}", self.layer_height)),
            ("max_layer_z", format!("{:.2}", self.layer_height * f64::from(self.layers))),
            ("nozzle_diameter", each("0.4".into(), ",")),
            ("printer_model", slicer_model.to_owned()),
            ("support_material", "0".into()),
            ("temperature", each(format!("{:.0}", self.nozzle_c), ",")),
        ]
    }

    /// The moves of one layer after the other, until the text has `room` bytes.
    fn moves(&self, room: usize) -> String {
        let mut text = format!(
            "M104 S{:.0}\nM140 S{:.0}\nG28\nM190 S{:.0}\nM109 S{:.0}\nM73 P0 R{:.0}\n",
            self.nozzle_c,
            self.bed_c,
            self.bed_c,
            self.nozzle_c,
            self.print_seconds / 60.0
        );
        let layers = self.layers.max(1);
        let end = "M104 S0\nM140 S0\nM84\n";
        let per_layer = room.saturating_sub(text.len() + end.len()) / layers as usize;
        for layer in 0..layers {
            let target = text.len() + per_layer;
            let part = f64::from(layer) / f64::from(layers);
            let height = self.layer_height * f64::from(layer + 1);
            text += &format!(
                ";LAYER_CHANGE\n;Z:{height:.2}\nG1 Z{height:.2} F720\nM73 P{:.0} R{:.0}\n",
                part * 100.0,
                self.print_seconds * (1.0 - part) / 60.0
            );
            let mut step = 0.0_f64;
            while text.len() + 32 < target {
                step += 0.37;
                let (x, y) = (120.0 + 40.0 * step.cos(), 100.0 + 40.0 * step.sin());
                text += &format!("G1 X{x:.3} Y{y:.3} E.0{:03.0}\n", 200.0 + 50.0 * step.sin());
            }
        }
        text + end
    }
}
