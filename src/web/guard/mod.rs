//! The guard: who may do what. A password that a person types, sessions for pages, tokens for scripts.
//!
//! A request shows what it has ([`Asking`]), a route says what it needs ([`Access`]), and [`Guard::judge`] puts the two
//! together. Everybody asks the same guard: the router before every handler, the front's event streams and large bodies by
//! themselves. Without a password the network is trusted, and only what always needs one is refused until there is one.
//!
//! What is kept: a salted hash of the password ([`password`]), hashes of the sessions' ids ([`sessions`]) and of the tokens
//! ([`tokens`]), as settings of the store whose names begin with [`SETTINGS_PREFIX`]. A password of the configuration file counts
//! until one is set through the API; of it a keyed hash is held in memory, nothing on the card.
//!
//! Deliberately not here: the `Host` and `Origin` rules (the front's), TLS.
//!
//! Bounds: one hash at a time, on a thread that leaves when idle; [`sessions::SESSIONS_MAX`] sessions,
//! [`tokens::TOKENS_MAX`] tokens, [`attempts::ADDRESSES_MAX`] addresses of people who mistype.

pub mod attempts;
mod keep;
pub mod password;
pub mod sessions;
#[cfg(test)]
mod tests;
pub mod tokens;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use self::attempts::{Attempts, Paid};
use self::password::{Digest, Hash, NoRandomness};
use self::sessions::Sessions;
use self::tokens::Tokens;
use crate::base::clock::Clock;
use crate::base::pool::Pool;
use crate::base::secret::Secret;
use crate::store::Store;
use crate::web::front::Head;
use crate::web::respond::ApiError;
use crate::web::server::Access;

pub use keep::{Change, OpenError, SETTINGS_PREFIX};

/// What the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardConfig {
    /// Counts until one is set through the API.
    pub password: Option<Secret>,
    /// Whether reading needs it too.
    pub private: bool,
}

/// What a request shows of who sends it.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Its `Authorization` header.
    pub authorization: Option<&'a str>,
    /// Its `Cookie` header.
    pub cookie: Option<&'a str>,
    /// Where it comes from.
    pub peer: IpAddr,
}

impl<'a> Asking<'a> {
    /// What a vetted head shows.
    #[must_use]
    pub fn of(head: &'a Head, peer: IpAddr) -> Asking<'a> {
        Asking { authorization: head.header("authorization"), cookie: head.header("cookie"), peer }
    }

    /// Somebody on this device who shows nothing.
    #[must_use]
    pub fn nobody() -> Asking<'static> {
        Asking { authorization: None, cookie: None, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    fn bearer(&self) -> Option<&'a str> {
        let (scheme, rest) = self.authorization?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then_some(rest.trim()).filter(|rest| !rest.is_empty())
    }
}

/// Who was let in, and by what; asked again with [`Guard::still`] where a request lasts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody: the route or the network is open.
    Anybody,
    /// A session.
    Session(Digest),
    /// The password itself, of this generation.
    Password(u64),
    /// A token.
    Token(Digest),
}

impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.by())
    }
}

impl Who {
    /// By what, in a word.
    #[must_use]
    pub fn by(&self) -> &'static str {
        match self {
            Who::Anybody => "anybody",
            Who::Session(_) => "session",
            Who::Password(_) => "password",
            Who::Token(_) => "token",
        }
    }

    /// Whether the password stands behind it: a token does not.
    fn knows_the_password(&self) -> bool {
        matches!(self, Who::Session(_) | Who::Password(_))
    }
}

/// The password, as far as the device knows it.
#[derive(Clone, Debug)]
enum Password {
    /// There is none: the network is trusted.
    None,
    /// That of the configuration, as a hash with this process's key.
    Configured(Digest),
    /// One that was set here.
    Set(Arc<Hash>),
    /// One was set here, and the record of it cannot be read: nobody knows it.
    Unreadable,
}

struct State {
    password: Password,
    /// Counts the passwords: whoever showed an older one is not let on.
    generation: u64,
    /// A password that was found right, as a hash with this process's key: scripts send it with every request.
    seen: Option<Digest>,
    private: bool,
    sessions: Sessions,
    tokens: Tokens,
    attempts: Attempts,
}

struct Inner {
    clock: Clock,
    store: Store,
    /// One thread: hashes are made one at a time, and beyond one nobody waits.
    hashing: Pool,
    /// For hashes that stay in memory: worthless outside of this process.
    key: [u8; 32],
    state: Mutex<State>,
}

/// The guard. Cloning gives another handle.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("mode", &self.mode()).finish_non_exhaustive()
    }
}

