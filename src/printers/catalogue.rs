//! What lies on a printer's storage, whatever family it is of. Blocks; the caller holds the printer's slot.

use crate::model::{FetchKind, Printer, PrinterType};
use crate::net::ftps::Cancel;
use crate::net::resolve::Resolver;

/// A file on a printer's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its whole path, byte for byte.
    pub path: Vec<u8>,
    /// The name people know it by.
    pub name: String,
    /// Bytes, where the listing tells them.
    pub size: Option<u64>,
    /// What else tells versions apart, as the printer writes it.
    pub mark: Option<String>,
}

/// What a look brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Files, folder after folder.
    pub files: Vec<Listed>,
    /// Whether these are all.
    pub complete: bool,
    /// Why not, where something failed: the contract's kind and words.
    pub error: Option<(FetchKind, String)>,
}

/// Looks into every folder where prints may lie. What was seen before something failed is answered too. `cancel` ends it.
#[must_use]
pub fn catalogue(printer: &Printer, resolver: &Resolver, cancel: &Cancel, files_max: usize) -> Catalogue {
    match printer.kind {
        PrinterType::BambuLab => super::bambu::files::catalogue(printer, resolver, cancel, files_max),
        PrinterType::PrusaLink => super::prusalink::catalogue(printer, resolver, cancel, files_max),
    }
}
