//! Transfers: the data connection from its opening to the last answer, with all that can go wrong on the way.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::shared::Shared;
use super::faults::{Clash, Ending, Goodbye, Hiding, Mishap, Protection, Reuse};
use super::files;
use super::listing;
use super::session::{End, Session, note};
use super::wire::Wire;
use crate::wait::{lock, now};

/// How long the client may take to open the data connection, and how often that is looked for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_PAUSE: Duration = Duration::from_millis(5);
/// How long its handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes written at a time.
const PIECE_MAX: usize = 64 * 1024;
/// Bytes that may wait in the system on this side. Little, so that a client that goes away is noticed: a printer that has
/// handed over a whole file does not know that nobody wanted it.
const SEND_BUFFER: usize = 64 * 1024;
/// Pieces in a second where the rate is limited: smooth, and yet few wake-ups.
const PIECES_PER_SECOND: u64 = 20;

/// What is to be sent.
struct Outgoing {
    path: String,
    bytes: Arc<[u8]>,
    offset: usize,
    is_listing: bool,
}

/// How sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    /// As a fault has it.
    Stopped(Mishap),
    /// The client did not want any more.
    Aborted,
    /// Another transfer came in between.
    Clashed,
}

/// One of the transfers going on, counted until it is dropped.
struct Slot<'a>(&'a Shared);

impl<'a> Slot<'a> {
    /// A place for a transfer, unless another one stands in the way.
    fn take(shared: &'a Shared, clash: Clash) -> Option<Self> {
        let mut transfers = lock(&shared.ftps.transfers);
        if transfers.open > 0 && clash != Clash::Allowed {
            transfers.clashes += u64::from(clash == Clash::BothFail);
            note(shared, |seen| seen.clashes += 1);
            return None;
        }
        transfers.open += 1;
        note(shared, |seen| seen.count_transfer(true));
        Some(Self(shared))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        lock(&self.0.ftps.transfers).open -= 1;
        note(self.0, |seen| seen.count_transfer(false));
    }
}

