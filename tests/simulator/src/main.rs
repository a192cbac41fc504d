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
use simulator::any::{self, AnyConfig, AnyPrinter};
use simulator::bambu::{Config, Model, Recording};
use simulator::control::Control;
use simulator::fleet::{FLEET_SIZE_MAX, Fleet};
use simulator::prusa;

const HELP: &str = "\
Simulated 3D printers on real sockets.

simulator --printers demo|COUNT      Bambu Lab printers with a life of their own (demo: four, and two Prusa printers)
simulator --prusa COUNT              Prusa printers with a life of their own, beside the others
simulator --printer MODEL[,SERIAL[,CODE[,PORT[,FTPS_PORT]]]] ...
                                     honest idle printers; models: x1c p1s a1 a1_mini h2d p2s, and with a PrusaLink
                                     password as CODE: mini mk35 mk4 mk4s xl core_one

  --rate REPORTS          reports a second of each printer (1; with --printer 0.5)
  --factor N              simulated seconds in a real one (fleet 20, else 1)
  --host ADDRESS          listen on this address (127.0.0.1)
  --first-port PORT       the fleet's ports from here on (free ones)
  --replay FILE           plays a recording on every --printer, --factor times as fast
  --bytes-per-s N         how fast a Prusa printer sends (200000; 0 is as fast as it goes)
  --stores-sent-files     the newer models store what they are sent where it can be fetched
  --guarded               commands that act are refused, as without Developer Mode
  --control ADDRESS:PORT  the control interface (127.0.0.1:0); none switches it off
  --until-stdin-ends      stops when standard input is closed, so that no orphan is left behind
  --help

When everything is ready, one line of JSON names the printers and the control address.
";

/// Prusa printers in the demonstration.
const DEMO_PRUSA_COUNT: usize = 2;

/// The command line, understood.
#[derive(Debug)]
struct Options {
    configs: Vec<AnyConfig>,
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
    let printers = Arc::new(any::start(options.configs)?);
    let control = match options.control {
        Some(address) => Some(
            Control::start(Arc::clone(&printers), address)
                .map_err(|error| format!("cannot serve the control interface at {address}: {error}"))?,
        ),
        None => None,
    };
    let descriptions: Vec<_> = printers.iter().map(AnyPrinter::description).collect();
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
    let (mut count, mut prusa_count) = (None, None);
    let mut bytes_per_s = None;
    let mut singles: Vec<String> = Vec::new();
    let (mut rate, mut factor) = (None, None);
    let mut host: IpAddr = IpAddr::from([127, 0, 0, 1]);
    let mut first_port = 0;
    let mut replay: Option<PathBuf> = None;
    let mut is_guarded = false;
    let mut stores_sent_files = false;
    let mut control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut is_bound_to_stdin = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("printers") => {
                let value = parser.value()?.string()?;
                count = Some(fleet_size(&value)?);
                prusa_count = prusa_count.or((value == "demo").then_some(DEMO_PRUSA_COUNT));
            }
            Arg::Long("prusa") => prusa_count = Some(prusa_size(&parser.value()?.string()?)?),
            Arg::Long("bytes-per-s") => bytes_per_s = Some(parser.value()?.parse::<u64>()?),
            Arg::Long("printer") => singles.push(parser.value()?.string()?),
            Arg::Long("rate") => rate = Some(positive(&parser.value()?.string()?, "--rate")?),
            Arg::Long("factor") => factor = Some(positive(&parser.value()?.string()?, "--factor")?),
            Arg::Long("host") => host = parser.value()?.parse()?,
            Arg::Long("first-port") => first_port = parser.value()?.parse()?,
            Arg::Long("replay") => replay = Some(parser.value()?.into()),
            Arg::Long("guarded") => is_guarded = true,
            Arg::Long("stores-sent-files") => stores_sent_files = true,
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
        configs.extend(fleet.configs().into_iter().map(|config| AnyConfig::Bambu(Box::new(config))));
    }
    if let Some(prusa_count) = prusa_count {
        let used = u16::try_from(configs.len()).unwrap_or(0);
        let first_port = if first_port == 0 { 0 } else { first_port.saturating_add(used) };
        let fleet = prusa::fleet::configs(prusa_count, factor.unwrap_or(Fleet::default().factor), first_port);
        configs.extend(fleet.into_iter().map(|config| AnyConfig::Prusa(Box::new(config))));
    }
    let recording = match replay {
        Some(path) => Some(Recording::read(&path).map_err(|error| format!("--replay: {error}"))?),
        None => None,
    };
    for (index, single) in singles.iter().enumerate() {
        let mut config = single_config(single, index)?;
        match &mut config {
            AnyConfig::Bambu(config) => {
                config.factor = factor.unwrap_or(1.0);
                config.report_interval = Some(Duration::from_secs_f64(1.0 / rate.unwrap_or(0.5)));
                config.replay.clone_from(&recording);
            }
            AnyConfig::Prusa(config) => config.factor = factor.unwrap_or(1.0),
        }
        configs.push(config);
    }
    if configs.is_empty() || configs.len() > FLEET_SIZE_MAX {
        return Err(
            format!("give --printers, --prusa or --printer, 1 to {FLEET_SIZE_MAX} printers in all").into()
        );
    }
    for config in &mut configs {
        match config {
            AnyConfig::Bambu(config) => {
                config.host = host;
                config.is_developer_mode = !is_guarded;
                config.stores_sent_files |= stores_sent_files;
            }
            AnyConfig::Prusa(config) => {
                config.host = host;
                if let Some(rate) = bytes_per_s {
                    config.bytes_per_s = Some(rate).filter(|rate| *rate > 0);
                }
            }
        }
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

fn prusa_size(text: &str) -> Result<usize, lexopt::Error> {
    match text.parse() {
        Ok(count @ 0..=FLEET_SIZE_MAX) => Ok(count),
        _ => Err(format!("--prusa takes a number up to {FLEET_SIZE_MAX}, not {text:?}").into()),
    }
}

fn positive(text: &str, option: &str) -> Result<f64, lexopt::Error> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1e6 => Ok(number),
        _ => Err(format!("{option} takes a number above 0 and up to 1000000, not {text:?}").into()),
    }
}

