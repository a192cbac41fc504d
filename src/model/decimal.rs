//! Decimal numbers as people write them, taken exactly: no binary fraction stands between a text and a record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Characters of a number's text: far more than any measurement has, noise of a client's binary fractions included.
const TEXT_MAX: usize = 64;
/// Digits that are kept; the rest only counts as zeros. Enough for a 64-bit number with all its decimal places.
const DIGITS_MAX: usize = 34;
/// Powers of ten beyond this are no measurement.
const EXPONENT_MAX: i32 = 60;

/// A decimal number: `digits * 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: u128,
    exponent: i32,
}

/// A text that is not a decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADecimal;

impl fmt::Display for NotADecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a decimal number")
    }
}

impl std::error::Error for NotADecimal {}

impl FromStr for Decimal {
    type Err = NotADecimal;

    /// What JSON allows as a number: sign, digits, fraction, exponent.
    fn from_str(text: &str) -> Result<Decimal, NotADecimal> {
        if text.len() > TEXT_MAX {
            return Err(NotADecimal);
        }
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (number, power) = match text.split_once(['e', 'E']) {
            Some((number, power)) => (number, power.strip_prefix('+').unwrap_or(power)),
            None => (text, "0"),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(NotADecimal),
            None => (number, ""),
        };
        let mut exponent: i32 = power.parse().map_err(|_| NotADecimal)?;
        if whole.is_empty() || exponent.abs() > EXPONENT_MAX {
            return Err(NotADecimal);
        }
        let (mut digits, mut count) = (0_u128, 0);
        for (byte, is_fraction) in
            whole.bytes().map(|b| (b, false)).chain(fraction.bytes().map(|b| (b, true)))
        {
            if !byte.is_ascii_digit() {
                return Err(NotADecimal);
            }
            if count < DIGITS_MAX {
                digits = digits * 10 + u128::from(byte - b'0');
                count += usize::from(digits > 0);
                exponent -= i32::from(is_fraction);
            } else {
                exponent += i32::from(!is_fraction);
            }
        }
        Ok(Decimal { negative: negative && digits > 0, digits, exponent })
    }
}

impl Decimal {
    /// The number times `10^places`, rounded to the nearest whole number; `None` where it is negative or beyond 64 bits.
    #[must_use]
    pub fn scaled(self, places: u32) -> Option<u64> {
        if self.negative {
            return None;
        }
        let shift = self.exponent.checked_add(i32::try_from(places).ok()?)?;
        let power = 10_u128.checked_pow(shift.unsigned_abs());
        let whole = match (shift >= 0, power) {
            (true, Some(power)) => self.digits.checked_mul(power)?,
            (true, None) if self.digits == 0 => 0,
            (true, None) => return None,
            (false, Some(power)) => {
                self.digits / power + u128::from(self.digits % power >= power.div_ceil(2))
            }
            (false, None) => 0,
        };
        u64::try_from(whole).ok()
    }
}

impl<'de> Deserialize<'de> for Decimal {
    /// From JSON only: the text of a number, or a text in quotes that is one (as some clients write prices).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get().trim();
        let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        text.parse().map_err(|_| serde::de::Error::custom("expected a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(text: &str, places: u32) -> Option<u64> {
        text.parse::<Decimal>().unwrap().scaled(places)
    }

    #[test]
    fn decimals_are_taken_exactly() {
        for (text, places, expected) in [
            ("0", 6, Some(0)),
            ("-0", 6, Some(0)),
            ("0.75", 6, Some(750_000)),
            ("1.1", 9, Some(1_100_000_000)),
            ("1e3", 0, Some(1000)),
            ("1.25E-1", 3, Some(125)),
            ("2.5e+1", 1, Some(250)),
            ("0.1999999", 9, Some(199_999_900)),
            // What a client's binary arithmetic makes of 0.7 * 0.2 and of 1 - 0.8.
            ("0.13999999999999999", 9, Some(140_000_000)),
            ("0.19999999999999996", 9, Some(200_000_000)),
            ("0.15000000000000002", 9, Some(150_000_000)),
            ("0.0000000005", 9, Some(1)),
            ("0.00000000049999999999999999999999999999999999999999", 9, Some(0)),
            ("18446744073709551615", 0, Some(u64::MAX)),
            ("18446744073709551616", 0, None),
            ("1e60", 9, None),
            ("0e60", 9, Some(0)),
            ("1e-60", 9, Some(0)),
            ("-1", 0, None),
            ("-0.001", 0, None),
            ("100000000000000000000000000000000000000000", 0, None),
            ("0.000000000000000000000000000000000000000001", 42, Some(1)),
        ] {
            assert_eq!(scaled(text, places), expected, "{text} {places}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "-",
            ".5",
            "5.",
            "1e",
            "1e1.5",
            "1e61",
            "0x10",
            "1,5",
            "NaN",
            "--1",
            "1 ",
            "١",
            &"1".repeat(65),
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(NotADecimal), "{text}");
        }
    }

    #[test]
    fn json_gives_the_text_of_a_number() {
        let read =
            |text: &str| serde_json::from_str::<Decimal>(text).ok().and_then(|decimal| decimal.scaled(2));
        assert_eq!(read("0.07"), Some(7));
        assert_eq!(read("\"24.90\""), Some(2490));
        for wrong in ["null", "true", "\"\"", "[]", "{}", "\"abc\""] {
            assert!(serde_json::from_str::<Decimal>(wrong).is_err(), "{wrong}");
        }
        let field = serde_json::from_str::<std::collections::BTreeMap<String, Option<Decimal>>>(
            r#"{"a":null,"b":1}"#,
        );
        assert_eq!(field.unwrap()["a"], None);
    }
}
