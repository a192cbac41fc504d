//! The simulator as a process: starts printers, says on one line of JSON where they are, and runs until it is
//! stopped (or until its standard input ends, if told so).

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use serde_json::json;
use simulator::bambu::{Config, Model, Printer, Recording};
use simulator::control::Control;
use simulator::fleet::{self, FLEET_SIZE_MAX, Fleet};

const HELP: &str = "\
Simulated 3D printers on real sockets.

simulator --printers demo|COUNT      a fleet with a life of its own (demo: four printers)
simulator --printer MODEL[,SERIAL[,CODE[,PORT]]] ...
                                     honest idle printers; models: x1c p1s a1 a1_mini h2d p2s

  --rate REPORTS          reports a second of each printer (1; with --printer 0.5)
  --factor N              simulated seconds in a real one (fleet 20, else 1)
  --host ADDRESS          listen on this address (127.0.0.1)
  --first-port PORT       the fleet's ports from here on (free ones)
  --replay FILE           plays a recording on every --printer, --factor times as fast
  --guarded               commands that act are refused, as without Developer Mode
  --control ADDRESS:PORT  the control interface (127.0.0.1:0); none switches it off
  --until-stdin-ends      stops when standard input is closed, so that no orphan is left behind
  --help

When everything is ready, one line of JSON names the printers and the control address.
";

/// The command line, understood.
#[derive(Debug)]
struct Options {
    configs: Vec<Config>,
    control: Option<SocketAddr>,
    is_bound_to_stdin: bool,
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("simulator: {error}\nTry --help.");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("simulator: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let printers = Arc::new(fleet::start(options.configs).map_err(|error| error.to_string())?);
    let control = match options.control {
        Some(address) => Some(
            Control::start(Arc::clone(&printers), address)
                .map_err(|error| format!("cannot serve the control interface at {address}: {error}"))?,
        ),
        None => None,
    };
    let descriptions: Vec<_> = printers.iter().map(Printer::description).collect();
    let address = control.as_ref().map(|control| format!("http://{}", control.addr()));
    let line = json!({ "printers": descriptions, "control": address });
    let mut output = io::stdout();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|error| error.to_string())?;
    if options.is_bound_to_stdin {
        // An error is as much an end as the end itself.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}

fn parse() -> Result<Option<Options>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut count = None;
    let mut singles: Vec<String> = Vec::new();
    let (mut rate, mut factor) = (None, None);
    let mut host: IpAddr = IpAddr::from([127, 0, 0, 1]);
    let mut first_port = 0;
    let mut replay: Option<PathBuf> = None;
    let mut is_guarded = false;
    let mut control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut is_bound_to_stdin = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("printers") => count = Some(fleet_size(&parser.value()?.string()?)?),
            Arg::Long("printer") => singles.push(parser.value()?.string()?),
            Arg::Long("rate") => rate = Some(positive(&parser.value()?.string()?, "--rate")?),
            Arg::Long("factor") => factor = Some(positive(&parser.value()?.string()?, "--factor")?),
            Arg::Long("host") => host = parser.value()?.parse()?,
            Arg::Long("first-port") => first_port = parser.value()?.parse()?,
            Arg::Long("replay") => replay = Some(parser.value()?.into()),
            Arg::Long("guarded") => is_guarded = true,
            Arg::Long("control") => {
                let value = parser.value()?;
                control = if value == "none" { None } else { Some(value.parse()?) };
            }
            Arg::Long("until-stdin-ends") => is_bound_to_stdin = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let mut configs = Vec::new();
    if let Some(count) = count {
        let default = Fleet::default();
        let fleet = Fleet {
            count,
            rate: rate.unwrap_or(default.rate),
            factor: factor.unwrap_or(default.factor),
            first_port,
        };
        configs.extend(fleet.configs());
    }
    let recording = match replay {
        Some(path) => Some(Recording::read(&path).map_err(|error| format!("--replay: {error}"))?),
        None => None,
    };
    for (index, single) in singles.iter().enumerate() {
        let mut config = single_config(single, index)?;
        config.factor = factor.unwrap_or(1.0);
        config.report_interval = Some(Duration::from_secs_f64(1.0 / rate.unwrap_or(0.5)));
        config.replay.clone_from(&recording);
        configs.push(config);
    }
    if configs.is_empty() || configs.len() > FLEET_SIZE_MAX {
        return Err(format!("give --printers or --printer, 1 to {FLEET_SIZE_MAX} printers in all").into());
    }
    for config in &mut configs {
        config.host = host;
        config.is_developer_mode = !is_guarded;
    }
    Ok(Some(Options { configs, control, is_bound_to_stdin }))
}

fn fleet_size(text: &str) -> Result<usize, lexopt::Error> {
    match (text, text.parse()) {
        ("demo", _) => Ok(Fleet::default().count),
        (_, Ok(count @ 1..=FLEET_SIZE_MAX)) => Ok(count),
        _ => {
            Err(format!("--printers takes demo or a number from 1 to {FLEET_SIZE_MAX}, not {text:?}").into())
        }
    }
}

fn positive(text: &str, option: &str) -> Result<f64, lexopt::Error> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1e6 => Ok(number),
        _ => Err(format!("{option} takes a number above 0 and up to 1000000, not {text:?}").into()),
    }
}

fn single_config(text: &str, index: usize) -> Result<Config, lexopt::Error> {
    let mut parts = text.split(',');
    let word = parts.next().unwrap_or_default();
    let model: Model = serde_json::from_value(json!(word))
        .map_err(|_| format!("--printer: unknown model {word:?}; one of x1c p1s a1 a1_mini h2d p2s"))?;
    let number = index + 1;
    let default_serial = format!("{}00B{number:09}", model.serial_prefix());
    let serial = parts.next().unwrap_or(&default_serial);
    let mut config = Config::new(model, serial, parts.next().unwrap_or("12345678"));
    config.name = format!("{} {number}", model.product_name());
    if let Some(port) = parts.next() {
        config.port = port.parse().map_err(|_| format!("--printer: {port:?} is no port number"))?;
    }
    if parts.next().is_some() {
        return Err(format!("--printer takes MODEL[,SERIAL[,CODE[,PORT]]], not {text:?}").into());
    }
    Ok(config)
}
