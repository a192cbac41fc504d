//! `[wifi]`: what is asked of a wireless network, and the file of the wireless client. Pure.

use std::fmt::Write as _;

use crate::base::secret::Secret;

/// Bytes of a network's name (IEEE 802.11).
const SSID_BYTES_MAX: usize = 32;
/// Letters of a password, in ASCII (IEEE 802.11, annex M); 64 hexadecimal digits are the key itself.
const PASSWORD_LETTERS: std::ops::RangeInclusive<usize> = 8..=63;
const KEY_DIGITS: usize = 64;
/// Where the wireless client is asked how it stands.
pub const CONTROL: &str = "/run/wpa_supplicant";

/// A wireless network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wifi {
    /// Its name.
    pub ssid: String,
    /// Its password; without one the network is open.
    pub password: Option<Secret>,
    /// Where the board is, in two letters: what may be sent differs.
    pub country: Option<String>,
    /// Whether the network does not tell its name.
    pub hidden: bool,
}

impl Wifi {
    /// Takes a name.
    #[must_use]
    pub fn ssid(text: &str) -> Option<String> {
        ((1..=SSID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control))
            .then(|| text.to_owned())
    }

    /// Takes a password.
    #[must_use]
    pub fn password(text: &str) -> Option<Secret> {
        let is_key = text.len() == KEY_DIGITS && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let is_password = PASSWORD_LETTERS.contains(&text.len())
            && text.bytes().all(|letter| matches!(letter, 0x20..=0x7e));
        (is_key || is_password).then(|| Secret::new(text))
    }

    /// Takes a country.
    #[must_use]
    pub fn country(text: &str) -> Option<String> {
        (text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_alphabetic()))
            .then(|| text.to_ascii_uppercase())
    }

    /// The wireless client's file. The name is written in hexadecimal, so no letter of it can mean anything.
    #[must_use]
    pub fn supplicant(&self) -> String {
        let mut text = format!(
            "# Written at the start from printernizer.toml; changes are lost.\nctrl_interface={CONTROL}\nupdate_config=0\n"
        );
        if let Some(country) = &self.country {
            let _ = writeln!(text, "country={country}");
        }
        text.push_str("network={\n\tssid=");
        for byte in self.ssid.bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        match &self.password {
            Some(password) if password.reveal().len() == KEY_DIGITS => {
                let _ = writeln!(text, "\tpsk={}", password.reveal());
            }
            // The client takes everything up to the line's last quote; there are no line ends in it.
            Some(password) => {
                let _ = writeln!(text, "\tpsk=\"{}\"", password.reveal());
            }
            None => text.push_str("\tkey_mgmt=NONE\n"),
        }
        if self.password.is_some() {
            text.push_str("\tkey_mgmt=WPA-PSK WPA-PSK-SHA256\n\tieee80211w=1\n");
        }
        if self.hidden {
            text.push_str("\tscan_ssid=1\n");
        }
        text.push_str("}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_network_can_have_is_taken() {
        assert!(Wifi::ssid("Zu Hause \u{e4}\"}").is_some());
        assert!(
            Wifi::ssid("").is_none() && Wifi::ssid(&"x".repeat(33)).is_none() && Wifi::ssid("a\nb").is_none()
        );
        assert!(Wifi::password("12345678").is_some() && Wifi::password(&"f".repeat(64)).is_some());
        for wrong in ["1234567", "with\nline end", "Stra\u{df}enbahn", &"x".repeat(64)] {
            assert!(Wifi::password(wrong).is_none(), "{wrong}");
        }
        assert_eq!(Wifi::country("de").as_deref(), Some("DE"));
        assert!(Wifi::country("DEU").is_none() && Wifi::country("\u{e4}").is_none());
    }

    #[test]
    fn the_clients_file_cannot_be_broken_out_of() {
        let wifi = Wifi {
            ssid: "a\"\n}".to_owned(),
            password: Wifi::password("quote\" } #x"),
            country: Wifi::country("de"),
            hidden: true,
        };
        let text = wifi.supplicant();
        assert!(text.contains("\tssid=61220a7d\n") && text.contains("\tpsk=\"quote\" } #x\"\n"), "{text}");
        assert!(text.contains("country=DE\n") && text.contains("scan_ssid=1"));
        let open = Wifi { ssid: "x".to_owned(), ..Wifi::default() }.supplicant();
        assert!(open.contains("key_mgmt=NONE") && !open.contains("psk"), "{open}");
    }
}
