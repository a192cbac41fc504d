//! Spools of filament, what was taken from them, and what a print needs. Masses, shares and prices are whole numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ConsumptionId, JobId, MaterialId, PrinterId};
use crate::base::clock::Timestamp;

/// A mass in whole micrograms: fine enough that no scale and no slicer says less, so that nothing is rounded before it is
/// compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mass(u64);

impl Mass {
    /// Nothing.
    pub const ZERO: Mass = Mass(0);
    /// The largest mass that is taken: 1000 kg, far more than all filament of a workshop, and far from any overflow.
    pub const MAX: Mass = Mass(1_000_000_000_000_000);
    /// Decimal places of a gram.
    pub const GRAM_PLACES: u32 = 6;
    /// Decimal places of a kilogram.
    pub const KILOGRAM_PLACES: u32 = 9;

    /// `micrograms`, at most [`Mass::MAX`].
    #[must_use]
    pub const fn from_micrograms(micrograms: u64) -> Mass {
        if micrograms > Mass::MAX.0 { Mass::MAX } else { Mass(micrograms) }
    }

    /// `grams`, at most [`Mass::MAX`].
    #[must_use]
    pub const fn from_grams(grams: u64) -> Mass {
        Mass::from_micrograms(grams.saturating_mul(1_000_000))
    }

    /// The whole micrograms.
    #[must_use]
    pub fn micrograms(self) -> u64 {
        self.0
    }

    /// In grams, for answers and events: the nearest binary number, which prints as the decimal that is kept.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "Mass::MAX is below 2^53")]
    pub fn grams(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// In kilograms, as [`Mass::grams`].
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "Mass::MAX is below 2^53")]
    pub fn kilograms(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The sum, at most [`Mass::MAX`].
    #[must_use]
    pub fn plus(self, other: Mass) -> Mass {
        Mass::from_micrograms(self.0.saturating_add(other.0))
    }

    /// What is left without `other`; nothing where that is more.
    #[must_use]
    pub fn less(self, other: Mass) -> Mass {
        Mass(self.0.saturating_sub(other.0))
    }

    /// `percent` of it, to the nearest microgram; at most the whole.
    #[must_use]
    pub fn percent(self, percent: u8) -> Mass {
        let share = (u128::from(self.0) * u128::from(percent.min(100)) + 50) / 100;
        Mass(u64::try_from(share).unwrap_or(self.0))
    }
}

impl std::iter::Sum for Mass {
    fn sum<I: Iterator<Item = Mass>>(masses: I) -> Mass {
        masses.fold(Mass::ZERO, Mass::plus)
    }
}

/// A share in whole millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Share(u32);

impl Share {
    /// Decimal places of a percentage.
    pub const PERCENT_PLACES: u32 = 4;
    /// The whole.
    pub const WHOLE: Share = Share(1_000_000);
    /// The threshold of low stock where nobody chose another one: 20 %.
    pub const LOW_STOCK: Share = Share(200_000);

    /// `millionths`; `None` above the whole.
    #[must_use]
    pub fn from_millionths(millionths: u64) -> Option<Share> {
        u32::try_from(millionths).ok().map(Share).filter(|share| *share <= Share::WHOLE)
    }

    /// The whole millionths.
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// In percent, for answers and events.
    #[must_use]
    pub fn percentage(self) -> f64 {
        f64::from(self.0) / 1e4
    }

    /// Whether `part` is less than this share of `whole`; exact, without a division.
    #[must_use]
    pub fn exceeds(self, part: Mass, whole: Mass) -> bool {
        u128::from(part.0) * u128::from(Share::WHOLE.0) < u128::from(whole.0) * u128::from(self.0)
    }
}

/// An amount of money in ten-thousandths of whatever currency the user thinks in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Money(u64);

impl Money {
    /// Decimal places.
    pub const PLACES: u32 = 4;
    /// The largest amount: a million for a kilogram.
    pub const MAX: Money = Money(10_000_000_000);

    /// `parts` ten-thousandths; `None` above [`Money::MAX`].
    #[must_use]
    pub fn from_parts(parts: u64) -> Option<Money> {
        Some(Money(parts)).filter(|money| *money <= Money::MAX)
    }

    /// The whole ten-thousandths.
    #[must_use]
    pub fn parts(self) -> u64 {
        self.0
    }

    /// For answers and events.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sums of amounts stay below 2^53")]
    pub fn amount(self) -> f64 {
        self.0 as f64 / 1e4
    }

    /// What `mass` costs at this price a kilogram, to the nearest ten-thousandth.
    #[must_use]
    pub fn of(self, mass: Mass) -> Money {
        let parts = (u128::from(self.0) * u128::from(mass.0) + 500_000_000) / 1_000_000_000;
        Money(u64::try_from(parts).unwrap_or(u64::MAX))
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }
}

/// Where a spool is: at a printer, and in which of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The printer.
    pub printer_id: PrinterId,
    /// The slot, numbered as in the printer's filaments; `None`: beside it.
    pub slot: Option<u16>,
}

