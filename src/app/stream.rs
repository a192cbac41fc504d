//! The web server's start, and the event stream's way from the bus and the journal to the front.
//!
//! A stream begins with a snapshot or with a replay of the journal and then follows the bus. It listens to the bus before
//! it reads either, so nothing falls between; what comes twice is told by its `seq` and sent once. A stream that falls
//! behind by more than the ring is told how much it missed and gets a fresh snapshot.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::AppError;
use super::supervisor::Supervisor;
use crate::base::latest::Latest;
use crate::bus::{Lossy, Received};
use crate::events::{Envelope, RING};
use crate::store::{StoreError, View};
use crate::web::api::{Api, Exports, snapshot};
use crate::web::front::{self, EventSource, EventStream, Frame, Front, Ping, StreamRequest, frame};
use crate::web::guard::{Asking, Who};
use crate::web::large::Large;
use crate::web::respond::ApiError;
use crate::web::server::{Access, Router, Server, ServerConfig, TinyConnection};
use crate::web::{api, assets};

/// Journal events that are read at a time: about 64 KB.
const REPLAY_PAGE: usize = 64;

/// The web server before its front runs.
pub struct Web {
    server: Server,
    listener: Arc<TcpListener>,
    names: Latest<Vec<String>>,
    api: Arc<Api>,
    stats: Arc<front::FrontStats>,
}

/// Starts the handler threads behind the front.
///
/// # Errors
/// When the private socket or a thread cannot be made.
pub fn start_web(
    data_dir: &Path,
    listener: TcpListener,
    names: Latest<Vec<String>>,
    api: &Arc<Api>,
) -> Result<Web, AppError> {
    listener
        .set_nonblocking(true)
        .map_err(|source| AppError::Start { what: "the listening socket", source })?;
    let router: Router<TinyConnection> = api::routes(assets::routes(Router::new(api.clock.clone())), api);
    let threads: Vec<_> = (0..crate::web::server::HANDLERS)
        .map(|n| api.tasks.enter(&format!("web-{n}"), api.clock.now().mono))
        .collect();
    let clock = api.clock.clone();
    let beat = Arc::new(move |number: usize| {
        if let Some(info) = threads.get(number) {
            info.beat(clock.now().mono);
        }
    });
    let config = ServerConfig::new(data_dir.join("run"));
    let server = Server::start(config, router, api.clock.clone(), beat).map_err(AppError::Web)?;
    Ok(Web { server, listener: Arc::new(listener), names, api: Arc::clone(api), stats: Arc::default() })
}

impl Web {
    /// Starts the front as a supervised task; answers what stops the threads behind it.
    pub fn spawn(self, supervisor: &Supervisor) -> WebThreads {
        let Web { server, listener, names, api, stats } = self;
        let backend = server.backend();
        supervisor.spawn("front", move |context| {
            let (listener, backend, stats) =
                (Arc::clone(&listener), Arc::clone(&backend), Arc::clone(&stats));
            let held_name = api.lan.name();
            let config = front::Config { names: names.clone(), held_name, ..front::Config::default() };
            let (events, clock, api) = (Source(Arc::clone(&api)), api.clock.clone(), Arc::clone(&api));
            async move {
                let beating = context.clone();
                let front = Front {
                    config,
                    clock,
                    listener: listener.try_clone()?,
                    backend,
                    events,
                    large: Exports::new(Arc::clone(&api), Large::new(Arc::clone(&api))),
                    stats,
                    beat: Arc::new(move || beating.info().beat(beating.clock.now().mono)),
                };
                let stop = context.stop.clone();
                front::run(front, async move { stop.wait().await }).await?;
                Ok(())
            }
        });
        WebThreads(server)
    }
}

/// The threads behind the front.
pub struct WebThreads(Server);

impl WebThreads {
    /// Ends them.
    pub fn stop(self) {
        self.0.stop();
    }
}

/// Events for the front.
struct Source(Arc<Api>);

impl EventSource for Source {
    type Stream = Stream;

    async fn open(&self, request: StreamRequest) -> Result<Stream, ApiError> {
        let api = Arc::clone(&self.0);
        let asking = Asking {
            authorization: request.authorization.as_deref(),
            cookie: request.cookie.as_deref(),
            peer: request.peer,
        };
        let who = api.guard.judge(&asking, Access::Read).await?;
        let bus = api
            .announcer
            .bus()
            .subscribe_lossy("event-stream")
            .map_err(|_| ApiError::busy("Too many listeners. Try again shortly.", 10))?;
        let mut stream = Stream {
            who,
            filter: Filter { types: request.types, printer_id: request.printer_id },
            bus,
            waiting: VecDeque::new(),
            sent: 0,
            fresh_from: 0,
            replaying: false,
            api,
        };
        match request.after {
            None => stream.snapshot().await?,
            Some(after) => stream.resume(after).await?,
        }
        Ok(stream)
    }

    fn ping(&self) -> Ping {
        Ping { now: self.0.clock.now().wall, seq: self.0.announcer.newest() }
    }
}

