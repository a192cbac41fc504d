//! Digest authentication (RFC 2069, 2617 and 7616), the client's side: challenges in, `Authorization` values out. Pure.
//!
//! Three dialects are met: without `qop` (RFC 2069), with `qop="auth"`, and the `-sess` variants, whose first hash is
//! bound to nonce and client nonce. `qop` is answered only where the peer offered it: one that did not ask for it may
//! compute the short form only. `auth-int` is not spoken.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::base::md5::Md5;
use crate::base::secret::Secret;

/// Bytes of one `WWW-Authenticate` value that are looked at; real ones have about 200.
const CHALLENGE_BYTES_MAX: usize = 2048;
/// Parameters of one challenge that are looked at; the standard knows ten.
const PARAMETERS_MAX: usize = 16;

/// How values are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// The old one.
    Md5,
    /// RFC 7616.
    Sha256,
}

/// What a peer demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whom the password is for.
    pub realm: String,
    /// The peer's number; answers are good for as long as the peer likes it.
    pub nonce: String,
    opaque: Option<String>,
    /// `algorithm` as the peer wrote it; `None` where it did not.
    algorithm: Option<String>,
    hash: Hash,
    session: bool,
    /// Whether `qop="auth"` was offered.
    pub qop: bool,
    /// The answer was right, but for an old nonce.
    pub stale: bool,
}

impl Challenge {
    /// The digest challenge in a `WWW-Authenticate` value, which may hold challenges of other schemes as well. `None` where
    /// there is none, or none that is spoken here.
    #[must_use]
    pub fn parse(value: &str) -> Option<Challenge> {
        let value = value.get(..value.len().min(CHALLENGE_BYTES_MAX))?;
        let mut rest = value;
        // Schemes and parameters are separated by the same comma: a word that no `=` follows is a scheme.
        let mut scheme = "";
        let mut found: Vec<(String, String)> = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let word_end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(word_end);
            if word.is_empty() {
                break;
            }
            let after_blanks = after.trim_start_matches([' ', '\t']);
            let Some(after_sign) = after_blanks.strip_prefix('=') else {
                if scheme.eq_ignore_ascii_case("digest") && !found.is_empty() {
                    break; // The digest challenge is over.
                }
                scheme = word;
                rest = after;
                continue;
            };
            let (text, after) = parameter(after_sign.trim_start_matches([' ', '\t']))?;
            if scheme.eq_ignore_ascii_case("digest") && found.len() < PARAMETERS_MAX {
                found.push((word.to_ascii_lowercase(), text));
            }
            rest = after;
        }
        Challenge::of(&found)
    }

    fn of(found: &[(String, String)]) -> Option<Challenge> {
        let get = |name: &str| found.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let plain = |text: &String| text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        let algorithm = get("algorithm");
        let (hash, session) = match algorithm.as_deref().unwrap_or("MD5").to_ascii_uppercase().as_str() {
            "MD5" => (Hash::Md5, false),
            "MD5-SESS" => (Hash::Md5, true),
            "SHA-256" => (Hash::Sha256, false),
            "SHA-256-SESS" => (Hash::Sha256, true),
            _ => return None,
        };
        let offered = get("qop");
        let qop = offered.as_deref().is_some_and(|list| {
            list.split([',', ' ']).any(|offer| offer.trim().eq_ignore_ascii_case("auth"))
        });
        if offered.is_some() && !qop {
            return None; // Only `auth-int`.
        }
        let realm = get("realm").unwrap_or_default();
        let nonce = get("nonce").filter(|nonce| !nonce.is_empty())?;
        let opaque = get("opaque");
        // All of these are sent back: nothing may break out of the header line.
        if ![Some(&realm), Some(&nonce), opaque.as_ref(), algorithm.as_ref()].into_iter().flatten().all(plain)
        {
            return None;
        }
        let stale = get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
        Some(Challenge { realm, nonce, opaque, algorithm, hash, session, qop, stale })
    }
}

