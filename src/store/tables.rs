//! The tables: names, keys, and the little of redb's types that the other files need.
//!
//! Every table maps bytes to bytes. Keys are fixed-width big-endian numbers or short texts, so that their byte order is
//! their order; values begin with a version byte.

use redb::TableDefinition;

use crate::model::{ConsumptionId, FetchId, FileId, JobId, MaterialId, PrinterId};

/// Bytes of a key: room for a checksum and two numbers.
pub(super) const KEY_BYTES_MAX: usize = 64;

/// The bytes of a key.
pub type KeyBytes = heapless::Vec<u8, KEY_BYTES_MAX>;

/// A table of redb as this store uses it.
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Declares the tables once: variant, name in the file, meaning.
macro_rules! tables {
    ($($variant:ident $name:literal $doc:literal;)+) => {
        /// The tables of the file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Table {
            $(#[doc = $doc] $variant,)+
        }

        impl Table {
            /// Every table.
            pub const ALL: &'static [Table] = &[$(Table::$variant,)+];

            /// Its name in the file. Never changed and never used again for something else.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Table::$variant => $name,)+ }
            }
        }
    };
}

tables! {
    Meta "meta" "Counters, event counts, the index of jobs that are not over: small rows that share one page of the file.";
    Journal "journal" "`seq` to the JSON of a durable event.";
    Printers "printers" "Printers of the list.";
    Jobs "jobs" "Jobs.";
    Tracks "tracks" "What is remembered of a printer between two reports.";
    Settings "settings" "Settings by short names.";
    Files "files" "Versions of files.";
    Contents "contents" "Bytes on the card, by checksum.";
    Figures "figures" "What was found in a content for a plate.";
    Fetches "fetches" "Requests for files on printers.";
    FileIndex "file_index" "Files by content, by path and by pending work; open fetches; fetches by job.";
    Materials "materials" "Spools.";
    Consumptions "consumptions" "What was taken from the spools.";
    Library "library" "Contents that somebody wants to keep, by checksum.";
    JobTotals "job_totals" "What the jobs of a printer, a day and all come to.";
}

impl Table {
    pub(super) fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }

    /// Whether a change in it is worth a new backup: the journal is not part of the backup, and what is remembered of a printer is
    /// outdated within a minute.
    pub(super) fn counts_for_backup(self) -> bool {
        !matches!(self, Table::Journal | Table::Tracks)
    }
}

/// What records are found by.
pub trait Key: Copy + std::fmt::Debug + Send + 'static {
    /// The bytes; their order is the order of the keys.
    fn to_bytes(self) -> KeyBytes;
    /// Reads them back.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl Key for u64 {
    fn to_bytes(self) -> KeyBytes {
        key(&self.to_be_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    }
}

macro_rules! numbered {
    ($($name:ident)+) => {$(
        impl Key for $name {
            fn to_bytes(self) -> KeyBytes {
                self.0.to_bytes()
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                u64::from_bytes(bytes).map($name)
            }
        }
    )+};
}

numbered! { PrinterId JobId FileId FetchId MaterialId ConsumptionId }

/// `bytes` as a key, cut at [`KEY_BYTES_MAX`]; callers pass constants, numbers and checked names.
pub(super) fn key(bytes: &[u8]) -> KeyBytes {
    let mut key = KeyBytes::new();
    for byte in bytes {
        if key.push(*byte).is_err() {
            debug_assert!(false, "a key of {} bytes", bytes.len());
            break;
        }
    }
    key
}

/// Rows of [`Table::Meta`].
pub(super) mod meta {
    use super::{Key, KeyBytes, key};
    use crate::model::{JobId, PrinterId};

