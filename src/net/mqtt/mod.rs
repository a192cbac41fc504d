//! MQTT links: one thread, one link per peer, bounded wires between them and the rest of the service.
//!
//! The client library needs tokio. Its runtime lives on one thread named `mqtt` and nowhere else; what leaves this module
//! are plain values over bounded channels that any executor can wait on.
//!
//! ```text
//! caller --connect--> MqttHandle --bounded--> thread "mqtt": one task per link --TLS--> peer
//! caller <--events, bounded-- link            a full channel stops that link's reading, so TCP pushes back;
//! caller --publish, bounded-> link            the other links go on
//! ```
//!
//! **One link is one life.** It connects once, subscribes as soon as it is let in, and ends with the first error as
//! [`MqttEvent::Closed`]. Nothing here reconnects: the caller waits as long as it thinks fit and makes a new link, with a
//! fresh client and a fresh subscription. So a dead peer never spins, and no state outlives a connection.
//!
//! **Bounds**: [`MAX_LINKS`] links, [`EVENT_QUEUE_MAX`] events and [`PUBLISH_QUEUE_MAX`] messages per link, packets of
//! [`ConnectOptions::max_incoming`] bytes, [`PUBLISH_BYTES_MAX`] for outgoing ones. At most ten packets more wait inside the
//! client library.
//!
//! **Not here**: back-off, what a message means, names (addresses are literals; see `net::resolve`), certificates (see
//! `net::tls`).

mod error;
mod link;
mod relay;
mod thread;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::base::secret::Secret;
use crate::net::tls::Observed;

pub use error::{MqttError, MqttErrorKind};
pub use link::MqttLink;
pub use thread::{MqttHandle, MqttThread};

/// Links that may live at once. The appliance is meant for up to eight peers; 32 leaves room for links that are still
/// saying goodbye and keeps the thread's memory below about 2 MB.
pub const MAX_LINKS: usize = 32;

/// Events that wait for the caller, per link. A report is handled in far less than a millisecond, so more than a few waiting
/// ones mean that the caller stands still, and then it is TCP's turn to hold the peer back.
pub const EVENT_QUEUE_MAX: usize = 8;

/// Messages that wait to be sent, per link. Callers ask for little (a handful of requests per connection).
pub const PUBLISH_QUEUE_MAX: usize = 8;

/// Longest message that can be published, in bytes, header included. Requests are a few hundred bytes.
pub const PUBLISH_BYTES_MAX: usize = 64 * 1024;

/// How long a peer may take to let us in, from the first packet to the answer to the login. Slow peers need 3 to 5 s for TLS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a quiet link is probed. A dead peer is noticed after twice this time.
pub const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Longest packet that is taken from a peer, in bytes; the library's own default of 10 KiB is too little for full reports.
pub const MAX_INCOMING: usize = 256 * 1024;

/// How often [`MqttHandle::beat`] moves while the thread is alive.
pub const BEAT_EVERY: Duration = Duration::from_secs(2);

/// How long a link that is told to end may take to say DISCONNECT and to see the peer hang up.
pub const DISCONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// How long the thread waits for its links when it is told to end.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(2);

/// What a link needs to know.
#[derive(Clone)]
pub struct ConnectOptions {
    /// The peer's address. IPv6 addresses may carry a scope id (link-local peers).
    pub address: SocketAddr,
    /// The peer's TLS configuration, from [`crate::net::tls::client_config`]. One per peer, and one link at a time.
    pub tls: Arc<ClientConfig>,
    /// The slot that came with the configuration; it tells how far a failed handshake got.
    pub observed: Observed,
    /// Our name towards the peer. Stable, so that a peer with few places throws out the dead link and not a stranger's.
    pub client_id: String,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// The topic filter to subscribe to. Messages on other topics are ignored.
    pub subscribe: String,
    /// How often a quiet link is probed, in whole seconds from 1 up; usually [`KEEP_ALIVE`].
    pub keep_alive: Duration,
    /// Deadline for TCP, TLS and login together, rounded up to whole seconds; usually [`CONNECT_TIMEOUT`]. It is also the
    /// deadline for handing a message to the peer's TCP.
    pub connect_timeout: Duration,
    /// Longest packet that is taken, in bytes; usually [`MAX_INCOMING`]. A longer one ends the link.
    pub max_incoming: usize,
}

impl ConnectOptions {
    /// Options with the usual times and sizes; the rest is empty and public.
    #[must_use]
    pub fn new(address: SocketAddr, tls: (Arc<ClientConfig>, Observed)) -> ConnectOptions {
        let (tls, observed) = tls;
        ConnectOptions {
            address,
            tls,
            observed,
            client_id: String::new(),
            username: String::new(),
            password: Secret::default(),
            subscribe: String::new(),
            keep_alive: KEEP_ALIVE,
            connect_timeout: CONNECT_TIMEOUT,
            max_incoming: MAX_INCOMING,
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("address", &self.address)
            .field("client_id", &self.client_id)
            .field("subscribe", &self.subscribe)
            .finish_non_exhaustive()
    }
}

/// What a link tells. `Closed` is the last event; a channel that ends without it was ended from this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MqttEvent {
    /// The peer let us in. The subscription is on its way.
    Connected,
    /// The peer answered the subscription.
    Subscribed {
        /// Whether it was granted. A peer that refuses keeps the link open and stays silent.
        accepted: bool,
    },
    /// A message on the subscribed topic. Its bytes are the peer's: any content, at most `max_incoming` of them.
    Message {
        /// The message.
        payload: Vec<u8>,
    },
    /// The link has ended.
    Closed(MqttError),
}

/// No link can be made: [`MAX_LINKS`] exist, or the thread has ended or does not take requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no MQTT link can be made now: {MAX_LINKS} exist or the mqtt thread does not answer")
    }
}

impl std::error::Error for Busy {}

/// A message was not taken: [`PUBLISH_QUEUE_MAX`] wait already, the link has ended, or the message could never be sent
/// (a wildcard in its topic, more than [`PUBLISH_BYTES_MAX`] bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message was not taken: too many wait, the link has ended, or it cannot be sent")
    }
}

impl std::error::Error for Full {}

/// The thread did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled;

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mqtt thread does not answer")
    }
}

impl std::error::Error for Stalled {}
