//! Updates as embedded-svc's traits show them: write the idle slot, activate it for a trial, confirm.
//!
//! Whether an update may be installed (signature, version, board) is decided by the caller before the first byte.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use embedded_svc::io::{ErrorType, Write};
use embedded_svc::ota::{FirmwareInfo, Ota, OtaUpdate, OtaUpdateFinished, Slot as SlotView, SlotState};

use super::file::SlotFile;
use super::{Outcome, Slot, State};

/// How often a new system is started before it must have confirmed itself: once, and once more because somebody may pull
/// the plug meanwhile.
const TRIES: u8 = 2;

/// Which systems there are and where they lie.
#[derive(Debug)]
pub struct Updates {
    state: SlotFile,
    running: Slot,
    running_version: u32,
    devices: [PathBuf; 2],
}

impl Updates {
    /// The updates of a system that runs from `running` and has the build number `running_version`; `devices` are the
    /// partitions of slot A and B.
    #[must_use]
    pub fn new(state: SlotFile, running: Slot, running_version: u32, devices: [PathBuf; 2]) -> Updates {
        Updates { state, running, running_version, devices }
    }

    /// The lowest build number that an update may have.
    ///
    /// # Errors
    /// As [`SlotFile::read`].
    pub fn version_min(&self) -> io::Result<u32> {
        Ok(self.state.read()?.version_min)
    }

    fn device(&self, slot: Slot) -> PathBuf {
        let [a, b] = &self.devices;
        match slot {
            Slot::A => a.clone(),
            Slot::B => b.clone(),
        }
    }

    fn view(&self, slot: Slot, state: &State) -> SlotView {
        let on_trial = state.trial.is_some_and(|(on_trial, _)| on_trial == slot);
        let failed = matches!(state.outcome, Outcome::RolledBack | Outcome::Unbootable);
        let shown = if on_trial {
            SlotState::Unverified
        } else if slot == state.good {
            if state.sequence == 0 { SlotState::Factory } else { SlotState::Valid }
        } else if failed {
            SlotState::Invalid
        } else {
            SlotState::Unknown
        };
        let mut label = heapless::String::new();
        let fits = label.push_str(slot.label());
        debug_assert!(fits.is_ok(), "a letter fits");
        let firmware = (slot == self.running).then(|| FirmwareInfo {
            version: text(&self.running_version.to_string()),
            released: heapless::String::new(),
            description: None,
            signature: None,
            download_id: None,
        });
        SlotView { label, state: shown, firmware }
    }
}

/// As much of `words` as fits.
fn text<const N: usize>(words: &str) -> heapless::String<N> {
    let mut text = heapless::String::new();
    for letter in words.chars() {
        if text.push(letter).is_err() {
            break;
        }
    }
    text
}

/// The error of embedded-svc's traits.
pub type IoError = embedded_svc::io::ErrorKind;

fn kind(error: &io::Error) -> IoError {
    error.kind().into()
}

impl ErrorType for Updates {
    type Error = IoError;
}

impl Ota for Updates {
    type Update<'a> = Writing<'a>;

    fn get_boot_slot(&self) -> Result<SlotView, IoError> {
        let state = self.state.read().map_err(|error| kind(&error))?;
        Ok(self.view(state.choose().slot, &state))
    }

    fn get_running_slot(&self) -> Result<SlotView, IoError> {
        Ok(self.view(self.running, &self.state.read().map_err(|error| kind(&error))?))
    }

    fn get_update_slot(&self) -> Result<SlotView, IoError> {
        Ok(self.view(self.running.other(), &self.state.read().map_err(|error| kind(&error))?))
    }

    fn is_factory_reset_supported(&self) -> Result<bool, IoError> {
        Ok(false)
    }

    fn factory_reset(&mut self) -> Result<(), IoError> {
        Err(IoError::Unsupported)
    }

    fn initiate_update(&mut self) -> Result<Writing<'_>, IoError> {
        let state = self.state.read().map_err(|error| kind(&error))?;
        // The slot that is written must not be the one that a cut would start.
        if state.good != self.running || state.trial.is_some() {
            return Err(IoError::Other);
        }
        let slot = self.running.other();
        let device = OpenOptions::new().write(true).open(self.device(slot)).map_err(|error| kind(&error))?;
        Ok(Writing { updates: self, device, slot })
    }

    fn mark_running_slot_valid(&mut self) -> Result<(), IoError> {
        let state = self.state.read().map_err(|error| kind(&error))?;
        let confirmed = state.confirm(self.running, self.running_version);
        if confirmed != state {
            self.state.write(confirmed).map_err(|error| kind(&error))?;
        }
        Ok(())
    }

    fn mark_running_slot_invalid_and_reboot(&mut self) -> IoError {
        // The start after this one rolls back by itself: the try is spent. Restarting is the caller's, by `Board::restart`.
        IoError::Unsupported
    }
}

