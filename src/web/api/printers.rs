//! `/printers`: the list, and what can be asked of a printer.

use std::sync::Arc;
use std::time::Duration;

use embedded_svc::http::server::Connection;
use serde::Deserialize;
use serde_json::json;

use super::linked::Linked;
use super::views::{ConnectionView, PrinterView, StatusView};
use super::{Api, CONNECT_WAIT, PROBE_WAIT};
use crate::base::clock::{Timestamp, within};
use crate::base::secret::Secret;
use crate::events::{DisconnectReason, Event, PlateCleared, PrinterDisconnected, PrinterOnly, PrinterRef};
use crate::jobs::record;
use crate::materials::{Because, shelf};
use crate::model::status::{ConnectionState, Plate, PrinterState};
use crate::model::text::{self, MESSAGE_BYTES_MAX, NAME_BYTES_MAX};
use crate::model::{ConnectionConfig, Printer, PrinterId, PrinterType, Track};
use crate::printers::bambu::session::serial;
use crate::printers::registry::{Command, Entry, Order, PRINTERS_MAX};
use crate::store::{Read as _, Txn, View};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// Bytes of a host name (RFC 1035) and thus of an address.
const HOST_BYTES_MAX: usize = 253;
/// Bytes of a code, key or password: the longest real one (a PrusaLink key) is far shorter.
const SECRET_BYTES_MAX: usize = 128;
/// The code of the answer to a printer that the list has already.
pub const DUPLICATE_PRINTER: &str = "DUPLICATE_PRINTER";
const MQTT_PORT: u16 = 8883;
const FTPS_PORT: u16 = 990;
const HTTP_PORT: u16 = 80;

/// The body of POST /printers and of a connection test.
#[derive(Deserialize)]
struct NewPrinter {
    name: Option<String>,
    printer_type: String,
    connection_config: Way,
    location: Option<String>,
    description: Option<String>,
    is_enabled: Option<bool>,
}

/// The body of PUT /printers/{id}: what is absent stays.
#[derive(Deserialize)]
struct Changes {
    name: Option<String>,
    printer_type: Option<String>,
    connection_config: Option<Way>,
    location: Option<String>,
    description: Option<String>,
    is_enabled: Option<bool>,
}

#[derive(Deserialize)]
struct Way {
    ip_address: Option<String>,
    serial_number: Option<String>,
    access_code: Option<String>,
    api_key: Option<String>,
    username: Option<String>,
    password: Option<String>,
    mqtt_port: Option<u16>,
    ftps_port: Option<u16>,
    http_port: Option<u16>,
}

pub fn list<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let paging = call.paging()?;
    let all = api.store.read_blocking(|view| view.printers())?;
    let total = all.len() as u64;
    let skip = usize::try_from(paging.offset()).unwrap_or(usize::MAX);
    let page = all.iter().skip(skip).take(paging.limit as usize);
    let views: Vec<PrinterView> =
        page.map(|printer| PrinterView::of(printer, &state_of(api, printer.id))).collect();
    call.conditional_json(&paging.list("printers", views, total))
}

pub fn one<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let printer = stored(api, call.param("id"))?;
    call.conditional_json(&PrinterView::of(&printer, &state_of(api, printer.id)))
}

pub fn status<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let printer = stored(api, call.param("id"))?;
    let state = state_of(api, printer.id);
    let linked = api.store.read_blocking(|view| linked(view, &state))?;
    Reply::json(200, &StatusView::of(&printer, &state, linked, &api.clock))
}

/// The file of the job that a printer is at.
fn linked(view: &View<'_>, state: &PrinterState) -> Result<Linked, ApiError> {
    let job = match state.job_id {
        Some(id) => view.job(id)?,
        None => None,
    };
    Ok(job.map(|job| Linked::of(view, &job)).transpose()?.unwrap_or_default())
}

pub fn add<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let body: NewPrinter = call.json()?;
    let printer = new_printer(body, api)?;
    let printer = api.store.write_blocking(move |txn| insert(txn, printer))?;
    let printer = Arc::new(printer);
    let enabled = printer.enabled;
    if api.orders.try_send(Order::Watch(Arc::clone(&printer))).is_err() {
        log::error!("{}: the fleet takes no orders; the printer is watched after a restart", printer.id);
    }
    let state = if enabled { wait_for_connection(api, printer.id, None) } else { state_of(api, printer.id) };
    let location = format!("{}/printers/{}", crate::web::server::API, printer.id);
    let stored = stored(api, &printer.id.to_string())?;
    Ok(Reply::json(201, &PrinterView::of(&stored, &state))?.header("Location", location))
}

