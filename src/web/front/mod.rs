//! The front: the only part that faces the network, on the executor, with a limit and a deadline on everything.
//!
//! Why it exists: `tiny_http` can be ended remotely by a few hundred resets, one huge `Content-Length` or a shortage of
//! descriptors, and keeps a thread per silent client. Here a connection is a small future in one of a fixed number of
//! seats (`seats`); its head is vetted (`head`, `guard`), its request is written anew for `tiny_http` (`proxy`),
//! event streams (`stream`) and large bodies (`large`) are answered right here.
//!
//! Deliberately not here: what the answers mean. The front knows one path, [`EVENTS_PATH`].
//!
//! Cancel behaviour: dropping the future of [`run`] closes every connection. A panic in one connection ends that one
//! and is counted.

mod answer;
#[cfg(test)]
mod bench;
mod connection;
mod guard;
mod head;
mod large;
mod proxy;
mod seats;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_io::Async;
use event_listener::Event;
use smol::future::FutureExt as _;
use smol::{LocalExecutor, Task};

use crate::base::clock::{Clock, Mono, within};
use crate::base::latest::Latest;
use crate::web::respond::ApiError;
use crate::web::server::{BODY_BYTES_MAX, Backend};

pub use guard::NAMES_MAX;
pub use head::{Head, Verb};
pub use large::{Exchange, LARGE_AT_ONCE, LargeError, LargeRoutes, NoLargeRoutes};
pub use proxy::ProxyLimits;
pub use seats::SeatLimits;
pub use socket::Gone;
pub use stream::{EventSource, EventStream, Frame, Ping, StreamLimits, StreamRequest, frame};

use connection::Holder;
use proxy::Gate;
use seats::{Admission, Phase, Seats};

/// The path of the event streams.
pub const EVENTS_PATH: &str = "/api/v1/events";

/// The loop of the front turns at least this often, for its heartbeat.
const TURN: Duration = Duration::from_secs(5);

/// After a failed accept (mostly: no descriptor left) it is tried again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// After a shortage of descriptors one more seat is tried this often.
const GROW_PAUSE: Duration = Duration::from_secs(5);

/// At a stop, requests in the middle of their answer get this long to end.
const STOP_TIME: Duration = Duration::from_millis(1000);

/// Every limit of the front. The defaults are those of the API's contract.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names of the device besides its addresses and `localhost`, lower case; at most [`NAMES_MAX`]. They may change.
    pub names: Latest<Vec<String>>,
    /// The name that the device holds on the network just now, lower case.
    pub held_name: Latest<Option<String>>,
    /// Who may sit.
    pub seats: SeatLimits,
    /// Who counts as loopback.
    pub is_local: fn(&IpAddr) -> bool,
    /// Bytes of a head.
    pub head_bytes: usize,
    /// Time for a head, from its first byte (for a new connection: from its beginning).
    pub head_time: Duration,
    /// How long a connection may wait for its next request.
    pub idle_time: Duration,
    /// Bytes of a body that goes to a handler.
    pub body_bytes: usize,
    /// Bodies and answers must move within this time.
    pub stall_time: Duration,
    /// The way to `tiny_http`.
    pub proxy: ProxyLimits,
    /// Event streams at a time.
    pub streams: usize,
    /// Times of a stream.
    pub stream: StreamLimits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            names: Latest::new(vec!["printernizer".to_owned(), "printernizer.local".to_owned()]),
            held_name: Latest::new(None),
            seats: SeatLimits { seats: 64, kept: 2, per_address: 24, patience: Duration::from_millis(250) },
            is_local: |address| address.to_canonical().is_loopback(),
            head_bytes: 8 * 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(15),
            body_bytes: BODY_BYTES_MAX,
            stall_time: Duration::from_secs(15),
            proxy: ProxyLimits {
                at_once: 4,
                answer_bytes: 512 * 1024,
                answers_bytes: 4 * 512 * 1024,
                turn_time: Duration::from_secs(10),
                handler_time: Duration::from_secs(30),
            },
            streams: 24,
            stream: StreamLimits { ping: Duration::from_secs(15), write: Duration::from_secs(5) },
        }
    }
}

