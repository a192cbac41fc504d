//! What lies on the printer's card: a listing of every folder where prints are, one session for all of them. Blocks.

use crate::base::secret::Secret;
use crate::model::Printer;
use crate::net::ftps::{Cancel, EntryKind, FtpsError, FtpsErrorKind, Options, Session, Times, Wanted};
use crate::net::resolve::Resolver;
use crate::net::tls::PeerPolicy;

use super::Family;

/// The user name of every printer.
const USER: &str = "bblp";

/// A file on the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its whole path, byte for byte.
    pub path: Vec<u8>,
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// What a look at the card brought.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Files, folder after folder.
    pub files: Vec<Listed>,
    /// Whether these are all.
    pub complete: bool,
    /// Why not, where something failed.
    pub error: Option<FtpsError>,
}

/// Where prints lie, by family. Folders that a card does not have are empty.
fn folders(family: Family) -> &'static [&'static str] {
    match family {
        Family::P1A1 => &["/", "/cache", "/model", "/models"],
        Family::Unknown => &["/", "/cache", "/model"],
        Family::X1 | Family::H2 => &["/", "/cache"],
    }
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
        return look(printer, resolver, cancel, files_max, Wanted::Clear);
    }
    first
}

fn look(
    printer: &Printer,
    resolver: &Resolver,
    cancel: &Cancel,
    files_max: usize,
    wanted: Wanted,
) -> Catalogue {
    let mut catalogue = Catalogue { complete: true, ..Catalogue::default() };
    let family = printer.connection.serial.as_deref().map_or(Family::Unknown, Family::of_serial);
    let session = open(printer, resolver, cancel, wanted);
    let mut session = match session {
        Ok(session) => session,
        Err(error) => return Catalogue { error: Some(error), ..Catalogue::default() },
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
                        size: entry.size,
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