/// Adds a printer unless the list has it already.
pub fn insert(txn: &mut Txn<'_>, mut printer: Printer) -> Result<Printer, ApiError> {
    let printers = txn.printers()?;
    if printers.len() >= PRINTERS_MAX {
        return Err(ApiError::conflict(
            "TOO_MANY_PRINTERS",
            format!("The list holds {PRINTERS_MAX} printers at most."),
        ));
    }
    refuse_duplicate(&printers, &printer)?;
    printer.id = txn.next_printer_id();
    txn.put_printer(&printer)?;
    txn.emit(Event::PrinterAdded(PrinterRef::of(&printer)), None, None);
    Ok(printer)
}

pub fn change<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let before = stored(api, call.param("id"))?;
    let id = before.id;
    let body: Changes = call.json()?;
    let other_kind = |name: &str| printer_type(name).map(|kind| kind != before.kind);
    if body.printer_type.as_deref().map(other_kind).transpose()? == Some(true) {
        return Err(ApiError::bad_value(
            "printer_type",
            "The type of a printer cannot be changed; remove it and add it anew.",
        ));
    }
    let changed = api.store.write_blocking(move |txn| {
        let mut printer = txn.printer(id)?.ok_or_else(|| ApiError::not_found("printer", &id.to_string()))?;
        let before = printer.clone();
        if let Some(name) = body.name {
            printer.name = checked_name(&name)?;
        }
        if let Some(location) = body.location {
            printer.location = note(&location);
        }
        if let Some(description) = body.description {
            printer.description = note(&description);
        }
        if let Some(enabled) = body.is_enabled {
            printer.enabled = enabled;
        }
        if let Some(way) = body.connection_config {
            apply_way(&mut printer.connection, way, printer.kind)?;
            if printer.connection.serial != before.connection.serial {
                printer.pin = None; // Another machine has another key.
            }
        }
        refuse_duplicate(&txn.printers()?, &printer)?;
        if printer != before {
            txn.put_printer(&printer)?;
            txn.emit(Event::PrinterUpdated(PrinterRef::of(&printer)), None, None);
        }
        Ok::<Printer, ApiError>(printer)
    })?;
    let changed = Arc::new(changed);
    api.registry.update(Arc::clone(&changed));
    if let Some(entry) = api.registry.get(id) {
        tell(&entry, Command::Update(Arc::clone(&changed)))?;
    }
    Reply::json(200, &PrinterView::of(&changed, &state_of(api, id)))
}

pub fn remove<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = stored(api, call.param("id"))?.id;
    let force = call.query().flag("force")?.unwrap_or(false);
    let connected =
        api.registry.get(id).is_some_and(|entry| entry.state.get().connection == ConnectionState::Monitoring);
    let entry = api.registry.get(id);
    let hush = |leaving: bool| entry.iter().for_each(|entry| entry.leaving.set(leaving));
    hush(true);
    if let Err(error) = api.store.write_blocking(move |txn| delete(txn, id, force, connected)) {
        hush(false);
        return Err(error);
    }
    api.registry.leave(id);
    if api.orders.try_send(Order::Forget(id)).is_err() {
        log::error!("{id}: the fleet takes no orders; the removed printer's watch goes on until a restart");
    }
    Ok(Reply::empty(204))
}

/// Removes a printer with everything that is said about its end, in the contract's order.
fn delete(txn: &mut Txn<'_>, id: PrinterId, force: bool, connected: bool) -> Result<(), ApiError> {
    let printer = txn.printer(id)?.ok_or_else(|| ApiError::not_found("printer", &id.to_string()))?;
    let active = txn.active_or_pending_jobs(Some(id))?.into_iter().find(|job| job.status.is_active());
    if let Some(job) = active
        && !force
    {
        let message = format!("The printer is at work on {}; remove it with ?force=true.", job.name);
        return Err(ApiError::conflict("PRINTER_HAS_ACTIVE_JOB", message));
    }
    let mut cause = None;
    if connected {
        cause = Some(txn.emit(Event::PrinterMonitoringStopped(PrinterOnly { printer_id: id }), None, None));
        let event = PrinterDisconnected {
            printer_id: id,
            name: printer.name.clone(),
            reason: DisconnectReason::Removed,
        };
        cause = Some(txn.emit(Event::PrinterDisconnected(event), None, cause));
    }
    record::abandon(txn, id)?;
    shelf::release(txn, id, &Because { flow: None, cause })?;
    txn.delete_printer(id)?;
    txn.emit(Event::PrinterRemoved(PrinterRef::of(&printer)), None, cause);
    Ok(())
}

