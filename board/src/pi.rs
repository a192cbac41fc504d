//! A Raspberry Pi of the first generation: Zero, Zero W, 1.
//!
//! The service runs without privileges, so restarting is asked of a helper, and so is the light where the service may not
//! write to it ([`super::helper`]); where the helper is absent the answer is an error and the page says so.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::facts::{self, Card, Facts};
use super::helper::{self, Power};
use super::led::Led;
use super::{Board, BoardError, Signal, read};

/// File systems of the card that are looked at: boot, two systems, data.
const FILE_SYSTEMS_MAX: usize = 8;

/// A Raspberry Pi.
#[derive(Clone, Debug)]
pub struct Pi {
    root: PathBuf,
    led: Led,
}

impl Pi {
    /// Whether the system below `root` runs on one.
    #[must_use]
    pub fn is_here(root: &Path) -> bool {
        model(root).is_some_and(|model| model.starts_with("Raspberry Pi"))
    }

    /// The board whose system is below `root`, normally `/`.
    #[must_use]
    pub fn new(root: &Path) -> Pi {
        // The pin is the same and active low on both, but only the Zero W's device tree says so.
        let inverted = model(root)
            .is_some_and(|model| model.starts_with("Raspberry Pi Zero") && !model.contains("Zero W"));
        let leds = root.join("sys/class/leds");
        let directory = ["ACT", "led0"].into_iter().map(|name| leds.join(name)).find(|path| path.exists());
        Pi { root: root.to_owned(), led: Led::new(directory.unwrap_or_else(|| leds.join("ACT")), inverted) }
    }

    /// Shows `signal` without asking anybody.
    pub(crate) fn show_itself(&self, signal: Signal) -> Result<(), BoardError> {
        self.led.show(signal)
    }
}

impl Board for Pi {
    fn facts(&self) -> Facts {
        let root = &self.root;
        let serial = read(&root.join("proc/device-tree/serial-number"))
            .or_else(|| cpuinfo(root, "Serial"))
            .filter(|serial| serial.bytes().any(|digit| digit != b'0'));
        let common = facts::common(root);
        Facts {
            model: model(root),
            serial,
            undervoltage: undervoltage(root),
            throttled: throttled(root).or(common.throttled),
            card: card(root),
            ..common
        }
    }

    fn show(&self, signal: Signal) -> Result<(), BoardError> {
        match self.show_itself(signal) {
            Err(BoardError::System { source, .. })
                if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
            {
                helper::ask_light(&self.root, signal)
            }
            shown => shown,
        }
    }

    fn restart(&self) -> Result<(), BoardError> {
        helper::ask_power(&self.root, Power::Restart)
    }

    fn power_off(&self) -> Result<(), BoardError> {
        helper::ask_power(&self.root, Power::Off)
    }
}

fn model(root: &Path) -> Option<String> {
    read(&root.join("proc/device-tree/model")).or_else(|| cpuinfo(root, "Model"))
}

