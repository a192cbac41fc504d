//! `backup` and `restore`: on the data directory while no service runs there, through the API of the one that does.
//!
//! Which of the two it was is said. The passphrase comes from a file or the environment, never from the command line, where
//! every user of the machine could read it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::client::{self, Client, SILENCE_MAX};
use super::{Failure, Options, load, say};
use crate::backup::{self, BackupError, Choice, Passphrase, Wishes};
use crate::base::clock::Clock;
use crate::base::error::chain;
use crate::base::file::sync_parent;
use crate::config::Loaded;
use crate::store::{SECRET_SETTINGS, Snapshot, StoreError};

/// The variable with the passphrase.
const PASSPHRASE_VARIABLE: &str = "PRINTERNIZER_BACKUP_PASSPHRASE";
/// Bytes of a file with a passphrase that are read.
const PASSPHRASE_FILE_BYTES_MAX: u64 = 1024;

/// `backup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupRequest {
    /// Where directory and address are looked up.
    pub options: Options,
    /// `--url`: through this service's API.
    pub url: Option<String>,
    /// `--output`: a file, or `-` for standard output.
    pub output: Option<PathBuf>,
    /// `--files`.
    pub files: bool,
    /// `--pictures`.
    pub pictures: bool,
    /// `--passphrase-file`.
    pub passphrase_file: Option<PathBuf>,
}

/// `restore`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreRequest {
    /// Where directory and address are looked up.
    pub options: Options,
    /// `--url`: through this service's API.
    pub url: Option<String>,
    /// The backup.
    pub file: PathBuf,
    /// `--passphrase-file`.
    pub passphrase_file: Option<PathBuf>,
    /// `--without-secrets`.
    pub without_secrets: bool,
}

/// What the environment holds of it.
fn variable(environment: &[(OsString, OsString)], name: &str) -> Option<String> {
    environment.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone().into_string().ok())
}

fn passphrase(
    file: Option<&Path>,
    environment: &[(OsString, OsString)],
) -> Result<Option<(Passphrase, String)>, Failure> {
    let text = match file {
        Some(path) => {
            let mut text = String::new();
            let opened = File::open(path)
                .and_then(|file| file.take(PASSPHRASE_FILE_BYTES_MAX).read_to_string(&mut text));
            opened.map_err(|error| Failure::Failed(format!("{} cannot be read: {error}", path.display())))?;
            Some(text.lines().next().unwrap_or_default().to_owned())
        }
        None => variable(environment, PASSPHRASE_VARIABLE),
    };
    text.map(|text| Ok((Passphrase::new(&text).map_err(|error| failed(&error))?, text))).transpose()
}

fn failed(error: &BackupError) -> Failure {
    Failure::Failed(chain(error))
}

fn client(
    url: Option<&str>,
    loaded: &Loaded,
    environment: &[(OsString, OsString)],
) -> Result<Client, Failure> {
    let url = url.map_or_else(|| client::url_of(loaded.config.web.listen), str::to_owned);
    let password = variable(environment, "PRINTERNIZER_WEB_PASSWORD").map(crate::base::secret::Secret::new);
    Ok(Client::new(&url, SILENCE_MAX)?.with_password(password.or_else(|| loaded.config.web.password.clone())))
}

