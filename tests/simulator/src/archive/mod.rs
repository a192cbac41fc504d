//! Print files as a slicer makes them, whole and true down to their checksums, so that what is fetched can be read.
//!
//! [`Recipe::archive`] gives a `.gcode.3mf`. The same recipe gives the same bytes; another seed gives other moves under
//! the same name, as a file has that was sliced again.

pub mod gcode;
pub mod md5;
pub mod noise;
pub mod picture;
pub mod studio;
pub mod zip;

use miniz_oxide::inflate::decompress_to_vec;

/// The largest file that is made; it is held in memory.
pub const SIZE_MAX: u64 = 512 * 1024 * 1024;
/// Millimetres of filament in a second of printing.
const MM_PER_SECOND: f64 = 2.6;
/// Grams of a millimetre of 1.75 mm PLA.
const GRAMS_PER_MM: f64 = 0.002_982;

/// A filament of a print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filament {
    /// `PLA` and the like.
    pub kind: String,
    /// `#RRGGBB`.
    pub colour: String,
}

/// What an archive is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The title, which the figure on the cover follows.
    pub name: String,
    /// The printer's name, `Bambu Lab A1`.
    pub printer: String,
    /// The printer's code in `slice_info.config`, `N2S`.
    pub model_id: String,
    /// The plates in the archive.
    pub plates: Vec<u32>,
    /// The plate that is printed; it takes the filling.
    pub plate: u32,
    /// Layers of each plate.
    pub layers: u32,
    /// Seconds from the first layer to the end.
    pub print_seconds: u64,
    /// Seconds before the first layer.
    pub calibration_seconds: u64,
    /// The filaments.
    pub filaments: Vec<Filament>,
    /// Bytes of the archive; as few as possible if that is more.
    pub size: u64,
    /// Moves the moves.
    pub seed: u64,
}

/// What the header and `slice_info.config` say.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// With everything before the first layer.
    pub total_seconds: u64,
    /// Millimetres of each filament.
    pub lengths_mm: Vec<f64>,
    /// Grams of each filament.
    pub weights_g: Vec<f64>,
}

impl Figures {
    fn total_minutes(&self) -> u32 {
        u32::try_from(self.total_seconds.div_ceil(60)).unwrap_or(u32::MAX)
    }
}

impl Recipe {
    /// The archive.
    #[must_use]
    pub fn archive(&self) -> Vec<u8> {
        studio::archive(self)
    }

    /// The G-code of the plate that is printed, as it is in the archive.
    #[must_use]
    pub fn gcode(&self) -> Vec<u8> {
        studio::gcode_of(self, self.plate)
    }

    /// The 128-pixel cover of the plate that is printed.
    #[must_use]
    pub fn small_cover(&self) -> Vec<u8> {
        picture::cover(&self.name, self.plate, picture::View::Cover, 128)
    }

    /// The figures of a plate: each a little different, so that a mix-up shows.
    #[must_use]
    pub fn figures(&self, plate: u32) -> Figures {
        let share = if plate == self.plate { 1.0 } else { 1.0 + f64::from(plate) * 0.17 };
        let seconds = f64::from(u32::try_from(self.print_seconds).unwrap_or(u32::MAX)) * share;
        let total = seconds + f64::from(u32::try_from(self.calibration_seconds).unwrap_or(u32::MAX));
        let count = f64::from(u32::try_from(self.filaments.len().max(1)).unwrap_or(1));
        let length = seconds * MM_PER_SECOND / count;
        // The first filament does a little more of the work.
        let lengths: Vec<f64> = (0..self.filaments.len())
            .map(
                |index| if index == 0 { length * 1.1 } else { length * (1.0 - 0.1 / (count - 1.0).max(1.0)) },
            )
            .collect();
        Figures {
            total_seconds: u64::from(crate::bambu::machine::whole(total)),
            weights_g: lengths.iter().map(|length| length * GRAMS_PER_MM).collect(),
            lengths_mm: lengths,
        }
    }
}

/// An entry of an archive of this crate, unpacked. Looks it up in the directory at the end.
#[must_use]
pub fn entry(archive: &[u8], name: &str) -> Option<Vec<u8>> {
    let word = |bytes: &[u8], place: usize| -> Option<usize> {
        let bytes = bytes.get(place..place + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let half = |bytes: &[u8], place: usize| -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(bytes.get(place..place + 2)?.try_into().ok()?)))
    };
    let end = archive.get(archive.len().checked_sub(22)?..)?;
    let mut place = word(end, 16)?;
    for _ in 0..half(end, 10)? {
        let head = archive.get(place..)?;
        let (name_size, offset, packed) = (half(head, 28)?, word(head, 42)?, word(head, 20)?);
        if head.get(46..46 + name_size)? == name.as_bytes() {
            let start = offset + 30 + name_size;
            let bytes = archive.get(start..start + packed)?;
            return if half(head, 10)? == 0 { Some(bytes.to_vec()) } else { decompress_to_vec(bytes).ok() };
        }
        place += 46 + name_size;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(size: u64) -> Recipe {
        Recipe {
            name: "Würfel: groß".into(),
            printer: "Bambu Lab A1".into(),
            model_id: "N2S".into(),
            plates: vec![1, 2],
            plate: 2,
            layers: 50,
            print_seconds: 3_600,
            calibration_seconds: 300,
            filaments: vec![Filament { kind: "PLA".into(), colour: "#FF8800".into() }],
            size,
            seed: 7,
        }
    }

    #[test]
    fn an_archive_has_its_size_to_the_byte() {
        let least = recipe(0).archive().len();
        assert!((30_000..400_000).contains(&least), "{least}");
        for more in [1, 4, 5, 6, 65_534, 65_535, 65_536, 65_540, 65_541, 500_000] {
            let wanted = u64::try_from(least + more).unwrap();
            let made = recipe(wanted).archive().len();
            assert_eq!(u64::try_from(made).unwrap(), wanted, "{more}");
        }
    }

    #[test]
    fn it_holds_what_it_says() {
        let archive = recipe(800_000).archive();
        let code = entry(&archive, "Metadata/plate_2.gcode").unwrap();
        let sum = entry(&archive, "Metadata/plate_2.gcode.md5").unwrap();
        assert_eq!(md5::md5_text(&code).as_bytes(), sum);
        assert_eq!(code, recipe(800_000).gcode());
        assert!(code.len() > 600_000 && code.starts_with(b"; HEADER_BLOCK_START\n; BambuStudio "));
        let info = String::from_utf8(entry(&archive, "Metadata/slice_info.config").unwrap()).unwrap();
        assert_eq!(info.matches("<plate>").count(), 2);
        assert!(
            info.contains("key=\"index\" value=\"2\"") && info.contains("name=\"Würfel: groß\""),
            "{info}"
        );
        assert!(entry(&archive, "Metadata/plate_2.png").unwrap().starts_with(b"\x89PNG"));
        let first: usize = archive.windows(8).position(|bytes| bytes == b"\x89PNG\r\n\x1a\n").unwrap();
        assert!(first < 400, "the covers come first");
        let other = Recipe { seed: 8, ..recipe(800_000) }.archive();
        assert!(other.len() == archive.len() && other != archive);
    }
}
