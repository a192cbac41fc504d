//! `network`: what the rest of the card needs to know of the network, whenever it changes: name servers for the resolver,
//! the address for whoever looks at a screen or a serial cable.
//!
//! It stays and watches the directories itself (inotify). A path unit of systemd does not look while its service runs, and the
//! network often changes again in that moment: the last address would be told to nobody.
//!
//! Bounds: [`SERVERS_MAX`] name servers, of which a resolver asks three; files of 64 KiB at most are read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

use super::Error;

/// Name servers that are passed on.
const SERVERS_MAX: usize = 3;
/// Bytes of the network service's state that are read.
const STATE_BYTES_MAX: u64 = 64 * 1024;
/// Where a person may look: HDMI, the serial pins of a Zero, those of a Zero W.
const CONSOLES: [&str; 3] = ["dev/tty1", "dev/ttyAMA0", "dev/ttyS1"];
/// A console that nobody reads must not hold us.
const NONBLOCK: rustix::fs::OFlags = rustix::fs::OFlags::NONBLOCK;

/// What is followed: what the network service says of everything and of each adapter, and the sentences for people.
const WATCHED: [&str; 3] = ["run/systemd/netif", "run/systemd/netif/links", board::NOTICES];
/// Bytes of changes that are taken at once. They only say that there is something to look at.
const CHANGES_BYTES: usize = 4096;

/// Looks at the network and tells, now and after each change. Ends with an error alone, as when the network service goes.
pub(super) fn follow(root: &Path) -> Result<(), Error> {
    let failed = || Error::io("the state of the network cannot be followed");
    let mut changes = File::from(init(CreateFlags::CLOEXEC).map_err(io::Error::from).map_err(failed())?);
    let mut taken = [0; CHANGES_BYTES];
    loop {
        // Watched before it is looked at, so no change is lost. Watching twice is the same as once, and finds a directory that
        // was made anew. Everybody here writes beside and renames.
        for name in WATCHED {
            add_watch(&changes, root.join(name), WatchFlags::MOVED_TO | WatchFlags::DELETE)
                .map_err(io::Error::from)
                .map_err(failed())?;
        }
        tell(root)?;
        match changes.read(&mut taken) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(failed()(error)),
            _ => {}
        }
    }
}

/// Looks at the network and tells where something is new.
fn tell(root: &Path) -> Result<(), Error> {
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
        tell(root.path()).unwrap();
        assert_eq!(
            fs::read_to_string(root.path().join("run/printernizer/resolv.conf")).unwrap(),
            "nameserver 10.0.2.3\n"
        );
        assert!(tty().contains("no network yet"));
        fs::File::create(root.path().join("dev/tty1")).unwrap();
        tell(root.path()).unwrap();
        assert_eq!(tty(), "");
    }

    #[test]
    fn every_change_is_told_until_the_network_service_goes() {
        let root = tempfile::tempdir().unwrap();
        for name in WATCHED {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let netif = root.path().join("run/systemd/netif");
        let change = |text: &str| {
            let beside = root.path().join("new");
            fs::File::create(&beside).unwrap().write_all(text.as_bytes()).unwrap();
            fs::rename(&beside, netif.join("state")).unwrap();
        };
        let told = |wanted: &str| {
            let file = root.path().join("run/printernizer/resolv.conf");
            // A minute at least, looked at every few milliseconds.
            let is_told = (0..12_000).any(|_| {
                std::thread::park_timeout(std::time::Duration::from_millis(5));
                fs::read_to_string(&file).unwrap_or_default() == wanted
            });
            assert!(is_told, "never told: {wanted}");
        };
        let follower = std::thread::spawn({
            let root = root.path().to_owned();
            move || follow(&root)
        });
        // One after the other, without a pause: whatever comes while another is told.
        for number in 1..200 {
            change(&format!("DNS=10.0.0.{number}\n"));
        }
        told("nameserver 10.0.0.199\n");
        change("DNS=10.0.2.3\n");
        told("nameserver 10.0.2.3\n");
        fs::remove_dir_all(&netif).unwrap();
        assert!(follower.join().unwrap().is_err());
    }
}
