//! The check of the whole, afterwards: every checksum that a kept file carries, at low priority, a piece at a time.
//!
//! Archives are compared with their CRCs and the MD5 of each plate, binary G-code with its blocks' CRCs, and text G-code,
//! which carries none, with the hash under which it is kept, so that damage on the card shows, too. The result stands in
//! the record of the content; what is wrong is an event, and the file is fetched once more. A restart begins an interrupted
//! check anew.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest as _, Sha256};

use super::record;
use super::shared::Shared;
use super::{Desk, OPEN_MAX};
use crate::base::pool::{Limits, Pool};
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::events::{Event, FileVerificationFailed, Flow};
use crate::formats::limits::WARNINGS_MAX;
use crate::formats::verify::{Progress, Verifier};
use crate::model::{Checksum, Content, Fetch, FetchKind, FileRecord, FileSource, Wanted};
use crate::store::{Blobs, Read as _, ReadFiles as _, Store, StoreError, Txn};

/// Bytes between two looks at whether to stop.
const STEP: u64 = 256 * 1024;
/// Contents whose records are looked at; some thousand fill the largest card.
const CONTENTS_MAX: usize = 20_000;
/// The check steps back whenever something else wants to run.
const NICE: i32 = 10;
/// Requests that are looked through for an earlier second fetch of the same file.
const FETCHES_MAX: usize = 2_000;

/// What the task needs.
#[derive(Clone)]
pub struct VerifyDeps {
    /// Records.
    pub store: Store,
    /// Bytes.
    pub blobs: Blobs,
    /// Where the second fetch is asked for.
    pub desk: Desk,
}

/// Checks what is not checked yet, and what arrives, until stop.
///
/// # Errors
/// Never; what fails is logged and tried again with the next arrival.
pub async fn verify(context: TaskContext, deps: VerifyDeps) -> TaskResult {
    let pool = Pool::new("verify", Limits { threads_max: 1, queue_max: 0, nice: NICE });
    let stop = Arc::new(AtomicBool::new(false));
    let shared: Shared = deps.desk.shared.clone();
    // Contents that cannot be read in this run; at most as many as there are.
    let mut unreadable = BTreeSet::new();
    loop {
        let (own, halt, skipped) = (deps.clone(), Arc::clone(&stop), std::mem::take(&mut unreadable));
        if let Ok(running) = pool.run(move || own.check_all(skipped, &halt)) {
            loop {
                match context.wait(running.answer()).await {
                    Wake::Stop => {
                        stop.store(true, Ordering::Relaxed);
                        let _ = running.answer().await;
                        return Ok(());
                    }
                    Wake::Timer => {}
                    Wake::Ready(checked) => {
                        unreadable = checked.unwrap_or_default();
                        break;
                    }
                }
            }
        }
        loop {
            match context.wait(shared.rung_verifier()).await {
                Wake::Stop => return Ok(()),
                Wake::Timer => {}
                Wake::Ready(()) => break,
            }
        }
    }
}

impl VerifyDeps {
    /// Checks every content that is not checked; answers those that could not be read.
    fn check_all(&self, mut unreadable: BTreeSet<Checksum>, stop: &AtomicBool) -> BTreeSet<Checksum> {
        let open = self.store.read_blocking(|view| {
            let contents = view.list::<Content>(CONTENTS_MAX)?;
            let open = contents.into_iter().filter(|content| content.verified.is_none());
            Ok::<_, StoreError>(open.map(|content| content.checksum).collect::<Vec<_>>())
        });
        let open = open.unwrap_or_else(|error| {
            log::warn!("what is to be checked cannot be listed: {}", crate::base::error::chain(&error));
            Vec::new()
        });
        for checksum in open {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if unreadable.contains(&checksum) {
                continue;
            }
            if let Err(words) = self.check(checksum, stop) {
                log::warn!("{checksum}: cannot be checked: {words}");
                unreadable.insert(checksum);
            }
        }
        unreadable
    }

