//! Bambu Lab printers: FTPS.

use std::time::Duration;

use super::{Got, Knowledge, StorageError, Trouble, Way, What, family};
use crate::model::{FetchKind, Printer};
use crate::net::ftps::{FtpsError, FtpsErrorKind, Learned, Listing, Options, Protection, Session, Wanted};
use crate::net::tls::{CipherOrder, PeerPolicy};
use crate::printers::bambu::files::Family;

/// The user name of every Bambu Lab printer, unless its entry in the list has another one.
const USER: &str = "bblp";
/// A small server that has stopped answering is left alone for this time: asked again at once it stays stuck (reports from
/// P1 and A1 machines).
const LEFT_ALONE: Duration = Duration::from_secs(300);
/// Sessions that one round opens at most: the first, one in clear text, one after a listing that was cut, one for the
/// second look, one to spare.
const SESSIONS_MAX: u32 = 5;
/// Bytes that are read at once.
const PIECE: usize = 32 * 1024;

/// The FTPS server of one printer during one round.
pub(in crate::downloads) struct Ftps {
    way: Way,
    session: Option<Session>,
    opened: u32,
    pub(super) knowledge: Knowledge,
}

impl Ftps {
    pub(super) fn new(way: Way, knowledge: Knowledge) -> Ftps {
        Ftps { way, session: None, opened: 0, knowledge }
    }

    pub(super) fn size(&mut self, path: &[u8]) -> Result<u64, StorageError> {
        self.with(|session| session.size(path)).map_err(|error| self.failed(&error))
    }

    pub(super) fn list(&mut self, folder: &[u8]) -> Result<Listing, StorageError> {
        self.with(|session| session.list(folder)).map_err(|error| self.failed(&error))
    }

    pub(super) fn get(
        &mut self,
        path: &[u8],
        offset: u64,
        size: u64,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Got, StorageError> {
        let mut begun = false;
        let got = self.with(|session| {
            let mut transfer = session.retrieve(path, offset, Some(size))?;
            let mut piece = vec![0; PIECE];
            loop {
                let count = transfer.read(&mut piece)?;
                let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
                begun = true;
                if !sink(bytes) {
                    transfer.abandon();
                    return Ok(Got::Stopped);
                }
            }
            transfer.finish().map(|_| Got::Whole)
        });
        got.map_err(|error| match error.kind {
            // It was there when it began to come.
            FtpsErrorKind::NotFound if begun => StorageError {
                what: What::NotFound,
                trouble: Trouble::passing(
                    FetchKind::NotFound,
                    "the file vanished from the printer while it was fetched",
                ),
            },
            _ => self.failed(&error),
        })
    }

    pub(super) fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close();
        }
    }

    /// A session that can be used: the one there is, or a new one.
    fn session(&mut self) -> Result<&mut Session, FtpsError> {
        if self.session.as_ref().is_some_and(|session| !session.is_usable()) {
            self.close();
        }
        match &mut self.session {
            Some(_) => {}
            empty @ None => {
                if self.opened >= SESSIONS_MAX {
                    return Err(fault(FtpsErrorKind::Dead, "the printer ends every session"));
                }
                self.opened += 1;
                *empty = Some(open(&self.way, &self.knowledge)?);
            }
        }
        // It was put there just now, if it was missing.
        self.session.as_mut().ok_or_else(|| fault(FtpsErrorKind::Dead, "there is no session"))
    }

    /// Does something with a session. Where encrypted data cannot be had from a printer that may want clear text, it is
    /// tried once more in that way, and remembered if it works.
    fn with<T>(
        &mut self,
        mut work: impl FnMut(&mut Session) -> Result<T, FtpsError>,
    ) -> Result<T, FtpsError> {
        let first = self.session().and_then(&mut work);
        let no_tls = matches!(&first, Err(error) if error.kind == FtpsErrorKind::DataTls);
        if !no_tls || self.knowledge.clear || !may_be_clear(&self.way.printer) {
            self.learn();
            return first;
        }
        self.close();
        self.knowledge.clear = true;
        let second = self.session().and_then(&mut work);
        // Only what has worked is remembered: the first may have been an accident.
        self.knowledge.clear = second.is_ok();
        if second.is_ok() {
            log::info!("{}: its data travels in clear text, as it wants it", self.way.printer.id);
        }
        self.learn();
        second
    }

    /// Takes in what the session found out.
    fn learn(&mut self) {
        let Some(Learned { protection, restart, .. }) = self.session.as_ref().map(Session::learned) else {
            return;
        };
        self.knowledge.restart = restart.or(self.knowledge.restart);
        self.knowledge.clear |= protection == Protection::Clear;
    }

    /// An error in the contract's words; notes that a stuck server wants to be left alone.
    fn failed(&mut self, error: &FtpsError) -> StorageError {
        let stuck = matches!(error.kind, FtpsErrorKind::Silent | FtpsErrorKind::Stalled);
        if stuck && family(&self.way.printer) == Family::P1A1 {
            self.knowledge.leave_until = Some(self.way.clock.now().mono.after(LEFT_ALONE));
        }
        let what = match error.kind {
            FtpsErrorKind::NotFound => What::NotFound,
            FtpsErrorKind::Unsupported => What::Unsupported,
            _ => What::Other,
        };
        let lasting = matches!(error.kind, FtpsErrorKind::KeyChanged | FtpsErrorKind::WrongName { .. });
        let trouble = Trouble { kind: kind_of(&error.kind), words: error.message.clone(), lasting };
        StorageError { what, trouble }
    }
}

