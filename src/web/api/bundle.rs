//! `/system/support-bundle`: what somebody who helps needs to see, in one file, without a secret.
//!
//! It is put together from what other addresses answer, so nothing can be in it that could not be read there. Bounds:
//! [`LOG_BYTES_MAX`] of the log and [`EVENT_BYTES_MAX`] of the journal, the newest of both; the rest grows with the printers.

use std::collections::BTreeMap;

use embedded_svc::http::server::Connection;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::settings::Shown;
use super::system::LineView;
use super::views::PrinterView;
use super::{Api, health, printers, system};
use crate::base::logging;
use crate::store::{Read as _, StoreError};
use crate::web::respond::Reply;
use crate::web::server::{Answer, Call};

/// Bytes of log lines.
const LOG_BYTES_MAX: usize = 48 * 1024;
/// Events that are looked at.
const EVENTS_MAX: u64 = 100;
/// Bytes of events.
const EVENT_BYTES_MAX: usize = 96 * 1024;

#[derive(Serialize)]
struct Bundle<'b> {
    made_at: String,
    version: &'static str,
    settings: Shown,
    health: Value,
    system: Value,
    printers: Vec<PrinterView>,
    odd_input: BTreeMap<&'static str, u64>,
    events: Vec<&'b RawValue>,
    log: Vec<LineView>,
}

pub fn bundle<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let after = api.announcer.newest().saturating_sub(EVENTS_MAX);
    let limit = usize::try_from(EVENTS_MAX).unwrap_or(usize::MAX);
    let (page, all) = api
        .store
        .read_blocking(|view| Ok::<_, StoreError>((view.journal_after(after, limit)?, view.printers()?)))?;
    let events = newest(page.events.iter(), EVENT_BYTES_MAX, |event| event.json.len());
    let lines = logging::recent(0);
    let log = newest(lines.iter(), LOG_BYTES_MAX, |line| line.text.len());
    let made_at = api.clock.now().wall.to_string();
    let bundle = Bundle {
        version: env!("CARGO_PKG_VERSION"),
        settings: api.settings.show(),
        health: health::report(api)?,
        system: system::report(api),
        printers: all
            .iter()
            .map(|printer| PrinterView::of(printer, &printers::state_of(api, printer.id)))
            .collect(),
        odd_input: logging::odd_counts().into_iter().collect(),
        events: events.into_iter().filter_map(|event| serde_json::from_str(&event.json).ok()).collect(),
        log: log.into_iter().map(LineView::of).collect(),
        made_at: made_at.clone(),
    };
    let name = format!("printernizer-{}.json", made_at.replace([':', '.'], "-"));
    Ok(Reply::json(200, &bundle)?.header("Content-Disposition", format!("attachment; filename=\"{name}\"")))
}

/// The newest of `all` that fit into `bytes_max`, in their order.
fn newest<'a, T>(
    all: impl DoubleEndedIterator<Item = &'a T>,
    bytes_max: usize,
    size: impl Fn(&T) -> usize,
) -> Vec<&'a T> {
    let mut left = bytes_max;
    let fits = |one: &&T| {
        let after = left.checked_sub(size(one));
        left = after.unwrap_or(0);
        after.is_some()
    };
    let mut kept: Vec<&T> = all.rev().take_while(fits).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_fit_are_kept_in_their_order() {
        let all = ["aaaa", "bb", "c", "dd"];
        let kept = |bytes| newest(all.iter(), bytes, |text: &&str| text.len());
        assert_eq!(kept(100), [&"aaaa", &"bb", &"c", &"dd"]);
        assert_eq!(kept(5), [&"bb", &"c", &"dd"]);
        assert_eq!(kept(8), [&"bb", &"c", &"dd"]);
        assert!(kept(1).is_empty());
    }
}
