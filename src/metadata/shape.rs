//! The readers' answer as the API shows it: without hashes and sources, and never longer than a record may be.

use serde_json::{Value, json};

use crate::formats::Inspection;

/// Bytes of the stored JSON. A print of eight colours with thirty named objects has 3 KB; a record may have 32 KB, and an
/// event four times that, and both hold more than this.
pub const JSON_BYTES_MAX: usize = 16 * 1024;

/// What is shortened, in this order, until the rest fits: field, and how many of its items stay.
const CUTS: [(&str, usize); 5] =
    [("thumbnails", 16), ("object_names", 64), ("object_names", 8), ("warnings", 4), ("thumbnails", 4)];

/// Filaments that stay where even that is not enough: as many as a printer can take.
const FILAMENTS_KEPT: usize = 16;

/// `inspection` in the shape of the API.
#[must_use]
pub fn rendered(inspection: &Inspection) -> String {
    let mut shown = json!({
        "format": inspection.format,
        "sliced": inspection.sliced,
        "plate": inspection.plate,
        "plate_count": inspection.plate_count,
        "thumbnails": inspection.thumbnails,
        "metadata": inspection.metadata,
        "warnings": inspection.warnings,
        "error": inspection.error,
    });
    for thumbnail in shown.get_mut("thumbnails").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = thumbnail.as_object_mut() {
            fields.remove("sha256");
        }
    }
    let mut text = shown.to_string();
    for (field, kept) in CUTS {
        if text.len() <= JSON_BYTES_MAX {
            return text;
        }
        cut(&mut shown, field, kept);
        text = shown.to_string();
    }
    if text.len() > JSON_BYTES_MAX {
        cut(&mut shown, "filaments", FILAMENTS_KEPT);
        cut(&mut shown, "object_names", 0);
        text = shown.to_string();
    }
    if text.len() > JSON_BYTES_MAX {
        // Sixteen filaments with the longest names of characters that JSON writes as six bytes each: nobody's file.
        cut(&mut shown, "filaments", 0);
        text = shown.to_string();
    }
    text
}

/// Shortens a list, wherever it stands, and says so.
fn cut(shown: &mut Value, field: &str, kept: usize) {
    let list = match shown.get_mut(field) {
        Some(list) => Some(list),
        None => shown.get_mut("metadata").and_then(|metadata| metadata.get_mut(field)),
    };
    let Some(list) = list.and_then(Value::as_array_mut) else { return };
    if list.len() <= kept {
        return;
    }
    let before = list.len();
    list.truncate(kept);
    if field != "warnings"
        && let Some(warnings) = shown.get_mut("warnings").and_then(Value::as_array_mut)
    {
        let message = format!("{} of {before} {field} are not kept", before - kept);
        warnings.push(json!({"kind": "too_large", "message": message}));
    }
}

/// The figures alone, out of what [`rendered`] has made.
#[must_use]
pub fn figures_of(json: &str) -> Value {
    let mut shown: Value = serde_json::from_str(json).unwrap_or_default();
    shown.get_mut("metadata").map(Value::take).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Failure, FilamentUse, Format, Kind, Metadata};

    #[test]
    fn an_ordinary_answer_is_kept_whole() {
        let metadata = Metadata { print_time_s: Some(5400), ..Metadata::default() };
        let inspection = Inspection {
            format: Some(Format::ThreeMf),
            sliced: true,
            plate: Some(2),
            plate_count: 3,
            metadata,
            ..Inspection::default()
        };
        let text = rendered(&inspection);
        let shown: Value = serde_json::from_str(&text).unwrap();
        let mut fields: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            ["error", "format", "metadata", "plate", "plate_count", "sliced", "thumbnails", "warnings"]
        );
        assert_eq!(
            (&shown["format"], &shown["plate"], &shown["warnings"]),
            (&json!("3mf"), &json!(2), &json!([]))
        );
        assert_eq!(figures_of(&text)["print_time_s"], 5400);
        assert_eq!(figures_of("no json"), Value::Null);
    }

    #[test]
    fn a_file_that_talks_too_much_is_cut_and_says_so() {
        let long = "\u{7f}\"".repeat(128);
        let filament =
            FilamentUse { name: Some(long.clone()), kind: Some(long.clone()), ..FilamentUse::default() };
        let metadata = Metadata {
            objects: Some(256),
            object_names: vec![long.clone(); 256],
            filaments: vec![filament; 64],
            slicer: Some("Slicer".into()),
            ..Metadata::default()
        };
        let warnings = vec![Failure::new(Kind::Corrupt, long); 32];
        let text = rendered(&Inspection { metadata, warnings, ..Inspection::default() });
        assert!(text.len() <= JSON_BYTES_MAX, "{} bytes", text.len());
        let said = format!("JSON of at most {JSON_BYTES_MAX} bytes");
        assert!(
            include_str!("../../docs/storage.md").contains(&said),
            "docs/storage.md does not say: {said}"
        );
        let shown: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&shown["metadata"]["objects"], &shown["metadata"]["slicer"]),
            (&json!(256), &json!("Slicer"))
        );
        assert!(text.contains("object_names are not kept"), "{text}");
    }
}
