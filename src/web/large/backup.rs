//! `POST /backup` and `POST /restore`: a whole device as one stream of bytes, out and in.
//!
//! Both run on one thread of their own, so one of them at a time. The restore goes on at `?offset=` behind what an earlier
//! transfer brought; `GET /restore` says where. When a backup is whole the service ends itself, and the next start puts it
//! into its place.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;
use smol::channel::{Receiver, Sender, bounded};

use super::PIECE_BYTES;
use crate::backup::{self, BackupError, Choice, Manifest, Passphrase, Wishes};
use crate::base::error::chain;
use crate::base::pool::Pool;
use crate::store::SECRET_SETTINGS;
use crate::web::api::Api;
use crate::web::front::{Exchange, LargeError};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Pairs, decode};

/// Bytes of a restored backup: more than any card holds, so that the card decides.
pub const RESTORE_BYTES_MAX: u64 = 1 << 40;
/// Bytes of the wish for a backup.
pub const WISH_BYTES_MAX: u64 = 2048;
/// Pieces that wait for the slower side: with those being filled and emptied 256 KB.
const PIECES_MAX: usize = 2;

/// The body of POST /backup.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    passphrase: Option<String>,
    files: bool,
    pictures: bool,
}

/// Sends a backup.
pub async fn make(api: &Api, worker: &Pool, exchange: &mut Exchange<'_>) -> Result<(), LargeError> {
    let wish = wish(exchange).await?;
    let passphrase =
        wish.passphrase.as_deref().map(Passphrase::new).transpose().map_err(|error| error_of(&error))?;
    let choice = Choice { files: wish.files, pictures: wish.pictures };
    let created_at = api.clock.now().wall;
    let (pieces, incoming) = bounded(PIECES_MAX);
    let (store, data_dir, has_secrets) = (api.store.clone(), data_dir(api), passphrase.is_some());
    let work = move || {
        let mut snapshot = store.snapshot()?;
        // A view holds the file, not the thread that writes it.
        drop(store);
        let mut out = Pieces { piece: Vec::new(), pieces };
        backup::write(&mut snapshot, &data_dir, choice, passphrase.as_ref(), created_at, &mut out)
    };
    let running = worker.run(work).map_err(|_| error_of(&BackupError::Busy))?;
    // The first piece comes before the head, so that what goes wrong at once is still an answer.
    let Ok(first) = incoming.recv().await else {
        let failed = running.answer().await.map_err(|_| lost())?;
        return Err(failed.map_or_else(|error| error_of(&error), |_| lost()).into());
    };
    let day = created_at.to_string();
    let name = format!("attachment; filename=\"printernizer-{}.backup\"", day.get(..10).unwrap_or_default());
    let headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Disposition", name.as_str()),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
        ("X-Backup-Secrets", if has_secrets { "encrypted" } else { "left-out" }),
    ];
    exchange.begin(200, &headers, None).await?;
    exchange.write(&first).await?;
    while let Ok(piece) = incoming.recv().await {
        exchange.write(&piece).await?;
    }
    match running.answer().await {
        Ok(Ok(made)) => {
            log::info!(
                "a backup was sent: {} records, {} files, {} bytes",
                made.rows,
                made.files,
                made.bytes
            );
            if made.left_out > 0 {
                log::warn!("{} records that cannot be read are not in the backup", made.left_out);
            }
            Ok(())
        }
        // Without its end it is no backup, and whoever has it is told so.
        Ok(Err(error)) => Err(error_of(&error).into()),
        Err(_) => Err(lost().into()),
    }
}

async fn wish(exchange: &mut Exchange<'_>) -> Result<Wish, LargeError> {
    let mut body = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let count = exchange.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        body.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    if body.is_empty() {
        return Ok(Wish::default());
    }
    serde_json::from_slice(&body).map_err(|_| {
        let message = "Send {\"passphrase\": \"...\", \"files\": false, \"pictures\": false}, or nothing.";
        ApiError::new(422, "WRONG_SHAPE", message).into()
    })
}

