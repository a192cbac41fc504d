//! Sockets whose every wait has an end, and TLS over them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use super::cancel::Cancel;
use crate::base::clock::{Clock, Mono, within};

/// Bytes read from a socket at once. A TLS record has 16 KiB; rustls alone asks for 4 KiB at a time, which is four system
/// calls for each record on a processor that feels them.
const INPUT_BYTES: usize = 16 * 1024 + 256;

/// How long a farewell may take to get into the socket's buffer; it is a few bytes, and nobody waits for it.
const FAREWELL_WITHIN: Duration = Duration::from_millis(500);

/// A connected socket with a deadline. A read or write that comes late fails with [`ErrorKind::TimedOut`].
pub(super) struct Wire {
    stream: Arc<TcpStream>,
    clock: Clock,
    deadline: Mono,
    input: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Wire {
    /// Connects. The attempt ends with `limit`, and at once when `cancel` is used.
    pub fn connect(address: SocketAddr, limit: Duration, cancel: &Cancel) -> io::Result<Wire> {
        let clock = Clock::system();
        let attempt = async {
            let connecting = within(&clock, limit, smol::Async::<TcpStream>::connect(address));
            let given_up = async {
                cancel.cancelled().await;
                Some(Err(ErrorKind::Interrupted.into()))
            };
            smol::future::or(given_up, connecting).await
        };
        let stream =
            smol::block_on(attempt).unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))?.into_inner()?;
        stream.set_nonblocking(false)?;
        // Commands are small and wait for their answers.
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        cancel.watch(&stream);
        let deadline = clock.now().mono.after(limit);
        let input = vec![0; INPUT_BYTES].into_boxed_slice();
        Ok(Wire { stream, clock, deadline, input, start: 0, end: 0 })
    }

    /// All that is read or written from now on has to be done within `limit`.
    pub fn allow(&mut self, limit: Duration) {
        self.deadline = self.clock.now().mono.after(limit);
    }

    /// Ends the connection in both directions. Harmless when it has ended.
    pub fn shut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Ends the connection so that the peer notices at once, see [`hang_up`].
    pub fn cut(&self) {
        hang_up(&self.stream);
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.since(self.clock.now().mono);
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    fn fill(&mut self) -> io::Result<()> {
        loop {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match (&*self.stream).read(&mut self.input) {
                Ok(count) => {
                    (self.start, self.end) = (0, count);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(late(error)),
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.start >= self.end {
            self.fill()?;
        }
        let waiting = self.input.get(self.start..self.end).unwrap_or_default();
        let count = waiting.len().min(into.len());
        if let (Some(from), Some(into)) = (waiting.get(..count), into.get_mut(..count)) {
            into.copy_from_slice(from);
        }
        self.start = self.start.saturating_add(count);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        loop {
            self.stream.set_write_timeout(Some(self.left()?))?;
            match (&*self.stream).write(from) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(late(error)),
                Ok(count) => return Ok(count),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends a connection whose peer is still sending. An orderly end would leave such a peer waiting for room in our buffer until
/// our system forgets the connection, a minute later, and a peer that serves one client at a time would serve nobody; so
/// closing the socket is made to send a reset. Waits of other threads on it end now.
pub(super) fn hang_up(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Both);
}

/// A socket's time-out is told as "would block".
fn late(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

/// TLS over a [`Wire`].
pub(super) struct Tls {
    session: ClientConnection,
    pub wire: Wire,
}

impl Tls {
    /// Shakes hands.
    pub fn handshake(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        mut wire: Wire,
    ) -> Result<Tls, io::Error> {
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut wire)?;
        }
        Ok(Tls { session, wire })
    }

    /// Whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Reads what is there, at least a byte; 0 means that the peer said goodbye. An end without that is
    /// [`ErrorKind::UnexpectedEof`].
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        rustls::Stream::new(&mut self.session, &mut self.wire).read(into)
    }

    /// Writes everything.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = rustls::Stream::new(&mut self.session, &mut self.wire);
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Says goodbye, if that is possible.
    pub fn farewell(&mut self) {
        self.session.send_close_notify();
        self.wire.allow(FAREWELL_WITHIN);
        while self.session.wants_write() {
            // The connection ends in any case.
            if self.session.write_tls(&mut self.wire).is_err() {
                break;
            }
        }
    }
}

/// A data connection.
pub(super) enum Data {
    Clear(Wire),
    Private(Box<Tls>),
}

impl Data {
    /// Like [`Tls::read`]; in clear text every end is a proper one.
    pub fn read(&mut self, into: &mut [u8], limit: Duration) -> io::Result<usize> {
        match self {
            Data::Clear(wire) => {
                wire.allow(limit);
                wire.read(into)
            }
            Data::Private(tls) => {
                tls.wire.allow(limit);
                tls.read(into)
            }
        }
    }

    /// Whether a proper end can be told from a cut.
    pub fn is_private(&self) -> bool {
        matches!(self, Data::Private(_))
    }

    /// Ends the connection: properly where everything has come, otherwise so that the peer stops sending.
    pub fn close(mut self, whole: bool) {
        if let Data::Private(tls) = &mut self {
            tls.farewell();
        }
        let wire = match &self {
            Data::Clear(wire) => wire,
            Data::Private(tls) => &tls.wire,
        };
        if whole { wire.shut() } else { wire.cut() }
    }
}
