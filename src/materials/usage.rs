//! What a print takes, and out of which slots. Pure.
//!
//! A file speaks of filaments by their place in its list (*tool*), a printer of slots. Which is which is taken from the most
//! certain source that there is, in this order:
//!
//! 1. what the printer was told when the print was started;
//! 2. the one slot that was seen in use, where the file uses one filament;
//! 3. the one spool of the printer whose type and colour are the filament's;
//! 4. slots seen in use and filaments used, both in their order, where there are as many;
//! 5. on a printer without units, the slot with the tool's number.
//!
//! Where none of them speaks, nothing is booked without a person.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::job::FILAMENTS_MAX;
use crate::model::text::clean;
use crate::model::{Decimal, FilamentUse, Job, Mass, PrinterType};

/// Bytes of a filament's type that are kept.
const KIND_BYTES_MAX: usize = 32;

/// A spool in one of the printer's slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The slot.
    pub slot: u16,
    /// The spool's type.
    pub kind: String,
    /// Its colour as `#RRGGBB`.
    pub color: Option<String>,
}

/// Metadata as far as it speaks of filaments.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    filaments: Vec<Entry>,
    #[serde(default)]
    filament_used_g: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Entry {
    tool: Option<u16>,
    #[serde(rename = "type")]
    kind: Option<String>,
    color: Option<String>,
    used_g: Option<Box<RawValue>>,
}

/// The filaments of a file, from its metadata as JSON. `None` where it does not say how much of any it needs. A file that
/// gives only a total, and one filament at most, means that one.
#[must_use]
pub fn uses_of(metadata: &str) -> Option<Vec<FilamentUse>> {
    let metadata: Metadata = serde_json::from_str(metadata).ok()?;
    let total = grams(metadata.filament_used_g.as_deref());
    let only = metadata.filaments.len() <= 1;
    let mut uses: Vec<FilamentUse> = Vec::new();
    for (place, entry) in metadata.filaments.into_iter().take(FILAMENTS_MAX).enumerate() {
        let used = grams(entry.used_g.as_deref()).or(total.filter(|_| only));
        let Some(used) = used.filter(|used| *used > Mass::ZERO) else { continue };
        let tool = entry.tool.or(u16::try_from(place).ok()).unwrap_or_default();
        let kind = entry.kind.map(|kind| clean(&kind, KIND_BYTES_MAX)).filter(|kind| !kind.is_empty());
        let color = entry.color.filter(|color| color.len() == 7 && color.starts_with('#'));
        uses.push(FilamentUse { tool, used, kind, color });
    }
    if uses.is_empty()
        && only
        && let Some(used) = total.filter(|total| *total > Mass::ZERO)
    {
        uses.push(FilamentUse { tool: 0, used, kind: None, color: None });
    }
    Some(uses).filter(|uses| !uses.is_empty())
}

/// Grams as the file writes them; what is negative or no number is not known.
fn grams(raw: Option<&RawValue>) -> Option<Mass> {
    let number: Decimal = raw?.get().parse().ok()?;
    number.scaled(Mass::GRAM_PLACES).map(Mass::from_micrograms)
}

/// The slot that each of `uses` came out of, as far as that is certain enough.
#[must_use]
pub fn slots_of(uses: &[FilamentUse], job: &Job, kind: PrinterType, loaded: &[Loaded]) -> Vec<Option<u16>> {
    let told = &job.material.mapping;
    if !told.is_empty() {
        return uses.iter().map(|one| told.get(usize::from(one.tool)).copied().flatten()).collect();
    }
    let mut seen = job.material.slots.clone();
    seen.sort_unstable();
    if let ([_], [slot]) = (uses, seen.as_slice()) {
        return vec![Some(*slot)];
    }
    let alike: Vec<Option<u16>> = uses.iter().map(|one| only_alike(one, loaded)).collect();
    let in_order = seen.len() == uses.len();
    let mut by_tool: Vec<u16> = uses.iter().map(|one| one.tool).collect();
    by_tool.sort_unstable();
    uses.iter()
        .zip(alike)
        .map(|(one, alike)| {
            let place = by_tool.iter().position(|tool| *tool == one.tool).filter(|_| in_order);
            let ordered = place.and_then(|place| seen.get(place).copied());
            let bare = Some(one.tool).filter(|_| kind == PrinterType::PrusaLink && seen.is_empty());
            alike.or(ordered).or(bare)
        })
        .collect()
}

