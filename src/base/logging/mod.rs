//! Logging: one line for each record, bounded in length, rate and memory; nobody can forge a line.
//!
//! Duty: to take the records of the `log` facade, to write each as one line to standard error, and to keep the newest for
//! [`recent`]. Under systemd a line carries its level as `<N>` and the journal adds the time; elsewhere it carries both.
//! Pairs of a record (`log::info!(printer_id = id; "connected")`) follow the message as `key=value`.
//! Control characters are escaped wherever a text comes from.
//!
//! It does not write files or rotate anything, and it cannot recognise a secret: those live in
//! [`Secret`](super::secret::Secret), which prints nothing.
//!
//! Bounds: [`LINE_BYTES_MAX`] a line; from level info up a budget for each call site and `printer_id` (see [`limit`]), for
//! debug and trace one for all; [`ring::LINES_MAX`] lines in memory; [`odd::KINDS_MAX`] kinds of odd input.
//! Writing blocks while the reader of standard error does not read, as in every service under systemd.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

pub mod limit;
pub mod line;
pub mod odd;
pub mod ring;

pub use line::LINE_BYTES_MAX;
pub use odd::{odd, odd_counts};
pub use ring::Line;

use super::clock::Clock;
use limit::{Limiter, Verdict};
use ring::Ring;

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important level that is logged. Libraries are logged from `warn` up, at `trace` from `debug` up.
    pub level: LevelFilter,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { level: LevelFilter::Info }
    }
}

/// Names of the levels, as the configuration and the API use them.
const LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

/// The level of a name; logging cannot be switched off.
#[must_use]
pub fn level_from_name(name: &str) -> Option<LevelFilter> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

/// The name of a level.
#[must_use]
pub fn level_name(level: LevelFilter) -> &'static str {
    LEVELS.iter().find(|(_, known)| *known == level).map_or("off", |(name, _)| *name)
}

struct Logger {
    state: Mutex<State>,
    journal: bool,
}

struct State {
    limiter: Limiter,
    ring: Ring,
}

static LOGGER: std::sync::OnceLock<Logger> = std::sync::OnceLock::new();

/// Starts logging; later calls only set the level. Panics are logged from then on, each as one line.
pub fn init(config: &LogConfig) {
    let mut first = false;
    let logger = LOGGER.get_or_init(|| {
        first = true;
        Logger {
            state: Mutex::new(State { limiter: Limiter::new(), ring: Ring::new() }),
            journal: stderr_is_the_journal(),
        }
    });
    if first {
        // Fails only where a test has brought its own logger: then that one stays.
        let _ = log::set_logger(logger);
        std::panic::set_hook(Box::new(log_panic));
    }
    set_level(config.level);
}

/// Changes what is logged, at once and for all threads.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// The level in force.
#[must_use]
pub fn level() -> LevelFilter {
    log::max_level()
}

/// The lines in memory after number `after`, oldest first.
#[must_use]
pub fn recent(after: u64) -> Vec<Line> {
    let Some(logger) = LOGGER.get() else { return Vec::new() };
    logger.state.lock().unwrap_or_else(PoisonError::into_inner).ring.after(after)
}

/// Lines that the limits have swallowed since the start.
#[must_use]
pub fn suppressed() -> u64 {
    let Some(logger) = LOGGER.get() else { return 0 };
    logger.state.lock().unwrap_or_else(PoisonError::into_inner).limiter.suppressed()
}

/// Whether standard error is the journal's socket, which reads a level at the begin of each line.
///
/// The service manager's variable names the device and inode of the journal's socket; a child whose standard error was
/// redirected inherits the variable but not the socket.
#[must_use]
pub fn stderr_is_the_journal() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    named.to_str() == Some(&format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Whether a record of `target` passes when our own records pass up to `own`.
fn passes(target: &str, level: Level, own: LevelFilter) -> bool {
    let ours =
        target == "printernizer" || target.starts_with("printernizer::") || target.starts_with("board");
    let limit = match own {
        own if ours => own,
        LevelFilter::Trace => LevelFilter::Debug,
        LevelFilter::Off => LevelFilter::Off,
        LevelFilter::Error => LevelFilter::Error,
        LevelFilter::Warn | LevelFilter::Info | LevelFilter::Debug => LevelFilter::Warn,
    };
    level <= limit
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        passes(metadata.target(), metadata.level(), log::max_level())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = Clock::system().now();
        // Rendered before the lock is taken: a value's own `Display` may log.
        let text = line::render(record);
        let site = limit::site(record);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let swallowed = match state.limiter.take(site, record.level(), now.mono) {
            Verdict::Pass { swallowed } => swallowed,
            Verdict::Swallow => return,
        };
        let text = if swallowed == 0 { text } else { format!("{text} swallowed_before={swallowed}") };
        let printed = line::finish(record.level(), (!self.journal).then_some(now.wall), &text);
        state.ring.push(now.wall, record.level(), text);
        // Under the lock, so that lines keep their order. One write each: lines of other processes do not mix in.
        let _ = std::io::stderr().lock().write_all(printed.as_bytes());
    }

    fn flush(&self) {}
}

fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let thread = std::thread::current();
    let place = panic.location().map_or_else(|| "?".to_owned(), ToString::to_string);
    log::error!(thread = thread.name().unwrap_or("?"), at = place.as_str(); "panic: {}", text.unwrap_or("without a text"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_names_go_both_ways() {
        for (name, level) in LEVELS {
            assert_eq!(level_from_name(name), Some(level));
            assert_eq!(level_name(level), name);
        }
        assert_eq!(level_from_name("off"), None);
        assert_eq!(level_from_name("INFO"), None);
    }

    #[test]
    fn libraries_are_logged_less() {
        assert!(passes("printernizer::jobs", Level::Debug, LevelFilter::Debug));
        assert!(!passes("printernizer::jobs", Level::Trace, LevelFilter::Debug));
        assert!(!passes("rustls::client", Level::Info, LevelFilter::Debug));
        assert!(passes("rustls::client", Level::Warn, LevelFilter::Info));
        assert!(!passes("rustls::client", Level::Warn, LevelFilter::Error));
        assert!(passes("rustls::client", Level::Debug, LevelFilter::Trace));
        assert!(!passes("printernizerx", Level::Info, LevelFilter::Info));
    }
}
