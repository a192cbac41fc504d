//! What the threads of one printer share.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::config::Config;
use super::faults::{Armed, Faults, Silence};
use super::observe::Observer;
use super::world::World;
use crate::wait::{Stop, lock, now, wait_until};

/// A connection on the loopback is there at once or never.
const KNOCK_TIMEOUT: Duration = Duration::from_millis(200);
/// How long opening or closing the port may take.
const LISTENER_TIMEOUT: Duration = Duration::from_secs(5);

/// The port as it should be and as it is.
#[derive(Debug)]
pub struct Door {
    /// As the faults want it.
    pub wanted: Silence,
    /// As the listener has made it.
    pub actual: Silence,
}

/// Shared by the listener and the sessions.
#[derive(Debug)]
pub struct Shared {
    /// What the printer is made from.
    pub config: Arc<Config>,
    /// Where it listens, or listened last.
    pub address: SocketAddr,
    /// The end of everything.
    pub stop: Stop,
    /// What was seen.
    pub observer: Observer,
    /// The state of the port.
    pub door: Mutex<Door>,
    /// Signals changes of [`Shared::door`].
    pub door_changed: Condvar,
    world: Mutex<World>,
    faults: Mutex<(Faults, Armed)>,
    connections: Mutex<Vec<(u64, TcpStream)>>,
    slots: Mutex<usize>,
    slot_freed: Condvar,
    /// When the line is free again, where its speed is limited.
    line_free_at: Mutex<Instant>,
}

/// A place among the requests that are served at once; dropping it lets the next one in.
#[derive(Debug)]
pub struct Slot<'a>(&'a Shared);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.observer.note(|seen| seen.active_requests -= 1);
        *lock(&self.0.slots) += 1;
        self.0.slot_freed.notify_one();
    }
}

impl Shared {
    /// Puts everything together.
    pub fn new(config: Arc<Config>, world: World, address: SocketAddr) -> Self {
        let faults = config.faults.clone();
        let door = Door { wanted: faults.silence, actual: Silence::None };
        Self {
            address,
            stop: Stop::default(),
            observer: Observer::default(),
            door: Mutex::new(door),
            door_changed: Condvar::new(),
            world: Mutex::new(world),
            faults: Mutex::new((faults.clone(), Armed::new(&faults.rules))),
            connections: Mutex::new(Vec::new()),
            slots: Mutex::new(config.slot_count.max(1)),
            slot_freed: Condvar::new(),
            line_free_at: Mutex::new(now()),
            config,
        }
    }

    /// The printer at this moment.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = lock(&self.world);
        world.catch_up();
        world
    }

    /// The faults in force.
    pub fn faults(&self) -> Faults {
        lock(&self.faults).0.clone()
    }

    /// The rules in force, armed.
    pub fn armed(&self) -> MutexGuard<'_, (Faults, Armed)> {
        lock(&self.faults)
    }

    /// Whether requests are to be answered.
    pub fn is_silent(&self) -> bool {
        lock(&self.faults).0.silence != Silence::None
    }

    /// Replaces the faults and waits until the port is as they want it.
    ///
    /// # Errors
    /// A sentence, when that was not done in time.
    pub fn set_faults(&self, faults: Faults) -> Result<(), String> {
        let silence = faults.silence;
        *lock(&self.faults) = (faults.clone(), Armed::new(&faults.rules));
        self.open(silence)?;
        if silence == Silence::Refuse {
            self.cut_all();
        }
        Ok(())
    }

    /// Brings the port into the state that goes with `silence`.
    ///
    /// # Errors
    /// A sentence, when it was not done in time.
    pub fn open(&self, silence: Silence) -> Result<(), String> {
        // A mute printer accepts like an honest one.
        let wanted = if silence == Silence::Mute { Silence::None } else { silence };
        let mut door = lock(&self.door);
        door.wanted = wanted;
        self.door_changed.notify_all();
        if door.actual != wanted && door.actual == Silence::None {
            drop(door);
            // The listener waits in accept; a connection wakes it.
            self.knock();
            door = lock(&self.door);
        }
        let deadline = now() + LISTENER_TIMEOUT;
        while door.actual != wanted && !self.stop.is_set() {
            if now() >= deadline {
                return Err(format!("port {} was not opened or closed in time", self.address.port()));
            }
            door = wait_until(&self.door_changed, door, Some(deadline));
        }
        Ok(())
    }

    /// Wakes the listener out of its accept.
    pub fn knock(&self) {
        // A failure means that nobody listens, which is as good.
        let _ = TcpStream::connect_timeout(&self.address, KNOCK_TIMEOUT);
    }

    /// Wakes everyone who might be waiting, after the stop signal was set.
    pub fn wake_all(&self) {
        // The locks are taken so that nobody is between a look at the signal and the wait.
        drop(lock(&self.slots));
        self.slot_freed.notify_all();
        drop(lock(&self.door));
        self.door_changed.notify_all();
    }

    /// Waits for a place among the requests that are served; `None` at the end.
    pub fn slot(&self) -> Option<Slot<'_>> {
        let mut free = lock(&self.slots);
        if *free == 0 {
            self.observer.note(|seen| seen.waits += 1);
        }
        while *free == 0 {
            if self.stop.is_set() {
                return None;
            }
            free = wait_until(&self.slot_freed, free, None);
        }
        *free -= 1;
        drop(free);
        self.observer.note(|seen| {
            seen.active_requests += 1;
            seen.peak_active_requests = seen.peak_active_requests.max(seen.active_requests);
        });
        Some(Slot(self))
    }

    /// Takes the line for so many bytes and waits until they may go out; `true` is the end.
    pub fn take_line(&self, count: usize) -> bool {
        let Some(rate) = self.config.bytes_per_s.filter(|rate| *rate > 0) else { return self.stop.is_set() };
        let time = now();
        let nanoseconds = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(1_000_000_000) / rate;
        let due = {
            let mut free_at = lock(&self.line_free_at);
            *free_at = (*free_at).max(time) + Duration::from_nanos(nanoseconds);
            *free_at
        };
        self.stop.wait_for(due.saturating_duration_since(time))
    }

    /// Notes a connection so that it can be cut; gives its number.
    pub fn enter(&self, socket: &TcpStream) -> Option<u64> {
        let copy = socket.try_clone().ok()?;
        let mut number = 0;
        self.observer.note(|seen| {
            seen.connections += 1;
            seen.open_connections += 1;
            seen.peak_connections = seen.peak_connections.max(seen.open_connections);
            number = seen.connections;
        });
        lock(&self.connections).push((number, copy));
        Some(number)
    }

    /// Forgets a connection.
    pub fn leave(&self, number: u64) {
        lock(&self.connections).retain(|(other, _)| *other != number);
        self.observer.note(|seen| seen.open_connections -= 1);
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        for (_, socket) in lock(&self.connections).iter() {
            // One that has ended by itself is as good.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
