//! An FTPS peer that follows a script: a small server over rustls whose every step can be made to go wrong.
//!
//! The default script is a good peer with one file. It serves any path with the same content.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;
use super::certificates::Identity;
use super::scripted::{Scripted, TlsStream, server_config};

/// How long a peer is late or slow: long beside a working answer, short for a test.
pub const A_WHILE: Duration = Duration::from_millis(200);

/// What the peer does. Replies are given without their line end.
#[derive(Clone)]
pub struct Script {
    pub content: Vec<u8>,
    pub list: Vec<u8>,
    /// The raw bytes of the greeting.
    pub greeting: Greeting,
    /// The answer to the password.
    pub pass: &'static str,
    /// The answer to `PROT P`.
    pub prot_private: &'static str,
    /// The answer to `PROT C`.
    pub prot_clear: &'static str,
    /// Says yes to `PROT P` and sends data in clear text all the same.
    pub forgets_protection: bool,
    /// The answer to `PASV` instead of a true one. `{}` stands for the two numbers of the true port.
    pub pasv: &'static str,
    /// The answer to `REST`.
    pub rest: &'static str,
    /// The answer to `SIZE` instead of a true one.
    pub size: Option<&'static str>,
    pub begin: Begin,
    pub sent: Sent,
    pub goodbye: Goodbye,
    /// The raw bytes of the answer after a transfer.
    pub end: &'static [u8],
    /// That answer comes late.
    pub end_is_late: bool,
    pub reuse: Reuse,
    /// The command whose answer comes in clear text.
    pub clear_text_after: &'static str,
    /// The command after which the peer hangs up.
    pub hangs_up_after: &'static str,
}

/// What the peer says first.
#[derive(Clone, Copy)]
pub enum Greeting {
    Says(&'static [u8]),
    /// The same bytes for ever.
    Endless(&'static [u8]),
    /// A byte now and then, for ever.
    Drips,
    Nothing,
}

/// What comes after `RETR` or `LIST`.
#[derive(Clone, Copy)]
pub enum Begin {
    /// 150, then TLS; the peer looks that nothing comes the other way round.
    Opens,
    /// A refusal instead.
    Refuses(&'static str),
    /// TLS first, then 150: both sides wait for each other.
    WaitsForTls,
}

/// Which bytes are sent.
#[derive(Clone, Copy)]
pub enum Sent {
    Everything,
    /// Only so many.
    Some(usize),
    /// So many, and then nothing while the connection stays open.
    StallsAfter(usize),
    /// One encrypted byte after the other, with pauses.
    Drips,
}

/// How the data connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    Proper,
    /// Without close_notify.
    None,
    /// It stays open until the client ends it.
    StaysOpen,
}

/// What is asked of the data connection's TLS session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    Demanded,
    /// Demanded, but the peer has forgotten all sessions.
    Impossible,
    NotNeeded,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            content: vec![b'x'; 100_000],
            list: Vec::new(),
            greeting: Greeting::Says(b"220-Hello\r\n220 ready\r\n"),
            pass: "230 welcome",
            prot_private: "200 private",
            prot_clear: "200 clear",
            forgets_protection: false,
            pasv: "227 Entering Passive Mode (0,0,0,0,{})",
            rest: "350 go on",
            size: None,
            begin: Begin::Opens,
            sent: Sent::Everything,
            goodbye: Goodbye::Proper,
            end: b"226 done\r\n",
            end_is_late: false,
            reuse: Reuse::Demanded,
            clear_text_after: "never",
            hangs_up_after: "never",
        }
    }
}

/// A listening peer.
pub struct FtpPeer {
    server: Scripted,
    commands: Arc<Mutex<Vec<String>>>,
}

