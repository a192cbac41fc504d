//! Printers of every kind behind one door, for the command line and the control interface.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{bambu, prusa};

/// A printer to be.
#[derive(Debug, Clone)]
pub enum AnyConfig {
    /// A Bambu Lab printer.
    Bambu(Box<bambu::Config>),
    /// A Prusa printer.
    Prusa(Box<prusa::Config>),
}

/// A running printer.
#[derive(Debug)]
pub enum AnyPrinter {
    /// A Bambu Lab printer.
    Bambu(bambu::Printer),
    /// A Prusa printer.
    Prusa(prusa::Printer),
}

/// Why an order was not carried out.
#[derive(Debug)]
pub enum OrderError {
    /// It is no order for this kind of printer.
    NotUnderstood(String),
    /// The printer refused.
    Refused(String),
}

impl AnyPrinter {
    /// Starts a printer; when this returns, clients can connect.
    ///
    /// # Errors
    /// A sentence.
    pub fn start(config: AnyConfig) -> Result<Self, String> {
        match config {
            AnyConfig::Bambu(config) => {
                bambu::Printer::start(*config).map(Self::Bambu).map_err(|error| error.to_string())
            }
            AnyConfig::Prusa(config) => {
                prusa::Printer::start(*config).map(Self::Prusa).map_err(|error| error.to_string())
            }
        }
    }

    /// What a client needs to know.
    #[must_use]
    pub fn description(&self) -> Value {
        match self {
            Self::Bambu(printer) => value(&printer.description()),
            Self::Prusa(printer) => value(&printer.description()),
        }
    }

    /// Description, status, faults and observations.
    #[must_use]
    pub fn state(&self) -> Value {
        let (status, faults, observations) = match self {
            Self::Bambu(printer) => {
                (value(&printer.status()), value(&printer.faults()), value(&printer.observations()))
            }
            Self::Prusa(printer) => {
                (value(&printer.status()), value(&printer.faults()), value(&printer.observations()))
            }
        };
        json!({
            "description": self.description(), "status": status, "faults": faults, "observations": observations,
        })
    }

    /// Whether this is its serial number or name.
    #[must_use]
    pub fn is_called(&self, which: &str) -> bool {
        let description = self.description();
        ["serial", "name"].iter().any(|field| description.get(field).and_then(Value::as_str) == Some(which))
    }

    /// Carries out an order given as JSON.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn order(&self, order: &[u8]) -> Result<(), OrderError> {
        match self {
            Self::Bambu(printer) => printer.command(parsed(order)?).map_err(refused),
            Self::Prusa(printer) => printer.command(parsed(order)?).map_err(refused),
        }
    }
}

/// Starts printers side by side, since some make their keys; the order stays.
///
/// # Errors
/// The first printer that could not be started; the others are stopped again.
pub fn start(configs: Vec<AnyConfig>) -> Result<Vec<AnyPrinter>, String> {
    std::thread::scope(|scope| {
        let starts: Vec<_> =
            configs.into_iter().map(|config| scope.spawn(move || AnyPrinter::start(config))).collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn parsed<T: DeserializeOwned>(order: &[u8]) -> Result<T, OrderError> {
    serde_json::from_slice(order).map_err(|error| OrderError::NotUnderstood(error.to_string()))
}

fn refused(error: impl ToString) -> OrderError {
    OrderError::Refused(error.to_string())
}

fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}
