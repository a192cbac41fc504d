//! Which proof of identity to show next, and what a refusal means: pure.
//!
//! A secret is never shown in clear to a peer that takes digests: a key goes out only where the user gave one as such, or
//! where the peer offers no digest that is spoken here, or where it refused the digest and the user named nobody whose
//! password it could be (then the one secret may be a key). Where a digest was accepted once, the password stays hidden.

use super::digest::{Answers, Challenge};
use crate::base::secret::Secret;

/// Requests that one exchange may take: without proof, with a digest, with the digest for a newer nonce, with a key.
pub const SENDS_MAX: usize = 4;

/// What the user gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Whose password it is; where it is `None`, [`Credentials::usual_user`].
    pub user: Option<String>,
    /// The name to use where the user gave none.
    pub usual_user: String,
    /// The password, or a key in its place.
    pub password: Option<Secret>,
    /// A key that was given as such.
    pub key: Option<Secret>,
}

/// What to show with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing.
    None,
    /// `Authorization` with this value.
    Digest(String),
    /// `X-Api-Key` with this value.
    Key(Secret),
}

/// What the peer's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is one to the request.
    Answered,
    /// Send it again, with the next proof.
    Again,
    /// Nothing that the user gave is accepted.
    Refused,
}

#[derive(Clone, Debug)]
enum Way {
    Unknown,
    Digest(Answers),
    Key,
}

/// What is known of a peer's way to let us in. Kept between requests.
#[derive(Clone, Debug)]
pub struct Login {
    credentials: Credentials,
    way: Way,
    /// A digest has been accepted: the password is never shown in clear from then on.
    proven: bool,
    /// The last challenge, for those who read something out of it.
    seen: Option<Challenge>,
}

/// One exchange: what was shown so far.
#[derive(Clone, Debug)]
pub struct Exchange {
    shown: Shown,
    sends: usize,
    keys_tried: bool,
    digests_refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// For a nonce of an earlier exchange.
    OldDigest,
    FreshDigest,
    Key,
}

impl Login {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(credentials: Credentials) -> Login {
        Login { credentials, way: Way::Unknown, proven: false, seen: None }
    }

    /// Towards somebody who may be a stranger: no key is shown, and the password never in clear.
    #[must_use]
    pub fn digest_only(credentials: Credentials) -> Login {
        Login { proven: true, ..Login::new(Credentials { key: None, ..credentials }) }
    }

    /// The last challenge of the peer.
    #[must_use]
    pub fn challenge(&self) -> Option<&Challenge> {
        self.seen.as_ref()
    }

    /// Begins an exchange.
    #[must_use]
    pub fn begin(&self) -> Exchange {
        let shown = match &self.way {
            Way::Digest(_) => Shown::OldDigest,
            Way::Key => Shown::Key,
            Way::Unknown if self.credentials.password.is_none() && self.credentials.key.is_some() => {
                Shown::Key
            }
            Way::Unknown => Shown::Nothing,
        };
        Exchange { shown, sends: 0, keys_tried: shown == Shown::Key, digests_refused: false }
    }

    /// What to show with the next request of `exchange`.
    pub fn proof(&mut self, exchange: &mut Exchange, method: &str, target: &str) -> Proof {
        exchange.sends += 1;
        let user = self.credentials.user.as_deref().unwrap_or(&self.credentials.usual_user);
        match (exchange.shown, &mut self.way, &self.credentials.password) {
            (Shown::OldDigest | Shown::FreshDigest, Way::Digest(answers), Some(password)) => {
                Proof::Digest(answers.header(user, password, method, target))
            }
            (Shown::Key, ..) => self.key().cloned().map_or(Proof::None, Proof::Key),
            _ => Proof::None,
        }
    }

