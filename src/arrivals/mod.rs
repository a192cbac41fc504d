//! What follows an arrival of bytes: the work that a file's record asks for, plate by plate.
//!
//! Two rooms do such work, `thumbnails` and `metadata`; this one holds what they share: the worker, the loop that finds
//! orders, and the transaction that ends one. What is pending is a field of the record ([`PlateWork`]), never a queue in
//! memory: a loop begins with a scan of the records and then follows `file_needs_thumbnail_processing`, so a restart
//! forgets nothing, and an order that was done meanwhile is not done twice.
//!
//! What it deliberately does not do: read print files (`formats`), decide who asks (`downloads`, the library, the API).
//!
//! Bounds: one worker thread for both rooms, so one file at a time and less than 8 MB above idle; each loop holds one order.
//!
//! Words: an *order* is one plate of one file whose thumbnails or metadata are wanted.

mod order;
mod task;

use crate::base::clock::Clock;
use crate::base::pool::{Limits, Pool};
use crate::events::{Announcer, ThumbnailRef, ThumbnailSet};
use crate::model::file::{Picture, Pictures};
use crate::model::{Checksum, FileId, PlateWork};
use crate::net::resolve::Resolver;
use crate::printers::registry::Registry;
use crate::store::{Blobs, Store, ThumbSize};

pub use order::Order;
pub use task::{Ended, Reader, Readers, Went, run};

/// Jobs that wait for the worker: one of each room, and what a restarted loop has left behind.
const QUEUE_MAX: usize = 4;

/// How far the worker steps back: transfers, reports and the page come first.
const NICE: i32 = 10;

/// What the loops need.
#[derive(Clone)]
pub struct Deps {
    /// The clocks.
    pub clock: Clock,
    /// Records and journal.
    pub store: Store,
    /// The bus.
    pub announcer: Announcer,
    /// The bytes.
    pub blobs: Blobs,
    /// The printers, whose cards show the picture of what they print.
    pub registry: Registry,
    /// The worker of both rooms, see [`pool`].
    pub pool: Pool,
    /// Addresses of host names.
    pub resolver: Resolver,
    /// Threads that wait for answers of PrusaLink printers, see [`crate::printers::session::http_pool`].
    pub http: Pool,
}

/// The worker: one thread of low priority.
#[must_use]
pub fn pool() -> Pool {
    Pool::new("readers", Limits { threads_max: 1, queue_max: QUEUE_MAX, nice: NICE })
}

/// The address of a stored thumbnail. `v` changes with the pictures, so that whoever has one may keep it for ever; it is the
/// same for all sizes.
#[must_use]
pub fn thumbnail_url(
    file: FileId,
    content: Checksum,
    plate: Option<u32>,
    size: ThumbSize,
    pictures: &Pictures,
) -> String {
    let plate = plate.map(|plate| format!("&plate={plate}")).unwrap_or_default();
    let version = thumbnail_version(content, pictures);
    format!("/api/v1/files/{file}/thumbnail?size={}{plate}&v={version}", size.name())
}

/// What tells the pictures of a content from those that it had before, or that another data directory has at the address.
#[must_use]
pub fn thumbnail_version(content: Checksum, pictures: &Pictures) -> String {
    let digits = content.to_string();
    let sizes = [pictures.small, pictures.medium, pictures.large];
    let bytes: u64 = sizes.into_iter().flatten().map(|picture| u64::from(picture.bytes)).sum();
    let maker = if pictures.from_printer { "p" } else { "e" };
    format!("{}{maker}{bytes}", digits.get(..16).unwrap_or_default())
}

/// The thumbnails of a file as events and answers show them.
#[must_use]
pub fn thumbnail_set(
    file: FileId,
    content: Checksum,
    plate: Option<u32>,
    pictures: &Pictures,
) -> ThumbnailSet {
    let shown = |size, picture: Option<Picture>| {
        picture.map(|picture| ThumbnailRef {
            url: thumbnail_url(file, content, plate, size, pictures),
            width: picture.width,
            height: picture.height,
        })
    };
    ThumbnailSet {
        small: shown(ThumbSize::Small, pictures.small),
        medium: shown(ThumbSize::Medium, pictures.medium),
        large: shown(ThumbSize::Large, pictures.large),
    }
}

/// Whether one of the two kinds of work is pending.
type IsPending = fn(&PlateWork) -> bool;
