//! What the desk, the dispatcher and the workers share: running transfers, previews, the bell.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol::channel::{Receiver, Sender, bounded};

use crate::model::{FetchId, FileId};
use crate::net::ftps::Cancel;

/// Previews that are kept, the newest ones: every running transfer's, and those of files whose thumbnails are not made yet.
pub const PREVIEWS_MAX: usize = 16;
/// Bytes of all previews together.
pub const PREVIEW_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How far a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The version of the file that it replaces or completes, where one is known.
    pub file_id: Option<FileId>,
    /// Bytes of the file that are here.
    pub bytes: u64,
    /// Bytes of the whole file.
    pub file_size: Option<u64>,
    /// Bytes a second, of late.
    pub rate_bytes_s: Option<u64>,
}

/// A picture out of the first bytes of a transfer, as a browser shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewPicture {
    /// `image/png` or `image/jpeg`.
    pub content_type: &'static str,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why a transfer is being ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody cancelled it: it is over.
    Cancelled,
    /// The service stops, or the printer is gone: it may be taken up again.
    Stopped,
}

/// A round that runs.
struct Live {
    cancel: Cancel,
    ending: Option<Ending>,
    progress: Progress,
}

#[derive(Default)]
struct State {
    live: BTreeMap<FetchId, Live>,
    previews: VecDeque<(FetchId, Arc<PreviewPicture>)>,
    /// Requests whose next round somebody waits for; at most one for each that is open.
    hurried: BTreeSet<FetchId>,
}

/// The shared state. Cloning gives another handle.
#[derive(Clone)]
pub(super) struct Shared {
    state: Arc<Mutex<State>>,
    /// Bytes of the card that are left alone beside those of the configuration; changed while the service runs.
    reserve: Arc<AtomicU64>,
    bell: Sender<()>,
    rung: Receiver<()>,
    arrival: Sender<()>,
    arrived: Receiver<()>,
}

impl Shared {
    pub(super) fn new() -> Shared {
        let (bell, rung) = bounded(1);
        let (arrival, arrived) = bounded(1);
        Shared { state: Arc::default(), reserve: Arc::default(), bell, rung, arrival, arrived }
    }

    /// Says how many bytes of the card are left alone.
    pub(super) fn set_reserve(&self, bytes: u64) {
        self.reserve.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the card that are left alone.
    pub(super) fn reserve(&self) -> u64 {
        self.reserve.load(Ordering::Relaxed)
    }

    /// Tells the dispatcher that the list of fetches has changed. Several rings are one.
    pub(super) fn ring(&self) {
        let _ = self.bell.try_send(());
    }

    /// Brings the next round of a request forward.
    pub(super) fn hurry(&self, id: FetchId) {
        let mut state = self.state();
        if state.hurried.len() < super::OPEN_MAX {
            state.hurried.insert(id);
        }
        drop(state);
        self.ring();
    }

    /// The requests that were hurried since the last call.
    pub(super) fn hurried(&self) -> BTreeSet<FetchId> {
        std::mem::take(&mut self.state().hurried)
    }

    /// Waits for a ring.
    pub(super) async fn rung(&self) {
        if self.rung.recv().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Tells the check of the whole that something has arrived.
    pub(super) fn ring_verifier(&self) {
        let _ = self.arrival.try_send(());
    }

    /// Waits for an arrival.
    pub(super) async fn rung_verifier(&self) {
        if self.arrived.recv().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A round begins; the handle ends it.
    pub(super) fn begin(&self, id: FetchId) -> Cancel {
        let cancel = Cancel::new();
        let live = Live { cancel: cancel.clone(), ending: None, progress: Progress::default() };
        self.state().live.insert(id, live);
        cancel
    }

    /// A round is over; answers whether somebody had ended it.
    pub(super) fn end(&self, id: FetchId) -> Option<Ending> {
        self.state().live.remove(&id).and_then(|live| live.ending)
    }

    /// Why the round is being ended, if it is.
    pub(super) fn ending(&self, id: FetchId) -> Option<Ending> {
        self.state().live.get(&id).and_then(|live| live.ending)
    }

    /// Ends a round; `false` if none runs. The first reason counts.
    pub(super) fn stop(&self, id: FetchId, ending: Ending) -> bool {
        let cancel = {
            let mut state = self.state();
            let Some(live) = state.live.get_mut(&id) else { return false };
            live.ending.get_or_insert(ending);
            live.cancel.clone()
        };
        cancel.cancel();
        true
    }

    /// Ends every round.
    pub(super) fn stop_all(&self) {
        let ids: Vec<FetchId> = self.state().live.keys().copied().collect();
        for id in ids {
            self.stop(id, Ending::Stopped);
        }
    }

    pub(super) fn note(&self, id: FetchId, progress: Progress) {
        if let Some(live) = self.state().live.get_mut(&id) {
            live.progress = progress;
        }
    }

    pub(super) fn progress(&self, id: FetchId) -> Option<Progress> {
        self.state().live.get(&id).map(|live| live.progress)
    }

    /// Keeps a preview; the oldest ones go when there are too many.
    pub(super) fn keep_preview(&self, id: FetchId, picture: PreviewPicture) {
        let mut state = self.state();
        state.previews.retain(|(other, _)| *other != id);
        state.previews.push_back((id, Arc::new(picture)));
        let held = |previews: &VecDeque<(FetchId, Arc<PreviewPicture>)>| {
            previews.iter().map(|(_, picture)| picture.bytes.len()).sum::<usize>()
        };
        while state.previews.len() > PREVIEWS_MAX
            || (held(&state.previews) > PREVIEW_BYTES_MAX && state.previews.len() > 1)
        {
            state.previews.pop_front();
        }
    }

    pub(super) fn preview(&self, id: FetchId) -> Option<Arc<PreviewPicture>> {
        let state = self.state();
        state.previews.iter().find(|(other, _)| *other == id).map(|(_, picture)| Arc::clone(picture))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(bytes: usize) -> PreviewPicture {
        PreviewPicture { content_type: "image/png", width: 1, height: 1, bytes: vec![0; bytes] }
    }

    #[test]
    fn previews_are_bounded_in_number_and_bytes() {
        let shared = Shared::new();
        for id in 0..40 {
            shared.keep_preview(FetchId(id), picture(1));
        }
        assert!(shared.preview(FetchId(23)).is_none() && shared.preview(FetchId(24)).is_some());
        shared.keep_preview(FetchId(50), picture(PREVIEW_BYTES_MAX));
        assert!(shared.preview(FetchId(39)).is_none() && shared.preview(FetchId(50)).is_some());
    }

    #[test]
    fn the_first_reason_counts() {
        let shared = Shared::new();
        assert!(!shared.stop(FetchId(1), Ending::Cancelled));
        let cancel = shared.begin(FetchId(1));
        assert!(shared.stop(FetchId(1), Ending::Cancelled));
        shared.stop_all();
        assert!(cancel.is_cancelled());
        assert_eq!(shared.end(FetchId(1)), Some(Ending::Cancelled));
        assert_eq!(shared.progress(FetchId(1)), None);
    }
}