pub fn connect<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let (printer, entry) = watched(api, call.param("id"))?;
    let (seen, before) = entry.state.read();
    tell(&entry, Command::Connect)?;
    // A printer that is connected stays so and has no news.
    let connected = before.connection == ConnectionState::Monitoring;
    let state = wait_for_connection(api, printer.id, (!connected).then_some(seen));
    if matches!(state.connection, ConnectionState::Failed | ConnectionState::Error) {
        let message = state.connection_message.clone();
        let message = message.unwrap_or_else(|| "The printer cannot be reached.".to_owned());
        let details = json!({"printer_id": printer.id, "connection": ConnectionView::of(&state)});
        return Err(ApiError::new(503, "PRINTER_NOT_CONNECTED", message).with_details(details));
    }
    connection_answer(printer.id, &state)
}

pub fn disconnect<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let (printer, entry) = watched(api, call.param("id"))?;
    let (seen, _) = entry.state.read();
    tell(&entry, Command::Disconnect)?;
    wait_until(api, &entry, seen, |state| state.connection == ConnectionState::Disconnected);
    connection_answer(printer.id, &state_of(api, printer.id))
}

pub fn trust<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let (printer, entry) = watched(api, call.param("id"))?;
    let stranger = (*entry.stranger.get()).clone().and_then(|identity| identity.pin);
    let Some(pin) = stranger else {
        return Err(ApiError::conflict("NOTHING_TO_TRUST", "The printer has not shown a changed key."));
    };
    let id = printer.id;
    let trusted = api.store.write_blocking(move |txn| {
        let mut printer = txn.printer(id)?.ok_or_else(|| ApiError::not_found("printer", &id.to_string()))?;
        printer.pin = Some(pin);
        txn.put_printer(&printer)?;
        txn.emit(Event::PrinterUpdated(PrinterRef::of(&printer)), None, None);
        Ok::<Printer, ApiError>(printer)
    })?;
    let trusted = Arc::new(trusted);
    api.registry.update(Arc::clone(&trusted));
    let (seen, _) = entry.state.read();
    tell(&entry, Command::Update(trusted))?;
    connection_answer(id, &wait_for_connection(api, id, Some(seen)))
}

pub fn plate_cleared<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let (printer, entry) = watched(api, call.param("id"))?;
    let id = printer.id;
    api.store.write_blocking(move |txn| {
        let mut track = txn.track(id)?.unwrap_or_else(|| Track::new(id));
        if track.seen.is_active() {
            let message = "The printer is printing; there is nothing to take off yet.";
            return Err(ApiError::conflict("PRINTER_IS_PRINTING", message));
        }
        if track.plate != Plate::Clear {
            track.plate = Plate::Clear;
            txn.put_track(&track)?;
            txn.emit(Event::PlateCleared(PlateCleared { printer_id: id, job_id: track.job_id }), None, None);
        }
        Ok::<(), ApiError>(())
    })?;
    tell(&entry, Command::Refresh)?;
    Reply::json(200, &json!({"printer_id": id, "plate": Plate::Clear}))
}

pub fn test<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let _pass = api.slow.try_enter().ok_or_else(crate::web::server::SlowLane::busy)?;
    let body: NewPrinter = call.json()?;
    let printer = new_printer(NewPrinter { name: body.name.or_else(|| Some("test".into())), ..body }, api)?;
    let (reply, answer) = smol::channel::bounded(1);
    if api.orders.try_send(Order::Probe(Box::new(printer), reply)).is_err() {
        return Err(ApiError::busy(
            "The service has no room for another test. Try again in a few seconds.",
            5,
        ));
    }
    let steps = smol::block_on(within(&api.clock, PROBE_WAIT + Duration::from_secs(1), answer.recv()));
    let steps = match steps {
        Some(Ok(steps)) => steps,
        _ => return Err(ApiError::busy("The test has not ended in time. Try again in a few seconds.", 5)),
    };
    let success = steps.iter().all(|step| step.result != "failed");
    let trouble = steps.iter().find(|step| step.result == "failed");
    let message =
        trouble.and_then(|step| step.message.clone()).unwrap_or_else(|| "The printer answers.".into());
    Reply::json(200, &json!({"success": success, "message": message, "steps": steps}))
}

