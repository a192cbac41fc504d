//! What a setting is: its name, its help, what is allowed, how a value is taken and shown.
//!
//! A section's keys are one table; the file, the environment, the flags, `config print` and the messages about mistakes
//! all work from it, so that they cannot differ. The table does not know where a value comes from.

use std::borrow::Cow;

/// Characters of a wrong value that a message repeats: enough to recognise it.
const FOUND_CHARACTERS_MAX: usize = 60;

/// A value from outside, before it is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A quoted text of the file.
    Text(Cow<'a, str>),
    /// A word from the environment or a flag: its type is what the key wants.
    Word(Cow<'a, str>),
    /// A number; `None` beyond 64 bits.
    Integer(Option<i64>),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<Value<'a>>),
    /// Anything that no setting takes, by the name of its type.
    Other(&'static str),
}

impl Value<'_> {
    /// The text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Word(text) => Some(text),
            Value::Integer(_) | Value::Boolean(_) | Value::List(_) | Value::Other(_) => None,
        }
    }

    /// A number that is not negative.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Value::Integer(number) => u64::try_from((*number)?).ok(),
            Value::Word(word) => word.parse().ok(),
            Value::Text(_) | Value::Boolean(_) | Value::List(_) | Value::Other(_) => None,
        }
    }

    /// Yes or no.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match self {
            Value::Boolean(value) => Some(*value),
            Value::Word(word) => word.parse().ok(),
            Value::Text(_) | Value::Integer(_) | Value::List(_) | Value::Other(_) => None,
        }
    }

    /// A text or a list of texts; a word is split at its commas.
    #[must_use]
    pub fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Value::Text(text) => Some(vec![text]),
            Value::Word(word) => Some(word.split(',').map(str::trim).collect()),
            Value::List(values) => values.iter().map(Value::text).collect(),
            Value::Integer(_) | Value::Boolean(_) | Value::Other(_) => None,
        }
    }

    /// What a message says about a wrong value: a secret's is not repeated.
    #[must_use]
    pub fn describe(&self, secret: bool) -> String {
        match self {
            Value::Text(_) | Value::Word(_) if secret => {
                "found a text (not shown) that does not fit".to_owned()
            }
            Value::Text(text) | Value::Word(text) => format!("found {}", quote(text)),
            Value::Integer(_) if secret => "found a number (not shown)".to_owned(),
            Value::Integer(Some(number)) => format!("found the number {number}"),
            Value::Integer(None) => "found a number beyond 64 bits".to_owned(),
            Value::Boolean(value) => format!("found {value} without quotes"),
            Value::List(_) => "found a list".to_owned(),
            Value::Other(kind) if kind.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("found an {kind}"),
            Value::Other(kind) => format!("found a {kind}"),
        }
    }
}

/// `text` in quotes, shortened, with control characters visible.
#[must_use]
pub fn quote(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARACTERS_MAX) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// A text as TOML writes it.
#[must_use]
pub fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// One setting of the section `C`.
#[derive(Debug)]
pub struct Key<C: 'static> {
    /// Its name within the section.
    pub name: &'static str,
    /// What it means; sentences for the person who edits the file.
    pub help: &'static str,
    /// What is allowed, as a message about a mistake says it.
    pub allowed: &'static str,
    /// A value that shows the form, as TOML, for a setting that is not set.
    pub example: &'static str,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// Takes a value; `None` refuses it and changes nothing.
    pub set: fn(&mut C, &Value<'_>) -> Option<()>,
    /// The value as TOML; `None` when it is not set. Of a secret, anything stands for "set".
    pub show: fn(&C) -> Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_the_key_wants_and_a_quoted_text_is_only_text() {
        assert_eq!(Value::Word("true".into()).boolean(), Some(true));
        assert_eq!(Value::Text("true".into()).boolean(), None);
        assert_eq!(Value::Word("12".into()).number(), Some(12));
        assert_eq!(Value::Word("-12".into()).number(), None);
        assert_eq!(Value::Integer(Some(-1)).number(), None);
        assert_eq!(Value::Word("a, b".into()).texts(), Some(vec!["a", "b"]));
    }

    #[test]
    fn a_wrong_value_is_repeated_shortly_and_a_secret_never() {
        let long = Value::Text("ä".repeat(1000).into());
        assert!(long.describe(false).len() < 140);
        assert!(Value::Text("a\nb\u{1b}".into()).describe(false).contains(r"a\nb\u{1b}"));
        for value in
            [Value::Text("hunter2".into()), Value::Word("hunter2".into()), Value::Integer(Some(4711))]
        {
            let said = value.describe(true);
            assert!(!said.contains("hunter2") && !said.contains("4711"), "{said}");
        }
    }
}
