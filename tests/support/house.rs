//! A network of a test's own: the house, with printers and people, and a cable to the device. Nothing of it is seen outside, and
//! everything ends with the processes. Needs root (or unprivileged user namespaces), `unshare` and `nsenter` (util-linux) and
//! `ip` (iproute2).

use std::net::Ipv4Addr;
use std::process::Command;

/// Set inside of the house.
const INSIDE: &str = "PRINTERNIZER_TEST_HOUSE";
/// Where the device is once the cable is in.
pub const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The house itself.
pub const HOUSE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Runs the test of this name in a house of its own; `true` inside of it. Everybody there has one of `addresses`.
pub fn is_house(test: &str, addresses: &[Ipv4Addr]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["link", "add", "house", "type", "veth", "peer", "name", "cable"]);
        for address in addresses {
            run("ip", &["addr", "add", &format!("{address}/24"), "brd", "+", "dev", "house"]);
        }
        run("ip", &["link", "set", "house", "up"]);
        return true;
    }
    let root = rustix::process::geteuid().is_root();
    let status = Command::new("unshare")
        .args(if root { &["--net"][..] } else { &["--net", "--map-root-user"] })
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare is installed (util-linux)");
    assert!(status.success(), "{test} failed in its network namespace, see above");
    false
}

/// Puts the cable into the device, which is the network of the process `pid`.
pub fn plug_in(pid: u32) {
    let pid = pid.to_string();
    run("ip", &["link", "set", "cable", "netns", &pid]);
    let inside = |words: &[&str]| run("nsenter", &[&["--net", "--target", &pid, "ip"], words].concat());
    inside(&["link", "set", "cable", "name", "wlan0"]);
    inside(&["addr", "add", &format!("{DEVICE}/24"), "brd", "+", "dev", "wlan0"]);
    inside(&["link", "set", "wlan0", "up"]);
}

/// Runs a program that has to succeed.
pub fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status();
    let status = status.unwrap_or_else(|error| panic!("{program}: {error} (iproute2, util-linux)"));
    assert!(status.success(), "{program} {words:?}");
}
