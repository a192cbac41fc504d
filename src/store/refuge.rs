//! Between redb and the main file: keeps in memory what the card refuses.
//!
//! A full, worn or read-only card must not end the watching, and redb's handle is poisoned by the first error that reaches
//! it. So none does: from a refused write or sync on, changed blocks stay here, reads look here first, and every
//! [`RETRY`] the whole file is written anew beside the old one and takes its place when the card has it. The old file stays
//! as it was at its last sync, so a power cut meanwhile costs what was recorded since, and never more. [`Refusal`] tells
//! everybody that it is so. Past [`HELD_BLOCKS_MAX`] the error goes through, and the service ends as it would have before.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redb::{BackendError, StorageBackend};

use crate::base::clock::{Clock, Mono, Timestamp};
use crate::base::latest::Latest;

/// What is kept and looked up as one: redb's page.
const BLOCK: usize = 4096;

/// Blocks kept in memory: 16 MiB, more than the records of years with their journal, and what 512 MB can spare.
const HELD_BLOCKS_MAX: usize = 4096;

/// Bytes written since the last sync that are remembered, so that a refused sync loses none of them. A commit of the service
/// writes some ten KiB; after a larger one, a refused sync ends the service.
const UNSYNCED_BYTES_MAX: usize = 512 * 1024;

/// How often the card is tried again: writing the file anew is the largest write of all.
const RETRY: Duration = Duration::from_secs(60);

/// Bytes of one piece when the file is written anew.
const PIECE: usize = 64 * 1024;

/// The card takes no records at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it answered.
    pub cause: Arc<str>,
    /// Since when.
    pub since: Timestamp,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "The card takes no records ({}). Watching goes on, and what happens is kept in memory since {}: free some room or \
             change the card before the power goes.",
            self.cause, self.since
        )
    }
}

/// Where everybody sees it.
pub(super) type RefusalCell = Latest<Option<Refusal>>;

/// Reads bytes at an offset.
pub(super) type ReadAt<'a> = dyn Fn(u64, &mut [u8]) -> io::Result<()> + 'a;

/// Puts a file with so many bytes of this content in the old one's place, durably and at once, and opens it.
pub(super) type Renew = Box<dyn Fn(u64, &ReadAt<'_>) -> io::Result<Box<dyn StorageBackend>> + Send + Sync>;

/// The main file, with the refuge for what it does not take.
pub(super) struct Refuge {
    inner: RwLock<Inner>,
    renew: Renew,
    clock: Clock,
    cell: RefusalCell,
}

#[derive(Debug)]
struct Inner {
    file: Box<dyn StorageBackend>,
    /// In order, what was written since the last sync; `None` when it was too much to remember.
    unsynced: Option<Vec<(u64, Box<[u8]>)>>,
    unsynced_bytes: usize,
    held: Option<Held>,
}

/// What is newer than the file.
#[derive(Debug)]
struct Held {
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
    /// Length of the whole, which may be more or less than the file's.
    len: u64,
    next_try: Mono,
}

impl std::fmt::Debug for Refuge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refuge").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Refuge {
    /// Puts the refuge before `file`. `cell` tells from now on whether anything is held.
    pub(super) fn new(
        file: Box<dyn StorageBackend>,
        renew: Renew,
        clock: Clock,
        cell: RefusalCell,
    ) -> Refuge {
        cell.set(None);
        let inner = Inner { file, unsynced: Some(Vec::new()), unsynced_bytes: 0, held: None };
        Refuge { inner: RwLock::new(inner), renew, clock, cell }
    }

    /// Begins to hold: everything since the last sync, whatever the file took of it.
    fn begin(&self, inner: &mut Inner, error: &io::Error) -> io::Result<()> {
        let now = self.clock.now();
        let mut held =
            Held { blocks: BTreeMap::new(), len: inner.file.len()?, next_try: now.mono.after(RETRY) };
        for (offset, data) in inner.unsynced.take().into_iter().flatten() {
            held.put(&*inner.file, offset, &data)?;
        }
        inner.unsynced_bytes = 0;
        inner.held = Some(held);
        log::error!("the card takes no records ({error}); they are kept in memory until it does");
        self.cell.set(Some(Refusal { cause: Arc::from(error.to_string()), since: now.wall }));
        Ok(())
    }

    /// Tries to bring what is held onto the card.
    fn settle(&self, inner: &mut Inner) -> io::Result<()> {
        let Inner { file, held: Some(held), .. } = inner else { return Ok(()) };
        held.next_try = self.clock.now().mono.after(RETRY);
        let renewed = (self.renew)(held.len, &|offset, out| held.read(&**file, offset, out))?;
        let _ = file.close(); // Its name is another file's by now.
        inner.file = renewed;
        inner.held = None;
        inner.unsynced = Some(Vec::new());
        log::warn!("the card takes records again; all that were kept in memory are on it");
        self.cell.set(None);
        Ok(())
    }

    /// Locks are the file's; none of them waits.
    fn locked<T>(&self, ask: impl FnOnce(&dyn StorageBackend) -> T) -> T {
        ask(&*self.inner.read().unwrap_or_else(PoisonError::into_inner).file)
    }

    fn change(
        &self,
        on_file: impl FnOnce(&dyn StorageBackend) -> io::Result<()>,
        in_memory: impl FnOnce(&mut Held, &dyn StorageBackend) -> io::Result<()>,
        remember: impl FnOnce(&mut Inner),
    ) -> io::Result<()> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if inner.held.is_none() {
            match on_file(&*inner.file) {
                Ok(()) => {
                    remember(inner);
                    return Ok(());
                }
                Err(error) => self.begin(inner, &error)?,
            }
        }
        match &mut inner.held {
            Some(held) => in_memory(held, &*inner.file),
            None => Ok(()),
        }
    }
}