fn single_config(text: &str, index: usize) -> Result<AnyConfig, lexopt::Error> {
    let mut parts = text.split(',');
    let word = parts.next().unwrap_or_default();
    let number = index + 1;
    if let Ok(model) = serde_json::from_value::<prusa::Model>(json!(word)) {
        return prusa_config(model, number, parts, text);
    }
    let model: Model = serde_json::from_value(json!(word)).map_err(|_| {
        let known = "x1c p1s a1 a1_mini h2d p2s mini mk35 mk4 mk4s xl core_one";
        format!("--printer: unknown model {word:?}; one of {known}")
    })?;
    let default_serial = format!("{}00B{number:09}", model.serial_prefix());
    let serial = parts.next().unwrap_or(&default_serial);
    let mut config = Config::new(model, serial, parts.next().unwrap_or("12345678"));
    config.name = format!("{} {number}", model.product_name());
    if let Some(port) = parts.next() {
        config.port = port.parse().map_err(|_| format!("--printer: {port:?} is no port number"))?;
    }
    if let Some(port) = parts.next() {
        config.ftps_port = port.parse().map_err(|_| format!("--printer: {port:?} is no port number"))?;
    }
    if parts.next().is_some() {
        return Err(format!("--printer takes MODEL[,SERIAL[,CODE[,PORT[,FTPS_PORT]]]], not {text:?}").into());
    }
    Ok(AnyConfig::Bambu(Box::new(config)))
}

/// An idle Prusa printer with the fleet's files on its stick.
fn prusa_config<'a>(
    model: prusa::Model,
    number: usize,
    mut parts: impl Iterator<Item = &'a str>,
    text: &str,
) -> Result<AnyConfig, lexopt::Error> {
    let serial = parts.next().map_or_else(|| model.serial(number), str::to_owned);
    let password = parts.next().map_or_else(|| prusa::fleet::password(number), str::to_owned);
    let mut config = prusa::Config::new(model, &password);
    config.serial = serial;
    config.name = format!("{} {number}", model.product_name());
    config.files = prusa::fleet::files();
    config.bytes_per_s = Some(prusa::fleet::BYTES_PER_S);
    if let Some(port) = parts.next() {
        config.port = port.parse().map_err(|_| format!("--printer: {port:?} is no port number"))?;
    }
    if parts.next().is_some() {
        return Err(
            format!("--printer: a Prusa printer is MODEL[,SERIAL[,PASSWORD[,PORT]]], not {text:?}").into()
        );
    }
    Ok(AnyConfig::Prusa(Box::new(config)))
}
