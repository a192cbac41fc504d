//! The page, compiled in: a fixed table of files, so no name from outside ever reaches a file system.
//!
//! `src/web/page` is packed by `pack.rs` at build time. The page itself (`/`) is checked by its `ETag` at every visit;
//! everything else lives below `/assets/<build>/` and may be cached for ever.

use embedded_svc::http::server::{Connection, Method};

use super::respond::{ApiError, Reply};
use super::server::{Access, Answer, Call, Router};

/// One file of the page.
struct File {
    name: &'static str,
    content_type: &'static str,
    /// Hash of the plain bytes, hex.
    tag: &'static str,
    plain: &'static [u8],
    /// The same as gzip.
    packed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/page_table.rs"));

/// What the page may do: its own scripts, styles and connections, and nothing else. `require-trusted-types-for` turns every
/// attempt to make markup from text into an exception, so hostile names stay text. Pictures come from here or from a blob.
pub const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'";

/// The script of the worker that holds the event stream for all tabs. A shared worker lives by the policy of its own script;
/// the others live by that of the page and need none.
const WORKER: &str = "worker.js";

/// Adds the page and its files to `router`.
#[must_use]
pub fn routes<C: Connection + 'static>(router: Router<C>) -> Router<C> {
    // Nothing in it is anybody's secret, and without it nobody could log in.
    router
        .page(Method::Get, "/", page)
        .needs(Access::Open)
        .page(Method::Get, "/assets/{build}/{name}", asset)
        .needs(Access::Open)
}

fn page<C: Connection>(call: &mut Call<'_, C>) -> Answer {
    let file = find("index.html").ok_or_else(gone)?;
    let reply =
        serve(call, file).header("Content-Security-Policy", PAGE_POLICY).header("Cache-Control", "no-cache");
    Ok(reply.conditional_with(tag(call, file), call.header("If-None-Match")))
}

fn asset<C: Connection>(call: &mut Call<'_, C>) -> Answer {
    let file = find(call.param("name")).filter(|_| call.param("build") == BUILD).ok_or_else(gone)?;
    let mut reply = serve(call, file).header("Cache-Control", "public, max-age=31536000, immutable");
    if file.name == WORKER {
        reply = reply.header("Content-Security-Policy", PAGE_POLICY);
    }
    Ok(reply.conditional_with(tag(call, file), call.header("If-None-Match")))
}

fn gone() -> ApiError {
    ApiError::new(
        404,
        "NOT_FOUND",
        "There is no such file, or it belongs to an older version. Reload the page.",
    )
}

fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

fn serve<C: Connection>(call: &Call<'_, C>, file: &File) -> Reply {
    let reply = if takes_gzip(call) {
        Reply::new(200, file.content_type, file.packed.to_vec()).header("Content-Encoding", "gzip")
    } else {
        Reply::new(200, file.content_type, file.plain.to_vec())
    };
    reply.header("Vary", "Accept-Encoding")
}

/// Two encodings are two representations, so they carry two tags.
fn tag<C: Connection>(call: &Call<'_, C>, file: &File) -> String {
    if takes_gzip(call) { format!("\"{}-gz\"", file.tag) } else { format!("\"{}\"", file.tag) }
}

