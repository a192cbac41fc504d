//! A tiny FTPS client for the tests. It trusts everybody and does one thing after the other.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use super::{PATIENCE, Seen};

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A control connection.
pub struct Ftp {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    control: TlsStream,
    unread: Vec<u8>,
    /// Whether data connections are encrypted.
    pub is_private: bool,
    /// Whether data connections forget the session.
    pub forgets: bool,
}

/// A data connection and what came of it.
pub enum Data {
    Clear(TcpStream),
    Private(Box<TlsStream>),
}

/// What a transfer brought.
#[derive(Debug)]
pub struct Got {
    pub bytes: Vec<u8>,
    /// Whether the end was a proper one.
    pub is_clean: bool,
    /// The last answer.
    pub answer: String,
}

fn config(resumption: Resumption) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Seen::default()))
        .with_no_client_auth();
    config.resumption = resumption;
    Arc::new(config)
}

fn shake(config: &Arc<ClientConfig>, mut socket: TcpStream) -> io::Result<TlsStream> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::from(socket.peer_addr()?.ip());
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

impl Ftp {
    /// Connects; nothing is read yet.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let config = config(Resumption::in_memory_sessions(4));
        let control = shake(&config, TcpStream::connect(address)?)?;
        Ok(Self { address, config, control, unread: Vec::new(), is_private: true, forgets: false })
    }

    /// Connects, logs in and asks for binary, private transfers.
    pub fn open(address: SocketAddr, code: &str) -> Self {
        let mut ftp = Self::connect(address).unwrap();
        assert_eq!(ftp.answer().unwrap().split(' ').next(), Some("220"));
        assert!(ftp.ask("USER bblp").starts_with("331"));
        assert!(ftp.ask(&format!("PASS {code}")).starts_with("230"));
        for command in ["TYPE I", "PBSZ 0", "PROT P"] {
            assert!(ftp.ask(command).starts_with("200"), "{command}");
        }
        ftp
    }

    /// Takes over what another client remembers of its TLS session.
    pub fn lend_session_of(&mut self, other: &Self) {
        self.config = Arc::clone(&other.config);
    }

    pub fn send(&mut self, command: &str) -> io::Result<()> {
        self.control.write_all(format!("{command}\r\n").as_bytes())?;
        self.control.flush()
    }

    /// The next answer, the lines of a long one together.
    pub fn answer(&mut self) -> io::Result<String> {
        let mut lines = String::new();
        loop {
            let line = self.line()?;
            let is_last =
                line.as_bytes().get(3) != Some(&b'-') && line.starts_with(|c: char| c.is_ascii_digit());
            lines.push_str(&line);
            if is_last {
                return Ok(lines);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut part = [0; 1_024];
            match self.control.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.unread.extend_from_slice(&part[..count]),
            }
        }
    }

    pub fn ask(&mut self, command: &str) -> String {
        self.try_ask(command).unwrap()
    }

    pub fn try_ask(&mut self, command: &str) -> io::Result<String> {
        self.send(command)?;
        self.answer()
    }

    pub fn size(&mut self, path: &str) -> Option<u64> {
        self.ask(&format!("SIZE {path}")).strip_prefix("213 ").map(|size| size.parse().unwrap())
    }

    /// Opens the data connection in TCP.
    pub fn passive(&mut self) -> TcpStream {
        let answer = self.ask("PASV");
        assert!(answer.starts_with("227"), "{answer}");
        let numbers: Vec<u16> = answer[answer.find('(').unwrap() + 1..answer.find(')').unwrap()]
            .split(',')
            .map(|n| n.parse().unwrap())
            .collect();
        let socket = TcpStream::connect((self.address.ip(), numbers[4] << 8 | numbers[5])).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Begins a transfer; the answer is an error when it is not 150.
    pub fn begin(&mut self, command: &str) -> Result<Data, String> {
        let socket = self.passive();
        let answer = self.ask(command);
        if !answer.starts_with("150") {
            return Err(answer);
        }
        if !self.is_private {
            return Ok(Data::Clear(socket));
        }
        let config = if self.forgets { config(Resumption::disabled()) } else { Arc::clone(&self.config) };
        let stream = shake(&config, socket).map_err(|error| error.to_string())?;
        Ok(Data::Private(Box::new(stream)))
    }

    /// A whole transfer.
    pub fn fetch(&mut self, command: &str) -> Result<Got, String> {
        let (bytes, is_clean) = self.begin(command)?.read_to_end();
        let answer = self.answer().map_err(|error| error.to_string())?;
        Ok(Got { bytes, is_clean, answer })
    }

    /// The file, which has to come whole.
    pub fn file(&mut self, path: &str) -> Vec<u8> {
        let got = self.fetch(&format!("RETR {path}")).unwrap();
        assert!(got.is_clean && got.answer.starts_with("226"), "{}", got.answer);
        got.bytes
    }

    /// The lines of a listing.
    pub fn list(&mut self, folder: &str) -> Vec<String> {
        assert!(self.ask(&format!("CWD {folder}")).starts_with("250"), "{folder}");
        let got = self.fetch("LIST").unwrap();
        assert!(got.answer.starts_with("226"), "{}", got.answer);
        String::from_utf8(got.bytes).unwrap().lines().map(str::to_owned).collect()
    }

    pub fn quit(mut self) {
        assert!(self.ask("QUIT").starts_with("221"));
    }

    /// Ends the connection without a word.
    pub fn cut(&self) {
        let _ = self.control.sock.shutdown(std::net::Shutdown::Both);
    }

    /// Whether the server says nothing for a moment.
    pub fn is_silent(&mut self) -> bool {
        self.control.sock.set_read_timeout(Some(super::MOMENT)).unwrap();
        let result = self.answer();
        self.control.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }
}

impl Data {
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.read(into),
            Self::Private(stream) => stream.read(into),
        }
    }

    /// Everything, and whether the end was a proper one.
    pub fn read_to_end(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let mut part = vec![0; 16 * 1024];
        loop {
            match self.read(&mut part) {
                Ok(0) => return (bytes, true),
                Ok(count) => bytes.extend_from_slice(&part[..count]),
                Err(_) => return (bytes, false),
            }
        }
    }

    pub fn is_resumed(&self) -> bool {
        match self {
            Self::Clear(_) => false,
            Self::Private(stream) => stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}
