//! One upload: pieces come from the network and go through a bounded channel to a thread that writes and hashes them.
//!
//! Whoever goes away early leaves nothing behind: the thread sees the channel close without the word that it was all, and
//! removes the part. A part that a power cut leaves is swept at the next start.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use smol::channel::{Receiver, Sender, bounded};

use super::{Added, Library, LibraryError, names, record};
use crate::base::pool::Running;
use crate::model::{Checksum, Content};
use crate::store::{Read as _, blobs};

/// Bytes of one piece.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that wait for the card: with the one being filled and the one being written 256 KB an upload.
pub const PIECES_MAX: usize = 2;

/// Bytes whose hash tells an unchanged file, see [`Content::head`].
const HEAD_BYTES: u64 = 64 * 1024;

/// Parts are told apart by a number of their own; those of an earlier run are swept before the first.
static PARTS: AtomicU64 = AtomicU64::new(1);

enum Piece {
    Bytes(Vec<u8>),
    /// That was all; this is its name.
    End(String),
}

/// An upload that is going on. Dropping it ends it without a trace.
pub struct Upload {
    pieces: Sender<Piece>,
    running: Running<Result<Added, LibraryError>>,
}

impl Upload {
    pub(super) fn begin(library: &Library, announced: u64) -> Result<Upload, LibraryError> {
        if announced > library.config().max_file_size.saturating_add(super::multipart::FORM_BYTES_MAX) {
            return Err(LibraryError::TooLarge);
        }
        let (pieces, incoming) = bounded(PIECES_MAX);
        let working = library.clone();
        let job = move || {
            let _reserved = working.card.reserve(announced)?;
            receive(&working, &incoming)
        };
        let running = library.pool.run(job).map_err(|_| LibraryError::Busy)?;
        Ok(Upload { pieces, running })
    }

    /// Takes the next bytes; waits while the card is slower than the network. `false` when it has ended early: ask
    /// [`Upload::finish`] why.
    pub async fn push(&self, bytes: Vec<u8>) -> bool {
        self.pieces.send(Piece::Bytes(bytes)).await.is_ok()
    }

    /// That was all, and this is the file's name. Answers when the file is synced, recorded and announced.
    ///
    /// # Errors
    /// [`LibraryError`].
    pub async fn finish(self, name: &str) -> Result<Added, LibraryError> {
        let Upload { pieces, running } = self;
        let _ = pieces.send(Piece::End(name.to_owned())).await;
        drop(pieces);
        running.answer().await.unwrap_or(Err(LibraryError::Lost))
    }
}

/// The thread's work, from the first byte to the record.
fn receive(library: &Library, incoming: &Receiver<Piece>) -> Result<Added, LibraryError> {
    let part = format!("u{}", PARTS.fetch_add(1, Ordering::Relaxed));
    let result = gather(library, incoming, &part);
    // Where it was kept there is none any more.
    if let Err(error) = library.blobs.drop_part(&part) {
        log::warn!("the rest of an upload stays until the next start: {error}");
    }
    result
}

fn gather(library: &Library, incoming: &Receiver<Piece>, part: &str) -> Result<Added, LibraryError> {
    library.blobs.drop_part(part)?;
    let mut file = library.blobs.open_part(part)?;
    let (mut whole, mut head, mut size) = (Sha256::new(), Sha256::new(), 0_u64);
    let name = loop {
        match incoming.recv_blocking() {
            // The client is gone.
            Err(_) => return Err(LibraryError::Cut),
            Ok(Piece::End(name)) => break name,
            Ok(Piece::Bytes(bytes)) => {
                let in_head = usize::try_from(HEAD_BYTES.saturating_sub(size)).unwrap_or(0);
                head.update(bytes.get(..in_head.min(bytes.len())).unwrap_or_default());
                whole.update(&bytes);
                size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                if size > library.config().max_file_size {
                    return Err(LibraryError::TooLarge);
                }
                file.write_all(&bytes)?;
            }
        }
    };
    drop(file);
    if size == 0 {
        return Err(LibraryError::Empty);
    }
    let name = names::check(&name).ok_or(LibraryError::BadName)?;
    let checksum = Checksum(whole.finalize().into());
    let head = Checksum(head.finalize().into());
    // From here to the record nobody else keeps or removes this content.
    let _claim = library.blobs.claim(checksum);
    let known = library.store.read_blocking(|view| view.get::<Content>(checksum))?;
    let extension = known.map_or_else(|| blobs::extension(&name), |content| content.extension);
    library.blobs.keep(part, checksum, &extension)?;
    library.store.write_blocking(move |txn| {
        let kept_at = txn.now().wall;
        let content = Content {
            checksum,
            size,
            head,
            plate_md5: Vec::new(),
            extension,
            verified: None,
            damage: None,
            kept_at,
        };
        record::uploaded(txn, content, &name)
    })
}