/// Whether the client unpacks gzip.
pub(super) fn takes_gzip<C: Connection>(call: &Call<'_, C>) -> bool {
    call.header("Accept-Encoding").unwrap_or_default().split(',').any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
            && !parts.any(|quality| matches!(quality, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::web::server::double::DoubleConnection;
    use embedded_svc::http::server::Handler as _;

    fn get(uri: &str, headers: &[(&str, &str)]) -> DoubleConnection {
        let router = routes(Router::new(Clock::system()));
        let mut connection = DoubleConnection::with(Method::Get, uri, headers, b"");
        router.handle(&mut connection).unwrap();
        connection
    }

    #[test]
    fn the_page_is_served_packed_and_plain_and_not_twice() {
        let plain = get("/", &[]);
        assert_eq!(plain.status(), 200);
        assert!(
            plain.answer_header("Content-Security-Policy").unwrap().contains("require-trusted-types-for")
        );
        let text = std::str::from_utf8(plain.answer_body()).unwrap();
        assert!(text.contains(BUILD) && !text.contains("@BUILD@"));
        let packed = get("/", &[("Accept-Encoding", "br, gzip;q=0.5")]);
        assert_eq!(packed.answer_header("Content-Encoding"), Some("gzip"));
        let body = packed.answer_body();
        let inflated = miniz_oxide::inflate::decompress_to_vec(&body[10..body.len() - 8]).unwrap();
        assert_eq!(inflated, plain.answer_body());
        let tag = packed.answer_header("ETag").unwrap().to_owned();
        assert_ne!(Some(tag.as_str()), plain.answer_header("ETag"));
        let again = get("/", &[("Accept-Encoding", "gzip"), ("If-None-Match", &tag)]);
        assert_eq!((again.status(), again.answer_body().len()), (304, 0));
        assert_eq!(get("/", &[("Accept-Encoding", "gzip;q=0")]).answer_header("Content-Encoding"), None);
    }

    #[test]
    fn files_are_found_in_the_table_only() {
        for file in FILES.iter().filter(|file| file.name != "index.html") {
            let found = get(&format!("/assets/{BUILD}/{}", file.name), &[]);
            assert_eq!((found.status(), found.answer_header("Content-Type")), (200, Some(file.content_type)));
            assert!(found.answer_header("Cache-Control").unwrap().contains("immutable"));
            let policy = found.answer_header("Content-Security-Policy");
            assert_eq!(policy, (file.name == WORKER).then_some(PAGE_POLICY), "{}", file.name);
        }
        for uri in [
            "/assets/old/app.js".to_owned(),
            format!("/assets/{BUILD}/nothing.js"),
            format!("/assets/{BUILD}/..%2f..%2fetc%2fpasswd"),
            format!("/assets/{BUILD}/../index.html"),
            "/index.html".to_owned(),
            "/etc/passwd".to_owned(),
        ] {
            assert_eq!(get(&uri, &[]).status(), 404, "{uri}");
        }
    }

    /// Bytes over the wire until *Now* is there, without pictures: what the page promises.
    const FIRST_LOAD_BYTES_MAX: usize = 60 * 1024;

    /// The files that the page itself names, what is loaded at once beside them, and the larger of the languages.
    #[test]
    fn the_first_load_is_small() {
        let page = std::str::from_utf8(find("index.html").unwrap().plain).unwrap();
        let named = FILES.iter().filter(|file| page.contains(&format!("/{BUILD}/{}", file.name)));
        let bytes = |file: &File| file.packed.len();
        let others = ["index.html", "worker.js"].map(|name| bytes(find(name).unwrap())).iter().sum::<usize>();
        let words = ["en.js", "de.js"].map(|name| bytes(find(name).unwrap())).into_iter().max().unwrap();
        let sum = named.map(bytes).sum::<usize>() + others + words;
        assert!((10_000..FIRST_LOAD_BYTES_MAX).contains(&sum), "{sum} bytes");
    }

    /// Everything that the first scripts import is asked for by the page itself, so that nothing waits for a second hop.
    #[test]
    fn the_page_names_what_its_first_scripts_need() {
        let page = std::str::from_utf8(find("index.html").unwrap().plain).unwrap();
        let mut open = vec!["app.js".to_owned()];
        let mut seen = Vec::new();
        while let Some(name) = open.pop() {
            assert!(page.contains(&format!("/{BUILD}/{name}")), "{name} is needed at once");
            let text = std::str::from_utf8(find(&name).unwrap().plain).unwrap();
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let other = line.split("'./").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
                if !seen.contains(&other.to_owned()) {
                    seen.push(other.to_owned());
                    open.push(other.to_owned());
                }
            }
        }
    }

    #[test]
    fn references_between_files_lead_somewhere() {
        for file in FILES {
            let text = std::str::from_utf8(file.plain).unwrap();
            for quoted in text
                .split(['"', '\''])
                .filter(|quoted| quoted.starts_with("./") || quoted.starts_with("/assets/"))
            {
                let name = quoted.rsplit('/').next().unwrap();
                assert!(find(name).is_some(), "{} speaks of {quoted}", file.name);
            }
        }
    }
}
