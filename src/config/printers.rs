//! `[[printers]]`: printers that the file brings along, for a first start without a click.
//!
//! The list of the store is the one that counts: an entry is added once, if the store knows no printer with its serial
//! number and none with its host and port. Later changes of the entry change nothing.

use super::check;
use super::key::{Key, Value, toml_text};
use crate::base::secret::Secret;
use crate::model::{ConnectionConfig, PrinterType};

/// Printers that a file may bring: far beyond what one small board watches.
pub const PRINTERS_MAX: usize = 32;
/// Bytes of a name: it has to fit a tile of the page.
const NAME_BYTES_MAX: usize = 100;
/// Bytes of a free text.
const TEXT_BYTES_MAX: usize = 500;
/// Characters of a serial number: Bambu Lab's have 15.
const SERIAL_MAX: usize = 32;
/// Bytes of an access code, key or password: the longest known (PrusaLink's key) has 16.
const CODE_BYTES_MAX: usize = 128;

/// One printer of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrinterEntry {
    /// The user's name for it.
    pub name: String,
    /// Its family.
    pub kind: PrinterType,
    /// How it is reached, with the family's ports where the file names none.
    pub connection: ConnectionConfig,
    /// Where it stands.
    pub location: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Whether it is watched.
    pub enabled: bool,
}

impl Default for PrinterEntry {
    /// What an entry begins with; name, type and host are then demanded.
    fn default() -> PrinterEntry {
        PrinterEntry {
            name: String::new(),
            kind: PrinterType::BambuLab,
            connection: ConnectionConfig {
                mqtt_port: 8883,
                ftps_port: 990,
                http_port: 80,
                ..ConnectionConfig::default()
            },
            location: None,
            description: None,
            enabled: true,
        }
    }
}

fn code(value: &Value<'_>) -> Option<Option<Secret>> {
    check::plain(value.text()?, CODE_BYTES_MAX).map(|text| Some(Secret::new(text)))
}

fn free_text(value: &Value<'_>, bytes_max: usize) -> Option<Option<String>> {
    check::plain(value.text()?, bytes_max).map(Some)
}

fn port(value: &Value<'_>) -> Option<u16> {
    u16::try_from(value.number()?).ok().filter(|port| *port != 0)
}

fn optional(text: Option<&String>) -> Option<String> {
    text.map(|text| toml_text(text))
}

fn hidden(secret: Option<&Secret>) -> Option<String> {
    secret.map(|_| String::new())
}

const PORT: &str = "a number from 1 to 65535";

