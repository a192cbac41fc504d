//! The figures of `/health` that need the process, the card or a thread to be asked.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::net::mqtt::MqttHandle;
use crate::store::Store;
use crate::web::api::Probe;

/// Bytes of a file below `/proc` that are read; the ones used here are far shorter.
const PROC_BYTES_MAX: u64 = 16 * 1024;

/// Reads the figures.
pub struct Figures {
    data_dir: PathBuf,
    store: Store,
    mqtt: MqttHandle,
}

impl Figures {
    /// Figures of this process, of the file system of `data_dir`, and of the threads.
    #[must_use]
    pub fn new(data_dir: PathBuf, store: Store, mqtt: MqttHandle) -> Figures {
        Figures { data_dir, store, mqtt }
    }

    /// Reads everything now.
    #[must_use]
    pub fn read(&self) -> Probe {
        let failed = self.store.failure().get();
        let store = json!({"failure": failed.as_deref()});
        let mqtt = json!({"links": self.mqtt.links(), "panics": self.mqtt.panics()});
        Probe {
            services: vec![("store", failed.is_none(), store), ("mqtt", self.mqtt.panics() == 0, mqtt)],
            memory: json!({"rss_bytes": kib("/proc/self/status", "VmRSS:"), "peak_bytes": kib("/proc/self/status", "VmHWM:")}),
            storage: self.storage(),
            board: Value::Null,
        }
    }

    fn storage(&self) -> Value {
        let space = board::free_space(&self.data_dir);
        let written = number("/proc/self/io", "write_bytes:");
        json!({
            "free": space.map(|space| space.free_bytes),
            "used": space.map(|space| space.total_bytes.saturating_sub(space.free_bytes)),
            "quota": Value::Null,
            "written_since_start": written,
        })
    }
}

fn kib(path: &str, field: &str) -> Option<u64> {
    number(path, field)?.checked_mul(1024)
}

fn number(path: &str, field: &str) -> Option<u64> {
    let text = board::read_proc(path, PROC_BYTES_MAX)?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}
