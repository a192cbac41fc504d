//! Opening a data directory: lock, check after an unclean end, restore after damage.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableError};
use smol::channel::bounded;

use super::backup::Backups;
use super::env::{Env, guarded};
use super::error::StoreError;
use super::files::{self, Boxed, OpenFailure, Paths};
use super::group::{Position, create_tables, write_counters};
use super::handle::{QUEUE_MAX, Store};
use super::job_totals;
use super::journal::JOURNAL_MAX;
use super::record::Damage;
use super::refuge::RefusalCell;
use super::run_state::{Found, RunState};
use super::stats::StoreStats;
use super::tables::{Key as _, Table, meta};
use super::thread::{Hooks, Publish, StoreThread, Worker};
use super::txn::Counters;
use crate::base::clock::Clock;
use crate::base::latest::Latest;
use crate::base::zone::Zone;

/// redb's page cache. It keeps the upper pages of all tables; twice as much costs 0.6 MB and makes nothing measurably faster
/// (docs/storage.md). Its own default is 1 GiB.
pub const CACHE_BYTES: usize = 512 * 1024;

/// How long a group stays open after its first write. Zero: a group is what queued up while the last commit ran, which on
/// a card that needs 10-100 ms a commit groups by itself (docs/storage.md has the figures).
pub const GROUP_WINDOW: Duration = Duration::ZERO;

/// By how much `seq` jumps when the records are older than what may have been announced. A day has a few thousand durable
/// events; a client that names a `seq` from before the jump gets `gap`.
pub const SEQ_JUMP: u64 = 1_000_000;

/// The same for the numbers of jobs.
pub const JOB_JUMP: u64 = 1_000;

/// The same for the numbers of printers.
pub const PRINTER_JUMP: u64 = 100;

/// The format of the file as a whole: which tables there are and what their keys mean. Records have versions of their own.
pub(super) const FORMAT: u64 = 1;

/// How to open a store.
pub struct StoreOptions {
    /// The data directory; made if need be.
    pub dir: PathBuf,
    /// The clocks.
    pub clock: Clock,
    /// Whose days the statistics of jobs count by.
    pub zone: Zone,
    /// Called on the store's thread for every committed event in the order of `seq`. It must not wait and not call the store.
    pub publish: Publish,
    /// Other storage than the file in `dir`: for tests.
    pub backend: Option<Box<dyn StorageBackend>>,
    /// Bytes of redb's page cache.
    pub cache_bytes: usize,
    /// Events that the journal keeps.
    pub journal_max: u64,
    /// How long a group stays open after its first write.
    pub group_window: Duration,
    /// For tests.
    pub hooks: Hooks,
}

impl StoreOptions {
    /// The usual options for a data directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, clock: Clock, publish: Publish) -> StoreOptions {
        StoreOptions {
            dir: dir.into(),
            clock,
            zone: Zone::default(),
            publish,
            backend: None,
            cache_bytes: CACHE_BYTES,
            journal_max: JOURNAL_MAX,
            group_window: GROUP_WINDOW,
            hooks: Hooks::default(),
        }
    }
}

/// What was found at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the last run ended in order. True at the very first start.
    pub previous_shutdown_clean: bool,
    /// Whether the directory was empty.
    pub first_start: bool,
    /// Whether every page of the file was checked.
    pub integrity_checked: bool,
    /// How long opening took, in milliseconds.
    pub opened_in_ms: u64,
    /// What was wrong with the file, if it had to be replaced.
    pub damage: Option<Arc<str>>,
    /// Where the damaged file is now.
    pub damaged_file: Option<PathBuf>,
    /// Whether the records come from a backup: what was recorded since then is lost.
    pub restored_from_backup: bool,
    /// Whether the records had to be begun anew: there was no usable backup.
    pub started_empty: bool,
    /// Whether `seq` and the other numbers jumped ahead, because the records are older than what may have been announced.
    pub numbers_jumped: bool,
}

/// An open store.
#[derive(Debug)]
pub struct OpenedStore {
    /// The handle.
    pub store: Store,
    /// The owner's end of the thread.
    pub thread: StoreThread,
    /// What was found at the start.
    pub report: OpenReport,
}

