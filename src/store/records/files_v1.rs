//! Version 1 of the records of files: versions, contents, figures, fetches.

use serde::{Deserialize, Serialize};

use super::codes;
use crate::base::clock::Timestamp;
use crate::model::file::{Outcome, Picture, Pictures};
use crate::model::{
    self, Checksum, FetchId, FetchKind, FileId, FileSource, JobId, Origin, PlateWork, PrinterId, Start,
};
use crate::store::error::DecodeError;

/// Where a file comes from.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Source {
    Printer(u64),
    Local,
    Upload,
}

impl From<FileSource> for Source {
    fn from(source: FileSource) -> Source {
        match source {
            FileSource::Printer(id) => Source::Printer(id.0),
            FileSource::Local => Source::Local,
            FileSource::Upload => Source::Upload,
        }
    }
}

impl From<Source> for FileSource {
    fn from(source: Source) -> FileSource {
        match source {
            Source::Printer(id) => FileSource::Printer(PrinterId(id)),
            Source::Local => FileSource::Local,
            Source::Upload => FileSource::Upload,
        }
    }
}

type StoredError = Option<(u8, String)>;

fn stored_error(error: Option<&(FetchKind, String)>) -> StoredError {
    error.map(|(kind, words)| (codes::fetch_kind::encode(*kind), words.clone()))
}

fn error(stored: StoredError) -> Result<Option<(FetchKind, String)>, DecodeError> {
    stored.map(|(kind, words)| Ok((codes::fetch_kind::decode(kind)?, words))).transpose()
}

/// The work for one plate: plate, thumbnails, metadata, cause.
type StoredWork = (Option<u32>, u8, u8, Option<u64>);

/// One version of a file. The first four fields are what lists filter by, in every version.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct File {
    source: Source,
    status: u8,
    content: Option<[u8; 32]>,
    name: String,
    source_name: String,
    path: Vec<u8>,
    size: Option<u64>,
    mark: Option<String>,
    work: Vec<StoredWork>,
    pinned: bool,
    error: StoredError,
    discovered_at: i64,
    kept_at: Option<i64>,
}

/// What a list of files filters by: the first fields of the stored file of every version, so that a long list is walked
/// without reading whole records.
#[derive(Debug, Deserialize)]
struct StoredHead<'a> {
    source: Source,
    status: u8,
    content: Option<[u8; 32]>,
    #[serde(borrow)]
    name: &'a str,
}

/// The same in the words of the model.
#[derive(Debug)]
pub(in crate::store) struct FileHead<'a> {
    pub(in crate::store) source: FileSource,
    pub(in crate::store) status: model::FileStatus,
    pub(in crate::store) content: Option<Checksum>,
    pub(in crate::store) name: &'a str,
}

impl<'a> FileHead<'a> {
    /// Reads the first fields of a stored file.
    pub(in crate::store) fn decode(row: &'a [u8]) -> Result<FileHead<'a>, DecodeError> {
        let (version, body) = row.split_first().ok_or(DecodeError::Empty)?;
        if *version != 1 {
            return Err(DecodeError::Version(*version));
        }
        let (head, _) = postcard::take_from_bytes::<StoredHead<'a>>(body).map_err(|_| DecodeError::Body)?;
        Ok(FileHead {
            source: head.source.into(),
            status: codes::file_status::decode(head.status)?,
            content: head.content.map(Checksum),
            name: head.name,
        })
    }
}

impl From<&model::FileRecord> for File {
    fn from(file: &model::FileRecord) -> File {
        File {
            source: file.source.into(),
            status: codes::file_status::encode(file.status),
            content: file.content.map(|content| content.0),
            name: file.name.clone(),
            source_name: file.source_name.clone(),
            path: file.path.clone(),
            size: file.size,
            mark: file.mark.clone(),
            work: file
                .work
                .iter()
                .map(|work| {
                    let (thumbnails, metadata) =
                        (codes::work::encode(work.thumbnails), codes::work::encode(work.metadata));
                    (work.plate, thumbnails, metadata, work.cause)
                })
                .collect(),
            pinned: file.pinned,
            error: stored_error(file.error.as_ref()),
            discovered_at: file.discovered_at.0,
            kept_at: file.kept_at.map(|time| time.0),
        }
    }
}

impl File {
    pub(in crate::store) fn into_model(self, id: FileId) -> Result<model::FileRecord, DecodeError> {
        let work = self.work.into_iter().map(|(plate, thumbnails, metadata, cause)| {
            let (thumbnails, metadata) = (codes::work::decode(thumbnails)?, codes::work::decode(metadata)?);
            Ok(PlateWork { plate, thumbnails, metadata, cause })
        });
        Ok(model::FileRecord {
            id,
            source: self.source.into(),
            source_name: self.source_name,
            path: self.path,
            name: self.name,
            size: self.size,
            mark: self.mark,
            status: codes::file_status::decode(self.status)?,
            content: self.content.map(Checksum),
            work: work.collect::<Result<_, DecodeError>>()?,
            pinned: self.pinned,
            error: error(self.error)?,
            discovered_at: Timestamp(self.discovered_at),
            kept_at: self.kept_at.map(Timestamp),
        })
    }
}

/// Bytes on the card.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Content {
    size: u64,
    head: [u8; 32],
    plate_md5: Vec<(u32, [u8; 16])>,
    extension: String,
    verified: Option<bool>,
    damage: Option<String>,
    kept_at: i64,
}

