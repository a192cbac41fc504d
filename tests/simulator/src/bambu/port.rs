//! A port that listens, can be closed and opened again, and joins its connections at the end.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wait::{Stop, lock, now, wait_until};

/// Connections served at once, logged in or not. Real printers stop far earlier (see
/// [`super::Model::session_count_max`]); this only bounds threads.
const CONNECTIONS_MAX: usize = 32;
/// How long opening or closing the port may take.
const LISTENER_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before the next try to take the port again.
const REBIND_PAUSE: Duration = Duration::from_millis(50);

/// The listener as it should be and as it is.
#[derive(Debug)]
struct Listening {
    is_wanted: bool,
    is_open: bool,
}

/// A port.
#[derive(Debug)]
pub struct Port {
    /// Where it listens, or listened last.
    pub address: SocketAddr,
    listening: Mutex<Listening>,
    changed: Condvar,
}

impl Port {
    /// A port whose listener exists.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let listening = Listening { is_wanted: true, is_open: true };
        Self { address, listening: Mutex::new(listening), changed: Condvar::new() }
    }

    /// Opens or closes the port and waits until that is done.
    ///
    /// # Errors
    /// A sentence, when it was not done in time.
    pub fn listen(&self, is_wanted: bool, stop: &Stop) -> Result<(), String> {
        let mut listening = lock(&self.listening);
        listening.is_wanted = is_wanted;
        self.changed.notify_all();
        if !is_wanted && listening.is_open {
            drop(listening);
            // The listener waits in accept; a connection wakes it.
            self.knock();
            listening = lock(&self.listening);
        }
        let deadline = now() + LISTENER_TIMEOUT;
        while listening.is_open != is_wanted && !stop.is_set() {
            if now() >= deadline {
                return Err(format!("port {} was not opened or closed in time", self.address.port()));
            }
            listening = wait_until(&self.changed, listening, Some(deadline));
        }
        Ok(())
    }

    /// Wakes the listener out of its accept.
    pub fn knock(&self) {
        // A failure means that nobody listens, which is as good.
        let _ = TcpStream::connect_timeout(&self.address, LISTENER_TIMEOUT);
    }

    /// Wakes everyone who waits for the port, after the stop signal was set.
    pub fn wake(&self) {
        // The lock is taken so that nobody is between a look at the signal and the wait.
        drop(lock(&self.listening));
        self.changed.notify_all();
    }

    /// Accepts connections, closes the port and opens it again as wanted. At the end `cut` is called, and the threads that
    /// `serve` the connections are joined.
    pub fn run(
        &self,
        stop: &Stop,
        listener: TcpListener,
        serve: &Arc<dyn Fn(TcpStream) + Send + Sync>,
        cut: impl Fn(),
    ) {
        let mut sessions: Vec<JoinHandle<()>> = Vec::new();
        let mut listener = Some(listener);
        while !stop.is_set() {
            listener = match listener {
                Some(open) if self.is_wanted() => {
                    self.accept(stop, &open, serve, &mut sessions);
                    Some(open)
                }
                other => {
                    drop(other);
                    self.reopened(stop)
                }
            };
        }
        // New sessions cannot come any more; those that slipped in are cut here.
        cut();
        for session in sessions {
            let _ = session.join();
        }
    }

    fn is_wanted(&self) -> bool {
        lock(&self.listening).is_wanted
    }

    fn accept(
        &self,
        stop: &Stop,
        listener: &TcpListener,
        serve: &Arc<dyn Fn(TcpStream) + Send + Sync>,
        sessions: &mut Vec<JoinHandle<()>>,
    ) {
        let Ok((socket, _)) = listener.accept() else {
            // Out of file descriptors, most likely.
            stop.wait_for(REBIND_PAUSE);
            return;
        };
        // A knock, or a client that came in the same moment.
        if stop.is_set() || !self.is_wanted() {
            return;
        }
        sessions.retain(|session| !session.is_finished());
        if sessions.len() >= CONNECTIONS_MAX {
            return;
        }
        let serve = Arc::clone(serve);
        let name = format!("session {}", self.address.port());
        sessions.extend(thread::Builder::new().name(name).spawn(move || serve(socket)));
    }

    /// Notes that the port is closed, waits until it is wanted and takes it again.
    fn reopened(&self, stop: &Stop) -> Option<TcpListener> {
        {
            let mut listening = lock(&self.listening);
            listening.is_open = false;
            self.changed.notify_all();
            while !listening.is_wanted && !stop.is_set() {
                listening = wait_until(&self.changed, listening, None);
            }
        }
        while !stop.is_set() {
            if let Ok(listener) = TcpListener::bind(self.address) {
                lock(&self.listening).is_open = true;
                self.changed.notify_all();
                return Some(listener);
            }
            stop.wait_for(REBIND_PAUSE);
        }
        None
    }
}
