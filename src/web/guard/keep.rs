//! What the guard keeps in the store, and how a password is changed.

use std::fmt;
use std::sync::{Arc, Mutex};

use embedded_svc::storage::{RawStorage as _, StorageBase as _};

use super::attempts::Attempts;
use super::password::{self, Digest, Hash, NoRandomness};
use super::sessions::{self, Sessions};
use super::tokens::{NAME_BYTES_MAX, PREFIX, Refused, TOKENS_MAX, Token, Tokens};
use super::{Asking, Guard, GuardConfig, Inner, Password, State};
use crate::base::clock::Clock;
use crate::base::pool::{Limits, Pool};
use crate::base::secret::Secret;
use crate::store::{SETTING_BYTES_MAX, Store, StoreError, Txn};
use crate::web::respond::ApiError;
use crate::web::server::SlowLane;

/// The names of all settings of the guard begin with this: they are secrets, a copy for other eyes leaves them out.
pub const SETTINGS_PREFIX: &str = "guard.";
const PASSWORD: &str = "guard.password";
const SESSIONS: &str = "guard.sessions";
const TOKENS: &str = "guard.tokens";

/// Kept in place of a hash where the password was taken away: then that of the configuration does not count either.
const NO_PASSWORD: &[u8] = b"none";

/// A change of the password that is ready to be kept. `Debug` shows nothing of it.
pub struct Change {
    hash: Option<Hash>,
    keep_session: Option<Digest>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("sets_one", &self.hash.is_some()).finish_non_exhaustive()
    }
}

/// Why there is no guard.
#[derive(Debug)]
pub enum OpenError {
    /// The settings cannot be read.
    Store(StoreError),
    /// See [`NoRandomness`].
    NoRandomness,
}

impl From<StoreError> for OpenError {
    fn from(source: StoreError) -> OpenError {
        OpenError::Store(source)
    }
}

impl From<NoRandomness> for OpenError {
    fn from(_: NoRandomness) -> OpenError {
        OpenError::NoRandomness
    }
}

impl Guard {
    /// The guard with what the store has kept. Blocks.
    ///
    /// # Errors
    /// When the store cannot be read, or the system has no random numbers.
    pub fn open(store: &Store, clock: &Clock, config: GuardConfig) -> Result<Guard, OpenError> {
        let now = clock.now();
        let [hash, sessions, tokens] = store.write_blocking(|txn| {
            let settings = txn.settings();
            let mut kept: [Option<Vec<u8>>; 3] = Default::default();
            for (slot, name) in kept.iter_mut().zip([PASSWORD, SESSIONS, TOKENS]) {
                let mut buffer = [0; SETTING_BYTES_MAX];
                *slot = settings.get_raw(name, &mut buffer)?.map(<[u8]>::to_vec);
            }
            Ok::<_, StoreError>(kept)
        })?;
        let guard = Guard(Arc::new(Inner {
            clock: clock.clone(),
            store: store.clone(),
            // One may wait: a thread has told its answer a moment before it is free again.
            hashing: Pool::new("password", Limits { threads_max: 1, queue_max: 1, nice: 0 }),
            lane: SlowLane::new(),
            key: password::random()?,
            state: Mutex::new(State {
                password: Password::None,
                generation: 1,
                seen: None,
                private: config.private,
                sessions: sessions.map_or_else(Sessions::default, |bytes| Sessions::from_bytes(&bytes, now)),
                tokens: tokens.map_or_else(Tokens::default, |bytes| Tokens::from_bytes(&bytes)),
                attempts: Attempts::new(now.mono),
            }),
        }));
        let password = guard.read_password(hash.as_deref(), config.password.as_ref());
        if matches!(password, Password::Unreadable) {
            log::error!(
                "the record of the password cannot be read: nobody can log in; docs/operations.md names a way back"
            );
        }
        guard.lock().password = password;
        Ok(guard)
    }

    fn read_password(&self, kept: Option<&[u8]>, configured: Option<&Secret>) -> Password {
        match kept {
            None => match configured {
                Some(password) => Password::Configured(self.keyed(password.reveal())),
                None => Password::None,
            },
            Some(NO_PASSWORD) => Password::None,
            Some(bytes) => {
                let hash = std::str::from_utf8(bytes).ok().and_then(Hash::from_text);
                hash.map_or(Password::Unreadable, |hash| Password::Set(Arc::new(hash)))
            }
        }
    }

