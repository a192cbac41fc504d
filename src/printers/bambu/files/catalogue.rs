//! What lies on the printer's card: a listing of every folder where prints are, one session for all of them. Blocks.

use crate::base::secret::Secret;
use crate::model::{FetchKind, Printer};
use crate::net::ftps::{Cancel, EntryKind, FtpsError, FtpsErrorKind, Options, Session, Times, Wanted};
use crate::net::resolve::Resolver;
use crate::net::tls::PeerPolicy;
use crate::printers::catalogue::{Catalogue, Listed};

use super::Family;

/// The user name of every printer.
const USER: &str = "bblp";

/// Where prints lie, by family. Folders that a card does not have are empty.
fn folders(family: Family) -> &'static [&'static str] {
    match family {
        Family::P1A1 => &["/", "/cache", "/model", "/models"],
        Family::Unknown => &["/", "/cache", "/model"],
        Family::X1 | Family::H2 => &["/", "/cache"],
    }
}

/// What one session brought.
#[derive(Default)]
struct Look {
    files: Vec<Listed>,
    complete: bool,
    error: Option<FtpsError>,
}

/// Looks into every folder. What was seen before something failed is answered too.
#[must_use]
pub fn catalogue(printer: &Printer, resolver: &Resolver, cancel: &Cancel, files_max: usize) -> Catalogue {
    let family = printer.connection.serial.as_deref().map_or(Family::Unknown, Family::of_serial);
    let wanted = match family {
        Family::P1A1 | Family::Unknown => Wanted::PrivateElseClear,
        Family::X1 | Family::H2 => Wanted::Private,
    };
    let first = look(printer, resolver, cancel, files_max, wanted);
    let no_tls = first.error.as_ref().is_some_and(|error| error.kind == FtpsErrorKind::DataTls);
    // Some small servers promise to encrypt data and then cannot.
    if no_tls && wanted == Wanted::PrivateElseClear {
        return told(look(printer, resolver, cancel, files_max, Wanted::Clear));
    }
    told(first)
}

fn told(look: Look) -> Catalogue {
    let error = look.error.map(|error| (kind_of(&error.kind), error.message));
    Catalogue { files: look.files, complete: look.complete, error }
}

fn look(printer: &Printer, resolver: &Resolver, cancel: &Cancel, files_max: usize, wanted: Wanted) -> Look {
    let mut catalogue = Look { complete: true, ..Look::default() };
    let family = printer.connection.serial.as_deref().map_or(Family::Unknown, Family::of_serial);
    let session = open(printer, resolver, cancel, wanted);
    let mut session = match session {
        Ok(session) => session,
        Err(error) => return Look { error: Some(error), ..Look::default() },
    };
    for folder in folders(family) {
        match session.list(folder.as_bytes()) {
            Ok(listing) => {
                catalogue.complete &= listing.complete;
                for entry in listing.entries.into_iter().filter(|entry| entry.kind == EntryKind::File) {
                    if catalogue.files.len() >= files_max {
                        catalogue.complete = false;
                        break;
                    }
                    let mut path = folder.trim_end_matches('/').as_bytes().to_vec();
                    path.push(b'/');
                    path.extend_from_slice(entry.name.bytes());
                    catalogue.files.push(Listed {
                        path,
                        name: entry.name.text().to_owned(),
                        size: Some(entry.size),
                        mark: None,
                    });
                }
            }
            Err(error) if error.kind == FtpsErrorKind::NotFound => {}
            Err(error) => {
                catalogue.complete = false;
                catalogue.error = Some(error);
                break;
            }
        }
        if !session.is_usable() {
            catalogue.complete = false;
            break;
        }
    }
    session.close();
    catalogue
}

fn open(
    printer: &Printer,
    resolver: &Resolver,
    cancel: &Cancel,
    protection: Wanted,
) -> Result<Session, FtpsError> {
    let fault = |kind: FtpsErrorKind, message: &str| FtpsError { kind, message: message.to_owned() };
    let connection = &printer.connection;
    let code: Option<Secret> = connection.access_code.clone().filter(|code| !code.is_empty());
    let code = code.ok_or_else(|| fault(FtpsErrorKind::LoginRefused, "no access code is stored"))?;
    let address = smol::block_on(smol::future::or(
        async {
            let found = resolver.resolve(&connection.host, connection.ftps_port).await;
            found.map_err(|error| fault(FtpsErrorKind::Unreachable, &error.to_string()))
        },
        async {
            cancel.cancelled().await;
            Err(fault(FtpsErrorKind::Cancelled, "the listing was cancelled"))
        },
    ))?;
    let options = Options {
        policy: PeerPolicy { pinned_spki: printer.pin, expected_common_name: connection.serial.clone() },
        username: USER.to_owned(),
        password: code,
        protection,
        times: Times::default(),
        ..Options::new(address)
    };
    Session::open(options, cancel.clone())
}

/// The contract's kind for what went wrong at a printer's storage.
fn kind_of(kind: &FtpsErrorKind) -> FetchKind {
    use FtpsErrorKind as K;
    match kind {
        K::Unreachable | K::Refused => FetchKind::PrinterOffline,
        K::KeyChanged | K::WrongName { .. } | K::LoginRefused => FetchKind::Auth,
        K::Silent | K::Stalled => FetchKind::Stalled,
        K::Cancelled => FetchKind::Cancelled,
        K::NotFound => FetchKind::NotOnStorage,
        K::Closing
        | K::NoDataConnection
        | K::ReuseRequired
        | K::FileBusy
        | K::NotPermitted
        | K::Unsupported => FetchKind::Refused,
        _ => FetchKind::Interrupted,
    }
}
