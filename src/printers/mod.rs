//! The printers: drivers, one directory per vendor, and the registry of those that are watched.

pub mod bambu;
pub mod driver;
pub mod registry;
pub mod slots;
