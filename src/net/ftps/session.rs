//! The control connection: login, commands, answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::cancel::Cancel;
use super::error::{self, FtpsError, FtpsErrorKind};
use super::list::{self, Listing};
use super::reply::{self, Reply};
use super::transfer::Transfer;
use super::wire::{Data, Tls, Wire};
use super::{LISTING_BYTES_MAX, LISTING_ENTRIES_MAX, Learned, Options, PATH_BYTES_MAX, Protection, Wanted};
use crate::net::tls::{Observed, PeerSeen, TlsVersions, client_config_with};

/// Bytes of answers read at once. They are short, and the second of two that come together has to wait somewhere.
const ANSWER_BYTES: usize = 512;

/// Bytes of a listing read at once.
const LISTING_PIECE: usize = 4 * 1024;

/// A session with a peer. One transfer at a time, which the borrow of [`Session::retrieve`] sees to.
///
/// Dropping it ends the connection without a word; [`Session::close`] is polite.
pub struct Session {
    options: Options,
    cancel: Cancel,
    tls: Arc<ClientConfig>,
    observed: Observed,
    name: ServerName<'static>,
    control: Tls,
    parser: reply::Parser,
    /// Bytes of answers that have come and are not looked at.
    answers: Answers,
    learned: Learned,
    usable: bool,
}

struct Answers {
    bytes: [u8; ANSWER_BYTES],
    start: usize,
    end: usize,
}

impl Session {
    /// Connects and logs in. Blocks for at most `times.connect` and a few times `times.answer`.
    ///
    /// # Errors
    /// Whatever can go wrong on the way; [`FtpsErrorKind`] tells it apart.
    pub fn open(options: Options, cancel: Cancel) -> Result<Session, FtpsError> {
        let (tls, observed) =
            client_config_with(options.policy.clone(), TlsVersions::Tls12Only, options.ciphers);
        // An address as a name sends no name; it is the key under which the TLS session is kept.
        let name = ServerName::IpAddress(options.address.ip().into());
        let times = options.times;
        let mut wire = Wire::connect(options.address, times.connect, &cancel)
            .map_err(|error| unless_cancelled(&cancel, || error::connect(&error, times.connect.as_secs())))?;
        wire.allow(times.answer);
        let control = Tls::handshake(Arc::clone(&tls), name.clone(), wire).map_err(|error| {
            let seen = observed.get();
            unless_cancelled(&cancel, || error::handshake(&error, seen.as_ref(), times.answer.as_secs()))
        })?;
        let learned = Learned { protection: Protection::Private, restart: options.restart, resumed: None };
        let mut session = Session {
            options,
            cancel,
            tls,
            observed,
            name,
            control,
            parser: reply::Parser::default(),
            answers: Answers { bytes: [0; ANSWER_BYTES], start: 0, end: 0 },
            learned,
            usable: true,
        };
        session.greet()?;
        session.log_in()?;
        session.expect("binary transfers", b"TYPE I", &[200])?;
        session.protect()?;
        Ok(session)
    }

    /// What the peer has shown in the handshake: its key, to be pinned at first use.
    #[must_use]
    pub fn seen(&self) -> Option<PeerSeen> {
        self.observed.get()
    }

    /// What was found out so far.
    #[must_use]
    pub fn learned(&self) -> Learned {
        self.learned
    }

