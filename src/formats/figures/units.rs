//! Numbers, durations, lists, colours and dates as slicers write them.

use crate::formats::{limits, result::short_text};

/// The first number in `text`: `0.2`, `0.2mm`, `15%`, `71,958466` (some versions write the user's locale), `.2`.
/// `None` for words, unfilled templates, `nan` and `inf`.
pub(crate) fn number(text: &str) -> Option<f64> {
    let text = text.trim().trim_matches('"').trim();
    let end = text
        .char_indices()
        .find(|&(at, character)| {
            !(character.is_ascii_digit()
                || character == '.'
                || character == ','
                || (at == 0 && (character == '-' || character == '+')))
        })
        .map_or(text.len(), |(at, _)| at);
    let digits = text.get(..end)?.trim_end_matches([',', '.']);
    // An exponent is only a number's part where a digit follows; no slicer's unit begins like this.
    let exponent = text.get(digits.len()..).filter(|rest| {
        let mut characters = rest.chars();
        matches!(characters.next(), Some('e' | 'E'))
            && characters.next().is_some_and(|c| c.is_ascii_digit() || c == '-' || c == '+')
    });
    let exponent = exponent.map(|rest| {
        let length = rest
            .char_indices()
            .skip(2)
            .find(|(_, character)| !character.is_ascii_digit())
            .map_or(rest.len(), |(at, _)| at);
        rest.get(..length).unwrap_or_default()
    });
    let plain = if digits.contains('.') { digits.replace(',', "") } else { digits.replacen(',', ".", 1) };
    let plain = format!("{plain}{}", exponent.unwrap_or_default());
    plain.parse::<f64>().ok().filter(|value| value.is_finite() && value.abs() < 1e12)
}

/// A number that cannot be negative.
pub(crate) fn positive(text: &str) -> Option<f64> {
    number(text).filter(|&value| value >= 0.0)
}

/// A count.
pub(crate) fn count(text: &str) -> Option<u64> {
    positive(text).and_then(round)
}

/// To a whole number, `None` when it is negative or absurd.
pub(crate) fn round(value: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie within 0..1e12"
    )]
    (0.0..1e12).contains(&value).then(|| value.round() as u64)
}

/// Seconds of `1d 2h 3m 4s`, `1 hour 2 minutes`, `01:02:03`, `11.75 minutes`, or a plain number of seconds.
pub(crate) fn duration_s(text: &str) -> Option<f64> {
    let text = text.trim().trim_matches('"');
    if let Some(value) = clock(text) {
        return Some(value);
    }
    // `1 day, 2:03:04`
    if let Some((days, time)) = text.split_once("day").filter(|_| text.contains(':')) {
        let time = clock(time.trim_start_matches('s').trim_start_matches([',', ' ']))?;
        return Some(positive(days)? * 86_400.0 + time);
    }
    let mut total = 0.0;
    let mut any = false;
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit() || character == '.') {
        rest = rest.get(start..)?;
        let end = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.' && character != ',')
            .unwrap_or(rest.len());
        let value = number(rest.get(..end)?);
        rest = rest.get(end..)?.trim_start();
        let unit_end = rest.find(|character: char| !character.is_alphabetic()).unwrap_or(rest.len());
        let unit = rest.get(..unit_end)?.to_ascii_lowercase();
        rest = rest.get(unit_end..)?;
        let factor = match unit.as_str() {
            "d" | "day" | "days" => 86_400.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "ms" => 0.001,
            // A plain number is seconds; a number before an unknown word ends the duration.
            "" if !any && rest.trim().is_empty() => 1.0,
            _ => break,
        };
        total += value? * factor;
        any = true;
    }
    (any && total < 1e9).then_some(total)
}

fn clock(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    let mut total = 0.0;
    for part in parts {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) || part.len() > 6 {
            return None;
        }
        total = total * 60.0 + part.parse::<f64>().ok()?;
    }
    Some(total)
}

/// The numbers of a list, one per tool; a word in between is an unknown one and keeps the places of the others.
pub(crate) fn numbers(text: &str) -> Vec<Option<f64>> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    if text.is_empty() {
        return Vec::new();
    }
    let separator = if text.contains(';') {
        ';'
    } else if text.contains('|') {
        '|'
    } else {
        ','
    };
    text.split(separator).take(limits::TOOLS_MAX).map(positive).collect()
}

