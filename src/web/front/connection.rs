//! One connection from its first byte to its end.

use std::net::{IpAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use async_io::Async;

use super::answer::{refuse, send};
use super::guard;
use super::head::{Head, Verb};
use super::large::{Exchange, LARGE_AT_ONCE, LargeError, LargeRoutes};
use super::proxy::{forward, turn};
use super::seats::{Phase, SeatId};
use super::socket::{Client, Gone, NoHead};
use super::stream::{End, EventSource, StreamRequest, pump, stream_head};
use super::{EVENTS_PATH, Shared};
use crate::web::respond::ApiError;

/// A seat that is freed when its holder is gone, however that happens.
pub(super) struct Holder<E, L> {
    pub(super) shared: Rc<Shared<E, L>>,
    pub(super) id: SeatId,
}

impl<E, L> Holder<E, L> {
    fn enter(&self, phase: Phase) {
        self.shared.seats.borrow_mut().enter(self.id, phase);
        self.shared.note_seats();
        // A stop waits for the last answer, newcomers for somebody who may be asked to leave.
        self.shared.freed.notify(1);
    }
}

impl<E, L> Drop for Holder<E, L> {
    fn drop(&mut self) {
        self.shared.seats.borrow_mut().leave(self.id);
        self.shared.note_seats();
        self.shared.freed.notify(1);
    }
}

/// What comes after a request.
enum After {
    /// The connection may be used again.
    Again,
    /// It was told that it closes; let it read that.
    Linger,
    /// It is gone or useless.
    Drop,
}

/// Serves one client until it leaves or is dismissed.
pub(super) async fn serve<E: EventSource, L: LargeRoutes>(
    holder: Holder<E, L>,
    stream: Async<TcpStream>,
    peer: IpAddr,
) {
    let shared = Rc::clone(&holder.shared);
    let limits = &shared.config;
    let mut client = Client::new(stream, shared.clock.clone(), limits.stall_time);
    let mut first_byte = shared.clock.now().mono.after(limits.head_time);
    loop {
        let head = match client.read_head(first_byte, limits.head_time, limits.head_bytes).await {
            Ok(head) => head,
            Err(NoHead::Gone) => return,
            Err(NoHead::Refused(error)) => {
                shared.stats.heads_refused.fetch_add(1, Ordering::Relaxed);
                if refused(&shared, &mut client, &error, false).await.is_ok() {
                    client.linger().await;
                }
                return;
            }
        };
        let after = match exchange(&holder, &shared, &mut client, &head, peer).await {
            Ok(after) => after,
            Err(Ended::Gone(gone)) => {
                if gone == Gone::Stalled {
                    shared.stats.stalled.fetch_add(1, Ordering::Relaxed);
                }
                After::Drop
            }
            Err(Ended::Answer(error)) => {
                match refused(&shared, &mut client, &error, head.verb == Verb::Head).await {
                    Ok(()) => After::Linger,
                    Err(_) => After::Drop,
                }
            }
        };
        let now = shared.clock.now().mono;
        holder.enter(Phase::Waiting(now));
        match after {
            After::Again => first_byte = now.after(limits.idle_time),
            After::Linger => {
                client.linger().await;
                return;
            }
            After::Drop => return,
        }
    }
}

/// Why a request was not answered by the normal way.
enum Ended {
    Gone(Gone),
    Answer(ApiError),
}

impl From<Gone> for Ended {
    fn from(gone: Gone) -> Ended {
        Ended::Gone(gone)
    }
}

impl From<ApiError> for Ended {
    fn from(error: ApiError) -> Ended {
        Ended::Answer(error)
    }
}

async fn exchange<E: EventSource, L: LargeRoutes>(
    holder: &Holder<E, L>,
    shared: &Shared<E, L>,
    client: &mut Client,
    head: &Head,
    peer: IpAddr,
) -> Result<After, Ended> {
    let held = shared.config.held_name.get();
    if let Err(error) = guard::check(head, &shared.config.names.get(), held.as_deref()) {
        shared.stats.foreign.fetch_add(1, Ordering::Relaxed);
        return Err(error.into());
    }
    // Other methods than these are refused by the router, as everywhere.
    if head.path() == EVENTS_PATH && matches!(head.verb, Verb::Get | Verb::Head) {
        return events(holder, shared, client, head, peer).await;
    }
    if let Some(most) = shared.large.takes(head) {
        return large(holder, shared, client, head, peer, most).await;
    }
    let limit = shared.config.body_bytes;
    let length = usize::try_from(head.body_bytes).ok().filter(|length| *length <= limit);
    let Some(length) = length else {
        return Err(ApiError::new(413, "BODY_TOO_LARGE", format!("Send at most {limit} bytes here.")).into());
    };
    if head.expects_continue && length > 0 {
        client.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = client.read_exactly(length).await?;
    holder.enter(Phase::Busy);
    shared.stats.requests.fetch_add(1, Ordering::Relaxed);
    let config = &shared.config;
    // Whoever has hung up makes room for the next in line; once a handler works its answer is waited for.
    let hung_up = async {
        client.hung_up().await;
        Err(Ended::Gone(Gone::Closed))
    };
    let turn = async { turn(&shared.gate, &shared.clock, &config.proxy).await.map_err(Ended::from) };
    let share = smol::future::or(hung_up, turn).await?;
    let answer = forward(share, &shared.backend, &shared.clock, &config.proxy, peer, head, &body).await;
    drop(body);
    let answer = answer.inspect_err(|error| {
        shared.stats.proxy_errors.fetch_add(1, Ordering::Relaxed);
        log::debug!("web: {error}");
    })?;
    let keep = head.keep_alive && !shared.stopping.get();
    send(client, answer.status, &answer.headers, &answer.body, head.verb == Verb::Head, keep).await?;
    Ok(if keep { After::Again } else { After::Linger })
}

async fn events<E: EventSource, L: LargeRoutes>(
    holder: &Holder<E, L>,
    shared: &Shared<E, L>,
    client: &mut Client,
    head: &Head,
    peer: IpAddr,
) -> Result<After, Ended> {
    if head.verb == Verb::Head {
        client.write(&stream_head()).await?;
        return Ok(After::Linger);
    }
    let request = StreamRequest::parse(head, peer)?;
    let open = shared.seats.borrow().count(|phase| phase == Phase::Stream);
    if open >= shared.config.streams || shared.stopping.get() {
        shared.stats.streams_refused.fetch_add(1, Ordering::Relaxed);
        let message = "Too many pages are open. Close one; this one tries again in 15 s.";
        return Err(ApiError { code: "TOO_MANY_STREAMS", ..ApiError::busy(message, 15) }.into());
    }
    // Counted from here on, so that many requests at once cannot pass together.
    holder.enter(Phase::Stream);
    let stream = shared.events.open(request).await?;
    shared.stats.streams_opened.fetch_add(1, Ordering::Relaxed);
    let end = pump(client, &shared.events, stream, &shared.clock, &shared.config.stream).await;
    if end == End::Slow {
        shared.stats.streams_slow.fetch_add(1, Ordering::Relaxed);
    }
    Ok(match end {
        End::Source => After::Linger,
        End::Closed | End::Slow => After::Drop,
    })
}

async fn large<E: EventSource, L: LargeRoutes>(
    holder: &Holder<E, L>,
    shared: &Shared<E, L>,
    client: &mut Client,
    head: &Head,
    peer: IpAddr,
    most: u64,
) -> Result<After, Ended> {
    if head.body_bytes > most {
        let error = ApiError::new(413, "BODY_TOO_LARGE", format!("Send at most {most} bytes here."));
        return Err(error.with_details(serde_json::json!({ "limit_bytes": most })).into());
    }
    if shared.large_open.get() >= LARGE_AT_ONCE {
        return Err(ApiError::busy("Other large transfers are running. Try again shortly.", 10).into());
    }
    let _open = LargeOpen::new(shared);
    holder.enter(Phase::Busy);
    if head.expects_continue && head.body_bytes > 0 {
        client.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut begun = false;
    match shared.large.serve(Exchange::new(client, head, peer, &mut begun)).await {
        Ok(()) if begun => Ok(After::Linger),
        Ok(()) => Err(ApiError::internal("There was no answer. Please report this.").into()),
        Err(LargeError::Gone(gone)) => Err(gone.into()),
        // Half an answer cannot be taken back; closing early tells the client.
        Err(LargeError::Api(_)) if begun => Ok(After::Drop),
        Err(LargeError::Api(error)) => Err(error.into()),
    }
}

/// Counts an open large exchange until it ends.
struct LargeOpen<'s, E, L>(&'s Shared<E, L>);

impl<'s, E, L> LargeOpen<'s, E, L> {
    fn new(shared: &'s Shared<E, L>) -> LargeOpen<'s, E, L> {
        shared.large_open.set(shared.large_open.get() + 1);
        LargeOpen(shared)
    }
}

impl<E, L> Drop for LargeOpen<'_, E, L> {
    fn drop(&mut self) {
        self.0.large_open.set(self.0.large_open.get() - 1);
    }
}

async fn refused<E, L>(
    shared: &Shared<E, L>,
    client: &mut Client,
    error: &ApiError,
    without_body: bool,
) -> Result<(), Gone> {
    refuse(client, &error.reply(shared.clock.now().wall), without_body).await
}