    /// What the answer means. `client_nonce` is any number that is not used twice.
    pub fn judge(
        &mut self,
        exchange: &mut Exchange,
        status: u16,
        challenge: Option<Challenge>,
        client_nonce: u64,
    ) -> Verdict {
        let digest = matches!(exchange.shown, Shown::OldDigest | Shown::FreshDigest);
        // A digest that is accepted may still lead to something forbidden; a key that is not accepted leads to 403 at some.
        let refused = status == 401
            || status == 403 && !digest && (matches!(self.way, Way::Unknown) || challenge.is_some());
        if !refused {
            match exchange.shown {
                Shown::OldDigest | Shown::FreshDigest => self.proven = true,
                Shown::Key => self.way = Way::Key,
                Shown::Nothing => {}
            }
            return Verdict::Answered;
        }
        if challenge.is_some() {
            self.seen.clone_from(&challenge);
        }
        let offer = challenge.filter(|_| self.credentials.password.is_some() && !exchange.digests_refused);
        let next = match (exchange.shown, offer) {
            (Shown::Nothing | Shown::OldDigest, Some(offer)) => Some((Shown::FreshDigest, Some(offer))),
            (Shown::FreshDigest, Some(offer)) if offer.stale => Some((Shown::FreshDigest, Some(offer))),
            (Shown::FreshDigest | Shown::OldDigest, _) => {
                exchange.digests_refused = true;
                self.may_be_key(exchange).then_some((Shown::Key, None))
            }
            (Shown::Nothing, None) => {
                (!exchange.keys_tried && !self.proven && self.key().is_some()).then_some((Shown::Key, None))
            }
            // A key that was good before: the peer may have learnt digests since.
            (Shown::Key, Some(offer)) => Some((Shown::FreshDigest, Some(offer))),
            (Shown::Key, None) => None,
        };
        match next.filter(|_| exchange.sends < SENDS_MAX) {
            Some((shown, offer)) => {
                exchange.shown = shown;
                exchange.keys_tried |= shown == Shown::Key;
                if let Some(offer) = offer {
                    self.way = Way::Digest(Answers::new(offer, client_nonce));
                }
                Verdict::Again
            }
            None => {
                self.way = Way::Unknown;
                Verdict::Refused
            }
        }
    }

    fn may_be_key(&self, exchange: &Exchange) -> bool {
        let named = self.credentials.user.is_some();
        !exchange.keys_tried
            && (self.credentials.key.is_some()
                || self.credentials.password.is_some() && !named && !self.proven)
    }

