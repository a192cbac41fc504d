//! Downloads: asked for, looked at, taken back.

use embedded_svc::http::server::Connection;

use super::Api;
use super::download_views::DownloadView;
use super::files::{file_id, one_file};
use super::linked::readable;
use crate::downloads::DeskError;
use crate::model::{Fetch, FetchId, FetchState, FileRecord, FileSource, PrinterId};
use crate::store::{Read as _, StoreError};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// Fetches the bytes of a file that is known (anew).
pub fn of_file<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = file_id(call.param("id"))?;
    let file = api.store.read_blocking(|view| one_file(view, id))?;
    let FileSource::Printer(printer) = file.source else {
        let message = "This file did not come from a printer; there is nothing to fetch it from.";
        return Err(ApiError::conflict("NOT_FROM_A_PRINTER", message));
    };
    accepted(api, api.desk.request(printer, &file.path))
}

/// Fetches a file by its name, or by its path with escaped slashes, from a printer's storage.
pub fn of_printer<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let printer = printer_id(call.param("id"))?;
    let name = call.param("filename");
    // A path begins at the root of the storage; a bare name is looked for where prints lie.
    let path = if name.contains('/') { format!("/{name}") } else { name.to_owned() };
    accepted(api, api.desk.request(printer, path.as_bytes()))
}

/// Fetches the file of the print that the printer is at.
pub fn of_current_job<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let printer = printer_id(call.param("id"))?;
    accepted(api, api.desk.request_current(printer))
}

/// The downloads that are not over.
pub fn open<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let paging = call.paging()?;
    let open = api.desk.open()?;
    let total = open.len() as u64;
    let skip = usize::try_from(paging.offset()).unwrap_or(usize::MAX);
    let page = open.iter().skip(skip).take(paging.limit as usize);
    let views: Vec<DownloadView> = page.map(|fetch| DownloadView::of(fetch, &api.desk, None)).collect();
    call.conditional_json(&paging.list("downloads", views, total))
}

pub fn progress<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = fetch_id(call.param("id"))?;
    let fetch = api.desk.get(id)?.ok_or_else(|| ApiError::not_found("download", call.param("id")))?;
    Reply::json(200, &shown(api, &fetch)?)
}

pub fn cancel<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = fetch_id(call.param("id"))?;
    let fetch = api.desk.cancel(id)?;
    Reply::json(202, &shown(api, &fetch)?)
}

/// The picture that the first bytes of a transfer held.
pub fn preview<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = fetch_id(call.param("id"))?;
    let picture = api.desk.preview(id).ok_or_else(|| {
        ApiError::new(
            404,
            "NO_PREVIEW",
            "There is no preview: the transfer shows none, or it is over for long.",
        )
    })?;
    Ok(Reply::new(200, picture.content_type, picture.bytes.clone())
        .header("Cache-Control", "private, no-cache")
        .conditional(call.header("If-None-Match")))
}

fn accepted(api: &Api, asked: Result<Fetch, DeskError>) -> Answer {
    let fetch = asked?;
    let location = format!("{}/files/downloads/{}/progress", crate::web::server::API, fetch.id);
    Ok(Reply::json(202, &shown(api, &fetch)?)?.header("Location", location))
}

fn shown(api: &Api, fetch: &Fetch) -> Result<DownloadView, ApiError> {
    let kept = match fetch.state {
        FetchState::Done(file) => {
            let file: Option<FileRecord> = api.store.read_blocking(|view| readable(view.get(file)))?;
            file.and_then(|file| file.size)
        }
        _ => None,
    };
    Ok(DownloadView::of(fetch, &api.desk, kept))
}

fn fetch_id(text: &str) -> Result<FetchId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("download", text))
}

fn printer_id(text: &str) -> Result<PrinterId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("printer", text))
}

impl From<DeskError> for ApiError {
    fn from(error: DeskError) -> ApiError {
        match error {
            DeskError::NoPrinter => ApiError::new(404, "NOT_FOUND", "There is no such printer."),
            DeskError::NoFetch => ApiError::new(404, "NOT_FOUND", "There is no such download."),
            DeskError::NoJob => ApiError::conflict("NO_ACTIVE_JOB", "The printer is at no print right now."),
            DeskError::Over => ApiError::conflict("DOWNLOAD_IS_OVER", "The download is over already."),
            DeskError::Full => {
                ApiError::busy("Too many downloads are waiting already. Try again when some are done.", 60)
            }
            DeskError::BadName => ApiError::bad_value("filename", "This cannot be the name of a file."),
            DeskError::Store(error) => StoreError::into(error),
        }
    }
}