/// Counts since start, for health.
#[derive(Debug, Default)]
pub struct FrontStats {
    /// Connections that got a seat.
    pub accepted: AtomicU64,
    /// Connections refused because their address had too many.
    pub refused_address: AtomicU64,
    /// Connections refused because all seats were busy.
    pub refused_full: AtomicU64,
    /// Silent connections that had to give their seat to a newcomer.
    pub evicted: AtomicU64,
    /// Failed accepts, mostly for want of descriptors.
    pub accept_errors: AtomicU64,
    /// Heads that were refused.
    pub heads_refused: AtomicU64,
    /// Requests with a foreign `Host` or `Origin`.
    pub foreign: AtomicU64,
    /// Requests handed to `tiny_http`.
    pub requests: AtomicU64,
    /// Of these, how many got no proper answer.
    pub proxy_errors: AtomicU64,
    /// Clients that stalled in the middle of a body or an answer.
    pub stalled: AtomicU64,
    /// Event streams opened.
    pub streams_opened: AtomicU64,
    /// Event streams refused because there were too many.
    pub streams_refused: AtomicU64,
    /// Event streams dropped because the client was too slow.
    pub streams_slow: AtomicU64,
    /// Connections that ended in a panic.
    pub panics: AtomicU64,
    /// Seats taken now.
    pub seats_taken: AtomicU64,
    /// Event streams open now.
    pub streams_open: AtomicU64,
}

/// What the front needs to run.
pub struct Front<E, L> {
    /// Limits.
    pub config: Config,
    /// For every deadline.
    pub clock: Clock,
    /// The listening socket: opened here or handed over by the service manager.
    pub listener: TcpListener,
    /// Where `tiny_http` is.
    pub backend: Arc<Backend>,
    /// Where events come from.
    pub events: E,
    /// Routes with large bodies.
    pub large: L,
    /// Counts.
    pub stats: Arc<FrontStats>,
    /// Called at every turn of the loop, at least every 5 s.
    pub beat: Arc<dyn Fn() + Send + Sync>,
}

/// What all connections share.
struct Shared<E, L> {
    config: Config,
    clock: Clock,
    backend: Arc<Backend>,
    events: E,
    large: L,
    stats: Arc<FrontStats>,
    seats: RefCell<Seats>,
    freed: Event,
    gate: Rc<Gate>,
    large_open: Cell<usize>,
    stopping: Cell<bool>,
}

/// What the loop woke up for.
enum Wake {
    Accepted(io::Result<(Async<TcpStream>, SocketAddr)>),
    Turn,
    Stop,
}

/// Runs the front until `stop` is ready; then lets running requests end (at most a second) and closes the rest.
///
/// # Errors
/// Where the listening socket cannot be used at all. Failing accepts are no reason to end.
pub async fn run<E, L>(front: Front<E, L>, stop: impl Future<Output = ()>) -> io::Result<()>
where
    E: EventSource + 'static,
    L: LargeRoutes + 'static,
{
    let listener = Async::new(front.listener)?;
    let shared = Rc::new(Shared {
        gate: Gate::new(&front.config.proxy),
        seats: RefCell::new(Seats::new(front.config.seats)),
        config: front.config,
        clock: front.clock,
        backend: front.backend,
        events: front.events,
        large: front.large,
        stats: front.stats,
        freed: Event::new(),
        large_open: Cell::new(0),
        stopping: Cell::new(false),
    });
    // The connections' futures live in here and end with it.
    let executor = LocalExecutor::new();
    let mut tasks: Vec<Option<Task<()>>> = Vec::new();
    tasks.resize_with(shared.config.seats.seats, || None);
    executor.run(accept(&shared, &executor, &mut tasks, &listener, &*front.beat, stop)).await;
    Ok(())
}

