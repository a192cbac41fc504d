//! What a machine says about itself, as far as every Linux says it in the same files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::read;

/// Addresses that are listed: a board has two or three, a server with many networks more than anybody reads.
pub const ADDRESSES_MAX: usize = 32;

/// What the machine says; `None` for what it does not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Model in words, as `Raspberry Pi Zero W Rev 1.1`.
    pub model: Option<String>,
    /// Serial number of the board.
    pub serial: Option<String>,
    /// Temperature of the processor in degrees Celsius.
    pub temperature_c: Option<f32>,
    /// Clock of the processor in kilohertz, now.
    pub clock_khz: Option<u64>,
    /// Whether the supply voltage was too low since the start, where the board can tell.
    pub undervoltage: Option<bool>,
    /// Whether the processor is being slowed down now, because it is hot or lacks power, where the system tells.
    pub throttled: Option<bool>,
    /// Memory of the whole machine.
    pub memory: Option<Memory>,
    /// Processes that wanted to run, on average over the last minute.
    pub load: Option<f32>,
    /// Since the machine started, in seconds.
    pub uptime_s: Option<u64>,
    /// Its addresses on the network, loopback left out.
    pub addresses: Vec<Address>,
    /// The card it started from.
    pub card: Option<Card>,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All that the system has.
    pub total_bytes: u64,
    /// What programs could still get.
    pub available_bytes: u64,
}

/// An address of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name of the interface, where the system tells.
    pub interface: Option<String>,
    /// The address.
    pub address: IpAddr,
}

/// An SD card and its file system, as far as they tell how they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Product name on the card.
    pub name: Option<String>,
    /// Number of its maker.
    pub manufacturer: Option<String>,
    /// Month and year it was made.
    pub made: Option<String>,
    /// Errors that its file systems have met.
    pub errors: Option<u64>,
    /// Written to its file systems since they were made, in KiB.
    pub written_kib: Option<u64>,
}

/// The facts that every Linux gives.
pub(crate) fn common(root: &Path) -> Facts {
    let proc = root.join("proc");
    let first = |file: &str| -> Option<String> {
        Some(read(&proc.join(file))?.split_whitespace().next()?.to_owned())
    };
    Facts {
        memory: memory(&read(&proc.join("meminfo")).unwrap_or_default()),
        load: first("loadavg").and_then(|load| load.parse().ok()),
        uptime_s: first("uptime").and_then(|seconds| seconds.split('.').next()?.parse().ok()),
        addresses: addresses(
            &read(&proc.join("net/fib_trie")).unwrap_or_default(),
            &read(&proc.join("net/if_inet6")).unwrap_or_default(),
        ),
        temperature_c: thousandths(&root.join("sys/class/thermal/thermal_zone0/temp")),
        throttled: cooled_by_slowing(&root.join("sys/class/thermal")),
        clock_khz: read(&root.join("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"))
            .and_then(|khz| khz.parse().ok()),
        ..Facts::default()
    }
}

/// Devices that cool and are looked at: one for each processor, and fans.
const COOLERS_MAX: usize = 64;

/// Whether the kernel slows a processor down to cool it: each is a cooling device whose state is then above 0. `None` where the
/// kernel could not.
fn cooled_by_slowing(thermal: &Path) -> Option<bool> {
    let devices = std::fs::read_dir(thermal).ok()?.take(COOLERS_MAX).flatten().map(|entry| entry.path());
    let mut throttled = None;
    for device in devices {
        let kind = read(&device.join("type")).unwrap_or_default();
        if kind.starts_with("cpufreq") || kind.starts_with("cpu-idle") || kind == "Processor" {
            let slow = read(&device.join("cur_state")).is_some_and(|state| state != "0");
            throttled = Some(throttled.unwrap_or(false) || slow);
        }
    }
    throttled
}

fn memory(meminfo: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { total_bytes: field("MemTotal:")?, available_bytes: field("MemAvailable:")? })
}

