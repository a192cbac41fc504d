//! What the service tells its service manager: one datagram for each word, to the socket that the manager names
//! (`NOTIFY_SOCKET`, see sd_notify(3)).
//!
//! Nothing waits here for a manager that does not read, but the word that the service is up, which no task waits for yet, for
//! [`READY_WAIT`] at most. What cannot be told is said once in the log: a manager that hears nothing ends the service after a
//! while, and its owner has to find out why. The crate sd-notify reads the manager's patience; its own way of telling waits without
//! an end and knows no names outside of the file system.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Manager;

/// The manager's queue holds a few words of all services: it is read again within this time unless the manager hangs.
const READY_WAIT: Duration = Duration::from_secs(1);
/// Words of life come this far apart at least, however short the manager's patience is: more of them would be all the work done.
const ALIVE_EVERY_MIN: Duration = Duration::from_millis(100);

/// systemd or whoever speaks like it; nobody when it has not started us.
pub struct Systemd {
    address: Option<OsString>,
    interval: Option<Duration>,
    complained: AtomicBool,
}

impl Systemd {
    /// The manager that the environment names.
    #[must_use]
    pub fn of_environment() -> Systemd {
        Systemd::new(std::env::var_os("NOTIFY_SOCKET"), sd_notify::watchdog_enabled())
    }

    fn new(address: Option<OsString>, patience: Option<Duration>) -> Systemd {
        // A third: two words may be lost before the manager acts. Without any patience there is no watchdog.
        let interval = patience.filter(|all| !all.is_zero()).map(|all| (all / 3).max(ALIVE_EVERY_MIN));
        Systemd { address, interval, complained: AtomicBool::new(false) }
    }

    fn tell(&self, word: &str, waits: bool) {
        let Some(address) = &self.address else { return };
        if let Err(error) = send(address, word, waits)
            && !self.complained.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "the service manager cannot be told {word} (NOTIFY_SOCKET is {}): {error}; it may end the service for that",
                address.to_string_lossy()
            );
        }
    }
}

impl Manager for Systemd {
    fn ready(&self) {
        self.tell("READY=1", true);
    }

    fn stopping(&self) {
        self.tell("STOPPING=1", false);
    }

    fn alive(&self) {
        self.tell("WATCHDOG=1", false);
    }

    fn interval(&self) -> Option<Duration> {
        self.interval
    }
}

fn send(address: &OsStr, word: &str, waits: bool) -> io::Result<()> {
    // An `@` stands for the zero that begins a name outside of the file system.
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    if waits {
        socket.set_write_timeout(Some(READY_WAIT))?;
    } else {
        socket.set_nonblocking(true)?;
    }
    socket.send_to_addr(word.as_bytes(), &address).map(drop)
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
