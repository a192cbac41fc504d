//! Who is logged in: a bounded table of sessions. **Pure**.
//!
//! Of a session's id only its hash is kept. A session ends after [`LIFE`], counted by the monotonic clock because the wall clock of
//! a board without a clock chip jumps; over a restart what was left is taken from the record, less the time in between where
//! both ends of it are known.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::password::{Digest, digest, hex, unhex};
use crate::base::clock::{Mono, Now};

/// A session ends after this time: a tablet beside the printers is not asked every day.
pub const LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Sessions at a time: the screens of a workshop. One more ends the one that has the least time left.
pub const SESSIONS_MAX: usize = 16;
/// The cookie that carries a session's id.
pub const COOKIE: &str = "printernizer_session";
/// Characters of a session's id: 256 bits in hex.
pub const ID_CHARS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    id: Digest,
    ends: Mono,
}

/// The sessions.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Vec<Session>);

/// A session as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    id: String,
    left_s: u64,
}

/// All of them as they are kept.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// When it was written, in milliseconds since 1970; nothing where that was not known.
    at: Option<i64>,
    sessions: Vec<Kept>,
}

impl Sessions {
    /// Adds the session with this id.
    pub fn add(&mut self, id: Digest, now: Mono) {
        self.sweep(now);
        if self.0.len() >= SESSIONS_MAX
            && let Some(place) =
                self.0.iter().enumerate().min_by_key(|(_, one)| one.ends).map(|(place, _)| place)
        {
            self.0.swap_remove(place);
        }
        self.0.push(Session { id, ends: now.after(LIFE) });
    }

    /// Whether it is one.
    #[must_use]
    pub fn has(&self, id: &Digest, now: Mono) -> bool {
        self.0.iter().any(|session| session.id == *id && session.ends > now)
    }

    /// Ends one; answers whether it was there.
    pub fn end(&mut self, id: &Digest) -> bool {
        let before = self.0.len();
        self.0.retain(|session| session.id != *id);
        self.0.len() != before
    }

    /// Ends all but one.
    pub fn end_others(&mut self, id: Option<&Digest>) {
        self.0.retain(|session| Some(&session.id) == id);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self, now: Mono) -> usize {
        self.0.iter().filter(|session| session.ends > now).count()
    }

    fn sweep(&mut self, now: Mono) {
        self.0.retain(|session| session.ends > now);
    }

    /// As they are kept.
    #[must_use]
    pub fn to_bytes(&self, now: Now) -> Vec<u8> {
        let kept =
            |session: &Session| Kept { id: hex(&session.id), left_s: session.ends.since(now.mono).as_secs() };
        let record = Record {
            at: now.synced.then_some(now.wall.0),
            sessions: self.0.iter().filter(|session| session.ends > now.mono).map(kept).collect(),
        };
        serde_json::to_vec(&record).unwrap_or_default()
    }

    /// Reads them back. What cannot be read is nobody: people log in again.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], now: Now) -> Sessions {
        let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return Sessions::default() };
        // A clock that was put back counts as no time.
        let away = record.at.filter(|_| now.synced).map_or(0, |at| now.wall.0.saturating_sub(at).max(0));
        let away = Duration::from_millis(u64::try_from(away).unwrap_or(0));
        let session = |kept: Kept| {
            let left = Duration::from_secs(kept.left_s).min(LIFE).saturating_sub(away);
            let id = unhex(&kept.id)?;
            (!left.is_zero()).then(|| Session { id, ends: now.mono.after(left) })
        };
        Sessions(record.sessions.into_iter().take(SESSIONS_MAX).filter_map(session).collect())
    }
}

/// The hash of the id in a `Cookie` header.
#[must_use]
pub fn id_of(cookie: &str) -> Option<Digest> {
    let value = cookie.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })?;
    (value.len() == ID_CHARS).then(|| digest(value))
}

