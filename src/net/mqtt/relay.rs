//! A way to IPv6 peers past the client library.
//!
//! The library glues host and port with a colon and takes the same host as the TLS server name, so a literal IPv6 address
//! with a scope id cannot be told to it. Instead a relay inside the same thread connects to the peer, listens on a free loopback port
//! for exactly one connection, and copies bytes both ways. TLS stays end to end: the relay sees what any router sees, and
//! whoever on this machine were to take the one place would reach a peer that still asks for a password.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::{self, MqttError, MqttErrorKind};

/// Bytes copied at once, per direction. A report of 5 KiB passes in one go.
const COPY_BYTES: usize = 8 * 1024;

/// How long the client library may take to come to the loopback port. It does so at once.
const ACCEPT_DEADLINE: Duration = Duration::from_secs(5);

/// A relay to one peer. Dropping it cuts the connection.
pub(super) struct Relay {
    /// Where to connect to instead.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    /// Connects to `peer` within `limit` and waits for one connection on loopback.
    pub async fn open(peer: SocketAddrV6, limit: Duration) -> Result<Relay, MqttError> {
        let upstream = match timeout(limit, connect(peer)).await {
            Err(_elapsed) => return Err(error::unreachable(limit)),
            Ok(connected) => connected.map_err(|error| error::tcp(&error))?,
        };
        let own = |error: std::io::Error| {
            MqttError::new(MqttErrorKind::Unreachable, format!("no loopback port for the relay: {error}"))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(own)?;
        let address = listener.local_addr().map_err(own)?;
        let task = tokio::task::spawn_local(copy(listener, upstream));
        Ok(Relay { address, task })
    }

    /// Lets what is on its way pass, for at most `limit`.
    pub async fn drain(mut self, limit: Duration) {
        // Cut off or finished: there is nothing left to do in either case.
        let _ = timeout(limit, &mut self.task).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(peer: SocketAddrV6) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v6()?;
    socket.set_nodelay(true)?;
    socket.connect(SocketAddr::V6(peer)).await
}

async fn copy(listener: TcpListener, mut upstream: TcpStream) {
    let Ok(Ok((mut client, _))) = timeout(ACCEPT_DEADLINE, listener.accept()).await else { return };
    drop(listener);
    // An error ends both sides; the client library sees the end and names the reason it can know.
    let _ = copy_bidirectional_with_sizes(&mut client, &mut upstream, COPY_BYTES, COPY_BYTES).await;
}
