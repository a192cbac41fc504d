//! Fetches: requests for a file on a printer, from the asking to the end.

use super::file::FetchKind;
use super::{FetchId, FileId, JobId, PrinterId};
use crate::base::clock::Timestamp;

/// Names that are remembered as asked for, for the answer to "why was nothing found".
pub const TRIED_MAX: usize = 20;

/// How a print was started, as far as the printer tells: where its file may be. An address in a cloud is a secret and
/// is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The printer does not say.
    #[default]
    Unknown,
    /// Sent over the network to this path.
    Sent(String),
    /// On the printer's card already, at this path.
    OnCard(String),
    /// From the maker's cloud.
    Cloud,
    /// Sent into the printer's own memory under this name, where it cannot be fetched.
    Internal(String),
    /// The printer does it for itself.
    System,
    /// Started over the network or at the screen; the printer says no more.
    Local,
}

/// What a print's report says that helps to find its file. Taken at the start: at the end some of it is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Start {
    /// The title as the printer shows it.
    pub title: Option<String>,
    /// The file as the printer names it.
    pub file: Option<String>,
    /// The plate, from 1.
    pub plate: Option<u32>,
    /// How it was started.
    pub origin: Origin,
}

impl Start {
    /// The file's name as people know it: the printer's own, unless that is one of its working memory, else the title.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let file = self.file.as_deref().filter(|file| !is_internal(file));
        let name = file.map(|file| file.rsplit('/').next().unwrap_or(file));
        name.filter(|name| !name.is_empty()).or(self.title.as_deref()).map(str::to_owned)
    }
}

/// Whether a path lies in a printer's own memory, where it names a copy and not the file.
fn is_internal(path: &str) -> bool {
    path.starts_with("/data/") || path.starts_with("/usr/") || path.contains("Metadata/")
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The file of a print, wherever it is.
    Print {
        /// The print.
        job_id: JobId,
        /// What is known of it.
        start: Start,
    },
    /// The file at this path, byte for byte.
    Path(Vec<u8>),
}

/// Where a fetch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchState {
    /// Waits for the printer's transfer slot.
    Queued,
    /// A round is running: names are being resolved, or bytes come. After a restart it begins anew.
    Running,
    /// The last round failed; another follows.
    Waiting,
    /// Nothing more is tried before the print is over.
    AfterPrint,
    /// The file is here.
    Done(FileId),
    /// It failed for good.
    Failed,
}

impl FetchState {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, FetchState::Done(_) | FetchState::Failed)
    }
}

/// A request for a file, kept until well after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Its identifier.
    pub id: FetchId,
    /// The printer.
    pub printer_id: PrinterId,
    /// What is asked for.
    pub wanted: Wanted,
    /// The file's name as asked for.
    pub filename: String,
    /// Whether the service asked by itself because a print started.
    pub auto: bool,
    /// `seq` of the event that led to it.
    pub cause: Option<u64>,
    /// Where it stands.
    pub state: FetchState,
    /// Rounds so far.
    pub attempts: u32,
    /// Names that were asked for so far; at most [`TRIED_MAX`].
    pub tried: Vec<String>,
    /// Why the last round failed, and in words.
    pub error: Option<(FetchKind, String)>,
    /// Whether the file is fetched again because its check found damage.
    pub refetch: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl Fetch {
    /// The job, where it is a print's.
    #[must_use]
    pub fn job_id(&self) -> Option<JobId> {
        match &self.wanted {
            Wanted::Print { job_id, .. } => Some(*job_id),
            Wanted::Path(_) => None,
        }
    }
}
