//! One link: the caller's end, and the task at the other end of its channels.

use std::fmt;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, Outgoing, QoS, Request, Subscribe,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use smol::channel::{Receiver, Sender};
use tokio::time::{Instant, Sleep, sleep};

use super::error::{self, MqttError, MqttErrorKind, Progress};
use super::relay::Relay;
use super::{
    ConnectOptions, DISCONNECT_DEADLINE, EVENT_QUEUE_MAX, Full, MqttEvent, PUBLISH_BYTES_MAX,
    PUBLISH_QUEUE_MAX,
};
use crate::net::tls::Observed;

/// Messages that the peer has not acknowledged. Nothing is sent that asks for acknowledgement, so this only keeps the
/// library's table small; it must exceed the few packet numbers a subscription takes.
const INFLIGHT_MAX: u16 = 8;

/// Longest client name, user name, password and topic, in bytes. MQTT has two bytes for their length.
const TEXT_BYTES_MAX: usize = 1024;

/// Bytes of a message that are not its topic or its payload: the fixed header and the topic's length.
const PUBLISH_OVERHEAD: usize = 8;

/// The caller's end of a link. Dropping it ends the link with a DISCONNECT.
pub struct MqttLink {
    /// What the link tells. It ends after [`MqttEvent::Closed`], or without it when the link was ended from this side.
    pub events: Receiver<MqttEvent>,
    client: AsyncClient,
    waiting: Arc<AtomicUsize>,
    /// Closed to tell the task to end; nothing is ever sent.
    stop: Sender<()>,
}

impl MqttLink {
    /// Queues a message of quality 0 (at most once, unacknowledged). Never waits; messages queued before the peer lets us in
    /// are sent after the subscription.
    ///
    /// # Errors
    /// [`Full`] if the message was not taken.
    pub fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) -> Result<(), Full> {
        let payload = payload.into();
        let size = topic.len().saturating_add(payload.len()).saturating_add(PUBLISH_OVERHEAD);
        if topic.len() > TEXT_BYTES_MAX || size > PUBLISH_BYTES_MAX {
            return Err(Full);
        }
        // Counted here rather than by the library's queue, which keeps one more place for the DISCONNECT.
        let counted = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < PUBLISH_QUEUE_MAX).then_some(waiting + 1)
        });
        if counted.is_err() {
            return Err(Full);
        }
        self.client.try_publish(topic, QoS::AtMostOnce, false, payload).map_err(|_refused| {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            Full
        })
    }

    /// Ends the link: a DISCONNECT is sent if the peer had let us in, and the events end within
    /// [`DISCONNECT_DEADLINE`]. Returns at once.
    pub fn disconnect(&self) {
        self.stop.close();
    }
}

impl Drop for MqttLink {
    fn drop(&mut self) {
        self.stop.close();
    }
}

impl fmt::Debug for MqttLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttLink").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// The other end of a link, to be run on the mqtt thread.
pub(super) struct LinkJob {
    options: ConnectOptions,
    client: AsyncClient,
    eventloop: EventLoop,
    events: Sender<MqttEvent>,
    waiting: Arc<AtomicUsize>,
    stop: Receiver<()>,
}

/// Makes both ends of a link.
pub(super) fn pair(options: ConnectOptions) -> (MqttLink, LinkJob) {
    // One place more than messages are let in, so that the DISCONNECT always finds room.
    let (client, eventloop) =
        AsyncClient::new(library_options(&options, options.address), PUBLISH_QUEUE_MAX + 1);
    let (events, receiver) = smol::channel::bounded(EVENT_QUEUE_MAX);
    let (stop, stopped) = smol::channel::bounded(1);
    let waiting = Arc::new(AtomicUsize::new(0));
    let link = MqttLink { events: receiver, client: client.clone(), waiting: Arc::clone(&waiting), stop };
    (link, LinkJob { options, client, eventloop, events, waiting, stop: stopped })
}

fn library_options(options: &ConnectOptions, address: SocketAddr) -> MqttOptions {
    let mut library = MqttOptions::new(options.client_id.as_str(), address.ip().to_string(), address.port());
    library
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(&options.tls))))
        .set_keep_alive(whole_seconds(options.keep_alive))
        .set_clean_session(true)
        .set_credentials(options.username.as_str(), options.password.reveal())
        .set_max_packet_size(options.max_incoming, PUBLISH_BYTES_MAX)
        .set_inflight(INFLIGHT_MAX);
    library
}