/// The `Set-Cookie` of a new session; without an id that of its end.
#[must_use]
pub fn cookie(id: Option<&str>) -> String {
    let (id, age) = id.map_or(("", 0), |id| (id, LIFE.as_secs()));
    format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{RELEASE_FLOOR, Timestamp};

    fn now(seconds: u64, wall: Option<i64>) -> Now {
        let mono = Mono(1_000_000).after(Duration::from_secs(seconds));
        let wall = Timestamp(wall.map_or(0, |seconds| RELEASE_FLOOR.0 + seconds * 1000));
        Now { mono, wall, synced: wall >= RELEASE_FLOOR }
    }

    #[test]
    fn a_session_ends_by_itself_and_when_it_is_ended() {
        let mut sessions = Sessions::default();
        let (one, other) = (digest("one"), digest("other"));
        sessions.add(one, now(0, None).mono);
        sessions.add(other, now(0, None).mono);
        assert!(sessions.has(&one, now(LIFE.as_secs() - 1, None).mono));
        assert!(!sessions.has(&one, now(LIFE.as_secs(), None).mono));
        assert!(sessions.end(&one) && !sessions.end(&one));
        assert!(!sessions.has(&one, now(1, None).mono) && sessions.has(&other, now(1, None).mono));
        sessions.add(one, now(1, None).mono);
        sessions.end_others(Some(&one));
        assert!(sessions.has(&one, now(1, None).mono) && !sessions.has(&other, now(1, None).mono));
        sessions.end_others(None);
        assert_eq!(sessions.count(now(1, None).mono), 0);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut sessions = Sessions::default();
        for n in 0..100 {
            sessions.add(digest(&n.to_string()), now(n, None).mono);
        }
        assert_eq!(sessions.count(now(100, None).mono), SESSIONS_MAX);
        assert!(
            sessions.has(&digest("99"), now(100, None).mono)
                && !sessions.has(&digest("83"), now(100, None).mono)
        );
        assert!(sessions.to_bytes(now(100, Some(0))).len() < crate::store::SETTING_BYTES_MAX);
    }

    #[test]
    fn sessions_survive_a_restart_and_age_meanwhile_where_that_is_known() {
        let mut sessions = Sessions::default();
        let id = digest("one");
        sessions.add(id, now(0, None).mono);
        let day = 24 * 3600;
        let bytes = sessions.to_bytes(now(day, Some(0)));
        assert!(!String::from_utf8(bytes.clone()).unwrap().contains("one"));
        let left = |bytes: &[u8], at: Now| {
            let back = Sessions::from_bytes(bytes, at);
            (0..40).filter(|days| back.has(&id, at.mono.after(Duration::from_secs(days * day)))).count()
        };
        let days = |days: i64| days * i64::try_from(day).unwrap();
        assert_eq!(left(&bytes, now(5, Some(days(10)))), 19);
        assert_eq!(left(&bytes, now(5, Some(days(29)))), 0);
        assert_eq!(left(&bytes, now(5, Some(days(-3) + days(4)))), 28);
        assert_eq!(left(&bytes, now(5, None)), 29, "nobody knows how long it was off");
        let unsynced = sessions.to_bytes(now(day, None));
        assert_eq!(left(&unsynced, now(5, Some(days(500)))), 29, "nor when it was written");
        for rubbish in [&b""[..], b"{}", b"[1]", br#"{"at":1,"sessions":[{"id":"zz","left_s":5}]}"#] {
            assert_eq!(Sessions::from_bytes(rubbish, now(0, None)).count(now(0, None).mono), 0);
        }
        let endless =
            format!(r#"{{"at":null,"sessions":[{{"id":"{}","left_s":18446744073709551615}}]}}"#, hex(&id));
        assert_eq!(left(endless.as_bytes(), now(0, None)), 30);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let id = "ab".repeat(32);
        let wanted = Some(digest(&id));
        assert_eq!(id_of(&format!("{COOKIE}={id}")), wanted);
        assert_eq!(id_of(&format!("a=b; {COOKIE}={id}; c=d")), wanted);
        for not in
            ["", "a=b", &format!("x{COOKIE}={id}"), &format!("{COOKIE}={id}0"), COOKIE, &format!("{COOKIE}=")]
        {
            assert_eq!(id_of(not), None, "{not}");
        }
        assert!(cookie(Some(&id)).contains("HttpOnly; SameSite=Strict"));
        assert!(cookie(None).contains("Max-Age=0"));
    }
}
