//! Binary G-code as a stream: block by block until the first G-code block.

use super::Pictures;
use crate::formats::bgcode::block::{
    BLOCK_HEADER_MAX, Block, BlockKind, FILE_HEADER_LENGTH, FileHeader, Packing,
};
use crate::formats::bgcode::{MetadataSink, Unpacker};
use crate::formats::figures::keys::Store;
use crate::formats::limits;
use crate::formats::result::Role;

#[derive(Default)]
pub(super) struct Blocks {
    pub store: Store,
    pub pictures: Pictures,
    pub finished: bool,
    header: Option<FileHeader>,
    /// Bytes of the header in progress.
    pending: Vec<u8>,
    open: Option<Open>,
    /// Bytes of metadata after decompression that the blocks so far announced.
    plain: u64,
}

/// The block whose data is coming.
struct Open {
    left: u64,
    crc: Option<(crc32fast::Hasher, Vec<u8>)>,
    content: Content,
}

enum Content {
    Picture(Vec<u8>),
    Metadata(Box<(Unpacker, MetadataSink, Store)>),
    Skipped,
}

impl Blocks {
    pub fn push(&mut self, mut chunk: &[u8]) -> bool {
        let before = (self.store.len(), self.pictures.changes);
        while !chunk.is_empty() && !self.finished {
            chunk = match self.open.take() {
                None => self.headers(chunk),
                Some(open) => self.data(open, chunk),
            };
        }
        before != (self.store.len(), self.pictures.changes)
    }

    /// Collects a file or block header and hands back what follows it.
    fn headers<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let (first, rest) = chunk.split_at(1);
        self.pending.extend_from_slice(first);
        let Some(header) = self.header else {
            if self.pending.len() as u64 == FILE_HEADER_LENGTH {
                match FileHeader::parse(&self.pending) {
                    Ok(header) => self.header = Some(header),
                    Err(_) => self.finished = true,
                }
                self.pending.clear();
            }
            return rest;
        };
        match Block::parse(&self.pending, header.has_crc) {
            Some(block) if self.pending.len() as u64 == block.header_length => {
                self.open = Some(self.start(&block));
                self.pending.clear();
            }
            None | Some(_) if self.pending.len() <= BLOCK_HEADER_MAX => {}
            None | Some(_) => self.finished = true,
        }
        rest
    }

    fn start(&mut self, block: &Block) -> Open {
        let content = match block.kind {
            BlockKind::Gcode => {
                self.finished = true;
                Content::Skipped
            }
            BlockKind::Thumbnail
                if block.packing == Packing::None
                    && block.stored_length <= limits::FORWARD_PICTURES_MAX as u64 =>
            {
                Content::Picture(Vec::new())
            }
            BlockKind::Thumbnail | BlockKind::Unknown(_) => Content::Skipped,
            kind if block.stored_length <= limits::FORWARD_PART_MAX as u64 => {
                match (Unpacker::new(block), MetadataSink::new(kind, block.encoding)) {
                    (Ok(unpacker), Ok(sink)) => {
                        Content::Metadata(Box::new((unpacker, sink, Store::default())))
                    }
                    _ => Content::Skipped,
                }
            }
            _ => Content::Skipped,
        };
        if block.kind.is_metadata() {
            self.plain = self.plain.saturating_add(block.plain_length);
        }
        if matches!(block.packing, Packing::Unknown(_)) || self.plain > limits::BGCODE_METADATA_TOTAL_MAX {
            self.finished = true;
        }
        let crc = block.has_crc.then(|| {
            let mut crc = crc32fast::Hasher::new();
            crc.update(&self.pending);
            (crc, Vec::new())
        });
        Open { left: block.stored_length, crc, content }
    }

    /// Takes data, then the checksum, and hands back what follows.
    fn data<'c>(&mut self, mut open: Open, chunk: &'c [u8]) -> &'c [u8] {
        let length = usize::try_from(open.left).unwrap_or(usize::MAX).min(chunk.len());
        let (data, rest) = chunk.split_at(length);
        open.left -= length as u64;
        if let Some((crc, _)) = &mut open.crc {
            crc.update(data);
        }
        match &mut open.content {
            Content::Picture(bytes) => bytes.extend_from_slice(data),
            Content::Metadata(state) => {
                let (unpacker, sink, store) = state.as_mut();
                if unpacker.push(data, &mut |plain| sink.push(plain, store)).is_err() {
                    open.content = Content::Skipped;
                }
            }
            Content::Skipped => {}
        }
        if open.left > 0 {
            self.open = Some(open);
            return rest;
        }
        let Some((crc, sum)) = &mut open.crc else {
            self.end(open.content);
            return rest;
        };
        let (head, rest) = rest.split_at(rest.len().min(4 - sum.len().min(4)));
        sum.extend_from_slice(head);
        if sum.len() < 4 {
            self.open = Some(open);
            return rest;
        }
        // A preview has time for what is certain only.
        if crc.clone().finalize().to_le_bytes() == sum.as_slice() {
            self.end(open.content);
        }
        rest
    }

    fn end(&mut self, content: Content) {
        match content {
            Content::Picture(bytes) => self.pictures.add("thumbnail", None, Role::Cover, bytes),
            Content::Metadata(mut state) => {
                let (_, sink, store) = state.as_mut();
                let _ = sink.finish(store);
                self.store.merge(std::mem::take(store));
            }
            Content::Skipped => {}
        }
    }
}
