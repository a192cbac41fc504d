//! From collected settings to the figures of the answer: units put right, lists matched with tools, totals formed.
//!
//! Nothing here knows a file format or asks which slicer wrote the file; a figure that does not follow from what was
//! found stays unknown.

pub(crate) mod keys;
pub(crate) mod units;

use std::collections::BTreeMap;
use std::f64::consts::FRAC_PI_4;

use keys::{Key, Origin, Store};

use super::limits;
use super::result::{FilamentUse, Metadata, short_text};

/// Filament diameter where a file names none: three of four printers sold, and every one that is read here.
const USUAL_DIAMETER_MM: f64 = 1.75;

/// A length whose weight and volume slicers print as zero: they round to a hundredth of a gram.
const NOTHING_MM: f64 = 5.0;

/// What an archive says about the plate beyond plain settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlateFacts {
    pub filaments: Vec<FilamentUse>,
    pub weight_g: Option<f64>,
    pub objects: Option<Vec<String>>,
}

/// The figures and where each came from.
pub(crate) struct Resolved {
    pub metadata: Metadata,
    pub sources: BTreeMap<&'static str, String>,
}

impl Resolved {
    fn note(&mut self, figure: &'static str, origin: Option<Origin>) {
        if let Some(origin) = origin {
            self.sources.insert(figure, origin.name().to_owned());
        }
    }
}

/// Forms the figures. `tools_seen` are the tool numbers that the head of the moves selects.
pub(crate) fn resolve(
    store: &Store,
    plate: Option<&PlateFacts>,
    tools_seen: &[u32],
    sliced: bool,
) -> Resolved {
    let mut out = Resolved { metadata: Metadata::default(), sources: BTreeMap::new() };
    plain(store, &mut out);
    filaments(store, plate, tools_seen, sliced, &mut out);
    temperatures(store, &mut out);
    objects(store, plate, &mut out);
    out
}

fn plain(store: &Store, out: &mut Resolved) {
    let name =
        |key| store.text(key).map(|text| short_text(text.trim_matches('"'))).filter(|text| !text.is_empty());
    let seconds = |key| store.text(key).and_then(units::duration_s);
    let first_number = |key| store.numbers(key).into_iter().flatten().next();

    out.metadata.slicer = name(Key::Slicer);
    out.note("slicer", store.origin(Key::Slicer));
    out.metadata.slicer_version = name(Key::SlicerVersion);
    out.note("slicer_version", store.origin(Key::SlicerVersion));
    let model = if store.has(Key::PrinterModel) { Key::PrinterModel } else { Key::PrinterName };
    out.metadata.printer_model = name(model);
    out.note("printer_model", store.origin(model));
    out.metadata.print_time_s = seconds(Key::PrintTime).and_then(units::round).filter(|&seconds| seconds > 0);
    out.note("print_time_s", store.origin(Key::PrintTime));
    out.metadata.print_time_silent_s = seconds(Key::PrintTimeSilent).and_then(units::round);
    out.note("print_time_silent_s", store.origin(Key::PrintTimeSilent));
    out.metadata.first_layer_time_s = first_layer_time(store);
    out.note("first_layer_time_s", store.origin(Key::FirstLayerTime));
    out.metadata.layer_count = store.text(Key::LayerCount).and_then(units::count).filter(|&count| count > 0);
    out.note("layer_count", store.origin(Key::LayerCount));
    out.metadata.layer_height_mm = first_number(Key::LayerHeight).filter(|&height| height > 0.0);
    out.note("layer_height_mm", store.origin(Key::LayerHeight));
    out.metadata.first_layer_height_mm = first_layer_height(store, out.metadata.layer_height_mm);
    out.note("first_layer_height_mm", store.origin(Key::FirstLayerHeight));
    out.metadata.max_z_mm = first_number(Key::MaxZ).filter(|&height| height > 0.0);
    out.note("max_z_mm", store.origin(Key::MaxZ));
    let diameters = store.numbers(Key::NozzleDiameter);
    if diameters.iter().all(|diameter| diameter.is_some_and(|value| value > 0.0)) {
        out.metadata.nozzle_diameter_mm = diameters.into_iter().flatten().collect();
        out.note("nozzle_diameter_mm", store.origin(Key::NozzleDiameter));
    }
    out.metadata.infill_percent = infill(store);
    out.note("infill_percent", store.origin(Key::Infill));
    out.metadata.supports = store.text(Key::Supports).and_then(units::switch);
    out.note("supports", store.origin(Key::Supports));
    out.metadata.tool_changes = store.text(Key::ToolChanges).and_then(units::count);
    out.note("tool_changes", store.origin(Key::ToolChanges));
    out.metadata.bed_type = name(Key::BedType);
    out.note("bed_type", store.origin(Key::BedType));
    out.metadata.created_at = store.text(Key::CreatedAt).and_then(units::timestamp);
    out.note("created_at", store.origin(Key::CreatedAt));
    // A value that could not be understood is unknown, and then it has no source either.
    let metadata = serde_json::to_value(&out.metadata).unwrap_or_default();
    out.sources.retain(|figure, _| metadata.get(figure).is_some_and(|value| !value.is_null()));
}

