//! The command line.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, ValueExt};

/// What `--help` prints.
pub const HELP: &str = "\
Shows printernizer with simulated printers: cargo run --release -p demo [-- OPTIONS]

  --printers N        how many Bambu Lab printers (4)
  --prusa N           how many Prusa printers (2)
  --rate REPORTS      reports a second of each printer (1)
  --factor N          how many times as fast the printers live (20)
  --port PORT         where the page is (8080, or the next free one)
  --data DIR          keeps the data directory here; without it, it is temporary
  --seconds N         ends by itself after so long
  --service FILE      starts this program instead of building printernizer
  --simulator FILE    starts this program instead of building the simulator
  --help

Ctrl-C stops everything.
";

/// Where the page is unless said otherwise.
const DEFAULT_PORT: u16 = 8080;
/// Ports tried from there on.
const PORTS_TRIED: u16 = 100;

/// The command line, understood.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// How many Bambu Lab printers; the simulator knows the limit.
    pub printers: u32,
    /// How many Prusa printers, beside the others.
    pub prusa: u32,
    /// Reports a second; passed on as it is.
    pub rate: String,
    /// Time factor; passed on as it is.
    pub factor: String,
    /// The wanted port; `None` takes the default or the next free one.
    pub port: Option<u16>,
    /// Where to keep the data.
    pub data: Option<PathBuf>,
    /// When to end by itself.
    pub duration: Option<Duration>,
    /// The service, built already.
    pub service: Option<PathBuf>,
    /// The simulator, built already.
    pub simulator: Option<PathBuf>,
}

/// Understands the arguments; `Ok(None)` asks for help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut options = Options {
        printers: 4,
        prusa: 2,
        rate: "1".into(),
        factor: "20".into(),
        port: None,
        data: None,
        duration: None,
        service: None,
        simulator: None,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("printers") => options.printers = parser.value()?.parse()?,
            Arg::Long("prusa") => options.prusa = parser.value()?.parse()?,
            Arg::Long("rate") => options.rate = number(&mut parser)?,
            Arg::Long("factor") => options.factor = number(&mut parser)?,
            Arg::Long("port") => options.port = Some(parser.value()?.parse()?),
            Arg::Long("data") => options.data = Some(parser.value()?.into()),
            Arg::Long("seconds") => options.duration = Some(Duration::from_secs(parser.value()?.parse()?)),
            Arg::Long("service") => options.service = Some(parser.value()?.into()),
            Arg::Long("simulator") => options.simulator = Some(parser.value()?.into()),
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn number(parser: &mut lexopt::Parser) -> Result<String, lexopt::Error> {
    let text = parser.value()?.string()?;
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 => Ok(text),
        _ => Err(format!("{text:?} is no number above 0").into()),
    }
}

/// A free port on the loopback: the wanted one, or the first free one from the default on.
///
/// # Errors
/// A sentence that says what to do.
pub fn free_port(wanted: Option<u16>) -> Result<u16, String> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    match wanted {
        Some(port) if port > 0 && is_free(port) => Ok(port),
        Some(port) => Err(format!("port {port} is taken or not allowed; choose another one with --port")),
        None => (DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED).find(|port| is_free(*port)).ok_or_else(|| {
            let last = DEFAULT_PORT + PORTS_TRIED - 1;
            format!("the ports {DEFAULT_PORT} to {last} are all taken; choose another one with --port")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_are_read_and_nonsense_is_refused() {
        let options =
            parsed(&["--printers=8", "--prusa=1", "--rate", "10", "--seconds", "5"]).unwrap().unwrap();
        assert_eq!((options.printers, options.prusa, options.rate.as_str()), (8, 1, "10"));
        assert_eq!(options.duration, Some(Duration::from_secs(5)));
        assert_eq!(parsed(&["--help"]).unwrap(), None);
        for arguments in [&["--rate", "fast"][..], &["--port", "http"], &["--rate", "0"], &["--what"], &["x"]]
        {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn a_taken_port_is_refused_when_wanted_and_passed_over_when_not() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(free_port(Some(port)).unwrap_err().contains("--port"));
        let default = free_port(None).unwrap();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, default)).unwrap();
        assert_ne!(free_port(None).unwrap(), default);
    }
}
