//! `/system`: what the service is and how its tasks are.

use embedded_svc::http::server::Connection;
use serde_json::{Value, json};

use super::Api;
use crate::web::respond::Reply;
use crate::web::server::{Answer, Call};

pub fn system<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let now = api.clock.now();
    let tasks: Vec<Value> = api
        .tasks
        .lines(now.mono)
        .into_iter()
        .map(|task| {
            json!({"name": task.name, "silent_for_s": task.silent.as_secs(), "restarts": task.restarts, "panics": task.panics})
        })
        .collect();
    Reply::json(
        200,
        &json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": api.started.wall.to_string(),
            "clock_synced": now.synced,
            "tasks": tasks,
        }),
    )
}
