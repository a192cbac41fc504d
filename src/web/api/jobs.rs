//! `/jobs`: the history, newest first, and jobs that are planned by hand.

use embedded_svc::http::server::Connection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::control::carry_out;
use super::linked::Linked;
use super::materials::given;
use super::printers::watched;
use super::views::JobView;
use crate::base::clock::Timestamp;
use crate::base::zone;
use crate::events::{Event, JobCreated};
use crate::jobs::edit::{self, Changes, EditError};
use crate::jobs::record::{self, flow_of};
use crate::model::text::{self, MESSAGE_BYTES_MAX, NAME_BYTES_MAX};
use crate::model::{Control, FileId, FileRecord, Job, JobId, JobMaterial, JobStatus, PrinterId};
use crate::store::{JobFilter, JobTotals, Read as _, ReadJobTotals as _, StoreError};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call, Pairs};

/// Days that the statistics show where the client does not say.
const DAYS_DEFAULT: u64 = 30;
/// Days that they show at most.
const DAYS_MAX: u64 = 366;

/// Jobs that wait for their print, per printer; more than a day's work.
const PENDING_MAX: usize = 50;

#[derive(Deserialize)]
struct NewJob {
    printer_id: String,
    job_name: String,
    filename: Option<String>,
    plate: Option<u32>,
}

pub fn list<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let paging = call.paging()?;
    let filter = filter_of(call.query())?;
    let (offset, limit) = (paging.offset(), paging.limit as usize);
    let (jobs, total) = api.store.read_blocking(|view| {
        let (jobs, total) = view.jobs_page(&filter, offset, limit)?;
        let linked = jobs.into_iter().map(|job| Ok((Linked::of(view, &job)?, job)));
        Ok::<_, ApiError>((linked.collect::<Result<Vec<_>, ApiError>>()?, total))
    })?;
    let views: Vec<JobView> =
        jobs.into_iter().map(|(linked, job)| JobView::of(&job, linked, &api.registry)).collect();
    call.conditional_json(&paging.list("jobs", views, total))
}

pub fn one<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = job_id(call.param("id"))?;
    let (job, linked) = api.store.read_blocking(|view| {
        let job = view.job(id)?.ok_or_else(|| ApiError::not_found("job", &id.to_string()))?;
        let linked = Linked::of(view, &job)?;
        Ok::<_, ApiError>((job, linked))
    })?;
    call.conditional_json(&JobView::of(&job, linked, &api.registry))
}

pub fn add<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let body: NewJob = call.json()?;
    let printer = printer_id(&body.printer_id)?;
    let name = checked_name(&body.job_name)?;
    let file = body.filename.as_deref().and_then(text::name);
    let plate = body.plate;
    if plate == Some(0) {
        return Err(ApiError::bad_value("plate", "Plates are counted from 1."));
    }
    let job = api.store.write_blocking(move |txn| {
        let printer =
            txn.printer(printer)?.ok_or_else(|| ApiError::not_found("printer", &printer.to_string()))?;
        let waiting = txn.active_or_pending_jobs(Some(printer.id))?.len();
        if waiting >= PENDING_MAX {
            let message = format!("{PENDING_MAX} jobs wait for this printer; delete some first.");
            return Err(ApiError::conflict("TOO_MANY_PENDING_JOBS", message));
        }
        record::trim(txn)?;
        let now = txn.now();
        let mut job = Job {
            id: txn.next_job_id(),
            printer_id: printer.id,
            printer_name: text::clean(&printer.name, NAME_BYTES_MAX),
            name,
            file,
            plate,
            file_id: None,
            notes: None,
            material: JobMaterial::default(),
            status: JobStatus::Pending,
            auto: false,
            progress: None,
            error: None,
            created_at: now.wall,
            started_at: None,
            printing_at: None,
            ended_at: None,
            clock_synced: now.synced,
            created_seq: 0,
        };
        let event = JobCreated {
            job_id: job.id,
            printer_id: job.printer_id,
            job_name: job.name.clone(),
            filename: job.file.clone(),
            plate: job.plate,
            auto: false,
        };
        job.created_seq = txn.emit(Event::JobCreated(event), Some(&flow_of(job.id)), None);
        txn.put_job(&job)?;
        Ok::<Job, ApiError>(job)
    })?;
    let location = format!("{}/jobs/{}", crate::web::server::API, job.id);
    Ok(Reply::json(201, &JobView::of(&job, Linked::default(), &api.registry))?.header("Location", location))
}

/// PUT /jobs/{id}: what is absent stays, null takes away.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Edits {
    job_name: Option<String>,
    #[serde(deserialize_with = "given")]
    notes: Option<Option<String>>,
    #[serde(deserialize_with = "given", alias = "file_name")]
    filename: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    plate: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    file_id: Option<Option<String>>,
    status: Option<String>,
}

