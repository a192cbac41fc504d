//! The only room that reads clocks.
//!
//! Durations use the monotonic clock; wall time appears in records and on screen only, because a board without a
//! clock chip starts in the past and jumps. Both are read as 64-bit values: `std`'s wall time is 32 bit on ARMv6.
//! Tests use [`Clock::manual`] and never sleep for real.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_listener::Event;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Wall time before this moment means that the device does not know the time yet (a Pi without a clock chip).
/// The value is the month of this release: 2026-11-01T00:00:00Z.
pub const RELEASE_FLOOR: Timestamp = Timestamp(1_793_491_200_000);

/// Wall time later than this is not believed: 2100-01-01T00:00:00Z.
const CEILING: Timestamp = Timestamp(4_102_444_800_000);

/// How often the sign of a clock that is awaited is looked for: it comes once, and nobody waits for it.
const LOOK_EVERY_MS: u64 = 1000;

/// Milliseconds on the monotonic clock, from an arbitrary start. Only differences mean something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub u64);

impl Mono {
    /// The time that has passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment plus `duration`, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Wall time: milliseconds since 1970-01-01T00:00:00Z. May jump; never used to measure durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole milliseconds from `earlier` to this moment; zero if the clock was set back between them.
    #[must_use]
    pub fn millis_since(self, earlier: Timestamp) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds and `Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.clamp(0, CEILING.0);
        let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, milli) = (rest / 1000 % 60, rest % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// A text that is not a moment in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATimestamp;

impl fmt::Display for NotATimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a moment like 2026-11-01T08:30:00Z")
    }
}

impl std::error::Error for NotATimestamp {}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    /// RFC 3339 in UTC: `2026-11-01T08:30:00Z`, with or without a fraction of the second, of which milliseconds are kept.
    fn from_str(text: &str) -> Result<Timestamp, NotATimestamp> {
        let text = text.strip_suffix('Z').ok_or(NotATimestamp)?;
        let (date, time) = text.split_once('T').ok_or(NotATimestamp)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotATimestamp);
        }
        let milli =
            fraction.bytes().chain(*b"00").take(3).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let days = days_from_civil(year, month, day);
        // A day that does not exist, as February 30th, comes back as another one. A leap second counts as the next one.
        if hour > 23 || minute > 59 || second > 60 || civil_from_days(days) != (year, month, day) {
            return Err(NotATimestamp);
        }
        Ok(Timestamp(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + milli))
    }
}

/// Three numbers of the given widths between `separator`s.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Result<[i64; 3], NotATimestamp> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (number, width) in found.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width).ok_or(NotATimestamp)?;
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotATimestamp);
        }
        *number = part.parse().map_err(|_| NotATimestamp)?;
    }
    if parts.next().is_some() { Err(NotATimestamp) } else { Ok(found) }
}

/// The other way round than [`civil_from_days`].
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year_from_march = year - i64::from(month <= 2);
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Proleptic Gregorian date of a day count since 1970-01-01 (the usual era arithmetic on years that begin in March).
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time.
    pub mono: Mono,
    /// Wall time.
    pub wall: Timestamp,
    /// Whether the wall time can be believed (it is not before this release, and was set where it has to be).
    pub synced: bool,
}

/// A handle to the clocks: the system's, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Awaited(Arc<Awaited>),
    Manual(Arc<Manual>),
}

/// The system's clock where it may be wrong until somebody has set it.
#[derive(Debug)]
struct Awaited {
    sign: PathBuf,
    seen: AtomicBool,
    /// When the sign is looked for next, on the monotonic clock.
    look_at: AtomicU64,
}

impl Awaited {
    /// Looks for the sign once in [`LOOK_EVERY_MS`], and never again once it was there.
    fn is_set(&self, mono: Mono) -> bool {
        if self.seen.load(Ordering::Relaxed) {
            return true;
        }
        if mono.0 < self.look_at.load(Ordering::Relaxed) {
            return false;
        }
        self.look_at.store(mono.0.saturating_add(LOOK_EVERY_MS), Ordering::Relaxed);
        let there = self.sign.exists();
        self.seen.store(there, Ordering::Relaxed);
        there
    }
}

#[derive(Debug)]
struct Manual {
    state: Mutex<(Mono, Timestamp)>,
    moved: Event,
}

impl Clock {
    /// The system's clocks.
    #[must_use]
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// The system's clocks on a device without a clock chip: the wall time is believed once the file `sign` is there, which
    /// whoever sets the clock leaves. Until then it begins somewhere in the past and jumps.
    #[must_use]
    pub fn awaited(sign: PathBuf) -> Clock {
        let (seen, look_at) = (AtomicBool::new(false), AtomicU64::new(0));
        Clock(Source::Awaited(Arc::new(Awaited { sign, seen, look_at })))
    }

    /// A clock that stands still until a test calls [`Clock::advance`]. It begins at `wall`.
    #[must_use]
    pub fn manual(wall: Timestamp) -> Clock {
        Clock(Source::Manual(Arc::new(Manual {
            state: Mutex::new((Mono(1_000_000), wall)),
            moved: Event::new(),
        })))
    }

    /// Reads both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let (mono, wall) = match &self.0 {
            Source::System | Source::Awaited(_) => {
                (Mono(millis(ClockId::Monotonic)), Timestamp(wall_millis()))
            }
            Source::Manual(manual) => *manual.state.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let is_set = match &self.0 {
            Source::Awaited(awaited) => awaited.is_set(mono),
            Source::System | Source::Manual(_) => true,
        };
        Now { mono, wall, synced: is_set && wall >= RELEASE_FLOOR }
    }

    /// Waits until the monotonic clock has reached `deadline`.
    pub async fn sleep_until(&self, deadline: Mono) {
        match &self.0 {
            Source::System | Source::Awaited(_) => {
                let wait = deadline.since(self.now().mono);
                if !wait.is_zero() {
                    smol::Timer::after(wait).await;
                }
            }
            Source::Manual(manual) => loop {
                let moved = manual.moved.listen();
                if self.now().mono >= deadline {
                    return;
                }
                moved.await;
            },
        }
    }

    /// Waits for `duration` on the monotonic clock.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().mono.after(duration)).await;
    }

    /// Moves a manual clock forward and wakes everybody who waits for it. Does nothing on the system's clock.
    pub fn advance(&self, duration: Duration) {
        if let Source::Manual(manual) = &self.0 {
            let mut state = manual.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = state.0.after(duration);
            state.1 = Timestamp(state.1.0 + i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2));
            drop(state);
            manual.moved.notify(usize::MAX);
        }
    }

    /// Sets the wall time of a manual clock without moving the monotonic one: a clock that jumps.
    pub fn set_wall(&self, wall: Timestamp) {
        if let Source::Manual(manual) = &self.0 {
            manual.state.lock().unwrap_or_else(PoisonError::into_inner).1 = wall;
        }
    }
}

fn millis(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

fn wall_millis() -> i64 {
    i64::try_from(millis(ClockId::Realtime)).unwrap_or(CEILING.0).clamp(0, CEILING.0)
}

/// Waits for `work`, at most until `limit` has passed on `clock`; `None` when time ran out first.
pub async fn within<T>(clock: &Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    smol::future::or(async { Some(work.await) }, async {
        clock.sleep(limit).await;
        None
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_awaited_clock_is_believed_once_its_sign_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let sign = dir.path().join("synchronized");
        let clock = |sign: &std::path::Path| {
            let awaited =
                Awaited { sign: sign.to_owned(), seen: AtomicBool::new(false), look_at: AtomicU64::new(0) };
            Arc::new(awaited)
        };
        let awaited = clock(&sign);
        assert!(!awaited.is_set(Mono(1000)));
        std::fs::File::create(&sign).unwrap();
        // Not looked for again so soon.
        assert!(!awaited.is_set(Mono(1999)));
        assert!(awaited.is_set(Mono(2000)));
        std::fs::remove_file(&sign).unwrap();
        assert!(awaited.is_set(Mono(9000)));
        assert!(!Clock::awaited(sign).now().synced);
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_782_399_999).to_string(), "2000-02-28T23:59:59.999Z");
        assert_eq!(Timestamp(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(RELEASE_FLOOR.to_string(), "2026-11-01T00:00:00.000Z");
        assert_eq!(CEILING.to_string(), "2100-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_time_beyond_32_bits_is_shown_whole() {
        // 2040-01-01, past the end of a signed 32-bit second count.
        assert_eq!(Timestamp(2_208_988_800_000).to_string(), "2040-01-01T00:00:00.000Z");
    }

    #[test]
    fn timestamps_come_back_from_their_text() {
        for millis in (0..CEILING.0).step_by(86_400_000 * 13 + 1_234_567) {
            assert_eq!(Timestamp(millis).to_string().parse(), Ok(Timestamp(millis)));
        }
        assert_eq!("2000-02-29T12:00:00Z".parse(), Ok(Timestamp(951_825_600_000)));
        assert_eq!("1970-01-01T00:00:00.5Z".parse(), Ok(Timestamp(500)));
        assert_eq!("1970-01-01T00:00:00.12345Z".parse(), Ok(Timestamp(123)));
        for odd in [
            "",
            "2000-02-30T12:00:00Z",
            "2000-02-28T24:00:00Z",
            "2000-02-28T12:00:00",
            "2000-2-28T12:00:00Z",
            "2000-02-28 12:00:00Z",
            "2000-02-28T12:00:00.Z",
            "2000-02-28T12:00:00.+1Z",
            "2000-00-28T12:00:00Z",
            "2000-02-28T12:00:00+01:00",
            "2000-13-01T00:00:00Z",
            "+200-01-01T00:00:00Z",
        ] {
            assert_eq!(odd.parse::<Timestamp>(), Err(NotATimestamp), "{odd}");
        }
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_wakes_sleepers() {
        let clock = Clock::manual(RELEASE_FLOOR);
        let start = clock.now();
        let slept = smol::block_on(async {
            let sleeper = async {
                clock.sleep(Duration::from_secs(3600)).await;
                clock.now().mono.since(start.mono)
            };
            let driver = async {
                for _ in 0..60 {
                    smol::future::yield_now().await;
                    clock.advance(Duration::from_secs(60));
                }
            };
            smol::future::zip(sleeper, driver).await.0
        });
        assert_eq!(slept, Duration::from_secs(3600));
    }

    #[test]
    fn a_jump_of_the_wall_clock_does_not_touch_durations() {
        let clock = Clock::manual(Timestamp(0));
        assert!(!clock.now().synced);
        let before = clock.now();
        clock.set_wall(RELEASE_FLOOR);
        assert!(clock.now().synced);
        assert_eq!(clock.now().mono, before.mono);
        assert_eq!(before.wall.millis_since(clock.now().wall), 0);
    }
}
