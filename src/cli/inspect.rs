//! `printernizer inspect FILE [--json] [--plate N] [--quick]`: what a print file says about itself.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::formats::{self, Options, inspect};

const USAGE: &str = "usage: printernizer inspect FILE [--json] [--plate N] [--quick]

  --json      the answer as JSON
  --plate N   the figures of plate N of an archive
  --quick     no checksums, and of an archive's G-code the head only
";

/// Runs the subcommand with the arguments behind its name. Exit code 0: something could be read, 1: nothing could,
/// 2: wrong usage.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse(arguments) {
        Ok(Some((path, json, options))) => show(&path, json, &options),
        Ok(None) => {
            print_out(USAGE);
            ExitCode::SUCCESS
        }
        Err(message) => {
            let _ = write!(std::io::stderr(), "{message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<(PathBuf, bool, Options)>, String> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut path = None;
    let mut json = false;
    let mut options = Options { hashes: true, whole_gcode: true, ..Options::default() };
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("json") => json = true,
            Long("quick") => (options.hashes, options.whole_gcode) = (false, false),
            Long("plate") => {
                let value = parser.value().and_then(|value| value.parse());
                options.plate.index = Some(value.map_err(|error| error.to_string())?);
            }
            Short('h') | Long("help") => return Ok(None),
            Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let path = path.ok_or("which file?")?;
    Ok(Some((path, json, options)))
}

fn show(path: &std::path::Path, json: bool, options: &Options) -> ExitCode {
    let inspection = formats::inspect(path, options);
    if json {
        let text = serde_json::to_string_pretty(&inspection).unwrap_or_default();
        print_out(&format!("{text}\n"));
    } else {
        print_out(&inspect::render_text(&inspection));
    }
    if inspect::read_something(&inspection) { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// A closed pipe (`| head`) is the reader's choice and no error.
fn print_out(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Option<(PathBuf, bool, Options)>, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_are_understood_or_refused() {
        let (path, json, options) = parsed(&["file.3mf", "--json", "--plate", "3"]).unwrap().unwrap();
        assert_eq!((path, json, options.plate.index), (PathBuf::from("file.3mf"), true, Some(3)));
        assert!(options.hashes && options.whole_gcode);
        let (.., options) = parsed(&["--quick", "x"]).unwrap().unwrap();
        assert!(!options.hashes && !options.whole_gcode);
        assert!(parsed(&["--help"]).unwrap().is_none());
        for wrong in [&[][..], &["a", "b"], &["a", "--plate"], &["a", "--plate", "x"], &["a", "--wrong"]] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
