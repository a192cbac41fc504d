//! The certificates that Bambu Lab printers present: a leaf whose common name is the serial number and that has
//! no subject alternative name, issued by the maker's authority.
//!
//! Two generations: X.509 **version 1** leaves (no version field, no extensions, which webpki rejects) issued by
//! `BBL CA` and sent together with it, and version 3 leaves issued by a device authority and sent alone.

use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer};
use serde::{Deserialize, Serialize};

use super::der;
use super::key::RsaKey;

/// `2.5.4.3`, common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `2.5.4.6`, country.
const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
/// `2.5.4.10`, organisation.
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
/// `1.2.840.113549.1.1.1`, rsaEncryption.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// `1.2.840.113549.1.1.11`, sha256WithRSAEncryption.
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
/// `2.5.29.19`, basicConstraints.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// `2.5.29.15`, keyUsage.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

/// Which of the two generations of certificates a printer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateVersion {
    /// X.509 version 1, chain of leaf and `BBL CA`.
    V1,
    /// X.509 version 3, leaf only, issued by a device authority.
    V3,
}

/// A leaf with what it is sent with, and its private key.
#[derive(Debug)]
pub struct Identity {
    /// The certificates in the order in which they are sent, the leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
}

/// Makes the identity of a printer. The same arguments give the same bytes, because this kind of signature is
/// deterministic too. `generation` counts changed keys (a swapped mainboard).
///
/// # Errors
/// When ring refuses a key, which would be a defect of this crate.
pub fn identity(
    common_name: &str,
    serial: &str,
    generation: u32,
    version: CertificateVersion,
    bits: u64,
) -> Result<Identity, &'static str> {
    let leaf_key = RsaKey::from_seed(&format!("printer {serial} {generation}"), bits);
    let authority_key = RsaKey::from_seed("authority", 2048);
    let authority = match version {
        CertificateVersion::V1 => name("BBL CA"),
        CertificateVersion::V3 => name("BBL Device CA N7-V2"),
    };
    let subject = der::sequence(&[relative_name(COMMON_NAME, common_name)]);
    let leaf = certificate(&Body {
        version,
        number: 0x1000 + generation,
        issuer: &authority,
        subject: &subject,
        key: &leaf_key,
        is_authority: false,
        signer: &authority_key,
    })?;
    let mut chain = vec![CertificateDer::from(leaf)];
    if version == CertificateVersion::V1 {
        let body = Body {
            version: CertificateVersion::V3,
            number: 1,
            issuer: &authority,
            subject: &authority,
            key: &authority_key,
            is_authority: true,
            signer: &authority_key,
        };
        chain.push(CertificateDer::from(certificate(&body)?));
    }
    Ok(Identity { chain, key: PrivatePkcs1KeyDer::from(leaf_key.pkcs1.clone()).into() })
}

struct Body<'a> {
    version: CertificateVersion,
    number: u32,
    issuer: &'a [u8],
    subject: &'a [u8],
    key: &'a RsaKey,
    is_authority: bool,
    signer: &'a RsaKey,
}

fn certificate(body: &Body<'_>) -> Result<Vec<u8>, &'static str> {
    let algorithm = der::sequence(&[der::object_identifier(SHA256_WITH_RSA), der::tagged(5, &[])]);
    let key_algorithm = der::sequence(&[der::object_identifier(RSA_ENCRYPTION), der::tagged(5, &[])]);
    let mut parts = vec![
        der::unsigned(&body.number.to_be_bytes()),
        algorithm.clone(),
        body.issuer.to_vec(),
        // Ten years, as seen on real printers.
        der::sequence(&[der::utc_time("250101000000Z"), der::utc_time("350101000000Z")]),
        body.subject.to_vec(),
        der::sequence(&[key_algorithm, der::bit_string(&body.key.public_pkcs1())]),
    ];
    if body.version == CertificateVersion::V3 {
        // Version 3 is the number 2 in an explicit tag; version 1 is the absence of the field.
        parts.insert(0, der::tagged(0xa0, &der::unsigned(&[2])));
        parts.push(der::tagged(0xa3, &extensions(body.is_authority)));
    }
    let to_be_signed = der::sequence(&parts);
    let pair = KeyPair::from_der(&body.signer.pkcs1).map_err(|_| "ring refused the signing key")?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &to_be_signed, &mut signature)
        .map_err(|_| "ring could not sign the certificate")?;
    Ok(der::sequence(&[to_be_signed, algorithm, der::bit_string(&signature)]))
}

fn extensions(is_authority: bool) -> Vec<u8> {
    let is_critical = der::tagged(1, &[0xff]);
    // The first byte counts unused bits: keyCertSign and cRLSign are bits 5 and 6, digitalSignature and
    // keyEncipherment are bits 0 and 2.
    let usage: &[u8] = if is_authority { &[1, 0x06] } else { &[5, 0xa0] };
    let constraints =
        if is_authority { der::sequence(&[der::tagged(1, &[0xff])]) } else { der::sequence(&[]) };
    der::sequence(&[
        der::sequence(&[
            der::object_identifier(BASIC_CONSTRAINTS),
            is_critical.clone(),
            der::tagged(4, &constraints),
        ]),
        der::sequence(&[
            der::object_identifier(KEY_USAGE),
            is_critical,
            der::tagged(4, &der::tagged(3, usage)),
        ]),
    ])
}

fn name(common_name: &str) -> Vec<u8> {
    der::sequence(&[
        relative_name(COUNTRY, "CN"),
        relative_name(ORGANISATION, "BBL Technologies Co., Ltd"),
        relative_name(COMMON_NAME, common_name),
    ])
}

fn relative_name(attribute: &[u8], value: &str) -> Vec<u8> {
    der::set(&[der::sequence(&[der::object_identifier(attribute), der::utf8(value)])])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes after the headers of the certificate and of its signed part.
    fn signed_part(der: &[u8]) -> &[u8] {
        assert_eq!((der[0], der[1], der[4], der[5]), (0x30, 0x82, 0x30, 0x82));
        &der[8..]
    }

    #[test]
    fn the_old_generation_has_no_version_field() {
        let identity = identity("SERIAL", "SERIAL", 0, CertificateVersion::V1, 2048).expect("an identity");
        assert_eq!(identity.chain.len(), 2);
        // It begins with the serial number, an INTEGER, where version 3 has the explicit tag.
        assert_eq!(signed_part(&identity.chain[0])[0], 0x02);
    }

    #[test]
    fn the_new_generation_says_version_three_and_comes_alone() {
        let identity = identity("SERIAL", "SERIAL", 0, CertificateVersion::V3, 2048).expect("an identity");
        assert_eq!(identity.chain.len(), 1);
        assert_eq!(signed_part(&identity.chain[0])[..5], [0xa0, 3, 2, 1, 2]);
    }

    #[test]
    fn a_changed_key_keeps_the_name() {
        let first = identity("SERIAL", "SERIAL", 0, CertificateVersion::V1, 2048).expect("an identity");
        let again = identity("SERIAL", "SERIAL", 0, CertificateVersion::V1, 2048).expect("an identity");
        let changed = identity("SERIAL", "SERIAL", 1, CertificateVersion::V1, 2048).expect("an identity");
        assert_eq!(first.chain, again.chain);
        assert_ne!(first.chain[0], changed.chain[0]);
        assert_eq!(first.chain[1], changed.chain[1]);
    }
}