    /// Whether further commands make sense. After most errors of a transfer they do not: open a new session then.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.usable && !self.cancel.is_cancelled()
    }

    /// The size of a file in bytes. Costs one answer and no data connection, and says at once when there is no such file.
    ///
    /// # Errors
    /// [`FtpsErrorKind::NotFound`], and whatever can go wrong with a session.
    pub fn size(&mut self, path: &[u8]) -> Result<u64, FtpsError> {
        let reply = self.exchange("the size", &command(b"SIZE ", path)?)?;
        if reply.code != 213 {
            return Err(self.refusal("the size", &reply));
        }
        reply::size(&reply.text)
            .ok_or_else(|| FtpsError::protocol("the peer answered with a size that is no number"))
    }

    /// What a folder holds. Cut short by [`LISTING_ENTRIES_MAX`], [`LISTING_BYTES_MAX`] or the peer, it says so; the session
    /// cannot be used any more then.
    ///
    /// # Errors
    /// [`FtpsErrorKind::NotFound`] where there is no such folder, and whatever can go wrong with a session.
    pub fn list(&mut self, folder: &[u8]) -> Result<Listing, FtpsError> {
        // Simple peers ignore the path of a LIST, and others take brackets in it for a pattern.
        let enter = command(b"CWD ", folder)?;
        self.expect("the folder", &enter, &[200, 250])?;
        let mut transfer = self.transfer("the listing", b"LIST", 0, None)?;
        let mut parser = list::Parser::new(LISTING_ENTRIES_MAX);
        let mut piece = vec![0; LISTING_PIECE];
        loop {
            let count = match transfer.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind == FtpsErrorKind::Interrupted && transfer.received() > 0 => {
                    return Ok(parser.finish(false));
                }
                Err(error) => return Err(error),
            };
            let room = parser.push(piece.get(..count).unwrap_or_default());
            if !room || transfer.received() >= LISTING_BYTES_MAX {
                transfer.abandon();
                return Ok(parser.finish(false));
            }
        }
        let received = transfer.received();
        match transfer.finish() {
            Ok(_) => Ok(parser.finish(true)),
            Err(error) if error.kind == FtpsErrorKind::Interrupted && received > 0 => {
                Ok(parser.finish(false))
            }
            Err(error) => Err(error),
        }
    }

    /// Begins to fetch a file from `offset` on. `size` is that of the whole file as [`Session::size`] told it; without it
    /// only the peer's word says whether everything came.
    ///
    /// # Errors
    /// [`FtpsErrorKind::Unsupported`] if `offset` is not 0 and the peer does not know `REST` (the session can be used
    /// further, [`Session::learned`] says so), [`FtpsErrorKind::NotFound`], [`FtpsErrorKind::NoDataConnection`],
    /// [`FtpsErrorKind::DataTls`], and whatever can go wrong with a session.
    pub fn retrieve(
        &mut self,
        path: &[u8],
        offset: u64,
        size: Option<u64>,
    ) -> Result<Transfer<'_>, FtpsError> {
        let fetch = command(b"RETR ", path)?;
        if let Some(size) = size.filter(|size| offset > *size) {
            let message = format!("the file has {size} bytes and cannot be fetched from {offset} on");
            return Err(FtpsError::new(FtpsErrorKind::Long { expected: size }, message));
        }
        self.transfer("the file", &fetch, offset, size)
    }

    /// Says goodbye and waits a moment for the answer, so that the peer frees its place at once.
    pub fn close(mut self) {
        if self.is_usable() {
            let limit = self.options.times.end;
            if self.send(b"QUIT", limit).is_ok() {
                // Whatever it says, this is the end.
                let _ = self.answer("the goodbye", limit);
            }
        }
        self.control.farewell();
        self.control.wire.shut();
    }

    fn transfer(
        &mut self,
        what: &str,
        command: &[u8],
        offset: u64,
        size: Option<u64>,
    ) -> Result<Transfer<'_>, FtpsError> {
        if offset > 0 && self.learned.restart == Some(false) {
            return Err(FtpsError::new(
                FtpsErrorKind::Unsupported,
                "the peer cannot begin in the middle of a file",
            ));
        }
        let wire = self.connect_data()?;
        if offset > 0 {
            self.restart_at(offset)?;
        }
        self.send(command, self.options.times.answer)?;
        let reply = self.answer(what, self.options.times.answer)?;
        if !(100..200).contains(&reply.code) {
            let mut refused = self.refusal(what, &reply);
            if reply.code == 522 && self.learned.protection == Protection::Clear {
                refused.kind = FtpsErrorKind::DataTls;
            }
            return Err(refused);
        }
        let data = match self.learned.protection {
            Protection::Clear => Data::Clear(wire),
            Protection::Private => self.shake_data(wire)?,
        };
        Ok(Transfer::new(self, data, offset, size))
    }

    /// Asks where the data will come from and connects there.
    fn connect_data(&mut self) -> Result<Wire, FtpsError> {
        let what = "passive transfers";
        let port = if reply::needs_extended(self.options.address.ip()) {
            let reply = self.exchange(what, b"EPSV")?;
            if reply.code != 229 {
                return Err(self.refusal(what, &reply));
            }
            reply::extended_port(&reply.text)
        } else {
            let reply = self.exchange(what, b"PASV")?;
            if reply.code != 227 {
                return Err(self.refusal(what, &reply));
            }
            reply::passive_port(&reply.text)
        };
        let Some(port) = port else {
            return Err(FtpsError::protocol("the peer offered a data connection without a port"));
        };
        let address = reply::data_address(self.options.address, port);
        Wire::connect(address, self.options.times.connect, &self.cancel).map_err(|error| {
            unless_cancelled(&self.cancel, || {
                let message = format!("the data connection to port {port} failed: {error}");
                FtpsError::new(FtpsErrorKind::NoDataConnection, message)
            })
        })
    }

    fn restart_at(&mut self, offset: u64) -> Result<(), FtpsError> {
        let reply = self.exchange("to begin in the middle", format!("REST {offset}").as_bytes())?;
        match reply.code {
            300..400 => {
                self.learned.restart = Some(true);
                Ok(())
            }
            500..=504 => {
                self.learned.restart = Some(false);
                Err(self.refusal("to begin in the middle", &reply))
            }
            _ => Err(self.refusal("to begin in the middle", &reply)),
        }
    }

    fn shake_data(&mut self, mut wire: Wire) -> Result<Data, FtpsError> {
        let limit = self.options.times.answer;
        let before = self.observed.handshakes();
        wire.allow(limit);
        match Tls::handshake(Arc::clone(&self.tls), self.name.clone(), wire) {
            Ok(tls) => {
                self.learned.resumed = Some(tls.is_resumed());
                Ok(Data::Private(Box::new(tls)))
            }
            Err(error) => {
                let seen = self.observed.seen_since(before);
                let failed = error::data_handshake(&error, seen.as_ref(), limit.as_secs());
                // The peer may say why. If it does not, nobody knows what its next answer belongs to.
                let reply = self.answer("the broken data connection", self.options.times.end);
                Err(unless_cancelled(&self.cancel, || match reply {
                    Ok(reply) if reply.code == 522 => self.refusal("the data connection", &reply),
                    _ => failed,
                }))
            }
        }
    }

    fn greet(&mut self) -> Result<(), FtpsError> {
        let reply = self.final_answer("the connection")?;
        if reply.code == 220 { Ok(()) } else { Err(self.end(self.refusal("the connection", &reply))) }
    }

    fn log_in(&mut self) -> Result<(), FtpsError> {
        // Not the words of the peer: they might repeat what they were told.
        let refused = |code: u16| {
            let refusal = FtpsError::refusal("the login", &Reply { code, text: String::new() });
            match refusal.kind {
                FtpsErrorKind::LoginRefused => FtpsError::new(
                    FtpsErrorKind::LoginRefused,
                    "the peer does not accept the user name or the password",
                ),
                _ => refusal,
            }
        };
        let secret = [self.options.username.as_str(), self.options.password.reveal()];
        if secret.iter().any(|text| text.len() > PATH_BYTES_MAX || text.contains(['\r', '\n', '\0'])) {
            let message =
                "the user name or the password cannot be sent: it is too long or has a line break in it";
            return Err(self.end(FtpsError::new(FtpsErrorKind::LoginRefused, message)));
        }
        let [user, pass] = [format!("USER {}", secret[0]), format!("PASS {}", secret[1])];
        let mut code = self.exchange("the user name", user.as_bytes())?.code;
        if code == 331 {
            code = self.exchange("the password", pass.as_bytes())?.code;
        }
        if code == 230 || code == 202 { Ok(()) } else { Err(self.end(refused(code))) }
    }

    fn protect(&mut self) -> Result<(), FtpsError> {
        // Needed before PROT by the letter, and by vsftpd. A peer that does not know it may know PROT.
        self.exchange("the protection of data", b"PBSZ 0")?;
        if self.options.protection != Wanted::Clear {
            let reply = self.exchange("the protection of data", b"PROT P")?;
            match reply.code {
                200 => return Ok(()),
                500..600 if self.options.protection == Wanted::PrivateElseClear => {}
                _ => {
                    let mut refused = self.refusal("the protection of data", &reply);
                    if refused.kind != FtpsErrorKind::Closing {
                        refused.kind = FtpsErrorKind::DataTls;
                    }
                    return Err(self.end(refused));
                }
            }
        }
        // Clear text is what a peer begins with, so one that does not know the command has it as well.
        let reply = self.exchange("data in clear text", b"PROT C")?;
        match reply.code {
            200 | 500..=504 => {
                self.learned.protection = Protection::Clear;
                Ok(())
            }
            _ => {
                let mut refused = self.refusal("data in clear text", &reply);
                if refused.kind != FtpsErrorKind::Closing {
                    refused.kind = FtpsErrorKind::DataTls;
                }
                Err(self.end(refused))
            }
        }
    }

    fn expect(&mut self, what: &str, command: &[u8], codes: &[u16]) -> Result<(), FtpsError> {
        let reply = self.exchange(what, command)?;
        if codes.contains(&reply.code) { Ok(()) } else { Err(self.refusal(what, &reply)) }
    }

    /// Sends a command and waits for its last answer.
    fn exchange(&mut self, what: &str, command: &[u8]) -> Result<Reply, FtpsError> {
        self.send(command, self.options.times.answer)?;
        self.final_answer(what)
    }

    fn final_answer(&mut self, what: &str) -> Result<Reply, FtpsError> {
        let limit = self.options.times.answer;
        let mut reply = self.answer(what, limit)?;
        // "Wait a little" is an answer as well; the real one follows. A peer that only ever says that is cut off after three.
        for _ in 0..3 {
            if reply.code >= 200 {
                return self.closing(reply);
            }
            reply = self.answer(what, limit)?;
        }
        self.closing(reply)
    }

    /// Lets no reply pass after which the peer hangs up.
    fn closing(&mut self, reply: Reply) -> Result<Reply, FtpsError> {
        match reply.code {
            421 => Err(self.end(self.refusal("to go on", &reply))),
            ..200 => Err(self.end(FtpsError::protocol("the peer never comes to an answer"))),
            _ => Ok(reply),
        }
    }

    fn send(&mut self, command: &[u8], limit: Duration) -> Result<(), FtpsError> {
        if !self.usable {
            return Err(unless_cancelled(&self.cancel, || {
                FtpsError::dead("the session has ended; a new one is needed")
            }));
        }
        self.drop_unasked()?;
        self.control.wire.allow(limit);
        let line = [command, b"\r\n"].concat();
        match self.control.write(&line) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.broke(&error, "a command", limit)),
        }
    }

    /// Looks through answers that came without a question: a peer that hangs up says so in this way.
    fn drop_unasked(&mut self) -> Result<(), FtpsError> {
        while let Some(byte) = self.answers.next() {
            let reply = self.parser.push(byte);
            match reply {
                Ok(Some(reply)) => drop(self.closing_or_old(reply)?),
                Ok(None) => {}
                Err(broken) => return Err(self.broken(broken)),
            }
        }
        Ok(())
    }

    fn closing_or_old(&mut self, reply: Reply) -> Result<Reply, FtpsError> {
        if reply.code == 421 { self.closing(reply) } else { Ok(reply) }
    }

    /// Waits for an answer to `what`.
    pub(super) fn answer(&mut self, what: &str, limit: Duration) -> Result<Reply, FtpsError> {
        self.control.wire.allow(limit);
        loop {
            while let Some(byte) = self.answers.next() {
                match self.parser.push(byte) {
                    Ok(Some(reply)) => return Ok(reply),
                    Ok(None) => {}
                    Err(broken) => return Err(self.broken(broken)),
                }
            }
            match self.control.read(&mut self.answers.bytes) {
                Ok(0) => {
                    let closed = unless_cancelled(&self.cancel, || {
                        FtpsError::dead(format!("the peer hung up instead of answering {what}"))
                    });
                    return Err(self.end(closed));
                }
                Ok(count) => (self.answers.start, self.answers.end) = (0, count),
                Err(error) => return Err(self.broke(&error, what, limit)),
            }
        }
    }

    fn broken(&mut self, broken: reply::Broken) -> FtpsError {
        self.end(FtpsError::protocol(format!("the peer sent {}", broken.words())))
    }

    fn broke(&mut self, error: &std::io::Error, what: &str, limit: Duration) -> FtpsError {
        let error = unless_cancelled(&self.cancel, || error::control(error, what, limit.as_secs()));
        self.end(error)
    }

    /// An error that quotes the peer, but never our password.
    fn refusal(&self, what: &str, reply: &Reply) -> FtpsError {
        FtpsError::refusal(what, &self.without_secrets(reply.clone()))
    }

    /// A reply to be quoted. Some peers repeat what they were told.
    pub(super) fn without_secrets(&self, mut reply: Reply) -> Reply {
        let secret = self.options.password.reveal();
        if !secret.is_empty() && reply.text.contains(secret) {
            reply.text = reply.text.replace(secret, "<secret>");
        }
        reply
    }

    /// Nothing more can be asked in this session.
    pub(super) fn end(&mut self, error: FtpsError) -> FtpsError {
        self.usable = false;
        error
    }

    /// Like [`Session::end`], where there is no error to tell.
    pub(super) fn end_quietly(&mut self) {
        self.usable = false;
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("address", &self.options.address)
            .field("learned", &self.learned)
            .field("usable", &self.usable)
            .finish_non_exhaustive()
    }
}

