//! `/materials`: spools. Weights come and go in kilograms as in the original's API, with `_g` twins in grams.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use embedded_svc::http::server::Connection;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::Api;
use crate::base::clock::Timestamp;
use crate::events::MaterialView;
use crate::materials::{Because, MaterialError, shelf};
use crate::model::text::{self, MESSAGE_BYTES_MAX};
use crate::model::{Consumption, Decimal, Mass, Material, MaterialId, Money, Place, PrinterId, Share};
use crate::printers::registry::Command;
use crate::store::Read as _;
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{API, Answer, Call, Pairs};

/// The heaviest spool that is taken; the largest on the market hold 10 kg.
const WEIGHT_MAX: Mass = Mass::from_grams(100_000);
/// Bytes of a type, maker or colour.
const WORD_BYTES_MAX: usize = 64;
/// Diameters of filament in micrometres that exist, with room on both sides.
const DIAMETERS: std::ops::RangeInclusive<u64> = 500..=5_000;
/// Slots as printers number them: 254 and 255 are outside of every unit.
const SLOT_MAX: u16 = 255;
/// Groups that the statistics name of each kind; an answer has to stay below the front's limit.
const GROUPS_MAX: usize = 100;
/// Days that the rate of use looks back.
const RATE_DAYS: u32 = 30;
const DAY_MS: i64 = 86_400_000;
/// Types that are proposed besides those in use.
const USUAL_TYPES: [&str; 9] = ["PLA", "PETG", "ABS", "ASA", "TPU", "PC", "PA", "PVA", "HIPS"];

/// The body of POST and PATCH: what is absent stays, null takes away what may be unknown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(deserialize_with = "given")]
    material_type: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    brand: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    color: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    color_hex: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    diameter: Option<Option<Decimal>>,
    weight: Option<Decimal>,
    weight_g: Option<Decimal>,
    remaining_weight: Option<Decimal>,
    remaining_weight_g: Option<Decimal>,
    threshold_percentage: Option<Decimal>,
    #[serde(deserialize_with = "given")]
    cost_per_kg: Option<Option<Decimal>>,
    #[serde(deserialize_with = "given")]
    purchase_date: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    vendor: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    batch_number: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    notes: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    location: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    printer_id: Option<Option<String>>,
    is_active: Option<bool>,
}

/// Tells a field that is null from one that is absent.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

pub fn list<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let paging = call.paging()?;
    let filter = Filter::from_query(call.query())?;
    let (offset, limit) = (paging.offset(), paging.limit as usize);
    let (materials, total) =
        api.store.read_blocking(|view| view.page(false, offset, limit, &|one| filter.lets_through(one)))?;
    let views = materials.iter().map(MaterialView::of).collect();
    call.conditional_json(&paging.list("materials", views, total))
}

pub fn one<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = material_id(call.param("id"))?;
    let material = api.store.read_blocking(|view| view.material(id))?;
    let material = material.ok_or(MaterialError::NoMaterial(id))?;
    call.conditional_json(&MaterialView::of(&material))
}

pub fn add<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let body: Body = call.json()?;
    if body.weight.is_none() && body.weight_g.is_none() {
        return Err(ApiError::wrong_shape("weight", "Say how much filament the full spool holds, in kg."));
    }
    if body.material_type.is_none() {
        return Err(ApiError::wrong_shape("material_type", "Say what the filament is made of, as PLA."));
    }
    let full = body.remaining_weight.is_none() && body.remaining_weight_g.is_none();
    let mut new = empty(*api.low_stock.get());
    body.apply(&mut new)?;
    if full {
        new.remaining = new.weight;
    }
    let material = api
        .store
        .write_blocking(move |txn| shelf::add(txn, new, &Because::default()).map_err(ApiError::from))?;
    let location = format!("{API}/materials/{}", material.id);
    Ok(Reply::json(201, &MaterialView::of(&material))?.header("Location", location))
}

