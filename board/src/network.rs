//! The machine's interfaces to networks, as they are now.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Interfaces that are told of: a board has two or three (radio, cable, USB), a server of containers more than make sense.
pub const INTERFACES_MAX: usize = 8;
/// Addresses of one family on one interface.
const ADDRESSES_MAX: usize = 8;

/// An interface that is up and has at least one IPv4 address; never loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as `wlan0`.
    pub name: String,
    /// The system's number for it.
    pub index: u32,
    /// Its IPv4 addresses with the bits of their networks' prefixes.
    pub v4: Vec<(Ipv4Addr, u8)>,
    /// Its IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
}

/// The interfaces in the order of their numbers. Empty where there is no network, or where it cannot be asked.
#[must_use]
pub fn interfaces() -> Vec<Interface> {
    let listed = if_addrs::get_if_addrs().unwrap_or_default();
    let mut found: Vec<Interface> = Vec::new();
    for one in listed.iter().filter(|one| !one.is_loopback() && !one.is_p2p()) {
        let Some(index) = one.index else { continue };
        let at = match found.iter().position(|known| known.index == index) {
            Some(at) => at,
            None => {
                found.push(Interface { name: one.name.clone(), index, v4: Vec::new(), v6: Vec::new() });
                found.len() - 1
            }
        };
        let Some(interface) = found.get_mut(at) else { continue };
        match (&one.addr, one.ip()) {
            (if_addrs::IfAddr::V4(v4), _) if interface.v4.len() < ADDRESSES_MAX => {
                interface.v4.push((v4.ip, v4.prefixlen));
            }
            (_, IpAddr::V6(v6)) if interface.v6.len() < ADDRESSES_MAX => interface.v6.push(v6),
            _ => {}
        }
    }
    found.retain(|interface| !interface.v4.is_empty());
    found.sort_by_key(|interface| interface.index);
    found.truncate(INTERFACES_MAX);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_no_interface_and_every_other_has_an_address() {
        let found = interfaces();
        assert!(found.len() <= INTERFACES_MAX);
        for one in found {
            assert!(
                !one.v4.is_empty() && one.v4.iter().all(|(address, _)| !address.is_loopback()),
                "{one:?}"
            );
        }
    }
}