/// Some versions write this one with the user's decimal comma, so it is tried as a number before as a duration.
fn first_layer_time(store: &Store) -> Option<f64> {
    let text = store.text(Key::FirstLayerTime)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b',');
    if plain { units::positive(text) } else { units::duration_s(text) }
}

/// A first layer height may be a share: of the layer height, or in SuperSlicer's family of the smallest nozzle.
fn first_layer_height(store: &Store, layer_height: Option<f64>) -> Option<f64> {
    let text = store.text(Key::FirstLayerHeight)?;
    let value = units::positive(text).filter(|&value| value > 0.0)?;
    if !text.contains('%') {
        return Some(value);
    }
    let whole = if store.has(Key::NozzleShares) {
        store
            .numbers(Key::NozzleDiameter)
            .into_iter()
            .flatten()
            .filter(|&nozzle| nozzle > 0.0)
            .reduce(f64::min)
    } else {
        layer_height
    };
    whole.map(|whole| tidy(whole * value / 100.0))
}

/// Infill in percent. Old versions of one slicer wrote a fraction without a percent sign.
fn infill(store: &Store) -> Option<f64> {
    let text = store.text(Key::Infill)?;
    let value = units::positive(text)?;
    let fraction = !text.contains('%') && value > 0.0 && value <= 1.0 && text.contains('.');
    let percent = if fraction { tidy(value * 100.0) } else { value };
    (percent <= 100.0).then_some(percent)
}

