//! A tiny MQTT client over TLS for the tests. It accepts every certificate, remembers what it saw and checks the
//! handshake's signature against the leaf's own key, which webpki cannot do for a version 1 leaf.
#![allow(dead_code, reason = "every test file uses another part of it")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at once")]

pub mod ftp;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};
use serde_json::Value;

/// Longer than anything on a loaded machine, short enough for a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// A wait for what must not come.
pub const MOMENT: Duration = Duration::from_millis(300);

#[derive(Debug, Default)]
pub struct Seen(Mutex<Vec<CertificateDer<'static>>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut chain = vec![leaf.clone().into_owned()];
        chain.extend(rest.iter().map(|certificate| certificate.clone().into_owned()));
        *self.0.lock().unwrap() = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = rsa_public_key(leaf);
        let result = match signed.scheme {
            SignatureScheme::RSA_PKCS1_SHA256 => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message, signed.signature())
            }
            SignatureScheme::RSA_PSS_SHA256 => {
                UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key).verify(message, signed.signature())
            }
            other => panic!("a scheme that was not offered: {other:?}"),
        };
        result.map_err(|_| Error::General("the signature is not by the leaf's key".into()))?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        panic!("printers speak TLS 1.2 only")
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256]
    }
}

/// The PKCS #1 key inside a certificate: what follows rsaEncryption, NULL and the head of a BIT STRING.
pub fn rsa_public_key(certificate: &[u8]) -> Vec<u8> {
    let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82];
    let start = certificate.windows(oid.len()).position(|window| window == oid).unwrap() + oid.len();
    let length = usize::from(certificate[start]) << 8 | usize::from(certificate[start + 1]);
    certificate[start + 3..start + 2 + length].to_vec()
}

/// A connection to a printer.
pub struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    seen: Arc<Seen>,
    buffer: Vec<u8>,
}

/// A packet from the printer: first byte and body.
#[derive(Debug, PartialEq)]
pub struct Packet(pub u8, pub Vec<u8>);

impl Client {
    /// Connects and completes the handshake, nothing more.
    pub fn handshake(address: SocketAddr) -> io::Result<Self> {
        let seen = Arc::new(Seen::default());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Seen>::clone(&seen))
            .with_no_client_auth();
        let name = ServerName::from(address.ip());
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Self { stream: StreamOwned::new(connection, socket), seen, buffer: Vec::new() })
    }

    /// Handshake and CONNECT; gives the client and the CONNACK code.
    pub fn connect(address: SocketAddr, user: &str, code: &str) -> io::Result<(Self, u8)> {
        let mut client = Self::handshake(address)?;
        client.send(&connect_packet(user, code, 30))?;
        let answer = client.packet()?;
        assert_eq!((answer.0, answer.1.len()), (0x20, 2), "{answer:?}");
        Ok((client, answer.1[1]))
    }

    /// Logs in and subscribes to the reports of `serial`.
    pub fn subscribed(address: SocketAddr, serial: &str, code: &str) -> Self {
        let (mut client, answer) = Self::connect(address, "bblp", code).unwrap();
        assert_eq!(answer, 0);
        assert_eq!(
            client.subscribe(&format!("device/{serial}/report")).unwrap(),
            Packet(0x90, vec![0, 7, 0])
        );
        client
    }

    pub fn subscribe(&mut self, topic: &str) -> io::Result<Packet> {
        let mut body = vec![0, 7];
        put_text(&mut body, topic);
        body.push(0);
        self.send(&packet(0x82, &body))?;
        self.packet()
    }

    pub fn request(&mut self, serial: &str, payload: &str) -> io::Result<()> {
        let mut body = Vec::new();
        put_text(&mut body, &format!("device/{serial}/request"));
        body.extend_from_slice(payload.as_bytes());
        self.send(&packet(0x30, &body))
    }

    pub fn pushall(&mut self, serial: &str) -> Value {
        self.request(serial, r#"{"pushing":{"sequence_id":"1","command":"pushall"}}"#).unwrap();
        self.report_where(|report| report["print"]["msg"] == 0)
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// The next packet.
    pub fn packet(&mut self) -> io::Result<Packet> {
        loop {
            if let Some((size, header)) = whole(&self.buffer) {
                let packet = Packet(self.buffer[0], self.buffer[header..size].to_vec());
                self.buffer.drain(..size);
                return Ok(packet);
            }
            let mut part = [0; 16 * 1024];
            let count = self.stream.read(&mut part)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&part[..count]);
        }
    }

    /// The payload of the next publish to the report topic.
    pub fn payload(&mut self) -> io::Result<Vec<u8>> {
        let Packet(first, body) = self.packet()?;
        assert_eq!(first, 0x30, "not a publish of quality of service 0");
        let topic = usize::from(body[0]) << 8 | usize::from(body[1]);
        assert!(body[2..2 + topic].ends_with(b"/report"));
        Ok(body[2 + topic..].to_vec())
    }

    pub fn report(&mut self) -> Value {
        serde_json::from_slice(&self.payload().unwrap()).unwrap()
    }

    /// The next report that fits; those before it are passed over.
    pub fn report_where(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let report = self.report();
            if fits(&report) {
                return report;
            }
        }
    }

    /// Whether nothing at all arrives for a moment.
    pub fn is_quiet(&mut self) -> bool {
        self.stream.sock.set_read_timeout(Some(MOMENT)).unwrap();
        let result = self.packet();
        self.stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }

    /// Whether the printer has ended the connection (what it sent before is passed over).
    pub fn is_ended(&mut self) -> bool {
        loop {
            match self.packet() {
                Ok(_) => {}
                Err(error) => {
                    return !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                }
            }
        }
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.seen.0.lock().unwrap().clone()
    }
}

/// Size of the first packet and of its header, if it is whole.
fn whole(buffer: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for header in 1..5 {
        let byte = *buffer.get(header)?;
        length |= usize::from(byte & 0x7f) << (7 * (header - 1));
        if byte & 0x80 == 0 {
            let size = header + 1 + length;
            return (buffer.len() >= size).then_some((size, header + 1));
        }
    }
    panic!("a length of more than four bytes")
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

pub fn connect_packet(user: &str, code: &str, keep_alive_s: u16) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    body.extend_from_slice(&[4, 0xc2]);
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    for text in ["test", user, code] {
        put_text(&mut body, text);
    }
    packet(0x10, &body)
}

pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128, "the tests send small packets");
    let mut bytes = vec![first, u8::try_from(body.len()).unwrap()];
    bytes.extend_from_slice(body);
    bytes
}