fn new_printer(body: NewPrinter, api: &Api) -> Result<Printer, ApiError> {
    let kind = printer_type(&body.printer_type)?;
    let mut connection = ConnectionConfig {
        mqtt_port: MQTT_PORT,
        ftps_port: FTPS_PORT,
        http_port: HTTP_PORT,
        ..ConnectionConfig::default()
    };
    apply_way(&mut connection, body.connection_config, kind)?;
    if connection.host.is_empty() {
        return Err(ApiError::wrong_shape(
            "connection_config.ip_address",
            "The printer's address is missing.",
        ));
    }
    if kind == PrinterType::BambuLab && connection.access_code.is_none() {
        let message =
            "The LAN access code is missing; it is on the printer's screen, in the network settings.";
        return Err(ApiError::wrong_shape("connection_config.access_code", message));
    }
    let secrets = [&connection.password, &connection.api_key];
    if kind == PrinterType::PrusaLink && secrets.iter().all(|secret| secret.is_none()) {
        let message = "The PrusaLink password is missing; it is on the printer's screen (Settings, Network, PrusaLink).";
        return Err(ApiError::wrong_shape("connection_config.password", message));
    }
    Ok(Printer {
        id: PrinterId(0),
        name: checked_name(body.name.as_deref().unwrap_or_default())?,
        kind,
        connection,
        pin: None,
        location: body.location.as_deref().and_then(note),
        description: body.description.as_deref().and_then(note),
        enabled: body.is_enabled.unwrap_or(true),
        created_at: now(api),
    })
}

fn printer_type(name: &str) -> Result<PrinterType, ApiError> {
    match name {
        "bambu_lab" => Ok(PrinterType::BambuLab),
        "prusa_link" | "prusa_core" => Ok(PrinterType::PrusaLink),
        _ => Err(ApiError::bad_value("printer_type", "Use bambu_lab or prusa_link.")),
    }
}

fn apply_way(connection: &mut ConnectionConfig, way: Way, kind: PrinterType) -> Result<(), ApiError> {
    if let Some(host) = way.ip_address {
        connection.host = checked_host(&host)?;
    }
    if let Some(text) = way.serial_number {
        connection.serial = if text.trim().is_empty() {
            None
        } else {
            Some(serial(&text).ok_or_else(|| {
                ApiError::bad_value(
                    "connection_config.serial_number",
                    "A serial number has up to 32 letters and digits.",
                )
            })?)
        };
    }
    connection.access_code = secret(way.access_code, "access_code")?.or(connection.access_code.take());
    connection.api_key = secret(way.api_key, "api_key")?.or(connection.api_key.take());
    connection.password = secret(way.password, "password")?.or(connection.password.take());
    if let Some(user) = way.username {
        connection.username = text::name(&user);
    }
    for (port, place, field) in [
        (way.mqtt_port, &mut connection.mqtt_port, "connection_config.mqtt_port"),
        (way.ftps_port, &mut connection.ftps_port, "connection_config.ftps_port"),
        (way.http_port, &mut connection.http_port, "connection_config.http_port"),
    ] {
        match port {
            Some(0) => return Err(ApiError::bad_value(field, "A port is a number from 1 to 65535.")),
            Some(port) => *place = port,
            None => {}
        }
    }
    if kind == PrinterType::PrusaLink {
        connection.serial = None;
    }
    Ok(())
}

fn checked_name(text: &str) -> Result<String, ApiError> {
    text::name(text).ok_or_else(|| ApiError::bad_value("name", "Give the printer a name."))
}

fn checked_host(text: &str) -> Result<String, ApiError> {
    let host = text.trim();
    let plain = |character: char| character.is_ascii_alphanumeric() || ".-_:[]%".contains(character);
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.chars().all(plain) {
        let message = "Use an IPv4 or IPv6 address or a host name, without http:// and without a port.";
        return Err(ApiError::bad_value("connection_config.ip_address", message));
    }
    Ok(host.to_owned())
}

fn secret(text: Option<String>, field: &str) -> Result<Option<Secret>, ApiError> {
    let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > SECRET_BYTES_MAX || text.chars().any(char::is_control) {
        let field = format!("connection_config.{field}");
        return Err(ApiError::bad_value(&field, format!("At most {SECRET_BYTES_MAX} printable characters.")));
    }
    Ok(Some(Secret::new(text)))
}

