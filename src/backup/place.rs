//! What was laid down takes its place: before the store is opened, and after that there is nothing to do.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::make::{FILES, THUMBS};
use super::manifest::Manifest;
use super::stage::{State, clear, dir, records_path, state_path};
use crate::base::file::{remove, sync_parent};
use crate::store::put_in_place;

/// Puts a restore that is whole into its place in a data directory that nobody uses; answers which one it was. Without
/// such a restore it does nothing. Called again after a power cut it goes on.
///
/// # Errors
/// Whatever the file system answers, and [`io::ErrorKind::ResourceBusy`] where a service uses the directory. It has to
/// succeed before the store may be opened.
pub fn switch(data_dir: &Path) -> io::Result<Option<Manifest>> {
    switch_with(data_dir, &mut |_| Ok(()))
}

/// [`switch`] with a look at each of its steps, which may fail it: for tests.
pub(super) fn switch_with(
    data_dir: &Path,
    step: &mut dyn FnMut(&'static str) -> io::Result<()>,
) -> io::Result<Option<Manifest>> {
    let Some(state) = State::read(data_dir).filter(|state| state.ready) else { return Ok(None) };
    // The store locks its file in the same way; the lock lasts until the end of this function.
    let main = data_dir.join(crate::store::MAIN_FILE);
    let _lock = match File::options().read(true).write(true).open(&main) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Some(file),
            Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    for top in [FILES, THUMBS] {
        move_files(data_dir, top, step)?;
    }
    put_in_place(data_dir, &records_path(data_dir), step)?;
    step("forget the restore")?;
    remove(&state_path(data_dir))?;
    // What is left means nothing any more.
    let _ = clear(data_dir);
    let _ = fs::remove_dir_all(dir(data_dir));
    Ok(Some(state.manifest))
}

fn move_files(
    data_dir: &Path,
    top: &str,
    step: &mut dyn FnMut(&'static str) -> io::Result<()>,
) -> io::Result<()> {
    let from = dir(data_dir).join(top);
    let folders = match fs::read_dir(&from) {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for folder in folders {
        let folder = folder?;
        let target = data_dir.join(top).join(folder.file_name());
        fs::create_dir_all(&target)?;
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            step("move a file")?;
            fs::rename(file.path(), target.join(file.file_name()))?;
        }
        step("sync a folder")?;
        File::open(&target)?.sync_all()?;
        sync_parent(&target)?;
    }
    Ok(())
}
