//! `/metrics`: figures as Prometheus reads them. Everything is counted or measured elsewhere; here it is written down.
//!
//! Bounded: a fixed number of figures, some for each printer (of which there are few), one for each event of the catalogue.

use std::fmt::{Display, Write as _};

use embedded_svc::http::server::Connection;
use serde_json::Value;

use super::Api;
use crate::base::task::BEAT_LIMIT;
use crate::model::status::ConnectionState;
use crate::store::{Read as _, ReadJobTotals as _, StoreError};
use crate::web::respond::Reply;
use crate::web::server::{Answer, Call};

/// The text format of Prometheus.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub fn metrics<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let mut page = Page::default();
    service(&mut page, api);
    machine(&mut page, api);
    printers(&mut page, api)?;
    events(&mut page, api)?;
    jobs(&mut page, api)?;
    Ok(Reply::new(200, CONTENT_TYPE, page.0.into_bytes()).header("Cache-Control", "no-store"))
}

/// The text on its way.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a figure: what follows are its samples.
    fn figure(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP printernizer_{name} {help}\n# TYPE printernizer_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "printernizer_{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A figure with one sample; none where it is not known.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.figure(name, kind, help);
            self.sample(name, &[], value);
        }
    }
}

/// A label's text as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn service(page: &mut Page, api: &Api) {
    let now = api.clock.now();
    page.figure("info", "gauge", "The version.");
    page.sample("info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let up = now.mono.since(api.started.mono).as_secs();
    page.one("uptime_seconds", "gauge", "Since the service started.", Some(up));
    let synced = u8::from(now.synced);
    page.one("clock_synced", "gauge", "Whether the device knows the time.", Some(synced));
    let tasks = api.tasks.lines(now.mono);
    let stalled = tasks.iter().filter(|task| task.silent > BEAT_LIMIT).count();
    page.one("tasks_stalled", "gauge", "Tasks that were silent for too long.", Some(stalled));
    let restarts: u64 = tasks.iter().map(|task| task.restarts).sum();
    page.one("task_restarts_total", "counter", "Restarts of tasks.", Some(restarts));
    let panics: u64 = tasks.iter().map(|task| task.panics).sum();
    page.one("task_panics_total", "counter", "Panics of tasks.", Some(panics));
}

fn machine(page: &mut Page, api: &Api) {
    let probe = (api.probe)();
    page.figure("service_up", "gauge", "Whether a part of the service works.");
    for (name, works, _) in &probe.services {
        page.sample("service_up", &[("service", name)], u8::from(*works));
    }
    let number = |of: &Value, field: &str| of.get(field).and_then(Value::as_f64);
    for (name, kind, help, value) in [
        ("memory_rss_bytes", "gauge", "Memory of the process.", number(&probe.memory, "rss_bytes")),
        ("memory_peak_bytes", "gauge", "The most that it ever was.", number(&probe.memory, "peak_bytes")),
        ("storage_free_bytes", "gauge", "Free on the card.", number(&probe.storage, "free")),
        ("storage_used_bytes", "gauge", "Used on the card.", number(&probe.storage, "used")),
        ("storage_files_bytes", "gauge", "What print files take.", number(&probe.storage, "files")),
        ("storage_quota_bytes", "gauge", "What print files may take.", number(&probe.storage, "quota")),
        (
            "storage_written_bytes_total",
            "counter",
            "Written since the start.",
            number(&probe.storage, "written_since_start"),
        ),
        ("board_temperature_celsius", "gauge", "The processor.", number(&probe.board, "temperature_c")),
        ("board_load", "gauge", "Load of the last minute.", number(&probe.board, "load")),
    ] {
        page.one(name, kind, help, value);
    }
    page.one("warnings", "gauge", "What people should do something about.", Some(probe.warnings.len()));
}

