//! Checks everything that a file has checksums for, a piece at a time: every entry of an archive with its CRC, the MD5
//! of every plate's G-code, every block of binary G-code.
//!
//! This reads the whole file, so it belongs on the worker at low priority, and between two steps it can be dropped or
//! put off. It holds no file open itself. Text G-code has no checksums: it is done at once, with nothing checked.

use super::bgcode::block::{Block, FILE_HEADER_LENGTH, FileHeader};
use super::result::{Failure, Format, Kind};
use super::source::{ReadSeek, Source};
use super::zip::{Directory, part::Part};
use super::{detect, limits, threemf};
use crate::base::md5::Md5;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// What the file is; `None` for text.
    pub format: Option<Format>,
    /// How many entries or blocks were compared with their checksums.
    pub checked: u32,
    /// How many of those checks were MD5 sums of a plate's G-code.
    pub md5_checked: u32,
    /// What was wrong, at most [`limits::WARNINGS_MAX`].
    pub failures: Vec<Failure>,
}

impl Verdict {
    /// Whether damage was found. What could not be checked (encryption, an unknown method) is no damage.
    pub fn is_corrupt(&self) -> bool {
        self.failures.iter().any(|failure| matches!(failure.kind, Kind::Corrupt | Kind::TooLarge))
    }

    fn fail(&mut self, failure: Failure) {
        if self.failures.len() < limits::WARNINGS_MAX {
            self.failures.push(failure);
        }
    }
}

/// Where a verification stands after a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// There is more to do. Bytes of the file, for showing.
    Working {
        /// Looked at so far.
        done: u64,
        /// In all.
        total: u64,
    },
    /// Finished; the file may be closed.
    Done(Verdict),
}

/// A verification in progress.
///
/// It owns all that it needs (the directory of the archive, one window of inflate; less than a megabyte) and may move
/// between threads and wait between steps as long as it likes, as long as the file stays the same.
#[derive(Default)]
pub struct Verifier {
    state: State,
    verdict: Verdict,
    /// Bytes that this verification has unpacked so far.
    plain: u64,
}

#[derive(Default)]
enum State {
    #[default]
    Start,
    Archive {
        directory: Directory,
        next: usize,
        open: Option<Box<Entry>>,
    },
    Blocks {
        header: FileHeader,
        offset: u64,
        number: u32,
        open: Option<OpenBlock>,
    },
    Done,
}

struct Entry {
    part: Part,
    md5: Option<(Md5, String, String)>,
}

struct OpenBlock {
    block: Block,
    crc: crc32fast::Hasher,
    at: u64,
}

impl Verifier {
    /// A verification that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on for about `budget` bytes. `reader` must be the same file every time. An error is the disk's; everything
    /// that is wrong with the file is in the verdict.
    pub fn step(&mut self, reader: &mut dyn ReadSeek, budget: u64) -> Result<Progress, Failure> {
        let mut source = Source::new(reader)?;
        let mut left = budget.max(1);
        loop {
            if matches!(self.state, State::Start)
                && let Err(failure) = self.start(&mut source)
            {
                self.give_up(failure)?;
            }
            let used = match self.advance(&mut source, left) {
                Ok(Some(used)) => used,
                Ok(None) => {
                    self.state = State::Done;
                    return Ok(Progress::Done(self.verdict.clone()));
                }
                Err(failure) => {
                    self.give_up(failure)?;
                    continue;
                }
            };
            left = left.saturating_sub(used);
            if left == 0 {
                return Ok(Progress::Working { done: self.done(), total: source.len() });
            }
        }
    }

    fn done(&self) -> u64 {
        match &self.state {
            State::Start | State::Done => 0,
            State::Archive { directory, next, .. } => directory
                .entries
                .iter()
                .take(*next)
                .map(|entry| entry.stored_length)
                .fold(0, u64::saturating_add),
            State::Blocks { offset, open, .. } => open.as_ref().map_or(*offset, |open| open.at),
        }
    }

    /// Damage that ends the verification; a failing disk is handed on.
    fn give_up(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.kind == Kind::Io {
            return Err(failure);
        }
        self.verdict.fail(failure);
        self.state = State::Done;
        Ok(())
    }

    fn start(&mut self, source: &mut Source<'_>) -> Result<(), Failure> {
        self.verdict.format = detect(&source.bytes_at(0, 4)?);
        self.state = match self.verdict.format {
            Some(Format::ThreeMf) => {
                let directory = Directory::read(source)?;
                directory.warnings.iter().for_each(|warning| self.verdict.fail(warning.clone()));
                State::Archive { directory, next: 0, open: None }
            }
            Some(Format::Bgcode) => State::Blocks {
                header: FileHeader::parse(&source.bytes_at(0, FILE_HEADER_LENGTH)?)?,
                offset: FILE_HEADER_LENGTH,
                number: 0,
                open: None,
            },
            _ => State::Done,
        };
        Ok(())
    }

