//! The time zone of a place, as far as counting by days needs it: offset from UTC by rule.
//!
//! A zone is a rule in the notation of POSIX (`CET-1CEST,M3.5.0,M10.5.0/3`) or the name of a place (`Europe/Berlin`). Names
//! are looked up in a table here, because a minimal system has no zone files, and their footer would say the same: the
//! rule that holds today. What a place did in the past does not matter for prints that are recorded now; a rule that is
//! changed by law can be given in POSIX's notation until the table is renewed.
//!
//! Not here: clocks (`base::clock`), texts for people.

use std::fmt;
use std::str::FromStr;

use super::clock::{Timestamp, civil_from_days, days_from_civil};

/// Bytes of a zone's text.
const TEXT_MAX: usize = 64;
const DAY_S: i64 = 86_400;
/// Offsets and times of day that POSIX allows, in seconds: up to a week either way.
const TIME_MAX_S: i64 = 167 * 3_600 + 59 * 60 + 59;

/// Places and their rules.
const PLACES: &[(&str, &str)] = &[
    ("UTC", "UTC0"),
    ("Etc/UTC", "UTC0"),
    ("Africa/Cairo", "EET-2EEST,M4.5.5/0,M10.5.4/24"),
    ("Africa/Casablanca", "<+01>-1"),
    ("Africa/Johannesburg", "SAST-2"),
    ("Africa/Lagos", "WAT-1"),
    ("Africa/Nairobi", "EAT-3"),
    ("America/Anchorage", "AKST9AKDT,M3.2.0,M11.1.0"),
    ("America/Argentina/Buenos_Aires", "<-03>3"),
    ("America/Bogota", "<-05>5"),
    ("America/Chicago", "CST6CDT,M3.2.0,M11.1.0"),
    ("America/Denver", "MST7MDT,M3.2.0,M11.1.0"),
    ("America/Halifax", "AST4ADT,M3.2.0,M11.1.0"),
    ("America/Lima", "<-05>5"),
    ("America/Los_Angeles", "PST8PDT,M3.2.0,M11.1.0"),
    ("America/Mexico_City", "CST6"),
    ("America/New_York", "EST5EDT,M3.2.0,M11.1.0"),
    ("America/Phoenix", "MST7"),
    ("America/Santiago", "<-04>4<-03>,M9.1.6/24,M4.1.6/24"),
    ("America/Sao_Paulo", "<-03>3"),
    ("America/St_Johns", "NST3:30NDT,M3.2.0,M11.1.0"),
    ("America/Toronto", "EST5EDT,M3.2.0,M11.1.0"),
    ("America/Vancouver", "PST8PDT,M3.2.0,M11.1.0"),
    ("Asia/Bangkok", "<+07>-7"),
    ("Asia/Dhaka", "<+06>-6"),
    ("Asia/Dubai", "<+04>-4"),
    ("Asia/Ho_Chi_Minh", "<+07>-7"),
    ("Asia/Hong_Kong", "HKT-8"),
    ("Asia/Jakarta", "WIB-7"),
    ("Asia/Jerusalem", "IST-2IDT,M3.4.4/26,M10.5.0"),
    ("Asia/Karachi", "PKT-5"),
    ("Asia/Kathmandu", "<+0545>-5:45"),
    ("Asia/Kolkata", "IST-5:30"),
    ("Asia/Manila", "PST-8"),
    ("Asia/Riyadh", "<+03>-3"),
    ("Asia/Seoul", "KST-9"),
    ("Asia/Shanghai", "CST-8"),
    ("Asia/Singapore", "<+08>-8"),
    ("Asia/Taipei", "CST-8"),
    ("Asia/Tehran", "<+0330>-3:30"),
    ("Asia/Tokyo", "JST-9"),
    ("Atlantic/Azores", "<-01>1<+00>,M3.5.0/0,M10.5.0/1"),
    ("Atlantic/Canary", "WET0WEST,M3.5.0/1,M10.5.0"),
    ("Atlantic/Reykjavik", "GMT0"),
    ("Australia/Adelaide", "ACST-9:30ACDT,M10.1.0,M4.1.0/3"),
    ("Australia/Brisbane", "AEST-10"),
    ("Australia/Darwin", "ACST-9:30"),
    ("Australia/Melbourne", "AEST-10AEDT,M10.1.0,M4.1.0/3"),
    ("Australia/Perth", "AWST-8"),
    ("Australia/Sydney", "AEST-10AEDT,M10.1.0,M4.1.0/3"),
    ("Europe/Amsterdam", CENTRAL_EUROPE),
    ("Europe/Athens", EASTERN_EUROPE),
    ("Europe/Belgrade", CENTRAL_EUROPE),
    ("Europe/Berlin", CENTRAL_EUROPE),
    ("Europe/Bratislava", CENTRAL_EUROPE),
    ("Europe/Brussels", CENTRAL_EUROPE),
    ("Europe/Bucharest", EASTERN_EUROPE),
    ("Europe/Budapest", CENTRAL_EUROPE),
    ("Europe/Copenhagen", CENTRAL_EUROPE),
    ("Europe/Dublin", "GMT0IST,M3.5.0/1,M10.5.0"),
    ("Europe/Helsinki", EASTERN_EUROPE),
    ("Europe/Istanbul", "<+03>-3"),
    ("Europe/Kyiv", EASTERN_EUROPE),
    ("Europe/Lisbon", "WET0WEST,M3.5.0/1,M10.5.0"),
    ("Europe/Ljubljana", CENTRAL_EUROPE),
    ("Europe/London", "GMT0BST,M3.5.0/1,M10.5.0"),
    ("Europe/Luxembourg", CENTRAL_EUROPE),
    ("Europe/Madrid", CENTRAL_EUROPE),
    ("Europe/Moscow", "MSK-3"),
    ("Europe/Oslo", CENTRAL_EUROPE),
    ("Europe/Paris", CENTRAL_EUROPE),
    ("Europe/Prague", CENTRAL_EUROPE),
    ("Europe/Riga", EASTERN_EUROPE),
    ("Europe/Rome", CENTRAL_EUROPE),
    ("Europe/Sofia", EASTERN_EUROPE),
    ("Europe/Stockholm", CENTRAL_EUROPE),
    ("Europe/Tallinn", EASTERN_EUROPE),
    ("Europe/Vienna", CENTRAL_EUROPE),
    ("Europe/Vilnius", EASTERN_EUROPE),
    ("Europe/Warsaw", CENTRAL_EUROPE),
    ("Europe/Zagreb", CENTRAL_EUROPE),
    ("Europe/Zurich", CENTRAL_EUROPE),
    ("Pacific/Auckland", "NZST-12NZDT,M9.5.0,M4.1.0/3"),
    ("Pacific/Honolulu", "HST10"),
];