impl Store {
    /// Opens the data directory and starts the store's thread. Blocks: it reads the card, after an unclean end the whole file.
    ///
    /// # Errors
    /// [`StoreError::AlreadyOpen`], [`StoreError::Open`], [`StoreError::NewerFormat`]. A damaged file is not an error: see
    /// [`OpenReport`].
    pub fn open(options: StoreOptions) -> Result<OpenedStore, StoreError> {
        let StoreOptions {
            dir,
            clock,
            zone,
            publish,
            backend,
            cache_bytes,
            journal_max,
            group_window,
            hooks,
        } = options;
        let begin = clock.now().mono;
        let paths = Paths { dir };
        fs::create_dir_all(paths.backup_dir())
            .map_err(|error| StoreError::Open(paths.backup_dir(), Arc::from(error.to_string())))?;
        let (run_state, found) = RunState::open(&paths.dir);
        let refusal = RefusalCell::new(None);
        let opening =
            Opening { paths: &paths, cache_bytes, found, zone: &zone, clock: &clock, refusal: &refusal };
        let (database, position, mut report) = match backend {
            Some(backend) => opening.on_backend(backend)?,
            None => opening.on_files()?,
        };
        run_state.begin(position.counters);
        report.opened_in_ms = u64::try_from(clock.now().mono.since(begin).as_millis()).unwrap_or(u64::MAX);

        let zone = zone_of(&database, &zone);
        let env = Arc::new(Env {
            clock,
            zone,
            failed: Latest::new(None),
            refusal,
            damage: Damage::default(),
            stats: Mutex::new(StoreStats::default()),
            heartbeat: AtomicU64::new(0),
            announced: AtomicU64::new(position.counters.seq),
            database: RwLock::new(Some(database)),
        });
        let (sender, requests) = bounded(QUEUE_MAX);
        let store = Store::new(Arc::clone(&env), sender);
        let dir = paths.dir.clone();
        let worker = Worker {
            env,
            requests,
            publish,
            hooks,
            journal_max,
            group_window,
            position,
            backups: Backups::new(paths),
            run_state,
        };
        let thread = worker
            .spawn(store.clone())
            .map_err(|error| StoreError::Open(dir, Arc::from(format!("starting its thread: {error}"))))?;
        Ok(OpenedStore { store, thread, report })
    }
}

struct Opening<'a> {
    paths: &'a Paths,
    cache_bytes: usize,
    found: Option<Found>,
    zone: &'a Zone,
    clock: &'a Clock,
    refusal: &'a RefusalCell,
}

type Opened = (Database, Position, OpenReport);