/// One client's events.
struct Stream {
    api: Arc<Api>,
    /// Who listens: asked again before every frame, a session may end.
    who: Who,
    bus: Lossy<Envelope, RING>,
    filter: Filter,
    waiting: VecDeque<Frame>,
    /// The newest seq that was sent or is part of a sent snapshot.
    sent: u64,
    /// What was newest at the end of the replay or in the snapshot: older state events are older than what was sent.
    fresh_from: u64,
    /// The journal is read before the bus.
    replaying: bool,
}

impl EventStream for Stream {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return self.api.guard.still_reads(&self.who).then_some(frame);
            }
            let done = if self.replaying { self.replay().await } else { self.follow().await };
            if let Err(error) = done {
                log::warn!("an event stream ends: {}", crate::base::error::chain(&error));
                return None;
            }
        }
    }
}

impl Stream {
    async fn snapshot(&mut self) -> Result<(), StoreError> {
        let (seq, data) = snapshot::snapshot(&self.api).await?;
        self.sent = self.sent.max(seq);
        self.fresh_from = self.sent;
        self.waiting.push_back(frame(None, "snapshot", &data));
        Ok(())
    }

    /// Continues after the seq that the client names, or with a gap where that is impossible.
    async fn resume(&mut self, after: u64) -> Result<(), StoreError> {
        let (oldest, newest) = {
            let ends = |view: &View<'_>| Ok::<_, StoreError>((view.oldest_seq()?, view.newest_seq()?));
            self.api.store.read(ends).await?
        };
        // A client may know a seq of another data directory, or one that a restored copy has jumped over.
        if after > newest || oldest > after.saturating_add(1) {
            let data = json!({"after": after, "oldest": oldest, "newest": newest, "missed": null});
            self.waiting.push_back(frame(None, "gap", &data.to_string()));
            return self.snapshot().await;
        }
        self.sent = after;
        self.replaying = true;
        Ok(())
    }

    async fn replay(&mut self) -> Result<(), StoreError> {
        let after = self.sent;
        let page = self.api.store.read(move |view| view.journal_after(after, REPLAY_PAGE)).await?;
        if page.oldest > after.saturating_add(1) {
            return self.lost(None).await;
        }
        self.replaying = page.events.len() >= REPLAY_PAGE;
        for event in page.events {
            self.sent = self.sent.max(event.seq);
            if let Some(name) = self.filter.passes(&event.json) {
                self.waiting.push_back(frame(Some(event.seq), &name, &event.json));
            }
        }
        self.fresh_from = self.sent;
        Ok(())
    }

    async fn follow(&mut self) -> Result<(), StoreError> {
        match self.bus.recv().await {
            Received::Missed(missed) => self.lost(Some(missed)).await,
            Received::Item(envelope) => {
                if let Some(seq) = envelope.seq {
                    if seq <= self.sent {
                        return Ok(()); // Part of the replay or the snapshot.
                    }
                    self.sent = seq;
                } else if envelope.after < self.fresh_from {
                    return Ok(()); // Waited in the ring while newer things were read from the journal.
                }
                let json = envelope.json();
                if let Some(name) = self.filter.passes(&json) {
                    self.waiting.push_back(frame(envelope.seq, &name, &json));
                }
                Ok(())
            }
        }
    }

    async fn lost(&mut self, missed: Option<u64>) -> Result<(), StoreError> {
        self.replaying = false;
        let data = json!({"after": self.sent, "oldest": null, "newest": self.api.announcer.newest(), "missed": missed});
        self.waiting.push_back(frame(None, "gap", &data.to_string()));
        self.snapshot().await
    }
}

/// What one client wants to hear.
struct Filter {
    types: Option<Vec<String>>,
    printer_id: Option<String>,
}

#[derive(Deserialize)]
struct Label<'j> {
    event: &'j str,
    data: Subject,
}

#[derive(Deserialize)]
struct Subject {
    printer_id: Option<String>,
}

impl Filter {
    /// The event's name, if the client wants to hear it.
    fn passes(&self, json: &str) -> Option<String> {
        let label: Label<'_> = serde_json::from_str(json).ok()?;
        let typed = self.types.as_ref().is_none_or(|types| types.iter().any(|name| name == label.event));
        let of_printer = self.printer_id.is_none() || label.data.printer_id == self.printer_id;
        (typed && of_printer).then(|| label.event.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hears_what_it_asked_for() {
        let json = r#"{"seq":1,"event":"job_started","data":{"job_id":"j1","printer_id":"p1"}}"#;
        let all = Filter { types: None, printer_id: None };
        assert_eq!(all.passes(json).as_deref(), Some("job_started"));
        let other_type = Filter { types: Some(vec!["job_created".into()]), printer_id: None };
        assert_eq!(other_type.passes(json), None);
        let printer = |id: &str| Filter { types: None, printer_id: Some(id.into()) };
        assert!(printer("p1").passes(json).is_some() && printer("p2").passes(json).is_none());
        assert_eq!(printer("p1").passes(r#"{"event":"service_started","data":{}}"#), None);
    }
}
