//! One session at a time at a printer's file storage, whoever wants it.
//!
//! Two transfers at once make both fail on most printers, and a listing beside a transfer is a transfer, too. So everybody
//! who opens a session there (downloads, listings, connection tests) holds the printer's slot while it lasts. The table has
//! an entry only for printers whose slot is taken, so it cannot be larger than the number of holders.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_listener::Event;

use crate::base::clock::{Clock, within};
use crate::model::PrinterId;

/// The slots of all printers. Cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Slots(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<BTreeSet<PrinterId>>,
    freed: Event,
}

/// A slot that is held; dropping it frees it.
#[derive(Debug)]
pub struct Slot {
    shared: Arc<Shared>,
    printer: PrinterId,
}

impl Slots {
    /// The printer's slot, if nobody holds it.
    #[must_use]
    pub fn try_take(&self, printer: PrinterId) -> Option<Slot> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(printer).then(|| Slot { shared: Arc::clone(&self.0), printer })
    }

    /// Waits for the printer's slot, at most `limit`. Whoever waits gets it in no particular order.
    pub async fn take(&self, printer: PrinterId, clock: &Clock, limit: Duration) -> Option<Slot> {
        within(clock, limit, async {
            loop {
                let freed = self.0.freed.listen();
                if let Some(slot) = self.try_take(printer) {
                    return slot;
                }
                freed.await;
            }
        })
        .await
    }

    /// Waits until any slot is freed.
    pub async fn freed(&self) {
        self.0.freed.listen().await;
    }
}

impl Slot {
    /// Whose slot it is.
    #[must_use]
    pub fn printer(&self) -> PrinterId {
        self.printer
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.printer);
        self.shared.freed.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::RELEASE_FLOOR;

    #[test]
    fn one_holder_a_printer_and_printers_do_not_mind_each_other() {
        let (slots, clock) = (Slots::default(), Clock::manual(RELEASE_FLOOR));
        let first = slots.try_take(PrinterId(1)).unwrap();
        assert!(slots.try_take(PrinterId(1)).is_none());
        assert!(slots.try_take(PrinterId(2)).is_some());
        let waiting = slots.take(PrinterId(1), &clock, Duration::from_secs(5));
        let got = smol::block_on(async { smol::future::zip(waiting, async move { drop(first) }).await.0 });
        assert_eq!(got.map(|slot| slot.printer()), Some(PrinterId(1)));
    }

    #[test]
    fn waiting_ends() {
        let (slots, clock) = (Slots::default(), Clock::manual(RELEASE_FLOOR));
        let _held = slots.try_take(PrinterId(1)).unwrap();
        let waiting = slots.take(PrinterId(1), &clock, Duration::from_secs(5));
        let late = smol::block_on(async {
            smol::future::zip(waiting, async { clock.advance(Duration::from_secs(6)) }).await.0
        });
        assert!(late.is_none());
    }
}
