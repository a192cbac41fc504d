//! `/settings`: what can be changed while the service runs.
//!
//! A change names some of the settings; what it does not name stays. It is judged as a whole: every fault is named at once, and
//! where there is one nothing is changed. The answer is all settings as they are then, which of them were set here over the
//! configuration, and which count from the next start on only. The password can be written, never read.

use embedded_svc::http::server::Connection;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Api;
use crate::store::StoreError;
use crate::web::guard::Asking;
use crate::web::respond::{ApiError, Reply, etag, etag_matches};
use crate::web::server::{Access, Answer, Call};

/// The setting that is written only.
pub const PASSWORD: &str = "password";

/// All settings as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Whether the files of prints are fetched by themselves.
    pub auto_download: bool,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether finished downloads enter the library by themselves.
    pub library_auto_add: bool,
    /// Bytes of the card that print files leave free.
    pub library_min_free: u64,
    /// Bytes that all print files may take; 0: the whole card.
    pub library_quota: u64,
    /// What is logged.
    pub log_level: &'static str,
    /// Percent below which the stock of a spool is low, for new ones.
    pub low_stock_percentage: u64,
    /// Bytes of an uploaded file at most.
    pub max_file_size: u64,
    /// Names of the device.
    pub names: Vec<String>,
    /// Whether reading needs the password too.
    pub private: bool,
    /// Whose days are counted.
    pub time_zone: String,
    /// A directory whose files are taken into the library.
    pub watch_folder: Option<String>,
    /// Settings that were set here and count over the configuration.
    pub changed: Vec<&'static str>,
    /// Settings whose new value counts from the next start on.
    pub restart_needed: Vec<&'static str>,
}

/// What is wrong with one setting of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Its name.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
    /// Whether it is unknown or of another kind, and not just a value that is not allowed.
    #[serde(skip)]
    pub wrong_shape: bool,
}

/// Why nothing was changed.
#[derive(Debug)]
pub enum Refusal {
    /// Every fault, at least one.
    Faults(Vec<Fault>),
    /// It is an answer already.
    Api(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal::Api(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Api(error.into())
    }
}

/// Where settings are kept and taken into effect; the app knows who has to be told.
pub trait Desk: Send + Sync {
    /// All settings as they are.
    fn show(&self) -> Shown;

    /// Changes some, all of them or none. `asking` keeps its session where the password is changed. Blocks.
    ///
    /// # Errors
    /// See [`Refusal`].
    fn change(&self, wanted: &Map<String, Value>, asking: &Asking<'_>) -> Result<Shown, Refusal>;
}

pub(super) fn show<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    call.conditional_json(&api.settings.show())
}

pub(super) fn change<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let wanted: Map<String, Value> = call.json()?;
    let asking = call.asking();
    // Whoever has a token only must not lock the owner out, and nobody may open what is closed without the password.
    if ["password", "private"].iter().any(|name| wanted.contains_key(*name)) && api.guard.has_password() {
        api.guard.judge_blocking(&asking, Access::Owner)?;
    }
    if let Some(wanted) = call.header("If-Match") {
        let now = Reply::json(200, &api.settings.show())?;
        if !etag_matches(wanted, &etag(&now.body)) {
            let message = "Somebody has changed the settings meanwhile. Read them again.";
            return Err(ApiError::new(412, "SETTINGS_CHANGED", message));
        }
    }
    match api.settings.change(&wanted, &asking) {
        Ok(shown) => {
            let reply = Reply::json(200, &shown)?;
            let tag = etag(&reply.body);
            Ok(reply.header("ETag", tag))
        }
        Err(Refusal::Api(error)) => Err(error),
        Err(Refusal::Faults(faults)) => Err(refuse(&faults)),
    }
}

/// All faults as one answer: 422 where one is of the shape, 400 otherwise.
fn refuse(faults: &[Fault]) -> ApiError {
    let first = faults.first().map_or("", |fault| fault.field.as_str());
    let words: Vec<String> =
        faults.iter().map(|fault| format!("`{}`: {}", fault.field, fault.message)).collect();
    let message = format!("Nothing was changed. {}", words.join(" "));
    let error = if faults.iter().any(|fault| fault.wrong_shape) {
        ApiError::wrong_shape(first, message)
    } else {
        ApiError::bad_value(first, message)
    };
    error.with_details(json!({"field": first, "faults": faults}))
}
