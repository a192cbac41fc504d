//! `/jobs/export` and `/materials/export`: tables for spreadsheets, written piece by piece by the front.
//!
//! A piece is read, written and forgotten before the next is read, so an export takes the memory of one piece however long
//! the history is. It is no snapshot: what is changed while it runs may be in it or not.

use std::sync::Arc;

use super::Api;
use super::csv::Row;
use super::jobs::filter_of;
use super::materials::Filter;
use crate::events::MaterialView;
use crate::model::{Job, JobId, Material};
use crate::store::{JOBS_PAGE_MAX, JobFilter, Read as _};
use crate::web::front::{Exchange, Head, LargeError, LargeRoutes, Verb};
use crate::web::respond::ApiError;
use crate::web::server::{API, Access, Pairs};

/// Rows of one piece: some ten kilobytes of text.
const PIECE_ROWS: usize = JOBS_PAGE_MAX;

const JOB_COLUMNS: [&str; 20] = [
    "id",
    "printer_id",
    "printer_name",
    "job_name",
    "filename",
    "plate",
    "status",
    "progress",
    "auto",
    "created_at",
    "started_at",
    "printing_at",
    "completed_at",
    "duration_s",
    "material_used_g",
    "booking",
    "file_id",
    "error",
    "notes",
    "clock_synced",
];
const MATERIAL_COLUMNS: [&str; 21] = [
    "id",
    "material_type",
    "brand",
    "color",
    "color_hex",
    "diameter",
    "weight_g",
    "remaining_weight_g",
    "remaining_percentage",
    "threshold_percentage",
    "cost_per_kg",
    "remaining_value",
    "purchase_date",
    "vendor",
    "batch_number",
    "location",
    "printer_id",
    "slot",
    "is_active",
    "created_at",
    "notes",
];

/// The exports in front of other routes with large answers.
#[derive(Clone)]
pub struct Exports<N> {
    api: Arc<Api>,
    next: N,
}

impl<N> Exports<N> {
    /// The exports of `api`; everything else is for `next`.
    #[must_use]
    pub fn new(api: Arc<Api>, next: N) -> Exports<N> {
        Exports { api, next }
    }
}

#[derive(Clone, Copy)]
enum Table {
    Jobs,
    Materials,
}

fn table(head: &Head) -> Option<Table> {
    let path = head.path().strip_prefix(API).filter(|_| matches!(head.verb, Verb::Get | Verb::Head))?;
    match path.strip_suffix('/').unwrap_or(path) {
        "/jobs/export" => Some(Table::Jobs),
        "/materials/export" => Some(Table::Materials),
        _ => None,
    }
}

impl<N: LargeRoutes> LargeRoutes for Exports<N> {
    fn takes(&self, head: &Head) -> Option<u64> {
        if table(head).is_some() { Some(0) } else { self.next.takes(head) }
    }

    async fn serve(&self, exchange: Exchange<'_>) -> Result<(), LargeError> {
        match table(exchange.head()) {
            Some(table) => export(&self.api, table, exchange).await,
            None => self.next.serve(exchange).await,
        }
    }
}

async fn export(api: &Api, table: Table, mut exchange: Exchange<'_>) -> Result<(), LargeError> {
    api.guard.judge(&exchange.asking(), Access::Read).await?;
    let query = Pairs::parse(exchange.head().query())?;
    if query.get("format").is_some_and(|format| format != "csv") {
        return Err(ApiError::bad_value("format", "There is csv only.").into());
    }
    match table {
        Table::Jobs => {
            let filter = filter_of(&query)?;
            let only = query.get("job_id").map(super::jobs::job_id).transpose()?;
            if begin(&mut exchange, "jobs.csv", &JOB_COLUMNS).await? {
                jobs(api, &mut exchange, filter, only).await?;
            }
        }
        Table::Materials => {
            let filter = Filter::from_query(&query)?;
            if begin(&mut exchange, "materials.csv", &MATERIAL_COLUMNS).await? {
                materials(api, &mut exchange, filter).await?;
            }
        }
    }
    Ok(())
}

