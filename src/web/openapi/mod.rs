//! The description of the API: an OpenAPI 3.1 document, made at build time and kept compressed.
//!
//! What it says stands in the `*.api` files of this directory, in a few lines for each address and shape; `compile.rs` makes the
//! document out of them (its head explains the language). The tests here compare it with the router, in both directions, and
//! with the copy in `docs/openapi.json`; those of the service check every answer that they get against it.

#[cfg(test)]
mod compile;
#[cfg(test)]
mod tests;

use embedded_svc::http::server::Connection;

use super::api::Api;
use super::assets::takes_gzip;
use super::respond::{ApiError, JSON, Reply};
use super::server::{Answer, Call};

include!(concat!(env!("OUT_DIR"), "/openapi.rs"));

/// The document as gzip.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// Bytes before the deflated ones in a gzip file without a name, and behind them.
const GZIP_HEAD: usize = 10;
const GZIP_TAIL: usize = 8;

/// GET /openapi.json: packed where the client takes that, else unpacked for it.
pub fn document<C: Connection>(call: &mut Call<'_, C>, _: &Api) -> Answer {
    answer(call)
}

fn answer<C: Connection>(call: &Call<'_, C>) -> Answer {
    let (tag, reply) = if takes_gzip(call) {
        let reply = Reply::new(200, JSON, PACKED.to_vec()).header("Content-Encoding", "gzip");
        (format!("\"{TAG}-gz\""), reply)
    } else {
        (format!("\"{TAG}\""), Reply::new(200, JSON, plain()?))
    };
    let reply = reply.header("Vary", "Accept-Encoding").header("Cache-Control", "no-cache");
    Ok(reply.conditional_with(tag, call.header("If-None-Match")))
}

/// The document itself.
fn plain() -> Result<Vec<u8>, ApiError> {
    let deflated = PACKED.get(GZIP_HEAD..PACKED.len() - GZIP_TAIL).unwrap_or_default();
    miniz_oxide::inflate::decompress_to_vec_with_limit(deflated, PLAIN_BYTES)
        .map_err(|_| ApiError::internal("The description cannot be unpacked. Please report this."))
}