    fn check(&self, checksum: Checksum, stop: &AtomicBool) -> Result<(), String> {
        let record = self.store.read_blocking(|view| view.get::<Content>(checksum));
        let Some(content) = record.map_err(|error| error.to_string())? else { return Ok(()) };
        let mut file = File::open(self.blobs.content(checksum, &content.extension))
            .map_err(|error| format!("it cannot be opened: {error}"))?;
        let Some(damage) = damage_of(&mut file, &content, stop)? else { return Ok(()) };
        let asked = self.store.write_blocking(move |txn| record_result(txn, checksum, damage));
        if asked.map_err(|error| error.to_string())? {
            self.desk.wake();
        }
        Ok(())
    }
}

/// What is wrong with a file, `Some(None)` if nothing is; `None` when the check was stopped.
fn damage_of(
    file: &mut File,
    content: &Content,
    stop: &AtomicBool,
) -> Result<Option<Option<String>>, String> {
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    if length != content.size {
        return Ok(Some(Some(format!("it has {length} bytes and should have {}", content.size))));
    }
    let mut verifier = Verifier::new();
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match verifier.step(file, STEP).map_err(|failure| failure.message)? {
            Progress::Working { .. } => {}
            Progress::Done(verdict) if verdict.is_corrupt() => {
                let words = verdict.failures.iter().take(WARNINGS_MAX.min(3));
                let words: Vec<&str> = words.map(|failure| failure.message.as_str()).collect();
                return Ok(Some(Some(words.join("; "))));
            }
            Progress::Done(verdict) if verdict.checked > 0 => return Ok(Some(None)),
            Progress::Done(_) => break,
        }
    }
    // Nothing in it could be compared: the hash of the whole can.
    let mut hash = Sha256::new();
    std::io::Seek::rewind(file).map_err(|error| error.to_string())?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let count = file.read(&mut piece).map_err(|error| error.to_string())?;
        if count == 0 {
            break;
        }
        hash.update(piece.get(..count).unwrap_or_default());
    }
    let same = hash.finalize().as_slice() == content.checksum.0;
    Ok(Some((!same).then(|| "its bytes on the card are not those that came".to_owned())))
}

/// Records the result; where there is damage, announces it and asks for the file once more. Answers whether it did.
fn record_result(txn: &mut Txn<'_>, checksum: Checksum, damage: Option<String>) -> Result<bool, StoreError> {
    let Some(mut content) = txn.get::<Content>(checksum)? else { return Ok(false) };
    content.verified = Some(damage.is_none());
    content.damage.clone_from(&damage);
    txn.put(&content)?;
    let Some(damage) = damage else { return Ok(false) };
    let mut asked = false;
    for id in txn.files_of(checksum)? {
        let Some(file) = txn.get::<FileRecord>(id)?.filter(|file| file.content == Some(checksum)) else {
            continue;
        };
        let event = FileVerificationFailed {
            file_id: id,
            filename: file.name.clone(),
            error: damage.clone(),
            kind: FetchKind::Corrupt,
        };
        let cause = file.work.last().and_then(|work| work.cause);
        let flow = Flow::new(&format!("verify-{id}"));
        let seq = txn.emit(Event::FileVerificationFailed(event), Some(&flow), cause);
        asked |= ask_again(txn, &file, seq)?;
    }
    Ok(asked)
}

/// Asks for a damaged file once more, unless that was done before or its printer is gone.
fn ask_again(txn: &mut Txn<'_>, file: &FileRecord, cause: u64) -> Result<bool, StoreError> {
    let FileSource::Printer(printer_id) = file.source else { return Ok(false) };
    if txn.printer(printer_id)?.is_none() || txn.open_fetches()?.len() >= OPEN_MAX {
        return Ok(false);
    }
    let wanted = Wanted::Path(file.path.clone());
    let again = |fetch: &Fetch| fetch.refetch && fetch.printer_id == printer_id && fetch.wanted == wanted;
    if txn.list::<Fetch>(FETCHES_MAX)?.iter().any(again) {
        return Ok(false);
    }
    let mut fetch = record::new_fetch(txn, printer_id, wanted, file.name.clone())?;
    fetch.refetch = true;
    fetch.cause = Some(cause);
    txn.put(&fetch)?;
    Ok(true)
}