pub fn change<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = job_id(call.param("id"))?;
    let body: Edits = call.json()?;
    let status = body.status.as_deref().map(job_status).transpose()?;
    let name = match body.job_name.as_deref() {
        Some(name) => Some(checked_name(name)?),
        None => None,
    };
    if body.plate == Some(Some(0)) {
        return Err(ApiError::bad_value("plate", "Plates are counted from 1."));
    }
    let no_file =
        |text: &str| ApiError::bad_value("file_id", format!("There is no file with the id {text:?}."));
    let file_id = match body.file_id {
        Some(Some(text)) => Some(Some(text.parse::<FileId>().map_err(|_| no_file(&text))?)),
        Some(None) => Some(None),
        None => None,
    };
    let changes = Changes {
        name,
        notes: body.notes.map(|notes| notes.as_deref().and_then(note)),
        file: body.filename.map(|file| file.as_deref().and_then(text::name)),
        plate: body.plate,
        file_id,
    };
    let (linked, job) = api.store.write_blocking(move |txn| {
        if let Some(Some(file)) = file_id
            && txn.get::<FileRecord>(file)?.is_none()
        {
            return Err(no_file(&file.to_string()));
        }
        let mut job = edit::change(txn, id, changes)?;
        if let Some(status) = status {
            job = edit::set_status(txn, id, status, None)?.0;
        }
        Ok((Linked::of(txn, &job)?, job))
    })?;
    Reply::json(200, &JobView::of(&job, linked, &api.registry))
}

/// PUT /jobs/{id}/status: a waiting job may be cancelled, one whose end nobody saw may be given it.
pub fn set_status<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    #[derive(Deserialize)]
    struct Status {
        status: String,
        completion_notes: Option<String>,
    }
    let id = job_id(call.param("id"))?;
    let body: Status = call.json()?;
    let status = job_status(&body.status)?;
    let notes = body.completion_notes.as_deref().and_then(note);
    let answer = api.store.write_blocking(move |txn| {
        let (job, before) = edit::set_status(txn, id, status, notes)?;
        Ok::<_, ApiError>(json!({
            "id": job.id,
            "status": job.status,
            "previous_status": before,
            "started_at": job.started_at.map(|at| at.to_string()),
            "completed_at": job.ended_at.map(|at| at.to_string()),
            "updated_at": txn.now().wall.to_string(),
        }))
    })?;
    Reply::json(200, &answer)
}

/// POST /jobs/{id}/cancel: a waiting job is marked. A print that is on is stopped by its printer.
pub fn cancel<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = job_id(call.param("id"))?;
    let job = api.store.read_blocking(|view| view.job(id))?.ok_or(EditError::NoJob(id))?;
    if job.status.is_active() {
        return stop_print(api, &job);
    }
    let (linked, job) = api.store.write_blocking(move |txn| {
        let job = txn.job(id)?.ok_or(EditError::NoJob(id))?;
        if job.status.is_over() {
            return Err(EditError::Over(id, job.status).into());
        }
        let job = edit::set_status(txn, id, JobStatus::Cancelled, None)?.0;
        Ok::<_, ApiError>((Linked::of(txn, &job)?, job))
    })?;
    Reply::json(200, &JobView::of(&job, linked, &api.registry))
}

/// Has the printer stop, and waits for its word: 200 when the job is over, 202 where that takes longer than a client waits.
fn stop_print(api: &Api, job: &Job) -> Answer {
    let (_, entry) = watched(api, &job.printer_id.to_string())?;
    // What the printer is at may be another print by now: only this job's is stopped.
    if entry.state.get().job_id != Some(job.id) {
        let message = "The printer shows another print than this job's; nothing was stopped.";
        return Err(ApiError::conflict("NOT_THE_CURRENT_JOB", message));
    }
    let confirmed = carry_out(api, &entry, Control::Stop)?.is_some();
    let id = job.id;
    let (linked, job) = api.store.read_blocking(|view| {
        let job = view.job(id)?.ok_or(EditError::NoJob(id))?;
        Ok::<_, ApiError>((Linked::of(view, &job)?, job))
    })?;
    let status = if confirmed { 200 } else { 202 };
    Reply::json(status, &JobView::of(&job, linked, &api.registry))
}

pub fn remove<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = job_id(call.param("id"))?;
    api.store.write_blocking(move |txn| edit::remove(txn, id).map_err(ApiError::from))?;
    Ok(Reply::empty(204))
}

