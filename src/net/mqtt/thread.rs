//! The thread that runs all links, and the handle that others hold.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use smol::channel::{Receiver, Sender};
use smol::future::FutureExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::error::{self, MqttError};
use super::link::{self, LinkJob, MqttLink, Stop};
use super::{BEAT_EVERY, Busy, ConnectOptions, MAX_LINKS, MqttEvent, SHUTDOWN_DEADLINE, Stalled};

/// The thread's stack. 192 KiB were enough for 32 links with TLS; a debug build needs somewhat more.
const STACK_BYTES: usize = 256 * 1024;

/// Requests that wait for the thread: every link once, and a few pings. It takes them within milliseconds.
const COMMAND_QUEUE_MAX: usize = MAX_LINKS + 8;

/// How much longer than [`SHUTDOWN_DEADLINE`] an end of the thread is waited for before it is left behind.
const JOIN_MARGIN: Duration = Duration::from_secs(1);

/// Longest stall a test may ask for.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The thread. Keep it; ask it to end with [`MqttThread::shutdown`].
#[derive(Debug)]
pub struct MqttThread {
    handle: MqttHandle,
    /// Closed to tell the thread to end; nothing is ever sent.
    stop: Sender<()>,
    /// Closed by the thread as its last act.
    ended: Receiver<()>,
    join: Option<std::thread::JoinHandle<()>>,
}

impl MqttThread {
    /// Starts the thread with an empty runtime.
    ///
    /// # Errors
    /// If the system gives no thread or no descriptors for it.
    pub fn start() -> io::Result<MqttThread> {
        let (commands, commanded) = smol::channel::bounded(COMMAND_QUEUE_MAX);
        let (stop, stopped) = smol::channel::bounded(1);
        let (end, ended) = smol::channel::bounded::<()>(1);
        let shared = Arc::new(Shared::default());
        // Made here so that a failure is told to the caller.
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
        let server = Server { commands: commanded, stop: stopped, shared: Arc::clone(&shared) };
        let join =
            std::thread::Builder::new().name("mqtt".to_owned()).stack_size(STACK_BYTES).spawn(move || {
                server.run(&runtime);
                // Addresses are literals, so the pool for blocking calls is unused and this does not wait.
                runtime.shutdown_background();
                drop(end);
            })?;
        Ok(MqttThread { handle: MqttHandle { commands, shared }, stop, ended, join: Some(join) })
    }

    /// A handle for those who make links.
    #[must_use]
    pub fn handle(&self) -> MqttHandle {
        self.handle.clone()
    }

    /// Ends all links with a DISCONNECT, then the thread; takes about [`SHUTDOWN_DEADLINE`] at most.
    ///
    /// # Errors
    /// [`Stalled`] if the thread has not ended by then; it is left behind.
    pub async fn shutdown(mut self) -> Result<(), Stalled> {
        self.stop.close();
        let ended = async {
            link::closed(&self.ended).await;
            Ok(())
        };
        let late = async {
            smol::Timer::after(SHUTDOWN_DEADLINE + JOIN_MARGIN).await;
            Err(Stalled)
        };
        smol::future::or(ended, late).await?;
        if let Some(join) = self.join.take() {
            // Links' panics are caught, so this could only be one of the loop itself; there is nothing left to save.
            join.join().map_err(|_panic| Stalled)?;
        }
        Ok(())
    }
}

impl Drop for MqttThread {
    /// Tells the thread to end but does not wait for it: this may run on an executor. Use [`MqttThread::shutdown`].
    fn drop(&mut self) {
        self.stop.close();
    }
}

/// Makes links and tells whether the thread is alive.
#[derive(Clone)]
pub struct MqttHandle {
    commands: Sender<Command>,
    shared: Arc<Shared>,
}

impl MqttHandle {
    /// Begins a link. What becomes of it is told by its events.
    ///
    /// # Errors
    /// [`Busy`] if no link can be made now.
    pub fn connect(&self, options: ConnectOptions) -> Result<MqttLink, Busy> {
        let place = Place::take(&self.shared).ok_or(Busy)?;
        let (link, job) = link::pair(options);
        self.commands.try_send(Command::Open(Box::new(job), place)).map_err(|_refused| Busy)?;
        Ok(link)
    }

