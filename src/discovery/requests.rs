//! Wishes that a source is looked at now.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use event_listener::{Event, EventListener};

use crate::model::FileSource;

/// A handle to the wishes. Cloning gives another one. There is at most one wish for each source.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wanted: Mutex<BTreeSet<FileSource>>,
    rung: Event,
}

impl Requests {
    /// Asks for a look; `false` when somebody has asked for the same already.
    pub fn ask(&self, source: FileSource) -> bool {
        let fresh = self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(source);
        self.0.rung.notify(usize::MAX);
        fresh
    }

    /// Takes a wish off the table.
    #[must_use]
    pub fn take(&self) -> Option<FileSource> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }

    /// Is told of the next wish.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.0.rung.listen()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PrinterId;

    #[test]
    fn a_wish_is_there_once() {
        let requests = Requests::default();
        let printer = FileSource::Printer(PrinterId(1));
        assert!(requests.ask(printer) && !requests.ask(printer) && requests.ask(FileSource::Local));
        assert_eq!(requests.take(), Some(printer));
        assert_eq!(requests.take(), Some(FileSource::Local));
        assert_eq!(requests.take(), None);
    }
}
