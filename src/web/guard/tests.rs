//! The guard over a real store and a clock that is moved by hand.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::clock::RELEASE_FLOOR;
use crate::store::{OpenedStore, StoreOptions};
use crate::web::server::Access::{Change, Open, Owner, Read};

const PASSWORD: &str = "a long sentence";

struct Place {
    dir: tempfile::TempDir,
    clock: Clock,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap(), clock: Clock::manual(RELEASE_FLOOR) }
    }

    /// Opens the guard, lets `work` use it, and closes the store.
    fn with<T>(&self, config: GuardConfig, work: impl FnOnce(&Guard) -> T) -> T {
        let options = StoreOptions::new(self.dir.path(), self.clock.clone(), Arc::new(|_| ()));
        let OpenedStore { store, thread, .. } = Store::open(options).unwrap();
        let guard = Guard::open(&store, &self.clock, config).unwrap();
        let result = work(&guard);
        drop((guard, store));
        smol::block_on(thread.close(Duration::from_secs(60))).unwrap();
        result
    }
}

fn configured(private: bool) -> GuardConfig {
    GuardConfig { password: Some(Secret::new(PASSWORD)), private }
}

fn peer(last: u8) -> IpAddr {
    IpAddr::from([192, 168, 1, last])
}

fn bearer<'a>(header: &'a str, from: u8) -> Asking<'a> {
    Asking { authorization: Some(header), cookie: None, peer: peer(from) }
}

fn set_password(guard: &Guard, password: Option<&str>, asking: &Asking<'_>) {
    let change = guard.prepare(password.map(Secret::new), asking).unwrap();
    assert!(!format!("{change:?}").contains(PASSWORD));
    let keeper = guard.clone();
    guard.0.store.write_blocking(move |txn| keeper.change(change, txn)).unwrap();
}

fn code(result: Result<Who, ApiError>) -> (u16, &'static str) {
    result.map_or_else(|error| (error.status, error.code), |_| (200, ""))
}

#[test]
fn every_route_asks_for_what_it_needs() {
    // mode, what is shown, answers for Open, Read, Change, Owner
    let right = format!("Bearer {PASSWORD}");
    for (config, shown, expected) in [
        (GuardConfig::default(), None, [200, 200, 200, 403]),
        (GuardConfig { password: None, private: true }, None, [200, 200, 200, 403]),
        (GuardConfig::default(), Some("Bearer x"), [200, 200, 200, 403]),
        (configured(false), None, [200, 200, 401, 401]),
        (configured(true), None, [200, 401, 401, 401]),
        (configured(false), Some("Bearer wrong"), [200, 200, 401, 401]),
        (configured(true), Some("Bearer wrong"), [200, 401, 401, 401]),
        (configured(true), Some("Basic a long sentence"), [200, 401, 401, 401]),
        (configured(true), Some("Bearer "), [200, 401, 401, 401]),
        (configured(true), Some("Bearer"), [200, 401, 401, 401]),
        (configured(true), Some(right.as_str()), [200, 200, 200, 200]),
        (configured(true), Some("bearer a long sentence"), [200, 200, 200, 200]),
    ] {
        Place::new().with(config, |guard| {
            for (access, status) in [Open, Read, Change, Owner].into_iter().zip(expected) {
                let asking = Asking { authorization: shown, cookie: None, peer: peer(1) };
                assert_eq!(
                    code(guard.judge_blocking(&asking, access)).0,
                    status,
                    "{shown:?} {access:?} {guard:?}"
                );
            }
        });
    }
}

#[test]
fn a_password_that_was_set_counts_over_the_configured_one_and_is_kept_as_a_hash() {
    let place = Place::new();
    place.with(configured(false), |guard| {
        assert_eq!(guard.mode(), "password");
        set_password(guard, Some("another one"), &Asking::nobody());
        assert_eq!(
            code(guard.judge_blocking(&bearer("Bearer a long sentence", 1), Change)),
            (401, "WRONG_PASSWORD")
        );
        assert_eq!(code(guard.judge_blocking(&bearer("Bearer another one", 1), Change)), (200, ""));
    });
    place.with(configured(false), |guard| {
        assert_eq!(code(guard.judge_blocking(&bearer("Bearer another one", 1), Owner)), (200, ""));
        let kept = guard.0.store.read_blocking(|view| {
            use crate::store::Read as _;
            view.setting("guard.password")
        });
        let kept = String::from_utf8(kept.unwrap().unwrap()).unwrap();
        assert!(kept.starts_with("argon2id$m=") && !kept.contains("another"), "{kept}");
        // Taken away: the configured one does not come back by itself.
        set_password(guard, None, &Asking::nobody());
        assert_eq!((guard.mode(), guard.has_password()), ("open", false));
    });
    place.with(configured(false), |guard| {
        assert_eq!(guard.mode(), "open");
        guard.0.store.write_blocking(Guard::forget).unwrap();
    });
    place.with(configured(false), |guard| assert_eq!(guard.mode(), "password"));
}

