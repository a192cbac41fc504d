//! Small checks that several settings share. All pure; all lengths bounded.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr as _;

/// Letters of a host name: the limit of DNS (RFC 1035, 2.3.4).
const HOST_NAME_MAX: usize = 253;
/// Letters of one label of a host name: the limit of DNS.
const LABEL_MAX: usize = 63;

/// A host name: labels of letters, digits, `-` and `_`, none empty or beginning or ending with `-`; in small letters.
#[must_use]
pub fn host_name(text: &str) -> Option<String> {
    let plain = text.strip_suffix('.').unwrap_or(text);
    let label_fits = |label: &str| {
        let bytes = label.as_bytes();
        !bytes.is_empty()
            && bytes.len() <= LABEL_MAX
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    };
    // A last label of digits alone would be an address with a typing mistake, such as 192.168.1.
    let looks_like_address =
        plain.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    let fits = plain.len() <= HOST_NAME_MAX && !looks_like_address && plain.split('.').all(label_fits);
    fits.then(|| plain.to_ascii_lowercase())
}

/// A host to connect to: an IPv4 or IPv6 literal (brackets are taken off) or a host name. No port.
#[must_use]
pub fn host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(bare) = bare {
        return Ipv6Addr::from_str(bare).ok().map(|address| address.to_string());
    }
    match IpAddr::from_str(text) {
        Ok(address) if address.is_unspecified() || address.is_multicast() => None,
        Ok(address) => Some(address.to_string()),
        Err(_) => host_name(text),
    }
}

/// A text without control characters, not empty and not only blanks, of at most `bytes_max` bytes; blanks around it go.
#[must_use]
pub fn plain(text: &str, bytes_max: usize) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (given, taken) in [
            ("192.168.1.20", "192.168.1.20"),
            ("fe80::1", "fe80::1"),
            ("[FD00::1]", "fd00::1"),
            ("Drucker-1.local", "drucker-1.local"),
            ("printer.", "printer"),
        ] {
            assert_eq!(host(given).as_deref(), Some(taken), "{given}");
        }
        for refused in [
            "",
            " ",
            "a b",
            "192.168.1",
            "192.168.1.300",
            "x..y",
            "-x",
            "http://x",
            "x:80",
            "0.0.0.0",
            "[::1",
            "ü",
            ".",
        ] {
            assert_eq!(host(refused), None, "{refused}");
        }
        assert_eq!(host_name(&"x".repeat(64)), None);
        assert_eq!(host_name(&"x.".repeat(200)), None);
    }

    #[test]
    fn plain_texts() {
        assert_eq!(plain(" Büro ", 10).as_deref(), Some("Büro"));
        assert_eq!(plain("a\tb", 10), None);
        assert_eq!(plain("  ", 10), None);
        assert_eq!(plain("12345678901", 10), None);
    }
}
