//! The LAN API: handlers over the store, the table of watched printers and bounded orders.
//!
//! Handlers run on the web threads and may block on the store's files for a moment; commands to printers go through
//! bounded wires with a reply and a deadline. Nothing here knows a vendor's protocol.

mod bundle;
mod consumption;
mod control;
mod csv;
mod discover;
mod download_views;
mod downloads;
mod events;
mod export;
mod file_views;
mod files;
mod health;
mod jobs;
pub mod library;
mod linked;
mod login;
mod materials;
mod metrics;
mod pictures;
mod printers;
mod restore;
pub mod settings;
pub mod snapshot;
mod sync;
pub mod system;
mod trace;
mod views;

use std::sync::Arc;
use std::time::Duration;

use embedded_svc::http::server::{Connection, Method};
use smol::channel::Sender;

use super::guard::Guard;
use super::openapi;
use super::respond::ApiError;
use super::server::{Access, Answer, Call, Route, Router, SlowLane};
use crate::base::clock::{Clock, Now};
use crate::base::latest::Latest;
use crate::base::task::Board;
use crate::base::zone::Zone;
use crate::discovery::Requests;
use crate::downloads::Desk;
use crate::events::Announcer;
use crate::lan;
use crate::library::Library;
use crate::model::Share;
use crate::printers::registry::{Order, Registry};
use crate::store::{Blobs, Store, StoreError};

pub use export::Exports;
pub use health::Probe;
pub use printers::{DUPLICATE_PRINTER, insert as insert_printer};

/// A handler that waits for a printer's first answer gives up after this time and tells what is known by then.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Deadline of a staged connection test.
const PROBE_WAIT: Duration = Duration::from_secs(20);

/// What the handlers know.
pub struct Api {
    /// The clocks.
    pub clock: Clock,
    /// Records and journal.
    pub store: Store,
    /// The bytes of files and pictures.
    pub blobs: Blobs,
    /// The printers that are watched.
    pub registry: Registry,
    /// The newest seq, and the bus's figures.
    pub announcer: Announcer,
    /// Downloads.
    pub desk: Desk,
    /// Orders to the fleet.
    pub orders: Sender<Order>,
    /// Wishes that a source is looked at.
    pub discovery: Requests,
    /// Printers that were heard on the network.
    pub lan: lan::Handle,
    /// The library, and the card.
    pub library: Library,
    /// At most one handler may wait for a printer.
    pub slow: SlowLane,
    /// The table of tasks.
    pub tasks: Board,
    /// When the service started.
    pub started: Now,
    /// Who may do what.
    pub guard: Guard,
    /// What can be changed while the service runs.
    pub settings: Arc<dyn settings::Desk>,
    /// The machine, for its owner.
    pub machine: Arc<dyn system::Machine>,
    /// The threshold of low stock of a new spool.
    pub low_stock: Latest<Share>,
    /// Whose days the statistics count by.
    pub zone: Zone,
    /// Figures that only the app can read, for `/health`.
    pub probe: Arc<dyn Fn() -> Probe + Send + Sync>,
}

/// All routes of the API, with their guard.
#[must_use]
pub fn routes<C: Connection + 'static>(router: Router<C>, api: &Arc<Api>) -> Router<C> {
    let with = |handler: Handler<C>| {
        let api = Arc::clone(api);
        move |call: &mut Call<'_, C>| handler(call, &api)
    };
    let judging = Arc::clone(api);
    let guard = move |call: &Call<'_, C>, route: &Route| {
        judging.guard.judge_blocking(&call.asking(), route.access).map(|_| ())
    };
    table(router.guard(guard), with)
}

