//! Ways back for somebody who has the card in their hand, handed on to the service: files on the boot partition whose names say
//! that the password is forgotten, or that everything shall be.
//!
//! The service may neither write to the boot partition nor to what the system keeps. So a wish is moved into the service's
//! directory, where the service acts upon it (`app::rescue`) and takes it away last; and when everything is to be forgotten,
//! the settings that came from `printernizer.toml` are overwritten and removed here, before the service starts. A pulled plug
//! only means that it is done again.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use crate::base::file::{remove, write_atomic};

/// The file that takes the password away.
pub const RESET_PASSWORD: &str = "reset-password";
/// The file that erases everything.
pub const FACTORY_RESET: &str = "factory-reset";
/// Entries of the boot partition that are looked at: it has a dozen.
const ENTRIES_MAX: usize = 512;
/// What the system keeps of a person, below the data partition.
const KEPT: [&str; 6] = [
    "config/printernizer.toml",
    "system/wpa_supplicant.conf",
    "system/host-name",
    "system/boot-file.toml",
    "system/boot-file.mistakes",
    "system/boot-file.sha256",
];

/// The wishes on the boot partition: the name that the service knows, and the file.
pub(super) fn on_boot(boot: &Path) -> Vec<(&'static str, std::path::PathBuf)> {
    let Ok(entries) = fs::read_dir(boot) else { return Vec::new() };
    let files = entries.take(ENTRIES_MAX).flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    files
        .filter_map(|path| {
            let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
            let name = name.strip_suffix(".txt").unwrap_or(&name);
            let wish = [RESET_PASSWORD, FACTORY_RESET].into_iter().find(|wish| *wish == name)?;
            Some((wish, path))
        })
        .collect()
}

/// Writes a wish down for the service, which has to be able to take it away.
pub(super) fn hand_on(wish: &str, data: &Path) -> io::Result<()> {
    let directory = data.join("printernizer");
    fs::create_dir_all(&directory)?;
    let owner = fs::metadata(&directory)?;
    let path = directory.join(wish);
    write_atomic(&path, b"asked for by a file on the boot partition\n")?;
    let made = fs::metadata(&path)?;
    if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) {
        chown(&path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Forgets the settings where everything is to be forgotten.
pub(super) fn forget(data: &Path) -> io::Result<()> {
    if !data.join("printernizer").join(FACTORY_RESET).exists() {
        return Ok(());
    }
    for path in KEPT.map(|name| data.join(name)) {
        let Ok(length) = fs::metadata(&path).map(|found| found.len()) else { continue };
        // They hold passwords. Small files, whose places are overwritten; the card may keep old pages all the same.
        let zeros = vec![0; usize::try_from(length).unwrap_or_default().min(1024 * 1024)];
        let mut file = fs::OpenOptions::new().write(true).open(&path)?;
        io::Write::write_all(&mut file, &zeros)?;
        file.sync_all()?;
        remove(&path)?;
    }
    Ok(())
}
