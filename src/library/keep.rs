//! The card: how much is free, who has spoken for how much of it, and which files may go when it gets tight.
//!
//! The files that a printer had are copies: the oldest of them goes first when the quota is used up or the card gets full.
//! Never one that somebody has pinned, that the library has, that a job prints that is not over, or that was not a
//! printer's. What is recorded of a file stays.
//!
//! `storage_low` is told once when the line is crossed, and again only after there was room in between; that is remembered
//! over restarts.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Library, LibraryConfig, LibraryError, record};
use crate::base::error::chain;
use crate::base::latest::Latest;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::events::{Event, StorageLow};
use crate::model::Checksum;
use crate::store::{Blobs, Read as _, ReadFiles as _, SettingsStorage, StoreError, Txn};

/// How often the card is looked at: a transfer at full speed brings 60 MB in this time, half of what is left free.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How often the bytes of all files are added up where nothing was announced in between.
const SUM_EVERY: Duration = Duration::from_secs(3600);

/// Contents that go in one round: enough for the largest file, few enough for one look.
const RETIRED_MAX: usize = 64;

/// Told again only when this share more is free than the line: else a card at the line would tell every minute.
const ARM_SHARE: u64 = 4;

/// The setting that remembers that `storage_low` was told.
const TOLD: &str = "storage_low";

/// How the card is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardState {
    /// Bytes that may still be written; `None` while nobody has looked or the card does not answer.
    pub free: Option<u64>,
    /// Bytes of all print files.
    pub files: u64,
    /// Bytes that they may take.
    pub quota: u64,
    /// Whether there is less room than there should be.
    pub low: bool,
    /// Whether the card does not even take print files any more.
    pub full: bool,
    /// What is wrong with the card, in words for people; `None` while all is well.
    pub trouble: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    state: CardState,
    reserved: u64,
}

/// A handle to the figures of the card. Cloning gives another one.
#[derive(Clone, Debug)]
pub struct Card {
    blobs: Blobs,
    config: Latest<LibraryConfig>,
    shared: Arc<Mutex<Shared>>,
}

/// Bytes that somebody is about to write; given back when dropped.
#[derive(Debug)]
pub struct Reserved {
    card: Card,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut shared = self.card.lock();
        shared.reserved = shared.reserved.saturating_sub(self.bytes);
    }
}

impl Card {
    /// The card below `blobs`, with the limits that `config` holds at each look.
    #[must_use]
    pub fn new(blobs: Blobs, config: Latest<LibraryConfig>) -> Card {
        Card { blobs, config, shared: Arc::default() }
    }

    /// How it was at the last look.
    #[must_use]
    pub fn state(&self) -> CardState {
        self.lock().state.clone()
    }

