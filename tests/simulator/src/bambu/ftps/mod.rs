//! The file server: FTP in TLS 1.2 from the first byte, as the printers speak it.
//!
//! One control connection is one thread, and its transfers run on that thread too, as on the printers. Sessions,
//! transfers and every command are counted ([`FtpsObservations`]); what can go wrong is in [`FtpsFaults`].
//!
//! Where the printed file lies and what it is called is decided in [`placing`], without any connection.

pub mod faults;
pub mod files;
mod listing;
pub mod observe;
pub mod placing;
mod session;
mod transfer;
mod wire;

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub use faults::{Clash, Ending, FtpsFaults, Goodbye, Hiding, Mishap, Protection, Reuse, TransferFault};
pub use files::{Content, Files};
pub use observe::{FtpsObservations, Retrieval};
pub use placing::{FilePlan, Place, PrintedFile};
pub use session::serve;

use super::config::Config;
use super::port::Port;
use crate::wait::{lock, now};

/// What the threads of the file server share.
#[derive(Debug)]
pub struct Ftps {
    /// The port.
    pub port: Port,
    /// What is on the card.
    pub files: Files,
    sockets: Mutex<Sockets>,
    places_taken: Mutex<usize>,
    transfers: Mutex<Transfers>,
    /// Nothing is answered until then.
    wedged_until: Mutex<Option<Instant>>,
}

/// The open connections, so that they can be cut.
#[derive(Debug, Default)]
struct Sockets {
    next: u64,
    open: Vec<(u64, TcpStream)>,
}

/// The transfers going on.
#[derive(Debug, Default)]
struct Transfers {
    open: u32,
    /// How often one came in another's way, to the harm of both.
    clashes: u64,
}

/// Keeps a connection among those that can be cut.
#[derive(Debug)]
struct Registered<'a> {
    ftps: &'a Ftps,
    number: u64,
}

impl Ftps {
    /// A server with the model's folders.
    #[must_use]
    pub fn new(address: SocketAddr, config: &Config) -> Self {
        let files = Files::default();
        for folder in placing::folders(config.model) {
            files.add_folder(folder);
        }
        Self {
            port: Port::new(address),
            files,
            sockets: Mutex::default(),
            places_taken: Mutex::default(),
            transfers: Mutex::default(),
            wedged_until: Mutex::new(None),
        }
    }

    /// Cuts every connection without a farewell.
    pub fn cut_all(&self) {
        for (_, socket) in &lock(&self.sockets).open {
            // It may be closed already; then there is nothing to do.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn register(&self, socket: &TcpStream) -> Option<Registered<'_>> {
        let socket = socket.try_clone().ok()?;
        let mut sockets = lock(&self.sockets);
        sockets.next += 1;
        let number = sockets.next;
        sockets.open.push((number, socket));
        Some(Registered { ftps: self, number })
    }

    /// Lets nothing be answered for `time`.
    fn wedge(&self, time: Duration) {
        *lock(&self.wedged_until) = Some(now() + time);
    }

    fn is_wedged(&self) -> bool {
        lock(&self.wedged_until).is_some_and(|until| now() < until)
    }

    fn unwedge(&self) {
        *lock(&self.wedged_until) = None;
    }

    /// What has to be done where the faults are replaced.
    pub fn faults_changed(&self, faults: &FtpsFaults) {
        if faults.wedges_after_abort_ms == 0 {
            self.unwedge();
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        lock(&self.ftps.sockets).open.retain(|(number, _)| *number != self.number);
    }
}
