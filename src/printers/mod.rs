//! The printers: one directory per vendor.

pub mod bambu;
