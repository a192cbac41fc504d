//! The lines of G-code: comments with figures in every slicer's dialect, and the few commands that tell something.
//!
//! Dialects are told apart by the shape of the line (`key = value`, `key: value`, `key,value`, `name #2: value`), never
//! by the name of the slicer.

use super::pictures::{Blocks, Found, comment};
use crate::formats::figures::keys::{self, Key, Origin, Store};
use crate::formats::figures::units;
use crate::formats::limits;
use crate::formats::lines::Line;
use crate::formats::result::short_text;

/// Reads lines one by one and collects what they say. Holds a bounded [`Store`] and one picture at most.
#[derive(Default)]
pub(crate) struct TextReader {
    pub store: Store,
    pub blocks: Blocks,
    /// Tool numbers that commands select, in order of appearance.
    pub tools_seen: Vec<u32>,
    /// Lines that are commands of a printer.
    pub commands: u64,
    /// Lines that are comments in the manner of G-code.
    pub comments: u64,
    /// Lines that are neither.
    pub strange: u64,
    /// Whether a configuration block is open.
    pub in_config: bool,
    in_header: bool,
    /// Whether a block of JSON in comments is open. It repeats the settings in another form.
    in_json: bool,
    old_filament_lines: usize,
    heaters: Vec<bool>,
    /// How many temperatures each heater has in the list that follows.
    setpoints: Vec<usize>,
    controller_is_bed: Option<bool>,
    defined_objects: Vec<String>,
    /// The layer among the moves that was announced last, for the heights of the first two.
    layer: Option<u32>,
}

impl TextReader {
    /// Takes one line and hands the pictures that it completes to `found`.
    pub fn line(&mut self, line: &Line<'_>, found: &mut dyn FnMut(Found)) {
        let bytes = without_mark(line, 0);
        // Moves are by far the most lines, and outside a block they say nothing.
        if matches!(bytes, [b'G', b'0'..=b'9', ..]) && !self.blocks.is_open() {
            self.commands += 1;
            return;
        }
        if self.blocks.line(&Line { bytes, ..*line }, found) {
            self.comments += 1;
            return;
        }
        match comment(bytes) {
            Some(text) => {
                self.comments += 1;
                // Bytes that are not UTF-8 (old slicers write the user's code page) only spoil their own characters.
                self.comment(&String::from_utf8_lossy(text.trim_ascii_end()));
            }
            None => self.command(bytes.trim_ascii()),
        }
    }

    /// Puts together what several lines said. Call it once, after the last line.
    pub fn finish(&mut self) {
        if !self.defined_objects.is_empty() && self.store.objects.is_none() {
            let names = std::mem::take(&mut self.defined_objects);
            let count = names.len() as u64;
            self.store.objects = Some((names, count, Origin::Command));
        }
    }

    fn origin(&self) -> Origin {
        if self.in_config { Origin::Config } else { Origin::Comment }
    }

    fn comment(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.block_marks(text) || self.in_json {
            return;
        }
        if !self.in_config && !self.store.has(Key::Slicer) {
            self.producer(text);
        }
        if self.commands == 0 {
            self.bare_line(text);
        }
        // The key is what stands before the first sign that makes a known key of it. Long keys are no keys.
        let window = prefix(text, 80);
        for separator in ['=', ':', ','] {
            let Some(at) = window.find(separator) else { continue };
            let (name, value) =
                (text.get(..at).unwrap_or_default().trim(), text.get(at + 1..).unwrap_or_default());
            if self.assignment(name, value.trim(), separator) {
                return;
            }
        }
    }

    /// Lines in front of the moves that say something without a key: a version (KISSlicer), a date (Simplify3D).
    fn bare_line(&mut self, text: &str) {
        let origin = self.origin();
        if let Some(version) = text.strip_prefix("version ")
            && self.store.has(Key::Slicer)
            && !self.store.has(Key::SlicerVersion)
        {
            self.store.put(Key::SlicerVersion, prefix(version, 40), origin);
        } else if !self.store.has(Key::CreatedAt)
            && let Some(date) = units::written_date(prefix(text, 40))
        {
            self.store.put(Key::CreatedAt, &date, origin);
        }
    }