async fn accept<'x, E: EventSource + 'static, L: LargeRoutes + 'static>(
    shared: &Rc<Shared<E, L>>,
    executor: &LocalExecutor<'x>,
    tasks: &mut [Option<Task<()>>],
    listener: &Async<TcpListener>,
    beat: &(dyn Fn() + Send + Sync),
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let mut failing = false;
    let mut grow_at = Mono::default();
    loop {
        beat();
        let now = shared.clock.now().mono;
        if now >= grow_at {
            shared.seats.borrow_mut().grow();
            grow_at = now.after(GROW_PAUSE);
        }
        let freed = shared.freed.listen();
        let hold = shared.seats.borrow().hold_until(now);
        let wake = within(&shared.clock, TURN, async {
            match hold {
                Some(until) => {
                    smol::future::or(shared.clock.sleep_until(until), freed).await;
                    Wake::Turn
                }
                None => Wake::Accepted(listener.accept().await),
            }
        });
        let stopped = async {
            stop.as_mut().await;
            Wake::Stop
        };
        match smol::future::or(stopped, async { wake.await.unwrap_or(Wake::Turn) }).await {
            Wake::Turn => {}
            Wake::Stop => break,
            Wake::Accepted(Ok((stream, peer))) => {
                failing = false;
                welcome(shared, executor, tasks, stream, peer.ip());
            }
            Wake::Accepted(Err(error)) => {
                shared.stats.accept_errors.fetch_add(1, Ordering::Relaxed);
                if !failing {
                    log::warn!("web: cannot accept connections: {error}; going on");
                    failing = true;
                }
                if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) {
                    // A silent connection is worth less than a new one.
                    let given_up = shared.seats.borrow_mut().shrink();
                    if let Some(task) = given_up.and_then(|id| tasks.get_mut(id.index)) {
                        *task = None;
                        shared.stats.evicted.fetch_add(1, Ordering::Relaxed);
                    }
                    grow_at = shared.clock.now().mono.after(GROW_PAUSE);
                }
                shared.clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    shared.stopping.set(true);
    let deadline = shared.clock.now().mono.after(STOP_TIME);
    while shared.busy() && shared.clock.now().mono < deadline {
        let freed = shared.freed.listen();
        smol::future::or(shared.clock.sleep_until(deadline), freed).await;
    }
}

/// "Too many open files", in this process and in the whole system: the same numbers on every Linux.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Seats a newcomer or refuses it on the spot.
fn welcome<'x, E: EventSource + 'static, L: LargeRoutes + 'static>(
    shared: &Rc<Shared<E, L>>,
    executor: &LocalExecutor<'x>,
    tasks: &mut [Option<Task<()>>],
    stream: Async<TcpStream>,
    peer: IpAddr,
) {
    // Ended connections leave their (empty) task behind; its memory is given back here.
    for task in tasks.iter_mut() {
        if task.as_ref().is_some_and(Task::is_finished) {
            *task = None;
        }
    }
    let peer = peer.to_canonical();
    let local = (shared.config.is_local)(&peer);
    let admission = shared.seats.borrow_mut().admit(peer, local, shared.clock.now().mono);
    let id = match admission {
        Admission::Seat(id) => id,
        Admission::AddressFull => {
            shared.stats.refused_address.fetch_add(1, Ordering::Relaxed);
            turn_away(&stream, "Too many connections from this address. Try again shortly.", &shared.clock);
            return;
        }
        Admission::Full => {
            shared.stats.refused_full.fetch_add(1, Ordering::Relaxed);
            turn_away(&stream, "Too many connections. Try again shortly.", &shared.clock);
            return;
        }
    };
    shared.stats.accepted.fetch_add(1, Ordering::Relaxed);
    shared.note_seats();
    let holder = Holder { shared: Rc::clone(shared), id };
    let counted = Rc::clone(shared);
    let task = executor.spawn(async move {
        if AssertUnwindSafe(connection::serve(holder, stream, peer)).catch_unwind().await.is_err() {
            counted.stats.panics.fetch_add(1, Ordering::Relaxed);
            log::error!("web: a connection ended in a panic");
        }
    });
    if let Some(slot) = tasks.get_mut(id.index) {
        // Dropping a task ends it: this is how a silent connection loses its seat.
        if slot.replace(task).is_some() {
            shared.stats.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One attempt to say why, without waiting.
fn turn_away(stream: &Async<TcpStream>, message: &str, clock: &Clock) {
    use std::io::Write as _;
    let reply = ApiError::busy(message, 5).reply(clock.now().wall);
    let headers = reply.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let length = u64::try_from(reply.body.len()).unwrap_or(0);
    let mut bytes = answer::head(reply.status, headers, answer::Length::Known(length), false);
    bytes.extend_from_slice(&reply.body);
    let _ = stream.get_ref().write(&bytes);
}

impl<E, L> Shared<E, L> {
    fn note_seats(&self) {
        let seats = self.seats.borrow();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.stats.seats_taken.store(count(seats.taken()), Ordering::Relaxed);
        let streams = seats.count(|phase| phase == Phase::Stream);
        self.stats.streams_open.store(count(streams), Ordering::Relaxed);
    }

    /// Whether a request is in the middle of its answer.
    fn busy(&self) -> bool {
        self.seats.borrow().count(|phase| phase == Phase::Busy) > 0
    }
}