impl Inner {
    fn remember(&mut self, offset: u64, data: &[u8]) {
        self.unsynced_bytes += data.len();
        if self.unsynced_bytes > UNSYNCED_BYTES_MAX {
            self.unsynced = None;
        } else if let Some(unsynced) = &mut self.unsynced {
            unsynced.push((offset, data.into()));
        }
    }

    /// What lay behind the new end was never there.
    fn cut(&mut self, len: u64) {
        for (offset, data) in self.unsynced.iter_mut().flatten() {
            let left = usize::try_from(len.saturating_sub(*offset)).unwrap_or(usize::MAX);
            if let Some(left) = data.get(..left) {
                *data = left.into();
            }
        }
        if let Some(unsynced) = &mut self.unsynced {
            unsynced.retain(|(_, data)| !data.is_empty());
        }
    }

    fn forget(&mut self) {
        self.unsynced = Some(Vec::new());
        self.unsynced_bytes = 0;
    }
}

impl Held {
    fn put(&mut self, file: &dyn StorageBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        self.len = self.len.max(offset.saturating_add(data.len() as u64));
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let (number, from) = place(at);
            let (now, later) = rest.split_at(rest.len().min(BLOCK - from));
            if !self.blocks.contains_key(&number) {
                if self.blocks.len() >= HELD_BLOCKS_MAX {
                    return Err(io::Error::other(
                        "the card takes no records, and too many are kept in memory",
                    ));
                }
                let mut block = Box::new([0; BLOCK]);
                if now.len() < BLOCK {
                    base(file, number * BLOCK as u64, &mut block[..])?;
                }
                self.blocks.insert(number, block);
            }
            let block = self.blocks.get_mut(&number);
            let part = block.and_then(|block| block.get_mut(from..from + now.len()));
            part.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(now);
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    fn read(&self, file: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = out;
        let mut at = offset;
        while !rest.is_empty() {
            let (number, from) = place(at);
            let count = rest.len().min(BLOCK - from);
            let (now, later) = rest.split_at_mut(count);
            match self.blocks.get(&number).and_then(|block| block.get(from..from + count)) {
                Some(held) => now.copy_from_slice(held),
                None => base(file, at, now)?,
            }
            at += count as u64;
            rest = later;
        }
        Ok(())
    }

    /// What lies behind the end is gone, also when the file grows again later.
    fn set_len(&mut self, file: &dyn StorageBackend, len: u64) -> io::Result<()> {
        let (first_gone, from) = place(len);
        if len < self.len {
            self.blocks.split_off(&(first_gone + u64::from(from > 0)));
            if let Some(tail) = self.blocks.get_mut(&first_gone).and_then(|block| block.get_mut(from..)) {
                tail.fill(0);
            }
            // Also of the file nothing may shine through.
            let end = file.len()?;
            let zeros = [0; BLOCK];
            let mut at = len;
            while at < end {
                let (_, from) = place(at);
                let count = (BLOCK - from).min(usize::try_from(end - at).unwrap_or(BLOCK));
                self.put(file, at, zeros.get(..count).unwrap_or(&zeros))?;
                at += count as u64;
            }
        }
        self.len = len;
        Ok(())
    }
}

/// The block of an offset, and the offset inside it.
fn place(offset: u64) -> (u64, usize) {
    let size = BLOCK as u64;
    (offset / size, usize::try_from(offset % size).unwrap_or_default())
}

/// What the file has there; zeros behind its end.
fn base(file: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let there = file.len()?.saturating_sub(offset);
    let (known, beyond) = out.split_at_mut(usize::try_from(there).unwrap_or(usize::MAX).min(out.len()));
    beyond.fill(0);
    if known.is_empty() { Ok(()) } else { file.read(offset, known) }
}

impl StorageBackend for Refuge {
    fn len(&self) -> io::Result<u64> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.held.as_ref().map_or_else(|| inner.file.len(), |held| Ok(held.len))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        match &inner.held {
            Some(held) => held.read(&*inner.file, offset, out),
            None => inner.file.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|file| file.set_len(len), |held, file| held.set_len(file, len), |inner| inner.cut(len))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(
            |file| file.write(offset, data),
            |held, file| held.put(file, offset, data),
            |inner| inner.remember(offset, data),
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if inner.held.is_none() {
            match inner.file.sync_data() {
                Ok(()) => inner.forget(),
                // What of it is on the card nobody knows; without a memory of it nothing can be done.
                Err(error) if inner.unsynced.is_none() => return Err(error),
                Err(error) => self.begin(inner, &error)?,
            }
        }
        let is_due = inner.held.as_ref().is_some_and(|held| self.clock.now().mono >= held.next_try);
        if is_due && let Err(error) = self.settle(inner) {
            log::debug!("the card still takes no records: {error}");
        }
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.locked(|file| file.try_lock_range(start, end))
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.locked(|file| file.try_lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.locked(|file| file.unlock_range(start, end))
    }

    fn close(&self) -> io::Result<()> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        self.settle(inner)?;
        inner.file.close()
    }
}

/// Copies the content in pieces.
pub(super) fn copy(
    len: u64,
    read: &ReadAt<'_>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < len {
        let count = usize::try_from(len - at).unwrap_or(PIECE).min(PIECE);
        let (part, _) = piece.split_at_mut(count);
        read(at, part)?;
        write(part)?;
        at += count as u64;
    }
    Ok(())
}