fn filaments(
    store: &Store,
    plate: Option<&PlateFacts>,
    tools_seen: &[u32],
    sliced: bool,
    out: &mut Resolved,
) {
    let grams = store.numbers(Key::FilamentG);
    let lengths = store.numbers(Key::FilamentMm);
    let volumes = store.numbers(Key::FilamentCm3);
    let densities = densities(store);
    let diameters = store.numbers(Key::FilamentDiameter);
    let types = store.texts(Key::FilamentType);
    let configured = types.len().max(store.numbers(Key::NozzleDiameter).len()).max(densities.len());

    let places = grams.len().max(lengths.len()).max(volumes.len());
    let tools = places_to_tools(store, &[&grams, &lengths, &volumes], places, configured, tools_seen);
    let at = |list: &[Option<f64>], place: usize| list.get(place).copied().flatten();
    // A list of settings with one item holds for every tool.
    let setting = |list: &[Option<f64>], tool: u32| {
        let only = if list.len() == 1 { list.first() } else { list.get(tool as usize) };
        only.copied().flatten().filter(|&value| value > 0.0)
    };

    let volume_scale = volume_scale(&volumes, &lengths, |place| {
        tools.get(place).and_then(|&tool| setting(&diameters, tool)).unwrap_or(USUAL_DIAMETER_MM)
    });
    let mut used = Vec::new();
    let (mut total_g, mut total_mm, mut total_cm3) = (Sum::default(), Sum::default(), Sum::default());
    let mut derived_g = false;
    for (place, &tool) in tools.iter().enumerate() {
        let mut used_mm = at(&lengths, place);
        let used_cm3 = at(&volumes, place).map(|volume| volume * volume_scale);
        let diameter = setting(&diameters, tool);
        let area = diameter.map(|diameter| FRAC_PI_4 * diameter * diameter);
        if used_mm.is_none_or(|length| length == 0.0)
            && let (Some(volume), Some(area)) = (used_cm3.filter(|&volume| volume > 0.0), area)
        {
            used_mm = Some(tidy(volume * 1000.0 / area));
        }
        let mut used_g = at(&grams, place);
        // Some profiles have no density, and then the slicer writes a weight of zero for metres of filament.
        if used_g.is_none_or(|weight| weight == 0.0)
            && let Some(density) = setting(&densities, tool)
            && let Some(volume) = used_cm3
                .filter(|&volume| volume > 0.0)
                .or_else(|| Some(used_mm.filter(|&length| length > 0.0)? * area? / 1000.0))
        {
            used_g = Some(tidy(volume * density));
            derived_g = true;
        }
        // Zeros beside figures that are none are not known; but a hint of filament does weigh 0.00 g.
        let used_cm3 = used_cm3.filter(|&volume| volume > 0.0 || used_mm.is_none_or(|mm| mm < NOTHING_MM));
        if used_g == Some(0.0) && used_mm.is_some_and(|length| length >= NOTHING_MM) {
            used_g = None;
        }
        if used_mm == Some(0.0) && [used_g, used_cm3].into_iter().flatten().any(|value| value > 0.01) {
            used_mm = None;
        }
        let any = [used_g, used_mm, used_cm3].into_iter().flatten().any(|value| value > 0.0);
        if any {
            total_g.add(used_g);
            total_mm.add(used_mm);
            total_cm3.add(used_cm3);
            used.push(FilamentUse { tool, used_g, used_mm, ..FilamentUse::default() });
        }
    }

    out.metadata.filament_used_g = total(store, Key::TotalG).or(total_g.value());
    let g_origin = if derived_g { Some(Origin::Derived) } else { store.origin(Key::FilamentG) };
    out.note("filament_used_g", store.origin(Key::TotalG).or(g_origin));
    out.metadata.filament_used_mm = total(store, Key::TotalMm).or(total_mm.value());
    out.note("filament_used_mm", store.origin(Key::TotalMm).or(store.origin(Key::FilamentMm)));
    out.metadata.filament_used_cm3 = total(store, Key::TotalCm3).or(total_cm3.value());
    out.note("filament_used_cm3", store.origin(Key::TotalCm3).or(store.origin(Key::FilamentCm3)));
    let cost = total(store, Key::TotalCost).or_else(|| sum(&store.numbers(Key::FilamentCost)));
    out.metadata.filament_cost = cost;
    out.note("filament_cost", store.origin(Key::TotalCost).or(store.origin(Key::FilamentCost)));

    if used.is_empty() && places == 0 && sliced && configured == 1 && !types.is_empty() {
        // One tool and no statistics: that tool is the one in use, how much is unknown.
        used.push(FilamentUse::default());
    }
    if let Some(plate) = plate {
        merge_plate(plate, &mut used, out);
    }
    describe(store, &mut used);
    if !used.is_empty() {
        let origin = if plate.is_some_and(|plate| !plate.filaments.is_empty()) {
            Some(Origin::SliceInfo)
        } else {
            store.origin(Key::FilamentG).or(store.origin(Key::FilamentMm)).or(store.origin(Key::FilamentType))
        };
        out.note("filaments", origin);
    }
    if out.metadata.filament_used_g.is_none() {
        out.sources.remove("filament_used_g");
    }
    if out.metadata.filament_used_mm.is_none() {
        out.sources.remove("filament_used_mm");
    }
    out.metadata.filaments = used;
}

