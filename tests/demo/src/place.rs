//! Where the service keeps its data during a demonstration, with its configuration and its log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Lines of the service's log shown when something went wrong.
const LOG_LINES: usize = 20;

/// The data directory with configuration and log.
pub struct Place {
    /// The service's data directory.
    pub data: PathBuf,
    /// Its configuration file.
    pub configuration: PathBuf,
    /// What it says on standard output and standard error.
    pub log: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    /// Makes it below `wanted`, or below a temporary directory.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(wanted: Option<&Path>) -> Result<Self, String> {
        let fail = |error: io::Error| format!("cannot make the data directory: {error}");
        let (root, temporary) = match wanted {
            Some(path) => (path.to_owned(), None),
            None => {
                let directory = TempDir::with_prefix("printernizer-demo-").map_err(fail)?;
                (directory.path().to_owned(), Some(directory))
            }
        };
        let data = root.join("data");
        fs::create_dir_all(&data).map_err(fail)?;
        let configuration = root.join("demo.toml");
        // Everything at its default: the demonstration shows the product as it comes.
        File::create(&configuration).map_err(fail)?;
        Ok(Self { log: root.join("printernizer.log"), data, configuration, temporary })
    }

    /// Leaves a temporary directory where it is, and says so.
    pub fn keep_for_inspection(mut self) {
        if let Some(directory) = self.temporary.take() {
            println!("The data directory is kept for a look: {}", directory.keep().display());
        }
    }

    /// Shows the last lines of the log.
    pub fn print_end_of_log(&self) {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        println!("--- the end of {}:", self.log.display());
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
            println!("{line}");
        }
        println!("---");
    }
}
