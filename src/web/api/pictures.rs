//! `/files/{id}/thumbnail` and `/metadata`: what was found in a file, for a plate.

use embedded_svc::http::server::Connection;
use serde_json::{Value, json};

use super::Api;
use super::files::{file_id, one_file};
use super::linked::{figures, nearest};
use crate::arrivals::thumbnail_version;
use crate::model::file::Outcome;
use crate::model::{Checksum, Figures, FileRecord, Work};
use crate::store::{ThumbSize, View};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// Bytes of a PNG that goes through the small servers: below the front's limit for one answer. Only a large picture of noise
/// is larger, and then the medium one is given.
const SERVED_BYTES_MAX: u32 = 480 * 1024;

/// The address has the picture's version in it: whoever has it need not ask again.
const FOR_EVER: &str = "private, max-age=31536000, immutable";
/// Without a version it is asked for each time and mostly answered with 304.
const ASK_AGAIN: &str = "private, no-cache";

pub fn thumbnail<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let wanted = match call.query().get("size") {
        None => ThumbSize::Medium,
        Some(name) => ThumbSize::ALL
            .into_iter()
            .find(|size| size.name() == name)
            .ok_or_else(|| ApiError::bad_value("size", "Use small, medium or large."))?,
    };
    let (file, content, found) = found(call, api)?;
    let pictures = match &found.thumbnails {
        Outcome::Done(pictures) => pictures,
        Outcome::Open => return Err(not_yet("thumbnail")),
        Outcome::Failed { kind, message } => return Err(none("NO_THUMBNAIL", kind, message)),
    };
    let (size, _) = nearest(pictures, wanted, SERVED_BYTES_MAX)
        .ok_or_else(|| none("NO_THUMBNAIL", "too_large", "no size can be shown"))?;
    let version = thumbnail_version(content, pictures);
    let cache = if call.query().get("v") == Some(version.as_str()) { FOR_EVER } else { ASK_AGAIN };
    let tag = format!("\"{version}-{}-{}\"", found.plate.unwrap_or(0), size.name());
    let path = api.blobs.thumbnail(content, found.plate, size);
    let png = std::fs::read(path).map_err(|error| {
        log::error!("{}: its thumbnail cannot be read: {error}", file.id);
        none(
            "NO_THUMBNAIL",
            "io",
            "the card cannot be read; ask for it again with POST .../process-thumbnails",
        )
    })?;
    Ok(Reply::new(200, "image/png", png)
        .header("Cache-Control", cache)
        .conditional_with(tag, call.header("If-None-Match")))
}

pub fn metadata<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let (_, _, found) = found(call, api)?;
    match &found.metadata {
        Outcome::Done(text) => {
            let shown: Value = serde_json::from_str(text).map_err(|error| {
                log::error!("stored metadata is no JSON: {error}");
                ApiError::internal("The stored figures cannot be read. Ask for them again.")
            })?;
            call.conditional_json(&shown)
        }
        Outcome::Open => Err(not_yet("metadata")),
        Outcome::Failed { kind, message } => Err(none("NO_METADATA", kind, message)),
    }
}

/// The figures that are asked for, or why there are none.
fn found<C: Connection>(call: &Call<'_, C>, api: &Api) -> Result<(FileRecord, Checksum, Figures), ApiError> {
    let id = file_id(call.param("id"))?;
    let plate = plate(call)?;
    api.store.read_blocking(|view: &View<'_>| {
        let file = one_file(view, id)?;
        let content = file.content.filter(|_| file.status.is_kept()).ok_or_else(|| {
            ApiError::new(404, "NOT_KEPT_HERE", "The bytes of this file are not on the appliance.")
        })?;
        match figures(view, &file, plate)? {
            Some(figures) => Ok((file, content, figures)),
            None if file
                .work
                .iter()
                .any(|work| [work.thumbnails, work.metadata].contains(&Work::Pending)) =>
            {
                Err(not_yet("file"))
            }
            None => Err(ApiError::new(
                404,
                "PLATE_NOT_READ",
                "Nobody has asked for this plate yet: POST /files/{id}/process-thumbnails?plate=N.",
            )),
        }
    })
}

/// The plate in the query.
pub fn plate<C: Connection>(call: &Call<'_, C>) -> Result<Option<u32>, ApiError> {
    let plate = call.query().number("plate")?;
    plate
        .map(|plate| {
            let plate = u32::try_from(plate).ok().filter(|plate| *plate > 0);
            plate.ok_or_else(|| ApiError::bad_value("plate", "Plates are counted from 1."))
        })
        .transpose()
}

fn not_yet(what: &str) -> ApiError {
    let mut error =
        ApiError::new(404, "NOT_READ_YET", format!("The {what} is still being read. Ask again shortly."));
    error.retry_after_s = Some(2);
    error.with_details(json!({"kind": "pending"}))
}

fn none(code: &'static str, kind: &str, message: &str) -> ApiError {
    ApiError::new(404, code, format!("There is none: {message}.")).with_details(json!({"kind": kind}))
}