    /// Does a piece of work and tells how many bytes it took; `None` when nothing is left.
    fn advance(&mut self, source: &mut Source<'_>, budget: u64) -> Result<Option<u64>, Failure> {
        match &mut self.state {
            State::Start | State::Done => Ok(None),
            State::Archive { directory, next, open } => {
                if let Some(entry) = open {
                    let (used, ended) = entry.read(source, budget, &mut self.verdict);
                    self.plain = self.plain.saturating_add(used);
                    if ended {
                        *open = None;
                        *next += 1;
                    }
                    // Many entries that expand a little too much are a bomb as well as one that does much.
                    let bomb = self.plain > limits::VERIFY_RATIO_FREE
                        && self.plain / source.len().max(1) > limits::VERIFY_RATIO_MAX;
                    if bomb || self.plain > limits::VERIFY_PLAIN_MAX {
                        return Err(Failure::too_large("the archive unpacks to more than is verified"));
                    }
                    return Ok(Some(used.max(1)));
                }
                let Some(entry) = directory.entries.get(*next) else { return Ok(None) };
                match Entry::open(source, directory, entry) {
                    Ok(Some(entry)) => *open = Some(Box::new(entry)),
                    Ok(None) => *next += 1,
                    Err(failure) if failure.kind == Kind::Io => return Err(failure),
                    Err(failure) => {
                        self.verdict.fail(failure);
                        *next += 1;
                    }
                }
                // Opening costs a read of the local header.
                Ok(Some(64))
            }
            State::Blocks { header, offset, number, open } => {
                if let Some(block) = open {
                    let (used, ended) = block.read(source, *offset, budget, &mut self.verdict)?;
                    if ended {
                        *offset += block.block.length();
                        *number += 1;
                        *open = None;
                    }
                    return Ok(Some(used.max(1)));
                }
                if *number >= limits::BGCODE_VERIFY_BLOCKS_MAX {
                    return Err(Failure::too_large("there are more blocks than are verified"));
                }
                let Some(block) = Block::read(source, *offset, header.has_crc)? else { return Ok(None) };
                if block.length() > source.len() - *offset {
                    return Err(Failure::corrupt(format!("the file ends within its {}", block.kind.name())));
                }
                *open = Some(OpenBlock { block, crc: crc32fast::Hasher::new(), at: *offset });
                Ok(Some(64))
            }
        }
    }
}

impl Entry {
    /// `Ok(None)` for folders, which have no data.
    fn open(
        source: &mut Source<'_>,
        directory: &Directory,
        entry: &super::zip::Entry,
    ) -> Result<Option<Self>, Failure> {
        if entry.name.ends_with('/') && entry.plain_length == 0 {
            return Ok(None);
        }
        super::zip::check_ratio(entry)?;
        let announced = if entry.name.ends_with(".gcode") {
            threemf::announced_md5(source, directory, entry)?
        } else {
            None
        };
        let part = Part::open(source, directory, entry)?;
        Ok(Some(Self { part, md5: announced.map(|wanted| (Md5::default(), wanted, entry.name.clone())) }))
    }

    /// Reads for about `budget` bytes; tells how many were unpacked and whether the entry is done with.
    fn read(&mut self, source: &mut Source<'_>, budget: u64, verdict: &mut Verdict) -> (u64, bool) {
        let mut buffer = vec![0; limits::READ_CHUNK];
        let mut used = 0;
        while used < budget {
            match self.part.read(source, &mut buffer) {
                Ok(0) => {
                    verdict.checked += 1;
                    if let Some((md5, wanted, name)) = self.md5.take() {
                        verdict.md5_checked += 1;
                        if super::hex(&md5.finish()) != wanted {
                            verdict.fail(Failure::corrupt(format!("the MD5 checksum of {name} is wrong")));
                        }
                    }
                    return (used, true);
                }
                Ok(count) => {
                    used += count as u64;
                    if let Some((md5, ..)) = &mut self.md5 {
                        md5.update(buffer.get(..count).unwrap_or_default());
                    }
                }
                Err(failure) => {
                    verdict.checked += 1;
                    verdict.fail(failure);
                    return (used, true);
                }
            }
        }
        (used, false)
    }
}

impl OpenBlock {
    fn read(
        &mut self,
        source: &mut Source<'_>,
        offset: u64,
        budget: u64,
        verdict: &mut Verdict,
    ) -> Result<(u64, bool), Failure> {
        if !self.block.has_crc {
            return Ok((0, true));
        }
        let end = offset + self.block.header_length + self.block.stored_length;
        let wanted = (end - self.at).min(budget);
        let crc = &mut self.crc;
        source.stream(self.at, wanted, |chunk| {
            crc.update(chunk);
            true
        })?;
        self.at += wanted;
        if self.at < end {
            return Ok((wanted, false));
        }
        let mut stored = [0; 4];
        source.read_exact_at(end, &mut stored)?;
        verdict.checked += 1;
        if self.crc.clone().finalize() != u32::from_le_bytes(stored) {
            verdict.fail(Failure::corrupt(format!(
                "the checksum of a block ({}) is wrong",
                self.block.kind.name()
            )));
        }
        Ok((wanted, true))
    }
}