/// Densities in g/cm3; one slicer writes kg/m3.
fn densities(store: &Store) -> Vec<Option<f64>> {
    let scale = |value: f64| if value > 100.0 { value / 1000.0 } else { value };
    store.numbers(Key::FilamentDensity).into_iter().map(|value| value.map(scale)).collect()
}

fn total(store: &Store, key: Key) -> Option<f64> {
    store.text(key).and_then(units::positive).filter(|&value| value > 0.0)
}

/// Which tool each place of the statistics lists belongs to.
///
/// Usually the place is the tool. Some writers list only the tools in use: then the file names the slots, or the tools
/// that its moves select are as many as the list is long.
fn places_to_tools(
    store: &Store,
    lists: &[&[Option<f64>]],
    places: usize,
    configured: usize,
    tools_seen: &[u32],
) -> Vec<u32> {
    let slots = store.numbers(Key::FilamentSlots);
    let slots: Vec<u32> =
        slots.iter().filter_map(|slot| u32::try_from(units::round((*slot)?)?.checked_sub(1)?).ok()).collect();
    if slots.len() == places {
        return slots;
    }
    let any_zero = lists.iter().any(|list| list.contains(&Some(0.0)));
    if !any_zero && places < configured && tools_seen.len() == places {
        let mut tools = tools_seen.to_vec();
        tools.sort_unstable();
        return tools;
    }
    (0..u32::try_from(places).unwrap_or(0)).collect()
}

/// 0.001 when what is labelled cubic centimetres is cubic millimetres, else 1. Told by the length, which nobody gets
/// wrong: Bambu Studio 02.04 writes 579.74 for 241.03 mm.
fn volume_scale(volumes: &[Option<f64>], lengths: &[Option<f64>], diameter: impl Fn(usize) -> f64) -> f64 {
    for (place, volume) in volumes.iter().enumerate() {
        let (Some(volume), Some(Some(length))) = (volume, lengths.get(place)) else { continue };
        if *volume > 0.0 && *length > 0.0 {
            let expected = length * FRAC_PI_4 * diameter(place) * diameter(place) / 1000.0;
            return if (100.0..10_000.0).contains(&(volume / expected)) { 0.001 } else { 1.0 };
        }
    }
    1.0
}

/// The plate's own list of filaments outranks what its G-code says, except for lengths, which it rounds to a
/// centimetre.
fn merge_plate(plate: &PlateFacts, used: &mut Vec<FilamentUse>, out: &mut Resolved) {
    if let Some(weight) = plate.weight_g.filter(|&weight| weight > 0.0) {
        out.metadata.filament_used_g = Some(weight);
        out.note("filament_used_g", Some(Origin::SliceInfo));
    }
    if plate.filaments.is_empty() {
        return;
    }
    let from_gcode = std::mem::take(used);
    for filament in &plate.filaments {
        let mut filament = filament.clone();
        if let Some(precise) = from_gcode.iter().find(|other| other.tool == filament.tool) {
            let agrees = match (precise.used_mm, filament.used_mm) {
                (Some(precise), Some(rounded)) => (precise - rounded).abs() <= 10.0,
                (Some(_), None) => true,
                _ => false,
            };
            if agrees {
                filament.used_mm = precise.used_mm;
            }
            filament.used_g = filament.used_g.or(precise.used_g);
        }
        used.push(filament);
    }
    if out.metadata.filament_used_mm.is_none() {
        out.metadata.filament_used_mm =
            sum(&used.iter().map(|filament| filament.used_mm).collect::<Vec<_>>());
        out.note("filament_used_mm", Some(Origin::SliceInfo));
    }
    if out.metadata.filament_used_g.is_none() {
        out.metadata.filament_used_g = sum(&used.iter().map(|filament| filament.used_g).collect::<Vec<_>>());
        out.note("filament_used_g", Some(Origin::SliceInfo));
    }
}

