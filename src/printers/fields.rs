//! A tolerant look at JSON from a printer: one field at a time, never a strict shape.
//!
//! Printers send numbers as strings, strings as numbers, nulls, lone surrogates and fields nobody has seen before. A
//! field that does not fit costs that field and a count; its neighbours are read as if nothing had happened. Values are
//! slices of the payload, so a hostile payload costs its own length and nothing more.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Elements of one array that are looked at; the largest real one (`ams.ams[]`, `hms[]`) has fewer than 16.
const ARRAY_MAX: usize = 64;

/// Entries of one object that are kept; the largest real report has about 120 fields.
const ENTRIES_MAX: usize = 512;
/// Entries of a usual full report, so that the list is made once.
const ENTRIES_EXPECTED: usize = 128;

/// One JSON value inside a payload, not yet looked into.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a>(&'a str);

impl<'a> Field<'a> {
    /// The entries of a payload that is an object; `None` when it is not whole JSON. An answer that is JSON but no object
    /// has no entries. One pass over the text.
    pub fn payload(text: &'a str) -> Option<Vec<(Cow<'a, str>, Field<'a>)>> {
        if !text.trim_start().starts_with('{') {
            return serde_json::from_str::<&RawValue>(text).ok().map(|_| Vec::new());
        }
        let mut entries = Vec::new();
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json.deserialize_map(Entries(|key, value| {
            if entries.len() < ENTRIES_MAX {
                entries.push((key, value));
            }
        }));
        (read.is_ok() && json.end().is_ok()).then_some(entries)
    }

    /// The entries of an object in order, at most [`ENTRIES_MAX`]; nothing when this is not an object.
    pub fn list(self) -> Vec<(Cow<'a, str>, Field<'a>)> {
        let mut entries = Vec::with_capacity(ENTRIES_EXPECTED);
        self.visit(|key, value| {
            if entries.len() < ENTRIES_MAX {
                entries.push((key, value));
            }
        });
        entries
    }

    /// Whether the printer wrote `null` here: it says nothing.
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// Calls `each` for every entry of an object, in order; `false` when this is not an object.
    pub fn entries(self, mut each: impl FnMut(&str, Field<'a>)) -> bool {
        self.visit(|key, value| each(&key, value))
    }

    fn visit(self, each: impl FnMut(Cow<'a, str>, Field<'a>)) -> bool {
        self.0.starts_with('{')
            && serde_json::Deserializer::from_str(self.0).deserialize_map(Entries(each)).is_ok()
    }

    /// Calls `each` for the elements of an array, in order, at most [`ARRAY_MAX`]; `false` when this is not an array.
    pub fn elements(self, each: impl FnMut(Field<'a>)) -> bool {
        self.elements_up_to(ARRAY_MAX, each)
    }

    /// The same with another bound.
    pub fn elements_up_to(self, max: usize, each: impl FnMut(Field<'a>)) -> bool {
        self.0.starts_with('[')
            && serde_json::Deserializer::from_str(self.0).deserialize_seq(Elements(each, max)).is_ok()
    }

    /// Yes or no.
    pub fn boolean(self) -> Option<bool> {
        match self.0 {
            "true" | "1" | "\"true\"" => Some(true),
            "false" | "0" | "\"false\"" => Some(false),
            _ => None,
        }
    }

    /// Whether this is written as a text.
    pub fn is_text(self) -> bool {
        self.0.starts_with('"')
    }

    /// A text; a number counts as its digits. Lone surrogates become replacement characters.
    pub fn text(self) -> Option<Cow<'a, str>> {
        if self.0.starts_with('"') {
            serde_json::Deserializer::from_str(self.0).deserialize_bytes(Text).ok()
        } else if self.0.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
            Some(Cow::Borrowed(self.0))
        } else {
            None
        }
    }

    /// A number; a text that holds one counts.
    pub fn number(self) -> Option<f64> {
        let text = self.text()?;
        let number: f64 = text.trim().parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// A whole number, fractions cut off; a text that holds one counts. `None` outside the range of `T`.
    pub fn integer<T: TryFrom<i64>>(self) -> Option<T> {
        let text = self.text()?;
        let text = text.trim();
        let whole = match text.parse::<i64>() {
            Ok(whole) => whole,
            Err(_) => {
                let number: f64 = text.parse().ok()?;
                // Beyond 2^53 a float is no longer a whole number; nothing that printers count reaches that.
                if !(-9e15..=9e15).contains(&number) {
                    return None;
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the range was checked, the fraction is to go"
                )]
                let whole = number as i64;
                whole
            }
        };
        T::try_from(whole).ok()
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(Text)
    }
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(String::from_utf8_lossy(bytes))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct Entries<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, Field<'de>)> Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let value: &RawValue = map.next_value()?;
            (self.0)(key, Field(value.get()));
        }
        Ok(())
    }
}

struct Elements<F>(F, usize);

impl<'de, F: FnMut(Field<'de>)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        for _ in 0..self.1 {
            let Some(value) = seq.next_element::<&RawValue>()? else { return Ok(()) };
            (self.0)(Field(value.get()));
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Field<'_> {
        Field(serde_json::from_str::<&RawValue>(text).unwrap().get())
    }

    #[test]
    fn numbers_and_texts_stand_for_each_other() {
        assert_eq!(field("12").integer::<u8>(), Some(12));
        assert_eq!(field("\" 12 \"").integer::<u8>(), Some(12));
        assert_eq!(field("12.9").integer::<u8>(), Some(12));
        assert_eq!(field("1e2").integer::<u8>(), Some(100));
        assert_eq!(field("300").integer::<u8>(), None);
        assert_eq!(field("-1").integer::<u8>(), None);
        assert_eq!(field("1e300").integer::<u64>(), None);
        assert_eq!(field("\"NaN\"").number(), None);
        assert_eq!(field("\"21.5\"").number(), Some(21.5));
        assert_eq!(field("626732162").text().as_deref(), Some("626732162"));
        for odd in ["null", "true", "[]", "{}"] {
            assert_eq!(field(odd).text(), None);
            assert_eq!(field(odd).integer::<i64>(), None);
        }
    }

    #[test]
    fn a_lone_surrogate_costs_one_character() {
        assert_eq!(field(r#""a\ud800b""#).text().unwrap().chars().next(), Some('a'));
        assert_eq!(field(r#""W\u00fcrfel""#).text().as_deref(), Some("Würfel"));
    }

    #[test]
    fn what_is_not_json_is_none() {
        for odd in ["", "{", "{\"a\":}", "{\"a\":1}x", "\u{fffd}", "[1,]", "nul"] {
            assert!(Field::payload(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn deep_nesting_costs_its_length_only() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut seen = 0;
        assert!(field(&deep).elements(|_| seen += 1));
        assert_eq!(seen, 1);
    }

    #[test]
    fn entries_are_seen_in_order_and_long_arrays_are_cut() {
        let mut keys = Vec::new();
        assert!(field(r#"{"a":1,"b":{"c":2},"a":3}"#).entries(|key, value| {
            keys.push((key.to_owned(), value.integer::<i32>()));
        }));
        assert_eq!(keys, [("a".into(), Some(1)), ("b".into(), None), ("a".into(), Some(3))]);
        let long = format!("[{}0]", "0,".repeat(1000));
        let mut seen = 0;
        assert!(field(&long).elements(|_| seen += 1));
        assert_eq!(seen, ARRAY_MAX);
        assert!(!field("[]").entries(|_, _| ()));
        assert!(!field("{}").elements(|_| ()));
    }
}
