//! The task that looks for lost printers where they were heard, and corrects their address.
//!
//! One look at a time, on a thread of the pool for requests to printers. What a look proves is checked against the record once
//! more in the transaction that changes it: the user's own change in between wins.
//!
//! A restart of the task forgets a look that was under way; the printer is heard again within seconds.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::{Deps, HeardPrinter};
use crate::base::clock::within;
use crate::base::pool::Pool;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::events::{Event, PrinterRef};
use crate::model::status::{ConnectionKind, ConnectionState};
use crate::model::{Printer, PrinterType};
use crate::net::resolve::Resolver;
use crate::printers::identity::{self, Found};
use crate::printers::registry::{Command, Entry};
use crate::store::{Read as _, Store, StoreError};

/// Addresses that wait for their turn are looked at again this often.
const TURN: Duration = Duration::from_secs(2);
/// A look and all around it; the look itself ends sooner.
const LOOK_WITHIN: Duration = Duration::from_secs(25);
/// A watch with a full wire is told again after this pause.
const TELL_PAUSE: Duration = Duration::from_millis(500);

/// What looking needs besides.
#[derive(Clone)]
pub struct Means {
    /// The records.
    pub store: Store,
    /// The threads of requests to printers.
    pub pool: Pool,
    /// Names to addresses.
    pub resolver: Resolver,
}

/// Looks until stop.
///
/// # Errors
/// When the store cannot be used.
pub async fn run(context: TaskContext, deps: Deps, means: Means) -> TaskResult {
    loop {
        let heard = deps.handle.heard_event();
        let now = context.clock.now().mono;
        let lost: Vec<Entry> = deps.registry.all().into_iter().filter(is_lost).collect();
        let pick = deps.handle.with(|inner| {
            inner.follow.retain(|id| lost.iter().any(|entry| entry.printer.id == id));
            inner.follow.pick(now)
        });
        let Some((id, address)) = pick else {
            let waiting = !deps.handle.with(|inner| inner.follow.is_empty());
            let woken = if waiting {
                context.wait_until(now.after(TURN), std::future::pending::<()>()).await
            } else {
                context.wait(heard).await
            };
            if woken == Wake::Stop {
                return Ok(());
            }
            continue;
        };
        let Some(entry) = lost.into_iter().find(|entry| entry.printer.id == id) else { continue };
        let printer = Arc::clone(&entry.printer);
        let mut look = std::pin::pin!(within(&context.clock, LOOK_WITHIN, look(&means, &printer, address)));
        let seen = loop {
            match context.wait(look.as_mut()).await {
                Wake::Stop => return Ok(()),
                Wake::Timer => {}
                Wake::Ready(seen) => break seen.unwrap_or(Found::Nobody),
            }
        };
        deps.handle.change(|state| {
            state.looks += 1;
            state.strangers += u64::from(seen == Found::Other);
        });
        match seen {
            Found::Same => correct(&context, &deps, &means, &printer, address).await?,
            Found::Other => log::info!("lan: {id} was called out at {address}, but somebody else is there"),
            Found::Nobody => {}
        }
    }
}

/// Whether a printer of the list is wanted, cannot be had at its address, and could be recognised elsewhere.
pub(super) fn is_lost(entry: &Entry) -> bool {
    if !entry.printer.enabled || !identity::is_recognisable(&entry.printer) {
        return false;
    }
    let state = entry.state.get();
    let is_away = match state.connection {
        ConnectionState::Disconnected | ConnectionState::Connected | ConnectionState::Monitoring => false,
        // The first attempt is given its time; from then on the last failure is remembered.
        ConnectionState::Connecting | ConnectionState::Failed | ConnectionState::Error => true,
    };
    // A Bambu Lab printer that refuses the code has proved its key: it is where it is.
    is_away && state.connection_kind.is_some_and(|kind| kind != ConnectionKind::WrongCode)
}

/// Whether `entry` is a lost printer that may be the one that was heard.
pub(super) fn is_sought(entry: &Entry, heard: &HeardPrinter) -> bool {
    let printer = &entry.printer;
    let way = &printer.connection;
    let fits = match printer.kind {
        PrinterType::BambuLab => heard.serial.is_some() && heard.serial == way.serial,
        // Prusa printers call out no number: every one that is heard at the same port may be it.
        PrinterType::PrusaLink => heard.port == Some(way.http_port),
    };
    let elsewhere = way.host.parse() != Ok(IpAddr::V4(heard.address));
    fits && printer.kind == heard.kind && elsewhere && is_lost(entry)
}

/// Who is at `address`? A printer whose name leads there has not moved; it is only not up yet.
async fn look(means: &Means, printer: &Arc<Printer>, address: Ipv4Addr) -> Found {
    let way = &printer.connection;
    let port = match printer.kind {
        PrinterType::BambuLab => way.mqtt_port,
        PrinterType::PrusaLink => way.http_port,
    };
    if way.host.parse::<IpAddr>().is_err()
        && let Ok(current) = means.resolver.resolve(&way.host, port).await
        && current.ip() == IpAddr::V4(address)
    {
        return Found::Nobody;
    }
    let asked = Arc::clone(printer);
    match means.pool.run(move || identity::look(&asked, IpAddr::V4(address))) {
        Ok(running) => running.answer().await.unwrap_or(Found::Nobody),
        Err(_full) => Found::Nobody,
    }
}

/// Writes the new address down, unless the way to the printer was changed meanwhile, and tells the printer's watch.
async fn correct(
    context: &TaskContext,
    deps: &Deps,
    means: &Means,
    before: &Arc<Printer>,
    address: Ipv4Addr,
) -> Result<(), StoreError> {
    let (id, known, host) = (before.id, Arc::clone(before), address.to_string());
    let corrected = means
        .store
        .write(move |txn| {
            let Some(mut printer) = txn.printer(id)? else { return Ok::<_, StoreError>(None) };
            if printer.connection != known.connection || printer.pin != known.pin || !printer.enabled {
                return Ok(None);
            }
            printer.connection.host = host;
            txn.put_printer(&printer)?;
            txn.emit(Event::PrinterUpdated(PrinterRef::of(&printer)), None, None);
            Ok(Some(printer))
        })
        .await?;
    let Some(printer) = corrected else { return Ok(()) };
    log::info!("{id}: the printer has moved from {} to {address}", before.connection.host);
    deps.handle.change(|state| state.moved += 1);
    let printer = Arc::new(printer);
    deps.registry.update(Arc::clone(&printer));
    // The watch has to hear of it; its wire holds a few commands, which it takes within a moment.
    while let Some(entry) = deps.registry.get(id) {
        if entry.command(Command::Update(Arc::clone(&printer))) {
            break;
        }
        let pause = context.clock.now().mono.after(TELL_PAUSE);
        if context.wait_until(pause, std::future::pending::<()>()).await == Wake::Stop {
            break;
        }
    }
    Ok(())
}
