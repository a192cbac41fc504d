//! Bambu Lab printers on the LAN.

pub mod files;
