//! From the words of the command line to a [`Command`]. Pure.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use super::backup::{BackupRequest, RestoreRequest};
use crate::base::logging::line::escape;
use crate::config::Sources;

/// What `--help` prints.
pub const USAGE: &str = "\
printernizer: the box beside your 3D printers that never forgets a print

Usage: printernizer COMMAND [OPTIONS]

Commands:
  serve                 run the service
  check-config          say OK, or every mistake in the configuration
  config print          print the effective configuration, without secrets
  events                print the latest events of a running service
      --follow          go on with what happens, until interrupted
      --after SEQ       begin after this event
      --json            print each event as the service sends it
  trace SEQ             print how an event came about, from a running service
  backup                make a backup: of the data directory, or of the service that runs on it
      --output FILE     write to this file instead of printernizer-DATE.backup; - is standard output
      --files           with the print files
      --pictures        with their pictures
      --passphrase-file FILE
                        encrypt secrets with the passphrase in this file (or variable
                        PRINTERNIZER_BACKUP_PASSPHRASE); without one they are left out
  restore FILE          take a backup: into the data directory, or the service that runs on it
      --passphrase-file FILE
      --without-secrets take it without its secrets
  inspect FILE          print what a print file says about itself
      --json            as JSON
  appliance WORD        parts of the SD card for a Raspberry Pi Zero; its units call them
  self-test             try on this device what the service is built on
  helper light|power    for the units beside the service: do one word from a socket
  version               print the version

Options:
  --config FILE         read this file instead of /etc/printernizer/printernizer.toml
  --data DIR            keep everything in this directory (self-test: try this directory)
  --listen ADDR         listen here, as 0.0.0.0:8080
  --url URL             events, trace, backup, restore: the running service, as http://printernizer.local:8080
                        (its password, if it wants one: variable PRINTERNIZER_WEB_PASSWORD)
  -h, --help            print this

Exit code: 0 done, 1 failed, 2 wrong usage or configuration.
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the service.
    Serve(Options),
    /// Check the configuration.
    CheckConfig(Options),
    /// Print the effective configuration.
    ConfigPrint(Options),
    /// Print events of a running service.
    Events(EventsRequest),
    /// Print how an event came about.
    Trace(TraceRequest),
    /// Make a backup.
    Backup(BackupRequest),
    /// Take a backup.
    Restore(RestoreRequest),
    /// Print what a print file says about itself; the words after `inspect` are its own.
    Inspect(Vec<OsString>),
    /// Do a part of what the SD card needs beside the service; the words after `appliance` are its own.
    Appliance(Vec<OsString>),
    /// Try the building blocks on this device.
    SelfTest {
        /// The directory to write to; without one a temporary one is made.
        data_dir: Option<PathBuf>,
    },
    /// Do for the service what it may not do itself.
    Helper(Helper),
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
}

/// What a helper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helper {
    /// Shows a signal on the light.
    Light,
    /// Restarts the machine, or switches it off.
    Power,
}

/// Options that concern the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--data`.
    pub data: Option<OsString>,
    /// `--listen`.
    pub listen: Option<OsString>,
}

impl Options {
    /// As sources of the configuration.
    #[must_use]
    pub fn sources(&self, environment: Vec<(OsString, OsString)>) -> Sources {
        Sources {
            file: self.config.clone(),
            data_dir: self.data.clone(),
            listen: self.listen.clone(),
            environment,
        }
    }
}

/// `events`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsRequest {
    /// Where the service's address is looked up without `url`.
    pub options: Options,
    /// `--url`.
    pub url: Option<String>,
    /// `--follow`.
    pub follow: bool,
    /// `--after`.
    pub after: Option<u64>,
    /// `--json`.
    pub json: bool,
}

/// `trace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceRequest {
    /// Where the service's address is looked up without `url`.
    pub options: Options,
    /// `--url`.
    pub url: Option<String>,
    /// The event.
    pub seq: u64,
    /// `--json`.
    pub json: bool,
}

/// Words that make no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> UsageError {
        UsageError(escape(&error.to_string()))
    }
}

fn wrong(text: impl Into<String>) -> UsageError {
    UsageError(text.into())
}

/// Every flag that was given, before it is known whether the command has it.
#[derive(Debug, Default)]
struct Given {
    words: Vec<OsString>,
    flags: Vec<&'static str>,
    options: Options,
    url: Option<String>,
    after: Option<u64>,
    output: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
}

/// Words of a command at most: `config print` has two, `trace SEQ` too.
const WORDS_MAX: usize = 2;