    /// Lines that open and close blocks.
    fn block_marks(&mut self, text: &str) -> bool {
        if text.len() > 64 {
            return false;
        }
        match text {
            "CONFIG_BLOCK_START" => self.in_config = true,
            "CONFIG_BLOCK_END" => self.in_config = false,
            "HEADER_BLOCK_START" => self.in_header = true,
            "HEADER_BLOCK_END" => self.in_header = false,
            _ if text.ends_with("_json_config = begin") => self.in_json = true,
            _ if text.ends_with("_json_config = end") => self.in_json = false,
            _ if text.ends_with("_config = begin") => {
                self.in_config = true;
                if text.to_ascii_lowercase().starts_with("superslicer") {
                    self.store.put(Key::NozzleShares, text, Origin::Config);
                }
            }
            _ if text.ends_with("_config = end") => self.in_config = false,
            _ => return false,
        }
        true
    }

    fn assignment(&mut self, name: &str, value: &str, separator: char) -> bool {
        if name == "model printing time" {
            // Two values in one line; the second is the one that the slicer shows.
            if let Some((_, rest)) = value.split_once(';') {
                self.comment(rest.trim());
            }
            return true;
        }
        if let Some(key) = keys::key(name) {
            self.known(key, name, value);
            return true;
        }
        match separator {
            ',' => self.heater_line(name, value),
            _ => self.numbered(name, value) || self.dotted(name, value) || self.rare(name, value),
        }
    }

    fn known(&mut self, key: Key, name: &str, value: &str) {
        let origin = self.origin();
        if key == Key::FilamentMm && !self.in_config {
            if name == "filament used" && value.ends_with('g') && units::number(value).is_some() {
                // Old Slic3r again: the weight of the extruder in the line before, under the same name.
                let tool = self.old_filament_lines.saturating_sub(1);
                self.store.put_tool(Key::FilamentG, tool, value, origin);
                return;
            }
            if name == "filament used" && value.contains('(') {
                // Old Slic3r: one line per extruder, with the volume in brackets.
                let tool = self.old_filament_lines;
                self.old_filament_lines += 1;
                self.store.put_tool(Key::FilamentMm, tool, value, origin);
                if let Some((_, volume)) = value.split_once('(') {
                    self.store.put_tool(Key::FilamentCm3, tool, volume, origin);
                }
                return;
            }
            if let Some(metres) = metres(value) {
                self.store.put_list(Key::FilamentMm, metres, origin);
                return;
            }
        }
        match (key, name) {
            (Key::FirstLayerHeight, "firstLayerHeightPercentage") => {
                self.store.put(key, &format!("{value}%"), origin);
            }
            (Key::FilamentCm3, _) if value.contains("mm^3") || value.contains("mm3") => {
                if let Some(volume) = units::positive(value) {
                    self.store.put(key, &(volume / 1000.0).to_string(), origin);
                }
            }
            (Key::Slicer, _) => put_producer(&mut self.store, value, origin),
            _ => self.store.put(key, value, origin),
        }
    }

    /// `Material#1 Used: 2345.6`, `Filament Type #2: PLA`, `Ext #1 = 12.5 mm`.
    fn numbered(&mut self, name: &str, value: &str) -> bool {
        let Some((before, after)) = name.split_once('#') else { return false };
        let digits = after.find(|character: char| !character.is_ascii_digit()).unwrap_or(after.len());
        let Ok(number) = after.get(..digits).unwrap_or_default().parse::<usize>() else { return false };
        let rest = after.get(digits..).unwrap_or_default().trim();
        let key = match (before.trim(), rest) {
            ("Material", "Used") | ("Ext", "") => Key::FilamentMm,
            ("Filament Diameter", "") => Key::FilamentDiameter,
            ("Filament Density", "") => Key::FilamentDensity,
            ("Filament Type", "") => Key::FilamentType,
            ("Filament Name", "") => Key::FilamentName,
            ("Nozzle Diameter", "") => Key::NozzleDiameter,
            _ => return false,
        };
        let (origin, tool) = (self.origin(), number.saturating_sub(1));
        self.store.put_tool(key, tool, value, origin);
        if let Some((_, volume)) = value.split_once('(').filter(|_| key == Key::FilamentMm) {
            self.store.put_tool(Key::FilamentCm3, tool, volume, origin);
        }
        true
    }

