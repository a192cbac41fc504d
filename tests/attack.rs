//! The page under attack: the real program, plain sockets, everything a stranger on the network can do to a port.
//!
//! While each attack goes on a viewer asks for the page and for health and has to be answered; afterwards the process is
//! the same, its memory is below its limit, and its descriptors are back.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};

/// A viewer is answered within this time, whatever goes on; generous, because machines are shared.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most memory that the process may ever have had beside its program's pages: 25 MiB less the 9 MiB that an optimised
/// program has at the most.
const RSS_MAX_KIB: u64 = 16 * 1024;
/// Looks at the descriptors after an attack, 20 ms apart, before they have to be back.
const LOOKS: u32 = 1_500;

struct Service {
    child: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Service {
    /// Starts the program with at most `descriptors` of them.
    fn start(descriptors: u32) -> Service {
        let data = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_printernizer"))
            .env("PRINTERNIZER_NETWORK_FIND_PRINTERS", "false")
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Service { child, address, _data: data };
        for _ in 0..LOOKS {
            if service.ask("/api/v1/readiness").is_some() {
                return service;
            }
            pause(Duration::from_millis(20));
        }
        panic!("the service is not up");
    }

    /// What a viewer on the device gets for `path`: the status, or nothing.
    fn ask(&self, path: &str) -> Option<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        status(&exchange(TcpStream::connect(self.address).ok()?, request.as_bytes())?)
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// The most that the process ever held, without the pages of its program: those of an unoptimised build are many times
    /// the product's.
    fn peak_kib(&self) -> u64 {
        let status = self.proc("status");
        let field = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        field("VmHWM:").saturating_sub(field("RssFile:"))
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Runs `attack` while a viewer keeps asking; then nothing may have changed.
    fn endures(&mut self, what: &str, attack: impl FnOnce(SocketAddr) + Send) {
        let before = self.descriptors();
        let (over, seen) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let (over, seen, service) = (&over, &seen, &*self);
            let viewer = scope.spawn(move || {
                loop {
                    let last = over.load(Ordering::SeqCst);
                    for path in ["/", "/api/v1/health"] {
                        assert_eq!(service.ask(path), Some(200), "{what}: {path} was not answered");
                    }
                    seen.fetch_add(1, Ordering::SeqCst);
                    if last {
                        return;
                    }
                }
            });
            attack(service.address);
            over.store(true, Ordering::SeqCst);
            viewer.join().unwrap();
        });
        assert!(self.child.try_wait().unwrap().is_none(), "{what}: the process has ended");
        let peak = self.peak_kib();
        assert!(peak < RSS_MAX_KIB, "{what}: {peak} KiB");
        let mut left = LOOKS;
        while self.descriptors() > before + 2 {
            left -= 1;
            assert!(left > 0, "{what}: {} descriptors, {before} before", self.descriptors());
            pause(Duration::from_millis(20));
        }
        println!("{what}: the viewer was answered {} times, peak {peak} KiB", seen.load(Ordering::SeqCst));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pause between two looks at a process that tells nobody when it is done.
fn pause(time: Duration) {
    std::thread::park_timeout(time);
}

/// A connection from `127.0.number.1`: another address for the limits that count by address.
fn from_address(number: u8, to: SocketAddr) -> Option<TcpStream> {
    let socket: OwnedFd = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
    let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, number, 1), 0);
    rustix::net::bind(socket.as_fd(), &source).ok()?;
    let stream = TcpStream::from(socket);
    // A full backlog must not hold the attacker for ever.
    rustix::net::sockopt::set_socket_timeout(
        &stream,
        rustix::net::sockopt::Timeout::Send,
        Some(Duration::from_secs(5)),
    )
    .ok()?;
    rustix::net::connect(stream.as_fd(), &to).ok()?;
    Some(stream)
}

/// Sends `request` and reads the whole answer.
fn exchange(mut stream: TcpStream, request: &[u8]) -> Option<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // A refusal may come before everything was taken.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // A reset after the answer is fine: bytes that were not taken are the attacker's own.
    while let Ok(count) = stream.read(&mut piece) {
        if count == 0 || answer.len() > 1_000_000 {
            break;
        }
        answer.extend_from_slice(&piece[..count]);
    }
    (!answer.is_empty()).then_some(answer)
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

/// Closes with a reset instead of an orderly end.
fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