/// An update that is being written into the idle slot. Dropping it leaves the slot as it is, and nothing starts from it.
#[derive(Debug)]
pub struct Writing<'a> {
    updates: &'a mut Updates,
    device: File,
    slot: Slot,
}

impl ErrorType for Writing<'_> {
    type Error = IoError;
}

impl Write for Writing<'_> {
    fn write(&mut self, buf: &[u8]) -> Result<usize, IoError> {
        self.device.write(buf).map_err(|error| kind(&error))
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.device.flush().map_err(|error| kind(&error))
    }
}

impl<'a> OtaUpdate for Writing<'a> {
    type OtaUpdateFinished = Written<'a>;

    fn finish(self) -> Result<Written<'a>, IoError> {
        self.device.sync_all().map_err(|error| kind(&error))?;
        Ok(Written { updates: self.updates, slot: self.slot })
    }

    fn complete(self) -> Result<(), IoError> {
        self.finish()?.activate()
    }

    fn abort(self) -> Result<(), IoError> {
        Ok(())
    }
}

/// A whole system in the idle slot.
#[derive(Debug)]
pub struct Written<'a> {
    updates: &'a mut Updates,
    slot: Slot,
}

impl ErrorType for Written<'_> {
    type Error = IoError;
}

impl OtaUpdateFinished for Written<'_> {
    /// The next start tries the new system.
    fn activate(self) -> Result<(), IoError> {
        let state = self.updates.state.read().map_err(|error| kind(&error))?;
        self.updates.state.write(state.try_out(self.slot, TRIES)).map_err(|error| kind(&error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    struct Machine {
        dir: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Machine {
            let dir = tempfile::tempdir().unwrap();
            for (name, length) in [("card", 4 * 1024 * 1024), ("a", 4096), ("b", 4096)] {
                File::create(dir.path().join(name)).unwrap().set_len(length).unwrap();
            }
            Machine { dir }
        }

        fn file(&self) -> SlotFile {
            SlotFile::new(&self.path("card"))
        }

        fn path(&self, name: &str) -> PathBuf {
            Path::new(self.dir.path()).join(name)
        }

        /// What the start chooses, as init would.
        fn start(&self) -> (Slot, Updates) {
            let choice = self.file().read().unwrap().choose();
            self.file().write(choice.next).unwrap();
            let version = if choice.slot == Slot::A { 1 } else { 2 };
            (choice.slot, Updates::new(self.file(), choice.slot, version, [self.path("a"), self.path("b")]))
        }
    }

    #[test]
    fn an_update_goes_into_the_idle_slot_and_is_confirmed() {
        let machine = Machine::new();
        let (slot, mut updates) = machine.start();
        assert_eq!((slot, updates.get_update_slot().unwrap().label.as_str()), (Slot::A, "B"));
        let mut writing = updates.initiate_update().unwrap();
        writing.write_all(b"a new system").unwrap();
        writing.complete().unwrap();
        assert!(std::fs::read(machine.path("b")).unwrap().starts_with(b"a new system"));
        assert_eq!(updates.get_boot_slot().unwrap().state, SlotState::Unverified);
        // Nothing is written over a trial.
        assert!(updates.initiate_update().is_err());
        let (slot, mut updates) = machine.start();
        assert_eq!((slot, updates.get_running_slot().unwrap().state), (Slot::B, SlotState::Unverified));
        updates.mark_running_slot_valid().unwrap();
        assert_eq!(updates.get_running_slot().unwrap().state, SlotState::Valid);
        assert_eq!(updates.version_min().unwrap(), 2);
        assert_eq!(machine.start().0, Slot::B);
    }

    #[test]
    fn an_unconfirmed_update_is_given_up() {
        let machine = Machine::new();
        let (_, mut updates) = machine.start();
        updates.initiate_update().unwrap().complete().unwrap();
        let slots: Vec<Slot> = (0..4).map(|_| machine.start().0).collect();
        assert_eq!(slots, [Slot::B, Slot::B, Slot::A, Slot::A]);
        let (_, updates) = machine.start();
        assert_eq!(updates.get_update_slot().unwrap().state, SlotState::Invalid);
    }

    #[test]
    fn an_aborted_update_changes_nothing() {
        let machine = Machine::new();
        let (_, mut updates) = machine.start();
        let mut writing = updates.initiate_update().unwrap();
        writing.write_all(b"half").unwrap();
        writing.abort().unwrap();
        assert_eq!(machine.start().0, Slot::A);
    }
}
