//! The step about HTTP: the client of the command line, the front, `tiny_http` and a handler, over loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use embedded_svc::http::server::{Connection, Method};
use smol::LocalExecutor;

use super::{STEP_WITHIN, Trouble, demand};
use crate::base::clock::{Clock, within};
use crate::base::task::Stop;
use crate::web::front::{
    self, EventSource, EventStream, Frame, Front, FrontStats, NoLargeRoutes, Ping, StreamRequest,
};
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call, Router, Server, ServerConfig, TinyConnection};

/// What the handler answers.
const ANSWER: &str = "all is well";

fn handler<C: Connection>(_: &mut Call<'_, C>) -> Answer {
    Ok(Reply::new(200, "text/plain", ANSWER.as_bytes().to_vec()))
}

/// No events in a self-test.
struct NoEvents;

struct NoStream;

impl EventSource for NoEvents {
    type Stream = NoStream;

    async fn open(&self, _: StreamRequest) -> Result<NoStream, ApiError> {
        Err(ApiError::not_found("event", "0"))
    }

    fn ping(&self) -> Ping {
        Ping { now: Clock::system().now().wall, seq: 0 }
    }
}

impl EventStream for NoStream {
    async fn next(&mut self) -> Option<Frame> {
        None
    }
}

/// One GET, all the way and back.
pub(super) fn round_trip(dir: &Path) -> Result<(), Trouble> {
    let clock = Clock::system();
    let router: Router<TinyConnection> = Router::new(clock.clone()).api(Method::Get, "/self-test", handler);
    let server = Server::start(ServerConfig::new(dir.join("run")), router, clock.clone(), Arc::new(|_| ()))?;
    let result = through_the_front(&server, &clock);
    server.stop();
    let (status, body) = result?;
    demand(status == 200 && body == ANSWER, format_args!("status {status}, {body:?} came back"))
}

fn through_the_front(server: &Server, clock: &Clock) -> Result<(u16, String), Trouble> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}/api/v1/self-test", listener.local_addr()?);
    let (stop, done) = (Stop::default(), Stop::default());
    let front = Front {
        config: front::Config::default(),
        clock: clock.clone(),
        listener,
        backend: server.backend(),
        events: NoEvents,
        large: NoLargeRoutes,
        stats: Arc::new(FrontStats::default()),
        beat: Arc::new(|| ()),
    };
    let told = done.clone();
    let client = std::thread::spawn(move || {
        let answer = get(&url);
        told.throw();
        answer
    });
    let executor = Rc::new(LocalExecutor::new());
    let until = stop.clone();
    let front = executor.spawn(front::run(front, async move { until.wait().await }));
    let answered = smol::block_on(executor.run(async {
        let answered = within(clock, STEP_WITHIN, done.wait()).await.is_some();
        stop.throw();
        front.await.map(|()| answered)
    }))?;
    demand(answered, "no answer came in time")?;
    client.join().map_err(|_| Trouble("the client panicked".to_owned()))?
}

fn get(url: &str) -> Result<(u16, String), Trouble> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(Some(STEP_WITHIN))
        .build()
        .into();
    let mut answer = agent.get(url).call()?;
    let body = answer.body_mut().with_config().limit(4096).read_to_string()?;
    Ok((answer.status().as_u16(), body))
}