/// An attempt that only the slow hash can judge.
struct Attempt {
    hash: Arc<Hash>,
    paid: Paid,
    generation: u64,
    peer: IpAddr,
}

/// What the first look at a request came to.
enum Look {
    Passed(Who),
    /// Only the slow hash can tell.
    Hash(Attempt),
}

impl Guard {
    /// Who is it? [`Who`] is allowed what `access` needs, or the error is the answer. A password is hashed on a thread of
    /// its own. Dropping the future counts as a wrong password where one was shown.
    ///
    /// # Errors
    /// 401 where a password is needed and was not shown or is wrong; 403 where it has to be the password itself, or none is
    /// set; 429 with `Retry-After` for somebody who guesses, or where somebody else's password is being looked at.
    pub async fn judge(&self, asking: &Asking<'_>, access: Access) -> Result<Who, ApiError> {
        let given = asking.bearer();
        let who = match self.look(asking, given, access)? {
            Look::Passed(who) => who,
            Look::Hash(attempt) => self.hash(attempt, Secret::new(given.unwrap_or_default())).await?,
        };
        if access == Access::Owner && !who.knows_the_password() {
            return Err(needs_the_password_itself());
        }
        Ok(who)
    }

    /// [`Guard::judge`] for threads that may wait; never on the executor.
    ///
    /// # Errors
    /// As [`Guard::judge`].
    pub fn judge_blocking(&self, asking: &Asking<'_>, access: Access) -> Result<Who, ApiError> {
        smol::block_on(self.judge(asking, access))
    }

    /// Logs somebody in; answers the new session's id. For threads that may wait.
    ///
    /// # Errors
    /// As [`Guard::judge`]; 409 where there is no password, 503 where the session cannot be kept.
    pub fn login(&self, password: &str, peer: IpAddr) -> Result<String, ApiError> {
        let who = match self.try_password(password, peer)? {
            Look::Passed(who) => who,
            Look::Hash(attempt) => smol::block_on(self.hash(attempt, Secret::new(password)))?,
        };
        let id = password::hex(&password::random::<32>()?);
        let now = self.0.clock.now().mono;
        {
            let mut state = self.lock();
            // The password may have been changed since it was found right.
            if who != Who::Password(state.generation) {
                return Err(wrong_password());
            }
            state.sessions.add(password::digest(&id), now);
        }
        self.keep_sessions()?;
        log::info!(peer:% = peer; "somebody logged in");
        Ok(id)
    }

    /// Ends the session of this request, if it has one. For threads that may wait.
    ///
    /// # Errors
    /// 503 where that cannot be kept; it has ended all the same.
    pub fn logout(&self, asking: &Asking<'_>) -> Result<(), ApiError> {
        let Some(id) = asking.cookie.and_then(sessions::id_of) else { return Ok(()) };
        if self.lock().sessions.end(&id) { self.keep_sessions() } else { Ok(()) }
    }

    /// Whether whoever was let in to read would be let in now. Quick.
    #[must_use]
    pub fn still_reads(&self, who: &Who) -> bool {
        let now = self.0.clock.now().mono;
        let state = self.lock();
        if !state.private || matches!(state.password, Password::None) {
            return true;
        }
        match who {
            Who::Anybody => false,
            Who::Session(id) => state.sessions.has(id, now),
            Who::Password(generation) => state.generation == *generation,
            Who::Token(secret) => state.tokens.has(secret),
        }
    }

    /// By what this request is known, without judging it: `session`, `token`, or `None`. Quick; a password is not looked at.
    #[must_use]
    pub fn known_by(&self, asking: &Asking<'_>) -> Option<Who> {
        self.known(&self.lock(), asking)
    }

