//! Files off their printers: requests, rounds, transfers, and what is left of them.
//!
//! ```text
//! desk        a wish becomes a record (`Fetch`) and rings the bell
//! dispatcher  the one task: which request may run now, on which printer, and when the next round comes
//! worker      one round on a thread: names are resolved, bytes come, the file proves itself, it is recorded
//!   plan        what the round does next, purely
//!   storage     sessions at the printer, and what was learnt of it
//!   transfer    one file: its room, its part, its bytes (`intake`, `preview`), its proof
//! record      the transactions and their events
//! verify      afterwards and at low priority: the checksums of the whole
//! sweep       before anything else at a start: records and bytes agree again
//! ```
//! **One session at a printer** ([`crate::printers::slots`]), at most [`TRANSFERS_MAX`] at once over all printers.
//! **Order**: the print that a printer is at, then what people asked for, then the rest; within these the oldest first.
//! **Bounds**: [`OPEN_MAX`] open requests, [`PREVIEWS_MAX`] previews of [`PREVIEW_BYTES_MAX`] bytes; a file is never held.
//! **A restart** loses nothing but the minutes of the running rounds: requests are records, bytes are parts of the same
//! name, and both are found again.
//!
//! Not here: which names a print's file may have (`printers::bambu::files`), whether a print's file is fetched by itself
//! (`auto_download`), thumbnails and metadata, listings.

#[cfg(test)]
mod crash;
mod desk;
mod dispatcher;
mod intake;
mod plan;
mod preview;
mod record;
mod shared;
mod storage;
mod sweep;
mod transfer;
mod verify;
mod worker;

pub use desk::{Desk, DeskError, OPEN_MAX};
pub use dispatcher::{Deps, run};
pub use record::trigger;
pub use shared::{PREVIEW_BYTES_MAX, PREVIEWS_MAX, PreviewPicture, Progress};
pub use sweep::{Swept, sweep};
pub use verify::{VerifyDeps, verify};
pub use worker::Config;

/// Transfers at once, over all printers: more make each slower on the appliance's one core and its wireless network.
pub const TRANSFERS_MAX: usize = 4;
