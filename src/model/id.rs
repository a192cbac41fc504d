//! Identifiers: a number in records, a short opaque text such as `j12` everywhere else. A number is never used twice.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an identifier")
    }
}

impl std::error::Error for NotAnId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            /// Accepts exactly what `Display` writes, so that one thing has one name.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let digits = text.strip_prefix($letter).ok_or(NotAnId)?;
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                if !plain || (digits.len() > 1 && digits.starts_with('0')) {
                    return Err(NotAnId);
                }
                digits.parse().map($name).map_err(|_| NotAnId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &concat!($letter, "<number>")))
                } else {
                    u64::deserialize(deserializer).map($name)
                }
            }
        }
    };
}

id! {
    /// A printer of the list, as `p1`.
    PrinterId, "p"
}
id! {
    /// A job, as `j1`; later jobs have greater numbers.
    JobId, "j"
}
id! {
    /// One version of a file (source, path and content), as `f1`.
    FileId, "f"
}
id! {
    /// A request to fetch a file off its printer, as `d1`.
    FetchId, "d"
}
id! {
    /// A spool, as `m1`.
    MaterialId, "m"
}
id! {
    /// A booking of filament, as `c1`.
    ConsumptionId, "c"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_one_name() {
        assert_eq!("j12".parse(), Ok(JobId(12)));
        for odd in ["", "j", "12", "p12", "j012", "j+1", "j-1", "j1 ", "j99999999999999999999", "j１"] {
            assert_eq!(odd.parse::<JobId>(), Err(NotAnId), "{odd}");
        }
        assert_eq!(JobId(7).to_string(), "j7");
    }

    #[test]
    fn text_for_people_number_for_records() {
        assert_eq!(serde_json::to_string(&PrinterId(3)).unwrap(), "\"p3\"");
        assert_eq!(serde_json::from_str::<PrinterId>("\"p3\"").unwrap(), PrinterId(3));
        assert_eq!(postcard::to_allocvec(&PrinterId(3)).unwrap(), [3]);
    }
}
