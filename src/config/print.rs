//! The effective configuration as a file: from the running values, with help and origin, secrets left out.

use std::fmt::Write as _;
use std::path::Path;

use super::Loaded;
use super::key::Key;
use super::mistake::Place;
use super::printers::PrinterEntry;
use super::sections::{
    DownloadsConfig, LIBRARY_KEYS, LOG_KEYS, MaterialsConfig, NETWORK_KEYS, StorageConfig, TimeConfig,
    WebConfig,
};

/// The whole file. It can be given back to `--config`; only the secrets have to be filled in again.
#[must_use]
pub fn print(loaded: &Loaded) -> String {
    let mut out = String::with_capacity(4096);
    let file = loaded
        .file
        .as_deref()
        .map_or_else(|| "no file was read".to_owned(), |file| file.display().to_string());
    let _ =
        writeln!(out, "# The configuration that printernizer {} uses ({file}).", env!("CARGO_PKG_VERSION"));
    out.push_str(
        "# Each setting can also be given as a variable of the environment, as PRINTERNIZER_WEB_LISTEN.\n",
    );
    section(&mut out, loaded, "[web]", "web", WebConfig::KEYS, &loaded.config.web);
    section(&mut out, loaded, "[storage]", "storage", StorageConfig::KEYS, &loaded.config.storage);
    section(&mut out, loaded, "[library]", "library", LIBRARY_KEYS, &loaded.config.library);
    section(&mut out, loaded, "[network]", "network", NETWORK_KEYS, &loaded.config.network);
    section(&mut out, loaded, "[downloads]", "downloads", DownloadsConfig::KEYS, &loaded.config.downloads);
    section(&mut out, loaded, "[materials]", "materials", MaterialsConfig::KEYS, &loaded.config.materials);
    section(&mut out, loaded, "[time]", "time", TimeConfig::KEYS, &loaded.config.time);
    section(&mut out, loaded, "[log]", "log", LOG_KEYS, &loaded.config.log);
    out.push_str("\n# Printers to begin with. Each is added once, if no printer with its serial number or address is known.\n");
    if loaded.config.printers.is_empty() {
        out.push_str("#[[printers]]\n");
        for key in PrinterEntry::KEYS {
            help(&mut out, key);
            let _ = writeln!(out, "#{} = {}", key.name, key.example);
        }
    }
    for (index, printer) in loaded.config.printers.iter().enumerate() {
        section(
            &mut out,
            loaded,
            "[[printers]]",
            &format!("printers[{}]", index + 1),
            PrinterEntry::KEYS,
            printer,
        );
    }
    out
}

fn help<C>(out: &mut String, key: &Key<C>) {
    if !key.help.is_empty() {
        let _ = writeln!(out, "# {}", key.help);
    }
}

fn section<C>(out: &mut String, loaded: &Loaded, title: &str, name: &str, keys: &[Key<C>], values: &C) {
    let _ = writeln!(out, "\n{title}");
    for key in keys {
        help(out, key);
        let origin = origin(loaded.places.get(&format!("{name}.{}", key.name)), loaded.file.as_deref());
        match (key.show)(values) {
            Some(_) if key.secret => {
                let _ = writeln!(out, "# {} is set and not shown{origin}", key.name);
            }
            Some(shown) => {
                let _ = writeln!(out, "{} = {shown}{origin}", key.name);
            }
            None => {
                let _ = writeln!(out, "#{} = {}", key.name, key.example);
            }
        }
    }
}

/// Says where a value comes from; a default needs no word, and the file is named at the top.
fn origin(place: Option<&Place>, file: Option<&Path>) -> String {
    match place {
        None | Some(Place::Default | Place::File(_)) => String::new(),
        Some(Place::Line { file: named, line, .. }) if Some(named.as_path()) == file => {
            format!("  # line {line}")
        }
        Some(place @ (Place::Line { .. } | Place::Variable(_) | Place::Flag(_))) => format!("  # {place}"),
    }
}