    /// A number that grows every [`BEAT_EVERY`] while the thread is alive.
    #[must_use]
    pub fn beat(&self) -> u64 {
        self.shared.beats.load(Ordering::Relaxed)
    }

    /// Asks the thread for an answer.
    ///
    /// # Errors
    /// [`Stalled`] if none came within `limit`.
    pub async fn ping(&self, limit: Duration) -> Result<(), Stalled> {
        let (reply, answer) = smol::channel::bounded(1);
        self.commands.try_send(Command::Ping(reply)).map_err(|_refused| Stalled)?;
        let answered = async { answer.recv().await.map_err(|_closed| Stalled) };
        let late = async {
            smol::Timer::after(limit).await;
            Err(Stalled)
        };
        smol::future::or(answered, late).await
    }

    /// Links that exist, those included that are saying goodbye.
    #[must_use]
    pub fn links(&self) -> usize {
        self.shared.links.load(Ordering::Acquire)
    }

    /// Panics of links' tasks that were caught so far.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }

    /// Makes the thread stand still, as a bug would: for tests of those who watch over it. At most a minute.
    ///
    /// # Errors
    /// [`Busy`] if the thread takes no requests.
    #[doc(hidden)]
    pub fn stall_for_test(&self, duration: Duration) -> Result<(), Busy> {
        self.commands.try_send(Command::Stall(duration.min(STALL_MAX))).map_err(|_refused| Busy)
    }
}

impl fmt::Debug for MqttHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttHandle").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Counters that both sides see.
#[derive(Debug, Default)]
struct Shared {
    beats: AtomicU64,
    panics: AtomicU64,
    links: AtomicUsize,
}

/// One of [`MAX_LINKS`] places, given back when it is dropped.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Place> {
        let taken = shared.links.fetch_update(Ordering::AcqRel, Ordering::Acquire, |links| {
            (links < MAX_LINKS).then_some(links + 1)
        });
        taken.ok().map(|_before| Place(Arc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.links.fetch_sub(1, Ordering::AcqRel);
    }
}

enum Command {
    Open(Box<LinkJob>, Place),
    Ping(Sender<()>),
    Stall(Duration),
}

/// What runs on the thread.
struct Server {
    commands: Receiver<Command>,
    stop: Receiver<()>,
    shared: Arc<Shared>,
}

impl Server {
    fn run(self, runtime: &Runtime) {
        LocalSet::new().block_on(runtime, self.serve());
    }

    async fn serve(self) {
        let mut links = JoinSet::new();
        let mut beat = interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = link::closed(&self.stop) => break,
                _ = beat.tick() => {
                    self.shared.beats.fetch_add(1, Ordering::Relaxed);
                }
                Some(_ended) = links.join_next() => {}
                command = self.commands.recv() => match command {
                    Ok(command) => self.obey(command, &mut links),
                    Err(_closed) => break,
                },
            }
        }
        // Links hear the same signal; what has not ended after this time is cut off with the runtime.
        let all = async { while links.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_DEADLINE, all).await.is_err() {
            log::warn!("mqtt: some links did not end in time and were cut off");
        }
    }

    fn obey(&self, command: Command, links: &mut JoinSet<()>) {
        match command {
            Command::Open(job, place) => {
                let stop = Stop { link: job.stop(), thread: self.stop.clone() };
                let (events, shared) = (job.events(), Arc::clone(&self.shared));
                links.spawn_local(async move {
                    let _place = place;
                    let life = job.run(stop.clone());
                    guarded(Box::pin(life), &events, &stop, &shared).await;
                });
            }
            // Nobody may wait for the answer any more.
            Command::Ping(reply) => drop(reply.try_send(())),
            #[expect(clippy::disallowed_methods, reason = "a test asks for a thread that stands still")]
            Command::Stall(duration) => std::thread::sleep(duration),
        }
    }
}

