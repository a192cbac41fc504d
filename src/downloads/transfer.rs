//! One file: its room, its part, its bytes, its proof.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use super::desk;
use super::intake::{Intake, Sameness};
use super::preview::Teller;
use super::record;
use super::shared::Progress;
use super::storage::{Got, StorageError, Trouble, What};
use super::worker::{Arrived, Env, Work};
use crate::base::clock::{Mono, within};
use crate::events::{Event, FileDownloadProgress};
use crate::formats::{self, Kind, PlateHint};
use crate::model::{Checksum, Content, Fetch, FetchKind, FileId, FileSource, PrinterType, Wanted};
use crate::printers::bambu::files::Found;
use crate::store::{Read as _, ReadFiles as _, StoreError, blobs};

/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// The room on the card is looked at again after so many bytes.
const ROOM_EVERY: u64 = 16 * 1024 * 1024;

/// Why a file was not taken.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not the wanted one.
    Rejected(String),
    /// The round is over.
    Trouble(Trouble),
    /// The records cannot be used.
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

impl Fault {
    fn new(kind: FetchKind, words: impl Into<String>) -> Fault {
        Fault::Trouble(Trouble::passing(kind, words))
    }

    /// An error of the card.
    fn card(error: &io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Fault::new(FetchKind::NoSpace, "the appliance's card is full")
            }
            io::ErrorKind::FileTooLarge => {
                Fault::new(FetchKind::TooLarge, "the appliance's card cannot hold a file that large")
            }
            _ => {
                Fault::new(FetchKind::Interrupted, format!("the appliance's card cannot be written: {error}"))
            }
        }
    }
}

/// Whose bytes the part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartNote {
    path: Vec<u8>,
    size: u64,
}

/// What is kept of a file that may be the same.
struct Kept {
    id: FileId,
    content: Content,
}

/// Bytes that a next transfer need not fetch again, as far as that can be told before the printer is asked.
pub(super) fn resumable(work: &Work<'_>) -> u64 {
    if work.storage.knowledge().restart == Some(false) { 0 } else { part_length(work) }
}

fn part_length(work: &Work<'_>) -> u64 {
    std::fs::metadata(work.env.blobs.part(&work.fetch.id.to_string())).map_or(0, |part| part.len())
}

/// Fetches a file, proves it, and puts it into its place.
pub(super) fn take(work: &mut Work<'_>, found: &Found) -> Result<Arrived, Fault> {
    let config = work.env.config;
    let looked = work.env.clock.now().mono;
    if found.size > config.file_bytes_max {
        let words = format!("the file has {} bytes, more than is fetched", found.size);
        return Err(Fault::Trouble(Trouble { kind: FetchKind::TooLarge, words, lasting: true }));
    }
    check_room(work.env, found.size.saturating_sub(part_length(work)))?;
    let kept = kept(work, found)?;
    let (intake, same) = Bytes { work, found, kept: kept.as_ref() }.fetch()?;
    if let Some(kept) = kept.filter(|_| same) {
        drop(intake);
        work.drop_part();
        return Ok(arrived(work, found, kept.content, found.plate, true));
    }
    work.part = Some(PartNote { path: found.path.clone(), size: found.size });
    let head = intake.head();
    let (mut file, checksum) = intake.finish().map_err(|error| Fault::card(&error))?;
    second_look(work, found, &mut file, looked)?;
    let (plate, plate_md5) = prove(work, found, &mut file)?;
    drop(file);
    let extension = blobs::extension(&name_of(work, found));
    let content = Content {
        checksum,
        size: found.size,
        head,
        plate_md5,
        extension,
        verified: None,
        damage: None,
        kept_at: work.env.clock.now().wall,
    };
    let content = keep(work, content)?;
    Ok(arrived(work, found, content, plate, false))
}

