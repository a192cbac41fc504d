//! Scenarios against the whole service: real threads and sockets, simulated printers and Debian's Mosquitto.
//!
//! One program, because linking it takes longer than running it. Every test has its own service, directory, ports and
//! printers, so they run side by side.

#![allow(dead_code, missing_docs, reason = "helpers are shared by many scenarios")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

#[path = "../support/client.rs"]
mod client;
#[path = "../files/mod.rs"]
mod made;
#[path = "../support/seed.rs"]
mod seed;
#[path = "../support/service.rs"]
mod service;
#[path = "../support/mod.rs"]
mod support;

mod api;
mod backup;
mod contract;
mod peers;
mod printers;

mod connection;
mod control;
mod discovery;
mod downloads;
mod files;
mod guard;
mod jobs;
mod library;
mod materials;
mod prints;
mod prusa;
mod prusa_files;
mod restarts;
mod silence;
mod stream;
mod supervision;
mod trace;
mod trouble;