const CENTRAL_EUROPE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const EASTERN_EUROPE: &str = "EET-2EEST,M3.5.0/3,M10.5.0/4";

/// A text that is no zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAZone;

impl fmt::Display for NotAZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a known place as Europe/Berlin, nor a rule as CET-1CEST,M3.5.0,M10.5.0/3")
    }
}

impl std::error::Error for NotAZone {}

/// A day of the year on which the clocks change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// `Mm.w.d`: the `w`th weekday `d` (0 is Sunday) of month `m`; week 5 is the last.
    Weekday { month: i64, week: i64, weekday: i64 },
    /// `Jn`: day 1 to 365, February 29th never counted.
    Julian(i64),
    /// `n`: day 0 to 365, February 29th counted.
    Ordinal(i64),
}

/// A change of the clocks: the day, and the time of day in seconds by the clock before the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    time_s: i64,
}

/// Summer time: its offset, and when it begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summer {
    offset_s: i64,
    begin: Change,
    end: Change,
}

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    text: String,
    /// Seconds that local time is ahead of UTC.
    offset_s: i64,
    summer: Option<Summer>,
}

impl Default for Zone {
    fn default() -> Zone {
        Zone { text: "UTC".to_owned(), offset_s: 0, summer: None }
    }
}

impl fmt::Display for Zone {
    /// As it was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Zone {
    type Err = NotAZone;