fn thousandths(path: &Path) -> Option<f32> {
    let value: i32 = read(path)?.parse().ok()?;
    // A sensor that is not there says something far outside of what silicon survives.
    let degrees = f64::from(value) / 1000.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a temperature of three digits loses nothing that is measured"
    )]
    let degrees = degrees as f32;
    (-60.0..200.0).contains(&degrees).then_some(degrees)
}

/// The machine's own addresses: IPv4 from the table of local routes, IPv6 from the list of interfaces. Loopback and,
/// for IPv6, addresses that only the same cable understands are left out.
fn addresses(fib_trie: &str, if_inet6: &str) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    let mut node = None;
    for line in fib_trie.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            node = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = node.filter(|address| !address.is_loopback())
        {
            let address = Address { interface: None, address: IpAddr::V4(address) };
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    for line in if_inet6.lines() {
        let mut fields = line.split_whitespace();
        let (digits, name) = (fields.next(), fields.nth(4));
        let bits = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        let Some(address) = bits.map(Ipv6Addr::from_bits) else { continue };
        if !address.is_loopback() && !address.is_unicast_link_local() {
            found.push(Address { interface: name.map(str::to_owned), address: IpAddr::V6(address) });
        }
    }
    found.truncate(ADDRESSES_MAX);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIB_TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 192.168.7.0\n        /24 link UNICAST\n\
        Local:\n  +-- 0.0.0.0/0 3 0 5\n           |-- 127.0.0.1\n              /32 host LOCAL\n           |-- 192.168.7.20\n              /32 host LOCAL\n\
        \x20          |-- 192.168.7.255\n              /32 link BROADCAST\n           |-- 192.168.7.20\n              /32 host LOCAL\n";
    const IF_INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo\n\
        fe800000000000000a0027fffe4e66a1 02 40 20 80     eth0\nfd0000000000000000000000000000a1 02 40 00 80     eth0\nzz 1\n";

    #[test]
    fn addresses_are_the_machines_own() {
        let found = addresses(FIB_TRIE, IF_INET6);
        let shown: Vec<String> = found
            .iter()
            .map(|one| format!("{} {}", one.interface.as_deref().unwrap_or("-"), one.address))
            .collect();
        assert_eq!(shown, ["- 192.168.7.20", "eth0 fd00::a1"]);
        assert!(addresses("", "").is_empty());
        let many = "|-- 10.0.0.1\n/32 host LOCAL\n".to_owned()
            + &(0..200).map(|n| format!("|-- 10.0.1.{n}\n/32 host LOCAL\n")).collect::<String>();
        assert_eq!(addresses(&many, "").len(), ADDRESSES_MAX);
    }

    #[test]
    fn a_processor_that_is_slowed_down_is_told() {
        let root = tempfile::tempdir().unwrap();
        let put = |device: &str, kind: &str, state: &str| {
            let place = root.path().join("sys/class/thermal").join(device);
            std::fs::create_dir_all(&place).unwrap();
            for (file, text) in [("type", kind), ("cur_state", state)] {
                let mut file = std::fs::File::create(place.join(file)).unwrap();
                std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            }
        };
        put("cooling_device0", "gpio-fan\n", "1\n");
        put("thermal_zone0", "cpu-thermal\n", "");
        assert_eq!(common(root.path()).throttled, None, "a fan slows nothing down");
        put("cooling_device1", "cpufreq-cpu0\n", "0\n");
        assert_eq!(common(root.path()).throttled, Some(false));
        put("cooling_device1", "cpufreq-cpu0\n", "2\n");
        assert_eq!(common(root.path()).throttled, Some(true));
    }

    #[test]
    fn odd_files_say_nothing() {
        assert_eq!(memory("MemTotal: x kB\nMemAvailable: 5 kB"), None);
        assert_eq!(memory("MemTotal: 18446744073709551615 kB\nMemAvailable: 5 kB"), None);
        let root = tempfile::tempdir().unwrap();
        assert_eq!(common(root.path()), Facts::default());
    }
}
