//! Just enough DER to know a certificate's key and name.
//!
//! The usual certificate library refuses X.509 version 1 before it looks at anything else, and peers on a local network
//! do present version 1. So the way to the two fields that matter is walked here: version (if any), serial, algorithm,
//! issuer, validity, subject, key. Nothing is copied, nothing recurses, extensions and signature are not read, and
//! whatever does not fit is [`None`], never a panic. Dates are not looked at: a board without a clock chip cannot judge them.

/// Longest certificate that is looked at, in bytes. RSA-4096 leaves need about 1.6 KiB; TLS itself would allow 16 MiB.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Longest common name that is believed, in bytes. X.520 allows 64 characters.
const COMMON_NAME_BYTES_MAX: usize = 64;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT`, around the version of certificates younger than version 1.
const VERSION: u8 = 0xa0;

/// The content of the object identifier 2.5.4.3, `commonName`.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// What is read of a certificate. Borrows from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf<'a> {
    /// The whole SubjectPublicKeyInfo with its header: the bytes whose hash is the pin.
    pub spki: &'a [u8],
    /// The content of the key's AlgorithmIdentifier, without its header.
    pub algorithm: &'a [u8],
    /// The key itself: the content of the bit string.
    pub key: &'a [u8],
    /// The subject's only common name, if there is exactly one and it is short printable text.
    pub common_name: Option<&'a str>,
}

impl<'a> Leaf<'a> {
    /// Reads a certificate; [`None`] if it is not one, is cut short, has bytes left over or is longer than 16 KiB.
    pub fn parse(certificate: &'a [u8]) -> Option<Leaf<'a>> {
        if certificate.len() > CERTIFICATE_BYTES_MAX {
            return None;
        }
        let mut outer = Reader(certificate);
        let mut certificate = Reader(outer.expect(SEQUENCE)?);
        outer.end()?;

        let mut fields = Reader(certificate.expect(SEQUENCE)?);
        certificate.expect(SEQUENCE)?; // the algorithm of the issuer's signature
        certificate.expect(BIT_STRING)?; // the issuer's signature
        certificate.end()?;

        if fields.peek() == Some(VERSION) {
            fields.expect(VERSION)?;
        }
        fields.expect(INTEGER)?; // serial number
        fields.expect(SEQUENCE)?; // signature algorithm
        fields.expect(SEQUENCE)?; // issuer
        fields.expect(SEQUENCE)?; // validity
        let subject = fields.expect(SEQUENCE)?;
        let spki = fields.next()?;
        if spki.tag != SEQUENCE {
            return None;
        }
        let mut key_info = Reader(spki.content);
        let algorithm = key_info.expect(SEQUENCE)?;
        let bits = key_info.expect(BIT_STRING)?;
        key_info.end()?;
        // The first octet of a bit string counts unused bits; a key is made of whole octets.
        let (unused, key) = bits.split_first()?;
        if *unused != 0 {
            return None;
        }
        Some(Leaf { spki: spki.whole, algorithm, key, common_name: common_name(subject)? })
    }
}

/// The only common name of a subject. The outer [`None`] means that the name is not well-formed DER.
fn common_name(subject: &[u8]) -> Option<Option<&str>> {
    let mut found = None;
    let mut names = 0_u32;
    let mut sets = Reader(subject);
    while !sets.is_empty() {
        let mut attributes = Reader(sets.expect(SET)?);
        while !attributes.is_empty() {
            let mut attribute = Reader(attributes.expect(SEQUENCE)?);
            let kind = attribute.expect(OBJECT_IDENTIFIER)?;
            let value = attribute.next()?;
            attribute.end()?;
            if kind == COMMON_NAME {
                names = names.saturating_add(1);
                found = printable(&value);
            }
        }
    }
    // Two names would let a peer be one thing to us and another to somebody else.
    Some(if names == 1 { found } else { None })
}

/// The text of a string, if it is one that may be shown and compared.
fn printable<'a>(value: &Element<'a>) -> Option<&'a str> {
    if !matches!(value.tag, UTF8_STRING | PRINTABLE_STRING | TELETEX_STRING | IA5_STRING) {
        return None;
    }
    if value.content.is_empty() || value.content.len() > COMMON_NAME_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(value.content).ok()?;
    if text.chars().any(char::is_control) { None } else { Some(text) }
}

/// One tag with its content.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    /// Header and content.
    whole: &'a [u8],
}

/// What is left to read at one level.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Nothing may be left.
    fn end(&self) -> Option<()> {
        if self.is_empty() { Some(()) } else { None }
    }

    /// The content of the next element, which must have this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let element = self.next()?;
        if element.tag == tag { Some(element.content) } else { None }
    }

    fn next(&mut self) -> Option<Element<'a>> {
        let (tag, rest) = self.0.split_first()?;
        // Tags of several octets do not occur in the fields that are walked.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = length(rest)?;
        if length > rest.len() {
            return None;
        }
        let (content, after) = rest.split_at(length);
        let whole = self.0.get(..self.0.len() - after.len())?;
        self.0 = after;
        Some(Element { tag: *tag, content, whole })
    }
}

/// Reads a definite length in its shortest form, which is the only form DER has.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match *first {
        short @ 0..=0x7f => Some((usize::from(short), rest)),
        0x81 => {
            let (value, rest) = rest.split_first()?;
            if *value < 0x80 { None } else { Some((usize::from(*value), rest)) }
        }
        0x82 => {
            let (value, rest) = rest.split_first_chunk::<2>()?;
            let value = u16::from_be_bytes(*value);
            if value < 0x100 { None } else { Some((usize::from(value), rest)) }
        }
        // Longer than any certificate that is looked at, or the indefinite form.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match content.len() {
            short @ 0..=0x7f => out.push(u8::try_from(short).unwrap()),
            middle @ 0x80..=0xff => out.extend([0x81, u8::try_from(middle).unwrap()]),
            long => {
                out.push(0x82);
                out.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        out.extend_from_slice(content);
        out
    }

    fn attribute(kind: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
        let pair = [element(OBJECT_IDENTIFIER, kind), element(tag, text)].concat();
        element(SET, &element(SEQUENCE, &pair))
    }

    /// A certificate with a key of `key_bytes` octets; version 1 has neither version field nor extensions.
    fn certificate(version_one: bool, subject: &[u8], key_bytes: usize) -> Vec<u8> {
        let algorithm = element(SEQUENCE, &element(OBJECT_IDENTIFIER, &[0x2a, 0x86, 0x48]));
        let mut key = vec![0];
        key.resize(key_bytes + 1, 0xa5);
        let spki = element(SEQUENCE, &[algorithm.clone(), element(BIT_STRING, &key)].concat());
        let mut fields = Vec::new();
        if !version_one {
            fields.extend(element(VERSION, &element(INTEGER, &[2])));
        }
        fields.extend(element(INTEGER, &[1]));
        fields.extend(algorithm.clone());
        fields.extend(element(SEQUENCE, &attribute(COMMON_NAME, UTF8_STRING, b"the issuer")));
        fields.extend(element(SEQUENCE, b"\x17\x01a\x17\x01b"));
        fields.extend(element(SEQUENCE, subject));
        fields.extend(spki);
        if !version_one {
            fields.extend(element(0xa3, &element(SEQUENCE, &[])));
        }
        let signature = element(BIT_STRING, &[0; 257]);
        element(SEQUENCE, &[element(SEQUENCE, &fields), algorithm, signature].concat())
    }

    fn named(text: &[u8]) -> Vec<u8> {
        certificate(true, &attribute(COMMON_NAME, UTF8_STRING, text), 270)
    }

    #[test]
    fn both_versions_and_all_key_sizes_are_read() {
        // P-256, RSA-2048 and RSA-4096 keys have 65, 270 and 526 octets.
        for key_bytes in [65, 270, 526] {
            for version_one in [true, false] {
                let subject = [
                    attribute(&[0x55, 0x04, 0x0a], PRINTABLE_STRING, b"Somebody"),
                    attribute(COMMON_NAME, PRINTABLE_STRING, b"PEER0001"),
                ]
                .concat();
                let der = certificate(version_one, &subject, key_bytes);
                let leaf = Leaf::parse(&der).unwrap();
                assert_eq!(leaf.common_name, Some("PEER0001"));
                assert_eq!(leaf.key, vec![0xa5; key_bytes]);
                assert_eq!(leaf.algorithm, [OBJECT_IDENTIFIER, 3, 0x2a, 0x86, 0x48]);
                assert_eq!(leaf.spki[0], SEQUENCE);
                assert!(leaf.spki.ends_with(leaf.key));
            }
        }
    }

    #[test]
    fn a_certificate_cut_at_any_byte_is_refused() {
        for version_one in [true, false] {
            let der = certificate(version_one, &attribute(COMMON_NAME, UTF8_STRING, b"PEER0001"), 526);
            assert!(Leaf::parse(&der).is_some());
            for cut in 0..der.len() {
                assert_eq!(Leaf::parse(&der[..cut]), None, "cut at {cut}");
            }
            let longer = [der.as_slice(), &[0]].concat();
            assert_eq!(Leaf::parse(&longer), None);
        }
    }

    #[test]
    fn a_changed_byte_never_panics_and_never_reaches_outside() {
        let der = certificate(false, &attribute(COMMON_NAME, UTF8_STRING, b"PEER0001"), 65);
        for at in 0..der.len() {
            for value in [0x00, 0x01, 0x1f, 0x30, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xff] {
                let mut changed = der.clone();
                changed[at] = value;
                if let Some(leaf) = Leaf::parse(&changed) {
                    assert!(leaf.spki.len() < changed.len());
                }
            }
        }
    }

    #[test]
    fn names_that_could_mislead_are_no_names() {
        let common_name = |subject: &[u8]| {
            let der = certificate(true, subject, 65);
            Leaf::parse(&der).unwrap().common_name.map(str::to_owned)
        };
        assert_eq!(common_name(&[]), None);
        assert_eq!(common_name(&attribute(COMMON_NAME, UTF8_STRING, b"")), None);
        assert_eq!(common_name(&attribute(COMMON_NAME, UTF8_STRING, b"a\nb")), None);
        assert_eq!(common_name(&attribute(COMMON_NAME, UTF8_STRING, &[0xff])), None);
        assert_eq!(common_name(&attribute(COMMON_NAME, UTF8_STRING, &[b'a'; 65])), None);
        assert_eq!(common_name(&attribute(COMMON_NAME, 0x1e, b"\0a\0b")), None);
        let twice = [attribute(COMMON_NAME, UTF8_STRING, b"a"), attribute(COMMON_NAME, UTF8_STRING, b"b")];
        assert_eq!(common_name(&twice.concat()), None);
        assert_eq!(common_name(&attribute(COMMON_NAME, UTF8_STRING, b"a")), Some("a".to_owned()));
    }

    #[test]
    fn a_certificate_beyond_the_bound_is_refused() {
        assert!(Leaf::parse(&named(b"a")).is_some());
        let der = certificate(true, &attribute(COMMON_NAME, UTF8_STRING, b"a"), CERTIFICATE_BYTES_MAX);
        assert_eq!(Leaf::parse(&der), None);
    }

    #[test]
    fn lengths_have_one_form() {
        assert_eq!(length(&[0x7f, 1]), Some((127, &[1][..])));
        assert_eq!(length(&[0x81, 0x80]), Some((128, &[][..])));
        assert_eq!(length(&[0x82, 0x01, 0x00]), Some((256, &[][..])));
        for wrong in
            [&[][..], &[0x80], &[0x81, 0x7f], &[0x82, 0x00, 0xff], &[0x83, 1, 0, 0], &[0x82, 1], &[0xff]]
        {
            assert_eq!(length(wrong), None);
        }
    }
}
