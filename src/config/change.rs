//! Settings that can be changed while the service runs, by their names in the API. **Pure**.
//!
//! A changed value is checked by the same table as one of the file ([`Key`]), so that both take the same. Nothing is
//! decided here about when a change counts, where it is kept or who may make it.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::Config;
use super::key::{Key, Value};
use super::sections::{DownloadsConfig, LIBRARY_KEYS, LOG_KEYS, MaterialsConfig, TimeConfig, WebConfig};

/// What kind of value a setting has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A text, or null for none.
    TextOrNull,
    /// A whole number that is not negative.
    Number,
    /// True or false.
    Boolean,
    /// A list of texts.
    Texts,
}

impl Kind {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::TextOrNull => "a text or null",
            Kind::Number => "a whole number",
            Kind::Boolean => "true or false",
            Kind::Texts => "a list of texts",
        }
    }
}

/// One setting that can be changed.
#[derive(Clone, Copy, Debug)]
pub struct Changeable {
    /// Its name in the API.
    pub name: &'static str,
    /// Its name in the configuration, with its section.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether a change counts from the next start on only.
    pub at_next_start: bool,
}

const fn now(name: &'static str, key: &'static str, kind: Kind) -> Changeable {
    Changeable { name, key, kind, at_next_start: false }
}

const fn at_next_start(name: &'static str, key: &'static str, kind: Kind) -> Changeable {
    Changeable { name, key, kind, at_next_start: true }
}

/// Every setting that can be changed. The password is not among them: it is kept elsewhere, and otherwise.
pub const CHANGEABLE: &[Changeable] = &[
    now("auto_download", "downloads.auto", Kind::Boolean),
    now("library_auto_add", "library.auto_add", Kind::Boolean),
    now("library_min_free", "library.min_free", Kind::Number),
    now("library_quota", "library.quota", Kind::Number),
    now("log_level", "log.level", Kind::Text),
    now("low_stock_percentage", "materials.low_stock", Kind::Number),
    now("max_file_size", "library.max_file_size", Kind::Number),
    now("names", "web.name", Kind::Texts),
    now("private", "web.private", Kind::Boolean),
    // The statistics are counted by its days, and counting them anew takes seconds.
    at_next_start("time_zone", "time.zone", Kind::Text),
    // Its files are known by it as a source.
    at_next_start("watch_folder", "library.watch_folder", Kind::TextOrNull),
];

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such setting.
    Unknown,
    /// It is of another kind.
    Kind(Kind),
    /// It is not allowed; these are.
    Value(&'static str),
}

/// The setting of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Changeable> {
    CHANGEABLE.iter().find(|setting| setting.name == name)
}

/// Takes a new value for the setting `name` into `config`.
///
/// # Errors
/// [`Fault`]; `config` is as it was.
pub fn take(config: &mut Config, name: &str, value: &Json) -> Result<(), Fault> {
    let setting = find(name).ok_or(Fault::Unknown)?;
    let value = of_kind(value, setting.kind).ok_or(Fault::Kind(setting.kind))?;
    let (section, key) = setting.key.split_once('.').ok_or(Fault::Unknown)?;
    match section {
        "web" => set(WebConfig::KEYS, key, &mut config.web, &value),
        "library" => set(LIBRARY_KEYS, key, &mut config.library, &value),
        "downloads" => set(DownloadsConfig::KEYS, key, &mut config.downloads, &value),
        "materials" => set(MaterialsConfig::KEYS, key, &mut config.materials, &value),
        "time" => set(TimeConfig::KEYS, key, &mut config.time, &value),
        "log" => set(LOG_KEYS, key, &mut config.log, &value),
        _ => Err(Fault::Unknown),
    }
}

fn set<C>(keys: &[Key<C>], name: &str, section: &mut C, value: &Value<'_>) -> Result<(), Fault> {
    let key = keys.iter().find(|key| key.name == name).ok_or(Fault::Unknown)?;
    (key.set)(section, value).ok_or(Fault::Value(key.allowed))
}

/// `value` as the configuration knows it; `None` where it is of another kind.
fn of_kind(value: &Json, kind: Kind) -> Option<Value<'_>> {
    match (kind, value) {
        (Kind::Text | Kind::TextOrNull, Json::String(text)) => Some(Value::Text(Cow::Borrowed(text))),
        (Kind::TextOrNull, Json::Null) => Some(Value::Text(Cow::Borrowed(""))),
        (Kind::Boolean, Json::Bool(value)) => Some(Value::Boolean(*value)),
        // A number beyond the configuration's is a value that does not fit, not another kind.
        (Kind::Number, Json::Number(number)) if number.is_u64() || number.is_i64() => {
            Some(Value::Integer(number.as_i64()))
        }
        (Kind::Texts, Json::Array(list)) => {
            let texts = list.iter().map(|text| text.as_str().map(|text| Value::Text(Cow::Borrowed(text))));
            Some(Value::List(texts.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A value that every setting takes, and that is not its default.
    fn fitting(setting: &Changeable) -> Json {
        match setting.name {
            "auto_download" => json!(false),
            "library_auto_add" | "private" => json!(true),
            "library_min_free" => json!(16_777_216),
            "library_quota" => json!(1_000_000),
            "log_level" => json!("debug"),
            "low_stock_percentage" => json!(10),
            "max_file_size" => json!(2048),
            "names" => json!(["workshop", "drucker.fritz.box"]),
            "time_zone" => json!("Europe/Berlin"),
            "watch_folder" => json!("/srv/prints"),
            other => panic!("{other} has no value here"),
        }
    }

    #[test]
    fn every_setting_is_one_of_the_configuration() {
        for setting in CHANGEABLE {
            let mut config = Config::default();
            assert_eq!(take(&mut config, setting.name, &fitting(setting)), Ok(()), "{}", setting.name);
            assert_ne!(config, Config::default(), "{}", setting.name);
        }
        let mut names: Vec<_> = CHANGEABLE.iter().map(|setting| setting.name).collect();
        names.dedup();
        assert!(names.is_sorted() && names.len() == CHANGEABLE.len());
    }

    #[test]
    fn another_kind_and_a_value_that_is_not_allowed_are_told_apart_and_change_nothing() {
        let mut config = Config::default();
        for setting in CHANGEABLE {
            for other in [json!({}), json!(1.5), json!([1]), json!([["a"]])] {
                assert_eq!(
                    take(&mut config, setting.name, &other),
                    Err(Fault::Kind(setting.kind)),
                    "{}",
                    setting.name
                );
            }
        }
        for (name, value) in [
            ("log_level", json!("loud")),
            ("max_file_size", json!(0)),
            ("max_file_size", json!(-1)),
            ("library_quota", json!(u64::MAX)),
            ("low_stock_percentage", json!(101)),
            ("names", json!([])),
            ("names", json!(["a b"])),
            ("names", json!(vec!["a"; 9])),
            ("time_zone", json!("Mars/Olympus")),
            ("watch_folder", json!("relative")),
        ] {
            assert!(matches!(take(&mut config, name, &value), Err(Fault::Value(_))), "{name} {value}");
        }
        assert_eq!(take(&mut config, "web.listen", &json!("0.0.0.0:80")), Err(Fault::Unknown));
        assert_eq!(config, Config::default());
        take(&mut config, "watch_folder", &json!("/a")).unwrap();
        take(&mut config, "watch_folder", &Json::Null).unwrap();
        assert_eq!(config, Config::default());
    }
}
