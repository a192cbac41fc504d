//! A strict HTTP client on one socket. It knows nothing of printers but their password.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use simulator::prusa::{Command, Config, Model, NewFile, Printer, md5};

/// Longer than anything on a loaded machine, short enough for a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// A wait for what must not come.
pub const MOMENT: Duration = Duration::from_millis(300);
pub const PASSWORD: &str = "maker-pass-1234";

/// A printer whose clock stands, with some files.
pub fn printer() -> Printer {
    with(|_| {})
}

pub fn with(change: impl FnOnce(&mut Config)) -> Printer {
    let mut config = Config::manual(Model::Mk4, PASSWORD);
    config.files = vec![
        NewFile::new("Spice rack.gcode"),
        NewFile::new("Für Oma/Würfel groß 100 %.bgcode"),
        NewFile::bytes("Für Oma/Notes.txt", b"hello".to_vec()),
        NewFile::bytes(".hidden", vec![1]),
    ];
    change(&mut config);
    Printer::start(config).unwrap()
}

pub fn advance(printer: &Printer, seconds: f64) {
    printer.command(Command::Advance { seconds }).unwrap();
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// The head without its first line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Nonce and stale of a challenge.
    pub fn challenge(&self) -> (String, bool) {
        let text = self.field("WWW-Authenticate").unwrap();
        let rest = text.strip_prefix("Digest realm=\"Printer API\", nonce=\"").unwrap();
        let (nonce, stale) = rest.split_once("\", stale=").unwrap();
        (nonce.to_owned(), stale == "true")
    }
}

pub struct Client {
    pub socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, buffer: Vec::new() }
    }

    pub fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).unwrap();
    }

    /// A request with the key.
    pub fn ask(&mut self, method: &str, target: &str) -> Answer {
        self.ask_with(method, target, &format!("X-Api-Key: {PASSWORD}\r\n"))
    }

    pub fn ask_with(&mut self, method: &str, target: &str, fields: &str) -> Answer {
        self.try_ask(method, target, fields).unwrap()
    }

    pub fn try_ask(&mut self, method: &str, target: &str, fields: &str) -> io::Result<Answer> {
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: printer\r\n{fields}\r\n"));
        self.answer(method)
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target)
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut part = [0; 16 * 1024];
        let count = self.socket.read(&mut part)?;
        self.buffer.extend_from_slice(&part[..count]);
        Ok(count)
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if self.more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.take(end + 2)?;
                return Ok(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            if self.more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap().parse().unwrap();
        let mut head = String::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            head += &line;
            head.push('\n');
        }
        let mut answer = Answer { status, head, body: Vec::new() };
        if method == "HEAD" {
            return Ok(answer);
        }
        answer.body = match (answer.field("Content-Length"), answer.field("Transfer-Encoding")) {
            (Some(length), None) => self.take(length.parse().unwrap())?,
            (None, Some("chunked")) => self.chunks()?,
            (None, None) => self.rest()?,
            other => panic!("{other:?}"),
        };
        Ok(answer)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let count = usize::from_str_radix(&size, 16).unwrap();
            assert_eq!(size.len(), if count == 0 { 1 } else { 4 }, "{size}");
            body.extend(self.take(count)?);
            assert_eq!(self.line()?, "");
            if count == 0 {
                return Ok(body);
            }
        }
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more()? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    pub fn is_ended(&mut self) -> bool {
        matches!(self.rest(), Ok(rest) if rest.is_empty())
    }

    /// Whether nothing at all arrives for a moment.
    pub fn is_quiet(&mut self) -> bool {
        self.socket.set_read_timeout(Some(MOMENT)).unwrap();
        let result = self.more();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}

/// One request on a connection of its own, with the key.
pub fn once(printer: &Printer, method: &str, target: &str) -> Answer {
    Client::new(printer.addr()).ask(method, target)
}

pub fn get(printer: &Printer, target: &str) -> Answer {
    once(printer, "GET", target)
}

/// The field with the answer to a challenge, as RFC 2069 wants it.
pub fn digest(password: &str, nonce: &str, method: &str, target: &str) -> String {
    let user = md5::hex(format!("maker:Printer API:{password}").as_bytes());
    let question = md5::hex(format!("{method}:{target}").as_bytes());
    let response = md5::hex(format!("{user}:{nonce}:{question}").as_bytes());
    format!(
        "Authorization: Digest username=\"maker\", realm=\"Printer API\", nonce=\"{nonce}\", uri=\"{target}\", \
         response=\"{response}\"\r\n"
    )
}
