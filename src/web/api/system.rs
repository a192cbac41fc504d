//! `/system`: what the service runs on, its newest log lines, and what only its owner may do with the machine.

use std::fmt;

use embedded_svc::http::server::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Api;
use crate::base::logging::{self, Line};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// Lines of the log in one answer, where the client does not say: a screen or two.
const LINES_DEFAULT: u64 = 200;
/// Lines of the log in one answer at most: as many as are kept.
const LINES_MAX: u64 = 500;
/// What has to be written to erase everything, so that no slip of a script does it.
const CONFIRM_RESET: &str = "factory-reset";

/// What the app lets the owner do with the machine.
pub trait Machine: Send + Sync {
    /// Restarts it.
    ///
    /// # Errors
    /// Why it will not.
    fn restart(&self) -> Result<(), PowerError>;

    /// Switches it off.
    ///
    /// # Errors
    /// Why it will not.
    fn power_off(&self) -> Result<(), PowerError>;

    /// Erases everything at the next start of the service, which comes at once.
    ///
    /// # Errors
    /// Why it will not.
    fn factory_reset(&self) -> Result<(), PowerError>;

    /// Ends the service so that it starts afresh, with what was put down for its next start.
    fn start_afresh(&self);
}

/// Why the machine does not do what its owner wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerError {
    /// It cannot, for this reason.
    Impossible(String),
    /// It was tried and did not work.
    Failed(String),
}

impl fmt::Display for PowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PowerError::Impossible(why) | PowerError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for PowerError {}

impl From<PowerError> for ApiError {
    fn from(error: PowerError) -> ApiError {
        match error {
            PowerError::Impossible(why) => {
                ApiError::new(501, "NOT_SUPPORTED", format!("Not on this machine: {why}."))
            }
            PowerError::Failed(why) => {
                log::error!("system: {why}");
                ApiError::new(503, "POWER_FAILED", format!("It did not work: {why}. See the log."))
            }
        }
    }
}

pub(super) fn system<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    Reply::json(200, &report(api))
}

/// What `/system` answers, for the support bundle too.
pub fn report(api: &Api) -> Value {
    let now = api.clock.now();
    let probe = (api.probe)();
    let tasks: Vec<Value> = api
        .tasks
        .lines(now.mono)
        .into_iter()
        .map(|task| {
            json!({"name": task.name, "silent_for_s": task.silent.as_secs(), "restarts": task.restarts, "panics": task.panics})
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": api.started.wall.to_string(),
        "now": now.wall.to_string(),
        "uptime_seconds": now.mono.since(api.started.mono).as_secs(),
        "clock_synced": now.synced,
        "auth": api.guard.mode(),
        "memory": probe.memory,
        "storage": probe.storage,
        "board": probe.board,
        "warnings": probe.warnings,
        "tasks": tasks,
    })
}

/// One line of the log as it is shown.
#[derive(Debug, Serialize)]
pub struct LineView {
    number: u64,
    timestamp: String,
    level: &'static str,
    message: String,
}

impl LineView {
    /// The view of a line.
    #[must_use]
    pub fn of(line: &Line) -> LineView {
        LineView {
            number: line.number,
            timestamp: line.wall.to_string(),
            level: logging::level_name(line.level.to_level_filter()),
            message: line.text.to_string(),
        }
    }
}

/// GET /system/logs: `?after=` a number, `?level=` the least important, `?limit=`; the newest that fit, oldest first.
pub(super) fn logs<C: Connection>(call: &mut Call<'_, C>, _: &Api) -> Answer {
    let after = call.query().number("after")?.unwrap_or(0);
    let limit = call.query().number("limit")?.unwrap_or(LINES_DEFAULT);
    if limit == 0 || limit > LINES_MAX {
        return Err(ApiError::bad_value("limit", format!("Use a number from 1 to {LINES_MAX}.")));
    }
    let level = match call.query().get("level") {
        None => log::LevelFilter::Trace,
        Some(name) => logging::level_from_name(name)
            .ok_or_else(|| ApiError::bad_value("level", "Use error, warn, info, debug or trace."))?,
    };
    let lines = logging::recent(after);
    let newest = lines.last().map_or(after, |line| line.number);
    let fitting: Vec<&Line> = lines.iter().filter(|line| line.level <= level).collect();
    let skip = fitting.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    let views: Vec<LineView> = fitting.into_iter().skip(skip).map(LineView::of).collect();
    Reply::json(
        200,
        &json!({
            "lines": views, "newest": newest, "suppressed": logging::suppressed(),
            "log_level": logging::level_name(logging::level()),
        }),
    )
}

pub(super) fn reboot<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    log::warn!("system: somebody asked for a restart of the machine");
    api.machine.restart()?;
    Reply::json(202, &json!({"status": "restarting"}))
}

pub(super) fn shutdown<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    log::warn!("system: somebody asked for the machine to be switched off");
    api.machine.power_off()?;
    Reply::json(202, &json!({"status": "switching_off"}))
}

pub(super) fn update<C: Connection>(_: &mut Call<'_, C>, _: &Api) -> Answer {
    let message = "Updates through the network are not built yet. A package is updated with the system's package manager; \
                   a card is written anew (docs/operations.md).";
    Err(ApiError::new(501, "UPDATE_NOT_SUPPORTED", message))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    confirm: String,
}

pub(super) fn factory_reset<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let reset: Reset = call.json()?;
    if reset.confirm != CONFIRM_RESET {
        let message = format!(
            "Everything would be erased: printers, jobs, files, spools, settings. Send {{\"confirm\": \"{CONFIRM_RESET}\"}} if that is meant."
        );
        return Err(ApiError::bad_value("confirm", message));
    }
    log::warn!("system: somebody asked for everything to be erased");
    api.machine.factory_reset()?;
    Reply::json(202, &json!({"status": "resetting"}))
}