/// One value, quoted or not, and what follows it. `None` where a quote does not end.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// Answers to one challenge, for as long as its nonce is good.
#[derive(Clone, Debug)]
pub struct Answers {
    challenge: Challenge,
    /// Chosen once for a nonce: `-sess` hashes are bound to it.
    client_nonce: String,
    count: u32,
}

impl Answers {
    /// Answers to `challenge`. `client_nonce` is any number that is not used twice.
    #[must_use]
    pub fn new(challenge: Challenge, client_nonce: u64) -> Answers {
        Answers { challenge, client_nonce: format!("{client_nonce:016x}"), count: 0 }
    }

    /// The challenge.
    #[must_use]
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The `Authorization` value for one request. `target` is the request target exactly as it is sent.
    pub fn header(&mut self, user: &str, password: &Secret, method: &str, target: &str) -> String {
        self.count = self.count.wrapping_add(1);
        let of = &self.challenge;
        let hash = |parts: &[&str]| hash(of.hash, parts);
        let mut first = hash(&[user, of.realm.as_str(), password.reveal()]);
        if of.session {
            first = hash(&[first.as_str(), of.nonce.as_str(), self.client_nonce.as_str()]);
        }
        let second = hash(&[method, target]);
        let count = format!("{:08x}", self.count);
        let response = if of.qop {
            hash(&[&first, &of.nonce, &count, &self.client_nonce, "auth", &second])
        } else {
            hash(&[&first, &of.nonce, &second])
        };
        let mut header = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{target}\", response=\"{response}\"",
            escaped(user),
            escaped(&of.realm),
            escaped(&of.nonce),
        );
        if let Some(algorithm) = &of.algorithm {
            let _ = write!(header, ", algorithm={algorithm}");
        }
        if let Some(opaque) = &of.opaque {
            let _ = write!(header, ", opaque=\"{}\"", escaped(opaque));
        }
        if of.qop {
            let _ = write!(header, ", qop=auth, nc={count}, cnonce=\"{}\"", self.client_nonce);
        } else if of.session {
            let _ = write!(header, ", cnonce=\"{}\"", self.client_nonce);
        }
        header
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The hash of `parts` joined by colons, in lower-case hex.
fn hash(hash: Hash, parts: &[&str]) -> String {
    let joined = parts.join(":");
    let mut text = String::new();
    let mut push = |byte: u8| {
        let _ = write!(text, "{byte:02x}");
    };
    match hash {
        Hash::Md5 => {
            let mut md5 = Md5::default();
            md5.update(joined.as_bytes());
            md5.finish().into_iter().for_each(&mut push);
        }
        Hash::Sha256 => Sha256::digest(joined.as_bytes()).iter().copied().for_each(&mut push),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'h>(header: &'h str, name: &str) -> &'h str {
        let start = header.find(&format!("{name}=")).unwrap() + name.len() + 1;
        header[start..].trim_start_matches('"').split(['"', ',']).next().unwrap()
    }