    /// The dotted header of some machines: `EXTRUDER_TRAIN.0.NOZZLE.DIAMETER:0.4`, `GENERATOR.NAME:...`.
    fn dotted(&mut self, name: &str, value: &str) -> bool {
        let origin = self.origin();
        match name {
            "GENERATOR.NAME" => self.store.put(Key::Slicer, value, origin),
            "GENERATOR.VERSION" => self.store.put(Key::SlicerVersion, value, origin),
            "GENERATOR.BUILD_DATE" => self.store.put(Key::CreatedAt, value, origin),
            _ => {
                let Some(rest) = name.strip_prefix("EXTRUDER_TRAIN.") else { return false };
                let Some((tool, field)) = rest.split_once('.') else { return false };
                let Ok(tool) = tool.parse::<usize>() else { return false };
                match field {
                    "NOZZLE.DIAMETER" => self.store.put_tool(Key::NozzleDiameter, tool, value, origin),
                    "INITIAL_TEMPERATURE" => {
                        self.store.put_tool(Key::FirstNozzleTemperature, tool, value, origin)
                    }
                    "MATERIAL.VOLUME_USED" => {
                        if let Some(volume) = units::positive(value) {
                            self.store.put_tool(
                                Key::FilamentCm3,
                                tool,
                                &(volume / 1000.0).to_string(),
                                origin,
                            );
                        }
                    }
                    _ => return false,
                }
            }
        }
        true
    }

    fn rare(&mut self, name: &str, value: &str) -> bool {
        let origin = self.origin();
        match name {
            "Bounding Box" => {
                if let Some(top) = value.split_ascii_whitespace().nth(5) {
                    self.store.put(Key::MaxZ, top, origin);
                }
            }
            "Dimension" => {
                // Width, depth, height and the nozzle.
                if let (Some(nozzle), None) = {
                    let mut words = value.split_ascii_whitespace().skip(3);
                    (words.next(), words.next())
                } {
                    self.store.put(Key::NozzleDiameter, nozzle, Origin::Command);
                }
            }
            "Total estimated (pre-cool) minutes" => {
                self.store.put(Key::PrintTime, &format!("{value} minutes"), origin);
            }
            "filament_length_m" => {
                if let Some(length) = units::positive(value) {
                    self.store.put(Key::FilamentMm, &((length * 1e6).round() / 1e3).to_string(), origin);
                }
            }
            // Some tell the heights of layers only where the layers begin.
            "LAYER" => self.layer = value.parse().ok(),
            "HEIGHT" => match self.layer {
                Some(0) => self.store.put(Key::FirstLayerHeight, value, Origin::Command),
                Some(1) => self.store.put(Key::LayerHeight, value, Origin::Command),
                _ => {}
            },
            _ => return false,
        }
        true
    }

    /// Simplify3D's heaters: names and temperatures in lists (version 4) or one block each (version 5).
    fn heater_line(&mut self, name: &str, value: &str) -> bool {
        let origin = self.origin();
        match name {
            "temperatureName" => {
                self.heaters = value
                    .split([',', '|'])
                    .take(limits::TOOLS_MAX)
                    .map(|heater| heater.to_ascii_lowercase().contains("bed"))
                    .collect();
            }
            "temperatureSetpointCount" => {
                self.setpoints = value
                    .split([',', '|'])
                    .take(limits::TOOLS_MAX)
                    .map(|count| count.trim().parse().unwrap_or(1))
                    .collect();
            }
            "temperatureSetpointTemperatures" => {
                let mut temperatures = value.split([',', '|']);
                let counts = self.setpoints.iter().copied().chain(std::iter::repeat(1));
                for (is_bed, count) in self.heaters.iter().zip(counts) {
                    // The first is the one that the print begins with.
                    let Some(temperature) = temperatures.next() else { break };
                    let key = if *is_bed { Key::BedTemperature } else { Key::NozzleTemperature };
                    if !self.store.has(key) {
                        self.store.put(key, temperature, origin);
                    }
                    for _ in 1..count.min(limits::TOOLS_MAX) {
                        temperatures.next();
                    }
                }
            }
            "temperatureType" => self.controller_is_bed = Some(value == "platform"),
            "temperatureSetpoints" => {
                let temperature = value.split_once('|').map_or(value, |(_, temperature)| temperature);
                let key = match self.controller_is_bed {
                    Some(true) => Key::BedTemperature,
                    _ => Key::NozzleTemperature,
                };
                if !self.store.has(key) {
                    self.store.put(key, temperature, origin);
                }
            }
            _ => return false,
        }
        true
    }

