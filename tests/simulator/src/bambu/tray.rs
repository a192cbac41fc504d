//! Multi-colour units and their trays.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Units of one printer; its address bits hold no more.
const UNITS_MAX: usize = 4;

/// One tray with its spool, or empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tray {
    /// Whether a spool is in it; an empty tray is reported with nothing but its id.
    pub is_filled: bool,
    /// `tray_type`: PLA, PETG and so on.
    pub kind: String,
    /// `tray_sub_brands`, empty for other makers' spools.
    pub brand: String,
    /// `tray_info_idx`, the maker's number of the filament.
    pub filament_id: String,
    /// `tray_color`, RRGGBBAA.
    pub colour: String,
    /// `remain`, percent; -1 when unknown.
    pub remain: i32,
    /// `tray_uuid`; zeros without an RFID tag.
    pub uuid: String,
}

impl Default for Tray {
    fn default() -> Self {
        Self {
            is_filled: false,
            kind: String::new(),
            brand: String::new(),
            filament_id: String::new(),
            colour: "00000000".into(),
            remain: -1,
            uuid: "0".repeat(32),
        }
    }
}

impl Tray {
    fn spool(kind: &str, brand: &str, filament_id: &str, colour: &str, remain: i32) -> Self {
        let uuid = match brand {
            "" => "0".repeat(32),
            _ => format!("{colour}{filament_id:0>8}A1B2C3D4E5F60718"),
        };
        let text = str::to_owned;
        Self {
            is_filled: true,
            kind: text(kind),
            brand: text(brand),
            filament_id: text(filament_id),
            colour: text(colour),
            remain,
            uuid,
        }
    }

    /// A print has used some of it.
    pub fn use_some(&mut self) {
        if self.remain > 2 {
            self.remain -= 2;
        }
    }

    /// As it stands in a full report.
    #[must_use]
    pub fn to_json(&self, id: &str) -> Value {
        if !self.is_filled {
            return json!({ "id": id });
        }
        let has_tag = !self.brand.is_empty();
        let (low, high) = if self.kind == "PLA" { ("190", "230") } else { ("230", "270") };
        json!({
            "id": id, "state": 3, "remain": self.remain, "k": 0.019_999_999_552_965_164, "n": 1, "cali_idx": -1,
            "total_len": 330_000, "tag_uid": if has_tag { "3AF8A4FE00000100" } else { "0000000000000000" },
            "tray_id_name": if has_tag { "A00-K0" } else { "" }, "tray_info_idx": self.filament_id,
            "tray_type": self.kind, "tray_sub_brands": self.brand, "tray_color": self.colour,
            "tray_weight": if has_tag { "1000" } else { "0" }, "tray_diameter": if has_tag { "1.75" } else { "0.00" },
            "tray_temp": "0", "tray_time": "0", "bed_temp_type": "0", "bed_temp": "0", "nozzle_temp_max": high,
            "nozzle_temp_min": low, "xcam_info": "000000000000000000000000", "tray_uuid": self.uuid, "ctype": 0,
            "cols": [self.colour],
        })
    }
}

/// A unit of four trays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The trays, at most four.
    pub trays: Vec<Tray>,
    /// `humidity`, an index from 1 (wet) to 5 (dry).
    pub humidity: u8,
    /// `temp`, tenths of degrees Celsius.
    pub temperature_tenths: u16,
}

impl Unit {
    /// As it stands in a full report.
    #[must_use]
    pub fn to_json(&self, id: usize) -> Value {
        let trays: Vec<Value> =
            self.trays.iter().enumerate().map(|(slot, tray)| tray.to_json(&slot.to_string())).collect();
        json!({
            "id": id.to_string(), "chip_id": format!("16{id:02}31383039160130323339"), "check": 0,
            "humidity": self.humidity.to_string(), "humidity_raw": (60 - 9 * u16::from(self.humidity)).to_string(),
            "temp": format!("{:.1}", f64::from(self.temperature_tenths) / 10.0), "dry_time": 0, "info": "1002",
            "tray": trays,
        })
    }
}

/// So many units: every second one has a gap, spools of the maker and of others mixed.
#[must_use]
pub fn default_units(count: usize) -> Vec<Unit> {
    let first = Unit {
        trays: vec![
            Tray::spool("PLA", "PLA Basic", "GFA00", "D3222AFF", 82),
            Tray::spool("PLA", "PLA Matte", "GFA01", "9B9EA0FF", 35),
            Tray::default(),
            Tray::spool("PETG", "", "GFG99", "1F6FEBFF", -1),
        ],
        humidity: 4,
        temperature_tenths: 254,
    };
    let second = Unit {
        trays: vec![
            Tray::spool("PLA", "PLA Basic", "GFA00", "FFFFFFFF", 100),
            Tray::spool("PLA", "PLA Basic", "GFA00", "161616FF", 12),
            Tray::spool("ABS", "ABS", "GFB00", "2EA043FF", 64),
            Tray::spool("TPU", "", "GFU99", "F2C94CFF", -1),
        ],
        humidity: 3,
        temperature_tenths: 261,
    };
    [first, second].into_iter().cycle().take(count.min(UNITS_MAX)).collect()
}

/// The bits of the trays that hold a spool, as lower-case hex.
#[must_use]
pub fn exist_bits(units: &[Unit]) -> String {
    let mut bits = 0_u64;
    for (index, tray) in units.iter().flat_map(|unit| &unit.trays).enumerate() {
        bits |= u64::from(tray.is_filled) << index.min(63);
    }
    format!("{bits:x}")
}