impl FtpPeer {
    pub fn start(identity: &Identity, script: Script) -> FtpPeer {
        let mut config = server_config(identity, &[&rustls::version::TLS12]);
        config.session_storage = match script.reuse {
            Reuse::Impossible => Arc::new(NoServerSessionStorage {}),
            Reuse::Demanded | Reuse::NotNeeded => ServerSessionMemoryCache::new(8),
        };
        let config = Arc::new(config);
        let commands = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&commands);
        let server = Scripted::tcp(move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let control = StreamOwned::new(session, stream);
            let mut client = Client {
                script: &script,
                config: Arc::clone(&config),
                commands: &seen,
                control,
                passive: None,
                private: false,
                offset: 0,
            };
            // A client that goes away is the end of a script and not a failure.
            let _ = client.serve();
        });
        FtpPeer { server, commands }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The commands that came, of all connections.
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

/// The end of a conversation.
struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Gone {
        Gone
    }
}

struct Client<'a> {
    script: &'a Script,
    config: Arc<ServerConfig>,
    commands: &'a Mutex<Vec<String>>,
    control: TlsStream,
    passive: Option<TcpListener>,
    private: bool,
    offset: usize,
}

enum Data {
    Clear(TcpStream),
    Private(Box<TlsStream>),
}

impl<'a> Client<'a> {
    fn serve(&mut self) -> Result<(), Gone> {
        match self.script.greeting {
            Greeting::Says(bytes) => self.control.write_all(bytes)?,
            Greeting::Endless(bytes) => loop {
                self.control.write_all(bytes)?;
            },
            Greeting::Drips => loop {
                self.control.write_all(b"2")?;
                self.control.flush()?;
                pause(A_WHILE / 10);
            },
            Greeting::Nothing => {}
        }
        self.control.flush()?;
        loop {
            let line = self.line()?;
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            self.commands.lock().unwrap().push(line.clone());
            if verb == self.script.hangs_up_after {
                return Err(Gone);
            }
            if verb == self.script.clear_text_after {
                self.control.sock.write_all(b"500 OOPS: in clear text\r\n")?;
                return self.until_gone();
            }
            self.obey(verb, argument)?;
        }
    }

