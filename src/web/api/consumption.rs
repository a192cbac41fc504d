//! `/materials/consumption`: what was taken from spools, in grams; by hand, and to be undone.

use embedded_svc::http::server::Connection;
use serde::{Deserialize, Serialize};

use super::Api;
use super::materials::{named_material, named_printer, no_such_material};
use crate::base::clock::Timestamp;
use crate::materials::booking::{self, Take};
use crate::materials::{Because, MaterialError, settle};
use crate::model::{Consumption, ConsumptionId, Decimal, JobId, Mass, MaterialId, Money, PrinterId, text};
use crate::store::Read as _;
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{API, Answer, Call};

/// The most that one booking takes: more than any spool holds is a slip of the unit.
const BOOKED_MAX: Mass = Mass::from_grams(100_000);
/// Days that a history may be asked for.
const DAYS_MAX: u64 = 365;
const DAY_MS: i64 = 86_400_000;
/// The longest print that is believed, in seconds: half a year.
const PRINT_TIME_MAX: u64 = 15_768_000;

#[derive(Deserialize)]
struct NewBooking {
    material_id: String,
    weight_grams: Decimal,
    job_id: Option<String>,
    printer_id: Option<String>,
    file_name: Option<String>,
    print_time_hours: Option<Decimal>,
}

/// A booking as answers show it.
#[derive(Debug, Serialize)]
pub struct ConsumptionView {
    id: ConsumptionId,
    material_id: MaterialId,
    material_name: String,
    job_id: Option<JobId>,
    printer_id: Option<PrinterId>,
    slot: Option<u16>,
    /// In grams, as in the original.
    weight_used: f64,
    weight_used_g: f64,
    deducted_g: f64,
    cost: Option<f64>,
    timestamp: String,
    file_name: Option<String>,
    print_time_hours: Option<f64>,
    auto: bool,
    undone_at: Option<String>,
}

impl ConsumptionView {
    fn of(booking: &Consumption) -> ConsumptionView {
        ConsumptionView {
            id: booking.id,
            material_id: booking.material_id,
            material_name: booking.material_name.clone(),
            job_id: booking.job_id,
            printer_id: booking.printer_id,
            slot: booking.slot,
            weight_used: booking.used.grams(),
            weight_used_g: booking.used.grams(),
            deducted_g: booking.deducted.grams(),
            cost: booking.cost.map(Money::amount),
            timestamp: booking.at.to_string(),
            file_name: booking.file_name.clone(),
            print_time_hours: booking
                .print_time_s
                .and_then(|s| u32::try_from(s).ok())
                .map(|s| f64::from(s) / 3600.0),
            auto: booking.auto,
            undone_at: booking.undone_at.map(|time| time.to_string()),
        }
    }
}

pub fn add<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let body: NewBooking = call.json()?;
    let material_id = named_material(&body.material_id)?;
    let used = body.weight_grams.scaled(Mass::GRAM_PLACES).map(Mass::from_micrograms);
    let used =
        used.filter(|used| (Mass::from_micrograms(1)..=BOOKED_MAX).contains(used)).ok_or_else(|| {
            let most = BOOKED_MAX.grams();
            ApiError::bad_value("weight_grams", format!("Use a weight in grams above 0 and up to {most}."))
        })?;
    let print_time_s = body.print_time_hours.map(checked_hours).transpose()?;
    let job_id = body.job_id.as_deref().map(named_job).transpose()?;
    let mut printer_id = body.printer_id.as_deref().map(named_printer).transpose()?;
    let file_name = body.file_name.as_deref().and_then(text::name);
    let booked = api.store.write_blocking(move |txn| {
        let job = match job_id {
            Some(id) => Some(txn.job(id)?.ok_or_else(|| no_such_job(&id.to_string()))?),
            None => None,
        };
        if let Some(id) = printer_id.filter(|id| job.as_ref().is_none_or(|job| job.printer_id != *id))
            && txn.printer(id)?.is_none()
        {
            return Err(ApiError::from(MaterialError::NoPrinter(id)));
        }
        printer_id = printer_id.or(job.as_ref().map(|job| job.printer_id));
        let because = Because {
            flow: job.as_ref().map(|job| crate::jobs::record::flow_of(job.id)),
            cause: job.as_ref().map(|job| job.created_seq).filter(|seq| *seq > 0),
        };
        let file_name = file_name.or(job.and_then(|job| job.file));
        let take =
            Take { material_id, used, job_id, printer_id, slot: None, file_name, print_time_s, auto: false };
        let booked = booking::take(txn, take, &because).map_err(|error| match error {
            MaterialError::NoMaterial(id) => no_such_material(&id.to_string()),
            error => error.into(),
        })?;
        if let Some(id) = job_id {
            settle::note_by_hand(txn, id)?;
        }
        Ok(booked)
    })?;
    let location = format!("{API}/materials/consumption/{}", booked.id);
    Ok(Reply::json(201, &ConsumptionView::of(&booked))?.header("Location", location))
}

