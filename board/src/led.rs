//! The activity LED: one light, five meanings that can be told apart across a room.
//!
//! Patterns are given to the kernel, which plays them without waking the service. A kernel without the `pattern` trigger
//! gets the nearest that it can do by itself.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{BoardError, read};

/// What the light says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The service is starting: quick, even flicker.
    Starting,
    /// All is well and nothing prints: a short flash every four seconds.
    Fine,
    /// Something prints: slow, even blinking.
    Printing,
    /// A person is needed: two flashes, a pause.
    Attention,
    /// The service or its card has a fault: three quick flashes, a pause.
    Fault,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Signal; 5] =
        [Signal::Starting, Signal::Fine, Signal::Printing, Signal::Attention, Signal::Fault];

    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Signal::Starting => "starting",
            Signal::Fine => "fine",
            Signal::Printing => "printing",
            Signal::Attention => "attention",
            Signal::Fault => "fault",
        }
    }

    /// Brightness (0 or 1) and milliseconds, in turns, played for ever.
    #[must_use]
    pub fn pattern(self) -> &'static [(u8, u32)] {
        match self {
            Signal::Starting => &[(1, 100), (0, 100)],
            Signal::Fine => &[(1, 60), (0, 3940)],
            Signal::Printing => &[(1, 1000), (0, 1000)],
            Signal::Attention => &[(1, 200), (0, 200), (1, 200), (0, 1400)],
            Signal::Fault => &[(1, 100), (0, 100), (1, 100), (0, 100), (1, 100), (0, 1000)],
        }
    }
}

/// A light of the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Led {
    directory: PathBuf,
    /// Whether 1 means dark: the device tree of the plain Zero has the polarity the wrong way round.
    inverted: bool,
}

impl Led {
    pub(crate) fn new(directory: PathBuf, inverted: bool) -> Led {
        Led { directory, inverted }
    }

    pub(crate) fn show(&self, signal: Signal) -> Result<(), BoardError> {
        let triggers = read(&self.directory.join("trigger")).ok_or(BoardError::Missing("activity LED"))?;
        let has = |name: &str| triggers.split_whitespace().any(|one| one.trim_matches(['[', ']']) == name);
        let failed = |source| BoardError::System { what: "showing a signal with the LED", source };
        if has("pattern") {
            self.put("trigger", "pattern")
                .and_then(|()| self.put("pattern", &self.words(signal)))
                .map_err(failed)
        } else if has("timer") {
            let (on, off) = self.nearest(signal);
            self.put("trigger", "timer")
                .and_then(|()| self.put("delay_on", &on.to_string()))
                .and_then(|()| self.put("delay_off", &off.to_string()))
                .map_err(failed)
        } else {
            let lit = !matches!(signal, Signal::Fine) != self.inverted;
            self.put("trigger", "none")
                .and_then(|()| self.put("brightness", if lit { "1" } else { "0" }))
                .map_err(failed)
        }
    }

    /// The pattern as the kernel reads it: each brightness twice, so that it jumps instead of fading.
    fn words(&self, signal: Signal) -> String {
        let steps: Vec<String> = signal
            .pattern()
            .iter()
            .map(|(lit, time)| {
                let level = u8::from((*lit == 1) != self.inverted);
                format!("{level} {time} {level} 0")
            })
            .collect();
        steps.join(" ")
    }

    /// One on and one off time that tell the signal as well as they can.
    fn nearest(&self, signal: Signal) -> (u32, u32) {
        let on: u32 = signal.pattern().iter().filter(|(lit, _)| *lit == 1).map(|(_, time)| time).sum();
        let off: u32 = signal.pattern().iter().filter(|(lit, _)| *lit == 0).map(|(_, time)| time).sum();
        if self.inverted { (off, on) } else { (on, off) }
    }

    fn put(&self, file: &str, text: &str) -> io::Result<()> {
        put(&self.directory.join(file), text)
    }
}

/// Writes into a file of the kernel, which is there already.
fn put(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs::File;

    fn led(triggers: &str, inverted: bool) -> (tempfile::TempDir, Led) {
        let root = tempfile::tempdir().unwrap();
        for file in ["trigger", "pattern", "delay_on", "delay_off", "brightness"] {
            File::create(root.path().join(file)).unwrap();
        }
        put(&root.path().join("trigger"), triggers).unwrap();
        let led = Led::new(root.path().to_owned(), inverted);
        (root, led)
    }

    #[test]
    fn every_signal_has_a_pattern_of_its_own() {
        let patterns: BTreeSet<_> = Signal::ALL.map(Signal::pattern).into_iter().collect();
        assert_eq!(patterns.len(), Signal::ALL.len());
        // Nothing flickers faster than an eye can count, and nobody waits longer than five seconds to be told.
        for signal in Signal::ALL {
            assert!(signal.pattern().iter().all(|(_, time)| *time >= 50), "{}", signal.name());
            assert!(signal.pattern().iter().map(|(_, time)| time).sum::<u32>() <= 5_000);
        }
    }

    #[test]
    fn the_kernel_plays_what_it_can() {
        let (root, one) = led("none [mmc0] timer pattern", false);
        one.show(Signal::Printing).unwrap();
        assert_eq!(read(&root.path().join("trigger")).unwrap(), "pattern");
        assert_eq!(read(&root.path().join("pattern")).unwrap(), "1 1000 1 0 0 1000 0 0");
        let (root, one) = led("none [pattern]", true);
        one.show(Signal::Fine).unwrap();
        assert_eq!(read(&root.path().join("pattern")).unwrap(), "0 60 0 0 1 3940 1 0");
        let (root, one) = led("[none] timer", false);
        one.show(Signal::Attention).unwrap();
        assert_eq!(read(&root.path().join("delay_on")).unwrap(), "400");
        assert_eq!(read(&root.path().join("delay_off")).unwrap(), "1600");
        let (root, one) = led("[none]", true);
        one.show(Signal::Fault).unwrap();
        assert_eq!(read(&root.path().join("brightness")).unwrap(), "0");
    }

    #[test]
    fn a_missing_light_is_said() {
        let root = tempfile::tempdir().unwrap();
        let led = Led::new(root.path().join("none"), false);
        assert!(matches!(led.show(Signal::Fine), Err(BoardError::Missing(_))));
    }
}
