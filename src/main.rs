//! Arguments, configuration, logging, `app::run`, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(command) if command == "inspect" => printernizer::cli::inspect::run(arguments),
        _ => ExitCode::from(2),
    }
}
