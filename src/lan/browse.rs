//! Which Prusa printers the network's answers tell of: pure.
//!
//! Printers with a web server of their own announce `_prusalink._tcp`. PrusaLink on a Raspberry Pi announces that as well,
//! and `_http._tcp` under an instance that begins with its name, by which it is told from the other pages of a house.
//!
//! Bounds: [`SERVICES_MAX`] services, [`HOSTS_MAX`] hosts, kept no longer than [`KEPT_MAX`] without being heard again.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::model::text;
use crate::net::dns::{A, Data, Name, Packet, Question, Record, SRV};

/// Services that are remembered; a house has a handful, and what floods the network pushes out only older inventions.
pub const SERVICES_MAX: usize = 32;
/// Hosts whose addresses are remembered.
pub const HOSTS_MAX: usize = 64;
/// Longest time that something is kept; records say 2 min to 75 min, and a lie may say 136 years.
pub const KEPT_MAX: Duration = Duration::from_secs(600);
/// Questions of one packet about what a service's first answer left open.
const QUESTIONS_MAX: usize = 8;
/// How PrusaLink on a Raspberry Pi calls itself on `_http._tcp`.
const PI_INSTANCE: &[u8] = b"PrusaLink at ";

/// A Prusa printer that was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its name for people.
    pub name: Option<String>,
    /// Its name on the network.
    pub hostname: Option<String>,
    /// Its address.
    pub address: Ipv4Addr,
    /// The port of its page.
    pub port: u16,
    /// When a packet spoke of it last.
    pub heard: Mono,
}

#[derive(Debug)]
struct Service {
    instance: Name,
    place: Option<(Name, u16)>,
    heard: Mono,
    expires: Mono,
}

#[derive(Debug)]
struct Host {
    name: Name,
    address: Ipv4Addr,
    heard: Mono,
    expires: Mono,
}

/// What was heard.
#[derive(Debug)]
pub struct Browse {
    prusalink: Name,
    http: Name,
    services: Vec<Service>,
    hosts: Vec<Host>,
}

impl Default for Browse {
    fn default() -> Browse {
        let service = |name: &str| Name::new([name, "_tcp", "local"]).expect("a short name of three labels");
        Browse {
            prusalink: service("_prusalink"),
            http: service("_http"),
            services: Vec::new(),
            hosts: Vec::new(),
        }
    }
}

impl Browse {
    /// Takes in an answer.
    pub fn hear(&mut self, packet: &Packet, now: Mono) {
        if !packet.is_response {
            return;
        }
        self.services.retain(|service| now < service.expires);
        self.hosts.retain(|host| now < host.expires);
        for record in packet.records() {
            self.hear_service(record, now);
        }
        for record in packet.records() {
            self.hear_place(record, now);
        }
        // Addresses are kept of hosts of services only: a house is full of other answers.
        for record in packet.records() {
            self.hear_address(record, now);
        }
    }

    fn hear_service(&mut self, record: &Record, now: Mono) {
        let Data::Ptr(instance) = &record.data else { return };
        let is_printer = record.name == self.prusalink && instance.parent().as_ref() == Some(&self.prusalink);
        let is_page = record.name == self.http && instance.parent().as_ref() == Some(&self.http);
        let is_pi = is_page && instance.labels().next().is_some_and(|label| label.starts_with(PI_INSTANCE));
        if !is_printer && !is_pi {
            return;
        }
        let expires = expires(record, now);
        let found = self.services.iter_mut().find(|service| service.instance == *instance);
        match (found, record.ttl_s) {
            (Some(service), 0) => service.expires = now,
            (None, 0) => {}
            (Some(service), _) => (service.heard, service.expires) = (now, expires),
            (None, _) => {
                if self.services.len() >= SERVICES_MAX {
                    remove_oldest(&mut self.services, |service| service.expires);
                }
                self.services.push(Service { instance: instance.clone(), place: None, heard: now, expires });
            }
        }
    }

    fn hear_place(&mut self, record: &Record, now: Mono) {
        let Data::Srv { port, target } = &record.data else { return };
        let found = self.services.iter_mut().find(|service| service.instance == record.name);
        if let Some(service) = found.filter(|_| record.ttl_s > 0 && *port > 0) {
            service.place = Some((target.clone(), *port));
            service.heard = now;
            service.expires = service.expires.max(expires(record, now));
        }
    }

