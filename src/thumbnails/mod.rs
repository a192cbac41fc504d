//! Thumbnails: small, medium and large PNGs of a print file's picture, made when its bytes arrive (workflow 4 of the contract).
//!
//! The readers are `formats`; here their pictures are written beside the content, recorded and announced. The same bytes are
//! drawn once: a second file with them gets events of its own. Where a Prusa printer's file has none inside, the printer is
//! asked for the one that it shows.
//!
//! An order takes the worker twice, once to find the pictures and once to scale the best of them: the figures of the same
//! file, which are promised sooner and wait for the same worker, come in between.

mod make;
mod printed;

use crate::arrivals::{Deps, Ended, Order, Reader, Readers, Went, thumbnail_set};
use crate::base::task::{TaskContext, TaskResult};
use crate::events::{Event, FileThumbnailsProcessed, ThumbnailProcessingFailed, ThumbnailSource};
use crate::formats::{self, Failure, Kind, Options, PlateHint};
use crate::model::file::{Outcome, Pictures, Work};
use crate::model::text::{MESSAGE_BYTES_MAX, clean};
use crate::model::{Figures, FileId, PlateWork};
use crate::printers::registry::PrintFile;
use crate::store::{Read as _, StoreError};

/// Runs the room until stop.
///
/// # Errors
/// See [`crate::arrivals::run`].
pub async fn run(context: TaskContext, deps: Deps) -> TaskResult {
    crate::arrivals::run(context, deps, Thumbnails).await
}

/// What came of an order.
struct Made {
    plate: Option<u32>,
    outcome: Outcome<Pictures>,
}

struct Thumbnails;

impl Reader for Thumbnails {
    const NAME: &'static str = "thumbnails";

    fn is_pending(work: &PlateWork) -> bool {
        work.thumbnails == Work::Pending
    }

    async fn read(&self, readers: &Readers, order: Order) -> Result<Went, Ended> {
        let made = match known(readers, &order).await? {
            Some(made) => made,
            None => embedded(readers, &order).await?,
        };
        let made = match printed(readers, &order, &made).await? {
            Some(pictures) => Made { outcome: Outcome::Done(pictures), ..made },
            None => made,
        };
        let (event, went) = (event(&order, &made), Went::from(&made.outcome));
        let plate = made.plate.or(order.plate);
        let note = move |work: &mut PlateWork, figures: &mut Figures| {
            work.thumbnails =
                if matches!(made.outcome, Outcome::Done(_)) { Work::Done } else { Work::Failed };
            figures.found_plate = made.plate.or(figures.found_plate);
            figures.thumbnails = made.outcome;
        };
        let shown = (order.file, made_url(&event));
        readers.end(order, note, event).await?;
        if let (file, Some(url)) = shown {
            show(readers, file, plate, url).await?;
        }
        Ok(went)
    }
}

/// The address of the picture that a card shows.
fn made_url(event: &Event) -> Option<String> {
    let Event::FileThumbnailsProcessed(done) = event else { return None };
    let sizes = &done.thumbnails;
    [&sizes.medium, &sizes.large, &sizes.small]
        .into_iter()
        .flatten()
        .next()
        .map(|picture| picture.url.clone())
}