impl Session<'_> {
    pub(super) fn retrieve(&mut self, path: &str) -> Result<(), End> {
        let offset = std::mem::take(&mut self.offset);
        let (path, file) = self.file(path);
        let is_locked = match self.faults().hiding {
            Hiding::Locked => true,
            Hiding::LockedWhilePrinting => self.is_printing(),
            Hiding::None | Hiding::HiddenWhilePrinting => false,
        };
        let Some(file) = file.filter(|_| !is_locked) else {
            note(self.shared, |seen| seen.misses += u64::from(!is_locked));
            return self.say("550 Failed to open file.");
        };
        let bytes = file.bytes();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        self.transfer(&Outgoing { path, bytes, offset, is_listing: false })
    }

    pub(super) fn list(&mut self, verb: &str, argument: &str) -> Result<(), End> {
        let faults = self.faults();
        if faults.refuses_listings {
            return self.say("550 Permission denied.");
        }
        let is_small = self.shared.config.model.has_small_file_server();
        // The small servers ignore the folder, and so are options ignored everywhere.
        let argument = argument.split(' ').find(|word| !word.starts_with('-')).filter(|_| !is_small);
        let folder = files::resolved(&self.folder, argument.unwrap_or_default());
        let is_hidden = faults.hiding == Hiding::HiddenWhilePrinting && self.is_printing();
        let (folders, mut listed) = self.shared.ftps.files.list(&folder);
        if is_hidden {
            listed.clear();
        }
        let bytes = match verb {
            _ if faults.no_storage => Vec::new(),
            "LIST" => listing::list(&folders, &listed, Self::now_s()),
            // Some give paths, some names.
            _ if is_small || argument.is_none() => listing::names(&folders, &listed, ""),
            _ => listing::names(&folders, &listed, &format!("{}/", folder.trim_end_matches('/'))),
        };
        self.transfer(&Outgoing { path: folder, bytes: bytes.into(), offset: 0, is_listing: true })
    }

    fn transfer(&mut self, outgoing: &Outgoing) -> Result<(), End> {
        let Some(listener) = self.passive.take() else { return self.say("425 Use PORT or PASV first.") };
        let faults = self.faults();
        let reuse = self.reuse();
        let needs_private = match faults.protection {
            Protection::PrivateOnly => true,
            Protection::ClearOnly | Protection::ClearInTruth => false,
            Protection::Usual => reuse != Reuse::NotNeeded,
        };
        if needs_private && !self.is_private {
            note(self.shared, |seen| seen.refused_for_tls += 1);
            return self.say("522 Data connections must be encrypted.");
        }
        let mishap = lock(&self.shared.faults).ftps.take(&outgoing.path, outgoing.is_listing);
        if let Some((Mishap::Refused(code), _)) = mishap {
            return self.say(&format!("{code} Refused."));
        }
        let shared = self.shared;
        let Some(slot) = Slot::take(shared, faults.clash) else {
            return self.say("425 Failed to establish connection.");
        };
        let Some(socket) = self.accept(&listener) else {
            drop(slot);
            return self.say("425 Failed to establish connection.");
        };
        drop(listener);
        let Some(registered) = shared.ftps.register(&socket) else { return Err(End::Gone) };
        if is_early(&socket) {
            note(shared, |seen| seen.early += 1);
        }
        let name = &outgoing.path;
        self.say(&format!(
            "150 Opening BINARY mode data connection for {name} ({} bytes).",
            outgoing.bytes.len()
        ))?;
        let mut data = Wire::clear(socket)?;
        if self.is_private && faults.protection != Protection::ClearInTruth {
            let is_shaken = data.shake(Arc::clone(&self.config), HANDSHAKE_TIMEOUT).is_ok();
            let is_resumed = data.is_resumed() == Some(true);
            note(shared, |seen| match is_resumed {
                true => seen.resumed += 1,
                false => seen.not_resumed += 1,
            });
            if !is_shaken || (!is_resumed && reuse != Reuse::NotNeeded) {
                drop((data, registered, slot));
                note(shared, |seen| seen.refused_for_tls += 1);
                return self.say("522 SSL connection failed: session reuse required");
            }
        } else {
            note(shared, |seen| seen.clear += 1);
        }
        let number = (!outgoing.is_listing).then(|| {
            let mut number = 0;
            note(shared, |seen| {
                number = seen.begin(&outgoing.path, u64::try_from(outgoing.offset).unwrap_or(0))
            });
            number
        });
        if outgoing.is_listing {
            note(shared, |seen| seen.listings += 1);
        }
        let sent = self.send(&mut data, outgoing, mishap, number);
        let code = self.conclude(sent, data, registered, outgoing)?;
        note(shared, |seen| {
            seen.completed += u64::from(sent == Sent::Whole && number.is_some());
            if let Some(retrieval) = number.and_then(|number| seen.retrieval(number)) {
                retrieval.code = code;
            }
        });
        // Whoever reads the answer may begin the next transfer at once.
        drop(slot);
        match code {
            0 => Ok(()),
            226 if outgoing.is_listing => self.say("226 Directory send OK."),
            226 => self.say("226 Transfer complete."),
            426 => self.say("426 Failure writing network stream."),
            550 => self.say("550 The file is gone."),
            code => self.say(&format!("{code} That is how it ended.")),
        }
    }

    /// What is asked of data connections: by a fault, or as the model does.
    fn reuse(&self) -> Reuse {
        let is_small = self.shared.config.model.has_small_file_server();
        let usual = if is_small { Reuse::NotNeeded } else { Reuse::Demanded };
        self.faults().session_reuse.unwrap_or(usual)
    }

    fn accept(&self, listener: &std::net::TcpListener) -> Option<TcpStream> {
        listener.set_nonblocking(true).ok()?;
        let deadline = now() + CONNECT_TIMEOUT;
        loop {
            match listener.accept() {
                // Somebody else's connection is not the one that was asked for.
                Ok((socket, from)) if from.ip() == self.peer => {
                    socket.set_nonblocking(false).ok()?;
                    rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER).ok()?;
                    return Some(socket);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if now() >= deadline || self.shared.stop.wait_for(CONNECT_PAUSE) {
                        return None;
                    }
                }
                Err(_) => return None,
            }
        }
    }

    /// Sends up to the end or the mishap.
    fn send(
        &self,
        data: &mut Wire,
        outgoing: &Outgoing,
        mut mishap: Option<(Mishap, u64)>,
        number: Option<u64>,
    ) -> Sent {
        let clashes = lock(&self.shared.ftps.transfers).clashes;
        let end = outgoing.bytes.len();
        let mut position = outgoing.offset;
        let mut pace = Pace { rate: lock(&self.shared.faults).ftps.rate, start: now(), sent: 0 };
        loop {
            let place =
                mishap.map(|(_, at)| usize::try_from(at).unwrap_or(usize::MAX).clamp(outgoing.offset, end));
            let limit = match (mishap, place) {
                (Some((Mishap::Flipped, _)), _) | (None, _) | (_, None) => end,
                (Some((Mishap::PausedMs(ms), _)), Some(place)) if position >= place => {
                    mishap = None;
                    if self.shared.stop.wait_for(Duration::from_millis(ms)) {
                        return Sent::Aborted;
                    }
                    end
                }
                (Some((mishap, _)), Some(place)) if position >= place => return Sent::Stopped(mishap),
                (_, Some(place)) => place,
            };
            if position >= end {
                return Sent::Whole;
            }
            let rate = lock(&self.shared.faults).ftps.rate;
            let next = (position + piece_size(rate)).min(limit);
            let piece = outgoing.bytes.get(position..next).unwrap_or_default();
            let flipped = match (mishap, place) {
                (Some((Mishap::Flipped, _)), Some(place)) if (position..next).contains(&place) => {
                    let mut piece = piece.to_vec();
                    if let Some(byte) = piece.get_mut(place - position) {
                        *byte ^= 0x20;
                    }
                    Some(piece)
                }
                _ => None,
            };
            if data.write(flipped.as_deref().unwrap_or(piece)).is_err() {
                return Sent::Aborted;
            }
            position = next;
            let count = u64::try_from(piece.len()).unwrap_or(0);
            note(self.shared, |seen| {
                if let Some(number) = number {
                    seen.bytes_sent += count;
                    if let Some(retrieval) = seen.retrieval(number) {
                        retrieval.bytes += count;
                    }
                }
            });
            if self.shared.stop.wait_for(pace.pause(rate, count)) {
                return Sent::Aborted;
            }
            if lock(&self.shared.ftps.transfers).clashes != clashes {
                return Sent::Clashed;
            }
        }
    }

    /// Ends the data connection and gives the code that says how it went, 0 for none.
    fn conclude(
        &mut self,
        sent: Sent,
        mut data: Wire,
        registered: super::Registered<'_>,
        outgoing: &Outgoing,
    ) -> Result<u16, End> {
        let shared = self.shared;
        let faults = self.faults();
        let code = match sent {
            Sent::Whole => {
                match faults.goodbye {
                    Goodbye::Proper => data.end(true),
                    Goodbye::NoCloseNotify => data.end(false),
                    Goodbye::StaysOpen => data.hold(),
                }
                drop((data, registered));
                match faults.ending {
                    Ending::Proper => 226,
                    Ending::Missing => 0,
                    Ending::LateMs(ms) => {
                        if shared.stop.wait_for(Duration::from_millis(ms)) {
                            return Err(End::Gone);
                        }
                        226
                    }
                    Ending::Code(code) => code,
                }
            }
            Sent::Stopped(mishap) => {
                match mishap {
                    Mishap::Truncated => data.end(true),
                    Mishap::Stalled => data.hold(),
                    Mishap::Reset => data.reset(),
                    Mishap::Lost => {
                        data.reset();
                        self.wire.reset();
                        return Err(End::Gone);
                    }
                    Mishap::Vanished => {
                        shared.ftps.files.remove(&outgoing.path);
                        data.end(false);
                    }
                    Mishap::Cut | Mishap::Flipped | Mishap::PausedMs(_) | Mishap::Refused(_) => {
                        data.end(false)
                    }
                }
                drop((data, registered));
                match mishap {
                    Mishap::Truncated => 226,
                    Mishap::Vanished => 550,
                    Mishap::Stalled => {
                        self.aborted();
                        426
                    }
                    _ => 426,
                }
            }
            Sent::Aborted => {
                drop((data, registered));
                self.aborted();
                426
            }
            Sent::Clashed => {
                data.end(false);
                drop((data, registered));
                426
            }
        };
        Ok(code)
    }

    fn aborted(&self) {
        note(self.shared, |seen| seen.aborted += 1);
        let wedge = self.faults().wedges_after_abort_ms;
        if wedge > 0 {
            self.shared.ftps.wedge(Duration::from_millis(wedge));
        }
    }
}