    fn from_str(text: &str) -> Result<Zone, NotAZone> {
        if text.len() > TEXT_MAX {
            return Err(NotAZone);
        }
        let place = PLACES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let rule = place.map_or(text, |(_, rule)| rule);
        let mut rest = Rest(rule);
        rest.name()?;
        let offset_s = -rest.time()?;
        let mut summer = None;
        if !rest.0.is_empty() {
            rest.name()?;
            let ahead = if rest.0.starts_with(',') { offset_s + 3_600 } else { -rest.time()? };
            let begin = rest.change()?;
            let end = rest.change()?;
            summer = Some(Summer { offset_s: ahead, begin, end });
        }
        if !rest.0.is_empty() {
            return Err(NotAZone);
        }
        Ok(Zone { text: text.to_owned(), offset_s, summer })
    }
}

impl Zone {
    /// The local day of `at`, in days since 1970-01-01.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> i32 {
        let seconds = at.0.div_euclid(1000);
        let local = seconds + self.offset(seconds);
        i32::try_from(local.div_euclid(DAY_S)).unwrap_or(0)
    }

    /// Seconds that local time is ahead of UTC at `seconds` since 1970.
    fn offset(&self, seconds: i64) -> i64 {
        let Some(summer) = self.summer else { return self.offset_s };
        let (year, ..) = civil_from_days((seconds + self.offset_s).div_euclid(DAY_S));
        let begin = summer.begin.seconds(year) - self.offset_s;
        let end = summer.end.seconds(year) - summer.offset_s;
        let is_summer = if begin <= end {
            (begin..end).contains(&seconds)
        } else {
            // South of the equator summer lasts over the new year.
            !(end..begin).contains(&seconds)
        };
        if is_summer { summer.offset_s } else { self.offset_s }
    }
}

impl Change {
    /// Its moment in `year`, in seconds since 1970 by the local clock before the change.
    fn seconds(self, year: i64) -> i64 {
        let first = days_from_civil(year, 1, 1);
        let is_leap = days_from_civil(year + 1, 1, 1) - first == 366;
        let day = match self.day {
            Day::Ordinal(day) => first + day,
            Day::Julian(day) => first + day - 1 + i64::from(is_leap && day >= 60),
            Day::Weekday { month, week, weekday } => {
                let first = days_from_civil(year, month, 1);
                let next = if month == 12 {
                    days_from_civil(year + 1, 1, 1)
                } else {
                    days_from_civil(year, month + 1, 1)
                };
                // 1970-01-01 was a Thursday.
                let ahead = (weekday - (first + 4)).rem_euclid(7);
                let day = first + ahead + (week - 1) * 7;
                if day < next { day } else { day - 7 }
            }
        };
        day * DAY_S + self.time_s
    }
}

/// What is left of a rule to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Takes as many characters as fit.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|character| !fits(character)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn skip(&mut self, character: char) -> bool {
        let rest = self.0.strip_prefix(character);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// `CET` or `<+0330>`; at least three characters.
    fn name(&mut self) -> Result<(), NotAZone> {
        let name = if self.skip('<') {
            let name = self.take(|c| c.is_ascii_alphanumeric() || c == '+' || c == '-');
            if !self.skip('>') {
                return Err(NotAZone);
            }
            name
        } else {
            self.take(|c| c.is_ascii_alphabetic())
        };
        if name.len() >= 3 { Ok(()) } else { Err(NotAZone) }
    }

    fn number(&mut self, least: i64, most: i64) -> Result<i64, NotAZone> {
        let digits = self.take(|c| c.is_ascii_digit());
        let number: i64 = digits.parse().map_err(|_| NotAZone)?;
        if (least..=most).contains(&number) { Ok(number) } else { Err(NotAZone) }
    }

    /// `[+-]h[h[h]][:mm[:ss]]` in seconds.
    fn time(&mut self) -> Result<i64, NotAZone> {
        let sign = if self.skip('-') {
            -1
        } else {
            self.skip('+');
            1
        };
        let mut seconds = self.number(0, 167)? * 3_600;
        if self.skip(':') {
            seconds += self.number(0, 59)? * 60;
            if self.skip(':') {
                seconds += self.number(0, 59)?;
            }
        }
        if seconds <= TIME_MAX_S { Ok(sign * seconds) } else { Err(NotAZone) }
    }

    /// `,day[/time]`
    fn change(&mut self) -> Result<Change, NotAZone> {
        if !self.skip(',') {
            return Err(NotAZone);
        }
        let day = if self.skip('M') {
            let month = self.number(1, 12)?;
            let week = if self.skip('.') { self.number(1, 5)? } else { return Err(NotAZone) };
            let weekday = if self.skip('.') { self.number(0, 6)? } else { return Err(NotAZone) };
            Day::Weekday { month, week, weekday }
        } else if self.skip('J') {
            Day::Julian(self.number(1, 365)?)
        } else {
            Day::Ordinal(self.number(0, 365)?)
        };
        let time_s = if self.skip('/') { self.time()? } else { 2 * 3_600 };
        Ok(Change { day, time_s })
    }
}

