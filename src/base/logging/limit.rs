//! How often a line may appear. Pure: the time comes from outside.
//!
//! From level info up each call site, together with the record's `printer_id` or `key`, has a budget that refills slowly:
//! a fault that repeats for months fills neither the journal nor the card, and one printer's noise hides no other's.
//! Debug and trace share one larger budget, because somebody asked to see everything.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use log::{Level, Record};

use crate::base::clock::Mono;

/// Lines that a site may write at once: a start with 32 printers logs each of them.
const SITE_BURST: u32 = 50;
/// A site gets one more line in this time: 10 a minute.
const SITE_REFILL: Duration = Duration::from_secs(6);
/// Lines of debug and trace at once.
const DEBUG_BURST: u32 = 1000;
/// One more line of debug or trace in this time: 200 a second, twice what 8 printers at 10 reports a second need.
const DEBUG_REFILL: Duration = Duration::from_millis(5);
/// Sites that are remembered; the one that was quiet the longest makes room. The program has fewer call sites that
/// repeat, times 32 printers.
const SITES_MAX: usize = 512;

/// A bucket of tokens in milliseconds: full means a whole burst may pass.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    credit: u64,
    touched: Mono,
    swallowed: u64,
}

impl Bucket {
    fn new(burst: u32, refill: Duration, now: Mono) -> Bucket {
        Bucket { credit: u64::from(burst) * millis(refill), touched: now, swallowed: 0 }
    }

    fn take(&mut self, burst: u32, refill: Duration, now: Mono) -> Verdict {
        let earned = millis(now.since(self.touched));
        self.touched = now;
        self.credit = self.credit.saturating_add(earned).min(u64::from(burst) * millis(refill));
        match self.credit.checked_sub(millis(refill)) {
            Some(rest) => {
                self.credit = rest;
                Verdict::Pass { swallowed: std::mem::take(&mut self.swallowed) }
            }
            None => {
                self.swallowed += 1;
                Verdict::Swallow
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is; `swallowed` lines of this site were not since the last one.
    Pass {
        /// Their number.
        swallowed: u64,
    },
    /// It is not.
    Swallow,
}

/// Who writes: the call site and what it is about.
#[must_use]
pub fn site(record: &Record<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.target().hash(&mut hasher);
    record.file().hash(&mut hasher);
    record.line().hash(&mut hasher);
    for key in ["printer_id", "key"] {
        if let Some(value) = record.key_values().get(log::kv::Key::from(key)) {
            super::line::escape(&value.to_string()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The budgets of all sites.
#[derive(Debug)]
pub struct Limiter {
    sites: Vec<(u64, Bucket)>,
    debug: Option<Bucket>,
    suppressed: u64,
}

impl Default for Limiter {
    fn default() -> Limiter {
        Limiter::new()
    }
}

impl Limiter {
    /// Nobody has written yet.
    #[must_use]
    pub fn new() -> Limiter {
        Limiter { sites: Vec::new(), debug: None, suppressed: 0 }
    }

    /// Asks for a line of `site`.
    pub fn take(&mut self, site: u64, level: Level, now: Mono) -> Verdict {
        let verdict = match level {
            Level::Debug | Level::Trace => {
                let bucket = self.debug.get_or_insert_with(|| Bucket::new(DEBUG_BURST, DEBUG_REFILL, now));
                bucket.take(DEBUG_BURST, DEBUG_REFILL, now)
            }
            Level::Error | Level::Warn | Level::Info => self.site(site, now),
        };
        if verdict == Verdict::Swallow {
            self.suppressed += 1;
        }
        verdict
    }

    fn site(&mut self, site: u64, now: Mono) -> Verdict {
        if let Some((_, bucket)) = self.sites.iter_mut().find(|(known, _)| *known == site) {
            return bucket.take(SITE_BURST, SITE_REFILL, now);
        }
        if self.sites.len() >= SITES_MAX {
            let oldest = self.sites.iter().enumerate().min_by_key(|(_, (_, bucket))| bucket.touched);
            if let Some(index) = oldest.map(|(index, _)| index) {
                self.sites.swap_remove(index);
            }
        }
        let mut bucket = Bucket::new(SITE_BURST, SITE_REFILL, now);
        let verdict = bucket.take(SITE_BURST, SITE_REFILL, now);
        self.sites.push((site, bucket));
        verdict
    }

    /// Lines that were not written since the start.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(limiter: &mut Limiter, site: u64, level: Level, times: u32, now: Mono) -> u32 {
        (0..times).map(|_| u32::from(limiter.take(site, level, now) != Verdict::Swallow)).sum()
    }

    #[test]
    fn a_site_that_repeats_is_cut_and_says_how_much() {
        let mut limiter = Limiter::new();
        let start = Mono(5_000);
        assert_eq!(passed(&mut limiter, 1, Level::Warn, 500, start), SITE_BURST);
        assert_eq!(passed(&mut limiter, 2, Level::Warn, 1, start), 1, "another site is not concerned");
        let later = start.after(SITE_REFILL);
        assert_eq!(limiter.take(1, Level::Warn, later), Verdict::Pass { swallowed: 450 });
        assert_eq!(limiter.take(1, Level::Warn, later), Verdict::Swallow);
        assert_eq!(limiter.suppressed(), 451);
    }

    #[test]
    fn a_day_of_errors_stays_small() {
        let mut limiter = Limiter::new();
        let lines: u32 =
            (0..86_400u64).map(|s| passed(&mut limiter, 1, Level::Error, 10, Mono(s * 1000))).sum();
        assert!((14_000..15_000).contains(&lines), "{lines}");
    }

    #[test]
    fn the_table_of_sites_is_bounded_and_forgets_the_quiet_ones() {
        let mut limiter = Limiter::new();
        assert_eq!(passed(&mut limiter, 0, Level::Info, 60, Mono(1)), SITE_BURST);
        for site in 1..10_000u64 {
            limiter.take(site, Level::Info, Mono(site + 1));
            limiter.take(0, Level::Info, Mono(site + 1));
        }
        assert_eq!(limiter.sites.len(), SITES_MAX);
        // The noisy one was never quiet: it is not forgotten, and has earned 10 s worth of lines at most.
        assert_eq!(passed(&mut limiter, 0, Level::Info, 60, Mono(10_000)), 0);
    }

    #[test]
    fn debug_has_room_for_every_event_of_many_printers() {
        let mut limiter = Limiter::new();
        let lines: u32 = (0..60u64).map(|s| passed(&mut limiter, 1, Level::Debug, 100, Mono(s * 1000))).sum();
        assert_eq!(lines, 6000);
        assert!(passed(&mut limiter, 1, Level::Debug, 100_000, Mono(60_000)) <= DEBUG_BURST);
    }
}
