//! TLS as the printers speak it: version 1.2 only, one cipher suite, no client certificate; and a channel that one
//! thread reads while another one writes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group, sign};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};

use super::certificate::Identity;
use crate::wait::lock;

/// A client that takes nothing for this long is given up, so that the printer's only publisher is not held.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read from the socket at a time; a TLS record is at most a little larger than this.
const READ_SIZE: usize = 16 * 1024;

/// Makes the server's configuration. The certificate goes past rustls's own consistency check, which parses it
/// and would refuse an X.509 version 1 leaf.
///
/// # Errors
/// When rustls refuses the key or the versions, which would be a defect of this crate.
pub fn server_config(identity: &Identity) -> Result<Arc<ServerConfig>, rustls::Error> {
    let signing_key = sign::any_supported_type(&identity.key)?;
    let key = Arc::new(CertifiedKey::new(identity.chain.clone(), signing_key));
    // X1C, H2D and A1 mini were all seen to settle on this suite and curve; the H2D offers no other.
    let provider = CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384],
        kx_groups: vec![kx_group::SECP256R1],
        ..default_provider()
    };
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(OneKey(key)));
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct OneKey(Arc<CertifiedKey>);

impl ResolvesServerCert for OneKey {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A TLS connection shared by a reading and a writing thread. The lock is never held while the reader waits.
#[derive(Debug)]
pub struct Channel {
    socket: TcpStream,
    connection: Mutex<ServerConnection>,
}

impl Channel {
    /// Wraps an accepted socket; nothing is sent or read yet.
    ///
    /// # Errors
    /// When the socket or the configuration is unusable.
    pub fn new(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        // The largest thing sent is one report of some 300 KB, so rustls's own limit of 64 KB is lifted.
        connection.set_buffer_limit(None);
        Ok(Self { socket, connection: Mutex::new(connection) })
    }

    /// Ends [`Channel::receive`] with an error when nothing arrives for this long.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        // An invalid timeout is impossible here (never zero) and a dead socket shows at the next read.
        let _ = self.socket.set_read_timeout(timeout.filter(|timeout| !timeout.is_zero()));
    }

    /// Whether the handshake is still going on.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        lock(&self.connection).is_handshaking()
    }

    /// Waits for bytes, runs the handshake or decrypts, and appends plain text to `plain`. `Ok(false)` is the
    /// end: a closed socket or a close_notify.
    ///
    /// # Errors
    /// Socket and TLS errors; the fitting alert was sent.
    pub fn receive(&self, plain: &mut Vec<u8>) -> io::Result<bool> {
        let mut buffer = vec![0; READ_SIZE];
        let count = (&self.socket).read(&mut buffer)?;
        buffer.truncate(count);
        if count == 0 {
            return Ok(false);
        }
        let mut connection = lock(&self.connection);
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            connection.read_tls(&mut rest)?;
            let processed = connection.process_new_packets();
            self.flush(&mut connection)?;
            let state = processed.map_err(io::Error::other)?;
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            connection.reader().read_exact(plain.get_mut(start..).unwrap_or_default())?;
            if state.peer_has_closed() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends `bytes` as one piece.
    ///
    /// # Errors
    /// Socket errors, among them a client that took nothing within the write timeout.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut connection = lock(&self.connection);
        connection.writer().write_all(bytes)?;
        self.flush(&mut connection)
    }

    /// Ends the TCP connection without a TLS farewell, as a printer that loses power or its network does.
    pub fn cut(&self) {
        // It may be closed already; then there is nothing to do.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn flush(&self, connection: &mut ServerConnection) -> io::Result<()> {
        while connection.wants_write() {
            connection.write_tls(&mut &self.socket)?;
        }
        Ok(())
    }
}
