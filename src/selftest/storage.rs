//! The step about the store: the real one, in a directory of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{STEP_WITHIN, Trouble, demand};
use crate::base::clock::Clock;
use crate::events::{Event, ServiceStarted};
use crate::store::{Store, StoreError, StoreOptions};

/// Opens a store, commits one event, closes it in order, opens it again and finds the event.
pub(super) fn store(dir: &Path) -> Result<(), Trouble> {
    let dir = dir.join("store");
    let announced = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&announced);
    let publish = move |envelope: Arc<crate::events::Envelope>| {
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(envelope.seq);
    };
    let opened = Store::open(StoreOptions::new(dir.clone(), Clock::system(), Arc::new(publish)))?;
    let seq = opened.store.write_blocking(|txn| {
        let event = ServiceStarted { version: "self-test".into(), previous_shutdown_clean: true };
        Ok::<_, StoreError>(txn.emit(Event::ServiceStarted(event), None, None))
    })?;
    drop(opened.store);
    smol::block_on(opened.thread.close(STEP_WITHIN))?;
    let announced = announced.lock().unwrap_or_else(PoisonError::into_inner).clone();
    demand(announced == [Some(seq)], format_args!("event {seq} was committed, {announced:?} announced"))?;

    let opened = Store::open(StoreOptions::new(dir, Clock::system(), Arc::new(|_| ())))?;
    let found = opened.store.newest_seq();
    let clean = opened.report.previous_shutdown_clean;
    drop(opened.store);
    smol::block_on(opened.thread.close(STEP_WITHIN))?;
    demand(found == seq, format_args!("event {seq} was committed, {found} is the newest after reopening"))?;
    demand(clean, "the store was closed in order and does not know it")
}
