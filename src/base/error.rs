//! One way to print an error with its causes.

use std::error::Error;
use std::fmt::Write as _;

/// Causes that are printed at most; a longer chain is cut so that a cycle cannot fill a log.
const CHAIN_MAX: usize = 8;

/// The error's text followed by its causes, each after `: `. A cause whose text the line already ends with is left out.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    for _ in 0..CHAIN_MAX {
        let Some(cause) = source else { break };
        let text = cause.to_string();
        if !line.ends_with(&text) {
            let _ = write!(line, ": {text}");
        }
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_once() {
        let inner = std::io::Error::other("disk is full");
        let outer = std::io::Error::new(std::io::ErrorKind::StorageFull, inner);
        assert_eq!(chain(&outer), "disk is full");
    }
}
