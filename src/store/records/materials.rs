//! The records of spools and bookings, and the index of slots.

use std::ops::ControlFlow;

use super::materials_v1 as v1;
use crate::model::{Consumption, ConsumptionId, Material, MaterialId, PrinterId};
use crate::store::error::{DecodeError, StoreError};
use crate::store::read::{RawRead as _, Read as _, Span};
use crate::store::record::{Record, body, versioned};
use crate::store::tables::{Key as _, Table, meta};
use crate::store::txn::Txn;

impl Record for Material {
    const TABLE: Table = Table::Materials;
    type Key = MaterialId;

    fn key(&self) -> MaterialId {
        self.id
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &v1::Material::from(self))
    }

    fn decode(key: MaterialId, version: u8, bytes: &[u8]) -> Result<Material, DecodeError> {
        match version {
            1 => body::<v1::Material>(bytes)?.into_model(key),
            other => Err(DecodeError::Version(other)),
        }
    }

    fn before_put(&self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        leave_slot(self.id, txn)
    }

    fn put_links(&self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        if let Some((printer, slot)) = self.slot() {
            txn.raw_put(Table::Meta, meta::slot(printer, slot), self.id.to_bytes().to_vec());
        }
        Ok(())
    }

    fn before_delete(key: MaterialId, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        leave_slot(key, txn)
    }
}

/// Strikes the spool out of the index of slots, if that is where its stored record says it is.
fn leave_slot(id: MaterialId, txn: &mut Txn<'_>) -> Result<(), StoreError> {
    let before = match txn.get::<Material>(id) {
        Ok(before) => before,
        // Noted already. Its slot is found to be free when the next spool is put there.
        Err(StoreError::Record(_)) => None,
        Err(error) => return Err(error),
    };
    if let Some((printer, slot)) = before.and_then(|before| before.slot())
        && txn.material_in(printer, slot)? == Some(id)
    {
        txn.raw_delete(Table::Meta, meta::slot(printer, slot));
    }
    Ok(())
}

impl Record for Consumption {
    const TABLE: Table = Table::Consumptions;
    type Key = ConsumptionId;

    fn key(&self) -> ConsumptionId {
        self.id
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        versioned(Self::TABLE, 1, &v1::Consumption::from(self))
    }

    fn decode(key: ConsumptionId, version: u8, bytes: &[u8]) -> Result<Consumption, DecodeError> {
        match version {
            1 => body::<v1::Consumption>(bytes)?.into_model(key),
            other => Err(DecodeError::Version(other)),
        }
    }
}

impl Txn<'_> {
    /// A spool number that was never used.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn next_material_id(&mut self) -> Result<MaterialId, StoreError> {
        self.next_number(meta::LAST_MATERIAL).map(MaterialId)
    }

    /// A booking number that was never used.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn next_consumption_id(&mut self) -> Result<ConsumptionId, StoreError> {
        self.next_number(meta::LAST_CONSUMPTION).map(ConsumptionId)
    }

    /// Removes the oldest bookings until at most `keep` are left, at most `removed_max` of them; answers how many.
    ///
    /// # Errors
    /// What the store meets.
    pub fn trim_consumptions(&mut self, keep: u64, removed_max: usize) -> Result<usize, StoreError> {
        let surplus =
            usize::try_from(self.count::<Consumption>()?.saturating_sub(keep)).unwrap_or(usize::MAX);
        let surplus = surplus.min(removed_max);
        let mut oldest = Vec::new();
        if surplus > 0 {
            self.raw_scan(Table::Consumptions, Span::all(), false, &mut |key, _| {
                oldest.extend(ConsumptionId::from_bytes(key));
                if oldest.len() < surplus { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        for id in &oldest {
            self.delete::<Consumption>(*id)?;
        }
        Ok(oldest.len())
    }
}

/// The slots of one printer that hold a spool, as the index has them.
pub(in crate::store) fn slots_of(
    view: &(impl crate::store::read::RawRead + ?Sized),
    printer: PrinterId,
    slots_max: usize,
) -> Result<Vec<(u16, MaterialId)>, StoreError> {
    let mut slots = Vec::new();
    view.raw_scan(Table::Meta, Span::prefix(meta::SLOT), false, &mut |row, value| {
        let slot = row.strip_prefix(meta::SLOT).and_then(meta::slot_from).filter(|(of, _)| *of == printer);
        slots.extend(slot.map(|(_, slot)| slot).zip(MaterialId::from_bytes(value)));
        if slots.len() < slots_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(slots)
}
