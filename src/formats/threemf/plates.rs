//! The plates of a sliced or unsliced project: `slice_info.config` and `model_settings.config`.

use std::collections::BTreeMap;
use std::io::Read;

use super::xml::{Event, Xml};
use crate::formats::figures::PlateFacts;
use crate::formats::figures::keys::{self, Key, Origin, Store};
use crate::formats::figures::units;
use crate::formats::limits;
use crate::formats::result::{Failure, FilamentUse, short_text};

/// One plate as `slice_info.config` describes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlicedPlate {
    pub index: u32,
    pub store: Store,
    pub facts: PlateFacts,
}

/// One plate as `model_settings.config` describes it. Names are part names.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlateSettings {
    pub index: u32,
    pub gcode_file: Option<String>,
    pub thumbnail: Option<String>,
    pub unlit: Option<String>,
    pub top: Option<String>,
    pub pick: Option<String>,
    object_ids: Vec<String>,
    /// Names of the objects on it, for projects that are not sliced.
    pub objects: Vec<String>,
}

/// Reads the plates out of `slice_info.config`, as far as it goes: what stood before an error is in `plates`.
pub(crate) fn slice_info<R: Read>(xml: &mut Xml<R>, plates: &mut Vec<SlicedPlate>) -> Result<(), Failure> {
    let mut open: Option<SlicedPlate> = None;
    while let Some(event) = xml.next()? {
        match &event {
            Event::Start { name, empty, .. } => match (name.as_str(), &mut open) {
                ("plate", _) if !empty => {
                    if plates.len() >= limits::PLATES_MAX {
                        return Err(Failure::too_large("the archive has too many plates"));
                    }
                    // Plates without an index of their own are counted.
                    let index = u32::try_from(plates.len() + 1).unwrap_or(u32::MAX);
                    open = Some(SlicedPlate { index, ..SlicedPlate::default() });
                }
                ("metadata", Some(plate)) => plate.metadata(&event),
                ("object", Some(plate)) => plate.object(&event),
                ("filament", Some(plate)) => plate.filament(&event),
                _ => {}
            },
            Event::End { name } if name == "plate" => plates.extend(open.take()),
            Event::End { .. } | Event::Text(_) => {}
        }
    }
    Ok(())
}

