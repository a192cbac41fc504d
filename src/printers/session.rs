//! One face for the sessions of all families: whoever follows a printer knows no vendor.

use super::bambu;
use super::driver::{OddCounts, SessionEnd, SessionEvent};
use super::prusalink;
use crate::base::clock::Clock;
use crate::base::pool::{Limits, Pool};
use crate::model::status::{Print, PrinterStatus};
use crate::model::{Control, Printer, PrinterType};
use crate::net::mqtt::MqttHandle;
use crate::net::resolve::Resolver;

use super::registry::PRINTERS_MAX;

/// What sessions connect with.
#[derive(Clone, Debug)]
pub struct Means {
    /// The clocks.
    pub clock: Clock,
    /// Connections to Bambu printers.
    pub mqtt: MqttHandle,
    /// Addresses of host names.
    pub resolver: Resolver,
    /// Threads that wait for answers of PrusaLink printers, see [`http_pool`].
    pub http: Pool,
}

/// The threads of requests over HTTP: as many as there can be printers that do not answer, one for a connection test, one
/// for a picture and one for a look at a printer's new address, so that a silent printer delays nobody. None of them is there
/// while nothing is asked.
#[must_use]
pub fn http_pool() -> Pool {
    Pool::new("printers", Limits { threads_max: PRINTERS_MAX + 3, queue_max: PRINTERS_MAX, nice: 0 })
}

/// What is carried from one session with a printer to the next.
#[derive(Debug, Default)]
pub enum Memory {
    /// Nothing.
    #[default]
    Empty,
    /// The merged reports of a Bambu printer.
    Bambu(Box<bambu::Reports>),
    /// What is known of a Prusa printer.
    Prusa(Box<prusalink::Memory>),
}

/// What the store remembers of a printer.
#[derive(Clone, Debug, Default)]
pub struct Last {
    /// The print that it showed.
    pub print: Print,
    /// The status that it gave itself.
    pub status: PrinterStatus,
    /// Progress of that print in percent.
    pub progress: Option<u8>,
}

/// A session with one printer. Dropping it ends it.
pub enum Session {
    /// With a Bambu printer.
    Bambu(Box<bambu::Session>),
    /// With a Prusa printer.
    Prusa(Box<prusalink::Session>),
}

impl Session {
    /// Begins to connect.
    ///
    /// # Errors
    /// When that cannot even be tried: no secret is stored, the name has no address, no room for another connection.
    pub async fn open(
        printer: &Printer,
        memory: Memory,
        last: Last,
        means: &Means,
    ) -> Result<Session, SessionEnd> {
        let clock = means.clock.clone();
        match printer.kind {
            PrinterType::BambuLab => {
                let reports = if let Memory::Bambu(reports) = memory { *reports } else { Default::default() };
                let session =
                    bambu::Session::open(printer, reports, clock, &means.mqtt, &means.resolver).await?;
                Ok(Session::Bambu(Box::new(session)))
            }
            PrinterType::PrusaLink => {
                let memory = if let Memory::Prusa(memory) = memory { *memory } else { Default::default() };
                let session =
                    prusalink::Session::open(printer, memory, &last, clock, &means.http, &means.resolver)
                        .await?;
                Ok(Session::Prusa(Box::new(session)))
            }
        }
    }

    /// The next event. May be dropped while it waits and called again.
    pub async fn next(&mut self) -> SessionEvent {
        match self {
            Session::Bambu(session) => session.next().await,
            Session::Prusa(session) => session.next().await,
        }
    }

    /// Gives an order for the print that is on; the answer is an event of the session. At most one at a time.
    pub fn control(&mut self, order: Control) {
        match self {
            Session::Bambu(session) => session.control(order),
            Session::Prusa(session) => session.control(order),
        }
    }

    /// How far the session got, in the words of a connection test.
    #[must_use]
    pub fn reached(&self) -> &'static str {
        match self {
            Session::Bambu(session) => session.reached(),
            Session::Prusa(session) => session.reached(),
        }
    }

    /// What is carried over to the next session.
    #[must_use]
    pub fn into_memory(self) -> Memory {
        match self {
            Session::Bambu(session) => Memory::Bambu(Box::new(session.into_reports())),
            Session::Prusa(session) => Memory::Prusa(Box::new(session.memory())),
        }
    }

    /// What odd things came in this session.
    #[must_use]
    pub fn odd(&self) -> OddCounts {
        match self {
            Session::Bambu(session) => session.odd(),
            Session::Prusa(session) => session.odd(),
        }
    }
}
