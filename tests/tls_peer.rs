//! Handshakes in memory between our client configuration and rustls as a server, for every kind of certificate that peers
//! present, and for the lies that must not pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is surprised fails where it stands")]

mod support;

use std::sync::Arc;

use printernizer::net::tls::{
    CipherOrder, Observed, PeerPolicy, TlsVersions, Verdict, client_config, client_config_with,
};
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, ServerConfig};
use rustls::{ServerConnection, SupportedProtocolVersion, version};
use support::certificates::{Identity, Key, KeyKind, Version};
use support::scripted::server_config;

const NAME: &str = "PEER00000000001";
const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// Shakes hands until both are done; the client's error otherwise.
fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<ClientConnection, rustls::Error> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    // One more round after both are done lets session tickets pass.
    let mut rounds_left = 20;
    while rounds_left > 0 && (client.is_handshaking() || server.is_handshaking() || server.wants_write()) {
        rounds_left -= 1;
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        if server.process_new_packets().is_err() {
            break;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut left = bytes.as_slice();
        while !left.is_empty() {
            client.read_tls(&mut left).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking(), "the handshake is done");
    Ok(client)
}

fn policy(pin: Option<[u8; 32]>, name: Option<&str>) -> PeerPolicy {
    PeerPolicy { pinned_spki: pin, expected_common_name: name.map(str::to_owned) }
}

fn server(identity: &Identity) -> Arc<ServerConfig> {
    Arc::new(server_config(identity, BOTH))
}

fn verdict(observed: &Observed) -> Verdict {
    observed.get().expect("the peer was seen").verdict
}

#[test]
fn every_certificate_and_version_is_proved_and_pinned() {
    for kind in [KeyKind::Rsa2048, KeyKind::Rsa4096, KeyKind::EcP256] {
        let key = Key::generate(kind);
        for x509 in [Version::V1, Version::V3] {
            let server = server(&Identity::new(x509, NAME, &key));
            for versions in [TlsVersions::Tls12Only, TlsVersions::Tls12And13] {
                let (client, observed) = client_config(policy(None, Some(NAME)), versions);
                let session = shake(&client, &server).unwrap_or_else(|e| panic!("{kind:?} {x509:?}: {e}"));
                let expected = match versions {
                    TlsVersions::Tls12Only => ProtocolVersion::TLSv1_2,
                    TlsVersions::Tls12And13 => ProtocolVersion::TLSv1_3,
                };
                assert_eq!(session.protocol_version(), Some(expected));
                let seen = observed.get().unwrap();
                assert_eq!((seen.spki_sha256, seen.verdict), (key.pin(), Verdict::FirstUse));
                assert_eq!(seen.common_name.as_deref(), Some(NAME));

                let (client, observed) = client_config(policy(Some(key.pin()), Some(NAME)), versions);
                shake(&client, &server).unwrap();
                assert_eq!(verdict(&observed), Verdict::Matches);
            }
        }
    }
}

#[test]
fn a_changed_key_is_refused_and_reported() {
    let server = server(&Identity::new(Version::V1, NAME, Key::other()));
    let pinned = policy(Some(Key::shared().pin()), Some(NAME));
    let (client, observed) = client_config(pinned, TlsVersions::Tls12Only);
    shake(&client, &server).expect_err("another key");
    let seen = observed.get().unwrap();
    assert_eq!((seen.spki_sha256, seen.verdict), (Key::other().pin(), Verdict::KeyChanged));
}

#[test]
fn a_wrong_name_is_refused_before_a_changed_key() {
    let server = server(&Identity::new(Version::V3, "SOMEBODY-ELSE", Key::other()));
    let pinned = policy(Some(Key::shared().pin()), Some(NAME));
    let (client, observed) = client_config(pinned, TlsVersions::Tls12Only);
    shake(&client, &server).expect_err("another name");
    let seen = observed.get().unwrap();
    assert_eq!(seen.common_name.as_deref(), Some("SOMEBODY-ELSE"));
    assert_eq!(seen.verdict, Verdict::WrongName);
}

#[test]
fn a_name_is_compared_whole_and_with_its_case() {
    for other in [&NAME[..NAME.len() - 1], "PEER000000000012", "peer00000000001"] {
        let server = server(&Identity::new(Version::V1, other, Key::shared()));
        let (client, observed) = client_config(policy(None, Some(NAME)), TlsVersions::Tls12Only);
        shake(&client, &server).expect_err(other);
        assert_eq!(verdict(&observed), Verdict::WrongName);
    }
    let server = server(&Identity::new(Version::V1, "", Key::shared()));
    let (client, observed) = client_config(policy(None, Some(NAME)), TlsVersions::Tls12Only);
    shake(&client, &server).expect_err("no name");
    assert_eq!(verdict(&observed), Verdict::NoName);
    let (client, observed) = client_config(policy(None, None), TlsVersions::Tls12Only);
    shake(&client, &server).expect("no name is asked for");
    assert_eq!(verdict(&observed), Verdict::FirstUse);
}

#[test]
fn a_certificate_without_its_key_is_refused_and_never_counts_as_seen_safely() {
    // The right certificate, copied from the wire, shown by somebody who does not hold its key.
    let certificate = Identity::new(Version::V1, NAME, Key::shared()).certificate;
    let server = server(&Identity { key: Key::other().clone(), certificate });
    for versions in [TlsVersions::Tls12Only, TlsVersions::Tls12And13] {
        for pin in [None, Some(Key::shared().pin())] {
            let (client, observed) = client_config(policy(pin, Some(NAME)), versions);
            shake(&client, &server).expect_err("no proof");
            assert_eq!(verdict(&observed), Verdict::Unproven);
        }
    }
}

#[test]
fn bytes_that_are_no_certificate_are_refused() {
    let mut identity = Identity::new(Version::V1, NAME, Key::shared());
    identity.certificate.truncate(100);
    let (client, observed) = client_config(policy(None, None), TlsVersions::Tls12Only);
    shake(&client, &server(&identity)).expect_err("no certificate");
    assert_eq!(observed.get(), None);
    assert_eq!(observed.handshakes(), 1);
}

#[test]
fn tls_1_3_is_not_offered_to_those_who_cannot_bear_it() {
    let identity = Identity::new(Version::V3, NAME, Key::shared());
    let server = Arc::new(server_config(&identity, &[&version::TLS13]));
    let (client, observed) = client_config(policy(None, None), TlsVersions::Tls12Only);
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut connection = ClientConnection::new(client, name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    let mut session = ServerConnection::new(server).unwrap();
    session.read_tls(&mut hello.as_slice()).unwrap();
    session.process_new_packets().expect_err("a server that knows 1.3 only finds nothing to its taste");
    assert_eq!((observed.handshakes(), observed.get()), (1, None));
}

#[test]
fn a_session_resumes_and_keeps_what_was_seen() {
    let identity = Identity::new(Version::V1, NAME, Key::shared());
    let mut server = server_config(&identity, &[&version::TLS12]);
    server.session_storage = rustls::server::ServerSessionMemoryCache::new(8);
    let server = Arc::new(server);
    let pinned = policy(Some(Key::shared().pin()), Some(NAME));
    let (client, observed) = client_config(pinned, TlsVersions::Tls12Only);
    assert_eq!(shake(&client, &server).unwrap().handshake_kind(), Some(HandshakeKind::Full));
    assert_eq!(shake(&client, &server).unwrap().handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!((observed.handshakes(), verdict(&observed)), (2, Verdict::Matches));
    assert_eq!(observed.seen_since(1), None, "nothing was presented in the second handshake");
}

#[test]
fn the_order_of_ciphers_is_ours_to_choose() {
    let identity = Identity::new(Version::V3, NAME, Key::shared());
    // rustls as a server takes the client's order only when told to.
    let mut server = server_config(&identity, &[&version::TLS12]);
    server.ignore_client_order = false;
    let server = Arc::new(server);
    let chosen = |order| {
        let (client, _) = client_config_with(policy(None, None), TlsVersions::Tls12Only, order);
        shake(&client, &server).unwrap().negotiated_cipher_suite().unwrap().suite()
    };
    assert_eq!(chosen(CipherOrder::Provider), CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384);
    assert_eq!(chosen(CipherOrder::ChaCha20First), CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256);
}
