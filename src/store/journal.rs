//! The journal: the JSON of every durable event exactly as it was announced, by `seq`, the last ones only.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::error::{DecodeError, RecordError, StoreError};
use super::handle::Store;
use super::read::{RawRead as _, Span};
use super::record::hex;
use super::tables::{Key as _, Table, meta};
use super::view::View;
use crate::bus::{Batch, Journal, JournalError};
use crate::events::Envelope;

/// Events that the journal keeps.
pub const JOURNAL_MAX: u64 = 10_000;

/// Events beyond that before the oldest are removed, all at once: removing one with every event would rewrite a second end
/// of the table at each commit.
pub const JOURNAL_SLACK: u64 = 256;

/// Bytes of one event's JSON. The largest of the contract, a list of 100 new files with long names, stays below it.
pub const EVENT_BYTES_MAX: usize = 128 * 1024;

/// Events of one page.
pub const JOURNAL_PAGE_MAX: usize = 1_000;

/// Bytes of one page, one event more at most: what may lie in memory for one reader.
const JOURNAL_PAGE_BYTES_MAX: usize = 256 * 1024;

/// The version byte before the JSON.
pub(super) const JOURNAL_VERSION: u8 = 1;

/// One event as it was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub seq: u64,
    /// Its envelope, byte for byte.
    pub json: Arc<str>,
}

/// A piece of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalPage {
    /// The events, oldest first.
    pub events: Vec<StoredEvent>,
    /// The last `seq` looked at; the asked one when nothing follows it.
    pub through: u64,
    /// The oldest `seq` kept; the next one to be given out when nothing is kept. A reader who asks for what follows a `seq`
    /// below `oldest - 1` has missed something.
    pub oldest: u64,
    /// The newest `seq`. A reader who names a greater one comes from another data directory.
    pub newest: u64,
}

impl View<'_> {
    /// The newest `seq`; 0 before the first event.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn newest_seq(&self) -> Result<u64, StoreError> {
        Ok(self.raw_get(Table::Meta, meta::SEQ)?.and_then(|row| u64::from_bytes(&row)).unwrap_or(0))
    }

    /// The oldest `seq` that the journal keeps; the next one to be given out when it keeps none.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn oldest_seq(&self) -> Result<u64, StoreError> {
        let mut oldest = None;
        self.raw_scan(Table::Journal, Span::all(), false, &mut |key, _| {
            oldest = u64::from_bytes(key);
            ControlFlow::Break(())
        })?;
        match oldest {
            Some(seq) => Ok(seq),
            None => Ok(self.newest_seq()? + 1),
        }
    }

    /// The events after `seq`, at most `limit` of them (and at most [`JOURNAL_PAGE_MAX`]), oldest first.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn journal_after(&self, seq: u64, limit: usize) -> Result<JournalPage, StoreError> {
        let limit = limit.clamp(1, JOURNAL_PAGE_MAX);
        let mut page = JournalPage {
            events: Vec::new(),
            through: seq,
            oldest: self.oldest_seq()?,
            newest: self.newest_seq()?,
        };
        let mut bytes = 0;
        self.raw_scan(Table::Journal, Span::after(seq.to_bytes()), false, &mut |key, row| {
            match decode(key, row) {
                Ok(event) => {
                    bytes += event.json.len();
                    page.through = event.seq;
                    page.events.push(event);
                }
                Err(error) => {
                    page.through = u64::from_bytes(key).unwrap_or(page.through);
                    let error = RecordError { table: Table::Journal.name(), key: hex(key), error };
                    self.env().damage.note(Table::Journal, key, &error);
                }
            }
            let more = page.events.len() < limit && bytes < JOURNAL_PAGE_BYTES_MAX;
            if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(page)
    }
}

pub(super) fn decode(key: &[u8], row: &[u8]) -> Result<StoredEvent, DecodeError> {
    let seq = u64::from_bytes(key).ok_or(DecodeError::Key)?;
    match row.split_first() {
        None => Err(DecodeError::Empty),
        Some((&JOURNAL_VERSION, json)) => {
            let json = std::str::from_utf8(json).map_err(|_| DecodeError::Body)?;
            Ok(StoredEvent { seq, json: Arc::from(json) })
        }
        Some((version, _)) => Err(DecodeError::Version(*version)),
    }
}

impl Journal<Envelope> for Store {
    async fn after(&self, seq: u64, limit: usize) -> Result<Batch<Envelope>, JournalError> {
        let page = self
            .read(move |view| view.journal_after(seq, limit))
            .await
            .map_err(|error: StoreError| JournalError(error.to_string()))?;
        let mut items = Vec::with_capacity(page.events.len());
        for event in &page.events {
            match Envelope::from_json(Arc::clone(&event.json)) {
                Some(envelope) => items.push(Arc::new(envelope)),
                None => self.note_unreadable_event(event.seq),
            }
        }
        Ok(Batch { items, through: page.through, oldest: page.oldest, end: page.through >= page.newest })
    }
}
