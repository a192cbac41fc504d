//! Ways back for somebody who has the card in their hand: a forgotten password, and everything erased.
//!
//! At the start the data directory and the boot partition are looked through for two names ([`RESET_PASSWORD`],
//! [`FACTORY_RESET`], in any case, with or without `.txt`; what is in the file does not matter). What is found is acted upon,
//! said in the log, and removed. Where it cannot be removed (a boot partition that is mounted read-only) it is remembered, and
//! acted upon once: a file that is written anew counts anew.
//!
//! Erasing: the records are overwritten before they are removed, since they hold the printers' codes; a card may keep old
//! pages all the same. The mark goes last, so a pulled plug only means that it is done again. Only what is ours goes
//! ([`OURS`]): whatever else lies in the directory stays.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest as _, Sha256};

pub use crate::appliance::{FACTORY_RESET, RESET_PASSWORD};
use crate::base::file::{remove, sync_parent, write_atomic};

/// What was acted upon and could not be removed.
const SEEN: &str = "rescue-seen";
/// Bytes of that file that are read: far more than it ever has.
const SEEN_BYTES_MAX: u64 = 16 * 1024;
/// Lines that are kept of it.
const SEEN_MAX: usize = 16;
/// Entries of a directory that are looked through: a boot partition has some fifty.
const ENTRIES_MAX: usize = 1000;
/// Bytes that are overwritten at a time.
const PIECE: usize = 64 * 1024;

/// Records: overwritten, then removed.
const RECORDS: &[&str] = &[
    "printernizer.redb",
    "printernizer.redb.new",
    "printernizer.redb.damaged-1",
    "printernizer.redb.damaged-2",
    "printernizer.redb.replaced",
    "restore/records.redb",
    "backup/records.redb",
    "backup/records-old.redb",
    "backup/records.redb.new",
];
/// Everything that the service keeps in its directory; a new entry of `storage.md` belongs here too.
const OURS: &[&str] = &["run-state", "backup", "restore", "files", "thumbs", "run"];

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    ResetPassword,
    FactoryReset,
}

#[derive(Debug)]
struct Found {
    path: PathBuf,
    wish: Wish,
    /// Tells it from a file of the same name that is written later.
    mark: String,
}

/// A forgotten password: to be taken away when the store is open.
#[derive(Debug, Default)]
pub struct Forgotten(Vec<Found>);

impl Forgotten {
    /// Whether somebody asked for it.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.0.is_empty()
    }

    /// It was taken away: the files go.
    pub fn done(self, data_dir: &Path) {
        for found in self.0 {
            log::warn!(
                "the password, all sessions and all tokens were taken away, as {} asks",
                found.path.display()
            );
            finish(data_dir, &found);
        }
    }
}

/// Writes down that everything is to be erased at the next start.
///
/// # Errors
/// Those of the card.
pub fn ask_for_factory_reset(data_dir: &Path) -> io::Result<()> {
    write_atomic(&data_dir.join(FACTORY_RESET), b"asked for through the API\n")
}

/// Looks for wishes before the store is opened; erases everything where that is wanted. What cannot be erased (somebody else
/// works in the directory, the card is read-only) is said in the log and tried again at the next start: a box that would not
/// start is of no use to its owner.
pub fn look(data_dir: &Path, boot: &[PathBuf]) -> Forgotten {
    let seen = read_seen(data_dir);
    let mut found = Vec::new();
    for directory in [data_dir].into_iter().chain(boot.iter().map(PathBuf::as_path)) {
        found.extend(wishes_in(directory).into_iter().filter(|found| !seen.contains(&found.mark)));
    }
    let (resets, forgotten): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|found| found.wish == Wish::FactoryReset);
    if let Some(first) = resets.first() {
        log::warn!("everything is erased now, as {} asks", first.path.display());
        match erase(data_dir) {
            Ok(()) => {
                log::warn!("everything was erased; the service begins anew");
                for found in &resets {
                    finish(data_dir, found);
                }
            }
            Err(error) => {
                log::error!("not everything could be erased ({error}); tried again at the next start")
            }
        }
    }
    Forgotten(forgotten)
}

fn wishes_in(directory: &Path) -> Vec<Found> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.take(ENTRIES_MAX).flatten().filter_map(|entry| found(&entry.path())).collect()
}

fn found(path: &Path) -> Option<Found> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let wish = match name.strip_suffix(".txt").unwrap_or(&name) {
        RESET_PASSWORD => Wish::ResetPassword,
        FACTORY_RESET => Wish::FactoryReset,
        _ => return None,
    };
    // A link could point to anywhere.
    let about = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    let written = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let written = written.map_or(0, |at| at.as_millis());
    let digest = Sha256::new()
        .chain_update(path.as_os_str().as_encoded_bytes())
        .chain_update(written.to_le_bytes())
        .chain_update(about.len().to_le_bytes())
        .finalize();
    let mark = crate::web::guard::password::hex(&digest);
    Some(Found { path: path.to_owned(), wish, mark })
}

/// Removes the file, or remembers it.
fn finish(data_dir: &Path, found: &Found) {
    let Err(error) = remove(&found.path) else { return };
    log::warn!(
        "{} cannot be removed ({error}): it will not be acted upon again; remove it by hand",
        found.path.display()
    );
    let mut seen = read_seen(data_dir);
    seen.push(found.mark.clone());
    let newest = seen.split_off(seen.len().saturating_sub(SEEN_MAX));
    if let Err(error) = write_atomic(&data_dir.join(SEEN), (newest.join("\n") + "\n").as_bytes()) {
        log::error!("nor can that be remembered: {error}");
    }
}