    fn hear_address(&mut self, record: &Record, now: Mono) {
        let Data::A(address) = record.data else { return };
        let is_asked =
            |service: &Service| service.place.as_ref().is_some_and(|(host, _)| *host == record.name);
        let is_host = !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast();
        if !is_host || !self.services.iter().any(is_asked) {
            return;
        }
        let expires = expires(record, now);
        let same = |host: &Host| host.name == record.name;
        if record.ttl_s == 0 {
            self.hosts.retain(|host| !(same(host) && host.address == address));
        } else if let Some(host) = self.hosts.iter_mut().find(|host| same(host)) {
            // The newest address: a printer has one.
            (host.address, host.heard, host.expires) = (address, now, expires);
        } else {
            if self.hosts.len() >= HOSTS_MAX {
                remove_oldest(&mut self.hosts, |host| host.expires);
            }
            self.hosts.push(Host { name: record.name.clone(), address, heard: now, expires });
        }
    }

    /// The printers whose address is known. One that announces two services is told once.
    #[must_use]
    pub fn announced(&self, now: Mono) -> Vec<Announced> {
        let mut found: Vec<Announced> = Vec::new();
        for service in self.services.iter().filter(|service| now < service.expires) {
            let Some((target, port)) = &service.place else { continue };
            let Some(host) = self.hosts.iter().find(|host| host.name == *target && now < host.expires) else {
                continue;
            };
            let label = service.instance.labels().next().map(String::from_utf8_lossy);
            let one = Announced {
                name: label.and_then(|label| text::name(&label)),
                hostname: target.host(),
                address: host.address,
                port: *port,
                heard: service.heard.max(host.heard),
            };
            match found.iter_mut().find(|other| (other.address, other.port) == (one.address, one.port)) {
                Some(other) => other.heard = other.heard.max(one.heard),
                None => found.push(one),
            }
        }
        found
    }

    /// The question that finds printers, and what is still open about those that were found.
    #[must_use]
    pub fn question(&self, now: Mono) -> Packet {
        let ask = |name: &Name, kind| Question { name: name.clone(), kind, is_unicast: false };
        let mut questions =
            vec![ask(&self.prusalink, crate::net::dns::PTR), ask(&self.http, crate::net::dns::PTR)];
        questions.extend(self.open(now));
        Packet { questions, ..Packet::default() }
    }

    /// Questions about services whose place or address is not known.
    fn open(&self, now: Mono) -> Vec<Question> {
        let open = self.services.iter().filter(|service| now < service.expires).filter_map(|service| {
            let (name, kind) = match &service.place {
                None => (service.instance.clone(), SRV),
                Some((host, _)) if !self.hosts.iter().any(|known| known.name == *host) => (host.clone(), A),
                Some(_) => return None,
            };
            Some(Question { name, kind, is_unicast: false })
        });
        open.take(QUESTIONS_MAX).collect()
    }

    /// The question about what is still open, if anything is.
    #[must_use]
    pub fn open_question(&self, now: Mono) -> Option<Packet> {
        let questions = self.open(now);
        (!questions.is_empty()).then(|| Packet { questions, ..Packet::default() })
    }
}

fn expires(record: &Record, now: Mono) -> Mono {
    now.after(Duration::from_secs(u64::from(record.ttl_s)).min(KEPT_MAX))
}

