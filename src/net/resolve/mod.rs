//! Host texts to addresses, with a deadline and without holding up the executor.
//!
//! * Literals (IPv4, IPv6 with or without brackets, scope ids as numbers or interface names) are read at once.
//! * Names ending in `.local` are asked for by multicast first: the static C library of the image has no
//!   plug-ins for them. If nobody answers, the system is asked like for any other name.
//! * Other names go to the system's resolver, which blocks: on a short-lived thread of its own, at most
//!   [`LOOKUPS_MAX`] at once. When time runs out the answer is abandoned, and the thread keeps its place until the system
//!   lets go of it, so hanging lookups cannot pile up.
//!
//! Of several addresses the first IPv4 one is taken, else the first of all in the resolver's order. Peers on a local
//! network all speak IPv4, some announce IPv6 addresses they hardly serve, and a choice that does not change from one
//! attempt to the next can be understood from a log. Nothing is cached here: an address is looked up when a connection is
//! made, so a peer that moves is found again with the next attempt.

mod mdns;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use smol::lock::Semaphore;

use crate::base::clock::{Clock, within};

/// Lookups by the system that may run at once. Two, so that one name whose server is dead does not block all others.
pub const LOOKUPS_MAX: usize = 2;

/// How long a name may take to resolve, everything included.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The stack of a lookup's thread. The system's resolver keeps its packets on the stack, plug-ins want more than it does.
const STACK_BYTES: usize = 256 * 1024;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// Longest host text, in bytes: DNS ends at 253; a literal with a scope is shorter.
const HOST_BYTES_MAX: usize = 253;

/// The end of names that are asked for by multicast.
const MULTICAST_SUFFIX: &str = ".local";

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Turns host texts into addresses. Clones share the limit on lookups.
#[derive(Clone)]
pub struct Resolver {
    clock: Clock,
    places: Arc<Semaphore>,
    lookup: Arc<Lookup>,
    /// Where multicast questions go; a test has its own responder.
    group: SocketAddr,
}

impl Resolver {
    /// A resolver that asks the system and the local network.
    #[must_use]
    pub fn new(clock: Clock) -> Resolver {
        Resolver {
            clock,
            places: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            lookup: Arc::new(|host, port| Ok((host, port).to_socket_addrs()?.take(ADDRESSES_MAX).collect())),
            group: mdns::GROUP,
        }
    }

    /// The address of `host` with `port`, within [`DEADLINE`].
    ///
    /// # Errors
    /// [`ResolveError`] if the text is no host, nobody knows it, or time ran out.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, ResolveError> {
        let host = host.trim();
        if let Some(address) = literal(host, port)? {
            return Ok(address);
        }
        if !is_name(host) {
            return Err(ResolveError::NotAHost { host: shown(host) });
        }
        match within(&self.clock, DEADLINE, self.ask(host, port)).await {
            Some(answer) => answer,
            None => Err(ResolveError::TimedOut { host: host.to_owned() }),
        }
    }

    async fn ask(&self, host: &str, port: u16) -> Result<SocketAddr, ResolveError> {
        let relative = host.strip_suffix('.').unwrap_or(host);
        if ends_with_ignoring_case(relative, MULTICAST_SUFFIX) {
            // No answer and no multicast route mean the same: somebody else may know the name.
            match mdns::ask(&self.clock, self.group, relative).await {
                Ok(Some(ip)) => return Ok(SocketAddr::new(ip, port)),
                Ok(None) => log::debug!("resolve: nobody on the local network answers to {relative}"),
                Err(error) => log::debug!("resolve: {relative} cannot be asked for by multicast: {error}"),
            }
        }
        self.ask_system(host, port).await
    }

    async fn ask_system(&self, host: &str, port: u16) -> Result<SocketAddr, ResolveError> {
        let unknown = |reason: String| ResolveError::Unknown { host: host.to_owned(), reason };
        let place = self.places.acquire_arc().await;
        let (tell, told) = smol::channel::bounded(1);
        let (lookup, name) = (Arc::clone(&self.lookup), host.to_owned());
        let thread = std::thread::Builder::new().name("resolve".to_owned()).stack_size(STACK_BYTES);
        thread
            .spawn(move || {
                let answer = lookup(&name, port);
                // Whoever asked may have gone away.
                let _ = tell.try_send(answer);
                drop(place);
            })
            .map_err(|error| unknown(format!("no thread for the lookup: {error}")))?;
        let addresses = match told.recv().await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return Err(unknown(error.to_string())),
            Err(_closed) => return Err(unknown("the lookup failed".to_owned())),
        };
        choose(&addresses).ok_or_else(|| unknown("the name has no address".to_owned()))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("group", &self.group).finish_non_exhaustive()
    }
}

