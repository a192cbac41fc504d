//! The sections of the file: their values with defaults, and their tables of keys.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::check;
use super::key::{Key, Value, toml_text};
use crate::base::logging::{self, LogConfig};
use crate::base::secret::Secret;
use crate::base::zone::Zone;
use crate::lan;
use crate::library::LibraryConfig;
use crate::model::Share;
use crate::web::guard::password::{self, PASSWORD_RULE};

/// Host names that are accepted: the device's own and a few aliases of a router.
const HOST_NAMES_MAX: usize = 8;

/// `[web]`: the page and the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names of the device, in small letters, that a request's `Host` may carry beside addresses. `name.local` of a name
    /// without a dot is meant too.
    pub names: Vec<String>,
    /// Guards what changes something.
    pub password: Option<Secret>,
    /// Whether reading needs the password too.
    pub private: bool,
}

impl Default for WebConfig {
    fn default() -> WebConfig {
        WebConfig {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            names: vec!["printernizer".to_owned()],
            password: None,
            private: false,
        }
    }
}

impl WebConfig {
    /// The keys of the section.
    pub const KEYS: &[Key<WebConfig>] = &[
        Key {
            name: "listen",
            help: "Address and port of the page and the API. 0.0.0.0 means every network of the device.",
            allowed: "an IPv4 or IPv6 address with a port, as \"0.0.0.0:8080\" or \"[::]:8080\"",
            example: "\"0.0.0.0:8080\"",
            secret: false,
            set: |web, value| {
                web.listen = value.text()?.parse().ok()?;
                Some(())
            },
            show: |web| Some(toml_text(&web.listen.to_string())),
        },
        Key {
            name: "name",
            help: "Name of the device on the network, or a list of names. Requests for other names are refused.",
            allowed: "a host name as \"printernizer\", or a list of at most 8",
            example: "\"printernizer\"",
            secret: false,
            set: |web, value| {
                let names = value.texts()?;
                if names.is_empty() || names.len() > HOST_NAMES_MAX {
                    return None;
                }
                web.names = names.into_iter().map(check::host_name).collect::<Option<_>>()?;
                Some(())
            },
            show: |web| match web.names.as_slice() {
                [name] => Some(toml_text(name)),
                names => Some(
                    toml::Value::Array(names.iter().cloned().map(toml::Value::String).collect()).to_string(),
                ),
            },
        },
        Key {
            name: "password",
            help: "Password for everything that changes something. Without one the network is trusted.",
            allowed: PASSWORD_RULE,
            example: "\"a long sentence\"",
            secret: true,
            set: |web, value| {
                let text = value.text()?;
                web.password = password::fits(text).then(|| Some(Secret::new(text)))?;
                Some(())
            },
            show: |web| web.password.as_ref().map(|_| String::new()),
        },
        Key {
            name: "private",
            help: "Whether reading needs the password too.",
            allowed: "true or false",
            example: "false",
            secret: false,
            set: |web, value| {
                web.private = value.boolean()?;
                Some(())
            },
            show: |web| Some(web.private.to_string()),
        },
    ];
}

/// `[storage]`: where everything is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The directory of the records and files; absolute.
    pub data_dir: PathBuf,
    /// Durable events that the journal keeps.
    pub journal_max: u64,
}

impl Default for StorageConfig {
    fn default() -> StorageConfig {
        StorageConfig { data_dir: PathBuf::from("/var/lib/printernizer"), journal_max: 10_000 }
    }
}

impl StorageConfig {
    /// The keys of the section.
    pub const KEYS: &[Key<StorageConfig>] = &[
        Key {
            name: "data_dir",
            help: "Directory of the records and the files of the prints.",
            allowed: "an absolute path in quotes, as \"/var/lib/printernizer\"",
            example: "\"/var/lib/printernizer\"",
            secret: false,
            set: |storage, value| {
                let text = value.text()?;
                let path = PathBuf::from(text);
                if !path.is_absolute() || text.chars().any(char::is_control) {
                    return None;
                }
                storage.data_dir = path;
                Some(())
            },
            show: |storage| Some(toml_text(&storage.data_dir.to_string_lossy())),
        },
        Key {
            name: "journal_max",
            help: "Durable events that the journal keeps for clients that come back late.",
            allowed: "a number from 100 to 100000",
            example: "10000",
            secret: false,
            set: |storage, value| {
                storage.journal_max = value.number().filter(|number| (100..=100_000).contains(number))?;
                Some(())
            },
            show: |storage| Some(storage.journal_max.to_string()),
        },
    ];
}

