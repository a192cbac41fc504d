//! `/health`: what really is, from real probes. Nothing here is a constant.

use std::collections::BTreeMap;

use embedded_svc::http::server::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use crate::base::task::BEAT_LIMIT;
use crate::bus::{SUBSCRIBERS_MAX, SubscriberKind};
use crate::events::RING;
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// Figures that only the app can read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Probe {
    /// Services by name: whether each works, and a word about it.
    #[serde(skip)]
    pub services: Vec<(&'static str, bool, Value)>,
    /// Memory of the process in bytes.
    pub memory: Value,
    /// Storage figures in bytes.
    pub storage: Value,
    /// What the board says.
    pub board: Value,
    /// What people should know and do something about; the service goes on.
    pub warnings: Vec<String>,
    /// What the system around the service has to say to people, such as why there is no wireless network.
    #[serde(skip)]
    pub notices: Vec<String>,
}

pub fn health<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    Reply::json(200, &report(api)?)
}

/// What `/health` answers, for the support bundle too.
pub fn report(api: &Api) -> Result<Value, ApiError> {
    let now = api.clock.now();
    let mut probe = (api.probe)();
    probe.warnings.append(&mut probe.notices);
    let tasks = api.tasks.lines(now.mono);
    let stalled: Vec<&str> =
        tasks.iter().filter(|task| task.silent > BEAT_LIMIT).map(|task| task.name.as_str()).collect();
    let restarts: u64 = tasks.iter().map(|task| task.restarts).sum();
    let panics: u64 = tasks.iter().map(|task| task.panics).sum();
    let mut services = serde_json::Map::new();
    let mut broken = false;
    for (name, works, details) in probe.services {
        broken |= !works;
        services.insert(
            name.to_owned(),
            json!({"status": if works { "healthy" } else { "unhealthy" }, "details": details}),
        );
    }
    let task_status = if !stalled.is_empty() {
        "unhealthy"
    } else if panics > 0 || !probe.warnings.is_empty() {
        "degraded"
    } else {
        "healthy"
    };
    let details = json!({"count": tasks.len(), "stalled": stalled, "restarts": restarts, "panics": panics});
    services.insert("tasks".into(), json!({"status": task_status, "details": details}));
    let status = if broken || !stalled.is_empty() { "unhealthy" } else { task_status };
    Ok(json!({
            "status": status,
            "version": env!("CARGO_PKG_VERSION"),
            "timestamp": now.wall.to_string(),
            "clock_synced": now.synced,
            "uptime_seconds": now.mono.since(api.started.mono).as_secs(),
            "warnings": probe.warnings,
            "services": services,
            "events": event_figures(api)?,
            "memory": probe.memory,
            "storage": probe.storage,
            "board": probe.board,
    }))
}

pub fn liveness<C: Connection>(_: &mut Call<'_, C>, _: &Api) -> Answer {
    Reply::json(200, &json!({"status": "alive"}))
}

pub fn readiness<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    api.store.read_blocking(|view| view.newest_seq())?;
    Reply::json(200, &json!({"status": "ready"}))
}

pub fn event_figures(api: &Api) -> Result<Value, ApiError> {
    let bus = api.announcer.bus().stats();
    let now = api.clock.now().mono;
    let mut ever: BTreeMap<String, u64> =
        api.store.read_blocking(|view| view.event_counts())?.into_iter().collect();
    let (mut since_start, mut rates) = (BTreeMap::new(), BTreeMap::new());
    for (name, count) in api.announcer.counts().all() {
        *ever.entry(name.to_owned()).or_default() += count.unsaved;
        since_start.insert(name, count.total);
        rates.insert(name, count.last_minute(now));
    }
    let subscribers: Vec<Value> = bus
        .subscribers
        .iter()
        .map(|one| {
            let kind = match one.kind {
                SubscriberKind::Lossy => "lossy",
                SubscriberKind::Must => "must",
            };
            json!({
                "name": one.name, "kind": kind, "lag": one.lag, "high_water": one.high_water, "missed": one.missed,
                "delivered": one.delivered, "from_journal": one.from_journal,
            })
        })
        .collect();
    let handlers: BTreeMap<&str, Value> = api
        .announcer
        .handlings()
        .totals()
        .into_iter()
        .map(|(name, totals)| {
            (
                name,
                json!({"handled": totals.handled, "failed": totals.failed, "longest_ms": totals.longest_ms}),
            )
        })
        .collect();
    let store = api.store.stats();
    Ok(json!({
        "newest_seq": api.announcer.newest(),
        "published_since_start": bus.published,
        "published_last_minute": rates.values().sum::<u64>(),
        "event_counts": ever,
        "event_counts_since_start": since_start,
        "event_counts_last_minute": rates,
        "ring": {"capacity": RING, "subscribers_max": SUBSCRIBERS_MAX},
        "store_queue": {"depth": store.queued, "depth_max": store.queued_max, "refused": store.busy},
        "subscribers": subscribers,
        "handlers": handlers,
    }))
}
