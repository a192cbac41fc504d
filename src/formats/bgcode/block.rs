//! The framing of binary G-code: file header and block headers, checked against the file's length.

use crate::formats::result::Failure;
use crate::formats::source::{Source, le16, le32};

/// The ten bytes at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub version: u32,
    /// Whether every block ends with a CRC32.
    pub has_crc: bool,
}

/// Length of the file header.
pub(crate) const FILE_HEADER_LENGTH: u64 = 10;
/// The longest block header with its parameters.
pub(crate) const BLOCK_HEADER_MAX: usize = 12 + 6;

impl FileHeader {
    /// Parses the start of a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        if !bytes.starts_with(b"GCDE") {
            return Err(Failure::unsupported("this is no binary G-code"));
        }
        let (Some(version), Some(checksum)) = (le32(bytes, 4), le16(bytes, 8)) else {
            return Err(Failure::corrupt("the file ends within its header"));
        };
        match checksum {
            0 => Ok(Self { version, has_crc: false }),
            1 => Ok(Self { version, has_crc: true }),
            other => Err(Failure::unsupported(format!("unknown checksum type {other} in binary G-code"))),
        }
    }
}

/// What a block is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    FileMetadata,
    Gcode,
    SlicerMetadata,
    PrinterMetadata,
    PrintMetadata,
    Thumbnail,
    Unknown(u16),
}

impl BlockKind {
    /// Whether it holds settings or figures.
    pub fn is_metadata(self) -> bool {
        matches!(
            self,
            Self::FileMetadata | Self::SlicerMetadata | Self::PrinterMetadata | Self::PrintMetadata
        )
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::FileMetadata => "file metadata",
            Self::Gcode => "G-code",
            Self::SlicerMetadata => "slicer metadata",
            Self::PrinterMetadata => "printer metadata",
            Self::PrintMetadata => "print metadata",
            Self::Thumbnail => "thumbnail",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// How the data of a block is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Deflate,
    /// Heatshrink with this window; the lookahead is 4 bits.
    Heatshrink(u32),
    Unknown(u16),
}

/// A block's header and parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub kind: BlockKind,
    pub packing: Packing,
    pub plain_length: u64,
    pub stored_length: u64,
    pub header_length: u64,
    /// Encoding of metadata and G-code, format of thumbnails.
    pub encoding: u16,
    pub has_crc: bool,
}

impl Block {
    /// Parses the header at the start of `bytes`. `None` when more bytes are needed.
    pub fn parse(bytes: &[u8], has_crc: bool) -> Option<Self> {
        let kind = match le16(bytes, 0)? {
            0 => BlockKind::FileMetadata,
            1 => BlockKind::Gcode,
            2 => BlockKind::SlicerMetadata,
            3 => BlockKind::PrinterMetadata,
            4 => BlockKind::PrintMetadata,
            5 => BlockKind::Thumbnail,
            other => BlockKind::Unknown(other),
        };
        let packing = match le16(bytes, 2)? {
            0 => Packing::None,
            1 => Packing::Deflate,
            2 => Packing::Heatshrink(11),
            3 => Packing::Heatshrink(12),
            other => Packing::Unknown(other),
        };
        let plain_length = u64::from(le32(bytes, 4)?);
        let (stored_length, parameters) =
            if packing == Packing::None { (plain_length, 8) } else { (u64::from(le32(bytes, 8)?), 12) };
        let encoding = le16(bytes, parameters)?;
        let parameter_length = if kind == BlockKind::Thumbnail { 6 } else { 2 };
        Some(Self {
            kind,
            packing,
            plain_length,
            stored_length,
            header_length: parameters as u64 + parameter_length,
            encoding,
            has_crc,
        })
    }

    /// Reads the header at `offset`. `Ok(None)` at the very end of the file.
    pub fn read(source: &mut Source<'_>, offset: u64, has_crc: bool) -> Result<Option<Self>, Failure> {
        if offset >= source.len() {
            return Ok(None);
        }
        let bytes = source.bytes_at(offset, BLOCK_HEADER_MAX as u64)?;
        let block = Self::parse(&bytes, has_crc)
            .ok_or_else(|| Failure::corrupt("the file ends within a block header"))?;
        if let Packing::Unknown(other) = block.packing {
            // Where the next block begins follows from the packing only by convention, so this is the end.
            return Err(Failure::unsupported(format!("unknown compression {other} in binary G-code")));
        }
        Ok(Some(block))
    }

    /// Length of the whole block with header and checksum.
    pub fn length(&self) -> u64 {
        self.header_length + self.stored_length + if self.has_crc { 4 } else { 0 }
    }

    /// Whether the checksum of the block at `offset` is right. True where the file has none.
    pub fn crc_matches(&self, source: &mut Source<'_>, offset: u64) -> Result<bool, Failure> {
        if !self.has_crc {
            return Ok(true);
        }
        let mut crc = crc32fast::Hasher::new();
        let covered = self.header_length + self.stored_length;
        source.stream(offset, covered, |chunk| {
            crc.update(chunk);
            true
        })?;
        let mut stored = [0; 4];
        source.read_exact_at(offset + covered, &mut stored)?;
        Ok(crc.finalize() == u32::from_le_bytes(stored))
    }
}