/// Material, colour and name of each filament in use.
fn describe(store: &Store, used: &mut [FilamentUse]) {
    let types = store.texts(Key::FilamentType);
    let names = store.texts(Key::FilamentName);
    let colors = store.texts(Key::FilamentColor);
    let extruder_colors = store.texts(Key::ExtruderColor);
    let item = |list: &[String], tool: u32| {
        list.get(tool as usize).filter(|text| !text.is_empty() && *text != "nil").cloned()
    };
    for filament in used {
        filament.kind = filament.kind.take().or_else(|| item(&types, filament.tool));
        filament.name = filament.name.take().or_else(|| item(&names, filament.tool));
        let color = |list| item(list, filament.tool).and_then(|text| units::color(&text));
        // What the nozzle's marker colour is matters less than what the spool's is.
        filament.color = filament.color.take().or_else(|| color(&colors)).or_else(|| color(&extruder_colors));
    }
}

/// Temperatures of the first tool in use; the ordinary ones before those of the first layer.
fn temperatures(store: &Store, out: &mut Resolved) {
    let tool = out.metadata.filaments.first().map_or(0, |filament| filament.tool as usize);
    let pick = |key: Key| {
        let list = store.numbers(key);
        let value = list.get(tool).or(list.first()).copied().flatten().filter(|&value| value > 0.0)?;
        Some((value, store.origin(key)))
    };
    let nozzle = [Key::NozzleTemperature, Key::FirstNozzleTemperature].into_iter();
    let nozzle = nozzle
        .filter(|&key| store.origin(key) != Some(Origin::Command))
        .chain([Key::NozzleTemperature])
        .find_map(pick);
    if let Some((value, origin)) = nozzle {
        out.metadata.nozzle_temperature_c = Some(value);
        out.note("nozzle_temperature_c", origin);
    }
    let plate = store.text(Key::BedType).unwrap_or_default().to_ascii_lowercase();
    let by_plate = if plate.contains("supertack") || plate.contains("super tack") {
        Key::BedSupertack
    } else if plate.contains("textured cool") {
        Key::BedTexturedCool
    } else if plate.contains("textured") {
        Key::BedTextured
    } else if plate.contains("engineering") {
        Key::BedEngineering
    } else if plate.contains("cool") {
        Key::BedCool
    } else {
        Key::BedHot
    };
    // The first command heats for the first layer, so it is asked last. What another plate would need says nothing.
    let settings = [Key::BedTemperature, by_plate, Key::FirstBedTemperature].into_iter();
    let bed = settings
        .filter(|&key| store.origin(key) != Some(Origin::Command))
        .chain([Key::BedTemperature])
        .find_map(pick);
    if let Some((value, origin)) = bed {
        out.metadata.bed_temperature_c = Some(value);
        out.note("bed_temperature_c", origin);
    }
}

fn objects(store: &Store, plate: Option<&PlateFacts>, out: &mut Resolved) {
    let named = |names: &[String]| names.iter().filter(|name| !name.is_empty()).cloned().collect();
    if let Some(names) = plate.and_then(|plate| plate.objects.as_ref()).filter(|names| !names.is_empty()) {
        out.metadata.objects = Some(names.len() as u64);
        out.metadata.object_names = named(names);
        out.note("objects", Some(Origin::SliceInfo));
    } else if let Some((names, count, origin)) = &store.objects {
        out.metadata.objects = Some(*count);
        out.metadata.object_names = named(names);
        out.note("objects", Some(*origin));
    }
    out.metadata.object_names.truncate(limits::OBJECTS_MAX);
}

/// A sum that is unknown as soon as one of its parts is: the weight of one of two spools is not that of the print.
#[derive(Default)]
struct Sum {
    total: f64,
    unknown: bool,
}

impl Sum {
    fn add(&mut self, value: Option<f64>) {
        match value {
            Some(value) => self.total += value,
            None => self.unknown = true,
        }
    }

    fn value(&self) -> Option<f64> {
        // Nothing of anything is what a slicer writes when it does not know.
        (!self.unknown && self.total > 0.0).then(|| tidy(self.total))
    }
}

