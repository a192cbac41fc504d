//! Which request gets which reply.

use std::sync::Arc;

use super::command::Start;
use super::config::Config;
use super::content::crc32;
use super::digest::Verdict;
use super::faults::Target;
use super::pages;
use super::preview::{self, Size};
use super::reply::{Framing, Reply};
use super::request::{Method, Request};
use super::stick::{Entry, Kind};
use super::world::World;

/// Where the files' own paths begin.
const FILES: &str = "/api/v1/files";

/// The kind of a request, for faults and counters.
pub fn target(request: &Request) -> Target {
    let path = String::from_utf8_lossy(&request.target);
    match (request.method, path.split('?').next().unwrap_or_default()) {
        (_, "/api/version") => Target::Version,
        (_, "/api/v1/info") => Target::Info,
        (_, "/api/v1/status") => Target::Status,
        (_, "/api/v1/job") => Target::Job,
        (_, "/api/v1/storage") => Target::Storage,
        (_, "/api/v1/transfer") => Target::Transfer,
        (_, path) if path.starts_with("/api/v1/job/") => Target::Control,
        (_, path) if path.starts_with("/usb/") => Target::Download,
        (_, path) if path.starts_with("/thumb/") => Target::Thumb,
        (Method::Get | Method::Head, path) if path.starts_with(FILES) => Target::Files,
        (Method::Post, path) if path.starts_with(FILES) => Target::Start,
        (_, path) if path.starts_with(FILES) => Target::Change,
        _ => Target::Other,
    }
}

/// Whether the address is behind the password.
pub fn is_guarded(request: &Request) -> bool {
    [&b"/api/"[..], b"/usb/", b"/thumb/"].iter().any(|prefix| request.target.starts_with(prefix))
}

/// The page for who is not let in.
pub fn unauthorized(request: &Request, world: &World, verdict: Verdict) -> Reply {
    Reply::page(401, "", request).with(world.keeper(request.method).challenge(verdict))
}

/// The reply to a request that is let in.
pub fn route(request: &Request, world: &mut World, config: &Config) -> Reply {
    let Some(path) = decoded(&request.target) else {
        return Reply::page(404, "This doesn't look like file name", request);
    };
    if path.split('/').any(|name| name == "..") {
        return Reply::page(404, "This doesn't look like file name", request);
    }
    let get = |page: Reply| if request.method == Method::Get { page } else { not_allowed(request) };
    let or_empty = |page: Option<_>| match page {
        Some(page) => get(Reply::json(&page, request)),
        None => Reply::page(204, "", request),
    };
    match target(request) {
        Target::Version => get(Reply::json(&pages::version(config), request)),
        Target::Info => get(Reply::json(&pages::info(config), request)),
        Target::Status => get(Reply::json(&pages::status(world), request)),
        Target::Storage => get(Reply::json(&pages::storage(), request)),
        Target::Job => or_empty(pages::job(world)),
        Target::Transfer => or_empty(pages::transfer(world)),
        Target::Control => control(request, &path, world),
        Target::Download => get(download(request, &path, world, config)),
        Target::Thumb => get(thumb(request, &path, world, config)),
        Target::Files | Target::Start | Target::Change => files(request, &path, world, config),
        Target::Other | Target::All => Reply::page(404, "", request),
    }
}

fn not_allowed(request: &Request) -> Reply {
    Reply::page(405, "", request).closing()
}

/// The target without its query, percent-decoded; `None` when that is no text.
fn decoded(target: &[u8]) -> Option<String> {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [*rest.next()?, *rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    if bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes).ok()
}

fn control(request: &Request, path: &str, world: &mut World) -> Reply {
    let rest = path.strip_prefix("/api/v1/job/").unwrap_or_default();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let Ok(id) = digits.parse::<u32>() else { return Reply::page(400, "", request) };
    // The last print's id stays known after its end.
    if id != world.machine.last_job_id {
        return Reply::page(404, "", request);
    }
    let outcome = match (request.method, rest.split_once('/').map(|(_, word)| word)) {
        (Method::Put, Some("pause")) => world.machine.pause(),
        (Method::Put, Some("resume")) => world.machine.resume(),
        (Method::Put, _) => return Reply::page(400, "", request),
        (Method::Delete, _) => world.machine.stop(),
        _ => return Reply::page(405, "", request),
    };
    Reply::page(if outcome.is_ok() { 204 } else { 409 }, "", request)
}

