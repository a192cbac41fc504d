//! The judge over a peer's certificate and the store of its sessions.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, Error, NamedGroup, PeerMisbehaved, SignatureScheme,
    SupportedCipherSuite,
};
use sha2::{Digest as _, Sha256};

use super::der::Leaf;
use super::{Observed, PeerPolicy, PeerSeen, Verdict};

/// Sessions kept for resumption. One peer and one protocol use one configuration; rustls rounds up to one server's worth,
/// where its default of 256 would take 16 KiB for each configuration.
const SESSIONS_MAX: usize = 4;

/// Judges a certificate by a [`PeerPolicy`] and the handshake by the certificate's key.
#[derive(Debug)]
pub(super) struct Verifier {
    policy: PeerPolicy,
    algorithms: WebPkiSupportedAlgorithms,
    observed: Observed,
}

impl Verifier {
    pub fn new(policy: PeerPolicy, algorithms: WebPkiSupportedAlgorithms, observed: Observed) -> Verifier {
        Verifier { policy, algorithms, observed }
    }

    /// The name is looked at before the key: when two peers have swapped addresses both differ, and "this is another one,
    /// namely X" helps more than "its key has changed".
    fn judge(&self, spki_sha256: &[u8; 32], common_name: Option<&str>) -> Verdict {
        if let Some(expected) = &self.policy.expected_common_name {
            match common_name {
                None => return Verdict::NoName,
                Some(name) if name != expected => return Verdict::WrongName,
                Some(_) => {}
            }
        }
        match &self.policy.pinned_spki {
            Some(pin) if pin != spki_sha256 => Verdict::KeyChanged,
            Some(_) | None => Verdict::Unproven,
        }
    }

    /// Verifies a handshake signature with the raw key of the certificate, by the first algorithm meant for such keys.
    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        algorithms: &[&'static dyn SignatureVerificationAlgorithm],
    ) -> Result<HandshakeSignatureValid, Error> {
        let leaf = Leaf::parse(certificate).ok_or(CertificateError::BadEncoding)?;
        let algorithm = algorithms
            .iter()
            .find(|algorithm| algorithm.public_key_alg_id().as_ref() == leaf.algorithm)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        algorithm
            .verify_signature(leaf.key, message, signed.signature())
            .map_err(|_invalid| CertificateError::BadSignature)?;
        self.observed.proved(match self.policy.pinned_spki {
            Some(_) => Verdict::Matches,
            None => Verdict::FirstUse,
        });
        Ok(HandshakeSignatureValid::assertion())
    }

    fn algorithms_for(
        &self,
        scheme: SignatureScheme,
    ) -> Result<&'static [&'static dyn SignatureVerificationAlgorithm], Error> {
        self.algorithms
            .mapping
            .iter()
            .find(|(known, _)| *known == scheme)
            .map(|(_, algorithms)| *algorithms)
            .ok_or_else(|| PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = Leaf::parse(end_entity).ok_or(CertificateError::BadEncoding)?;
        let spki_sha256 = Sha256::digest(leaf.spki).into();
        let verdict = self.judge(&spki_sha256, leaf.common_name);
        let common_name = leaf.common_name.map(str::to_owned);
        self.observed.record(PeerSeen { spki_sha256, common_name, verdict });
        match verdict {
            Verdict::Unproven | Verdict::FirstUse | Verdict::Matches => Ok(ServerCertVerified::assertion()),
            Verdict::WrongName | Verdict::NoName => Err(CertificateError::NotValidForName.into()),
            Verdict::KeyChanged => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss, self.algorithms_for(dss.scheme)?)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.3 has no PKCS#1 signatures in its handshake and ties each ECDSA scheme to its curve, which is the first
        // of the provider's candidates.
        if matches!(
            dss.scheme,
            SignatureScheme::RSA_PKCS1_SHA256
                | SignatureScheme::RSA_PKCS1_SHA384
                | SignatureScheme::RSA_PKCS1_SHA512
        ) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let first = self.algorithms_for(dss.scheme)?.get(..1).unwrap_or_default();
        self.verify(message, cert, dss, first)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a suite encrypts with ChaCha20-Poly1305.
pub(super) fn is_chacha20(suite: SupportedCipherSuite) -> bool {
    matches!(
        suite.suite(),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

/// A small session store that also notes when a handshake begins: rustls asks it for a session exactly once while it makes
/// the first message, at a time when the connection below must already stand. That tells "nobody answers at this address"
/// from "somebody answers, but does not speak TLS".
#[derive(Debug)]
pub(super) struct Sessions {
    kept: ClientSessionMemoryCache,
    observed: Observed,
}

impl Sessions {
    pub fn new(observed: Observed) -> Sessions {
        Sessions { kept: ClientSessionMemoryCache::new(SESSIONS_MAX), observed }
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.kept.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.kept.set_tls12_session(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.kept.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.kept.insert_tls13_ticket(server_name, value);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.observed.hello();
        self.kept.take_tls13_ticket(server_name)
    }
}
