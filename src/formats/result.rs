//! The one answer that all readers give, in the shape that the LAN API promises.
//!
//! Unknown is `None` or an empty list, never 0 or "". Units are in the names. Where a figure came from is kept beside
//! it in [`Inspection::sources`].

use std::collections::BTreeMap;

use serde::Serialize;

use super::limits;

/// What kind of print file the bytes are. The content decides, not the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Format {
    /// Text G-code.
    #[serde(rename = "gcode")]
    Gcode,
    /// Prusa's binary G-code.
    #[serde(rename = "bgcode")]
    Bgcode,
    /// A 3MF package, sliced (`.gcode.3mf`) or not.
    #[serde(rename = "3mf")]
    ThreeMf,
}

impl Format {
    /// The stable name, as in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gcode => "gcode",
            Self::Bgcode => "bgcode",
            Self::ThreeMf => "3mf",
        }
    }
}

/// The stable kinds of failures and warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The bytes contradict themselves: truncated, wrong checksum, lying sizes.
    Corrupt,
    /// Well-formed as far as we can tell, but of a kind that is not read here.
    Unsupported,
    /// Above a limit of [`limits`].
    TooLarge,
    /// A readable print file that says nothing about itself.
    NoMetadata,
    /// A project without tool paths.
    NotSliced,
    /// No picture inside.
    NoneEmbedded,
    /// The file could not be read at all.
    Io,
    /// The plate that was asked for is not in the archive.
    PlateMissing,
}

impl Kind {
    /// The stable name, as in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
            Self::NoMetadata => "no_metadata",
            Self::NotSliced => "not_sliced",
            Self::NoneEmbedded => "none_embedded",
            Self::Io => "io",
            Self::PlateMissing => "plate_missing",
        }
    }
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The stable kind.
    pub kind: Kind,
    /// One English sentence for people.
    pub message: String,
}

impl Failure {
    /// A failure of `kind` that says `message`. Messages name parts of files, and end on terminals and in logs.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        message.retain(|character| !character.is_control());
        Self { kind, message }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({})", self.message, self.kind.name())
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    /// The source ran dry where more was promised: that is damage. Anything else is the disk.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::corrupt("the file ends too early"),
            _ => Self::new(Kind::Io, format!("the file cannot be read: {error}")),
        }
    }
}

/// The format of an embedded picture, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureFormat {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// "Quite OK Image", the default of newer Prusa profiles.
    Qoi,
}

impl PictureFormat {
    /// The stable name, as in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Qoi => "qoi",
        }
    }
}

/// What a picture shows, in the order in which a viewer wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The rendered plate or object.
    Cover,
    /// The package's own thumbnail.
    Package,
    /// The plate without lights.
    Unlit,
    /// A smaller twin of the cover.
    Small,
    /// The plate from above.
    Top,
    /// Any other picture.
    Other,
}

/// Where the bytes of a picture are in the file, so that they can be fetched again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// Base64 lines of text G-code: the byte range of the lines from the opening one to the closing one.
    GcodeBlock { offset: u64, length: u64 },
    /// Plain bytes of the file.
    Range { offset: u64, length: u64 },
    /// A part of the archive, by its place in the central directory.
    Part { name: String },
}

/// One embedded picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Thumbnail {
    /// The tag of the G-code comment, `thumbnail` for binary G-code, or the part's name in an archive.
    pub source: String,
    /// Told by the bytes.
    pub format: PictureFormat,
    /// Real width in pixels.
    pub width: u32,
    /// Real height in pixels.
    pub height: u32,
    /// Size as stored.
    pub bytes: u64,
    /// SHA-256 of the bytes as stored, lower-case hex. Left out when not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The plate that it belongs to, where the archive tells.
    #[serde(skip)]
    pub plate: Option<u32>,
    /// What it shows.
    #[serde(skip)]
    pub role: Role,
    #[serde(skip)]
    pub(crate) location: Location,
}

/// One filament that the print uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FilamentUse {
    /// Tool or slot, counted from 0.
    pub tool: u32,
    /// Material, e.g. `PETG`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `#RRGGBB`, upper case.
    pub color: Option<String>,
    /// Name of the filament profile.
    pub name: Option<String>,
    /// Grams.
    pub used_g: Option<f64>,
    /// Millimetres.
    pub used_mm: Option<f64>,
}