/// Opens a session: everything that a printer wants before the first question.
fn open(way: &Way, knowledge: &Knowledge) -> Result<Session, FtpsError> {
    let Way { printer, resolver, times, cancel, .. } = way;
    let connection = &printer.connection;
    let Some(code) = connection.access_code.clone().filter(|code| !code.is_empty()) else {
        return Err(fault(FtpsErrorKind::LoginRefused, "no access code is stored"));
    };
    let address = smol::block_on(smol::future::or(
        async {
            let found = resolver.resolve(&connection.host, connection.ftps_port).await;
            found.map_err(|error| fault(FtpsErrorKind::Unreachable, &error.to_string()))
        },
        async {
            cancel.cancelled().await;
            Err(fault(FtpsErrorKind::Cancelled, "the transfer was cancelled"))
        },
    ))?;
    let protection = match (knowledge.clear, may_be_clear(printer)) {
        (true, true) => Wanted::Clear,
        (false, true) => Wanted::PrivateElseClear,
        (_, false) => Wanted::Private,
    };
    let options = Options {
        policy: PeerPolicy { pinned_spki: printer.pin, expected_common_name: connection.serial.clone() },
        ciphers: CipherOrder::default(),
        username: connection.username.clone().unwrap_or_else(|| USER.to_owned()),
        password: code,
        protection,
        restart: knowledge.restart,
        times: *times,
        ..Options::new(address)
    };
    Session::open(options, cancel.clone())
}

/// Whether data in clear text is accepted from this printer: only models are known to want it whose small server has no
/// other way. Whoever can change their data could as well change what they print.
fn may_be_clear(printer: &Printer) -> bool {
    matches!(family(printer), Family::P1A1 | Family::Unknown)
}

fn fault(kind: FtpsErrorKind, message: &str) -> FtpsError {
    FtpsError { kind, message: message.to_owned() }
}

/// The contract's kind for an error.
fn kind_of(kind: &FtpsErrorKind) -> FetchKind {
    use FtpsErrorKind as K;
    match kind {
        K::Unreachable | K::Refused => FetchKind::PrinterOffline,
        K::KeyChanged | K::WrongName { .. } | K::LoginRefused => FetchKind::Auth,
        K::Silent | K::Stalled => FetchKind::Stalled,
        K::Closing
        | K::NoDataConnection
        | K::ReuseRequired
        | K::FileBusy
        // The size was told, so the file is there: the printer does not give it now.
        | K::NotFound
        | K::NotPermitted
        | K::Unsupported => FetchKind::Refused,
        K::Tls | K::DataTls | K::Interrupted | K::Protocol | K::Dead => FetchKind::Interrupted,
        K::Short { .. } | K::Long { .. } => FetchKind::SizeMismatch,
        K::BadPath => FetchKind::BadName,
        K::Cancelled => FetchKind::Cancelled,
    }
}
