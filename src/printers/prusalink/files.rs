//! The files of one printer: lists, details, downloads, and the pictures that the printer makes itself. Blocking: the caller
//! brings a thread, and another one ends it with [`Files::cancel`].
//!
//! Paths here are those of the API: `/usb/PARTS/CUBE~1.GCO` on printers with a web server of their own (their short names,
//! because the whole request may have 168 bytes only), `/local/Parts/Cube.gcode` on a Pi. A path that a job shows is taken
//! as well. No download is resumed: neither family knows ranges.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use super::credentials;
use super::parse::{self, File, Reader};
use crate::model::ConnectionConfig;
use crate::model::file::FetchKind;
use crate::model::text::{NAME_BYTES_MAX, clean};
use crate::net::http::login::Login;
use crate::net::http::{Answer, Client, HttpError, HttpErrorKind, Limits, Method};
use crate::printers::fields::Field;

/// Bytes of one folder's list: 10 000 files at 100 bytes.
const LIST_BYTES_MAX: u64 = 1024 * 1024;
/// Entries of one folder that are looked at, and of a whole listing.
pub const ENTRIES_MAX: usize = 10_000;
/// Folders that one listing opens: each is a request to a small printer.
pub const FOLDERS_MAX: usize = 64;
/// Folders within folders that are opened.
const DEPTH_MAX: usize = 8;
/// Bytes of a file's own page; a Pi adds the file's figures.
const DETAILS_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a picture that a printer makes: PNGs of a few hundred pixels have 100 KB.
const PICTURE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a request's path on printers with a web server of their own.
const TARGET_BYTES_MAX: usize = 168;

/// Small printers write to their stick before they answer; a byte every half minute is the least.
const LIMITS: Limits =
    Limits { connect: Duration::from_secs(10), wait: Duration::from_secs(30), whole: None };

/// The files of one printer, over one connection of its own.
#[derive(Clone, Debug)]
pub struct Files(Client);

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// Something that the printer can print.
    Print,
    /// Any other file.
    Other,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, for the next request.
    pub path: String,
    /// Its name for people.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its size; printers with a web server of their own tell it on the file's own page only.
    pub size: Option<u64>,
    /// The printer's own time of its last change: a part of its identity, not a moment.
    pub modified: Option<u64>,
    /// Whether its bytes can be had: not while it is still arriving, and not on a card behind a serial line.
    pub is_ready: bool,
}

/// All files of a printer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The files, folders left out.
    pub files: Vec<Entry>,
    /// Whether nothing was left out for a bound.
    pub complete: bool,
}

/// A file's own page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Its path.
    pub path: String,
    /// Its name for people.
    pub name: String,
    /// Its size; `None` while it is still arriving.
    pub size: Option<u64>,
    /// The printer's own time of its last change.
    pub modified: Option<u64>,
    read_only: bool,
    /// Where its bytes are; `None` while it is still arriving, and on a card that cannot be read over the network.
    download: Option<String>,
    thumbnail: Option<String>,
}

/// Why something about files did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesError {
    /// What sort of trouble.
    pub kind: FilesErrorKind,
    /// English words; no secrets.
    pub message: String,
}

/// The sorts of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesErrorKind {
    /// There is no such file or folder.
    NotFound,
    /// The file is still being received by the printer.
    Arriving,
    /// The printer does not give the file that it prints.
    NotWhilePrinting,
    /// The printer's storage cannot be read over the network.
    NotOnStorage,
    /// User name, password or key refused.
    Auth,
    /// Refused, for now or at all.
    Refused,
    /// A name that this printer cannot be asked for.
    BadName,
    /// The printer cannot be reached.
    Offline,
    /// The connection broke, or ended before the end of the file.
    Interrupted,
    /// No byte for too long.
    Stalled,
    /// The printer says two different sizes.
    SizeMismatch,
    /// More than a list or picture may have.
    TooLarge,
    /// An answer that makes no sense.
    Protocol,
    /// [`Files::cancel`] was called.
    Cancelled,
}

impl FilesErrorKind {
    /// The same in the words of `file_download_failed`.
    #[must_use]
    pub fn fetch_kind(self) -> FetchKind {
        use FilesErrorKind as K;
        match self {
            K::NotFound => FetchKind::NotFound,
            K::Arriving | K::NotWhilePrinting | K::Refused => FetchKind::Refused,
            K::NotOnStorage => FetchKind::NotOnStorage,
            K::Auth => FetchKind::Auth,
            K::BadName => FetchKind::BadName,
            K::Offline => FetchKind::PrinterOffline,
            K::Interrupted | K::Protocol => FetchKind::Interrupted,
            K::Stalled => FetchKind::Stalled,
            K::SizeMismatch => FetchKind::SizeMismatch,
            K::TooLarge => FetchKind::TooLarge,
            K::Cancelled => FetchKind::Cancelled,
        }
    }
}

