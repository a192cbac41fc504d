//! The table of routes: method and pattern to handler, and the honest 404, 405 and OPTIONS in between.
//!
//! A pattern is made of literal segments and parameters: `/printers/{id}/connect`. `{name:path}` is a parameter that
//! may hold encoded slashes (a path on a printer's storage). Of several patterns that fit, the one with the earlier
//! literal wins, so `/jobs/export` never reaches `/jobs/{id}`. Parameters arrive decoded and harmless
//! (see [`super::target`]).
//!
//! Deliberately not here: authentication (a guard in front of the handlers), limits of the network (the front).

use embedded_svc::http::server::{Connection, Handler, Method, Request};

use super::call::Call;
use super::target::{Pairs, decode_segment, segments, split_target};
use crate::base::clock::Clock;
use crate::web::respond::{ApiError, Reply};

/// The prefix of the API.
pub const API: &str = "/api/v1";

/// What every handler answers.
pub type Answer = Result<Reply, ApiError>;

type Action<C> = Box<dyn for<'c, 'r> Fn(&'c mut Call<'r, C>) -> Answer + Send + Sync>;

/// A check that runs before the handler, for example for a password. An error is the answer.
type Guard<C> = Box<dyn for<'c, 'r> Fn(&'c Call<'r, C>, &Route) -> Result<(), ApiError> + Send + Sync>;

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    Param { name: &'static str, path: bool },
}

/// What somebody has to show to use a route. By itself a route that reads asks for [`Access::Read`], every other for
/// [`Access::Change`]; [`Router::needs`] says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing, ever: what a person needs to log in.
    Open,
    /// The password where the device is private.
    Read,
    /// The password where there is one.
    Change,
    /// The password in any case; where there is none, one has to be set first.
    Owner,
}

/// What a guard is told of the route that was chosen.
#[derive(Debug)]
pub struct Route {
    /// What it needs.
    pub access: Access,
    /// The method it stands for in the table.
    pub method: Method,
    /// The whole pattern, prefix included.
    pub pattern: String,
    segments: Vec<Segment>,
}

/// The table. Built once at start, then shared by the handler threads.
pub struct Router<C: Connection> {
    clock: Clock,
    routes: Vec<(Route, Action<C>)>,
    guard: Option<Guard<C>>,
}

impl<C: Connection> Router<C> {
    /// An empty table; `clock` stamps the error envelopes.
    #[must_use]
    pub fn new(clock: Clock) -> Router<C> {
        Router { clock, routes: Vec::new(), guard: None }
    }