    /// Speaks for `bytes`, so that many who write at once do not take the same room.
    ///
    /// # Errors
    /// [`LibraryError::NoSpace`], [`LibraryError::Io`] when the card does not answer.
    pub fn reserve(&self, bytes: u64) -> Result<Reserved, LibraryError> {
        let free = self.blobs.free_bytes()?;
        let config = self.config.get();
        let mut shared = self.lock();
        let spoken_for = shared.reserved.saturating_add(bytes);
        let over_quota = config.quota > 0 && shared.state.files.saturating_add(spoken_for) > config.quota;
        if free < config.min_free.saturating_add(spoken_for) || over_quota {
            return Err(LibraryError::NoSpace);
        }
        shared.reserved = spoken_for;
        drop(shared);
        Ok(Reserved { card: self.clone(), bytes })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a look has shown. Pure but for the cell.
    fn note(&self, free: io::Result<u64>, files: u64) -> CardState {
        let config = self.config.get();
        let state = match free {
            Ok(free) => judge(free, files, config.quota, config.min_free),
            Err(error) => CardState {
                files,
                quota: config.quota,
                full: true,
                low: true,
                trouble: Some(format!("The card does not answer: {error}.")),
                ..CardState::default()
            },
        };
        self.lock().state = state.clone();
        state
    }
}

/// What the figures mean.
fn judge(free: u64, files: u64, quota: u64, min_free: u64) -> CardState {
    // Without a quota the card is the quota, but for what the records need.
    let allowed = if quota > 0 { quota } else { files.saturating_add(free).saturating_sub(min_free) };
    let full = free < min_free;
    let over = quota > 0 && files > quota;
    let trouble = if full {
        Some(
            "The card is nearly full: print files are not taken any more. Delete files, or use a larger card.",
        )
    } else if over {
        Some(
            "The files take more than their quota, and none of them may go. Delete files, or raise the quota.",
        )
    } else {
        None
    };
    CardState {
        free: Some(free),
        files,
        quota: allowed,
        low: full || over,
        full,
        trouble: trouble.map(str::to_owned),
    }
}

/// Bytes that have to go.
fn surplus(state: &CardState, quota: u64, min_free: u64) -> u64 {
    let over_quota = if quota > 0 { state.files.saturating_sub(quota) } else { 0 };
    // Room for the next file, so that it is not refused before the next look.
    let wanted = min_free.saturating_add(min_free / ARM_SHARE);
    let short = state.free.map_or(0, |free| wanted.saturating_sub(free));
    over_quota.max(short)
}

/// Removes the bytes of a content whose record is gone. What cannot be removed is swept at the next start.
pub(super) fn remove_bytes(blobs: &Blobs, checksum: Checksum, extension: &str) {
    if let Err(error) = blobs.remove(checksum, extension) {
        log::warn!("a deleted file's bytes stay until the next start: {error}");
    }
}

/// Watches the card until stop.
///
/// # Errors
/// When the records cannot be read or written.
pub async fn run(context: TaskContext, library: Library) -> TaskResult {
    let mut due = context.clock.now().mono;
    let mut seen = None;
    let mut sum_due = due;
    let mut files = 0;
    loop {
        if context.wait_until(due, std::future::pending::<()>()).await == Wake::Stop {
            return Ok(());
        }
        let now = context.clock.now().mono;
        if now < due {
            continue;
        }
        due = now.after(LOOK_EVERY);
        let newest = library.store.newest_seq();
        if seen != Some(newest) || now >= sum_due {
            files = library.store.read(|view| view.content_bytes()).await?;
            (seen, sum_due) = (Some(newest), now.after(SUM_EVERY));
        }
        let working = library.clone();
        let Ok(looking) = library.pool.run(move || look(&working, files)) else { continue };
        let mut looking = Box::pin(looking.answer());
        let (state, retired) = loop {
            match context.wait(looking.as_mut()).await {
                Wake::Stop => return Ok(()),
                Wake::Timer => {}
                Wake::Ready(Ok(Ok(looked))) => break looked,
                Wake::Ready(Ok(Err(error))) => return Err(error.into()),
                Wake::Ready(Err(lost)) => return Err(lost.into()),
            }
        };
        if retired {
            // More may have to go; the sum is another one now.
            (seen, due) = (None, now.after(Duration::from_secs(1)));
        }
        tell(&library, &state).await?;
    }
}

/// Looks at the card and lets go what may go; answers how it is and whether something went.
fn look(library: &Library, files: u64) -> Result<(CardState, bool), StoreError> {
    let card = &library.card;
    let state = card.note(card.blobs.free_bytes(), files);
    let config = card.config.get();
    let mut left = surplus(&state, config.quota, config.min_free);
    let mut retired = false;
    if left > 0 {
        let oldest = library.store.read_blocking(|view| view.oldest_copies(RETIRED_MAX))?;
        for (checksum, size) in oldest {
            if left == 0 {
                break;
            }
            let _claim = library.blobs.claim(checksum);
            let gone = library.store.write_blocking(move |txn| record::retire(txn, checksum))?;
            if let Some(extension) = gone {
                remove_bytes(&library.blobs, checksum, &extension);
                log::info!("the oldest copy of a printer's file went to make room: {size} bytes");
                left = left.saturating_sub(size);
                retired = true;
            }
        }
    }
    Ok((state, retired))
}

/// Announces that there is little room, once.
async fn tell(library: &Library, state: &CardState) -> Result<(), StoreError> {
    let (low, free, quota) = (state.low, state.free.unwrap_or(0), state.quota);
    let min_free = library.config().min_free;
    let roomy = free >= min_free.saturating_add(min_free / ARM_SHARE);
    let told = library.store.read(|view| Ok::<_, StoreError>(view.setting(TOLD)?.is_some())).await?;
    if low == told || (told && !roomy) {
        return Ok(());
    }
    if low {
        log::warn!("{}", state.trouble.as_deref().unwrap_or("little room is left on the card"));
    }
    library
        .store
        .write(move |txn: &mut Txn<'_>| {
            remember(txn.settings(), low);
            if low {
                txn.emit(Event::StorageLow(StorageLow { free_bytes: free, quota_bytes: quota }), None, None);
            }
            Ok::<(), StoreError>(())
        })
        .await
}

fn remember(mut settings: SettingsStorage<'_, '_>, told: bool) {
    use embedded_svc::storage::{RawStorage as _, StorageBase as _};
    let result =
        if told { settings.set_raw(TOLD, b"1").map(|_| ()) } else { settings.remove(TOLD).map(|_| ()) };
    if let Err(error) = result {
        log::warn!("cannot remember that the card is nearly full: {}", chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1024 * 1024;

    #[test]
    fn what_has_to_go() {
        // free, files, quota, least free; low, full, surplus
        for (free, files, quota, min_free, low, full, gone) in [
            (1000, 10, 0, 100, false, false, 0),
            (125, 10, 0, 100, false, false, 0),
            (110, 10, 0, 100, false, false, 15),
            (99, 10, 0, 100, true, true, 26),
            (1000, 501, 500, 100, true, false, 1),
            (1000, 500, 500, 100, false, false, 0),
            (0, 700, 500, 100, true, true, 200),
        ] {
            let state = judge(free * MB, files * MB, quota * MB, min_free * MB);
            assert_eq!((state.low, state.full), (low, full), "{free} {files}");
            assert_eq!(surplus(&state, quota * MB, min_free * MB), gone * MB, "{free} {files}");
            assert_eq!(state.trouble.is_some(), low);
        }
        assert_eq!(judge(1000, 10, 0, 100).quota, 910);
    }

    #[test]
    fn room_is_spoken_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let config = LibraryConfig { quota: 1000, min_free: 0, ..LibraryConfig::default() };
        let card = Card::new(blobs, Latest::new(config.clone()));
        card.note(Ok(1_000_000), 300);
        let first = card.reserve(500).unwrap();
        assert!(matches!(card.reserve(300), Err(LibraryError::NoSpace)));
        drop(first);
        let _again = card.reserve(700).unwrap();
        assert!(matches!(card.reserve(1), Err(LibraryError::NoSpace)));
        let all = LibraryConfig { min_free: u64::MAX, ..config };
        let full = Card::new(Blobs::open(dir.path()).unwrap(), Latest::new(all));
        assert!(matches!(full.reserve(1), Err(LibraryError::NoSpace)));
    }

    #[test]
    fn a_card_that_does_not_answer_is_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let card = Card::new(Blobs::open(dir.path()).unwrap(), Latest::new(LibraryConfig::default()));
        let state = card.note(Err(io::Error::other("gone")), 5);
        assert!(state.low && state.full && state.free.is_none());
        assert!(card.state().trouble.unwrap().contains("gone"));
    }
}
