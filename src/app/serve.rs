//! `printernizer serve`: from a checked configuration to a running service.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use super::notify::Systemd;
use super::{AppError, Handles, Options, inherited, run};
use crate::base::clock::Clock;
use crate::config::Config;

/// Takes the socket that the service manager has opened, or opens one.
///
/// The network may come up after the service (a Zero on Wi-Fi): an address that is not there yet is an error, and the
/// service manager tries again. Answers when the service has ended.
///
/// # Errors
/// When the service cannot start, or had to end itself.
pub fn serve(config: Config) -> Result<(), AppError> {
    let listener = match inherited::listener().map_err(AppError::Inherited)? {
        Some(listener) => {
            log::debug!("the service manager has opened the page's socket");
            listener
        }
        None => TcpListener::bind(config.web.listen)
            .map_err(|source| AppError::Listen { address: config.web.listen, source })?,
    };
    let address =
        listener.local_addr().map_err(|source| AppError::Listen { address: config.web.listen, source })?;
    log::info!("the page is at http://{address}/");
    let options = Options {
        config,
        listener,
        rescue_dirs: board::boot_directories(Path::new("/")),
        clock: board::clock_sign(Path::new("/")).map_or_else(Clock::system, Clock::awaited),
        manager: Arc::new(Systemd::of_environment()),
        downloads: crate::downloads::Config::default(),
        board: Arc::from(this_board()),
    };
    run(options, &Handles::default())
}

/// The light says that the service cannot run, where there is one: nobody may be reading its log.
pub fn show_fault() {
    let _ = this_board().show(board::Signal::Fault);
}

fn this_board() -> Box<dyn board::Board> {
    board::detect(Path::new("/"))
}
