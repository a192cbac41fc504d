//! Prusa printers: a file is a page of their web server. No beginning in the middle, and a small server that serves one at
//! a time; its folders are looked into by nobody here, because a print names its file's place.

use super::{Got, StorageError, Trouble, Way, What};
use crate::model::FetchKind;
use crate::printers::prusalink::files::{Details, Files, FilesError, FilesErrorKind};

/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

/// The web server of one printer during one round.
pub(in crate::downloads) struct Http {
    way: Way,
    files: Option<Files>,
    /// The page of the file that was asked for last.
    page: Option<(Vec<u8>, Details)>,
}

impl Http {
    pub(super) fn new(way: Way) -> Http {
        Http { way, files: None, page: None }
    }

    pub(super) fn size(&mut self, path: &[u8]) -> Result<u64, StorageError> {
        let page = self.details(path)?;
        let size = page.size.ok_or_else(|| {
            failed(&FilesError {
                kind: FilesErrorKind::Arriving,
                message: "the printer is still receiving the file".to_owned(),
            })
        })?;
        self.page = Some((path.to_vec(), page));
        Ok(size)
    }

    pub(super) fn get(
        &mut self,
        path: &[u8],
        offset: u64,
        size: u64,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Got, StorageError> {
        if offset > 0 {
            let words = "the printer cannot begin in the middle of a file";
            return Err(other(What::Unsupported, FetchKind::Refused, words));
        }
        let page = match self.page.take() {
            Some((known, page)) if known == path => page,
            _ => self.details(path)?,
        };
        let mut download = self.files()?.download(&page).map_err(|error| match error.kind {
            // Its page is there, so it is: the printer does not give it now.
            FilesErrorKind::NotFound => other(What::Other, FetchKind::Refused, &error.message),
            _ => failed(&error),
        })?;
        if download.size != size {
            let words = format!("the file had {size} bytes and now has {}", download.size);
            return Err(other(What::Other, FetchKind::SizeMismatch, &words));
        }
        let mut piece = vec![0; PIECE];
        loop {
            let count = download.read(&mut piece).map_err(|error| failed(&error))?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return Ok(Got::Whole);
            };
            if !sink(bytes) {
                return Ok(Got::Stopped);
            }
        }
    }

    /// Lets go of the connection.
    pub(super) fn close(&mut self) {
        self.page = None;
        self.files = None;
    }

    fn details(&mut self, path: &[u8]) -> Result<Details, StorageError> {
        let text = std::str::from_utf8(path)
            .map_err(|_| other(What::Other, FetchKind::BadName, "the printer's paths are text"))?;
        self.files()?.details(text).map_err(|error| failed(&error))
    }

    fn files(&mut self) -> Result<&Files, StorageError> {
        if self.files.is_none() {
            let Way { printer, resolver, cancel, .. } = &self.way;
            let connection = &printer.connection;
            let address = smol::block_on(smol::future::or(
                async {
                    let found = resolver.resolve(&connection.host, connection.http_port).await;
                    found.map_err(|error| other(What::Other, FetchKind::PrinterOffline, &error.to_string()))
                },
                async {
                    cancel.cancelled().await;
                    Err(other(What::Other, FetchKind::Cancelled, "the transfer was cancelled"))
                },
            ))?;
            let files = Files::new(connection, address);
            let ended = files.clone();
            cancel.also(move || ended.cancel());
            self.files = Some(files);
        }
        // It was put there just now, if it was missing.
        let missing = || other(What::Other, FetchKind::Interrupted, "there is no connection");
        self.files.as_ref().ok_or_else(missing)
    }
}

fn other(what: What, kind: FetchKind, words: &str) -> StorageError {
    StorageError { what, trouble: Trouble::passing(kind, words) }
}

fn failed(error: &FilesError) -> StorageError {
    let what = if error.kind == FilesErrorKind::NotFound { What::NotFound } else { What::Other };
    other(what, error.kind.fetch_kind(), &error.message)
}
