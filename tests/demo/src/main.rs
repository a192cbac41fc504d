//! One command that shows the product: builds and starts the simulator and the unmodified
//! `printernizer serve` as two processes, adds the simulated printers through the product's own HTTP API, says
//! where to look, and takes everything down again.
//!
//! It shares no code with either of them. Nothing outlives it: the simulator ends when its standard input does, and
//! the service runs under a keeper (this program again) that ends it when the demo is gone, even if it was killed.

mod compile;
mod http;
mod keeper;
mod options;
mod place;
mod processes;
mod session;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|argument| argument == keeper::ARGUMENT).is_some() {
        return keeper::run(arguments);
    }
    let options = match options::parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("demo: {error}\nTry --help.");
            return ExitCode::from(2);
        }
    };
    match session::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("demo: {reason}");
            ExitCode::FAILURE
        }
    }
}
