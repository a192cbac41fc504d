//! A handshake and nothing else: who is there?

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::base::clock::{Clock, Mono};

/// Connects to `address`, shakes hands and hangs up, all within `limit`. Blocks. What was seen of the peer is in the
/// [`super::Observed`] that came with `config`; only an `Ok` proves that the peer holds its key.
///
/// # Errors
/// When nobody answers in time, or the handshake fails.
pub fn shake_hands(address: SocketAddr, config: Arc<ClientConfig>, limit: Duration) -> io::Result<()> {
    let clock = Clock::system();
    let deadline = clock.now().mono.after(limit);
    let stream = TcpStream::connect_timeout(&address, limit)?;
    let mut wire = Wire { stream, clock, deadline };
    let name = ServerName::IpAddress(address.ip().into());
    let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut wire)?;
    }
    // So that the peer notices at once that nothing follows.
    session.send_close_notify();
    let _ = session.write_tls(&mut wire);
    Ok(())
}

/// A socket whose every wait ends at one deadline.
struct Wire {
    stream: TcpStream,
    clock: Clock,
    deadline: Mono,
}

impl Wire {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.since(self.clock.now().mono);
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into)
    }
}

impl Write for Wire {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
