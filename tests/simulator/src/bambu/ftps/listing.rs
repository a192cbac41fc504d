//! Listings in the form of `ls -l`, and the dates in them.

use super::files::File;

/// Seconds after which a listing says the year instead of the time.
const RECENT_S: u64 = 180 * 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in the calendar, UTC.
struct Moment {
    year: u64,
    month: usize,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// The lines of a folder: first its folders, then its files.
#[must_use]
pub fn list(folders: &[String], files: &[(String, File)], now_s: u64) -> Vec<u8> {
    let mut text = String::new();
    for folder in folders {
        text.push_str(&format!("drwxr-xr-x    2 0        0            4096 Jan 01  1980 {folder}\r\n"));
    }
    for (name, file) in files {
        let date = date(file.modified_s, now_s);
        text.push_str(&format!("-rw-r--r--    1 0        0        {:8} {date} {name}\r\n", file.size()));
    }
    text.into_bytes()
}

/// The names alone.
#[must_use]
pub fn names(folders: &[String], files: &[(String, File)], prefix: &str) -> Vec<u8> {
    let names = folders.iter().chain(files.iter().map(|(name, _)| name));
    names.map(|name| format!("{prefix}{name}\r\n")).collect::<String>().into_bytes()
}

/// `20261123131200`.
#[must_use]
pub fn stamp(epoch_s: u64) -> String {
    let Moment { year, month, day, hour, minute, second } = moment(epoch_s);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

/// `Nov 23 13:12`, or `Nov 23  2025` when it is long ago.
fn date(epoch_s: u64, now_s: u64) -> String {
    let Moment { year, month, day, hour, minute, .. } = moment(epoch_s);
    let month = MONTHS.get(month.saturating_sub(1)).unwrap_or(&"Jan");
    if now_s.saturating_sub(epoch_s) > RECENT_S {
        format!("{month} {day:02}  {year}")
    } else {
        format!("{month} {day:02} {hour:02}:{minute:02}")
    }
}

/// The calendar of Gregory, counted from the first of March, so that the odd day comes last.
fn moment(epoch_s: u64) -> Moment {
    let days = epoch_s / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Moment {
        year: era * 400 + year_of_era + u64::from(month <= 2),
        month: usize::try_from(month).unwrap_or(1),
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        hour: epoch_s / 3_600 % 24,
        minute: epoch_s / 60 % 60,
        second: epoch_s % 60,
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::{Content, Files};
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (epoch_s, text) in [
            (0, "19700101000000"),
            (951_782_399, "20000228235959"),
            (951_868_800, "20000301000000"),
            (1_709_164_800, "20240229000000"),
            (1_763_903_520, "20251123131200"),
        ] {
            assert_eq!(stamp(epoch_s), text);
        }
        assert_eq!(date(1_763_903_520, 1_763_903_520), "Nov 23 13:12");
        assert_eq!(date(1_763_903_520, 1_863_903_520), "Nov 23  2025");
    }

    #[test]
    fn names_stand_in_a_line_as_they_are() {
        let files = Files::default();
        files.put("/Würfel  groß .3mf", Content::bytes(vec![0; 12]));
        let (folders, listed) = files.list("/");
        let text = String::from_utf8(list(&folders, &listed, 0)).unwrap();
        assert!(text.starts_with("-rw-r--r--    1 0        0              12 "), "{text}");
        assert!(text.ends_with(" Würfel  groß .3mf\r\n"), "{text}");
        assert_eq!(names(&["cache".into()], &[], "/x/"), b"/x/cache\r\n");
    }
}
