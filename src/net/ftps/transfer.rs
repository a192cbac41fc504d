//! One transfer: bytes are pulled, its end is judged.

use std::fmt;
use std::io::ErrorKind;

use super::error::{FtpsError, FtpsErrorKind};
use super::judge::{Confirmation, End, judge};
use super::session::{Session, unless_cancelled};
use super::wire::Data;

/// A running transfer. Read it until it answers 0, then [`Transfer::finish`] it.
///
/// Dropping it cuts the connection, and the session is of no use after that. To stop early on purpose, use
/// [`Transfer::abandon`].
pub struct Transfer<'a> {
    session: &'a mut Session,
    /// [`None`] after its end.
    data: Option<Data>,
    end: Option<End>,
    offset: u64,
    size: Option<u64>,
    received: u64,
    /// Nobody needs to be told any more.
    settled: bool,
}

/// A transfer that brought everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Bytes that came in this transfer.
    pub received: u64,
    /// Whether the data connection ended with a goodbye. Without one it is the number of bytes that vouches.
    pub clean: bool,
    /// What the peer said.
    pub confirmation: Confirmation,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(session: &'a mut Session, data: Data, offset: u64, size: Option<u64>) -> Transfer<'a> {
        Transfer { session, data: Some(data), end: None, offset, size, received: 0, settled: false }
    }

    /// Bytes that have come in this transfer.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Waits for bytes, at most `times.stall`, and puts them into `into`; 0 means that no more come (or that `into` is
    /// empty). Pieces of 16 KiB are the most that come at once.
    ///
    /// # Errors
    /// [`FtpsErrorKind::Stalled`], [`FtpsErrorKind::Long`], [`FtpsErrorKind::Interrupted`], [`FtpsErrorKind::Cancelled`]. The
    /// transfer is over then.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, FtpsError> {
        let times = self.session.options().times;
        let whole = self.is_whole();
        let Some(data) = &mut self.data else { return Ok(0) };
        if into.is_empty() {
            return Ok(0);
        }
        // With all bytes here, only the end is missing, and that never comes from some peers.
        let limit = if whole { times.end } else { times.stall };
        match data.read(into, limit) {
            // In clear text, shutting the connection down looks like its end.
            Ok(0) if self.session.cancel().is_cancelled() => Err(self.cut(FtpsError::cancelled())),
            Ok(0) => {
                let end = if data.is_private() { End::Clean } else { End::Unclean };
                self.ended(end);
                Ok(0)
            }
            Ok(count) => {
                self.received = self.received.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                match self.size {
                    Some(size) if self.total() > size => {
                        let kind = FtpsErrorKind::Long { expected: size };
                        let message = format!("more than the {size} bytes came that the peer had announced");
                        Err(self.cut(FtpsError::new(kind, message)))
                    }
                    _ => Ok(count),
                }
            }
            Err(error) => match error.kind() {
                _ if self.session.cancel().is_cancelled() => Err(self.cut(FtpsError::cancelled())),
                ErrorKind::UnexpectedEof => {
                    self.ended(End::Unclean);
                    Ok(0)
                }
                ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                    self.ended(End::Reset);
                    Ok(0)
                }
                ErrorKind::TimedOut if whole => {
                    self.ended(End::Open);
                    Ok(0)
                }
                ErrorKind::TimedOut => {
                    let message =
                        format!("no byte came for {} s, after {} bytes", limit.as_secs(), self.received);
                    Err(self.cut(FtpsError::new(FtpsErrorKind::Stalled, message)))
                }
                _ => {
                    let message = format!("the data connection broke after {} bytes: {error}", self.received);
                    Err(self.cut(FtpsError::new(FtpsErrorKind::Interrupted, message)))
                }
            },
        }
    }

    /// Judges the transfer. Call it when [`Transfer::read`] has answered 0, or when as many bytes have come as the file has.
    /// Waits at most `times.end` for each of the connection's end and the peer's answer.
    ///
    /// # Errors
    /// [`FtpsErrorKind::Short`] where the peer calls fewer bytes than the file has complete, otherwise what the peer said or
    /// [`FtpsErrorKind::Interrupted`].
    pub fn finish(mut self) -> Result<Finished, FtpsError> {
        if self.end.is_none() && self.is_whole() {
            self.read(&mut [0])?;
        }
        let Some(end) = self.end else {
            let message = format!("the transfer was given up after {} bytes", self.received);
            return Err(self.cut(FtpsError::new(FtpsErrorKind::Interrupted, message)));
        };
        self.settled = true;
        let limit = self.session.options().times.end;
        let reply = self.session.answer("the end of the transfer", limit);
        let reply = reply.map(|reply| self.session.without_secrets(reply));
        let verdict = judge(self.size, self.total(), end, &reply);
        match (&reply, &verdict) {
            (Ok(_), Ok(Confirmation::Confirmed)) => {}
            // An answer that is still owed, or a second one after a complaint, would be taken for the answer to the next
            // question.
            _ => self.session.end_quietly(),
        }
        let confirmation = verdict.map_err(|error| unless_cancelled(self.session.cancel(), || error))?;
        Ok(Finished { received: self.received, clean: end == End::Clean, confirmation })
    }

    /// Stops early, on purpose. Waits at most `times.end` for the peer to say so; [`Session::is_usable`] tells whether the
    /// session survived, which is up to the peer.
    pub fn abandon(mut self) {
        if self.data.is_some() {
            self.ended(End::Open);
        }
        self.settled = true;
        let limit = self.session.options().times.end;
        // "Aborted" is the expected answer, "complete" comes where the rest was on its way.
        let _ = self.session.answer("the end of the transfer", limit);
    }

    /// The bytes of the file that are there after this transfer, those before its start included.
    fn total(&self) -> u64 {
        self.offset.saturating_add(self.received)
    }

    fn is_whole(&self) -> bool {
        self.size == Some(self.total())
    }

    fn ended(&mut self, end: End) {
        self.end = Some(end);
        let whole = self.is_whole();
        // Some peers answer only when they have seen the other side's end.
        if let Some(data) = self.data.take() {
            data.close(!matches!(end, End::Reset | End::Open) || whole);
        }
    }

    fn cut(&mut self, error: FtpsError) -> FtpsError {
        self.ended(End::Reset);
        self.settled = true;
        self.session.end(error)
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.ended(End::Reset);
            self.session.end_quietly();
        }
    }
}

impl fmt::Debug for Transfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer")
            .field("offset", &self.offset)
            .field("received", &self.received)
            .field("size", &self.size)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