/// Bytes of one uploaded file: less than a gigabyte each way of what a card of 8 GB holds.
const FILE_BYTES: std::ops::RangeInclusive<u64> = 1024..=8 * 1024 * 1024 * 1024;

/// The keys of `[library]`.
pub const LIBRARY_KEYS: &[Key<LibraryConfig>] = &[
    Key {
        name: "max_file_size",
        help: "Bytes of an uploaded file at most.",
        allowed: "a number from 1024 to 8589934592",
        example: "536870912",
        secret: false,
        set: |library, value| {
            library.max_file_size = value.number().filter(|number| FILE_BYTES.contains(number))?;
            Some(())
        },
        show: |library| Some(library.max_file_size.to_string()),
    },
    Key {
        name: "auto_add",
        help: "Whether finished downloads enter the library by themselves.",
        allowed: "true or false",
        example: "false",
        secret: false,
        set: |library, value| {
            library.auto_add = value.boolean()?;
            Some(())
        },
        show: |library| Some(library.auto_add.to_string()),
    },
    Key {
        name: "quota",
        help: "Bytes that all print files together may take; the oldest copies of printers' files go first. 0: the whole card.",
        allowed: "a number of bytes",
        example: "0",
        secret: false,
        set: |library, value| {
            library.quota = value.number()?;
            Some(())
        },
        show: |library| Some(library.quota.to_string()),
    },
    Key {
        name: "min_free",
        help: "Bytes of the card that print files leave free, so that events can still be recorded.",
        allowed: "a number of bytes from 16777216 (16 MiB)",
        example: "134217728",
        secret: false,
        set: |library, value| {
            library.min_free = value.number().filter(|number| *number >= MIN_FREE_LEAST)?;
            Some(())
        },
        show: |library| Some(library.min_free.to_string()),
    },
    Key {
        name: "watch_folder",
        help: "A directory whose print files are taken into the library, as if it were a printer. Empty: none.",
        allowed: "an absolute path in quotes, or \"\"",
        example: "\"\"",
        secret: false,
        set: |library, value| {
            let text = value.text()?;
            let path = PathBuf::from(text);
            if text.chars().any(char::is_control) || (!text.is_empty() && !path.is_absolute()) {
                return None;
            }
            library.watch_folder = Some(path).filter(|_| !text.is_empty());
            Some(())
        },
        show: |library| {
            let folder = library.watch_folder.as_deref();
            Some(toml_text(&folder.map_or_else(String::new, |path| path.to_string_lossy().into_owned())))
        },
    },
];

/// The records and their copy, twice over.
const MIN_FREE_LEAST: u64 = 16 * 1024 * 1024;

/// `[time]`: whose days are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeConfig {
    /// The time zone.
    pub zone: Zone,
}

impl TimeConfig {
    /// The keys of the section.
    pub const KEYS: &[Key<TimeConfig>] = &[Key {
        name: "zone",
        help: "Time zone whose days the statistics count by. Everything else is in UTC.",
        allowed: "a place as \"Europe/Berlin\", or a rule as \"CET-1CEST,M3.5.0,M10.5.0/3\"",
        example: "\"Europe/Berlin\"",
        secret: false,
        set: |time, value| {
            time.zone = value.text()?.parse().ok()?;
            Some(())
        },
        show: |time| Some(toml_text(&time.zone.to_string())),
    }];
}

/// `[downloads]`: files of prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadsConfig {
    /// Whether the files of prints that start are fetched by themselves.
    pub auto: bool,
}

impl Default for DownloadsConfig {
    fn default() -> DownloadsConfig {
        DownloadsConfig { auto: true }
    }
}

impl DownloadsConfig {
    /// The keys of the section.
    pub const KEYS: &[Key<DownloadsConfig>] = &[Key {
        name: "auto",
        help: "Whether the file of every print is fetched by itself. Off: only on request.",
        allowed: "true or false",
        example: "true",
        secret: false,
        set: |downloads, value| {
            downloads.auto = value.boolean()?;
            Some(())
        },
        show: |downloads| Some(downloads.auto.to_string()),
    }];
}