/// A handler of this room.
pub type Handler<C> = fn(&mut Call<'_, C>, &Api) -> Answer;

/// The table of routes; `with` makes a handler into what the router takes. The description of each is in [`crate::web::openapi`].
pub fn table<C, F>(router: Router<C>, with: impl Fn(Handler<C>) -> F) -> Router<C>
where
    C: Connection + 'static,
    F: for<'c, 'r> Fn(&'c mut Call<'r, C>) -> Answer + Send + Sync + 'static,
{
    router
        .api(Method::Get, "/health", with(health::health))
        .api(Method::Get, "/liveness", with(health::liveness))
        .api(Method::Get, "/readiness", with(health::readiness))
        .api(Method::Get, "/printers", with(printers::list))
        .api(Method::Post, "/printers", with(printers::add))
        .api(Method::Post, "/printers/test-connection", with(printers::test))
        .api(Method::Get, "/printers/discover", with(discover::discover))
        .api(Method::Get, "/printers/{id}", with(printers::one))
        .api(Method::Put, "/printers/{id}", with(printers::change))
        .api(Method::Delete, "/printers/{id}", with(printers::remove))
        .api(Method::Get, "/printers/{id}/status", with(printers::status))
        .api(Method::Post, "/printers/{id}/connect", with(printers::connect))
        .api(Method::Post, "/printers/{id}/disconnect", with(printers::disconnect))
        .api(Method::Post, "/printers/{id}/trust", with(printers::trust))
        .api(Method::Post, "/printers/{id}/pause", with(control::pause))
        .api(Method::Post, "/printers/{id}/resume", with(control::resume))
        .api(Method::Post, "/printers/{id}/stop", with(control::stop))
        .api(Method::Post, "/printers/{id}/plate-cleared", with(printers::plate_cleared))
        .api(Method::Get, "/printers/{id}/files", with(files::of_printer))
        .api(Method::Post, "/printers/{id}/files/{filename:path}/download", with(downloads::of_printer))
        .api(Method::Post, "/printers/{id}/download-current-job", with(downloads::of_current_job))
        .api(Method::Get, "/files", with(files::list))
        .api(Method::Get, "/files/downloads", with(downloads::open))
        .api(Method::Delete, "/files/downloads/{id}", with(downloads::cancel))
        .api(Method::Get, "/files/downloads/{id}/progress", with(downloads::progress))
        .api(Method::Get, "/files/downloads/{id}/preview", with(downloads::preview))
        .api(Method::Post, "/files/downloads/{id}/cancel", with(downloads::cancel))
        .api(Method::Post, "/files/{id}/download", with(downloads::of_file))
        .api(Method::Get, "/files/statistics", with(files::statistics))
        .api(Method::Get, "/files/{id}", with(files::one))
        .api(Method::Delete, "/files/{id}", with(files::remove))
        .api(Method::Put, "/files/{id}/pin", with(files::pin))
        .api(Method::Delete, "/files/{id}/pin", with(files::pin))
        .api(Method::Get, "/files/{id}/thumbnail", with(pictures::thumbnail))
        .api(Method::Get, "/files/{id}/metadata", with(pictures::metadata))
        .api(Method::Post, "/files/{id}/process-thumbnails", with(files::process))
        .api(Method::Get, "/jobs", with(jobs::list))
        .api(Method::Post, "/jobs", with(jobs::add))
        .api(Method::Get, "/jobs/{id}", with(jobs::one))
        .api(Method::Delete, "/jobs/{id}", with(jobs::remove))
        .api(Method::Put, "/jobs/{id}", with(jobs::change))
        .api(Method::Put, "/jobs/{id}/status", with(jobs::set_status))
        .api(Method::Post, "/jobs/{id}/cancel", with(jobs::cancel))
        .api(Method::Get, "/jobs/statistics", with(jobs::statistics))
        .api(Method::Put, "/printers/{id}/slots/{slot}", with(materials::assign))
        .api(Method::Get, "/materials", with(materials::list))
        .api(Method::Post, "/materials", with(materials::add))
        .api(Method::Get, "/materials/stats", with(materials::stats))
        .api(Method::Get, "/materials/types", with(materials::types))
        .api(Method::Post, "/materials/consumption", with(consumption::add))
        .api(Method::Get, "/materials/consumption/history", with(consumption::history))
        .api(Method::Get, "/materials/consumption/{id}", with(consumption::one))
        .api(Method::Delete, "/materials/consumption/{id}", with(consumption::undo))
        .api(Method::Get, "/materials/{id}", with(materials::one))
        .api(Method::Patch, "/materials/{id}", with(materials::change))
        .api(Method::Delete, "/materials/{id}", with(materials::remove))
        .api(Method::Post, "/printers/{id}/sync", with(sync::printer))
        .api(Method::Post, "/files/sync", with(sync::any))
        .api(Method::Get, "/library/files", with(library::list))
        .api(Method::Get, "/library/files/{checksum}", with(library::one))
        .api(Method::Delete, "/library/files/{checksum}", with(library::remove))
        .api(Method::Get, "/library/files/{checksum}/thumbnail", with(library::thumbnail))
        .api(Method::Get, "/library/files/{checksum}/metadata", with(library::metadata))
        .api(Method::Get, "/library/statistics", with(library::statistics))
        .api(Method::Delete, "/library/{checksum}", with(library::remove))
        .api(Method::Get, "/events/recent", with(events::recent))
        .api(Method::Get, "/events/stats", with(events::stats))
        .api(Method::Get, "/events/trace/{seq}", with(trace::trace))
        .page(Method::Get, "/metrics", with(metrics::metrics))
        .api(Method::Get, "/openapi.json", with(openapi::document))
        // These are answered by the front (the event stream, and what is streamed). They stand here for their methods, and
        // for what the front does not take, such as the content of an id that is none.
        .api(Method::Get, "/events", with(elsewhere))
        .api(Method::Post, "/library", with(elsewhere))
        .api(Method::Get, "/library/files/{checksum}/download", with(elsewhere))
        .api(Method::Get, "/files/{id}/content", with(elsewhere))
        .api(Method::Get, "/jobs/export", with(elsewhere))
        .api(Method::Get, "/materials/export", with(elsewhere))
        .api(Method::Get, "/settings", with(settings::show))
        .api(Method::Put, "/settings", with(settings::change))
        .api(Method::Get, "/system", with(system::system))
        .api(Method::Get, "/system/logs", with(system::logs))
        .api(Method::Get, "/system/support-bundle", with(bundle::bundle))
        .api(Method::Post, "/system/reboot", with(system::reboot))
        .needs(Access::Owner)
        .api(Method::Post, "/system/shutdown", with(system::shutdown))
        .needs(Access::Owner)
        .api(Method::Post, "/system/update", with(system::update))
        .needs(Access::Owner)
        .api(Method::Post, "/system/factory-reset", with(system::factory_reset))
        .needs(Access::Owner)
        .api(Method::Post, "/backup", with(elsewhere))
        .needs(Access::Owner)
        .api(Method::Get, "/restore", with(restore::progress))
        .needs(Access::Owner)
        .api(Method::Post, "/restore", with(elsewhere))
        .needs(Access::Owner)
        .api(Method::Get, "/login", with(login::state))
        .needs(Access::Open)
        .api(Method::Post, "/login", with(login::login))
        .needs(Access::Open)
        .api(Method::Post, "/logout", with(login::logout))
        .needs(Access::Open)
        .api(Method::Get, "/tokens", with(login::tokens))
        .needs(Access::Owner)
        .api(Method::Post, "/tokens", with(login::add_token))
        .needs(Access::Owner)
        .api(Method::Delete, "/tokens/{id}", with(login::remove_token))
        .needs(Access::Owner)
}

/// What the front has left: nothing that could be there.
fn elsewhere<C: Connection>(_: &mut Call<'_, C>, _: &Api) -> Answer {
    Err(ApiError::new(404, "NOT_FOUND", "There is nothing at this address."))
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        log::error!("the API could not use the store: {}", crate::base::error::chain(&error));
        ApiError::new(
            503,
            "STORE_UNAVAILABLE",
            "The records cannot be read or written right now; see the log.",
        )
    }
}