/// GET /jobs/statistics: what the jobs of the records come to, in all, by printer, and by day of the configured time zone.
pub fn statistics<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let query = call.query();
    let printer = query.get("printer_id").map(printer_id).transpose()?;
    let days = match query.number("days")?.unwrap_or(DAYS_DEFAULT) {
        days @ 1..=DAYS_MAX => i32::try_from(days).unwrap_or(i32::MAX),
        _ => return Err(ApiError::bad_value("days", format!("Use a number from 1 to {DAYS_MAX}."))),
    };
    let today = api.zone.day(api.clock.now().wall);
    let first = today.saturating_sub(days - 1);
    let (total, printers, days) = api.store.read_blocking(|view| {
        let mut printers = Vec::new();
        for (id, totals) in view.job_printers()? {
            if printer.is_none_or(|wanted| wanted == id) {
                let name = view.printer(id).ok().flatten().map(|printer| printer.name);
                printers.push((id, name, totals));
            }
        }
        Ok::<_, StoreError>((view.job_totals(printer)?, printers, view.job_days(printer, first)?))
    })?;
    let printers: Vec<Value> = printers
        .into_iter()
        .map(|(id, name, totals)| {
            figures(&totals, &[("printer_id", json!(id)), ("printer_name", json!(name))])
        })
        .collect();
    let days: Vec<Value> =
        days.into_iter().map(|(day, totals)| figures(&totals, &[("day", json!(zone::date(day)))])).collect();
    call.conditional_json(&json!({
        "total": figures(&total, &[]),
        "printers": printers,
        "days": days,
        "today": zone::date(today),
        "time_zone": api.zone.to_string(),
    }))
}

/// Sums as the API shows them. The success rate is that of the prints that were to end well: a cancelled one, and one
/// whose end nobody saw, says nothing about it.
fn figures(totals: &JobTotals, head: &[(&str, Value)]) -> Value {
    let judged = totals.completed + totals.failed;
    let rate = (judged > 0).then(|| share(totals.completed, judged));
    let mut fields: serde_json::Map<String, Value> =
        head.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    for (name, value) in [
        ("jobs", json!(totals.jobs())),
        ("completed", json!(totals.completed)),
        ("failed", json!(totals.failed)),
        ("cancelled", json!(totals.cancelled)),
        ("unknown", json!(totals.unknown)),
        ("success_rate_percentage", json!(rate)),
        ("duration_s", json!(totals.seconds)),
        ("hours", json!(hours(totals.seconds))),
        ("material_used_g", json!(totals.used().grams())),
    ] {
        fields.insert(name.to_owned(), value);
    }
    Value::Object(fields)
}

#[expect(clippy::cast_precision_loss, reason = "counts of jobs are small")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

#[expect(clippy::cast_precision_loss, reason = "seconds of prints are far below 2^53")]
fn hours(seconds: u64) -> f64 {
    seconds as f64 / 3600.0
}

fn checked_name(name: &str) -> Result<String, ApiError> {
    text::name(name).ok_or_else(|| ApiError::bad_value("job_name", "Give the job a name."))
}

fn note(text: &str) -> Option<String> {
    Some(text::clean(text, MESSAGE_BYTES_MAX)).filter(|text| !text.is_empty())
}

impl From<EditError> for ApiError {
    fn from(error: EditError) -> ApiError {
        let message = format!("{error}.");
        match error {
            EditError::NoJob(id) => ApiError::not_found("job", &id.to_string()),
            EditError::Active(_) => ApiError::conflict("JOB_IS_ACTIVE", message),
            EditError::Over(..) => ApiError::conflict("JOB_IS_OVER", message),
            EditError::NotByHand(_) => ApiError::conflict("STATUS_NOT_BY_HAND", message),
            EditError::FileIsFixed(_) => ApiError::conflict("JOB_FILE_IS_FIXED", message),
            EditError::Store(error) => error.into(),
        }
    }
}

/// Which jobs a list or an export shows, from its query.
pub(super) fn filter_of(query: &Pairs) -> Result<JobFilter, ApiError> {
    let time = |field: &str| {
        let read = |text: &str| {
            let day = format!("{text}T00:00:00Z");
            let at = if text.len() == 10 { day.parse::<Timestamp>() } else { text.parse() };
            at.map_err(|_| ApiError::bad_value(field, "Use a moment as 2026-11-26T08:00:00Z, or a day."))
        };
        query.get(field).map(read).transpose()
    };
    Ok(JobFilter {
        printer_id: query.get("printer_id").map(printer_id).transpose()?,
        status: query.get("job_status").map(job_status).transpose()?,
        from: time("from")?,
        to: time("to")?,
    })
}

pub(super) fn job_id(text: &str) -> Result<JobId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("job", text))
}

fn printer_id(text: &str) -> Result<PrinterId, ApiError> {
    text.parse().map_err(|_| ApiError::bad_value("printer_id", "This is not the id of a printer."))
}

fn job_status(text: &str) -> Result<JobStatus, ApiError> {
    use JobStatus as S;
    [S::Pending, S::Preparing, S::Running, S::Paused, S::Completed, S::Failed, S::Cancelled, S::Unknown]
        .into_iter()
        .find(|status| status.name() == text)
        .ok_or_else(|| {
            let message = "Use pending, preparing, running, paused, completed, failed, cancelled or unknown.";
            ApiError::bad_value("job_status", message)
        })
}
