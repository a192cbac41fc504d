//! From the text of a file, the environment and the flags to values: pure, and never stopping at the first mistake.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::key::{Key, Value, quote};
use super::mistake::{Mistakes, Place};
use super::printers::{PRINTERS_MAX, PrinterEntry};
use super::sections::{
    DownloadsConfig, LIBRARY_KEYS, LOG_KEYS, MaterialsConfig, NETWORK_KEYS, StorageConfig, TimeConfig,
    WebConfig,
};
use super::source::{self, Source};

/// Begin of the names of the environment variables.
const PREFIX: &str = "PRINTERNIZER_";
/// Names the directory of the secrets that the service manager hands over; see systemd.exec(5), `LoadCredential=`.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// What may stand at the top level.
const SECTIONS: &str =
    "[web], [storage], [library], [network], [downloads], [materials], [time], [log], [[printers]]";

/// A configuration that is being put together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub config: Config,
    /// Where each key that is set comes from, by its full name (`web.listen`).
    pub places: BTreeMap<String, Place>,
    pub warnings: Vec<String>,
    pub mistakes: Mistakes,
}

impl Draft {
    /// Takes the values of a file.
    pub fn read_file(&mut self, source: &Source) {
        let (table, errors) = DeTable::parse_recoverable(source.text());
        let mut bad_lines = Vec::new();
        for error in &errors {
            let place = source.place(error.span().map_or(0, |span| span.start));
            // The error's own text would print the line, which may hold a secret: only its message is taken.
            self.mistakes.add(place.clone(), "", format!("not TOML: {}", one_line(error.message())), "");
            bad_lines.push(line_of(&place));
        }
        let whole = errors.is_empty();
        let mut reader = Reader { source, bad_lines, draft: self };
        for (name, value) in table.get_ref() {
            let place = source.place(name.span().start);
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("web", DeValue::Table(table)) => {
                    let mut web = std::mem::take(&mut reader.draft.config.web);
                    reader.table("web", table, WebConfig::KEYS, &mut web);
                    reader.draft.config.web = web;
                }
                ("storage", DeValue::Table(table)) => {
                    let mut storage = std::mem::take(&mut reader.draft.config.storage);
                    reader.table("storage", table, StorageConfig::KEYS, &mut storage);
                    reader.draft.config.storage = storage;
                }
                ("library", DeValue::Table(table)) => {
                    let mut library = std::mem::take(&mut reader.draft.config.library);
                    reader.table("library", table, LIBRARY_KEYS, &mut library);
                    reader.draft.config.library = library;
                }
                ("network", DeValue::Table(table)) => {
                    let mut network = std::mem::take(&mut reader.draft.config.network);
                    reader.table("network", table, NETWORK_KEYS, &mut network);
                    reader.draft.config.network = network;
                }
                ("downloads", DeValue::Table(table)) => {
                    let mut downloads = std::mem::take(&mut reader.draft.config.downloads);
                    reader.table("downloads", table, DownloadsConfig::KEYS, &mut downloads);
                    reader.draft.config.downloads = downloads;
                }
                ("materials", DeValue::Table(table)) => {
                    let mut materials = std::mem::take(&mut reader.draft.config.materials);
                    reader.table("materials", table, MaterialsConfig::KEYS, &mut materials);
                    reader.draft.config.materials = materials;
                }
                ("time", DeValue::Table(table)) => {
                    let mut time = std::mem::take(&mut reader.draft.config.time);
                    reader.table("time", table, TimeConfig::KEYS, &mut time);
                    reader.draft.config.time = time;
                }
                ("log", DeValue::Table(table)) => {
                    let mut log = std::mem::take(&mut reader.draft.config.log);
                    reader.table("log", table, LOG_KEYS, &mut log);
                    reader.draft.config.log = log;
                }
                ("printers", DeValue::Array(list)) => reader.printers(list.iter(), whole),
                (
                    known @ ("web" | "storage" | "library" | "network" | "downloads" | "materials" | "time"
                    | "log"),
                    other,
                ) => {
                    let found = Value::Other(other.type_str()).describe(false);
                    reader.mistake(place, known, found, &format!("a section that begins with [{known}]"));
                }
                ("printers", other) => {
                    let found = Value::Other(other.type_str()).describe(false);
                    reader.mistake(place, "printers", found, "entries that begin with [[printers]]");
                }
                (unknown, _) => {
                    let found = format!("unknown section or key {}", quote(unknown));
                    reader.mistake(place, "", found, SECTIONS);
                }
            }
        }
    }

    /// Takes the secrets that the service manager hands over: one file for each, named as the key (`web.password`).
    pub fn read_credentials(&mut self, variables: &[(OsString, OsString)]) {
        let Some((_, directory)) = variables.iter().find(|(name, _)| name == CREDENTIALS) else { return };
        let mut web = std::mem::take(&mut self.config.web);
        for key in WebConfig::KEYS.iter().filter(|key| key.secret) {
            let file = Path::new(directory).join(format!("web.{}", key.name));
            if let Some(bytes) = source::read_secret(&file, &mut self.mistakes) {
                // An empty one stands for none: the unit has to name something.
                let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                if !text.is_empty() {
                    self.word("web", key, &mut web, OsStr::from_bytes(text), Place::File(file));
                }
            }
        }
        self.config.web = web;
    }

    /// Takes the variables `PRINTERNIZER_<SECTION>_<KEY>`.
    pub fn read_environment(&mut self, variables: &[(OsString, OsString)]) {
        for (name, text) in variables {
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
            let mut config = std::mem::take(&mut self.config);
            if let Some(key) = rest.strip_prefix("WEB_") {
                self.variable("web", key, WebConfig::KEYS, &mut config.web, text);
            } else if let Some(key) = rest.strip_prefix("STORAGE_") {
                self.variable("storage", key, StorageConfig::KEYS, &mut config.storage, text);
            } else if let Some(key) = rest.strip_prefix("LIBRARY_") {
                self.variable("library", key, LIBRARY_KEYS, &mut config.library, text);
            } else if let Some(key) = rest.strip_prefix("NETWORK_") {
                self.variable("network", key, NETWORK_KEYS, &mut config.network, text);
            } else if let Some(key) = rest.strip_prefix("DOWNLOADS_") {
                self.variable("downloads", key, DownloadsConfig::KEYS, &mut config.downloads, text);
            } else if let Some(key) = rest.strip_prefix("MATERIALS_") {
                self.variable("materials", key, MaterialsConfig::KEYS, &mut config.materials, text);
            } else if let Some(key) = rest.strip_prefix("TIME_") {
                self.variable("time", key, TimeConfig::KEYS, &mut config.time, text);
            } else if let Some(key) = rest.strip_prefix("LOG_") {
                self.variable("log", key, LOG_KEYS, &mut config.log, text);
            } else {
                // Somebody else's tools may use the prefix too: said, but no reason not to start.
                self.warnings
                    .push(format!("environment variable {PREFIX}{rest} is not a setting and is ignored"));
            }
            self.config = config;
        }
    }

    fn variable<C>(&mut self, section: &str, name: &str, keys: &[Key<C>], into: &mut C, text: &OsStr) {
        let place = Place::Variable(format!("{PREFIX}{}_{name}", section.to_ascii_uppercase()));
        match keys.iter().find(|key| key.name.to_ascii_uppercase() == name) {
            Some(key) => self.word(section, key, into, text, place),
            None => {
                let known: Vec<String> = keys.iter().map(|key| key.name.to_ascii_uppercase()).collect();
                let known =
                    format!("{PREFIX}{}_ followed by {}", section.to_ascii_uppercase(), known.join(", "));
                self.mistakes.add(place, "", "no such setting", known);
            }
        }
    }

    /// Takes one word from a flag or a variable.
    fn word<C>(&mut self, section: &str, key: &Key<C>, into: &mut C, text: &OsStr, place: Place) {
        let full = format!("{section}.{}", key.name);
        let Some(text) = text.to_str() else {
            self.mistakes.add(place, full, "found a text that is not UTF-8", key.allowed);
            return;
        };
        let value = Value::Word(Cow::Borrowed(text));
        if (key.set)(into, &value).is_some() {
            self.places.insert(full, place);
        } else {
            self.mistakes.add(place, full, value.describe(key.secret), key.allowed);
        }
    }

    /// Takes the flags `--listen` and `--data`.
    pub fn read_flags(&mut self, listen: Option<&OsStr>, data_dir: Option<&OsStr>) {
        let mut config = std::mem::take(&mut self.config);
        if let (Some(listen), Some(key)) = (listen, WebConfig::KEYS.iter().find(|key| key.name == "listen")) {
            self.word("web", key, &mut config.web, listen, Place::Flag("--listen"));
        }
        if let Some(given) = data_dir {
            // A path typed at a prompt may be relative to it.
            match std::path::absolute(given) {
                Ok(path) => {
                    config.storage.data_dir = path;
                    self.places.insert("storage.data_dir".to_owned(), Place::Flag("--data"));
                }
                Err(_) => {
                    self.mistakes.add(Place::Flag("--data"), "storage.data_dir", "found \"\"", "a path")
                }
            }
        }
        self.config = config;
    }

    /// Rules that concern more than one key.
    pub fn check(&mut self) {
        if self.config.web.private && self.config.web.password.is_none() {
            let place = self.places.get("web.private").cloned().unwrap_or(Place::Default);
            let what = "found true, but there is no password";
            self.mistakes.add(place, "web.private", what, "true together with web.password, or false");
        }
        self.mistakes.sort();
    }
}

