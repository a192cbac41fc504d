//! One control connection: login, commands, answers.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};

use super::super::faults::Tcp;
use super::super::observe::Observations;
use super::super::session::{answer_in_plain_text, hold};
use super::super::shared::Shared;
use super::Ftps;
use super::faults::{FtpsFaults, Hiding, Protection, Reuse, is_meant};
use super::files::{File, resolved};
use super::listing;
use super::observe::FtpsObservations;
use super::wire::Wire;
use crate::wait::{epoch_seconds, lock, now};

/// A client that has not finished the handshake by then is sent away.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence on the control connection after which the printers close it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// A session that just ended may not have left its place yet; a newcomer waits for it this long, in these steps.
const PLACE_TIMEOUT: Duration = Duration::from_secs(2);
const PLACE_PAUSE: Duration = Duration::from_millis(5);
/// The longest command; paths have at most some 1000 bytes.
const LINE_MAX: usize = 4_096;
/// The user name of every printer.
const USER: &str = "bblp";
/// TLS sessions that one control connection's data connections may resume; there is only its own.
const TLS_SESSIONS: usize = 4;

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `QUIT`.
    Quit,
    /// Nothing was said for too long.
    Idle,
    /// All else.
    Gone,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// A control connection.
pub struct Session<'a> {
    pub(super) shared: &'a Shared,
    pub(super) wire: Wire,
    /// With the store that data connections resume from.
    pub(super) config: Arc<ServerConfig>,
    pub(super) peer: IpAddr,
    pub(super) passive: Option<TcpListener>,
    pub(super) is_private: bool,
    pub(super) offset: u64,
    pub(super) folder: String,
    unread: Vec<u8>,
    user: String,
    is_logged_in: bool,
    is_binary: bool,
}

/// Serves one accepted connection until its end. Runs on a thread of its own.
pub fn serve(shared: &Shared, socket: TcpStream) {
    let ftps = &shared.ftps;
    note(shared, |seen| seen.connections += 1);
    let faults = lock(&shared.faults).ftps.clone();
    match faults.tcp {
        Tcp::Close => return,
        Tcp::PlainText => return answer_in_plain_text(&socket),
        Tcp::Tls | Tcp::Hold => {}
    }
    let Some(registered) = ftps.register(&socket) else { return };
    // From here on a stop cuts the socket; one that came just before is seen now.
    if shared.stop.is_set() {
        return;
    }
    if ftps.is_wedged() {
        // Every knock makes it worse.
        ftps.wedge(Duration::from_millis(faults.wedges_after_abort_ms));
        return hold(socket);
    }
    if faults.tcp == Tcp::Hold {
        return hold(socket);
    }
    if shared.stop.wait_for(Duration::from_millis(faults.tls_delay_ms)) {
        return;
    }
    let Some(_place) = ftps.take_place(shared) else {
        note(shared, |seen| seen.turned_away += 1);
        let (Ok(mut wire), config) = (Wire::clear(socket), tls_config(shared, &faults)) else { return };
        if wire.shake(config, HANDSHAKE_TIMEOUT).is_ok() {
            let _ = wire.write(b"421 There are too many connected users, please try later.\r\n");
            wire.end(true);
        }
        return;
    };
    let Ok(peer) = socket.peer_addr() else { return };
    let (Ok(wire), config) = (Wire::clear(socket), tls_config(shared, &faults)) else { return };
    let mut session = Session {
        shared,
        wire,
        config,
        peer: peer.ip(),
        passive: None,
        is_private: false,
        offset: 0,
        folder: "/".into(),
        unread: Vec::new(),
        user: String::new(),
        is_logged_in: false,
        is_binary: false,
    };
    let end = session.talk();
    if session.is_logged_in {
        note(shared, |seen| {
            seen.count_session(false);
            match end {
                End::Quit => seen.quits += 1,
                End::Idle => {
                    (seen.idle_ends, seen.unclean_ends) = (seen.idle_ends + 1, seen.unclean_ends + 1)
                }
                End::Gone => seen.unclean_ends += 1,
            }
        });
    }
    // The last copy of the socket goes with the session, and with it the connection.
    drop(registered);
}

