//! `data`: the data partition checked, mounted and grown, before anything wants it.
//!
//! A cut leaves a journal to be replayed, which takes a moment; only a file system that says it is damaged is looked
//! through as a whole. What cannot be mounted is left as it is, for somebody to rescue: the card then runs from memory and
//! says so.

use std::path::Path;

use super::{Error, Runner, notice};

/// `noatime`, `commit`: wear. `errors`: a card that answers nonsense is not written to any more.
const OPTIONS: &str = "noatime,nosuid,nodev,noexec,commit=15,errors=remount-ro";
/// Room for records where there is no data partition.
const MEMORY_OPTIONS: &str = "mode=0755,nosuid,nodev,noexec,size=32M";
/// e2fsck's exit codes from here on mean that something is wrong still; 1 is "repaired", 2 "and start anew", which concerns
/// a mounted file system only.
const CHECK_FAILED: i32 = 4;

/// Checks, mounts and grows `device` at `data`.
pub(super) fn run(device: &Path, data: &Path, notices: &Path, runner: &mut dyn Runner) -> Result<(), Error> {
    let (device, place) = (device.to_string_lossy(), data.to_string_lossy());
    let checked = code(runner, "e2fsck", &["-y", &device]);
    let doubtful = checked.is_none_or(|code| code >= CHECK_FAILED);
    // -w: a card that is worn out lets itself be read only. mount would take that, and nothing could start from it.
    if code(runner, "mount", &["-w", "-t", "ext4", "-o", OPTIONS, &device, &place]) == Some(0) {
        let text = "The data partition has damage that could not be repaired. Make a copy of your records and flash a new card.";
        notice(notices, "data", doubtful.then_some(text));
        // Nothing is lost where it stays small.
        let _ = code(runner, "/usr/lib/systemd/systemd-growfs", &[&place]);
        return Ok(());
    }
    notice(
        notices,
        "data",
        Some(
            "The data partition of this card cannot be used. Everything is kept in memory only and is lost with the plug. \
             Records may still be rescued from the card with another computer; then flash it again.",
        ),
    );
    match code(runner, "mount", &["-t", "tmpfs", "-o", MEMORY_OPTIONS, "data", &place]) {
        Some(0) => Ok(()),
        _ => Err(Error::text(format!("neither the data partition nor memory can be mounted at {place}"))),
    }
}

fn code(runner: &mut dyn Runner, program: &str, words: &[&str]) -> Option<i32> {
    runner.run(program, words).ok().and_then(|(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Answers what it was told to, in turn, and keeps what was asked.
    struct Script {
        answers: Vec<Option<i32>>,
        asked: Vec<String>,
    }

    impl Runner for Script {
        fn run(&mut self, program: &str, words: &[&str]) -> io::Result<(Option<i32>, String)> {
            self.asked.push(format!("{program} {}", words.join(" ")));
            Ok((self.answers.remove(0), String::new()))
        }
    }

    fn play(answers: &[Option<i32>]) -> (Result<(), Error>, Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let mut script = Script { answers: answers.to_vec(), asked: Vec::new() };
        let result = run(Path::new("/dev/p4"), Path::new("/data"), dir.path(), &mut script);
        let said = board::notices_in(dir.path());
        (result, script.asked, said)
    }

    #[test]
    fn a_repaired_partition_is_mounted_and_grown_without_a_word() {
        for check in [0, 1, 2, 3] {
            let (result, asked, said) = play(&[Some(check), Some(0), Some(1)]);
            assert!(result.is_ok() && said.is_empty());
            assert_eq!(asked.len(), 3);
            assert!(asked[1].starts_with("mount -w ") && asked[1].contains("errors=remount-ro"));
            assert!(asked[2].ends_with("systemd-growfs /data"));
        }
    }

    #[test]
    fn damage_is_told_and_used_as_long_as_it_can_be() {
        for check in [Some(4), Some(8), None] {
            let (result, _, said) = play(&[check, Some(0), Some(0)]);
            assert!(result.is_ok());
            assert!(said[0].contains("could not be repaired"), "{said:?}");
        }
    }

    #[test]
    fn without_a_partition_the_card_runs_from_memory() {
        let (result, asked, said) = play(&[Some(8), Some(32), Some(0)]);
        assert!(result.is_ok() && said[0].contains("memory only"), "{said:?}");
        assert!(asked[2].contains("tmpfs"));
        assert!(play(&[Some(8), Some(32), Some(1)]).0.is_err());
    }
}