fn note(text: &str) -> Option<String> {
    Some(text::clean(text, MESSAGE_BYTES_MAX.min(NAME_BYTES_MAX * 2))).filter(|text| !text.is_empty())
}

/// The same machine twice would throw itself out for ever (one client per printer): same serial, or same way in.
fn refuse_duplicate(printers: &[Printer], printer: &Printer) -> Result<(), ApiError> {
    let port = |of: &Printer| match of.kind {
        PrinterType::BambuLab => of.connection.mqtt_port,
        PrinterType::PrusaLink => of.connection.http_port,
    };
    let same = printers.iter().filter(|other| other.id != printer.id).find(|other| {
        let serial =
            printer.connection.serial.is_some() && other.connection.serial == printer.connection.serial;
        let host = other.connection.host.eq_ignore_ascii_case(&printer.connection.host);
        serial || (host && port(other) == port(printer))
    });
    match same {
        Some(other) => Err(ApiError::conflict(
            "DUPLICATE_PRINTER",
            format!("This printer is in the list already, as {}.", other.name),
        )),
        None => Ok(()),
    }
}

fn stored(api: &Api, id: &str) -> Result<Printer, ApiError> {
    let missing = || ApiError::not_found("printer", id);
    let id: PrinterId = id.parse().map_err(|_| missing())?;
    api.store.read_blocking(|view| view.printer(id))?.ok_or_else(missing)
}

pub(super) fn watched(api: &Api, id: &str) -> Result<(Printer, Entry), ApiError> {
    let printer = stored(api, id)?;
    match api.registry.get(printer.id) {
        Some(entry) => Ok((printer, entry)),
        None => Err(ApiError::busy("The printer is about to be watched. Try again in a few seconds.", 2)),
    }
}

pub(super) fn state_of(api: &Api, id: PrinterId) -> Arc<PrinterState> {
    api.registry.get(id).map_or_else(Default::default, |entry| entry.state.get())
}

pub(super) fn tell(entry: &Entry, command: Command) -> Result<(), ApiError> {
    if entry.command(command) {
        Ok(())
    } else {
        Err(ApiError::busy("The printer has too many commands waiting. Try again in a few seconds.", 5))
    }
}

/// The state once the connection has succeeded or failed, or as it is after [`CONNECT_WAIT`]. `seen` is the generation of
/// the state before the watch was told to try: what that says of an earlier attempt is no answer. While another handler
/// waits, answers at once: two waiting handlers would leave nobody for the page.
fn wait_for_connection(api: &Api, id: PrinterId, seen: Option<u64>) -> Arc<PrinterState> {
    let Some(_pass) = api.slow.try_enter() else { return state_of(api, id) };
    let deadline = api.clock.now().mono.after(CONNECT_WAIT);
    let settled = smol::block_on(within(&api.clock, CONNECT_WAIT, async {
        // The fleet enters a new printer within a turn of the executor.
        let entry = loop {
            match api.registry.get(id) {
                Some(entry) => break entry,
                None => api.clock.sleep(Duration::from_millis(5)).await,
            }
        };
        let (mut seen, mut state) = match seen {
            Some(seen) => entry.state.changed(seen).await,
            None => entry.state.read(),
        };
        loop {
            use ConnectionState as S;
            match state.connection {
                S::Monitoring | S::Failed | S::Error if api.clock.now().mono <= deadline => return state,
                S::Monitoring | S::Failed | S::Error | S::Disconnected | S::Connecting | S::Connected => {}
            }
            (seen, state) = entry.state.changed(seen).await;
        }
    }));
    settled.unwrap_or_else(|| state_of(api, id))
}

fn wait_until(api: &Api, entry: &Entry, mut seen: u64, done: impl Fn(&PrinterState) -> bool) {
    let Some(_pass) = api.slow.try_enter() else { return };
    smol::block_on(within(&api.clock, CONNECT_WAIT, async {
        loop {
            let (generation, state) = entry.state.read();
            if done(&state) {
                return;
            }
            seen = if seen == generation { entry.state.changed(seen).await.0 } else { generation };
        }
    }));
}

fn connection_answer(id: PrinterId, state: &PrinterState) -> Answer {
    Reply::json(
        200,
        &json!({"printer_id": id, "status": state.status, "connection": ConnectionView::of(state)}),
    )
}

fn now(api: &Api) -> Timestamp {
    api.clock.now().wall
}