/// Takes a backup; then the service starts afresh.
pub async fn restore(api: &Api, worker: &Pool, exchange: &mut Exchange<'_>) -> Result<(), LargeError> {
    let query = Pairs::parse(exchange.head().query())?;
    let number = |text: &str| text.parse::<u64>().ok();
    let offset = match query.get("offset") {
        None => 0,
        Some(text) => {
            number(text).ok_or_else(|| ApiError::bad_value("offset", "`offset` is a number of bytes."))?
        }
    };
    let without_secrets = query.get("without_secrets").is_some_and(|value| value == "true" || value == "1");
    let passphrase = match exchange.head().header("X-Passphrase") {
        None => None,
        Some(text) => {
            let text = decode(text, false).ok_or_else(|| error_of(&BackupError::BadPassphrase))?;
            Some(Passphrase::new(&text).map_err(|error| error_of(&error))?)
        }
    };
    let reserve_bytes = api.library.config().min_free;
    let (pieces, incoming) = bounded(PIECES_MAX);
    let (store, data_dir) = (api.store.clone(), data_dir(api));
    let work = move || {
        let mut keep = store.snapshot()?.secrets()?;
        keep.retain(|row| row.key.starts_with(SECRET_SETTINGS.as_bytes()));
        drop(store);
        let wishes = Wishes { passphrase, without_secrets, offset, reserve_bytes, keep };
        backup::receive(&data_dir, &mut Incoming { piece: Vec::new(), at: 0, incoming }, &wishes)
    };
    let running = worker.run(work).map_err(|_| error_of(&BackupError::Busy))?;
    let mut buffer = vec![0; PIECE_BYTES];
    let mut gone = None;
    loop {
        match exchange.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => {
                let piece = buffer.get(..count).unwrap_or_default().to_vec();
                if pieces.send(piece).await.is_err() {
                    break; // It has ended early, and says why.
                }
            }
            Err(error) => {
                gone = Some(error);
                break;
            }
        }
    }
    drop(pieces);
    let taken = running.answer().await.map_err(|_| lost())?;
    if let Some(gone) = gone {
        return Err(gone.into());
    }
    let received = taken.map_err(|error| error_of(&error))?;
    log::warn!(
        "the backup {} of {} was taken; the service starts afresh with it",
        received.manifest.id,
        received.manifest.created_at
    );
    let body = json!({
        "state": "ready",
        "backup": manifest_view(&received.manifest),
        "secrets_restored": received.secrets,
        "message": "The backup is whole. The service starts afresh with it now.",
    });
    exchange.reply(&Reply::json(200, &body)?).await?;
    api.machine.start_afresh();
    Ok(())
}

/// A backup's description as answers show it.
pub fn manifest_view(manifest: &Manifest) -> serde_json::Value {
    json!({
        "id": manifest.id,
        "version": manifest.version,
        "created_at": manifest.created_at,
        "has_secrets": manifest.has_secrets(),
        "files": manifest.holds.files,
        "pictures": manifest.holds.pictures,
    })
}

fn data_dir(api: &Api) -> PathBuf {
    api.blobs.root().to_owned()
}

fn lost() -> ApiError {
    ApiError::internal("The work ended in a fault of the program; see the log.")
}

/// The error as a client sees it; what is wrong with the device goes to the log, too.
fn error_of(error: &BackupError) -> ApiError {
    use BackupError as E;
    let message = sentence(&error.to_string());
    match error {
        E::Foreign => ApiError::new(422, "NOT_A_BACKUP", message),
        E::Newer => ApiError::conflict("BACKUP_IS_NEWER", message),
        E::Damaged(_) => ApiError::new(422, "BACKUP_DAMAGED", message),
        E::Cut => ApiError::new(400, "BODY_CUT", message),
        E::PassphraseNeeded => ApiError::new(422, "PASSPHRASE_NEEDED", message),
        E::WrongPassphrase => ApiError::new(422, "WRONG_PASSPHRASE", message),
        E::BadPassphrase => ApiError::bad_value("passphrase", message),
        E::Busy => ApiError::conflict("BACKUP_UNDER_WAY", "Another backup or restore is under way."),
        E::ElsewhereNow { .. } => ApiError::conflict("RESTORE_ELSEWHERE", message),
        E::NoSpace => ApiError::new(507, "NO_SPACE", message),
        E::Store(_) | E::Io(_) | E::NoRandomness => {
            log::error!("backup: {}", chain(error));
            ApiError::new(
                503,
                "STORE_UNAVAILABLE",
                "The records or files cannot be read or written; see the log.",
            )
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What the worker writes, in pieces.
struct Pieces {
    piece: Vec<u8>,
    pieces: Sender<Vec<u8>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        // Nobody takes the pieces any more: the client is gone, or the service ends.
        self.pieces
            .send_blocking(std::mem::take(&mut self.piece))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// What the client sends, as the worker reads it.
struct Incoming {
    piece: Vec<u8>,
    at: usize,
    incoming: Receiver<Vec<u8>>,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() {
            match self.incoming.recv_blocking() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                // The end, or a client that went away: the format tells the one from the other.
                Err(_) => return Ok(0),
            }
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(from), Some(to)) = (rest.get(..count), into.get_mut(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}
