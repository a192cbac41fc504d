//! The payloads of spools. The view of a spool is also what the API answers.

use serde::{Deserialize, Serialize};

use crate::model::{Material, MaterialId, Money, PrinterId};

/// A spool as events and answers show it: every mass in kilograms and, as a twin, in grams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of docs/events.md, units in their names")]
pub struct MaterialView {
    pub id: MaterialId,
    pub name: String,
    pub material_type: String,
    pub brand: Option<String>,
    pub color: Option<String>,
    pub color_hex: Option<String>,
    /// In millimetres.
    pub diameter: Option<f64>,
    pub weight: f64,
    pub weight_g: f64,
    pub remaining_weight: f64,
    pub remaining_weight_g: f64,
    pub used_weight: f64,
    pub used_weight_g: f64,
    pub remaining_percentage: f64,
    pub threshold_percentage: f64,
    pub low_stock: bool,
    pub cost_per_kg: Option<f64>,
    pub total_cost: Option<f64>,
    pub remaining_value: Option<f64>,
    pub purchase_date: Option<String>,
    pub vendor: Option<String>,
    pub batch_number: Option<String>,
    pub notes: Option<String>,
    pub location: Option<String>,
    pub printer_id: Option<PrinterId>,
    pub slot: Option<u16>,
    pub is_active: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// A spool was entered or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of docs/events.md, units in their names")]
pub struct MaterialWhole {
    pub material: MaterialView,
}

/// A spool was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of docs/events.md, units in their names")]
pub struct MaterialOnly {
    pub material_id: MaterialId,
}

/// Less than the threshold is left on a spool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of docs/events.md, units in their names")]
pub struct MaterialLowStock {
    pub material_id: MaterialId,
    pub material_name: String,
    pub remaining_percentage: f64,
    pub remaining_g: f64,
    pub threshold_percentage: f64,
}

impl MaterialView {
    /// The view of `material`.
    #[must_use]
    pub fn of(material: &Material) -> MaterialView {
        let (weight, remaining) = (material.weight, material.remaining);
        let used = weight.less(remaining);
        let price = material.cost_per_kg;
        MaterialView {
            id: material.id,
            name: material.name(),
            material_type: material.material_type.clone(),
            brand: material.brand.clone(),
            color: material.color.clone(),
            color_hex: material.color_hex.clone(),
            diameter: material.diameter_um.map(|micrometres| f64::from(micrometres) / 1e3),
            weight: weight.kilograms(),
            weight_g: weight.grams(),
            remaining_weight: remaining.kilograms(),
            remaining_weight_g: remaining.grams(),
            used_weight: used.kilograms(),
            used_weight_g: used.grams(),
            remaining_percentage: material.remaining_percentage(),
            threshold_percentage: material.threshold.percentage(),
            low_stock: material.is_low(),
            cost_per_kg: price.map(Money::amount),
            total_cost: price.map(|price| price.of(weight).amount()),
            remaining_value: price.map(|price| price.of(remaining).amount()),
            purchase_date: material.purchase_date.clone(),
            vendor: material.vendor.clone(),
            batch_number: material.batch_number.clone(),
            notes: material.notes.clone(),
            location: material.location.clone(),
            printer_id: material.place.map(|place| place.printer_id),
            slot: material.place.and_then(|place| place.slot),
            is_active: material.active,
            created_at: material.created_at.to_string(),
            updated_at: material.updated_at.to_string(),
        }
    }
}

impl MaterialLowStock {
    /// The announcement for `material`.
    #[must_use]
    pub fn of(material: &Material) -> MaterialLowStock {
        MaterialLowStock {
            material_id: material.id,
            material_name: material.name(),
            remaining_percentage: material.remaining_percentage(),
            remaining_g: material.remaining.grams(),
            threshold_percentage: material.threshold.percentage(),
        }
    }
}