fn arrived(
    work: &Work<'_>,
    found: &Found,
    content: Content,
    plate: Option<u32>,
    deduplicated: bool,
) -> Arrived {
    let seconds = work.env.clock.now().mono.since(work.began).as_secs_f64();
    let (path, name) = (found.path.clone(), name_of(work, found));
    Arrived { path, name, content, plate, seconds, deduplicated }
}

/// The name people know the file by. A Prusa printer's paths have short names, or none at their end.
fn name_of(work: &Work<'_>, found: &Found) -> String {
    match (&work.fetch.wanted, work.kind) {
        (Wanted::Print { .. }, PrinterType::PrusaLink) => work.fetch.filename.clone(),
        (Wanted::Print { .. }, PrinterType::BambuLab) | (Wanted::Path(_), _) => desk::name_of(&found.path),
    }
}

/// Whether the card has room for so many more bytes.
fn check_room(env: &Env, bytes: u64) -> Result<(), Fault> {
    let free = match env.blobs.free_bytes() {
        Ok(free) => free,
        Err(error) => {
            // Writing will tell.
            log::warn!("the room on the card is not known: {error}");
            return Ok(());
        }
    };
    if free < bytes.saturating_add(env.config.reserve_bytes.max(env.shared.reserve())) {
        let words = format!(
            "the file needs {bytes} bytes and the appliance's card has {free} left; delete some files"
        );
        return Err(Fault::new(FetchKind::NoSpace, words));
    }
    Ok(())
}

/// The newest version of that path, if its bytes are here and it has the same size.
fn kept(work: &Work<'_>, found: &Found) -> Result<Option<Kept>, Fault> {
    let source = FileSource::Printer(work.fetch.printer_id);
    let kept = work.env.store.read_blocking(|view| {
        let file = view.newest_file(source, &found.path)?.filter(|file| file.status.is_kept());
        let Some(file) = file else { return Ok(None) };
        let Some(checksum) = file.content else { return Ok(None) };
        let content = view.get::<Content>(checksum)?;
        Ok::<_, StoreError>(content.map(|content| Kept { id: file.id, content }))
    });
    let kept = match kept {
        Ok(kept) => kept,
        // A record that cannot be read is as good as none.
        Err(StoreError::Record(_)) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(kept.filter(|kept| {
        let place = work.env.blobs.content(kept.content.checksum, &kept.content.extension);
        kept.content.size == found.size
            && kept.content.verified != Some(false)
            && std::fs::metadata(place).is_ok_and(|there| there.len() == found.size)
    }))
}

/// The bytes of one file on their way.
struct Bytes<'w, 'e, 'f> {
    work: &'w mut Work<'e>,
    found: &'f Found,
    kept: Option<&'f Kept>,
}

