//! Large bodies: uploads, file contents, backups. They stream through the front and never touch `tiny_http`, whose drop
//! of an unread body allocates the length that the client announced.
//!
//! A room that has such routes implements [`LargeRoutes`]; until then [`NoLargeRoutes`] stands there. At most
//! [`LARGE_AT_ONCE`] run at a time, bodies and answers count by progress.

use std::net::IpAddr;

use super::answer::{Length, head as answer_head, refuse};
use super::head::{Head, Verb};
use super::socket::{Client, Gone};
use crate::web::guard::Asking;
use crate::web::respond::{ApiError, Reply};

/// Large exchanges at a time: each holds a file and its buffers, and a card serves few readers well.
pub const LARGE_AT_ONCE: usize = 4;

/// The routes whose bodies are streamed.
pub trait LargeRoutes {
    /// Whether this request is one of them; if so, how many bytes its body may have. Must be quick.
    fn takes(&self, head: &Head) -> Option<u64>;

    /// Answers it. The connection closes afterwards. Runs on the executor: files are read and written elsewhere.
    ///
    /// # Errors
    /// [`LargeError::Api`] becomes the answer if none was begun; [`LargeError::Gone`] just ends.
    fn serve(&self, exchange: Exchange<'_>) -> impl Future<Output = Result<(), LargeError>>;
}

/// No large routes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLargeRoutes;

impl LargeRoutes for NoLargeRoutes {
    fn takes(&self, _: &Head) -> Option<u64> {
        None
    }

    async fn serve(&self, _: Exchange<'_>) -> Result<(), LargeError> {
        Ok(())
    }
}

/// Why a large exchange ended early.
#[derive(Debug)]
pub enum LargeError {
    /// The client is gone or stalled.
    Gone(Gone),
    /// What to tell the client.
    Api(ApiError),
}

impl From<Gone> for LargeError {
    fn from(gone: Gone) -> LargeError {
        LargeError::Gone(gone)
    }
}

impl From<ApiError> for LargeError {
    fn from(error: ApiError) -> LargeError {
        LargeError::Api(error)
    }
}

/// A large request and the way to answer it.
pub struct Exchange<'c> {
    client: &'c mut Client,
    head: &'c Head,
    peer: IpAddr,
    left: u64,
    begun: &'c mut bool,
}

impl<'c> Exchange<'c> {
    pub(super) fn new(
        client: &'c mut Client,
        head: &'c Head,
        peer: IpAddr,
        begun: &'c mut bool,
    ) -> Exchange<'c> {
        Exchange { left: head.body_bytes, client, head, peer, begun }
    }

    /// The vetted head.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.head
    }

    /// What it shows of who sends it, for the guard.
    #[must_use]
    pub fn asking(&self) -> Asking<'c> {
        Asking::of(self.head, self.peer)
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Bytes of body still to be read.
    #[must_use]
    pub fn body_left(&self) -> u64 {
        self.left
    }

    /// Reads the next bytes of the body; 0 at its end.
    ///
    /// # Errors
    /// Where the client went away or stalled: the body is not whole.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Gone> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.client.read_some(buffer.get_mut(..room).unwrap_or_default()).await?;
        self.left = self.left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }

    /// Begins an answer whose body follows through [`Exchange::write`]: `length` bytes of it, or as many as come before
    /// the connection closes.
    ///
    /// # Errors
    /// Where the client is gone.
    pub async fn begin(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        length: Option<u64>,
    ) -> Result<(), Gone> {
        *self.begun = true;
        let length = length.map_or(Length::UntilClose, Length::Known);
        let head = answer_head(status, headers.iter().copied(), length, false);
        self.client.write(&head).await
    }

    /// Writes bytes of the body by progress. For a HEAD request they are dropped.
    ///
    /// # Errors
    /// Where the client is gone or stalled.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        if self.head.verb == Verb::Head {
            return Ok(());
        }
        self.client.write(bytes).await
    }

    /// Writes a whole small answer.
    ///
    /// # Errors
    /// Where the client is gone.
    pub async fn reply(&mut self, reply: &Reply) -> Result<(), Gone> {
        *self.begun = true;
        refuse(self.client, reply, self.head.verb == Verb::Head).await
    }
}