impl std::fmt::Display for FilesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FilesError {}

impl From<HttpError> for FilesError {
    fn from(error: HttpError) -> FilesError {
        use FilesErrorKind as K;
        let kind = match error.kind {
            HttpErrorKind::Unreachable | HttpErrorKind::Refused => K::Offline,
            HttpErrorKind::Silent => K::Stalled,
            HttpErrorKind::Interrupted => K::Interrupted,
            HttpErrorKind::Auth => K::Auth,
            HttpErrorKind::Protocol => K::Protocol,
            HttpErrorKind::TooLarge => K::TooLarge,
            HttpErrorKind::BadRequest => K::BadName,
            HttpErrorKind::Cancelled => K::Cancelled,
        };
        FilesError { kind, message: error.message }
    }
}

fn error(kind: FilesErrorKind, message: impl Into<String>) -> FilesError {
    FilesError { kind, message: message.into() }
}

impl Files {
    /// The files of the printer at `address`, which `way` leads to. Connects with the first request.
    #[must_use]
    pub fn new(way: &ConnectionConfig, address: SocketAddr) -> Files {
        Files(Client::new(address, &way.host, Login::new(credentials(way)), LIMITS))
    }

    /// Ends whatever is under way, now and later. For another thread, through a clone.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// The roots of what can be read over the network: `/usb`, or `/local`.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn roots(&self) -> Result<Vec<String>, FilesError> {
        let body = self.page("/api/v1/storage", DETAILS_BYTES_MAX)?;
        let mut roots = Vec::new();
        for (key, value) in Field::payload(&body).unwrap_or_default() {
            if key == "storage_list" {
                value.elements(|storage| {
                    let (mut path, mut there) = (None, true);
                    storage.entries(|key, value| match key {
                        "path" => path = Reader::default().text(value, NAME_BYTES_MAX),
                        "available" => there = value.boolean() != Some(false),
                        _ => {}
                    });
                    let path = path.map(|path| format!("/{}", path.trim_matches('/')));
                    // The Pi's card is behind the serial line: names without bytes.
                    roots.extend(path.filter(|path| there && path != "/sdcard"));
                });
            }
        }
        Ok(roots)
    }

    /// One folder.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn list(&self, folder: &str) -> Result<Vec<Entry>, FilesError> {
        let folder = format!("/{}", api_path(folder)?.trim_matches('/'));
        let body = self.page(&format!("/api/v1/files{}", encoded(&folder)), LIST_BYTES_MAX)?;
        let entries = Field::payload(&body)
            .ok_or_else(|| error(FilesErrorKind::Protocol, "the list of files cannot be read"))?;
        let mut list = Vec::new();
        for (_, children) in entries.into_iter().filter(|(key, _)| key == "children") {
            children.elements_up_to(ENTRIES_MAX, |child| list.extend(entry(&folder, child)));
        }
        Ok(list)
    }

    /// All files below `root`, folder by folder, within the bounds.
    ///
    /// # Errors
    /// [`FilesError`]; what was read by then is lost.
    pub fn list_all(&self, root: &str) -> Result<Listing, FilesError> {
        let mut listing = Listing { files: Vec::new(), complete: true };
        let mut folders = std::collections::VecDeque::from([(root.to_owned(), 0)]);
        let mut opened = 0;
        while let Some((folder, depth)) = folders.pop_front() {
            opened += 1;
            let entries = match self.list(&folder) {
                // Deleted since its own folder was listed.
                Err(error) if error.kind == FilesErrorKind::NotFound && depth > 0 => continue,
                other => other?,
            };
            listing.complete &= entries.len() < ENTRIES_MAX;
            for entry in entries {
                if entry.kind == EntryKind::Folder {
                    if depth < DEPTH_MAX && opened + folders.len() < FOLDERS_MAX {
                        folders.push_back((entry.path, depth + 1));
                    } else {
                        listing.complete = false;
                    }
                } else if listing.files.len() < ENTRIES_MAX {
                    listing.files.push(entry);
                } else {
                    listing.complete = false;
                }
            }
        }
        Ok(listing)
    }

    /// A file's own page.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn details(&self, path: &str) -> Result<Details, FilesError> {
        let path = api_path(path)?;
        let body = self.page(&format!("/api/v1/files{}", encoded(&path)), DETAILS_BYTES_MAX)?;
        let file = parse::file(body.as_bytes())
            .ok_or_else(|| error(FilesErrorKind::Protocol, "the file's page cannot be read"))?;
        Ok(details(path, file))
    }

    /// The file of the print that is on, as far as the printer names one.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn current(&self) -> Result<Option<Details>, FilesError> {
        let whole = self.0.fetch(Method::Get, "/api/v1/job", DETAILS_BYTES_MAX)?;
        if whole.status != 200 {
            return Ok(None);
        }
        let Some(file) = parse::job(&whole.body).and_then(|job| job.file) else { return Ok(None) };
        let Some(path) = super::state::path_of(&file) else { return Ok(None) };
        Ok(Some(details(api_path(&path)?, file)))
    }

    /// Begins to fetch a file.
    ///
    /// # Errors
    /// [`FilesError`]: `Arriving`, `NotWhilePrinting`, `SizeMismatch`, and everything that the connection may bring.
    pub fn download(&self, file: &Details) -> Result<Download, FilesError> {
        let Some(target) = &file.download else {
            let (kind, message) = if file.path.starts_with("/sdcard/") {
                (FilesErrorKind::NotOnStorage, "the printer's own card cannot be read over the network")
            } else {
                (FilesErrorKind::Arriving, "the printer is still receiving the file")
            };
            return Err(error(kind, message));
        };
        let answer = self.0.send(Method::Get, &reference(target)?)?;
        if answer.status == 404 {
            drop(answer);
            let printed = self.current().ok().flatten().is_some_and(|current| current.path == file.path);
            return Err(if printed {
                error(
                    FilesErrorKind::NotWhilePrinting,
                    "the printer does not give this file while it prints it",
                )
            } else if file.read_only {
                error(FilesErrorKind::Arriving, "the printer is still receiving the file")
            } else {
                error(FilesErrorKind::NotFound, "the printer no longer has the file")
            });
        }
        if answer.status != 200 {
            return Err(refusal(answer.status));
        }
        match (answer.length, file.size) {
            (Some(told), Some(size)) if told != size => {
                let message = format!("the printer lists {size} bytes and sends {told}");
                Err(error(FilesErrorKind::SizeMismatch, message))
            }
            (None, None) => {
                Err(error(FilesErrorKind::Protocol, "the printer does not say how long the file is"))
            }
            (told, size) => Ok(Download { size: told.or(size).unwrap_or_default(), done: 0, answer }),
        }
    }

    /// The picture that the printer makes of a file; `None` where it makes none.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn thumbnail(&self, file: &Details) -> Result<Option<Vec<u8>>, FilesError> {
        let Some(target) = &file.thumbnail else { return Ok(None) };
        let answer = self.0.send(Method::Get, &reference(target)?)?;
        match answer.status {
            200 => Ok(Some(answer.whole(PICTURE_BYTES_MAX)?).filter(|bytes| !bytes.is_empty())),
            204 | 404 | 410 => Ok(None),
            other => Err(refusal(other)),
        }
    }

    fn page(&self, target: &str, bytes_max: u64) -> Result<String, FilesError> {
        if target.starts_with("/api/v1/files/usb") && target.len() > TARGET_BYTES_MAX {
            return Err(error(
                FilesErrorKind::BadName,
                "the path is longer than this printer can be asked for",
            ));
        }
        let whole = self.0.fetch(Method::Get, target, bytes_max)?;
        if whole.status != 200 {
            return Err(refusal(whole.status));
        }
        Ok(String::from_utf8_lossy(&whole.body).into_owned())
    }
}

