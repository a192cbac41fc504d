//! `/library`: what is kept for good. Uploads and contents are streamed elsewhere ([`crate::web::large`]).

use embedded_svc::http::server::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use crate::library::{Added, Filter, LibraryError};
use crate::model::file::{Figures, Outcome, Picture, Pictures};
use crate::model::library::LibraryEntry;
use crate::model::{Checksum, FileId, PrinterId};
use crate::store::{Read as _, StoreError, ThumbSize, View, blobs};
use crate::web::large::error_of;
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// Bytes of a search at most: a whole name.
const SEARCH_BYTES_MAX: usize = 255;

/// An entry as clients see it.
#[derive(Debug, Serialize)]
pub struct EntryView {
    checksum: Checksum,
    filename: String,
    file_size: u64,
    file_type: String,
    source_type: Option<&'static str>,
    sources: Vec<SourceView>,
    source_count: u64,
    status: &'static str,
    has_thumbnail: bool,
    thumbnail_url: Option<String>,
    has_metadata: bool,
    download_url: String,
    added_at: String,
}

#[derive(Debug, Serialize)]
struct SourceView {
    #[serde(rename = "type")]
    kind: &'static str,
    printer_id: Option<PrinterId>,
    printer_name: Option<String>,
    filename: String,
    file_id: FileId,
    added_at: String,
}

impl EntryView {
    fn of(entry: &LibraryEntry, figures: Option<&Figures>) -> EntryView {
        let pictures = figures.and_then(|figures| pictures(figures));
        let address = format!("/api/v1/library/files/{}", entry.checksum);
        let open = figures.is_none_or(|figures| {
            matches!(figures.thumbnails, Outcome::Open) || matches!(figures.metadata, Outcome::Open)
        });
        EntryView {
            checksum: entry.checksum,
            filename: entry.filename.clone(),
            file_size: entry.size,
            file_type: blobs::extension(&entry.filename),
            source_type: entry.sources.first().map(|source| source.source.name()),
            sources: entry
                .sources
                .iter()
                .map(|source| SourceView {
                    kind: source.source.name(),
                    printer_id: source.source.printer_id(),
                    printer_name: source.source.printer_id().map(|_| source.source_name.clone()),
                    filename: source.filename.clone(),
                    file_id: source.file_id,
                    added_at: source.added_at.to_string(),
                })
                .collect(),
            source_count: entry.source_count,
            status: if open { "processing" } else { "ready" },
            has_thumbnail: pictures.is_some(),
            thumbnail_url: pictures.map(|_| format!("{address}/thumbnail?size=medium")),
            has_metadata: figures.is_some_and(|figures| matches!(figures.metadata, Outcome::Done(_))),
            download_url: format!("{address}/download"),
            added_at: entry.added_at.to_string(),
        }
    }
}

fn pictures(figures: &Figures) -> Option<&Pictures> {
    match &figures.thumbnails {
        Outcome::Done(pictures) => Some(pictures),
        Outcome::Open | Outcome::Failed { .. } => None,
    }
}

/// The answer to an upload.
pub fn added_view(added: &Added) -> Value {
    let mut view = serde_json::to_value(EntryView::of(&added.entry, None)).unwrap_or(Value::Null);
    if let Some(fields) = view.as_object_mut() {
        fields.insert("duplicate".to_owned(), Value::Bool(added.duplicate));
    }
    view
}

fn checksum<C: Connection>(call: &Call<'_, C>) -> Result<Checksum, ApiError> {
    let text = call.param("checksum");
    text.parse().map_err(|_| ApiError::not_found("library file", text))
}

fn figures_of(view: &View<'_>, content: Checksum, plate: Option<u32>) -> Result<Option<Figures>, StoreError> {
    match view.get::<Figures>((content, plate)) {
        // Noted already; it is read again when the file is.
        Err(StoreError::Record(_)) => Ok(None),
        other => other,
    }
}

fn found(error: LibraryError, checksum: Checksum) -> ApiError {
    match error {
        LibraryError::NotFound => ApiError::not_found("library file", &checksum.to_string()),
        other => error_of(&other),
    }
}

