//! `/files`: every version of every file that is known, and what can be done with one.

use embedded_svc::http::server::{Connection, Method};
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::file_views::FileView;
use super::linked::readable;
use super::pictures::plate;
use crate::events::{Event, FileDeleted, FileNeedsThumbnailProcessing, Flow};
use crate::model::file::Outcome;
use crate::model::library::LibraryEntry;
use crate::model::{Checksum, Content, Figures, FileId, FileRecord, FileStatus, PrinterId, Work};
use crate::store::{Blobs, FileFilter, FileOrder, RawRead, Read as _, ReadFiles as _, Txn, View, blobs};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// Bytes of a text that names are searched for.
const SEARCH_BYTES_MAX: usize = 255;

/// Every status, for the filter.
const STATUSES: [FileStatus; 7] = [
    FileStatus::Available,
    FileStatus::Downloading,
    FileStatus::Downloaded,
    FileStatus::Local,
    FileStatus::Error,
    FileStatus::Unavailable,
    FileStatus::Deleted,
];

pub fn list<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let filter = filter(call)?;
    page(call, api, &filter)
}

/// `/printers/{id}/files`: what is known of the printer's storage, the newest version of each file.
pub fn of_printer<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id: PrinterId =
        call.param("id").parse().map_err(|_| ApiError::not_found("printer", call.param("id")))?;
    let known = api.store.read_blocking(|view| view.printer(id))?;
    known.ok_or_else(|| ApiError::not_found("printer", call.param("id")))?;
    let filter = FileFilter { printer_id: Some(id), newest_only: true, ..filter(call)? };
    page(call, api, &filter)
}

fn page<C: Connection>(call: &Call<'_, C>, api: &Api, filter: &FileFilter) -> Answer {
    let paging = call.paging()?;
    let order = match call.query().get("order_by") {
        None | Some("created_at") => FileOrder::Created,
        Some("downloaded_at") => FileOrder::Kept,
        Some("filename") => FileOrder::Name,
        Some("file_size") => FileOrder::Size,
        Some(_) => {
            let message = "Use created_at, downloaded_at, filename or file_size.";
            return Err(ApiError::bad_value("order_by", message));
        }
    };
    let descending = match call.query().get("order_dir") {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(_) => return Err(ApiError::bad_value("order_dir", "Use asc or desc.")),
    };
    let (views, total) = api.store.read_blocking(|view| {
        let (files, total) =
            view.files_page(filter, order, descending, paging.offset(), paging.limit as usize)?;
        let views = files.iter().map(|file| FileView::of(view, file)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, ApiError>((views, total))
    })?;
    call.conditional_json(&paging.list("files", views, total))
}

fn filter<C: Connection>(call: &Call<'_, C>) -> Result<FileFilter, ApiError> {
    let query = call.query();
    let printer_id = query.get("printer_id").map(|text| {
        text.parse().map_err(|_| ApiError::bad_value("printer_id", "This is not the id of a printer."))
    });
    let status = query.get("status").map(|name| {
        let message = "Use available, downloading, downloaded, local, error, unavailable or deleted.";
        let found = STATUSES.into_iter().find(|status| status.name() == name);
        found.ok_or_else(|| ApiError::bad_value("status", message))
    });
    let source = query.get("source").map(|name| {
        let found = ["printer", "local", "upload"].into_iter().find(|known| *known == name);
        found.ok_or_else(|| ApiError::bad_value("source", "Use printer, local or upload."))
    });
    let search = query.get("search").map(|text| {
        let fits = text.len() <= SEARCH_BYTES_MAX;
        fits.then(|| text.to_lowercase())
            .ok_or_else(|| ApiError::bad_value("search", "Search for a shorter text."))
    });
    Ok(FileFilter {
        printer_id: printer_id.transpose()?,
        status: status.transpose()?,
        source: source.transpose()?,
        has_thumbnail: query.flag("has_thumbnail")?,
        search: search.transpose()?,
        newest_only: false,
    })
}

pub fn one<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = file_id(call.param("id"))?;
    let shown = api.store.read_blocking(|view| {
        let file = one_file(view, id)?;
        Ok::<_, ApiError>(FileView::of(view, &file)?)
    })?;
    call.conditional_json(&shown)
}

/// Removes the copy of a file, or the record of one without a copy.
pub fn remove<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = file_id(call.param("id"))?;
    let content = api.store.read_blocking(|view| one_file(view, id))?.content;
    // Nobody may count on the bytes between the last look at their users and their end.
    let _claim = content.map(|content| api.blobs.claim(content));
    let unused = api.store.write_blocking(move |txn| delete(txn, id, content))?;
    if let Some((checksum, extension)) = unused
        && let Err(error) = api.blobs.remove(checksum, &extension)
    {
        // The record is gone; the sweep of the next start removes what is left.
        log::warn!("{id}: its bytes could not be removed: {error}");
    }
    Ok(Reply::empty(204))
}

