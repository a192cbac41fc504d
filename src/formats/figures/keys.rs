//! The settings and statistics that we know, under the names that slicers give them, and a bounded store for them.
//!
//! New forks of the large slicers appear every month and keep the names of their parents. So a value is known by its
//! key alone, wherever it stands and whoever wrote it; no list of slicers is consulted.

use std::collections::BTreeMap;

use super::units;
use crate::formats::limits;

/// A figure or setting that readers understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Slicer,
    SlicerVersion,
    CreatedAt,
    PrinterModel,
    PrinterName,
    PrintTime,
    PrintTimeSilent,
    FirstLayerTime,
    LayerCount,
    LayerHeight,
    FirstLayerHeight,
    MaxZ,
    NozzleDiameter,
    NozzleTemperature,
    FirstNozzleTemperature,
    BedTemperature,
    FirstBedTemperature,
    BedCool,
    BedEngineering,
    BedHot,
    BedTextured,
    BedTexturedCool,
    BedSupertack,
    BedType,
    Infill,
    Supports,
    FilamentG,
    FilamentMm,
    FilamentCm3,
    FilamentCost,
    TotalG,
    TotalMm,
    TotalCm3,
    TotalCost,
    FilamentDensity,
    FilamentDiameter,
    FilamentType,
    FilamentColor,
    ExtruderColor,
    FilamentName,
    /// 1-based slots that the values of a list belong to.
    FilamentSlots,
    ToolChanges,
    /// The JSON line with objects and their outlines.
    ObjectsInfo,
    /// A setting that only the family has in which a share as first layer height is one of the nozzle's diameter.
    NozzleShares,
}

/// Where a value stood. A later one in this list outranks an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Computed from other figures.
    Derived,
    /// A command among the moves, such as the first `M109`.
    Command,
    /// The 3D model's metadata elements.
    Model,
    /// `Slic3r_PE.config` and its like.
    SlicerConfig,
    /// `project_settings.config`.
    ProjectSettings,
    /// `plate_N.json`.
    PlateJson,
    /// bgcode file metadata.
    FileMetadata,
    /// bgcode slicer metadata.
    SlicerMetadata,
    /// bgcode printer metadata.
    PrinterMetadata,
    /// bgcode print metadata.
    PrintMetadata,
    /// A comment of the G-code outside its configuration block.
    Comment,
    /// The configuration block of the G-code.
    Config,
    /// `slice_info.config`.
    SliceInfo,
}

impl Origin {
    pub fn name(self) -> &'static str {
        match self {
            Self::Derived => "derived",
            Self::Command => "gcode command",
            Self::Model => "3dmodel.model",
            Self::SlicerConfig => "Slic3r_PE.config",
            Self::ProjectSettings => "project_settings.config",
            Self::PlateJson => "plate json",
            Self::FileMetadata => "bgcode file metadata",
            Self::SlicerMetadata => "bgcode slicer metadata",
            Self::PrinterMetadata => "bgcode printer metadata",
            Self::PrintMetadata => "bgcode print metadata",
            Self::Comment => "gcode comment",
            Self::Config => "gcode configuration",
            Self::SliceInfo => "slice_info.config",
        }
    }
}