fn remove_oldest<T>(list: &mut Vec<T>, age: impl Fn(&T) -> Mono) {
    if let Some((at, _)) = list.iter().enumerate().min_by_key(|(_, one)| age(one)) {
        list.swap_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1_000_000);

    fn name(text: &str) -> Name {
        Name::new(text.split('.')).unwrap()
    }

    fn record(owner: Name, ttl_s: u32, data: Data) -> Record {
        Record { name: owner, flushes: false, ttl_s, data }
    }

    fn instance(label: &str, service: &str) -> Name {
        Name::new([label, service, "_tcp", "local"]).unwrap()
    }

    fn pointer(label: &str, service: &str) -> Record {
        let owner = Name::new([service, "_tcp", "local"]).unwrap();
        record(owner, 4500, Data::Ptr(instance(label, service)))
    }

    fn place(label: &str, service: &str, host: &str) -> Record {
        record(instance(label, service), 120, Data::Srv { port: 80, target: name(host) })
    }

    fn address(host: &str, last: u8) -> Record {
        record(name(host), 120, Data::A(Ipv4Addr::new(10, 0, 0, last)))
    }

    fn answer(answers: Vec<Record>, additionals: Vec<Record>) -> Packet {
        Packet { is_response: true, answers, additionals, ..Packet::default() }
    }

    #[test]
    fn a_printer_is_found_in_one_answer_or_in_three() {
        let expected = Announced {
            name: Some("prusa-mk4".into()),
            hostname: Some("prusa-mk4.local".into()),
            address: Ipv4Addr::new(10, 0, 0, 4),
            port: 80,
            heard: NOW,
        };
        let records = [
            pointer("prusa-mk4", "_prusalink"),
            place("prusa-mk4", "_prusalink", "prusa-mk4.local"),
            address("prusa-mk4.local", 4),
        ];
        let mut whole = Browse::default();
        whole.hear(&answer(vec![records[0].clone()], records[1..].to_vec()), NOW);
        assert_eq!(whole.announced(NOW), std::slice::from_ref(&expected));
        assert_eq!(whole.open_question(NOW), None);
        let mut parts = Browse::default();
        for (record, open) in records.into_iter().zip([Some(SRV), Some(A), None]) {
            assert!(parts.announced(NOW).is_empty());
            parts.hear(&answer(vec![record], vec![]), NOW);
            let asked = parts.open_question(NOW).map(|packet| packet.questions[0].kind);
            assert_eq!(asked, open);
        }
        assert_eq!(parts.announced(NOW), [expected]);
        assert_eq!(parts.question(NOW).questions.len(), 2);
    }

    #[test]
    fn prusalink_on_a_pi_is_one_printer_and_other_pages_are_none() {
        let mut browse = Browse::default();
        let mut all = Vec::new();
        for (label, service) in [
            ("PrusaLink at mk3", "_http"),
            ("PrusaLink at mk3", "_prusalink"),
            ("OctoPrint instance", "_http"),
            ("A television", "_http"),
        ] {
            all.extend([pointer(label, service), place(label, service, "mk3.local")]);
        }
        browse.hear(&answer(all, vec![address("mk3.local", 3)]), NOW);
        let found = browse.announced(NOW);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].hostname.as_deref(), Some("mk3.local"));
    }

    #[test]
    fn an_address_changes_and_what_is_taken_back_is_gone() {
        let mut browse = Browse::default();
        let all =
            vec![pointer("a", "_prusalink"), place("a", "_prusalink", "a.local"), address("a.local", 4)];
        browse.hear(&answer(all.clone(), vec![]), NOW);
        browse.hear(&answer(vec![address("a.local", 5)], vec![]), NOW);
        assert_eq!(browse.announced(NOW)[0].address, Ipv4Addr::new(10, 0, 0, 5));
        let mut goodbye = all[0].clone();
        goodbye.ttl_s = 0;
        browse.hear(&answer(vec![goodbye], vec![]), NOW);
        assert!(browse.announced(NOW).is_empty());
        // Whatever a record says, nothing is kept for long.
        browse.hear(&answer(all, vec![]), NOW);
        assert!(browse.announced(NOW.after(KEPT_MAX)).is_empty());
    }

    #[test]
    fn a_flood_stays_within_its_bounds() {
        let mut browse = Browse::default();
        for n in 0..1000 {
            let (label, host) = (format!("fake{n}"), format!("fake{n}.local"));
            let records =
                vec![pointer(&label, "_prusalink"), place(&label, "_prusalink", &host), address(&host, 9)];
            browse.hear(&answer(records, vec![address(&format!("other{n}.local"), 8)]), NOW);
        }
        assert!(browse.services.len() <= SERVICES_MAX && browse.hosts.len() <= HOSTS_MAX);
        assert!(browse.question(NOW).questions.len() <= 2 + QUESTIONS_MAX);
        let mut question = answer(vec![pointer("q", "_prusalink")], vec![]);
        question.is_response = false;
        let mut fresh = Browse::default();
        fresh.hear(&question, NOW);
        assert!(fresh.services.is_empty(), "known answers of somebody's question");
    }
}
