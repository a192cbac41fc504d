//! TLS peers that follow a script: each connection is handed to a function of the test, on a thread.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;
use super::certificates::Identity;

/// A connection of a scripted peer, after its TLS handshake or during it: reading or writing completes it.
pub type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// A listener with a script. Dropping it ends the listener and waits for the scripts of its connections, whose reads and
/// writes have a deadline.
pub struct Scripted {
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Hands each TCP connection to `script`.
    pub fn tcp(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (stop, script) = (Arc::clone(&stopped), Arc::new(script));
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                let script = Arc::clone(&script);
                connections.push(std::thread::spawn(move || script(stream)));
            }
            for connection in connections {
                connection.join().expect("a script ran to its end");
            }
        });
        Scripted { address, stopped, listener: Some(thread) }
    }

    /// Hands each connection to `script` under TLS 1.2 or 1.3 with `identity`.
    pub fn tls(identity: &Identity, script: impl Fn(TlsStream) + Send + Sync + 'static) -> Scripted {
        let config = Arc::new(server_config(identity, &[&rustls::version::TLS12, &rustls::version::TLS13]));
        Scripted::tcp(move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            script(StreamOwned::new(session, stream));
        })
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(listener) = self.listener.take() {
            let ended = listener.join();
            assert!(std::thread::panicking() || ended.is_ok(), "a scripted peer failed");
        }
    }
}

/// A server's configuration that presents `identity`.
pub fn server_config(
    identity: &Identity,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ServerConfig {
    let key = rustls::crypto::ring::sign::any_supported_type(&identity.key.private()).unwrap();
    // Put together by hand: rustls's own way refuses certificates of version 1 and keys of others.
    let certified = rustls::sign::CertifiedKey::new(vec![identity.certificate_der()], key);
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Presents(Arc::new(certified))))
}

#[derive(Debug)]
struct Presents(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Presents {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