/// Every control connection has a store of its own, so that what is resumed is its session and no other's.
fn tls_config(shared: &Shared, faults: &FtpsFaults) -> Arc<ServerConfig> {
    let mut config = ServerConfig::clone(&shared.tls());
    config.session_storage = match faults.session_reuse {
        Some(Reuse::Impossible) => Arc::new(NoServerSessionStorage {}),
        _ => ServerSessionMemoryCache::new(TLS_SESSIONS),
    };
    Arc::new(config)
}

/// Notes something that was seen.
pub fn note(shared: &Shared, change: impl FnOnce(&mut FtpsObservations)) {
    shared.observer.note(|seen| change(&mut seen.ftps));
}

impl Ftps {
    /// Takes one of the places for sessions, [`None`] when there is none for a while.
    fn take_place(&self, shared: &Shared) -> Option<Place<'_>> {
        let deadline = now() + PLACE_TIMEOUT;
        loop {
            {
                let mut taken = lock(&self.places_taken);
                if *taken < shared.config.model.file_session_count_max() {
                    *taken += 1;
                    return Some(Place(self));
                }
            }
            if now() >= deadline || shared.stop.wait_for(PLACE_PAUSE) {
                return None;
            }
        }
    }
}

/// A place for a session, given back when dropped.
struct Place<'a>(&'a Ftps);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *lock(&self.0.places_taken) -= 1;
    }
}