#[test]
fn a_damaged_record_lets_nobody_in() {
    let place = Place::new();
    place.with(GuardConfig::default(), |guard| {
        let write = |txn: &mut crate::store::Txn<'_>| {
            use embedded_svc::storage::RawStorage as _;
            txn.settings().set_raw("guard.password", b"argon2id$m=1").map(|_| ())
        };
        guard.0.store.write_blocking(write).unwrap();
    });
    place.with(configured(false), |guard| {
        assert_eq!(guard.mode(), "password");
        assert_eq!(
            code(guard.judge_blocking(&bearer("Bearer a long sentence", 1), Change)),
            (401, "WRONG_PASSWORD")
        );
    });
}

#[test]
fn sessions_open_until_they_end() {
    let place = Place::new();
    let cookie = place.with(configured(true), |guard| {
        let login =
            |password: &str| guard.login(password, peer(1)).map_err(|error| (error.status, error.code));
        assert_eq!(login("wrong"), Err((401, "WRONG_PASSWORD")));
        let one = format!("x=y; {}={}", sessions::COOKIE, login(PASSWORD).unwrap());
        let other = format!("{}={}", sessions::COOKIE, login(PASSWORD).unwrap());
        let (one, other) =
            [&one, &other].map(|cookie| Asking { cookie: Some(cookie), ..Asking::nobody() }).into();
        for access in [Read, Change, Owner] {
            assert_eq!(code(guard.judge_blocking(&one, access)), (200, ""), "{access:?}");
        }
        let who = guard.judge_blocking(&one, Read).unwrap();
        assert!(guard.still_reads(&who));
        guard.logout(&one).unwrap();
        assert!(!guard.still_reads(&who));
        assert_eq!(code(guard.judge_blocking(&one, Read)), (401, "PASSWORD_NEEDED"));
        assert_eq!(code(guard.judge_blocking(&other, Owner)), (200, ""));
        other.cookie.unwrap().to_owned()
    });
    // They survive a restart, and a change of the password ends all but the one that made it.
    place.with(configured(true), |guard| {
        let asking = Asking { cookie: Some(&cookie), ..Asking::nobody() };
        let third = format!("{}={}", sessions::COOKIE, guard.login(PASSWORD, peer(1)).unwrap());
        let third = Asking { cookie: Some(&third), ..Asking::nobody() };
        assert_eq!(code(guard.judge_blocking(&asking, Owner)), (200, ""));
        set_password(guard, Some("new"), &asking);
        assert_eq!(code(guard.judge_blocking(&asking, Owner)), (200, ""));
        assert_eq!(code(guard.judge_blocking(&third, Owner)), (401, "PASSWORD_NEEDED"));
        place.clock.advance(sessions::LIFE);
        assert_eq!(code(guard.judge_blocking(&asking, Read)), (401, "PASSWORD_NEEDED"));
    });
    Place::new().with(GuardConfig::default(), |guard| {
        assert_eq!(guard.login("x", peer(1)).unwrap_err().code, "PASSWORD_NOT_SET");
    });
}

#[test]
fn tokens_open_what_a_script_needs_and_not_what_the_owner_does() {
    let place = Place::new();
    let secret = place.with(configured(true), |guard| {
        let (token, secret) = guard.add_token("backup").unwrap();
        assert_eq!(guard.tokens(), [token]);
        let header = format!("Bearer {}", secret.reveal());
        let asking = bearer(&header, 1);
        assert_eq!(code(guard.judge_blocking(&asking, Read)), (200, ""));
        assert_eq!(code(guard.judge_blocking(&asking, Change)), (200, ""));
        assert_eq!(code(guard.judge_blocking(&asking, Owner)), (403, "PASSWORD_NEEDED"));
        secret
    });
    place.with(configured(true), |guard| {
        let header = format!("Bearer {}", secret.reveal());
        let asking = bearer(&header, 1);
        let who = guard.judge_blocking(&asking, Read).unwrap();
        assert_eq!(who.by(), "token");
        assert!(guard.remove_token(1).unwrap() && !guard.remove_token(1).unwrap());
        assert_eq!(code(guard.judge_blocking(&asking, Read)), (401, "WRONG_PASSWORD"));
        assert!(!guard.still_reads(&who));
    });
}

