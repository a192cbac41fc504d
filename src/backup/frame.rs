//! The format: a magic line, then frames. Written and read front to back.
//!
//! ```text
//! magic   14 bytes "printernizer\0b", then the format, 1 byte
//! frame   kind, 1 byte; length, 4 bytes, big-endian; as many bytes
//!   M     manifest (JSON); the first frame, once
//!   B     a section begins: its kind, 1 byte, and its name
//!   D     bytes of the section
//!   E     it ends: SHA-256 of its bytes
//!   Z     the end of all: number of sections, 8 bytes, and their chain, 32 bytes
//! chain   begins as SHA-256 of magic and manifest; each section makes it SHA-256 of chain, kind, length of the name
//!         (4 bytes), name and the section's SHA-256
//! ```
//! The chain is all that has to be remembered of what came, so that a transfer can go on behind any whole section. A file is
//! whole when its `Z` fits; nothing may follow it.

use std::io::{self, ErrorKind, Read, Write};

use sha2::{Digest as _, Sha256};

use super::BackupError;

/// Bytes of a frame: the longest record twice over, or a piece of a file.
pub const FRAME_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a file in one frame.
pub(super) const PIECE_BYTES: usize = 64 * 1024;
/// Bytes of a section's name: the longest path of a content or picture.
const NAME_BYTES_MAX: usize = 160;

const MAGIC: &[u8; 14] = b"printernizer\0b";
/// The format of the file as a whole.
pub(super) const FORMAT: u8 = 1;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Rows with secrets, encrypted.
    Secrets,
    /// The other rows.
    Records,
    /// A file below the data directory, by its name.
    Blob,
}

impl Section {
    fn code(self) -> u8 {
        match self {
            Section::Secrets => b's',
            Section::Records => b'r',
            Section::Blob => b'f',
        }
    }

    fn from_code(code: u8) -> Option<Section> {
        [Section::Secrets, Section::Records, Section::Blob].into_iter().find(|one| one.code() == code)
    }
}

/// What is remembered of the sections so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub count: u64,
    pub hash: Hash,
}

impl Chain {
    fn begin(manifest: &[u8]) -> Chain {
        let mut hasher = Sha256::new();
        hasher.update(MAGIC);
        hasher.update([FORMAT]);
        hasher.update(manifest);
        Chain { count: 0, hash: hasher.finalize().into() }
    }

    fn add(&mut self, section: Section, name: &str, hash: &Hash) {
        let mut hasher = Sha256::new();
        hasher.update(self.hash);
        hasher.update([section.code()]);
        hasher.update(u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
        hasher.update(name.as_bytes());
        hasher.update(hash);
        *self = Chain { count: self.count.saturating_add(1), hash: hasher.finalize().into() };
    }
}

/// Writes a backup.
pub(super) struct Writer<'w> {
    out: &'w mut dyn Write,
    chain: Chain,
    section: Option<(Section, String, Sha256)>,
    bytes: u64,
}

impl<'w> Writer<'w> {
    pub fn begin(out: &'w mut dyn Write, manifest: &[u8]) -> io::Result<Writer<'w>> {
        out.write_all(MAGIC)?;
        out.write_all(&[FORMAT])?;
        let mut writer = Writer { out, chain: Chain::begin(manifest), section: None, bytes: 15 };
        writer.frame(b'M', &[manifest])?;
        Ok(writer)
    }

    fn frame(&mut self, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let known = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX);
        let header = known.ok_or(ErrorKind::InvalidInput)?.to_be_bytes();
        self.out.write_all(&[kind])?;
        self.out.write_all(&header)?;
        for part in parts {
            self.out.write_all(part)?;
        }
        self.bytes += 5 + u64::try_from(length).unwrap_or(0);
        Ok(())
    }

    pub fn section(&mut self, section: Section, name: &str) -> io::Result<()> {
        self.frame(b'B', &[&[section.code()], name.as_bytes()])?;
        self.section = Some((section, name.to_owned(), Sha256::new()));
        Ok(())
    }

    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(FRAME_BYTES_MAX) {
            self.frame(b'D', &[piece])?;
        }
        if let Some((_, _, hasher)) = &mut self.section {
            hasher.update(bytes);
        }
        Ok(())
    }

    pub fn end_section(&mut self) -> io::Result<()> {
        let Some((section, name, hasher)) = self.section.take() else { return Ok(()) };
        let hash: Hash = hasher.finalize().into();
        self.frame(b'E', &[&hash])?;
        self.chain.add(section, &name, &hash);
        Ok(())
    }

    /// Ends the backup; answers its bytes.
    pub fn finish(mut self) -> io::Result<u64> {
        let Chain { count, hash } = self.chain;
        self.frame(b'Z', &[&count.to_be_bytes(), &hash])?;
        self.out.flush()?;
        Ok(self.bytes)
    }
}

