//! The port: open, closed, or a hole in which every SYN vanishes.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::faults::Silence;
use super::session::serve;
use super::shared::Shared;
use crate::wait::{lock, wait_until};

/// Connections held at once, as many as the printer's network stack has.
const CONNECTIONS_MAX: usize = 12;
/// A pause before listening again when it failed, or before accepting again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// The queue of a port in which connections vanish, and of an open one.
const HOLE_BACKLOG: i32 = 0;
const OPEN_BACKLOG: i32 = 128;
/// A connection of our own to the hole that takes this long will never come.
const FILL_TIMEOUT: Duration = Duration::from_millis(100);
/// Connections of our own that fill the queue; the kernel takes one more than it was told.
const FILL_MAX: usize = 4;

/// Runs the port until the printer is stopped, and joins the sessions at the end.
pub fn run(shared: &Arc<Shared>, listener: TcpListener) {
    let mut sessions: Vec<JoinHandle<()>> = Vec::new();
    let mut listener = Some(listener);
    while !shared.stop.is_set() {
        let wanted = lock(&shared.door).wanted;
        listener = match (listener, wanted) {
            (Some(open), Silence::Refuse) => {
                drop(open);
                rest(shared, Silence::Refuse);
                None
            }
            (Some(open), Silence::BlackHole) => {
                let hole = Hole::dig(shared, &open);
                rest(shared, Silence::BlackHole);
                if hole.and_then(|hole| hole.fill_in(&open)).is_err() { None } else { Some(open) }
            }
            (Some(open), Silence::None | Silence::Mute) => {
                say(shared, Silence::None);
                accept(shared, &open, &mut sessions);
                Some(open)
            }
            (None, Silence::Refuse) => {
                rest(shared, Silence::Refuse);
                None
            }
            (None, _) => {
                let again = TcpListener::bind(shared.address);
                if again.is_err() {
                    shared.stop.wait_for(RETRY_PAUSE);
                }
                again.ok()
            }
        };
    }
    // New sessions cannot come any more; those that slipped in are cut here.
    shared.cut_all();
    for session in sessions {
        let _ = session.join();
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, sessions: &mut Vec<JoinHandle<()>>) {
    sessions.retain(|session| !session.is_finished());
    let Ok((socket, _)) = listener.accept() else {
        // Out of file descriptors, most likely.
        shared.stop.wait_for(RETRY_PAUSE);
        return;
    };
    // A knock, or a client that came in the same moment.
    if shared.stop.is_set() || lock(&shared.door).wanted != Silence::None {
        return;
    }
    sessions.retain(|session| !session.is_finished());
    if sessions.len() >= CONNECTIONS_MAX {
        return;
    }
    let shared = Arc::clone(shared);
    let name = format!("session {}", shared.address.port());
    let thread = thread::Builder::new().name(name).spawn(move || serve(&shared, socket));
    sessions.extend(thread);
}

/// Says what the port is now.
fn say(shared: &Shared, actual: Silence) {
    let mut door = lock(&shared.door);
    if door.actual != actual {
        door.actual = actual;
        shared.door_changed.notify_all();
    }
}

/// Says what the port is now and waits until it is to be something else.
fn rest(shared: &Shared, actual: Silence) {
    say(shared, actual);
    let mut door = lock(&shared.door);
    while door.wanted == actual && !shared.stop.is_set() {
        door = wait_until(&shared.door_changed, door, None);
    }
}

/// A port whose queue is full, so that the kernel drops every SYN.
struct Hole {
    fillers: Vec<TcpStream>,
}

impl Hole {
    fn dig(shared: &Shared, listener: &TcpListener) -> io::Result<Self> {
        rustix::net::listen(listener, HOLE_BACKLOG)?;
        let connect = |_| TcpStream::connect_timeout(&shared.address, FILL_TIMEOUT).ok();
        Ok(Self { fillers: (0..FILL_MAX).map_while(connect).collect() })
    }

    /// Empties the queue and opens it again.
    fn fill_in(self, listener: &TcpListener) -> io::Result<()> {
        drop(self.fillers);
        listener.set_nonblocking(true)?;
        while listener.accept().is_ok() {}
        listener.set_nonblocking(false)?;
        rustix::net::listen(listener, OPEN_BACKLOG)?;
        Ok(())
    }
}