#[test]
fn the_page_stands() {
    let mut service = Service::start(256);

    service.endures("3000 resets", |to| {
        for round in 0..3_000_u32 {
            let Ok(mut stream) = TcpStream::connect(to) else { continue };
            let request: &[u8] = match round % 4 {
                0 => b"",
                1 => b"GET / HT",
                2 => b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
                _ => b"POST /api/v1/printers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n{",
            };
            let _ = stream.write_all(request);
            reset(stream);
        }
    });

    service.endures("1000 idle sockets", |to| {
        let held: Vec<_> =
            (0..1_000_u32).filter_map(|number| from_address(1 + (number % 50) as u8, to)).collect();
        assert!(held.len() > 200, "{} sockets", held.len());
        pause(Duration::from_secs(2));
    });

    service.endures("200 slow heads", |to| {
        let mut held: Vec<_> =
            (0..200_u32).filter_map(|number| from_address(60 + (number % 20) as u8, to)).collect();
        for _ in 0..12 {
            held.retain_mut(|stream| stream.write_all(b"X").is_ok());
            pause(Duration::from_millis(250));
        }
    });

    service.endures("heads of 50 MB", |to| {
        let line = format!("X-Long: {}\r\n", "a".repeat(1_000));
        for start in ["GET / HTTP/1.1\r\n", "G", "POST /api/v1/printers HTTP/1.1\r\n"] {
            let Some(mut stream) = from_address(200, to) else { continue };
            let _ = stream.write_all(start.as_bytes());
            for _ in 0..50_000 {
                if stream.write_all(line.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });

    service.endures("lying and double lengths", |to| {
        let cases: [(&str, &[u16]); 9] = [
            ("Content-Length: 99999999999999999999", &[400, 413]),
            ("Content-Length: 18446744073709551615", &[400, 413]),
            ("Content-Length: 4294967296", &[400, 413]),
            ("Content-Length: -1", &[400]),
            ("Content-Length: 5\r\nContent-Length: 6", &[400]),
            ("Content-Length: 5, 5", &[400]),
            ("Content-Length: +5", &[400]),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", &[400, 411]),
            ("Transfer-Encoding: \x0bchunked", &[400, 411]),
        ];
        for (header, allowed) in cases {
            let request =
                format!("POST /api/v1/printers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\nhello");
            let answer = exchange(from_address(200, to).unwrap(), request.as_bytes());
            let got = answer.as_deref().and_then(status);
            assert!(got.is_some_and(|got| allowed.contains(&got)), "{header:?}: {got:?}");
        }
    });

    service.endures("smuggling", |to| {
        // A second request in what some would take for a body: it is never answered as one of its own.
        for encoding in ["chunked", "identity, chunked", "xchunked", "chunked, identity", " chunked", "CHUNKED"] {
            let request = format!(
                "POST /api/v1/printers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {encoding}\r\nContent-Length: 4\r\n\r\n\
                 5c\r\nGET /api/v1/liveness HTTP/1.1\r\nHost: localhost\r\n\r\n0\r\n\r\n"
            );
            let answer = exchange(from_address(200, to).unwrap(), request.as_bytes()).unwrap();
            let text = String::from_utf8_lossy(&answer);
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{encoding}: {text}");
            assert!(status(&answer).is_some_and(|status| status >= 400), "{encoding}: {text}");
        }
    });

    service.endures("paths that climb", |to| {
        for path in [
            "/../../etc/passwd",
            "/..%2f..%2fetc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/assets/../../etc/passwd",
            "/api/v1/files/..%2f..%2fetc%2fpasswd/content",
            "/api/v1/library/files/../../etc/passwd/download",
            "//etc/passwd",
            "/%00",
            "/\\..\\..\\etc\\passwd",
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = exchange(from_address(200, to).unwrap(), request.as_bytes()).unwrap();
            let text = String::from_utf8_lossy(&answer);
            assert!(status(&answer).is_some_and(|status| (400..500).contains(&status)), "{path}: {text}");
            assert!(!text.contains("root:"), "{path}: {text}");
        }
    });

    service.endures("foreign hosts and origins", |to| {
        let body = r#"{"name":"x","printer_type":"bambu_lab","connection_config":{"ip_address":"192.0.2.1"}}"#;
        for (headers, expected) in [
            ("Host: evil.example", 421),
            ("Host: localhost.evil.example", 421),
            ("Host: localhost\r\nHost: evil.example", 400),
            ("Host: localhost\r\nOrigin: http://evil.example", 403),
            ("Host: localhost\r\nOrigin: null", 403),
        ] {
            let request = format!(
                "POST /api/v1/printers HTTP/1.1\r\n{headers}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = exchange(from_address(200, to).unwrap(), request.as_bytes());
            assert_eq!(answer.as_deref().and_then(status), Some(expected), "{headers:?}");
        }
    });

    service.endures("viewers that do not read", |to| {
        let mut held = Vec::new();
        for number in 0..40_u8 {
            let Some(mut stream) = from_address(100 + number % 10, to) else { continue };
            let _ = stream.write_all(b"GET /api/v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
            held.push(stream);
        }
        pause(Duration::from_secs(1));
    });
}

#[test]
fn the_page_outlives_a_shortage_of_descriptors() {
    let mut service = Service::start(64);
    service.endures("more sockets than descriptors", |to| {
        let held: Vec<_> =
            (0..400_u32).filter_map(|number| from_address(1 + (number % 100) as u8, to)).collect();
        assert!(held.len() > 64, "{} sockets", held.len());
        pause(Duration::from_secs(3));
    });
    service.endures("and afterwards a stream", |to| {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line == "event: snapshot")), "no snapshot came");
    });
}