    #[test]
    fn the_examples_of_the_standards() {
        // RFC 2617, section 3.5.
        let old = Challenge::parse(
            r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
        )
        .unwrap();
        let mut answers = Answers { challenge: old.clone(), client_nonce: "0a4f113b".into(), count: 0 };
        let header = answers.header("Mufasa", &Secret::new("Circle Of Life"), "GET", "/dir/index.html");
        assert_eq!(field(&header, "response"), "6629fae49393a05397450978507c4ef1");
        assert_eq!(field(&header, "opaque"), "5ccc069c403ebaf9f0171e9517f40e41");
        assert_eq!(field(&header, "nc"), "00000001");
        // RFC 7616, section 3.9.1.
        let new = Challenge::parse(
            r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
        )
        .unwrap();
        let client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".to_owned();
        let mut answers = Answers { challenge: new, client_nonce, count: 0 };
        let header = answers.header("Mufasa", &Secret::new("Circle of Life"), "GET", "/dir/index.html");
        assert_eq!(
            field(&header, "response"),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn the_short_form_where_no_qop_is_offered() {
        let challenge =
            Challenge::parse(r#"Digest realm="Printer API", nonce="0123456700000001", stale=false"#).unwrap();
        let mut answers = Answers::new(challenge, 1);
        let header = answers.header("maker", &Secret::new("secret"), "GET", "/api/version");
        // echo -n maker:"Printer API":secret | md5sum, and so on, by hand.
        let first = hash(Hash::Md5, &["maker", "Printer API", "secret"]);
        let second = hash(Hash::Md5, &["GET:/api/version"]);
        let response = hash(Hash::Md5, &[&first, "0123456700000001", &second]);
        assert_eq!(field(&header, "response"), response);
        assert!(!header.contains("qop") && !header.contains("cnonce") && !header.contains("algorithm"));
        assert!(!header.contains("secret"));
    }

    #[test]
    fn the_session_form_binds_the_client_nonce() {
        let challenge = Challenge::parse(
            r#"Digest realm="Administrator",nonce="n",opaque="o",algorithm=MD5-sess,qop="auth",stale=false"#,
        )
        .unwrap();
        let mut answers = Answers::new(challenge, 0xabc);
        for count in ["00000001", "00000002"] {
            let header = answers.header("me", &Secret::new("pw"), "PUT", "/api/v1/job/3/pause");
            let inner = hash(Hash::Md5, &["me:Administrator:pw"]);
            let first = hash(Hash::Md5, &[&inner, "n", "0000000000000abc"]);
            let second = hash(Hash::Md5, &["PUT:/api/v1/job/3/pause"]);
            let response = hash(Hash::Md5, &[&first, "n", count, "0000000000000abc", "auth", &second]);
            assert_eq!(field(&header, "response"), response, "{header}");
            assert_eq!(field(&header, "algorithm"), "MD5-sess");
        }
    }

    #[test]
    fn challenges_as_they_are_met() {
        let parse = |text: &str| Challenge::parse(text).map(|found| (found.realm, found.nonce, found.stale));
        let some = |realm: &str, nonce: &str, stale| Some((realm.to_owned(), nonce.to_owned(), stale));
        for (text, expected) in [
            (r#"Digest realm="Printer API", nonce="a1", stale=true"#, some("Printer API", "a1", true)),
            // 4.5.3 puts the value in quotes.
            (r#"Digest realm="Printer API", nonce="a1", stale="true""#, some("Printer API", "a1", true)),
            (r#"digest NONCE=a1 , Realm = "x\"y\\""#, some("x\"y\\", "a1", false)),
            (r#"ApiKey realm="Printer API", Digest realm="r", nonce="n""#, some("r", "n", false)),
            (r#"Digest realm="r", nonce="n", Basic realm="other""#, some("r", "n", false)),
            (r#"Basic realm="Digest nonce=1""#, None),
            (r#"ApiKey realm="Printer API""#, None),
            (r#"Digest realm="r""#, None),
            (r#"Digest realm="r", nonce="""#, None),
            (r#"Digest realm="r", nonce="n", algorithm=SHA-512-256"#, None),
            (r#"Digest realm="r", nonce="n", qop="auth-int""#, None),
            (r#"Digest realm="r, nonce="n""#, None),
            (r#"Digest realm="r", nonce="ä""#, None),
            ("Digest", None),
            ("", None),
            ("=", None),
            (",,,", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert!(parse(&format!("Digest nonce=n, {}", "a=b,".repeat(5_000))).is_some());
    }

    #[test]
    fn no_value_breaks_out_of_its_quotes() {
        let challenge = Challenge::parse(r#"Digest realm="a\", uri=\"x", nonce="n""#).unwrap();
        let header = Answers::new(challenge, 1).header("u\"v", &Secret::new("p"), "GET", "/");
        assert!(header.contains(r#"realm="a\", uri=\"x""#), "{header}");
        assert!(header.contains(r#"username="u\"v""#), "{header}");
    }
}
