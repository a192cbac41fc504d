//! A printer's file storage as a round uses it: sessions opened when needed, errors in the contract's kinds, and what was
//! learnt about the printer. Each family has a file of its own.

mod ftps;
mod http;

use std::sync::Arc;

use crate::base::clock::{Clock, Mono};
use crate::model::{FetchKind, Printer, PrinterType};
use crate::net::ftps::{Cancel, Listing, Times};
use crate::net::resolve::Resolver;
use crate::printers::bambu::files::Family;

/// What was learnt about a printer's storage, for as long as the service runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Knowledge {
    /// Whether data has to travel in clear text.
    pub clear: bool,
    /// Whether a transfer can begin in the middle.
    pub restart: Option<bool>,
    /// Nobody speaks to it before this moment.
    pub leave_until: Option<Mono>,
}

/// Why something on the printer's storage failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The contract's kind.
    pub kind: FetchKind,
    /// Words.
    pub words: String,
    /// Whether it stays until the user does something.
    pub lasting: bool,
}

impl Trouble {
    /// Trouble that may pass.
    pub(super) fn passing(kind: FetchKind, words: impl Into<String>) -> Trouble {
        Trouble { kind, words: words.into(), lasting: false }
    }
}

/// What kind of failure it is, as far as a round goes on differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// There is no such file or folder.
    NotFound,
    /// The printer cannot do that.
    Unsupported,
    /// Anything else.
    Other,
}

/// A question that was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageError {
    /// What kind of failure it is.
    pub what: What,
    /// Why.
    pub trouble: Trouble,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Every byte came.
    Whole,
    /// The receiver wanted no more.
    Stopped,
}

/// The family of a Bambu Lab printer, by its serial number.
pub(super) fn family(printer: &Printer) -> Family {
    printer.connection.serial.as_deref().map_or(Family::Unknown, Family::of_serial)
}

/// What a storage is reached with.
pub(super) struct Way {
    pub printer: Arc<Printer>,
    pub resolver: Resolver,
    pub clock: Clock,
    pub times: Times,
    /// Ends whatever waits.
    pub cancel: Cancel,
}

/// The storage of one printer during one round. Blocks.
pub(super) enum Storage {
    /// A Bambu Lab printer's.
    Ftps(Box<ftps::Ftps>),
    /// A Prusa printer's.
    Http(Box<http::Http>),
}

impl Storage {
    pub(super) fn new(way: Way, knowledge: Knowledge) -> Storage {
        match way.printer.kind {
            PrinterType::BambuLab => Storage::Ftps(Box::new(ftps::Ftps::new(way, knowledge))),
            PrinterType::PrusaLink => Storage::Http(Box::new(http::Http::new(way))),
        }
    }

    /// What is known of the printer by now.
    pub(super) fn knowledge(&self) -> Knowledge {
        match self {
            Storage::Ftps(ftps) => ftps.knowledge,
            Storage::Http(_) => Knowledge { restart: Some(false), ..Knowledge::default() },
        }
    }

    /// The size of a file in bytes.
    pub(super) fn size(&mut self, path: &[u8]) -> Result<u64, StorageError> {
        match self {
            Storage::Ftps(ftps) => ftps.size(path),
            Storage::Http(http) => http.size(path),
        }
    }

    /// What a folder holds.
    pub(super) fn list(&mut self, folder: &[u8]) -> Result<Listing, StorageError> {
        match self {
            Storage::Ftps(ftps) => ftps.list(folder),
            Storage::Http(_) => Err(StorageError {
                what: What::Unsupported,
                trouble: Trouble::passing(FetchKind::Refused, "the printer's folders are not looked into"),
            }),
        }
    }

    /// Fetches a file of `size` bytes from `offset` on, piece by piece, until `sink` answers `false`.
    pub(super) fn get(
        &mut self,
        path: &[u8],
        offset: u64,
        size: u64,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Got, StorageError> {
        match self {
            Storage::Ftps(ftps) => ftps.get(path, offset, size, sink),
            Storage::Http(http) => http.get(path, offset, size, sink),
        }
    }

    /// Ends the session politely.
    pub(super) fn close(&mut self) {
        match self {
            Storage::Ftps(ftps) => ftps.close(),
            Storage::Http(http) => http.close(),
        }
    }
}
