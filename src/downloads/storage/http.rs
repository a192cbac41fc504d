//! Prusa printers: a file is a page of their web server. No listings, no beginning in the middle, and a small server that
//! serves one at a time.

use super::{Got, StorageError, Trouble, Way, What};
use crate::model::FetchKind;
use crate::net::http::{Answer, Client, HttpError, HttpErrorKind, Limits, Method};
use crate::printers::prusalink::fetch::{client, target};

/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

/// The web server of one printer during one round.
pub(in crate::downloads) struct Http {
    way: Way,
    client: Option<Client>,
    /// The answer that told a file's size: its body is the file.
    begun: Option<(Vec<u8>, Answer)>,
}

impl Http {
    pub(super) fn new(way: Way) -> Http {
        Http { way, client: None, begun: None }
    }

    /// Asks for the file and reads how long it is.
    pub(super) fn size(&mut self, path: &[u8]) -> Result<u64, StorageError> {
        self.begun = None;
        let answer = self.client()?.send(Method::Get, &target(path)).map_err(|error| failed(&error))?;
        let length = length_of(&answer)?;
        self.begun = Some((path.to_vec(), answer));
        Ok(length)
    }

    pub(super) fn get(
        &mut self,
        path: &[u8],
        offset: u64,
        size: u64,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Got, StorageError> {
        if offset > 0 {
            return Err(other(
                What::Unsupported,
                FetchKind::Refused,
                "the printer knows no beginning in the middle",
            ));
        }
        let mut answer = match self.begun.take() {
            Some((begun, answer)) if begun == path => answer,
            _ => self.client()?.send(Method::Get, &target(path)).map_err(|error| failed(&error))?,
        };
        let length = length_of(&answer)?;
        if length != size {
            let words = format!("the file had {size} bytes and now has {length}");
            return Err(other(What::Other, FetchKind::SizeMismatch, &words));
        }
        let mut piece = vec![0; PIECE];
        let mut left = length;
        while left > 0 {
            let count = answer.read(&mut piece).map_err(|error| failed(&error))?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else {
                let words = format!("the transfer was cut {left} bytes before the file's end");
                return Err(other(What::Other, FetchKind::Interrupted, &words));
            };
            left = left.saturating_sub(bytes.len() as u64);
            if !sink(bytes) {
                return Ok(Got::Stopped);
            }
        }
        Ok(Got::Whole)
    }

    /// Lets go of what was begun.
    pub(super) fn close(&mut self) {
        self.begun = None;
        self.client = None;
    }

    fn client(&mut self) -> Result<&Client, StorageError> {
        if self.client.is_none() {
            let Way { printer, resolver, times, cancel, .. } = &self.way;
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
            let limits = Limits { connect: times.connect, wait: times.stall, whole: None };
            let client = client(printer, address, limits);
            let ended = client.clone();
            cancel.also(move || ended.cancel());
            self.client = Some(client);
        }
        // It was put there just now, if it was missing.
        self.client
            .as_ref()
            .ok_or_else(|| other(What::Other, FetchKind::Interrupted, "there is no connection"))
    }
}

fn length_of(answer: &Answer) -> Result<u64, StorageError> {
    let status = answer.status;
    match (status, answer.length) {
        (200, Some(length)) => Ok(length),
        (200, None) => {
            Err(other(What::Other, FetchKind::Refused, "the printer does not say how long the file is"))
        }
        (404 | 410, _) => {
            Err(other(What::NotFound, FetchKind::NotFound, "there is no such file on the printer"))
        }
        (401 | 403, _) => {
            Err(other(What::Other, FetchKind::Auth, "the printer does not let us have the file"))
        }
        (status, _) => {
            let words = format!("the printer answers {status} instead of the file");
            Err(other(What::Other, FetchKind::Refused, &words))
        }
    }
}

fn other(what: What, kind: FetchKind, words: &str) -> StorageError {
    StorageError { what, trouble: Trouble::passing(kind, words) }
}

fn failed(error: &HttpError) -> StorageError {
    use HttpErrorKind as K;
    let kind = match error.kind {
        K::Unreachable | K::Refused => FetchKind::PrinterOffline,
        K::Silent => FetchKind::Stalled,
        K::Interrupted | K::Protocol => FetchKind::Interrupted,
        K::Auth => FetchKind::Auth,
        K::TooLarge => FetchKind::TooLarge,
        K::BadRequest => FetchKind::BadName,
        K::Cancelled => FetchKind::Cancelled,
    };
    other(What::Other, kind, &error.message)
}
