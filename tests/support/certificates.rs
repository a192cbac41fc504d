//! Keys from the `openssl` command, certificates put together here: its tools differ in whether they will still write
//! X.509 version 1, and the tests need both versions.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustls::SignatureScheme;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};

/// The kinds of keys that peers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Rsa2048,
    Rsa4096,
    EcP256,
}

/// The versions of X.509 that peers present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V3,
}

/// A private key.
#[derive(Clone)]
pub struct Key {
    kind: KeyKind,
    /// PKCS#8.
    der: Vec<u8>,
    /// SubjectPublicKeyInfo.
    spki: Vec<u8>,
}

impl Key {
    /// Makes a new key.
    pub fn generate(kind: KeyKind) -> Key {
        let options: &[&str] = match kind {
            KeyKind::Rsa2048 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            KeyKind::Rsa4096 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
            KeyKind::EcP256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        };
        let pem = openssl(&[&["genpkey"], options].concat(), &[]);
        let der = openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &pem);
        let spki = openssl(&["pkey", "-pubout", "-outform", "DER"], &pem);
        Key { kind, der, spki }
    }

    /// A key made once for the whole test program; most tests do not care which it is.
    pub fn shared() -> &'static Key {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(|| Key::generate(KeyKind::Rsa2048))
    }

    /// Another key than [`Key::shared`].
    pub fn other() -> &'static Key {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(|| Key::generate(KeyKind::Rsa2048))
    }

    /// The SHA-256 over the SubjectPublicKeyInfo.
    pub fn pin(&self) -> [u8; 32] {
        Sha256::digest(&self.spki).into()
    }

    /// The private key for rustls.
    pub fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.der.clone()))
    }
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Identity {
    pub key: Key,
    /// The certificate in DER.
    pub certificate: Vec<u8>,
}

impl Identity {
    /// A self-made certificate without alternative names, as the peers of interest carry it.
    pub fn new(version: Version, common_name: &str, key: &Key) -> Identity {
        let subject = name(&[(&[0x55, 0x04, 0x03], common_name)]);
        let issuer = name(&[(&[0x55, 0x04, 0x0a], "Test Makers"), (&[0x55, 0x04, 0x03], "Test CA")]);
        let algorithm = match key.kind {
            // sha256WithRSAEncryption and ecdsa-with-SHA256.
            KeyKind::Rsa2048 | KeyKind::Rsa4096 => {
                [oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b]), element(0x05, &[])].concat()
            }
            KeyKind::EcP256 => oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]),
        };
        let algorithm = element(0x30, &algorithm);
        let dates = [element(0x17, b"200101000000Z"), element(0x17, b"491231235959Z")].concat();
        let mut fields = Vec::new();
        if version == Version::V3 {
            fields.extend(element(0xa0, &element(0x02, &[2])));
        }
        fields.extend(element(0x02, &[0x12, 0x34, 0x56]));
        fields.extend_from_slice(&algorithm);
        fields.extend(issuer);
        fields.extend(element(0x30, &dates));
        fields.extend(subject);
        fields.extend_from_slice(&key.spki);
        if version == Version::V3 {
            // basicConstraints, CA:FALSE
            let extension = [oid(&[0x55, 0x1d, 0x13]), element(0x04, &element(0x30, &[]))].concat();
            fields.extend(element(0xa3, &element(0x30, &element(0x30, &extension))));
        }
        let fields = element(0x30, &fields);
        let signature = [&[0], sign(key, &fields).as_slice()].concat();
        let certificate = element(0x30, &[fields, algorithm, element(0x03, &signature)].concat());
        Identity { key: key.clone(), certificate }
    }

    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key.der)
    }

    pub fn certificate_der(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.certificate.clone())
    }
}

fn sign(key: &Key, message: &[u8]) -> Vec<u8> {
    let scheme = match key.kind {
        KeyKind::Rsa2048 | KeyKind::Rsa4096 => SignatureScheme::RSA_PKCS1_SHA256,
        KeyKind::EcP256 => SignatureScheme::ECDSA_NISTP256_SHA256,
    };
    let signer = rustls::crypto::ring::sign::any_supported_type(&key.private()).unwrap();
    signer.choose_scheme(&[scheme]).unwrap().sign(message).unwrap()
}

fn name(parts: &[(&[u8], &str)]) -> Vec<u8> {
    let sets: Vec<u8> = parts
        .iter()
        .flat_map(|(kind, text)| {
            let pair = [oid(kind), element(0x0c, text.as_bytes())].concat();
            element(0x31, &element(0x30, &pair))
        })
        .collect();
    element(0x30, &sets)
}

fn oid(content: &[u8]) -> Vec<u8> {
    element(0x06, content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => vec![tag, short],
        Ok(middle) => vec![tag, 0x81, middle],
        Err(_) => {
            let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
            vec![tag, 0x82, high, low]
        }
    };
    out.extend_from_slice(content);
    out
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64(der).as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place > chunk.len() {
                text.push('=');
            } else {
                text.push(char::from(ALPHABET[(group >> (18 - 6 * place) & 0x3f) as usize]));
            }
        }
    }
    text
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tests need the Debian package `openssl`");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {complaint}");
    output.stdout
}