/// A day since 1970-01-01 as `2026-11-26`.
#[must_use]
pub fn date(day: i32) -> String {
    let (year, month, day) = civil_from_days(i64::from(day));
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_in(zone: &str, at: &str) -> String {
        date(zone.parse::<Zone>().unwrap().day(at.parse().unwrap()))
    }

    #[test]
    fn days_begin_at_local_midnight_summer_and_winter() {
        for (zone, at, day) in [
            ("UTC", "2026-11-26T23:59:59Z", "2026-11-26"),
            ("Europe/Berlin", "2026-11-26T22:59:59Z", "2026-11-26"),
            ("Europe/Berlin", "2026-11-26T23:00:00Z", "2026-11-27"),
            ("Europe/Berlin", "2026-07-01T21:59:59Z", "2026-07-01"),
            ("Europe/Berlin", "2026-07-01T22:00:00Z", "2026-07-02"),
            // The last Sundays of March and October 2026 are the 29th and the 25th; the clocks change at 01:00 UTC.
            ("Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29"),
            ("Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-29"),
            ("Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-30"),
            ("Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25"),
            ("Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-25"),
            ("Europe/Berlin", "2026-10-25T23:00:00Z", "2026-10-26"),
            ("America/New_York", "2026-11-27T04:59:59Z", "2026-11-26"),
            ("America/New_York", "2026-11-27T05:00:00Z", "2026-11-27"),
            ("America/New_York", "2026-07-02T03:59:59Z", "2026-07-01"),
            // Summer over the new year.
            ("Australia/Sydney", "2026-12-31T12:59:59Z", "2026-12-31"),
            ("Australia/Sydney", "2026-12-31T13:00:00Z", "2027-01-01"),
            ("Australia/Sydney", "2026-07-01T13:59:59Z", "2026-07-01"),
            ("Australia/Sydney", "2026-07-01T14:00:00Z", "2026-07-02"),
            ("Asia/Kolkata", "2026-11-26T18:30:00Z", "2026-11-27"),
            ("<+0545>-5:45", "2026-11-26T18:15:00Z", "2026-11-27"),
            // Julian and counted days: both are March 1st of a leap year here.
            ("AAA0BBB,J60/0,J300/0", "2028-02-29T23:30:00Z", "2028-02-29"),
            ("AAA0BBB,J60/0,J300/0", "2028-03-01T23:30:00Z", "2028-03-02"),
            ("AAA0BBB,60/0,300/0", "2028-02-29T23:30:00Z", "2028-02-29"),
            ("AAA0BBB,60/0,300/0", "2028-03-01T23:30:00Z", "2028-03-02"),
        ] {
            assert_eq!(day_in(zone, at), day, "{zone} {at}");
        }
    }

    #[test]
    fn every_place_has_a_rule_that_can_be_read() {
        for (name, rule) in PLACES {
            let zone: Zone = name.parse().unwrap_or_else(|_| panic!("{name}"));
            assert_eq!(zone.to_string(), *name);
            let by_rule: Zone = rule.parse().unwrap();
            assert_eq!((zone.offset_s, zone.summer), (by_rule.offset_s, by_rule.summer));
            assert!(zone.offset_s.abs() <= 14 * 3_600, "{name}");
        }
        let mut names: Vec<&str> = PLACES.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PLACES.len());
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for text in [
            "",
            "Berlin",
            "Europe/Atlantis",
            "CE-1",
            "CET",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M10.5.0",
            "CET-1CEST,M3.5.7,M10.5.0",
            "CET-1CEST,J0,J5",
            "CET-1CEST,M3.5.0,M10.5.0/3x",
            "CET-168",
            "<+01-1",
            "CET-1:60",
            &"C".repeat(65),
        ] {
            assert_eq!(text.parse::<Zone>(), Err(NotAZone), "{text}");
        }
    }
}
