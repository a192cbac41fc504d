//! How printers make themselves known on a network: the calls of Bambu Lab printers, and multicast DNS with one question and
//! one answer at a time. Also a rival for a name and an asker, for those who test a device that wants one.
//!
//! Multicast DNS is written here from the RFC, names in full and without caching, as small devices do it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::{Stop, now};

/// Where multicast DNS listens.
pub const MDNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
/// How long a socket waits before it looks whether it is to end.
const TURN: Duration = Duration::from_millis(50);

const A: u16 = 1;
const PTR: u16 = 12;
const SRV: u16 = 33;
const ANY: u16 = 255;

/// The text of a Bambu Lab printer's call.
#[must_use]
pub fn call(serial: &str, location: Ipv4Addr, model: &str, name: &str) -> String {
    format!(
        "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nServer: UPnP/1.0\r\nLocation: {location}\r\n\
         NT: urn:bambulab-com:device:3dprinter:1\r\nUSN: {serial}\r\nCache-Control: max-age=1800\r\n\
         DevModel.bambu.com: {model}\r\nDevName.bambu.com: {name}\r\nDevSignal.bambu.com: -44\r\n\
         DevConnect.bambu.com: lan\r\nDevBind.bambu.com: free\r\nDevSeclink.bambu.com: secure\r\n\
         DevVersion.bambu.com: 01.08.02.00\r\nDevCap.bambu.com: 1\r\nNTS: ssdp:alive\r\n\r\n"
    )
}

/// Sends a datagram from `from` to `to`, which may be a broadcast address or a group.
///
/// # Errors
/// When the address is not ours, or there is no way.
pub fn shout(from: Ipv4Addr, to: SocketAddr, text: &[u8]) -> io::Result<()> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.set_broadcast(true)?;
    rustix::net::sockopt::set_ip_multicast_if(&socket, &from)?;
    socket.send_to(text, to).map(drop)
}

/// Something that a responder answers for.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A Prusa printer: its instance and host have the same name.
    Prusa {
        /// Its host name without `.local`.
        host: String,
        /// Its address.
        address: Ipv4Addr,
        /// Its port.
        port: u16,
    },
    /// Whoever has a name.
    Host {
        /// The name without `.local`.
        host: String,
        /// The address.
        address: Ipv4Addr,
    },
}