/// What a reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A section begins.
    Begin(Section, String),
    /// Bytes of it.
    Data(Vec<u8>),
    /// It ended, and its bytes are the ones that were written; this is their hash.
    End(Hash),
    /// The whole was read, and nothing is missing.
    Whole,
}

/// Reads a backup.
pub(super) struct Reader<'r> {
    input: &'r mut dyn Read,
    offset: u64,
    chain: Chain,
    section: Option<(Section, String, Sha256)>,
}

impl<'r> Reader<'r> {
    /// Reads magic and manifest; answers the manifest's bytes.
    pub fn begin(input: &'r mut dyn Read) -> Result<(Reader<'r>, Vec<u8>), BackupError> {
        let mut magic = [0; 15];
        let length = fill(input, &mut magic)?;
        let is_ours =
            MAGIC.iter().zip(&magic).take(length).all(|(ours, theirs)| ours == theirs) && length > 0;
        match magic {
            _ if !is_ours => return Err(BackupError::Foreign),
            _ if length < magic.len() => return Err(BackupError::Cut),
            [.., format] if format > FORMAT => return Err(BackupError::Newer),
            [.., FORMAT] => {}
            _ => return Err(BackupError::Foreign),
        }
        let mut reader = Reader { input, offset: 15, chain: Chain::begin(&[]), section: None };
        match reader.frame()? {
            (b'M', manifest) => {
                reader.chain = Chain::begin(&manifest);
                Ok((reader, manifest))
            }
            _ => Err(BackupError::Damaged("it does not begin with its description")),
        }
    }

    /// Goes on behind a whole section of a backup whose beginning was read before.
    pub fn resume(input: &'r mut dyn Read, offset: u64, chain: Chain) -> Reader<'r> {
        Reader { input, offset, chain, section: None }
    }

    /// Bytes of the backup that were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What to remember behind a whole section.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), BackupError> {
        let mut header = [0; 5];
        if fill(self.input, &mut header)? < header.len() {
            return Err(BackupError::Cut);
        }
        let [kind, length @ ..] = header;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(BackupError::Damaged("a piece is longer than any"));
        }
        let mut payload = vec![0; length];
        if fill(self.input, &mut payload)? < length {
            return Err(BackupError::Cut);
        }
        self.offset += 5 + u64::try_from(length).unwrap_or(0);
        Ok((kind, payload))
    }

    pub fn next(&mut self) -> Result<Found, BackupError> {
        let (kind, payload) = self.frame()?;
        match (kind, &mut self.section) {
            (b'B', None) => {
                let (code, name) = payload.split_first().ok_or(BackupError::Damaged("a part has no kind"))?;
                let section =
                    Section::from_code(*code).ok_or(BackupError::Damaged("a part of no known kind"))?;
                let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= NAME_BYTES_MAX);
                let name = name.ok_or(BackupError::Damaged("a part has no name"))?.to_owned();
                self.section = Some((section, name.clone(), Sha256::new()));
                Ok(Found::Begin(section, name))
            }
            (b'D', Some((_, _, hasher))) => {
                hasher.update(&payload);
                Ok(Found::Data(payload))
            }
            (b'E', Some(_)) => {
                let Some((section, name, hasher)) = self.section.take() else { return Err(BackupError::Cut) };
                let hash: Hash = hasher.finalize().into();
                if payload != hash {
                    return Err(BackupError::Damaged("the bytes of a part have changed"));
                }
                self.chain.add(section, &name, &hash);
                Ok(Found::End(hash))
            }
            (b'Z', None) => {
                let expected = [&self.chain.count.to_be_bytes()[..], &self.chain.hash].concat();
                if payload != expected {
                    return Err(BackupError::Damaged("parts are missing or have changed"));
                }
                if fill(self.input, &mut [0])? > 0 {
                    return Err(BackupError::Damaged("something follows its end"));
                }
                Ok(Found::Whole)
            }
            _ => Err(BackupError::Damaged("its parts are in no order")),
        }
    }
}

/// Reads until `into` is full or nothing more comes; answers how much came.
fn fill(input: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match input.read(into.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