impl SlicedPlate {
    fn metadata(&mut self, event: &Event) {
        let (Some(name), Some(value)) = (event.attribute("key"), event.attribute("value")) else { return };
        match name {
            "index" => {
                if let Ok(index) = value.trim().parse::<u32>() {
                    self.index = index;
                }
            }
            "prediction" => self.store.put(Key::PrintTime, value, Origin::SliceInfo),
            "first_layer_time" => self.store.put(Key::FirstLayerTime, value, Origin::SliceInfo),
            "weight" => self.facts.weight_g = units::positive(value),
            "nozzle_diameters" | "support_used" => {
                if let Some(key) = keys::key(name) {
                    self.store.put(key, value, Origin::SliceInfo);
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, event: &Event) {
        let skipped = event.attribute("skipped").and_then(units::switch) == Some(true);
        let objects = self.facts.objects.get_or_insert_default();
        if !skipped && objects.len() < limits::OBJECTS_MAX {
            objects.push(short_text(event.attribute("name").unwrap_or_default()));
        }
    }

    fn filament(&mut self, event: &Event) {
        let number = |name| event.attribute(name).and_then(units::positive);
        let slot = event.attribute("id").and_then(|id| id.trim().parse::<u32>().ok());
        let Some(tool) = slot.and_then(|slot| slot.checked_sub(1)) else { return };
        let used_g = number("used_g");
        let used_mm = number("used_m").map(|metres| (metres * 1e6).round() / 1e3);
        let used = [used_g, used_mm].into_iter().flatten().any(|value| value > 0.0);
        if !used || self.facts.filaments.len() >= limits::TOOLS_MAX {
            return;
        }
        let text = |name| event.attribute(name).map(short_text).filter(|text: &String| !text.is_empty());
        self.facts.filaments.push(FilamentUse {
            tool,
            kind: text("type"),
            color: event.attribute("color").and_then(units::color),
            name: None,
            used_g,
            used_mm,
        });
    }
}

/// Reads the plates out of `model_settings.config`.
pub(crate) fn model_settings<R: Read>(
    xml: &mut Xml<R>,
    plates: &mut Vec<PlateSettings>,
) -> Result<(), Failure> {
    let mut open: Option<PlateSettings> = None;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    // The object whose own metadata, in front of its parts, is being read.
    let mut object: Option<String> = None;
    let mut result = Ok(());
    loop {
        let event = match xml.next() {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(failure) => {
                result = Err(failure);
                break;
            }
        };
        match &event {
            Event::Start { name, empty, .. } => match (name.as_str(), &mut open) {
                ("plate", _) if !empty => {
                    if plates.len() >= limits::PLATES_MAX {
                        result = Err(Failure::too_large("the archive has too many plates"));
                        break;
                    }
                    let index = u32::try_from(plates.len() + 1).unwrap_or(u32::MAX);
                    open = Some(PlateSettings { index, ..PlateSettings::default() });
                }
                ("metadata", Some(plate)) => plate.metadata(&event),
                ("object", None) => object = event.attribute("id").map(short_text),
                ("part", None) => object = None,
                ("metadata", None) if event.attribute("key") == Some("name") => {
                    if let (Some(id), Some(value)) = (object.take(), event.attribute("value"))
                        && names.len() < limits::OBJECTS_MAX
                    {
                        names.insert(id, short_text(value));
                    }
                }
                _ => {}
            },
            Event::End { name } if name == "plate" => plates.extend(open.take()),
            Event::End { .. } | Event::Text(_) => {}
        }
    }
    for plate in plates.iter_mut() {
        plate.objects =
            plate.object_ids.iter().map(|id| names.get(id).cloned().unwrap_or_default()).collect();
    }
    result
}

impl PlateSettings {
    fn metadata(&mut self, event: &Event) {
        let (Some(name), Some(value)) = (event.attribute("key"), event.attribute("value")) else { return };
        let part = || {
            let name = value.trim().trim_start_matches('/');
            (!name.is_empty() && name.len() <= limits::ZIP_NAME_MAX).then(|| name.to_owned())
        };
        match name {
            "plater_id" => {
                if let Ok(index) = value.trim().parse::<u32>() {
                    self.index = index;
                }
            }
            "gcode_file" => self.gcode_file = part(),
            "thumbnail_file" => self.thumbnail = part(),
            "thumbnail_no_light_file" => self.unlit = part(),
            "top_file" => self.top = part(),
            "pick_file" => self.pick = part(),
            "object_id" if self.object_ids.len() < limits::OBJECTS_MAX => {
                self.object_ids.push(short_text(value))
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plate_of_slice_info() {
        let text = r##"<config><header/><plate><metadata key="index" value="3"/><metadata key="prediction" value="865"/>
            <metadata key="first_layer_time" value="71,958466"/><metadata key="weight" value="0.72"/>
            <object identify_id="1" name="A" skipped="false"/><object identify_id="2" name="B" skipped="true"/>
            <filament id="2" type="PLA" color="#ffffffFF" used_m="0.24" used_g="0.72"/>
            <filament id="1" type="ABS" color="#000000" used_m="0" used_g="0.00"/></plate></config>"##;
        let mut plates = Vec::new();
        slice_info(&mut Xml::new(text.as_bytes()), &mut plates).unwrap();
        let plate = &plates[0];
        assert_eq!((plate.index, plate.facts.weight_g), (3, Some(0.72)));
        assert_eq!(plate.facts.objects.as_deref(), Some(&["A".to_owned()][..]));
        assert_eq!(
            plate.facts.filaments,
            [FilamentUse {
                tool: 1,
                kind: Some("PLA".into()),
                color: Some("#FFFFFF".into()),
                name: None,
                used_g: Some(0.72),
                used_mm: Some(240.0)
            }]
        );
    }

    #[test]
    fn plates_before_the_damage_are_kept() {
        let mut plates = Vec::new();
        let text = "<config><plate><metadata key='index' value='2'/></plate><plate><metadata key=";
        assert!(slice_info(&mut Xml::new(text.as_bytes()), &mut plates).is_err());
        assert_eq!(plates.iter().map(|plate| plate.index).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn model_settings_name_files_and_objects() {
        let text = r#"<config><object id="2"><metadata key="name" value="Cube"/><part id="1"><metadata key="name" value="p"/></part></object>
            <plate><metadata key="plater_id" value="4"/><metadata key="gcode_file" value="/Metadata/plate_4.gcode"/>
            <model_instance><metadata key="object_id" value="2"/></model_instance></plate></config>"#;
        let mut plates = Vec::new();
        model_settings(&mut Xml::new(text.as_bytes()), &mut plates).unwrap();
        assert_eq!(plates[0].index, 4);
        assert_eq!(plates[0].gcode_file.as_deref(), Some("Metadata/plate_4.gcode"));
        assert_eq!(plates[0].objects, ["Cube"]);
    }
}
