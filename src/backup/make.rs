//! Making a backup: from a view of the records, and the files beside them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::Path;

use super::frame::{PIECE_BYTES, Section, Writer};
use super::manifest::{Choice, Manifest};
use super::seal::{Derivation, Passphrase, hex, random};
use super::{BackupError, SECRETS_BYTES_MAX};
use crate::base::clock::Timestamp;
use crate::model::Checksum;
use crate::store::{Row, Snapshot, VisitError};

/// The places of files below the data directory.
pub(super) const FILES: &str = "files";
/// The places of pictures.
pub(super) const THUMBS: &str = "thumbs";
/// Names of one folder that are held at a time: a folder has one of 256 parts of all files.
const NAMES_MAX: usize = 20_000;

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Bytes of the backup.
    pub bytes: u64,
    /// Records.
    pub rows: u64,
    /// Records that were left out because they cannot be read.
    pub left_out: u64,
    /// Contents of print files.
    pub files: u64,
    /// Pictures.
    pub pictures: u64,
    /// Whether secrets are in it.
    pub secrets: bool,
}

/// Writes a backup of the records in `snapshot` and of the files in `data_dir` to `out`. Without a passphrase the secrets are
/// left out. Files that arrive meanwhile may be in it, and files that go away meanwhile may not.
///
/// # Errors
/// [`BackupError`]; what was written is no backup then, and tells so by having no end.
pub fn write(
    snapshot: &mut Snapshot,
    data_dir: &Path,
    choice: Choice,
    passphrase: Option<&Passphrase>,
    created_at: Timestamp,
    out: &mut dyn Write,
) -> Result<Made, BackupError> {
    let secrets = passphrase.map(|_| Derivation::fresh()).transpose()?;
    let manifest = Manifest {
        id: hex(&random::<16>()?),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: created_at.to_string(),
        seq: snapshot.seq(),
        holds: choice,
        secrets,
    };
    let mut made = Made { secrets: manifest.has_secrets(), ..Made::default() };
    let mut writer = Writer::begin(out, &manifest.to_bytes())?;
    if let (Some(passphrase), Some(derivation)) = (passphrase, &manifest.secrets) {
        let mut plain = Vec::new();
        for row in snapshot.secrets()? {
            row_into(&mut plain, &row);
        }
        if plain.len() > SECRETS_BYTES_MAX {
            return Err(BackupError::Io(io::Error::other("there are more secrets than a backup takes")));
        }
        let sealed = derivation.seal(passphrase, manifest.id.as_bytes(), plain)?;
        writer.section(Section::Secrets, "")?;
        writer.data(&sealed)?;
        writer.end_section()?;
    }
    writer.section(Section::Records, "")?;
    let mut batch = Vec::with_capacity(PIECE_BYTES);
    let visited = snapshot.rows(&mut |row: Row| {
        made.rows += 1;
        if batch.len() + row_bytes(&row) > PIECE_BYTES && !batch.is_empty() {
            writer.data(&batch)?;
            batch.clear();
        }
        row_into(&mut batch, &row);
        Ok::<(), io::Error>(())
    });
    visited.map_err(|error| match error {
        VisitError::Store(error) => BackupError::Store(error),
        VisitError::Visitor(error) => BackupError::from(error),
    })?;
    if !batch.is_empty() {
        writer.data(&batch)?;
    }
    writer.end_section()?;
    made.left_out = snapshot.left_out();
    if choice.files {
        made.files = blobs(&mut writer, data_dir, FILES)?;
    }
    if choice.pictures {
        made.pictures = blobs(&mut writer, data_dir, THUMBS)?;
    }
    made.bytes = writer.finish()?;
    Ok(made)
}

/// Writes every file below one of the two places, folder by folder.
fn blobs(writer: &mut Writer<'_>, data_dir: &Path, top: &str) -> Result<u64, BackupError> {
    let mut count = 0;
    for folder in 0..=u8::MAX {
        let folder = format!("{top}/{folder:02x}");
        let mut names = match fs::read_dir(data_dir.join(&folder)) {
            Ok(entries) => {
                let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                names.take(NAMES_MAX).collect::<Vec<String>>()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        names.sort_unstable();
        for name in names.into_iter().map(|name| format!("{folder}/{name}")) {
            if Blob::of(&name).is_none() {
                continue;
            }
            let mut file = match File::open(data_dir.join(&name)) {
                Ok(file) => file,
                // Somebody deleted it just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            writer.section(Section::Blob, &name)?;
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let length = file.read(&mut piece)?;
                if length == 0 {
                    break;
                }
                writer.data(piece.get(..length).unwrap_or_default())?;
            }
            writer.end_section()?;
            count += 1;
        }
    }
    Ok(count)
}

/// A file that a backup may hold, told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blob {
    /// A content, whose name is its hash.
    Content(Checksum),
    /// A picture.
    Picture,
}

impl Blob {
    /// What `name` is; `None` for every name that this program does not give, so that a made-up backup writes nowhere else.
    pub fn of(name: &str) -> Option<Blob> {
        let mut parts = name.split('/');
        let (top, folder, file) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = file.get(..64).filter(|digits| digits.bytes().all(is_digit))?;
        let rest = file.get(64..)?;
        if parts.next().is_some() || folder.len() != 2 || !digits.starts_with(folder) {
            return None;
        }
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        match top {
            FILES => {
                let extension = rest.strip_prefix('.').unwrap_or(rest);
                let fits = extension.len() <= 16
                    && rest.is_empty() == extension.is_empty()
                    && extension.split('.').all(|part| plain(part) && (!part.is_empty() || rest.is_empty()));
                digits.parse().ok().filter(|_| fits).map(Blob::Content)
            }
            THUMBS => {
                let inner = rest.strip_prefix('-')?.strip_suffix(".png")?;
                let (plate, size) = inner.split_once('-')?;
                let number =
                    (1..=10).contains(&plate.len()) && plate.bytes().all(|byte| byte.is_ascii_digit());
                (number && matches!(size, "s" | "m" | "l")).then_some(Blob::Picture)
            }
            _ => None,
        }
    }
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn row_bytes(row: &Row) -> usize {
    7 + row.table.name().len() + row.key.len() + row.value.len()
}

/// A row as it travels: the table's name, the key, the value, each behind its length.
pub(super) fn row_into(out: &mut Vec<u8>, row: &Row) {
    let name = row.table.name();
    out.push(u8::try_from(name.len()).unwrap_or(0));
    out.extend(name.as_bytes());
    out.extend(u16::try_from(row.key.len()).unwrap_or(0).to_be_bytes());
    out.extend(&row.key);
    out.extend(u32::try_from(row.value.len()).unwrap_or(0).to_be_bytes());
    out.extend(&row.value);
}
