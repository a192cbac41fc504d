//! A client's socket with deadlines on everything.
//!
//! Reading and writing count by progress: as long as bytes move, there is no total limit; where nothing (or hardly
//! anything) moves for the stall time, the client is given up.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use async_io::Async;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::head::{Head, Parsed, parse};
use crate::base::clock::{Clock, Mono, within};
use crate::web::respond::ApiError;

/// What must be taken by a client within the stall time. A piece this large every 15 s is 0.5 KB/s: slower than any
/// link that a person would use, and it bounds how long one answer can be dragged out.
const PIECE_BYTES: usize = 8 * 1024;

/// Read at a time.
const READ_BYTES: usize = 2048;

/// Bytes thrown away after a refusal, so that the client can read the answer before the connection is reset.
const LINGER_BYTES: usize = 256 * 1024;

/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Why a client was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It closed or reset the connection.
    Closed,
    /// Nothing moved for the stall time.
    Stalled,
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Gone {
        Gone::Closed
    }
}

/// Why there is no next request.
#[derive(Debug)]
pub(super) enum NoHead {
    /// The client went away or stayed silent: nothing to say.
    Gone,
    /// It sent something that is refused.
    Refused(ApiError),
}

/// The socket, and bytes that were read but not used yet.
pub struct Client {
    stream: Async<TcpStream>,
    clock: Clock,
    stall: Duration,
    unread: Vec<u8>,
}

impl Client {
    pub(super) fn new(stream: Async<TcpStream>, clock: Clock, stall: Duration) -> Client {
        // Small answers and events go out at once; an error here costs only speed.
        let _ = stream.get_ref().set_nodelay(true);
        Client { stream, clock, stall, unread: Vec::new() }
    }

    pub(super) fn stream(&self) -> &Async<TcpStream> {
        &self.stream
    }

    /// Reads the next head: its first byte must come before `first_byte`, the rest within `head_time` after that,
    /// and in all not more than `head_bytes`.
    pub(super) async fn read_head(
        &mut self,
        first_byte: Mono,
        head_time: Duration,
        head_bytes: usize,
    ) -> Result<Head, NoHead> {
        let mut deadline =
            if self.unread.is_empty() { first_byte } else { self.clock.now().mono.after(head_time) };
        let mut silent = self.unread.is_empty();
        loop {
            if !self.unread.is_empty() {
                match parse(&self.unread).map_err(NoHead::Refused)? {
                    Parsed::Whole(head, length) => {
                        self.unread.drain(..length);
                        return Ok(head);
                    }
                    Parsed::Partial if self.unread.len() >= head_bytes => {
                        let message = format!("Send a head of at most {head_bytes} bytes.");
                        return Err(NoHead::Refused(ApiError::new(431, "HEAD_TOO_LARGE", message)));
                    }
                    Parsed::Partial => {}
                }
            }
            let room = head_bytes - self.unread.len();
            let wait = deadline.since(self.clock.now().mono);
            match within(&self.clock.clone(), wait, self.fill(room.min(READ_BYTES))).await {
                Some(Ok(count)) if count > 0 => {}
                Some(_) => return Err(NoHead::Gone),
                None if silent => return Err(NoHead::Gone),
                None => {
                    let message = "The head of the request took too long.";
                    return Err(NoHead::Refused(ApiError::new(408, "REQUEST_TIMEOUT", message)));
                }
            }
            if silent {
                silent = false;
                deadline = self.clock.now().mono.after(head_time);
            }
        }
    }

    /// Reads at most `room` bytes behind those that are unread; answers how many.
    async fn fill(&mut self, room: usize) -> io::Result<usize> {
        let before = self.unread.len();
        self.unread.resize(before + room, 0);
        // Filled through a guard: a dropped wait must not leave zeros behind as if they had been received.
        let mut guard = Truncate { bytes: &mut self.unread, length: before };
        let count = match guard.bytes.get_mut(before..) {
            Some(space) => self.stream.read(space).await?,
            None => 0,
        };
        guard.length = before + count;
        Ok(count)
    }

    /// Reads exactly `count` bytes of body.
    pub(super) async fn read_exactly(&mut self, count: usize) -> Result<Vec<u8>, Gone> {
        while self.unread.len() < count {
            let room = (count - self.unread.len()).min(READ_BYTES);
            match within(&self.clock.clone(), self.stall, self.fill(room)).await {
                Some(Ok(read)) if read > 0 => {}
                Some(_) => return Err(Gone::Closed),
                None => return Err(Gone::Stalled),
            }
        }
        let rest = self.unread.split_off(count);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// Reads some bytes of a large body into `buffer`, at most its length; 0 only for an empty buffer.
    pub(super) async fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Gone> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let ready = self.unread.len().min(buffer.len());
        if ready > 0 {
            for (to, from) in buffer.iter_mut().zip(self.unread.drain(..ready)) {
                *to = from;
            }
            return Ok(ready);
        }
        match within(&self.clock.clone(), self.stall, self.stream.read(buffer)).await {
            Some(Ok(count)) if count > 0 => Ok(count),
            Some(_) => Err(Gone::Closed),
            None => Err(Gone::Stalled),
        }
    }

    /// Waits until the client has reset the connection. Never ready for one that is merely silent, has sent more already,
    /// or has said that it will send nothing more: that one may well wait for its answer.
    pub(super) async fn hung_up(&self) {
        let mut byte = [0];
        if self.stream.read_with(|stream| stream.peek(&mut byte)).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    /// Writes all of `bytes` by progress.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.write_within(piece, self.stall).await?;
        }
        Ok(())
    }

    /// Writes all of `bytes` within `limit`.
    pub(super) async fn write_within(&mut self, bytes: &[u8], limit: Duration) -> Result<(), Gone> {
        match within(&self.clock.clone(), limit, self.stream.write_all(bytes)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(Gone::Closed),
            None => Err(Gone::Stalled),
        }
    }

    /// Ends the connection so that the client can still read the answer: closing with unread bytes would reset it.
    pub(super) async fn linger(mut self) {
        if self.stream.get_ref().shutdown(Shutdown::Write).is_err() {
            return;
        }
        let clock = self.clock.clone();
        let drain = async {
            let mut buffer = vec![0; READ_BYTES];
            let mut dropped = 0;
            while let Ok(count) = self.stream.read(&mut buffer).await {
                dropped += count;
                if count == 0 || dropped > LINGER_BYTES {
                    break;
                }
            }
        };
        within(&clock, LINGER_TIME, drain).await;
    }
}

/// Cuts a buffer to the bytes that are really there, also when a read is given up in the middle.
struct Truncate<'b> {
    bytes: &'b mut Vec<u8>,
    length: usize,
}

impl Drop for Truncate<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.length);
    }
}