    /// Adds a route below [`API`].
    #[must_use]
    pub fn api<F>(self, method: Method, pattern: &'static str, handler: F) -> Router<C>
    where
        F: for<'c, 'r> Fn(&'c mut Call<'r, C>) -> Answer + Send + Sync + 'static,
    {
        let segments =
            API.split('/').chain(pattern.split('/')).filter(|part| !part.is_empty()).map(segment).collect();
        self.add(method, format!("{API}{pattern}"), segments, Box::new(handler))
    }

    /// Adds a route at the root: pages, assets, `/metrics`.
    #[must_use]
    pub fn page<F>(self, method: Method, pattern: &'static str, handler: F) -> Router<C>
    where
        F: for<'c, 'r> Fn(&'c mut Call<'r, C>) -> Answer + Send + Sync + 'static,
    {
        let segments = pattern.split('/').filter(|part| !part.is_empty()).map(segment).collect();
        self.add(method, pattern.to_owned(), segments, Box::new(handler))
    }

    /// Says what the route that was added last needs.
    #[must_use]
    pub fn needs(mut self, access: Access) -> Router<C> {
        if let Some((route, _)) = self.routes.last_mut() {
            route.access = access;
        }
        self
    }

    /// Sets the check that runs before every handler.
    #[must_use]
    pub fn guard<F>(mut self, guard: F) -> Router<C>
    where
        F: for<'c, 'r> Fn(&'c Call<'r, C>, &Route) -> Result<(), ApiError> + Send + Sync + 'static,
    {
        self.guard = Some(Box::new(guard));
        self
    }

    fn add(
        mut self,
        method: Method,
        pattern: String,
        segments: Vec<Segment>,
        action: Action<C>,
    ) -> Router<C> {
        let reads = matches!(method, Method::Get | Method::Head | Method::Options);
        let access = if reads { Access::Read } else { Access::Change };
        self.routes.push((Route { access, method, pattern, segments }, action));
        self
    }

    /// Every route as (method, whole pattern): for the API description and its tests.
    pub fn table(&self) -> impl Iterator<Item = (Method, &str)> {
        self.routes.iter().map(|(route, _)| (route.method, route.pattern.as_str()))
    }

    /// Every route with what it needs, as [`Router::table`].
    pub fn accesses(&self) -> impl Iterator<Item = (Method, &str, Access)> {
        self.routes.iter().map(|(route, _)| (route.method, route.pattern.as_str(), route.access))
    }

    /// Finds the handler for `uri`, runs it and answers; every error becomes an envelope here.
    fn answer(&self, connection: &mut C) -> Reply {
        match self.dispatch(connection) {
            Ok(reply) => reply,
            Err(error) => {
                log::debug!("web: {error}");
                error.reply(self.clock.now().wall)
            }
        }
    }

    fn dispatch(&self, connection: &mut C) -> Answer {
        let (path, query) = split_target(connection.uri());
        let unknown = || ApiError::new(404, "NOT_FOUND", "There is nothing at this address.");
        let parts = segments(path).ok_or_else(unknown)?;
        let fitting: Vec<_> = self.routes.iter().filter(|(route, _)| fits(&route.segments, &parts)).collect();
        let best = fitting.iter().map(|(route, _)| rank(&route.segments)).min().ok_or_else(unknown)?;
        let fitting = || fitting.iter().filter(|(route, _)| rank(&route.segments) == best);
        let method = connection.method();
        let wanted = if method == Method::Head { Method::Get } else { method };
        let Some((route, action)) = fitting().find(|(route, _)| route.method == wanted) else {
            let mut allow: Vec<&str> = fitting().map(|(route, _)| name(route.method)).collect();
            if allow.contains(&"GET") {
                allow.push("HEAD");
            }
            allow.push("OPTIONS");
            let allow = allow.join(", ");
            if method == Method::Options {
                return Ok(Reply::empty(204).header("Allow", allow));
            }
            let message = format!("This address takes {allow}.");
            return Err(ApiError { allow: Some(allow), ..ApiError::new(405, "METHOD_NOT_ALLOWED", message) });
        };
        let params = params(&route.segments, &parts).ok_or_else(unknown)?;
        let query = Pairs::parse(query)?;
        let mut call = Call::new(Request::wrap(connection), params, query);
        if let Some(guard) = &self.guard {
            guard(&call, route)?;
        }
        action(&mut call)
    }
}

impl<C: Connection> Handler<C> for Router<C> {
    type Error = C::Error;

    fn handle(&self, connection: &mut C) -> Result<(), C::Error> {
        let reply = self.answer(connection);
        write(connection, &reply)
    }
}

/// Writes a whole reply.
///
/// # Errors
/// Those of the connection.
pub fn write<C: Connection>(connection: &mut C, reply: &Reply) -> Result<(), C::Error> {
    let headers: Vec<(&str, &str)> =
        reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    connection.initiate_response(reply.status, None, &headers)?;
    let mut rest = reply.body.as_slice();
    while !rest.is_empty() {
        let count = connection.write(rest)?;
        rest = rest.get(count.max(1)..).unwrap_or_default();
    }
    connection.flush()
}

fn segment(text: &'static str) -> Segment {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => match name.strip_suffix(":path") {
            Some(name) => Segment::Param { name, path: true },
            None => Segment::Param { name, path: false },
        },
        None => Segment::Literal(text),
    }
}

fn fits(pattern: &[Segment], parts: &[&str]) -> bool {
    pattern.len() == parts.len()
        && pattern.iter().zip(parts).all(|(segment, part)| match segment {
            Segment::Literal(text) => text == part,
            Segment::Param { .. } => true,
        })
}

/// Smaller is more exact: one bit a segment, the first segment counting most.
fn rank(pattern: &[Segment]) -> u32 {
    pattern.iter().fold(0, |rank, segment| rank << 1 | u32::from(matches!(segment, Segment::Param { .. })))
}

fn params(pattern: &[Segment], parts: &[&str]) -> Option<Vec<(&'static str, String)>> {
    pattern
        .iter()
        .zip(parts)
        .filter_map(|(segment, part)| match segment {
            Segment::Literal(_) => None,
            Segment::Param { name, path } => Some(decode_segment(part, *path).map(|value| (*name, value))),
        })
        .collect()
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        _ => "OPTIONS",
    }
}