/// Runs a link's life, announces its end, and turns a panic into an ordinary end that is counted.
async fn guarded(
    life: impl Future<Output = Option<MqttError>>,
    events: &Sender<MqttEvent>,
    stop: &Stop,
    shared: &Shared,
) {
    let ended = AssertUnwindSafe(life).catch_unwind().await.unwrap_or_else(|_panic| {
        shared.panics.fetch_add(1, Ordering::Relaxed);
        Some(error::panicked())
    });
    if let Some(error) = ended {
        let announce = async { drop(events.send(MqttEvent::Closed(error)).await) };
        smol::future::or(announce, stop.wait()).await;
    }
    events.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::mqtt::MqttErrorKind;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn signals() -> (Stop, [Sender<()>; 2]) {
        let (end_link, link) = smol::channel::bounded(1);
        let (end_thread, thread) = smol::channel::bounded(1);
        (Stop { link, thread }, [end_link, end_thread])
    }

    #[test]
    fn a_panic_is_caught_counted_and_announced_and_the_others_live_on() {
        let shared = Arc::new(Shared::default());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (events, told) = smol::channel::bounded(1);
        let (other_events, other_told) = smol::channel::bounded(1);
        let (stop, _signals) = signals();
        LocalSet::new().block_on(&runtime, async {
            let mut links = JoinSet::new();
            let (counters, signal) = (Arc::clone(&shared), stop.clone());
            let place = Place::take(&shared);
            links.spawn_local(async move {
                let _place = place;
                let life = async {
                    tokio::task::yield_now().await;
                    panic!("a link's task failed on purpose")
                };
                guarded(life, &events, &signal, &counters).await;
            });
            let counters = Arc::clone(&shared);
            links.spawn_local(async move {
                let life = async {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    None
                };
                guarded(life, &other_events, &stop, &counters).await;
            });
            while let Some(ended) = links.join_next().await {
                ended.expect("no panic comes through");
            }
        });
        let Ok(MqttEvent::Closed(error)) = told.recv_blocking() else { panic!("the end is announced") };
        assert_eq!(error.kind, MqttErrorKind::Protocol);
        assert!(told.recv_blocking().is_err(), "the channel ends");
        assert!(other_told.recv_blocking().is_err(), "an end without a reason is not announced");
        assert_eq!((shared.panics.load(Ordering::Relaxed), shared.links.load(Ordering::Relaxed)), (1, 0));
    }

    #[test]
    fn an_end_that_nobody_reads_does_not_keep_the_task() {
        let (events, _told) = smol::channel::bounded(1);
        events.try_send(MqttEvent::Connected).unwrap();
        let (stop, [end_link, _end_thread]) = signals();
        end_link.close();
        let life = async { Some(error::panicked()) };
        smol::block_on(guarded(life, &events, &stop, &Shared::default()));
    }

    #[test]
    fn a_stalled_thread_is_noticed_and_a_living_one_beats() {
        smol::block_on(async {
            let thread = MqttThread::start().unwrap();
            let handle = thread.handle();
            assert_eq!(handle.ping(PATIENCE).await, Ok(()));
            let before = handle.beat();
            let moved = async {
                while handle.beat() == before {
                    smol::Timer::after(Duration::from_millis(20)).await;
                }
                true
            };
            let late = async {
                smol::Timer::after(PATIENCE).await;
                false
            };
            assert!(smol::future::or(moved, late).await, "the beat moves");

            handle.stall_for_test(Duration::from_secs(1)).unwrap();
            assert_eq!(handle.ping(Duration::from_millis(100)).await, Err(Stalled));
            assert_eq!(handle.ping(PATIENCE).await, Ok(()), "it goes on after the stall");
            assert_eq!(thread.shutdown().await, Ok(()));
            assert_eq!(handle.ping(PATIENCE).await, Err(Stalled), "an ended thread is told at once");
        });
    }

    #[test]
    fn a_thread_that_stands_still_is_left_behind() {
        smol::block_on(async {
            let thread = MqttThread::start().unwrap();
            let stall = SHUTDOWN_DEADLINE + JOIN_MARGIN + Duration::from_secs(2);
            thread.handle().stall_for_test(stall).unwrap();
            assert_eq!(thread.handle().ping(Duration::from_millis(100)).await, Err(Stalled));
            assert_eq!(thread.shutdown().await, Err(Stalled));
        });
    }
}