/// The key that slicers call `name`. Case matters: the large slicers never vary it.
pub(crate) fn key(name: &str) -> Option<Key> {
    Some(match name {
        "Producer" => Key::Slicer,
        "Produced on" => Key::CreatedAt,
        "printer_model" | "TARGET_MACHINE.NAME" | "Product Name" | "machine" | "printer_name" => {
            Key::PrinterModel
        }
        "printer_settings_id" => Key::PrinterName,
        "estimated printing time (normal mode)"
        | "estimated printing time"
        | "total estimated time"
        | "TIME"
        | "PRINT.TIME"
        | "Build time"
        | "Build Time"
        | "Print Time"
        | "--- print time"
        | "print time"
        | "Print time"
        | "Estimated Build Time"
        | "Calculated Build Time"
        | "Calculated-during-export Build Time"
        | "estimated_time(s)"
        | "estimated_print_time_s" => Key::PrintTime,
        "estimated printing time (silent mode)" => Key::PrintTimeSilent,
        "estimated first layer printing time (normal mode)"
        | "estimated first layer printing time"
        | "first layer printing time" => Key::FirstLayerTime,
        "total layer number" | "total layers count" | "total_layer_count" | "LAYER_COUNT"
        | "layer_number" | "layer_count" | "Layer count" => Key::LayerCount,
        "layer_height"
        | "Layer height"
        | "layerHeight"
        | "layer_thickness_mm"
        | "max_layer_thickness_mm"
        | "z_layer_height_mm"
        | "sliceHeight" => Key::LayerHeight,
        "first_layer_height"
        | "initial_layer_print_height"
        | "initial_layer_height"
        | "first_layer_thickness_mm"
        | "firstSliceHeight"
        | "firstLayerHeightPercentage"
        | "z_layer_height_first_layer_mm" => Key::FirstLayerHeight,
        "max_layer_z" | "max_z_height" | "MAXZ" | "PRINT.SIZE.MAX.Z" | "max_z(mm)" | "print_height_mm" => {
            Key::MaxZ
        }
        "nozzle_diameter"
        | "Nozzle diameter"
        | "nozzleDiameter"
        | "extruderDiameter"
        | "nozzle_diameters"
        | "nozzle_diameter_mm_0"
        | "nozzle_0_diameter(mm)" => Key::NozzleDiameter,
        "temperature" | "nozzle_temperature" | "nozzle_temperature(°C)" | "outputTemp" => {
            Key::NozzleTemperature
        }
        "first_layer_temperature"
        | "nozzle_temperature_initial_layer"
        | "extruder_temp_degree_c_0"
        | "first_layer_C"
        | "firstLayerNozzleTemp" => Key::FirstNozzleTemperature,
        "bed_temperature" | "build_plate_temperature(°C)" | "bed_temp_degree_c" | "outputBedTemp" => {
            Key::BedTemperature
        }
        "first_layer_bed_temperature" | "BUILD_PLATE.INITIAL_TEMPERATURE" | "bed_C" | "firstLayerBedTemp" => {
            Key::FirstBedTemperature
        }
        "cool_plate_temp" => Key::BedCool,
        "eng_plate_temp" => Key::BedEngineering,
        "hot_plate_temp" => Key::BedHot,
        "textured_plate_temp" => Key::BedTextured,
        "textured_cool_plate_temp" => Key::BedTexturedCool,
        "supertack_plate_temp" => Key::BedSupertack,
        "curr_bed_type" => Key::BedType,
        "fill_density" | "sparse_infill_density" | "infillPercentage" | "sliceFillSparse" => Key::Infill,
        "support_material" | "enable_support" | "generateSupport" | "support_used" | "sliceSupportEnable" => {
            Key::Supports
        }
        "filament used [g]"
        | "total filament weight [g]"
        | "Filament weight"
        | "Plastic weight"
        | "Material Weight"
        | "matierial_weight"
        | "filament mass_g"
        | "filament_used_g" => Key::FilamentG,
        "filament used [mm]"
        | "total filament length [mm]"
        | "Filament used"
        | "Filament length"
        | "Material Length"
        | "--- filament used"
        | "filament used"
        | "matierial_length"
        | "filament_used_mm" => Key::FilamentMm,
        "filament used [cm3]"
        | "total filament volume [cm^3]"
        | "Plastic volume"
        | "Material Volume"
        | "Material volume" => Key::FilamentCm3,
        "filament cost" => Key::FilamentCost,
        "total filament used [g]" => Key::TotalG,
        "total filament used [mm]" => Key::TotalMm,
        "total filament used [cm3]" => Key::TotalCm3,
        "total filament cost" | "Plastic cost" | "Material Cost" | "Material cost" => Key::TotalCost,
        "filament_density" | "filamentDensities" => Key::FilamentDensity,
        "filament_diameter" | "filamentDiameters" => Key::FilamentDiameter,
        "filament_type" | "Filament type" | "printMaterial" => Key::FilamentType,
        "filament_colour" | "filament_color" => Key::FilamentColor,
        "extruder_colour" | "extruder_color" => Key::ExtruderColor,
        "filament_settings_id" | "Filament name" | "filament_name" => Key::FilamentName,
        "filament" => Key::FilamentSlots,
        "total toolchanges" | "total filament change" | "total filament changes" => Key::ToolChanges,
        "objects_info" => Key::ObjectsInfo,
        "curve_smoothing_precision" | "external_infill_margin" => Key::NozzleShares,
        _ => return None,
    })
}

impl Key {
    /// Whether a value must hold a number to be one. Unfilled templates and stray words fail this.
    fn wants_number(self) -> bool {
        !matches!(
            self,
            Self::Slicer
                | Self::SlicerVersion
                | Self::CreatedAt
                | Self::PrinterModel
                | Self::PrinterName
                | Self::BedType
                | Self::Supports
                | Self::FilamentType
                | Self::FilamentColor
                | Self::ExtruderColor
                | Self::FilamentName
                | Self::ObjectsInfo
                | Self::NozzleShares
        )
    }

    fn accepts(self, text: &str) -> bool {
        match self {
            Self::PrintTime | Self::PrintTimeSilent | Self::FirstLayerTime => {
                units::duration_s(text).is_some()
            }
            key if key.wants_number() => units::numbers(text).iter().any(Option::is_some),
            Self::PrinterModel | Self::BedType | Self::PrinterName => {
                !text.is_empty() && !text.starts_with(['{', '['])
            }
            _ => !text.is_empty(),
        }
    }

