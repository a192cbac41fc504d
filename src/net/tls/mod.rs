//! TLS towards peers on the local network: trust in a key, not in a certificate authority.
//!
//! A peer is known by the SHA-256 of its public key (the pin, taken at first use) and by the common name in its
//! certificate. Chains, host names and dates are deliberately not judged: such peers carry self-made certificates, some of
//! them X.509 version 1, are reached by address, and a board without a clock chip does not know the date. What is never
//! skipped is the proof: the signature in the handshake is verified with the key of the certificate, so a pin means
//! possession of the key.
//!
//! The only provider is `ring`, handed over explicitly; no process-wide default is read or set. One configuration serves one
//! peer and one protocol: rustls stores sessions by server name alone, so sharing would mix them up.

mod der;
mod pin;
mod shake;
mod verify;

use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;

pub use pin::{Pin, pin_from_hex, pin_to_hex};
pub use shake::shake_hands;

/// What a peer must show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerPolicy {
    /// The SHA-256 of the peer's SubjectPublicKeyInfo. [`None`] accepts any key that proves itself and reports it, so that
    /// the caller can pin it from then on.
    pub pinned_spki: Option<Pin>,
    /// The common name that the certificate's subject must carry, compared byte for byte. [`None`] accepts any or none.
    pub expected_common_name: Option<String>,
}

/// The protocol versions that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2 and nothing else. Some peers hang on a hello that so much as mentions 1.3.
    Tls12Only,
    /// TLS 1.3, with 1.2 for older peers.
    Tls12And13,
}

/// Which ciphers are offered first. All of the provider's suites are offered in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherOrder {
    /// AES-GCM first, as the provider has it.
    Provider,
    /// ChaCha20-Poly1305 first: processors without AES instructions compute it several times faster.
    ChaCha20First,
}

impl Default for CipherOrder {
    /// What suits the processor: Raspberry Pis before the fifth have no AES instructions. A megabyte costs the first ones 284
    /// million instructions with AES-256-GCM and 27 million with ChaCha20-Poly1305.
    fn default() -> CipherOrder {
        if cfg!(any(target_arch = "arm", target_arch = "aarch64")) {
            CipherOrder::ChaCha20First
        } else {
            CipherOrder::Provider
        }
    }
}

/// What came of looking at a peer's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Key and name are acceptable, but the peer has not (yet) proved that it holds the key. Do not pin such a key.
    Unproven,
    /// There was no pin; the peer proved that it holds this key.
    FirstUse,
    /// The key is the pinned one, and the peer proved that it holds it.
    Matches,
    /// The key is not the pinned one: refused.
    KeyChanged,
    /// The certificate carries another common name than the expected one: refused.
    WrongName,
    /// A common name was expected and the certificate carries none that can be used: refused.
    NoName,
}

/// What was seen of a peer in its latest full handshake, whether that succeeded or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSeen {
    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: Pin,
    /// The common name of its certificate, at most 64 bytes without control characters.
    pub common_name: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
}

/// A slot that a configuration fills during handshakes, readable after success and failure. Clones share the slot.
///
/// A resumed session presents no certificate: the slot keeps what the full handshake before it showed.
#[derive(Clone, Debug, Default)]
pub struct Observed(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
struct Slot {
    /// Handshakes begun so far.
    hellos: u64,
    seen: Option<PeerSeen>,
    /// The value of `hellos` when `seen` was written.
    seen_at: u64,
}

impl Observed {
    /// What was seen last.
    #[must_use]
    pub fn get(&self) -> Option<PeerSeen> {
        self.slot(|slot| slot.seen.clone())
    }

    /// How many handshakes were begun. It grows as soon as a connection stands and the first TLS message is made.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.slot(|slot| slot.hellos)
    }

    /// What was seen in handshakes begun after the counter stood at `handshakes`.
    #[must_use]
    pub fn seen_since(&self, handshakes: u64) -> Option<PeerSeen> {
        self.slot(|slot| if slot.seen_at > handshakes { slot.seen.clone() } else { None })
    }

    fn hello(&self) {
        self.slot(|slot| slot.hellos = slot.hellos.saturating_add(1));
    }

    fn record(&self, seen: PeerSeen) {
        self.slot(|slot| {
            slot.seen = Some(seen);
            slot.seen_at = slot.hellos;
        });
    }

    fn proved(&self, verdict: Verdict) {
        self.slot(|slot| {
            if let Some(seen) = &mut slot.seen {
                seen.verdict = verdict;
            }
        });
    }

    /// A panic elsewhere cannot leave the slot half written, so poisoning is recovered from.
    fn slot<T>(&self, work: impl FnOnce(&mut Slot) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A configuration that accepts what `policy` allows, and the slot that tells what was seen.
#[must_use]
pub fn client_config(policy: PeerPolicy, versions: TlsVersions) -> (Arc<ClientConfig>, Observed) {
    client_config_with(policy, versions, CipherOrder::default())
}

/// Like [`client_config`], with the order of ciphers chosen.
///
/// # Panics
/// If the provider lacked suites for the protocol versions, which a change of its features would have to bring about.
#[must_use]
pub fn client_config_with(
    policy: PeerPolicy,
    versions: TlsVersions,
    order: CipherOrder,
) -> (Arc<ClientConfig>, Observed) {
    let mut provider = ring::default_provider();
    if order == CipherOrder::ChaCha20First {
        provider.cipher_suites.sort_by_key(|suite| !verify::is_chacha20(*suite));
    }
    let versions: &[&rustls::SupportedProtocolVersion] = match versions {
        TlsVersions::Tls12Only => &[&rustls::version::TLS12],
        TlsVersions::Tls12And13 => &[&rustls::version::TLS13, &rustls::version::TLS12],
    };
    let observed = Observed::default();
    let verifier =
        verify::Verifier::new(policy, provider.signature_verification_algorithms, observed.clone());
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("ring has suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::store(Arc::new(verify::Sessions::new(observed.clone())));
    (Arc::new(config), observed)
}
