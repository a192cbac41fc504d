//! `POST /library`: a file as the whole body, as a form with one file, or the id of a file that is here already.

use serde::Deserialize;

use crate::base::error::chain;
use crate::library::multipart::Form;
use crate::library::{Added, Library, LibraryError, PIECE_BYTES, names};
use crate::model::FileId;
use crate::web::api::library::added_view;
use crate::web::front::{Exchange, LargeError};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Pairs, decode};

/// Bytes of a body that names a file instead of being one.
const REFERENCE_BYTES_MAX: u64 = 1024;

#[derive(Deserialize)]
struct Reference {
    file_id: FileId,
}

pub async fn upload(library: &Library, exchange: &mut Exchange<'_>) -> Result<(), LargeError> {
    let head = exchange.head();
    let content_type = head.header("Content-Type").unwrap_or_default().to_owned();
    let given = match head.header("X-Filename") {
        Some(text) => Some(decode(text, false).ok_or_else(bad_name)?),
        None => Pairs::parse(head.query())?.get("filename").map(str::to_owned),
    };
    let given = given.map(|name| names::check(&name).ok_or_else(bad_name)).transpose()?;
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let added = if kind == "multipart/form-data" {
        let form = Form::of(&content_type).ok_or_else(|| error_of(&LibraryError::Multipart))?;
        stream(library, exchange, given, Some(form)).await?
    } else if let Some(name) = given {
        stream(library, exchange, Some(name), None).await?
    } else if kind == "application/json" {
        by_reference(library, exchange).await?
    } else {
        let message = "Say the file's name: percent-encoded in X-Filename, or as ?filename=.";
        return Err(ApiError::new(400, "NAME_NEEDED", message).into());
    };
    let status = if added.duplicate { 200 } else { 201 };
    let reply = Reply::json(status, &added_view(&added))?;
    exchange.reply(&reply).await?;
    Ok(())
}

/// Passes the body on, piece by piece.
async fn stream(
    library: &Library,
    exchange: &mut Exchange<'_>,
    given: Option<String>,
    mut form: Option<Form>,
) -> Result<Added, LargeError> {
    let upload = library.begin(exchange.body_left()).map_err(|error| error_of(&error))?;
    let mut piece = Vec::new();
    let mut buffer = vec![0; PIECE_BYTES / 4];
    loop {
        let count = exchange.read(&mut buffer).await?;
        let bytes = buffer.get(..count).unwrap_or_default();
        match &mut form {
            None => piece.extend_from_slice(bytes),
            Some(form) => match form.feed(bytes) {
                Ok(file) => piece.extend(file),
                Err(_) => return Err(error_of(&LibraryError::Multipart).into()),
            },
        }
        let ended = count == 0;
        if (piece.len() >= PIECE_BYTES || ended)
            && !piece.is_empty()
            && !upload.push(std::mem::take(&mut piece)).await
        {
            // It has ended early, and says why.
            break;
        }
        if ended {
            break;
        }
    }
    let name = match &form {
        None => given,
        Some(form) if form.is_whole() || exchange.body_left() > 0 => {
            given.or_else(|| form.filename().map(str::to_owned))
        }
        Some(_) => return Err(error_of(&LibraryError::Multipart).into()),
    };
    let added = upload.finish(name.as_deref().unwrap_or_default()).await;
    added.map_err(|error| LargeError::Api(error_of(&error)))
}

/// `{"file_id": "f3"}`: a finished download enters the library.
async fn by_reference(library: &Library, exchange: &mut Exchange<'_>) -> Result<Added, LargeError> {
    if exchange.body_left() > REFERENCE_BYTES_MAX {
        let message = format!("Send at most {REFERENCE_BYTES_MAX} bytes of JSON.");
        return Err(ApiError::new(413, "BODY_TOO_LARGE", message).into());
    }
    let mut body = Vec::new();
    let mut buffer = [0; 256];
    loop {
        let count = exchange.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        body.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    let reference: Reference = serde_json::from_slice(&body).map_err(|_| {
        ApiError::wrong_shape("file_id", "Send {\"file_id\": \"f1\"}, or a file with its name.")
    })?;
    let added = library.add(reference.file_id).await;
    added.map_err(|error| match error {
        LibraryError::NoFile => ApiError::not_found("file", &reference.file_id.to_string()).into(),
        other => LargeError::Api(error_of(&other)),
    })
}

fn bad_name() -> ApiError {
    error_of(&LibraryError::BadName)
}

/// The error as a client sees it; what is wrong with the device goes to the log, too.
pub fn error_of(error: &LibraryError) -> ApiError {
    use LibraryError as E;
    match error {
        E::NotFound => ApiError::new(404, "NOT_FOUND", "There is no such entry in the library."),
        E::NoFile => {
            ApiError::new(404, "NOT_FOUND", "There is no such file, or its bytes are not on the device.")
        }
        E::BadName => {
            let message = "Give a file name of at most 255 bytes without slashes and control characters.";
            ApiError::new(400, "BAD_NAME", message)
        }
        E::Empty => ApiError::new(400, "EMPTY_FILE", "The file is empty."),
        E::Cut => ApiError::new(400, "BODY_CUT", "The body ended early."),
        E::Multipart => {
            let message =
                "Send a form (multipart/form-data) with one file in it, or the file itself with its name.";
            ApiError::new(422, "WRONG_SHAPE", message)
        }
        E::TooLarge => {
            ApiError::new(413, "FILE_TOO_LARGE", "The file is larger than [library] max_file_size.")
        }
        E::NoSpace => {
            let message = "There is no room for this file. Delete files, or use a larger card.";
            ApiError::new(507, "NO_SPACE", message)
        }
        E::Full => ApiError::conflict("LIBRARY_FULL", "The library is full. Delete entries first."),
        E::Busy => ApiError::busy("Other uploads are running. Try again shortly.", 5),
        E::Store(_) => {
            ApiError::new(503, "STORE_UNAVAILABLE", "The records cannot be read or written right now.")
        }
        E::Io(_) | E::Lost => {
            log::error!("the library: {}", chain(error));
            ApiError::internal("The file could not be read or written; see the log.")
        }
    }
}
