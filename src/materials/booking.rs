//! Bookings: filament taken from a spool, and put back when that was wrong. Nothing disappears: an undone booking stays in
//! the history and says when it was undone.

use super::shelf::{Because, MaterialError, find, replace};
use super::{CONSUMPTIONS_MAX, CONSUMPTIONS_TRIMMED_AT_ONCE};
use crate::model::{Consumption, ConsumptionId, JobId, Mass, MaterialId, PrinterId};
use crate::store::{Read as _, StoreError, Txn};

/// What is to be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// The spool.
    pub material_id: MaterialId,
    /// What was used.
    pub used: Mass,
    /// The job it was used for.
    pub job_id: Option<JobId>,
    /// The printer that used it.
    pub printer_id: Option<PrinterId>,
    /// The slot that it came out of.
    pub slot: Option<u16>,
    /// The printed file.
    pub file_name: Option<String>,
    /// How long the print took, in seconds.
    pub print_time_s: Option<u64>,
    /// Whether the service books by itself.
    pub auto: bool,
}

/// Books: the spool holds that much less, at least nothing.
///
/// # Errors
/// [`MaterialError::NoMaterial`], what the store meets.
pub fn take(txn: &mut Txn<'_>, take: Take, because: &Because) -> Result<Consumption, MaterialError> {
    let before = find(txn, take.material_id)?;
    // A spool that runs empty earlier than its figures is emptied, and the booking remembers what it really took.
    let deducted = take.used.min(before.remaining);
    let mut after = before.clone();
    after.remaining = before.remaining.less(deducted);
    let booking = Consumption {
        id: txn.next_consumption_id()?,
        material_id: take.material_id,
        material_name: before.name(),
        job_id: take.job_id,
        printer_id: take.printer_id,
        slot: take.slot,
        used: take.used,
        deducted,
        cost: before.cost_per_kg.map(|price| price.of(take.used)),
        at: txn.now().wall,
        file_name: take.file_name,
        print_time_s: take.print_time_s,
        auto: take.auto,
        undone_at: None,
    };
    txn.put(&booking)?;
    let trimmed = txn.trim_consumptions(CONSUMPTIONS_MAX, CONSUMPTIONS_TRIMMED_AT_ONCE)?;
    if trimmed > 0 {
        log::debug!("{trimmed} of the oldest bookings removed: {CONSUMPTIONS_MAX} are kept");
    }
    replace(txn, &before, after, because)?;
    Ok(booking)
}

/// Undoes a booking: what it took is on the spool again, if that still exists, at most until it is full.
///
/// # Errors
/// [`MaterialError::NoConsumption`], [`MaterialError::UndoneAlready`], what the store meets.
pub fn undo(txn: &mut Txn<'_>, id: ConsumptionId, because: &Because) -> Result<Consumption, MaterialError> {
    let mut booking = txn.get::<Consumption>(id)?.ok_or(MaterialError::NoConsumption(id))?;
    if booking.undone_at.is_some() {
        return Err(MaterialError::UndoneAlready(id));
    }
    booking.undone_at = Some(txn.now().wall);
    txn.put(&booking)?;
    match find(txn, booking.material_id) {
        Ok(before) => {
            let mut after = before.clone();
            // Somebody may have weighed the spool since.
            after.remaining = before.remaining.plus(booking.deducted).min(before.weight);
            replace(txn, &before, after, because)?;
        }
        Err(MaterialError::NoMaterial(_) | MaterialError::Store(StoreError::Record(_))) => {}
        Err(error) => return Err(error),
    }
    Ok(booking)
}
