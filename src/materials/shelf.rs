//! The transactions over spools: enter, change, delete, put into slots. Each is one fact with its events.

use std::fmt;

use super::{MATERIALS_MAX, stock};
use crate::events::{Event, Flow, MaterialLowStock, MaterialOnly, MaterialView, MaterialWhole};
use crate::model::{ConsumptionId, Material, MaterialId, Place, PrinterId};
use crate::store::{Read as _, StoreError, Txn};

/// Why a spool was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaterialError {
    /// There is no such spool.
    NoMaterial(MaterialId),
    /// There is no such booking.
    NoConsumption(ConsumptionId),
    /// There is no such printer.
    NoPrinter(PrinterId),
    /// The booking was undone before.
    UndoneAlready(ConsumptionId),
    /// [`MATERIALS_MAX`] spools are entered.
    Full,
    /// More is left than the spool holds when it is full.
    Overfull,
    /// The store could not be read or written.
    Store(StoreError),
}

impl fmt::Display for MaterialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaterialError::NoMaterial(id) => write!(f, "there is no spool {id}"),
            MaterialError::NoConsumption(id) => write!(f, "there is no booking {id}"),
            MaterialError::NoPrinter(id) => write!(f, "there is no printer {id}"),
            MaterialError::UndoneAlready(id) => write!(f, "the booking {id} was undone already"),
            MaterialError::Full => write!(f, "{MATERIALS_MAX} spools are entered; delete some first"),
            MaterialError::Overfull => f.write_str("more is left than the spool holds when it is full"),
            MaterialError::Store(_) => f.write_str("using the store"),
        }
    }
}

impl std::error::Error for MaterialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            MaterialError::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for MaterialError {
    fn from(error: StoreError) -> MaterialError {
        MaterialError::Store(error)
    }
}

/// What the events of a change belong to: the flow and the event that led to it, where there are any.
#[derive(Clone, Debug, Default)]
pub struct Because {
    /// The workflow instance, as a print's.
    pub flow: Option<Flow>,
    /// `seq` of the event that led to it.
    pub cause: Option<u64>,
}

/// Enters a spool; its number and times are given here. One that is low from the start says so once.
///
/// # Errors
/// [`MaterialError::Full`], [`MaterialError::Overfull`], [`MaterialError::NoPrinter`], what the store meets.
pub fn add(txn: &mut Txn<'_>, new: Material, because: &Because) -> Result<Material, MaterialError> {
    if txn.count::<Material>()? >= MATERIALS_MAX {
        return Err(MaterialError::Full);
    }
    let now = txn.now().wall;
    let mut material = Material { id: txn.next_material_id()?, created_at: now, updated_at: now, ..new };
    check(txn, &material)?;
    vacate(txn, &material, because)?;
    let verdict = stock::judge(true, material.remaining, material.weight, material.threshold);
    material.armed = verdict.armed;
    txn.put(&material)?;
    let seq = announce(txn, Event::MaterialCreated, &material, because);
    if verdict.announce {
        announce_low(txn, &material, because, seq);
    }
    Ok(material)
}

/// Changes a spool by `edit`. Where that changes nothing, nothing is written or said.
///
/// # Errors
/// [`MaterialError::NoMaterial`], what `edit` answers, and as [`add`].
pub fn change<E: From<MaterialError>>(
    txn: &mut Txn<'_>,
    id: MaterialId,
    because: &Because,
    edit: impl FnOnce(&mut Material) -> Result<(), E>,
) -> Result<Material, E> {
    let before = find(txn, id)?;
    let mut after = before.clone();
    edit(&mut after)?;
    if after == before {
        return Ok(before);
    }
    check(txn, &after)?;
    Ok(replace(txn, &before, after, because)?)
}

/// Deletes a spool; its slot is free then, its bookings stay.
///
/// # Errors
/// [`MaterialError::NoMaterial`], what the store meets.
pub fn remove(txn: &mut Txn<'_>, id: MaterialId, because: &Because) -> Result<Material, MaterialError> {
    let material = find(txn, id)?;
    txn.delete::<Material>(id)?;
    txn.emit(Event::MaterialDeleted(MaterialOnly { material_id: id }), because.flow.as_ref(), because.cause);
    Ok(material)
}

