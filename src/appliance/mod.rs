//! The card for a Raspberry Pi Zero: what runs there beside the service, each a command of its unit.
//!
//! | command | when | what |
//! |---|---|---|
//! | `data` | before everything | checks, mounts and grows the data partition |
//! | `first-boot` | before the network | settings from `printernizer.toml` on the boot partition |
//! | `gadget` | where the board can be a device | a network adapter for the computer at its cable |
//! | `network` | always | name servers, and the address on the consoles, whenever they change |
//! | `wifi-watch` | while there is Wi-Fi | a sentence for the page and the light when the network refuses us |
//! | `works` | when the service is ready | notes on the card that this system has come up |
//! | `report` | in the boot test | failed units and memory, on the serial console |
//!
//! They run as root, before or beside the service, and do little. The text that people write is the only thing
//! from outside that they read: [`lines`] and [`check`] are pure and take any bytes. What a person should know goes into a
//! file below [`board::NOTICES`], which the service shows on its page until the next start.
//!
//! Not here: how it is decided which system starts (`board::slots`, `board/src/init`); the units (`image-build/card/overlay`).

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

mod check;
mod data;
mod erase;
mod first_boot;
mod lines;
mod network;
mod report;
mod wifi;
mod wifi_watch;
mod wishes;
mod works;

pub use wishes::{FACTORY_RESET, RESET_PASSWORD};

use crate::cli::Outcome;

const USAGE: &str = "usage: printernizer appliance COMMAND   (parts of the SD card; its units call them)

  data --device DEVICE --data DIR             check, mount and grow the data partition
  first-boot --boot DIR --data DIR            take the settings of printernizer.toml in DIR
      --remount                               DIR is mounted read-only: make it writable only while something is written
  gadget                                      be a network adapter at the USB cable
  network                                     name servers and consoles, whenever the network changes
  wifi-watch --interface NAME                 follow the wireless client
  works --device DEVICE                       this system has come up: the next start need not look for another one
  report                                      failed units and memory, on the serial console
      --notices DIR                           leave sentences for the page there
";

/// What was asked for.
#[derive(Clone, Debug, Default)]
struct Words {
    command: String,
    device: Option<PathBuf>,
    boot: Option<PathBuf>,
    data: Option<PathBuf>,
    interface: Option<String>,
    notices: Option<PathBuf>,
    remount: bool,
}

/// What could not be done.
#[derive(Debug)]
pub struct Error {
    what: String,
    source: Option<io::Error>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl Error {
    fn text(what: impl Into<String>) -> Error {
        Error { what: what.into(), source: None }
    }

    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        |source| Error { what, source: Some(source) }
    }
}

/// Runs the command that `words` name.
#[must_use]
pub fn run(words: impl IntoIterator<Item = OsString>) -> Outcome {
    let words = match parse(words) {
        Ok(words) => words,
        Err(message) => {
            let _ = write!(io::stderr(), "{message}\n{USAGE}");
            return Outcome::Misused;
        }
    };
    match perform(&words) {
        Ok(()) => Outcome::Done,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", crate::base::error::chain(&error));
            Outcome::Failed
        }
    }
}

fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Words, String> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(words);
    let mut found = Words::default();
    let wrong = |error: lexopt::Error| error.to_string();
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Long("device") => found.device = Some(parser.value().map_err(wrong)?.into()),
            Long("boot") => found.boot = Some(parser.value().map_err(wrong)?.into()),
            Long("data") => found.data = Some(parser.value().map_err(wrong)?.into()),
            Long("notices") => found.notices = Some(parser.value().map_err(wrong)?.into()),
            Long("interface") => {
                found.interface = Some(parser.value().and_then(|value| value.string()).map_err(wrong)?)
            }
            Long("remount") => found.remount = true,
            Value(word) if found.command.is_empty() => found.command = word.string().map_err(wrong)?,
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(found)
}

fn perform(words: &Words) -> Result<(), Error> {
    let needed = |value: &Option<PathBuf>, flag: &str| {
        value.clone().ok_or_else(|| Error::text(format!("{} needs {flag}", words.command)))
    };
    let notices = words.notices.clone().unwrap_or_else(|| Path::new("/").join(board::NOTICES));
    match words.command.as_str() {
        "data" => data::run(
            &needed(&words.device, "--device")?,
            &needed(&words.data, "--data")?,
            &notices,
            &mut Tools,
        ),
        "first-boot" => {
            let data = needed(&words.data, "--data")?;
            let places = first_boot::Places {
                boot: needed(&words.boot, "--boot")?,
                lasts: !board::is_in_memory(&data),
                data,
                notices,
                remount: words.remount,
            };
            first_boot::run(&places, &mut Tools)
        }
        "gadget" => board::gadget::bring_up(Path::new("/"))
            .map_err(Error::io("the network adapter at the USB cable cannot be made")),
        "network" => network::follow(Path::new("/")),
        "wifi-watch" => {
            let interface =
                words.interface.as_deref().ok_or_else(|| Error::text("wifi-watch needs --interface"))?;
            wifi_watch::run(interface, &notices)
        }
        "works" => works::run(Path::new("/"), &needed(&words.device, "--device")?),
        "report" => report::run(Path::new("/"), &mut Tools),
        other => Err(Error::text(format!("unknown command {other:?}"))),
    }
}

/// Other programs, so that tests can play them.
trait Runner {
    /// Runs `program`; answers its exit code and what it printed, `None` where a signal ended it.
    fn run(&mut self, program: &str, words: &[&str]) -> io::Result<(Option<i32>, String)>;
}

/// The programs of the system.
struct Tools;

/// Bytes of a program's output that are looked at.
const OUTPUT_MAX: usize = 16 * 1024;

impl Runner for Tools {
    fn run(&mut self, program: &str, words: &[&str]) -> io::Result<(Option<i32>, String)> {
        let output = Command::new(program).args(words).stdin(std::process::Stdio::null()).output()?;
        let bytes = output.stdout.get(..OUTPUT_MAX).unwrap_or(&output.stdout);
        Ok((output.status.code(), String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// Leaves a sentence for the page, or takes the one of that name back. It is in memory; that it cannot be left is no reason to stop.
fn notice(notices: &Path, name: &str, text: Option<&str>) {
    let path = notices.join(name);
    let done = match text {
        Some(text) => fs::create_dir_all(notices).and_then(|()| {
            let beside = notices.join(format!(".{name}"));
            // In memory: nothing to sync. The service runs as another user.
            let mut file = fs::File::create(&beside)?;
            file.write_all(text.as_bytes())?;
            readable(&beside, 0o644)?;
            readable(notices, 0o755)?;
            fs::rename(&beside, &path)
        }),
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        },
    };
    if let Err(error) = done {
        let _ = writeln!(io::stderr(), "{}: {error}", path.display());
    }
}

fn readable(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_left_and_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let notices = dir.path().join("notices");
        notice(&notices, "wifi", Some("No network.\n"));
        assert_eq!(board::notices_in(&notices), ["No network."]);
        notice(&notices, "wifi", None);
        notice(&notices, "wifi", None);
        assert_eq!(board::notices_in(&notices), Vec::<String>::new());
    }

    #[test]
    fn wrong_words_are_told() {
        let words = |words: &[&str]| run(words.iter().map(OsString::from));
        assert_eq!(words(&["--what"]), Outcome::Misused);
        assert_eq!(words(&["bake"]), Outcome::Failed);
        assert_eq!(words(&["first-boot", "--boot", "/nowhere"]), Outcome::Failed);
    }
}