fn printers(page: &mut Page, api: &Api) -> Result<(), StoreError> {
    let printers = api.store.read_blocking(|view| view.printers())?;
    let states: Vec<_> = printers
        .iter()
        .map(|printer| {
            let entry = api.registry.get(printer.id);
            (printer, printer.id.to_string(), entry.map(|entry| entry.state.get()).unwrap_or_default())
        })
        .collect();
    page.figure("printer_connected", "gauge", "Whether a printer is connected.");
    for (printer, id, state) in &states {
        let connected = u8::from(state.connection == ConnectionState::Monitoring);
        page.sample("printer_connected", &[("printer_id", id), ("name", &printer.name)], connected);
    }
    page.figure("printer_status", "gauge", "1 for the status that a printer has.");
    for (_, id, state) in &states {
        page.sample("printer_status", &[("printer_id", id), ("status", state.status.name())], 1);
    }
    page.figure("printer_progress_percent", "gauge", "How far a print is.");
    for (_, id, state) in &states {
        if let Some(progress) = state.seen.progress {
            page.sample("printer_progress_percent", &[("printer_id", id)], progress);
        }
    }
    page.figure("printer_temperature_celsius", "gauge", "Measured temperatures.");
    for (_, id, state) in &states {
        let heat = &state.seen.temperature;
        for (part, value) in [("nozzle", heat.nozzle), ("bed", heat.bed), ("chamber", heat.chamber)] {
            if let Some(value) = value {
                page.sample("printer_temperature_celsius", &[("printer_id", id), ("part", part)], value);
            }
        }
    }
    Ok(())
}

fn events(page: &mut Page, api: &Api) -> Result<(), StoreError> {
    let newest = api.announcer.newest();
    page.one("events_newest_seq", "counter", "Number of the newest durable event.", Some(newest));
    let bus = api.announcer.bus().stats();
    let published = bus.published;
    page.one("events_published_total", "counter", "Events told since the start.", Some(published));
    page.one("event_listeners", "gauge", "Who listens to events.", Some(bus.subscribers.len()));
    let missed: u64 = bus.subscribers.iter().map(|one| one.missed).sum();
    page.one("events_missed", "gauge", "Events that present listeners missed.", Some(missed));
    page.figure("events_total", "counter", "Events by name, ever.");
    let mut ever = api.store.read_blocking(|view| view.event_counts())?;
    for (name, count) in api.announcer.counts().all() {
        match ever.iter_mut().find(|(known, _)| *known == name) {
            Some((_, saved)) => *saved += count.unsaved,
            None => ever.push((name.to_owned(), count.unsaved)),
        }
    }
    for (name, count) in ever {
        page.sample("events_total", &[("event", &name)], count);
    }
    let store = api.store.stats();
    page.one("store_queue_depth", "gauge", "Writes that wait for the store.", Some(store.queued));
    page.one("store_refused_total", "counter", "Writes that it had no room for.", Some(store.busy));
    Ok(())
}

fn jobs(page: &mut Page, api: &Api) -> Result<(), StoreError> {
    let totals = api.store.read_blocking(|view| view.job_totals(None))?;
    page.figure("jobs_total", "counter", "Jobs that are over, by how they ended.");
    for (end, count) in [
        ("completed", totals.completed),
        ("failed", totals.failed),
        ("cancelled", totals.cancelled),
        ("unknown", totals.unknown),
    ] {
        page.sample("jobs_total", &[("status", end)], count);
    }
    page.one("print_seconds_total", "counter", "Time of all prints.", Some(totals.seconds));
    let grams = totals.used().grams();
    page.one("material_used_grams_total", "counter", "Filament of all prints.", Some(grams));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_label() {
        let mut page = Page::default();
        page.figure("x", "gauge", "A figure.");
        page.sample("x", &[("name", "a\"} 1\nb\\"), ("id", "p1")], 2);
        page.one("y", "gauge", "Another.", None::<u64>);
        assert_eq!(
            page.0,
            "# HELP printernizer_x A figure.\n# TYPE printernizer_x gauge\nprinternizer_x{name=\"a\\\"} 1\\nb\\\\\",id=\"p1\"} 2\n"
        );
    }
}