impl Answers {
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.start..self.end)?.first().copied()?;
        self.start = self.start.saturating_add(1);
        Some(byte)
    }
}

/// A command with its path; a path that cannot be sent is refused.
fn command(verb: &[u8], path: &[u8]) -> Result<Vec<u8>, FtpsError> {
    let bad = |message: &str| Err(FtpsError::new(FtpsErrorKind::BadPath, message));
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return bad("the path is empty or too long");
    }
    if path.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return bad("the path has a line break or a zero byte in it");
    }
    Ok([verb, path].concat())
}

/// What shutting the sockets down looks like is not worth telling.
pub(super) fn unless_cancelled(cancel: &Cancel, error: impl FnOnce() -> FtpsError) -> FtpsError {
    if cancel.is_cancelled() { FtpsError::cancelled() } else { error() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_bring_commands_along() {
        assert_eq!(command(b"RETR ", "/a b/ü ".as_bytes()).unwrap(), "RETR /a b/ü ".as_bytes());
        assert_eq!(command(b"RETR ", b"/\xff").unwrap(), b"RETR /\xff");
        for bad in [&b""[..], b"a\r\nDELE b", b"a\nb", b"a\rb", b"a\0b", &[b'x'; PATH_BYTES_MAX + 1]] {
            assert_eq!(command(b"RETR ", bad).unwrap_err().kind, FtpsErrorKind::BadPath);
        }
    }

    #[test]
    fn options_do_not_show_their_secrets() {
        let mut options = Options::new(([127, 0, 0, 1], 990).into());
        options.username = "user-name".to_owned();
        options.password = crate::base::secret::Secret::new("pass-word");
        let shown = format!("{options:?}");
        assert!(!shown.contains("pass-word") && shown.contains("990"), "{shown}");
    }
}