    fn obey(&mut self, verb: &str, argument: &str) -> Result<(), Gone> {
        match verb {
            "USER" => self.say("331 and the password?"),
            "PASS" => self.say(self.script.pass),
            "TYPE" | "PBSZ" => self.say("200 fine"),
            "PROT" => {
                let answer = if argument == "P" { self.script.prot_private } else { self.script.prot_clear };
                if answer.starts_with('2') {
                    self.private = argument == "P" && !self.script.forgets_protection;
                }
                self.say(answer)
            }
            "CWD" => self.say("250 there"),
            "SIZE" => {
                let size = format!("213 {}", self.script.content.len());
                self.say(self.script.size.unwrap_or(&size))
            }
            "PASV" => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                rustix::net::sockopt::set_socket_timeout(
                    &listener,
                    rustix::net::sockopt::Timeout::Recv,
                    Some(PATIENCE),
                )
                .unwrap();
                let [high, low] = listener.local_addr()?.port().to_be_bytes();
                self.passive = Some(listener);
                self.say(&self.script.pasv.replace("{}", &format!("{high},{low}")))
            }
            "REST" => {
                if self.script.rest.starts_with('3') {
                    self.offset = argument.parse().unwrap();
                }
                self.say(self.script.rest)
            }
            "RETR" => {
                let from = std::mem::take(&mut self.offset);
                self.transfer(&self.script.content[from..])
            }
            "LIST" => self.transfer(&self.script.list),
            "QUIT" => {
                self.say("221 bye")?;
                Err(Gone)
            }
            _ => self.say("500 what?"),
        }
    }

    fn transfer(&mut self, bytes: &'a [u8]) -> Result<(), Gone> {
        let listener = self.passive.take().expect("PASV comes before a transfer");
        let data = match self.script.begin {
            Begin::Refuses(refusal) => return self.say(refusal),
            Begin::Opens => {
                let stream = accept(&listener)?;
                stream.set_read_timeout(Some(A_WHILE / 2))?;
                // A server that opens TLS only after 150 would be waited for in vain by a client that begins with it.
                let early = stream.peek(&mut [0]).map_err(|error| error.kind());
                assert_eq!(early, Err(ErrorKind::WouldBlock), "nothing comes before 150");
                stream.set_read_timeout(Some(PATIENCE))?;
                self.say("150 here it comes")?;
                self.secure(stream)?
            }
            Begin::WaitsForTls => {
                let data = self.secure(accept(&listener)?)?;
                self.say("150 here it comes")?;
                data
            }
        };
        let resumed = match &data {
            Data::Clear(_) => true,
            Data::Private(tls) => tls.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        if !resumed && self.script.reuse != Reuse::NotNeeded {
            drop(data);
            return self.say("522 SSL connection failed: session reuse required");
        }
        self.send(data, bytes)?;
        if self.script.end_is_late {
            pause(A_WHILE);
        }
        self.control.write_all(self.script.end)?;
        Ok(self.control.flush()?)
    }

    fn secure(&self, stream: TcpStream) -> Result<Data, Gone> {
        if !self.private {
            return Ok(Data::Clear(stream));
        }
        let session = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        let mut tls = Box::new(StreamOwned::new(session, stream));
        while tls.conn.is_handshaking() {
            let tls = &mut *tls;
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(Data::Private(tls))
    }

    fn send(&self, mut data: Data, bytes: &[u8]) -> Result<(), Gone> {
        match self.script.sent {
            Sent::Everything => data.write(bytes)?,
            Sent::Some(count) => data.write(&bytes[..count])?,
            Sent::StallsAfter(count) => {
                data.write(&bytes[..count])?;
                return data.until_gone();
            }
            Sent::Drips => loop {
                data.drip(bytes)?;
            },
        }
        if let (Data::Private(tls), true) = (&mut data, self.script.goodbye != Goodbye::None) {
            if self.script.goodbye == Goodbye::Proper {
                tls.conn.send_close_notify();
            }
            tls.flush()?;
        }
        if self.script.goodbye == Goodbye::StaysOpen {
            return data.until_gone();
        }
        Ok(data.socket().shutdown(Shutdown::Write)?)
    }

    fn say(&mut self, reply: &str) -> Result<(), Gone> {
        self.control.write_all(format!("{reply}\r\n").as_bytes())?;
        Ok(self.control.flush()?)
    }

    fn line(&mut self) -> Result<String, Gone> {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') {
            self.control.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    fn until_gone(&mut self) -> Result<(), Gone> {
        while self.control.sock.read(&mut [0; 64])? > 0 {}
        Err(Gone)
    }
}

impl Data {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        match self {
            Data::Clear(stream) => stream.write_all(bytes)?,
            Data::Private(tls) => {
                tls.write_all(bytes)?;
                tls.flush()?;
            }
        }
        Ok(())
    }

    fn drip(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let Data::Private(tls) = self else { panic!("only encrypted data drips") };
        tls.conn.writer().write_all(&bytes[..bytes.len().min(1000)])?;
        let mut record = Vec::new();
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut record)?;
        }
        for byte in record {
            tls.sock.write_all(&[byte])?;
            pause(A_WHILE / 10);
        }
        Ok(())
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Data::Clear(stream) => stream,
            Data::Private(tls) => &tls.sock,
        }
    }

    fn until_gone(&self) -> Result<(), Gone> {
        let mut socket = self.socket();
        // A reset is an end as well.
        while socket.read(&mut [0; 64]).unwrap_or(0) > 0 {}
        Ok(())
    }
}

fn accept(listener: &TcpListener) -> Result<TcpStream, Gone> {
    let stream = listener.accept()?.0;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The pause of a slow peer.
fn pause(time: Duration) {
    let (_nobody_sends, wait) = sync_channel::<()>(1);
    let _ = wait.recv_timeout(time);
}