/// A responder of multicast DNS. Dropping it ends it.
#[derive(Debug)]
pub struct Responder {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Answers for `entries` on the network of the address `interface`, after announcing them once.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn start(interface: Ipv4Addr, entries: Vec<Entry>) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, MDNS.port()))?;
        socket.join_multicast_v4(MDNS.ip(), &interface)?;
        rustix::net::sockopt::set_ip_multicast_if(&socket, &interface)?;
        socket.set_multicast_ttl_v4(255)?;
        socket.set_read_timeout(Some(TURN))?;
        let stop = Arc::new(Stop::default());
        let ending = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("mdns".to_owned()).spawn(move || {
            for entry in &entries {
                let _ = socket.send_to(&response(&records(entry)), MDNS);
            }
            let mut buffer = [0; 2048];
            while !ending.is_set() {
                let Ok((length, _)) = socket.recv_from(&mut buffer) else { continue };
                for (name, kind) in questions(buffer.get(..length).unwrap_or_default()) {
                    for entry in &entries {
                        let asked =
                            |record: &Raw| record.name == name && (kind == record.kind || kind == ANY);
                        if records(entry).iter().any(asked) {
                            let _ = socket.send_to(&response(&records(entry)), MDNS);
                        }
                    }
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks once, from a port of its own, for records of `kind` (1 for addresses, 12 for pointers) and waits for an answer; its
/// bytes, or nothing when nobody answered in time.
///
/// # Errors
/// When there is no way to the group.
pub fn ask(interface: Ipv4Addr, name: &str, kind: u16, patience: Duration) -> io::Result<Option<Vec<u8>>> {
    let socket = UdpSocket::bind((interface, 0))?;
    rustix::net::sockopt::set_ip_multicast_if(&socket, &interface)?;
    socket.set_read_timeout(Some(patience))?;
    let mut packet = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend(labels(name));
    packet.extend(kind.to_be_bytes());
    packet.extend([0, 1]);
    socket.send_to(&packet, MDNS)?;
    let mut buffer = [0; 2048];
    match socket.recv_from(&mut buffer) {
        Ok((length, _)) => Ok(buffer.get(..length).map(<[u8]>::to_vec)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Listens to the group on the network of the address `interface` until `wanted` finds what it looks for in a packet, or
/// `patience` is over; whether it did.
///
/// # Errors
/// When the port cannot be had.
pub fn overhear(
    interface: Ipv4Addr,
    patience: Duration,
    mut wanted: impl FnMut(&[u8]) -> bool,
    meanwhile: impl FnOnce(),
) -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, MDNS.port()))?;
    socket.join_multicast_v4(MDNS.ip(), &interface)?;
    socket.set_read_timeout(Some(TURN))?;
    meanwhile();
    let deadline = now() + patience;
    let mut buffer = [0; 2048];
    while now() < deadline {
        if let Ok((length, _)) = socket.recv_from(&mut buffer)
            && wanted(buffer.get(..length).unwrap_or_default())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Raw {
    name: Vec<u8>,
    kind: u16,
    data: Vec<u8>,
}

/// A name as it travels.
#[must_use]
pub fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend(label.bytes());
    }
    out.push(0);
    out
}

fn records(entry: &Entry) -> Vec<Raw> {
    let (Entry::Prusa { host, address, .. } | Entry::Host { host, address }) = entry;
    let hostname = labels(&format!("{host}.local"));
    let mut out = Vec::new();
    if let Entry::Prusa { port, .. } = entry {
        let service = "_prusalink._tcp.local";
        let instance = labels(&format!("{host}.{service}"));
        let place = [&[0, 0, 0, 0][..], &port.to_be_bytes(), &hostname].concat();
        out.push(Raw { name: labels(service), kind: PTR, data: instance.clone() });
        out.push(Raw { name: instance, kind: SRV, data: place });
    }
    out.push(Raw { name: hostname, kind: A, data: address.octets().to_vec() });
    out
}

fn response(records: &[Raw]) -> Vec<u8> {
    let mut packet = vec![0, 0, 0x84, 0, 0, 0];
    packet.extend(u16::try_from(records.len()).unwrap_or(0).to_be_bytes());
    packet.extend([0; 4]);
    for record in records {
        packet.extend(&record.name);
        packet.extend(record.kind.to_be_bytes());
        packet.extend([0, 1]);
        packet.extend(120_u32.to_be_bytes());
        packet.extend(u16::try_from(record.data.len()).unwrap_or(0).to_be_bytes());
        packet.extend(&record.data);
    }
    packet
}

/// The questions of a packet, as names that travel in full, in small letters, and kinds. Answers have none.
fn questions(packet: &[u8]) -> Vec<(Vec<u8>, u16)> {
    let mut found = Vec::new();
    let (Some(head), Some(mut rest)) = (packet.get(..12), packet.get(12..)) else { return found };
    let [_, _, flags, _, _, count, ..] = head else { return found };
    if flags & 0x80 != 0 {
        return found;
    }
    for _ in 0..*count {
        let mut length = 0;
        while let Some(label) = rest.get(length).filter(|label| **label > 0 && **label < 64) {
            length += 1 + usize::from(*label);
        }
        let (Some(name), Some([high, low])) = (rest.get(..=length), rest.get(length + 1..length + 3)) else {
            return found;
        };
        found.push((name.to_ascii_lowercase(), u16::from_be_bytes([*high, *low])));
        rest = rest.get(length + 5..).unwrap_or_default();
    }
    found
}
