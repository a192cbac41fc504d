//! The printers that are watched right now: their newest states for readers, and a bounded wire to each watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use smol::channel::{Receiver, Sender};

use super::driver::Identity;
use super::slots::Slots;
use crate::base::latest::Latest;
use crate::model::{Control, ControlError, FileId, JobId, Printer, PrinterId, PrinterState};

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
    /// The printer's state was changed in the store (plate cleared, spool in a slot), or its print's file became known: show
    /// it.
    Refresh,
    /// Order the printer to do something about its print; replies go through the channel.
    Control(Control, Sender<Reply>),
}

/// What became known of a print's file since its start: shown with the printer's state while it is at that print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintFile {
    /// The print's job.
    pub job_id: JobId,
    /// The version of the file.
    pub file_id: Option<FileId>,
    /// Where a browser finds a picture of it.
    pub thumbnail_url: Option<String>,
}

/// What is told to whoever gave an order. `Done` or `Failed` is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The printer has taken it.
    Taken,
    /// Its status shows it carried out, for the print of this job.
    Done(Option<JobId>),
    /// It was not carried out.
    Failed(ControlError),
}

/// Replies to one order.
pub const REPLIES_MAX: usize = 2;

/// One watched printer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The list's entry.
    pub printer: Arc<Printer>,
    /// The newest state.
    pub state: Latest<PrinterState>,
    /// Who answered last, when that was not the one expected: what `trust` accepts.
    pub stranger: Latest<Option<Identity>>,
    /// The file of the print.
    pub file: Latest<Option<PrintFile>>,
    /// Whether it is being removed from the list: its watch says nothing more then, or its last word would come after the
    /// event of its removal.
    pub leaving: Latest<bool>,
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
pub struct Registry {
    entries: Arc<Mutex<BTreeMap<PrinterId, Entry>>>,
    slots: Slots,
}

impl Registry {
    /// Enters a printer; answers its entry and the end of its wire, or `None` when [`PRINTERS_MAX`] are entered.
    #[must_use]
    pub fn enter(&self, printer: Arc<Printer>, state: PrinterState) -> Option<(Entry, Receiver<Command>)> {
        let mut table = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= PRINTERS_MAX && !table.contains_key(&printer.id) {
            return None;
        }
        let (commands, wire) = smol::channel::bounded(COMMANDS_MAX);
        let entry = Entry {
            printer: Arc::clone(&printer),
            state: Latest::new(state),
            stranger: Latest::new(None),
            file: Latest::new(None),
            leaving: Latest::new(false),
            commands,
        };
        table.insert(printer.id, entry.clone());
        Some((entry, wire))
    }

    /// Replaces the list's entry of a printer.
    pub fn update(&self, printer: Arc<Printer>) {
        let mut table = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.get_mut(&printer.id) {
            entry.printer = printer;
        }
    }

    /// Shows what became known of a print's file: at once if the watch can be told, else with its next report.
    pub fn show_file(&self, id: PrinterId, file: PrintFile) {
        if let Some(entry) = self.get(id) {
            entry.file.set(Some(file));
            let _ = entry.command(Command::Refresh);
        }
    }

    /// Strikes a printer off.
    pub fn leave(&self, id: PrinterId) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Who may speak to the printers' file storages.
    #[must_use]
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// One printer.
    #[must_use]
    pub fn get(&self, id: PrinterId) -> Option<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All printers in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
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
