//! `/jobs`: the history, newest first, and jobs that are planned by hand.

use embedded_svc::http::server::Connection;
use serde::Deserialize;

use super::Api;
use super::linked::Linked;
use super::views::JobView;
use crate::events::{Event, JobCreated, JobOnly};
use crate::jobs::record::flow_of;
use crate::model::text::{self, NAME_BYTES_MAX};
use crate::model::{Job, JobId, JobStatus, PrinterId};
use crate::store::{JobFilter, Read as _};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

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
    let query = call.query();
    let filter = JobFilter {
        printer_id: query.get("printer_id").map(printer_id).transpose()?,
        status: query.get("job_status").map(job_status).transpose()?,
        ..JobFilter::default()
    };
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
    let name =
        text::name(&body.job_name).ok_or_else(|| ApiError::bad_value("job_name", "Give the job a name."))?;
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
        let now = txn.now();
        let mut job = Job {
            id: txn.next_job_id(),
            printer_id: printer.id,
            printer_name: text::clean(&printer.name, NAME_BYTES_MAX),
            name,
            file,
            plate,
            file_id: None,
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

pub fn remove<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = job_id(call.param("id"))?;
    api.store.write_blocking(move |txn| {
        let job = txn.job(id)?.ok_or_else(|| ApiError::not_found("job", &id.to_string()))?;
        if job.status.is_active() {
            return Err(ApiError::conflict(
                "JOB_IS_ACTIVE",
                "The printer is at work on this job; it cannot be deleted.",
            ));
        }
        txn.delete_job(id)?;
        txn.emit(Event::JobDeleted(JobOnly { job_id: id }), Some(&flow_of(id)), Some(job.created_seq));
        Ok(())
    })?;
    Ok(Reply::empty(204))
}

fn job_id(text: &str) -> Result<JobId, ApiError> {
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
