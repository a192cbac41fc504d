//! Any Linux that is no Raspberry Pi: facts that every kernel gives, no light, and power over the machine only where its
//! owner has set up the helper for it.

use std::path::{Path, PathBuf};

use super::facts::{self, Facts};
use super::helper::{self, Power};
use super::{Board, BoardError, Signal, read};

/// A host. Also the double for tests: below a made root it says what the test wrote there.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host whose system is below `root`, normally `/`.
    #[must_use]
    pub fn new(root: &Path) -> Host {
        Host { root: root.to_owned() }
    }
}

impl Board for Host {
    fn facts(&self) -> Facts {
        Facts { model: read(&self.root.join("sys/class/dmi/id/product_name")), ..facts::common(&self.root) }
    }

    fn show(&self, _: Signal) -> Result<(), BoardError> {
        Err(BoardError::Missing("activity LED"))
    }

    fn restart(&self) -> Result<(), BoardError> {
        helper::ask_power(&self.root, Power::Restart)
    }

    fn power_off(&self) -> Result<(), BoardError> {
        helper::ask_power(&self.root, Power::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_can_be_looked_at_and_not_switched_off() {
        assert!(Host::new(Path::new("/")).facts().uptime_s.is_some());
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        assert!(host.show(Signal::Fine).is_err() && host.restart().is_err() && host.power_off().is_err());
    }
}
