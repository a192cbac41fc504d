//! The trace: which events of the journal belong to the flow of one of them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use serde::Deserialize;

use super::error::{DecodeError, RecordError, StoreError};
use super::journal::{StoredEvent, decode};
use super::read::{RawRead as _, Span};
use super::record::hex;
use super::tables::{Key as _, Table};
use super::view::View;

/// Events of one trace. A print has some 30; one that is paused a hundred times has 500.
pub const TRACE_EVENTS_MAX: usize = 500;

/// Bytes of one trace, one event more at most: what may lie in memory for one reader.
const TRACE_BYTES_MAX: usize = 384 * 1024;

/// Causes that are followed upwards.
const ANCESTORS_MAX: usize = 64;

/// What the trace needs to know of an event: everything before its data.
#[derive(Deserialize)]
struct Head {
    flow: Option<String>,
    cause: Option<u64>,
}

/// One event of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedEvent {
    /// The event.
    pub event: StoredEvent,
    /// What led to it.
    pub cause: Option<u64>,
    /// How many events of this trace stand above it.
    pub depth: u32,
}

/// The events of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The flow; `None` for an event that belongs to none: then the trace is what came of its first cause.
    pub flow: Option<String>,
    /// The events in the order of their `seq`; causes stand before what they led to.
    pub events: Vec<TracedEvent>,
    /// Whether causes are missing because the journal no longer keeps them.
    pub cut_off: bool,
    /// Whether later events were left out because there are too many.
    pub truncated: bool,
}

impl View<'_> {
    /// The flow of the event `seq`: the events of the same flow, and all that they led to. `None` when the journal does not
    /// hold it. Reads the heads of the journal's rows, and whole only those that belong to it.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn trace(&self, seq: u64) -> Result<Option<Trace>, StoreError> {
        let Some(Head { flow, cause }) = self.head_of(seq)? else { return Ok(None) };
        let mut trace = Trace { flow, ..Trace::default() };
        // What led here belongs to it also where it is of another flow or of none.
        let mut ancestors = VecDeque::from([seq]);
        let mut above = cause;
        while let Some(up) = above.filter(|_| ancestors.len() < ANCESTORS_MAX) {
            let Some(Head { cause, .. }) = self.head_of(up)? else { break };
            ancestors.push_front(up);
            above = cause;
        }
        trace.cut_off = above.is_some();

        let mut depths: BTreeMap<u64, u32> = BTreeMap::new();
        let mut bytes = 0;
        self.raw_scan(Table::Journal, Span::all(), false, &mut |key, row| {
            let Some((at, Head { flow, cause })) = u64::from_bytes(key).zip(head(row)) else {
                return ControlFlow::Continue(());
            };
            let ours = trace.flow.is_some() && flow.as_deref() == trace.flow.as_deref();
            let below = cause.and_then(|cause| depths.get(&cause)).map(|depth| depth + 1);
            if !ours && below.is_none() && !ancestors.contains(&at) {
                return ControlFlow::Continue(());
            }
            if trace.events.len() >= TRACE_EVENTS_MAX || bytes > TRACE_BYTES_MAX {
                trace.truncated = true;
                return ControlFlow::Break(());
            }
            match decode(key, row) {
                Ok(event) => {
                    bytes += event.json.len();
                    let depth = below.unwrap_or(0);
                    depths.insert(at, depth);
                    trace.events.push(TracedEvent { event, cause, depth });
                }
                Err(error) => self.note_unreadable(key, error),
            }
            ControlFlow::Continue(())
        })?;
        Ok(Some(trace))
    }

    /// Flow and cause of an event; `None` when the journal does not hold it.
    fn head_of(&self, seq: u64) -> Result<Option<Head>, StoreError> {
        let row = self.raw_get(Table::Journal, &seq.to_bytes())?;
        Ok(row.as_deref().and_then(head))
    }

    fn note_unreadable(&self, key: &[u8], error: DecodeError) {
        let error = RecordError { table: Table::Journal.name(), key: hex(key), error };
        self.env().damage.note(Table::Journal, key, &error);
    }
}

/// What an event says before its data, which may be long. Texts in there escape their quotes, so the mark is the first
/// of its kind.
fn head(row: &[u8]) -> Option<Head> {
    let json = std::str::from_utf8(row.get(1..)?).ok()?;
    let (head, _) = json.split_once(",\"data\":")?;
    serde_json::from_str(&format!("{head}}}")).ok()
}
