//! `tiny_http` behind a private Unix socket, its handler threads, and the router that handlers hang on.
//!
//! Duty: take requests that the front has vetted and rewritten, run the handler, hand the answer back. Handlers are
//! written for any [`Connection`](embedded_svc::http::server::Connection), see [`Router`]:
//! ```
//! use std::sync::Arc;
//! use embedded_svc::http::server::{Connection, Method};
//! use printernizer::base::clock::Clock;
//! use printernizer::web::respond::{ApiError, Reply};
//! use printernizer::web::server::{Answer, Call, Router};
//!
//! struct App; // what the handlers know
//!
//! fn one_job<C: Connection>(call: &mut Call<'_, C>, _app: &App) -> Answer {
//!     let id = call.param("id");
//!     if id != "j1" {
//!         return Err(ApiError::not_found("job", id));
//!     }
//!     call.conditional_json(&serde_json::json!({ "id": id }))
//! }
//!
//! fn delete_job<C: Connection>(_: &mut Call<'_, C>, _app: &App) -> Answer {
//!     Ok(Reply::empty(204))
//! }
//!
//! fn routes<C: Connection + 'static>(app: Arc<App>, clock: Clock) -> Router<C> {
//!     let with = |handler: fn(&mut Call<'_, C>, &App) -> Answer| {
//!         let app = Arc::clone(&app);
//!         move |call: &mut Call<'_, C>| handler(call, &app)
//!     };
//!     Router::new(clock)
//!         .api(Method::Get, "/jobs/{id}", with(one_job))
//!         .api(Method::Delete, "/jobs/{id}", with(delete_job))
//! }
//! # let _ = routes::<printernizer::web::server::TinyConnection>(Arc::new(App), Clock::system());
//! ```
//!
//! Bounds: [`HANDLERS`] threads of [`STACK_BYTES`]; the front lets at most four requests in at a time, so `tiny_http`'s
//! pool stays at its four threads and its queue (which knows no bound) at four entries.
//!
//! `tiny_http` ends its accept thread for good when the process runs out of descriptors (its `dup` panics). The front
//! notices that nobody listens any more and says so through [`Backend::lost`]; a handler thread then opens a new
//! server on a new socket.

mod adapter;
mod call;
#[cfg(test)]
pub mod double;
mod router;
mod shape;
mod slow;
mod target;
#[cfg(test)]
mod tests;
mod threads;

pub use adapter::{NoRawConnection, RequestBody, RequestHead, TinyConnection};
pub use call::{BODY_BYTES_MAX, Call, PEER_HEADER};
pub use router::{API, Access, Answer, Route, Router, write};
pub use slow::{SlowLane, SlowPass};
pub use target::{PARAM_BYTES_MAX, Pairs, decode, decode_segment, segments, split_target};
pub use threads::{
    Backend, HANDLERS, STACK_BYTES, STOP_WAIT, Server, ServerConfig, ServerError, ServerStats,
};