/// Rounded up to whole seconds, at least one, and within the 16 bits MQTT has for it.
fn whole_seconds(duration: Duration) -> Duration {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    Duration::from_secs(seconds.clamp(1, u64::from(u16::MAX)))
}

/// Waits until a signal on which nothing is ever sent is closed.
pub(super) async fn closed(signal: &Receiver<()>) {
    while signal.recv().await.is_ok() {}
}

/// How the task is told to end.
#[derive(Clone)]
pub(super) struct Stop {
    pub link: Receiver<()>,
    pub thread: Receiver<()>,
}

impl Stop {
    /// Waits until either the link or the whole thread is told to end.
    pub async fn wait(&self) {
        smol::future::or(closed(&self.link), closed(&self.thread)).await;
    }
}

impl LinkJob {
    /// Where the task tells what happens; kept by the thread so that it can announce a panic.
    pub fn events(&self) -> Sender<MqttEvent> {
        self.events.clone()
    }

    /// The end of the stop signal.
    pub fn stop(&self) -> Receiver<()> {
        self.stop.clone()
    }

    /// Lives the link's life. [`None`] when it was ended from this side.
    pub async fn run(mut self, stop: Stop) -> Option<MqttError> {
        if let Err(error) = self.check() {
            return Some(error);
        }
        let limit = whole_seconds(self.options.connect_timeout);
        let begun = Instant::now();
        let relay = match self.options.address {
            SocketAddr::V6(address) if address.ip().to_ipv4_mapped().is_none() => {
                let opened = tokio::select! {
                    opened = Relay::open(address, limit) => opened,
                    () = stop.wait() => return None,
                };
                match opened {
                    Ok(relay) => Some(relay),
                    Err(error) => return Some(error),
                }
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => None,
        };
        let mut address = self.options.address;
        address.set_ip(address.ip().to_canonical());
        let target = relay.as_ref().map_or(address, |relay| relay.address);
        self.eventloop.mqtt_options = library_options(&self.options, target);
        // The library's deadline covers TCP, TLS and login; what the relay has used of it is gone.
        let left = whole_seconds(limit.saturating_sub(begun.elapsed()));
        let network = &mut self.eventloop.network_options;
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(left.as_secs());

        let ended = Life::new(&self, stop).live(&mut self.eventloop).await;
        if let Some(relay) = relay {
            // The DISCONNECT may still be on its way through the relay.
            drop(self.eventloop);
            relay.drain(DISCONNECT_DEADLINE / 2).await;
        }
        ended
    }

    /// What the library would turn into nonsense on the wire.
    fn check(&self) -> Result<(), MqttError> {
        let options = &self.options;
        let texts = [&options.client_id, &options.username, &options.subscribe].map(String::len).into_iter();
        if texts.chain([options.password.reveal().len()]).any(|length| length > TEXT_BYTES_MAX) {
            let message = format!("a name or password is longer than {TEXT_BYTES_MAX} bytes");
            return Err(MqttError::new(MqttErrorKind::Protocol, message));
        }
        if !rumqttc::valid_filter(&options.subscribe) {
            return Err(MqttError::new(MqttErrorKind::Protocol, "the topic to subscribe to is not valid"));
        }
        Ok(())
    }
}

/// The state of a link while it lives.
struct Life {
    client: AsyncClient,
    events: Sender<MqttEvent>,
    waiting: Arc<AtomicUsize>,
    observed: Observed,
    subscribe: String,
    stop: Stop,
    progress: Progress,
    /// Handshakes of this configuration before this link.
    handshakes_before: u64,
    /// Told to end: events are thrown away, and only the DISCONNECT and the peer's hanging up are waited for.
    leaving: bool,
}

/// What to do after an event.
enum Next {
    GoOn,
    Leave,
}

impl Life {
    fn new(job: &LinkJob, stop: Stop) -> Life {
        Life {
            client: job.client.clone(),
            events: job.events.clone(),
            waiting: Arc::clone(&job.waiting),
            observed: job.options.observed.clone(),
            subscribe: job.options.subscribe.clone(),
            stop,
            progress: Progress {
                connected: false,
                hello_sent: false,
                seen: None,
                limit: whole_seconds(job.options.connect_timeout),
                max_incoming: job.options.max_incoming,
            },
            handshakes_before: job.options.observed.handshakes(),
            leaving: false,
        }
    }

