//! `/settings`: what can be changed while the service runs.

use embedded_svc::http::server::Connection;
use serde::Deserialize;
use serde_json::json;

use super::Api;
use crate::base::logging;
use crate::events::{Event, SettingsChanged};
use crate::store::StoreError;
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    log_level: Option<String>,
}

pub fn show<C: Connection>(call: &mut Call<'_, C>, _: &Api) -> Answer {
    call.conditional_json(&json!({"log_level": logging::level_name(logging::level())}))
}

/// Until the next start: then the configuration counts again.
pub fn change<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let change: Change = call.json()?;
    if let Some(name) = &change.log_level {
        let Some(level) = logging::level_from_name(name) else {
            return Err(ApiError::bad_value("log_level", "Use error, warn, info, debug or trace."));
        };
        if level != logging::level() {
            api.store.write_blocking(|txn| {
                let keys = vec!["log_level".to_owned()];
                txn.emit(Event::SettingsChanged(SettingsChanged { keys }), None, None);
                Ok::<(), StoreError>(())
            })?;
            logging::set_level(level);
        }
    }
    Reply::json(200, &json!({"log_level": logging::level_name(logging::level())}))
}
