//! What the front's tests share: a front with a real `tiny_http` behind it, and a client of plain sockets.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use embedded_svc::http::server::{Connection, Handler, Method};
use serde_json::{Value, json};

use super::*;
use crate::base::clock::RELEASE_FLOOR;
use crate::web::respond::Reply;
use crate::web::server::{Answer, Call, Router, Server, ServerConfig, TinyConnection};

/// No test waits longer than this in real time for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Turns of [`Bench::advance_until`] at most.
const TURNS: usize = 20_000;

struct Source {
    clock: Clock,
    frames: smol::channel::Receiver<Frame>,
    opened: Arc<Mutex<Vec<StreamRequest>>>,
}

struct Stream {
    first: Option<Frame>,
    frames: smol::channel::Receiver<Frame>,
}

impl EventSource for Source {
    type Stream = Stream;

    async fn open(&self, request: StreamRequest) -> Result<Stream, ApiError> {
        if request.printer_id.as_deref() == Some("panic") {
            panic!("a defect in the source");
        }
        let first = request.after.is_none().then(|| frame(None, "snapshot", "{}"));
        self.opened.lock().unwrap().push(request);
        Ok(Stream { first, frames: self.frames.clone() })
    }

    fn ping(&self) -> Ping {
        Ping { now: self.clock.now().wall, seq: 41 }
    }
}

impl EventStream for Stream {
    async fn next(&mut self) -> Option<Frame> {
        match self.first.take() {
            Some(frame) => Some(frame),
            None => self.frames.recv().await.ok(),
        }
    }
}

struct Large;

impl LargeRoutes for Large {
    fn takes(&self, head: &Head) -> Option<u64> {
        (head.path() == "/large").then_some(1 << 20)
    }

