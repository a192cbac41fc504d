//! One demonstration from the first message to the last.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::compile::{self, Programs};
use crate::http::{HttpError, request};
use crate::options::{Options, free_port};
use crate::place::Place;
use crate::processes::{Service, Simulator};

/// Tries to reach the service, this far apart: 20 s in all.
const SERVICE_TRIES: u32 = 200;
const SERVICE_PAUSE: Duration = Duration::from_millis(100);
/// How long one printer's addition holds up the next one's.
const ADDITION_PAUSE: Duration = Duration::from_millis(500);

/// Things that end a demonstration.
#[derive(Debug)]
pub enum Ending {
    /// Ctrl-C or its like.
    Signal,
    /// The simulator's process is gone.
    SimulatorEnded,
    /// The service's process, or its keeper, is gone.
    ServiceEnded,
}

/// Runs the demonstration until it is stopped.
///
/// # Errors
/// A message for the person in front of it.
pub fn run(options: &Options) -> Result<(), String> {
    let (sender, endings) = sync_channel(8);
    catch_signals(&sender)?;
    let programs = programs(options)?;
    stop_if_wanted(&endings)?;
    let port = free_port(options.port)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let place = Place::new(options.data.as_deref())?;

    println!("Starting {} simulated printers ...", u64::from(options.printers) + u64::from(options.prusa));
    // The service comes up while the simulator makes its printers' keys.
    let mut service = Service::start(&programs.service, &place, address, &sender)?;
    let mut simulator = Simulator::start(&programs.simulator, options, &sender)?;
    let outcome = show(options, &simulator, &service, address, &place, &endings);

    println!("Stopping ...");
    let service_end = service.stop();
    simulator.print_farewells();
    simulator.stop();
    if outcome.is_err() || service_end.is_err() {
        place.print_end_of_log();
        place.keep_for_inspection();
    }
    outcome?;
    service_end
}

/// From the service's first answer to the end.
fn show(
    options: &Options,
    simulator: &Simulator,
    service: &Service,
    address: SocketAddr,
    place: &Place,
    endings: &Receiver<Ending>,
) -> Result<(), String> {
    wait_for_service(address, endings)?;
    add_printers(address, &simulator.printers)?;
    println!(
        "\n    http://{address}/\n\nprinternizer is process {}, the simulator is process {}.\n\
         Data and log: {}\nControl of the printers: {}\nCtrl-C stops everything.",
        service.id,
        simulator.id(),
        place.data.display(),
        simulator.control,
    );
    let ending = match options.duration {
        Some(duration) => endings.recv_timeout(duration),
        None => endings.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    match ending {
        Ok(Ending::Signal) | Err(_) => Ok(()),
        Ok(Ending::SimulatorEnded) => Err("the simulator ended by itself".into()),
        Ok(Ending::ServiceEnded) => Err("printernizer ended by itself; the end of its log follows".into()),
    }
}

fn catch_signals(sender: &SyncSender<Ending>) -> Result<(), String> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| format!("cannot listen for Ctrl-C: {error}"))?;
    let sender = sender.clone();
    thread::spawn(move || {
        for _ in signals.forever() {
            // A full queue means that the end is known already.
            let _ = sender.try_send(Ending::Signal);
        }
    });
    Ok(())
}

fn programs(options: &Options) -> Result<Programs, String> {
    if let (Some(service), Some(simulator)) = (&options.service, &options.simulator) {
        return Ok(Programs { service: service.clone(), simulator: simulator.clone() });
    }
    println!("Building printernizer and the simulator; the first time takes a few minutes ...");
    let built = compile::build()?;
    Ok(Programs {
        service: options.service.clone().unwrap_or(built.service),
        simulator: options.simulator.clone().unwrap_or(built.simulator),
    })
}

fn stop_if_wanted(endings: &Receiver<Ending>) -> Result<(), String> {
    match endings.try_recv() {
        Ok(_) => Err("stopped before anything was started".into()),
        Err(_) => Ok(()),
    }
}

fn wait_for_service(address: SocketAddr, endings: &Receiver<Ending>) -> Result<(), String> {
    let mut last = None;
    for _ in 0..SERVICE_TRIES {
        match request(address, "GET", "/api/v1/health", None) {
            // A service that answers at all is there, well or not; its printers are not yet.
            Ok(_) | Err(HttpError::Status(..)) => return Ok(()),
            Err(error) => last = Some(error),
        }
        match endings.recv_timeout(SERVICE_PAUSE) {
            Ok(Ending::Signal) => return Err("stopped while starting".into()),
            Ok(Ending::SimulatorEnded) => return Err("the simulator ended by itself".into()),
            Ok(Ending::ServiceEnded) => return Err("printernizer ended by itself while starting".into()),
            Err(_) => {}
        }
    }
    let reason = last.map(|error| error.to_string()).unwrap_or_default();
    Err(format!("printernizer does not answer at http://{address}/api/v1/health: {reason}"))
}

/// Adds every printer, or corrects it where a kept data directory knows it from an earlier demonstration.
fn add_printers(address: SocketAddr, printers: &[Value]) -> Result<(), String> {
    let known = request(address, "GET", "/api/v1/printers?limit=200", None)
        .map_err(|error| format!("printernizer does not list its printers: {error}"))?;
    let known = known.get("printers").and_then(Value::as_array).cloned().unwrap_or_default();
    let (sender, receiver) = sync_channel(printers.len());
    thread::scope(|scope| {
        let mut additions = Vec::with_capacity(printers.len());
        for printer in printers {
            let old = known.iter().find(|old| old.get("name") == printer.get("name"));
            let sender = sender.clone();
            additions.push(scope.spawn(move || {
                let result = add_printer(address, printer, old).map_err(|error| (printer, error));
                // There is room for one from each.
                let _ = sender.try_send(());
                result
            }));
            // In order, so that the page has them in order, but nobody waits long for a printer that is slow.
            let _ = receiver.recv_timeout(ADDITION_PAUSE);
        }
        for addition in additions {
            match addition.join() {
                Ok(Ok(())) => {}
                Ok(Err((printer, error))) => {
                    return Err(format!(
                        "printernizer did not take the printer {}: {error}",
                        printer["name"]
                    ));
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}

fn add_printer(address: SocketAddr, printer: &Value, old: Option<&Value>) -> Result<(), HttpError> {
    let connection = json!({
        "ip_address": printer["host"],
        "serial_number": printer["serial"],
        "access_code": printer["access_code"],
        "mqtt_port": printer["port"],
        "ftps_port": printer["ftps_port"],
    });
    let connection = match printer.get("kind").and_then(Value::as_str) {
        // One password is everything that a Prusa printer wants.
        Some("prusa_link") => json!({
            "ip_address": printer["host"],
            "http_port": printer["port"],
            "password": printer["password"],
        }),
        _ => connection,
    };
    match old.and_then(|old| old.get("id")).and_then(Value::as_str) {
        Some(id) => {
            let change = json!({ "connection_config": connection });
            request(address, "PUT", &format!("/api/v1/printers/{id}"), Some(&change))?
        }
        None => {
            let addition = json!({
                "name": printer["name"],
                "printer_type": printer["kind"],
                "connection_config": connection,
            });
            request(address, "POST", "/api/v1/printers", Some(&addition))?
        }
    };
    Ok(())
}
