//! The desk: where others ask for files, look how far they are, and take their wish back.
//!
//! A request is a record first ([`Fetch`]) and work afterwards, so an answered request survives a restart. Everything here
//! may block on the store; it is for the web's threads and for tests. Tasks use the asynchronous twins.

use std::fmt;
use std::sync::Arc;

use super::record;
use super::shared::{Ending, PreviewPicture, Progress, Shared};
use crate::model::{Fetch, FetchId, FetchKind, FetchState, JobId, PrinterId, Start, Wanted};
use crate::net::ftps::PATH_BYTES_MAX;
use crate::printers::registry::Registry;
use crate::store::{Read as _, ReadFiles as _, Store, StoreError, Txn};

/// Requests that are not over, of all printers: a listing of some hundred files may be asked for as a whole.
pub const OPEN_MAX: usize = 256;

/// Why a request was not taken.
#[derive(Debug)]
pub enum DeskError {
    /// No such printer.
    NoPrinter,
    /// The printer is at no print.
    NoJob,
    /// No such request.
    NoFetch,
    /// The request is over already.
    Over,
    /// [`OPEN_MAX`] requests wait.
    Full,
    /// The name cannot be one.
    BadName,
    /// The store.
    Store(StoreError),
}

impl fmt::Display for DeskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeskError::NoPrinter => "there is no such printer",
            DeskError::NoJob => "the printer is at no print",
            DeskError::NoFetch => "there is no such download",
            DeskError::Over => "the download is over already",
            DeskError::Full => "too many downloads are waiting already; try again when some are done",
            DeskError::BadName => "that cannot be a file's name",
            DeskError::Store(_) => "the records cannot be read or written",
        })
    }
}

impl std::error::Error for DeskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DeskError::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for DeskError {
    fn from(error: StoreError) -> DeskError {
        DeskError::Store(error)
    }
}

/// A handle to the downloads. Cloning gives another one.
#[derive(Clone)]
pub struct Desk {
    pub(super) store: Store,
    pub(super) registry: Registry,
    pub(super) shared: Shared,
}

impl Desk {
    /// A desk whose requests are worked off by [`super::run`].
    #[must_use]
    pub fn new(store: Store, registry: Registry) -> Desk {
        Desk { store, registry, shared: Shared::new() }
    }

    /// Says how many bytes of the card downloads leave alone from now on.
    pub fn set_reserve(&self, bytes: u64) {
        self.shared.set_reserve(bytes);
    }