    async fn live(mut self, eventloop: &mut EventLoop) -> Option<MqttError> {
        let mut grace = pin!(sleep(Duration::ZERO));
        loop {
            match self.poll(eventloop, grace.as_mut()).await? {
                Err(_) if self.leaving => return None,
                Err(error) => {
                    self.deliver_rest(eventloop).await;
                    return Some(self.sort(&error));
                }
                Ok(event) => match self.handle(event, eventloop).await {
                    Next::GoOn => {}
                    Next::Leave => self.begin_leaving(grace.as_mut())?,
                },
            }
        }
    }

    /// Polls the library once, to the end. Its future is never dropped half-way, except when the link is given up:
    /// some of its steps would lose bytes. [`None`] when there is nothing more to wait for.
    async fn poll(
        &mut self,
        eventloop: &mut EventLoop,
        mut grace: Pin<&mut Sleep>,
    ) -> Option<Result<Event, ConnectionError>> {
        let mut poll = pin!(eventloop.poll());
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.wait());
        loop {
            tokio::select! {
                polled = &mut poll => return Some(polled),
                () = &mut stopped, if !self.leaving => self.begin_leaving(grace.as_mut())?,
                () = grace.as_mut(), if self.leaving => return None,
            }
        }
    }

    /// Queues the DISCONNECT and sets the deadline for it. [`None`] if nobody is there to say it to.
    fn begin_leaving(&mut self, grace: Pin<&mut Sleep>) -> Option<()> {
        if self.leaving {
            return Some(());
        }
        self.leaving = true;
        if !self.progress.connected {
            return None;
        }
        grace.reset(Instant::now() + DISCONNECT_DEADLINE);
        self.client.try_disconnect().ok()
    }

    async fn handle(&mut self, event: Event, eventloop: &mut EventLoop) -> Next {
        match event {
            Event::Incoming(Incoming::ConnAck(_)) => {
                self.progress.connected = true;
                // Put before everything that waits. The library does not subscribe by itself after a connect.
                let subscribe = Subscribe::new(self.subscribe.as_str(), QoS::AtMostOnce);
                eventloop.pending.push_front(Request::Subscribe(subscribe));
                self.tell(MqttEvent::Connected).await
            }
            Event::Incoming(Incoming::SubAck(answer)) => {
                let accepted = answer.return_codes.iter().all(|code| *code != SubscribeReasonCode::Failure);
                self.tell(MqttEvent::Subscribed { accepted }).await
            }
            Event::Incoming(Incoming::Publish(message)) => {
                if !rumqttc::matches(&message.topic, &self.subscribe) {
                    log::debug!("mqtt: a message on a topic that was not subscribed to is ignored");
                    return Next::GoOn;
                }
                // Copied, because the library's buffer would stay alive as a whole with any part of it.
                self.tell(MqttEvent::Message { payload: message.payload.to_vec() }).await
            }
            Event::Outgoing(Outgoing::Publish(_)) => {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                Next::GoOn
            }
            Event::Incoming(_) | Event::Outgoing(_) => Next::GoOn,
        }
    }

    /// Hands over what came before the end. The library reads up to ten packets at once and, when one of them is the
    /// error, forgets to give out those before it: often the last words of a peer that hangs up.
    async fn deliver_rest(&mut self, eventloop: &mut EventLoop) {
        while let Some(event) = eventloop.state.events.pop_front() {
            // A second answer to the login is what ended the link, not a second login.
            if matches!(event, Event::Incoming(Incoming::ConnAck(_))) {
                continue;
            }
            if matches!(self.handle(event, eventloop).await, Next::Leave) {
                return;
            }
        }
    }

    /// Hands an event to the caller and waits while its channel is full; nothing is read from the peer meanwhile.
    async fn tell(&mut self, event: MqttEvent) -> Next {
        if self.leaving {
            return Next::GoOn;
        }
        tokio::select! {
            sent = self.events.send(event) => if sent.is_ok() { Next::GoOn } else { Next::Leave },
            () = self.stop.wait() => Next::Leave,
        }
    }

    fn sort(mut self, error: &ConnectionError) -> MqttError {
        self.progress.hello_sent = self.observed.handshakes() > self.handshakes_before;
        self.progress.seen = self.observed.seen_since(self.handshakes_before);
        error::classify(error, &self.progress)
    }
}