/// The slot of the only spool with this type and colour.
fn only_alike(one: &FilamentUse, loaded: &[Loaded]) -> Option<u16> {
    let (kind, color) = (one.kind.as_deref()?, one.color.as_deref()?);
    let mut fitting = loaded.iter().filter(|spool| {
        spool.kind.eq_ignore_ascii_case(kind)
            && spool.color.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(color))
    });
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first.slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::{JobId, JobMaterial, JobStatus, PrinterId};

    fn mg(milligrams: u64) -> Mass {
        Mass::from_micrograms(milligrams * 1000)
    }

    fn of(tool: u16, kind: &str, color: &str) -> FilamentUse {
        FilamentUse { tool, used: mg(1000), kind: Some(kind.into()), color: Some(color.into()) }
    }

    fn job(mapping: &[Option<u16>], slots: &[u16]) -> Job {
        let material =
            JobMaterial { mapping: mapping.to_vec(), slots: slots.to_vec(), ..JobMaterial::default() };
        Job {
            id: JobId(1),
            printer_id: PrinterId(1),
            printer_name: String::new(),
            name: String::new(),
            file: None,
            plate: None,
            file_id: None,
            status: JobStatus::Completed,
            auto: true,
            progress: None,
            error: None,
            notes: None,
            material,
            created_at: Timestamp(0),
            started_at: None,
            printing_at: None,
            ended_at: None,
            clock_synced: true,
            created_seq: 1,
        }
    }

    #[test]
    fn the_figures_of_a_file_are_taken_exactly() {
        let uses = uses_of(
            r##"{"filament_used_g": 15.2, "filaments": [
                {"tool": 0, "type": "PLA", "color": "#112233", "name": "x", "used_g": 12.34, "used_mm": 4000},
                {"tool": 2, "type": " ", "color": "red", "used_g": 2.86},
                {"tool": 3, "type": "PETG", "color": null, "used_g": 0},
                {"tool": 4, "type": "PVA", "color": null, "used_g": null},
                {"tool": 5, "type": "PVA", "color": null, "used_g": -1}]}"##,
        );
        let expected = [
            FilamentUse {
                tool: 0,
                used: mg(12_340),
                kind: Some("PLA".into()),
                color: Some("#112233".into()),
            },
            FilamentUse { tool: 2, used: mg(2_860), kind: None, color: None },
        ];
        assert_eq!(uses.unwrap(), expected);
        // A total alone means the only filament.
        let only =
            uses_of(r#"{"filament_used_g": 7.5, "filaments": [{"tool": 1, "type": "PLA", "used_g": null}]}"#);
        assert_eq!(only.unwrap()[0].used, mg(7_500));
        let nameless = uses_of(r#"{"filament_used_g": 7.5, "filaments": []}"#).unwrap();
        assert_eq!((nameless[0].tool, nameless[0].used), (0, mg(7_500)));
        for silent in [
            "{}",
            r#"{"filament_used_g": null}"#,
            r#"{"filament_used_g": 0}"#,
            r#"{"filament_used_g": 9, "filaments": [{"tool": 0}, {"tool": 1}]}"#,
            "[]",
            "no JSON",
        ] {
            assert_eq!(uses_of(silent), None, "{silent}");
        }
        let many = (0..100).map(|tool| format!(r#"{{"tool": {tool}, "used_g": 1}}"#)).collect::<Vec<_>>();
        let many = uses_of(&format!(r#"{{"filaments": [{}]}}"#, many.join(",")));
        assert_eq!(many.unwrap().len(), FILAMENTS_MAX);
    }

    #[test]
    fn the_most_certain_source_names_the_slot() {
        let (bambu, prusa) = (PrinterType::BambuLab, PrinterType::PrusaLink);
        let loaded = [
            Loaded { slot: 0, kind: "PLA".into(), color: Some("#FF0000".into()) },
            Loaded { slot: 1, kind: "PLA".into(), color: Some("#00FF00".into()) },
            Loaded { slot: 2, kind: "PETG".into(), color: Some("#00ff00".into()) },
            Loaded { slot: 3, kind: "PETG".into(), color: Some("#00FF00".into()) },
        ];
        let one = [of(0, "PLA", "#FF0000")];
        let two = [of(0, "PLA", "#FF0000"), of(3, "pla", "#00ff00")];
        for (uses, mapping, seen, kind, expected) in [
            // The printer's word, whatever else is seen; a filament that it does not know is nowhere.
            (&one[..], vec![Some(2)], vec![0], bambu, vec![Some(2)]),
            (&two[..], vec![Some(1), None, None, Some(0)], vec![], bambu, vec![Some(1), Some(0)]),
            (&two[..], vec![Some(1)], vec![], bambu, vec![Some(1), None]),
            // One filament, one slot.
            (&one[..], vec![], vec![3], bambu, vec![Some(3)]),
            (&one[..], vec![], vec![254], bambu, vec![Some(254)]),
            // Type and colour.
            (&one[..], vec![], vec![1, 2], bambu, vec![Some(0)]),
            (&two[..], vec![], vec![], bambu, vec![Some(0), Some(1)]),
            // Two spools alike tell nothing; the order may.
            (&[of(0, "PETG", "#00FF00")][..], vec![], vec![], bambu, vec![None]),
            (
                &[of(5, "PETG", "#00FF00"), of(1, "ABS", "#000000")][..],
                vec![],
                vec![3, 2],
                bambu,
                vec![Some(3), Some(2)],
            ),
            (
                &[of(5, "PETG", "#00FF00"), of(1, "ABS", "#000000")][..],
                vec![],
                vec![3],
                bambu,
                vec![None, None],
            ),
            // Without units the tool is the slot.
            (&[of(0, "ASA", "#000000")][..], vec![], vec![], prusa, vec![Some(0)]),
            (&[of(0, "ASA", "#000000")][..], vec![], vec![], bambu, vec![None]),
        ] {
            assert_eq!(
                slots_of(uses, &job(&mapping, &seen), kind, &loaded),
                expected,
                "{uses:?} {mapping:?} {seen:?}"
            );
        }
    }
}