pub fn change<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = material_id(call.param("id"))?;
    let body: Body = call.json()?;
    let (before, after) = api.store.write_blocking(move |txn| {
        let mut before = None;
        let after = shelf::change(txn, id, &Because::default(), |material| {
            before = Some(material.clone());
            body.apply(material)
        })?;
        Ok::<_, ApiError>((before, after))
    })?;
    show_slots(api, [before.and_then(|before| before.place), after.place].into_iter().flatten())?;
    Reply::json(200, &MaterialView::of(&after))
}

pub fn remove<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = material_id(call.param("id"))?;
    let gone = api
        .store
        .write_blocking(move |txn| shelf::remove(txn, id, &Because::default()).map_err(ApiError::from))?;
    show_slots(api, gone.place)?;
    Ok(Reply::empty(204))
}

/// PUT /printers/{id}/slots/{slot}: `{"material_id": "m1"}` puts a spool in, null takes it out.
pub fn assign<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    #[derive(Deserialize)]
    struct Spool {
        #[serde(deserialize_with = "given")]
        material_id: Option<Option<String>>,
    }
    let printer: PrinterId =
        call.param("id").parse().map_err(|_| ApiError::not_found("printer", call.param("id")))?;
    let slot = call.param("slot").parse::<u16>().ok().filter(|slot| *slot <= SLOT_MAX);
    let slot = slot.ok_or_else(|| {
        ApiError::bad_value(
            "slot",
            format!("A slot is a number from 0 to {SLOT_MAX}, as the printer's filaments show."),
        )
    })?;
    let body: Spool = call.json()?;
    let spool = body.material_id.flatten().as_deref().map(named_material).transpose()?;
    let shown = api.store.write_blocking(move |txn| {
        if txn.printer(printer)?.is_none() {
            return Err(ApiError::not_found("printer", &printer.to_string()));
        }
        let from = match spool {
            Some(id) => txn.material(id)?.ok_or_else(|| no_such_material(&id.to_string()))?.place,
            None => None,
        };
        shelf::assign(txn, printer, slot, spool, &Because::default())?;
        Ok(from)
    })?;
    show_slots(api, shown.into_iter().chain([Place { printer_id: printer, slot: Some(slot) }]))?;
    Reply::json(200, &json!({"printer_id": printer, "slot": slot, "material_id": spool}))
}

pub fn types<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let (mut types, mut brands, mut colors) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for usual in USUAL_TYPES {
        types.insert(usual.to_owned(), ());
    }
    each(api, |material| {
        for (names, name) in [
            (&mut types, Some(material.material_type)),
            (&mut brands, material.brand),
            (&mut colors, material.color),
        ] {
            if let Some(name) = name.filter(|_| names.len() < GROUPS_MAX) {
                names.insert(name, ());
            }
        }
    })?;
    let names = |names: BTreeMap<String, ()>| names.into_keys().collect::<Vec<_>>();
    call.conditional_json(&json!({"types": names(types), "brands": names(brands), "colors": names(colors)}))
}

pub fn stats<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let mut all = Group::default();
    let (mut types, mut brands, mut colors) = (Groups::default(), Groups::default(), Groups::default());
    let mut low: Vec<MaterialId> = Vec::new();
    each(api, |material| {
        all.add(&material);
        types.add(Some(&material.material_type), &material);
        brands.add(material.brand.as_deref(), &material);
        colors.add(material.color.as_deref(), &material);
        low.extend(material.is_low().then_some(material.id));
    })?;
    let since = Timestamp(api.clock.now().wall.0.saturating_sub(i64::from(RATE_DAYS) * DAY_MS));
    let mut used = Mass::ZERO;
    api.store.read_blocking(|view| {
        view.each::<Consumption>(true, &mut |booking| {
            if booking.undone_at.is_none() && booking.at >= since {
                used = used.plus(booking.used);
            }
            ControlFlow::Continue(())
        })
    })?;
    let whole = all.view(None);
    Reply::json(
        200,
        &json!({
            "total_spools": whole.count,
            "total_weight": all.weight.kilograms(),
            "total_weight_g": whole.weight_g,
            "total_remaining": all.remaining.kilograms(),
            "total_remaining_g": whole.remaining_weight_g,
            "total_value": whole.total_cost,
            "remaining_value": whole.remaining_value,
            "by_type": types.views(),
            "by_brand": brands.views(),
            "by_color": colors.views(),
            "low_stock": low,
            "consumption_30d_g": used.grams(),
            "consumption_per_day_g": used.grams() / f64::from(RATE_DAYS),
        }),
    )
}