/// Everything that a print file says about itself. Units are in the names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names and units are the API's own, see its last section")]
pub struct Metadata {
    pub slicer: Option<String>,
    pub slicer_version: Option<String>,
    pub printer_model: Option<String>,
    /// Normal mode, the total that the slicer shows.
    pub print_time_s: Option<u64>,
    pub print_time_silent_s: Option<u64>,
    pub first_layer_time_s: Option<f64>,
    pub layer_count: Option<u64>,
    pub layer_height_mm: Option<f64>,
    pub first_layer_height_mm: Option<f64>,
    pub max_z_mm: Option<f64>,
    /// One per tool.
    pub nozzle_diameter_mm: Vec<f64>,
    /// Of the first tool that is used.
    pub nozzle_temperature_c: Option<f64>,
    pub bed_temperature_c: Option<f64>,
    pub infill_percent: Option<f64>,
    pub supports: Option<bool>,
    pub filament_used_g: Option<f64>,
    pub filament_used_mm: Option<f64>,
    pub filament_used_cm3: Option<f64>,
    /// In the currency of the slicer's profile, which files do not name.
    pub filament_cost: Option<f64>,
    /// Used ones only.
    pub filaments: Vec<FilamentUse>,
    pub objects: Option<u64>,
    pub object_names: Vec<String>,
    pub tool_changes: Option<u64>,
    pub bed_type: Option<String>,
    /// Whether the plate's G-code has the checksum that the archive gives for it; `None` where there is none or where
    /// it was not computed.
    pub gcode_md5_ok: Option<bool>,
    /// RFC 3339. Without an offset when the slicer wrote local time, only a date when that is all there is.
    pub created_at: Option<String>,
}

impl Metadata {
    /// Whether the file said nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the readers found in one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    /// `None` when the content is of no known kind and nobody said what it should be.
    pub format: Option<Format>,
    /// Whether there are tool paths inside.
    pub sliced: bool,
    /// The plate that the figures are about (counted from 1), for archives with plates.
    pub plate: Option<u32>,
    /// How many plates the file has; 1 for plain G-code.
    pub plate_count: u32,
    /// Every picture that a viewer could want, the plate's own first.
    pub thumbnails: Vec<Thumbnail>,
    /// The figures.
    pub metadata: Metadata,
    /// Where each figure came from: name of the figure, name of the place.
    pub sources: BTreeMap<&'static str, String>,
    /// What was wrong without stopping us.
    pub warnings: Vec<Failure>,
    /// Why nothing could be read.
    pub error: Option<Failure>,
}

impl Inspection {
    /// Adds a warning, unless there are too many already or it is there.
    pub(crate) fn warn(&mut self, warning: Failure) {
        if self.warnings.len() < limits::WARNINGS_MAX && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Why there are no thumbnails; `None` when there are some.
    pub fn thumbnail_failure(&self) -> Option<Failure> {
        if !self.thumbnails.is_empty() {
            return None;
        }
        if let Some(error) = &self.error
            && error.kind != Kind::NoMetadata
        {
            return Some(error.clone());
        }
        // A picture that was there and could not be taken is the better answer than "none".
        let skipped = self
            .warnings
            .iter()
            .find(|warning| warning.message.contains("picture") && warning.kind != Kind::NotSliced);
        Some(
            skipped
                .cloned()
                .unwrap_or_else(|| Failure::new(Kind::NoneEmbedded, "the file has no embedded picture")),
        )
    }

    /// Why there are no figures of a print; `None` when there are some.
    pub fn metadata_failure(&self) -> Option<Failure> {
        if let Some(error) = &self.error {
            return Some(error.clone());
        }
        if self.format == Some(Format::ThreeMf) && !self.sliced {
            return Some(Failure::new(
                Kind::NotSliced,
                "this is a project, not sliced: it has no print time and no tool paths",
            ));
        }
        if self.metadata.is_empty() {
            let damage = self.warnings.iter().find(|warning| warning.kind == Kind::Corrupt);
            return Some(damage.cloned().unwrap_or_else(no_metadata));
        }
        None
    }
}

pub(crate) fn no_metadata() -> Failure {
    Failure::new(Kind::NoMetadata, "the file says nothing about itself")
}

/// Cuts text from a file to a length that may be shown and stored, at a character boundary, without control characters.
pub(crate) fn short_text(text: &str) -> String {
    let mut out = String::new();
    for character in text.trim().chars().filter(|character| !character.is_control()) {
        if out.len() + character.len_utf8() > limits::NAME_MAX {
            break;
        }
        out.push(character);
    }
    out
}
