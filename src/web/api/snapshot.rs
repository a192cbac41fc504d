//! The `snapshot` event: all that a page needs to draw itself, in the events' shapes.

use serde_json::{Value, json};

use super::Api;
use super::download_views::DownloadView;
use super::linked::Linked;
use super::views::JobView;
use crate::events::StatusUpdate;
use crate::model::{Fetch, Job, Printer};
use crate::store::{JobFilter, Read as _, ReadFiles as _, StoreError};

/// Finished jobs in a snapshot, newest first; older ones are asked for by page.
const JOBS_MAX: usize = 20;

/// Downloads in a snapshot, the longest waiting first: several for each printer.
const DOWNLOADS_MAX: usize = 64;

/// Reads the snapshot. The seq is taken before the records are read, so that what happens meanwhile is told again.
///
/// # Errors
/// When the store cannot be read.
pub async fn snapshot(api: &Api) -> Result<(u64, String), StoreError> {
    let seq = api.announcer.newest();
    let (printers, jobs, fetches) = api
        .store
        .read(|view| {
            let (mut jobs, _) = view.jobs_page(&JobFilter::default(), 0, JOBS_MAX)?;
            // An active job may be older than the newest ones.
            for job in view.active_or_pending_jobs(None)? {
                if job.status.is_active() && jobs.iter().all(|known| known.id != job.id) {
                    jobs.push(job);
                }
            }
            let linked = jobs.into_iter().map(|job| Ok((Linked::of(view, &job)?, job)));
            let jobs = linked.collect::<Result<Vec<_>, StoreError>>()?;
            Ok::<_, StoreError>((view.printers()?, jobs, view.open_fetches()?))
        })
        .await?;
    Ok((seq, render(api, seq, &printers, jobs, &fetches).to_string()))
}

fn render(api: &Api, seq: u64, printers: &[Printer], jobs: Vec<(Linked, Job)>, fetches: &[Fetch]) -> Value {
    let now = api.clock.now();
    let printers: Vec<Value> = printers
        .iter()
        .map(|printer| {
            let state = api.registry.get(printer.id).map_or_else(Default::default, |entry| entry.state.get());
            let silent_for = state.last_seen_mono.map(|at| now.mono.since(at).as_secs());
            let mut update = StatusUpdate::of(printer.id, &state, silent_for);
            let at = jobs.iter().find(|(_, job)| Some(job.id) == state.job_id).map(|(linked, _)| linked);
            if let Some(linked) = at.filter(|linked| linked.file_id.is_some()) {
                update.file_id = linked.file_id.map(|id| id.to_string());
                update.thumbnail_url = linked.thumbnail_url.clone().or(update.thumbnail_url.take());
            }
            let mut shown = serde_json::to_value(&update).unwrap_or_default();
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("name".into(), json!(printer.name));
                fields.insert("type".into(), json!(printer.kind));
                fields.insert("is_enabled".into(), json!(printer.enabled));
                if let Some(connection) = fields.get_mut("connection").and_then(Value::as_object_mut) {
                    connection.insert("message".into(), json!(state.connection_message));
                }
            }
            shown
        })
        .collect();
    let jobs: Vec<JobView> =
        jobs.into_iter().map(|(linked, job)| JobView::of(&job, linked, &api.registry)).collect();
    let downloads: Vec<DownloadView> =
        fetches.iter().take(DOWNLOADS_MAX).map(|fetch| DownloadView::of(fetch, &api.desk, None)).collect();
    let mut warnings = Vec::new();
    if !now.synced {
        warnings
            .push(json!({"kind": "clock_not_synced", "message": "The device does not know the time yet."}));
    }
    let refusal = api.store.refusal().map(|refusal| refusal.to_string());
    for (kind, message) in [("records_in_memory", refusal), ("storage", api.library.card().state().trouble)] {
        warnings.extend(message.map(|message| json!({"kind": kind, "message": message})));
    }
    for message in (api.probe)().notices {
        warnings.push(json!({"kind": "notice", "message": message}));
    }
    json!({
        "printers": printers,
        "jobs": jobs,
        "downloads": downloads,
        "seq": seq,
        "build": crate::web::assets::BUILD,
        "started_at": api.started.wall.to_string(),
        "auth": api.guard.mode(),
        "warnings": warnings,
    })
}
