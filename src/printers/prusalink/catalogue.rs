//! What lies on the printer's storages: one folder for each request, one request after the other, because these printers
//! have small web servers. Blocks. The bounds are those of [`Files`].

use super::files::{Files, FilesError};
use crate::model::{FetchKind, Printer};
use crate::net::ftps::Cancel;
use crate::net::resolve::Resolver;
use crate::printers::catalogue::{Catalogue, Listed};

/// Looks into every folder of every storage.
#[must_use]
pub fn catalogue(printer: &Printer, resolver: &Resolver, cancel: &Cancel, files_max: usize) -> Catalogue {
    let way = &printer.connection;
    let address = smol::block_on(smol::future::or(
        async {
            let found = resolver.resolve(&way.host, way.http_port).await;
            found.map_err(|error| (FetchKind::PrinterOffline, error.to_string()))
        },
        async {
            cancel.cancelled().await;
            Err((FetchKind::Cancelled, "the listing was cancelled".to_owned()))
        },
    ));
    let files = match address {
        Ok(address) => Files::new(way, address),
        Err(error) => return Catalogue { error: Some(error), ..Catalogue::default() },
    };
    let told = |error: FilesError| (error.kind.fetch_kind(), error.message);
    let roots = match files.roots() {
        Ok(roots) => roots,
        Err(error) => return Catalogue { error: Some(told(error)), ..Catalogue::default() },
    };
    let mut catalogue = Catalogue { complete: true, ..Catalogue::default() };
    for root in roots {
        if cancel.is_cancelled() {
            catalogue.complete = false;
            catalogue.error = Some((FetchKind::Cancelled, "the listing was cancelled".to_owned()));
            break;
        }
        match files.list_all(&root) {
            Ok(listing) => {
                catalogue.complete &= listing.complete;
                for entry in listing.files {
                    if catalogue.files.len() >= files_max {
                        catalogue.complete = false;
                        break;
                    }
                    // Short names are used again for other files: what is behind them is part of the version.
                    let mark = entry.modified.map(|time| format!("{time} {}", entry.name));
                    let (path, name, size) = (entry.path.into_bytes(), entry.name, entry.size);
                    catalogue.files.push(Listed { path, name, size, mark });
                }
            }
            Err(error) => {
                catalogue.complete = false;
                catalogue.error = Some(told(error));
                break;
            }
        }
    }
    catalogue
}
