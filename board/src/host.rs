//! Any Linux that is no Raspberry Pi: facts that every kernel gives, no light, no power over the machine.

use std::path::{Path, PathBuf};

use super::facts::{self, Facts};
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
        Err(BoardError::Missing("way for the service to restart it"))
    }

    fn power_off(&self) -> Result<(), BoardError> {
        Err(BoardError::Missing("way for the service to switch it off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_can_be_looked_at_and_not_switched_off() {
        let host = Host::new(Path::new("/"));
        assert!(host.facts().uptime_s.is_some());
        assert!(host.show(Signal::Fine).is_err() && host.restart().is_err() && host.power_off().is_err());
    }
}