/// The bytes of a file, as they come. Ends well only after exactly [`Download::size`] bytes.
#[derive(Debug)]
pub struct Download {
    /// The file's size.
    pub size: u64,
    done: u64,
    answer: Answer,
}

impl Download {
    /// Reads the next bytes; 0 only at the end of the whole file.
    ///
    /// # Errors
    /// [`FilesError`]: the connection broke, stalled, or the file ended too early.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, FilesError> {
        let count = self.answer.read(into)?;
        self.done = self.done.saturating_add(count as u64);
        let short = count == 0 && !into.is_empty() && self.done < self.size;
        if short || self.done > self.size {
            let message = format!("{} of {} bytes came", self.done, self.size);
            return Err(error(FilesErrorKind::Interrupted, message));
        }
        Ok(count)
    }
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        Download::read(self, into).map_err(std::io::Error::other)
    }
}

fn refusal(status: u16) -> FilesError {
    match status {
        401 => error(FilesErrorKind::Auth, "the printer refuses the password"),
        404 | 410 => error(FilesErrorKind::NotFound, "the printer has no such file"),
        414 => error(FilesErrorKind::BadName, "the path is longer than this printer can be asked for"),
        other => error(FilesErrorKind::Refused, format!("the printer answers with the status {other}")),
    }
}