pub fn one<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = consumption_id(call.param("id"))?;
    let booking = api.store.read_blocking(|view| view.get::<Consumption>(id))?;
    let booking = booking.ok_or(MaterialError::NoConsumption(id))?;
    call.conditional_json(&ConsumptionView::of(&booking))
}

/// Undoes a booking. The answer is the booking, which stays in the history.
pub fn undo<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = consumption_id(call.param("id"))?;
    let undone = api.store.write_blocking(move |txn| {
        let job = match txn.get::<Consumption>(id)?.and_then(|booking| booking.job_id) {
            Some(id) => txn.job(id)?,
            None => None,
        };
        let because = Because {
            flow: job.as_ref().map(|job| crate::jobs::record::flow_of(job.id)),
            cause: job.as_ref().map(|job| job.created_seq).filter(|seq| *seq > 0),
        };
        let undone = booking::undo(txn, id, &because)?;
        if let Some(id) = undone.job_id {
            settle::note_by_hand(txn, id)?;
        }
        Ok::<_, ApiError>(undone)
    })?;
    Reply::json(200, &ConsumptionView::of(&undone))
}

pub fn history<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let paging = call.paging()?;
    let query = call.query();
    let material = query.get("material_id").map(named_material).transpose()?;
    let job = query.get("job_id").map(named_job).transpose()?;
    let printer = query.get("printer_id").map(named_printer).transpose()?;
    let since = match query.number("days")? {
        None => None,
        Some(days @ 1..=DAYS_MAX) => {
            let back = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
            Some(Timestamp(api.clock.now().wall.0.saturating_sub(back)))
        }
        Some(_) => return Err(ApiError::bad_value("days", format!("Use a number from 1 to {DAYS_MAX}."))),
    };
    let fits = |booking: &Consumption| {
        material.is_none_or(|id| booking.material_id == id)
            && job.is_none_or(|id| booking.job_id == Some(id))
            && printer.is_none_or(|id| booking.printer_id == Some(id))
            && since.is_none_or(|since| booking.at >= since)
    };
    let (offset, limit) = (paging.offset(), paging.limit as usize);
    let (bookings, total) = api.store.read_blocking(|view| view.page(true, offset, limit, &fits))?;
    let views = bookings.iter().map(ConsumptionView::of).collect();
    call.conditional_json(&paging.list("items", views, total))
}

fn checked_hours(number: Decimal) -> Result<u64, ApiError> {
    // Thousandths of an hour are 3.6 s: rounded down to whole seconds.
    let seconds =
        number.scaled(3).and_then(|thousandths| thousandths.checked_mul(36)).map(|tenths| tenths / 10);
    seconds
        .filter(|seconds| *seconds <= PRINT_TIME_MAX)
        .ok_or_else(|| ApiError::bad_value("print_time_hours", "Use the hours of one print, as 2.5."))
}

fn consumption_id(text: &str) -> Result<ConsumptionId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("consumption", text))
}

fn named_job(text: &str) -> Result<JobId, ApiError> {
    text.parse().map_err(|_| no_such_job(text))
}

fn no_such_job(text: &str) -> ApiError {
    ApiError::bad_value("job_id", format!("There is no job with the id {text:?}."))
}
