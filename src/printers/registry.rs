//! The printers that are watched right now: their newest states for readers, and a bounded wire to each watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use smol::channel::{Receiver, Sender};

use super::driver::Identity;
use crate::base::latest::Latest;
use crate::model::{Printer, PrinterId, PrinterState};

/// Printers that can be watched: twice what the largest workshop of the requirements has.
pub const PRINTERS_MAX: usize = 32;
/// Commands that wait for one watch; people click, machines do not.
pub const COMMANDS_MAX: usize = 4;

/// What a watch can be asked to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Connect now, whatever was waited for.
    Connect,
    /// Disconnect and stay away until told otherwise.
    Disconnect,
    /// The entry was changed; connect again if the way to the printer did.
    Update(Arc<Printer>),
    /// The printer's state was changed in the store (plate cleared, spool in a slot): show it.
    Refresh,
}

/// One watched printer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The list's entry.
    pub printer: Arc<Printer>,
    /// The newest state.
    pub state: Latest<PrinterState>,
    /// Who answered last, when that was not the one expected: what `trust` accepts.
    pub stranger: Latest<Option<Identity>>,
    commands: Sender<Command>,
}

impl Entry {
    /// Sends a command; `false` when the watch has too many waiting.
    #[must_use]
    pub fn command(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }
}

/// The table of watched printers. Cloning gives another handle to the same table.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<PrinterId, Entry>>>);

impl Registry {
    /// Enters a printer; answers its entry and the end of its wire, or `None` when [`PRINTERS_MAX`] are entered.
    #[must_use]
    pub fn enter(&self, printer: Arc<Printer>, state: PrinterState) -> Option<(Entry, Receiver<Command>)> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= PRINTERS_MAX && !table.contains_key(&printer.id) {
            return None;
        }
        let (commands, wire) = smol::channel::bounded(COMMANDS_MAX);
        let entry = Entry {
            printer: Arc::clone(&printer),
            state: Latest::new(state),
            stranger: Latest::new(None),
            commands,
        };
        table.insert(printer.id, entry.clone());
        Some((entry, wire))
    }

    /// Replaces the list's entry of a printer.
    pub fn update(&self, printer: Arc<Printer>) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.get_mut(&printer.id) {
            entry.printer = printer;
        }
    }

    /// Strikes a printer off.
    pub fn leave(&self, id: PrinterId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// One printer.
    #[must_use]
    pub fn get(&self, id: PrinterId) -> Option<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All printers in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// What the API asks of whoever starts and stops watches.
#[derive(Debug)]
pub enum Order {
    /// Watch a printer that was added to the store.
    Watch(Arc<Printer>),
    /// Stop watching a printer that was removed from the store and the table.
    Forget(PrinterId),
    /// Probe a printer that is not in the list, step by step, and answer.
    Probe(Box<Printer>, Sender<Vec<ProbeStep>>),
}

/// Orders that wait; one slow request at a time makes one.
pub const ORDERS_MAX: usize = 8;

/// One step of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProbeStep {
    /// `address`, `port`, `tls`, `login`, `serial`, `first_report`, `files`.
    pub step: &'static str,
    /// `ok`, `failed`, or `skipped` (an earlier step failed, or there is nothing to check).
    pub result: &'static str,
    /// Why it failed, as in `printer_connection_progress`.
    pub kind: Option<crate::model::ConnectionKind>,
    /// English words.
    pub message: Option<String>,
}