impl Opening<'_> {
    fn clean(&self) -> bool {
        self.found.is_none_or(|found| found.clean)
    }

    fn open_main(&self, check: bool) -> Result<Database, OpenFailure> {
        files::open_main(&self.paths.main(), self.cache_bytes, check, self.clock, self.refusal)
    }

    fn on_backend(&self, backend: Box<dyn StorageBackend>) -> Result<Opened, StoreError> {
        let mut report = self.report();
        report.integrity_checked = !self.clean();
        let opened = files::open(&self.paths.main(), Boxed(backend), self.cache_bytes, !self.clean())
            .and_then(|database| self.examine(database, false, &mut report));
        match opened {
            Ok((database, position)) => Ok((database, position, report)),
            Err(OpenFailure::Refused(error)) => Err(error),
            Err(OpenFailure::Damaged(cause)) => Err(StoreError::Open(self.paths.main(), cause)),
        }
    }

    /// Opens the main file; a damaged or vanished one is replaced by the newest backup that can be opened, or by nothing.
    fn on_files(&self) -> Result<Opened, StoreError> {
        let mut report = self.report();
        let there = fs::metadata(self.paths.main()).is_ok_and(|data| data.len() > 0);
        let mut expected = self.found.is_some();
        report.first_start &= !there;
        if there {
            // A file that was closed in order is trusted; if that was wrong it is checked, which may mend it.
            let checks: &[bool] = if self.clean() { &[false, true] } else { &[true] };
            for check in checks {
                report.integrity_checked = *check;
                let opened =
                    self.open_main(*check).and_then(|database| self.examine(database, false, &mut report));
                match opened {
                    Ok((database, position)) => return Ok((database, position, report)),
                    Err(OpenFailure::Refused(error)) => return Err(error),
                    Err(OpenFailure::Damaged(cause)) => report.damage = Some(cause),
                }
            }
            let aside = self.paths.set_aside().map_err(|error| self.refused(&error))?;
            log::error!(
                "{} is damaged ({}); it is kept as {}",
                self.paths.main().display(),
                report.damage.as_deref().unwrap_or_default(),
                aside.display()
            );
            report.damaged_file = Some(aside);
            expected = true;
        }
        for backup in [self.paths.backup(), self.paths.backup_old()] {
            if !backup.exists() {
                continue;
            }
            self.paths.put_back(&backup).map_err(|error| self.refused(&error))?;
            report.integrity_checked = true;
            let opened = self.open_main(true).and_then(|database| self.examine(database, true, &mut report));
            match opened {
                Ok((database, position)) => {
                    log::error!("the records were restored from {}; newer ones are lost", backup.display());
                    report.restored_from_backup = true;
                    report.damage.get_or_insert(Arc::from("the file was missing"));
                    return Ok((database, position, report));
                }
                Err(OpenFailure::Refused(error)) => return Err(error),
                Err(OpenFailure::Damaged(cause)) => {
                    log::error!("the backup {} is damaged as well: {cause}", backup.display());
                }
            }
        }
        // What a damaged backup left behind must not be taken for records.
        crate::base::file::remove(&self.paths.main()).map_err(|error| self.refused(&error))?;
        report.integrity_checked = false;
        let opened = self.open_main(false).and_then(|database| self.examine(database, expected, &mut report));
        match opened {
            Ok((database, position)) => {
                report.started_empty = expected;
                if expected {
                    log::error!(
                        "there is no usable backup: the records begin anew, printers have to be added again"
                    );
                    report.damage.get_or_insert(Arc::from("the file was missing"));
                }
                Ok((database, position, report))
            }
            Err(OpenFailure::Refused(error)) => Err(error),
            Err(OpenFailure::Damaged(cause)) => Err(StoreError::Open(self.paths.main(), cause)),
        }
    }

    fn report(&self) -> OpenReport {
        OpenReport {
            previous_shutdown_clean: self.clean(),
            first_start: self.found.is_none(),
            ..OpenReport::default()
        }
    }

    fn refused(&self, error: &std::io::Error) -> StoreError {
        StoreError::Open(self.paths.dir.clone(), Arc::from(error.to_string()))
    }

    /// Reads where the numbers stand, makes missing tables, and lets the numbers jump when the records are older than what
    /// may have been announced: `restored`, or behind what `run-state` remembers.
    fn examine(
        &self,
        database: Database,
        restored: bool,
        report: &mut OpenReport,
    ) -> Result<(Database, Position), OpenFailure> {
        let damaged = |error: redb::Error| OpenFailure::Damaged(Arc::from(error.to_string()));
        let floor = self.found.map(|found| found.floor).unwrap_or_default();
        let read = guarded(|| read_position(&database));
        let read = read.unwrap_or_else(|| Err(Examined::Broken("reading it ended in a panic".to_owned())));
        let stands = match read {
            Ok(stands) => stands,
            Err(Examined::Newer(format)) => {
                return Err(OpenFailure::Refused(StoreError::NewerFormat(format)));
            }
            Err(Examined::Broken(cause)) => return Err(OpenFailure::Damaged(Arc::from(cause))),
        };
        let mut position = stands.position;
        let counters = position.counters;
        let behind = counters.seq < floor.seq || counters.job < floor.job || counters.printer < floor.printer;
        let jump = restored || behind;
        if jump {
            position.counters = Counters {
                seq: counters.seq.max(floor.seq) + SEQ_JUMP,
                job: counters.job.max(floor.job) + JOB_JUMP,
                printer: counters.printer.max(floor.printer) + PRINTER_JUMP,
            };
            position.oldest = position.counters.seq + 1;
            position.changed = true;
        }
        report.numbers_jumped = jump;
        if jump || !stands.complete {
            let prepared = guarded(|| prepare(&database, position.counters, jump));
            let prepared = prepared
                .unwrap_or_else(|| Err(redb::Error::Corrupted("preparing it ended in a panic".to_owned())));
            prepared.map_err(damaged)?;
        }
        let zone = zone_of(&database, self.zone);
        let counted = guarded(|| job_totals::prepare(&database, &zone));
        let counted = counted
            .unwrap_or_else(|| Err(redb::Error::Corrupted("counting the jobs ended in a panic".to_owned())));
        if counted.map_err(damaged)? {
            log::info!("the statistics of the jobs were made anew, by the days of {zone}");
        }
        Ok((database, position))
    }
}

