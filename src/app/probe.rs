//! The figures of `/health` that need the process, the card or a thread to be asked.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::lan;
use crate::library::Card;
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
    board: Arc<dyn board::Board>,
    card: Card,
    lan: lan::Handle,
    /// Below which the system leaves its notices.
    root: PathBuf,
}

impl Figures {
    /// Figures of this process, of the file system of `data_dir`, and of the threads.
    #[must_use]
    pub fn new(
        data_dir: PathBuf,
        store: Store,
        mqtt: MqttHandle,
        board: Arc<dyn board::Board>,
        card: Card,
        lan: lan::Handle,
    ) -> Figures {
        Figures { data_dir, store, mqtt, board, card, lan, root: PathBuf::from("/") }
    }

    /// Reads everything now.
    #[must_use]
    pub fn read(&self) -> Probe {
        let failed = self.store.failure().get();
        let refusal = self.store.refusal();
        let store = json!({
            "failure": failed.as_deref(),
            "in_memory_since": refusal.as_ref().map(|refusal| refusal.since.to_string()),
        });
        let banner = refusal.map(|refusal| refusal.to_string());
        let mqtt = json!({"links": self.mqtt.links(), "panics": self.mqtt.panics()});
        let (neighbours, deaf) = neighbours(&self.lan);
        let warnings = banner.into_iter().chain(self.card.state().trouble).chain(deaf).collect();
        Probe {
            services: vec![
                ("store", failed.is_none(), store),
                ("mqtt", self.mqtt.panics() == 0, mqtt),
                ("lan", true, neighbours),
            ],
            memory: json!({"rss_bytes": kib("/proc/self/status", "VmRSS:"), "peak_bytes": kib("/proc/self/status", "VmHWM:")}),
            storage: self.storage(),
            board: machine(&self.board.facts()),
            warnings,
            notices: board::notices(&self.root),
        }
    }

    fn storage(&self) -> Value {
        let space = board::free_space(&self.data_dir);
        let card = self.card.state();
        let written = number("/proc/self/io", "write_bytes:");
        json!({
            "free": space.map(|space| space.free_bytes),
            "used": space.map(|space| space.total_bytes.saturating_sub(space.free_bytes)),
            "quota": card.quota,
            "files": card.files,
            "written_since_start": written,
        })
    }
}

/// The network's side as `/health` shows it, and a warning where it does not work. The service goes on without it: printers
/// are added by address then.
fn neighbours(lan: &lan::Handle) -> (Value, Option<String>) {
    let state = lan.state();
    let word = |side: &lan::Side| match side {
        lan::Side::Off => "off",
        lan::Side::NoNetwork => "no_network",
        lan::Side::Works => "works",
        lan::Side::Failed(_) => "failed",
    };
    let trouble = [&state.notices, &state.names].into_iter().find_map(|side| match side {
        lan::Side::Failed(why) => Some(why.clone()),
        lan::Side::Off | lan::Side::NoNetwork | lan::Side::Works => None,
    });
    let warning = trouble.as_ref().map(|why| {
        format!("Printers cannot be found by themselves on this network ({why}); add them by their address.")
    });
    let view = json!({
        "name": lan.name().get().as_deref(),
        "interfaces": state.links,
        "bambu_notices": word(&state.notices),
        "mdns": word(&state.names),
        "trouble": trouble,
        "datagrams": state.datagrams,
        "floods": state.floods,
        "unplaced": state.unplaced,
        "looks": state.looks,
        "strangers": state.strangers,
        "moved": state.moved,
    });
    (view, warning)
}

/// The machine as `/health` shows it.
fn machine(facts: &board::Facts) -> Value {
    let addresses: Vec<Value> = facts
        .addresses
        .iter()
        .map(|one| json!({"interface": one.interface, "address": one.address.to_string()}))
        .collect();
    json!({
        "model": facts.model,
        "temperature_c": facts.temperature_c,
        "clock_khz": facts.clock_khz,
        "undervoltage": facts.undervoltage,
        "throttled": facts.throttled,
        "memory": facts.memory.map(|memory| json!({"total": memory.total_bytes, "available": memory.available_bytes})),
        "load": facts.load,
        "uptime_s": facts.uptime_s,
        "addresses": addresses,
        "card": facts.card.as_ref().map(|card| json!({
            "name": card.name, "manufacturer": card.manufacturer, "made": card.made, "errors": card.errors,
            "written_kib": card.written_kib,
        })),
    })
}

fn kib(path: &str, field: &str) -> Option<u64> {
    number(path, field)?.checked_mul(1024)
}

fn number(path: &str, field: &str) -> Option<u64> {
    let text = board::read_proc(path, PROC_BYTES_MAX)?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}
