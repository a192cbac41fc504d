//! A file on its way to a client: whole or one range of it, and not again where the client has it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use smol::channel::{Sender, bounded};

use super::PIECE_BYTES;
use super::upload::error_of;
use crate::base::pool::Pool;
use crate::library::{Library, LibraryError};
use crate::model::{Checksum, Content, FileId, FileRecord};
use crate::store::Read as _;
use crate::web::api::Api;
use crate::web::front::{Exchange, LargeError};
use crate::web::respond::{ApiError, Reply, etag_matches};

/// Pieces that wait for the client: with the one being read and the one being sent 256 KB.
const PIECES_MAX: usize = 2;

/// A file that may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAnswer {
    /// Where its bytes are.
    pub path: PathBuf,
    /// How many.
    pub size: u64,
    /// The name under which a browser saves it.
    pub name: String,
    /// The hash that is its tag.
    pub checksum: Checksum,
}

pub async fn library_file(
    library: &Library,
    readers: &Pool,
    exchange: &mut Exchange<'_>,
    checksum: Checksum,
) -> Result<(), LargeError> {
    let (entry, content) = library.find(checksum).await.map_err(|error| match error {
        LibraryError::NotFound => ApiError::not_found("library file", &checksum.to_string()),
        other => error_of(&other),
    })?;
    let path = library.blobs().content(checksum, &content.extension);
    let answer = FileAnswer { path, size: content.size, name: entry.filename, checksum };
    send(readers, exchange, answer).await
}

/// The bytes of a version of a file, as long as they are here.
pub async fn kept_file(
    api: &Api,
    readers: &Pool,
    exchange: &mut Exchange<'_>,
    id: FileId,
) -> Result<(), LargeError> {
    let found = api.store.read(move |view| {
        let file = view.get::<FileRecord>(id)?.ok_or_else(|| ApiError::not_found("file", &id.to_string()))?;
        let checksum = file.content.filter(|_| file.status.is_kept()).ok_or_else(not_here)?;
        let content = view.get::<Content>(checksum)?.ok_or_else(not_here)?;
        Ok::<_, ApiError>((file, content))
    });
    let (file, content) = found.await?;
    let path = api.blobs.content(content.checksum, &content.extension);
    let answer = FileAnswer { path, size: content.size, name: file.name, checksum: content.checksum };
    send(readers, exchange, answer).await
}

fn not_here() -> ApiError {
    ApiError::new(
        404,
        "NOT_KEPT_HERE",
        "The bytes of this file are not on the appliance. Fetch it with POST /files/{id}/download.",
    )
}

/// Sends a file with `ETag`, `Range` and a name to save it under.
///
/// # Errors
/// Where the client is gone, or the file is not there.
pub async fn send(readers: &Pool, exchange: &mut Exchange<'_>, answer: FileAnswer) -> Result<(), LargeError> {
    let head = exchange.head();
    let tag = format!("\"{}\"", answer.checksum);
    if head.header("If-None-Match").is_some_and(|asked| etag_matches(asked, &tag)) {
        exchange.reply(&Reply::empty(304).header("ETag", tag)).await?;
        return Ok(());
    }
    // A range of another version is no use.
    let ranged = head.header("If-Range").is_none_or(|asked| asked.trim() == tag);
    let range = match head.header("Range").filter(|_| ranged).map(|text| range(text, answer.size)) {
        Some(Asked::Part(range)) => Some(range),
        Some(Asked::Beyond) => {
            let error = ApiError::new(416, "RANGE_NOT_SATISFIABLE", "The file is shorter than that.");
            let reply = error.reply(crate::base::clock::Timestamp::default());
            exchange.reply(&reply.header("Content-Range", format!("bytes */{}", answer.size))).await?;
            return Ok(());
        }
        Some(Asked::Whole) | None => None,
    };
    let (part, status) = match &range {
        Some(range) => (range.clone(), 206),
        None => (0..answer.size, 200),
    };
    let (pieces, incoming) = bounded(PIECES_MAX);
    let (path, wanted, size) = (answer.path, part.clone(), answer.size);
    let reading =
        readers.run(move || read(&path, size, wanted, &pieces)).map_err(|_| error_of(&LibraryError::Busy))?;
    // The first piece comes before the head, so that a file that is not there is still an answer.
    let first = match incoming.recv().await {
        Ok(first) => first,
        Err(_) => {
            reading.answer().await.unwrap_or(Err(LibraryError::Lost)).map_err(|error| error_of(&error))?;
            Vec::new()
        }
    };
    let length = part.end.saturating_sub(part.start);
    let disposition = disposition(&answer.name);
    let content_range = format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), answer.size);
    let mut headers = vec![
        ("Content-Type", "application/octet-stream"),
        ("Content-Disposition", disposition.as_str()),
        ("X-Content-Type-Options", "nosniff"),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", "private, no-cache"),
        ("ETag", tag.as_str()),
    ];
    if range.is_some() {
        headers.push(("Content-Range", content_range.as_str()));
    }
    exchange.begin(status, &headers, Some(length)).await?;
    exchange.write(&first).await?;
    while let Ok(piece) = incoming.recv().await {
        exchange.write(&piece).await?;
    }
    // Fewer bytes than announced: the connection closes early, which tells the client.
    reading.answer().await.unwrap_or(Err(LibraryError::Lost)).map_err(|error| error_of(&error))?;
    Ok(())
}

/// The thread's work. Ends early when nobody takes the pieces.
fn read(
    path: &std::path::Path,
    size: u64,
    part: Range<u64>,
    pieces: &Sender<Vec<u8>>,
) -> Result<(), LibraryError> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != size {
        return Err(LibraryError::NoFile);
    }
    file.seek(SeekFrom::Start(part.start))?;
    let mut rest = file.take(part.end.saturating_sub(part.start));
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let most = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
        if (&mut rest).take(most).read_to_end(&mut piece)? == 0 {
            return Ok(());
        }
        if pieces.send_blocking(piece).is_err() {
            return Ok(());
        }
    }
}

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    Beyond,
}

/// One range; several at once, and what cannot be understood, get the whole, as RFC 9110 allows.
fn range(text: &str, size: u64) -> Asked {
    let Some((from, to)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Asked::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More than fits is more than there is.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(from.trim()), number(to.trim())) {
        (Some(from), _) if from >= size && (to.trim().is_empty() || number(to.trim()).is_some()) => {
            Asked::Beyond
        }
        (Some(from), None) if to.trim().is_empty() => Asked::Part(from..size),
        (Some(from), Some(to)) if from <= to => Asked::Part(from..to.saturating_add(1).min(size)),
        (None, Some(0)) if from.trim().is_empty() => Asked::Beyond,
        (None, Some(last)) if from.trim().is_empty() && size > 0 => {
            Asked::Part(size.saturating_sub(last)..size)
        }
        _ => Asked::Whole,
    }
}

/// The name for a browser: plain ASCII for old ones, and encoded for all others.
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')') { c } else { '_' }
        })
        .collect();
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, asked) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=2-", Asked::Part(2..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=5-99999999999999999999999", Asked::Part(5..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=99999999999999999999999-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("lines=0-1", Asked::Whole),
        ] {
            assert_eq!(range(text, 10), asked, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Asked::Beyond);
    }

    #[test]
    fn names_for_browsers() {
        assert_eq!(
            disposition("W\u{fc}r\"fel\r\n.3mf"),
            "attachment; filename=\"W_r_fel__.3mf\"; filename*=UTF-8''W%C3%BCr%22fel%0D%0A.3mf"
        );
    }
}
