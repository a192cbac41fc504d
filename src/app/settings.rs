//! The settings of the running service: the configuration, what was changed through the API over it, and who is told.
//!
//! What was changed is kept in the store as one setting of JSON, by the names of the API. A kept value that a newer version
//! does not take any more is left out and said in the log. The time zone is kept a second time, where the store finds it
//! before it opens.

use std::sync::{Mutex, MutexGuard, PoisonError};

use embedded_svc::storage::RawStorage as _;
use serde_json::{Map, Value};

use crate::base::latest::Latest;
use crate::base::logging;
use crate::base::secret::Secret;
use crate::config::Config;
use crate::config::change::{self, CHANGEABLE};
use crate::downloads;
use crate::events::{Event, SettingsChanged};
use crate::library::{Library, LibraryConfig};
use crate::model::Share;
use crate::store::{Read as _, SETTING_BYTES_MAX, Store, StoreError, ZONE_SETTING};
use crate::web::api::settings::{Desk, Fault, PASSWORD, Refusal, Shown};
use crate::web::guard::password::{self, PASSWORD_RULE};
use crate::web::guard::{Asking, Guard};

/// The setting that keeps what was changed.
pub const SETTING: &str = "settings";

/// What was changed, by name.
type Changed = Map<String, Value>;

/// Reads what was changed and takes it into `config`.
///
/// # Errors
/// Those of the store.
pub fn read(store: &Store, config: &mut Config) -> Result<Changed, StoreError> {
    let kept = store.read_blocking(|view| view.setting(SETTING))?.unwrap_or_default();
    let kept: Changed = serde_json::from_slice(&kept).unwrap_or_default();
    let taken = |name: &str, value: &Value, config: &mut Config| match change::take(config, name, value) {
        Ok(()) => true,
        Err(_) => {
            log::warn!("the setting {name} that was kept is not taken any more; the configuration counts");
            false
        }
    };
    Ok(kept.into_iter().filter(|(name, value)| taken(name, value, config)).collect())
}

/// The names that a request may call the device by: those of the configuration, and their twins on the local network.
#[must_use]
pub fn host_names(names: &[String]) -> Vec<String> {
    let local = names.iter().filter(|name| !name.contains('.')).map(|name| format!("{name}.local"));
    names.iter().cloned().chain(local).collect()
}

/// Those who are told of a change.
pub struct Told {
    /// Who may do what.
    pub guard: Guard,
    /// The front: names of the device.
    pub names: Latest<Vec<String>>,
    /// The library, and the card.
    pub library: Library,
    /// Downloads: what they leave free.
    pub downloads: downloads::Desk,
    /// Whether files of prints are fetched by themselves.
    pub automatic: Latest<bool>,
    /// The threshold of new spools.
    pub low_stock: Latest<Share>,
}

struct State {
    config: Config,
    changed: Changed,
}

/// The desk of the settings.
pub struct Settings {
    store: Store,
    told: Told,
    /// As at the start: what counts until the next one where a change cannot be taken into effect.
    started: Config,
    state: Mutex<State>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Settings {
    /// The desk over the effective `config`, of which `changed` came from the store.
    #[must_use]
    pub fn new(store: Store, config: Config, changed: Changed, told: Told) -> Settings {
        let settings = Settings {
            store,
            told,
            started: config.clone(),
            state: Mutex::new(State { config, changed }),
            changing: Mutex::default(),
        };
        let state = settings.lock();
        // What the command line and the file say is in effect already.
        if state.changed.contains_key("log_level") {
            logging::set_level(state.config.log.level);
        }
        settings.tell(&state.config);
        drop(state);
        settings
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, config: &Config) {
        let told = &self.told;
        told.guard.set_private(config.web.private);
        told.names.set(host_names(&config.web.names));
        let watch_folder = self.started.library.watch_folder.clone();
        told.library.set_config(LibraryConfig { watch_folder, ..config.library.clone() });
        told.downloads.set_reserve(config.library.min_free);
        told.automatic.set(config.downloads.auto);
        told.low_stock.set(config.materials.threshold());
    }

    fn shown(&self, state: &State) -> Shown {
        let config = &state.config;
        let waits = |name: &str| match name {
            "time_zone" => config.time != self.started.time,
            "watch_folder" => config.library.watch_folder != self.started.library.watch_folder,
            _ => false,
        };
        let folder = config.library.watch_folder.as_deref();
        Shown {
            auto_download: config.downloads.auto,
            has_password: self.told.guard.has_password(),
            library_auto_add: config.library.auto_add,
            library_min_free: config.library.min_free,
            library_quota: config.library.quota,
            log_level: logging::level_name(logging::level()),
            low_stock_percentage: config.materials.low_stock,
            max_file_size: config.library.max_file_size,
            names: config.web.names.clone(),
            private: config.web.private,
            time_zone: config.time.zone.to_string(),
            watch_folder: folder.map(|folder| folder.to_string_lossy().into_owned()),
            changed: names_of(|name| state.changed.contains_key(name)),
            restart_needed: names_of(waits),
        }
    }
}

fn names_of(wanted: impl Fn(&str) -> bool) -> Vec<&'static str> {
    CHANGEABLE.iter().map(|setting| setting.name).filter(|name| wanted(name)).collect()
}