/// Shows the picture with the state of every printer that is printing this plate of the file.
async fn show(readers: &Readers, file: FileId, plate: Option<u32>, url: String) -> Result<(), Ended> {
    for entry in readers.deps.registry.all() {
        let printer = entry.printer.id;
        let Some(job_id) = entry.state.get().job_id else { continue };
        let job = match readers.deps.store.read(move |view| view.job(job_id)).await {
            Ok(job) => job,
            Err(StoreError::Record(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(job) = job.filter(|job| job.file_id == Some(file)) else { continue };
        if job.plate.is_none() || plate.is_none() || job.plate == plate {
            let shown = PrintFile { job_id, file_id: Some(file), thumbnail_url: Some(url.clone()) };
            readers.deps.registry.show_file(printer, shown);
        }
    }
    Ok(())
}

/// What is stored for the same bytes and plate, as long as the pictures are still there. A card that could not be read or
/// written is tried again.
async fn known(readers: &Readers, order: &Order) -> Result<Option<Made>, Ended> {
    let Some(figures) = &order.known else { return Ok(None) };
    let stands = match &figures.thumbnails {
        Outcome::Open => false,
        Outcome::Failed { kind, .. } => kind != Kind::Io.name(),
        Outcome::Done(pictures) => {
            let (blobs, content, plate) = (readers.deps.blobs.clone(), order.content, order.plate);
            let pictures = *pictures;
            let job = move || make::are_there(&blobs, content, plate, &pictures);
            readers.work(job).await?.unwrap_or(false)
        }
    };
    Ok(stands.then(|| Made { plate: figures.found_plate, outcome: figures.thumbnails.clone() }))
}

/// Makes them out of what the file has inside.
async fn embedded(readers: &Readers, order: &Order) -> Result<Made, Ended> {
    let path = readers.deps.blobs.content(order.content, &order.extension);
    let plate = PlateHint { index: order.plate, gcode_file: None };
    let (look, options) = (path.clone(), Options { plate, ..Options::default() });
    let Ok(inspection) = readers.work(move || formats::inspect(&look, &options)).await? else {
        return Ok(fault(order));
    };
    let missing = inspection.warnings.iter().find(|warning| warning.kind == Kind::PlateMissing);
    if let Some(failure) = missing.cloned().or_else(|| inspection.thumbnail_failure()) {
        return Ok(Made { plate: None, outcome: failed(&failure) });
    }
    let (plate, asked) = (inspection.plate, order.plate);
    let (blobs, content) = (readers.deps.blobs.clone(), order.content);
    let made = readers.work(move || make::pictures(&blobs, content, asked, &path, &inspection)).await?;
    Ok(match made {
        Ok(Ok(pictures)) => Made { plate, outcome: Outcome::Done(pictures) },
        Ok(Err(failure)) => Made { plate, outcome: failed(&failure) },
        Err(_) => fault(order),
    })
}

/// Makes them out of what the printer shows, where the file has nothing inside that can be shown.
async fn printed(readers: &Readers, order: &Order, made: &Made) -> Result<Option<Pictures>, Ended> {
    let lacks = |kind: &str| [Kind::NoneEmbedded, Kind::Unsupported].iter().any(|lack| lack.name() == kind);
    if !matches!(&made.outcome, Outcome::Failed { kind, .. } if lacks(kind)) {
        return Ok(None);
    }
    let Some(picture) = printed::picture(readers, order).await? else { return Ok(None) };
    let (blobs, content, plate) = (readers.deps.blobs.clone(), order.content, order.plate);
    let made = readers.work(move || make::printed(&blobs, content, plate, &picture)).await?;
    match made {
        Ok(Ok(pictures)) => Ok(Some(pictures)),
        Ok(Err(failure)) => {
            log::info!("{}: the printer's picture of it cannot be used: {}", order.file, failure.message);
            Ok(None)
        }
        Err(_) => {
            log::error!("{}: the printer's picture of it leads to a fault of the program", order.file);
            Ok(None)
        }
    }
}

fn fault(order: &Order) -> Made {
    log::error!("{}: its pictures bring the reader to a fault of the program", order.file);
    let failure = Failure::new(Kind::Corrupt, "its pictures bring the reader to a fault of the program");
    Made { plate: None, outcome: failed(&failure) }
}

/// The failure with the contract's kind: it has none for figures and plates.
fn failed(failure: &Failure) -> Outcome<Pictures> {
    let kind = match failure.kind {
        Kind::NoMetadata | Kind::NotSliced | Kind::PlateMissing => Kind::NoneEmbedded,
        kind @ (Kind::NoneEmbedded | Kind::Corrupt | Kind::TooLarge | Kind::Unsupported | Kind::Io) => kind,
    };
    Outcome::Failed { kind: kind.name().into(), message: clean(&failure.message, MESSAGE_BYTES_MAX) }
}

fn event(order: &Order, made: &Made) -> Event {
    let plate = made.plate.or(order.plate);
    let failed = |error: &str, kind: &str| {
        Event::ThumbnailProcessingFailed(ThumbnailProcessingFailed {
            file_id: order.file,
            plate,
            error: error.into(),
            kind: kind.into(),
        })
    };
    match &made.outcome {
        Outcome::Done(pictures) => Event::FileThumbnailsProcessed(FileThumbnailsProcessed {
            file_id: order.file,
            file_path: order.place(),
            plate,
            thumbnails: thumbnail_set(order.file, order.content, plate, pictures),
            source: if pictures.from_printer { ThumbnailSource::Printer } else { ThumbnailSource::Embedded },
        }),
        Outcome::Failed { kind, message } => failed(message, kind),
        Outcome::Open => failed("nothing was found", Kind::NoneEmbedded.name()),
    }
}
