//! The routes whose bodies are streamed: one implementor for the front, which passes each on.
//!
//! A route is a line in [`Target::of`] and an arm in `serve`. Files are read and written by threads of their own, never on
//! the executor; pieces of [`PIECE_BYTES`] go through bounded channels.

mod backup;
mod content;
mod upload;

use std::sync::Arc;

use super::api::Api;
use super::front::{Exchange, Head, LargeError, LargeRoutes, Verb};
use super::server::{API, Access};
use crate::base::pool::{Limits, Pool};
use crate::library::multipart::FORM_BYTES_MAX;
use crate::model::{Checksum, FileId};

pub use backup::manifest_view;
pub use content::{FileAnswer, send};
pub use upload::error_of;

/// Bytes of one piece of a file on its way to a client.
pub const PIECE_BYTES: usize = 64 * 1024;

/// The large routes over the API's state.
pub struct Large {
    api: Arc<Api>,
    /// Threads that read files for clients; as many as the front lets through.
    readers: Pool,
    /// The thread that makes a backup or takes one.
    worker: Pool,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// A file for the library.
    Upload,
    /// The bytes of an entry of the library.
    LibraryFile(Checksum),
    /// The bytes of a file.
    File(FileId),
    /// A backup of everything.
    Backup,
    /// A backup to take.
    Restore,
}

impl Target {
    fn of(head: &Head) -> Option<Target> {
        let path = head.path().strip_prefix(API)?;
        let mut parts = path.strip_suffix('/').unwrap_or(path).split('/').skip(1);
        let route = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        let reads = matches!(head.verb, Verb::Get | Verb::Head);
        match route {
            [Some("library"), None, ..] if head.verb == Verb::Post => Some(Target::Upload),
            [Some("library"), Some("files"), Some(checksum), Some("download"), None] if reads => {
                checksum.parse().ok().map(Target::LibraryFile)
            }
            [Some("files"), Some(id), Some("content"), None, _] if reads => id.parse().ok().map(Target::File),
            [Some("backup"), None, ..] if head.verb == Verb::Post => Some(Target::Backup),
            [Some("restore"), None, ..] if head.verb == Verb::Post => Some(Target::Restore),
            _ => None,
        }
    }
}

impl Target {
    /// What it needs.
    fn access(&self) -> Access {
        match self {
            Target::Upload => Access::Change,
            Target::LibraryFile(_) | Target::File(_) => Access::Read,
            Target::Backup | Target::Restore => Access::Owner,
        }
    }
}

impl Large {
    /// The routes.
    #[must_use]
    pub fn new(api: Arc<Api>) -> Large {
        let limits = Limits { threads_max: super::front::LARGE_AT_ONCE, queue_max: 0, nice: 5 };
        let one = Limits { threads_max: 1, queue_max: 0, nice: 5 };
        Large { api, readers: Pool::new("content", limits), worker: Pool::new("backup", one) }
    }
}

impl LargeRoutes for Large {
    fn takes(&self, head: &Head) -> Option<u64> {
        match Target::of(head)? {
            Target::Upload => Some(self.api.library.config().max_file_size.saturating_add(FORM_BYTES_MAX)),
            Target::LibraryFile(_) | Target::File(_) => Some(0),
            Target::Backup => Some(backup::WISH_BYTES_MAX),
            Target::Restore => Some(backup::RESTORE_BYTES_MAX),
        }
    }

    async fn serve(&self, mut exchange: Exchange<'_>) -> Result<(), LargeError> {
        let Some(target) = Target::of(exchange.head()) else { return Ok(()) };
        self.api.guard.judge(&exchange.asking(), target.access()).await?;
        match target {
            Target::Upload => upload::upload(&self.api.library, &mut exchange).await,
            Target::LibraryFile(checksum) => {
                content::library_file(&self.api.library, &self.readers, &mut exchange, checksum).await
            }
            Target::File(id) => content::kept_file(&self.api, &self.readers, &mut exchange, id).await,
            Target::Backup => backup::make(&self.api, &self.worker, &mut exchange).await,
            Target::Restore => backup::restore(&self.api, &self.worker, &mut exchange).await,
        }
    }
}
