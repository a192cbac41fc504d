//! Metadata: what a print file says about itself, read when its bytes arrive (workflow 1 of the contract).
//!
//! The readers are `formats`; here their answer is brought into the shape of the API, cut to what a record and an event
//! may hold, stored with the content and announced. The same bytes are read once: a second file with them gets the stored
//! answer and events of its own.
//!
//! What it deliberately does not do: unpack an archive's moves to their end. Metadata is promised 300 ms after the
//! download however large the file is; the whole is checked by a slower step.

mod shape;

use crate::arrivals::{Deps, Ended, Order, Reader, Readers, Went};
use crate::base::task::{TaskContext, TaskResult};
use crate::events::{Event, FileMetadataExtracted, MetadataExtractionFailed};
use crate::formats::{self, Failure, Inspection, Kind, Options, PlateHint};
use crate::model::PlateWork;
use crate::model::file::{Outcome, Work};
use crate::model::text::{MESSAGE_BYTES_MAX, clean};

pub use shape::{JSON_BYTES_MAX, figures_of, rendered};

/// Runs the room until stop.
///
/// # Errors
/// See [`crate::arrivals::run`].
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    crate::arrivals::run(context, deps, Metadata).await
}

/// What the worker found.
struct Found {
    plate: Option<u32>,
    outcome: Outcome<String>,
}

struct Metadata;

impl Reader for Metadata {
    const NAME: &'static str = "metadata";

    fn is_pending(work: &PlateWork) -> bool {
        work.metadata == Work::Pending
    }

    async fn read(&self, readers: &Readers, order: Order) -> Result<Went, Ended> {
        let found = match known(&order) {
            Some(found) => found,
            None => {
                let (path, plate) =
                    (readers.deps.blobs.content(order.content, &order.extension), order.plate);
                let job = move || {
                    let plate = PlateHint { index: plate, gcode_file: None };
                    found(formats::inspect(&path, &Options { plate, ..Options::default() }))
                };
                readers.work(job).await?.unwrap_or_else(|lost| {
                    log::error!("{}: reading its metadata: {lost}", order.file);
                    let message = "the file brings the reader to a fault of the program".to_owned();
                    Found {
                        plate: None,
                        outcome: Outcome::Failed { kind: Kind::Corrupt.name().into(), message },
                    }
                })
            }
        };
        let (event, went) = (event(&order, &found), Went::from(&found.outcome));
        let note = move |work: &mut PlateWork, figures: &mut crate::model::Figures| {
            work.metadata = if matches!(found.outcome, Outcome::Done(_)) { Work::Done } else { Work::Failed };
            figures.found_plate = found.plate.or(figures.found_plate);
            figures.metadata = found.outcome;
        };
        readers.end(order, note, event).await?;
        Ok(went)
    }
}

/// What is stored for the same bytes and plate. A card that could not be read is tried again.
fn known(order: &Order) -> Option<Found> {
    let figures = order.known.as_ref()?;
    match &figures.metadata {
        Outcome::Open => None,
        Outcome::Failed { kind, .. } if kind == Kind::Io.name() => None,
        outcome => Some(Found { plate: figures.found_plate, outcome: outcome.clone() }),
    }
}

fn found(inspection: Inspection) -> Found {
    let missing = inspection.warnings.iter().find(|warning| warning.kind == Kind::PlateMissing);
    let outcome = match missing.cloned().or_else(|| inspection.metadata_failure()) {
        Some(failure) => Outcome::Failed {
            kind: kind(&failure).into(),
            message: clean(&failure.message, MESSAGE_BYTES_MAX),
        },
        None => Outcome::Done(rendered(&inspection)),
    };
    Found { plate: inspection.plate.filter(|_| missing.is_none()), outcome }
}

/// The contract's kind: it has none for pictures and plates.
fn kind(failure: &Failure) -> &'static str {
    match failure.kind {
        Kind::NoneEmbedded | Kind::PlateMissing => Kind::NoMetadata.name(),
        kind @ (Kind::Corrupt
        | Kind::Unsupported
        | Kind::TooLarge
        | Kind::NoMetadata
        | Kind::NotSliced
        | Kind::Io) => kind.name(),
    }
}

fn event(order: &Order, found: &Found) -> Event {
    match &found.outcome {
        Outcome::Done(json) => Event::FileMetadataExtracted(FileMetadataExtracted {
            file_id: order.file,
            file_path: order.place(),
            plate: found.plate.or(order.plate),
            metadata: figures_of(json),
        }),
        Outcome::Failed { kind, message } => Event::MetadataExtractionFailed(MetadataExtractionFailed {
            file_id: order.file,
            error: message.clone(),
            kind: kind.clone(),
        }),
        Outcome::Open => Event::MetadataExtractionFailed(MetadataExtractionFailed {
            file_id: order.file,
            error: "nothing was found".into(),
            kind: Kind::NoMetadata.name().into(),
        }),
    }
}
