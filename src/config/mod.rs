//! The configuration: defaults, then the file, then credentials, then the environment, then flags; checked as a whole.
//!
//! Duty: to answer either a configuration that can be used or *every* mistake in it, each with its place, key and what is
//! allowed. It does not look at the world: whether a port is free or a directory can be written is found out by those
//! who use it. A lower room does not import this one; it has a configuration of its own, which is a field here.
//!
//! Bounds: a file of [`FILE_BYTES_MAX`] bytes, [`PRINTERS_MAX`] printers, [`mistake::MISTAKES_MAX`] mistakes.
//!
//! A new section is a struct with defaults, a table of [`Key`]s, one arm in `read.rs` and one line in `print.rs`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub mod change;
pub mod check;
mod key;
pub mod mistake;
mod print;
mod printers;
mod read;
mod sections;
mod source;

pub use key::{Key, Value};
pub use mistake::{Mistake, Mistakes, Place};
pub use print::print;
pub use printers::{PRINTERS_MAX, PrinterEntry};
pub use sections::{
    DownloadsConfig, LIBRARY_KEYS, LOG_KEYS, MaterialsConfig, NETWORK_KEYS, StorageConfig, TimeConfig,
    WebConfig,
};
pub use source::FILE_BYTES_MAX;

use crate::base::logging::LogConfig;
use crate::lan;
use crate::library::LibraryConfig;

/// The file that is read when none is named; it may be absent.
pub const DEFAULT_FILE: &str = "/etc/printernizer/printernizer.toml";

/// Everything that can be set from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The page and the API.
    pub web: WebConfig,
    /// Where everything is kept.
    pub storage: StorageConfig,
    /// The library, and what files may take of the card.
    pub library: LibraryConfig,
    /// Files of prints.
    pub downloads: DownloadsConfig,
    /// Spools.
    pub materials: MaterialsConfig,
    /// Finding printers, and being found.
    pub network: lan::Config,
    /// Whose days are counted.
    pub time: TimeConfig,
    /// What is logged.
    pub log: LogConfig,
    /// Printers to begin with.
    pub printers: Vec<PrinterEntry>,
}

/// Where a configuration is taken from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`: a file that must exist. Without it [`DEFAULT_FILE`] is read if there is one.
    pub file: Option<PathBuf>,
    /// `--data`.
    pub data_dir: Option<OsString>,
    /// `--listen`.
    pub listen: Option<OsString>,
    /// The variables of the environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// A configuration without mistakes, and how it came about.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Where each value that is not a default comes from, by full name (`web.listen`, `printers[1].host`).
    pub places: BTreeMap<String, Place>,
    /// Oddities that hinder nothing.
    pub warnings: Vec<String>,
}

/// Reads and checks the configuration. Blocks for one small file.
///
/// # Errors
/// Every mistake that was found.
pub fn load(sources: &Sources) -> Result<Loaded, Mistakes> {
    let mut draft = read::Draft::default();
    let (file, named) = match &sources.file {
        Some(file) => (file.as_path(), true),
        None => (Path::new(DEFAULT_FILE), false),
    };
    let source = source::Source::read(file, named, &mut draft.mistakes);
    if let Some(source) = &source {
        draft.read_file(source);
    }
    draft.read_credentials(&sources.environment);
    draft.read_environment(&sources.environment);
    draft.read_flags(sources.listen.as_deref(), sources.data_dir.as_deref());
    draft.check();
    if draft.mistakes.is_empty() {
        let file = source.map(|_| file.to_owned());
        Ok(Loaded { config: draft.config, file, places: draft.places, warnings: draft.warnings })
    } else {
        Err(draft.mistakes)
    }
}

/// Checks `text` as if it were the file `file`. Nothing else is read: no environment, no flags.
///
/// # Errors
/// Every mistake that was found.
pub fn check_text(file: &Path, text: String) -> Result<Config, Mistakes> {
    let mut draft = read::Draft::default();
    if let Some(source) = source::Source::decode(file, text.into_bytes(), &mut draft.mistakes) {
        draft.read_file(&source);
    }
    draft.check();
    if draft.mistakes.is_empty() { Ok(draft.config) } else { Err(draft.mistakes) }
}

#[cfg(test)]
mod tests;
