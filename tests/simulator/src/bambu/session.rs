//! One connection: handshake, login, subscriptions, and the requests on their way to the engine.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::faults::{Silence, Tcp};
use super::mqtt::{self, Connect, Packet};
use super::observe::Observations;
use super::shared::{Shared, Task};
use super::tls::Channel;
use crate::wait::lock;

/// A client that has not finished the handshake and logged in by then is sent away.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The user name of every printer.
const USER: &str = "bblp";
/// Subscriptions of one session; more are acknowledged and forgotten.
const TOPICS_MAX: usize = 32;

/// A connection as the engine sees it.
#[derive(Debug)]
pub struct Session {
    channel: Channel,
    topics: Mutex<Vec<String>>,
    is_logged_in: AtomicBool,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// DISCONNECT was received.
    Clean,
    /// Everything else.
    Unclean,
}

impl Session {
    /// Whether this session gets what is published to `topic`.
    #[must_use]
    pub fn hears(&self, topic: &str) -> bool {
        lock(&self.topics).iter().any(|filter| filter == topic)
    }

    /// Whether the client has logged in.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.is_logged_in.load(Ordering::SeqCst)
    }

    /// Sends MQTT bytes; a session that cannot take them is cut. Tells whether they went out.
    pub fn send(&self, shared: &Shared, bytes: &[u8]) -> bool {
        if lock(&shared.faults).silence == Silence::Dead {
            return false;
        }
        let result = self.channel.send(bytes);
        if result.is_err() {
            self.cut();
        }
        result.is_ok()
    }

    /// Ends the TCP connection without a farewell.
    pub fn cut(&self) {
        self.channel.cut();
    }
}

/// Serves one accepted connection until its end. Runs on a thread of its own.
pub fn serve(shared: &Shared, socket: TcpStream) {
    shared.observer.note(|seen| seen.connections += 1);
    let faults = lock(&shared.faults).clone();
    match faults.tcp {
        Tcp::Close => return,
        Tcp::PlainText => return answer_in_plain_text(&socket),
        Tcp::Tls | Tcp::Hold => {}
    }
    let Ok(raw) = socket.try_clone() else { return };
    let Ok(channel) = Channel::new(socket, shared.tls()) else { return };
    let session =
        Arc::new(Session { channel, topics: Mutex::default(), is_logged_in: AtomicBool::new(false) });
    lock(&shared.sessions).push(Arc::clone(&session));
    // From here on a stop cuts the socket; one that came just before is seen now.
    if !shared.stop.is_set() {
        if faults.tcp == Tcp::Hold {
            hold(raw);
        } else if !shared.stop.wait_for(Duration::from_millis(faults.tls_delay_ms)) {
            talk(shared, &session);
        }
    }
    session.cut();
    lock(&shared.sessions).retain(|other| !Arc::ptr_eq(other, &session));
}

/// Reads everything and answers nothing.
pub(super) fn hold(mut socket: TcpStream) {
    let mut sink = [0; 1_024];
    while matches!(socket.read(&mut sink), Ok(count) if count > 0) {}
}

/// Answers as a web server would.
pub(super) fn answer_in_plain_text(mut socket: &TcpStream) {
    // Read first: closing with unread bytes would reset the connection before the answer arrives.
    let mut sink = [0; 4_096];
    let _ = socket.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = socket.read(&mut sink);
    let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = socket.shutdown(Shutdown::Write);
    let _ = socket.read(&mut sink);
}

fn talk(shared: &Shared, session: &Session) {
    session.channel.set_read_timeout(Some(LOGIN_TIMEOUT));
    let mut plain = Vec::new();
    while session.channel.is_handshaking() {
        if !matches!(session.channel.receive(&mut plain), Ok(true)) {
            shared.observer.note(|seen| seen.handshake_failures += 1);
            return;
        }
    }
    shared.observer.note(|seen| seen.handshakes += 1);
    let end = exchange(shared, session, &mut plain);
    if session.is_logged_in.swap(false, Ordering::SeqCst) {
        shared.observer.note(|seen| {
            seen.open_sessions = seen.open_sessions.saturating_sub(1);
            match end {
                End::Clean => seen.clean_disconnects += 1,
                End::Unclean => seen.unclean_ends += 1,
            }
        });
    }
}

