//! Steps about TLS: the client side as printers see it, against a server in the same memory.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, ServerConfig, ServerConnection, SupportedCipherSuite,
};

use super::identity::{CERTIFICATE, COMMON_NAME, KEY};
use super::{Trouble, demand};
use crate::net::tls::{CipherOrder, PeerPolicy, TlsVersions, Verdict, client_config_with};

/// Turns of the handshake at most; TLS 1.2 needs three.
const TURNS_MAX: usize = 10;

/// TLS 1.2 with the suite that some printers insist on.
pub(super) fn version_1_2(_: &Path) -> Result<(), Trouble> {
    let suite = ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
    talk(TlsVersions::Tls12Only, suite, ProtocolVersion::TLSv1_2)
}

/// TLS 1.3 with the suite that is fast without AES instructions.
pub(super) fn version_1_3(_: &Path) -> Result<(), Trouble> {
    let suite = ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
    talk(TlsVersions::Tls12And13, suite, ProtocolVersion::TLSv1_3)
}

/// A handshake with a pin of another key must fail, and say why.
pub(super) fn changed_key(_: &Path) -> Result<(), Trouble> {
    let policy = PeerPolicy { pinned_spki: Some([0; 32]), expected_common_name: None };
    let (config, observed) = client_config_with(policy, TlsVersions::Tls12Only, CipherOrder::default());
    let suite = ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
    let mut pair = Pair::new(config, suite)?;
    demand(pair.shake().is_err(), "a peer with another key was accepted")?;
    let verdict = observed.get().map(|seen| seen.verdict);
    demand(verdict == Some(Verdict::KeyChanged), format_args!("the verdict is {verdict:?}"))
}

fn talk(
    versions: TlsVersions,
    suite: SupportedCipherSuite,
    expected: ProtocolVersion,
) -> Result<(), Trouble> {
    let policy = PeerPolicy { pinned_spki: None, expected_common_name: Some(COMMON_NAME.to_owned()) };
    let (config, observed) = client_config_with(policy, versions, CipherOrder::ChaCha20First);
    let mut pair = Pair::new(config, suite)?;
    pair.shake()?;
    let version = pair.client.protocol_version();
    demand(version == Some(expected), format_args!("{version:?} was agreed on"))?;
    let agreed = pair.client.negotiated_cipher_suite().map(|suite| suite.suite());
    demand(agreed == Some(suite.suite()), format_args!("{agreed:?} was agreed on"))?;
    let verdict = observed.get().map(|seen| seen.verdict);
    demand(verdict == Some(Verdict::FirstUse), format_args!("the verdict is {verdict:?}"))?;
    pair.exchange()
}

/// Both ends of a connection.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

impl Pair {
    fn new(client: Arc<ClientConfig>, suite: SupportedCipherSuite) -> Result<Pair, Trouble> {
        let provider =
            rustls::crypto::CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY.as_slice()));
        let server = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[suite.version()])?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(CERTIFICATE.as_slice())], key)?;
        let name = ServerName::try_from("127.0.0.1")?;
        Ok(Pair {
            client: ClientConnection::new(client, name)?,
            server: ServerConnection::new(Arc::new(server))?,
        })
    }

    /// Carries bytes until both ends are content.
    fn shake(&mut self) -> Result<(), Trouble> {
        for _ in 0..TURNS_MAX {
            self.carry()?;
            if !self.client.is_handshaking() && !self.server.is_handshaking() && !self.client.wants_write() {
                return Ok(());
            }
        }
        Err(Trouble("the handshake did not come to an end".to_owned()))
    }

    /// What the client has to say, then what the server has to say.
    fn carry(&mut self) -> Result<(), Trouble> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire)?;
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            self.server.read_tls(&mut wire)?;
            self.server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut wire)?;
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            self.client.read_tls(&mut wire)?;
            self.client.process_new_packets()?;
        }
        Ok(())
    }

    /// Text both ways.
    fn exchange(&mut self) -> Result<(), Trouble> {
        let (question, answer) = ([0x51; 5000], [0xA7; 5000]);
        let mut read = [0; 5000];
        self.client.writer().write_all(&question)?;
        self.carry()?;
        self.server.reader().read_exact(&mut read)?;
        demand(read == question, "the server reads other bytes than were sent")?;
        self.server.writer().write_all(&answer)?;
        self.carry()?;
        self.client.reader().read_exact(&mut read)?;
        demand(read == answer, "the client reads other bytes than were sent")
    }
}