    /// Prepares a new password, or that there is none any more. All sessions but that of `asking` end with it. Takes a while
    /// and some memory; for threads that may wait.
    ///
    /// # Errors
    /// 503 while another one is hashed, 500 where there is no randomness.
    pub fn prepare(&self, password: Option<Secret>, asking: &Asking<'_>) -> Result<Change, ApiError> {
        let keep_session = asking.cookie.and_then(sessions::id_of);
        let Some(password) = password else { return Ok(Change { hash: None, keep_session }) };
        let busy = || ApiError::busy("Another password is being looked at. Try again.", 1);
        let _pass = self.0.lane.try_enter().ok_or_else(busy)?;
        let running = self.0.hashing.run(move || Hash::make(&password)).map_err(|_| busy())?;
        let hash = smol::block_on(running.answer()).map_err(|_| busy())??;
        Ok(Change { hash: Some(hash), keep_session })
    }

    /// Keeps a change and takes it into effect: the last thing that a transaction does. If its commit fails the whole
    /// service ends.
    ///
    /// # Errors
    /// Those of the store; nothing was changed then.
    pub fn change(&self, change: Change, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        let text = change.hash.as_ref().map_or(NO_PASSWORD.to_vec(), |hash| hash.to_text().into_bytes());
        txn.settings().set_raw(PASSWORD, &text)?;
        let mut state = self.lock();
        state.password = change.hash.map_or(Password::None, |hash| Password::Set(Arc::new(hash)));
        state.generation += 1;
        state.seen = None;
        state.sessions.end_others(change.keep_session.as_ref());
        let bytes = state.sessions.to_bytes(txn.now());
        drop(state);
        txn.settings().set_raw(SESSIONS, &bytes)?;
        Ok(())
    }

    /// Keeps the sessions as they are when the transaction runs, so that the newest state is kept last.
    pub(super) fn keep_sessions(&self) -> Result<(), ApiError> {
        let guard = self.clone();
        self.0.store.write_blocking(move |txn| {
            let bytes = guard.lock().sessions.to_bytes(txn.now());
            txn.settings().set_raw(SESSIONS, &bytes)?;
            Ok::<(), StoreError>(())
        })?;
        Ok(())
    }

    /// The tokens, without their secrets.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        self.lock().tokens.list().to_vec()
    }

    /// Makes a token; answers it and its secret, which is never seen again. Blocks.
    ///
    /// # Errors
    /// 400 for a name that is none, 409 where it is taken or there are too many, 503 where it cannot be kept.
    pub fn add_token(&self, name: &str) -> Result<(Token, Secret), ApiError> {
        let secret = Secret::new(format!("{PREFIX}{}", password::hex(&password::random::<24>()?)));
        let (guard, name, kept) = (self.clone(), name.to_owned(), secret.clone());
        let token = self.0.store.write_blocking(move |txn| {
            let now = txn.now();
            let mut state = guard.lock();
            let mut tokens = state.tokens.clone();
            let token = tokens.add(&name, kept.reveal(), now.synced.then_some(now.wall)).map_err(refused)?;
            txn.settings().set_raw(TOKENS, &tokens.to_bytes())?;
            state.tokens = tokens;
            Ok::<_, ApiError>(token)
        })?;
        Ok((token, secret))
    }

    /// Takes a token back; answers whether it was there. Blocks.
    ///
    /// # Errors
    /// 503 where that cannot be kept.
    pub fn remove_token(&self, id: u32) -> Result<bool, ApiError> {
        let guard = self.clone();
        self.0.store.write_blocking(move |txn| {
            let mut state = guard.lock();
            let mut tokens = state.tokens.clone();
            if !tokens.remove(id) {
                return Ok(false);
            }
            txn.settings().set_raw(TOKENS, &tokens.to_bytes())?;
            state.tokens = tokens;
            Ok(true)
        })
    }

    /// Forgets the password that was set here, all sessions and all tokens, before a guard is opened: somebody with the card
    /// in their hand asked for it. The password of the configuration counts again.
    ///
    /// # Errors
    /// Those of the store.
    pub fn forget(txn: &mut Txn<'_>) -> Result<(), StoreError> {
        for name in [PASSWORD, SESSIONS, TOKENS] {
            txn.settings().remove(name)?;
        }
        Ok(())
    }
}

fn refused(refused: Refused) -> ApiError {
    match refused {
        Refused::BadName => {
            let rule = format!("Use a name of 1 to {NAME_BYTES_MAX} bytes without control characters.");
            ApiError::bad_value("name", rule)
        }
        Refused::NameTaken => ApiError::conflict("NAME_TAKEN", "There is a token with this name."),
        Refused::Full => ApiError::conflict(
            "TOO_MANY_TOKENS",
            format!("There are {TOKENS_MAX} tokens already; remove one."),
        ),
    }
}