/// One spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// Its identifier.
    pub id: MaterialId,
    /// What it is made of, as `PLA`.
    pub material_type: String,
    /// Who made it.
    pub brand: Option<String>,
    /// The colour's name.
    pub color: Option<String>,
    /// The colour as `#RRGGBB`.
    pub color_hex: Option<String>,
    /// Diameter of the filament in micrometres.
    pub diameter_um: Option<u32>,
    /// Filament on it when it was full; never zero.
    pub weight: Mass,
    /// Filament left; at most `weight`.
    pub remaining: Mass,
    /// Price of a kilogram.
    pub cost_per_kg: Option<Money>,
    /// The day it was bought, as `2026-11-26`.
    pub purchase_date: Option<String>,
    /// Who sold it.
    pub vendor: Option<String>,
    /// The maker's batch.
    pub batch_number: Option<String>,
    /// Free text.
    pub notes: Option<String>,
    /// The shelf it lies on; free text.
    pub location: Option<String>,
    /// The printer it is at.
    pub place: Option<Place>,
    /// Whether it is in use; false hides an empty spool without forgetting it.
    pub active: bool,
    /// Low stock is announced when less than this share is left.
    pub threshold: Share,
    /// Whether the next fall below the threshold is announced.
    pub armed: bool,
    /// When it was entered.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Material {
    /// The name people know it by: maker, type and colour.
    #[must_use]
    pub fn name(&self) -> String {
        let words = [self.brand.as_deref(), Some(self.material_type.as_str()), self.color.as_deref()];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The share that is left, in percent and not rounded further than a binary number is.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "masses are below 2^53")]
    pub fn remaining_percentage(&self) -> f64 {
        // `weight` is never zero; a damaged record would show what a division by zero is: nothing left.
        let percentage = self.remaining.0 as f64 * 100.0 / self.weight.0 as f64;
        if percentage.is_finite() { percentage } else { 0.0 }
    }

    /// Whether less than the threshold is left.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.threshold.exceeds(self.remaining, self.weight)
    }

    /// The slot it is in.
    #[must_use]
    pub fn slot(&self) -> Option<(PrinterId, u16)> {
        let place = self.place?;
        Some((place.printer_id, place.slot?))
    }
}

/// One booking: filament that was taken from a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumption {
    /// Its identifier.
    pub id: ConsumptionId,
    /// The spool.
    pub material_id: MaterialId,
    /// The spool's name then: bookings outlive spools.
    pub material_name: String,
    /// The job it was used for.
    pub job_id: Option<JobId>,
    /// The printer that used it.
    pub printer_id: Option<PrinterId>,
    /// The slot that it came out of, where that is known.
    pub slot: Option<u16>,
    /// What was used.
    pub used: Mass,
    /// What was taken off the spool: less than `used` where the spool did not hold as much.
    pub deducted: Mass,
    /// What it cost.
    pub cost: Option<Money>,
    /// When it was booked.
    pub at: Timestamp,
    /// The printed file.
    pub file_name: Option<String>,
    /// How long the print took, in seconds.
    pub print_time_s: Option<u64>,
    /// Whether the service booked it by itself at a job's end.
    pub auto: bool,
    /// When it was undone.
    pub undone_at: Option<Timestamp>,
}

/// What a file says about one of its filaments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilamentUse {
    /// The filament's place in the file's list, from 0.
    pub tool: u16,
    /// What the whole print needs of it.
    pub used: Mass,
    /// Its type, as `PLA`.
    pub kind: Option<String>,
    /// Its colour as `#RRGGBB`.
    pub color: Option<String>,
}

impl fmt::Display for Mass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} g", self.grams())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_print_as_the_decimals_that_are_kept() {
        for (micrograms, grams, kilograms) in [
            (750_000_000, "750.0", "0.75"),
            (199_999_900, "199.9999", "0.1999999"),
            (1, "1e-6", "1e-9"),
            (Mass::MAX.0 - 1, "999999999.999999", "999999.999999999"),
        ] {
            let mass = Mass::from_micrograms(micrograms);
            assert_eq!(serde_json::to_string(&mass.grams()).unwrap(), grams);
            assert_eq!(serde_json::to_string(&mass.kilograms()).unwrap(), kilograms);
        }
        assert_eq!(Mass::from_micrograms(u64::MAX), Mass::MAX);
    }

    #[test]
    fn shares_are_compared_without_rounding() {
        let whole = Mass::from_grams(1000);
        assert!(!Share::LOW_STOCK.exceeds(Mass::from_grams(200), whole), "exactly 20 % is not below");
        assert!(Share::LOW_STOCK.exceeds(Mass::from_micrograms(199_999_999), whole));
        // A third of nothing round.
        let odd = Mass::from_micrograms(333_333_333);
        assert!(!Share::LOW_STOCK.exceeds(Mass::from_micrograms(66_666_667), odd));
        assert!(Share::LOW_STOCK.exceeds(Mass::from_micrograms(66_666_666), odd));
        assert!(!Share(0).exceeds(Mass::ZERO, whole), "a threshold of zero is never undercut");
        assert!(Share::WHOLE.exceeds(Mass::from_micrograms(Mass::MAX.0 - 1), Mass::MAX));
    }

    #[test]
    fn parts_and_prices_are_rounded_to_the_nearest() {
        assert_eq!(Mass::from_grams(10).percent(33), Mass::from_micrograms(3_300_000));
        assert_eq!(Mass::from_micrograms(1).percent(50), Mass::from_micrograms(1));
        assert_eq!(Mass::from_micrograms(1).percent(49), Mass::ZERO);
        assert_eq!(Mass::MAX.percent(200), Mass::MAX);
        assert_eq!(Money::from_parts(249_000).unwrap().of(Mass::from_grams(250)), Money(62_250));
        assert_eq!(Money::from_parts(1).unwrap().of(Mass::from_grams(500)), Money(1));
    }
}
