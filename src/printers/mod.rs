//! The printers: drivers, one directory per vendor, and the registry of those that are watched.

pub mod bambu;
pub mod driver;
mod fields;
pub mod prusalink;
pub mod registry;
pub mod slots;
pub mod session;