pub(super) fn list<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let paging = call.paging()?;
    let query = call.query();
    let search = query.get("search").map(str::trim).filter(|text| !text.is_empty());
    if search.is_some_and(|text| text.len() > SEARCH_BYTES_MAX) {
        return Err(ApiError::bad_value("search", format!("Use at most {SEARCH_BYTES_MAX} bytes.")));
    }
    let source = query.get("source_type").map(str::to_owned);
    if source.as_deref().is_some_and(|source| !matches!(source, "upload" | "printer" | "local")) {
        return Err(ApiError::bad_value("source_type", "Use upload, printer or local."));
    }
    let oldest_first = match query.get("sort_order").unwrap_or("desc") {
        "desc" => false,
        "asc" => true,
        _ => {
            return Err(ApiError::bad_value(
                "sort_order",
                "Use asc or desc; entries are sorted by when they came.",
            ));
        }
    };
    let only_duplicates = match query.get("only_duplicates").unwrap_or("false") {
        "true" => true,
        "false" => false,
        _ => return Err(ApiError::bad_value("only_duplicates", "Use true or false.")),
    };
    let filter = Filter { search: search.map(str::to_lowercase), source, only_duplicates };
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let page = api.library.page(&filter, oldest_first, paging.offset(), limit).map_err(|e| error_of(&e))?;
    let views = api.store.read_blocking(|view| {
        page.entries
            .iter()
            .map(|entry| Ok(EntryView::of(entry, figures_of(view, entry.checksum, None)?.as_ref())))
            .collect::<Result<Vec<_>, StoreError>>()
    })?;
    call.conditional_json(&paging.list("files", views, page.total))
}

pub(super) fn one<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let checksum = checksum(call)?;
    let (entry, _) = api.library.entry(checksum).map_err(|error| found(error, checksum))?;
    let figures = api.store.read_blocking(|view| figures_of(view, checksum, None))?;
    call.conditional_json(&EntryView::of(&entry, figures.as_ref()))
}

pub(super) fn remove<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let checksum = checksum(call)?;
    let deleted = api.library.delete(checksum).map_err(|error| found(error, checksum))?;
    Reply::json(
        200,
        &json!({
            "success": true, "checksum": checksum, "filename": deleted.filename, "kept_for": deleted.kept_for,
            "message": if deleted.kept_for.is_empty() {
                "The entry and its bytes are gone."
            } else {
                "The entry is gone; its bytes are still used."
            },
        }),
    )
}

pub(super) fn statistics<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let sum = api.library.statistics().map_err(|error| error_of(&error))?;
    let card = api.library.card().state();
    Reply::json(
        200,
        &json!({
            "total_files": sum.entries, "total_size": sum.bytes, "total_sources": sum.sources,
            "duplicates": sum.sources.saturating_sub(sum.entries), "saved_bytes": sum.saved_bytes,
            "storage": {"files": card.files, "quota": card.quota, "free": card.free},
        }),
    )
}

fn plate<C: Connection>(call: &Call<'_, C>) -> Result<Option<u32>, ApiError> {
    let plate = call.query().get("plate").map(str::parse::<u32>).transpose();
    match plate {
        Ok(plate) if plate != Some(0) => Ok(plate),
        _ => Err(ApiError::bad_value("plate", "Plates are counted from 1.")),
    }
}

pub(super) fn thumbnail<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let (checksum, plate) = (checksum(call)?, plate(call)?);
    let wanted = call.query().get("size").unwrap_or("medium");
    let size = ThumbSize::ALL.into_iter().find(|size| size.name() == wanted);
    let size = size.ok_or_else(|| ApiError::bad_value("size", "Use small, medium or large."))?;
    api.library.entry(checksum).map_err(|error| found(error, checksum))?;
    let figures = api.store.read_blocking(|view| figures_of(view, checksum, plate))?;
    let none = || ApiError::new(404, "NO_THUMBNAIL", "There is no picture of this file.");
    let found = figures.as_ref().and_then(pictures).ok_or_else(none)?;
    // A small picture has no larger twins: the largest that there is stands for them.
    let all =
        [(ThumbSize::Small, found.small), (ThumbSize::Medium, found.medium), (ThumbSize::Large, found.large)];
    let there: Vec<(ThumbSize, Picture)> =
        all.into_iter().filter_map(|(size, picture)| Some((size, picture?))).collect();
    let chosen = there.iter().find(|(there, _)| *there == size).or(there.last()).ok_or_else(none)?;
    let path = api.library.blobs().thumbnail(checksum, plate, chosen.0);
    let png = std::fs::read(path).map_err(|_| none())?;
    let reply = Reply::new(200, "image/png", png).header("Cache-Control", "private, no-cache");
    Ok(reply.conditional(call.header("If-None-Match")))
}

pub(super) fn metadata<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let (checksum, plate) = (checksum(call)?, plate(call)?);
    api.library.entry(checksum).map_err(|error| found(error, checksum))?;
    let figures = api.store.read_blocking(|view| figures_of(view, checksum, plate))?;
    match figures.map(|figures| figures.metadata) {
        Some(Outcome::Done(text)) => {
            let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            call.conditional_json(&value)
        }
        Some(Outcome::Failed { kind, message }) => {
            let error = ApiError::new(404, "NO_METADATA", message);
            Err(error.with_details(json!({ "kind": kind })))
        }
        Some(Outcome::Open) | None => {
            Err(ApiError::new(404, "NO_METADATA", "The file has not been read yet. Try again shortly."))
        }
    }
}