fn cpuinfo(root: &Path, field: &str) -> Option<String> {
    let text = read(&root.join("proc/cpuinfo"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.trim_start().strip_prefix(':'))?;
    Some(line.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Whether the voltage was too low since the start. Zero and Zero W have no sensor for it and always say no: nothing is
/// claimed for them.
fn undervoltage(root: &Path) -> Option<bool> {
    if model(root)?.starts_with("Raspberry Pi Zero") {
        return None;
    }
    let sensors = fs::read_dir(root.join("sys/class/hwmon")).ok()?;
    let sensor = sensors
        .take(FILE_SYSTEMS_MAX)
        .flatten()
        .map(|entry| entry.path())
        .find(|path| read(&path.join("name")).as_deref() == Some("rpi_volt"))?;
    Some(read(&sensor.join("in0_lcrit_alarm"))? == "1")
}

/// Whether the firmware slows the processor down now. Only kernels of Raspberry Pi OS pass its word on.
fn throttled(root: &Path) -> Option<bool> {
    /// Of the word: slowed down by the cap for low voltage, throttled, at the soft limit of temperature; all of this moment.
    const NOW: u32 = 0b1110;
    let word = read(&root.join("sys/devices/platform/soc/soc:firmware/get_throttled"))?;
    let word = u32::from_str_radix(word.strip_prefix("0x").unwrap_or(&word), 16).ok()?;
    Some(word & NOW != 0)
}

/// The first card, and the sums over the file systems on it.
fn card(root: &Path) -> Option<Card> {
    let device = root.join("sys/block/mmcblk0/device");
    let mut card = Card {
        name: read(&device.join("name")),
        manufacturer: read(&device.join("manfid")),
        made: read(&device.join("date")),
        ..Card::default()
    };
    if let Ok(systems) = fs::read_dir(root.join("sys/fs/ext4")) {
        let names = systems.take(FILE_SYSTEMS_MAX).flatten();
        for path in names.map(|entry| entry.path()).filter(|path| is_on_card(path)) {
            let number = |file: &str| read(&path.join(file)).and_then(|number| number.parse::<u64>().ok());
            let sum = |sum: Option<u64>, more: Option<u64>| match (sum, more) {
                (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
                (sum, more) => sum.or(more),
            };
            card.errors = sum(card.errors, number("errors_count"));
            card.written_kib = sum(card.written_kib, number("lifetime_write_kbytes"));
        }
    }
    (card != Card::default()).then_some(card)
}

fn is_on_card(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("mmcblk0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{self, BufRead as _, Write as _};
    use std::os::unix::net::UnixListener;

    fn made(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
        }
        root
    }

    #[test]
    fn a_zero_w_says_what_it_is() {
        let root = made(&[
            ("proc/device-tree/model", "Raspberry Pi Zero W Rev 1.1\0"),
            ("proc/device-tree/serial-number", "00000000abcdef01\0"),
            ("proc/uptime", "12.34 10.00\n"),
            ("proc/loadavg", "0.25 0.10 0.05 1/60 300\n"),
            ("proc/meminfo", "MemTotal:         441000 kB\nMemAvailable:     400000 kB\n"),
            ("sys/class/thermal/thermal_zone0/temp", "41234\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1000000\n"),
            ("sys/class/hwmon/hwmon0/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "0\n"),
            ("sys/block/mmcblk0/device/name", "SC16G\n"),
            ("sys/block/mmcblk0/device/manfid", "0x000003\n"),
            ("sys/block/mmcblk0/device/date", "04/2024\n"),
            ("sys/fs/ext4/mmcblk0p4/errors_count", "0\n"),
            ("sys/fs/ext4/mmcblk0p4/lifetime_write_kbytes", "1000\n"),
            ("sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes", "500\n"),
            ("sys/fs/ext4/sda1/errors_count", "7\n"),
        ]);
        assert!(Pi::is_here(root.path()));
        let facts = Pi::new(root.path()).facts();
        assert_eq!(facts.model.as_deref(), Some("Raspberry Pi Zero W Rev 1.1"));
        assert_eq!(facts.serial.as_deref(), Some("00000000abcdef01"));
        assert_eq!((facts.uptime_s, facts.clock_khz), (Some(12), Some(1_000_000)));
        assert_eq!((facts.temperature_c, facts.load), (Some(41.234), Some(0.25)));
        assert_eq!(facts.memory.unwrap().available_bytes, 400_000 * 1024);
        assert_eq!(facts.undervoltage, None);
        let card = facts.card.unwrap();
        assert_eq!((card.name.as_deref(), card.made.as_deref()), (Some("SC16G"), Some("04/2024")));
        assert_eq!((card.errors, card.written_kib), (Some(0), Some(1500)));
    }

    #[test]
    fn another_pi_tells_of_its_voltage_and_an_emulated_one_has_no_serial() {
        let root = made(&[
            (
                "proc/cpuinfo",
                "processor\t: 0\nSerial\t\t: 0000000000000000\nModel\t\t: Raspberry Pi 3 Model B\n",
            ),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
        ]);
        let facts = Pi::new(root.path()).facts();
        assert_eq!(facts.model.as_deref(), Some("Raspberry Pi 3 Model B"));
        assert_eq!((facts.serial, facts.undervoltage, facts.card), (None, Some(true), None));
    }

    #[test]
    fn the_firmware_tells_when_it_slows_the_processor_down() {
        for (word, expected) in
            [("0x0", Some(false)), ("50005", Some(true)), ("0x50000", Some(false)), ("?", None)]
        {
            let root = made(&[("sys/devices/platform/soc/soc:firmware/get_throttled", word)]);
            assert_eq!(Pi::new(root.path()).facts().throttled, expected, "{word}");
        }
    }

    #[test]
    fn the_plain_zero_has_its_light_the_wrong_way_round() {
        for (model, expected) in
            [("Raspberry Pi Zero Rev 1.3", "0 60"), ("Raspberry Pi Zero W Rev 1.1", "1 60")]
        {
            let root = made(&[
                ("proc/device-tree/model", model),
                ("sys/class/leds/ACT/trigger", "[heartbeat] pattern\n"),
                ("sys/class/leds/ACT/pattern", ""),
            ]);
            Pi::new(root.path()).show(Signal::Fine).unwrap();
            let pattern = read(&root.path().join("sys/class/leds/ACT/pattern")).unwrap();
            assert!(pattern.starts_with(expected), "{model}: {pattern}");
        }
    }

    #[test]
    fn power_is_asked_of_the_helper() {
        let root = made(&[("run/x", "")]);
        let pi = Pi::new(root.path());
        assert!(pi.restart().is_err());
        let listener = UnixListener::bind(root.path().join(helper::POWER_SOCKET)).unwrap();
        let helper = std::thread::spawn(move || {
            let mut words = Vec::new();
            for answer in ["ok\n", "no\n"] {
                let (mut socket, _) = listener.accept().unwrap();
                let mut word = String::new();
                io::BufReader::new(&socket).read_line(&mut word).unwrap();
                words.push(word);
                socket.write_all(answer.as_bytes()).unwrap();
            }
            words
        });
        pi.restart().unwrap();
        assert!(pi.power_off().is_err());
        assert_eq!(helper.join().unwrap(), ["restart\n", "power-off\n"]);
    }
}
