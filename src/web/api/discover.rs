//! `/printers/discover`: who was heard on the network, asked once more.

use std::time::Duration;

use embedded_svc::http::server::Connection;
use serde::Serialize;

use super::Api;
use crate::base::clock::{Mono, Now, within};
use crate::lan::{Found, Side, State, belongs};
use crate::model::{Printer, PrinterId};
use crate::store::Read as _;
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// How long answers are waited for where the query does not say.
const WAIT: Duration = Duration::from_secs(2);
/// Seconds that the query may ask for: printers call every 5 to 10 s.
const WAIT_MAX_S: u64 = 10;
/// Whether enough was heard is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The answer.
#[derive(Serialize)]
struct Discovered<'a> {
    discovered: Vec<Row<'a>>,
    scan_duration_ms: u64,
    errors: Vec<Trouble>,
    timestamp: String,
}

/// A printer that was heard.
#[derive(Serialize)]
struct Row<'a> {
    printer_type: &'static str,
    name: Option<&'a str>,
    ip_address: String,
    port: Option<u16>,
    hostname: Option<&'a str>,
    model: Option<&'a str>,
    serial_number: Option<&'a str>,
    discovered_at: String,
    last_seen: String,
    age_s: u64,
    already_added: bool,
    printer_id: Option<PrinterId>,
}

/// What hinders the search.
#[derive(Serialize)]
struct Trouble {
    kind: &'static str,
    message: String,
}

pub fn discover<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let wait = match call.query().get("timeout") {
        None => WAIT,
        Some(text) => {
            let seconds = text.parse().ok().filter(|seconds| *seconds <= WAIT_MAX_S);
            Duration::from_secs(seconds.ok_or_else(|| {
                ApiError::bad_value(
                    "timeout",
                    format!("`timeout` is a number of seconds from 0 to {WAIT_MAX_S}."),
                )
            })?)
        }
    };
    let start = api.clock.now();
    let state = api.lan.state();
    if state.notices == Side::Works || state.names == Side::Works {
        api.lan.ask();
        // While another handler waits, what is known by now is the answer.
        if let Some(_pass) = api.slow.try_enter() {
            smol::block_on(within(&api.clock, wait, gather(api)));
        }
    }
    let (now, printers) = (api.clock.now(), api.store.read_blocking(|view| view.printers())?);
    let found = api.lan.list(now.mono);
    Reply::json(
        200,
        &Discovered {
            discovered: found.iter().map(|found| row(found, &printers, now)).collect(),
            scan_duration_ms: u64::try_from(now.mono.since(start.mono).as_millis()).unwrap_or(u64::MAX),
            errors: troubles(&state),
            timestamp: now.wall.to_string(),
        },
    )
}

/// Waits until the room has listened long enough for every printer to have called once.
async fn gather(api: &Api) {
    let round = Duration::from_secs(WAIT_MAX_S);
    let asked = api.clock.now().mono;
    loop {
        let now = api.clock.now().mono;
        let listened = api.lan.state().since.is_some_and(|since: Mono| now.since(since) >= round);
        // Answers to a question come within a second.
        if listened && now.since(asked) >= Duration::from_millis(1500) {
            return;
        }
        api.clock.sleep(LOOK_EVERY).await;
    }
}

fn row<'a>(found: &'a Found, printers: &[Printer], now: Now) -> Row<'a> {
    let heard = &found.heard;
    let known = printers.iter().find(|printer| belongs(printer, heard));
    Row {
        printer_type: heard.kind.name(),
        name: heard.name.as_deref(),
        ip_address: heard.address.to_string(),
        port: heard.port,
        hostname: heard.hostname.as_deref(),
        model: heard.model.as_deref(),
        serial_number: heard.serial.as_deref(),
        discovered_at: found.first.to_string(),
        last_seen: found.last.to_string(),
        age_s: now.mono.since(found.last_mono).as_secs(),
        already_added: known.is_some(),
        printer_id: known.map(|printer| printer.id),
    }
}

fn troubles(state: &State) -> Vec<Trouble> {
    let mut list = Vec::new();
    for (side, what) in [(&state.notices, "Bambu Lab"), (&state.names, "Prusa")] {
        let (kind, message) = match side {
            Side::Works => continue,
            Side::Off => (
                "switched_off",
                format!(
                    "{what} printers are not looked for: [network] find_printers is off. Add them by address."
                ),
            ),
            Side::NoNetwork => {
                ("no_network", format!("{what} printers cannot be found: there is no network."))
            }
            Side::Failed(why) => {
                ("no_multicast", format!("{what} printers cannot be found ({why}). Add them by address."))
            }
        };
        list.push(Trouble { kind, message });
    }
    list
}
