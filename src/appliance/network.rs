//! `network`: what the rest of the card needs to know of the network, whenever it changes: name servers for the resolver,
//! the address for whoever looks at a screen or a serial cable.
//!
//! Bounds: [`SERVERS_MAX`] name servers, of which a resolver asks three; files of 64 KiB at most are read.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::Error;

/// Name servers that are passed on.
const SERVERS_MAX: usize = 3;
/// Bytes of the network service's state that are read.
const STATE_BYTES_MAX: u64 = 64 * 1024;
/// Where a person may look: HDMI, the serial pins of a Zero, those of a Zero W.
const CONSOLES: [&str; 3] = ["dev/tty1", "dev/ttyAMA0", "dev/ttyS1"];
/// A console that nobody reads must not hold us.
const NONBLOCK: rustix::fs::OFlags = rustix::fs::OFlags::NONBLOCK;

/// Looks at the network and tells.
pub(super) fn run(root: &Path) -> Result<(), Error> {
    let own = root.join("run/printernizer");
    fs::create_dir_all(&own).map_err(Error::io(format!("{} cannot be made", own.display())))?;
    let state = root.join("run/systemd/netif/state");
    let state = board::read_proc(&state.to_string_lossy(), STATE_BYTES_MAX).unwrap_or_default();
    put(&own.join("resolv.conf"), &resolver(&state))?;
    let facts = board::detect(root).facts();
    let name = fs::read_to_string(root.join("proc/sys/kernel/hostname")).unwrap_or_default();
    let text = screen(name.trim(), &facts.addresses, &board::notices(root));
    if put(&own.join("console"), &text)? {
        for console in CONSOLES {
            let _ = OpenOptions::new()
                .write(true)
                .custom_flags(i32::try_from(NONBLOCK.bits()).unwrap_or_default())
                .open(root.join(console))
                .and_then(|mut console| console.write_all(text.as_bytes()));
        }
    }
    Ok(())
}

/// Replaces a file in memory where its content differs; answers whether it did.
fn put(path: &Path, text: &str) -> Result<bool, Error> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(false);
    }
    let beside = path.with_extension("new");
    let write = || {
        fs::File::create(&beside)?.write_all(text.as_bytes())?;
        super::readable(&beside, 0o644)?;
        fs::rename(&beside, path)
    };
    write().map_err(Error::io(format!("{} cannot be written", path.display())))?;
    Ok(true)
}

/// The resolver's file, from the network service's state.
fn resolver(state: &str) -> String {
    let servers = state.lines().filter_map(|line| line.strip_prefix("DNS=")).flat_map(str::split_whitespace);
    // A server may carry a port, a name or a scope that this file cannot hold.
    let mut text = String::new();
    for server in servers.filter_map(|server| server.parse::<IpAddr>().ok()).take(SERVERS_MAX) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

/// What a screen shows.
fn screen(name: &str, addresses: &[board::Address], notices: &[String]) -> String {
    let mut lines = vec![String::new(), format!("printernizer {}", env!("CARGO_PKG_VERSION"))];
    let usable = addresses.iter().filter(|one| match one.address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    });
    let shown: Vec<String> = usable
        .map(|one| {
            let interface = one.interface.as_deref().map(|name| format!("   ({name})")).unwrap_or_default();
            match one.address {
                IpAddr::V4(address) => format!("  http://{address}/{interface}"),
                IpAddr::V6(address) => format!("  http://[{address}]/{interface}"),
            }
        })
        .collect();
    if shown.is_empty() {
        lines.push("  no network yet".to_owned());
    } else {
        lines.push(format!("  http://{name}.local/"));
        lines.extend(shown);
    }
    lines.extend(notices.iter().map(|notice| format!("  ! {notice}")));
    lines.push(String::new());
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_passed_on_and_nothing_else() {
        let state = "# private\nOPER_STATE=routable\nDNS=10.0.2.3 fe80::1 192.168.1.1:53\nDNS=9.9.9.9 1.1.1.1 8.8.8.8\nDOMAINS=evil\n";
        assert_eq!(resolver(state), "nameserver 10.0.2.3\nnameserver fe80::1\nnameserver 9.9.9.9\n");
        assert_eq!(resolver("DNS=x\ny\n"), "");
    }

    #[test]
    fn a_screen_shows_where_the_page_is() {
        let address = |interface: &str, text: &str| board::Address {
            interface: Some(interface.to_owned()),
            address: text.parse().unwrap(),
        };
        let text = screen(
            "attic",
            &[address("wlan0", "192.168.1.7"), address("wlan0", "fe80::1"), address("wlan0", "2001:db8::1")],
            &["Odd.".to_owned()],
        );
        for part in
            ["http://attic.local/", "http://192.168.1.7/   (wlan0)", "http://[2001:db8::1]/", "! Odd."]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("fe80"));
        assert!(screen("attic", &[], &[]).contains("no network yet"));
    }

    #[test]
    fn it_works_on_a_made_system_and_writes_only_what_changed() {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("run/systemd/netif/state", "DNS=10.0.2.3\n"),
            ("proc/sys/kernel/hostname", "attic\n"),
            ("dev/tty1", ""),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        }
        let tty = || fs::read_to_string(root.path().join("dev/tty1")).unwrap();
        run(root.path()).unwrap();
        assert_eq!(
            fs::read_to_string(root.path().join("run/printernizer/resolv.conf")).unwrap(),
            "nameserver 10.0.2.3\n"
        );
        assert!(tty().contains("no network yet"));
        fs::File::create(root.path().join("dev/tty1")).unwrap();
        run(root.path()).unwrap();
        assert_eq!(tty(), "");
    }
}
