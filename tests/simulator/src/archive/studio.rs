//! The documents inside a `.gcode.3mf`, in the order and the words of Bambu Studio 02.04.

use serde_json::{Map, Value, json};

use super::gcode;
use super::md5::md5_text;
use super::picture::{View, cover};
use super::zip::{Unpressed, Zip};
use super::{Recipe, SIZE_MAX};

/// Pixels of the large covers and of the small one.
const COVER_SIDES: (usize, usize) = (512, 128);

/// Pictures and beginnings of G-code, which cost time and do not depend on the size.
struct Parts {
    plates: Vec<Plate>,
}

struct Plate {
    number: u32,
    /// Names and bytes.
    pictures: Vec<(String, Vec<u8>)>,
    beginning: String,
}

/// The archive. Its size is exactly [`Recipe::size`], unless that is less than the least.
#[must_use]
pub fn archive(recipe: &Recipe) -> Vec<u8> {
    let parts = Parts { plates: recipe.plates.iter().map(|plate| Plate::new(recipe, *plate)).collect() };
    let least_filling = Unpressed::few(gcode::filling_min());
    let least = assemble(recipe, &parts, least_filling);
    let size = usize::try_from(recipe.size.min(SIZE_MAX)).unwrap_or(usize::MAX);
    match size.checked_sub(least.len()) {
        Some(more) if more > 0 => assemble(recipe, &parts, Unpressed::filling(least_filling.room() + more)),
        _ => least,
    }
}

/// The G-code of one plate as it is in the archive.
#[must_use]
pub fn gcode_of(recipe: &Recipe, plate: u32) -> Vec<u8> {
    let archive = archive(recipe);
    let name = format!("Metadata/plate_{plate}.gcode");
    super::entry(&archive, &name).unwrap_or_default()
}

impl Plate {
    fn new(recipe: &Recipe, number: u32) -> Self {
        let (large, small) = COVER_SIDES;
        let picture = |name: &str, view, side| {
            (format!("Metadata/{name}.png"), cover(&recipe.name, number, view, side))
        };
        Self {
            number,
            pictures: vec![
                picture(&format!("plate_{number}"), View::Cover, large),
                picture(&format!("plate_{number}_small"), View::Cover, small),
                picture(&format!("plate_no_light_{number}"), View::Unlit, large),
                picture(&format!("top_{number}"), View::Top, large),
                picture(&format!("pick_{number}"), View::Pick, large),
            ],
            beginning: gcode::beginning(recipe, number),
        }
    }
}