/// Takes packets until the end of the session.
fn exchange(shared: &Shared, session: &Session, plain: &mut Vec<u8>) -> End {
    loop {
        loop {
            match mqtt::take(plain) {
                Ok(None) => break,
                Ok(Some(packet)) => {
                    if let Some(end) = handle(shared, session, packet) {
                        return end;
                    }
                }
                Err(_) => {
                    shared.observer.note(|seen| seen.protocol_errors += 1);
                    return End::Unclean;
                }
            }
        }
        match session.channel.receive(plain) {
            Ok(true) => {}
            Ok(false) => return End::Unclean,
            Err(error) => {
                if is_timeout(&error) && session.is_logged_in() {
                    shared.observer.note(|seen| seen.keep_alive_failures += 1);
                }
                return End::Unclean;
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn handle(shared: &Shared, session: &Session, packet: Packet) -> Option<End> {
    let is_first = !session.is_logged_in();
    match packet {
        Packet::Connect(connect) if is_first => return log_in(shared, session, &connect),
        // Anything else before CONNECT, and a second CONNECT, ends the connection.
        Packet::Connect(_) => return protocol_error(shared),
        Packet::Disconnect => return Some(if is_first { End::Unclean } else { End::Clean }),
        _ if is_first => return protocol_error(shared),
        Packet::Subscribe { id, filters } => return subscribe(shared, session, id, &filters),
        Packet::Unsubscribe { id, filters } => {
            lock(&session.topics).retain(|topic| !filters.contains(topic));
            session.send(shared, &mqtt::unsubscribe_answer(id));
        }
        Packet::Publish { topic, id, payload } => take_request(shared, session, &topic, id, payload),
        Packet::Ping => {
            shared.observer.note(|seen| seen.pings += 1);
            session.send(shared, &mqtt::ping_answer());
        }
        Packet::Acknowledge => {}
    }
    None
}

fn protocol_error(shared: &Shared) -> Option<End> {
    shared.observer.note(|seen| seen.protocol_errors += 1);
    Some(End::Unclean)
}

fn log_in(shared: &Shared, session: &Session, connect: &Connect) -> Option<End> {
    let faults = lock(&shared.faults).clone();
    if shared.stop.wait_for(Duration::from_millis(faults.connack_delay_ms)) {
        return Some(End::Unclean);
    }
    let is_right = connect.user.as_deref() == Some(USER)
        && connect.password.as_deref() == Some(lock(&shared.access_code).as_bytes());
    let code = match faults.connack_code {
        Some(code) => code,
        None if connect.protocol != "MQTT" || connect.level != 4 => 1,
        None if !is_right => shared.config.refusal_code,
        None => 0,
    };
    if code != 0 {
        shared.observer.note(|seen| seen.refused_logins += 1);
        session.send(shared, &mqtt::connect_answer(code));
        return Some(End::Unclean);
    }
    let open = lock(&shared.sessions).iter().filter(|other| other.is_logged_in()).count();
    if open >= shared.config.model.session_count_max() {
        // No code is known for this; the connection just ends.
        shared.observer.note(|seen| seen.refused_logins += 1);
        return Some(End::Unclean);
    }
    session.is_logged_in.store(true, Ordering::SeqCst);
    // The protocol ends a session after one and a half times the promised interval without a packet.
    let patience = Duration::from_millis(u64::from(connect.keep_alive_s) * 1_500);
    session.channel.set_read_timeout(Some(patience).filter(|patience| !patience.is_zero()));
    shared.observer.note(|seen| {
        seen.logins += 1;
        seen.open_sessions += 1;
        Observations::keep(&mut seen.client_ids, &connect.client_id);
    });
    session.send(shared, &mqtt::connect_answer(0));
    None
}

fn subscribe(shared: &Shared, session: &Session, id: u16, filters: &[String]) -> Option<End> {
    shared.observer.note(|seen| {
        for filter in filters {
            Observations::keep(&mut seen.subscriptions, filter);
        }
    });
    let request_topic = shared.request_topic();
    if shared.config.model.guards_the_request_topic() && filters.contains(&request_topic) {
        return Some(End::Unclean);
    }
    {
        let mut topics = lock(&session.topics);
        for filter in filters {
            if topics.len() < TOPICS_MAX && !topics.contains(filter) {
                topics.push(filter.clone());
            }
        }
    }
    session.send(shared, &mqtt::subscribe_answer(id, filters.len()));
    if session.hears(&shared.report_topic()) {
        shared.post(Task::Subscribed);
    }
    None
}

fn take_request(shared: &Shared, session: &Session, topic: &str, id: Option<u16>, payload: Vec<u8>) {
    shared.observer.note(|seen| {
        seen.requests += 1;
        Observations::keep(&mut seen.request_texts, &String::from_utf8_lossy(&payload));
    });
    let faults = lock(&shared.faults).clone();
    if faults.half_dead {
        return;
    }
    if let Some(id) = id.filter(|_| !faults.lose_acknowledgements) {
        session.send(shared, &mqtt::publish_answer(id));
    }
    if topic == shared.request_topic() {
        // A full inbox loses the request, as a printer that is flooded does.
        shared.post(Task::Request(payload));
    }
}
