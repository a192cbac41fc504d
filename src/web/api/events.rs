//! `/events/recent` and `/events/stats`: the journal by pages, and figures. The stream is answered by the front.

use embedded_svc::http::server::Connection;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Api;
use crate::web::respond::{ApiError, LIMIT_DEFAULT, LIMIT_MAX, Reply};
use crate::web::server::{Answer, Call};

pub fn recent<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let number = |field: &str| match call.query().get(field).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(ApiError::bad_value(field, "Use a whole number.")),
    };
    let limit = number("limit")?.unwrap_or(u64::from(LIMIT_DEFAULT));
    if limit == 0 || limit > u64::from(LIMIT_MAX) {
        return Err(ApiError::bad_value("limit", format!("Use a number from 1 to {LIMIT_MAX}.")));
    }
    // Without a place to start, the newest events are meant.
    let after = number("after")?.unwrap_or_else(|| api.announcer.newest().saturating_sub(limit));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = api.store.read_blocking(|view| view.journal_after(after, limit))?;
    let events = page.events.iter().filter_map(|event| serde_json::from_str(&event.json).ok()).collect();
    let gap = page.oldest > after.saturating_add(1);
    Reply::json(200, &Recent { events, oldest: page.oldest, newest: page.newest, gap })
}

/// A page of the journal; the events are byte for byte what it holds.
#[derive(Serialize)]
struct Recent<'j> {
    events: Vec<&'j RawValue>,
    oldest: u64,
    newest: u64,
    /// Whether events between `after` and the first of these are gone.
    gap: bool,
}

pub fn stats<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    Reply::json(200, &super::health::event_figures(api)?)
}