/// Puts a spool into a printer's slot, or takes out what is in it. A spool is in one slot at most, a slot holds one
/// spool: whatever was there before is beside its printer then.
///
/// # Errors
/// [`MaterialError::NoPrinter`], [`MaterialError::NoMaterial`], what the store meets.
pub fn assign(
    txn: &mut Txn<'_>,
    printer_id: PrinterId,
    slot: u16,
    spool: Option<MaterialId>,
    because: &Because,
) -> Result<(), MaterialError> {
    if txn.printer(printer_id)?.is_none() {
        return Err(MaterialError::NoPrinter(printer_id));
    }
    match spool {
        Some(id) => {
            let place = Some(Place { printer_id, slot: Some(slot) });
            change(txn, id, because, |material| {
                material.place = place;
                Ok::<(), MaterialError>(())
            })?;
        }
        None => {
            if let Some(id) = txn.material_in(printer_id, slot)? {
                take_out(txn, id, because)?;
            }
        }
    }
    Ok(())
}

/// Frees all spools of a printer that is being removed from the list.
///
/// # Errors
/// What the store meets.
pub fn release(txn: &mut Txn<'_>, printer_id: PrinterId, because: &Because) -> Result<(), MaterialError> {
    let mut there = Vec::new();
    txn.each::<Material>(false, &mut |material| {
        there.extend(material.place.filter(|place| place.printer_id == printer_id).map(|_| material.id));
        std::ops::ControlFlow::Continue(())
    })?;
    for id in there {
        change(txn, id, because, |material| {
            material.place = None;
            Ok::<(), MaterialError>(())
        })?;
    }
    Ok(())
}

/// The spool, or an error that says that there is none.
pub(super) fn find(txn: &Txn<'_>, id: MaterialId) -> Result<Material, MaterialError> {
    txn.material(id)?.ok_or(MaterialError::NoMaterial(id))
}

/// Writes `after` in place of `before`, judges its stock, and says both. The only way in which a stored spool changes.
pub(super) fn replace(
    txn: &mut Txn<'_>,
    before: &Material,
    mut after: Material,
    because: &Because,
) -> Result<Material, MaterialError> {
    vacate(txn, &after, because)?;
    let mut armed = before.armed;
    if after.threshold != before.threshold {
        armed = stock::armed_at(before.remaining, before.weight, after.threshold);
    }
    let verdict = stock::judge(armed, after.remaining, after.weight, after.threshold);
    after.armed = verdict.armed;
    after.updated_at = txn.now().wall;
    txn.put(&after)?;
    let seq = announce(txn, Event::MaterialUpdated, &after, because);
    if verdict.announce {
        announce_low(txn, &after, because, seq);
    }
    Ok(after)
}

fn check(txn: &Txn<'_>, material: &Material) -> Result<(), MaterialError> {
    if material.remaining > material.weight {
        return Err(MaterialError::Overfull);
    }
    match material.place {
        Some(place) if txn.printer(place.printer_id)?.is_none() => {
            Err(MaterialError::NoPrinter(place.printer_id))
        }
        Some(_) | None => Ok(()),
    }
}

/// Takes another spool out of the slot that `material` is about to be in.
fn vacate(txn: &mut Txn<'_>, material: &Material, because: &Because) -> Result<(), MaterialError> {
    let Some((printer, slot)) = material.slot() else { return Ok(()) };
    match txn.material_in(printer, slot)?.filter(|other| *other != material.id) {
        Some(other) => take_out(txn, other, because),
        None => Ok(()),
    }
}

fn take_out(txn: &mut Txn<'_>, id: MaterialId, because: &Because) -> Result<(), MaterialError> {
    // A spool whose record cannot be read leaves a slot that nobody can free otherwise.
    let taken = change(txn, id, because, |material| {
        if let Some(place) = &mut material.place {
            place.slot = None;
        }
        Ok::<(), MaterialError>(())
    });
    match taken {
        Ok(_) | Err(MaterialError::NoMaterial(_) | MaterialError::Store(StoreError::Record(_))) => Ok(()),
        Err(error) => Err(error),
    }
}

fn announce(
    txn: &mut Txn<'_>,
    event: fn(Box<MaterialWhole>) -> Event,
    material: &Material,
    because: &Because,
) -> u64 {
    let whole = Box::new(MaterialWhole { material: MaterialView::of(material) });
    txn.emit(event(whole), because.flow.as_ref(), because.cause)
}

fn announce_low(txn: &mut Txn<'_>, material: &Material, because: &Because, cause: u64) {
    let event = Event::MaterialLowStock(MaterialLowStock::of(material));
    txn.emit(event, because.flow.as_ref(), Some(cause));
}
