//! What is known of a print when its file is looked for.

/// A print as the reports show it. Every text is the printer's and may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Print {
    /// `subtask_name`: the title, as typed or as changed by the printer.
    pub title: Option<String>,
    /// `gcode_file`.
    pub gcode_file: Option<String>,
    /// The plate as told by `param`, `plate_idx` or the like, from 1 on. Where it is not told, names may tell.
    pub plate: Option<u32>,
    /// The printer.
    pub family: Family,
    /// The `url` of the `project_file` echo, where there was one.
    pub url: Url,
    /// `print_type`.
    pub print_type: PrintType,
}

/// Printers that treat files alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// P1P, P1S, A1, A1 mini: one card, everything on it.
    P1A1,
    /// X1, X1C, X1E.
    X1,
    /// H2D, H2S, H2C, P2S, X2D: memory of their own, which is not to be seen from outside.
    H2,
    /// Not known.
    #[default]
    Unknown,
}

impl Family {
    /// The family by the first three characters of a serial number.
    #[must_use]
    pub fn of_serial(serial: &str) -> Family {
        match serial.get(..3) {
            Some("00M" | "00W" | "03W") => Family::X1,
            Some("01S" | "01P" | "030" | "039") => Family::P1A1,
            Some("094" | "22E" | "31B" | "20P") => Family::H2,
            _ => Family::Unknown,
        }
    }

    /// The family by the model code of discovery.
    #[must_use]
    pub fn of_model(code: &str) -> Family {
        match code {
            "BL-P001" | "BL-P002" | "C13" => Family::X1,
            "C11" | "C12" | "N1" | "N2S" | "N9" => Family::P1A1,
            "N7" | "N6" | "O1D" | "O1E" | "O2D" | "O1C" | "O1C2" | "O1S" => Family::H2,
            _ => Family::Unknown,
        }
    }
}

/// `print_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrintType {
    /// Sent through the maker's cloud.
    Cloud,
    /// Sent over the LAN, or started at the screen.
    Local,
    /// A calibration.
    System,
    /// Empty, `idle` or something new. Some models never say more.
    #[default]
    Unknown,
}

impl PrintType {
    /// Reads the report's word.
    #[must_use]
    pub fn of(word: &str) -> PrintType {
        match word {
            "cloud" => PrintType::Cloud,
            "local" => PrintType::Local,
            "system" => PrintType::System,
            _ => PrintType::Unknown,
        }
    }
}

/// What the url of a `project_file` command says. The address of a cloud file is a secret and is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Url {
    /// There was none.
    #[default]
    None,
    /// `ftp://`: sent over the LAN to this path.
    Ftp(String),
    /// `file://`: on the card already, at this path.
    File(String),
    /// `https://`: from the cloud.
    Cloud,
    /// `brtc://`: into the printer's own memory, under this name.
    Internal(String),
    /// Something new.
    Other,
}

impl Url {
    /// Reads a url. Of a cloud address nothing is kept.
    #[must_use]
    pub fn parse(url: &str) -> Url {
        let Some((scheme, rest)) = url.split_once("://") else { return Url::None };
        let path = || unescaped(without_mount(rest));
        match scheme {
            "ftp" => Url::Ftp(path()),
            "file" => Url::File(path()),
            "http" | "https" => Url::Cloud,
            "brtc" => Url::Internal(unescaped(base(rest))),
            _ => Url::Other,
        }
    }
}

/// The last part of a path.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A path as the file server knows it: it shows the card as its root.
pub(super) fn without_mount(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    let mounts = ["sdcard/", "mnt/sdcard/", "media/usb0/", "media/usb1/"];
    mounts.iter().find_map(|mount| path.strip_prefix(mount)).unwrap_or(path)
}

/// `%20` and the like as what they stand for; the text itself where that would not be text.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = match (first, after.first_chunk::<2>()) {
            (b'%', Some(digits)) if digits.iter().all(u8::is_ascii_hexdigit) => {
                std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// How a print was started, as far as that tells where its file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Sent over the LAN.
    Lan,
    /// Sent through the cloud.
    Cloud,
    /// Started at the printer's screen: the file may be in any folder.
    Screen,
    /// Sent into the printer's own memory.
    Internal,
    /// It could be any.
    Unknown,
}

impl Print {
    /// How it was started.
    #[must_use]
    pub fn source(&self) -> Source {
        match self.url {
            Url::Ftp(_) => return Source::Lan,
            Url::File(_) => return Source::Screen,
            Url::Cloud => return Source::Cloud,
            Url::Internal(_) => return Source::Internal,
            Url::None | Url::Other => {}
        }
        let file = self.gcode_file.as_deref().unwrap_or_default();
        let title = self.title.as_deref().unwrap_or_default();
        let ends = |text: &str, end: &str| {
            let start = text.len().saturating_sub(end.len());
            text.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
        };
        match self.print_type {
            PrintType::Cloud => Source::Cloud,
            // The screen shows files with their endings, slicers give titles without.
            PrintType::Local if ends(title, ".3mf") || ends(title, ".gcode") => Source::Screen,
            PrintType::Local => Source::Lan,
            PrintType::System | PrintType::Unknown if ends(file, ".gcode.3mf") => Source::Lan,
            PrintType::System | PrintType::Unknown if ends(file, ".3mf") && !ends(title, ".3mf") => {
                Source::Cloud
            }
            PrintType::System | PrintType::Unknown => Source::Unknown,
        }
    }

    /// Whether the printer does this for itself: a calibration has no file of the user's.
    #[must_use]
    pub fn is_calibration(&self) -> bool {
        self.print_type == PrintType::System
            || self.gcode_file.as_deref().is_some_and(|file| file.starts_with("/usr/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, url) in [
            ("", Url::None),
            ("ftp://X.gcode.3mf", Url::Ftp("X.gcode.3mf".to_owned())),
            ("ftp:///a%20b%C3%BC.3mf", Url::Ftp("a bü.3mf".to_owned())),
            ("ftp:///100%.3mf", Url::Ftp("100%.3mf".to_owned())),
            ("ftp:///%ff.3mf", Url::Ftp("%ff.3mf".to_owned())),
            ("file:///sdcard/cache/X.3mf", Url::File("cache/X.3mf".to_owned())),
            ("file:///media/usb0/d/X.gcode.3mf", Url::File("d/X.gcode.3mf".to_owned())),
            ("https://cloud.example/bucket/secret?signature=abc", Url::Cloud),
            ("brtc://emmc/X.gcode.3mf", Url::Internal("X.gcode.3mf".to_owned())),
            ("new://x", Url::Other),
        ] {
            assert_eq!(Url::parse(text), url, "{text}");
        }
        assert!(!format!("{:?}", Url::parse("https://h/p?secret")).contains("secret"));
    }

    #[test]
    fn families() {
        assert_eq!(Family::of_serial("01P00A000000001"), Family::P1A1);
        assert_eq!(Family::of_serial("094"), Family::H2);
        assert_eq!(Family::of_serial("üü"), Family::Unknown);
        assert_eq!(Family::of_serial(""), Family::Unknown);
        assert_eq!(Family::of_model("N7"), Family::H2);
    }
}
