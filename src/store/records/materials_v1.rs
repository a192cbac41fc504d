//! Version 1 of the records of spools and bookings. Postcard is positional: order and types of the fields are the format.

use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::model::{self, ConsumptionId, JobId, Mass, MaterialId, Money, Place, PrinterId, Share};
use crate::store::error::DecodeError;

/// A spool: masses in micrograms, shares in millionths, money in ten-thousandths, the diameter in micrometres.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Material {
    material_type: String,
    brand: Option<String>,
    color: Option<String>,
    color_hex: Option<String>,
    diameter_um: Option<u32>,
    weight: u64,
    remaining: u64,
    cost_per_kg: Option<u64>,
    purchase_date: Option<String>,
    vendor: Option<String>,
    batch_number: Option<String>,
    notes: Option<String>,
    location: Option<String>,
    printer_id: Option<u64>,
    slot: Option<u16>,
    active: bool,
    threshold: u32,
    armed: bool,
    created_at: i64,
    updated_at: i64,
}

impl From<&model::Material> for Material {
    fn from(material: &model::Material) -> Material {
        Material {
            material_type: material.material_type.clone(),
            brand: material.brand.clone(),
            color: material.color.clone(),
            color_hex: material.color_hex.clone(),
            diameter_um: material.diameter_um,
            weight: material.weight.micrograms(),
            remaining: material.remaining.micrograms(),
            cost_per_kg: material.cost_per_kg.map(Money::parts),
            purchase_date: material.purchase_date.clone(),
            vendor: material.vendor.clone(),
            batch_number: material.batch_number.clone(),
            notes: material.notes.clone(),
            location: material.location.clone(),
            printer_id: material.place.map(|place| place.printer_id.0),
            slot: material.place.and_then(|place| place.slot),
            active: material.active,
            threshold: material.threshold.millionths(),
            armed: material.armed,
            created_at: material.created_at.0,
            updated_at: material.updated_at.0,
        }
    }
}

impl Material {
    pub(in crate::store) fn into_model(self, id: MaterialId) -> Result<model::Material, DecodeError> {
        let slot = self.slot;
        Ok(model::Material {
            id,
            material_type: self.material_type,
            brand: self.brand,
            color: self.color,
            color_hex: self.color_hex,
            diameter_um: self.diameter_um,
            weight: Mass::from_micrograms(self.weight),
            remaining: Mass::from_micrograms(self.remaining),
            cost_per_kg: self.cost_per_kg.map(money).transpose()?,
            purchase_date: self.purchase_date,
            vendor: self.vendor,
            batch_number: self.batch_number,
            notes: self.notes,
            location: self.location,
            place: self.printer_id.map(|id| Place { printer_id: PrinterId(id), slot }),
            active: self.active,
            threshold: Share::from_millionths(u64::from(self.threshold)).ok_or(DecodeError::Body)?,
            armed: self.armed,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        })
    }
}

/// A booking.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct Consumption {
    material_id: u64,
    material_name: String,
    job_id: Option<u64>,
    printer_id: Option<u64>,
    slot: Option<u16>,
    used: u64,
    deducted: u64,
    cost: Option<u64>,
    at: i64,
    file_name: Option<String>,
    print_time_s: Option<u64>,
    auto: bool,
    undone_at: Option<i64>,
}

impl From<&model::Consumption> for Consumption {
    fn from(booking: &model::Consumption) -> Consumption {
        Consumption {
            material_id: booking.material_id.0,
            material_name: booking.material_name.clone(),
            job_id: booking.job_id.map(|id| id.0),
            printer_id: booking.printer_id.map(|id| id.0),
            slot: booking.slot,
            used: booking.used.micrograms(),
            deducted: booking.deducted.micrograms(),
            cost: booking.cost.map(Money::parts),
            at: booking.at.0,
            file_name: booking.file_name.clone(),
            print_time_s: booking.print_time_s,
            auto: booking.auto,
            undone_at: booking.undone_at.map(|time| time.0),
        }
    }
}

impl Consumption {
    pub(in crate::store) fn into_model(self, id: ConsumptionId) -> Result<model::Consumption, DecodeError> {
        Ok(model::Consumption {
            id,
            material_id: MaterialId(self.material_id),
            material_name: self.material_name,
            job_id: self.job_id.map(JobId),
            printer_id: self.printer_id.map(PrinterId),
            slot: self.slot,
            used: Mass::from_micrograms(self.used),
            deducted: Mass::from_micrograms(self.deducted),
            cost: self.cost.map(money).transpose()?,
            at: Timestamp(self.at),
            file_name: self.file_name,
            print_time_s: self.print_time_s,
            auto: self.auto,
            undone_at: self.undone_at.map(Timestamp),
        })
    }
}

fn money(parts: u64) -> Result<Money, DecodeError> {
    Money::from_parts(parts).ok_or(DecodeError::Body)
}
