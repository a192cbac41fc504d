//! The records, their journal, and the only place that knows redb and postcard. `docs/storage.md` is the specification.
//!
//! - *Write, then announce.* A closure passed to [`Store::write`] changes records and emits events; both are one transaction
//!   together with the next `seq`. The events are published after the commit, in the order of their `seq`.
//! - One thread, named `store`, writes. Closures that are queued while a commit runs share the next one. It never waits for a
//!   subscriber, a printer or the network.
//! - A closure that fails or panics leaves nothing behind; the others of its group are untouched.
//! - What the card refuses is kept in memory until it takes it ([`Store::refusal`]): the watching goes on. Any other error of the
//!   file ends the service: the handle of redb is poisoned, nothing is announced that was not committed, and [`Store::failed`]
//!   tells the app, which ends the process.
//!
//! Not here: what a record means, when it is written, which event it deserves. That is decided by the rooms above.
//!
//! Bounds: [`QUEUE_MAX`] requests wait, [`GROUP_MAX`] share a commit, a closure changes [`CHANGES_PER_CLOSURE_MAX`] rows and
//! emits [`EVENTS_PER_CLOSURE_MAX`] events, a record has [`RECORD_BYTES_MAX`] bytes, an event [`EVENT_BYTES_MAX`], the
//! journal [`JOURNAL_MAX`] events, redb's cache [`CACHE_BYTES`]. The number of jobs is bounded by the jobs room.

mod backup;
pub mod blobs;
mod env;
mod error;
mod file_list;
mod files;
mod group;
mod handle;
mod import;
mod job_totals;
mod journal;
mod open;
mod read;
mod record;
mod records;
mod refuge;
mod run_state;
mod settings;
mod snapshot;
mod stats;
mod tables;
mod thread;
mod trace;
mod txn;
mod view;

#[cfg(test)]
pub(crate) mod tests;

pub use backup::BackupReport;
pub use blobs::{Blobs, ThumbSize};
pub use error::{DecodeError, RecordError, StoreError};
pub use file_list::{FILES_PAGE_MAX, FileFigures, FileFilter, FileOrder, SORTED_DEPTH_MAX, has_thumbnail};
pub use files::MAIN as MAIN_FILE;
pub use handle::{QUEUE_MAX, QUEUE_WAIT, Store};
pub use import::{Import, ImportError, put_in_place};
pub use job_totals::{DAYS_READ_MAX, JobTotals, ReadJobTotals, TOTALS_PRINTERS_MAX};
pub use journal::{EVENT_BYTES_MAX, JOURNAL_MAX, JOURNAL_PAGE_MAX, JOURNAL_SLACK, JournalPage, StoredEvent};
pub use open::{
    CACHE_BYTES, GROUP_WINDOW, JOB_JUMP, OpenReport, OpenedStore, PRINTER_JUMP, SEQ_JUMP, StoreOptions,
};
pub use read::{OPEN_JOBS_READ_MAX, RawRead, Read, SLOTS_READ_MAX, Span, UNBOOKED_READ_MAX};
pub use record::{RECORD_BYTES_MAX, Record, body, versioned};
pub use records::{INDEXED_READ_MAX, LIBRARY_PAGE_MAX, LibraryPage, ReadFiles};
pub use refuge::Refusal;
pub use settings::{SETTING_BYTES_MAX, SETTING_NAME_MAX, SettingsStorage, ZONE_SETTING};
pub use snapshot::{Row, SECRET_SETTINGS, Snapshot, VisitError};
pub use stats::StoreStats;
pub use tables::{Key, KeyBytes, Table};
pub use thread::{GROUP_MAX, Hooks, Publish, StoreThread};
pub use trace::{TRACE_EVENTS_MAX, Trace, TracedEvent};
pub use txn::{CHANGES_PER_CLOSURE_MAX, EVENTS_PER_CLOSURE_MAX, Txn};
pub use view::{JOBS_PAGE_MAX, JobFilter, View};
