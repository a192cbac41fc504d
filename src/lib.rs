//! `printernizer`: the box beside your 3D printers that never forgets a print.
//!
//! The rooms and the way of the data are drawn in `docs/architecture.md`. A lower room never imports a higher one:
//! `base` < `model` < `events` < `bus`, `net`, `formats` < `store` < `printers` < workflows (`jobs`, `monitor`) < `web` < `app`.

pub mod app;
pub mod appliance;
pub mod arrivals;
pub mod auto_download;
pub mod backup;
pub mod base;
pub mod bus;
pub mod cli;
pub mod config;
pub mod discovery;
pub mod downloads;
pub mod events;
pub mod formats;
pub mod jobs;
pub mod lan;
pub mod library;
pub mod materials;
pub mod metadata;
pub mod model;
pub mod monitor;
pub mod net;
pub mod printers;
pub mod selftest;
pub mod store;
pub mod thumbnails;
pub mod web;