impl Bytes<'_, '_, '_> {
    /// Fetches them; answers them, and whether they turned out to be here already.
    fn fetch(mut self) -> Result<(Intake, bool), Fault> {
        let length = self.usable_part();
        if length > 0 {
            let part = self.open_part()?;
            let resumed = Intake::resume(part, length, self.hint()).map_err(|error| Fault::card(&error))?;
            let (mut intake, tail) = resumed;
            if length == self.found.size && self.work.part.is_some() {
                // Everything came in an earlier round; only the proof was missing.
                return Ok((intake, false));
            }
            match self.pull(&mut intake, length.saturating_sub(tail.len() as u64), &tail) {
                Ok(same) => return Ok((intake, same)),
                Err(Stop::Elsewhere) => log::info!("{}: begins anew", self.work.fetch.id),
                Err(Stop::Fault(fault)) => return Err(self.leave(intake, fault)),
            }
        }
        let part = self.open_part()?;
        let mut intake = Intake::new(part, self.hint()).map_err(|error| Fault::card(&error))?;
        match self.pull(&mut intake, 0, &[]) {
            Ok(same) => Ok((intake, same)),
            Err(Stop::Elsewhere) => Err(Fault::new(FetchKind::Interrupted, "the bytes do not fit together")),
            Err(Stop::Fault(fault)) => Err(self.leave(intake, fault)),
        }
    }

    /// Keeps what has come for the next round, unless it is of no use.
    fn leave(&mut self, intake: Intake, fault: Fault) -> Fault {
        let useless = matches!(&fault, Fault::Trouble(trouble) if trouble.kind == FetchKind::SizeMismatch);
        if useless || intake.leave().is_err() {
            self.work.drop_part();
        } else {
            self.work.part = Some(PartNote { path: self.found.path.clone(), size: self.found.size });
        }
        fault
    }

    fn open_part(&self) -> Result<File, Fault> {
        let name = self.work.fetch.id.to_string();
        self.work.env.blobs.open_part(&name).map_err(|error| Fault::card(&error))
    }

    fn hint(&self) -> PlateHint {
        let file = match &self.work.fetch.wanted {
            Wanted::Print { start, .. } => start.file.clone().filter(|file| file.contains("plate_")),
            Wanted::Path(_) => None,
        };
        PlateHint { index: self.found.plate, gcode_file: file }
    }

    /// Bytes of the part that this file can be continued from.
    fn usable_part(&self) -> u64 {
        let length = part_length(self.work);
        if length == 0 || length > self.found.size {
            return 0;
        }
        let can_restart = self.work.storage.knowledge().restart != Some(false);
        let usable = match &self.work.part {
            Some(note) if note.path == self.found.path && note.size == self.found.size => {
                can_restart || length == self.found.size
            }
            Some(_) => false,
            // From before a restart. Only an archive shows by itself that head and tail belong together.
            None => can_restart && self.part_is_checked(),
        };
        if usable { length } else { 0 }
    }

    /// Whether the part begins like a file that carries checksums.
    fn part_is_checked(&self) -> bool {
        let part = File::open(self.work.env.blobs.part(&self.work.fetch.id.to_string()));
        let mut start = [0; 4];
        let read = part.and_then(|mut part| part.read_exact(&mut start));
        read.is_ok() && (start.starts_with(b"PK") || &start == b"GCDE")
    }

    /// One transfer from `offset` on, whose first bytes have to be `tail`. Answers whether it turned out to be needless.
    fn pull(&mut self, intake: &mut Intake, offset: u64, tail: &[u8]) -> Result<bool, Stop> {
        let Bytes { work, found, kept } = self;
        let teller = Teller::new(work);
        let mut flow = Flow {
            env: work.env,
            fetch: &work.fetch,
            cause: work.cause,
            found,
            kept: *kept,
            intake,
            expected: tail,
            watches: kept.is_some() && offset == 0,
            teller,
            told: (work.env.clock.now().mono, offset),
            room_at: offset.saturating_add(ROOM_EVERY),
            outcome: None,
        };
        flow.progress(true);
        let got = work.storage.get(&found.path, offset, found.size, &mut |bytes| flow.take(bytes));
        let (outcome, told) = (flow.outcome.take(), flow.finish(&got));
        match (got, outcome) {
            (_, Some(outcome)) => outcome,
            (Ok(Got::Whole), None) => told.map(|()| false),
            (Ok(Got::Stopped), None) => Err(Stop::Elsewhere),
            // It cannot begin in the middle after all.
            (Err(error), None) if error.what == What::Unsupported && offset > 0 => Err(Stop::Elsewhere),
            (Err(error), None) => Err(Stop::Fault(Fault::Trouble(error.trouble))),
        }
    }
}

/// Why a transfer brought nothing that can be used.
enum Stop {
    /// The bytes do not continue the part.
    Elsewhere,
    Fault(Fault),
}

/// Bytes on their way into the intake.
struct Flow<'a> {
    env: &'a Env,
    fetch: &'a Fetch,
    cause: u64,
    found: &'a Found,
    kept: Option<&'a Kept>,
    intake: &'a mut Intake,
    /// What the first bytes have to be: the end of the part that is continued.
    expected: &'a [u8],
    /// Whether the file may turn out to be here already.
    watches: bool,
    teller: Teller,
    /// When progress was told last, and how many bytes were here then.
    told: (Mono, u64),
    room_at: u64,
    /// Why no more bytes are wanted: the file is here (`true`), or something is wrong.
    outcome: Option<Result<bool, Stop>>,
}

