//! `/health`: what really is, from real probes. Nothing here is a constant.

use embedded_svc::http::server::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use crate::base::task::BEAT_LIMIT;
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
}

pub fn health<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let now = api.clock.now();
    let probe = (api.probe)();
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
    } else if panics > 0 {
        "degraded"
    } else {
        "healthy"
    };
    let details = json!({"count": tasks.len(), "stalled": stalled, "restarts": restarts, "panics": panics});
    services.insert("tasks".into(), json!({"status": task_status, "details": details}));
    let status = if broken || !stalled.is_empty() { "unhealthy" } else { task_status };
    Reply::json(
        200,
        &json!({
            "status": status,
            "version": env!("CARGO_PKG_VERSION"),
            "timestamp": now.wall.to_string(),
            "clock_synced": now.synced,
            "uptime_seconds": now.mono.since(api.started.mono).as_secs(),
            "services": services,
            "events": event_figures(api)?,
            "memory": probe.memory,
            "storage": probe.storage,
            "board": probe.board,
        }),
    )
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
    let counts = api.store.read_blocking(|view| view.event_counts())?;
    let subscribers: Vec<Value> = bus
        .subscribers
        .iter()
        .map(|one| {
            json!({"name": one.name, "lag": one.lag, "high_water": one.high_water, "missed": one.missed, "delivered": one.delivered})
        })
        .collect();
    let counts: serde_json::Map<String, Value> =
        counts.into_iter().map(|(name, count)| (name.to_string(), json!(count))).collect();
    Ok(json!({
        "newest_seq": api.announcer.newest(),
        "published_since_start": bus.published,
        "event_counts": counts,
        "subscribers": subscribers,
    }))
}