/// Makes a backup.
///
/// # Errors
/// What to tell the person at the prompt.
pub fn backup(request: &BackupRequest, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let phrase = passphrase(request.passphrase_file.as_deref(), &environment)?;
    let loaded = load(&request.options, environment.clone())?;
    let now = Clock::system().now().wall;
    let day = now.to_string();
    let named = format!("printernizer-{}.backup", day.get(..10).unwrap_or_default());
    let target = request.output.clone().unwrap_or_else(|| PathBuf::from(named));
    let mut out = Output::open(&target)?;
    let data_dir = &loaded.config.storage.data_dir;
    let choice = Choice { files: request.files, pictures: request.pictures };
    let view = if request.url.is_some() { None } else { Some(Snapshot::of_directory(data_dir)) };
    let fill = || match view {
        Some(Ok(mut snapshot)) => {
            let phrase = phrase.as_ref().map(|(phrase, _)| phrase);
            let made = backup::write(&mut snapshot, data_dir, choice, phrase, now, &mut out);
            let made = made.map_err(|error| failed(&error))?;
            let left_out = match made.left_out {
                0 => String::new(),
                count => format!(", {count} that cannot be read were left out"),
            };
            Ok(format!(
                "from {}, where no service runs: {} records{left_out}, {} files, {} pictures",
                data_dir.display(),
                made.rows,
                made.files,
                made.pictures
            ))
        }
        Some(Err(StoreError::AlreadyOpen(_))) | None => {
            let client = client(request.url.as_deref(), &loaded, &environment)?;
            let wish = json!({
                "passphrase": phrase.as_ref().map(|(_, text)| text),
                "files": choice.files,
                "pictures": choice.pictures,
            });
            let mut body = client.post_for_bytes("/api/v1/backup", &wish.to_string())?;
            io::copy(&mut body, &mut out)
                .map_err(|error| Failure::Failed(format!("it broke off: {error}")))?;
            Ok(format!("from the service at {}", client.base()))
        }
        Some(Err(error)) => Err(Failure::Failed(format!("{}: {}", data_dir.display(), chain(&error)))),
    };
    let how = match fill() {
        Ok(how) => how,
        Err(failure) => {
            out.discard();
            return Err(failure);
        }
    };
    out.finish(&format!(
        "{how}; secrets {}",
        if phrase.is_some() {
            "encrypted with the passphrase".to_owned()
        } else {
            format!("left out, for want of a passphrase (--passphrase-file, {PASSPHRASE_VARIABLE})")
        }
    ))
}

/// Where a backup is written to: beside its place until it is whole.
enum Output {
    File { beside: PathBuf, target: PathBuf, file: BufWriter<File> },
    Standard(io::Stdout),
}