impl Flow<'_> {
    /// Takes the next bytes; answers whether more are wanted.
    fn take(&mut self, bytes: &[u8]) -> bool {
        match self.step(bytes) {
            Ok(false) => true,
            Ok(true) => {
                self.outcome = Some(Ok(true));
                false
            }
            Err(stop) => {
                self.outcome = Some(Err(stop));
                false
            }
        }
    }

    /// The same; answers whether the file is here already.
    fn step(&mut self, mut bytes: &[u8]) -> Result<bool, Stop> {
        if !self.expected.is_empty() {
            let overlap = bytes.len().min(self.expected.len());
            let (again, new) = bytes.split_at(overlap);
            let (wanted, rest) = self.expected.split_at(overlap);
            if again != wanted {
                return Err(Stop::Elsewhere);
            }
            (bytes, self.expected) = (new, rest);
        }
        let news = self.intake.push(bytes).map_err(|error| Stop::Fault(Fault::card(&error)))?;
        self.tell(news, false)?;
        if let Some(kept) = self.kept.filter(|_| self.watches) {
            let is_archive = kept.content.extension.ends_with("3mf");
            match self.intake.sameness(&kept.content, is_archive, self.found.plate) {
                Sameness::Open => {}
                Sameness::Unknown => self.watches = false,
                Sameness::Same => return Ok(true),
            }
        }
        self.progress(false);
        if self.intake.bytes() >= self.room_at {
            self.room_at = self.room_at.saturating_add(ROOM_EVERY);
            check_room(self.env, 0).map_err(Stop::Fault)?;
        }
        Ok(false)
    }

    /// The last bytes have come: what was found is told now.
    fn finish(&mut self, got: &Result<Got, StorageError>) -> Result<(), Stop> {
        if matches!(got, Ok(Got::Whole)) { self.tell(false, true) } else { Ok(()) }
    }

    fn tell(&mut self, news: bool, last: bool) -> Result<(), Stop> {
        self.teller
            .look(self.env, self.fetch, self.cause, self.intake, self.found.plate, news, last)
            .map_err(|error| Stop::Fault(error.into()))
    }

    /// Tells how far it is, when it is time.
    fn progress(&mut self, first: bool) {
        let (at, before) = self.told;
        let (now, bytes) = (self.env.clock.now().mono, self.intake.bytes());
        let passed = now.since(at);
        if !first && (passed < PROGRESS_EVERY || bytes == before) {
            return;
        }
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let rate = bytes.saturating_sub(before).saturating_mul(1000).checked_div(millis);
        let file_id = self.kept.map(|kept| kept.id);
        let progress = Progress {
            file_id,
            bytes,
            file_size: Some(self.found.size),
            rate_bytes_s: rate.filter(|_| !first),
        };
        self.env.shared.note(self.fetch.id, progress);
        self.told = (now, bytes);
        if !first {
            let event = FileDownloadProgress {
                file_id,
                printer_id: self.fetch.printer_id,
                filename: self.fetch.filename.clone(),
                bytes,
                file_size: progress.file_size,
                rate_bytes_s: progress.rate_bytes_s,
            };
            self.env.announcer.state(Event::FileDownloadProgress(event), Some(record::flow(self.fetch)));
        }
    }
}