    /// Who wrote this: a producer line, or a header's `NAME 1.2.3`.
    fn producer(&mut self, text: &str) {
        let origin = self.origin();
        let text = prefix(text, limits::NAME_MAX);
        if put_producer_line(&mut self.store, text, origin) {
            return;
        }
        if text.starts_with("KISSlicer") {
            self.store.put(Key::Slicer, "KISSlicer", origin);
        } else if let Some(inner) = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            // `<IceSL 2.4.1>`
            self.named_producer(inner, origin);
        } else if self.in_header {
            self.named_producer(text, origin);
        }
    }

    /// `NAME 1.2.3`, maybe with a date behind, and nothing that looks like a setting.
    fn named_producer(&mut self, text: &str, origin: Origin) {
        let producer = Producer::parse(text);
        let setting = producer.name.contains([':', '=']) || producer.rest.contains('=');
        if !producer.version.is_empty() && !producer.name.is_empty() && producer.name.len() <= 40 && !setting
        {
            self.store.put(Key::Slicer, &producer.name, origin);
            self.store.put(Key::SlicerVersion, &producer.version, origin);
            self.store.put(Key::CreatedAt, &producer.rest, origin);
        }
    }

    /// Commands that tell something: tools, first temperatures, objects, time left at the start.
    fn command(&mut self, line: &[u8]) {
        let Some(&first) = line.first() else { return };
        let code = line.split(|byte| *byte == b' ' || *byte == b';').next().unwrap_or_default();
        let digits = code.get(1..).unwrap_or_default();
        let is_command = first.is_ascii_uppercase()
            && digits.first().is_some_and(u8::is_ascii_digit)
            && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        if !is_command {
            // Extended commands of Klipper are words in capitals, as macros are.
            let word = code.len() >= 4
                && code
                    .iter()
                    .all(|byte| byte.is_ascii_uppercase() || *byte == b'_' || byte.is_ascii_digit());
            if word {
                self.commands += 1;
                self.object_definition(line);
            } else {
                self.strange += 1;
            }
            return;
        }
        self.commands += 1;
        match code {
            b"M104" | b"M109" => self.first_temperature(Key::NozzleTemperature, line),
            b"M140" | b"M190" => self.first_temperature(Key::BedTemperature, line),
            b"M73" => {
                if parameter(line, b'P') == Some(0.0)
                    && let Some(minutes) = parameter(line, b'R')
                    && !self.store.has(Key::PrintTime)
                {
                    self.store.put(Key::PrintTime, &format!("{minutes} minutes"), Origin::Command);
                }
                if parameter(line, b'Q') == Some(0.0)
                    && let Some(minutes) = parameter(line, b'S')
                    && !self.store.has(Key::PrintTimeSilent)
                {
                    self.store.put(Key::PrintTimeSilent, &format!("{minutes} minutes"), Origin::Command);
                }
            }
            [b'T', ..] => {
                let tool = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
                if let Some(tool) = tool.filter(|&tool| (tool as usize) < limits::TOOLS_MAX)
                    && !self.tools_seen.contains(&tool)
                {
                    self.tools_seen.push(tool);
                }
            }
            _ => {}
        }
    }

    fn first_temperature(&mut self, key: Key, line: &[u8]) {
        if self.store.has(key) {
            return;
        }
        let value = parameter(line, b'S').or_else(|| parameter(line, b'R')).filter(|&value| value > 0.0);
        if let Some(value) = value {
            self.store.put(key, &value.to_string(), Origin::Command);
        }
    }

    /// `EXCLUDE_OBJECT_DEFINE NAME=cube_id_0 ...`
    fn object_definition(&mut self, line: &[u8]) {
        if self.defined_objects.len() >= limits::OBJECTS_MAX || !line.starts_with(b"EXCLUDE_OBJECT_DEFINE") {
            return;
        }
        let text = String::from_utf8_lossy(line.get(..line.len().min(limits::VALUE_MAX)).unwrap_or_default());
        if let Some(name) = text.split_ascii_whitespace().find_map(|word| word.strip_prefix("NAME=")) {
            self.defined_objects.push(short_text(name));
        }
    }
}

/// The bytes of a line without the byte order mark that editors put in front of a file. `offset` is where the stream
/// of the line's numbers begins in the file.
pub(crate) fn without_mark<'l>(line: &Line<'l>, offset: u64) -> &'l [u8] {
    let at_start = line.start == 0 && offset == 0;
    line.bytes.strip_prefix(b"\xEF\xBB\xBF").filter(|_| at_start).unwrap_or(line.bytes)
}

/// A producer line taken apart.
struct Producer {
    name: String,
    version: String,
    /// What follows the version: the date, if any.
    rest: String,
}