/// What the spools of one kind come to.
#[derive(Default)]
struct Group {
    count: u64,
    weight: Mass,
    remaining: Mass,
    cost: Money,
    value: Money,
}

#[derive(Serialize)]
struct GroupView {
    name: Option<String>,
    count: u64,
    weight_g: f64,
    remaining_weight_g: f64,
    total_cost: f64,
    remaining_value: f64,
}

impl Group {
    fn add(&mut self, material: &Material) {
        self.count += 1;
        self.weight = self.weight.plus(material.weight);
        self.remaining = self.remaining.plus(material.remaining);
        if let Some(price) = material.cost_per_kg {
            self.cost = self.cost.plus(price.of(material.weight));
            self.value = self.value.plus(price.of(material.remaining));
        }
    }

    fn view(&self, name: Option<String>) -> GroupView {
        GroupView {
            name,
            count: self.count,
            weight_g: self.weight.grams(),
            remaining_weight_g: self.remaining.grams(),
            total_cost: self.cost.amount(),
            remaining_value: self.value.amount(),
        }
    }
}

/// Groups by name; those that come after [`GROUPS_MAX`] names are together under no name.
#[derive(Default)]
struct Groups(BTreeMap<Option<String>, Group>);

impl Groups {
    fn add(&mut self, name: Option<&str>, material: &Material) {
        let name = name.map(str::to_owned);
        let key = if self.0.len() < GROUPS_MAX || self.0.contains_key(&name) { name } else { None };
        self.0.entry(key).or_default().add(material);
    }

    fn views(self) -> Vec<GroupView> {
        self.0.into_iter().map(|(name, group)| group.view(name)).collect()
    }
}

/// Which spools a list shows.
#[derive(Clone, Default)]
pub(super) struct Filter {
    material_type: Option<String>,
    brand: Option<String>,
    color: Option<String>,
    low_stock: Option<bool>,
    active: Option<bool>,
    printer_id: Option<PrinterId>,
}

impl Filter {
    pub(super) fn from_query(query: &Pairs) -> Result<Filter, ApiError> {
        let word = |name: &str| query.get(name).map(str::to_owned);
        Ok(Filter {
            material_type: word("material_type"),
            brand: word("brand"),
            color: word("color"),
            low_stock: query.flag("low_stock")?,
            active: query.flag("is_active")?,
            printer_id: query.get("printer_id").map(named_printer).transpose()?,
        })
    }

    pub(super) fn lets_through(&self, material: &Material) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found.is_some_and(|found| alike(wanted, found)))
        };
        same(&self.material_type, Some(&material.material_type))
            && same(&self.brand, material.brand.as_deref())
            && same(&self.color, material.color.as_deref())
            && self.low_stock.is_none_or(|low| low == material.is_low())
            && self.active.is_none_or(|active| active == material.active)
            && self.printer_id.is_none_or(|id| material.place.is_some_and(|place| place.printer_id == id))
    }
}

