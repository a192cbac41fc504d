//! Who may ask: the digest of RFC 2069 as the firmware computes it, or the password itself as `X-Api-Key`.
//!
//! Of an `Authorization` header only nonce and response are looked at; user, realm, address, `qop`, `nc` and `cnonce`
//! are read over. A nonce is 64 bits: 32 that change with every boot, 32 of uptime.

use super::md5;
use super::request::{Credentials, Request};

/// The only user there is.
const USER: &str = "maker";
/// The realm.
const REALM: &str = "Printer API";

/// How a request was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Come in.
    Welcome,
    /// The key is wrong.
    WrongKey,
    /// No credentials, or a digest that does not fit the password.
    Unknown,
    /// The digest fits the password, but its nonce is too old or from before the last boot.
    Stale,
}

/// What the judgement depends on.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// The password; an empty one opens nothing.
    pub password: String,
    /// Whether this firmware knows digests at all (4.4 does not).
    pub knows_digest: bool,
    /// The half of the nonce that changes with every boot.
    pub boot_half: u32,
    /// Seconds since the boot.
    pub uptime_s: u32,
    /// How long a nonce is good for this method.
    pub lifetime_s: u32,
    /// 4.5.3 and 4.5.4 put the value of `stale` into quotes.
    pub quotes_stale: bool,
}

impl Keeper {
    /// Judges a request.
    pub fn judge(&self, request: &Request) -> Verdict {
        if self.password.is_empty() {
            return Verdict::Unknown;
        }
        match &request.credentials {
            Credentials::Key(key) if key.as_slice() == self.password.as_bytes() => Verdict::Welcome,
            Credentials::Key(_) => Verdict::WrongKey,
            Credentials::Digest { nonce, response } if self.knows_digest => {
                match (*response == self.expected(*nonce, request), self.is_fresh(*nonce)) {
                    (true, true) => Verdict::Welcome,
                    (true, false) => Verdict::Stale,
                    (false, _) => Verdict::Unknown,
                }
            }
            Credentials::Digest { .. } | Credentials::None => Verdict::Unknown,
        }
    }

    /// The header that goes with a refusal.
    pub fn challenge(&self, verdict: Verdict) -> String {
        if verdict == Verdict::WrongKey || !self.knows_digest {
            return format!("WWW-Authenticate: ApiKey realm=\"{REALM}\"");
        }
        let nonce = u64::from(self.boot_half) << 32 | u64::from(self.uptime_s);
        let quote = if self.quotes_stale { "\"" } else { "" };
        let is_stale = verdict == Verdict::Stale;
        format!(
            "WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{nonce:016x}\", stale={quote}{is_stale}{quote}"
        )
    }

    fn is_fresh(&self, nonce: u64) -> bool {
        let made_at = nonce & 0xffff_ffff;
        let age = u64::from(self.uptime_s).checked_sub(made_at);
        nonce >> 32 == u64::from(self.boot_half) && age.is_some_and(|age| age < u64::from(self.lifetime_s))
    }

    fn expected(&self, nonce: u64, request: &Request) -> [u8; 16] {
        let user = md5::hex(format!("{USER}:{REALM}:{}", self.password).as_bytes());
        let mut question = format!("{}:", request.method.name()).into_bytes();
        question.extend_from_slice(&request.target);
        md5::sum(format!("{user}:{nonce:016x}:{}", md5::hex(&question)).as_bytes())
    }
}