    /// The key, or the password where no key was given.
    fn key(&self) -> Option<&Secret> {
        self.credentials.key.as_ref().or(self.credentials.password.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: Option<&str>, password: Option<&str>, key: Option<&str>) -> Credentials {
        Credentials {
            user: user.map(Into::into),
            usual_user: "maker".into(),
            password: password.map(Secret::new),
            key: key.map(Secret::new),
        }
    }

    fn challenge(nonce: &str, stale: bool) -> Option<Challenge> {
        Challenge::parse(&format!("Digest realm=\"r\", nonce=\"{nonce}\", stale={stale}"))
    }

    /// What is shown, as letters (n, d, k), until the peer has answered or refused.
    fn talk(
        login: &mut Login,
        mut peer: impl FnMut(&Proof) -> (u16, Option<Challenge>),
    ) -> (String, Verdict) {
        let mut exchange = login.begin();
        let mut shown = String::new();
        loop {
            let proof = login.proof(&mut exchange, "GET", "/");
            shown.push(match &proof {
                Proof::None => 'n',
                Proof::Digest(_) => 'd',
                Proof::Key(_) => 'k',
            });
            assert!(shown.len() <= SENDS_MAX, "{shown}");
            let (status, challenge) = peer(&proof);
            match login.judge(&mut exchange, status, challenge, 7) {
                Verdict::Again => {}
                verdict => return (shown, verdict),
            }
        }
    }

    /// A peer that takes the digest for the nonce `now`.
    fn digests(now: &'static str) -> impl FnMut(&Proof) -> (u16, Option<Challenge>) {
        move |proof| match proof {
            Proof::Digest(header) if header.contains(&format!("nonce=\"{now}\"")) => (200, None),
            Proof::Digest(_) => (401, challenge(now, true)),
            _ => (401, challenge(now, false)),
        }
    }

    #[test]
    fn a_digest_is_shown_as_long_as_its_nonce_is_good() {
        let mut login = Login::new(credentials(None, Some("pw"), None));
        assert_eq!(talk(&mut login, digests("1")), ("nd".into(), Verdict::Answered));
        assert_eq!(talk(&mut login, digests("1")), ("d".into(), Verdict::Answered));
        assert_eq!(talk(&mut login, digests("2")), ("dd".into(), Verdict::Answered));
        assert_eq!(login.challenge().map(|seen| seen.nonce.as_str()), Some("2"));
    }

    #[test]
    fn a_peer_that_forgets_to_say_stale_gets_the_new_nonce_once() {
        let mut login = Login::new(credentials(Some("maker"), Some("pw"), None));
        assert_eq!(talk(&mut login, digests("1")).1, Verdict::Answered);
        let mut silent = |proof: &Proof| match proof {
            Proof::Digest(header) if header.contains("nonce=\"2\"") => (200, None),
            _ => (401, challenge("2", false)),
        };
        assert_eq!(talk(&mut login, &mut silent), ("dd".into(), Verdict::Answered));
    }

    #[test]
    fn a_wrong_password_is_refused_after_few_requests() {
        let refuses = |_: &Proof| (401, challenge("1", false));
        let mut named = Login::new(credentials(Some("me"), Some("pw"), None));
        assert_eq!(talk(&mut named, refuses), ("nd".into(), Verdict::Refused));
        // Without a name the one secret may be a key.
        let mut one = Login::new(credentials(None, Some("pw"), None));
        assert_eq!(talk(&mut one, refuses), ("ndk".into(), Verdict::Refused));
        // Next time from the start.
        assert_eq!(talk(&mut one, refuses), ("ndk".into(), Verdict::Refused));
    }

    #[test]
    fn a_peer_for_which_every_nonce_is_stale_is_left() {
        let mut login = Login::new(credentials(Some("me"), Some("pw"), None));
        let (shown, verdict) = talk(&mut login, |_| (401, challenge("1", true)));
        assert_eq!((shown.as_str(), verdict), ("nddd", Verdict::Refused));
    }

    #[test]
    fn a_password_that_was_accepted_as_a_digest_is_never_shown_in_clear() {
        let mut login = Login::new(credentials(None, Some("pw"), None));
        assert_eq!(talk(&mut login, digests("1")).1, Verdict::Answered);
        let (shown, verdict) = talk(&mut login, |_| (401, None));
        assert_eq!((shown.as_str(), verdict), ("d", Verdict::Refused));
        let (shown, verdict) = talk(&mut login, |_| (401, None));
        assert_eq!((shown.as_str(), verdict), ("n", Verdict::Refused));
    }

    #[test]
    fn a_possible_stranger_sees_digests_only() {
        let both = credentials(None, Some("pw"), Some("key"));
        let mut login = Login::digest_only(both);
        assert_eq!(talk(&mut login, |_| (401, None)), ("n".into(), Verdict::Refused));
        assert_eq!(talk(&mut login, |_| (401, challenge("1", false))), ("nd".into(), Verdict::Refused));
        assert_eq!(talk(&mut login, digests("1")), ("nd".into(), Verdict::Answered));
        let mut without = Login::digest_only(credentials(None, None, Some("key")));
        assert_eq!(talk(&mut without, |_| (401, challenge("1", false))), ("n".into(), Verdict::Refused));
    }

    #[test]
    fn a_peer_that_takes_keys_only_gets_the_one_secret_as_a_key() {
        let takes_keys = |proof: &Proof| match proof {
            Proof::Key(key) if key.reveal() == "pw" => (200, None),
            _ => (401, None),
        };
        let mut login = Login::new(credentials(None, Some("pw"), None));
        assert_eq!(talk(&mut login, takes_keys), ("nk".into(), Verdict::Answered));
        assert_eq!(talk(&mut login, takes_keys), ("k".into(), Verdict::Answered), "it is remembered");
        // A key in the password's field of a peer that offers digests as well.
        let both = |proof: &Proof| match proof {
            Proof::Key(key) if key.reveal() == "pw" => (200, None),
            _ => (401, challenge("1", false)),
        };
        let mut login = Login::new(credentials(None, Some("pw"), None));
        assert_eq!(talk(&mut login, both), ("ndk".into(), Verdict::Answered));
        assert_eq!(talk(&mut login, both), ("k".into(), Verdict::Answered));
    }

    #[test]
    fn a_key_that_is_given_as_such_goes_first_only_without_a_password() {
        let takes_keys = |proof: &Proof| match proof {
            Proof::Key(key) if key.reveal() == "key" => (200, None),
            _ => (403, None),
        };
        let mut login = Login::new(credentials(None, None, Some("key")));
        assert_eq!(talk(&mut login, takes_keys), ("k".into(), Verdict::Answered));
        let mut wrong = Login::new(credentials(None, None, Some("other")));
        assert_eq!(talk(&mut wrong, takes_keys), ("k".into(), Verdict::Refused));
        let mut both = Login::new(credentials(Some("me"), Some("pw"), Some("key")));
        assert_eq!(talk(&mut both, takes_keys), ("nk".into(), Verdict::Answered));
        // Something forbidden is not a refused key.
        assert_eq!(talk(&mut both, |_| (403, None)), ("k".into(), Verdict::Answered));
    }

    #[test]
    fn a_peer_that_asks_for_nothing_gets_nothing() {
        let mut login = Login::new(credentials(None, Some("pw"), None));
        assert_eq!(talk(&mut login, |_| (200, None)), ("n".into(), Verdict::Answered));
        assert_eq!(talk(&mut login, |_| (404, None)), ("n".into(), Verdict::Answered));
    }
}
