//! Orders: found in the records, ended in one transaction with their event.

use std::sync::Arc;

use super::{IsPending, Went};
use crate::events::{Envelope, Event, Flow};
use crate::model::file::{Outcome, Work};
use crate::model::{Checksum, Content, Figures, FileId, FileRecord, FileSource, PlateWork};
use crate::store::{Blobs, Read as _, StoreError, Txn, View, blobs};

/// One plate of one file whose work is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The file.
    pub file: FileId,
    /// Where it comes from.
    pub source: FileSource,
    /// Its path at the source.
    pub path: Vec<u8>,
    /// Its bytes.
    pub content: Checksum,
    /// The ending under which they are kept.
    pub extension: String,
    /// The plate; `None`: the one that the file itself points at.
    pub plate: Option<u32>,
    /// `seq` of the event that asked for it.
    pub cause: Option<u64>,
    /// The workflow of that event.
    pub flow: Option<Flow>,
    /// What is known of this content and plate, from another file with the same bytes or the other room.
    pub known: Option<Figures>,
}

impl<T> From<&Outcome<T>> for Went {
    fn from(outcome: &Outcome<T>) -> Went {
        match outcome {
            Outcome::Done(_) => Went::Well,
            Outcome::Failed { kind, .. } => Went::Badly(kind.clone()),
            Outcome::Open => Went::Badly("open".into()),
        }
    }
}

/// What a record asks for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// Its pending orders, oldest first.
    pub orders: Vec<Order>,
    /// Work is pending, and the bytes are gone.
    pub moot: bool,
}

impl Order {
    /// The place of its bytes, as events and answers name it.
    #[must_use]
    pub fn place(&self) -> String {
        Blobs::name(self.content, &self.extension)
    }

    /// Ends the order: `note` enters the result into the record and the figures, and `event` is committed with them.
    /// Answers `false`, without a trace, where the record is gone, or was asked anew meanwhile.
    ///
    /// # Errors
    /// What the store meets.
    pub(super) fn end(
        &self,
        txn: &mut Txn<'_>,
        pending: IsPending,
        note: impl FnOnce(&mut PlateWork, &mut Figures),
        event: Event,
    ) -> Result<bool, StoreError> {
        let Some(mut file) = readable(txn.get::<FileRecord>(self.file))? else { return Ok(false) };
        let ours =
            |work: &&mut PlateWork| work.plate == self.plate && work.cause == self.cause && pending(work);
        let Some(work) = file.work.iter_mut().find(ours) else { return Ok(false) };
        let key = (self.content, self.plate);
        let mut figures = readable(txn.get::<Figures>(key))?.unwrap_or_else(|| Figures {
            content: self.content,
            plate: self.plate,
            found_plate: None,
            thumbnails: Default::default(),
            metadata: Default::default(),
        });
        let before = figures.clone();
        note(work, &mut figures);
        if figures != before {
            txn.put(&figures)?;
        }
        txn.put(&file)?;
        txn.emit(event, self.flow.as_ref(), self.cause);
        Ok(true)
    }
}

/// What the record `file` asks for. A record that cannot be read asks for nothing.
pub(super) fn asked(view: &View<'_>, file: FileId, pending: IsPending) -> Result<Asked, StoreError> {
    let Some(record) = readable(view.get::<FileRecord>(file))? else { return Ok(Asked::default()) };
    let mut waiting = record.work.iter().filter(|work| pending(work)).peekable();
    if waiting.peek().is_none() {
        return Ok(Asked::default());
    }
    let Some(content) = record.content.filter(|_| record.status.is_kept()) else {
        return Ok(Asked { orders: Vec::new(), moot: true });
    };
    let extension = match readable(view.get::<Content>(content))? {
        Some(content) => content.extension,
        None => blobs::extension(&record.name),
    };
    let orders = waiting.map(|work| {
        Ok(Order {
            file,
            source: record.source,
            path: record.path.clone(),
            content,
            extension: extension.clone(),
            plate: work.plate,
            cause: work.cause,
            flow: work.cause.map(|seq| flow(view, seq)).transpose()?.flatten(),
            known: readable(view.get::<Figures>((content, work.plate)))?,
        })
    });
    Ok(Asked { orders: orders.collect::<Result<_, StoreError>>()?, moot: false })
}

/// Takes back orders of a file whose bytes are gone.
pub(super) fn take_back(txn: &mut Txn<'_>, file: FileId) -> Result<(), StoreError> {
    let Some(mut record) = readable(txn.get::<FileRecord>(file))? else { return Ok(()) };
    if record.status.is_kept() && record.content.is_some() {
        return Ok(());
    }
    for work in &mut record.work {
        for kind in [&mut work.thumbnails, &mut work.metadata] {
            if *kind == Work::Pending {
                *kind = Work::None;
            }
        }
    }
    txn.put(&record)
}

/// The workflow of the event `seq`, as long as the journal has it.
fn flow(view: &View<'_>, seq: u64) -> Result<Option<Flow>, StoreError> {
    let page = view.journal_after(seq.saturating_sub(1), 1)?;
    let event = page.events.first().filter(|event| event.seq == seq);
    Ok(event.and_then(|event| Envelope::from_json(Arc::clone(&event.json))).and_then(|event| event.flow))
}

/// A record that cannot be read is noted by the store and counts as absent here: it costs only itself.
fn readable<T>(found: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Err(StoreError::Record(_)) => Ok(None),
        other => other,
    }
}