impl PrinterEntry {
    /// The keys of an entry.
    pub const KEYS: &[Key<PrinterEntry>] = &[
        Key {
            name: "name",
            help: "Your name for the printer.",
            allowed: "a text in quotes of 1 to 100 bytes",
            example: "\"Workshop\"",
            secret: false,
            set: |printer, value| {
                printer.name = check::plain(value.text()?, NAME_BYTES_MAX)?;
                Some(())
            },
            show: |printer| Some(toml_text(&printer.name)),
        },
        Key {
            name: "type",
            help: "",
            allowed: "\"bambu_lab\" or \"prusa_link\"",
            example: "\"bambu_lab\"",
            secret: false,
            set: |printer, value| {
                printer.kind = match value.text()? {
                    "bambu_lab" => PrinterType::BambuLab,
                    // The second name is the one of the API that clients may already speak.
                    "prusa_link" | "prusa_core" => PrinterType::PrusaLink,
                    _ => return None,
                };
                Some(())
            },
            show: |printer| Some(toml_text(printer.kind.name())),
        },
        Key {
            name: "host",
            help: "",
            allowed: "an IPv4 address, an IPv6 address or a host name, without a port",
            example: "\"192.168.1.20\"",
            secret: false,
            set: |printer, value| {
                printer.connection.host = check::host(value.text()?)?;
                Some(())
            },
            show: |printer| Some(toml_text(&printer.connection.host)),
        },
        Key {
            name: "serial",
            help: "Bambu Lab: the serial number; without it the first certificate's is taken.",
            allowed: "letters and digits in quotes, at most 32",
            example: "\"01S00A000000000\"",
            secret: false,
            set: |printer, value| {
                let text = value.text()?.trim();
                let fits = (1..=SERIAL_MAX).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
                printer.connection.serial = fits.then(|| Some(text.to_ascii_uppercase()))?;
                Some(())
            },
            show: |printer| optional(printer.connection.serial.as_ref()),
        },
        Key {
            name: "access_code",
            help: "Bambu Lab: the access code on the printer's screen (LAN).",
            allowed: "the code in quotes, as \"12345678\"",
            example: "\"12345678\"",
            secret: true,
            set: |printer, value| {
                printer.connection.access_code = code(value)?;
                Some(())
            },
            show: |printer| hidden(printer.connection.access_code.as_ref()),
        },
        Key {
            name: "api_key",
            help: "PrusaLink: the API key, or username and password.",
            allowed: "the key in quotes",
            example: "\"key\"",
            secret: true,
            set: |printer, value| {
                printer.connection.api_key = code(value)?;
                Some(())
            },
            show: |printer| hidden(printer.connection.api_key.as_ref()),
        },
        Key {
            name: "username",
            help: "PrusaLink: normally \"maker\".",
            allowed: "a text in quotes of 1 to 100 bytes",
            example: "\"maker\"",
            secret: false,
            set: |printer, value| {
                printer.connection.username = free_text(value, NAME_BYTES_MAX)?;
                Some(())
            },
            show: |printer| optional(printer.connection.username.as_ref()),
        },
        Key {
            name: "password",
            help: "PrusaLink: the password that belongs to the user name.",
            allowed: "the password in quotes",
            example: "\"password\"",
            secret: true,
            set: |printer, value| {
                printer.connection.password = code(value)?;
                Some(())
            },
            show: |printer| hidden(printer.connection.password.as_ref()),
        },
        Key {
            name: "mqtt_port",
            help: "",
            allowed: PORT,
            example: "8883",
            secret: false,
            set: |printer, value| {
                printer.connection.mqtt_port = port(value)?;
                Some(())
            },
            show: |printer| for_kind(printer, PrinterType::BambuLab, printer.connection.mqtt_port),
        },
        Key {
            name: "ftps_port",
            help: "",
            allowed: PORT,
            example: "990",
            secret: false,
            set: |printer, value| {
                printer.connection.ftps_port = port(value)?;
                Some(())
            },
            show: |printer| for_kind(printer, PrinterType::BambuLab, printer.connection.ftps_port),
        },
        Key {
            name: "http_port",
            help: "",
            allowed: PORT,
            example: "80",
            secret: false,
            set: |printer, value| {
                printer.connection.http_port = port(value)?;
                Some(())
            },
            show: |printer| for_kind(printer, PrinterType::PrusaLink, printer.connection.http_port),
        },
        Key {
            name: "location",
            help: "",
            allowed: "a text in quotes of 1 to 500 bytes",
            example: "\"Cellar\"",
            secret: false,
            set: |printer, value| {
                printer.location = free_text(value, TEXT_BYTES_MAX)?;
                Some(())
            },
            show: |printer| optional(printer.location.as_ref()),
        },
        Key {
            name: "description",
            help: "",
            allowed: "a text in quotes of 1 to 500 bytes",
            example: "\"\"",
            secret: false,
            set: |printer, value| {
                printer.description = free_text(value, TEXT_BYTES_MAX)?;
                Some(())
            },
            show: |printer| optional(printer.description.as_ref()),
        },
        Key {
            name: "enabled",
            help: "",
            allowed: "true or false",
            example: "true",
            secret: false,
            set: |printer, value| {
                printer.enabled = value.boolean()?;
                Some(())
            },
            show: |printer| Some(printer.enabled.to_string()),
        },
    ];

    /// Keys without which an entry means nothing.
    pub(super) const NEEDED: [&str; 3] = ["name", "type", "host"];

    /// Whether `key` means something for printers of `kind`.
    pub(super) fn belongs(key: &str, kind: PrinterType) -> bool {
        match key {
            "serial" | "access_code" | "mqtt_port" | "ftps_port" => kind == PrinterType::BambuLab,
            "api_key" | "username" | "password" | "http_port" => kind == PrinterType::PrusaLink,
            _ => true,
        }
    }

    /// The port that, with the host, tells printers apart.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self.kind {
            PrinterType::BambuLab => self.connection.mqtt_port,
            PrinterType::PrusaLink => self.connection.http_port,
        }
    }

    /// Whether both would be the same device: the same serial number, or the same host and port.
    #[must_use]
    pub fn same_device(&self, other: &PrinterEntry) -> bool {
        let serial = self.connection.serial.is_some() && self.connection.serial == other.connection.serial;
        serial || (self.connection.host == other.connection.host && self.port() == other.port())
    }
}

fn for_kind(printer: &PrinterEntry, kind: PrinterType, port: u16) -> Option<String> {
    (printer.kind == kind).then(|| port.to_string())
}
