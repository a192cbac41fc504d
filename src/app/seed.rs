//! Printers that the configuration file brings: added once, as if somebody had added them by hand.

use crate::config::PrinterEntry;
use crate::model::{Printer, PrinterId};
use crate::store::{Store, StoreError};
use crate::web::api;

/// Adds every entry whose printer the list does not have, by serial number and by host and port.
///
/// # Errors
/// When the store cannot commit.
pub fn add(store: &Store, entries: Vec<PrinterEntry>) -> Result<(), StoreError> {
    for entry in entries {
        let added = store.write_blocking(move |txn| {
            let printer = Printer {
                id: PrinterId(0),
                name: entry.name,
                kind: entry.kind,
                connection: entry.connection,
                pin: None,
                location: entry.location,
                description: entry.description,
                enabled: entry.enabled,
                created_at: txn.now().wall,
            };
            let name = printer.name.clone();
            match api::insert_printer(txn, printer) {
                Ok(printer) => Ok(Some(printer.id)),
                // It was added at an earlier start, or by hand.
                Err(error) if error.code == api::DUPLICATE_PRINTER => Ok(None),
                Err(error) => {
                    log::warn!("{name} of the configuration file is not added: {error}");
                    Ok(None)
                }
            }
        });
        if let Some(id) = added.map_err(|error: StoreError| error)? {
            log::info!("{id} was added from the configuration file");
        }
    }
    Ok(())
}
