//! Who may be meant and who may ask: the `Host` rule against DNS rebinding, the `Origin` rule against foreign pages.
//!
//! Pure. A page on the internet can make a browser in the LAN send requests here. By a name of its own that it points at
//! this device (rebinding): stopped by the `Host` rule. By plain cross-site requests: stopped by the `Origin` rule where
//! they would change something; answers of the others stay unreadable for it, since no CORS header is ever sent.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::head::Head;
use crate::web::respond::ApiError;

/// Names of the device at most.
pub const NAMES_MAX: usize = 16;

/// Checks `head` against the device's `names` (lower case, without a port) and the one that it holds on the network just now.
///
/// # Errors
/// 421 for a foreign `Host`, 403 for a foreign `Origin`.
pub fn check(head: &Head, names: &[String], held: Option<&str>) -> Result<(), ApiError> {
    // Only HTTP/1.0 may come without a host, and no browser speaks that.
    if let Some(host) = &head.host
        && !host_is_ours(host, names, held)
    {
        return Err(ApiError::new(
            421,
            "FOREIGN_HOST",
            "Open this device by its address or by one of its names. More names can be set in the configuration.",
        ));
    }
    if head.verb.changes_state() {
        let foreign = match head.header("origin") {
            Some(origin) => !head.host.as_deref().is_some_and(|host| same_origin(origin, host)),
            // Sent by browsers only, and never by a page's own script.
            None => head.header("sec-fetch-site").is_some_and(|site| site.eq_ignore_ascii_case("cross-site")),
        };
        if foreign {
            return Err(ApiError::new(
                403,
                "FOREIGN_ORIGIN",
                "Another site's page may not change anything here.",
            ));
        }
    }
    Ok(())
}

/// Splits `host[:port]`; `None` where it is neither.
fn split_port(host: &str) -> Option<(&str, Option<&str>)> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, after) = rest.split_once(']')?;
            (name, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let fine =
        |port: &str| port.len() <= 5 && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.is_none_or(fine).then_some((name, port))
}

fn host_is_ours(host: &str, names: &[String], held: Option<&str>) -> bool {
    let Some((name, _)) = split_port(host) else { return false };
    if host.starts_with('[') {
        return name.parse::<Ipv6Addr>().is_ok();
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost"
        || name.parse::<Ipv4Addr>().is_ok()
        || held == Some(name)
        || names.iter().any(|ours| ours == name)
}

/// Whether `origin` is the page that was loaded from `host` (as in the `Host` header, lower case).
fn same_origin(origin: &str, host: &str) -> bool {
    let origin = origin.trim().to_ascii_lowercase();
    let (theirs, default) = match (origin.strip_prefix("http://"), origin.strip_prefix("https://")) {
        (Some(rest), _) => (rest, "80"),
        // A proxy with TLS in front of the device.
        (_, Some(rest)) => (rest, "443"),
        _ => return false,
    };
    let (Some((their_name, their_port)), Some((our_name, our_port))) = (split_port(theirs), split_port(host))
    else {
        return false;
    };
    their_name == our_name && their_port.unwrap_or(default) == our_port.unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::super::head::{Parsed, parse};
    use super::*;

    fn verdict(text: &str) -> u16 {
        let Parsed::Whole(head, _) = parse(text.as_bytes()).unwrap() else { panic!("partial") };
        match check(
            &head,
            &["printernizer".to_owned(), "printernizer.local".to_owned()],
            Some("printernizer-2.local"),
        ) {
            Ok(()) => 200,
            Err(error) => error.status,
        }
    }

    #[test]
    fn only_addresses_and_own_names_are_hosts() {
        for host in [
            "192.168.1.5",
            "192.168.1.5:8080",
            "[fe80::1]",
            "[::1]:80",
            "localhost",
            "LOCALHOST:8080",
            "printernizer",
            "Printernizer.local.",
            "printernizer-2.local:8080",
            "printernizer.local:80",
        ] {
            assert_eq!(verdict(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), 200, "{host}");
        }
        for host in [
            "evil.example",
            "printernizer.evil.example",
            "192.168.1.5.evil.example",
            "192.168.1.5:x",
            "127.1",
            "0x7f000001",
            "[::1",
            "[evil]",
            "::1",
            "localhost:123456",
            "a@localhost",
            "",
            "localhost:80:80",
            "[::1]x",
            "printernizer:",
        ] {
            assert_eq!(verdict(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), 421, "{host}");
        }
        assert_eq!(verdict("GET / HTTP/1.0\r\n\r\n"), 200);
    }

    #[test]
    fn foreign_pages_change_nothing() {
        let post = |origin: &str| verdict(&format!("POST / HTTP/1.1\r\nHost: 10.0.0.2:8080\r\n{origin}\r\n"));
        assert_eq!(post(""), 200);
        assert_eq!(post("Origin: http://10.0.0.2:8080\r\n"), 200);
        assert_eq!(post("Origin: https://10.0.0.2:8080\r\n"), 200);
        assert_eq!(post("Origin: http://10.0.0.2\r\n"), 403);
        assert_eq!(post("Origin: http://evil.example\r\n"), 403);
        assert_eq!(post("Origin: http://10.0.0.2:8080.evil.example\r\n"), 403);
        assert_eq!(post("Origin: null\r\n"), 403);
        assert_eq!(post("Sec-Fetch-Site: cross-site\r\n"), 403);
        assert_eq!(post("Sec-Fetch-Site: same-origin\r\n"), 200);
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost: 10.0.0.2\r\nOrigin: http://evil.example\r\n\r\n"), 200);
        assert_eq!(verdict("POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:80\r\n\r\n"), 200);
    }
}
