//! The two records in a file or a block device.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::{RECORD_BYTES, State};

/// Where the records begin: in the gap of 4 MiB before the first partition, in different erase blocks of any card.
pub const OFFSETS: [u64; 2] = [1024 * 1024, 3 * 1024 * 1024];

/// The place of the records.
#[derive(Clone, Debug)]
pub struct SlotFile {
    path: PathBuf,
}

impl SlotFile {
    /// The records in the file or device at `path`.
    #[must_use]
    pub fn new(path: &Path) -> SlotFile {
        SlotFile { path: path.to_owned() }
    }

    /// The newest whole record; the state of a fresh card where there is none.
    ///
    /// # Errors
    /// Where the device cannot be opened. A sector that cannot be read counts as none.
    pub fn read(&self) -> io::Result<State> {
        let mut device = File::open(&self.path)?;
        let states = OFFSETS.map(|offset| record(&mut device, offset));
        Ok(newest(states).map(|(_, state)| state).unwrap_or_default())
    }

    /// Writes `state` with the next number over the older record, and reads it back from the card.
    ///
    /// # Errors
    /// Where it could not be written, or other bytes came back; the newer record is untouched then.
    pub fn write(&self, state: State) -> io::Result<State> {
        let mut device = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let states = OFFSETS.map(|offset| record(&mut device, offset));
        let (target, sequence) = match newest(states) {
            Some((0, newest)) => (1, newest.sequence),
            Some((_, newest)) => (0, newest.sequence),
            None => (0, 0),
        };
        let state = State { sequence: sequence.saturating_add(1), ..state };
        let offset = OFFSETS.get(target).copied().unwrap_or_default();
        device.seek(SeekFrom::Start(offset))?;
        device.write_all(&state.encode())?;
        device.sync_all()?;
        // What the kernel remembers of the sector proves nothing.
        let _ = rustix::fs::fadvise(
            &device,
            offset,
            std::num::NonZeroU64::new(4096),
            rustix::fs::Advice::DontNeed,
        );
        match record(&mut device, offset) {
            Some(read) if read == state => Ok(state),
            _ => Err(io::Error::other("the record was not read back as it was written")),
        }
    }
}

fn record(device: &mut File, offset: u64) -> Option<State> {
    let mut bytes = [0; RECORD_BYTES];
    device.seek(SeekFrom::Start(offset)).ok()?;
    device.read_exact(&mut bytes).ok()?;
    State::decode(&bytes)
}

fn newest(states: [Option<State>; 2]) -> Option<(usize, State)> {
    let numbered = states.into_iter().enumerate();
    numbered.filter_map(|(at, state)| Some((at, state?))).max_by_key(|(_, state)| state.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::{Outcome, Slot};

    fn card() -> (tempfile::NamedTempFile, SlotFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 * 1024 * 1024).unwrap();
        let slots = SlotFile::new(file.path());
        (file, slots)
    }

    fn spoil(card: &tempfile::NamedTempFile, which: usize) {
        let mut file = card.reopen().unwrap();
        file.seek(SeekFrom::Start(OFFSETS[which])).unwrap();
        file.write_all(&[0x5a; RECORD_BYTES]).unwrap();
    }

    #[test]
    fn the_older_record_is_always_the_one_overwritten() {
        let (card, slots) = card();
        assert_eq!(slots.read().unwrap(), State::default());
        let mut last = State::default();
        for round in 1..=5 {
            let written = slots.write(last.try_out(Slot::B, round)).unwrap();
            assert_eq!((written.sequence, slots.read().unwrap()), (u64::from(round), written));
            last = written;
        }
        // Five records: the fifth is in the first place, the fourth in the second.
        spoil(&card, 0);
        assert_eq!(slots.read().unwrap().sequence, 4);
        let repaired = slots.write(State { outcome: Outcome::Confirmed, ..slots.read().unwrap() }).unwrap();
        assert_eq!(repaired.sequence, 5);
        spoil(&card, 1);
        assert_eq!(slots.read().unwrap(), repaired);
        spoil(&card, 0);
        assert_eq!(slots.read().unwrap(), State::default());
    }

    #[test]
    fn a_device_without_room_is_an_error_and_not_a_state() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let slots = SlotFile::new(Path::new("/there/is/no/device"));
        assert!(slots.read().is_err() && slots.write(State::default()).is_err());
        assert_eq!(SlotFile::new(file.path()).read().unwrap(), State::default());
    }
}