fn entry(folder: &str, child: Field<'_>) -> Option<Entry> {
    let mut reader = Reader::default();
    let (mut name, mut display, mut kind, mut size, mut modified, mut is_ready) =
        (None, None, EntryKind::Other, None, None, false);
    child.entries(|key, value| match key {
        "name" => name = reader.text(value, NAME_BYTES_MAX),
        "display_name" => display = reader.text(value, NAME_BYTES_MAX),
        "type" => {
            kind = match reader.text(value, 40).as_deref() {
                Some("FOLDER") => EntryKind::Folder,
                Some("PRINT_FILE") => EntryKind::Print,
                _ => EntryKind::Other,
            }
        }
        "size" => size = reader.number(value),
        "m_timestamp" => modified = reader.number(value),
        "refs" => is_ready = reader.refs(value).download.is_some(),
        _ => {}
    });
    // A name that leads elsewhere is none.
    let name = name.filter(|name| !name.contains('/') && name != "." && name != "..")?;
    let path = format!("{}/{name}", folder.trim_end_matches('/'));
    Some(Entry { path, name: display.unwrap_or(name), kind, size, modified, is_ready })
}

fn details(path: String, file: File) -> Details {
    let name = file.display_name.or(file.name).unwrap_or_else(|| {
        let last = path.rsplit('/').next().unwrap_or(&path);
        clean(last, NAME_BYTES_MAX)
    });
    Details {
        path,
        name,
        size: file.size,
        modified: file.modified,
        read_only: file.read_only == Some(true),
        download: file.refs.download,
        thumbnail: file.refs.thumbnail,
    }
}

/// The path of the API for a path that a job or a list shows: on a Pi, jobs name folders as people see them.
fn api_path(path: &str) -> Result<String, FilesError> {
    let bad = || error(FilesErrorKind::BadName, "this is not a path on a printer");
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let root = match parts.next().ok_or_else(bad)? {
        known @ ("usb" | "local" | "sdcard") => known,
        "SD Card" => "sdcard",
        _ => "local",
    };
    let mut whole = format!("/{root}");
    for part in parts {
        if part == "." || part == ".." || part.chars().any(char::is_control) {
            return Err(bad());
        }
        whole.push('/');
        whole.push_str(part);
    }
    Ok(whole)
}

/// The target of a reference that the printer gave. Only paths: what names another host is not followed.
fn reference(target: &str) -> Result<String, FilesError> {
    let path = target.starts_with('/') && !target.starts_with("//");
    if !path || target.split('/').any(|part| part == "..") {
        return Err(error(FilesErrorKind::Protocol, "the printer refers to another place than itself"));
    }
    Ok(encoded(target))
}

/// A path with everything percent-encoded that is not plain; slashes stay.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        for (path, expected) in [
            ("/usb/PARTS/CUBE~1.GCO", Some("/usb/PARTS/CUBE~1.GCO")),
            ("usb//A.GCO/", Some("/usb/A.GCO")),
            ("/PrusaLink gcodes/Teile/Würfel.gcode", Some("/local/Teile/Würfel.gcode")),
            ("/local/x.gcode", Some("/local/x.gcode")),
            ("/SD Card/x.gcode", Some("/sdcard/x.gcode")),
            ("/usb/../etc/passwd", None),
            ("/usb/a\nb", None),
            ("", None),
            ("/", None),
        ] {
            assert_eq!(api_path(path).ok().as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn every_odd_byte_is_encoded_and_no_other_host_is_followed() {
        assert_eq!(encoded("/usb/A~1.GCO"), "/usb/A~1.GCO");
        assert_eq!(
            reference("/api/files/local/PrusaLink gcodes/Würfel 100 %#?.gcode/raw").unwrap(),
            "/api/files/local/PrusaLink%20gcodes/W%C3%BCrfel%20100%20%25%23%3F.gcode/raw"
        );
        for odd in ["http://10.0.0.1/x", "//10.0.0.1/x", "usb/x", "/usb/../x", ""] {
            assert_eq!(reference(odd).unwrap_err().kind, FilesErrorKind::Protocol, "{odd}");
        }
    }
}
