//! A connection of the file server, with TLS or without, on one thread.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig, ServerConnection, Stream};

/// A client that takes nothing for this long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// A connection.
#[derive(Debug)]
pub struct Wire {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl Wire {
    /// A connection in clear text.
    ///
    /// # Errors
    /// When the socket is unusable.
    pub fn clear(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Self { socket, tls: None })
    }

    /// Shakes hands as the server.
    ///
    /// # Errors
    /// A client that speaks something else, breaks off or says nothing for `timeout`.
    pub fn shake(&mut self, config: Arc<ServerConfig>, timeout: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(timeout))?;
        let mut tls = Box::new(ServerConnection::new(config).map_err(io::Error::other)?);
        while tls.is_handshaking() {
            tls.complete_io(&mut self.socket)?;
        }
        // The last message of the server may still wait.
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        self.tls = Some(tls);
        Ok(())
    }

    /// Whether the handshake resumed an earlier session; [`None`] without TLS.
    #[must_use]
    pub fn is_resumed(&self) -> Option<bool> {
        self.tls.as_ref().map(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    /// Ends [`Wire::read`] with an error when nothing comes for this long.
    pub fn set_read_timeout(&self, timeout: Duration) {
        // A dead socket shows at the next read.
        let _ = self.socket.set_read_timeout(Some(timeout).filter(|timeout| !timeout.is_zero()));
    }

    /// Reads; 0 is the end, however it came.
    ///
    /// # Errors
    /// Socket and TLS errors.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let result = match &mut self.tls {
            Some(tls) => Stream::new(tls.as_mut(), &mut self.socket).read(into),
            None => self.socket.read(into),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            result => result,
        }
    }

    /// Writes everything.
    ///
    /// # Errors
    /// Socket errors.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                let mut stream = Stream::new(tls.as_mut(), &mut self.socket);
                stream.write_all(bytes)?;
                stream.flush()
            }
            None => self.socket.write_all(bytes),
        }
    }

    /// Writes past TLS.
    ///
    /// # Errors
    /// Socket errors.
    pub fn write_clear(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Says goodbye in TLS, unless told not to, and ends this direction.
    pub fn end(&mut self, says_goodbye: bool) {
        if let Some(tls) = self.tls.as_mut().filter(|_| says_goodbye) {
            tls.send_close_notify();
            // The client may be gone; the connection ends in any case.
            while tls.wants_write() && tls.write_tls(&mut self.socket).is_ok() {}
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Makes the socket's closing a reset: what the client has not taken yet is lost.
    pub fn reset(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
    }

    /// Answers nothing until the client ends the connection, or the printer is stopped.
    pub fn hold(&mut self) {
        let _ = self.socket.set_read_timeout(None);
        let mut sink = [0; 1_024];
        while matches!(self.socket.read(&mut sink), Ok(count) if count > 0) {}
    }
}