fn sum(list: &[Option<f64>]) -> Option<f64> {
    let mut sum = Sum::default();
    list.iter().for_each(|&value| sum.add(value));
    sum.value()
}

/// Sums and products of decimals carry noise in the last digits that no slicer printed.
fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(pairs: &[(Key, &str)]) -> Store {
        let mut store = Store::default();
        for (key, text) in pairs {
            store.put(*key, text, Origin::Comment);
        }
        store
    }

    fn figures(pairs: &[(Key, &str)]) -> Metadata {
        resolve(&store(pairs), None, &[], true).metadata
    }

    #[test]
    fn weight_follows_from_length_and_density() {
        let figures = figures(&[
            (Key::FilamentMm, "1000"),
            (Key::FilamentG, "0.00"),
            (Key::FilamentDensity, "1.24"),
            (Key::FilamentDiameter, "1.75"),
        ]);
        assert_eq!(figures.filament_used_g, Some(2.98255));
        assert_eq!(figures.filaments.first().and_then(|filament| filament.used_g), Some(2.98255));
    }

    #[test]
    fn a_weight_without_density_is_unknown_and_not_zero() {
        let figures =
            figures(&[(Key::FilamentMm, "1000"), (Key::FilamentG, "0.00"), (Key::FilamentDiameter, "1.75")]);
        assert_eq!(figures.filament_used_g, None);
        assert_eq!(figures.filament_used_mm, Some(1000.0));
    }

    #[test]
    fn cubic_millimetres_under_the_label_of_centimetres_are_noticed() {
        let wrong = figures(&[(Key::FilamentMm, "241.03"), (Key::FilamentCm3, "579.74")]);
        assert_eq!(wrong.filament_used_cm3, Some(0.57974));
        let right = figures(&[(Key::FilamentMm, "986.61"), (Key::FilamentCm3, "2.37")]);
        assert_eq!(right.filament_used_cm3, Some(2.37));
    }

    #[test]
    fn lists_of_used_tools_only_find_their_tools() {
        let named = figures(&[
            (Key::FilamentMm, "7854.52,2915.81"),
            (Key::FilamentSlots, "1,4"),
            (Key::FilamentType, "PLA;ABS;ABS;PLA;ABS"),
        ]);
        assert_eq!(named.filaments.iter().map(|filament| filament.tool).collect::<Vec<_>>(), [0, 3]);
        let pairs = [(Key::FilamentMm, "10, 20"), (Key::FilamentType, "A;B;C;D")];
        let seen = resolve(&store(&pairs), None, &[3, 1], true).metadata;
        assert_eq!(seen.filaments.iter().map(|filament| filament.tool).collect::<Vec<_>>(), [1, 3]);
        let zeros = [(Key::FilamentMm, "10, 0, 5"), (Key::FilamentType, "A;B;C;D;E")];
        let zeros = resolve(&store(&zeros), None, &[0, 1, 2], true).metadata;
        assert_eq!(
            zeros.filaments.iter().map(|filament| filament.kind.as_deref()).collect::<Vec<_>>(),
            [Some("A"), Some("C")]
        );
    }

    #[test]
    fn a_share_as_first_layer_height_is_of_the_layer_height() {
        let figures = figures(&[(Key::LayerHeight, "0.2"), (Key::FirstLayerHeight, "150%")]);
        assert_eq!(figures.first_layer_height_mm, Some(0.3));
    }

    #[test]
    fn templates_that_were_never_filled_are_unknown() {
        let figures = figures(&[(Key::FilamentG, "{total_weight}"), (Key::PrintTime, "[print_time]")]);
        assert_eq!(figures, Metadata::default());
    }

    #[test]
    fn the_bed_temperature_is_that_of_the_plate_in_use() {
        let pairs = [(Key::BedHot, "65"), (Key::BedTextured, "55"), (Key::BedType, "Textured PEI Plate")];
        assert_eq!(figures(&pairs).bed_temperature_c, Some(55.0));
    }
}
