//! The records under which the device is found: its name with its addresses, and its page as a service. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Link;
use crate::net::dns::{A, AAAA, ANY, Data, NSEC, Name, PTR, Question, Record, SRV, TXT};

/// Seconds that records with an address may be kept (RFC 6762, section 10).
const HOST_TTL_S: u32 = 120;
/// Seconds for everything else: 75 minutes.
const OTHER_TTL_S: u32 = 4500;
/// What is said about the page: where it begins, and where programs begin.
const TEXTS: [&str; 2] = ["path=/", "api=/api/v1"];

/// Sets of kinds of our records, as bits.
pub(super) mod set {
    /// IPv4 addresses.
    pub const V4: u8 = 1;
    /// IPv6 addresses.
    pub const V6: u8 = 2;
    /// Which kinds of records our name has.
    pub const HOST_KINDS: u8 = 4;
    /// Our page among the services of its kind.
    pub const SERVICE: u8 = 8;
    /// Where our page is.
    pub const PLACE: u8 = 16;
    /// What is said about it.
    pub const TEXT: u8 = 32;
    /// That there is such a kind of services.
    pub const TYPES: u8 = 64;
    /// Which kinds of records our page has.
    pub const PAGE_KINDS: u8 = 128;
    /// Records that others may have too: they are answered after a short random pause.
    pub const SHARED: u8 = SERVICE | TYPES;
    /// Everything that is announced.
    pub const ANNOUNCED: u8 = V4 | V6 | SERVICE | PLACE | TEXT;
    /// One bit for each kind.
    pub const EACH: [u8; 8] = [V4, V6, HOST_KINDS, SERVICE, PLACE, TEXT, TYPES, PAGE_KINDS];
}

/// Our names and where the page listens.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub host: Name,
    pub page: Name,
    http: Name,
    types: Name,
    port: u16,
    only: IpAddr,
}

impl Names {
    /// Names with `label`, for a page at `listen` and `port`; `None` where the label cannot be one.
    pub fn new(label: &str, listen: IpAddr, port: u16) -> Option<Names> {
        Some(Names {
            host: Name::new([label, "local"])?,
            page: Name::new([label, "_http", "_tcp", "local"])?,
            http: Name::new(["_http", "_tcp", "local"])?,
            types: Name::new(["_services", "_dns-sd", "_udp", "local"])?,
            port,
            only: listen,
        })
    }

    fn v4(&self, link: &Link) -> Vec<Ipv4Addr> {
        let all = link.v4.iter().map(|(address, _)| *address);
        match self.only {
            IpAddr::V4(only) => all.filter(|one| only.is_unspecified() || *one == only).collect(),
            // The IPv6 socket of everybody takes IPv4 as well.
            IpAddr::V6(only) => all.filter(|_| only.is_unspecified()).collect(),
        }
    }

    /// Addresses that only mean something together with an interface are left out.
    fn v6(&self, link: &Link) -> Vec<Ipv6Addr> {
        let all = link.v6.iter().copied().filter(|one| !one.is_unicast_link_local());
        match self.only {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(only) => all.filter(|one| only.is_unspecified() || *one == only).collect(),
        }
    }

    /// Whether the page can be reached on `link` at all.
    pub fn serves(&self, link: &Link) -> bool {
        !self.v4(link).is_empty() || !self.v6(link).is_empty()
    }

    /// What is asked for, as a set.
    pub fn asked(&self, question: &Question, link: &Link) -> u8 {
        let is = |kind: u16| question.kind == kind || question.kind == ANY;
        let when = |condition: bool, bits: u8| if condition { bits } else { 0 };
        if question.name == self.host {
            let (v4, v6) = (!self.v4(link).is_empty(), !self.v6(link).is_empty());
            let found = when(is(A) && v4, set::V4) | when(is(AAAA) && v6, set::V6);
            // Who asks for what is not there would wait in vain, unless told.
            if found == 0 || question.kind == NSEC { set::HOST_KINDS } else { found }
        } else if question.name == self.page {
            let found = when(is(SRV), set::PLACE) | when(is(TXT), set::TEXT);
            if found == 0 { set::PAGE_KINDS } else { found }
        } else if question.name == self.http {
            when(is(PTR), set::SERVICE)
        } else if question.name == self.types {
            when(is(PTR), set::TYPES)
        } else {
            0
        }
    }

