//! Packages in odd shapes: which plate, which parts, which archive is one at all.

use printernizer::formats::{Format, Kind, PlateHint};

use crate::files::archive::{self, Part, packed, stored, zip};
use crate::files::{self};
use crate::{inspect, inspect_with};

/// Printers name the part in their own ways, and a number of theirs may be of no use.
#[test]
fn every_way_to_name_the_plate() {
    let bytes = zip(&archive::gcode_3mf(&[1, 2, 3], &[1, 2, 3], "G28\n"));
    let hint =
        |index: Option<u32>, file: Option<&str>| PlateHint { index, gcode_file: file.map(str::to_owned) };
    for (hint, plate) in [
        (hint(None, Some("/data/Metadata/plate_3.gcode")), 3),
        (hint(Some(0), Some("Metadata/plate_2.gcode")), 2),
        (hint(Some(2), Some("Metadata/plate_3.gcode")), 2),
        (hint(None, Some("/usb/Boat.gcode.3mf")), 1),
    ] {
        let answer = inspect_with(&bytes, hint.clone());
        assert_eq!(answer.plate, Some(plate), "{hint:?}");
        assert_eq!(answer.metadata.print_time_s, Some(u64::from(plate) * 1000), "{hint:?}");
        assert_eq!(answer.metadata.layer_count, Some(u64::from(plate) * 100), "{hint:?}");
    }
}

/// A plate that is only described has the description's figures and none of another plate's.
#[test]
fn a_plate_without_its_gcode_borrows_nothing() {
    let mut parts = archive::gcode_3mf(&[1, 2], &[1, 2], "G28\n");
    parts.retain(|part| !part.name.starts_with("Metadata/plate_2.gcode"));
    let answer = inspect_with(&zip(&parts), PlateHint { index: Some(2), gcode_file: None });
    assert_eq!((answer.plate, answer.metadata.print_time_s), (Some(2), Some(2000)));
    assert_eq!((answer.metadata.layer_count, answer.metadata.max_z_mm), (None, None));
    assert_eq!(answer.thumbnails[0].source, "Metadata/plate_2.png");
}

#[test]
fn an_only_plate_owns_the_gcode_whatever_its_name() {
    let mut parts = archive::gcode_3mf(&[3], &[3], "G28\n");
    parts.retain(|part| part.name != "Metadata/model_settings.config");
    for part in &mut parts {
        part.name = part.name.replace("plate_3.gcode", "boat.gcode");
    }
    let answer = inspect(&zip(&parts));
    assert_eq!((answer.plate, answer.metadata.print_time_s), (Some(3), Some(3000)));
    assert_eq!((answer.metadata.layer_count, answer.metadata.gcode_md5_ok), (Some(300), Some(true)));
    assert_eq!(answer.thumbnails[0].source, "Metadata/plate_3.png");
}

#[test]
fn pictures_behind_the_gcode_are_found() {
    let mut parts = archive::gcode_3mf(&[1], &[1], &files::moves(50_000));
    parts.sort_by_key(|part| part.name.ends_with(".png"));
    let answer = inspect(&zip(&parts));
    assert_eq!(answer.thumbnails[0].source, "Metadata/plate_1.png");
    assert_eq!((answer.metadata.print_time_s, answer.warnings.len()), (Some(1000), 0));
}

/// Office documents are packages of the same kind, with relationships and a thumbnail.
#[test]
fn a_document_is_no_print_file() {
    let relationships = archive::RELATIONSHIPS
        .replace("http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel", "officeDocument")
        .replace("Metadata/plate_1.png", "docProps/thumbnail.png");
    let document = zip(&[
        packed("[Content_Types].xml", "<Types/>"),
        packed("_rels/.rels", relationships),
        packed("word/document.xml", "<x/>"),
        stored("docProps/thumbnail.png", files::png(64, 64)),
    ]);
    assert_eq!(inspect(&document).error.map(|error| error.kind), Some(Kind::Unsupported));
    // A package whose model has a name of its own is one.
    let own = archive::RELATIONSHIPS.replace("3D/3dmodel.model", "parts/thing.xml");
    let package = zip(&[
        packed("_rels/.rels", own),
        packed("parts/thing.xml", archive::model("Fork-1.0")),
        stored("Metadata/plate_1.png", files::png(64, 64)),
    ]);
    let answer = inspect(&package);
    assert_eq!((answer.format, answer.metadata.slicer.as_deref()), (Some(Format::ThreeMf), Some("Fork")));
}

