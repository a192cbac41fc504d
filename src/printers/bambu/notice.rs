//! What a printer calls out on the network every few seconds: who it is, and where. Pure.
//!
//! The datagrams look like SSDP. Anybody can send one: what is read here is a hint where to look, never a reason to trust.
//!
//! Bounds: datagrams of [`NOTICE_BYTES_MAX`] bytes, [`LINES_MAX`] lines of them.

use std::net::Ipv4Addr;

use super::session::serial;
use crate::model::text::{self, NAME_BYTES_MAX};

/// Bytes of a datagram that are looked at; real ones have about 500.
pub const NOTICE_BYTES_MAX: usize = 2048;
/// Lines of a datagram that are looked at; real ones have about 16.
const LINES_MAX: usize = 64;
/// The kind of device that is meant.
const DEVICE: &str = "urn:bambulab-com:device:3dprinter:";
/// Bytes of a model's or a mode's code.
const CODE_BYTES_MAX: usize = 32;

/// A printer's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its serial number.
    pub serial: String,
    /// Where it says that it is.
    pub address: Ipv4Addr,
    /// The name that its owner gave it.
    pub name: Option<String>,
    /// Its model in words, or the code of a model that is not known here.
    pub model: Option<String>,
}

/// Reads a datagram; `None` for everything that is no printer's call, or takes one back.
#[must_use]
pub fn parse(datagram: &[u8]) -> Option<Notice> {
    let bytes = datagram.get(..NOTICE_BYTES_MAX).unwrap_or(datagram);
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().take(LINES_MAX);
    let first = lines.next()?;
    let is_call = first.starts_with("NOTIFY ") || first.starts_with("HTTP/1.1 200");
    if !is_call {
        return None;
    }
    let (mut number, mut address, mut name, mut model, mut is_printer) = (None, None, None, None, false);
    for line in lines {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            // `ST` stands in answers to a search.
            "nt" | "st" => is_printer |= value.starts_with(DEVICE),
            "nts" if value != "ssdp:alive" => return None,
            "usn" => number = serial(value),
            "location" => address = located(value),
            "devname.bambu.com" => name = text::name(value),
            "devmodel.bambu.com" => model = Some(model_name(value)).filter(|model| !model.is_empty()),
            _ => {}
        }
    }
    if !is_printer {
        return None;
    }
    Some(Notice { serial: number?, address: address?, name, model })
}

/// The address in a `Location`, which is bare; a URL would be what SSDP wants.
fn located(value: &str) -> Option<Ipv4Addr> {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    rest.split(['/', ':']).next()?.parse().ok()
}

/// The model in words; a code that is not known here stays as it is.
#[must_use]
pub fn model_name(code: &str) -> String {
    let known = match code {
        "BL-P001" => "X1 Carbon",
        "BL-P002" => "X1",
        "C13" => "X1E",
        "C11" => "P1P",
        "C12" => "P1S",
        "N7" => "P2S",
        "N6" => "X2D",
        "N1" => "A1 mini",
        "N2S" => "A1",
        "N9" => "A2L",
        "O1D" => "H2D",
        "O1E" | "O2D" => "H2D Pro",
        "O1C" | "O1C2" => "H2C",
        "O1S" => "H2S",
        other => return text::clean(other, CODE_BYTES_MAX.min(NAME_BYTES_MAX)),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nServer: Buildroot/2018.02-rc3 UPnP/1.0 ssdpd/1.8\r\n\
        Location: 192.168.1.7\r\nNT: urn:bambulab-com:device:3dprinter:1\r\nNTS: ssdp:alive\r\nUSN: 01P00A123456789\r\n\
        Cache-Control: max-age=1800\r\nDevModel.bambu.com: C12\r\nDevName.bambu.com: Würfel\r\nDevConnect.bambu.com: lan\r\n\r\n";

    fn notice() -> Notice {
        Notice {
            serial: "01P00A123456789".into(),
            address: Ipv4Addr::new(192, 168, 1, 7),
            name: Some("Würfel".into()),
            model: Some("P1S".into()),
        }
    }

    #[test]
    fn a_call_is_read_whatever_its_case_and_line_ends() {
        assert_eq!(parse(CALL.as_bytes()), Some(notice()));
        assert_eq!(parse(CALL.replace("\r\n", "\n").as_bytes()), Some(notice()));
        let loud = CALL.replace("Location", "LOCATION").replace("USN", "usn").replace("DevName", "DEVNAME");
        assert_eq!(parse(loud.as_bytes()), Some(notice()));
        let answer = CALL.replace("NOTIFY * HTTP/1.1", "HTTP/1.1 200 OK").replace("NT:", "ST:");
        assert_eq!(parse(answer.as_bytes()), Some(notice()));
        let url = CALL.replace("192.168.1.7", "http://192.168.1.7:80/x");
        assert_eq!(parse(url.as_bytes()), Some(notice()));
        let new = parse(CALL.replace("C12", "Z9\u{7}").as_bytes()).unwrap();
        assert_eq!(new.model.as_deref(), Some("Z9"));
    }

    #[test]
    fn other_datagrams_are_nobody() {
        for (from, to) in [
            ("NOTIFY * HTTP/1.1", "M-SEARCH * HTTP/1.1"),
            ("ssdp:alive", "ssdp:byebye"),
            ("bambulab-com:device:3dprinter", "schemas-upnp-org:device:MediaServer"),
            ("192.168.1.7", "printer.example"),
            ("192.168.1.7", ""),
            ("01P00A123456789", "uuid:1-2-3"),
            ("USN: 01P00A123456789\r\n", ""),
        ] {
            assert_eq!(parse(CALL.replace(from, to).as_bytes()), None, "{to}");
        }
        assert_eq!(parse(b""), None);
        assert_eq!(parse(&[0xff; 4000]), None);
    }

    #[test]
    fn damaged_calls_end_and_stay_within_bounds() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..5000 {
            let mut bytes = CALL.as_bytes().to_vec();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            if let Some(read) = parse(&bytes) {
                assert!(read.serial.len() <= 32 && read.name.is_none_or(|name| name.len() <= NAME_BYTES_MAX));
            }
        }
        let long = CALL.replace("Würfel", &"ä".repeat(3000));
        assert!(
            parse(long.as_bytes()).and_then(|read| read.name).is_none_or(|name| name.len() <= NAME_BYTES_MAX)
        );
    }
}
