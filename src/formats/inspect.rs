//! The answer as text for people.

use std::fmt::Write;

use super::result::{Inspection, Metadata};

/// A page of text that shows everything that was found: figures with units and sources, pictures, warnings.
pub fn render_text(inspection: &Inspection) -> String {
    let mut out = String::new();
    let format = inspection.format.map_or("unknown", super::Format::name);
    let _ = writeln!(out, "format: {format}, {}", if inspection.sliced { "sliced" } else { "not sliced" });
    if let Some(plate) = inspection.plate {
        let _ = writeln!(out, "plate: {plate} ({} in the file)", inspection.plate_count);
    }
    if let Some(error) = &inspection.error {
        let _ = writeln!(out, "error: {error}");
    }
    figures(inspection, &mut out);
    if !inspection.metadata.filaments.is_empty() {
        let _ = writeln!(out, "filaments:");
    }
    for filament in &inspection.metadata.filaments {
        let _ = write!(out, "  tool {}:", filament.tool);
        for text in [&filament.kind, &filament.color, &filament.name].into_iter().flatten() {
            let _ = write!(out, " {text},");
        }
        let grams = filament.used_g.map_or("? g".to_owned(), |value| format!("{value} g"));
        let length = filament.used_mm.map_or("? mm".to_owned(), |value| format!("{value} mm"));
        let _ = writeln!(out, " {grams}, {length}");
    }
    if !inspection.thumbnails.is_empty() {
        let _ = writeln!(out, "thumbnails:");
    }
    for thumbnail in &inspection.thumbnails {
        let _ = writeln!(
            out,
            "  {}: {} {}x{}, {} bytes{}",
            thumbnail.source,
            thumbnail.format.name(),
            thumbnail.width,
            thumbnail.height,
            thumbnail.bytes,
            thumbnail.sha256.as_ref().map(|sum| format!(", sha256 {sum}")).unwrap_or_default()
        );
    }
    for warning in &inspection.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

/// The figures line by line, as `name: value unit (source)`. Units are cut off the names.
fn figures(inspection: &Inspection, out: &mut String) {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(&inspection.metadata) else { return };
    for (name, value) in &fields {
        let shown = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::Array(items) if items.is_empty() || name == "filaments" => continue,
            serde_json::Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(", "),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (label, unit) = label(name);
        let source =
            inspection.sources.get(name.as_str()).map(|source| format!("  ({source})")).unwrap_or_default();
        let _ = writeln!(out, "{label}: {shown}{unit}{source}");
    }
}

fn label(name: &str) -> (String, &'static str) {
    const UNITS: [(&str, &str); 6] =
        [("_mm", " mm"), ("_cm3", " cm3"), ("_percent", " %"), ("_s", " s"), ("_g", " g"), ("_c", " C")];
    let found = UNITS.iter().find_map(|(suffix, unit)| Some((name.strip_suffix(suffix)?, *unit)));
    let (label, unit) = found.unwrap_or((name, ""));
    (label.replace('_', " "), unit)
}

/// Whether something could be read: what the exit code of `printernizer inspect` tells.
pub fn read_something(inspection: &Inspection) -> bool {
    inspection.error.is_none()
        && (inspection.metadata != Metadata::default() || !inspection.thumbnails.is_empty())
}