/// Whether two words are the same but for capitals.
fn alike(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

impl Body {
    /// Writes what is given into `material`. Whether more is left than fits is checked by the shelf.
    fn apply(self, material: &mut Material) -> Result<(), ApiError> {
        if let Some(kind) = self.material_type {
            let kind = kind.and_then(|text| word(&text));
            material.material_type =
                kind.ok_or_else(|| ApiError::bad_value("material_type", "Say what it is made of, as PLA."))?;
        }
        for (given, place) in [(self.brand, &mut material.brand), (self.color, &mut material.color)] {
            if let Some(text) = given {
                *place = text.and_then(|text| word(&text));
            }
        }
        for (given, place) in [
            (self.vendor, &mut material.vendor),
            (self.batch_number, &mut material.batch_number),
            (self.notes, &mut material.notes),
            (self.location, &mut material.location),
        ] {
            if let Some(text) = given {
                let text = text.map(|text| text::clean(&text, MESSAGE_BYTES_MAX));
                *place = text.filter(|text| !text.is_empty());
            }
        }
        if let Some(color) = self.color_hex {
            material.color_hex = color.as_deref().map(checked_color).transpose()?;
        }
        if let Some(diameter) = self.diameter {
            material.diameter_um = diameter.map(checked_diameter).transpose()?;
        }
        if let Some(date) = self.purchase_date {
            material.purchase_date = date.as_deref().map(checked_date).transpose()?;
        }
        if let Some(price) = self.cost_per_kg {
            material.cost_per_kg = price.map(checked_price).transpose()?;
        }
        if let Some(weight) = mass("weight", self.weight, self.weight_g)? {
            if weight == Mass::ZERO {
                return Err(ApiError::bad_value("weight", "A full spool holds more than nothing."));
            }
            material.weight = weight;
        }
        if let Some(remaining) = mass("remaining_weight", self.remaining_weight, self.remaining_weight_g)? {
            material.remaining = remaining;
        }
        if let Some(threshold) = self.threshold_percentage {
            let share = threshold.scaled(Share::PERCENT_PLACES).and_then(Share::from_millionths);
            material.threshold = share.ok_or_else(|| {
                ApiError::bad_value("threshold_percentage", "Use a percentage from 0 to 100.")
            })?;
        }
        if let Some(printer) = self.printer_id {
            let printer_id = printer.as_deref().map(named_printer).transpose()?;
            if printer_id != material.place.map(|place| place.printer_id) {
                material.place = printer_id.map(|printer_id| Place { printer_id, slot: None });
            }
        }
        material.active = self.is_active.unwrap_or(material.active);
        Ok(())
    }
}

/// A mass that is given in kilograms, in grams, or in both where they agree.
fn mass(field: &str, kilograms: Option<Decimal>, grams: Option<Decimal>) -> Result<Option<Mass>, ApiError> {
    let read = |number: Option<Decimal>, places: u32, field: &str| {
        number
            .map(|number| {
                let mass = number.scaled(places).map(Mass::from_micrograms);
                mass.filter(|mass| *mass <= WEIGHT_MAX).ok_or_else(|| {
                    let most = format!("{} kg", WEIGHT_MAX.kilograms());
                    ApiError::bad_value(field, format!("Use a weight from 0 to {most}."))
                })
            })
            .transpose()
    };
    let twin = format!("{field}_g");
    let kilograms = read(kilograms, Mass::KILOGRAM_PLACES, field)?;
    match (kilograms, read(grams, Mass::GRAM_PLACES, &twin)?) {
        (Some(one), Some(other)) if one != other => {
            Err(ApiError::bad_value(&twin, format!("`{field}` (kg) and `{twin}` (g) contradict each other.")))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn word(text: &str) -> Option<String> {
    Some(text::clean(text, WORD_BYTES_MAX)).filter(|text| !text.is_empty())
}

fn checked_color(text: &str) -> Result<String, ApiError> {
    let digits = text.trim().trim_start_matches('#');
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(format!("#{}", digits.to_ascii_uppercase()))
    } else {
        Err(ApiError::bad_value("color_hex", "Use a colour as #RRGGBB."))
    }
}

fn checked_diameter(number: Decimal) -> Result<u32, ApiError> {
    let micrometres = number.scaled(3).filter(|micrometres| DIAMETERS.contains(micrometres));
    micrometres
        .and_then(|micrometres| u32::try_from(micrometres).ok())
        .ok_or_else(|| ApiError::bad_value("diameter", "Use a diameter in mm, as 1.75."))
}

fn checked_price(number: Decimal) -> Result<Money, ApiError> {
    number
        .scaled(Money::PLACES)
        .and_then(Money::from_parts)
        .ok_or_else(|| ApiError::bad_value("cost_per_kg", "Use the price of a kilogram, from 0 to 1000000."))
}

/// The day of a date or of a moment.
fn checked_date(text: &str) -> Result<String, ApiError> {
    let day = text.trim().split(['T', ' ']).next().unwrap_or_default();
    match format!("{day}T00:00:00Z").parse::<Timestamp>() {
        Ok(_) => Ok(day.to_owned()),
        Err(_) => Err(ApiError::bad_value("purchase_date", "Use a day as 2026-11-26.")),
    }
}

/// A spool before anything is known of it.
fn empty(threshold: Share) -> Material {
    Material {
        id: MaterialId(0),
        material_type: String::new(),
        brand: None,
        color: None,
        color_hex: None,
        diameter_um: None,
        weight: Mass::ZERO,
        remaining: Mass::ZERO,
        cost_per_kg: None,
        purchase_date: None,
        vendor: None,
        batch_number: None,
        notes: None,
        location: None,
        place: None,
        active: true,
        threshold,
        armed: true,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

/// Visits every spool, holding one at a time.
fn each(api: &Api, mut visit: impl FnMut(Material)) -> Result<(), ApiError> {
    api.store.read_blocking(|view| {
        view.each::<Material>(false, &mut |material| {
            visit(material);
            ControlFlow::Continue(())
        })
    })?;
    Ok(())
}

/// Lets the watches of these printers show their slots anew.
fn show_slots(api: &Api, places: impl IntoIterator<Item = Place>) -> Result<(), ApiError> {
    let printers: std::collections::BTreeSet<PrinterId> =
        places.into_iter().map(|place| place.printer_id).collect();
    for printer in printers {
        // A printer that is not watched shows them when its watch starts.
        if let Some(entry) = api.registry.get(printer)
            && !entry.command(Command::Refresh)
        {
            let message = "This is saved. The printer has too many commands waiting and shows it later.";
            return Err(ApiError::busy(message, 5));
        }
    }
    Ok(())
}

fn material_id(text: &str) -> Result<MaterialId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("material", text))
}

/// A spool that a body or a query names.
pub(super) fn named_material(text: &str) -> Result<MaterialId, ApiError> {
    text.parse().map_err(|_| no_such_material(text))
}

pub(super) fn no_such_material(text: &str) -> ApiError {
    ApiError::bad_value("material_id", format!("There is no material with the id {text:?}."))
}

/// A printer that a body or a query names.
pub(super) fn named_printer(text: &str) -> Result<PrinterId, ApiError> {
    text.parse().map_err(|_| ApiError::bad_value("printer_id", "This is not the id of a printer."))
}

impl From<MaterialError> for ApiError {
    fn from(error: MaterialError) -> ApiError {
        match error {
            MaterialError::NoMaterial(id) => ApiError::not_found("material", &id.to_string()),
            MaterialError::NoConsumption(id) => ApiError::not_found("consumption", &id.to_string()),
            MaterialError::NoPrinter(id) => {
                ApiError::bad_value("printer_id", format!("There is no printer with the id {id}."))
            }
            MaterialError::UndoneAlready(_) => {
                ApiError::conflict("ALREADY_UNDONE", "This booking was undone before.")
            }
            MaterialError::Full => ApiError::conflict("TOO_MANY_MATERIALS", format!("{error}.")),
            MaterialError::Overfull => {
                let message = "More is left than the full spool holds: correct `weight` too.";
                ApiError::bad_value("remaining_weight", message)
            }
            MaterialError::Store(error) => error.into(),
        }
    }
}
