//! `GET /restore`: how far a restore is. Taking one is `web::large`'s.

use embedded_svc::http::server::Connection;
use serde_json::json;

use super::Api;
use crate::backup;
use crate::web::large::manifest_view;
use crate::web::respond::Reply;
use crate::web::server::{Answer, Call};

pub fn progress<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let progress = backup::progress(api.blobs.root());
    let state =
        progress.as_ref().map_or("none", |progress| if progress.ready { "ready" } else { "receiving" });
    let body = json!({
        "state": state,
        "offset": progress.as_ref().map_or(0, |progress| progress.offset),
        "backup": progress.as_ref().map(|progress| manifest_view(&progress.manifest)),
    });
    Reply::json(200, &body)
}
