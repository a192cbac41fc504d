//! The board: everything that depends on the machine the service runs on. Device paths and system calls about hardware
//! live here and nowhere else.
//!
//! So far: free space and the kernel's figures about the process. The LED, the watchdog device, the network's facts and
//! the slots of an update come with the appliance.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

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

/// The text of a file below `/proc`, at most `bytes_max` bytes of it; `None` where there is none.
#[must_use]
pub fn read_proc(path: &str, bytes_max: u64) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(bytes_max).read_to_string(&mut text).ok()?;
    Some(text)
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
    }
}