impl Session<'_> {
    fn talk(&mut self) -> End {
        if self.wire.shake(Arc::clone(&self.config), HANDSHAKE_TIMEOUT).is_err() {
            note(self.shared, |seen| seen.handshake_failures += 1);
            return End::Gone;
        }
        note(self.shared, |seen| seen.handshakes += 1);
        if let Err(end) = self.greet() {
            return end;
        }
        loop {
            let line = match self.line() {
                Ok(line) => line,
                Err(end) => return end,
            };
            if let Err(end) = self.take(&line) {
                return end;
            }
        }
    }

    fn greet(&mut self) -> Result<(), End> {
        match self.meddled("GREETING", "")? {
            true => Ok(()),
            false => self.say("220 (vsFTPd 3.0.3)"),
        }
    }

    /// The faults in force.
    pub(super) fn faults(&self) -> FtpsFaults {
        lock(&self.shared.faults).ftps.clone()
    }

    /// Answers, unless the server is wedged.
    pub(super) fn say(&mut self, answer: &str) -> Result<(), End> {
        if self.shared.ftps.is_wedged() {
            self.wire.hold();
            return Err(End::Gone);
        }
        let delay = Duration::from_millis(self.faults().answer_delay_ms);
        if self.shared.stop.wait_for(delay) {
            return Err(End::Gone);
        }
        Ok(self.wire.write(format!("{answer}\r\n").as_bytes())?)
    }

    /// The next command, without its line end.
    fn line(&mut self) -> Result<String, End> {
        let idle = self.faults().idle_timeout_ms;
        let idle = if idle == 0 { IDLE_TIMEOUT } else { Duration::from_millis(idle) };
        let deadline = now() + idle;
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            let left = deadline.saturating_duration_since(now());
            if self.unread.len() > LINE_MAX {
                self.say("500 Input line too long.")?;
                return Err(End::Gone);
            }
            let mut part = [0; 1_024];
            self.wire.set_read_timeout(left.max(PLACE_PAUSE));
            match self.wire.read(&mut part) {
                Ok(0) => return Err(End::Gone),
                Ok(count) => self.unread.extend_from_slice(part.get(..count).unwrap_or_default()),
                Err(error) if is_timeout(&error) => {
                    self.say("421 Timeout.")?;
                    self.wire.end(true);
                    return Err(End::Idle);
                }
                Err(_) => return Err(End::Gone),
            }
        }
    }

    /// Whether a fault has dealt with this command already.
    fn meddled(&mut self, verb: &str, argument: &str) -> Result<bool, End> {
        let faults = self.faults();
        let is_it =
            |named: &Option<String>| named.as_deref().is_some_and(|named| is_meant(named, verb, argument));
        if is_it(&faults.hangs_at) {
            self.wire.hold();
            return Err(End::Gone);
        }
        if is_it(&faults.hangs_up_at) {
            return Err(End::Gone);
        }
        if is_it(&faults.clear_text_at) {
            self.wire.write_clear(b"500 OOPS: something went wrong\r\n")?;
            self.wire.hold();
            return Err(End::Gone);
        }
        let answer = faults.answers.get(&format!("{verb} {argument}")).or_else(|| faults.answers.get(verb));
        match answer {
            Some(answer) => self.say(answer).map(|()| true),
            None => Ok(false),
        }
    }

    fn take(&mut self, line: &str) -> Result<(), End> {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        let shown = if verb == "PASS" { "PASS ***".to_owned() } else { format!("{verb} {argument}") };
        note(self.shared, |seen| Observations::keep(&mut seen.commands, shown.trim_end()));
        if self.meddled(&verb, argument)? {
            return Ok(());
        }
        match verb.as_str() {
            "USER" => {
                argument.clone_into(&mut self.user);
                self.say("331 Please specify the password.")
            }
            "PASS" => self.log_in(argument),
            "QUIT" => {
                // The place is free when the client reads this.
                self.say("221 Goodbye.")?;
                self.wire.end(true);
                Err(End::Quit)
            }
            _ if !self.is_logged_in => self.say("530 Please login with USER and PASS."),
            _ => self.obey(&verb, argument),
        }
    }

    fn log_in(&mut self, password: &str) -> Result<(), End> {
        let is_right = self.user == USER && password == lock(&self.shared.access_code).as_str();
        if !is_right || self.faults().refuses_login {
            note(self.shared, |seen| seen.refused_logins += 1);
            return self.say("530 Login incorrect.");
        }
        if !std::mem::replace(&mut self.is_logged_in, true) {
            note(self.shared, |seen| {
                seen.logins += 1;
                seen.count_session(true);
            });
        }
        self.say("230 Login successful.")
    }

    fn obey(&mut self, verb: &str, argument: &str) -> Result<(), End> {
        let is_small = self.shared.config.model.has_small_file_server();
        match verb {
            "SYST" => self.say("215 UNIX Type: L8"),
            "FEAT" if !is_small => {
                self.say("211-Features:\r\n EPSV\r\n MDTM\r\n PASV\r\n REST STREAM\r\n SIZE\r\n211 End")
            }
            "NOOP" => self.say("200 NOOP ok."),
            "OPTS" => self.say("200 Always in UTF8 mode."),
            "TYPE" => {
                self.is_binary = argument.eq_ignore_ascii_case("I");
                self.say(if self.is_binary {
                    "200 Switching to Binary mode."
                } else {
                    "200 Switching to ASCII mode."
                })
            }
            "PBSZ" => self.say("200 PBSZ set to 0."),
            "PROT" => self.protect(argument),
            "PASV" => self.listen(false),
            "EPSV" if !is_small => self.listen(true),
            "PORT" | "EPRT" => self.say("500 Illegal PORT command."),
            "PWD" => {
                let answer = format!("257 \"{}\" is the current directory", self.folder);
                self.say(&answer)
            }
            "CWD" => self.enter(&resolved(&self.folder, argument)),
            "CDUP" => self.enter(&resolved(&self.folder, "..")),
            "SIZE" => self.size(argument),
            "MDTM" => match self.file(argument).1 {
                Some(file) => self.say(&format!("213 {}", listing::stamp(file.modified_s))),
                None => self.say("550 Could not get file modification time."),
            },
            "REST" => self.restart(argument),
            "RETR" => self.retrieve(argument),
            "LIST" | "NLST" => self.list(verb, argument),
            "ABOR" => self.say("225 No transfer to ABOR."),
            "STOR" | "APPE" | "DELE" | "RNFR" | "RNTO" | "MKD" | "RMD" | "SITE" => {
                self.say("550 Permission denied.")
            }
            _ if is_small => self.say("502 Command not implemented."),
            _ => self.say("500 Unknown command."),
        }
    }

    fn protect(&mut self, level: &str) -> Result<(), End> {
        match (level, self.faults().protection) {
            ("P", Protection::ClearOnly) => self.say("536 PROT P is not supported."),
            ("P" | "C", _) => {
                self.is_private = level == "P";
                self.say(if self.is_private { "200 PROT now Private." } else { "200 PROT now Clear." })
            }
            _ => self.say("504 PROT not supported."),
        }
    }

    fn listen(&mut self, is_extended: bool) -> Result<(), End> {
        let Ok(listener) = TcpListener::bind(SocketAddr::new(self.shared.config.host, 0)) else {
            return self.say("425 Could not listen.");
        };
        let port = listener.local_addr()?.port();
        let [high, low] = port.to_be_bytes();
        self.passive = Some(listener);
        if is_extended {
            return self.say(&format!("229 Entering Extended Passive Mode (|||{port}|)"));
        }
        // Where this leads to is for the client to know.
        let address = self.faults().passive_address.unwrap_or_else(|| "0.0.0.0".into()).replace('.', ",");
        self.say(&format!("227 Entering Passive Mode ({address},{high},{low})."))
    }

    fn enter(&mut self, folder: &str) -> Result<(), End> {
        if folder != "/" && (self.faults().no_storage || !self.shared.ftps.files.is_folder(folder)) {
            note(self.shared, |seen| seen.misses += 1);
            return self.say("550 Failed to change directory.");
        }
        folder.clone_into(&mut self.folder);
        self.say("250 Directory successfully changed.")
    }

    /// A file that the client may know of, by its whole path.
    pub(super) fn file(&self, path: &str) -> (String, Option<File>) {
        let path = resolved(&self.folder, path);
        let faults = self.faults();
        let is_hidden = faults.hiding == Hiding::HiddenWhilePrinting && self.is_printing();
        let file = self.shared.ftps.files.get(&path).filter(|_| !is_hidden && !faults.no_storage);
        (path, file)
    }

    pub(super) fn is_printing(&self) -> bool {
        matches!(lock(&self.shared.status).gcode_state, "PREPARE" | "RUNNING" | "PAUSE" | "SLICING")
    }

    fn size(&mut self, path: &str) -> Result<(), End> {
        let faults = self.faults();
        let file = self.file(path).1;
        note(self.shared, |seen| {
            seen.sizes += 1;
            seen.misses += u64::from(file.is_none());
        });
        if faults.no_size {
            return self.say("502 Command not implemented.");
        }
        match file.filter(|_| self.is_binary) {
            Some(file) => self.say(&format!("213 {}", file.size().saturating_add_signed(faults.size_lie))),
            None => self.say("550 Could not get file size."),
        }
    }

    fn restart(&mut self, offset: &str) -> Result<(), End> {
        if self.faults().no_rest || self.shared.config.model.has_small_file_server() {
            return self.say("502 Command not implemented.");
        }
        self.offset = offset.parse().unwrap_or(0);
        let answer = format!("350 Restart position accepted ({}).", self.offset);
        self.say(&answer)
    }

    /// The time for listings.
    pub(super) fn now_s() -> u64 {
        epoch_seconds()
    }
}

/// Whether a read ended because nothing came.
pub fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
