//! Arguments, configuration, logging, the command, the exit code. Everything else is the library's.

use std::process::ExitCode;

use printernizer::base::logging;
use printernizer::cli::{self, Command, Failure, Helper, Options, Outcome};

fn main() -> ExitCode {
    board::share_one_heap();
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => serve(&options).into(),
        Ok(Command::Helper(helper)) => help(helper).into(),
        Ok(Command::Inspect(words)) => cli::inspect::run(words),
        Ok(Command::Appliance(words)) => printernizer::appliance::run(words).into(),
        Ok(command) => cli::run(&command, std::env::vars_os().collect()).into(),
        Err(error) => Failure::Usage(error.to_string()).tell().into(),
    }
}

fn serve(options: &Options) -> Outcome {
    let loaded = match cli::load(options, std::env::vars_os().collect()) {
        Ok(loaded) => loaded,
        Err(failure) => {
            printernizer::app::serve::show_fault();
            return failure.tell();
        }
    };
    logging::init(&loaded.config.log);
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    match printernizer::app::serve::serve(loaded.config) {
        Ok(()) => Outcome::Done,
        Err(error) => {
            log::error!("{}", printernizer::base::error::chain(&error));
            printernizer::app::serve::show_fault();
            Outcome::Failed
        }
    }
}

fn help(helper: Helper) -> Outcome {
    match printernizer::app::helper::run(helper) {
        Ok(()) => Outcome::Done,
        Err(error) => Failure::Failed(printernizer::base::error::chain(&error).to_string()).tell(),
    }
}