/// The zone that was set while the service ran, or the one that is `given`. What cannot be read or is no zone does not count;
/// the checks of the file name damage, not this.
fn zone_of(database: &Database, given: &Zone) -> Zone {
    let kept = || -> Option<Zone> {
        let rows = database.begin_read().ok()?.open_table(Table::Settings.definition()).ok()?;
        let value = rows.get(super::settings::ZONE_SETTING.as_bytes()).ok()??;
        std::str::from_utf8(value.value()).ok()?.parse().ok()
    };
    guarded(kept).flatten().unwrap_or_else(|| given.clone())
}

enum Examined {
    Newer(u64),
    Broken(String),
}

struct Stands {
    position: Position,
    /// Whether format and all tables are there.
    complete: bool,
}

fn read_position(database: &Database) -> Result<Stands, Examined> {
    let broken = |error: redb::Error| Examined::Broken(error.to_string());
    let file = database.begin_read().map_err(|error| broken(error.into()))?;
    let mut complete = true;
    for table in Table::ALL {
        match file.open_table(table.definition()) {
            Ok(_) => {}
            Err(TableError::TableDoesNotExist(_)) => complete = false,
            Err(error) => return Err(broken(error.into())),
        }
    }
    let mut counters = Counters::default();
    match file.open_table(Table::Meta.definition()) {
        Ok(rows) => {
            let number = |row: &[u8]| -> Result<Option<u64>, Examined> {
                let value = rows.get(row).map_err(|error| broken(error.into()))?;
                Ok(value.and_then(|value| u64::from_bytes(value.value())))
            };
            match number(meta::FORMAT)? {
                Some(format) if format > FORMAT => return Err(Examined::Newer(format)),
                Some(_) => {}
                None => complete = false,
            }
            counters.seq = number(meta::SEQ)?.unwrap_or(0);
            counters.job = number(meta::LAST_JOB)?.unwrap_or(0);
            counters.printer = number(meta::LAST_PRINTER)?.unwrap_or(0);
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(broken(error.into())),
    }
    let mut oldest = counters.seq + 1;
    match file.open_table(Table::Journal.definition()) {
        Ok(journal) => {
            let first = journal.first().map_err(|error| broken(error.into()))?;
            let first = first.and_then(|(key, _)| u64::from_bytes(key.value()));
            oldest = first.unwrap_or(oldest);
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(broken(error.into())),
    }
    Ok(Stands { position: Position { counters, oldest, changed: false }, complete })
}

/// Makes tables and format; after a jump also writes the numbers and empties the journal, which would have a hole otherwise.
fn prepare(database: &Database, counters: Counters, jump: bool) -> Result<(), redb::Error> {
    let file = database.begin_write()?;
    if jump {
        file.delete_table(Table::Journal.definition())?;
    }
    create_tables(&file)?;
    {
        let mut rows = file.open_table(Table::Meta.definition())?;
        rows.insert(meta::FORMAT, FORMAT.to_bytes().as_slice())?;
        write_counters(&mut rows, counters)?;
        for (row, by) in meta::NUMBERS.into_iter().filter(|_| jump) {
            let last = rows.get(row)?.and_then(|last| u64::from_bytes(last.value())).unwrap_or(0);
            rows.insert(row, (last + by).to_bytes().as_slice())?;
        }
    }
    file.commit()?;
    Ok(())
}

/// Readies records that come from elsewhere: their numbers jump ahead of what may have been announced since they were carried
/// away.
pub(super) fn prepare_after_jump(database: &Database) -> Result<(), String> {
    let stands = read_position(database).map_err(|examined| match examined {
        Examined::Newer(format) => format!("the records have format {format}"),
        Examined::Broken(cause) => cause,
    })?;
    let counters = stands.position.counters;
    let counters = Counters {
        seq: counters.seq.saturating_add(SEQ_JUMP),
        job: counters.job.saturating_add(JOB_JUMP),
        printer: counters.printer.saturating_add(PRINTER_JUMP),
    };
    prepare(database, counters, true).map_err(|error| error.to_string())
}
