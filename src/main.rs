//! Arguments, configuration, logging, the command, the exit code. Everything else is the library's.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use printernizer::app::{self, Handles, Systemd};
use printernizer::base::clock::Clock;
use printernizer::base::error::chain;
use printernizer::base::logging;
use printernizer::cli::{self, Command, Failure, Options, Outcome};
use printernizer::config::Config;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => serve(&options).unwrap_or_else(|failure| failure.tell()).into(),
        Ok(command) => cli::run(&command, std::env::vars_os().collect()).into(),
        Err(error) => Failure::Usage(error.to_string()).tell().into(),
    }
}

fn serve(options: &Options) -> Result<Outcome, Failure> {
    let loaded = cli::load(options, std::env::vars_os().collect())?;
    logging::init(&loaded.config.log);
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let Config { web, storage, printers, .. } = loaded.config;
    if web.password.is_some() {
        log::warn!(
            "web.password guards nothing in this version: everybody on the network can change everything"
        );
    }
    if !printers.is_empty() {
        log::warn!(
            "the printers of the configuration file are not taken over in this version: add them on the page"
        );
    }
    let listener = match TcpListener::bind(web.listen) {
        Ok(listener) => listener,
        Err(error) => {
            log::error!("cannot listen on {}: {error}", web.listen);
            return Ok(Outcome::Failed);
        }
    };
    let wiring = app::Options {
        data_dir: storage.data_dir,
        listener,
        names: web.host_names(),
        journal_max: storage.journal_max,
        clock: Clock::system(),
        manager: Arc::new(Systemd),
    };
    match app::run(wiring, &Handles::default()) {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => {
            log::error!("{}", chain(&error));
            Ok(Outcome::Failed)
        }
    }
}