/// What a change comes to, before it is kept. **Pure**.
struct Plan {
    config: Config,
    changed: Changed,
    /// The names whose values are others now.
    keys: Vec<String>,
    /// A new password, or none any more.
    password: Option<Option<Secret>>,
}

fn plan(state: &State, wanted: &Map<String, Value>, has_password: bool) -> Result<Plan, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut plan = Plan {
        config: state.config.clone(),
        changed: state.changed.clone(),
        keys: Vec::new(),
        password: None,
    };
    for (name, value) in wanted {
        let mut fault = |message: String, wrong_shape: bool| {
            faults.push(Fault { field: shortened(name), message, wrong_shape });
        };
        if name == PASSWORD {
            match value {
                Value::Null => plan.password = Some(None),
                Value::String(text) if password::fits(text) => {
                    plan.password = Some(Some(Secret::new(text.as_str())));
                }
                Value::String(_) => fault(format!("Use {PASSWORD_RULE}."), false),
                _ => fault("Use a text, or null for no password.".to_owned(), true),
            }
            continue;
        }
        let before = plan.config.clone();
        match change::take(&mut plan.config, name, value) {
            Ok(()) if plan.config != before => {
                plan.changed.insert(name.clone(), value.clone());
                plan.keys.push(name.clone());
            }
            Ok(()) => {}
            Err(change::Fault::Unknown) => fault("There is no such setting.".to_owned(), true),
            Err(change::Fault::Kind(kind)) => fault(format!("Use {}.", kind.words()), true),
            Err(change::Fault::Value(allowed)) => fault(format!("Use {allowed}."), false),
        }
    }
    // Taking away what is not there is no change.
    if plan.password == Some(None) && !has_password {
        plan.password = None;
    }
    let will_have_one = plan.password.as_ref().map_or(has_password, Option::is_some);
    // After a forgotten password `private` waits for the next one: that is no fault of a change of something else.
    let touched = ["private", PASSWORD].into_iter().find(|name| wanted.contains_key(*name));
    let password_is_faulty = faults.iter().any(|fault| fault.field == PASSWORD);
    if let Some(field) = touched
        && plan.config.web.private
        && !will_have_one
        && !password_is_faulty
    {
        let message = "`private` needs a password: set both, or `private` to false.".to_owned();
        faults.push(Fault { field: field.to_owned(), message, wrong_shape: false });
    }
    if serde_json::to_vec(&plan.changed).map_or(usize::MAX, |bytes| bytes.len()) > SETTING_BYTES_MAX {
        let message = "All settings together are too long: use a shorter folder or fewer names.".to_owned();
        faults.push(Fault { field: "names".to_owned(), message, wrong_shape: false });
    }
    if plan.password.is_some() {
        plan.keys.push(PASSWORD.to_owned());
    }
    plan.keys.sort_unstable();
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

/// An unknown name as it may be repeated.
fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

impl Desk for Settings {
    fn show(&self) -> Shown {
        self.shown(&self.lock())
    }

    fn change(&self, wanted: &Map<String, Value>, asking: &Asking<'_>) -> Result<Shown, Refusal> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = self.told.guard.clone();
        let mut plan = plan(&self.lock(), wanted, guard.has_password()).map_err(Refusal::Faults)?;
        // The level may have been set by the command line; asking for what is configured sets it anyway.
        let level = wanted.contains_key("log_level").then_some(plan.config.log.level);
        if level.is_some_and(|level| level != logging::level())
            && !plan.keys.iter().any(|key| key == "log_level")
        {
            plan.keys.insert(0, "log_level".to_owned());
        }
        let password = plan.password.take().map(|password| guard.prepare(password, asking)).transpose()?;
        if !plan.keys.is_empty() {
            let (keys, changed) = (plan.keys, plan.changed.clone());
            let zone = keys.iter().any(|key| key == "time_zone").then(|| plan.config.time.zone.to_string());
            self.store.write_blocking(move |txn| {
                let bytes = serde_json::to_vec(&changed).unwrap_or_default();
                txn.settings().set_raw(SETTING, &bytes)?;
                if let Some(zone) = zone {
                    txn.settings().set_raw(ZONE_SETTING, zone.as_bytes())?;
                }
                txn.emit(Event::SettingsChanged(SettingsChanged { keys }), None, None);
                match password {
                    Some(password) => guard.change(password, txn),
                    None => Ok::<(), StoreError>(()),
                }
            })?;
        }
        if let Some(level) = level {
            logging::set_level(level);
        }
        let mut state = self.lock();
        self.tell(&plan.config);
        *state = State { config: plan.config, changed: plan.changed };
        Ok(self.shown(&state))
    }
}
