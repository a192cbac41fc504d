//! The printers: drivers, one directory per vendor, and the registry of those that are watched.

pub mod bambu;
pub mod catalogue;
pub mod driver;
mod fields;
pub mod identity;
pub mod prusalink;
pub mod registry;
pub mod session;
pub mod slots;