#[test]
fn who_guesses_is_slowed_and_who_is_logged_in_is_not() {
    let place = Place::new();
    place.with(GuardConfig::default(), |guard| {
        set_password(guard, Some(PASSWORD), &Asking::nobody());
        let id = guard.login(PASSWORD, peer(1)).unwrap();
        let cookie = format!("{}={id}", sessions::COOKIE);
        for _ in 0..attempts::FREE {
            assert_eq!(
                code(guard.judge_blocking(&bearer("Bearer guess", 1), Change)),
                (401, "WRONG_PASSWORD")
            );
        }
        // Also the right one is not looked at now: else it could be told from a wrong one.
        let error = guard.judge_blocking(&bearer("Bearer a long sentence", 1), Change).unwrap_err();
        assert_eq!((error.status, error.code, error.retry_after_s), (429, "TOO_MANY_ATTEMPTS", Some(1)));
        assert_eq!(guard.login(PASSWORD, peer(1)).unwrap_err().status, 429);
        let session = Asking { cookie: Some(&cookie), authorization: Some("Bearer guess"), peer: peer(1) };
        assert_eq!(code(guard.judge_blocking(&session, Owner)), (200, ""), "the same address, logged in");
        place.clock.advance(Duration::from_secs(1));
        assert_eq!(code(guard.judge_blocking(&bearer("Bearer a long sentence", 1), Change)), (200, ""));
        // Reading is open: nobody is judged, nothing is counted.
        for _ in 0..100 {
            assert_eq!(code(guard.judge_blocking(&bearer("Bearer guess", 2), Read)), (200, ""));
        }
        assert_eq!(code(guard.judge_blocking(&bearer("Bearer a long sentence", 2), Change)), (200, ""));
    });
}

#[test]
fn a_hundred_attempts_at_once_take_the_memory_of_one() {
    let place = Place::new();
    place.with(GuardConfig::default(), |guard| {
        set_password(guard, Some(PASSWORD), &Asking::nobody());
        let codes: Vec<u16> = std::thread::scope(|scope| {
            let attempts: Vec<_> = (0..100_u8)
                .map(|n| {
                    scope.spawn(move || code(guard.judge_blocking(&bearer("Bearer guess", n), Change)).0)
                })
                .collect();
            attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
        });
        assert!(codes.iter().all(|code| matches!(code, 401 | 429)), "{codes:?}");
        let judged = codes.iter().filter(|code| **code == 401).count();
        assert!((1..=attempts::BUDGET_MAX as usize).contains(&judged), "{judged}");
        assert_eq!(guard.0.hashing.stats().queued, 0);
        assert!(guard.0.hashing.stats().threads <= 1);
    });
}

#[test]
fn one_hash_right_after_another_is_not_refused() {
    // It was: the thread told its answer before it counted as free.
    let place = Place::new();
    place.with(GuardConfig::default(), |guard| {
        for n in 0..20 {
            let password = format!("{PASSWORD} {n}");
            set_password(guard, Some(&password), &Asking::nobody());
            guard.login(&password, peer(1)).unwrap();
        }
    });
}

#[test]
fn nothing_shows_a_secret() {
    Place::new().with(configured(true), |guard| {
        let id = guard.login(PASSWORD, peer(1)).unwrap();
        let (token, secret) = guard.add_token("x").unwrap();
        let header = format!("Bearer {PASSWORD}");
        let who = guard.judge_blocking(&bearer(&header, 1), Owner).unwrap();
        let hash = Hash::make(&Secret::new(PASSWORD)).unwrap();
        let shown = format!("{guard:?} {who:?} {token:?} {secret:?} {hash:?} {:?}", configured(true));
        for hidden in [PASSWORD, &id, &id[..16], secret.reveal(), &hash.to_text()[30..60]] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    });
}

#[test]
fn the_table_of_routes_asks_for_what_the_contract_says() {
    use embedded_svc::http::server::Method;

    use crate::web::api;
    use crate::web::server::double::DoubleConnection;
    use crate::web::server::{Call, Router};

    let nobody = |_: api::Handler<DoubleConnection>| {
        |_: &mut Call<'_, DoubleConnection>| Err(ApiError::internal("Only the table is looked at."))
    };
    let router = api::table(Router::new(Clock::system()), nobody);
    let always = [
        "/backup",
        "/restore",
        "/system/reboot",
        "/system/shutdown",
        "/system/update",
        "/system/factory-reset",
    ];
    let mut owners = 0;
    for (method, pattern, access) in router.accesses() {
        let path = pattern.strip_prefix("/api/v1").unwrap_or(pattern);
        let expected = match (method, path) {
            (_, "/login" | "/logout") => Open,
            (_, path) if always.contains(&path) || path.starts_with("/tokens") => Owner,
            (Method::Get, _) => Read,
            _ => Change,
        };
        owners += usize::from(expected == Owner);
        assert_eq!(access, expected, "{method:?} {pattern}");
    }
    assert!(owners >= 7);
}