impl Producer {
    fn parse(text: &str) -> Self {
        let mut name: Vec<&str> = Vec::new();
        let mut version = String::new();
        let mut rest = "";
        let mut at = text;
        while !at.is_empty() {
            let end = at.find(char::is_whitespace).unwrap_or(at.len());
            let (word, tail) = at.split_at(end);
            let tail = tail.trim_start();
            let bare = word.trim_matches([',', '(', ')', '[', ']']);
            let numeric = bare
                .strip_prefix(['v', 'V'])
                .unwrap_or(bare)
                .starts_with(|first: char| first.is_ascii_digit());
            if numeric && (!name.is_empty()) {
                version = bare.strip_prefix(['v', 'V']).unwrap_or(bare).to_owned();
                rest = tail;
                break;
            }
            if bare.eq_ignore_ascii_case("on") && !name.is_empty() {
                rest = tail;
                break;
            }
            if !bare.eq_ignore_ascii_case("version") && !matches!(bare, "-" | "") {
                name.push(word.trim_end_matches(','));
            }
            if name.len() > 5 {
                break;
            }
            at = tail;
        }
        let name = name.join(" ").replace("(R)", "").replace('®', "");
        Self { name: short_text(&name), version: short_text(&version), rest: short_text(rest) }
    }
}

/// `generated by NAME VERSION on DATE`, `Sliced by NAME VERSION, DATE` and their like. False when it is no such line.
pub(crate) fn put_producer_line(store: &mut Store, text: &str, origin: Origin) -> bool {
    let lower = text.to_ascii_lowercase();
    for phrase in ["generated by ", "generated with ", "sliced by ", "sliced with ", "created by "] {
        let Some(at) = lower.find(phrase) else { continue };
        let before = lower.get(..at).unwrap_or_default().trim();
        if !matches!(before, "" | "g-code" | "gcode" | "file" | "this file was" | "this g-code was") {
            continue;
        }
        let producer = Producer::parse(text.get(at + phrase.len()..).unwrap_or_default());
        if !producer.name.is_empty() {
            store.put(Key::Slicer, &producer.name, origin);
            store.put(Key::SlicerVersion, &producer.version, origin);
            store.put(Key::CreatedAt, &producer.rest, origin);
            return true;
        }
    }
    false
}

/// Splits the name and version of a producer that stands alone: `PrusaSlicer 2.9.4`, `BambuStudio-02.04.00.70`.
pub(crate) fn put_producer(store: &mut Store, text: &str, origin: Origin) {
    let text = text.trim();
    // A dash joins name and version in the model part.
    let dash = text
        .char_indices()
        .find(|&(at, character)| {
            character == '-'
                && text.get(at + 1..).is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
        })
        .filter(|&(at, _)| !text.get(..at).unwrap_or_default().contains(' '));
    let (name, version) = match dash {
        Some((at, _)) => {
            (text.get(..at).unwrap_or_default().to_owned(), text.get(at + 1..).unwrap_or_default().to_owned())
        }
        None => {
            let producer = Producer::parse(text);
            (producer.name, producer.version)
        }
    };
    if !name.is_empty() && store.origin(Key::Slicer).is_none_or(|old| old <= origin) {
        store.put(Key::Slicer, &short_text(&name), origin);
        store.put(Key::SlicerVersion, &short_text(&version), origin);
    }
}

/// `1.23m, 0.5m` in millimetres, one per tool; `None` when the unit is not metres.
fn metres(value: &str) -> Option<Vec<String>> {
    let items: Vec<&str> = value.split(',').map(str::trim).take(limits::TOOLS_MAX).collect();
    if !items.iter().all(|item| item.ends_with('m') && !item.ends_with("mm") && !item.contains('(')) {
        return None;
    }
    items
        .iter()
        .map(|item| units::positive(item).map(|metres| ((metres * 1e9).round() / 1e6).to_string()))
        .collect::<Option<Vec<_>>>()
}

/// The number behind `letter` in a command.
fn parameter(line: &[u8], letter: u8) -> Option<f64> {
    let code = line.split(|byte| *byte == b';').next()?;
    let word = code.split(|byte| *byte == b' ').skip(1).find(|word| word.first() == Some(&letter))?;
    std::str::from_utf8(word.get(1..)?)
        .ok()?
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite() && *value >= 0.0)
}

/// The first `length` bytes of `text`, at a character boundary.
fn prefix(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