impl Output {
    fn open(target: &Path) -> Result<Output, Failure> {
        if target == Path::new("-") {
            return Ok(Output::Standard(io::stdout()));
        }
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::Failed(format!("{} cannot be written: {error}", target.display()))
        };
        if target.exists() {
            return Err(cannot(&"it is there already"));
        }
        let mut beside = target.as_os_str().to_owned();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&beside);
        let file = BufWriter::new(file.map_err(|error| cannot(&error))?);
        Ok(Output::File { beside, target: target.to_owned(), file })
    }

    /// Leaves nothing behind of what did not become whole.
    fn discard(self) {
        if let Output::File { beside, .. } = self {
            let _ = fs::remove_file(beside);
        }
    }

    /// Checks what was written from front to back, and only then gives it its name.
    fn finish(self, how: &str) -> Result<(), Failure> {
        match self {
            Output::Standard(mut out) => {
                out.flush().map_err(|error| Failure::Failed(format!("the output cannot be written: {error}")))
            }
            Output::File { beside, target, file } => {
                let write = || -> Result<u64, BackupError> {
                    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                    file.sync_all()?;
                    file.seek(SeekFrom::Start(0))?;
                    backup::check(&mut BufReader::new(&file), None)?;
                    let bytes = file.metadata()?.len();
                    fs::rename(&beside, &target)?;
                    sync_parent(&target)?;
                    Ok(bytes)
                };
                match write() {
                    Ok(bytes) => say(&format!("{}: {bytes} bytes, {how}\n", target.display())),
                    Err(error) => {
                        let _ = fs::remove_file(&beside);
                        Err(failed(&error))
                    }
                }
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::File { file, .. } => file.write(bytes),
            Output::Standard(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::File { file, .. } => file.flush(),
            Output::Standard(out) => out.flush(),
        }
    }
}

/// Takes a backup.
///
/// # Errors
/// What to tell the person at the prompt.
pub fn restore(request: &RestoreRequest, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    let phrase = passphrase(request.passphrase_file.as_deref(), &environment)?;
    let loaded = load(&request.options, environment.clone())?;
    let cannot =
        |error: io::Error| Failure::Failed(format!("{} cannot be read: {error}", request.file.display()));
    let mut file = File::open(&request.file).map_err(cannot)?;
    // Found out before anything is asked of anybody.
    let opener = phrase.as_ref().map(|(phrase, _)| phrase);
    let manifest = backup::check(&mut BufReader::new(&file), opener).map_err(|error| failed(&error))?;
    if manifest.has_secrets() && opener.is_none() && !request.without_secrets {
        let what = BackupError::PassphraseNeeded;
        return Err(Failure::Failed(format!("{what} (--passphrase-file, --without-secrets)")));
    }
    file.seek(SeekFrom::Start(0)).map_err(cannot)?;
    let data_dir = &loaded.config.storage.data_dir;
    let about = format!("the backup of {} (version {})", manifest.created_at, manifest.version);
    if request.url.is_none() && !is_in_use(data_dir) {
        let keep = kept(data_dir);
        return offline(request, data_dir, file, phrase.map(|(phrase, _)| phrase), keep, &about);
    }
    let client = client(request.url.as_deref(), &loaded, &environment)?;
    let progress: Value = serde_json::from_str(&client.get("/api/v1/restore")?).unwrap_or_default();
    let text = |pointer: &str| progress.pointer(pointer).and_then(Value::as_str);
    let goes_on = text("/state") == Some("receiving") && text("/backup/id") == Some(manifest.id.as_str());
    let offset = progress.pointer("/offset").and_then(Value::as_u64).filter(|_| goes_on).unwrap_or(0);
    file.seek(SeekFrom::Start(offset)).map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len().saturating_sub(offset);
    let path = format!("/api/v1/restore?offset={offset}&without_secrets={}", request.without_secrets);
    client.post_bytes(&path, phrase.as_ref().map(|(_, text)| text.as_str()), file, length)?;
    say(&format!("{} has taken {about} and starts afresh with it\n", client.base()))
}

fn is_in_use(data_dir: &Path) -> bool {
    matches!(Snapshot::of_directory(data_dir), Err(StoreError::AlreadyOpen(_)))
}

/// The settings that stay where the backup brings no secrets: the password of the device.
fn kept(data_dir: &Path) -> Vec<crate::store::Row> {
    let rows = Snapshot::of_directory(data_dir).and_then(|mut snapshot| snapshot.secrets());
    let mut rows = rows.unwrap_or_default();
    rows.retain(|row| row.key.starts_with(SECRET_SETTINGS.as_bytes()));
    rows
}

fn offline(
    request: &RestoreRequest,
    data_dir: &Path,
    file: File,
    passphrase: Option<Passphrase>,
    keep: Vec<crate::store::Row>,
    about: &str,
) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::Failed(format!("{}: {error}", data_dir.display()));
    fs::create_dir_all(data_dir).map_err(cannot)?;
    let owner = fs::metadata(data_dir).map_err(cannot)?.uid();
    let own = rustix::process::geteuid().as_raw();
    if own != owner {
        return Err(Failure::Failed(format!(
            "{} belongs to another user, who could not read what is restored here: run this as user {owner}",
            data_dir.display()
        )));
    }
    let wishes = Wishes { passphrase, without_secrets: request.without_secrets, keep, ..Wishes::default() };
    let received =
        backup::receive(data_dir, &mut BufReader::new(file), &wishes).map_err(|error| failed(&error))?;
    backup::switch(data_dir).map_err(|error| failed(&BackupError::Io(error)))?;
    let secrets = match (received.secrets, received.manifest.has_secrets()) {
        (true, _) => "with its secrets",
        (false, true) => "without its secrets",
        (false, false) => "which holds no secrets: enter the printers' codes again",
    };
    say(&format!("{}, where no service runs, holds {about} now, {secrets}\n", data_dir.display()))
}