    /// The largest of several values counts: slicers that print one object at a time repeat these per object.
    fn keeps_largest(self) -> bool {
        matches!(self, Self::PrintTime | Self::LayerCount | Self::MaxZ)
    }
}

/// One value as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<String>),
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    origin: Origin,
}

/// The values of one file. Bounded: one per key, [`limits::VALUE_MAX`] bytes each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    entries: BTreeMap<Key, Entry>,
    /// Names out of the objects line, which is digested at once because it can be long.
    pub objects: Option<(Vec<String>, u64, Origin)>,
}

impl Store {
    /// Keeps `text` for `key` unless a better one is there. A value that cannot be one is not kept.
    pub fn put(&mut self, key: Key, text: &str, origin: Origin) {
        let text = text.trim();
        if key == Key::ObjectsInfo {
            self.put_objects(text, origin);
            return;
        }
        if text.len() > limits::VALUE_MAX || !key.accepts(text) {
            return;
        }
        if let Some(old) = self.entries.get(&key) {
            if old.origin > origin {
                return;
            }
            if key.keeps_largest()
                && old.origin == origin
                && let Value::Text(old) = &old.value
                && units::duration_s(old) >= units::duration_s(text)
            {
                return;
            }
        }
        self.entries.insert(key, Entry { value: Value::Text(text.to_owned()), origin });
    }

    /// Keeps a ready-made list, one item per tool.
    pub fn put_list(&mut self, key: Key, items: Vec<String>, origin: Origin) {
        if items.is_empty() || items.iter().map(String::len).sum::<usize>() > limits::VALUE_MAX {
            return;
        }
        if self.entries.get(&key).is_none_or(|old| old.origin <= origin) {
            self.entries.insert(key, Entry { value: Value::List(items), origin });
        }
    }

    /// Sets the item of one tool in a list.
    pub fn put_tool(&mut self, key: Key, tool: usize, text: &str, origin: Origin) {
        if tool >= limits::TOOLS_MAX || text.len() > limits::NAME_MAX {
            return;
        }
        let entry =
            self.entries.entry(key).or_insert_with(|| Entry { value: Value::List(Vec::new()), origin });
        if entry.origin > origin {
            return;
        }
        if !matches!(entry.value, Value::List(_)) {
            *entry = Entry { value: Value::List(Vec::new()), origin };
        }
        if let Value::List(items) = &mut entry.value {
            if items.len() <= tool {
                items.resize(tool + 1, String::new());
            }
            if let Some(item) = items.get_mut(tool) {
                text.trim().clone_into(item);
            }
        }
    }

    fn put_objects(&mut self, text: &str, origin: Origin) {
        if self.objects.as_ref().is_some_and(|old| old.2 > origin) {
            return;
        }
        if let Some((names, count)) = crate::formats::json::object_names(text) {
            self.objects = Some((names, count, origin));
        }
    }

    /// Takes over everything of `other` that is not here or better.
    pub fn merge(&mut self, other: Self) {
        for (key, entry) in other.entries {
            if self.entries.get(&key).is_none_or(|old| old.origin < entry.origin) {
                self.entries.insert(key, entry);
            }
        }
        if let Some(objects) = other.objects
            && self.objects.as_ref().is_none_or(|old| old.2 < objects.2)
        {
            self.objects = Some(objects);
        }
    }

    pub fn has(&self, key: Key) -> bool {
        self.entries.contains_key(&key)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.objects.is_none()
    }

    /// How many values are there; it only grows.
    pub fn len(&self) -> usize {
        self.entries.len() + usize::from(self.objects.is_some())
    }

    pub fn origin(&self, key: Key) -> Option<Origin> {
        self.entries.get(&key).map(|entry| entry.origin)
    }

    /// The value as one text; of a list the first item that is not empty.
    pub fn text(&self, key: Key) -> Option<&str> {
        match &self.entries.get(&key)?.value {
            Value::Text(text) => Some(text),
            Value::List(items) => items.iter().map(String::as_str).find(|item| !item.is_empty()),
        }
    }

    /// The value as numbers, one per tool.
    pub fn numbers(&self, key: Key) -> Vec<Option<f64>> {
        match self.entries.get(&key).map(|entry| &entry.value) {
            Some(Value::Text(text)) => units::numbers(text),
            Some(Value::List(items)) => {
                items.iter().take(limits::TOOLS_MAX).map(|item| units::positive(item)).collect()
            }
            None => Vec::new(),
        }
    }

    /// The value as texts, one per tool.
    pub fn texts(&self, key: Key) -> Vec<String> {
        match self.entries.get(&key).map(|entry| &entry.value) {
            Some(Value::Text(text)) => units::texts(text, key != Key::FilamentName),
            Some(Value::List(items)) => items
                .iter()
                .take(limits::TOOLS_MAX)
                .map(|item| crate::formats::result::short_text(item))
                .collect(),
            None => Vec::new(),
        }
    }
}