/// Takes the words after the program's name.
///
/// # Errors
/// What is wrong with the first word that is.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut given = Given::default();
    let mut parser = Parser::from_args(words);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Value(word) if given.words.is_empty() && given.flags.is_empty() && word == "inspect" => {
                return Ok(Command::Inspect(parser.raw_args()?.collect()));
            }
            Arg::Value(word) if given.words.is_empty() && given.flags.is_empty() && word == "appliance" => {
                return Ok(Command::Appliance(parser.raw_args()?.collect()));
            }
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            Arg::Long("version") | Arg::Short('V') => return Ok(Command::Version),
            Arg::Long("config") => {
                given.flag("--config")?;
                given.options.config = Some(PathBuf::from(parser.value()?));
            }
            Arg::Long("data") => {
                given.flag("--data")?;
                given.options.data = Some(parser.value()?);
            }
            Arg::Long("listen") => {
                given.flag("--listen")?;
                given.options.listen = Some(parser.value()?);
            }
            Arg::Long("url") => {
                given.flag("--url")?;
                let url = parser.value()?.into_string().map_err(|_| wrong("--url is not UTF-8"))?;
                given.url = Some(url);
            }
            Arg::Long("after") => {
                given.flag("--after")?;
                given.after = Some(seq(&parser.value()?)?);
            }
            Arg::Long("output") => {
                given.flag("--output")?;
                given.output = Some(PathBuf::from(parser.value()?));
            }
            Arg::Long("passphrase-file") => {
                given.flag("--passphrase-file")?;
                given.passphrase_file = Some(PathBuf::from(parser.value()?));
            }
            Arg::Long("files") => given.flag("--files")?,
            Arg::Long("pictures") => given.flag("--pictures")?,
            Arg::Long("without-secrets") => given.flag("--without-secrets")?,
            Arg::Long("follow") => given.flag("--follow")?,
            Arg::Long("json") => given.flag("--json")?,
            Arg::Value(word) if given.words.len() < WORDS_MAX => given.words.push(word),
            other @ (Arg::Value(_) | Arg::Long(_) | Arg::Short(_)) => return Err(other.unexpected().into()),
        }
    }
    given.command()
}

impl Given {
    fn flag(&mut self, name: &'static str) -> Result<(), UsageError> {
        if self.flags.contains(&name) {
            return Err(wrong(format!("{name} is given twice")));
        }
        self.flags.push(name);
        Ok(())
    }

