//! FTPS: a small blocking client for peers that speak TLS from the first byte.
//!
//! ```text
//! Session::open    TCP, TLS 1.2, login, TYPE I, PBSZ 0, PROT
//!   size           SIZE: a cheap "is it there?", too
//!   list           CWD, PASV, LIST
//!   retrieve       PASV, TCP connect, REST, RETR, 150, and only then the data connection's TLS
//!     Transfer     read, read, ... 0, finish: the bytes and the reply are judged together
//! ```
//!
//! **It blocks**: run it on a worker thread. 128 KiB of stack are enough. Every wait has a deadline ([`Times`]), and a
//! [`Cancel`] in another thread's hands ends it at once. A transfer may last as long as it likes while bytes come.
//!
//! **Trust** is in the peer's key, as everywhere (`net::tls`). Each session has a TLS configuration of its own: the data
//! connection has to resume the session of the control connection, and a shared store would mix sessions up. TLS 1.2 only,
//! whose sessions may be resumed any number of times.
//!
//! **Addresses** in replies are ignored: data connections go where the control connection goes. Hence also no `PORT`.
//!
//! **Bounds**: reply lines of 4 KiB and replies of 16 KiB, paths of [`PATH_BYTES_MAX`], listings of
//! [`LISTING_ENTRIES_MAX`] entries and [`LISTING_BYTES_MAX`] bytes, 16 KiB of input buffer per connection. A file is never
//! held: the caller reads it in pieces of its own size.
//!
//! **Not here**: uploads, retries, one-at-a-time rules, hashing, what files mean.

mod cancel;
mod error;
mod judge;
mod list;
mod reply;
mod session;
mod transfer;
mod wire;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::secret::Secret;
use crate::net::tls::{CipherOrder, PeerPolicy};

pub use cancel::Cancel;
pub use error::{Advice, FtpsError, FtpsErrorKind};
pub use judge::Confirmation;
pub use list::{Entry, EntryKind, Listing, Name};
pub use session::Session;
pub use transfer::{Finished, Transfer};

/// Longest path, in bytes: a name of 255 characters at four bytes, and its folder.
pub const PATH_BYTES_MAX: usize = 1280;

/// Entries that a listing keeps. A full card holds some hundreds of files.
pub const LISTING_ENTRIES_MAX: usize = 10_000;

/// Bytes that are read of a listing: 10 000 lines of 200 bytes. Slow peers need half a minute for as much.
pub const LISTING_BYTES_MAX: u64 = 2_000_000;

/// What a session needs to know.
#[derive(Clone)]
pub struct Options {
    /// The peer's address with its port for implicit TLS, usually 990. IPv6 addresses may carry a scope id.
    pub address: SocketAddr,
    /// What the peer must show.
    pub policy: PeerPolicy,
    /// Which ciphers are offered first.
    pub ciphers: CipherOrder,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// How the data travels.
    pub protection: Wanted,
    /// Whether the peer is known to know `REST` ([`Session::learned`] of an earlier session). If it is known not to, it is
    /// not asked.
    pub restart: Option<bool>,
    /// The deadlines.
    pub times: Times,
}

impl Options {
    /// Options with the usual times, private data, and nothing else: the rest is empty and public.
    #[must_use]
    pub fn new(address: SocketAddr) -> Options {
        Options {
            address,
            policy: PeerPolicy::default(),
            ciphers: CipherOrder::default(),
            username: String::new(),
            password: Secret::default(),
            protection: Wanted::Private,
            restart: None,
            times: Times::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("protection", &self.protection)
            .field("restart", &self.restart)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// How the data shall travel. The control connection, and with it the password, is always encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Encrypted (`PROT P`).
    Private,
    /// Encrypted, or in clear text where the peer refuses `PROT P`.
    ///
    /// A peer that accepts it and then cannot do it shows as [`FtpsErrorKind::DataTls`]; whether to come back with
    /// [`Wanted::Clear`] is the caller's decision.
    PrivateElseClear,
    /// In clear text (`PROT C`): anybody on the network can read and change it.
    Clear,
}

/// How the data travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Encrypted.
    Private,
    /// In clear text.
    Clear,
}

/// Deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For a TCP connection.
    pub connect: Duration,
    /// For a TLS handshake, and for each answer on the control connection.
    pub answer: Duration,
    /// Without a byte of data. A read has to bring something within this time, whatever the peer drips.
    pub stall: Duration,
    /// For the end of the data connection and for the last answer when all bytes have come. Some peers never say either,
    /// some after half a minute.
    pub end: Duration,
}

impl Default for Times {
    /// 15 s to connect, 20 s for an answer (slow peers need 5 s for TLS), 45 s without a byte, 3 s for the end.
    fn default() -> Times {
        Times {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(20),
            stall: Duration::from_secs(45),
            end: Duration::from_secs(3),
        }
    }
}

/// What a session has found out about its peer, to be remembered for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// How the data travels in this session.
    pub protection: Protection,
    /// Whether the peer knows `REST`; [`None`] if it was not asked.
    pub restart: Option<bool>,
    /// Whether the latest encrypted data connection resumed the session; [`None`] if there was none.
    pub resumed: Option<bool>,
}