/// Why a host text has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// The text is neither an address nor a host name.
    NotAHost {
        /// The beginning of the text.
        host: String,
    },
    /// The address names an interface that does not exist here.
    NoInterface {
        /// The interface's name.
        name: String,
    },
    /// Nobody knows the name.
    Unknown {
        /// The name.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// No answer came in time.
    TimedOut {
        /// The name.
        host: String,
    },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::NotAHost { host } => write!(f, "`{host}` is neither an address nor a host name"),
            ResolveError::NoInterface { name } => write!(f, "there is no network interface `{name}`"),
            ResolveError::Unknown { host, reason } => write!(f, "the name {host} is not known: {reason}"),
            ResolveError::TimedOut { host } => {
                write!(f, "nobody told the address of {host} within {} s", DEADLINE.as_secs())
            }
        }
    }
}

impl std::error::Error for ResolveError {}

/// The address that `text` is, if it is one.
fn literal(text: &str, port: u16) -> Result<Option<SocketAddr>, ResolveError> {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if bracketed.is_none()
        && let Ok(address) = text.parse::<IpAddr>()
    {
        return Ok(Some(SocketAddr::new(address, port)));
    }
    let (address, scope) = match bracketed.unwrap_or(text).split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (bracketed.unwrap_or(text), None),
    };
    let Ok(address) = address.parse::<Ipv6Addr>() else { return Ok(None) };
    let scope = scope.map_or(Ok(0), scope_id)?;
    Ok(Some(SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope))))
}

/// The number of an interface that is given as a number or as a name.
fn scope_id(scope: &str) -> Result<u32, ResolveError> {
    if let Ok(number) = scope.parse::<u32>() {
        return Ok(number);
    }
    let unknown = || ResolveError::NoInterface { name: shown(scope) };
    // Any socket can be asked for the number.
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)
        .map_err(|_errno| unknown())?;
    rustix::net::netdevice::name_to_index(&socket, scope).map_err(|_errno| unknown())
}