    /// The format of the file as a whole.
    pub(in crate::store) const FORMAT: &[u8] = b"format";
    /// The newest `seq`.
    pub(in crate::store) const SEQ: &[u8] = b"seq";
    /// The last job number given out.
    pub(in crate::store) const LAST_JOB: &[u8] = b"last_job";
    /// The last printer number given out.
    pub(in crate::store) const LAST_PRINTER: &[u8] = b"last_printer";
    /// The last file number given out.
    pub(in crate::store) const LAST_FILE: &[u8] = b"last_file";
    /// The last fetch number given out.
    pub(in crate::store) const LAST_FETCH: &[u8] = b"last_fetch";
    /// Numbers that are given out from rows of their own, and how far they jump when records turn out to be older than
    /// what may have been announced.
    pub(in crate::store) const NUMBERS: [(&[u8], u64); 5] = [
        (LAST_FILE, 10_000),
        (LAST_FETCH, 1_000),
        (LAST_MATERIAL, 1_000),
        (LAST_CONSUMPTION, 1_000),
        (LAST_LIBRARY, 1_000),
    ];
    /// The last number of an entry of the library given out.
    pub(in crate::store) const LAST_LIBRARY: &[u8] = b"last_library";
    /// Before the name of an event: how often it was announced ever.
    pub(in crate::store) const COUNT: &[u8] = b"count/";
    /// Before the number of a job that is not over; the value is its printer's number.
    pub(in crate::store) const OPEN_JOB: &[u8] = b"open_job/";
    /// Before the number of a job whose filament is still to be booked.
    pub(in crate::store) const UNBOOKED_JOB: &[u8] = b"unbooked_job/";
    /// Version and time zone under which the sums of jobs are true.
    pub(in crate::store) const JOB_TOTALS: &[u8] = b"job_totals";
    /// The last spool number given out.
    pub(in crate::store) const LAST_MATERIAL: &[u8] = b"last_material";
    /// The last booking number given out.
    pub(in crate::store) const LAST_CONSUMPTION: &[u8] = b"last_consumption";
    /// Before the numbers of a printer and a slot; the value is the number of the spool in it.
    pub(in crate::store) const SLOT: &[u8] = b"slot/";

    pub(in crate::store) fn count(name: &str) -> KeyBytes {
        prefixed(COUNT, name.as_bytes())
    }

    pub(in crate::store) fn open_job(id: JobId) -> KeyBytes {
        prefixed(OPEN_JOB, &id.to_bytes())
    }

    pub(in crate::store) fn unbooked_job(id: JobId) -> KeyBytes {
        prefixed(UNBOOKED_JOB, &id.to_bytes())
    }

    pub(in crate::store) fn slot(printer: PrinterId, slot: u16) -> KeyBytes {
        let mut rest = printer.to_bytes();
        let fits = rest.extend_from_slice(&slot.to_be_bytes());
        debug_assert!(fits.is_ok(), "a key beyond its maximum");
        prefixed(SLOT, &rest)
    }

    /// Printer and slot, from what follows the prefix of a row.
    pub(in crate::store) fn slot_from(rest: &[u8]) -> Option<(PrinterId, u16)> {
        let (printer, slot) = rest.split_at_checked(8)?;
        Some((PrinterId::from_bytes(printer)?, u16::from_be_bytes(slot.try_into().ok()?)))
    }

    fn prefixed(prefix: &[u8], rest: &[u8]) -> KeyBytes {
        let mut bytes = key(prefix);
        // Names of events are constants of the catalogue, far shorter than a key may be.
        let fits = bytes.extend_from_slice(rest);
        debug_assert!(fits.is_ok(), "a key beyond its maximum");
        bytes
    }
}

/// The first key behind all keys that begin with `prefix`.
pub(super) fn behind(prefix: &[u8]) -> KeyBytes {
    let mut end = key(prefix);
    if let Some(last) = end.last_mut() {
        // Our prefixes end in a letter or a slash, never in 0xff.
        *last = last.saturating_add(1);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_their_numbers() {
        let mut keys: Vec<KeyBytes> = [1, 255, 256, u64::MAX, 0].map(|id| JobId(id).to_bytes()).into();
        keys.sort();
        let ids: Vec<u64> = keys.iter().map(|key| JobId::from_bytes(key).unwrap().0).collect();
        assert_eq!(ids, [0, 1, 255, 256, u64::MAX]);
        assert!(JobId::from_bytes(b"short").is_none());
        assert!(meta::count("job_created") < behind(meta::COUNT));
        assert!(meta::open_job(JobId(u64::MAX)) < behind(meta::OPEN_JOB));
        let row = meta::slot(PrinterId(255), 254);
        assert_eq!(meta::slot_from(row.strip_prefix(meta::SLOT).unwrap()), Some((PrinterId(255), 254)));
    }

    #[test]
    fn every_event_name_fits_a_key() {
        for (name, ..) in crate::events::CATALOGUE {
            assert!(name.len() + meta::COUNT.len() <= KEY_BYTES_MAX, "{name}");
        }
    }
}