/// Puts everything together, with so many moves more on the plate that is printed.
fn assemble(recipe: &Recipe, parts: &Parts, filling: Unpressed) -> Vec<u8> {
    let mut zip = Zip::default();
    zip.deflate("[Content_Types].xml", CONTENT_TYPES.as_bytes());
    for plate in &parts.plates {
        for (name, bytes) in &plate.pictures {
            zip.store(name, bytes);
        }
        zip.deflate(&format!("Metadata/plate_{}.json", plate.number), plate_json(recipe).as_bytes());
    }
    zip.deflate("3D/3dmodel.model", MODEL.as_bytes());
    zip.deflate("Metadata/project_settings.config", project_settings(recipe).as_bytes());
    for plate in &parts.plates {
        let is_printed = plate.number == recipe.plate;
        let filling = if is_printed { filling } else { Unpressed::few(gcode::filling_min()) };
        let mut code = plate.beginning.clone().into_bytes();
        code.extend(gcode::filling(filling.size, recipe.seed ^ u64::from(plate.number) << 32));
        let name = format!("Metadata/plate_{}.gcode", plate.number);
        // Unpressed, so that its size does not depend on its digits.
        zip.deflate_in_part(&format!("{name}.md5"), md5_text(&code).as_bytes(), 0, 1);
        zip.deflate_in_part(&name, &code, plate.beginning.len(), filling.pieces);
    }
    zip.deflate("Metadata/_rels/model_settings.config.rels", gcode_relations(recipe).as_bytes());
    zip.deflate("Metadata/model_settings.config", model_settings(recipe).as_bytes());
    zip.deflate("Metadata/cut_information.xml", CUT_INFORMATION.as_bytes());
    zip.deflate("Metadata/slice_info.config", slice_info(recipe).as_bytes());
    zip.deflate("Metadata/filament_sequence.json", filament_sequence(recipe).as_bytes());
    zip.deflate("_rels/.rels", relations(recipe).as_bytes());
    zip.finish()
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
 <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
 <Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/>
 <Default Extension="png" ContentType="image/png"/>
 <Default Extension="gcode" ContentType="text/x.gcode"/>
</Types>
"#;

const MODEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<model unit="millimeter" xml:lang="en-US" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">
 <metadata name="Application">BambuStudio-02.04.00.70</metadata>
 <metadata name="BambuStudio:3mfVersion">1</metadata>
 <resources>
 </resources>
 <build/>
</model>
"#;

const CUT_INFORMATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<objects>\n</objects>\n";

/// Text between quotation marks in XML.
fn quoted(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn plate_json(recipe: &Recipe) -> String {
    let colours: Vec<_> = recipe.filaments.iter().map(|filament| &filament.colour).collect();
    let ids: Vec<_> = (0..recipe.filaments.len()).collect();
    json!({
        "bbox_all": [98.0, 98.0, 158.0, 158.0],
        "bbox_objects": [{
            "area": 3_600.0, "bbox": [98.0, 98.0, 158.0, 158.0], "id": 102,
            "layer_height": 0.200_000_002_980_232_24, "name": recipe.name,
        }],
        "bed_type": "textured_plate", "filament_colors": colours, "filament_ids": ids, "first_extruder": 0,
        "first_layer_time": 71.958_465_576_171_88, "is_seq_print": false, "nozzle_diameter": 0.400_000_005_960_464_5,
        "version": 2,
    })
    .to_string()
}

fn project_settings(recipe: &Recipe) -> String {
    let settings: Map<String, Value> = gcode::settings(recipe)
        .into_iter()
        .map(|(name, value)| {
            let is_list = name.starts_with("filament_") || name.starts_with("nozzle_");
            let parts = || value.split(';').map(|part| part.trim_matches('"'));
            (name.to_owned(), if is_list { parts().collect() } else { Value::from(value.as_str()) })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&settings).unwrap_or_default();
    text.push('\n');
    text
}

fn slice_info(recipe: &Recipe) -> String {
    let mut text = format!(
        "{XML}<config>\n  <header>\n    <header_item key=\"X-BBL-Client-Type\" value=\"slicer\"/>\n    \
         <header_item key=\"X-BBL-Client-Version\" value=\"02.04.00.70\"/>\n  </header>\n"
    );
    for plate in &recipe.plates {
        let figures = recipe.figures(*plate);
        let mut fact = |key: &str, value: &str| {
            text.push_str(&format!("    <metadata key=\"{key}\" value=\"{value}\"/>\n"));
        };
        fact("index", &plate.to_string());
        fact("printer_model_id", &recipe.model_id);
        fact("nozzle_diameters", "0.4");
        fact("timelapse_type", "0");
        fact("prediction", &figures.total_seconds.to_string());
        fact("weight", &format!("{:.2}", figures.weights_g.iter().sum::<f64>()));
        fact("first_layer_time", "71.958466");
        fact("outside", "false");
        fact("support_used", "false");
        fact("label_object_enabled", "false");
        let name = quoted(&recipe.name);
        text.push_str(&format!("    <object identify_id=\"69\" name=\"{name}\" skipped=\"false\" />\n"));
        let lengths = figures.lengths_mm.iter().zip(&figures.weights_g);
        for ((index, filament), (length, weight)) in recipe.filaments.iter().enumerate().zip(lengths) {
            text.push_str(&format!(
                "    <filament id=\"{}\" tray_info_idx=\"GFL99\" type=\"{}\" color=\"{}\" used_m=\"{:.2}\" \
                 used_g=\"{weight:.2}\" />\n",
                index + 1,
                filament.kind,
                filament.colour,
                length / 1_000.0,
            ));
        }
        text.push_str(&format!(
            "    <layer_filament_lists>\n      <layer_filament_list filament_list=\"0\" layer_ranges=\"0 {}\" />\n    \
             </layer_filament_lists>\n  </plate>\n",
            recipe.layers.saturating_sub(1)
        ));
    }
    text.push_str("</config>\n");
    // Every plate's facts stand between these two.
    text.replace("    <metadata key=\"index\"", "  <plate>\n    <metadata key=\"index\"")
}

fn model_settings(recipe: &Recipe) -> String {
    let mut text = format!("{XML}<config>\n");
    for plate in &recipe.plates {
        text.push_str("  <plate>\n");
        for (key, value) in [
            ("plater_id", plate.to_string()),
            ("plater_name", String::new()),
            ("locked", "false".into()),
            ("gcode_file", format!("Metadata/plate_{plate}.gcode")),
            ("thumbnail_file", format!("Metadata/plate_{plate}.png")),
            ("thumbnail_no_light_file", format!("Metadata/plate_no_light_{plate}.png")),
            ("top_file", format!("Metadata/top_{plate}.png")),
            ("pick_file", format!("Metadata/pick_{plate}.png")),
            ("pattern_bbox_file", format!("Metadata/plate_{plate}.json")),
        ] {
            text.push_str(&format!("    <metadata key=\"{key}\" value=\"{value}\"/>\n"));
        }
        text.push_str("  </plate>\n");
    }
    text.push_str("</config>\n");
    text
}

fn gcode_relations(recipe: &Recipe) -> String {
    let lines = recipe.plates.iter().enumerate().map(|(index, plate)| {
        format!(
            " <Relationship Target=\"/Metadata/plate_{plate}.gcode\" Id=\"rel-{}\" \
             Type=\"http://schemas.bambulab.com/package/2021/gcode\"/>\n",
            index + 1
        )
    });
    relationships(lines.collect())
}

fn relations(recipe: &Recipe) -> String {
    let plate = recipe.plates.first().copied().unwrap_or(1);
    let line = |target: &str, id: u32, kind: &str| {
        format!(" <Relationship Target=\"{target}\" Id=\"rel-{id}\" Type=\"http://schemas.{kind}\"/>\n")
    };
    let cover = format!("/Metadata/plate_{plate}.png");
    let small = format!("/Metadata/plate_{plate}_small.png");
    relationships(
        [
            line("/3D/3dmodel.model", 1, "microsoft.com/3dmanufacturing/2013/01/3dmodel"),
            line(&cover, 2, "openxmlformats.org/package/2006/relationships/metadata/thumbnail"),
            line(&cover, 4, "bambulab.com/package/2021/cover-thumbnail-middle"),
            line(&small, 5, "bambulab.com/package/2021/cover-thumbnail-small"),
        ]
        .concat(),
    )
}

fn relationships(lines: String) -> String {
    let space = "http://schemas.openxmlformats.org/package/2006/relationships";
    format!("{XML}<Relationships xmlns=\"{space}\">\n{lines}</Relationships>\n")
}

fn filament_sequence(recipe: &Recipe) -> String {
    let sequence: Vec<_> = (1..=recipe.filaments.len()).collect();
    let plates =
        recipe.plates.iter().map(|plate| (format!("plate_{plate}"), json!({ "sequence": sequence })));
    Value::Object(plates.collect()).to_string()
}