    /// The mode in a word, for the page: `open`, `password` or `private`.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        let state = self.lock();
        match (&state.password, state.private) {
            (Password::None, _) => "open",
            (_, false) => "password",
            (_, true) => "private",
        }
    }

    /// Whether there is a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        !matches!(self.lock().password, Password::None)
    }

    /// Whether reading needs it, once there is one.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.lock().private
    }

    /// Says whether reading needs the password. Not kept here: that is a setting like others.
    pub fn set_private(&self, private: bool) {
        self.lock().private = private;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hash for this process alone: quick, and with a key, so that the time of a comparison tells nothing.
    fn keyed(&self, text: &str) -> Digest {
        Sha256::new().chain_update(self.0.key).chain_update(text.as_bytes()).finalize().into()
    }

    fn known(&self, state: &State, asking: &Asking<'_>) -> Option<Who> {
        let now = self.0.clock.now().mono;
        let session = asking.cookie.and_then(sessions::id_of).filter(|id| state.sessions.has(id, now));
        session
            .map(Who::Session)
            .or_else(|| asking.bearer().and_then(|text| state.tokens.find(text)).map(Who::Token))
    }

    /// Judges everything but a password.
    fn look(&self, asking: &Asking<'_>, given: Option<&str>, access: Access) -> Result<Look, ApiError> {
        let state = self.lock();
        let needed = match access {
            Access::Open => false,
            Access::Read => state.private,
            Access::Change | Access::Owner => true,
        };
        if matches!(state.password, Password::None) {
            return if access == Access::Owner {
                Err(no_password_yet())
            } else {
                Ok(Look::Passed(Who::Anybody))
            };
        }
        if !needed {
            // Known or not: whoever has a session goes on reading when the device becomes private.
            return Ok(Look::Passed(self.known(&state, asking).unwrap_or(Who::Anybody)));
        }
        if let Some(who) = self.known(&state, asking) {
            return Ok(Look::Passed(who));
        }
        let Some(given) = given else { return Err(password_needed()) };
        drop(state);
        self.try_password(given, asking.peer)
    }

    /// Judges a password, as far as that is quick.
    fn try_password(&self, given: &str, peer: IpAddr) -> Result<Look, ApiError> {
        let now = self.0.clock.now().mono;
        let keyed = self.keyed(given);
        let mut state = self.lock();
        if matches!(state.password, Password::None) {
            return Err(ApiError::conflict("PASSWORD_NOT_SET", NOT_SET));
        }
        // Paid before it is looked at, also by whoever knows it: else the quick look would be open to guesses without end.
        let paid = state.attempts.pay(peer, now).map_err(too_many)?;
        let generation = state.generation;
        let right = match &state.password {
            _ if state.seen == Some(keyed) => true,
            Password::Set(hash) if password::fits(given) => {
                return Ok(Look::Hash(Attempt { hash: Arc::clone(hash), paid, generation, peer }));
            }
            Password::Configured(configured) => *configured == keyed,
            Password::None | Password::Set(_) | Password::Unreadable => false,
        };
        if right {
            state.attempts.right(paid);
            return Ok(Look::Passed(Who::Password(generation)));
        }
        drop(state);
        log::warn!(peer:% = peer; "a wrong password was tried");
        Err(wrong_password())
    }

    /// Judges a password by its slow hash.
    async fn hash(&self, attempt: Attempt, given: Secret) -> Result<Who, ApiError> {
        let Attempt { hash, paid, generation, peer } = attempt;
        let keyed = self.keyed(given.reveal());
        let Ok(running) = self.0.hashing.run(move || hash.is_of(&given)) else {
            self.lock().attempts.not_judged(paid);
            return Err(too_many(Duration::from_secs(1)));
        };
        let Ok(right) = running.answer().await else {
            self.lock().attempts.not_judged(paid);
            return Err(ApiError::internal("The password could not be looked at. Try again."));
        };
        if !right {
            log::warn!(peer:% = peer; "a wrong password was tried");
            return Err(wrong_password());
        }
        let mut state = self.lock();
        // It may have been changed meanwhile.
        if state.generation != generation {
            return Err(wrong_password());
        }
        state.attempts.right(paid);
        state.seen = Some(keyed);
        Ok(Who::Password(generation))
    }
}

impl From<NoRandomness> for ApiError {
    fn from(error: NoRandomness) -> ApiError {
        log::error!("web: {error}");
        ApiError::internal("The system gives no random numbers; restart the device.")
    }
}

const NOT_SET: &str = "No password is set. Set one first: PUT /api/v1/settings {\"password\": \"...\"}.";

fn no_password_yet() -> ApiError {
    ApiError::new(403, "PASSWORD_NOT_SET", NOT_SET)
}

fn password_needed() -> ApiError {
    let message = "This needs the password of the device: log in, or send it or a token as `Authorization: Bearer ...`.";
    ApiError::new(401, "PASSWORD_NEEDED", message)
}

fn wrong_password() -> ApiError {
    ApiError::new(401, "WRONG_PASSWORD", "This is not the password of the device.")
}

fn needs_the_password_itself() -> ApiError {
    let message = "A token does not open this: log in with the password, or send the password itself.";
    ApiError::new(403, "PASSWORD_NEEDED", message)
}

fn too_many(wait: Duration) -> ApiError {
    // Rounded up: who comes back at the full second is let try.
    let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    let message = format!("Too many attempts. Try again in {seconds} s. Who is logged in is not concerned.");
    let mut error = ApiError::new(429, "TOO_MANY_ATTEMPTS", message);
    error.retry_after_s = Some(seconds);
    error
}
