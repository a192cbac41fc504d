//! The LAN side: everything that speaks HTTP, and the only room that knows its status codes.
//!
//! Way of a request:
//! ```text
//! client --TCP--> front (limits, deadlines, vetting; event streams and large bodies end here)
//!                   --Unix socket, a new small request--> tiny_http --> server (2 threads) --> Router --> handler
//! ```
//! * [`front`] faces the network on the executor. Nothing unvetted passes it.
//! * [`server`] is `tiny_http` behind a private Unix socket, the `embedded-svc` adapter and the [`server::Router`].
//! * [`guard`] knows who may do what: password, sessions, tokens.
//! * [`respond`] holds the answers' common shapes: error envelope, lists, ETag.
//! * [`assets`] is the page, compiled in; [`openapi`] the description of the API.
//!
//! Deliberately not here: TLS, range requests on small answers, and any knowledge of how events are made: the front
//! takes them from an [`front::EventSource`].

pub mod api;
pub mod assets;
pub mod front;
pub mod guard;
pub mod large;
pub mod openapi;
pub mod respond;
pub mod server;