/// Bytes on the way at once.
fn piece_size(rate: u64) -> usize {
    match rate {
        0 => PIECE_MAX,
        rate => usize::try_from(rate / PIECES_PER_SECOND).unwrap_or(PIECE_MAX).clamp(1, PIECE_MAX),
    }
}

/// Whether the client has said something before it was told to.
fn is_early(socket: &TcpStream) -> bool {
    // The socket blocks again afterwards, or every read on it will fail and be noticed.
    let _ = socket.set_nonblocking(true);
    let is_early = matches!(socket.peek(&mut [0]), Ok(count) if count > 0);
    let _ = socket.set_nonblocking(false);
    is_early
}

/// Keeps a rate: pauses follow from the bytes since its beginning, so that they do not add up their errors.
struct Pace {
    rate: u64,
    start: Instant,
    sent: u64,
}

impl Pace {
    /// How long to wait after so many more bytes.
    fn pause(&mut self, rate: u64, count: u64) -> Duration {
        if rate != self.rate {
            *self = Self { rate, start: now(), sent: 0 };
            // This piece went at the old rate.
            return Duration::ZERO;
        }
        if rate == 0 {
            return Duration::ZERO;
        }
        self.sent += count;
        let due = Duration::from_micros(self.sent.saturating_mul(1_000_000) / rate);
        (self.start + due).saturating_duration_since(now())
    }
}
