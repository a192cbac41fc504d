//! The fleet: starts and stops the watches as the list of printers changes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::channel::{Receiver, Sender};

use super::supervisor::Supervisor;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::model::{Printer, PrinterId, PrinterState, Track};
use crate::monitor::{probe, watch};
use crate::printers::registry::{Order, ProbeStep};
use crate::store::Read as _;

/// A watch that is told to end says goodbye to its printer within this time.
const GOODBYE: Duration = Duration::from_secs(3);

/// Takes orders until stop.
///
/// # Errors
/// When the store cannot be read.
pub async fn run(
    context: TaskContext,
    supervisor: Supervisor,
    deps: watch::Deps,
    orders: Receiver<Order>,
) -> TaskResult {
    loop {
        match context.wait(orders.recv()).await {
            Wake::Stop | Wake::Ready(Err(_)) => return Ok(()),
            Wake::Timer => {}
            Wake::Ready(Ok(Order::Watch(printer))) => {
                let id = printer.id;
                let track = deps.store.read(move |view| view.track(id)).await?;
                start(&supervisor, &deps, printer, track);
            }
            Wake::Ready(Ok(Order::Forget(id))) => supervisor.stop_and_wait(&task_name(id), GOODBYE).await,
            Wake::Ready(Ok(Order::Probe(printer, reply))) => start_probe(&supervisor, &deps, *printer, reply),
        }
    }
}

/// Starts the watch of one printer. `track` is what the store remembers of it.
pub fn start(supervisor: &Supervisor, deps: &watch::Deps, printer: Arc<Printer>, track: Option<Track>) {
    let id = printer.id;
    let Some((_, commands)) = deps.registry.enter(printer, remembered(track)) else {
        log::error!("{id}: too many printers; this one is not watched");
        return;
    };
    let deps = deps.clone();
    let spawned = supervisor.spawn(&task_name(id), move |context| {
        let (deps, commands) = (deps.clone(), commands.clone());
        async move { watch::run(context, deps, id, commands).await }
    });
    if !spawned {
        log::error!("{id}: there is no room for another task; this printer is not watched");
    }
}

/// What is shown of a printer before its first report: its last words, not its state.
fn remembered(track: Option<Track>) -> PrinterState {
    let mut state = PrinterState::default();
    if let Some(track) = track {
        state.plate = track.plate;
        state.job_id = track.job_id;
        state.started_at = track.started_at;
        state.last_seen = track.last_seen;
        state.seen.status = track.seen;
        state.seen.print = track.print;
        state.seen.progress = track.progress;
    }
    state
}

fn start_probe(supervisor: &Supervisor, deps: &watch::Deps, printer: Printer, reply: Sender<Vec<ProbeStep>>) {
    let deps = deps.clone();
    let work = Rc::new(RefCell::new(Some(printer)));
    // One at a time: the API's slow lane. A panic in it is counted like any other; its restart finds nothing to do.
    supervisor.spawn("connection-test", move |context| {
        let (deps, reply, printer) = (deps.clone(), reply.clone(), work.borrow_mut().take());
        async move {
            if let Some(printer) = printer {
                let mut probing = std::pin::pin!(probe::run(&deps, printer));
                loop {
                    match context.wait(probing.as_mut()).await {
                        Wake::Stop => break,
                        Wake::Timer => {}
                        Wake::Ready(steps) => {
                            let _ = reply.try_send(steps);
                            break;
                        }
                    }
                }
            }
            Ok(())
        }
    });
}

fn task_name(id: PrinterId) -> String {
    format!("watch-{id}")
}