/// Enters the end of a file; answers the content that nobody uses any more. `claimed` is the content that is held for it.
fn delete(
    txn: &mut Txn<'_>,
    id: FileId,
    claimed: Option<Checksum>,
) -> Result<Option<(Checksum, String)>, ApiError> {
    let mut file = one_file(txn, id)?;
    let active = txn
        .active_or_pending_jobs(None)?
        .into_iter()
        .find(|job| job.file_id == Some(id) && job.status.is_active());
    if let Some(job) = active {
        let message =
            format!("The file is being printed ({}); it can be deleted when the print is over.", job.name);
        return Err(ApiError::conflict("FILE_IN_USE", message));
    }
    if file.status == FileStatus::Downloading {
        let message = "The file is being fetched; cancel that first.";
        return Err(ApiError::conflict("FILE_IN_USE", message));
    }
    if file.content != claimed {
        return Err(ApiError::conflict("FILE_IN_USE", "The file is just being written; try again."));
    }
    let event =
        FileDeleted { file_id: id, filename: file.name.clone(), printer_id: file.source.printer_id() };
    let kept = file.content.filter(|_| file.status.is_kept());
    let Some(content) = kept else {
        txn.delete_file(id)?;
        txn.emit(Event::FileDeleted(event), None, None);
        return Ok(None);
    };
    if file.source.printer_id().is_none() && readable::<LibraryEntry>(txn.get(content))?.is_some() {
        let message = "The file is in the library; delete it there.";
        return Err(ApiError::conflict("IN_LIBRARY", message));
    }
    file.status = FileStatus::Deleted;
    file.pinned = false;
    for work in &mut file.work {
        (work.thumbnails, work.metadata) = (Work::None, Work::None);
    }
    txn.put(&file)?;
    txn.emit(Event::FileDeleted(event), None, None);
    if txn.content_is_used(content)? {
        return Ok(None);
    }
    let extension = readable::<Content>(txn.get(content))?
        .map_or_else(|| blobs::extension(&file.name), |content| content.extension);
    txn.delete_content(content)?;
    Ok(Some((content, extension)))
}

#[derive(Deserialize)]
struct Pin {
    pinned: Option<bool>,
}

/// Keeps a file from being removed for want of room, or no longer.
pub fn pin<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = file_id(call.param("id"))?;
    let bare = call.header("Content-Length").is_none_or(|length| length == "0");
    let pinned = call.method() != Method::Delete && (bare || call.json::<Pin>()?.pinned.unwrap_or(true));
    let shown = api.store.write_blocking(move |txn| {
        let mut file = one_file(txn, id)?;
        if file.pinned != pinned {
            file.pinned = pinned;
            txn.put(&file)?;
        }
        Ok::<_, ApiError>(FileView::of(txn, &file)?)
    })?;
    Reply::json(200, &shown)
}

/// Reads pictures and figures of a kept file anew, for the plate of the query or the one that was asked for last.
pub fn process<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = file_id(call.param("id"))?;
    let plate = plate(call)?;
    let plate = api.store.write_blocking(move |txn| {
        let mut file = one_file(txn, id)?;
        let content = file.content.filter(|_| file.status.is_kept()).ok_or_else(|| {
            let message = "The bytes of this file are not on the appliance; fetch it first.";
            ApiError::conflict("NOT_KEPT_HERE", message)
        })?;
        let plate = plate.or_else(|| file.plate());
        let waits = |work: &&crate::model::PlateWork| {
            work.plate == plate && (work.thumbnails, work.metadata) == (Work::Pending, Work::Pending)
        };
        if file.work.iter().any(|work| waits(&work)) {
            return Ok(plate);
        }
        if let Some(mut figures) = readable::<Figures>(txn.get((content, plate)))? {
            (figures.thumbnails, figures.metadata) = (Outcome::Open, Outcome::Open);
            txn.put(&figures)?;
        }
        let extension = readable::<Content>(txn.get(content))?
            .map_or_else(|| blobs::extension(&file.name), |content| content.extension);
        let event = FileNeedsThumbnailProcessing { file_id: id, file_path: Blobs::name(content, &extension) };
        let flow = Flow::new(&format!("process-{id}-{}", txn.newest_seq() + 1));
        let seq = txn.emit(Event::FileNeedsThumbnailProcessing(event), Some(&flow), None);
        file.ask(plate, Some(seq));
        txn.put(&file)?;
        Ok::<_, ApiError>(plate)
    })?;
    Reply::json(202, &json!({"file_id": id, "plate": plate, "status": "pending"}))
}

pub fn statistics<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let figures = api.store.read_blocking(|view: &View<'_>| view.file_figures())?;
    let total: u64 = figures.by_status.values().sum();
    let mut by_status = serde_json::Map::new();
    for status in STATUSES {
        by_status.insert(status.name().into(), json!(figures.by_status.get(status.name()).unwrap_or(&0)));
    }
    let mut by_source = serde_json::Map::new();
    for source in ["printer", "local", "upload"] {
        by_source.insert(source.into(), json!(figures.by_source.get(source).unwrap_or(&0)));
    }
    Reply::json(
        200,
        &json!({
            "total_files": total,
            "by_status": by_status,
            "by_source": by_source,
            "kept_contents": figures.contents,
            "total_size": figures.bytes,
            "damaged_contents": figures.damaged,
            "timestamp": api.clock.now().wall.to_string(),
        }),
    )
}

/// The id in a path.
pub fn file_id(text: &str) -> Result<FileId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("file", text))
}

/// The record of a file.
pub fn one_file(view: &impl RawRead, id: FileId) -> Result<FileRecord, ApiError> {
    view.get::<FileRecord>(id)?.ok_or_else(|| ApiError::not_found("file", &id.to_string()))
}