/// The printer's size for the file once more: a file that still grows is not whole, whatever has come of it.
fn second_look(work: &mut Work<'_>, found: &Found, file: &mut File, looked: Mono) -> Result<(), Fault> {
    let has_end = starts_with(file, b"PK").map_err(|error| Fault::card(&error))?;
    let settled = looked.after(work.env.config.settle);
    let now = work.env.clock.now().mono;
    if !has_end && now < settled {
        let cancel = work.cancel.clone();
        let waited = smol::block_on(within(&work.env.clock, settled.since(now), cancel.cancelled()));
        if waited.is_some() {
            return Err(Fault::new(FetchKind::Cancelled, "the download was cancelled"));
        }
    }
    match work.storage.size(&found.path) {
        Ok(size) if size == found.size => Ok(()),
        Ok(size) => {
            work.drop_part();
            let words =
                format!("the file had {} bytes and now has {size}; it is still being written", found.size);
            Err(Fault::new(FetchKind::SizeMismatch, words))
        }
        Err(error) => match error.what {
            // Without sizes the transfer's own end has to do.
            What::Unsupported => Ok(()),
            What::NotFound => Err(Fault::new(
                FetchKind::NotFound,
                "the file vanished from the printer while it was fetched",
            )),
            What::Other => Err(Fault::Trouble(error.trouble)),
        },
    }
}

fn starts_with(file: &mut File, start: &[u8]) -> io::Result<bool> {
    let mut read = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(start.len() as u64).read_to_end(&mut read)?;
    Ok(read == start)
}

/// The plate that is printed, and the MD5 that the archive gives for each plate's G-code.
type Proof = (Option<u32>, Vec<(u32, [u8; 16])>);

/// Looks whether the archive is whole and holds the plate.
fn prove(work: &mut Work<'_>, found: &Found, file: &mut File) -> Result<Proof, Fault> {
    let name = name_of(work, found);
    let is_archive = blobs::extension(&name).ends_with("3mf");
    let held = match formats::plates(file) {
        Ok(Some(held)) => held,
        Ok(None) if is_archive => {
            work.drop_part();
            return Err(Fault::new(
                FetchKind::Corrupt,
                format!("{name} is no archive, whatever its name says"),
            ));
        }
        Ok(None) => return Ok((None, Vec::new())),
        Err(failure) if failure.kind == Kind::Io => {
            return Err(Fault::new(FetchKind::Interrupted, failure.message));
        }
        Err(failure) if failure.kind == Kind::Corrupt => {
            work.drop_part();
            return Err(Fault::new(FetchKind::Corrupt, format!("{name}: {}", failure.message)));
        }
        // Not of a kind that is read here: it is kept as it is.
        Err(_) => return Ok((found.plate, Vec::new())),
    };
    let is_print = matches!(work.fetch.wanted, Wanted::Print { .. });
    match found.plate {
        _ if is_print && held.is_empty() => {
            return Err(Fault::Rejected(format!("{name} is a project that is not sliced")));
        }
        Some(plate) if !held.iter().any(|held| held.plate == plate) => {
            return Err(Fault::Rejected(format!("{name} does not hold plate {plate}")));
        }
        _ => {}
    }
    let only = match held.as_slice() {
        [only] => Some(only.plate),
        _ => None,
    };
    let md5 = held.iter().filter_map(|held| Some((held.plate, held.md5?))).collect();
    Ok((found.plate.or(only), md5))
}

/// Puts the part into its place; answers the content with the ending under which it is kept.
fn keep(work: &mut Work<'_>, mut content: Content) -> Result<Content, Fault> {
    let checksum: Checksum = content.checksum;
    // One that is held already, of a part that was put away before, comes first.
    work.claim = None;
    work.claim = Some(work.env.blobs.claim(checksum));
    let known = match work.env.store.read_blocking(|view| view.get::<Content>(checksum)) {
        Ok(known) => known,
        Err(StoreError::Record(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(known) = known {
        if known.verified == Some(false) {
            // What lies there may be what is damaged.
            let removed = work.env.blobs.remove(checksum, &known.extension);
            removed.map_err(|error| Fault::card(&error))?;
        }
        content.extension = known.extension;
    }
    let name = work.fetch.id.to_string();
    work.env.blobs.keep(&name, checksum, &content.extension).map_err(|error| Fault::card(&error))?;
    work.part = None;
    Ok(content)
}