/// Whether this can be a host name: letters, digits, hyphens, underscores and dots, and no empty label inside.
fn is_name(text: &str) -> bool {
    let relative = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    relative.len() <= HOST_BYTES_MAX && relative.split('.').all(label)
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    let start = text.len().saturating_sub(end.len());
    text.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// The beginning of a text that was typed by somebody, for an error.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// The first IPv4 address, else the first address.
fn choose(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    addresses.iter().find(|address| address.is_ipv4()).or_else(|| addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use super::*;
    use crate::base::clock::RELEASE_FLOOR;

    /// A resolver whose system is a function and whose multicast group nobody listens to.
    fn resolver(
        clock: &Clock,
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Resolver {
        Resolver {
            clock: clock.clone(),
            places: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            lookup: Arc::new(move |host, _port| lookup(host)),
            group: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
        }
    }

    fn unreached() -> Resolver {
        resolver(&Clock::manual(RELEASE_FLOOR), |host| panic!("{host} must not be looked up"))
    }

    fn now(host: &str) -> Result<SocketAddr, ResolveError> {
        smol::block_on(unreached().resolve(host, 80))
    }

    #[test]
    fn literals_are_read_at_once() {
        for (host, expected) in [
            ("192.168.1.7", "192.168.1.7:80"),
            (" 10.0.0.1 ", "10.0.0.1:80"),
            ("::1", "[::1]:80"),
            ("[fd00::2]", "[fd00::2]:80"),
            ("fe80::1%7", "[fe80::1%7]:80"),
            ("[fe80::1%7]", "[fe80::1%7]:80"),
            ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:80"),
        ] {
            assert_eq!(now(host), Ok(expected.parse().unwrap()), "{host}");
        }
        let Ok(SocketAddr::V6(named)) = now("fe80::1%lo") else {
            panic!("the loopback interface has a number")
        };
        assert_ne!(named.scope_id(), 0);
        let none = ResolveError::NoInterface { name: "nosuch0".to_owned() };
        assert_eq!(now("fe80::1%nosuch0"), Err(none));
    }

    #[test]
    fn texts_that_are_no_hosts_reach_nobody() {
        let long = format!("{}.de", "a".repeat(64));
        let longer = vec!["abc"; 70].join(".");
        for host in
            ["", ".", "a..b", "a b", "a/b", "http://a", "a:80", "[::1", "[1.2.3.4]", "ä.de", "a\0b", &long]
        {
            assert!(matches!(now(host), Err(ResolveError::NotAHost { .. })), "{host:?}");
        }
        assert!(matches!(now(&longer), Err(ResolveError::NotAHost { .. })));
    }

    #[test]
    fn ipv4_is_preferred_and_the_order_kept() {
        let addresses =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|t| t.parse().unwrap()).collect() };
        let chosen = |texts: &[&str]| choose(&addresses(texts)).map(|address| address.to_string());
        assert_eq!(chosen(&["[fd00::1]:1", "10.0.0.2:1", "10.0.0.1:1"]).as_deref(), Some("10.0.0.2:1"));
        assert_eq!(chosen(&["[fd00::2]:1", "[fd00::1]:1"]).as_deref(), Some("[fd00::2]:1"));
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn answers_and_failures_of_the_system_come_through() {
        let clock = Clock::manual(RELEASE_FLOOR);
        let resolver = resolver(&clock, |host| match host {
            "known" => Ok(vec!["10.0.0.9:80".parse().unwrap()]),
            "empty" => Ok(Vec::new()),
            "broken" => panic!("a lookup failed on purpose"),
            _ => Err(io::Error::other("no such name")),
        });
        smol::block_on(async {
            assert_eq!(resolver.resolve("known", 80).await, Ok("10.0.0.9:80".parse().unwrap()));
            for host in ["empty", "strange", "broken", "broken", "broken"] {
                let Err(ResolveError::Unknown { host: named, .. }) = resolver.resolve(host, 80).await else {
                    panic!("{host} is not known")
                };
                assert_eq!(named, host);
            }
            assert!(resolver.resolve("known", 80).await.is_ok(), "failed lookups give their places back");
        });
    }

    #[test]
    fn hanging_lookups_are_abandoned_but_keep_their_places() {
        let clock = Clock::manual(RELEASE_FLOOR);
        let (release, released) = smol::channel::bounded::<()>(1);
        let begun = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&begun);
        let resolver = resolver(&clock, move |host| {
            seen.lock().unwrap().push(host.to_owned());
            let _ = released.recv_blocking();
            Ok(vec!["10.0.0.9:80".parse().unwrap()])
        });
        smol::block_on(async {
            let all = async {
                let (a, (b, c)) = smol::future::zip(
                    resolver.resolve("a", 80),
                    smol::future::zip(resolver.resolve("b", 80), resolver.resolve("c", 80)),
                )
                .await;
                [a, b, c]
            };
            let driver = async {
                while begun.lock().unwrap().len() < LOOKUPS_MAX {
                    smol::Timer::after(Duration::from_millis(1)).await;
                }
                clock.advance(DEADLINE);
            };
            for answer in smol::future::zip(all, driver).await.0 {
                assert!(matches!(answer, Err(ResolveError::TimedOut { .. })), "{answer:?}");
            }
            assert_eq!(begun.lock().unwrap().len(), LOOKUPS_MAX, "the third never began");
            release.close();
            assert!(resolver.resolve("d", 80).await.is_ok(), "places come back when the system lets go");
        });
    }

    #[test]
    fn the_real_system_knows_localhost() {
        let resolver = Resolver::new(Clock::system());
        let address = smol::block_on(resolver.resolve("localhost", 8883)).unwrap();
        assert!(address.ip().is_loopback());
        assert_eq!(address.port(), 8883);
    }

    #[test]
    fn local_names_fall_back_to_the_system() {
        // Nobody listens on the discard port, so the question is refused or lost; the clock is moved past the wait.
        let clock = Clock::manual(RELEASE_FLOOR);
        let resolver = resolver(&clock, |host| {
            assert_eq!(host, "peer.LOCAL.");
            Ok(vec!["10.0.0.9:80".parse().unwrap()])
        });
        let asking = resolver.resolve("peer.LOCAL.", 80);
        let driver = async {
            loop {
                smol::Timer::after(Duration::from_millis(5)).await;
                clock.advance(Duration::from_secs(1));
            }
        };
        let answer = smol::block_on(smol::future::or(asking, driver));
        assert_eq!(answer, Ok("10.0.0.9:80".parse().unwrap()));
    }
}