    async fn serve(&self, mut exchange: Exchange<'_>) -> Result<(), LargeError> {
        if exchange.head().query() == "no" {
            return Err(ApiError::new(507, "NO_SPACE", "Full.").into());
        }
        let mut buffer = [0; 1000];
        let mut sum = 0_u64;
        loop {
            let count = exchange.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            sum += buffer[..count].iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
        let text = format!("{sum}");
        exchange.begin(200, &[("Content-Type", "text/plain")], Some(text.len() as u64)).await?;
        exchange.write(text.as_bytes()).await?;
        Ok(())
    }
}

/// Lets the test hold a handler and let it go.
#[derive(Default)]
pub(super) struct Hold {
    pub(super) inside: AtomicUsize,
    pub(super) open: Mutex<bool>,
    pub(super) changed: std::sync::Condvar,
}

impl Hold {
    fn wait(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn release(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

fn text<C: Connection>(_: &mut Call<'_, C>, size: usize) -> Answer {
    Ok(Reply::new(200, "text/plain", vec![b'x'; size]))
}

fn router(hold: Arc<Hold>, clock: Clock) -> Router<TinyConnection> {
    Router::new(clock)
        .api(Method::Get, "/hello", |call| {
            Reply::json(200, &json!({ "hello": call.query().get("who"), "peer": call.peer() }))
        })
        .api(Method::Post, "/echo", |call| Ok(Reply::new(200, "text/plain", call.body()?)))
        .api(Method::Get, "/big", |call| text(call, 300_000))
        .api(Method::Get, "/huge", |call| text(call, 600_000))
        .api(Method::Get, "/panic", |_| panic!("a defect in a handler"))
        .api(Method::Get, "/hold", move |_| {
            hold.wait();
            Ok(Reply::empty(204))
        })
        .page(Method::Get, "/", |_| Ok(Reply::new(200, "text/html", b"page".to_vec())))
}

/// Wraps the router so that `/half` ends in the middle of its answer.
struct Half(Router<TinyConnection>);

impl Handler<TinyConnection> for Half {
    type Error = std::io::Error;

    fn handle(&self, connection: &mut TinyConnection) -> std::io::Result<()> {
        use embedded_svc::http::Query as _;
        use embedded_svc::io::Write as _;
        if connection.uri().starts_with("/half") {
            connection.initiate_response(200, None, &[])?;
            connection.write(b"this is the first ha")?;
            panic!("in the middle");
        }
        self.0.handle(connection)
    }
}

pub(super) struct Bench {
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) stats: Arc<FrontStats>,
    pub(super) frames: smol::channel::Sender<Frame>,
    pub(super) opened: Arc<Mutex<Vec<StreamRequest>>>,
    pub(super) hold: Arc<Hold>,
    pub(super) stop: smol::channel::Sender<()>,
    pub(super) front: Option<JoinHandle<std::io::Result<()>>>,
    pub(super) server: Option<Server>,
    pub(super) directory: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Bench {
        let clock = Clock::manual(RELEASE_FLOOR);
        let directory = tempfile::tempdir().unwrap();
        let hold = Arc::new(Hold::default());
        let server = Server::start(
            ServerConfig::new(directory.path().join("web")),
            Half(router(Arc::clone(&hold), clock.clone())),
            clock.clone(),
            Arc::new(|_| {}),
        )
        .unwrap();
        let mut config = Config::default();
        change(&mut config);
        let (frames, receiver) = smol::channel::bounded(16);
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stats = Arc::new(FrontStats::default());
        let opened = Arc::new(Mutex::new(Vec::new()));
        let parts = (clock.clone(), server.backend(), Arc::clone(&stats), Arc::clone(&opened));
        let front = thread::spawn(move || {
            let (clock, backend, stats, opened) = parts;
            let front = Front {
                config,
                clock: clock.clone(),
                listener,
                backend,
                events: Source { clock, frames: receiver, opened },
                large: Large,
                stats,
                beat: Arc::new(|| {}),
            };
            smol::block_on(run(front, async move {
                let _ = stopped.recv().await;
            }))
        });
        Bench {
            address,
            clock,
            stats,
            frames,
            opened,
            hold,
            stop,
            front: Some(front),
            server: Some(server),
            directory,
        }
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(super) fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// One request on a connection of its own.
    pub(super) fn ask(&self, text: &str) -> Got {
        Got::read(&mut self.send(text))
    }

    pub(super) fn get(&self, path: &str) -> Got {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    pub(super) fn assert_alive(&self) {
        let got = self.get("/api/v1/hello?who=me");
        assert_eq!((got.status, &got.json()["hello"]), (200, &json!("me")));
    }

    /// Moves the clock in small steps until `done`; the front needs real time between them to notice.
    pub(super) fn advance_until(&self, step: Duration, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..TURNS {
            if done() {
                return;
            }
            self.clock.advance(step);
            thread::yield_now();
            thread::park_timeout(Duration::from_millis(1));
        }
        panic!("{what} did not happen");
    }

    /// Waits without moving the clock.
    pub(super) fn until(&self, what: &str, done: impl FnMut() -> bool) {
        self.advance_until(Duration::ZERO, what, done);
    }

    /// Moves the clock until the connection is closed; answers what came until then.
    pub(super) fn drain(&self, stream: &mut TcpStream, step: Duration) -> Vec<u8> {
        stream.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        self.advance_until(step, "the close", || {
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return true,
                    Ok(count) => all.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                    Err(_) => return true,
                }
            }
        });
        all
    }

    pub(super) fn count(&self, counter: &AtomicU64) -> u64 {
        counter.load(Ordering::SeqCst)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.hold.release();
        let _ = self.stop.try_send(());
        let front = self.front.take().unwrap();
        if !thread::panicking() {
            self.advance_until(Duration::from_millis(100), "the end of the front", || front.is_finished());
            front.join().unwrap().unwrap();
        }
        self.server.take().unwrap().stop();
    }
}

pub(super) struct Got {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Got {
    /// Reads one answer with a length, or until the close.
    pub(super) fn read(stream: &mut TcpStream) -> Got {
        let mut bytes = Vec::new();
        let mut one = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            match stream.read(&mut one) {
                Ok(1) => bytes.push(one[0]),
                other => panic!("no answer: {other:?} after {:?}", String::from_utf8_lossy(&bytes)),
            }
        }
        let head = String::from_utf8(bytes).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length =
            head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map(|n| n.parse().unwrap());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).unwrap();
        Got { status, head, body }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn code(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(json["status"], "error");
        assert!(json["message"].is_string() && json["timestamp"].is_string(), "{json}");
        (self.status, json["error_code"].as_str().unwrap().to_owned())
    }
}