fn files(request: &Request, path: &str, world: &mut World, config: &Config) -> Reply {
    let rest = path.strip_prefix(FILES).unwrap_or_default();
    let inside = match rest.strip_prefix("/usb") {
        Some(inside) if inside.is_empty() || inside.starts_with('/') => inside.trim_end_matches('/'),
        _ => return Reply::page(403, "", request),
    };
    match request.method {
        Method::Get | Method::Head => details(request, inside, world, config),
        Method::Post => print(request, inside, world, config),
        Method::Delete => delete(request, inside, world),
        Method::Put if request.content_length.is_none() => Reply::page(411, "", request),
        Method::Put => Reply::page(501, "The simulator takes no uploads", request),
        Method::Unknown => not_allowed(request),
    }
}

fn find<'a>(world: &'a World, path: &str, config: &Config) -> Option<(&'a Entry, String)> {
    if config.loses_percent_signs && path.contains('%') { None } else { world.stick.find(path) }
}

fn details(request: &Request, path: &str, world: &World, config: &Config) -> Reply {
    let etag = world.folder_etag(path);
    if request.if_none_match == etag {
        return Reply::page(304, "", request).with(format!("ETag: \"{etag}\""));
    }
    let found = find(world, path, config);
    let (page, is_folder, is_printed) = match &found {
        _ if path.is_empty() => (pages::folder(None, "", world.stick.root()), true, false),
        None => return Reply::page(404, "", request),
        Some((entry, short)) => match &entry.kind {
            Kind::Folder(children) => (pages::folder(Some(entry), short, children), true, false),
            Kind::File(_) => (pages::file(entry, short), false, world.machine.printed_path() == Some(short)),
        },
    };
    let mut reply = Reply::json(&page, request);
    if is_folder {
        reply = reply.with(format!("ETag: \"{etag}\""));
    }
    reply.with("Read-Only: false").with(format!("Currently-Printing: {is_printed}"))
}

/// Starting a print always ends the connection, because there could be a body.
fn print(request: &Request, path: &str, world: &mut World, config: &Config) -> Reply {
    let Some((_, short)) = find(world, path, config).filter(|(entry, _)| entry.file().is_some()) else {
        return Reply::page(404, "", request).closing();
    };
    let start = Start { path: short, print_seconds: None, asks_first: false };
    let status = if world.start(&start).is_ok() { 204 } else { 409 };
    Reply::page(status, "", request).closing()
}

fn delete(request: &Request, path: &str, world: &mut World) -> Reply {
    let Some((entry, short)) = world.stick.find(path) else { return Reply::page(404, "", request) };
    let is_held = match &entry.kind {
        Kind::Folder(children) => !children.is_empty(),
        Kind::File(body) => body.is_partial || world.machine.printed_path() == Some(short.as_str()),
    };
    if is_held {
        return Reply::page(409, "", request);
    }
    world.delete(&short);
    Reply::page(204, "", request)
}

/// The file as it is: a length, no ETag, no ranges.
fn download(request: &Request, path: &str, world: &World, config: &Config) -> Reply {
    let inside = path.strip_prefix("/usb").unwrap_or_default();
    let found = find(world, inside, config);
    match found.as_ref().and_then(|(entry, _)| entry.file()).filter(|file| !file.is_partial) {
        None => Reply::page(404, "", request),
        Some(file) => Reply {
            status: 200,
            content_type: "application/octet-stream",
            headers: vec!["Content-Disposition: attachment".into()],
            body: Arc::clone(&file.content),
            framing: Framing::Length,
            closes: !request.can_keep_alive,
        },
    }
}

fn thumb(request: &Request, path: &str, world: &World, config: &Config) -> Reply {
    let rest = path.strip_prefix("/thumb/").unwrap_or_default();
    let (size, inside) = match (rest.strip_prefix("s/usb"), rest.strip_prefix("l/usb")) {
        (Some(inside), _) => (Size::Small, inside),
        (_, Some(inside)) => (Size::Large, inside),
        _ => return Reply::page(404, "Thumbnail size specification not recognized", request),
    };
    let found = find(world, inside, config);
    let Some((entry, file)) = found.as_ref().and_then(|(entry, _)| Some((*entry, entry.file()?))) else {
        return Reply::page(404, "", request);
    };
    let stamp = format!("{} {} {}", entry.number, file.content.len(), entry.modified_s);
    let etag = crc32(stamp.as_bytes()).max(1);
    if etag == request.if_none_match {
        return Reply::page(304, "", request).with(format!("ETag: \"{etag}\""));
    }
    let own = file.picture.clone();
    match own.or_else(|| preview::find(&file.content, size).map(Arc::from)) {
        None => Reply::page(404, "File doesn't contain preview", request),
        Some(picture) => Reply::chunked("image/png", picture, request).with(format!("ETag: \"{etag}\"")),
    }
}
