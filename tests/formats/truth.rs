//! Real files against what an independent reader found in them. The files are not part of the repository; where the
//! folder is missing, the test says so and is content.

use std::collections::BTreeMap;
use std::path::PathBuf;

use printernizer::formats::{self, Format, Inspection, Options};
use serde_json::Value;

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("PRINTERNIZER_DATA").map(PathBuf::from);
    let candidates =
        named.into_iter().chain([PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"))]);
    candidates.map(|folder| folder.join("files")).find(|folder| folder.join("truth.json").is_file())
}

#[test]
fn real_files_equal_their_truth() {
    let Some(folder) = folder() else {
        println!("no real files: set PRINTERNIZER_DATA to the folder that holds files/truth.json");
        return;
    };
    let truth: BTreeMap<String, Value> =
        serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
    let mut wrong = Vec::new();
    println!("| file | thumbnails found/true | figures right/true |\n|---|---|---|");
    for (name, truth) in &truth {
        let options = Options { hashes: true, whole_gcode: true, ..Options::default() };
        let answer = formats::inspect(&folder.join(name), &options);
        let mut check = Check { file: name, answer: &answer, right: 0, all: 0, wrong: Vec::new() };
        let (found, expected) = check.thumbnails(truth);
        check.figures(truth);
        println!("| {name} | {found}/{expected} | {}/{} |", check.right, check.all);
        wrong.append(&mut check.wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

struct Check<'a> {
    file: &'a str,
    answer: &'a Inspection,
    right: u32,
    all: u32,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn fail(&mut self, what: String) {
        self.wrong.push(format!("{}: {what}", self.file));
    }

    fn thumbnails(&mut self, truth: &Value) -> (usize, usize) {
        let mut expected: Vec<(String, Value)> = Vec::new();
        for thumbnail in truth["thumbnails"].as_array().into_iter().flatten() {
            expected.push((thumbnail["tag"].as_str().unwrap_or("thumbnail").to_owned(), thumbnail.clone()));
        }
        for (name, image) in truth["images"].as_object().into_iter().flatten() {
            if !name.starts_with("Metadata/pick_") {
                expected.push((name.clone(), image.clone()));
            }
        }
        let found = expected.iter().filter(|(source, truth)| {
            self.answer.thumbnails.iter().any(|thumbnail| {
                thumbnail.source == *source
                    && thumbnail.sha256.as_deref() == truth["sha256"].as_str()
                    && u64::from(thumbnail.width) == truth["w"]
                    && u64::from(thumbnail.height) == truth["h"]
                    && thumbnail.bytes == truth["bytes"]
                    && Some(thumbnail.format.name().to_uppercase())
                        == truth["fmt"].as_str().map(str::to_owned)
            })
        });
        let found = found.count();
        if found != expected.len() || found != self.answer.thumbnails.len() {
            self.fail(format!(
                "{found} of {} thumbnails, {} listed",
                expected.len(),
                self.answer.thumbnails.len()
            ));
        }
        (found, expected.len())
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, figure: &str, found: T, expected: T) {
        self.all += 1;
        if found == expected {
            self.right += 1;
        } else {
            self.fail(format!("{figure} is {found:?} and should be {expected:?}"));
        }
    }

    fn near(&mut self, figure: &str, found: Option<f64>, expected: Option<f64>) {
        self.all += 1;
        let equal = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
            (None, None) => true,
            _ => false,
        };
        if equal {
            self.right += 1;
        } else {
            self.fail(format!("{figure} is {found:?} and should be {expected:?}"));
        }
    }

    fn figures(&mut self, truth: &Value) {
        let kind = truth["kind"].as_str().unwrap();
        if truth["size"] == 0 || truth["error"].is_string() {
            self.equal("error", self.answer.error.is_some(), true);
            return;
        }
        self.equal("format", self.answer.format.map(Format::name), Some(kind));
        match kind {
            "gcode" => self.settings(&truth["meta"]),
            "bgcode" => {
                let blocks = ["file_metadata", "slicer_metadata", "printer_metadata", "print_metadata"];
                let mut merged = serde_json::Map::new();
                for block in blocks {
                    merged.extend(
                        truth["meta"][block]
                            .as_object()
                            .into_iter()
                            .flatten()
                            .map(|(k, v)| (k.clone(), v.clone())),
                    );
                }
                self.settings(&Value::Object(merged));
            }
            _ => self.package(truth),
        }
    }

    /// Settings and statistics of the Prusa family, from text or binary G-code.
    fn settings(&mut self, meta: &Value) {
        let text = |key: &str| meta[key].as_str().map(str::to_owned);
        let metadata = &self.answer.metadata.clone();
        let producer = text("_producer_line").or(text("Producer"));
        let producer = producer.map(|line| line.trim_start_matches("generated by ").to_owned());
        let mut words = producer.as_deref().unwrap_or_default().split(' ');
        self.equal("slicer", metadata.slicer.as_deref(), words.next().filter(|word| !word.is_empty()));
        self.equal("slicer_version", metadata.slicer_version.as_deref(), words.next());
        self.equal("printer_model", metadata.printer_model.clone(), text("printer_model"));
        let seconds = |key: &str| text(key).map(|text| seconds(&text));
        self.equal("print_time_s", metadata.print_time_s, seconds("estimated printing time (normal mode)"));
        self.equal(
            "print_time_silent_s",
            metadata.print_time_silent_s,
            seconds("estimated printing time (silent mode)"),
        );
        if let Some(first) = seconds("estimated first layer printing time (normal mode)") {
            self.near("first_layer_time_s", metadata.first_layer_time_s, Some(first as f64));
        }
        let number = |key: &str| text(key).and_then(|text| first_number(&text));
        self.near("layer_height_mm", metadata.layer_height_mm, number("layer_height"));
        self.near("first_layer_height_mm", metadata.first_layer_height_mm, number("first_layer_height"));
        self.near("max_z_mm", metadata.max_z_mm, number("max_layer_z"));
        self.near("infill_percent", metadata.infill_percent, number("fill_density"));
        let list = |key: &str| text(key).map(|text| numbers(&text)).unwrap_or_default();
        self.equal("nozzle_diameter_mm", metadata.nozzle_diameter_mm.clone(), list("nozzle_diameter"));
        self.near(
            "nozzle_temperature_c",
            metadata.nozzle_temperature_c,
            list("temperature").first().copied(),
        );
        self.near("bed_temperature_c", metadata.bed_temperature_c, list("bed_temperature").first().copied());
        let sum = |key: &str| text(key).map(|text| numbers(&text).iter().sum::<f64>());
        self.near("filament_used_g", metadata.filament_used_g, number("total filament used [g]"));
        self.near("filament_used_mm", metadata.filament_used_mm, sum("filament used [mm]"));
        self.near("filament_used_cm3", metadata.filament_used_cm3, sum("filament used [cm3]"));
        self.near("filament_cost", metadata.filament_cost, number("total filament cost"));
        self.equal(
            "tool_changes",
            metadata.tool_changes,
            number("total toolchanges").map(|count| count as u64),
        );

        let used: Vec<(u32, f64)> = list("filament used [g]")
            .iter()
            .enumerate()
            .filter(|(_, grams)| **grams > 0.0)
            .map(|(tool, grams)| (tool as u32, *grams))
            .collect();
        let found: Vec<(u32, f64)> = metadata
            .filaments
            .iter()
            .map(|filament| (filament.tool, filament.used_g.unwrap_or_default()))
            .collect();
        self.equal("filaments", found, used);
        for filament in &metadata.filaments {
            let item = |key: &str| {
                let value = text(key)?;
                let item = value.split(';').nth(filament.tool as usize)?.trim_matches('"').to_owned();
                (!item.is_empty()).then_some(item)
            };
            self.equal("filament type", filament.kind.clone(), item("filament_type"));
            self.equal("filament name", filament.name.clone(), item("filament_settings_id"));
            self.equal(
                "filament color",
                filament.color.clone(),
                item("filament_colour").or(item("extruder_colour")),
            );
            let length = list("filament used [mm]").get(filament.tool as usize).copied();
            self.near("filament length", filament.used_mm, length);
        }
        if let Some(objects) = text("objects_info") {
            let objects: Value = serde_json::from_str(&objects).unwrap();
            let names: Vec<&str> =
                objects["objects"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
            self.equal("objects", metadata.objects, Some(names.len() as u64));
            let found: Vec<&str> = metadata.object_names.iter().map(String::as_str).collect();
            self.equal("object_names", found, names);
        }
    }

    fn package(&mut self, truth: &Value) {
        let plates = truth["plates"].as_array().unwrap();
        let gcode = truth["gcode"].as_object().unwrap();
        self.equal("sliced", self.answer.sliced, !gcode.is_empty());
        if !plates.is_empty() {
            self.equal("plate_count", self.answer.plate_count as usize, plates.len());
        }
        for plate in plates {
            let index: u32 = plate["index"].as_str().unwrap().parse().unwrap();
            if plates.len() > 1 && self.answer.plate != Some(index) {
                self.other_plate(truth, plate, index);
            } else {
                self.equal("plate", self.answer.plate, Some(index));
                self.plate(truth, plate, index);
            }
        }
        let metadata = self.answer.metadata.clone();
        let project = &truth["project"];
        if project.is_object() {
            self.equal("printer_model", metadata.printer_model.as_deref(), project["printer_model"].as_str());
            self.equal("bed_type", metadata.bed_type.as_deref(), project["curr_bed_type"].as_str());
            self.near(
                "layer_height_mm",
                metadata.layer_height_mm,
                project["layer_height"].as_str().and_then(first_number),
            );
        }
        let config = &truth["slic3r_pe"];
        if config.is_object() {
            let number = |key: &str| config[key].as_str().and_then(first_number);
            self.equal("printer_model", metadata.printer_model.as_deref(), config["printer_model"].as_str());
            self.near("layer_height_mm", metadata.layer_height_mm, number("layer_height"));
            self.near("first_layer_height_mm", metadata.first_layer_height_mm, number("first_layer_height"));
            self.near("infill_percent", metadata.infill_percent, number("fill_density"));
            self.near("nozzle_temperature_c", metadata.nozzle_temperature_c, number("temperature"));
            self.near("bed_temperature_c", metadata.bed_temperature_c, number("bed_temperature"));
            let diameters = numbers(config["nozzle_diameter"].as_str().unwrap());
            self.equal("nozzle_diameter_mm", metadata.nozzle_diameter_mm.clone(), diameters);
        }
        if let Some(application) = truth["model_meta"]["Application"].as_str().filter(|_| gcode.is_empty()) {
            let (name, version) = application.split_once('-').unwrap();
            self.equal("slicer", metadata.slicer.as_deref(), Some(name));
            self.equal("slicer_version", metadata.slicer_version.as_deref(), Some(version));
        }
    }

    fn other_plate(&mut self, truth: &Value, plate: &Value, index: u32) {
        let Some(folder) = folder() else { return };
        let plate_hint = formats::PlateHint { index: Some(index), gcode_file: None };
        let options = Options { plate: plate_hint, hashes: true, whole_gcode: true, ..Options::default() };
        let answer = formats::inspect(&folder.join(self.file), &options);
        let mut check = Check { file: self.file, answer: &answer, right: 0, all: 0, wrong: Vec::new() };
        check.equal("plate", answer.plate, Some(index));
        let own = format!("Metadata/plate_{index}.png");
        check.equal(
            "first thumbnail",
            answer.thumbnails.first().map(|first| first.source.clone()),
            Some(own),
        );
        check.plate(truth, plate, index);
        (self.right, self.all) = (self.right + check.right, self.all + check.all);
        self.wrong.append(&mut check.wrong);
    }

    fn plate(&mut self, truth: &Value, plate: &Value, index: u32) {
        let metadata = self.answer.metadata.clone();
        let number = |key: &str| plate[key].as_str().and_then(|text| first_number(&text.replace(',', ".")));
        self.near("print_time_s", metadata.print_time_s.map(|s| s as f64), number("prediction"));
        self.near("filament_used_g", metadata.filament_used_g, number("weight"));
        if plate["first_layer_time"].is_string() {
            self.near("first_layer_time_s", metadata.first_layer_time_s, number("first_layer_time"));
        }
        self.equal("supports", metadata.supports, Some(plate["support_used"] == "true"));
        let filaments = plate["_filaments"].as_array().unwrap();
        self.equal("filaments", metadata.filaments.len(), filaments.len());
        for (found, truth) in metadata.filaments.iter().zip(filaments) {
            let slot: u32 = truth["id"].as_str().unwrap().parse().unwrap();
            self.equal("filament tool", found.tool + 1, slot);
            self.equal("filament type", found.kind.as_deref(), truth["type"].as_str());
            self.equal("filament color", found.color.as_deref(), truth["color"].as_str());
            self.near("filament g", found.used_g, truth["used_g"].as_str().and_then(first_number));
            // The archive rounds to a centimetre.
            let rounded = truth["used_m"].as_str().and_then(first_number).unwrap() * 1000.0;
            self.equal(
                "filament mm",
                found.used_mm.is_some_and(|length| (length - rounded).abs() <= 5.0),
                true,
            );
        }
        let objects = plate["_objects"].as_array().unwrap();
        self.equal("objects", metadata.objects, Some(objects.len() as u64));
        let names: Vec<&str> =
            objects.iter().filter_map(|o| o["name"].as_str()).filter(|name| !name.is_empty()).collect();
        self.equal("object_names", metadata.object_names.iter().map(String::as_str).collect(), names);

        let gcode = &truth["gcode"][format!("Metadata/plate_{index}.gcode")];
        let meta = &gcode["meta"];
        self.equal(
            "gcode_md5_ok",
            metadata.gcode_md5_ok,
            Some(gcode["md5_entry"].as_str().unwrap().to_lowercase() == gcode["md5"].as_str().unwrap()),
        );
        let producer = meta["_producer_line"].as_str().unwrap().trim_start_matches("generated by ");
        let mut words = producer.split(' ');
        self.equal("slicer", metadata.slicer.as_deref(), words.next());
        self.equal("slicer_version", metadata.slicer_version.as_deref(), words.next());
        let number = |key: &str| meta[key].as_str().and_then(first_number);
        self.near(
            "layer_count",
            metadata.layer_count.map(|count| count as f64),
            number("total layer number"),
        );
        self.near("max_z_mm", metadata.max_z_mm, number("max_z_height"));
        self.near("infill_percent", metadata.infill_percent, number("sparse_infill_density"));
        self.near(
            "first_layer_height_mm",
            metadata.first_layer_height_mm,
            number("initial_layer_print_height"),
        );
        self.near("nozzle_temperature_c", metadata.nozzle_temperature_c, number("nozzle_temperature"));
        self.equal(
            "nozzle_diameter_mm",
            metadata.nozzle_diameter_mm.clone(),
            numbers(meta["nozzle_diameter"].as_str().unwrap()),
        );
        let sum = |key: &str| meta[key].as_str().map(|text| numbers(text).iter().sum::<f64>());
        self.near(
            "filament_used_mm",
            metadata.filament_used_mm,
            sum("total filament length [mm]").or(sum("filament used [mm]")),
        );
        // Labelled cm3 by this slicer, and in mm3.
        let volume = sum("total filament volume [cm^3]").map(|volume| volume / 1000.0);
        self.near("filament_used_cm3", metadata.filament_used_cm3, volume.or(sum("filament used [cm3]")));
    }
}

fn seconds(text: &str) -> u64 {
    text.split(' ')
        .map(|part| {
            let (number, unit) = part.split_at(part.len() - 1);
            number.parse::<u64>().unwrap()
                * match unit {
                    "d" => 86_400,
                    "h" => 3_600,
                    "m" => 60,
                    _ => 1,
                }
        })
        .sum()
}

fn first_number(text: &str) -> Option<f64> {
    text.split([',', ';', '%']).next()?.trim().parse().ok()
}

fn numbers(text: &str) -> Vec<f64> {
    text.split(',').map(|item| item.trim().parse().unwrap()).collect()
}

/// Every real file with pictures gives renditions, and those that carry covers in front show one early.
#[test]
fn real_files_give_pictures_and_previews() {
    let Some(folder) = folder() else {
        println!("no real files: set PRINTERNIZER_DATA to the folder that holds files/truth.json");
        return;
    };
    println!("| file | source | cover after KiB | figures in the preview |\n|---|---|---|---|");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let answer = formats::inspect(&path, &Options { hashes: true, ..Options::default() });
        if answer.thumbnails.is_empty() {
            continue;
        }
        let (at, made) = formats::renditions(&mut std::fs::File::open(&path).unwrap(), &answer).unwrap();
        assert_eq!((made.sizes.len(), made.blank), (3, false), "{name}");
        let source = &answer.thumbnails[at];
        assert!(made.sizes.iter().all(|size| size.width <= source.width && size.height <= source.height));

        let bytes = std::fs::read(&path).unwrap();
        let mut tap = formats::forward::Tap::new(formats::PlateHint::default());
        let mut cover_at = None;
        for (number, chunk) in bytes.chunks(1024).enumerate() {
            if tap.push(chunk) && cover_at.is_none() && tap.preview().cover.is_some() {
                cover_at = Some(number + 1);
            }
        }
        let preview = tap.preview();
        if let Some((cover, bytes)) = &preview.cover {
            // A cover of the preview is one that the whole file has.
            let sum = crate::files::sha256(bytes);
            let known = |thumbnail: &formats::Thumbnail| thumbnail.sha256.as_deref() == Some(sum.as_str());
            assert!(answer.thumbnails.iter().any(known), "{name}: {}", cover.source);
        }
        let early = ["bgcode", "gcode.3mf"].iter().any(|end| name.ends_with(end)) && !name.contains("petgcf");
        assert!(
            !early || (cover_at.is_some() && preview.metadata.print_time_s == answer.metadata.print_time_s),
            "{name}"
        );
        let figures = serde_json::to_value(&preview.metadata).unwrap();
        let known = figures
            .as_object()
            .unwrap()
            .values()
            .filter(|value| !value.is_null() && **value != serde_json::json!([]));
        println!(
            "| {name} | {} {}x{} | {cover_at:?} | {} |",
            source.source,
            source.width,
            source.height,
            known.count()
        );
    }
}