#[test]
fn separators_of_windows_are_separators() {
    let parts: Vec<Part> = archive::gcode_3mf(&[1], &[1], "G28\n")
        .into_iter()
        .map(|part| Part { name: part.name.replace('/', "\\"), ..part })
        .collect();
    let answer = inspect(&zip(&parts));
    assert_eq!((answer.metadata.print_time_s, answer.thumbnails.len()), (Some(1000), 4));
    assert_eq!(answer.metadata.gcode_md5_ok, Some(true));
}

/// SuperSlicer writes its own settings beside those for its relatives.
#[test]
fn projects_of_the_relatives_of_prusaslicer() {
    let settings = "; layer_height = 0.2\n; first_layer_height = 75%\n; nozzle_diameter = 0.4\n; external_infill_margin = 150%\n";
    for name in ["Metadata/SuperSlicer.config", "Metadata/Slic3r.config"] {
        let project = zip(&[
            packed("3D/3dmodel.model", archive::model("SuperSlicer-2.5.59")),
            packed("Metadata/Slic3r_PE_model.config", "<config/>"),
            packed(name, settings),
            stored("Metadata/thumbnail.png", files::png(256, 256)),
        ]);
        let answer = inspect(&project);
        assert_eq!(
            (answer.metadata.layer_height_mm, answer.metadata.first_layer_height_mm),
            (Some(0.2), Some(0.3))
        );
        assert_eq!((answer.sliced, answer.thumbnails.len()), (false, 1));
        assert_eq!(answer.metadata_failure().map(|failure| failure.kind), Some(Kind::NotSliced));
    }
}

/// Numbers as a version of the slicer writes them under a German locale.
#[test]
fn decimal_commas_in_the_description() {
    let mut parts = archive::gcode_3mf(&[1], &[1], "G28\n");
    for part in &mut parts {
        if part.name.ends_with("slice_info.config") {
            part.data = r##"<config><plate><metadata key="index" value="1"/><metadata key="prediction" value="865"/>
                <metadata key="weight" value="12,34"/><metadata key="first_layer_time" value="71,958466"/>
                <filament id="2" type="PETG" color="#12AB34FF" used_m="1,20" used_g="12,34"/></plate></config>"##.into();
        }
    }
    let found = inspect(&zip(&parts)).metadata;
    assert_eq!((found.print_time_s, found.first_layer_time_s), (Some(865), Some(71.958466)));
    assert_eq!((found.filament_used_g, found.filaments[0].used_g), (Some(12.34), Some(12.34)));
    // The G-code tells the length more exactly, and agrees.
    assert_eq!(found.filaments[0].used_mm, Some(1203.45));
}

/// Names come from strangers and are shown on terminals.
#[test]
fn names_carry_no_commands_for_terminals() {
    let mut parts = archive::gcode_3mf(&[1], &[1], "G28\n");
    parts.push(stored("Metadata/\u{1b}[31mred.png", files::png(8, 8)));
    parts.push(stored("Metadata/\u{1b}[2Jgone.png", "no picture"));
    let text = crate::files::text::block("thumb\u{1b}[0m", "8x8", &files::png(8, 8)) + "G28\n";
    for bytes in [zip(&parts), text.into_bytes()] {
        let answer = inspect(&bytes);
        let shown = printernizer::formats::inspect::render_text(&answer);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        for thumbnail in &answer.thumbnails {
            printernizer::formats::picture(&mut std::io::Cursor::new(&bytes), thumbnail).unwrap();
        }
    }
}
