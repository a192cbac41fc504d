//! `/printers/{id}/sync` and `/files/sync`: a look at a source now.

use embedded_svc::http::server::Connection;
use serde_json::json;

use super::Api;
use crate::model::{FileSource, PrinterId};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

/// 202: the look follows, and `files_discovered` tells what it showed. A printing printer is looked at too: it was asked for.
pub fn printer<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let text = call.param("id");
    let unknown = || ApiError::not_found("printer", text);
    let id: PrinterId = text.parse().map_err(|_| unknown())?;
    let entry = api.registry.get(id).ok_or_else(unknown)?;
    if !entry.printer.enabled {
        return Err(ApiError::conflict("PRINTER_DISABLED", "The printer is switched off in the list."));
    }
    asked(api, FileSource::Printer(id))
}

/// The same with `?printer_id=`, or `local` for the watch folder.
pub fn any<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    match call.query().get("printer_id") {
        Some("local") if api.library.config().watch_folder.is_some() => asked(api, FileSource::Local),
        Some("local") => Err(ApiError::conflict(
            "NO_WATCH_FOLDER",
            "There is no watch folder: set [library] watch_folder.",
        )),
        Some(text) => {
            let id: Option<PrinterId> = text.parse().ok().filter(|id| api.registry.get(*id).is_some());
            asked(api, FileSource::Printer(id.ok_or_else(|| ApiError::not_found("printer", text))?))
        }
        None => Err(ApiError::bad_value("printer_id", "Name a printer, or local for the watch folder.")),
    }
}

fn asked(api: &Api, source: FileSource) -> Answer {
    let fresh = api.discovery.ask(source);
    let source = match source.printer_id() {
        Some(id) => id.to_string(),
        None => "local".to_owned(),
    };
    Reply::json(202, &json!({"status": "queued", "printer_id": source, "already_queued": !fresh}))
}