fn line_of(place: &Place) -> u32 {
    match place {
        Place::Line { line, .. } => *line,
        Place::Default | Place::File(_) | Place::Variable(_) | Place::Flag(_) => 0,
    }
}

/// The parser's messages have two lines at times.
fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

/// Walks the tables of one file.
struct Reader<'r> {
    source: &'r Source,
    /// Lines that are not TOML: what the parser made of them is no second mistake.
    bad_lines: Vec<u32>,
    draft: &'r mut Draft,
}

impl Reader<'_> {
    fn mistake(&mut self, place: Place, key: &str, found: String, allowed: &str) {
        if !self.bad_lines.contains(&line_of(&place)) {
            self.draft.mistakes.add(place, key, found, allowed);
        }
    }

    fn table<C>(&mut self, section: &str, table: &DeTable<'_>, keys: &[Key<C>], into: &mut C) {
        for (name, value) in table {
            let Some(key) = keys.iter().find(|key| key.name == name.get_ref().as_ref()) else {
                let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                let found = format!("unknown key {}", quote(name.get_ref()));
                self.mistake(self.source.place(name.span().start), section, found, &known.join(", "));
                continue;
            };
            let full = format!("{section}.{}", key.name);
            let place = self.source.place(value.span().start);
            let found = value_of(value.get_ref());
            if (key.set)(into, &found).is_some() {
                self.draft.places.insert(full, place);
            } else {
                self.mistake(place, &full, found.describe(key.secret), key.allowed);
            }
        }
    }

    /// Takes the entries. Rules across keys are skipped where the file is not `whole`: a key may hide in a broken line.
    fn printers<'v>(&mut self, list: impl Iterator<Item = &'v Spanned<DeValue<'v>>>, whole: bool) {
        for (index, entry) in list.enumerate() {
            let section = format!("printers[{}]", index + 1);
            let place = self.source.place(entry.span().start);
            let DeValue::Table(table) = entry.get_ref() else {
                let found = Value::Other(entry.get_ref().type_str()).describe(false);
                self.mistake(place, &section, found, "entries that begin with [[printers]]");
                continue;
            };
            if index >= PRINTERS_MAX {
                self.mistake(
                    place,
                    "printers",
                    "one entry too many".to_owned(),
                    &format!("at most {PRINTERS_MAX}"),
                );
                return;
            }
            let mut printer = PrinterEntry::default();
            self.table(&section, table, PrinterEntry::KEYS, &mut printer);
            if whole && self.printer_is_sound(&section, &place, table, &printer) {
                self.draft.config.printers.push(printer);
            }
        }
    }

    fn printer_is_sound(
        &mut self,
        section: &str,
        place: &Place,
        table: &DeTable<'_>,
        printer: &PrinterEntry,
    ) -> bool {
        let spans: BTreeMap<&str, Range<usize>> =
            table.iter().map(|(key, _)| (key.get_ref().as_ref(), key.span())).collect();
        let mut sound = true;
        for needed in PrinterEntry::NEEDED {
            if !spans.contains_key(needed) {
                self.mistake(
                    place.clone(),
                    section,
                    format!("the key {needed} is missing"),
                    &allowed_for(needed),
                );
                sound = false;
            }
        }
        let taken = |key: &str| self.draft.places.contains_key(&format!("{section}.{key}"));
        if !taken("type") || !taken("host") {
            return false;
        }
        for (key, span) in &spans {
            if PrinterEntry::KEYS.iter().any(|known| known.name == *key)
                && !PrinterEntry::belongs(key, printer.kind)
            {
                let found = format!("means nothing for a printer of type \"{}\"", printer.kind.name());
                self.mistake(self.source.place(span.start), &format!("{section}.{key}"), found, "");
                sound = false;
            }
        }
        let earlier = self.draft.config.printers.iter().position(|other| other.same_device(printer));
        if let Some(earlier) = earlier {
            let found = format!("the same serial number, or host and port, as printer {}", earlier + 1);
            self.mistake(place.clone(), section, found, "one entry for each printer");
            sound = false;
        }
        sound
    }
}

fn allowed_for(name: &str) -> String {
    PrinterEntry::KEYS
        .iter()
        .find(|key| key.name == name)
        .map(|key| key.allowed.to_owned())
        .unwrap_or_default()
}

fn value_of<'v>(value: &'v DeValue<'_>) -> Value<'v> {
    match value {
        DeValue::String(text) => Value::Text(Cow::Borrowed(text.as_ref())),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|value| match value.get_ref() {
                    DeValue::Array(_) => Value::Other("list"),
                    flat => value_of(flat),
                })
                .collect(),
        ),
        DeValue::Float(_) => Value::Other("number with a point"),
        DeValue::Datetime(_) => Value::Other("date"),
        DeValue::Table(_) => Value::Other("table"),
    }
}
