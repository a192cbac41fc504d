//! `[library] auto_add`: finished downloads enter the library by themselves.

use std::time::Duration;

use super::{Library, LibraryError, record};
use crate::base::error::chain;
use crate::base::task::{TaskContext, TaskResult, Wake};
use crate::bus::MustError;
use crate::events::{Announcer, Event};

/// Its name as a subscriber.
const NAME: &str = "library";

/// Pause before an unreadable journal is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Follows the downloads until stop. What was downloaded while the service was off or this was switched off is not added:
/// adding is a wish for what comes.
///
/// # Errors
/// When the records cannot be read or written.
pub async fn run(context: TaskContext, library: Library, announcer: Announcer) -> TaskResult {
    let newest = announcer.newest();
    let mut events = announcer.bus().subscribe_must(NAME, newest, library.store.clone())?;
    loop {
        let envelope = match context.wait(events.recv()).await {
            Wake::Stop => return Ok(()),
            Wake::Timer => continue,
            Wake::Ready(Ok(envelope)) => envelope,
            Wake::Ready(Err(error @ MustError::Gap { .. })) => {
                log::warn!("library: {error}");
                continue;
            }
            Wake::Ready(Err(MustError::Journal(error))) => {
                log::warn!("library: {}; asking again", chain(&error));
                let later = context.clock.now().mono.after(AGAIN_AFTER);
                if context.wait_until(later, std::future::pending::<()>()).await == Wake::Stop {
                    return Ok(());
                }
                continue;
            }
        };
        let (Event::FileDownloadComplete(complete), Some(seq)) = (&envelope.event, envelope.seq) else {
            continue;
        };
        if !library.config().auto_add {
            continue;
        }
        let (id, flow) = (complete.file_id, envelope.flow.clone());
        let handling = announcer.handle(NAME, seq);
        let added = library.store.write(move |txn| record::add_downloaded(txn, id, flow.as_ref(), seq)).await;
        match added {
            Ok(added) if added.duplicate => handling.done_with("another source of a known file"),
            Ok(_) => handling.done(),
            Err(error @ LibraryError::Store(_)) => {
                handling.failed("the records cannot be written");
                return Err(error.into());
            }
            Err(error) => handling.skipped(&error.to_string()),
        }
    }
}