    /// Asks for the file at `path` of a printer's storage, byte for byte; a name without a leading `/` is looked for in the
    /// folders where prints lie. A request for the same file that is not over is answered as it is.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn request(&self, printer_id: PrinterId, path: &[u8]) -> Result<Fetch, DeskError> {
        smol::block_on(self.ask(printer_id, Wish::Path(path.to_vec())))
    }

    /// Asks for the file of the print that the printer is at. Where the service looks for it already, that request is
    /// answered, and its next round comes at once.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn request_current(&self, printer_id: PrinterId) -> Result<Fetch, DeskError> {
        let entry = self.registry.get(printer_id).ok_or(DeskError::NoPrinter)?;
        let state = entry.state.get();
        let job = state.job_id.filter(|_| state.seen.status.is_active()).ok_or(DeskError::NoJob)?;
        let fetch = smol::block_on(self.ask(printer_id, Wish::Job(job, state.seen.start.clone())))?;
        self.shared.hurry(fetch.id);
        Ok(fetch)
    }

    /// Takes a request back. One that runs ends within a moment, and its record and event follow.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn cancel(&self, id: FetchId) -> Result<Fetch, DeskError> {
        let fetch = self.get(id)?.ok_or(DeskError::NoFetch)?;
        if fetch.state.is_over() {
            return Err(DeskError::Over);
        }
        if self.shared.stop(id, Ending::Cancelled) {
            return Ok(fetch);
        }
        let cancelled = self.store.write_blocking(move |txn| {
            let mut fetch = txn.get::<Fetch>(id)?.ok_or(DeskError::NoFetch)?;
            if fetch.state.is_over() {
                return Err(DeskError::Over);
            }
            fetch.state = FetchState::Failed;
            record::failed(txn, &mut fetch, FetchKind::Cancelled, "the download was cancelled", None)?;
            Ok(fetch)
        })?;
        self.shared.ring();
        Ok(cancelled)
    }

    /// One request.
    ///
    /// # Errors
    /// [`DeskError::Store`].
    pub fn get(&self, id: FetchId) -> Result<Option<Fetch>, DeskError> {
        self.store.read_blocking(|view| Ok(view.get::<Fetch>(id)?))
    }

    /// The requests that are not over, oldest first.
    ///
    /// # Errors
    /// [`DeskError::Store`].
    pub fn open(&self) -> Result<Vec<Fetch>, DeskError> {
        self.store.read_blocking(|view| Ok(view.open_fetches()?))
    }

    /// Tells the dispatcher that the records have changed.
    pub fn wake(&self) {
        self.shared.ring();
    }

    /// How far a running transfer is; `None` while none runs for this request.
    #[must_use]
    pub fn progress(&self, id: FetchId) -> Option<Progress> {
        self.shared.progress(id)
    }

    /// The picture that the first bytes held. It stays for a while after the transfer.
    #[must_use]
    pub fn preview(&self, id: FetchId) -> Option<Arc<PreviewPicture>> {
        self.shared.preview(id)
    }

    /// Where a browser finds [`Desk::preview`].
    #[must_use]
    pub fn preview_url(id: FetchId) -> String {
        format!("/api/v1/files/downloads/{id}/preview")
    }

    async fn ask(&self, printer_id: PrinterId, wish: Wish) -> Result<Fetch, DeskError> {
        let asked = self.store.write(move |txn| ask(txn, printer_id, wish)).await?;
        self.shared.ring();
        Ok(asked)
    }
}

/// What somebody wants.
enum Wish {
    Path(Vec<u8>),
    Job(JobId, Start),
}

fn ask(txn: &mut Txn<'_>, printer_id: PrinterId, wish: Wish) -> Result<Fetch, DeskError> {
    if txn.printer(printer_id)?.is_none() {
        return Err(DeskError::NoPrinter);
    }
    let open = txn.open_fetches()?;
    let (wanted, filename) = match wish {
        Wish::Path(path) => {
            check_path(&path)?;
            let filename = name_of(&path);
            (Wanted::Path(path), filename)
        }
        Wish::Job(job_id, start) => {
            let job = txn.job(job_id)?.ok_or(DeskError::NoJob)?;
            let filename = start.name().unwrap_or(job.name);
            (Wanted::Print { job_id, start }, filename)
        }
    };
    let same = |fetch: &&Fetch| match (&fetch.wanted, &wanted) {
        (Wanted::Print { job_id: one, .. }, Wanted::Print { job_id: other, .. }) => one == other,
        (one, other) => fetch.printer_id == printer_id && one == other,
    };
    if let Some(fetch) = open.iter().find(same) {
        return Ok(fetch.clone());
    }
    if open.len() >= OPEN_MAX {
        return Err(DeskError::Full);
    }
    let fetch = record::new_fetch(txn, printer_id, wanted, filename)?;
    txn.put(&fetch)?;
    Ok(fetch)
}

fn check_path(path: &[u8]) -> Result<(), DeskError> {
    let sound = !path.is_empty()
        && path.len() <= PATH_BYTES_MAX
        && !path.ends_with(b"/")
        && !path.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
        && !path.split(|byte| *byte == b'/').any(|part| part == b"..");
    if sound { Ok(()) } else { Err(DeskError::BadName) }
}

/// The last part of a path as people read it.
#[must_use]
pub(super) fn name_of(path: &[u8]) -> String {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    String::from_utf8_lossy(name).into_owned()
}