/// `[materials]`: spools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialsConfig {
    /// The threshold of low stock of a new spool, in whole percent.
    pub low_stock: u64,
}

impl Default for MaterialsConfig {
    fn default() -> MaterialsConfig {
        MaterialsConfig { low_stock: 20 }
    }
}

impl MaterialsConfig {
    /// The keys of the section.
    pub const KEYS: &[Key<MaterialsConfig>] = &[Key {
        name: "low_stock",
        help: "Percent of a spool below which its stock is low. For spools that are entered from then on.",
        allowed: "a whole number from 0 to 100",
        example: "20",
        secret: false,
        set: |materials, value| {
            materials.low_stock = value.number().filter(|percent| *percent <= 100)?;
            Some(())
        },
        show: |materials| Some(materials.low_stock.to_string()),
    }];

    /// The threshold as spools have it.
    #[must_use]
    pub fn threshold(&self) -> Share {
        Share::from_millionths(self.low_stock.saturating_mul(10_000)).unwrap_or(Share::LOW_STOCK)
    }
}
/// The keys of `[network]`.
pub const NETWORK_KEYS: &[Key<lan::Config>] = &[
    Key {
        name: "find_printers",
        help: "Whether printers are listened and asked for on the network, and followed when their address changes.",
        allowed: "true or false",
        example: "true",
        secret: false,
        set: |network, value| {
            network.find_printers = value.boolean()?;
            Some(())
        },
        show: |network| Some(network.find_printers.to_string()),
    },
    Key {
        name: "announce",
        help: "Whether the device announces its name (the first of [web] name, with .local) and its page.",
        allowed: "true or false",
        example: "true",
        secret: false,
        set: |network, value| {
            network.announce = value.boolean()?;
            Some(())
        },
        show: |network| Some(network.announce.to_string()),
    },
];

/// The keys of `[log]`.
pub const LOG_KEYS: &[Key<LogConfig>] = &[Key {
    name: "level",
    help: "What is logged. At debug every event is one line. Can be changed while the service runs.",
    allowed: "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
    example: "\"info\"",
    secret: false,
    set: set_level,
    show: |log| Some(toml_text(logging::level_name(log.level))),
}];

fn set_level(log: &mut LogConfig, value: &Value<'_>) -> Option<()> {
    log.level = logging::level_from_name(value.text()?)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<C>(keys: &[Key<C>]) -> Vec<&'static str> {
        keys.iter().map(|key| key.name).collect()
    }

    #[test]
    fn the_front_takes_every_name_with_its_local_twin() {
        const { assert!(2 * HOST_NAMES_MAX <= crate::web::front::NAMES_MAX, "the front would refuse some") };
    }

    #[test]
    fn keys_have_one_entry_each() {
        for mut list in [
            names(WebConfig::KEYS),
            names(StorageConfig::KEYS),
            names(LIBRARY_KEYS),
            names(NETWORK_KEYS),
            names(TimeConfig::KEYS),
            names(DownloadsConfig::KEYS),
            names(MaterialsConfig::KEYS),
            names(LOG_KEYS),
        ] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count);
        }
    }

    #[test]
    fn a_refused_value_changes_nothing() {
        let mut web = WebConfig::default();
        for key in WebConfig::KEYS {
            assert_eq!((key.set)(&mut web, &Value::Other("table")), None, "{}", key.name);
            assert_eq!((key.set)(&mut web, &Value::Text("\u{0}".into())), None, "{}", key.name);
        }
        assert_eq!(web, WebConfig::default());
    }

    #[test]
    fn what_is_shown_is_taken_again() {
        let web = WebConfig::default();
        for key in WebConfig::KEYS.iter().filter(|key| !key.secret) {
            let shown = (key.show)(&web).unwrap();
            let value: toml::Value =
                toml::from_str::<toml::Table>(&format!("x = {shown}")).unwrap()["x"].clone();
            let value = match &value {
                toml::Value::Boolean(value) => Value::Boolean(*value),
                value => Value::Text(value.as_str().unwrap().into()),
            };
            assert_eq!((key.set)(&mut web.clone(), &value), Some(()), "{}", key.name);
        }
    }
}
