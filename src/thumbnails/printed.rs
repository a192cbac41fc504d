//! The second source: the picture that a Prusa printer shows of a file in which the reader found none.
//!
//! A file's own picture costs the printer nothing, so this is asked only where there is none, of a printer that is connected,
//! and with the slot of its storage held: never beside a transfer. Whatever goes wrong, what the file itself gave is told.

use std::sync::Arc;
use std::time::Duration;

use crate::arrivals::{Ended, Order, Readers};
use crate::base::clock::within;
use crate::model::PrinterType;
use crate::model::status::ConnectionState;
use crate::printers::prusalink::files::{Files, FilesError};
use crate::printers::registry::Entry;

/// Somebody else's transfer is waited for so long: the next files wait for their pictures meanwhile.
const SLOT_WITHIN: Duration = Duration::from_secs(10);
/// From the printer's name to the last byte. The slowest printers send 25 KB a second, and a picture has 100 KB at most.
const PICTURE_WITHIN: Duration = Duration::from_secs(20);

/// Ends the request when nobody waits for it any longer, so that its thread and its slot are free at once.
struct Asking(Files);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The picture of the order's file, where it lies on a printer that shows one.
pub(super) async fn picture(readers: &Readers, order: &Order) -> Result<Option<Arc<[u8]>>, Ended> {
    let Some(entry) = order.source.printer_id().and_then(|id| readers.deps.registry.get(id)) else {
        return Ok(None);
    };
    let connected = entry.state.get().connection == ConnectionState::Monitoring;
    let Ok(path) = String::from_utf8(order.path.clone()) else { return Ok(None) };
    if entry.printer.kind != PrinterType::PrusaLink || !connected {
        return Ok(None);
    }
    // Boxed: the task is not to be as large as this at all times, and waits inside waits each hold a copy.
    match readers.wait(Box::pin(ask(readers, order, &entry, path))).await? {
        Ok(picture) => Ok(picture.map(Arc::from)),
        Err(words) => {
            log::info!("{}: {} gives no picture of it: {words}", order.file, entry.printer.id);
            Ok(None)
        }
    }
}

/// One question; `None` where the printer has no picture.
async fn ask(
    readers: &Readers,
    order: &Order,
    entry: &Entry,
    path: String,
) -> Result<Option<Vec<u8>>, String> {
    let (deps, printer) = (&readers.deps, &entry.printer);
    let slot = deps.registry.slots().take(printer.id, &deps.clock, SLOT_WITHIN).await;
    let slot = slot.ok_or("its storage is in use")?;
    let asked = async {
        let way = &printer.connection;
        let address = Box::pin(deps.resolver.resolve(&way.host, way.http_port)).await;
        let asking = Asking(Files::new(way, address.map_err(|error| error.to_string())?));
        let (files, content) = (asking.0.clone(), deps.blobs.content(order.content, &order.extension));
        let job = move || {
            let _slot = slot;
            let details = files.details(&path)?;
            // Another file may lie there by now; its picture is not that of these bytes.
            let same = std::fs::metadata(content).is_ok_and(|ours| details.size == Some(ours.len()));
            if same { files.thumbnail(&details) } else { Ok::<_, FilesError>(None) }
        };
        let running = deps.http.run(job).map_err(|full| full.to_string())?;
        let answer = running.answer().await.map_err(|lost| lost.to_string())?;
        answer.map_err(|error| error.to_string())
    };
    within(&deps.clock, PICTURE_WITHIN, asked).await.unwrap_or_else(|| Err("it takes too long".into()))
}
