//! The sockets: bound beside those of other programs on this machine, and joined to groups network by network.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::task::{Context, Poll};

use smol::Async;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::{Link, MDNS_PORT};

/// The group of multicast DNS.
pub(super) const MDNS_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// The group of SSDP, which Bambu Lab printers use.
const SSDP_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// Bytes that wait in a socket: a flood is to be dropped by the system, not kept.
const BUFFER_BYTES: usize = 64 * 1024;

/// A socket that hears everything at `port`, broadcasts included. Others may listen there as well.
pub(super) fn notices(port: u16) -> io::Result<Async<UdpSocket>> {
    let socket = shared()?;
    // Some of the others say only this.
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    Async::new_nonblocking(socket.into())
}

/// Joins the group of SSDP on every network; what was joined already is no error. Answers the first that failed.
pub(super) fn join_notices(socket: &Async<UdpSocket>, links: &[Link]) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    let mut result = Ok(());
    for link in links {
        let joined = socket.join_multicast_v4_n(&SSDP_GROUP, &InterfaceIndexOrAddress::Index(link.index));
        if let Err(error) = joined
            && error.kind() != ErrorKind::AddrInUse
        {
            result = result.and(Err(error));
        }
    }
    result
}

/// A socket of multicast DNS on one network. It is bound to the group, so what is sent to this machine alone stays with
/// whoever else speaks multicast DNS here.
pub(super) fn names(link: &Link) -> io::Result<Async<UdpSocket>> {
    let socket = shared()?;
    socket.bind(&SocketAddr::from((MDNS_GROUP, MDNS_PORT)).into())?;
    // Without this a socket hears what any other of the machine has joined, on whatever network.
    socket.set_multicast_all_v4(false)?;
    socket.join_multicast_v4_n(&MDNS_GROUP, &InterfaceIndexOrAddress::Index(link.index))?;
    set_outgoing(&socket, link.index)?;
    socket.set_multicast_ttl_v4(255)?;
    // Those who ask on this machine are to hear us too.
    socket.set_multicast_loop_v4(true)?;
    Async::new_nonblocking(socket.into())
}

fn set_outgoing(socket: &Socket, index: u32) -> io::Result<()> {
    rustix::net::sockopt::set_ip_multicast_if_with_ifindex(
        socket,
        &Ipv4Addr::UNSPECIFIED,
        &Ipv4Addr::UNSPECIFIED,
        index,
    )
    .map_err(io::Error::from)
}

fn shared() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    Ok(socket)
}

/// What came of waiting for a datagram.
pub(super) enum Came {
    /// Bytes from somebody, at the socket with this number.
    Datagram(usize, usize, SocketAddrV4),
    /// The socket with this number is of no use any more.
    Broken(usize, io::Error),
}

/// Waits for a datagram at any of `sockets`. May be dropped while it waits. Begins with the socket `first`, so that a flood at
/// one does not silence the others.
pub(super) async fn any(sockets: &[&Async<UdpSocket>], first: usize, buffer: &mut [u8]) -> Came {
    std::future::poll_fn(|context| {
        for turn in 0..sockets.len() {
            let at = (first + turn) % sockets.len();
            let Some(socket) = sockets.get(at) else { continue };
            if let Poll::Ready(came) = one(socket, at, buffer, context) {
                return Poll::Ready(came);
            }
        }
        Poll::Pending
    })
    .await
}

fn one(socket: &Async<UdpSocket>, at: usize, buffer: &mut [u8], context: &mut Context<'_>) -> Poll<Came> {
    loop {
        match socket.get_ref().recv_from(buffer) {
            Ok((length, SocketAddr::V4(from))) => return Poll::Ready(Came::Datagram(at, length, from)),
            Ok((_, SocketAddr::V6(_))) => {}
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => match socket.poll_readable(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Came::Broken(at, error)),
                    Poll::Pending => return Poll::Pending,
                },
                ErrorKind::Interrupted => {}
                _ => return Poll::Ready(Came::Broken(at, error)),
            },
        }
    }
}

/// Sends a packet of multicast DNS. A network that went away a moment ago takes nothing, which the next look at the networks
/// shows; so a failure is only told to the log.
pub(super) fn send(socket: &Async<UdpSocket>, bytes: &[u8], to: Option<SocketAddrV4>) {
    let to = to.unwrap_or(SocketAddrV4::new(MDNS_GROUP, MDNS_PORT));
    if let Err(error) = socket.get_ref().send_to(bytes, (IpAddr::V4(*to.ip()), to.port())) {
        log::debug!("lan: a packet of multicast DNS was not sent: {error}");
    }
}