    fn command(self) -> Result<Command, UsageError> {
        let mut words = self.words.iter();
        let Some(first) = words.next() else { return Err(wrong("no command is given")) };
        let second = words.next();
        match (first.to_str(), second) {
            (Some("help"), None) => Ok(Command::Help),
            (Some("version"), None) => self.only("version", &[]).map(|_| Command::Version),
            (Some("serve"), None) => self
                .only("serve", &["--config", "--data", "--listen"])
                .map(|given| Command::Serve(given.options)),
            (Some("check-config"), None) => {
                let given = self.only("check-config", &["--config", "--data", "--listen"])?;
                Ok(Command::CheckConfig(given.options))
            }
            (Some("config"), Some(word)) if word == "print" => {
                let given = self.only("config print", &["--config", "--data", "--listen"])?;
                Ok(Command::ConfigPrint(given.options))
            }
            (Some("config"), None) => Err(wrong("config needs a second word: config print")),
            (Some("events"), None) => {
                let allowed = ["--config", "--data", "--listen", "--url", "--after", "--follow", "--json"];
                let given = self.only("events", &allowed)?;
                let (follow, json) = (given.has("--follow"), given.has("--json"));
                Ok(Command::Events(EventsRequest {
                    options: given.options,
                    url: given.url,
                    follow,
                    after: given.after,
                    json,
                }))
            }
            (Some("trace"), Some(word)) => {
                let seq = seq(word)?;
                let given = self.only("trace", &["--config", "--data", "--listen", "--url", "--json"])?;
                let json = given.has("--json");
                Ok(Command::Trace(TraceRequest { options: given.options, url: given.url, seq, json }))
            }
            (Some("trace"), None) => Err(wrong("trace needs the number of an event: trace 17")),
            (Some("backup"), None) => {
                let allowed = [
                    "--config",
                    "--data",
                    "--listen",
                    "--url",
                    "--output",
                    "--files",
                    "--pictures",
                    "--passphrase-file",
                ];
                let given = self.only("backup", &allowed)?;
                let (files, pictures) = (given.has("--files"), given.has("--pictures"));
                Ok(Command::Backup(BackupRequest {
                    options: given.options,
                    url: given.url,
                    output: given.output,
                    files,
                    pictures,
                    passphrase_file: given.passphrase_file,
                }))
            }
            (Some("restore"), Some(file)) => {
                let file = PathBuf::from(file);
                let allowed =
                    ["--config", "--data", "--listen", "--url", "--passphrase-file", "--without-secrets"];
                let given = self.only("restore", &allowed)?;
                let without_secrets = given.has("--without-secrets");
                Ok(Command::Restore(RestoreRequest {
                    options: given.options,
                    url: given.url,
                    file,
                    passphrase_file: given.passphrase_file,
                    without_secrets,
                }))
            }
            (Some("restore"), None) => Err(wrong("restore needs a file: restore printernizer.backup")),
            (Some("self-test"), None) => {
                let given = self.only("self-test", &["--data"])?;
                Ok(Command::SelfTest { data_dir: given.options.data.map(PathBuf::from) })
            }
            (Some("helper"), Some(word)) => {
                let helper = match word.to_str() {
                    Some("light") => Helper::Light,
                    Some("power") => Helper::Power,
                    _ => return Err(wrong(format!("unexpected word {:?}", word.to_string_lossy()))),
                };
                self.only("helper", &[]).map(|_| Command::Helper(helper))
            }
            (Some("helper"), None) => Err(wrong("helper needs a second word: light or power")),
            (
                Some(
                    "version" | "help" | "serve" | "check-config" | "config" | "events" | "self-test"
                    | "backup",
                ),
                Some(word),
            ) => Err(wrong(format!("unexpected word {:?}", word.to_string_lossy()))),
            _ => Err(wrong(format!("unknown command {:?}", first.to_string_lossy()))),
        }
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// Refuses flags that mean nothing for the command.
    fn only(self, command: &str, allowed: &[&str]) -> Result<Given, UsageError> {
        match self.flags.iter().find(|flag| !allowed.contains(flag)) {
            Some(flag) => Err(wrong(format!("{flag} means nothing for {command}"))),
            None => Ok(self),
        }
    }
}

fn seq(word: &std::ffi::OsStr) -> Result<u64, UsageError> {
    word.to_str().and_then(|word| word.parse().ok()).ok_or_else(|| {
        wrong(format!("found {:?}; allowed: the number of an event, as 17", word.to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn commands_and_options_in_any_order() {
        let options = Options { config: Some("f".into()), data: Some("d".into()), listen: Some("l".into()) };
        for line in ["serve --config f --data d --listen l", "--listen=l --data=d serve --config=f"] {
            assert_eq!(parse_line(line), Ok(Command::Serve(options.clone())), "{line}");
        }
        assert_eq!(parse_line("helper light"), Ok(Command::Helper(Helper::Light)));
        assert_eq!(parse_line("config print"), Ok(Command::ConfigPrint(Options::default())));
        assert_eq!(
            parse_line("trace 17 --json"),
            Ok(Command::Trace(TraceRequest { seq: 17, json: true, ..Default::default() }))
        );
        let Ok(Command::Events(events)) = parse_line("events --follow --after 3 --url http://x") else {
            panic!()
        };
        assert!(
            events.follow
                && !events.json
                && events.after == Some(3)
                && events.url.as_deref() == Some("http://x")
        );
        for line in ["-h", "serve --help", "help", "nonsense --help"] {
            assert_eq!(parse_line(line), Ok(Command::Help), "{line}");
        }
    }

    #[test]
    fn inspect_reads_its_own_words() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for line in ["", "a.3mf --json", "--help", "--plate 2 -- -x"] {
            assert_eq!(parse_line(&format!("inspect {line}")), Ok(Command::Inspect(words(line))), "{line}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_words() {
        for (line, said) in [
            ("", "no command"),
            ("dance", "unknown command \"dance\""),
            ("serve now", "unexpected word \"now\""),
            ("serve --fast", "--fast"),
            ("serve --config", "--config"),
            ("serve --data a --data b", "--data is given twice"),
            ("serve --follow", "--follow means nothing for serve"),
            ("version --json", "--json means nothing for version"),
            ("events --after x", "found \"x\"; allowed: the number"),
            ("events --follow=yes", "--follow"),
            ("trace", "trace needs the number"),
            ("trace -1", "-1"),
            ("config", "config print"),
            ("helper", "light or power"),
            ("helper fan", "unexpected word \"fan\""),
            ("helper power --json", "--json means nothing for helper"),
            ("config show", "unexpected word \"show\""),
            ("a b c", "c"),
        ] {
            let error = parse_line(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn words_are_printed_harmlessly() {
        let error = parse([OsString::from("--\u{1b}[2J\n")]).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && !error.contains('\n'), "{error:?}");
        let error = parse([OsString::from("\u{1b}[2J")]).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }

    #[test]
    fn the_usage_names_every_command() {
        for command in [
            "serve",
            "check-config",
            "config print",
            "events",
            "trace SEQ",
            "inspect FILE",
            "self-test",
            "helper light|power",
            "version",
        ] {
            assert!(USAGE.contains(&format!("\n  {command} ")), "{command}");
        }
    }
}
