//! A connection test, step by step, for a printer that is not in the list (yet).

use std::time::Duration;

use super::watch::Deps;
use crate::base::clock::within;
use crate::model::{ConnectionKind, Printer, PrinterType};
use crate::printers::bambu;
use crate::printers::driver::{SessionEnd, SessionEvent};
use crate::printers::registry::ProbeStep;

/// Deadline of the whole test.
pub const PROBE_WITHIN: Duration = Duration::from_secs(20);

/// The steps in their order, and which trouble shows that a step failed.
const STEPS: [(&str, &[ConnectionKind]); 6] = [
    ("address", &[]),
    ("port", &[ConnectionKind::Unreachable, ConnectionKind::Refused]),
    ("tls", &[ConnectionKind::Tls, ConnectionKind::CertificateChanged]),
    ("serial", &[ConnectionKind::WrongSerial]),
    ("login", &[ConnectionKind::WrongCode, ConnectionKind::Auth, ConnectionKind::Busy]),
    ("first_report", &[ConnectionKind::Silent, ConnectionKind::Protocol]),
];

/// Runs the test. Never takes longer than [`PROBE_WITHIN`].
pub async fn run(deps: &Deps, mut printer: Printer) -> Vec<ProbeStep> {
    let silent = SessionEnd {
        kind: ConnectionKind::Silent,
        message: "the printer has not answered in time".into(),
        seen: None,
    };
    let result =
        within(&deps.clock, PROBE_WITHIN, attempt(deps, &mut printer)).await.unwrap_or(Err((false, silent)));
    steps(result)
}

/// Whether the address was found, and the trouble.
type Trouble = (bool, SessionEnd);

async fn attempt(deps: &Deps, printer: &mut Printer) -> Result<(), Trouble> {
    if printer.kind != PrinterType::BambuLab {
        let message = "this kind of printer is not supported yet".into();
        return Err((false, SessionEnd { kind: ConnectionKind::Protocol, message, seen: None }));
    }
    // Twice at most: the first time may only learn the serial number.
    for _ in 0..2 {
        let (reports, clock) = (bambu::Reports::default(), deps.clock.clone());
        let opened = bambu::Session::open(printer, reports, clock, &deps.mqtt, &deps.resolver).await;
        let mut session = opened.map_err(|end| (false, end))?;
        match session.next().await {
            SessionEvent::SerialLearnt(identity) => {
                printer.connection.serial = identity.serial;
                printer.pin = identity.pin;
            }
            SessionEvent::Connected(_) | SessionEvent::Report(_) => return Ok(()),
            SessionEvent::Ended(end) => return Err((true, end)),
        }
    }
    let message = "the printer shows no serial number".into();
    Err((true, SessionEnd { kind: ConnectionKind::WrongSerial, message, seen: None }))
}

fn steps(result: Result<(), Trouble>) -> Vec<ProbeStep> {
    let failed_at = result.as_ref().err().map(|(addressed, end)| {
        if *addressed {
            STEPS.iter().position(|(_, kinds)| kinds.contains(&end.kind)).unwrap_or(STEPS.len() - 1)
        } else {
            0
        }
    });
    let mut list = Vec::new();
    for (index, (step, _)) in STEPS.into_iter().enumerate() {
        let ok = ProbeStep { step, result: "ok", kind: None, message: None };
        list.push(match (failed_at, &result) {
            (Some(at), Err((_, end))) if index == at => {
                ProbeStep { result: "failed", kind: Some(end.kind), message: Some(end.message.clone()), ..ok }
            }
            (Some(at), _) if index > at => ProbeStep { result: "skipped", ..ok },
            _ => ok,
        });
    }
    let message = Some("the printer's files are not looked at by this version".into());
    list.push(ProbeStep { step: "files", result: "skipped", kind: None, message });
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(result: Result<(), Trouble>) -> Vec<&'static str> {
        steps(result).iter().map(|step| step.result).collect()
    }

    #[test]
    fn steps_before_the_trouble_are_ok_and_later_ones_are_skipped() {
        let trouble = |kind| SessionEnd { kind, message: "why".into(), seen: None };
        assert_eq!(results(Ok(())), ["ok", "ok", "ok", "ok", "ok", "ok", "skipped"]);
        let code = results(Err((true, trouble(ConnectionKind::WrongCode))));
        assert_eq!(code, ["ok", "ok", "ok", "ok", "failed", "skipped", "skipped"]);
        assert_eq!(results(Err((false, trouble(ConnectionKind::Unreachable))))[0], "failed");
    }
}