/// Writes head and names of the columns; answers whether rows are wanted.
async fn begin(exchange: &mut Exchange<'_>, name: &str, columns: &[&str]) -> Result<bool, LargeError> {
    let file = format!("attachment; filename=\"{name}\"");
    let headers = [
        ("Content-Type", "text/csv; charset=utf-8"),
        ("Content-Disposition", file.as_str()),
        ("Cache-Control", "no-cache"),
    ];
    exchange.begin(200, &headers, None).await?;
    let mut row = Row::default();
    for column in columns {
        row.text(column);
    }
    exchange.write(row.end().as_bytes()).await?;
    Ok(exchange.head().verb == Verb::Get)
}

async fn jobs(
    api: &Api,
    exchange: &mut Exchange<'_>,
    filter: JobFilter,
    only: Option<JobId>,
) -> Result<(), LargeError> {
    let mut after = JobId(0);
    loop {
        let piece =
            api.store.read(move |view| view.jobs_after(after, PIECE_ROWS)).await.map_err(ApiError::from)?;
        let Some(last) = piece.last() else { return Ok(()) };
        after = last.id;
        let mut text = String::new();
        for job in piece.iter().filter(|job| filter.takes(job) && only.is_none_or(|id| id == job.id)) {
            text.push_str(&job_row(job));
        }
        exchange.write(text.as_bytes()).await?;
    }
}

async fn materials(api: &Api, exchange: &mut Exchange<'_>, filter: Filter) -> Result<(), LargeError> {
    let mut offset = 0;
    loop {
        let wanted = filter.clone();
        let (piece, total) = api
            .store
            .read(move |view| {
                view.page::<Material>(false, offset, PIECE_ROWS, &|one| wanted.lets_through(one))
            })
            .await
            .map_err(ApiError::from)?;
        let text: String = piece.iter().map(material_row).collect();
        exchange.write(text.as_bytes()).await?;
        offset += piece.len() as u64;
        if piece.is_empty() || offset >= total {
            return Ok(());
        }
    }
}

fn job_row(job: &Job) -> String {
    let time = |at: Option<crate::base::clock::Timestamp>| at.map(|at| at.to_string());
    let booking = serde_json::to_value(job.material.booking).ok();
    let mut row = Row::default();
    row.shown(Some(job.id));
    row.shown(Some(job.printer_id));
    row.text(&job.printer_name);
    row.text(&job.name);
    row.maybe(job.file.as_deref());
    row.shown(job.plate);
    row.text(job.status.name());
    row.shown(job.progress);
    row.shown(Some(job.auto));
    row.shown(Some(job.created_at));
    row.maybe(time(job.started_at).as_deref());
    row.maybe(time(job.printing_at).as_deref());
    row.maybe(time(job.ended_at).as_deref());
    row.shown(job.duration_s());
    row.shown(job.material.used.map(|used| used.grams()));
    row.maybe(booking.as_ref().and_then(|word| word.as_str()));
    row.shown(job.file_id);
    row.maybe(job.error.as_deref());
    row.maybe(job.notes.as_deref());
    row.shown(Some(job.clock_synced));
    row.end()
}

fn material_row(material: &Material) -> String {
    let view = MaterialView::of(material);
    let mut row = Row::default();
    row.shown(Some(view.id));
    row.text(&view.material_type);
    row.maybe(view.brand.as_deref());
    row.maybe(view.color.as_deref());
    row.maybe(view.color_hex.as_deref());
    row.shown(view.diameter);
    row.shown(Some(view.weight_g));
    row.shown(Some(view.remaining_weight_g));
    row.shown(Some(view.remaining_percentage));
    row.shown(Some(view.threshold_percentage));
    row.shown(view.cost_per_kg);
    row.shown(view.remaining_value);
    row.maybe(view.purchase_date.as_deref());
    row.maybe(view.vendor.as_deref());
    row.maybe(view.batch_number.as_deref());
    row.maybe(view.location.as_deref());
    row.shown(view.printer_id);
    row.shown(view.slot);
    row.shown(Some(view.is_active));
    row.maybe(Some(&view.created_at));
    row.maybe(view.notes.as_deref());
    row.end()
}
