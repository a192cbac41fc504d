//! Prusa printers: PrusaLink over HTTP, as printers with a web server of their own speak it ("Buddy": MINI, MK3.5, MK3.9,
//! MK4, XL, CORE One) and as the Python program on a Raspberry Pi does (MK2.5, MK3).
//!
//! There is no push: [`Session`] asks. Everything that a printer says is read field by field (`parse`), what it means is
//! decided without input or output (`state`), and requests run on threads that are there only while one is under way.

mod catalogue;
pub mod files;
mod identity;
mod parse;
pub mod session;
mod state;
mod words;

pub use catalogue::catalogue;
pub use identity::look;
pub use session::{Memory, Session};

use crate::model::ConnectionConfig;
use crate::net::http::login::Credentials;

/// The user of every printer that has a web server of its own.
const USER: &str = "maker";
/// The realm of printers that have a web server of their own.
const REALM: &str = "Printer API";

/// What the user gave, for the HTTP client.
fn credentials(way: &ConnectionConfig) -> Credentials {
    Credentials {
        user: way.username.clone().filter(|name| !name.is_empty()),
        usual_user: USER.to_owned(),
        password: way.password.clone().filter(|secret| !secret.is_empty()),
        key: way.api_key.clone().filter(|secret| !secret.is_empty()),
    }
}