impl From<&model::Content> for Content {
    fn from(content: &model::Content) -> Content {
        Content {
            size: content.size,
            head: content.head.0,
            plate_md5: content.plate_md5.clone(),
            extension: content.extension.clone(),
            verified: content.verified,
            damage: content.damage.clone(),
            kept_at: content.kept_at.0,
        }
    }
}

impl Content {
    pub(in crate::store) fn into_model(self, checksum: Checksum) -> model::Content {
        model::Content {
            checksum,
            size: self.size,
            head: Checksum(self.head),
            plate_md5: self.plate_md5,
            extension: self.extension,
            verified: self.verified,
            damage: self.damage,
            kept_at: Timestamp(self.kept_at),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum StoredOutcome<T> {
    Open,
    Done(T),
    Failed(String, String),
}

impl<T> StoredOutcome<T> {
    fn of<M: Clone>(outcome: &Outcome<M>, stored: impl FnOnce(M) -> T) -> StoredOutcome<T> {
        match outcome {
            Outcome::Open => StoredOutcome::Open,
            Outcome::Done(value) => StoredOutcome::Done(stored(value.clone())),
            Outcome::Failed { kind, message } => StoredOutcome::Failed(kind.clone(), message.clone()),
        }
    }

    fn into_model<M>(self, model: impl FnOnce(T) -> M) -> Outcome<M> {
        match self {
            StoredOutcome::Open => Outcome::Open,
            StoredOutcome::Done(value) => Outcome::Done(model(value)),
            StoredOutcome::Failed(kind, message) => Outcome::Failed { kind, message },
        }
    }
}

/// Width, height, bytes.
type StoredPicture = Option<(u32, u32, u32)>;

/// What was found in a content for one plate.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Figures {
    found_plate: Option<u32>,
    thumbnails: StoredOutcome<([StoredPicture; 3], bool)>,
    metadata: StoredOutcome<String>,
}

impl From<&model::Figures> for Figures {
    fn from(figures: &model::Figures) -> Figures {
        let picture =
            |picture: Option<Picture>| picture.map(|picture| (picture.width, picture.height, picture.bytes));
        Figures {
            found_plate: figures.found_plate,
            thumbnails: StoredOutcome::of(&figures.thumbnails, |made: Pictures| {
                ([made.small, made.medium, made.large].map(picture), made.from_printer)
            }),
            metadata: StoredOutcome::of(&figures.metadata, |text| text),
        }
    }
}

impl Figures {
    pub(in crate::store) fn into_model(self, content: Checksum, plate: Option<u32>) -> model::Figures {
        let picture =
            |stored: StoredPicture| stored.map(|(width, height, bytes)| Picture { width, height, bytes });
        model::Figures {
            content,
            plate,
            found_plate: self.found_plate,
            thumbnails: self.thumbnails.into_model(|(sizes, from_printer)| {
                let [small, medium, large] = sizes.map(picture);
                Pictures { small, medium, large, from_printer }
            }),
            metadata: self.metadata.into_model(|text| text),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum StoredOrigin {
    Unknown,
    Sent(String),
    OnCard(String),
    Cloud,
    Internal(String),
    System,
    Local,
}

#[derive(Debug, Serialize, Deserialize)]
enum StoredWanted {
    Print { job: u64, title: Option<String>, file: Option<String>, plate: Option<u32>, origin: StoredOrigin },
    Path(Vec<u8>),
}

#[derive(Debug, Serialize, Deserialize)]
enum StoredState {
    Queued,
    Running,
    Waiting,
    AfterPrint,
    Done(u64),
    Failed,
}

/// A request for a file. The first two fields are what is looked for at a start, in every version.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Fetch {
    printer_id: u64,
    state: StoredState,
    wanted: StoredWanted,
    filename: String,
    auto: bool,
    cause: Option<u64>,
    attempts: u32,
    tried: Vec<String>,
    error: StoredError,
    refetch: bool,
    created_at: i64,
}

impl From<&model::Fetch> for Fetch {
    fn from(fetch: &model::Fetch) -> Fetch {
        use model::{FetchState as S, Wanted};
        let wanted = match &fetch.wanted {
            Wanted::Path(path) => StoredWanted::Path(path.clone()),
            Wanted::Print { job_id, start } => StoredWanted::Print {
                job: job_id.0,
                title: start.title.clone(),
                file: start.file.clone(),
                plate: start.plate,
                origin: match start.origin.clone() {
                    Origin::Unknown => StoredOrigin::Unknown,
                    Origin::Sent(path) => StoredOrigin::Sent(path),
                    Origin::OnCard(path) => StoredOrigin::OnCard(path),
                    Origin::Cloud => StoredOrigin::Cloud,
                    Origin::Internal(name) => StoredOrigin::Internal(name),
                    Origin::System => StoredOrigin::System,
                    Origin::Local => StoredOrigin::Local,
                },
            },
        };
        let state = match &fetch.state {
            S::Queued => StoredState::Queued,
            S::Running => StoredState::Running,
            S::Waiting => StoredState::Waiting,
            S::AfterPrint => StoredState::AfterPrint,
            S::Done(id) => StoredState::Done(id.0),
            S::Failed => StoredState::Failed,
        };
        Fetch {
            printer_id: fetch.printer_id.0,
            state,
            wanted,
            filename: fetch.filename.clone(),
            auto: fetch.auto,
            cause: fetch.cause,
            attempts: fetch.attempts,
            tried: fetch.tried.clone(),
            error: stored_error(fetch.error.as_ref()),
            refetch: fetch.refetch,
            created_at: fetch.created_at.0,
        }
    }
}

impl Fetch {
    pub(in crate::store) fn into_model(self, id: FetchId) -> Result<model::Fetch, DecodeError> {
        use model::{FetchState as S, Wanted};
        let wanted = match self.wanted {
            StoredWanted::Path(path) => Wanted::Path(path),
            StoredWanted::Print { job, title, file, plate, origin } => {
                let origin = match origin {
                    StoredOrigin::Unknown => Origin::Unknown,
                    StoredOrigin::Sent(path) => Origin::Sent(path),
                    StoredOrigin::OnCard(path) => Origin::OnCard(path),
                    StoredOrigin::Cloud => Origin::Cloud,
                    StoredOrigin::Internal(name) => Origin::Internal(name),
                    StoredOrigin::System => Origin::System,
                    StoredOrigin::Local => Origin::Local,
                };
                Wanted::Print { job_id: JobId(job), start: Start { title, file, plate, origin } }
            }
        };
        let state = match self.state {
            StoredState::Queued => S::Queued,
            StoredState::Running => S::Running,
            StoredState::Waiting => S::Waiting,
            StoredState::AfterPrint => S::AfterPrint,
            StoredState::Done(file) => S::Done(FileId(file)),
            StoredState::Failed => S::Failed,
        };
        Ok(model::Fetch {
            id,
            printer_id: PrinterId(self.printer_id),
            wanted,
            filename: self.filename,
            auto: self.auto,
            cause: self.cause,
            state,
            attempts: self.attempts,
            tried: self.tried,
            error: error(self.error)?,
            refetch: self.refetch,
            created_at: Timestamp(self.created_at),
        })
    }
}