    /// What will be asked for next by whoever asked for `answered`.
    pub fn additional(answered: u8) -> u8 {
        let addresses = set::V4 | set::V6;
        let mut more = 0;
        if answered & set::SERVICE != 0 {
            more |= set::PLACE | set::TEXT | addresses | set::HOST_KINDS;
        }
        if answered & (set::PLACE | addresses) != 0 {
            more |= addresses | set::HOST_KINDS;
        }
        more & !answered
    }

    /// The records of a set, as they are true on `link`.
    pub fn records(&self, bits: u8, link: &Link) -> Vec<Record> {
        let mut out = Vec::new();
        let mut add = |name: &Name, flushes: bool, ttl_s: u32, data: Data| {
            out.push(Record { name: name.clone(), flushes, ttl_s, data });
        };
        let (v4, v6) = (self.v4(link), self.v6(link));
        for bit in set::EACH.into_iter().filter(|bit| bits & bit != 0) {
            match bit {
                set::V4 => v4.iter().for_each(|one| add(&self.host, true, HOST_TTL_S, Data::A(*one))),
                set::V6 => v6.iter().for_each(|one| add(&self.host, true, HOST_TTL_S, Data::Aaaa(*one))),
                set::HOST_KINDS => {
                    let kinds = [(A, !v4.is_empty()), (AAAA, !v6.is_empty())];
                    let kinds = kinds.into_iter().filter(|(_, has)| *has).map(|(kind, _)| kind).collect();
                    add(&self.host, true, HOST_TTL_S, Data::Nsec(kinds));
                }
                set::SERVICE => add(&self.http, false, OTHER_TTL_S, Data::Ptr(self.page.clone())),
                set::PLACE => {
                    let place = Data::Srv { port: self.port, target: self.host.clone() };
                    add(&self.page, true, HOST_TTL_S, place);
                }
                set::TEXT => add(&self.page, true, OTHER_TTL_S, Data::Txt(texts())),
                set::TYPES => add(&self.types, false, OTHER_TTL_S, Data::Ptr(self.http.clone())),
                _ => add(&self.page, true, HOST_TTL_S, Data::Nsec(vec![TXT, SRV])),
            }
        }
        out
    }

    /// Whether a record of somebody's answer claims one of our names for another machine. Our own addresses on another
    /// network, and what a responder beside us says of this machine, claim nothing.
    pub fn is_claimed_by(&self, record: &Record, own: &[IpAddr]) -> bool {
        match &record.data {
            Data::A(address) => record.name == self.host && !own.contains(&IpAddr::V4(*address)),
            Data::Aaaa(address) => record.name == self.host && !own.contains(&IpAddr::V6(*address)),
            Data::Srv { port, target } => {
                record.name == self.page && (*port != self.port || *target != self.host)
            }
            Data::Ptr(_) | Data::Txt(_) | Data::Nsec(_) | Data::Other(..) => false,
        }
    }
}

fn texts() -> Vec<u8> {
    let mut out = Vec::new();
    for text in TEXTS {
        out.push(u8::try_from(text.len()).unwrap_or(0));
        out.extend(text.as_bytes());
    }
    out
}

/// Of two who want the same name at the same time the one with the later records keeps it (RFC 6762, section 8.2): whether
/// `ours` are the earlier ones. The same records are no rivals.
pub(super) fn is_outdone(ours: &[Record], theirs: &[Record]) -> bool {
    let sorted = |records: &[Record]| {
        let mut list: Vec<(u16, Vec<u8>)> =
            records.iter().map(|record| (record.data.kind(), record.data_bytes())).collect();
        list.sort();
        list
    };
    !theirs.is_empty() && sorted(ours) < sorted(theirs)
}
