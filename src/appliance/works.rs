//! `works`: this system has come up. The count of starts that led nowhere begins anew (`board::slots`).

use std::path::Path;

use board::slots::{Slot, SlotFile};

use super::Error;

/// Bytes of the file that names the slot.
const SLOT_BYTES_MAX: u64 = 16;

/// Notes it in the records on `card`. Writes nothing where nothing changes.
pub(super) fn run(root: &Path, card: &Path) -> Result<(), Error> {
    let note = root.join("run/printernizer/slot");
    let label = board::read_proc(&note.to_string_lossy(), SLOT_BYTES_MAX).unwrap_or_default();
    let running = [Slot::A, Slot::B].into_iter().find(|slot| slot.label() == label.trim());
    let running = running.ok_or_else(|| Error::text(format!("{} names no system", note.display())))?;
    let records = SlotFile::new(card);
    let state = records.read().map_err(Error::io("the records of the systems cannot be read"))?;
    let works = state.works(running);
    if works != state {
        records.write(works).map_err(Error::io("that this system works cannot be noted"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use board::slots::State;

    #[expect(clippy::disallowed_methods, reason = "a fixture")]
    fn note(root: &Path, words: &str) {
        let dir = root.join("run/printernizer");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("slot"), words).unwrap();
    }

    fn start(records: &SlotFile) -> Slot {
        let choice = records.read().unwrap().choose();
        records.write(choice.next).unwrap();
        choice.slot
    }

    #[test]
    fn a_word_at_each_start_keeps_the_system_and_silence_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let card = dir.path().join("card");
        std::fs::File::create(&card).unwrap().set_len(4 * 1024 * 1024).unwrap();
        let runs = |slot: Slot| note(dir.path(), &format!("{}\n", slot.label()));
        let records = SlotFile::new(&card);
        for _ in 0..10 {
            assert_eq!(start(&records), Slot::A);
            runs(Slot::A);
            run(dir.path(), &card).unwrap();
        }
        let before = records.read().unwrap();
        run(dir.path(), &card).unwrap();
        assert_eq!(records.read().unwrap(), before, "said once more, nothing is written");
        let silent: Vec<Slot> = (0..4).map(|_| start(&records)).collect();
        assert_eq!(silent, [Slot::A, Slot::A, Slot::A, Slot::B]);
        runs(Slot::B);
        run(dir.path(), &card).unwrap();
        assert_eq!((start(&records), records.read().unwrap().good), (Slot::B, Slot::A));
    }

    #[test]
    fn without_a_slot_or_a_card_it_is_an_error_and_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let card = dir.path().join("card");
        std::fs::File::create(&card).unwrap().set_len(4 * 1024 * 1024).unwrap();
        assert!(run(dir.path(), &card).is_err());
        note(dir.path(), "C\n");
        assert!(run(dir.path(), &card).is_err());
        assert_eq!(SlotFile::new(&card).read().unwrap(), State::default());
        note(dir.path(), "A\n");
        assert!(run(dir.path(), &dir.path().join("none")).is_err());
    }
}
