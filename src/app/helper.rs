//! `printernizer helper`: what the units beside the service do for it with more rights (`board::helper`). One word, then
//! it ends. It runs as root: nothing but the word is read, and nothing of the service is touched.

use std::io;
use std::path::Path;

use board::BoardError;
use board::helper::{Power, serve_light, serve_power};

use crate::cli::Helper;

/// Reads a word from the socket that is its standard input, and does it.
///
/// # Errors
/// When the word is unknown, or it cannot be done.
pub fn run(helper: Helper) -> Result<(), BoardError> {
    match helper {
        Helper::Light => serve_light(io::stdin().lock(), Path::new("/")),
        Helper::Power => serve_power(io::stdin().lock(), io::stdout().lock(), Power::order),
    }
}