/// The texts of a list separated by `;` (or by `,` when there is no `;` and no quotes), without their quotes.
pub(crate) fn texts(text: &str, comma: bool) -> Vec<String> {
    let separator = if comma && !text.contains(';') && !text.contains('"') { ',' } else { ';' };
    let mut out = Vec::new();
    let mut current = String::new();
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' if quoted => current.extend(characters.next()),
            other if other == separator && !quoted => {
                out.push(short_text(&current));
                current.clear();
            }
            other => current.push(other),
        }
        if out.len() >= limits::TOOLS_MAX {
            return out;
        }
    }
    out.push(short_text(&current));
    out
}

/// `#RRGGBB` in upper case out of `#rrggbb`, `#RRGGBBAA`, `RRGGBB` or `0xRRGGBB`; `None` for anything else.
pub(crate) fn color(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('"').trim();
    let digits = text.strip_prefix('#').or_else(|| text.strip_prefix("0x")).unwrap_or(text);
    let valid = matches!(digits.len(), 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| format!("#{}", digits.get(..6).unwrap_or_default().to_ascii_uppercase()))
}

/// Whether a switch is on: `1`, `true`, a word such as `everywhere`; off: `0`, `false`, `none`.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text.trim().trim_matches('"').to_ascii_lowercase().as_str() {
        "" | "nil" | "null" => None,
        "0" | "false" | "none" | "no" | "off" | "disabled" => Some(false),
        word if word.contains(['{', '[']) => None,
        _ => Some(true),
    }
}

/// RFC 3339 out of `2023-07-04 at 07:47:14 UTC`, `2023-07-04 07:47:14`, `2022-03-07 23:10:13 UTC+0800`, `2025-12-19`.
/// Without `UTC` the slicer wrote local time, and the answer has no offset.
pub(crate) fn timestamp(text: &str) -> Option<String> {
    let start = text.as_bytes().windows(10).position(|window| {
        window
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() })
    })?;
    let date = text.get(start..start.checked_add(10)?)?;
    let (month, day) = (date.get(5..7)?.parse::<u32>().ok()?, date.get(8..10)?.parse::<u32>().ok()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let rest = text.get(start.checked_add(10)?..)?.trim_start();
    let rest = rest.strip_prefix("at").or_else(|| rest.strip_prefix('T')).unwrap_or(rest).trim_start();
    let time = rest.get(..8).filter(|time| {
        time.bytes()
            .enumerate()
            .all(|(at, byte)| if at == 2 || at == 5 { byte == b':' } else { byte.is_ascii_digit() })
            && time.get(..2).is_some_and(|hours| hours < "24")
            && time.get(3..5).is_some_and(|minutes| minutes < "60")
            && time.get(6..8).is_some_and(|seconds| seconds < "61")
    });
    let Some(time) = time else { return Some(date.to_owned()) };
    let zone = rest.get(8..).unwrap_or_default().trim_start();
    let zone = match zone.strip_prefix("UTC") {
        Some(offset) => zone_offset(offset).unwrap_or_else(|| "Z".to_owned()),
        None if zone.starts_with('Z') => "Z".to_owned(),
        None => zone_offset(zone).unwrap_or_default(),
    };
    Some(format!("{date}T{time}{zone}"))
}

/// The date of a line that is nothing but a date in English words, for [`timestamp`]: `Aug 2, 2023 at 10:00:00 AM`.
pub(crate) fn written_date(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let mut words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let name = words.next()?.get(..3)?.to_ascii_lowercase();
    let month = MONTHS.iter().position(|month| *month == name)? + 1;
    let day = words.next()?.parse::<u32>().ok().filter(|day| (1..=31).contains(day))?;
    let year = words.next()?.parse::<u32>().ok().filter(|year| (2000..=2999).contains(year))?;
    let date = format!("{year:04}-{month:02}-{day:02}");
    let Some(time) = words.find(|word| *word != "at") else { return Some(date) };
    let mut parts = time.split(':').map(|part| part.parse::<u32>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    let hour = match words.next().map(str::to_ascii_lowercase).as_deref() {
        Some("am") => hour % 12,
        Some("pm") => hour % 12 + 12,
        _ => hour,
    };
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}"))
}