fn read_seen(data_dir: &Path) -> Vec<String> {
    let mut text = String::new();
    let Ok(file) = File::open(data_dir.join(SEEN)) else { return Vec::new() };
    let _ = file.take(SEEN_BYTES_MAX).read_to_string(&mut text);
    text.lines().map(str::to_owned).collect()
}

fn erase(data_dir: &Path) -> io::Result<()> {
    // redb holds this lock while it works: another service in the same directory is not robbed.
    let held = match File::open(data_dir.join("printernizer.redb")) {
        Ok(file) => {
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
                .map_err(|_| io::Error::other("another service works in this directory"))?;
            Some(file)
        }
        Err(_) => None,
    };
    for name in RECORDS {
        overwrite(&data_dir.join(name))?;
        remove(&data_dir.join(name))?;
    }
    drop(held);
    for name in OURS {
        let path = data_dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_dir() => fs::remove_dir_all(&path)?,
            Ok(_) => fs::remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    sync_parent(&data_dir.join(SEEN))
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut left = file.metadata()?.len();
    let zeros = vec![0; PIECE];
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        file.write_all(zeros.get(..count).unwrap_or_default())?;
        left -= u64::try_from(count).unwrap_or(left);
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path, bytes: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(bytes).unwrap();
    }

    #[test]
    fn wishes_are_found_by_name_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (data, boot) = (dir.path().join("data"), dir.path().join("boot"));
        for name in ["data/reset-password", "boot/RESET-PASSWORD.TXT", "boot/Reset-Password"] {
            touch(&dir.path().join(name), b"");
            let forgotten = look(&data, std::slice::from_ref(&boot));
            assert!(forgotten.is_wanted(), "{name}");
            assert!(dir.path().join(name).exists(), "it goes when it was done, not before");
            forgotten.done(&data);
            assert!(!dir.path().join(name).exists(), "{name}");
            assert!(!data.join(SEEN).exists());
        }
        for name in [
            "data/reset-password.md",
            "data/reset_password",
            "data/sub/reset-password",
            "data/factory-reset.txt.bak",
        ] {
            touch(&dir.path().join(name), b"");
        }
        fs::create_dir(data.join("factory-reset")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", data.join("reset-password.txt")).unwrap();
        touch(&data.join("printernizer.redb"), b"records");
        assert!(!look(&data, &[boot, dir.path().join("nowhere")]).is_wanted());
        assert_eq!(fs::read(data.join("printernizer.redb")).unwrap(), b"records");
    }

    #[test]
    fn what_cannot_be_removed_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let wish = dir.path().join("reset-password");
        touch(&wish, b"");
        let mut found = look(dir.path(), &[]);
        // As on a file system that is mounted read-only: removing fails, and not because it is gone.
        found.0[0].path = wish.join("x");
        found.done(dir.path());
        assert!(wish.exists());
        assert!(!look(dir.path(), &[]).is_wanted(), "once");
        touch(&wish, b"again");
        assert!(look(dir.path(), &[]).is_wanted(), "written anew");
        for n in 0..40 {
            finish(
                dir.path(),
                &Found { path: wish.join("x"), wish: Wish::ResetPassword, mark: format!("m{n}") },
            );
        }
        let seen = read_seen(dir.path());
        assert_eq!((seen.len(), seen.last().map(String::as_str)), (SEEN_MAX, Some("m39")));
    }

    #[test]
    fn what_is_ours_is_erased_and_records_are_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let ours = ["run-state", "files/ab/abc.3mf", "thumbs/x.png", "run/web-0.sock"];
        for name in RECORDS.iter().chain(&ours) {
            touch(&dir.path().join(name), b"SeCr3tC0de");
        }
        touch(&dir.path().join("somebody-else.txt"), b"SeCr3tC0de");
        let kept = dir.path().join("kept");
        fs::hard_link(dir.path().join("printernizer.redb"), &kept).unwrap();
        ask_for_factory_reset(dir.path()).unwrap();
        assert!(!look(dir.path(), &[]).is_wanted());
        for name in RECORDS.iter().chain(OURS).chain(&[FACTORY_RESET]) {
            assert!(!dir.path().join(name).exists(), "{name}");
        }
        assert_eq!(fs::read(&kept).unwrap(), [0; 10]);
        assert!(dir.path().join("somebody-else.txt").exists());
        // A plug that was pulled in between: what is left is erased, what is gone is no error.
        touch(&dir.path().join("printernizer.redb.new"), b"x");
        ask_for_factory_reset(dir.path()).unwrap();
        look(dir.path(), &[]);
        assert!(!dir.path().join("printernizer.redb.new").exists());
    }

    #[test]
    fn a_service_that_works_is_not_robbed() {
        let dir = tempfile::tempdir().unwrap();
        touch(&dir.path().join("printernizer.redb"), b"records");
        let held = File::open(dir.path().join("printernizer.redb")).unwrap();
        rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        ask_for_factory_reset(dir.path()).unwrap();
        look(dir.path(), &[]);
        assert!(dir.path().join(FACTORY_RESET).exists(), "the wish stays");
        assert_eq!(fs::read(dir.path().join("printernizer.redb")).unwrap(), b"records");
        drop(held);
        look(dir.path(), &[]);
        assert!(!dir.path().join("printernizer.redb").exists());
    }
}
