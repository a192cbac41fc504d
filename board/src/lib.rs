//! The board: everything that depends on the machine the service runs on. Device paths and system calls about hardware
//! live here and nowhere else.
//!
//! [`Board`] is what the service may ask: facts, a signal for the person who looks at the box, restart and power off.
//! [`Pi`] is a Raspberry Pi below any root directory (a test gives it a made one), [`Host`] any other Linux, and
//! [`detect`] tells which of them it is. [`slots`] holds the two systems of an appliance and which of them starts.
//!
//! Not here: when a signal is shown and what it means for the service; updates' signatures and their transport.
//!
//! Bounds: files below `/proc` and `/sys` are read up to [`FILE_BYTES_MAX`], at most [`ADDRESSES_MAX`] addresses are
//! listed. Nothing waits, but asking for power waits for the helper's word.

mod facts;
pub mod gadget;
mod heap;
pub mod helper;
mod host;
mod led;
mod network;
mod notices;
mod pi;
pub mod slots;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub use facts::{ADDRESSES_MAX, Address, Card, Facts, Memory};
pub use heap::share_one_heap;
pub use host::Host;
pub use led::Signal;
pub use network::{INTERFACES_MAX, Interface, interfaces};
pub use notices::{NOTICES, notices, notices_in};
pub use pi::Pi;

/// Bytes of a file below `/proc` or `/sys` that are read at most. The longest, the routes of a busy machine, has some ten
/// thousand.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What the service may ask of the machine that it runs on. Calls answer at once or fail.
pub trait Board: Send + Sync {
    /// What the machine says about itself, read now. What it does not say is `None`.
    fn facts(&self) -> Facts;

    /// Shows `signal` until the next one.
    ///
    /// # Errors
    /// [`BoardError::Missing`] where there is nothing to show it with.
    fn show(&self, signal: Signal) -> Result<(), BoardError>;

    /// Asks the system to restart the machine, in order.
    ///
    /// # Errors
    /// Where the service may not, or the machine cannot.
    fn restart(&self) -> Result<(), BoardError>;

    /// Asks the system to switch the machine off, in order.
    ///
    /// # Errors
    /// Where the service may not, or the machine cannot.
    fn power_off(&self) -> Result<(), BoardError>;
}

/// What could not be done.
#[derive(Debug)]
pub enum BoardError {
    /// This machine has no such thing.
    Missing(&'static str),
    /// The system refused it or failed.
    System {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl fmt::Display for BoardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoardError::Missing(what) => write!(f, "this machine has no {what}"),
            BoardError::System { what, .. } => write!(f, "{what} failed"),
        }
    }
}

impl std::error::Error for BoardError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BoardError::Missing(_) => None,
            BoardError::System { source, .. } => Some(source),
        }
    }
}

/// The board that this is: a Raspberry Pi where the device tree below `root` says so, some host otherwise.
#[must_use]
pub fn detect(root: &Path) -> Box<dyn Board> {
    if Pi::is_here(root) { Box::new(Pi::new(root)) } else { Box::new(Host::new(root)) }
}

/// Where the boot partition of a card may be mounted.
const BOOT_DIRECTORIES: [&str; 2] = ["boot/firmware", "boot"];

/// The directories below `root` in which somebody who has put the card into their computer would leave a file.
#[must_use]
pub fn boot_directories(root: &Path) -> Vec<PathBuf> {
    BOOT_DIRECTORIES.iter().map(|name| root.join(name)).filter(|path| path.is_dir()).collect()
}

/// The file whose presence says that the clock was set by the network since the start; `None` on a machine that keeps its
/// time by itself. Only the appliance has no clock chip for certain; its first program leaves a note of itself.
#[must_use]
pub fn clock_sign(root: &Path) -> Option<std::path::PathBuf> {
    root.join("run/printernizer/slot").exists().then(|| root.join("run/systemd/timesync/synchronized"))
}

/// Gives the machine its name, until it is switched off.
///
/// # Errors
/// Where the caller may not, or the name is too long.
pub fn set_host_name(name: &str) -> io::Result<()> {
    rustix::system::sethostname(name.as_bytes()).map_err(io::Error::from)
}

/// Space of a file system in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total_bytes: u64,
    /// What an unprivileged process may still use.
    pub free_bytes: u64,
}

/// The space of the file system that holds `path`; `None` where it cannot be asked.
#[must_use]
pub fn free_space(path: &Path) -> Option<Space> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(Space {
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

/// Whether `path` lies in memory, where nothing outlives the plug.
#[must_use]
pub fn is_in_memory(path: &Path) -> bool {
    /// `TMPFS_MAGIC` of linux/magic.h.
    const IN_MEMORY: u64 = 0x0102_1994;
    // The number's type differs between machines.
    rustix::fs::statfs(path).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(IN_MEMORY))
}

/// The text of a file below `/proc`, at most `bytes_max` bytes of it; `None` where there is none.
#[must_use]
pub fn read_proc(path: &str, bytes_max: u64) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(bytes_max).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The text of a file of the system without the zeros and blanks around it; `None` where there is none. What is no UTF-8
/// is replaced.
fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_space_and_a_process() {
        let space = free_space(Path::new("/")).unwrap();
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
        assert!(read_proc("/proc/self/status", 4096).unwrap().contains("VmRSS:"));
        assert_eq!(free_space(Path::new("/there/is/no/such/path")), None);
        assert!(is_in_memory(Path::new("/dev")) && !is_in_memory(Path::new("/proc")));
    }

    #[test]
    fn only_the_appliance_waits_for_a_sign_of_the_clock() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(clock_sign(root.path()), None);
        std::fs::create_dir_all(root.path().join("run/printernizer/slot")).unwrap();
        assert!(clock_sign(root.path()).unwrap().ends_with("timesync/synchronized"));
    }

    #[test]
    fn this_machine_is_told_from_a_pi() {
        let root = tempfile::tempdir().unwrap();
        assert!(detect(root.path()).facts().model.is_none());
        assert!(detect(Path::new("/")).facts().memory.is_some());
    }
}