/// `+08:00` out of `+0800` or `+08:00`.
fn zone_offset(text: &str) -> Option<String> {
    let sign = text.get(..1).filter(|sign| matches!(*sign, "+" | "-"))?;
    let digits: String = text.chars().skip(1).filter(|character| *character != ':').take(4).collect();
    (digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| {
        format!("{sign}{}:{}", digits.get(..2).unwrap_or_default(), digits.get(2..).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_dress() {
        assert_eq!(number("0.2"), Some(0.2));
        assert_eq!(number(" 15% "), Some(15.0));
        assert_eq!(number("71,958466"), Some(71.958466));
        assert_eq!(number("1,234.5"), Some(1234.5));
        assert_eq!(number("-0.05mm"), Some(-0.05));
        assert_eq!(number("1e-3"), Some(0.001));
        assert_eq!(number("2.5e"), Some(2.5));
        assert_eq!(number(".2"), Some(0.2));
        for rubbish in ["", "nil", "{layer_height}", "nan", "inf", "1e999", "--", ",", "9999999999999999999"]
        {
            assert_eq!(number(rubbish), None, "{rubbish}");
        }
        assert_eq!(numbers("400.85, 0, 98.63"), [Some(400.85), Some(0.0), Some(98.63)]);
        assert_eq!(numbers("1.2,nil,3"), [Some(1.2), None, Some(3.0)]);
        assert!(numbers("").is_empty());
    }

    #[test]
    fn durations_in_every_dress() {
        for (text, seconds) in [
            ("1d 2h 3m 4s", 93_784.0),
            ("44m 38s", 2_678.0),
            ("2h 9m 5s", 7_745.0),
            ("40s", 40.0),
            ("1 hour 2 minutes", 3_720.0),
            ("11.75 minutes", 705.0),
            ("865", 865.0),
            ("01:02:03", 3_723.0),
            ("3 hours 0 minutes 5 sec", 10_805.0),
            ("120s", 120.0),
            ("2 days 1 hour", 176_400.0),
            ("1 day, 2:03:04", 93_784.0),
            ("2 days, 0:00:10", 172_810.0),
        ] {
            assert_eq!(duration_s(text), Some(seconds), "{text}");
        }
        for rubbish in ["", "soon", "{time}", "12 parsecs"] {
            assert_eq!(duration_s(rubbish), None, "{rubbish}");
        }
    }

    #[test]
    fn lists_and_colours() {
        assert_eq!(texts("\"Generic PLA @MMU2\";\"a;b\"", true), ["Generic PLA @MMU2", "a;b"]);
        assert_eq!(texts("PLA;ABS", true), ["PLA", "ABS"]);
        assert_eq!(texts("PLA,ABS", true), ["PLA", "ABS"]);
        assert_eq!(texts("A, B", false), ["A, B"]);
        assert_eq!(color("#ff8000FF").as_deref(), Some("#FF8000"));
        assert_eq!(color("\"\""), None);
        assert_eq!(color("#GG0000"), None);
        assert_eq!(switch("everywhere"), Some(true));
        assert_eq!(switch("0"), Some(false));
        assert_eq!(switch(""), None);
    }

    #[test]
    fn dates_keep_what_they_know_about_the_zone() {
        assert_eq!(timestamp("2023-07-04 at 07:47:14 UTC").as_deref(), Some("2023-07-04T07:47:14Z"));
        assert_eq!(timestamp("on 2026-04-03 at 14:28:37").as_deref(), Some("2026-04-03T14:28:37"));
        assert_eq!(timestamp("2022-03-07 23:10:13 UTC+0800").as_deref(), Some("2022-03-07T23:10:13+08:00"));
        assert_eq!(timestamp("2025-12-19").as_deref(), Some("2025-12-19"));
        assert_eq!(timestamp("2025-13-19"), None);
        assert_eq!(timestamp("yesterday"), None);
        assert_eq!(written_date("Aug 2, 2023 at 10:00:00 PM").as_deref(), Some("2023-08-02 22:00:00"));
        assert_eq!(written_date("August 12, 2023 at 12:05:09 AM").as_deref(), Some("2023-08-12 00:05:09"));
        assert_eq!(written_date("Jan 1, 2024").as_deref(), Some("2024-01-01"));
        for rubbish in ["", "May be", "March on", "Dec 40, 2024", "jan 1, 24", "ab\u{fc}d 1, 2024"] {
            assert_eq!(written_date(rubbish), None, "{rubbish}");
        }
    }
}
