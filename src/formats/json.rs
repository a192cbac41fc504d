//! Known settings out of JSON text, without building a tree: project settings, bgcode metadata, object lists.

use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::Read;

use super::figures::keys::{self, Origin, Store};
use super::gcode::text::put_producer;
use super::limits;
use super::result::{Failure, short_text};

/// Puts every known key of the JSON object in `reader` into `store`, looking into nested objects too. What was found
/// before an error stays.
pub(crate) fn harvest(reader: impl Read, store: &mut Store, origin: Origin) -> Result<(), Failure> {
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let mut depths = BTreeMap::new();
    let seed = Harvest { store, depths: &mut depths, origin, key: None, depth: 0 };
    match seed.deserialize(&mut deserializer) {
        Ok(()) => Ok(()),
        Err(error) if error.is_io() => Err(match error.io_error_kind() {
            Some(std::io::ErrorKind::FileTooLarge) => Failure::too_large("the settings are too large"),
            _ => Failure::corrupt("the settings cannot be unpacked"),
        }),
        Err(error) => {
            Err(Failure::corrupt(format!("the settings are not valid JSON: line {}", error.line())))
        }
    }
}

struct Harvest<'a> {
    store: &'a mut Store,
    /// How deep each value stood: what one object overrides does not hold for all.
    depths: &'a mut BTreeMap<keys::Key, usize>,
    origin: Origin,
    key: Option<keys::Key>,
    depth: usize,
}

impl Harvest<'_> {
    /// The key, unless a value of it stood further out.
    fn wanted(&mut self) -> Option<keys::Key> {
        let depth = self.depths.entry(self.key?).or_insert(self.depth);
        *depth = self.depth.min(*depth);
        self.key.filter(|_| self.depth == *depth)
    }
}

impl<'de> DeserializeSeed<'de> for Harvest<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > limits::JSON_DEPTH_MAX {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Harvest<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let key = keys::key(&name);
            map.next_value_seed(Harvest {
                store: &mut *self.store,
                depths: &mut *self.depths,
                origin: self.origin,
                key,
                depth: self.depth + 1,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut items = Vec::new();
        loop {
            let mut item = None;
            let seed = Scalar { out: &mut item, depth: self.depth + 1 };
            if list.next_element_seed(seed)?.is_none() {
                break;
            }
            if items.len() < limits::TOOLS_MAX {
                items.push(item.unwrap_or_default());
            }
        }
        if let Some(key) = self.wanted() {
            self.store.put_list(key, items, self.origin);
        }
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        match self.wanted() {
            Some(keys::Key::Slicer) => put_producer(self.store, text, self.origin),
            Some(key) => self.store.put(key, text, self.origin),
            None => {}
        }
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.visit_str(if value { "1" } else { "0" })
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        // Bambu's plate description holds single precision numbers printed as double: 0.20000000298023224.
        self.visit_str(&((value * 1e6).round() / 1e6).to_string())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// One item of a list as text; anything nested is skipped.
struct Scalar<'a> {
    out: &'a mut Option<String>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > limits::JSON_DEPTH_MAX {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        *self.out = Some(short_text(text));
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.visit_str(if value { "1" } else { "0" })
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.visit_str(&((value * 1e6).round() / 1e6).to_string())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Names and number of the objects in `{"objects":[{"name":...}, ...]}`. A line that was cut still gives the names
/// that are whole. `None` when there is no such list.
pub(crate) fn object_names(text: &str) -> Option<(Vec<String>, u64)> {
    let mut found = Objects::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result = ObjectsSeed(&mut found, 0, false).deserialize(&mut deserializer);
    (result.is_ok() || found.count > 0).then_some(())?;
    found.seen.then_some((found.names, found.count))
}

#[derive(Default)]
struct Objects {
    names: Vec<String>,
    count: u64,
    seen: bool,
}

/// Depth 0 is the outer object, 1 its `objects` list, 2 one object of it.
struct ObjectsSeed<'a>(&'a mut Objects, u8, bool);

impl<'de> DeserializeSeed<'de> for ObjectsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectsSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.1 == 2 {
            self.0.count += 1;
        }
        let mut named = false;
        while let Some(name) = map.next_key::<String>()? {
            match (self.1, name.as_str()) {
                (0, "objects" | "bbox_objects") => {
                    map.next_value_seed(ObjectsSeed(&mut *self.0, 1, false))?
                }
                (2, "name") if !named => {
                    named = true;
                    map.next_value_seed(ObjectsSeed(&mut *self.0, 2, true))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.1 == 1 {
            self.0.seen = true;
            while list.next_element_seed(ObjectsSeed(&mut *self.0, 2, false))?.is_some() {}
        } else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.2 && self.0.names.len() < limits::OBJECTS_MAX {
            self.0.names.push(short_text(text));
        }
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::figures::keys::Key;

    #[test]
    fn known_keys_are_found_at_any_depth() {
        let text = r#"{"printer_model":"X","other":[{"a":[1]}],"inner":{"filament_type":["PLA","ABS"],"layer_height":0.2}}"#;
        let mut store = Store::default();
        harvest(text.as_bytes(), &mut store, Origin::ProjectSettings).unwrap();
        assert_eq!(store.text(Key::PrinterModel), Some("X"));
        assert_eq!(store.texts(Key::FilamentType), ["PLA", "ABS"]);
        assert_eq!(store.numbers(Key::LayerHeight), [Some(0.2)]);
    }

    #[test]
    fn what_stood_before_the_damage_is_kept() {
        let mut store = Store::default();
        assert!(
            harvest(&br#"{"printer_model":"X","filament_type":["#[..], &mut store, Origin::Config).is_err()
        );
        assert_eq!(store.text(Key::PrinterModel), Some("X"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_an_overflow() {
        let deep = "[".repeat(100_000);
        assert!(harvest(deep.as_bytes(), &mut Store::default(), Origin::Config).is_err());
        assert!(object_names(&deep).is_none());
    }

    #[test]
    fn objects_are_counted_and_named() {
        let text = r#"{"objects":[{"name":"Cube","polygon":[[1,2]]},{"polygon":[]},{"name":"Box"}]}"#;
        assert_eq!(object_names(text), Some((vec!["Cube".into(), "Box".into()], 3)));
        assert_eq!(object_names(&text[..60]), Some((vec!["Cube".into()], 2)));
        assert_eq!(object_names("{}"), None);
    }
}
